/** How many values lie between which bounds. */
export interface Bin {
  readonly fromMs: number;
  /** Not in it; but the last one has its end. */
  readonly toMs: number;
  readonly count: number;
}

const mostBins = 24;

/** Bins of one round width, from the smallest value to the largest; none of no values. */
export function histogram(values: readonly number[]): Bin[] {
  if (values.length === 0) return [];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const width = roundWidth((most - least) / mostBins);
  const first = Math.floor(least / width);
  const bins = Array.from({ length: Math.max(1, Math.ceil(most / width) - first) }, (_, i) => ({
    fromMs: (first + i) * width,
    toMs: (first + i + 1) * width,
    count: 0,
  }));
  for (const value of values) {
    bins[Math.min(bins.length - 1, Math.floor(value / width) - first)]!.count++;
  }
  return bins;
}

/** 1, 2, 5, 10, 20 and so on: the first that is not smaller. */
function roundWidth(atLeast: number): number {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) if (digit * power >= atLeast) return digit * power;
  }
}
