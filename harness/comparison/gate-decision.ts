/**
 * Whether something got worse than its gates allow. A regression is told only when all of this holds:
 *
 * 1. the change is beyond the tolerance;
 * 2. its 95 % interval is wholly beyond the tolerance;
 * 3. exchange alone (`exact-tests.ts`) would bring it there so seldom that, over all gates together, at most one run in
 *    a thousand without any change is blamed (Holm's step-down).
 *
 * Repeatable conversations (virtual time, the same inputs and seeds) know no chance: without a change of the program
 * they are equal to the byte. There it is enough that every pair is beyond the tolerance, however few they are.
 */
import type { Random } from '../random/random.ts';
import type { GateLimit } from '../scenario/gate.ts';
import { type Interval, unitsForInterval } from './bootstrap.ts';
import { type Change, changeIntervals, changeOf, excess, exchangeTest } from './change.ts';
import { holmAdjusted } from './exact-tests.ts';
import { type Matched, pooled, unitCount } from './matched-values.ts';
import { normalQuantile } from './normal-distribution.ts';
import { pairsForLevel, perSideForLevel, unitsForShift, wantedPower } from './sample-size.ts';
import { type Statistic, upperShare } from './statistic.ts';

/** Of runs without a change, the share that may be blamed by any of its gates. */
export const falseAlarmShare = 0.001;

export interface GateCheck {
  readonly matched: Matched;
  readonly statistic: Statistic;
  readonly limit: GateLimit;
  /** Nothing but the program can make a difference. */
  readonly repeatable: boolean;
  /** Why it cannot be decided, whatever the values are: an answer of a person's words. Absent: it can. */
  readonly refused?: string;
}

export interface GateDecision {
  readonly verdict: 'pass' | 'regression' | 'undecided';
  /** Null: one side has no value. */
  readonly change: Change | null;
  /** Of the change, in the scale of the tolerance: a share, or the unit of the metric. */
  readonly interval: Interval | null;
  /** By exchange, adjusted for all gates of the run. Null: there was nothing to test. */
  readonly p: number | null;
  /** Conversations on each side, or pairs of them. */
  readonly conversations: number;
  /** Of an undecided one: conversations on each side with which it could be. Null: that is not what is missing. */
  readonly needs: number | null;
  /** Why, in words. */
  readonly reason: string;
}

export interface DecisionOptions {
  readonly random: Random;
  readonly resamples?: number;
  /** Only regressions are asked for: what cannot change the answer is not computed. */
  readonly onlyRegressions?: boolean;
  /** Gates that are decided together, when `checks` are only some of them. */
  readonly among?: number;
}

/** Decisions about all gates of a run together, in the order given. */
export function decideGates(
  checks: readonly GateCheck[],
  { random, resamples, onlyRegressions = false, among = 0 }: DecisionOptions,
): GateDecision[] {
  const changes = checks.map(({ matched, statistic }) => changeOf(matched, statistic));
  const isBeyond = checks.map(({ limit }, i) => {
    const change = changes[i]!;
    return change !== null && excess(change.a, change.b, limit) > 0;
  });
  const tests = checks.map(({ matched, statistic, limit, refused }, i) => {
    if (changes[i] === null || refused !== undefined) return null;
    if (onlyRegressions && !isBeyond[i]) return { p: 1 };
    return exchangeTest(matched, statistic, limit);
  });
  const tested = tests.flatMap((test, i) => (test === null ? [] : [{ i, p: test.p }]));
  const adjusted = new Map(
    holmAdjusted(
      tested.map(({ p }) => p),
      among,
    ).map((p, k) => [tested[k]!.i, p]),
  );
  const level = falseAlarmShare / Math.max(1, among, tested.length);
  return checks.map((check, i): GateDecision => {
    const { matched, statistic, limit, repeatable, refused } = check;
    const change = changes[i]!;
    const p = adjusted.get(i) ?? null;
    const conversations = unitCount(matched);
    const facts = { change, p, conversations };
    if (refused !== undefined) {
      return { ...facts, verdict: 'undecided', interval: null, needs: null, reason: refused };
    }
    if (change === null) {
      const reason = 'it was not measured on both sides';
      return { ...facts, verdict: 'undecided', interval: null, needs: null, reason };
    }
    const beyond = isBeyond[i]!;
    const mayBeRegression = beyond && p !== null && p <= falseAlarmShare;
    const intervals =
      onlyRegressions && !mayBeRegression
        ? null
        : changeIntervals(matched, statistic, random.fork(`${i}`), resamples);
    const interval =
      intervals === null ? null : intervals[limit.relative ? 'relative' : 'absolute'];
    const side = sideOfLimit(interval, limit);
    const decided = { ...facts, interval, needs: null };
    if (mayBeRegression && side === 'beyond') {
      return {
        ...decided,
        verdict: 'regression',
        reason: 'the interval lies beyond the tolerance',
      };
    }
    if (repeatable) {
      if (!beyond) {
        const reason = 'the same draws on both sides, and the change is within the tolerance';
        return { ...decided, verdict: 'pass', reason };
      }
      if (everyPairBeyond(check)) {
        const reason = 'the same draws on both sides, and every pair is beyond the tolerance';
        return { ...decided, verdict: 'regression', reason };
      }
    }
    if (side === 'within') {
      return { ...decided, verdict: 'pass', reason: 'the interval lies within the tolerance' };
    }
    const needs = onlyRegressions ? null : conversationsNeeded(check, interval, level);
    return { ...decided, needs, verdict: 'undecided', reason: undecidedReason(beyond, interval) };
  });
}

function undecidedReason(beyond: boolean, interval: Interval | null): string {
  if (interval === null) return 'too few conversations for an interval';
  return beyond
    ? 'beyond the tolerance, but chance could have done it'
    : 'within the tolerance, but it could be beyond';
}

/** Where the whole interval lies; undefined: on both sides. */
function sideOfLimit(
  interval: Interval | null,
  { direction, by }: GateLimit,
): 'beyond' | 'within' | undefined {
  if (interval === null) return undefined;
  const [best, worst] =
    direction === 'higher' ? [interval.low, interval.high] : [-interval.high, -interval.low];
  if (best > by) return 'beyond';
  return worst <= by ? 'within' : undefined;
}

function everyPairBeyond({ matched, limit, statistic }: GateCheck): boolean {
  if (matched.kind !== 'pairs' || upperShare(statistic) < 1) return false;
  return matched.units.every(({ a, b }) => a.every((value, i) => excess(value, b[i]!, limit) > 0));
}

/**
 * Conversations with which a change of twice the tolerance would be found, and no change at all be told as such, in 95
 * of 100 cases. With a tolerance of 0: as many as the test needs to say anything.
 */
export function conversationsNeeded(
  { matched, statistic, limit }: GateCheck,
  interval: Interval | null,
  level: number,
): number {
  const smallest = matched.kind === 'pairs' ? pairsForLevel(level) : perSideForLevel(level);
  const atLeast = Math.max(
    Math.ceil(smallest / upperShare(statistic)),
    unitsForInterval(statistic),
  );
  if (limit.by === 0) return atLeast;
  const inRatios = limit.relative;
  const distance = inRatios ? distanceInRatios(limit) : limit.by;
  const deviation = unitDeviation(matched, inRatios);
  const byTest =
    deviation === 0
      ? 0
      : Math.ceil(unitsForShift(distance, deviation, level) / upperShare(statistic));
  const z = normalQuantile(0.975) + normalQuantile(wantedPower);
  const error =
    interval === null ? 0 : (interval.high - interval.low) / (2 * normalQuantile(0.975));
  const byInterval = Math.ceil(unitCount(matched) * ((z * error) / limit.by) ** 2);
  // A tenth more: both have to succeed, and both are approximations.
  return Math.max(atLeast, Math.ceil(1.1 * Math.max(byTest, byInterval)));
}

/** From the tolerance to twice of it, in logarithms. */
function distanceInRatios({ direction, by }: GateLimit): number {
  const sign = direction === 'higher' ? 1 : -1;
  const twice = 1 + sign * 2 * by;
  return twice <= 0
    ? Math.abs(Math.log(1 + sign * by))
    : Math.abs(Math.log(twice / (1 + sign * by)));
}

/** Standard deviation of the means of conversations: of their differences, or of both sides' together. */
function unitDeviation(matched: Matched, inRatios: boolean): number {
  const positive = (['a', 'b'] as const).every((side) =>
    pooled(matched, side).every((value) => value > 0),
  );
  const scale =
    inRatios && positive ? Math.log : inRatios ? relativeTo(matched) : (value: number) => value;
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + scale(value), 0) / values.length;
  if (matched.kind === 'pairs') {
    return Math.sqrt(variance(matched.units.map(({ a, b }) => [0, mean(b) - mean(a)] as const)));
  }
  const of = (units: Extract<Matched, { kind: 'samples' }>['a']): number =>
    variance(units.map(({ scenario, values }) => [scenario, mean(values)] as const));
  return Math.sqrt(of(matched.a) + of(matched.b));
}

function relativeTo(matched: Matched): (value: number) => number {
  const values = pooled(matched, 'a').map(Math.abs);
  const typical = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return (value) => (typical === 0 ? 0 : value / typical);
}

/** Within strata, each of which has a mean of its own; 0 when none has two units. */
function variance(units: readonly (readonly [string | number, number])[]): number {
  const strata = new Map<string | number, number[]>();
  for (const [stratum, value] of units)
    strata.set(stratum, [...(strata.get(stratum) ?? []), value]);
  let squares = 0;
  let free = 0;
  for (const values of strata.values()) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    squares += values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    free += values.length - 1;
  }
  return free === 0 ? 0 : squares / free;
}
