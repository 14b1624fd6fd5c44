/** What a report says of a real board: whose figures are estimates, with which error, and where board and model part. */
import type { BoardClock } from '../metrics/board-clock.ts';
import type { BoardMeasurement } from '../metrics/board-measurement.ts';
import type { RoomFinding, RoomMeasurement, RoomTurn } from '../metrics/room-measurement.ts';
import type { LineDelay } from '../metrics/twin-comparison.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableColumn, wrapText } from './text-table.ts';

export interface BoardReport {
  readonly name: string;
  readonly mac: string | null;
  readonly firmware: string | null;
  /** Playout is that of the model, which got the same messages. */
  readonly estimated: true;
  /** Distance of the model from the board's own lines about its playing; null: not known. */
  readonly playoutError: BoardMeasurement['playoutError'];
  /** Of the board's stamps on our clock, the worst boot; null: no stamps. */
  readonly stampErrorUs: number | null;
  readonly driftPpm: number | null;
  readonly twin: TwinReport;
  /** Times in which its port was away. */
  readonly gaps: number;
  readonly remarks: readonly string[];
}

/** Board and model, line by line. */
export interface TwinReport {
  readonly matched: number;
  readonly onlyBoard: number;
  readonly onlyModel: number;
  /** Where they part first. */
  readonly parting: {
    readonly who: 'board' | 'model';
    readonly atMs: number;
    readonly message: string;
    readonly seq: number;
  } | null;
  readonly all: LineDelay | null;
  readonly lines: readonly (LineDelay & { readonly line: string })[];
}

export function boardReport(measurement: BoardMeasurement): BoardReport {
  const { name, mac, firmware, playoutError, clocks, twin, gaps, remarks } = measurement;
  const { parting } = twin;
  return {
    name,
    mac,
    firmware,
    estimated: true,
    playoutError,
    stampErrorUs: worst(clocks),
    driftPpm: clocks.at(-1)?.driftPpm ?? null,
    twin: {
      matched: twin.matched,
      onlyBoard: twin.onlyBoard.length,
      onlyModel: twin.onlyModel.length,
      parting:
        parting === null
          ? null
          : {
              who: parting.who,
              atMs: parting.atUs / 1000,
              message: parting.message,
              seq: parting.seq,
            },
      all: twin.all,
      lines: twin.lines,
    },
    gaps,
    remarks,
  };
}

function worst(clocks: readonly BoardClock[]): number | null {
  return clocks.length === 0 ? null : Math.max(...clocks.map(({ errorUs }) => errorUs));
}

/** What must stand beside the figures of a board, for a terminal. */
export function boardLines(
  { name, firmware, playoutError, stampErrorUs, gaps, remarks }: BoardReport,
  model: string,
  width: number,
): string[] {
  const version = firmware === null ? '' : ` (firmware ${firmware})`;
  const error =
    playoutError === null
      ? 'its console tells nothing of it, so their error is not known'
      : `the board's own lines were ${later(playoutError.medianMs)} (median), ` +
        `${playoutError.p95Ms.toFixed(1)} ms off at p95, n = ${playoutError.n}` +
        (stampErrorUs === null ? '' : `, known to ${(stampErrorUs / 1000).toFixed(1)} ms`);
  const lines = [
    `Board ${name}${version}: times at the speaker are estimated by the model ${model}; ${error}.`,
    ...(gaps === 0 ? [] : [`Its port was away ${gaps === 1 ? 'once' : `${gaps} times`}.`]),
    ...remarks.map((text) => `Remark: ${text}`),
  ];
  return lines.flatMap((line) => wrapText(neutralize(line), width, ['', '  ']));
}

/** What the room tells beside the estimates, for a terminal. */
export function roomLines({ seconds, problem, turns }: RoomMeasurement, width: number): string[] {
  const head = `Room (${seconds.toFixed(1)} s captured)${problem === null ? '' : `: ${problem}`}`;
  return [
    ...wrapText(neutralize(head), width, ['', '  ']),
    ...turns.flatMap((turn) => wrapText(neutralize(roomTurn(turn)), width, ['  ', '    '])),
  ];
}

function roomTurn({ turn, heardMs, errorMs, estimatedMs, user, answer }: RoomTurn): string {
  const estimate =
    estimatedMs === null ? 'nothing is estimated' : `estimated: ${estimatedMs.toFixed(0)} ms`;
  if (heardMs !== null && errorMs !== null) {
    const apart =
      estimatedMs === null ? '' : `, so the estimate is ${early(heardMs - estimatedMs)}`;
    return (
      `turn ${turn}: heard ${heardMs.toFixed(0)} ± ${errorMs.toFixed(0)} ms after the last word; ${estimate}${apart} ` +
      `(correlation ${correlationOf(user)} and ${correlationOf(answer)})`
    );
  }
  const missing = [
    ...(user.found ? [] : [`the user's words were not found: ${user.why}`]),
    ...(answer.found ? [] : [`the answer was not found: ${answer.why}`]),
  ];
  const bound = answer.found
    ? `; by when its sound got here, which takes nobody knows how long, the answer began ${bounded(answer.laterMs)} than estimated`
    : '';
  return `turn ${turn}: not measured, ${missing.join('; ')}${bound}`;
}

function bounded(laterMs: number): string {
  return laterMs < 0
    ? `at least ${(-laterMs).toFixed(0)} ms earlier`
    : `at most ${laterMs.toFixed(0)} ms later`;
}

function early(ms: number): string {
  return ms < 0 ? `${(-ms).toFixed(0)} ms too late` : `${ms.toFixed(0)} ms too early`;
}

function correlationOf(finding: RoomFinding): string {
  return finding.found ? finding.correlation.toFixed(2) : '—';
}

const columns: readonly TableColumn[] = [
  { head: ['', 'line'], align: 'left' },
  { head: ['later', 'p50'], align: 'right' },
  { head: ['off', 'p95'], align: 'right' },
  { head: ['', 'n'], align: 'right' },
];

/** Board and model side by side, for a terminal. */
export function twinLines(
  { twin, name }: BoardReport,
  width: number,
  paint: { bold(text: string): string; dim(text: string): string },
): string[] {
  const { matched, onlyBoard, onlyModel, parting, lines } = twin;
  const apart =
    parting === null
      ? 'they never part'
      : `they part at ${(parting.atMs / 1000).toFixed(3)} s, where only the ${parting.who} prints ` +
        `"${parting.message}" (trace line ${parting.seq})`;
  const summary = `${matched} lines of both, ${onlyBoard} of the board alone, ${onlyModel} of the model alone; ${apart}.`;
  const rows = lines.map(({ line, medianMs, p95Ms, n }) => [
    { text: neutralize(line) },
    { text: signed(medianMs) },
    { text: p95Ms.toFixed(1) },
    { text: String(n) },
  ]);
  const note =
    'later: positive when the board printed the line after its model, negative when before it; off: the same without its ' +
    'sign. Only lines count that follow from messages, keys and playing, so that both must print them; what each hears, ' +
    'and what a boot prints, is its own.';
  return [
    paint.bold(`Twin: how much later board ${neutralize(name)} printed than its model, in ms`),
    ...wrapText(neutralize(summary), width, ['', '  ']),
    ...(rows.length === 0 ? [] : renderTable(columns, rows, width, paint.dim)),
    ...wrapText(note, width).map(paint.dim),
  ];
}

function signed(ms: number): string {
  return `${ms > 0 ? '+' : ''}${ms.toFixed(1)}`;
}

function later(ms: number): string {
  return ms < 0 ? `${(-ms).toFixed(1)} ms earlier` : `${ms.toFixed(1)} ms later`;
}
