/** A known sound is put into a room at a known place, with echoes and noise that are made here. */
import test from 'ava';
import { createRandom } from '../random/random.ts';
import { findEnvelope } from './envelope-delay.ts';

const rate = 16_000;

/** Noise in bursts of random length and level: rises and falls as speech does, and never repeats. */
function words(seconds: number, seed: number): Int16Array {
  const random = createRandom(seed, 'words');
  const samples = new Int16Array(Math.round(seconds * rate));
  for (let at = 0; at < samples.length; ) {
    const loud = Math.round((0.06 + 0.2 * random.next()) * rate);
    const quiet = Math.round((0.03 + 0.15 * random.next()) * rate);
    const level = 2000 + 10_000 * random.next();
    for (let i = at; i < Math.min(at + loud, samples.length); i++) {
      samples[i] = Math.round((random.next() * 2 - 1) * level);
    }
    at += loud + quiet;
  }
  return samples;
}

interface Room {
  readonly seconds: number;
  readonly at: number;
  /** Time in which echoes fall by 60 dB; 0: none. */
  readonly rt60: number;
  /** Level of the noise against the loudspeaker's, in dB. */
  readonly noiseDb: number;
  readonly gain: number;
}

function recorded(sound: Int16Array, { seconds, at, rt60, noiseDb, gain }: Room): Int16Array {
  const random = createRandom(11, 'room');
  const heard = new Float64Array(Math.round(seconds * rate));
  // The direct sound and 40 reflections at random delays, decaying exponentially.
  const taps = [{ delay: 0, level: 1 }];
  for (let i = 0; i < (rt60 > 0 ? 40 : 0); i++) {
    const delay = Math.round(random.next() * rt60 * rate);
    const sign = random.next() < 0.5 ? -1 : 1;
    taps.push({ delay, level: sign * 0.25 * 10 ** ((-3 * delay) / (rt60 * rate)) });
  }
  for (const { delay, level } of taps) {
    for (let i = 0; i < sound.length; i++) {
      const place = at + delay + i;
      if (place < heard.length) heard[place]! += sound[i]! * level * gain;
    }
  }
  const rms = Math.sqrt(sound.reduce((sum, s) => sum + s * s, 0) / sound.length) * gain;
  const noise = rms * 10 ** (noiseDb / 20) * Math.sqrt(3);
  return Int16Array.from(heard, (value) =>
    Math.max(-32_768, Math.min(32_767, Math.round(value + (random.next() * 2 - 1) * noise))),
  );
}

const rooms: readonly (readonly [string, Omit<Room, 'at' | 'seconds'>])[] = [
  ['as it is', { rt60: 0, noiseDb: -60, gain: 1 }],
  ['quietly', { rt60: 0, noiseDb: -30, gain: 0.02 }],
  ['in noise 10 dB below it', { rt60: 0, noiseDb: -10, gain: 0.3 }],
  ['in noise as loud as it is', { rt60: 0, noiseDb: 0, gain: 0.3 }],
  ['in a living room', { rt60: 0.4, noiseDb: -20, gain: 0.3 }],
  ['in a hall, with noise', { rt60: 0.8, noiseDb: -10, gain: 0.3 }],
];

for (const [title, room] of rooms) {
  test(`the sound is found ${title}, within the stated error`, (t) => {
    for (const [seed, at] of [
      [1, 3000],
      [2, 41_237],
    ] as const) {
      const sound = words(2.5, seed);
      const found = findEnvelope(sound, recorded(sound, { ...room, seconds: 8, at }));
      if (!found.found) {
        t.fail(`seed ${seed}: ${found.reason}`);
        continue;
      }
      const wrong = found.samples - at;
      t.true(Math.abs(wrong) <= found.errorSamples, `${wrong / 16} ms off`);
    }
  });
}

test('a sound that is not there is not found', (t) => {
  for (const seed of [1, 2, 3]) {
    const room = recorded(words(2.5, 100 + seed), {
      seconds: 8,
      at: 20_000,
      rt60: 0.3,
      noiseDb: -20,
      gain: 0.3,
    });
    t.false(findEnvelope(words(2.5, seed), room).found);
  }
});

test('noise alone and silence hold no sound', (t) => {
  const silence = new Int16Array(8 * rate);
  t.false(findEnvelope(words(2.5, 1), silence).found);
  const random = createRandom(1, 'noise');
  const noise = silence.map(() => Math.round((random.next() - 0.5) * 4000));
  for (const seconds of [0.6, 1, 2.5]) {
    for (const seed of [1, 2, 3, 4]) {
      const heard = findEnvelope(words(seconds, seed), noise);
      t.like(heard, { found: false, reason: 'weak' }, `${seconds} s, seed ${seed}`);
    }
  }
});

test('a sound that was played twice is at no one place', (t) => {
  const sound = words(2.5, 4);
  const room = recorded(sound, { seconds: 12, at: 8000, rt60: 0, noiseDb: -40, gain: 0.5 });
  const again = recorded(sound, { seconds: 12, at: 100_000, rt60: 0, noiseDb: -40, gain: 0.5 });
  t.like(
    findEnvelope(
      sound,
      room.map((sample, i) => sample + again[i]!),
    ),
    { found: false, reason: 'ambiguous' },
  );
});

test('too little sound is not looked for', (t) => {
  const short = { found: false, reason: 'short', correlation: null, needed: null };
  t.deepEqual(
    findEnvelope(new Int16Array(1000).fill(1000), new Int16Array(16_000)),
    short as never,
  );
  t.deepEqual(findEnvelope(words(2, 1), words(1, 1)), short as never);
});
