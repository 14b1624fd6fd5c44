/**
 * Streaming sampling-rate conversion to 16 kHz.
 *
 * Polyphase windowed sinc (Kaiser window). The pass band reaches 7/8 of the lower of the two
 * Nyquist frequencies, the stop band begins at that frequency: for sources above 16 kHz nothing
 * above 8 kHz folds back (pitfalls catalogue, A09). The group delay is zero: sample `j` of the
 * output stands at the same time as instant `j / 16 000 s` of the input.
 */

/** The rate the board plays. */
export const outputRateHz = 16_000;

/** Attenuation of the stop band the window is designed for; rounding to 16 bits is 98 dB. */
const stopBandDb = 100;
/** End of the pass band, relative to the lower Nyquist frequency. */
const passBandPart = 7 / 8;

export class Resampler {
  readonly rateHz: number;
  /** Input samples the filter reaches to each side: what an output sample has to wait for. */
  readonly halfWidth: number;
  readonly #up: number;
  readonly #down: number;
  readonly #filter: PolyphaseFilter;
  /** Input from index `#first` on, as far as it is still needed. */
  #history: Float64Array;
  #filled: number;
  #first: number;
  /** Next output sample: its index, and its place in the input as `#whole + #phase / #up`. */
  #index = 0;
  #whole = 0;
  #phase = 0;
  #flushed = false;

  /** @param rateHz sampling rate of the input: any positive integer. */
  constructor(rateHz: number) {
    if (!Number.isInteger(rateHz) || rateHz < 1) {
      throw new RangeError(`A sampling rate is a positive integer, not ${rateHz}.`);
    }
    this.rateHz = rateHz;
    const divisor = greatestCommonDivisor(rateHz, outputRateHz);
    this.#up = outputRateHz / divisor;
    this.#down = rateHz / divisor;
    this.#filter = filterFor(rateHz, this.#up);
    this.halfWidth = rateHz === outputRateHz ? 0 : this.#filter.half;
    // Silence before the first sample, so that every output sample is the same sum.
    this.#history = new Float64Array(4 * this.halfWidth + 4096);
    this.#filled = this.halfWidth;
    this.#first = -this.halfWidth;
  }

  /** Input samples taken. */
  get inputSamples(): number {
    return this.#first + this.#filled;
  }

  /** Output samples given. After {@link flush} it is exactly `round(input · 16000 / rate)`. */
  get outputSamples(): number {
    return this.#index;
  }

  /**
   * Takes the next samples and returns what can be computed from the samples so far. The values do
   * not depend on how the input is cut: each is one sum in one order.
   */
  push(samples: Float64Array): Float64Array {
    if (this.#flushed) throw new Error('The resampler has been flushed; make a new one.');
    if (this.halfWidth === 0) {
      this.#filled += samples.length;
      this.#index += samples.length;
      return samples.slice();
    }
    this.#append(samples);
    return this.#produce(Number.POSITIVE_INFINITY);
  }

  /** The rest, with silence after the last sample. Nothing may be pushed afterwards. */
  flush(): Float64Array {
    if (this.#flushed || this.halfWidth === 0) {
      this.#flushed = true;
      return new Float64Array(0);
    }
    this.#flushed = true;
    const total = resampledLength(this.inputSamples, this.rateHz);
    const inputSamples = this.inputSamples;
    this.#append(new Float64Array(this.halfWidth + Math.ceil(this.#down / this.#up) + 1));
    const rest = this.#produce(total);
    this.#filled = inputSamples - this.#first;
    return rest;
  }

  #append(samples: Float64Array): void {
    const needed = this.#filled + samples.length;
    if (needed > this.#history.length) {
      // Forget what no later output needs; grow only when that does not make room.
      const keepFrom = Math.min(this.#filled, this.#whole - this.halfWidth + 1 - this.#first);
      const keep = this.#filled - keepFrom;
      const target =
        keep + samples.length > this.#history.length
          ? new Float64Array(2 * (keep + samples.length))
          : this.#history;
      target.set(this.#history.subarray(keepFrom, this.#filled));
      this.#history = target;
      this.#filled = keep;
      this.#first += keepFrom;
    }
    this.#history.set(samples, this.#filled);
    this.#filled += samples.length;
  }

  /** Everything whose filter lies within the input so far, but no sample from `limit` on. */
  #produce(limit: number): Float64Array {
    const half = this.halfWidth;
    const available = this.#first + this.#filled;
    // Sample j needs inputs up to floor(j · down / up) + half.
    const last = Math.floor(((available - half) * this.#up - 1) / this.#down);
    const count = Math.max(0, Math.min(last + 1, limit) - this.#index);
    const out = new Float64Array(count);
    let done = 0;
    while (count - done >= 4) {
      const [a, b, c, d] = [this.#nextSum(), this.#nextSum(), this.#nextSum(), this.#nextSum()];
      addFour(this.#history, a, b, c, d, out, done);
      done += 4;
    }
    for (; done < count; done++) {
      const { taps, from } = this.#nextSum();
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += taps[k]! * this.#history[from + k]!;
      out[done] = sum;
    }
    this.#index += count;
    return out;
  }

  /** What the next output sample is the sum of; moves on behind it. */
  #nextSum(): FilterSum {
    const sum = {
      taps: this.#filter.phase(this.#phase),
      from: this.#whole - this.halfWidth + 1 - this.#first,
    };
    this.#phase += this.#down;
    const step = Math.floor(this.#phase / this.#up);
    this.#whole += step;
    this.#phase -= step * this.#up;
    return sum;
  }
}

/** The sum of `taps[k] * history[from + k]`, in this order. */
interface FilterSum {
  readonly taps: Float64Array;
  readonly from: number;
}

/**
 * Four sums at once. Each is added up in its own order, so its value is the same as alone; but no addition waits for the one before,
 * which is three times as fast.
 */
function addFour(
  history: Float64Array,
  a: FilterSum,
  b: FilterSum,
  c: FilterSum,
  d: FilterSum,
  out: Float64Array,
  at: number,
): void {
  const [aTaps, bTaps, cTaps, dTaps] = [a.taps, b.taps, c.taps, d.taps];
  const [aFrom, bFrom, cFrom, dFrom] = [a.from, b.from, c.from, d.from];
  const length = aTaps.length;
  let [aSum, bSum, cSum, dSum] = [0, 0, 0, 0];
  for (let k = 0; k < length; k++) {
    aSum += aTaps[k]! * history[aFrom + k]!;
    bSum += bTaps[k]! * history[bFrom + k]!;
    cSum += cTaps[k]! * history[cFrom + k]!;
    dSum += dTaps[k]! * history[dFrom + k]!;
  }
  out[at] = aSum;
  out[at + 1] = bSum;
  out[at + 2] = cSum;
  out[at + 3] = dSum;
}

/** Length of `frames` samples at `rateHz` after conversion to 16 kHz; halves round up. */
export function resampledLength(frames: number, rateHz: number): number {
  return Math.floor((2 * frames * outputRateHz + rateHz) / (2 * rateHz));
}

/** Filters of the usual rates, computed once; they are constants. */
const knownFilters = new Map<number, PolyphaseFilter>();

function filterFor(rateHz: number, phases: number): PolyphaseFilter {
  const known = knownFilters.get(rateHz);
  if (known !== undefined) return known;
  const filter = new PolyphaseFilter(rateHz, phases);
  // An odd rate in a broken header has thousands of phases and is not worth keeping.
  if (phases <= 1024) knownFilters.set(rateHz, filter);
  return filter;
}

/** The continuous low-pass filter, sampled at `phases` offsets between two input samples. */
class PolyphaseFilter {
  /** Taps to each side. */
  readonly half: number;
  readonly #cutoff: number;
  readonly #width: number;
  readonly #beta: number;
  readonly #phases: (Float64Array | undefined)[];

  constructor(rateHz: number, phases: number) {
    const nyquistHz = Math.min(rateHz, outputRateHz) / 2;
    // Kaiser's formulas: window shape from the attenuation, length from the transition band.
    this.#beta = 0.1102 * (stopBandDb - 8.7);
    const transition = (2 * Math.PI * nyquistHz * (1 - passBandPart)) / rateHz;
    const length = (stopBandDb - 7.95) / (2.285 * transition);
    this.half = Math.ceil(length / 2);
    this.#width = length / 2;
    this.#cutoff = (nyquistHz * (1 + passBandPart)) / 2 / rateHz;
    this.#phases = new Array(phases);
  }

  /** Coefficients for an output sample that stands `index / phases` after an input sample. */
  phase(index: number): Float64Array {
    const known = this.#phases[index];
    if (known !== undefined) return known;
    const taps = new Float64Array(2 * this.half);
    const offset = index / this.#phases.length;
    let sum = 0;
    for (let k = 0; k < taps.length; k++) {
      taps[k] = this.#value(k - this.half + 1 - offset);
      sum += taps[k]!;
    }
    // Every phase passes a constant unchanged; otherwise a constant would come out as a tone.
    for (let k = 0; k < taps.length; k++) taps[k] = taps[k]! / sum;
    this.#phases[index] = taps;
    return taps;
  }

  #value(time: number): number {
    const place = time / this.#width;
    if (Math.abs(place) >= 1) return 0;
    const angle = 2 * Math.PI * this.#cutoff * time;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    return sinc * besselI0(this.#beta * Math.sqrt(1 - place * place));
  }
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x: number): number {
  const quarter = (x * x) / 4;
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}
