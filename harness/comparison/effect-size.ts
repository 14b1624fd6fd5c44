/**
 * Cliff's delta: of all pairs of one value from each side, the share in which the second is larger minus the share in
 * which it is smaller. 1: every one is larger; 0: they overlap fully.
 */
export function cliffsDelta(a: readonly number[], b: readonly number[]): number | null {
  if (a.length === 0 || b.length === 0) return null;
  const sorted = Float64Array.from(a).sort();
  let balance = 0;
  for (const value of b)
    balance += below(sorted, value, false) + below(sorted, value, true) - a.length;
  return balance / (a.length * b.length);
}

/** How many are smaller than `value`, or not larger. */
function below(sorted: Float64Array, value: number, orEqual: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value || (orEqual && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

export type EffectWord = 'negligible' | 'small' | 'medium' | 'large';

/** The words of Romano and others (2006) for its magnitude. */
export function effectWord(delta: number): EffectWord {
  const size = Math.abs(delta);
  if (size < 0.147) return 'negligible';
  if (size < 0.33) return 'small';
  return size < 0.474 ? 'medium' : 'large';
}
