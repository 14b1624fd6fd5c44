/**
 * A run as a file to compare with later: small enough to be committed, one line for each conversation, the same bytes
 * for the same run. README.md describes it.
 */
import type {
  ComparableConversation,
  ComparableRun,
  Conditions,
  MeasuredValue,
} from './comparable-run.ts';
import { conditionNames } from './comparable-run.ts';
import { ComparisonError } from './comparison-error.ts';

/** Raise it when a field changes its meaning; new fields do not change it. */
export const baselineFormatVersion = 1;

/** Turn or null, value, and of requests whether the connection was open: 1 or 0. */
type KeptValue = readonly [number | null, number, (0 | 1)?];

interface KeptConversation
  extends Omit<ComparableConversation, 'values' | 'conditions' | 'numbers'> {
  /** Index into the list of conditions. */
  readonly conditions: number;
  /** In the order of `families`. */
  readonly values: readonly (readonly KeptValue[] | null)[];
  /** In the order of `metrics`. */
  readonly numbers: readonly (number | null)[];
}

interface KeptBaseline {
  readonly baselineFormatVersion: number;
  readonly metricsVersion: number;
  readonly facts: Readonly<Record<string, string>>;
  /** Names of what has several values, and of what has one for each conversation: the columns of every line. */
  readonly families: readonly string[];
  readonly metrics: readonly string[];
  readonly conditions: readonly Conditions[];
  readonly conversations: readonly KeptConversation[];
}

/** Values are kept to the last bit, so that what is equal stays equal. */
export function baselineText({ metricsVersion, facts, conversations }: ComparableRun): string {
  const conditions = [...new Set(conversations.map((one) => line(one.conditions)))].sort();
  const places = new Map(conditions.map((text, i) => [text, i]));
  const families = namesOf(conversations.map(({ values }) => values));
  const metrics = namesOf(conversations.map(({ numbers }) => numbers));
  const lines = conversations
    .map(({ values, numbers, ...one }) => ({
      ...one,
      conditions: places.get(line(one.conditions))!,
      values: families.map((name) => values[name]?.map(keptValue) ?? null),
      numbers: metrics.map((name) => numbers[name] ?? null),
    }))
    .map((one) => line(one))
    .sort();
  return [
    '{',
    `"baselineFormatVersion": ${baselineFormatVersion},`,
    `"metricsVersion": ${metricsVersion},`,
    `"facts": ${line(facts)},`,
    `"families": ${line(families)},`,
    `"metrics": ${line(metrics)},`,
    `"conditions": [\n${conditions.join(',\n')}\n],`,
    `"conversations": [\n${lines.join(',\n')}\n]`,
    '}\n',
  ].join('\n');
}

function namesOf(tables: readonly Readonly<Record<string, unknown>>[]): string[] {
  return [...new Set(tables.flatMap((table) => Object.keys(table)))].sort();
}

function keptValue({ value, turn, reused }: MeasuredValue): KeptValue {
  const kept = [turn ?? null, value] as const;
  return reused === undefined ? kept : [...kept, reused ? 1 : 0];
}

/** With the keys of every object in order, so that equal things are equal text. */
function line(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown): unknown =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/**
 * @param text of the file @param name as the user called it
 * @throws {ComparisonError} `BASELINE_INVALID`
 */
export function readBaseline(text: string, name: string): ComparableRun {
  const invalid = (why: string, cause?: unknown): ComparisonError =>
    new ComparisonError(
      'BASELINE_INVALID',
      `${name} is no baseline that this version can read: ${why}.`,
      'save it again: baseline save <run>',
      { cause },
    );
  let kept: KeptBaseline;
  try {
    kept = JSON.parse(text) as KeptBaseline;
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  const version: unknown = kept?.baselineFormatVersion;
  if (typeof version !== 'number') throw invalid('it has no baselineFormatVersion');
  if (version !== baselineFormatVersion) {
    throw invalid(`its version is ${version}, and this program knows ${baselineFormatVersion}`);
  }
  try {
    return {
      name,
      metricsVersion: kept.metricsVersion,
      facts: kept.facts,
      conversations: kept.conversations.map((one) => ({
        ...one,
        conditions: knownConditions(kept.conditions[one.conditions]!),
        values: column(kept.families, one.values, (values) => values.map(measured)),
        numbers: column(kept.metrics, one.numbers, (value) => value),
      })),
    };
  } catch (cause) {
    throw invalid('something in it has another shape', cause);
  }
}

function column<T, R>(
  names: readonly string[],
  cells: readonly (T | null)[],
  read: (cell: T) => R,
): Record<string, R> {
  return Object.fromEntries(
    names.flatMap((name, i) => {
      const cell = cells[i] ?? null;
      return cell === null ? [] : [[name, read(cell)] as const];
    }),
  );
}

function measured([turn, value, reused]: KeptValue): MeasuredValue {
  if (typeof value !== 'number') throw new TypeError('A value is no number.');
  return {
    value,
    ...(turn !== null && { turn }),
    ...(reused !== undefined && { reused: reused === 1 }),
  };
}

/** A condition that an older baseline has not heard of is not known. */
function knownConditions(conditions: Conditions): Conditions {
  return Object.fromEntries(
    conditionNames.map((name) => [name, conditions[name] ?? null]),
  ) as unknown as Conditions;
}
