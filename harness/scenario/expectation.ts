import { nearestName } from '../../adapters/nearest-name.ts';
import { typeOf } from '../toml/shape-problems.ts';
import type { KeyPath, SourceMap, SourceRange } from '../toml/source-position.ts';
import type { Expectation } from './scenario.ts';
import type { ScenarioProblemList } from './scenario-error.ts';
import { isTable, type WrittenTable } from './written-table.ts';

/** A metric that `[expect]` may name. The entries of the metric catalog fit. */
export interface ExpectableMetric {
  readonly path: string;
  readonly valueType: 'number' | 'text';
  /** Whether one turn alone has it. */
  readonly family: { readonly inTurn: boolean };
}

/**
 * Reads one `[expect]` or `[turn.expect]` table. Dotted keys and nested tables mean the same.
 *
 * @param metrics valid paths; with plain names, types and turns are not checked.
 * @param path of the table in the document; @param turn from 1, absent for the whole cell.
 */
export function readExpectations(
  table: unknown,
  path: KeyPath,
  turn: number | undefined,
  metrics: readonly (string | ExpectableMetric)[],
  file: string,
  problems: ScenarioProblemList,
): Expectation[] {
  if (table === undefined) return [];
  if (!isTable(table)) {
    const range = problems.source.nearest(path).value;
    const message = `"expect" must be a table, not ${typeOf(table)}`;
    problems.add('SCENARIO_WRONG_TYPE', range, message);
    return [];
  }
  return leaves(table, []).flatMap(([keys, value]) => {
    const at = [...path, ...keys];
    const metric = keys.join('.');
    const name = dottedRange(at, problems.source);
    if (!checkMetric(metric, name, turn, metrics, problems)) return [];
    const known = metrics.find((one) => typeof one !== 'string' && one.path === metric);
    const type = known === undefined || typeof known === 'string' ? undefined : known.valueType;
    const comparison = readComparison(
      metric,
      value,
      type,
      problems.source.nearest(at).value,
      problems,
    );
    if (comparison === undefined) return [];
    const position = { file, ...problems.source.lineColumn(name.start) };
    return [{ metric, ...comparison, ...(turn !== undefined && { turn }), at: position }];
  });
}

export function leaves(table: WrittenTable, path: readonly string[]): [string[], unknown][] {
  return Object.entries(table).flatMap(([key, value]): [string[], unknown][] =>
    isTable(value) ? leaves(value, [...path, key]) : [[[...path, key], value]],
  );
}

/** The whole dotted key as far as it stands on the line of its last part. */
export function dottedRange(path: KeyPath, source: SourceMap): SourceRange {
  const { text } = source;
  const { start, end } = source.nearest(path).key;
  const before = text.slice(text.lastIndexOf('\n', start - 1) + 1, start);
  const prefix = /(?:(?:[\w-]+|"[^"]*"|'[^']*')[ \t]*\.[ \t]*)+$/.exec(before)?.[0] ?? '';
  return { start: start - prefix.length, end };
}

function checkMetric(
  metric: string,
  range: SourceRange,
  turn: number | undefined,
  metrics: readonly (string | ExpectableMetric)[],
  problems: ScenarioProblemList,
): boolean {
  const paths = metrics.map((one) => (typeof one === 'string' ? one : one.path));
  const known = metrics[paths.indexOf(metric)];
  if (known === undefined) {
    const below = paths.filter((path) => path.startsWith(`${metric}.`));
    const meant = nearestName(metric, paths);
    const group = `${metric.split('.')[0]}.`;
    const siblings = paths.filter((path) => path.startsWith(group));
    const families = [...new Set(paths.map((path) => path.split('.')[0]))];
    if (below.length > 0) {
      const message = `"${metric}" has several values: say which, for example "${below[0]}"`;
      problems.add('SCENARIO_UNKNOWN_NAME', range, message, `metrics: ${below.join(', ')}`);
    } else {
      const advice = meant === undefined ? '' : `: did you mean "${meant}"?`;
      const hint = siblings.length > 0 ? siblings : families;
      const message = `unknown metric "${metric}"${advice}`;
      problems.add('SCENARIO_UNKNOWN_NAME', range, message, `metrics: ${hint.join(', ')}`);
    }
    return false;
  }
  if (turn !== undefined && typeof known !== 'string' && !known.family.inTurn) {
    problems.add(
      'SCENARIO_BAD_VALUE',
      range,
      `"${metric}" is measured for the whole conversation, not for one turn`,
      'write it in [expect]',
    );
    return false;
  }
  return true;
}

const comparisonForm = /^\s*(<=|>=|==|!=|<|>)\s*(.*?)\s*$/s;
const numberForm = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** What a number or text is compared with, such as `"<= 1500"`; undefined when it was reported. */
export function readComparison(
  metric: string,
  given: unknown,
  type: 'number' | 'text' | undefined,
  range: SourceRange,
  problems: ScenarioProblemList,
): Pick<Expectation, 'operator' | 'value'> | undefined {
  const bad = (message: string, hint: string): undefined => {
    problems.add('SCENARIO_BAD_VALUE', range, message, hint);
  };
  const numberHint = 'write a number, or a comparison such as "<= 1500", ">= 2" or "!= 0"';
  const textHint = 'write text, or a comparison such as "!= none"';

  if (typeof given !== 'number' && typeof given !== 'string' && typeof given !== 'boolean') {
    const message = `"${metric}" must be compared with a number or with text, not with ${typeOf(given)}`;
    problems.add('SCENARIO_WRONG_TYPE', range, message, numberHint);
    return undefined;
  }
  const match = typeof given === 'string' ? comparisonForm.exec(given) : null;
  const operator = (match?.[1] ?? '==') as Expectation['operator'];
  const operand = match ? (match[2] ?? '') : given;
  const isNumber = typeof operand === 'string' && match !== null && numberForm.test(operand);
  const value = isNumber ? Number(operand) : operand;

  if (typeof value === 'number' && !Number.isFinite(value)) {
    return bad(`"${metric}" cannot be compared with ${value}`, numberHint);
  }
  const isOrder = operator !== '==' && operator !== '!=';
  if (type === 'number' || isOrder) {
    if (type === 'text') return bad(`"${metric}" is text and has no order`, textHint);
    if (typeof value === 'number') return { operator, value };
    return bad(`"${metric}" is a number and cannot be compared with "${given}"`, numberHint);
  }
  if (type === 'text' && typeof value !== 'string') {
    return bad(`"${metric}" is text and cannot be compared with ${given}`, textHint);
  }
  if (value === '') return bad(`"${metric}" is compared with nothing`, textHint);
  return { operator, value };
}
