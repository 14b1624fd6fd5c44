import test from 'ava';
import { createRandom } from '../random/random.ts';
import { findClicks, measureLevel } from './signal-level.ts';

test('peak, clipping and offset are those of the samples', (t) => {
  t.is(measureLevel(new Int16Array(0)), null);
  t.is(measureLevel(new Int16Array(10))!.peakDbfs, null);
  const level = measureLevel(Int16Array.from([0, 16384, -16384, 16384]))!;
  t.true(Math.abs(level.peakDbfs! + 6.0206) < 1e-4);
  t.is(level.dcOffset, 0.125);
  t.is(level.clippedSamples, 0);
  t.is(measureLevel(Int16Array.from([32767, -32768, 32766]))!.clippedSamples, 2);
});

test('planted cuts in a tone are found and nothing else', (t) => {
  const cuts = [4001, 9003, 15_002];
  let phase = 0;
  const samples = Int16Array.from({ length: 20_000 }, (_, i) => {
    phase += (2 * Math.PI * 200) / 16_000;
    if (cuts.includes(i)) phase = Math.PI / 2 + (Math.sin(phase) > 0 ? Math.PI : 0);
    return Math.round(12_000 * Math.sin(phase));
  });
  t.deepEqual(findClicks(samples), cuts);
});

test('loud noise, whose steps are all large, has no clicks', (t) => {
  const random = createRandom(4);
  const samples = Int16Array.from({ length: 32_000 }, () =>
    Math.max(-32768, Math.min(32767, Math.round(random.normal() * 9000))),
  );
  t.deepEqual(findClicks(samples), []);
});
