/** The values of two sides, put beside each other: in pairs where the same conversations are on both sides. */
import type { MetricFamily } from '../metrics/metric-catalog.ts';
import { type ComparableConversation, cellKey, conditionNames, grouped } from './comparable-run.ts';
import type { Statistic } from './statistic.ts';

/** One number of a comparison: what is taken of which values. */
export interface ComparedMetric {
  /** Path in the metric catalog. */
  readonly path: string;
  readonly family: MetricFamily;
  readonly statistic: Statistic;
  /** Of requests: only those that had to connect first, or only those on an open connection. Absent: all. */
  readonly requests?: 'cold' | 'warm';
}

/** What one conversation contributes. Values of both sides with one key belong together. */
export interface KeyedValues {
  readonly keys: readonly string[];
  readonly values: readonly number[];
}

/** Conversations of two sides that belong together. */
export type ConversationPair = readonly [ComparableConversation, ComparableConversation];

/** The unit is a conversation; its values are not independent of each other. */
export type Matched =
  | { readonly kind: 'pairs'; readonly units: readonly PairedUnit[] }
  | { readonly kind: 'samples'; readonly a: readonly SideUnit[]; readonly b: readonly SideUnit[] };

export interface PairedUnit {
  readonly scenario: string;
  /** As many as in `b`; those at the same place belong together. */
  readonly a: readonly number[];
  readonly b: readonly number[];
}

export interface SideUnit {
  readonly scenario: string;
  readonly values: readonly number[];
}

/** With fewer twins than this share of the larger side, the sides are compared as two samples. */
const twinShare = 0.9;

/** Twins of both sides; null when too many conversations have none, or several. */
export function pairsOf(
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
): ConversationPair[] | null {
  const key = (one: ComparableConversation): string => `${cellKey(one)} · ${one.repetition}`;
  const twins = grouped(b, key);
  const pairs = a.flatMap((one): ConversationPair[] => {
    const found = twins.get(key(one)) ?? [];
    return found.length === 1 ? [[one, found[0]!]] : [];
  });
  const twinned = (of: number): boolean => pairs.length >= twinShare * of;
  // Where nothing is left to chance, what one side has more of is no loss.
  const enough =
    twinned(Math.max(a.length, b.length)) ||
    (twinned(Math.min(a.length, b.length)) && areRepeatable(pairs));
  return enough && new Set(pairs.map(([one]) => key(one))).size === pairs.length ? pairs : null;
}

/** Whether nothing but the program can make a difference: virtual time, the same inputs, the same draws. */
export function areRepeatable(pairs: readonly ConversationPair[]): boolean {
  return pairs.every(
    ([a, b]) =>
      a.seed === b.seed &&
      a.conditions.time === 'virtual' &&
      (['scenario', 'board', 'network'] as const).every((name) => a.conditions[name] !== null) &&
      conditionNames.every((name) => a.conditions[name] === b.conditions[name]),
  );
}

/** Conversations that could not be judged, and values of failed turns, take no part. */
export function matchedValues(
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
  pairs: readonly ConversationPair[] | null,
  metric: ComparedMetric,
): Matched {
  if (pairs !== null) {
    const units = pairs.flatMap(([one, other]): PairedUnit[] => {
      const unit = aligned(valuesOf(one, metric), valuesOf(other, metric), one.scenario);
      return unit.a.length === 0 ? [] : [unit];
    });
    return { kind: 'pairs', units };
  }
  const side = (conversations: readonly ComparableConversation[]): SideUnit[] =>
    conversations.flatMap((one) => {
      const { values } = valuesOf(one, metric);
      return values.length === 0 ? [] : [{ scenario: one.scenario, values }];
    });
  return { kind: 'samples', a: side(a), b: side(b) };
}

export function aligned(a: KeyedValues, b: KeyedValues, scenario: string): PairedUnit {
  if (a.keys.length === b.keys.length && a.keys.every((key, i) => key === b.keys[i])) {
    return { scenario, a: a.values, b: b.values };
  }
  const places = new Map(b.keys.map((key, i) => [key, b.values[i]!]));
  const both = a.keys.flatMap((key, i) => {
    const twin = places.get(key);
    return twin === undefined ? [] : [[a.values[i]!, twin] as const];
  });
  return { scenario, a: both.map(([value]) => value), b: both.map(([, value]) => value) };
}

export function valuesOf(
  { numbers, values, verdict }: ComparableConversation,
  { path, family, requests }: ComparedMetric,
): KeyedValues {
  if (verdict === 'infra') return { keys: [], values: [] };
  if (family.kind !== 'distribution') {
    const value = numbers[path];
    return value === undefined ? { keys: [], values: [] } : { keys: [''], values: [value] };
  }
  const counts = new Map<number | undefined, number>();
  const keys: string[] = [];
  const kept: number[] = [];
  for (const { value, turn, reused } of values[family.name] ?? []) {
    const place = counts.get(turn) ?? 0;
    counts.set(turn, place + 1);
    if (requests !== undefined && reused !== (requests === 'warm')) continue;
    keys.push(`${turn ?? ''}/${place}`);
    kept.push(value);
  }
  return { keys, values: kept };
}

/** Values of one side, all together. */
export function pooled(matched: Matched, side: 'a' | 'b'): number[] {
  return matched.kind === 'pairs'
    ? matched.units.flatMap((unit) => unit[side])
    : matched[side].flatMap(({ values }) => values);
}

/** Conversations with a value, on the side with fewer of them. */
export function unitCount(matched: Matched): number {
  return matched.kind === 'pairs'
    ? matched.units.length
    : Math.min(matched.a.length, matched.b.length);
}
