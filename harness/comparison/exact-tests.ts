/**
 * Tests by exchange: if nothing has changed, which side a conversation was on is as good as a coin. Each gives the
 * exact probability, over all exchanges, of a sum at least as large as the one that was found, so no distribution is
 * assumed and small samples are not guessed at. A unit (a conversation) is exchanged as a whole.
 *
 * Scores are ranks, doubled so that shared ranks are whole numbers too; the distribution of their sum is then counted
 * out by convolution. Above {@link exactLimit} steps of work the normal approximation with the exact mean and variance
 * takes its place, which the many units then justify.
 */
import { normalCdf } from './normal-distribution.ts';

/** Steps of a convolution that are still counted out: about a tenth of a second. */
export const exactLimit = 20_000_000;

/** A value that belongs to a unit, by the unit's index. */
export interface UnitValue {
  readonly unit: number;
  readonly value: number;
}

/**
 * Doubled ranks of the values, from 2 for the smallest; equal values share the mean of their ranks.
 *
 * @param top only so many of the largest count, from 2 upwards; those below get 0 or less is cut to 0
 */
export function doubledRanks(values: readonly number[], top = values.length): number[] {
  const order = values.map((value, i) => ({ value, i })).sort((a, b) => a.value - b.value);
  const ranks = new Array<number>(values.length);
  const below = 2 * (values.length - top);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to + 1 < order.length && order[to + 1]!.value === order[from]!.value) to++;
    for (let k = from; k <= to; k++) ranks[order[k]!.i] = Math.max(0, from + to + 2 - below);
    from = to + 1;
  }
  return ranks;
}

/** What a test has found. */
export interface ExchangeTest {
  /** Of a sum at least as large under exchange. */
  readonly p: number;
  /** The smallest value that `p` could have had with these units. */
  readonly smallestP: number;
  /** Units that take part; those without any difference do not. */
  readonly units: number;
}

/**
 * Wilcoxon's signed-rank test with whole units: the differences of a unit change their sign together.
 *
 * @param differences within pairs; positive: the second of the pair is larger. Zeros take no part.
 */
export function signedRankTest(differences: readonly UnitValue[]): ExchangeTest {
  const moved = differences.filter(({ value }) => value !== 0);
  const ranks = doubledRanks(moved.map(({ value }) => Math.abs(value)));
  const sums = new Map<number, number>();
  for (const [i, { unit, value }] of moved.entries()) {
    sums.set(unit, (sums.get(unit) ?? 0) + Math.sign(value) * ranks[i]!);
  }
  return signFlipTest([...sums.values()]);
}

/** @param scores one whole number for each unit, whose sign is exchanged */
export function signFlipTest(scores: readonly number[]): ExchangeTest {
  const sizes = scores.map(Math.abs).filter((size) => size > 0);
  const units = sizes.length;
  if (units === 0) return { p: 1, smallestP: 1, units };
  const smallestP = 2 ** -units;
  const positive = scores.reduce((sum, score) => sum + Math.max(0, score), 0);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (units * total > exactLimit) {
    const deviation = Math.sqrt(sizes.reduce((sum, size) => sum + size * size, 0)) / 2;
    return { p: normalCdf(-(positive - 0.5 - total / 2) / deviation), smallestP, units };
  }
  const ways = new Float64Array(total + 1);
  ways[0] = 1;
  let reached = 0;
  for (const size of sizes) {
    reached += size;
    for (let sum = reached; sum >= 0; sum--) {
      ways[sum] = (ways[sum]! + (sum >= size ? ways[sum - size]! : 0)) / 2;
    }
  }
  return { p: Math.min(1, tail(ways, positive)), smallestP, units };
}

/** One unit of an unpaired comparison. */
export interface LabelledUnit {
  readonly stratum: string;
  /** It belongs to the second sample, whose sum is asked for. */
  readonly second: boolean;
  /** A whole number, 0 or more. */
  readonly score: number;
}

/** The sum of the second sample's scores, over all ways to deal the units of each stratum to the two samples. */
export function labelTest(all: readonly LabelledUnit[]): ExchangeTest {
  const strata = [...new Set(all.map(({ stratum }) => stratum))].map((name) => {
    const units = all.filter(({ stratum }) => stratum === name);
    return {
      scores: units.map(({ score }) => score),
      second: units.filter(({ second }) => second).length,
    };
  });
  const observed = all.reduce((sum, { second, score }) => sum + (second ? score : 0), 0);
  const smallestP = strata.reduce(
    (p, { scores, second }) => p / binomial(scores.length, second),
    1,
  );
  const found = { smallestP, units: all.length };
  const sums = strata.map(({ scores }) => scores.reduce((sum, score) => sum + score, 0));
  const total = sums.reduce((sum, part) => sum + part, 0);
  const work = strata.reduce(
    (steps, { scores, second }, i) => steps + scores.length * second * sums[i]! + sums[i]! * total,
    0,
  );
  if (work > exactLimit) {
    let mean = 0;
    let variance = 0;
    for (const { scores, second } of strata) {
      const n = scores.length;
      if (n < 2) {
        mean += second === n ? (scores[0] ?? 0) : 0;
        continue;
      }
      const average = scores.reduce((sum, score) => sum + score, 0) / n;
      const spread = scores.reduce((sum, score) => sum + (score - average) ** 2, 0) / (n - 1);
      mean += second * average;
      variance += (second * (n - second) * spread) / n;
    }
    if (variance === 0) return { ...found, p: 1 };
    return { ...found, p: normalCdf(-(observed - 0.5 - mean) / Math.sqrt(variance)) };
  }
  let ways = Float64Array.of(1);
  for (const { scores, second } of strata) ways = convolved(ways, dealt(scores, second));
  return { ...found, p: Math.min(1, tail(ways, observed)) };
}

/** Probabilities of the sum of `second` scores that are drawn without replacement. */
function dealt(scores: readonly number[], second: number): Float64Array<ArrayBuffer> {
  const total = scores.reduce((sum, score) => sum + score, 0);
  // After k of n units: the probability that j of them are drawn, with this sum.
  const rows = Array.from({ length: second + 1 }, () => new Float64Array(total + 1));
  rows[0]![0] = 1;
  let reached = 0;
  for (const [k, score] of scores.entries()) {
    const left = scores.length - k;
    reached += score;
    for (let j = Math.min(second, k + 1); j >= 0; j--) {
      const row = rows[j]!;
      const before = j > 0 ? rows[j - 1]! : null;
      // Of the units that are left, so many are still to be drawn.
      const stay = Math.max(0, 1 - (second - j) / left);
      const take = (second - j + 1) / left;
      for (let sum = reached; sum >= 0; sum--) {
        const taken = before !== null && sum >= score ? before[sum - score]! * take : 0;
        row[sum] = row[sum]! * stay + taken;
      }
    }
  }
  return rows[second]!;
}

function convolved(a: Float64Array, b: Float64Array): Float64Array<ArrayBuffer> {
  const sum = new Float64Array(a.length + b.length - 1);
  for (let i = 0; i < a.length; i++) {
    if (a[i] === 0) continue;
    for (let k = 0; k < b.length; k++) sum[i + k]! += a[i]! * b[k]!;
  }
  return sum;
}

/** From the far end, so that small probabilities are not lost beside large ones. */
function tail(ways: Float64Array, from: number): number {
  let sum = 0;
  for (let i = ways.length - 1; i >= from; i--) sum += ways[i]!;
  return sum;
}

export function binomial(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) ways = (ways * (n - Math.min(k, n - k) + i)) / i;
  return ways;
}

/**
 * Holm's step-down: what each probability counts for when all of them are looked at. The chance that any one falls
 * below a level by accident is then at most that level, however they depend on each other.
 *
 * @param among so many are looked at, those not given being of no account
 */
export function holmAdjusted(probabilities: readonly number[], among = 0): number[] {
  const order = probabilities.map((p, i) => ({ p, i })).sort((a, b) => a.p - b.p);
  const adjusted = new Array<number>(probabilities.length);
  let most = 0;
  for (const [k, { p, i }] of order.entries()) {
    most = Math.max(most, Math.min(1, p * (Math.max(among, order.length) - k)));
    adjusted[i] = most;
  }
  return adjusted;
}
