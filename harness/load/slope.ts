/** Whether something grows with time: a straight line through samples, and how sure it is. Pure. */

export interface Sample {
  readonly atHours: number;
  readonly value: number;
}

export interface Slope {
  readonly n: number;
  /** From the first sample to the last. */
  readonly hours: number;
  /** Median of the samples. */
  readonly level: number;
  readonly perHour: number;
  /** 95 % confidence interval of `perHour`. */
  readonly low: number;
  readonly high: number;
}

/** `undecided`: neither can be said with 95 % confidence. */
export type Growth = 'flat' | 'grows' | 'undecided';

/** Growth over the time of the samples that counts as flat unless another limit is stated, as a share of their level. */
export const flatShare = 0.05;

/** 97.5 % quantile of the normal distribution. */
const sure = 1.959964;

/**
 * The median of the slopes of all pairs of samples (Theil and Sen), so that a sample in the middle of something costly
 * does not tilt it, with the interval that Kendall's statistic gives. Samples that follow each other are alike (caches fill, a
 * collector lags): the interval is widened as if n of them were only n · (1 − r) / (1 + r), r the correlation of neighboring
 * residuals.
 *
 * @param samples at least 5, at different times
 */
export function slopeOf(samples: readonly Sample[]): Slope {
  const n = samples.length;
  if (n < 5) throw new RangeError(`A slope needs at least 5 samples; there are ${n}.`);
  const slopes: number[] = [];
  for (let i = 1; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [samples[j]!, samples[i]!];
      slopes.push((b.value - a.value) / (b.atHours - a.atHours));
    }
  }
  slopes.sort((a, b) => a - b);
  const perHour = median(slopes);
  const correlation = neighborCorrelation(samples, perHour);
  const widening = (1 + correlation) / (1 - correlation);
  const spread = sure * Math.sqrt(((n * (n - 1) * (2 * n + 5)) / 18) * widening);
  const last = slopes.length - 1;
  const rank = (value: number): number => Math.min(last, Math.max(0, value));
  return {
    n,
    hours: samples.at(-1)!.atHours - samples[0]!.atHours,
    level: median(samples.map(({ value }) => value).toSorted((a, b) => a - b)),
    perHour,
    low: slopes[rank(Math.floor((slopes.length - spread) / 2))]!,
    high: slopes[rank(Math.ceil((slopes.length + spread) / 2))]!,
  };
}

/** @param allowed growth over the time of the samples that is flat */
export function growthOf({ hours, level, low, high }: Slope, allowed = flatShare * level): Growth {
  if (high * hours < allowed) return 'flat';
  return low * hours > allowed ? 'grows' : 'undecided';
}

/** Of what the line leaves over, between 0 and 0.9. */
function neighborCorrelation(samples: readonly Sample[], perHour: number): number {
  const above = samples.map(({ atHours, value }) => value - perHour * atHours);
  const middle = median(above.toSorted((a, b) => a - b));
  let [squares, neighbors] = [0, 0];
  for (let i = 0; i < above.length; i++) {
    const residual = above[i]! - middle;
    squares += residual ** 2;
    if (i > 0) neighbors += residual * (above[i - 1]! - middle);
  }
  return squares === 0 ? 0 : Math.min(0.9, Math.max(0, neighbors / squares));
}

/** @param sorted not empty */
function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
