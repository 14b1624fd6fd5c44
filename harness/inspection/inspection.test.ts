/** The tools of the inspection one by one; what they find together is in `sound-defects.test.ts`. */
import test from 'ava';
import fc from 'fast-check';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { createRandom } from '../random/random.ts';
import { encodePng } from '../report/png-image.ts';
import { resample } from '../stand-ins/band-limited-resampler.ts';
import { differencesOf } from './alignment.ts';
import { findByteOrder, shiftBytes, swapBytes } from './byte-order.ts';
import { CrossCorrelation } from './cross-correlation.ts';
import { alignExactly } from './exact-alignment.ts';
import { inspectFile } from './file-inspection.ts';
import { joined } from './planted-recording.contract.ts';
import { convertRate } from './rate-conversion.ts';
import { alignByShape } from './shape-alignment.ts';
import { expectedSeconds, spokenSeconds } from './speaking-pace.ts';
import { PowerSpectrum } from './spectrum.ts';
import { readWavSound } from './wav-sound.ts';
import { findClicks, findClipping, findHoles, findRepetitions } from './waveform-faults.ts';

/** Sound without any repetition: noise through a resonance, as loud as speech. */
function hum(count: number, seed: number): Int16Array {
  const random = createRandom(seed, 'hum');
  let [a, b] = [0, 0];
  return Int16Array.from({ length: count }, () => {
    [a, b] = [1.7 * a - 0.8 * b + 400 * random.normal(), a];
    return Math.round(Math.max(-20_000, Math.min(20_000, a)));
  });
}

test('where samples are kept, what was removed or added is known to the sample', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 500, max: 4000 }),
      fc.integer({ min: 1, max: 900 }),
      fc.constantFrom('removed', 'added', 'repeated'),
      (seed, place, count, what) => {
        const before = hum(6000, seed);
        const head = before.subarray(0, place);
        const repeated = Math.min(count, place);
        const sound =
          what === 'removed'
            ? joined([head, before.subarray(place + count)])
            : what === 'added'
              ? joined([head, hum(count, seed + 5000), before.subarray(place)])
              : joined([head, before.subarray(place - repeated)]);
        const found = differencesOf(alignExactly(before, sound), before, sound);
        // By chance samples at the seam fit both sides: then the seam may be some samples off.
        const [first, ...others] = found;
        if (first === undefined || others.length > 0) return false;
        const net = first.added - first.removed;
        const expected = what === 'removed' ? -count : what === 'added' ? count : repeated;
        return net === expected && Math.abs(first.at - place) <= 8;
      },
    ),
    { seed: 4711, numRuns: 150 },
  );
  t.pass();
});

test('equal sounds, and sounds that differ in loudness alone, have no differences', (t) => {
  const before = hum(16_000, 1);
  const none = differencesOf(alignExactly(before, before.slice()), before, before);
  t.deepEqual(none, []);
  const half = before.map((sample) => sample >> 1);
  const shape = alignByShape(before, half, 0);
  t.deepEqual(shape.stretches, [{ at: 0, end: 16_000, lag: 0 }]);
  t.deepEqual(differencesOf(shape, before, half), []);
});

test('bytes in the wrong order are found and put right again', (t) => {
  const sound = hum(8000, 2);
  t.deepEqual(findByteOrder(sound, 16_000), []);
  t.deepEqual(swapBytes(swapBytes(sound)), sound);
  const bytes = Buffer.alloc(2 * sound.length + 1);
  for (const [i, sample] of sound.entries()) bytes.writeInt16LE(sample, 2 * i);
  const late = sound.map((_, i) => bytes.readInt16LE(2 * i + 1));
  t.deepEqual(shiftBytes(late).subarray(1), sound.subarray(1));
  for (const wrong of [swapBytes(sound), late]) {
    const [found, ...others] = findByteOrder(wrong, 16_000);
    t.deepEqual(others, []);
    t.like(found, { kind: 'byte-swap', at: 0, samples: 8000 });
  }
});

test('clicks, flat tops, holes and repetitions are found where they are, and not in a sound without', (t) => {
  const sound = hum(16_000, 3);
  const faults = (samples: Int16Array) =>
    [
      ...findClicks(samples, 16_000),
      ...findClipping(samples),
      ...findHoles(samples, 16_000),
      ...findRepetitions(samples, 16_000),
    ].map(({ kind, at, samples: count }) => [kind, at, count]);
  t.deepEqual(faults(sound), []);
  const click = sound.slice();
  click[7000] = click[7000]! > 0 ? -32_000 : 32_000;
  t.deepEqual(faults(click), [['click', 7000, 1]]);
  const hole = joined([sound.subarray(0, 5000), new Int16Array(100), sound.subarray(5000)]);
  t.deepEqual(
    findHoles(hole, 16_000).map(({ at, samples }) => [at, samples]),
    [[5000, 100]],
  );
  const twice = joined([sound.subarray(0, 6000), sound.subarray(5000)]);
  t.deepEqual(
    findRepetitions(twice, 16_000).map(({ at, samples }) => [at, samples]),
    [[6000, 1000]],
  );
  const limit = 3000;
  const flat = sound.map((sample) => Math.max(-limit, Math.min(limit, sample)));
  const firstTop = flat.findIndex(
    (sample, i) => Math.abs(sample) === limit && flat[i + 1] === sample && flat[i + 2] === sample,
  );
  t.is(findClipping(flat)[0]?.at, firstTop);
  // A test tone is the same in every period.
  const tone = Int16Array.from({ length: 16_000 }, (_, i) =>
    Math.round(8000 * Math.sin((2 * Math.PI * i) / 40)),
  );
  t.deepEqual(faults(tone), []);
});

test('the power of a tone is in its bin, and half of the square of its height', (t) => {
  const spectrum = new PowerSpectrum(1024);
  const bins = new Float64Array(spectrum.bins);
  const tone = Int16Array.from({ length: 1024 }, (_, i) =>
    Math.round(16_384 * Math.sin((2 * Math.PI * 64 * i) / 1024)),
  );
  spectrum.measure(tone, 0, bins);
  t.is(bins.indexOf(Math.max(...bins)), 64);
  t.true(Math.abs(bins[64]! - 0.125) < 1e-4);
  t.true(bins[100]! < 1e-9);
  t.throws(() => new PowerSpectrum(1000), { instanceOf: RangeError });
});

test('a correlation by spectra is the sum of the products at every place', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 401 }),
      fc.integer({ min: 1, max: 1000 }),
      (length, size, seed) => {
        const random = createRandom(seed, 'signal');
        const signal = Float64Array.from({ length }, () => random.between(-1000, 1000));
        const window = Float64Array.from({ length: size }, () => random.between(-1000, 1000));
        const sums = new CrossCorrelation(signal).with(window);
        const places = Math.max(0, length - size + 1);
        return (
          sums.length === places &&
          sums.every((sum, place) => {
            const expected = window.reduce((all, value, i) => all + value * signal[place + i]!, 0);
            return Math.abs(sum - expected) < 1e-3;
          })
        );
      },
    ),
    { seed: 17, numRuns: 25 },
  );
  t.throws(() => new CrossCorrelation(new Float64Array(1)).with(new Float64Array(402)), {
    instanceOf: RangeError,
  });
});

test('a conversion of the rate agrees with the one of the stand-ins', (t) => {
  // A sum of tones below all cut-offs.
  const tones = (rateHz: number, count: number) =>
    Int16Array.from({ length: count }, (_, i) =>
      Math.round(
        [300, 1200, 3100].reduce(
          (sum, hz) => sum + 4000 * Math.sin((2 * Math.PI * hz * i) / rateHz),
          0,
        ),
      ),
    );
  for (const rateHz of [22_050, 24_000, 48_000]) {
    const ours = convertRate(tones(rateHz, rateHz / 2), 16_000 / rateHz);
    const theirs = resample(tones(rateHz, rateHz / 2), rateHz, 16_000);
    const truth = tones(16_000, 8000);
    for (const other of [theirs, truth]) {
      let error = 0;
      for (let i = 500; i < 7500; i++) error = Math.max(error, Math.abs(ours[i]! - other[i]!));
      t.true(error < 40, `${rateHz} Hz: ${error}`);
    }
  }
});

test('a text takes its time in letters, digits and Han characters, and the silence around it takes none', (t) => {
  t.is(expectedSeconds(' ?! '), 0);
  t.true(expectedSeconds('1969') > expectedSeconds('moon'));
  t.true(expectedSeconds('水星') > expectedSeconds('ab'));
  t.true(expectedSeconds('Yes, of course.') > expectedSeconds('Yes of course'));
  const sound = hum(8000, 4);
  const around = joined([new Int16Array(8000), sound, new Int16Array(16_000)]);
  t.is(spokenSeconds(around, 16_000), 0.5);
  const apart = joined([sound, new Int16Array(32_000), sound]);
  t.true(Math.abs(spokenSeconds(apart, 16_000) - 1.4) < 0.02);
});

function wav(chunks: readonly (readonly [string, Buffer])[], dataSize?: number): Buffer {
  const parts = chunks.flatMap(([name, data]) => {
    const head = Buffer.alloc(8);
    head.write(name, 0, 'latin1');
    head.writeUInt32LE(name === 'data' && dataSize !== undefined ? dataSize : data.length, 4);
    return [head, data, Buffer.alloc(data.length % 2)];
  });
  return Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE', 'latin1'), ...parts]);
}

function format(code: number, channels: number, rateHz: number, bits: number): Buffer {
  const data = Buffer.alloc(16);
  data.writeUInt16LE(code, 0);
  data.writeUInt16LE(channels, 2);
  data.writeUInt32LE(rateHz, 4);
  data.writeUInt16LE(bits, 14);
  return data;
}

test('WAV files are read whatever stands before the sound and whatever size they claim', (t) => {
  const data = Buffer.from(Int16Array.from([1, -1, 2, -2]).buffer);
  const stereo = wav(
    [
      ['LIST', Buffer.from('odd')],
      ['fmt ', format(1, 2, 44_100, 16)],
      ['data', data],
    ],
    0,
  );
  t.deepEqual(readWavSound(stereo, 'x'), { samples: Int16Array.from([1, 2]), rateHz: 44_100 });
  const endless = wav(
    [
      ['fmt ', format(1, 1, 8000, 16)],
      ['data', data],
    ],
    0xffff_ffff,
  );
  t.deepEqual(readWavSound(endless, 'x').samples, Int16Array.from([1, -1, 2, -2]));
  const float = wav([
    ['fmt ', format(3, 1, 8000, 32)],
    ['data', data],
  ]);
  for (const bad of [float, Buffer.from('RIFF'), Buffer.alloc(0)]) {
    t.throws(() => readWavSound(bad, 'x.wav'), { code: 'WAV_FORMAT', message: /x\.wav/ } as never);
  }
});

test('against a right one, a file at another rate shows what is missing, in its own samples', (t) => {
  const right = { file: 'right.wav', samples: hum(32_000, 6), rateHz: 16_000 };
  const cut = joined([right.samples.subarray(0, 12_000), right.samples.subarray(12_800)]);
  const wrong = { file: 'wrong.wav', samples: resample(cut, 16_000, 32_000), rateHz: 32_000 };
  const [found, ...others] = inspectFile(wrong, right, null).defects;
  t.deepEqual(others, []);
  t.like(found, { kind: 'dropped', stage: null });
  t.true(Math.abs(found!.place.sample - 24_000) < 200, `${found!.place.sample}`);
  t.true(Math.abs(found!.lengthMs - 50) < 1, `${found!.lengthMs}`);
  t.deepEqual(inspectFile(right, right, null), { defects: [], pauses: [] });
});

test('long silences of a file alone are pauses, and no defects; short ones are holes', (t) => {
  const sound = hum(48_000, 7);
  const faded = sound.map((sample, i) => Math.round(sample * Math.min(1, (48_000 - i) / 8000)));
  faded[faded.length - 1] = 1;
  const samples = joined([
    new Int16Array(16_000),
    faded,
    // The speaker waits for the next answer, then for samples that come too late, then for 16 ms.
    new Int16Array(32_000),
    sound.subarray(0, 16_000),
    new Int16Array(5120),
    sound.subarray(16_000, 32_000),
    new Int16Array(256),
    sound.subarray(32_000),
    new Int16Array(16_000),
  ]);
  const { defects, pauses } = inspectFile({ file: 'a.wav', samples, rateHz: 16_000 }, null, null);
  t.deepEqual(
    defects.map(({ kind, place, lengthMs }) => [kind, place.sample, lengthMs]),
    [['inserted', 133_120, 16]],
  );
  t.deepEqual(pauses, [
    { atMs: 4000, lengthMs: 2000, abrupt: false },
    { atMs: 7000, lengthMs: 320, abrupt: true },
  ]);
});

testWithFfmpeg('ffmpeg reads the PNG files as they were meant', (t) => {
  const palette = [
    [0, 0, 0],
    [255, 0, 0],
    [10, 200, 30],
  ] as const;
  const pixels = Uint8Array.from({ length: 7 * 5 }, (_, i) => (i * 5 + (i >> 2)) % 3);
  const png = encodePng(pixels, 7, palette);
  const rgb = installed!.run(
    ['-f', 'png_pipe', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    png,
  );
  t.deepEqual(
    [...rgb],
    [...pixels].flatMap((color) => [...palette[color]!]),
  );
});
