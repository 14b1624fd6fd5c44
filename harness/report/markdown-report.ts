/** The run as a page of GitHub Markdown, for the summary of a step: what failed first, then who was how fast. */
import { compareCells } from './cell-comparison.ts';
import { failedCell, reasonOf } from './cell-failure.ts';
import { cellTitle, conditionsOf, groupBy, rowLabel } from './cell-groups.ts';
import {
  flakyEvidence,
  flakyGroups,
  flakyTitle,
  flakyWords,
  noOtherTryLines,
  tryLines,
} from './flaky-report.ts';
import type { CellReport, ReportedRun } from './run-report.ts';
import { clipText, neutralize } from './terminal-text.ts';

/** GitHub takes 1 MiB (1,048,576 bytes) for all summaries of a step; above that it shows none of them. */
export const stepSummaryBytes = 1_048_576;

const textCharacters = 600;
/** Kept free for the sentence that says what was left out. */
const closingBytes = 400;

/**
 * Whole lines up to the limit; what does not fit is counted in a last sentence. Text of the report is shown as text: it is
 * code of HTML, in which nothing of Markdown, of HTML or of GitHub's own (names, numbers of issues) has a meaning.
 *
 * @param maximumBytes of the text in UTF-8
 */
export function markdownReport(report: ReportedRun, maximumBytes = stepSummaryBytes): string {
  const page = new Page(maximumBytes - closingBytes);
  const cells = [...report.cells].map(condensed);
  for (const line of headline(report, cells)) page.line(line);
  const failed = cells.flatMap((cell) => (cell.verdict === 'pass' ? [] : [cell]));
  page.table(
    'What failed',
    ['cell', 'verdict', 'why', 'recording'],
    groupedFailures(failed).map(({ cell, reasons, more }) => [
      code(cellTitle(cell)) + (more === 0 ? '' : ` and ${more} more`),
      `${marks[cell.verdict]} ${cell.verdict}`,
      [...reasons, ...tryLines(cell), ...noOtherTryLines(cell)].map(code).join('<br>'),
      code(cell.recording),
    ]),
    'failure',
  );
  page.table(
    'Flaky',
    ['cell', 'what', 'recording'],
    flakyGroups(cells).map((group) => [
      code(flakyTitle(group)),
      code(flakyWords(group.flaky, report.run.time)),
      flakyEvidence(group).map(code).join('<br>'),
    ]),
    'flaky cell',
  );
  for (const [conditions, group] of groupBy(cells, conditionsOf)) {
    page.table(
      `${code(conditions)} ${code(group[0]!.title)}`,
      comparisonHeads,
      group.map((cell) => comparisonRow(cell)),
      'row',
    );
  }
  page.table(
    'Not run',
    ['cell', 'why'],
    report.notRun.map((cell) => [
      code([cell.scenario, cell.provider, cell.device, cell.network].join(' · ')),
      code(cell.reason),
    ]),
    'cell that was not run',
  );
  return page.text();
}

/** What the page needs of a cell: its turns and ledgers are most of it. */
function condensed(cell: CellReport): CellReport {
  const turns = cell.turns.map(({ turn, verdict }) => ({ ...noTurn, turn, verdict }));
  const expectations = cell.expectations.filter(({ outcome }) => outcome === 'fail');
  return { ...cell, turns, expectations, ledger: noLedger };
}

const noTurn = {
  audible_at_speaker_ms: null,
  spans: {},
  underruns: [],
  sentences: [],
  metrics: {},
  ledger: { stages: [], restKnown: true },
};
const noLedger = { stages: [], outside: [], sources: [], unexplained: [] };

const marks = { pass: '✅', fail: '❌', infra: '⚠️' } as const;

function headline({ run, notRun }: ReportedRun, cells: readonly CellReport[]): string[] {
  const count = (verdict: CellReport['verdict']) =>
    cells.filter((cell) => cell.verdict === verdict).length;
  const words = { pass: 'passed', fail: 'failed', infra: 'could not be judged' } as const;
  const verdicts = (['fail', 'infra', 'pass'] as const).flatMap((verdict) =>
    count(verdict) === 0 ? [] : [`${marks[verdict]} ${count(verdict)} ${words[verdict]}`],
  );
  const flaky = flakyGroups(cells).length;
  if (flaky > 0) verdicts.push(`🔁 ${flaky} flaky`);
  const whose = run.live ? 'live' : run.replay === undefined ? 'stand-ins' : 'recording';
  return [
    `### EchoKit: ${verdicts.length === 0 ? 'no cell was run' : verdicts.join(', ')}`,
    '',
    `${code(run.id)}, ${cells.length} cells, ${notRun.length} not run, seed ${run.seed}, ${run.time} time, ${whose}. ` +
      'Times in ms, medians unless noted; heard = last voiced sample of the user to the first audible sample at the speaker.',
    '',
  ];
}

interface GroupedFailure {
  readonly cell: CellReport;
  readonly reasons: readonly string[];
  more: number;
}

/** Cells that failed for the same reason stand in one row. */
function groupedFailures(cells: readonly CellReport[]): GroupedFailure[] {
  const groups = new Map<string, GroupedFailure>();
  for (const cell of cells) {
    const { items, cause } = failedCell(cell) ?? { items: [reasonOf(cell)], cause: cell.verdict };
    const same = groups.get(cause);
    if (same === undefined) groups.set(cause, { cell, reasons: items, more: 0 });
    else same.more++;
  }
  // What failed comes before what could not be judged.
  return [...groups.values()].toSorted(
    (a, b) => Number(a.cell.verdict === 'infra') - Number(b.cell.verdict === 'infra'),
  );
}

const comparisonHeads = [
  'provider',
  'turns ok/failed',
  'heard',
  'heard p95',
  'ttfb',
  'ttfa',
  'underruns',
  'underrun ms',
  'seam',
  'pre-buffer',
  'audio s',
  'LUFS',
  'verdict',
] as const;

function comparisonRow(cell: CellReport): string[] {
  const row = compareCells([cell]);
  const number = (value: number | null, digits = 0): string =>
    value === null ? '—' : value.toFixed(digits);
  const reason = reasonOf(cell);
  return [
    code(rowLabel(cell)),
    `${row.turnsAnswered}/${row.turnsFailed}`,
    number(row.audibleP50Ms),
    number(row.audibleP95Ms),
    number(row.ttfbP50Ms),
    number(row.ttfaP50Ms),
    number(row.underrunCount),
    number(row.underrunTotalMs),
    number(row.seamP50Ms),
    number(row.prebufferNeededMs),
    number(row.playedSeconds, 1),
    number(row.loudnessLufs, 1),
    `${marks[cell.verdict]} ${cell.verdict}${reason === '' ? '' : ` ${code(reason)}`}${cell.flaky === undefined ? '' : ', flaky'}`,
  ];
}

/** Columns of words; those of numbers stand at the right. */
const textHeads: ReadonlySet<string> = new Set([
  'cell',
  'provider',
  'verdict',
  'why',
  'what',
  'recording',
]);

/** Lines up to a number of bytes. */
class Page {
  readonly #maximum: number;
  readonly #lines: string[] = [];
  readonly #left = new Map<string, number>();
  #bytes = 0;

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** False: there is no room for it. */
  line(text: string): boolean {
    const bytes = Buffer.byteLength(text) + 1;
    if (this.#bytes + bytes > this.#maximum) return false;
    this.#lines.push(text);
    this.#bytes += bytes;
    return true;
  }

  /** @param noun of a row, for the sentence that says how many were left out */
  table(
    title: string,
    heads: readonly string[],
    rows: readonly (readonly string[])[],
    noun: string,
  ): void {
    if (rows.length === 0) return;
    const head = [
      `#### ${title}`,
      '',
      `| ${heads.join(' | ')} |`,
      `|${heads.map((head) => (textHeads.has(head) ? ' --- ' : ' ---: ')).join('|')}|`,
    ];
    const [first, ...others] = rows.map((cells) => `| ${cells.join(' | ')} |`);
    // A head without a row says nothing.
    if (!this.line([...head, first].join('\n'))) {
      this.#leave(noun, rows.length);
      return;
    }
    for (const [i, row] of others.entries()) {
      if (this.line(row)) continue;
      this.#leave(noun, others.length - i);
      break;
    }
    this.line('');
  }

  #leave(noun: string, count: number): void {
    this.#left.set(noun, (this.#left.get(noun) ?? 0) + count);
  }

  text(): string {
    const left = [...this.#left].map(([noun, count]) => `${count} × ${noun}`);
    const closing =
      left.length === 0
        ? []
        : [
            '',
            `**Left out, because GitHub shows no summary above 1 MiB: ${left.join(', ')}.** The report has all.`,
          ];
    return `${[...this.#lines, ...closing].join('\n')}\n`;
  }
}

/** Text that is nothing but text, wherever it stands. */
function code(text: string): string {
  const clipped = neutralize(clipText(text, textCharacters));
  const entity = (character: string): string => `&#${character.charCodeAt(0)};`;
  return `<code>${clipped.replaceAll(/[!-/:-@[-`{-~]/g, (character) => (plain.has(character) ? character : entity(character)))}</code>`;
}

/** Punctuation that means nothing in Markdown, in a table or in HTML, wherever it stands. */
const plain: ReadonlySet<string> = new Set([',', '.', '-', '/', '(', ')', '%', ';', '?']);
