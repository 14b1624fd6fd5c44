/** Short-time power in bands, for comparing sounds: what a sound is like, whatever its samples are. */

export const windowSamples = 512;
export const hopSamples = 256;

/** Edges of the bands in Hz: about as wide as what an ear tells apart. */
export const bandEdgesHz = [
  100, 250, 400, 600, 850, 1150, 1550, 2100, 2800, 3700, 5000, 7000,
] as const;

const rateHz = 16_000;
const hann = Float64Array.from(
  { length: windowSamples },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / windowSamples),
);
const fullScale = 32_768;
/** Mean square of a window of ones, so that a level does not depend on the window. */
const windowPower = hann.reduce((sum, weight) => sum + weight * weight, 0);

/**
 * Mean power of each band in decibels below full scale (a full-scale sine has −3 dB in its band), over `hops` windows
 * from `start` on. What is beyond the end counts as silence.
 */
export function bandLevelsDb(samples: Int16Array, start: number, hops: number): number[] {
  const powers = new Float64Array(bandEdgesHz.length - 1);
  for (let hop = 0; hop < hops; hop++) addBands(samples, start + hop * hopSamples, powers);
  return [...powers].map((power) => 10 * Math.log10(power / hops + 1e-12));
}

function addBands(samples: Int16Array, start: number, powers: Float64Array): void {
  const real = new Float64Array(windowSamples);
  for (let i = 0; i < windowSamples; i++) {
    real[i] = ((samples[start + i] ?? 0) / fullScale) * hann[i]!;
  }
  const imaginary = new Float64Array(windowSamples);
  transform(real, imaginary);
  for (let band = 0; band < powers.length; band++) {
    const from = Math.round((bandEdgesHz[band]! * windowSamples) / rateHz);
    const to = Math.round((bandEdgesHz[band + 1]! * windowSamples) / rateHz);
    let power = 0;
    for (let bin = from; bin < to; bin++) power += real[bin]! ** 2 + imaginary[bin]! ** 2;
    // Both halves of the spectrum; by Parseval the sum over all bins is the energy of the window.
    powers[band]! += (2 * power) / (windowSamples * windowPower);
  }
}

const cosines = Float64Array.from({ length: windowSamples / 2 }, (_, k) =>
  Math.cos((2 * Math.PI * k) / windowSamples),
);
const sines = Float64Array.from(
  { length: windowSamples / 2 },
  (_, k) => -Math.sin((2 * Math.PI * k) / windowSamples),
);

/** Fast Fourier transform in place, radix 2. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; (j & bit) !== 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    [real[i], real[j]] = [real[j]!, real[i]!];
    [imaginary[i], imaginary[j]] = [imaginary[j]!, imaginary[i]!];
  }
  for (let length = 2; length <= size; length *= 2) {
    const step = size / length;
    for (let start = 0; start < size; start += length) {
      for (let k = 0; k < length / 2; k++) {
        const cos = cosines[k * step]!;
        const sin = sines[k * step]!;
        const a = start + k;
        const b = a + length / 2;
        const re = real[b]! * cos - imaginary[b]! * sin;
        const im = real[b]! * sin + imaginary[b]! * cos;
        real[b] = real[a]! - re;
        imaginary[b] = imaginary[a]! - im;
        real[a]! += re;
        imaginary[a]! += im;
      }
    }
  }
}
