/**
 * Intervals by the bootstrap (Efron): whole units are drawn again, with replacement, within their strata, and the
 * interval holds the middle 95 % of what the statistic then is, corrected for bias and acceleration (BCa). Values of
 * one unit stay together, because they are not independent. README.md has the coverage that was found.
 */
import type { Random } from '../random/random.ts';
import { normalCdf, normalQuantile } from './normal-distribution.ts';
import type { Statistic } from './statistic.ts';

/** Both ends included. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Of all intervals. */
export const intervalLevel = 0.95;
/** Draws behind an interval. */
export const usualResamples = 1999;

/** Units of one or two samples, and how a statistic of them is taken. */
export interface Resampled {
  /** For each sample the stratum of each unit. Two samples are drawn apart from each other. */
  readonly samples: readonly (readonly number[])[];
  /**
   * What is asked for when each unit counts so often. Several numbers share their draws. NaN: there is no answer.
   *
   * @param weights for each sample, by the index of the unit
   */
  statistics(weights: readonly Int32Array[]): readonly number[];
}

/** One interval for each number that {@link Resampled.statistics} gives; null where it is not to be had. */
export function bootstrapIntervals(
  { samples, statistics }: Resampled,
  random: Random,
  resamples = usualResamples,
): (Interval | null)[] {
  const ones = samples.map((units) => new Int32Array(units.length).fill(1));
  const estimates = statistics(ones);
  const draws = samples.map(unitDrawer);
  const found = estimates.map(() => new Float64Array(resamples));
  for (let k = 0; k < resamples; k++) {
    const weights = draws.map((draw) => draw(random));
    for (const [i, value] of statistics(weights).entries()) found[i]![k] = value;
  }
  const pulls = accelerations(samples, statistics, estimates.length);
  return estimates.map((estimate, i) => correctedInterval(found[i]!, estimate, pulls[i]!));
}

/** @param strata the stratum of each unit */
function unitDrawer(strata: readonly number[]): (random: Random) => Int32Array {
  const groups = unitsByStratum(strata);
  return (random) => {
    const weights = new Int32Array(strata.length);
    for (const group of groups) {
      for (let k = 0; k < group.length; k++) {
        weights[group[Math.floor(random.next() * group.length)]!]!++;
      }
    }
    return weights;
  };
}

function unitsByStratum(strata: readonly number[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const [unit, stratum] of strata.entries()) {
    const group = groups.get(stratum);
    if (group === undefined) groups.set(stratum, [unit]);
    else group.push(unit);
  }
  return [...groups.values()];
}

/** How much the spread depends on the value, from the statistic without each unit (Efron and Tibshirani, 1993). */
function accelerations(
  samples: Resampled['samples'],
  statistics: Resampled['statistics'],
  count: number,
): number[] {
  const cubes = new Array<number>(count).fill(0);
  const squares = new Array<number>(count).fill(0);
  const weights = samples.map((units) => new Int32Array(units.length).fill(1));
  for (const [s, strata] of samples.entries()) {
    for (const group of unitsByStratum(strata)) {
      const n = group.length;
      if (n < 2) continue;
      const without = group.map((unit) => {
        weights[s]![unit] = 0;
        const values = statistics(weights);
        weights[s]![unit] = 1;
        return values;
      });
      for (let i = 0; i < count; i++) {
        const mean = without.reduce((sum, values) => sum + values[i]!, 0) / n;
        for (const values of without) {
          const influence = ((n - 1) * (mean - values[i]!)) / n;
          cubes[i]! += influence ** 3;
          squares[i]! += influence ** 2;
        }
      }
    }
  }
  return cubes.map((cube, i) => {
    const square = squares[i]!;
    return square > 0 && Number.isFinite(cube) ? cube / (6 * square ** 1.5) : 0;
  });
}

/** Null when so many resamples gave nothing that a bound could lie among them. */
function correctedInterval(
  found: Float64Array,
  estimate: number,
  acceleration: number,
): Interval | null {
  const known = found.filter(Number.isFinite).sort();
  const outside = (1 - intervalLevel) / 2;
  if (!Number.isFinite(estimate) || known.length < found.length * (1 - outside / 4)) return null;
  let smaller = 0;
  for (const value of known) smaller += value < estimate ? 1 : value === estimate ? 0.5 : 0;
  const n = known.length;
  // All on one side of the estimate: as far as this many resamples can tell.
  const share = Math.min(Math.max(smaller / n, 1 / (2 * n)), 1 - 1 / (2 * n));
  const bias = normalQuantile(share);
  const corrected = (p: number): number => {
    const z = bias + normalQuantile(p);
    return normalCdf(bias + z / (1 - acceleration * z));
  };
  const at = (rank: number): number => known[Math.min(n - 1, Math.max(0, rank))]!;
  return {
    low: at(Math.floor(corrected(outside) * (n + 1)) - 1),
    high: at(Math.ceil(corrected(1 - outside) * (n + 1)) - 1),
  };
}

/**
 * Fewest units with which an interval is shown. Of a percentile: with fewer, all values lie on one side of the true
 * one more often than the level allows, and no interval between values can hold it. And never so few that the
 * coverage falls under 90 %: 10 for the median, 20 for a mean.
 */
export function unitsForInterval(statistic: Statistic): number {
  if (statistic.kind === 'mean') return 20;
  const side = Math.max(statistic.percent, 100 - statistic.percent) / 100;
  return Math.max(10, Math.ceil(Math.log((1 - intervalLevel) / 2) / Math.log(side)));
}
