/**
 * What a bench measures, and how sure it is of it. A machine that is shared says little in milliseconds, so what counts
 * are ratios of two things that were measured in turn, again and again, within one run.
 */

export type FigureUnit = 'ms' | '×' | 's/s' | 'MB' | '%' | '';

/** One number of a part. */
export interface Figure {
  /** Dotted, `<part>.<what>`. The same from version to version, so that runs can be compared. */
  readonly id: string;
  /** In words, for people. */
  readonly label: string;
  readonly value: number;
  readonly unit: FigureUnit;
  readonly better: 'lower' | 'higher';
  /**
   * `ratio`: of two things measured in turn in this run, so the machine and its load cancel out. `exact`: counted in
   * virtual time, the same on every machine. `here`: of this machine and what it did meanwhile; never compared.
   */
  readonly kind: 'ratio' | 'exact' | 'here';
  /**
   * Between which the value lies with about 95 %, by its repetitions; of a ratio {@link betweenRuns} wider on each side. Absent: it was
   * not repeated, or is exact.
   */
  readonly spread?: { readonly low: number; readonly high: number };
  /** How many repetitions, frames, pieces or lines it is made of. */
  readonly n: number;
  /** What it should be: at most, or at least, as `better` says. */
  readonly goal?: number;
}

/** The middle of what was measured, and what lies about it. */
export interface Middle {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/**
 * The median and its interval of about 95 %, by ranks: it holds whatever the distribution is. Of fewer than six values
 * it reaches from the least to the largest and holds less often than that.
 *
 * @throws {RangeError} of nothing
 */
export function middleOf(values: readonly number[]): Middle {
  const sorted = values.toSorted((a, b) => a - b);
  const n = sorted.length;
  if (n === 0) throw new RangeError('Nothing was measured.');
  const median = (sorted[Math.floor((n - 1) / 2)]! + sorted[Math.floor(n / 2)]!) / 2;
  const left = outerRanks(n);
  return { median, low: sorted[left]!, high: sorted[n - 1 - left]!, n };
}

/** How many values may be left out on each side: a fair coin tossed n times shows as few heads in 2.5 % of cases. */
function outerRanks(n: number): number {
  let chance = 0.5 ** n;
  let sum = chance;
  let heads = 0;
  while (sum <= 0.025) {
    heads += 1;
    chance *= (n - heads + 1) / heads;
    sum += chance;
  }
  return Math.max(0, heads - 1);
}

/** Nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * What differs from run to run and not from round to round, as a share of a ratio: how the compiler of this process optimised, and where
 * its memory lies. In four runs beside five to seven other processes the medians of the shortest work, the codec's, lay apart by 2 to
 * 6 % (standard deviation) where their rounds alone would have had them by 3 % (`README.md`, two runs). Two runs that are compared
 * have it twice.
 */
export const betweenRuns = 0.05;

/** The spread of a ratio, whose rounds are of one run. */
export function ratioSpread({
  low,
  high,
}: Pick<Middle, 'low' | 'high'>): NonNullable<Figure['spread']> {
  return { low: low * (1 - betweenRuns), high: high * (1 + betweenRuns) };
}

/** A figure out of repetitions. */
export function repeated(
  values: readonly number[],
  of: Omit<Figure, 'value' | 'spread' | 'n'>,
): Figure {
  const { median, low, high, n } = middleOf(values);
  const spread = of.kind === 'ratio' ? ratioSpread({ low, high }) : { low, high };
  return { ...of, value: median, spread, n };
}
