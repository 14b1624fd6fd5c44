/** What a prebuffer would have changed, for each provider on each network: as JSON, and as tables. */

import { readConversation } from '../metrics/conversation.ts';
import {
  type PrebufferCurve,
  type PrebufferPoint,
  prebufferCurve,
} from '../metrics/prebuffer-curve.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { groupBy } from './cell-groups.ts';
import type { Colors } from './ledger-tables.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableCell, type TableColumn, wrapText } from './text-table.ts';

/** The curve of all recordings with this provider on this network; a server is named that is not ours. */
export interface PrebufferReport extends PrebufferCurve {
  readonly provider: string;
  readonly network: string;
  readonly server: string;
  readonly recordings: number;
}

/** In the order in which their first recordings come. */
export function prebufferReports(cells: readonly RecordedCell[]): PrebufferReport[] {
  const kinds = groupBy(cells, ({ header: { provider, network, server } }) =>
    JSON.stringify([provider, network, server]),
  );
  return [...kinds.values()].map((group) => {
    const { provider, network, server = 'harness' } = group[0]!.header;
    const read = group.map((cell) => ({ cell, conversation: readConversation(cell) }));
    return { provider, network, server, recordings: group.length, ...prebufferCurve(read) };
  });
}

const columns: readonly TableColumn[] = [
  { head: ['prebuffer', 'ms'], align: 'right' },
  { head: ['begins', 'later by'], align: 'right' },
  { head: ['first', 'sound'], align: 'right' },
  { head: ['under-', 'runs'], align: 'right' },
  { head: ['silent', 'ms'], align: 'right' },
  { head: ['', ''], align: 'left' },
];

/** Shown beside the first, the knee and the last; all points are in the JSON. */
const shownMs: ReadonlySet<number> = new Set([64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096]);

export function prebufferTables(
  reports: readonly PrebufferReport[],
  width: number,
  colors: Colors,
): string[] {
  return [
    ...reports.flatMap((report) => [...curveLines(report, width, colors), '']),
    ...wrapText(
      'The player begins a sentence when so much of it is queued. Times in ms, means of the answers that were heard to ' +
        'their end; first sound = last voiced sample of the user → first audible sample. Knee: with less, little is gained, ' +
        'with more, much waiting is paid for little.',
      width,
    ).map(colors.dim),
  ];
}

function curveLines(report: PrebufferReport, width: number, colors: Colors): string[] {
  const { provider, network, server, turns, points, knee, enoughMs } = report;
  const place = `${provider}${server === 'harness' ? '' : ` (${server})`} on ${network}`;
  const answers = `${turns} ${turns === 1 ? 'answer' : 'answers'}`;
  const title = (words: string): string[] =>
    wrapText(neutralize(`${place}, ${answers}: ${words}`), width, ['', '  ']).map(colors.bold);
  if (knee === null) return title('nothing to reckon with, none was heard to its end');
  if (points.length === 1) return title('no underrun, no prebuffer needed');
  const enough = enoughMs === null ? 'none is enough' : `${enoughMs} ms are enough`;
  const rows = points
    .filter(
      (point, i) =>
        point === knee || i === points.length - 1 || i === 0 || shownMs.has(point.prebufferMs),
    )
    .map((point) => rowOf(point, point === knee));
  return [
    ...title(`knee at ${knee.prebufferMs} ms, ${enough}`),
    ...renderTable(columns, rows, width, colors.dim),
  ];
}

function rowOf(point: PrebufferPoint, isKnee: boolean): TableCell[] {
  const ms = (value: number | null): TableCell => ({
    text: value === null ? '—' : value.toFixed(0),
  });
  return [
    ms(point.prebufferMs),
    ms(point.startDelayMs),
    ms(point.firstSoundMs),
    ms(point.underruns),
    ms(point.underrunMs),
    { text: isKnee ? '← knee' : '' },
  ];
}
