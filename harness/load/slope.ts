/** Whether something grows with time: a straight line through samples, and how sure it is. Pure. */

export interface Sample {
  readonly atHours: number;
  readonly value: number;
}

export interface Slope {
  readonly n: number;
  /** From the first sample to the last. */
  readonly hours: number;
  /** Mean of the samples. */
  readonly level: number;
  readonly perHour: number;
  /** 95 % confidence interval of `perHour`. */
  readonly low: number;
  readonly high: number;
}

/** `undecided`: neither can be said with 95 % confidence. */
export type Growth = 'flat' | 'grows' | 'undecided';

/** Growth over the time of the samples that still counts as flat, as a share of their mean. */
export const flatShare = 0.05;

/**
 * Least squares. Samples that follow each other are alike (caches fill, a collector lags), so the interval is widened by the
 * correlation of neighboring residuals: n samples count as n · (1 − r) / (1 + r).
 *
 * @param samples at least 5, at different times
 */
export function slopeOf(samples: readonly Sample[]): Slope {
  const n = samples.length;
  if (n < 5) throw new RangeError(`A slope needs at least 5 samples; there are ${n}.`);
  const meanX = mean(samples.map(({ atHours }) => atHours));
  const meanY = mean(samples.map(({ value }) => value));
  let [xx, xy] = [0, 0];
  for (const { atHours, value } of samples) {
    xx += (atHours - meanX) ** 2;
    xy += (atHours - meanX) * (value - meanY);
  }
  const perHour = xy / xx;
  const residuals = samples.map(
    ({ atHours, value }) => value - meanY - perHour * (atHours - meanX),
  );
  const squares = residuals.reduce((sum, one) => sum + one * one, 0);
  let neighbors = 0;
  for (let i = 1; i < n; i++) neighbors += residuals[i]! * residuals[i - 1]!;
  const correlation = squares === 0 ? 0 : Math.min(0.95, Math.max(0, neighbors / squares));
  const counting = Math.max(3, (n * (1 - correlation)) / (1 + correlation));
  const deviation = Math.sqrt(squares / (counting - 2) / ((xx * counting) / n));
  const reach = studentQuantile(counting - 2) * deviation;
  return {
    n,
    hours: samples.at(-1)!.atHours - samples[0]!.atHours,
    level: meanY,
    perHour,
    low: perHour - reach,
    high: perHour + reach,
  };
}

/**
 * What the interval allows over the time of the samples, against their level.
 *
 * @param least growth that is flat whatever the level is; for counts: one
 */
export function growthOf({ hours, level, low, high }: Slope, least = 0): Growth {
  const allowed = Math.max(least, flatShare * level);
  if (high * hours < allowed) return 'flat';
  return low * hours > allowed ? 'grows' : 'undecided';
}

/**
 * 97.5 % quantile of Student's t: Fisher's expansion around the normal quantile, to 0.5 % from three degrees of freedom on. Below, where it
 * is too small, the exact values of one and two.
 */
function studentQuantile(freedom: number): number {
  if (freedom < 2) return 12.706;
  if (freedom < 3) return 4.303;
  const z = 1.959964;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92_160,
  ];
  return terms.reduce((sum, term, i) => sum + term / freedom ** (i + 1), z);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
