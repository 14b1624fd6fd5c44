import type { Random } from '../random/random.ts';
import { type Middle, percentile } from './figure.ts';

const draws = 400;

/**
 * How a percentile of one thing stands to the same of another, both measured round by round in turn. A percentile far out moves with
 * single values, so the spread is found by drawing rounds with replacement, the same ones for both, and taking the ratio again
 * (bootstrap of blocks): between the 2.5th and the 97.5th percentile of the ratios. A bad minute of the machine is drawn for both or
 * for neither.
 *
 * @param rounds in order; each holds what was measured of both
 * @throws {RangeError} without rounds, or when one of both was never measured
 */
export function ratioOfPercentiles(
  rounds: readonly { readonly of: readonly number[]; readonly to: readonly number[] }[],
  share: number,
  random: Random,
): Middle {
  const ratio = (chosen: typeof rounds): number =>
    percentile(
      chosen.flatMap(({ of }) => of),
      share,
    ) /
    percentile(
      chosen.flatMap(({ to }) => to),
      share,
    );
  const median = ratio(rounds);
  if (Number.isNaN(median)) throw new RangeError('Nothing was measured of one of both.');
  const again = Array.from({ length: draws }, () =>
    ratio(rounds.map(() => rounds[random.integer(0, rounds.length - 1)]!)),
  ).filter((one) => !Number.isNaN(one));
  return {
    median,
    low: Math.min(median, percentile(again, 0.025)),
    high: Math.max(median, percentile(again, 0.975)),
    n: rounds.reduce((sum, { of }) => sum + of.length, 0),
  };
}
