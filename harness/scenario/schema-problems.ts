import type { z } from 'zod';
import { isTable as isAnyTable } from '../../adapters/config-table.ts';
import { nearestName } from '../../adapters/nearest-name.ts';
import type { KeyPath } from '../toml/source-position.ts';
import type { ScenarioProblemList } from './scenario-error.ts';
import { isTableList, keysOfTable, type TablePath, tableName, tables } from './schema.ts';

/** Says in the words of the file format what the schema found wrong with `value`. */
export function reportSchemaIssues(
  issues: readonly z.core.$ZodIssue[],
  value: unknown,
  problems: ScenarioProblemList,
): void {
  const misspelled = new Set<string>();
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const meant = unknownKey(issue.path as KeyPath, key, problems);
        if (meant !== undefined) misspelled.add(JSON.stringify([...issue.path, meant]));
      }
    }
  }
  for (const issue of issues) {
    // Who wrote "titel" need not be told that "title" is missing, too.
    if (issue.code === 'unrecognized_keys' || misspelled.has(JSON.stringify(issue.path))) continue;
    report(issue, value, problems);
  }
}

/** Returns the key that was probably meant. */
function unknownKey(path: KeyPath, key: string, problems: ScenarioProblemList): string | undefined {
  const table = tablePath(path);
  const valid = keysOfTable(table) ?? [];
  const meant = nearestName(key, valid);
  const home = tables().find((other) => keysOfTable(other)?.includes(key));
  const advice =
    meant !== undefined
      ? `: did you mean "${meant}"?`
      : home !== undefined
        ? `: it belongs ${within(home)}`
        : '';
  problems.add(
    'SCENARIO_UNKNOWN_KEY',
    problems.source.nearest([...path, key]).key,
    `unknown key "${key}" ${within(table)}${advice}`,
    `keys ${table.length === 0 ? 'of the top level' : `of ${tableName(table)}`}: ${valid.join(', ')}`,
  );
  return meant;
}

function report(issue: z.core.$ZodIssue, root: unknown, problems: ScenarioProblemList): void {
  const path = issue.path as KeyPath;
  const given = valueAt(root, path);
  const range = problems.source.nearest(path).value;
  const name = `"${path.findLast((part) => typeof part === 'string') ?? ''}"`;

  if (given === undefined) {
    if (path.join() === 'turn') {
      problems.add('SCENARIO_MISSING_KEY', range, 'a scenario needs at least one [[turn]]');
      return;
    }
    const table = path.slice(0, -1);
    const example = examples[String(path.at(-1))];
    problems.add(
      'SCENARIO_MISSING_KEY',
      problems.source.nearest(table).value,
      `${name} is missing ${within(tablePath(table))}`,
      example && `for example: ${example}`,
    );
    return;
  }
  if (typeof given === 'number' && !Number.isFinite(given)) {
    problems.add('SCENARIO_BAD_VALUE', range, `${name} is ${given}; it must be a finite number`);
    return;
  }
  switch (issue.code) {
    case 'invalid_value': {
      const valid = issue.values.map(String);
      const numeric = issue.values.every((value) => typeof value === 'number');
      if (numeric && typeof given === 'number') {
        const message = `${name} cannot be ${given}`;
        problems.add('SCENARIO_BAD_VALUE', range, message, `possible values: ${valid.join(', ')}`);
        return;
      }
      if (numeric) {
        wrongType(name, 'number', given, path, problems);
        return;
      }
      if (typeof given !== 'string') {
        wrongType(name, 'string', given, path, problems);
        return;
      }
      const meant = nearestName(given, valid);
      problems.add(
        'SCENARIO_BAD_VALUE',
        range,
        `${name} cannot be "${given}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
        `possible values: ${valid.join(', ')}`,
      );
      return;
    }
    case 'too_small':
    case 'too_big': {
      if (issue.origin === 'array') {
        problems.add('SCENARIO_BAD_VALUE', range, `${name} is an empty list`);
        return;
      }
      const small = issue.code === 'too_small';
      const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
      const bound = small ? (issue.inclusive ? 'at least' : 'more than') : 'at most';
      const hour = limit === 3_600_000 ? 'that is one hour; the unit is milliseconds' : undefined;
      const message = `${name} is ${String(given)}; it must be ${bound} ${limit}`;
      problems.add('SCENARIO_BAD_VALUE', range, message, hour);
      return;
    }
    case 'invalid_format':
      problems.add('SCENARIO_BAD_VALUE', range, `${name} is empty`);
      return;
    case 'invalid_type':
      wrongType(name, issue.expected, given, path, problems);
      return;
    default:
      problems.add('SCENARIO_BAD_VALUE', range, `${name} is not possible: ${issue.message}`);
  }
}

function wrongType(
  name: string,
  expected: string,
  given: unknown,
  path: KeyPath,
  problems: ScenarioProblemList,
): void {
  const table = tablePath(path);
  const inList = isTableList(table.at(-1));
  if (inList && isTable(given)) {
    const { key } = problems.source.nearest(path);
    const message = `${name} is a list: write ${tableName(table)} with two brackets`;
    problems.add('SCENARIO_WRONG_TYPE', key, message);
    return;
  }
  const wanted = inList ? `a table below ${tableName(table)}` : typeNames[expected];
  const element = typeof path.at(-1) === 'number' && !inList;
  const subject = element ? `every entry of ${name}` : name;
  const unquoted =
    expected === 'number' && typeof given === 'string' && /^\s*-?\d+(\.\d+)?\s*$/.test(given)
      ? `without quotes: ${String(path.at(-1))} = ${given.trim()}`
      : undefined;
  const bracketed =
    expected === 'array' && typeof given === 'string'
      ? `in brackets: ${String(path.at(-1))} = ["${given}"]`
      : undefined;
  problems.add(
    'SCENARIO_WRONG_TYPE',
    problems.source.nearest(path).value,
    `${subject} must be ${wanted ?? expected}, not ${typeOf(given)}`,
    unquoted ?? bracketed,
  );
}

const typeNames: { readonly [zodType: string]: string } = {
  string: 'text in quotes',
  number: 'a number',
  boolean: 'true or false',
  int: 'a whole number',
  array: 'a list',
  object: 'a table',
  record: 'a table',
};

const examples: { readonly [key: string]: string } = {
  title: 'title = "One question"',
  reply: 'reply = "It is about a quarter of a million miles away."',
  event: 'event = "StartAudio"',
  kind: 'kind = "stall"',
  key: 'key = "k0"',
  after: 'after = { event = "StartAudio", delay_ms = 600 }',
};

/** What a TOML value is, for messages. */
export function typeOf(value: unknown): string {
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (Array.isArray(value)) return 'a list';
  return isTable(value) ? 'a table' : 'a date';
}

/** A table as it was written, of which nothing is known but the keys it may have. */
export interface WrittenTable {
  readonly act?: unknown;
  readonly check?: unknown;
  readonly console?: unknown;
  readonly count?: unknown;
  readonly key?: unknown;
  readonly level?: unknown;
  readonly message?: unknown;
  readonly press?: unknown;
  readonly source?: unknown;
  readonly with?: unknown;
  readonly within_ms?: unknown;
  readonly after?: unknown;
  readonly after_fraction?: unknown;
  readonly compat?: unknown;
  readonly direction?: unknown;
  readonly disturb?: unknown;
  readonly duration_ms?: unknown;
  readonly event?: unknown;
  readonly expect?: unknown;
  readonly fault?: unknown;
  readonly moment?: unknown;
  readonly hello_wav?: unknown;
  readonly kind?: unknown;
  readonly matrix?: unknown;
  readonly pause_ms?: unknown;
  readonly personality?: unknown;
  readonly providers?: unknown;
  readonly devices?: unknown;
  readonly device?: unknown;
  readonly quirks_off?: unknown;
  readonly echo_db?: unknown;
  readonly echo_delay_ms?: unknown;
  readonly networks?: unknown;
  readonly say?: unknown;
  readonly server?: unknown;
  readonly servers?: unknown;
  readonly stand_in?: unknown;
  readonly to?: unknown;
  readonly turn?: unknown;
  readonly wav?: unknown;
}

export function isTable(value: unknown): value is WrittenTable {
  return isAnyTable(value);
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

function tablePath(path: KeyPath): TablePath {
  return path.filter((part) => typeof part === 'string');
}

function within(table: TablePath): string {
  return table.length === 0 ? 'at the top level' : `in ${tableName(table)}`;
}
