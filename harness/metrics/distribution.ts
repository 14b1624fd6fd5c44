/**
 * Percentiles by the nearest-rank method: the p-th percentile of n values is the value at rank
 * ceil(p * n / 100) of the sorted list. It is always a value that was measured, so the evidence can
 * point at the turn that produced it. `n` belongs beside every one of them.
 */
export interface Distribution {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
  readonly min: number;
  readonly mean: number;
  readonly n: number;
}

export const distributionStatistics = ['p50', 'p95', 'max', 'min', 'mean', 'n'] as const;

/** Null for an empty list: nothing was measured, which is not 0. */
export function distribution(values: readonly number[]): Distribution | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return {
    p50: nearestRank(sorted, 50),
    p95: nearestRank(sorted, 95),
    max: sorted[sorted.length - 1]!,
    min: sorted[0]!,
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    n: sorted.length,
  };
}

/** @param sorted ascending, not empty; @param percent an integer from 1 to 100. */
export function nearestRank(sorted: readonly number[], percent: number): number {
  return sorted[Math.ceil((percent * sorted.length) / 100) - 1]!;
}
