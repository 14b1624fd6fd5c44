import test from 'ava';
import { resample } from './band-limited-resampler.ts';

function sine(hz: number, rateHz: number, samples: number, amplitude: number): Float64Array {
  return Float64Array.from(
    { length: samples },
    (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rateHz),
  );
}

const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(
    Array.from(values, (value) => value * value).reduce((a, b) => a + b, 0) / values.length,
  );

test('a sine at another rate is the sine of the closed formula, without delay', (t) => {
  for (const toHz of [8000, 22_050, 24_000, 32_000, 44_000, 44_100, 48_000]) {
    for (const hz of [100, 1000, 3000]) {
      const out = resample(
        Int16Array.from(sine(hz, 16_000, 4000, 10_000), Math.round),
        16_000,
        toHz,
      );
      const expected = sine(hz, toHz, out.length, 10_000);
      // The ends are a step, which no band-limited signal has.
      const margin = Math.ceil(toHz * 0.01);
      const error = Array.from(out.slice(margin, -margin), (v, i) => v - expected[i + margin]!);
      const signalToError = 20 * Math.log10(rms(expected) / rms(error));
      t.true(signalToError > 65, `${hz} Hz at ${toHz} Hz: ${signalToError.toFixed(1)} dB`);
    }
  }
});

test('images above the old band and aliases below the new one stay below -60 dB', (t) => {
  // 6 kHz at 16 kHz has its image at 10 kHz; what is left after removing 6 kHz must be nothing.
  const up = resample(
    Int16Array.from(sine(6000, 16_000, 8000, 10_000), Math.round),
    16_000,
    24_000,
  );
  t.true(20 * Math.log10(levelAt(up, 10_000, 24_000) / levelAt(up, 6000, 24_000)) < -60);
  // 5 kHz cannot exist at 8 kHz; it would appear at 3 kHz.
  const down = resample(
    Int16Array.from(sine(5000, 16_000, 8000, 10_000), Math.round),
    16_000,
    8000,
  );
  t.true(20 * Math.log10(rms(down.slice(200, -200)) / rms(sine(1, 8, 8, 10_000))) < -60);
});

test('a constant stays the constant, and silence stays silence', (t) => {
  const constant = resample(new Int16Array(2000).fill(1234), 16_000, 44_100);
  t.true(constant.slice(300, -300).every((sample) => sample === 1234));
  t.true(resample(new Int16Array(100), 16_000, 24_000).every((sample) => sample === 0));
  t.is(resample(new Int16Array(0), 16_000, 24_000).length, 0);
});

test('full scale saturates instead of wrapping', (t) => {
  const square = Int16Array.from({ length: 800 }, (_, i) => (i % 32 < 16 ? 32_767 : -32_768));
  const out = resample(square, 16_000, 48_000);
  // In the middle of each half period the sign is that of the input.
  for (let i = 24; i < out.length - 48; i += 48) {
    const sample = out[i]!;
    t.is(Math.sign(sample), Math.sign(square[i / 3]!), `sample ${i}`);
  }
});

function levelAt(samples: Int16Array, hz: number, rateHz: number): number {
  let re = 0;
  let im = 0;
  for (let i = 0; i < samples.length; i++) {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / samples.length);
    re += window * samples[i]! * Math.cos((2 * Math.PI * hz * i) / rateHz);
    im += window * samples[i]! * Math.sin((2 * Math.PI * hz * i) / rateHz);
  }
  return Math.hypot(re, im);
}
