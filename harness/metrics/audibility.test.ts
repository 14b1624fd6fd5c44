import test from 'ava';
import { createRandom } from '../random/random.ts';
import { clipSilence, countAudible, defaultAudibility, findAudible } from './audibility.ts';

const threshold = 32768 * 10 ** (-50 / 20); // 103.6

function tone(length: number, start: number, end: number, amplitude = 8000): Int16Array {
  const samples = new Int16Array(length);
  for (let i = start; i < end; i++) samples[i] = i % 2 === 0 ? amplitude : -amplitude;
  return samples;
}

test('an onset out of digital silence is found to the sample', (t) => {
  const random = createRandom(1);
  for (let k = 0; k < 100; k++) {
    const start = random.integer(0, 5000);
    const end = start + random.integer(400, 5000);
    const samples = tone(12_000, start, end);
    t.deepEqual(findAudible(samples), { first: start, last: end - 1 });
    t.deepEqual(clipSilence(samples), { leadSamples: start, tailSamples: 12_000 - end });
  }
});

test('noise below the threshold does not move the onset by more than a window', (t) => {
  const random = createRandom(2);
  for (let k = 0; k < 50; k++) {
    const start = random.integer(1000, 5000);
    const end = start + 4000;
    const samples = tone(12_000, start, end);
    for (let i = 0; i < samples.length; i++) {
      samples[i] = samples[i]! + Math.round(random.normal() * 60);
    }
    const range = findAudible(samples)!;
    t.true(range.first <= start && start - range.first < 160, `${range.first} for ${start}`);
    t.true(range.last >= end - 1 && range.last - end < 160, `${range.last} for ${end}`);
  }
});

test('the threshold is an RMS of -50 dBFS and exactly that is silent', (t) => {
  t.is(findAudible(tone(2000, 0, 2000, Math.floor(threshold))), null);
  t.deepEqual(findAudible(tone(2000, 0, 2000, Math.ceil(threshold))), { first: 0, last: 1999 });
  const settings = { ...defaultAudibility, thresholdDbfs: -60 };
  t.deepEqual(findAudible(tone(2000, 700, 2000, 90), 0, 2000, settings), {
    first: 700,
    last: 1999,
  });
});

test('a click too short to fill a window with sound is not audible', (t) => {
  const samples = new Int16Array(4000);
  samples[2000] = 1200; // RMS over 160 samples: 94.9
  t.is(findAudible(samples), null);
  samples[2000] = 1400; // 110.7
  t.deepEqual(findAudible(samples), { first: 2000, last: 2000 });
});

test('nothing outside the given range is looked at', (t) => {
  const samples = tone(4000, 0, 1000);
  t.is(findAudible(samples, 1000), null);
  t.deepEqual(findAudible(samples, 300, 2000), { first: 300, last: 999 });
  t.is(findAudible(samples, 1000, 1000), null);
  t.deepEqual(findAudible(samples, 900, 950), { first: 900, last: 949 });
});

test('audible time is the union of audible windows', (t) => {
  t.is(countAudible(new Int16Array(1000)), 0);
  t.is(countAudible(tone(4000, 0, 4000)), 4000 - ((4000 - 160) % 16));
  // A burst is covered by every window it makes audible: at most one window more on each side.
  const covered = countAudible(tone(16_000, 4000, 8000));
  t.true(covered >= 4000 && covered <= 4000 + 2 * 160, String(covered));
});
