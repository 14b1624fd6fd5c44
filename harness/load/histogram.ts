/**
 * Percentiles in bounded memory: counts in buckets that are as wide as a fixed share of their value, as in
 * HdrHistogram. What is recorded for a second and what is recorded for a month take the same room, and the histograms
 * of several processes add up to exactly the histogram of all of them.
 *
 * With `b` bits of precision, values below 2^(b+1) are counted exactly. Above, each doubling is cut into 2^b buckets
 * of one width, so a bucket is at most 2^-b of its value wide; a percentile is told as the middle of its bucket and is wrong
 * by at most half of that: {@link Histogram.relativeError}.
 */
export class Histogram {
  readonly precisionBits: number;
  readonly #counts: Float64Array;
  #n = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  /** @param precisionBits 2 to 10; 7: percentiles to 0.4 %, in 35 KB; 4: to 3.2 %, in 5 KB */
  constructor(precisionBits = 7) {
    if (!Number.isInteger(precisionBits) || precisionBits < 2 || precisionBits > 10) {
      throw new RangeError(`A histogram has 2 to 10 bits of precision, not ${precisionBits}.`);
    }
    this.precisionBits = precisionBits;
    this.#counts = new Float64Array(bucketCount(precisionBits));
  }

  /** How far a percentile may be from the value that was recorded, as a share of it. */
  get relativeError(): number {
    return 2 ** -(this.precisionBits + 1);
  }

  /** Values recorded. */
  get n(): number {
    return this.#n;
  }

  /** Exact. NaN of nothing. */
  get mean(): number {
    return this.#n === 0 ? Number.NaN : this.#sum / this.#n;
  }

  /** Exact. NaN of nothing. */
  get min(): number {
    return this.#n === 0 ? Number.NaN : this.#min;
  }

  /** Exact. NaN of nothing. */
  get max(): number {
    return this.#n === 0 ? Number.NaN : this.#max;
  }

  /**
   * Counts a value. What is below 0 counts as 0, what is above 2^40 (in microseconds twelve days) is counted there, and
   * fractions are rounded.
   */
  record(value: number, times = 1): void {
    const whole = Math.min(valueMax, Math.max(0, Math.round(value)));
    const index = indexOf(whole, this.precisionBits);
    this.#counts[index] = this.#counts[index]! + times;
    this.#n += times;
    this.#sum += whole * times;
    if (whole < this.#min) this.#min = whole;
    if (whole > this.#max) this.#max = whole;
  }

  /**
   * The value that at least `share` of all are not above: nearest rank, so with few values the largest. NaN of nothing.
   *
   * @param share 0 to 1
   */
  percentile(share: number): number {
    if (this.#n === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil(share * this.#n));
    if (rank >= this.#n) return this.#max;
    let below = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      below += this.#counts[index]!;
      if (below < rank) continue;
      return Math.min(this.#max, Math.max(this.#min, middleOf(index, this.precisionBits)));
    }
    return this.#max;
  }

  /**
   * Adds what another one has counted.
   *
   * @throws {RangeError} when that has another precision
   */
  merge(other: Histogram): void {
    if (other.precisionBits !== this.precisionBits) {
      throw new RangeError(
        `Histograms of ${this.precisionBits} and ${other.precisionBits} bits cannot be added.`,
      );
    }
    for (let index = 0; index < this.#counts.length; index++) {
      this.#counts[index] = this.#counts[index]! + other.#counts[index]!;
    }
    this.#n += other.#n;
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** For another process: only the buckets that hold something. */
  toData(): HistogramData {
    const buckets: [number, number][] = [];
    for (let index = 0; index < this.#counts.length; index++) {
      if (this.#counts[index]! > 0) buckets.push([index, this.#counts[index]!]);
    }
    const { precisionBits } = this;
    return {
      precisionBits,
      n: this.#n,
      sum: this.#sum,
      min: this.#n === 0 ? null : this.#min,
      max: this.#n === 0 ? null : this.#max,
      buckets,
    };
  }

  static fromData({ precisionBits, n, sum, min, max, buckets }: HistogramData): Histogram {
    const histogram = new Histogram(precisionBits);
    for (const [index, count] of buckets) histogram.#counts[index] = count;
    histogram.#n = n;
    histogram.#sum = sum;
    histogram.#min = min ?? Number.POSITIVE_INFINITY;
    histogram.#max = max ?? 0;
    return histogram;
  }
}

/** Plain data; what {@link Histogram.toData} gives. */
export interface HistogramData {
  readonly precisionBits: number;
  readonly n: number;
  readonly sum: number;
  /** Null of nothing. */
  readonly min: number | null;
  readonly max: number | null;
  /** Number of the bucket, and its count; in ascending order, without empty ones. */
  readonly buckets: readonly (readonly [number, number])[];
}

const valueBits = 40;
const valueMax = 2 ** valueBits;

function bucketCount(precisionBits: number): number {
  return indexOf(valueMax, precisionBits) + 1;
}

/** Exact values first, then the doublings, each cut into 2^bits pieces. */
function indexOf(value: number, bits: number): number {
  const exact = 2 ** (bits + 1);
  if (value < exact) return value;
  const doubling = exponentOf(value);
  const width = 2 ** (doubling - bits);
  return exact + (doubling - bits - 1) * 2 ** bits + (Math.floor(value / width) - 2 ** bits);
}

/** Largest e with 2^e not above the value. Exact: `Math.log2` is not at powers of two. */
function exponentOf(value: number): number {
  if (value < 2 ** 32) return 31 - Math.clz32(value);
  return 32 + exponentOf(Math.floor(value / 2 ** 32));
}

function middleOf(index: number, bits: number): number {
  const exact = 2 ** (bits + 1);
  if (index < exact) return index;
  const doubling = bits + 1 + Math.floor((index - exact) / 2 ** bits);
  const width = 2 ** (doubling - bits);
  const low = (2 ** bits + ((index - exact) % 2 ** bits)) * width;
  return low + (width - 1) / 2;
}
