/** A report, as far as a comparison needs it. */
import { createHash } from 'node:crypto';
import type {
  ComparableConversation,
  ComparableRun,
  Conditions,
  MeasuredValue,
} from '../comparison/comparable-run.ts';
import { cellKey } from '../comparison/comparable-run.ts';
import { metricFamilies } from '../metrics/metric-catalog.ts';
import { externalServer } from '../scenario/plan.ts';
import { numberAt } from './cell-comparison.ts';
import type { CellReport, ReportedRun } from './run-report.ts';

/**
 * Several reports of one side as one run. Repetitions of a cell are counted through all of them, so that those of two
 * sides belong together in their order.
 *
 * @param name as the user called it
 */
export function comparableRun(name: string, reports: readonly ReportedRun[]): ComparableRun {
  const seen = new Map<string, number>();
  const versions = reports.map(({ metricsVersion = 1 }) => metricsVersion);
  return {
    name,
    metricsVersion: versions[0] ?? 1,
    facts: factsOf(reports),
    conversations: reports.flatMap((report) =>
      Array.from(report.cells, (cell) => {
        const key = cellKey(cell);
        const repetition = (seen.get(key) ?? 0) + 1;
        seen.set(key, repetition);
        return comparableConversation(
          cell,
          report,
          reports.length === 1 ? cell.repetition : undefined,
          repetition,
        );
      }),
    ),
  };
}

function factsOf(reports: readonly ReportedRun[]): Record<string, string> {
  const facts = (read: (report: ReportedRun) => unknown): string =>
    [...new Set(reports.flatMap((report) => read(report) ?? []))].join(', ');
  const all = {
    run: facts(({ run }) => run.id),
    seed: facts(({ run }) => run.seed),
    started: facts(({ run }) => run.startedAt),
    version: facts(({ environment }) => environment['version']),
    program: facts(({ environment }) => environment['program']),
    node: facts(({ environment }) => environment['node']),
    platform: facts(({ environment }) => environment['platform']),
  };
  return Object.fromEntries(Object.entries(all).filter(([, text]) => text !== ''));
}

function comparableConversation(
  cell: CellReport,
  report: ReportedRun,
  written: number | undefined,
  counted: number,
): ComparableConversation {
  const { scenario, provider, device, network, server, seed, verdict, gates } = cell;
  const { earlierTries = [] } = cell;
  return {
    scenario,
    provider,
    device,
    network,
    server,
    repetition: written ?? counted,
    seed,
    verdict,
    ...(earlierTries.length > 0 && { earlierTries: earlierTries.length }),
    turns: cell.turns.map((turn) => turn.verdict),
    conditions: conditionsOf(cell, report),
    values: valuesOf(cell),
    numbers: numbersOf(cell),
    ...(gates !== undefined && { gates }),
  };
}

/** Of reports of older versions it is not known where the values belong. */
function valuesOf({ values, places = {} }: Partial<CellReport>): Record<string, MeasuredValue[]> {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([name, list]) => [
      name,
      list.map((value, i): MeasuredValue => {
        const { turn = null, reused } = places[name]?.[i] ?? {};
        return {
          value,
          ...(turn !== null && { turn }),
          ...(reused !== undefined && { reused }),
        };
      }),
    ]),
  );
}

function numbersOf({ metrics }: CellReport): Record<string, number> {
  return Object.fromEntries(
    metricFamilies.flatMap(({ name, kind }) => {
      const value = kind === 'number' ? numberAt(metrics, name) : null;
      return value === null ? [] : [[name, value] as const];
    }),
  );
}

function conditionsOf(cell: CellReport, { run, environment }: ReportedRun): Conditions {
  const { inputs, board } = cell;
  const external = cell.server === externalServer;
  const machine =
    run.time === 'real' && typeof environment['platform'] === 'string'
      ? [environment['platform']]
      : [];
  const places = [...(cell.host === null ? [] : [cell.host]), ...machine];
  return {
    scenario: inputs?.scenario ?? null,
    texts: textsOf(cell),
    place: places.length === 0 ? null : places.join(' at '),
    time: run.time,
    source: external
      ? 'external'
      : run.replay !== undefined
        ? 'recording'
        : run.live
          ? 'live'
          : 'stand-in',
    provider: inputs?.provider ?? null,
    personality: inputs?.personality ?? null,
    board: board === undefined ? (inputs?.board ?? null) : `real board ${board.name}`,
    network: inputs?.network ?? null,
    method: `audible above ${cell.settings.audibility.thresholdDbfs} dBFS`,
  };
}

/** What was spoken, by turn; nothing is known where a turn failed, or an interruption came before the text. */
function textsOf({ turns }: CellReport): string | null {
  if (turns.some(({ verdict }) => verdict !== 'ok')) return null;
  const texts = turns.map(({ sentences }) => sentences.map(({ text }) => text));
  if (texts.flat().some((text) => text === null)) return null;
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex').slice(0, 16);
}
