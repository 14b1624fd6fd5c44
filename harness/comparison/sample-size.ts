/** How many conversations a question needs. */
import { binomial } from './exact-tests.ts';
import { normalQuantile } from './normal-distribution.ts';

/** The chance to find what is there, wherever a number of conversations is asked for. */
export const wantedPower = 0.95;

/** Fewest pairs with which a test by exchange of signs can come below `level` at all: 2^-n. */
export function pairsForLevel(level: number): number {
  return Math.max(1, Math.ceil(-Math.log2(level) - 1e-9));
}

/** Fewest conversations on each side with which a test by exchange of labels can: 1 / (2n over n). */
export function perSideForLevel(level: number): number {
  let n = 1;
  while (1 / binomial(2 * n, n) > level) n++;
  return n;
}

/** Asymptotic efficiency of rank tests against the mean of normal values: 3/π. With longer tails it is higher. */
const rankEfficiency = 3 / Math.PI;

/**
 * Conversations, or pairs of them, with which a rank test at `level` finds a shift of `distance` in 95 of 100 cases.
 *
 * @param deviation standard deviation of what the shift is against: the difference within a pair, or, unpaired, the
 *   root of both sides' summed variances
 */
export function unitsForShift(distance: number, deviation: number, level: number): number {
  const z = normalQuantile(1 - level) + normalQuantile(wantedPower);
  return Math.max(1, Math.ceil(((z * deviation) / distance) ** 2 / rankEfficiency));
}
