/**
 * Sample rate conversion of whole clips: linear phase, no delay, deterministic.
 *
 * A windowed sinc (Kaiser, beta 8: about 80 dB of stop band) evaluated as a polyphase filter, so any
 * ratio of integer rates works. Passes up to about 0.42 of the lower rate and has fallen to the stop
 * band at half of it.
 */

/** Zero crossings of the sinc on each side. */
const halfWidthCrossings = 32;
/** Cut-off as a share of the lower rate's Nyquist frequency. */
const cutoffShare = 0.92;
const kaiserBeta = 8;

const filters = new Map<string, readonly Float64Array[]>();

/**
 * @returns a new array of `ceil(samples.length * toHz / fromHz)` samples; `samples` itself when the
 *   rates are equal. Sample 0 stays at instant 0.
 */
export function resample(samples: Int16Array, fromHz: number, toHz: number): Int16Array {
  if (fromHz === toHz) return samples;
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const up = toHz / divisor;
  const down = fromHz / divisor;
  const phases = filterFor(up, down);
  const half = (phases[0]!.length - 2) / 2;
  const out = new Int16Array(Math.ceil((samples.length * up) / down));
  for (let n = 0; n < out.length; n++) {
    const position = n * down;
    const base = Math.floor(position / up) - half;
    const taps = phases[position % up]!;
    let sum = 0;
    const first = Math.max(0, -base);
    const last = Math.min(taps.length, samples.length - base);
    for (let k = first; k < last; k++) sum += taps[k]! * samples[base + k]!;
    out[n] = Math.max(-32768, Math.min(32767, Math.round(sum)));
  }
  return out;
}

/** One filter per position of an output sample between two input samples. */
function filterFor(up: number, down: number): readonly Float64Array[] {
  const key = `${up}/${down}`;
  const known = filters.get(key);
  if (known !== undefined) return known;
  // Frequencies in cycles per input sample.
  const cutoff = 0.5 * Math.min(1, up / down) * cutoffShare;
  const halfWidth = halfWidthCrossings / (2 * cutoff);
  const half = Math.ceil(halfWidth);
  const phases: Float64Array[] = [];
  for (let phase = 0; phase < up; phase++) {
    const taps = new Float64Array(2 * half + 2);
    let total = 0;
    for (let k = 0; k < taps.length; k++) {
      const distance = k - half - phase / up;
      taps[k] = sinc(2 * cutoff * distance) * kaiser(distance / halfWidth);
      total += taps[k]!;
    }
    // Every phase passes a constant unchanged, or the clip would carry a tone at the ratio's rate.
    for (let k = 0; k < taps.length; k++) taps[k] = taps[k]! / total;
    phases.push(taps);
  }
  filters.set(key, phases);
  return phases;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x: number): number {
  return Math.abs(x) >= 1 ? 0 : bessel0(kaiserBeta * Math.sqrt(1 - x * x)) / bessel0(kaiserBeta);
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function bessel0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-16; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
