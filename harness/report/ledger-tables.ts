/** The ledger of samples for a person: where each missing or added sample went. */
import {
  type ConservationStage,
  causeDefinition,
  type DifferenceCause,
} from '../metrics/sample-ledger.ts';
import { cellTitle, groupBy, rowLabel } from './cell-groups.ts';
import { addLedgers, hasLedgerFault, type LedgerStageReport } from './ledger-report.ts';
import type { CellReport } from './run-report.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableCell, type TableColumn, wrapText } from './text-table.ts';

/** Of a terminal with colors, or of one without. */
export type Colors = Readonly<Record<'bold' | 'dim' | 'red' | 'yellow', (text: string) => string>>;

export interface LedgerTableSettings {
  /**
   * `all`: every cell, turn by turn. `faulty`: the cells in which something is wrong, turn by turn, and the sum of all.
   * `sums`: sums of the rows in which something is wrong.
   */
  readonly detail: 'sums' | 'faulty' | 'all';
  readonly width: number;
}

const none = '—';

const stageTitles: Readonly<Record<ConservationStage, string>> = {
  provider: 'provider',
  normalised: 'normalised',
  framed: 'framed',
  received: 'received',
  decoded: 'decoded',
  pushed: 'for the player',
  played: 'played',
};

/** No lines where there is nothing to tell. */
export function ledgerTables(
  cells: readonly CellReport[],
  settings: LedgerTableSettings,
  colors: Colors,
): string[] {
  const faulty = cells.filter(({ ledger }) => hasLedgerFault(ledger));
  const { detail, width } = settings;
  const shown = detail === 'all' ? cells : faulty;
  const tables = shown.map((cell) => cellTable(cell, settings, colors));
  switch (detail) {
    case 'sums':
      if (faulty.length === 0) return [];
      return [
        ...sumTable(cells, new Set(faulty.map(rowLabel)), settings, colors),
        ...legend(faulty, width).map(colors.dim),
      ];
    case 'faulty':
      tables.push(totalTable(cells, faulty.length, settings, colors));
      return [...spaced(tables), ...legend(cells, width).map(colors.dim)];
    case 'all':
      return [...spaced(tables), ...legend(cells, width).map(colors.dim)];
  }
}

function spaced(tables: readonly (readonly string[])[]): string[] {
  return tables.flatMap((lines, i) => [...(i === 0 ? [] : ['']), ...lines]);
}

/** All cells as one, with how many of them are in order. */
function totalTable(
  cells: readonly CellReport[],
  faulty: number,
  { width }: LedgerTableSettings,
  colors: Colors,
): string[] {
  const stages = addLedgers(cells.map(({ ledger }) => ledger.stages));
  const columns: Amounts[] = [
    { head: 'samples', stages, show: samplesText },
    { head: 'ms', stages, show: millisecondsText },
  ];
  const clean = `${cells.length - faulty} of ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'}`;
  const title = `Sample ledger: all cells together; in ${clean} every sample has a good cause (each turn by turn: --ledger all)`;
  return [
    ...wrapText(title, width, ['', '  ']).map(colors.bold),
    ...amountsTable(columns, width, colors),
  ];
}

/** One column for each turn, one for what belongs to none, and their sum in samples and in ms. */
function cellTable(cell: CellReport, { width }: LedgerTableSettings, colors: Colors): string[] {
  const { turns, ledger } = cell;
  const several = turns.length > 1;
  const columns: Amounts[] = [
    ...turns.map(
      (turn): Amounts => ({
        head: `turn ${turn.turn}`,
        stages: turn.ledger.stages,
        show: samplesText,
      }),
    ),
    { head: 'outside', stages: ledger.outside, show: samplesText },
    { head: several ? 'all' : 'sum', stages: ledger.stages, show: samplesText },
    { head: 'ms', stages: ledger.stages, show: millisecondsText },
  ];
  const rates = ledger.sources.map(({ rateHz }) => `${rateHz / 1000} kHz`).join(', ');
  const title = `Sample ledger: ${cellTitle(cell)} (samples at 16 kHz${rates === '' ? '' : `; they came at ${rates}`})`;
  const notes = turns
    .filter((turn) => !turn.ledger.restKnown)
    .map(
      ({ turn }) =>
        `turn ${turn}: up to 255 of the samples played may belong to the sound before or after`,
    );
  return [
    ...wrapText(neutralize(title), width, ['', '  ']).map(colors.bold),
    ...amountsTable(columns, width, colors),
    ...ledger.unexplained.flatMap(({ to, what, seqs }) =>
      wrapText(neutralize(`${stageTitles[to]}: ${what}${traceLines(seqs)}`), width, [
        '  ',
        '    ',
      ]).map(colors.red),
    ),
    ...notes.flatMap((note) => wrapText(note, width, ['  ', '    '])),
  ];
}

/** One column for each row of the comparison in which something is wrong. */
function sumTable(
  cells: readonly CellReport[],
  labels: ReadonlySet<string>,
  { width }: LedgerTableSettings,
  colors: Colors,
): string[] {
  const columns = [...groupBy(cells, rowLabel)]
    .filter(([label]) => labels.has(label))
    .map(([label, group]): Amounts => {
      const stages = addLedgers(group.map(({ ledger }) => ledger.stages));
      return { head: neutralize(label), stages, show: millisecondsText };
    });
  return [
    ...wrapText('Sample ledger (ms; turn by turn and in samples with --ledger)', width, [
      '',
      '  ',
    ]).map(colors.bold),
    ...amountsTable(columns, width, colors),
  ];
}

interface Amounts {
  readonly head: string;
  readonly stages: readonly LedgerStageReport[];
  show(samples: number): string;
}

function amountsTable(columns: readonly Amounts[], width: number, colors: Colors): string[] {
  const all = columns.flatMap(({ stages }) => stages);
  const rows = (Object.keys(stageTitles) as ConservationStage[]).flatMap((stage) => {
    const here = all.filter((one) => one.stage === stage);
    const causes = [...new Set(here.flatMap((one) => one.causes.map(({ cause }) => cause)))];
    const gap = here.some(({ unexplained }) => (unexplained ?? 0) !== 0);
    return [
      ...causes.map((cause) => row(columns, stage, cause, colors)),
      ...(gap ? [row(columns, stage, 'unexplained', colors)] : []),
      row(columns, stage, 'stage', colors),
    ];
  });
  const heads: TableColumn[] = columns.map(({ head }) => ({ head: ['', head], align: 'right' }));
  return renderTable([{ head: ['', ''], align: 'left' }, ...heads], rows, width, colors.dim);
}

function row(
  columns: readonly Amounts[],
  stage: ConservationStage,
  what: DifferenceCause | 'unexplained' | 'stage',
  colors: Colors,
): TableCell[] {
  if (what === 'stage') {
    const amounts = columns.map(({ stages, show }): TableCell => {
      const samples = stages.find((one) => one.stage === stage)?.samples ?? null;
      return { text: samples === null ? none : show(samples), paint: colors.bold };
    });
    return [{ text: stageTitles[stage], paint: colors.bold }, ...amounts];
  }
  const definition = what === 'unexplained' ? undefined : causeDefinition(what);
  const wrong = definition === undefined ? colors.red : colors.yellow;
  const paint = definition === undefined || definition.defect === true ? { paint: wrong } : {};
  const amounts = columns.map(({ stages, show }): TableCell => {
    const found = stages.find((one) => one.stage === stage);
    const samples =
      what === 'unexplained'
        ? (found?.unexplained ?? 0)
        : (found?.causes.find(({ cause }) => cause === what)?.samples ?? 0);
    const text = samples === 0 ? '' : `${samples > 0 ? '+' : ''}${show(samples)}`;
    return { text, ...paint };
  });
  return [{ text: `  ${definition?.title ?? 'unexplained'}`, ...paint }, ...amounts];
}

function legend(cells: readonly CellReport[], width: number): string[] {
  const used = new Set(
    cells.flatMap(({ ledger }) =>
      ledger.stages.flatMap(({ causes }) => causes.map(({ cause }) => cause)),
    ),
  );
  const text = [...used]
    .map((cause) => {
      const { title, definition } = causeDefinition(cause);
      return `${title} = ${definition}`;
    })
    .join('; ');
  return text === '' ? [] : wrapText(text, width);
}

function samplesText(samples: number): string {
  return String(samples);
}

function millisecondsText(samples: number): string {
  return (samples / 16).toFixed(1);
}

/** Lines of `trace.jsonl` that show it. */
export function traceLines(seqs: readonly number[]): string {
  if (seqs.length === 0) return '';
  return ` (seq ${seqs.slice(0, 5).join(', ')}${seqs.length > 5 ? ', …' : ''})`;
}
