/** A plan in parts that take about the same time, for machines that run side by side. */

/** One of them. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly of: number;
}

export interface WeighedCell {
  /** No two have the same. */
  readonly name: string;
  readonly lengthMs: number;
}

/**
 * The places of the cells of each part, ascending. Every cell is in exactly one part; which one depends on names and
 * lengths alone, and not on the order of the cells. The longest goes first, always to the part with the least to do
 * (Graham's rule): no part takes longer than 4/3 of what the best division could have.
 *
 * @param count of the parts; with more parts than cells some have none
 */
export function divideCells(cells: readonly WeighedCell[], count: number): number[][] {
  const parts = Array.from({ length: count }, () => ({ places: [] as number[], ms: 0 }));
  const order = cells
    .map(({ name, lengthMs }, place) => ({ name, lengthMs, place }))
    .sort((a, b) => b.lengthMs - a.lengthMs || (a.name < b.name ? -1 : 1));
  for (const { lengthMs, place } of order) {
    const least = parts.reduce((best, part) => (part.ms < best.ms ? part : best));
    least.places.push(place);
    least.ms += lengthMs;
  }
  return parts.map(({ places }) => places.sort((a, b) => a - b));
}
