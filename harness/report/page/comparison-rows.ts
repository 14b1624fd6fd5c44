/** The rows of the comparison: cells taken together, filtered and put in an order. */
import { distribution } from '../../metrics/distribution.ts';
import { type Comparison, compareCells } from '../cell-comparison.ts';
import { groupBy } from '../cell-groups.ts';
import { addStutters, stutterWords } from './fault-words.ts';
import type { PageCell, Stutter } from './page-data.ts';

/** Null: all of them. */
export interface CellFilter {
  readonly scenario: string | null;
  readonly board: string | null;
  readonly network: string | null;
  readonly row: string | null;
}

/** Indices of the cells that it lets through. */
export function filtered(cells: readonly PageCell[], filter: CellFilter): number[] {
  return cells.flatMap((cell, i) =>
    (['scenario', 'board', 'network', 'row'] as const).every(
      (key) => filter[key] === null || filter[key] === cell[key],
    )
      ? [i]
      : [],
  );
}

export interface ComparisonRow extends Comparison {
  /** Indices of its cells. */
  readonly cells: readonly number[];
  readonly row: string;
  /** The conditions that its cells have in common; null where they differ. */
  readonly scenario: string | null;
  readonly board: string | null;
  readonly network: string | null;
  readonly verdict: PageCell['verdict'];
  /** How many of its cells have this verdict. */
  readonly verdictCount: number;
  readonly reason: string;
  /** One of its cells is. */
  readonly flaky: boolean;
  /** Of its failures and latencies: how many values are behind the figure. */
  readonly n: Readonly<Record<'heard' | 'ttfb' | 'ttfa' | 'seam' | 'prebuffer', number>>;
  readonly stutter: readonly Stutter[];
}

/** @param by one row for each provider, or for each provider in each scenario on each board and network */
export function comparisonRows(
  cells: readonly PageCell[],
  indices: readonly number[],
  by: 'provider' | 'conversation',
): ComparisonRow[] {
  const groups = groupBy(indices, (i) => {
    const { row, scenario, board, network } = cells[i]!;
    return by === 'provider' ? row : JSON.stringify([scenario, board, network, row]);
  });
  return [...groups.values()].map((group) => {
    const own = group.map((i) => cells[i]!);
    const count = (name: string) =>
      distribution(own.flatMap((cell) => cell.values[name] ?? []))?.n ?? 0;
    const common = (key: 'scenario' | 'board' | 'network') =>
      own.every((cell) => cell[key] === own[0]![key]) ? own[0]![key] : null;
    const verdict =
      (['fail', 'infra'] as const).find((one) => own.some((cell) => cell.verdict === one)) ??
      'pass';
    const worst = own.filter((cell) => cell.verdict === verdict);
    return {
      ...compareCells(own),
      cells: group,
      row: own[0]!.row,
      scenario: common('scenario'),
      board: common('board'),
      network: common('network'),
      verdict,
      verdictCount: worst.length,
      reason: worst.find(({ reason }) => reason !== '')?.reason ?? '',
      flaky: own.some((cell) => cell.flaky !== undefined),
      n: {
        heard: count('audible_at_speaker_ms'),
        ttfb: count('ttfb_ms'),
        ttfa: count('ttfa_ms'),
        seam: count('seam_ms'),
        prebuffer: count('prebuffer_needed_ms'),
      },
      stutter: addStutters(own.flatMap(({ stutter }) => stutter)),
    };
  });
}

export interface RowColumn {
  readonly key: string;
  readonly head: string;
  /** In words, for a tooltip and the notes. */
  readonly meaning: string;
  /** Orders the rows; null: there is no value, and such rows are always last. */
  value(row: ComparisonRow): number | string | null;
  /** As it is shown; the number of values behind it apart. */
  text(row: ComparisonRow): { readonly text: string; readonly n?: number };
}

function milliseconds(
  key: string,
  head: string,
  meaning: string,
  value: (row: ComparisonRow) => number | null,
  n: keyof ComparisonRow['n'],
): RowColumn {
  return {
    key,
    head,
    meaning,
    value,
    text: (row) => {
      const found = value(row);
      return found === null ? { text: '—' } : { text: `${Math.round(found)}`, n: row.n[n] };
    },
  };
}

function decimal(
  key: string,
  head: string,
  meaning: string,
  value: (row: ComparisonRow) => number | null,
): RowColumn {
  return {
    key,
    head,
    meaning,
    value,
    text: (row) => {
      const found = value(row);
      return found === null ? { text: '—' } : { text: found.toFixed(1), n: row.cells.length };
    },
  };
}

const verdictOrder = { fail: 0, infra: 1, pass: 2 } as const;

export const rowColumns: readonly RowColumn[] = [
  {
    key: 'turns',
    head: 'turns ok / failed',
    meaning:
      'turns answered, interrupted ones too, and turns that failed; a failed turn has no times',
    value: ({ turnsFailed, turnsAnswered }) =>
      turnsFailed / Math.max(1, turnsFailed + turnsAnswered),
    text: ({ turnsAnswered, turnsFailed }) => ({ text: `${turnsAnswered} / ${turnsFailed}` }),
  },
  milliseconds(
    'heard',
    'heard p50',
    'last voiced sample of the user to first audible sample at the speaker, ms, median',
    ({ audibleP50Ms }) => audibleP50Ms,
    'heard',
  ),
  milliseconds(
    'heard95',
    'heard p95',
    'the same, 95th percentile; it says something from about 20 values on',
    ({ audibleP95Ms }) => audibleP95Ms,
    'heard',
  ),
  milliseconds(
    'ttfb',
    'ttfb p50',
    'request written to first audio byte, ms, median over the requests',
    ({ ttfbP50Ms }) => ttfbP50Ms,
    'ttfb',
  ),
  milliseconds(
    'ttfa',
    'ttfa p50',
    'request written to the arrival of the first audible sample, ms, median over the requests',
    ({ ttfaP50Ms }) => ttfaP50Ms,
    'ttfa',
  ),
  {
    key: 'stutter',
    head: 'stutter; whose fault',
    meaning:
      'underruns: how often and for how long the speaker had nothing to play in the middle of a sentence, and the stage without which it had not been so',
    value: ({ underrunCount, underrunTotalMs }) =>
      underrunCount === null ? null : (underrunTotalMs ?? 0),
    text: ({ underrunCount, stutter }) => ({
      text: underrunCount === null ? '—' : stutterWords(stutter),
    }),
  },
  milliseconds(
    'seam',
    'seam p50',
    'from the last sample of a sentence to the first of the next, ms, median',
    ({ seamP50Ms }) => seamP50Ms,
    'seam',
  ),
  milliseconds(
    'prebuffer',
    'prebuffer needed',
    'the largest start delay that a sentence needed to play without underruns, ms',
    ({ prebufferNeededMs }) => prebufferNeededMs,
    'prebuffer',
  ),
  decimal(
    'audio',
    'played s',
    'audio that left the speaker, without gaps',
    ({ playedSeconds }) => playedSeconds,
  ),
  decimal(
    'loudness',
    'loudness LUFS',
    'integrated loudness of what the provider delivered; of several conversations the median',
    ({ loudnessLufs }) => loudnessLufs,
  ),
  {
    key: 'verdict',
    head: 'verdict',
    meaning:
      'fail: an expectation was missed or a turn failed; infra: the run itself failed, and nothing can be said; flaky: it did not come out the same each time',
    value: ({ verdict, verdictCount }) => verdictOrder[verdict] - verdictCount / 1e6,
    text: ({ verdict, verdictCount, cells, reason, flaky }) => ({
      text: `${verdict}${cells.length > 1 ? ` ${verdictCount} of ${cells.length}` : ''}${reason === '' ? '' : `: ${reason}`}${flaky ? ', flaky' : ''}`,
    }),
  },
];

/** Columns of names, before the others. */
export const nameColumns = ['row', 'scenario', 'board', 'network'] as const;

/** Stable; rows without a value are last in both directions. */
export function sortedRows(
  rows: readonly ComparisonRow[],
  key: string,
  direction: 'ascending' | 'descending',
): ComparisonRow[] {
  const column = rowColumns.find((one) => one.key === key);
  const name = nameColumns.find((one) => one === key);
  const value = (row: ComparisonRow): number | string | null =>
    column !== undefined ? column.value(row) : name !== undefined ? row[name] : null;
  const sign = direction === 'ascending' ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return left === right ? 0 : sign * (left < right ? -1 : 1);
  });
}
