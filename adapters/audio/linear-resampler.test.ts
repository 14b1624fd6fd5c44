import test from 'ava';
import fc from 'fast-check';
import { echoKitConversion } from './audio-conversion.ts';
import { LinearResampler } from './linear-resampler.ts';
import { SpeechNormalizer } from './speech-normalizer.ts';
import { wavBytes } from './wav-fixture.contract.ts';

function resample(input: number[], rateHz: number, cuts: number[] = []): number[] {
  const resampler = new LinearResampler(rateHz);
  const out: number[] = [];
  let from = 0;
  for (const cut of [...cuts, input.length]) {
    out.push(...resampler.push(Float64Array.from(input.slice(from, cut))));
    from = cut;
  }
  return [...out, ...resampler.flush()];
}

test('samples between two others lie on the line between them', (t) => {
  // 32 kHz: every second one. 8 kHz: one in the middle of each pair, the last one held.
  t.deepEqual(resample([0, 10, 20, 30, 40], 32_000), [0, 20, 40]);
  t.deepEqual(resample([0, 10, 30], 8_000), [0, 5, 10, 20, 30, 30]);
  // 24 kHz: at 0, 1.5, 3 and 4.5 of the input.
  t.deepEqual(resample([0, 10, 40, 20, 0], 24_000), [0, 25, 20, 0]);
  t.deepEqual(resample([1, 2, 3], 16_000), [1, 2, 3]);
  t.deepEqual(resample([], 24_000), []);
});

test('the values do not depend on how the input is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -32768, max: 32767 }), { maxLength: 120 }),
      fc.constantFrom(8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000),
      fc.array(fc.nat(120), { maxLength: 6 }),
      (input, rateHz, at) => {
        const cuts = at.map((cut) => Math.min(cut, input.length)).sort((a, b) => a - b);
        t.deepEqual(resample(input, rateHz, cuts), resample(input, rateHz));
      },
    ),
    { seed: 1, numRuns: 300 },
  );
});

test('a tone above 8 kHz comes out as another tone, because there is no filter', (t) => {
  const input = Array.from({ length: 24_000 }, (_, i) =>
    Math.round(10_000 * Math.cos((2 * Math.PI * 10_000 * i) / 24_000)),
  );
  const out = resample(input, 24_000);
  const power = out.reduce((sum, value) => sum + value ** 2, 0) / out.length;
  // The same input is 80 dB down behind the filter of the clean conversion.
  t.true(Math.sqrt(power) > 3_000);
});

test('a stereo WAV comes out with its channels one after the other, at half speed', (t) => {
  const samples = [100, -100, 200, -200, 300, -300];
  const data = Buffer.from(Int16Array.from(samples).buffer);
  const file = wavBytes(data, { channels: 2, rateHz: 16_000 });
  const normalizer = new SpeechNormalizer({ container: 'wav' }, echoKitConversion);
  const heard = [...normalizer.push(file).samples, ...normalizer.flush().samples];
  t.deepEqual(heard, samples);
  t.is(normalizer.channels, 1);
  t.is(normalizer.sourceFrames, 6);
});
