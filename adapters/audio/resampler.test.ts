import { execFileSync } from 'node:child_process';
import ffmpeg from '@ffmpeg-installer/ffmpeg';
import test from 'ava';
import fc from 'fast-check';
import { createRandom } from '../../harness/random/random.ts';
import { outputRateHz, Resampler, resampledLength } from './resampler.ts';

const ratesHz = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_000, 44_100, 48_000];

function tone(
  frequencyHz: number,
  rateHz: number,
  count: number,
  amplitude = 10_000,
): Float64Array {
  return Float64Array.from(
    { length: count },
    (_, i) => amplitude * Math.sin((2 * Math.PI * frequencyHz * i) / rateHz + 0.3),
  );
}

function resample(input: Float64Array, rateHz: number, chunk = input.length): Float64Array {
  const resampler = new Resampler(rateHz);
  const out: number[] = [];
  for (let at = 0; at < input.length; at += Math.max(1, chunk)) {
    out.push(...resampler.push(input.subarray(at, at + Math.max(1, chunk))));
  }
  out.push(...resampler.flush());
  return Float64Array.from(out);
}

/** Level of the middle part, away from the edges, in dB relative to a tone of `amplitude`. */
function levelDb(samples: Float64Array, amplitude: number): number {
  const middle = samples.subarray(2_000, samples.length - 2_000);
  const power = middle.reduce((sum, value) => sum + value * value, 0) / middle.length;
  return 10 * Math.log10(power / (amplitude ** 2 / 2));
}

test('a tone in the pass band comes out as the same tone, at the same instants', (t) => {
  for (const rateHz of ratesHz) {
    const topHz = (7 / 8) * (Math.min(rateHz, outputRateHz) / 2);
    for (const frequencyHz of [100, 1_000, 3_000, topHz].filter((hz) => hz <= topHz)) {
      const out = resample(tone(frequencyHz, rateHz, rateHz / 2), rateHz);
      const truth = tone(frequencyHz, outputRateHz, out.length);
      let worst = 0;
      for (let i = 1_000; i < out.length - 1_000; i++) {
        worst = Math.max(worst, Math.abs(out[i]! - truth[i]!));
      }
      t.true(worst < 0.5, `${frequencyHz} Hz from ${rateHz} Hz: off by ${worst} of 10000`);
    }
  }
});

test('what lies above 8 kHz is gone, not folded back', (t) => {
  for (const rateHz of [22_050, 24_000, 32_000, 44_100, 48_000]) {
    for (let hz = 8_000; hz <= rateHz / 2; hz += 500) {
      const level = levelDb(resample(tone(hz, rateHz, rateHz / 2), rateHz), 10_000);
      t.true(level < -80, `${hz} Hz at ${rateHz} Hz comes out at ${level.toFixed(1)} dB`);
    }
  }
});

test('raising the rate adds no images above the old Nyquist frequency', (t) => {
  const out = resample(tone(3_000, 8_000, 8_000), 8_000);
  const truth = tone(3_000, outputRateHz, out.length);
  const rest = out.map((value, i) => value - truth[i]!);
  t.true(levelDb(rest, 10_000) < -80);
});

test('the length is the rounded ratio, for every rate and length', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.constantFrom(...ratesHz, 7_919, 44_101), fc.nat(700), (rateHz, count) => {
        const resampler = new Resampler(rateHz);
        const given = resampler.push(new Float64Array(count)).length + resampler.flush().length;
        return (
          given === Math.round((count * 16_000) / rateHz) &&
          given === resampledLength(count, rateHz) &&
          resampler.outputSamples === given &&
          resampler.inputSamples === count
        );
      }),
      { numRuns: 200, seed: 1 },
    ),
  );
});

test('the values do not depend on how the input is cut, bit by bit', (t) => {
  const random = createRandom(11, 'resampler');
  for (const rateHz of ratesHz) {
    const input = Float64Array.from({ length: 3_000 }, () => random.between(-30_000, 30_000));
    const whole = resample(input, rateHz);
    for (const chunk of [1, 7, 160, 1_021]) t.deepEqual(resample(input, rateHz, chunk), whole);
  }
});

test('a sample waits for half the filter and no longer', (t) => {
  for (const rateHz of [22_050, 24_000, 32_000, 44_100, 48_000]) {
    const resampler = new Resampler(rateHz);
    let pushed = 0;
    let given = 0;
    while (given === 0) {
      given = resampler.push(new Float64Array(1)).length;
      pushed++;
    }
    t.is(pushed, resampler.halfWidth + 1, 'the first sample');
    t.true(resampler.halfWidth / rateHz < 0.0036, `${resampler.halfWidth / rateHz} s`);
  }
});

test('16 kHz passes unchanged', (t) => {
  const input = Float64Array.from([1, -2, 32_767, -32_768, 0.5]);
  t.deepEqual(resample(input, 16_000), input);
  t.is(new Resampler(16_000).halfWidth, 0);
});

test('a constant stays the same constant in every phase', (t) => {
  for (const rateHz of ratesHz) {
    const out = resample(new Float64Array(4_000).fill(1_000), rateHz);
    const worst = out
      .subarray(500, out.length - 500)
      .reduce((max, value) => Math.max(max, Math.abs(value - 1_000)), 0);
    t.true(worst < 1e-8, `${rateHz} Hz: ${worst}`);
  }
});

test('it agrees with the resampler of ffmpeg on band-limited noise', (t) => {
  const random = createRandom(3, 'noise');
  for (const rateHz of [24_000, 44_100]) {
    // Forty tones with random phases below 6 kHz: both filters pass them.
    const tones = Array.from({ length: 40 }, () => ({
      hz: random.between(50, 6_000),
      phase: random.between(0, 6.28),
    }));
    const input = Int16Array.from({ length: rateHz }, (_, i) =>
      Math.round(
        tones.reduce(
          (sum, { hz, phase }) => sum + 500 * Math.sin((2 * Math.PI * hz * i) / rateHz + phase),
          0,
        ),
      ),
    );
    const raw = execFileSync(
      ffmpeg.path,
      `-v error -f s16le -ar ${rateHz} -ac 1 -i - -af aresample=16000:resampler=soxr:precision=28 -f f64le -`.split(
        ' ',
      ),
      { input: new Uint8Array(input.buffer), maxBuffer: 1 << 24 },
    );
    const reference = new Float64Array(new Uint8Array(raw).buffer).map((value) => value * 32_768);
    const out = resample(Float64Array.from(input), rateHz);
    t.true(Math.abs(out.length - reference.length) <= 1);
    let worst = 0;
    for (let i = 500; i < out.length - 500; i++) {
      worst = Math.max(worst, Math.abs(out[i]! - reference[i]!));
    }
    t.true(worst < 2, `${rateHz} Hz: differs by ${worst} of 32768`);
  }
});

test('a rate that is none is refused', (t) => {
  t.throws(() => new Resampler(0), { instanceOf: RangeError });
  t.throws(() => new Resampler(22_050.5), { instanceOf: RangeError });
});
