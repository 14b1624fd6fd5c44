/** How much a metric has changed, with intervals, and whether chance alone would have done it. */
import type { Random } from '../random/random.ts';
import type { GateLimit } from '../scenario/gate.ts';
import {
  bootstrapIntervals,
  type Interval,
  unitsForInterval,
  usualResamples,
} from './bootstrap.ts';
import {
  doubledRanks,
  type ExchangeTest,
  labelTest,
  signedRankTest,
  type UnitValue,
} from './exact-tests.ts';
import {
  type Matched,
  type PairedUnit,
  pooled,
  type SideUnit,
  unitCount,
} from './matched-values.ts';
import {
  type SortedValues,
  type Statistic,
  sortedValues,
  statisticOf,
  upperShare,
  weightedStatistic,
} from './statistic.ts';

/** From as many scenarios on they are what is drawn again, and the interval holds for other texts, too. */
export const scenariosForOtherTexts = 10;

export interface Change {
  readonly a: number;
  readonly b: number;
  /** b − a. */
  readonly absolute: number;
  /** (b − a) / |a|; null when a is 0. */
  readonly relative: number | null;
}

export interface ChangeIntervals {
  readonly a: Interval | null;
  readonly b: Interval | null;
  readonly absolute: Interval | null;
  readonly relative: Interval | null;
}

export const noIntervals: ChangeIntervals = { a: null, b: null, absolute: null, relative: null };

/** Null when one side has no value. */
export function changeOf(matched: Matched, statistic: Statistic): Change | null {
  const [a, b] = (['a', 'b'] as const).map((side) => sortedValues([pooled(matched, side)]));
  if (a!.values.length === 0 || b!.values.length === 0) return null;
  return changeBetween(statisticOf(a!, statistic), statisticOf(b!, statistic));
}

function changeBetween(a: number, b: number): Change {
  return { a, b, absolute: b - a, relative: a === 0 ? null : (b - a) / Math.abs(a) };
}

/** None when there are too few conversations for one. */
export function changeIntervals(
  matched: Matched,
  statistic: Statistic,
  random: Random,
  resamples = usualResamples,
): ChangeIntervals {
  if (unitCount(matched) < unitsForInterval(statistic)) return noIntervals;
  const statistics = (a: number, b: number): number[] => {
    const { absolute, relative } = changeBetween(a, b);
    return [a, b, absolute, relative ?? (absolute === 0 ? 0 : Number.NaN)];
  };
  const sides = sidesOf(matched);
  const [a, b] = sides.sorted as [SortedValues, SortedValues];
  const [ofA, ofB, absolute, relative] = bootstrapIntervals(
    {
      samples: sides.strata,
      statistics: (weights) =>
        statistics(
          weightedStatistic(a, weights[0]!, statistic),
          weightedStatistic(b, weights.at(-1)!, statistic),
        ),
    },
    random,
    resamples,
  );
  return { a: ofA!, b: ofB!, absolute: absolute!, relative: relative! };
}

/** What is drawn again: pairs together, so that what both sides share does not widen the interval. */
function sidesOf(matched: Matched): {
  readonly strata: readonly (readonly number[])[];
  readonly sorted: readonly SortedValues[];
} {
  if (matched.kind === 'pairs') {
    const { units } = matched;
    const { strata, merge } = drawnUnits(units.map(({ scenario }) => scenario));
    return {
      strata: [strata],
      sorted: (['a', 'b'] as const).map((side) =>
        sortedValues(merge(units.map((unit: PairedUnit) => unit[side]))),
      ),
    };
  }
  const sides = [matched.a, matched.b].map((units: readonly SideUnit[]) => ({
    drawn: drawnUnits(units.map(({ scenario }) => scenario)),
    values: units.map(({ values }) => values),
  }));
  return {
    strata: sides.map(({ drawn }) => drawn.strata),
    sorted: sides.map(({ drawn, values }) => sortedValues(drawn.merge(values))),
  };
}

/**
 * Ten scenarios and more: whole scenarios are drawn. Fewer: conversations within their scenario. Fewer, and one with a
 * single conversation, which cannot vary: conversations of all scenarios.
 */
export function drawnUnits(scenarios: readonly string[]): {
  readonly strata: readonly number[];
  merge(values: readonly (readonly number[])[]): (readonly number[])[];
} {
  const names = [...new Set(scenarios)];
  const places = new Map(names.map((name, i) => [name, i]));
  const strata = scenarios.map((name) => places.get(name)!);
  if (names.length >= scenariosForOtherTexts) {
    return {
      strata: names.map(() => 0),
      merge: (values) => {
        const merged: number[][] = names.map(() => []);
        for (const [i, some] of values.entries()) merged[strata[i]!]!.push(...some);
        return merged;
      },
    };
  }
  const sizes = names.map((_, i) => strata.filter((stratum) => stratum === i).length);
  const alone = sizes.some((size) => size < 2);
  return { strata: alone ? strata.map(() => 0) : strata, merge: (values) => [...values] };
}

/** What is nearer to 0 than this is no difference but rounding. */
const rounding = 1e-9;

/** How far `b` lies beyond what `a` allows; positive: beyond. */
export function excess(a: number, b: number, { direction, by, relative }: GateLimit): number {
  const sign = direction === 'higher' ? 1 : -1;
  const allowed = a + sign * by * (relative ? Math.abs(a) : 1);
  const difference = sign * (b - allowed);
  return Math.abs(difference) < rounding * Math.max(1, Math.abs(allowed)) ? 0 : difference;
}

/**
 * How likely exchange alone brings the values of `b` so far beyond the limit: each value of `a` is first made as much
 * worse as the limit allows, and then which side a conversation is on is left to chance (`exact-tests.ts`). In ratios
 * where the limit is a share and all values are above 0. Of a percentile, the upper share of values in whose middle it
 * stands takes part, chosen without looking at the side.
 */
export function exchangeTest(
  matched: Matched,
  statistic: Statistic,
  limit: GateLimit,
): ExchangeTest {
  const sign = limit.direction === 'higher' ? 1 : -1;
  const worsen = (a: number): number => a + sign * limit.by * (limit.relative ? Math.abs(a) : 1);
  const everything = [...pooled(matched, 'a').map(worsen), ...pooled(matched, 'b')];
  const inRatios = limit.relative && everything.every((value) => value > 0);
  const scale = inRatios ? Math.log : (value: number): number => value;
  if (matched.kind === 'pairs') return pairedTest(matched.units, statistic, limit, worsen, scale);
  return unpairedTest(matched, statistic, sign, worsen, scale);
}

function pairedTest(
  units: readonly PairedUnit[],
  statistic: Statistic,
  limit: GateLimit,
  worsen: (a: number) => number,
  scale: (value: number) => number,
): ExchangeTest {
  const sign = limit.direction === 'higher' ? 1 : -1;
  const pairs = units.flatMap(({ a, b }, unit) =>
    a.map((value, i): UnitValue & { readonly height: number } => {
      const other = b[i]!;
      const beyond = excess(value, other, limit);
      return {
        unit,
        value: beyond === 0 ? 0 : sign * (scale(other) - scale(worsen(value))),
        height: scale(worsen(value)) + scale(other),
      };
    }),
  );
  const top = Math.ceil(upperShare(statistic) * pairs.length - rounding);
  const chosen =
    top >= pairs.length ? pairs : [...pairs].sort((x, y) => y.height - x.height).slice(0, top);
  return signedRankTest(chosen);
}

function unpairedTest(
  { a, b }: Extract<Matched, { kind: 'samples' }>,
  statistic: Statistic,
  sign: number,
  worsen: (a: number) => number,
  scale: (value: number) => number,
): ExchangeTest {
  const units = [
    ...a.map(({ scenario, values }) => ({
      scenario,
      second: false,
      values: values.map((value) => scale(worsen(value))),
    })),
    ...b.map(({ scenario, values }) => ({ scenario, second: true, values: values.map(scale) })),
  ];
  const share = upperShare(statistic);
  // The median is compared within each scenario, so that what scenarios have of their own does not count.
  const middles = new Map(
    [...new Set(units.map(({ scenario }) => scenario))].map((name) => [
      name,
      share < 1
        ? 0
        : statisticOf(
            sortedValues([
              units.filter(({ scenario }) => scenario === name).flatMap(({ values }) => values),
            ]),
            { kind: 'percentile', percent: 50 },
          ),
    ]),
  );
  const all = units.flatMap(({ scenario, values }, unit) =>
    values.map((value) => ({ unit, value: value - middles.get(scenario)! })),
  );
  const top = Math.ceil(share * all.length - rounding);
  const ranks = doubledRanks(
    all.map(({ value }) => value),
    top,
  );
  const scores = new Array<number>(units.length).fill(0);
  for (const [i, { unit }] of all.entries()) {
    const rank = ranks[i]!;
    scores[unit]! += sign > 0 || rank === 0 ? rank : 2 * top + 2 - rank;
  }
  return labelTest(
    units.map(({ scenario, second }, i) => ({ stratum: scenario, second, score: scores[i]! })),
  );
}
