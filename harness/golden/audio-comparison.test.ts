import test from 'ava';
import fc from 'fast-check';
import { createRandom } from '../random/random.ts';
import { loadOfflineVoice } from '../stand-ins/offline-voice.ts';
import { compareAudio } from './audio-comparison.ts';
import { bandEdgesHz, bandLevelsDb } from './power-spectrum.ts';

const voice = await loadOfflineVoice();
const texts = ['It is ten past two.', 'Yes, of course I can.', 'Bees shiver in winter.'];
/** Speech at 16 kHz with silence around it. */
const clips: readonly Int16Array[] = texts.map((text) => {
  const spoken = voice.speak(text, 'slt').samples;
  const clip = new Int16Array(spoken.length + 8000);
  clip.set(spoken, 4000);
  return clip;
});

type Change = (samples: Int16Array, at: number, size: number) => Int16Array;

const limited = (value: number): number => Math.max(-32_768, Math.min(32_767, Math.round(value)));
const mapped = (samples: Int16Array, change: (sample: number, i: number) => number): Int16Array =>
  samples.map((sample, i) => limited(change(sample, i)));

/** What nobody hears. `size` is from 0 to 1. */
const inaudible: Readonly<Record<string, Change>> = {
  nothing: (samples) => samples,
  'half a decibel': (samples, _, size) =>
    mapped(samples, (x) => x * 10 ** (((size - 0.5) * 1) / 20)),
  'the last bit': (samples, at) => {
    const random = createRandom(at, 'bits');
    return mapped(samples, (x) => x + random.integer(-1, 1));
  },
  'noise below hearing': (samples, at) => {
    const random = createRandom(at, 'noise');
    return mapped(samples, (x) => x + random.integer(-12, 12));
  },
  'half a millisecond': (samples) => {
    const late = new Int16Array(samples.length);
    late.set(samples.subarray(0, samples.length - 8), 8);
    return late;
  },
};

/** What somebody would hear, or count. `at` is within the speech. */
const audible: Readonly<Record<string, Change>> = {
  'two decibels more or less': (samples, at) => mapped(samples, (x) => x * (at % 2 ? 1.3 : 0.77)),
  'a lost piece of 10 ms': (samples, at) => spliced(samples, at, 160, new Int16Array(0)),
  'a piece twice': (samples, at) =>
    spliced(samples, at, 0, Int16Array.from(samples.subarray(at, at + 320))),
  'silence in between': (samples, at) => spliced(samples, at, 0, new Int16Array(320)),
  'a gap of 20 ms': (samples, at) => mapped(samples, (x, i) => (i >= at && i < at + 320 ? 0 : x)),
  'the wrong rate': (samples) => samples.map((_, i) => samples[Math.round(i * 1.05)] ?? 0),
  dull: (samples) => {
    let last = 0;
    return samples.map((x) => (last = limited(last + 0.35 * (x - last))));
  },
  'bytes swapped': (samples) =>
    samples.map((x) => ((((x & 255) << 8) | ((x >> 8) & 255)) << 16) >> 16),
  'another text': (samples, at) => {
    const other = new Int16Array(samples.length);
    other.set(
      clips[(clips.indexOf(samples) + 1 + (at % 2)) % clips.length]!.subarray(0, samples.length),
    );
    return other;
  },
  'cut short': (samples) => samples.subarray(0, samples.length - 4800),
  clipped: (samples) => mapped(samples, (x) => Math.max(-2500, Math.min(2500, x))),
  'a hum': (samples) =>
    mapped(samples, (x, i) => x + 300 * Math.sin((2 * Math.PI * 200 * i) / 16_000)),
};

function spliced(samples: Int16Array, at: number, drop: number, insert: Int16Array): Int16Array {
  const all = new Int16Array(samples.length - drop + insert.length);
  all.set(samples.subarray(0, at));
  all.set(insert, at);
  all.set(samples.subarray(at + drop), at + insert.length);
  return all;
}

const place = fc.record({
  clip: fc.integer({ min: 0, max: clips.length - 1 }),
  part: fc.double({ min: 0.2, max: 0.8, noNaN: true }),
  size: fc.double({ min: 0, max: 1, noNaN: true }),
});

for (const [name, change] of Object.entries(inaudible)) {
  test(`the same sound: ${name}`, (t) => {
    fc.assert(
      fc.property(place, ({ clip, part, size }) => {
        const samples = clips[clip]!;
        const at = 4000 + Math.floor(part * (samples.length - 8000));
        t.deepEqual(compareAudio(samples, change(samples, at, size)), []);
      }),
      { numRuns: 6, seed: 5 },
    );
  });
}

for (const [name, change] of Object.entries(audible)) {
  test(`another sound: ${name}`, (t) => {
    fc.assert(
      fc.property(place, ({ clip, part, size }) => {
        const samples = clips[clip]!;
        // Somewhere loud: in a pause between words nothing is missing.
        const at = loudest(samples, 4000 + Math.floor(part * (samples.length - 8000)));
        const found = compareAudio(samples, change(samples, at, size));
        t.true(found.length > 0);
        for (const { amount, limit, text } of found) {
          t.true(amount > limit);
          t.regex(text, /instead of .*tolerance/);
        }
      }),
      { numRuns: 6, seed: 6 },
    );
  });
}

/** Start of the loudest 20 ms within a tenth of a second behind `from`. */
function loudest(samples: Int16Array, from: number): number {
  const energy = (at: number): number =>
    samples.subarray(at, at + 320).reduce((sum, x) => sum + x * x, 0);
  const places = Array.from({ length: 60 }, (_, i) => from - 4800 + i * 160);
  return places.reduce((best, at) => (energy(at) > energy(best) ? at : best), places[30]!);
}

test('a tone has its level in its band and nowhere else', (t) => {
  const tone = Int16Array.from({ length: 8000 }, (_, i) =>
    Math.round(16_384 * Math.sin((2 * Math.PI * 1000 * i) / 16_000)),
  );
  const levels = bandLevelsDb(tone, 0, 6);
  const band = bandEdgesHz.findIndex((edge) => edge > 1000) - 1;
  // Half of full scale: 20 log 0.5 − 3.01 dB.
  t.true(Math.abs(levels[band]! + 9.03) < 0.05, `${levels[band]}`);
  for (const [other, level] of levels.entries()) {
    if (Math.abs(other - band) > 1) t.true(level < -60, `${bandEdgesHz[other]} Hz: ${level}`);
  }
  const noise = Int16Array.from({ length: 16_000 }, () => 0);
  t.true(bandLevelsDb(noise, 0, 6).every((level) => level <= -115));
});
