/** Says in the words of a TOML file what the schema of its shape found wrong. */
import type { z } from 'zod';
import { nearestName } from '../../adapters/nearest-name.ts';
import {
  type FileShape,
  isTableList,
  keysOfTable,
  type TablePath,
  tableName,
  tablesOfFile,
} from './file-shape.ts';
import type { ProblemList } from './problem-list.ts';
import type { KeyPath } from './source-position.ts';
import { isTomlTable } from './toml-document.ts';

/** @param value the file as it was parsed */
export function reportShapeIssues<Code extends string>(
  issues: readonly z.core.$ZodIssue[],
  value: unknown,
  shape: FileShape<Code>,
  problems: ProblemList<Code>,
): void {
  const reporter = new ShapeReporter(shape, value, problems);
  const misspelled = new Set<string>();
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const meant = reporter.unknownKey(issue.path as KeyPath, key);
        if (meant !== undefined) misspelled.add(JSON.stringify([...issue.path, meant]));
      }
    }
  }
  for (const issue of issues) {
    // Who wrote "titel" need not be told that "title" is missing, too.
    if (issue.code === 'unrecognized_keys' || misspelled.has(JSON.stringify(issue.path))) continue;
    reporter.report(issue);
  }
}

class ShapeReporter<Code extends string> {
  readonly #shape: FileShape<Code>;
  readonly #root: unknown;
  readonly #problems: ProblemList<Code>;

  constructor(shape: FileShape<Code>, root: unknown, problems: ProblemList<Code>) {
    this.#shape = shape;
    this.#root = root;
    this.#problems = problems;
  }

  /** Returns the key that was probably meant. */
  unknownKey(path: KeyPath, key: string): string | undefined {
    const shape = this.#shape;
    const table = tablePath(path);
    const valid = keysOfTable(shape, table) ?? [];
    const meant = nearestName(key, valid);
    const home = tablesOfFile(shape).find((other) => keysOfTable(shape, other)?.includes(key));
    const advice =
      meant !== undefined
        ? `: did you mean "${meant}"?`
        : home !== undefined
          ? `: it belongs ${this.#within(home)}`
          : '';
    this.#problems.add(
      shape.codes.unknownKey,
      this.#problems.source.nearest([...path, key]).key,
      `unknown key "${key}" ${this.#within(table)}${advice}`,
      `keys ${table.length === 0 ? 'of the top level' : `of ${tableName(shape, table)}`}: ${valid.join(', ')}`,
    );
    return meant;
  }

  report(issue: z.core.$ZodIssue): void {
    const { codes, missing = {}, examples } = this.#shape;
    const path = issue.path as KeyPath;
    const given = valueAt(this.#root, path);
    const range = this.#problems.source.nearest(path).value;
    const name = `"${path.findLast((part) => typeof part === 'string') ?? ''}"`;
    const bad = (message: string, hint?: string): void =>
      this.#problems.add(codes.badValue, range, message, hint);

    if (given === undefined) {
      const words = missing[path.join('.')];
      if (words !== undefined) {
        this.#problems.add(codes.missingKey, range, words);
        return;
      }
      const table = path.slice(0, -1);
      const example = examples[String(path.at(-1))];
      this.#problems.add(
        codes.missingKey,
        this.#problems.source.nearest(table).value,
        `${name} is missing ${this.#within(tablePath(table))}`,
        example && `for example: ${example}`,
      );
      return;
    }
    if (typeof given === 'number' && !Number.isFinite(given)) {
      bad(`${name} is ${given}; it must be a finite number`);
      return;
    }
    switch (issue.code) {
      case 'invalid_value': {
        const valid = issue.values.map(String);
        const numeric = issue.values.every((value) => typeof value === 'number');
        if (numeric && typeof given === 'number') {
          bad(`${name} cannot be ${given}`, `possible values: ${valid.join(', ')}`);
          return;
        }
        if (numeric || typeof given !== 'string') {
          this.#wrongType(name, numeric ? 'number' : 'string', given, path);
          return;
        }
        const meant = nearestName(given, valid);
        bad(
          `${name} cannot be "${given}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
          `possible values: ${valid.join(', ')}`,
        );
        return;
      }
      case 'too_small':
      case 'too_big': {
        if (issue.origin === 'array') {
          bad(`${name} is an empty list`);
          return;
        }
        const small = issue.code === 'too_small';
        const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
        const bound = small ? (issue.inclusive ? 'at least' : 'more than') : 'at most';
        const hour = limit === 3_600_000 ? 'that is one hour; the unit is milliseconds' : undefined;
        bad(`${name} is ${String(given)}; it must be ${bound} ${limit}`, hour);
        return;
      }
      case 'invalid_format':
        bad(`${name} is empty`);
        return;
      case 'invalid_type':
        this.#wrongType(name, issue.expected, given, path);
        return;
      default:
        bad(`${name} is not possible: ${issue.message}`);
    }
  }

  #wrongType(name: string, expected: string, given: unknown, path: KeyPath): void {
    const shape = this.#shape;
    const { source } = this.#problems;
    const table = tablePath(path);
    const inList = isTableList(shape, table);
    if (inList && isTomlTable(given)) {
      const { key } = source.nearest(path);
      const message = `${name} is a list: write ${tableName(shape, table)} with two brackets`;
      this.#problems.add(shape.codes.wrongType, key, message);
      return;
    }
    const wanted = inList ? `a table below ${tableName(shape, table)}` : typeNames[expected];
    const element = typeof path.at(-1) === 'number' && !inList;
    const subject = element ? `every entry of ${name}` : name;
    const unquoted =
      (expected === 'number' || expected === 'int') &&
      typeof given === 'string' &&
      /^\s*-?\d+(\.\d+)?\s*$/.test(given)
        ? `without quotes: ${String(path.at(-1))} = ${given.trim()}`
        : undefined;
    const bracketed =
      expected === 'array' && typeof given === 'string'
        ? `in brackets: ${String(path.at(-1))} = ["${given}"]`
        : undefined;
    this.#problems.add(
      shape.codes.wrongType,
      source.nearest(path).value,
      `${subject} must be ${wanted ?? expected}, not ${typeOf(given)}`,
      unquoted ?? bracketed,
    );
  }

  #within(table: TablePath): string {
    return table.length === 0 ? 'at the top level' : `in ${tableName(this.#shape, table)}`;
  }
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

/** What a TOML value is, for messages. */
export function typeOf(value: unknown): string {
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (Array.isArray(value)) return 'a list';
  return isTomlTable(value) ? 'a table' : 'a date';
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
