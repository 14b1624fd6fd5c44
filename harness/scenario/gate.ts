/**
 * Gates: how much worse than before a metric may get. This is the only place that knows how they are written, in the
 * `[gate]` table of a scenario or of a configuration file, and on the command line.
 */
import { nearestName } from '../../adapters/nearest-name.ts';
import { typeOf } from '../toml/shape-problems.ts';
import type { KeyPath, SourceMap, SourceRange } from '../toml/source-position.ts';
import { dottedRange, leaves } from './expectation.ts';
import type { SourcePosition } from './scenario.ts';
import { isTable } from './written-table.ts';

/** A metric that a gate may be about. The entries of the metric catalog fit. */
export interface GateableMetric {
  readonly path: string;
  readonly valueType: 'number' | 'text';
  readonly unit: string;
  readonly statistic: string | null;
  readonly family: { readonly name: string; readonly worse: 'higher' | 'lower' | null };
}

export interface GateRule {
  /** Path in the metric catalog. A number of a whole conversation is compared by its mean. */
  readonly metric: string;
  /** As written: `+10%`, `+50ms`, `-1%`, `±2LU`, `off`. */
  readonly tolerance: string;
  /** What must not be passed: none when it is off, two when both directions are watched. */
  readonly limits: readonly GateLimit[];
  /** Absent: it comes from no file. */
  readonly at?: SourcePosition;
}

export interface GateLimit {
  /** The direction that counts as worse. */
  readonly direction: 'higher' | 'lower';
  /** How far it may go, 0 or more: a share of the value before, or in the unit of the metric. */
  readonly by: number;
  readonly relative: boolean;
}

/** What is wrong with a gate, and what would be right. */
export interface GateProblem {
  readonly about: 'metric' | 'tolerance';
  readonly message: string;
  readonly hint: string;
}

const form = /^\s*([+\-−±])\s*(\d+(?:\.\d*)?|\.\d+)\s*(%|[a-zA-Z]*)\s*$/;

/** Units as they may be written, and how many of the metric's own unit one of them is. */
const unitFactors: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ms: { ms: 1, s: 1000 },
  s: { s: 1, ms: 0.001 },
  samples: { samples: 1 },
  count: {},
  ratio: {},
  LUFS: { LU: 1, dB: 1 },
  dBFS: { dB: 1 },
};

/**
 * @param metric a path of the catalog; a distribution without a statistic means its median
 * @param written the tolerance
 */
export function readGate(
  metric: string,
  written: string,
  metrics: readonly GateableMetric[],
): GateRule | GateProblem {
  const known = metrics.find(({ path }) => path === metric || path === `${metric}.p50`);
  const able = metrics.filter(isGateable);
  if (known === undefined) {
    const meant = nearestName(
      metric,
      able.map(({ path }) => path),
    );
    const siblings = able.filter(({ path }) => path.startsWith(`${metric.split('.')[0]}.`));
    const listed = siblings.length > 0 ? siblings : able;
    return {
      about: 'metric',
      message: `unknown metric "${metric}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
      hint: `metrics: ${[...new Set(listed.map(({ path }) => path))].join(', ')}`,
    };
  }
  if (!isGateable(known)) {
    return {
      about: 'metric',
      message: `"${metric}" cannot be compared from run to run: ${reasonAgainst(known)}`,
      hint:
        known.statistic === null
          ? 'write what must hold in every run in [expect]'
          : `take ${known.family.name}.p50, .p95 or .mean`,
    };
  }
  const rule = { metric: known.path, tolerance: written.trim() };
  if (rule.tolerance === 'off') return { ...rule, limits: [] };
  return readTolerance(rule, known);
}

function readTolerance(
  rule: { readonly metric: string; readonly tolerance: string },
  { unit, family }: GateableMetric,
): GateRule | GateProblem {
  const { worse } = family;
  const factors = unitFactors[unit] ?? {};
  const sign = worse === null ? '±' : worse === 'higher' ? '+' : '-';
  const absolute = `${sign}${unit === 'ms' ? '50' : '1'}${Object.keys(factors)[0] ?? ''}`;
  const isLevel = unit === 'LUFS' || unit === 'dBFS';
  const forms = [...(isLevel ? [] : [`"${sign}10%"`]), `"${absolute}"`, '"off"'].join(' or ');
  const bad = (message: string, hint = `write ${forms}`): GateProblem => ({
    about: 'tolerance',
    message: `"${rule.tolerance}" ${message}`,
    hint,
  });
  const [, written, digits, suffix = ''] = form.exec(rule.tolerance) ?? [];
  if (written === undefined) return bad(`is no tolerance for ${rule.metric}`);
  const direction: GateLimit['direction'] | null =
    written === '+' ? 'higher' : written === '±' ? null : 'lower';
  if (direction !== null && worse !== null && direction !== worse) {
    return bad(
      `would be an improvement of ${rule.metric}, which gets worse when it gets ${worse}`,
      `a gate says how much worse it may get: ${forms}`,
    );
  }
  const relative = suffix === '%';
  if (relative && isLevel) return bad(`has no meaning for ${rule.metric}: levels have no shares`);
  const factor = suffix === '' ? 1 : factors[suffix];
  if (!relative && factor === undefined) {
    return bad(`is in "${suffix}", and ${rule.metric} is in ${unit}`);
  }
  const by = relative ? Number(digits) / 100 : Number(digits) * factor!;
  if (relative && by >= 1 && direction !== 'higher') {
    return bad('allows all of it to be lost, and would never be passed');
  }
  const directions: readonly GateLimit['direction'][] =
    direction === null ? ['higher', 'lower'] : [direction];
  return { ...rule, limits: directions.map((one) => ({ direction: one, by, relative })) };
}

function isGateable({ valueType, statistic }: GateableMetric): boolean {
  return valueType === 'number' && (statistic === null || /^(?:p\d+|mean)$/.test(statistic));
}

function reasonAgainst({ valueType, statistic }: GateableMetric): string {
  if (valueType === 'text') return 'it is text';
  return statistic === 'n' ? 'it is a number of values' : 'it depends on how many values there are';
}

/**
 * Told of every problem of a table; each kind of file has codes of its own for them.
 *
 * @param kind `unknown-metric`, `bad-tolerance` or `wrong-type`
 */
export type OnGateProblem = (
  kind: 'unknown-metric' | 'bad-tolerance' | 'wrong-type',
  range: SourceRange,
  message: string,
  hint?: string,
) => void;

/**
 * Reads a `[gate]` table: `audible_at_speaker_ms.p50 = "+10%"`, `ttfb_ms = "+50ms"`. Dotted keys and nested tables mean
 * the same.
 *
 * @param path of the table in its document
 */
export function readGateTable(
  table: unknown,
  path: KeyPath,
  metrics: readonly GateableMetric[],
  file: string,
  source: SourceMap,
  onProblem: OnGateProblem,
): GateRule[] {
  if (table === undefined) return [];
  if (!isTable(table)) {
    const message = `"gate" must be a table, not ${typeOf(table)}`;
    onProblem('wrong-type', source.nearest(path).value, message);
    return [];
  }
  return leaves(table, []).flatMap(([keys, value]): GateRule[] => {
    const at = [...path, ...keys];
    const name = dottedRange(at, source);
    const metric = keys.join('.');
    if (typeof value !== 'string') {
      onProblem(
        'wrong-type',
        source.nearest(at).value,
        `the tolerance of "${metric}" must be text, not ${typeOf(value)}`,
        'write a change, such as "+10%" or "+50ms", or "off"',
      );
      return [];
    }
    const rule = readGate(metric, value, metrics);
    if ('limits' in rule) {
      return [{ ...rule, at: { file, ...source.lineColumn(name.start) } }];
    }
    const kind = rule.about === 'metric' ? 'unknown-metric' : 'bad-tolerance';
    const range = rule.about === 'metric' ? name : source.nearest(at).value;
    onProblem(kind, range, rule.message, rule.hint);
    return [];
  });
}
