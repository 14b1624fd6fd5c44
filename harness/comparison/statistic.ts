/**
 * What is compared of many values: a percentile by nearest rank, as everywhere in this program, or their mean. Both
 * are also taken of a sample in which each unit counts several times or not at all, which is what a bootstrap needs.
 */
export type Statistic =
  | { readonly kind: 'percentile'; readonly percent: number }
  | { readonly kind: 'mean' };

/** Values with the unit that each belongs to, sorted once for any number of resamples. */
export interface SortedValues {
  readonly values: Float64Array;
  readonly units: Int32Array;
}

/** @param units the values of each unit, by its index */
export function sortedValues(units: readonly (readonly number[])[]): SortedValues {
  const all = units.flatMap((values, unit) => values.map((value) => ({ value, unit })));
  all.sort((a, b) => a.value - b.value);
  return {
    values: Float64Array.from(all, ({ value }) => value),
    units: Int32Array.from(all, ({ unit }) => unit),
  };
}

/** @param weights how often each unit counts; NaN when none with a value does */
export function weightedStatistic(
  { values, units }: SortedValues,
  weights: Int32Array,
  statistic: Statistic,
): number {
  let count = 0;
  let sum = 0;
  for (let i = 0; i < units.length; i++) {
    const weight = weights[units[i]!]!;
    count += weight;
    sum += weight * values[i]!;
  }
  if (count === 0) return Number.NaN;
  if (statistic.kind === 'mean') return sum / count;
  const rank = Math.ceil((statistic.percent * count) / 100);
  let passed = 0;
  for (let i = 0; i < units.length; i++) {
    passed += weights[units[i]!]!;
    if (passed >= rank) return values[i]!;
  }
  return values.at(-1)!;
}

export function statisticOf(sorted: SortedValues, statistic: Statistic): number {
  const weights = new Int32Array(1 + sorted.units.reduce((most, unit) => Math.max(most, unit), 0));
  return weightedStatistic(sorted, weights.fill(1), statistic);
}

/**
 * The share of values, from the largest down, in whose middle the percentile stands: all for the median, the upper
 * tenth for the 95th percentile. A change of the percentile is a change of these.
 */
export function upperShare(statistic: Statistic): number {
  return statistic.kind === 'mean' ? 1 : Math.min(1, 2 * (1 - statistic.percent / 100));
}
