/** The run as a table for spreadsheets and data frames: RFC 4180, one row for each turn. */
import { metricFamilies } from '../metrics/metric-catalog.ts';
import type { CellReport, MetricTree, ReportedRun, TurnReport } from './run-report.ts';
import { neutralize } from './terminal-text.ts';

const textColumns = [
  'run',
  'scenario',
  'title',
  'provider',
  'host',
  'device',
  'board',
  'network',
  'server',
  'seed',
  'repetition',
  'cell_verdict',
  'tries',
  'flaky',
  'turn',
  'turn_verdict',
  'failure',
] as const;

/** Of a turn: single numbers, and of what may be several values the median, the largest and how many there were. */
const metricColumns = metricFamilies
  .filter(({ inTurn, kind }) => inTurn && kind !== 'text')
  .filter(({ name, kind }) => kind !== 'number' || name !== 'lead_silence_ms')
  .flatMap(({ name, kind, per, unit }) => {
    const paths =
      kind === 'number'
        ? [name]
        : [`${name}.p50`, ...(per === 'turn' ? [] : [`${name}.max`, `${name}.n`])];
    return paths.map((path) => ({ path, unit: path.endsWith('.n') ? 'count' : unit }));
  });

/**
 * In pieces, one for each cell. The head has the unit of every number in brackets; what was not measured is empty. A
 * text that a spreadsheet would take for a formula has an apostrophe in front.
 */
export function* csvReport({ run, cells }: ReportedRun): Iterable<string> {
  yield row([...textColumns, ...metricColumns.map(({ path, unit }) => `${path} (${unit})`)]);
  for (const cell of cells) {
    yield cell.turns.map((turn) => row(valuesOf(run.id, cell, turn))).join('');
  }
}

function valuesOf(run: string, cell: CellReport, turn: TurnReport): (string | number | null)[] {
  const text: Readonly<Record<(typeof textColumns)[number], string | number | null>> = {
    run,
    scenario: cell.scenario,
    title: cell.title,
    provider: cell.provider,
    host: cell.host,
    device: cell.device,
    board: cell.board?.name ?? null,
    network: cell.network,
    server: cell.server,
    seed: cell.seed,
    repetition: cell.repetition ?? null,
    cell_verdict: cell.verdict,
    tries: (cell.earlierTries?.length ?? 0) + 1,
    flaky: cell.flaky?.kind ?? null,
    turn: turn.turn,
    turn_verdict: turn.verdict,
    failure: turn.failure?.kind ?? null,
  };
  return [
    ...textColumns.map((name) => text[name]),
    ...metricColumns.map(({ path }) => valueAt(turn.metrics, path)),
  ];
}

function valueAt(metrics: MetricTree, path: string): number | string | null {
  const found = path
    .split('.')
    .reduce<MetricTree[string] | undefined>(
      (tree, name) => (typeof tree === 'object' && tree !== null ? tree[name] : undefined),
      metrics,
    );
  return found === undefined || typeof found === 'object' ? null : found;
}

function row(values: readonly (string | number | null)[]): string {
  return `${values.map(field).join(',')}\r\n`;
}

function field(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const visible = neutralize(value);
  // Also as they look in full width, which some spreadsheets take for the same.
  const text = /^[=+\-@＝＋－＠]/.test(visible) ? `'${visible}` : visible;
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
