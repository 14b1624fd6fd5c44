/** Free memory of the board over time, from the heap pairs of the console. */

/** One heap pair: `Free SPIRAM heap size` and `Free INTERNAL heap size`. */
export interface HeapPair {
  readonly atUs: number;
  readonly spiramKiB: number;
  readonly internalKiB: number;
}

/** How one of the two changes. A straight line through the pairs, least squares. */
export interface HeapSlope {
  /** KiB from one pair to the next; negative: memory is lost. The board prints one pair per sentence. */
  readonly kibPerPair: number;
  /** KiB per hour; null when all pairs came at one instant. */
  readonly kibPerHour: number | null;
  /** Of `kibPerPair`; null with two pairs, which leave nothing to estimate it from. */
  readonly standardError: number | null;
  readonly lowestKiB: number;
}

export interface HeapTrend {
  /** Pairs it is computed from. */
  readonly n: number;
  readonly spanUs: number;
  readonly spiram: HeapSlope;
  readonly internal: HeapSlope;
}

/**
 * @param pairs of one boot, in their order, without those of the start-up, which fall by themselves
 * @returns null for fewer than two pairs
 */
export function heapTrend(pairs: readonly HeapPair[]): HeapTrend | null {
  const first = pairs[0];
  const last = pairs.at(-1);
  if (first === undefined || last === undefined || pairs.length < 2) return null;
  const slope = (values: readonly number[]): HeapSlope => {
    const perPair = fittedLine(
      pairs.map((_, index) => index),
      values,
    );
    const hours = pairs.map(({ atUs }) => (atUs - first.atUs) / 3_600_000_000);
    return {
      kibPerPair: perPair.slope,
      kibPerHour: last.atUs > first.atUs ? fittedLine(hours, values).slope : null,
      standardError: perPair.standardError,
      lowestKiB: Math.min(...values),
    };
  };
  return {
    n: pairs.length,
    spanUs: last.atUs - first.atUs,
    spiram: slope(pairs.map(({ spiramKiB }) => spiramKiB)),
    internal: slope(pairs.map(({ internalKiB }) => internalKiB)),
  };
}

/** Slope of the least-squares line y over x, and its standard error from the residuals. */
function fittedLine(
  x: readonly number[],
  y: readonly number[],
): { readonly slope: number; readonly standardError: number | null } {
  const meanX = mean(x);
  const meanY = mean(y);
  const spread = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
  const slope = x.reduce((sum, value, i) => sum + (value - meanX) * (y[i]! - meanY), 0) / spread;
  if (x.length < 3) return { slope, standardError: null };
  const residual = y.reduce(
    (sum, value, i) => sum + (value - meanY - slope * (x[i]! - meanX)) ** 2,
    0,
  );
  return { slope, standardError: Math.sqrt(residual / (x.length - 2) / spread) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
