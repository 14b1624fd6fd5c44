/** A run for a person at a terminal: who was how fast, where the time went, what failed, what next. */
import picocolors from 'picocolors';
import { externalServer } from '../scenario/plan.ts';
import { blameLines } from './blame-report.ts';
import { boardLines, roomLines, twinLines } from './board-report.ts';
import { type Comparison, compareCells, meanSpans, numberAt } from './cell-comparison.ts';
import { type FailedCell, failedCell, reasonOf } from './cell-failure.ts';
import { cellTitle, conditionsOf, groupBy, isUsual, placeOf, rowLabel } from './cell-groups.ts';
import {
  flakyEvidence,
  flakyGroups,
  flakyTitle,
  flakyWords,
  noOtherTryLines,
  tryLines,
} from './flaky-report.ts';
import { ledgerTables } from './ledger-tables.ts';
import {
  type CellReport,
  type ExpectationReport,
  type RunReport,
  spanMetricNames,
} from './run-report.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableCell, type TableColumn, wrapText } from './text-table.ts';

export interface TerminalReportSettings {
  readonly color: boolean;
  /** Columns of the terminal. */
  readonly width: number;
  /** Folder of the run, as the user would type it. */
  readonly recordingsFolder: string;
  /** One line each, for example a command. */
  readonly nextSteps: readonly string[];
  /** Show the ledger of samples turn by turn; absent: only sums, where something is wrong. */
  readonly ledger?: 'faulty' | 'all';
  /** Show where real boards and their models part, line by line. */
  readonly twin?: boolean;
}

const none = '—';

/** Text that ends in a line feed. Whatever the report holds cannot act on the terminal. */
export function renderTerminalReport(report: RunReport, settings: TerminalReportSettings): string {
  const colors = picocolors.createColors(settings.color);
  const { cells } = report;
  const sections = [
    headline(report, settings.width, colors),
    ...(cells.length === 0
      ? [['No cell was run.']]
      : [
          providerTable(cells, settings.width, colors),
          placeTable(cells, settings.width, colors),
          scenarioTables(cells, settings.width, colors),
          spanTable(cells, settings.width, colors),
          lossTable(cells, settings.width, colors),
          blameLines(cells, settings.width, colors),
          ledgerTables(cells, { detail: settings.ledger ?? 'sums', width: settings.width }, colors),
          boardSections(cells, settings, colors),
          failureList(cells, settings, colors),
          flakyList(report, settings.width, colors),
        ]),
    notRunList(report, settings.width, colors),
    closing(cells, settings, colors),
  ];
  const filled = sections.filter((lines) => lines.length > 0);
  return `${filled.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

type Colors = ReturnType<typeof picocolors.createColors>;

function headline({ run, cells }: RunReport, width: number, colors: Colors): string[] {
  const count = (verdict: CellReport['verdict']) =>
    cells.filter((cell) => cell.verdict === verdict).length;
  const verdicts = (
    [
      [count('pass'), 'passed', colors.green],
      [count('fail'), 'failed', colors.red],
      [count('infra'), 'could not be judged', colors.yellow],
      [flakyGroups(cells).length, 'flaky', colors.yellow],
    ] as const
  ).flatMap(([number, word, paint]) =>
    number === 0 ? [] : [{ text: `${number} ${word}`, paint }],
  );
  const duration =
    typeof run.durationMs !== 'number' ? '' : `, ${(run.durationMs / 1000).toFixed(1)} s`;
  const external = cells.length > 0 && cells.every(({ server }) => server === externalServer);
  const ours = run.replay === undefined ? 'stand-ins' : whoReplayed[run.replay];
  const who = run.live ? 'live' : external ? 'another server' : ours;
  const facts = `${plural(cells.length, 'cell')}, ${seedText(run.seed, cells)}${run.time} time, ${who}${duration}`;
  const name = `Run ${neutralize(run.id)}`;
  // Wrapped as it will be seen; colors take no columns.
  const plain = verdicts.map(({ text }) => text).join(', ');
  const line = `${name}: ${plain === '' ? '' : `${plain} — `}${facts}`;
  const paint = (text: string): string =>
    [{ text: name, paint: colors.bold }, ...verdicts].reduce(
      (painted, part) => painted.replace(part.text, () => part.paint(part.text)),
      text,
    );
  return [
    ...wrapText(line, width, ['', '  ']).map(paint),
    ...(run.live ? liveLines(run, cells, width, colors) : []),
    ...busyLines(cells, width, colors),
  ];
}

const whoReplayed = { strict: 'recording', 'what-if': 'recording, what if' } as const;

/** Of the run; where nobody knows it, of its conversation, which is another number. */
function seedText(seed: number | null, cells: readonly CellReport[]): string {
  if (seed !== null) return `seed ${seed}, `;
  return cells.length === 1 ? `seed of the conversation ${cells[0]!.seed}, ` : '';
}

/** Above this, what was late may have been late because of this computer (pitfalls catalogue, S04). */
const busyLagMs = 50;

/** Who measures on a busy computer must not blame the provider. */
function busyLines(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  const lags = cells.map(({ metrics }) => numberAt(metrics, 'host.lag_p99_ms') ?? 0);
  const busy = lags.filter((lag) => lag > busyLagMs);
  if (busy.length === 0) return [];
  const text =
    `This computer was busy in ${busy.length} of ${plural(cells.length, 'cell')}: it was up to ` +
    `${Math.max(...busy).toFixed(0)} ms late (p99) for what was due. Late sound and breaks may be its fault; ` +
    'repeat with less beside it.';
  return wrapText(text, width, ['', '  ']).map((line) => colors.yellow(line));
}

/** Figures of real services must never pass for those of stand-ins, or the other way round. */
function liveLines(
  { budget }: RunReport['run'],
  cells: readonly CellReport[],
  width: number,
  colors: Colors,
): string[] {
  const places = new Set(cells.map(({ provider, host }) => `${provider} at ${host ?? none}`));
  const spoken = places.size === 0 ? 'nothing was spoken' : [...places].join(', ');
  const used =
    budget === undefined
      ? ''
      : `; ${budget.requests} of ${plural(budget.maxRequests, 'request')} and ` +
        `${budget.characters} of ${plural(budget.maxCharacters, 'character')} used`;
  const text = neutralize(`LIVE: ${spoken}${used}`);
  return wrapText(text, width, ['', '  ']).map((line) => colors.bold(colors.magenta(line)));
}

const comparisonColumns: readonly TableColumn[] = [
  { head: ['turns', 'ok/fail'], align: 'right' },
  { head: ['heard', 'p50'], align: 'right' },
  { head: ['heard', 'p95'], align: 'right' },
  { head: ['ttfb', 'p50'], align: 'right' },
  { head: ['ttfa', 'p50'], align: 'right' },
  { head: ['under-', 'runs/ms'], align: 'right' },
  { head: ['seam', 'p50'], align: 'right' },
  { head: ['pre-', 'buf.'], align: 'right' },
  { head: ['audio', 's'], align: 'right' },
  { head: ['loud', 'LUFS'], align: 'right' },
  { head: ['', 'verdict'], align: 'left' },
];

/** Left out where it would repeat the only other table. */
function providerTable(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  if (groupBy(cells, conditionsOf).size === 1) return [];
  const different = (part: (cell: CellReport) => string, noun: string) =>
    plural(new Set(cells.map(part)).size, noun);
  const over = [
    different(({ scenario }) => scenario, 'scenario'),
    different((cell) => placeOf(cell)[0], 'board'),
    different((cell) => placeOf(cell)[1], 'network'),
  ];
  const rows = [...groupBy(cells, rowLabel)];
  return comparisonTable(`Providers, over ${over.join(', ')}`, rows, width, colors);
}

/** Left out where they would repeat the table of places row by row. */
function scenarioTables(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  const places = groupBy(cells, conditionsOf).size;
  const checked = cells.some(({ expectations }) =>
    expectations.some(({ check }) => check === true),
  );
  const one = ({ scenario, ...cell }: CellReport): string =>
    `${scenario} ${rowLabel({ scenario, ...cell })}`;
  if (places > 1 && !checked && groupBy(cells, one).size === 1) return [];
  return [...groupBy(cells, conditionsOf)].flatMap(([conditions, group], i) => {
    const title = neutralize(`${conditions} — ${group[0]!.title}`);
    // Repetitions stand in one row.
    const rows = [...groupBy(group, rowLabel)];
    return [
      ...(i === 0 ? [] : ['']),
      ...comparisonTable(title, rows, width, colors),
      ...foundLines(group, width, colors),
    ];
  });
}

/** What the checks of a scenario found: a scenario that is there to show something shows it here. */
function foundLines(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  const checks = cells.flatMap((cell) =>
    cell.expectations.filter(({ check }) => check === true).map((check) => ({ cell, check })),
  );
  const key = ({ check: { metric, operator, value, turn, at } }: (typeof checks)[number]) =>
    [metric, operator, value, turn, at.line].join('\0');
  return [...groupBy(checks, key).values()].flatMap((group) => {
    const [{ check }] = group as [(typeof checks)[number]];
    const failed = group.filter(({ check: one }) => one.outcome === 'fail');
    const paint = failed.length > 0 ? colors.red : colors.dim;
    const text = group.length === 1 ? check.evidence : foundInAll(group.map((one) => one.check));
    const who =
      failed.length === 0 || group.length === 1
        ? ''
        : `; not in ${failed.map(({ cell }) => rowLabel(cell)).join(', ')}`;
    return wrapText(neutralize(`found: ${text}${who}`), width, ['  ', '    ']).map(paint);
  });
}

function foundInAll(checks: readonly ExpectationReport[]): string {
  const [{ metric, operator, value, turn }] = checks as [ExpectationReport];
  const counts = [...new Set(checks.map(({ actual }) => actual ?? none))].join(' or ');
  const where = turn === undefined ? '' : ` in turn ${turn}`;
  return `${metric} = ${counts}${where}, expected ${operator} ${value}`;
}

/** The same provider in several places, which the tables above have apart. */
function placeTable(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  const place = (cell: CellReport): string => placeOf(cell).join(' · ');
  if (groupBy(cells, place).size === 1) return [];
  const rows = [...groupBy(cells, rowLabel)].flatMap(([label, group]) =>
    [...groupBy(group, place)].map(([where, found]): [string, CellReport[]] => [
      `${label} · ${where}`,
      found,
    ]),
  );
  const scenarios = plural(new Set(cells.map(({ scenario }) => scenario)).size, 'scenario');
  return comparisonTable(
    `Boards and networks side by side, over ${scenarios}`,
    rows,
    width,
    colors,
  );
}

const lossColumns: readonly TableColumn[] = [
  { head: ['', 'provider'], align: 'left' },
  { head: ['from', 'provider s'], align: 'right' },
  { head: ['dropped', 'ms'], align: 'right' },
  { head: ['', '%'], align: 'right' },
  { head: ['added', 'ms'], align: 'right' },
  { head: ['played', 's'], align: 'right' },
];

/** Before and after, where a server behaved as the EchoKit server. */
function lossTable(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  if (cells.every(({ server }) => isUsual(server))) return [];
  const number = (value: number | null, digits: number): TableCell => ({
    text: value === null ? none : value.toFixed(digits),
  });
  const rows = [...groupBy(cells, rowLabel)].map(([label, group]): TableCell[] => {
    const { providerSeconds, lostMs, paddedMs, playedSeconds } = compareCells(group);
    const known = lostMs !== null && providerSeconds !== null && providerSeconds > 0;
    const warn = (lostMs ?? 0) > 0 ? { paint: colors.yellow } : {};
    return [
      { text: neutralize(label) },
      number(providerSeconds, 2),
      { ...number(lostMs, 0), ...warn },
      { ...number(known ? lostMs / 10 / providerSeconds : null, 1), ...warn },
      number(paddedMs, 0),
      number(playedSeconds, 2),
    ];
  });
  const notes = [
    '* behaves as the EchoKit server: what of a block of audio (0.5 s; from a socket, a message) fills ' +
      'no packet of 120 ms is dropped, which is 20 ms of every 0.5 s and the end of a sentence. ' +
      'Without * the rest is carried on, and only the end is padded.',
    'What else it does in that way: "compat" in harness/server/README.md.',
  ];
  return [
    colors.bold('Audio that the server dropped'),
    ...renderTable(lossColumns, rows, width, colors.dim),
    ...notes.flatMap((note) => wrapText(note, width)).map(colors.dim),
  ];
}

function comparisonTable(
  title: string,
  rows: readonly (readonly [string, readonly CellReport[]])[],
  width: number,
  colors: Colors,
): string[] {
  const table = rows.map(([label, cells]) => [
    { text: neutralize(label) },
    ...comparisonCells(compareCells(cells), colors),
    verdictCell(cells, colors),
  ]);
  const columns: TableColumn[] = [{ head: ['', 'provider'], align: 'left' }, ...comparisonColumns];
  return [
    ...wrapText(title, width, ['', '  ']).map(colors.bold),
    ...renderTable(columns, table, width, colors.dim),
  ];
}

function comparisonCells(row: Comparison, colors: Colors): TableCell[] {
  const milliseconds = (value: number | null): TableCell => ({
    text: value === null ? none : String(Math.round(value)),
  });
  const decimal = (value: number | null): TableCell => ({
    text: value === null ? none : value.toFixed(1),
  });
  const { underrunCount, underrunTotalMs } = row;
  return [
    {
      text: `${row.turnsAnswered}/${row.turnsFailed}`,
      ...(row.turnsFailed > 0 ? { paint: colors.red } : {}),
    },
    { ...milliseconds(row.audibleP50Ms), paint: colors.bold },
    milliseconds(row.audibleP95Ms),
    milliseconds(row.ttfbP50Ms),
    milliseconds(row.ttfaP50Ms),
    {
      text: underrunCount === null ? none : `${underrunCount}/${Math.round(underrunTotalMs ?? 0)}`,
      ...((underrunCount ?? 0) > 0 ? { paint: colors.yellow } : {}),
    },
    milliseconds(row.seamP50Ms),
    milliseconds(row.prebufferNeededMs),
    decimal(row.playedSeconds),
    decimal(row.loudnessLufs),
  ];
}

/** The class of the first failure stands beside the verdict; one that was asked for in brackets. */
function verdictCell(cells: readonly CellReport[], colors: Colors): TableCell {
  const outcomes = (['fail', 'infra', 'pass'] as const).map(
    (outcome) => [outcome, cells.filter(({ verdict }) => verdict === outcome)] as const,
  );
  const [outcome, group] = outcomes.find(([, found]) => found.length > 0)!;
  const count = cells.length > 1 ? ` ${group.length}/${cells.length}` : '';
  const reason = [...new Set(group.map(reasonOf).filter((found) => found !== ''))][0];
  const paint = { fail: colors.red, infra: colors.yellow, pass: colors.green }[outcome];
  const flaky = cells.some((cell) => cell.flaky !== undefined) ? ', flaky' : '';
  if (reason === undefined) return { text: outcome + count + flaky, paint };
  return { text: `${outcome}${count}${count === '' ? ' ' : ': '}${reason}${flaky}`, paint };
}

const spanHeads: Readonly<Record<string, readonly [string, string]>> = {
  end_of_turn_ms: ['end of', 'turn'],
  first_text_ms: ['first', 'text'],
  sentence_ready_ms: ['sent.', 'ready'],
  handover_ms: ['hand-', 'over'],
  text_optimization_ms: ['text', 'optim.'],
  connect_ms: ['con-', 'nect'],
  ttfb_ms: ['', 'ttfb'],
  server_hold_ms: ['server', 'hold'],
  downlink_ms: ['down-', 'link'],
  play_start_ms: ['play', 'start'],
  lead_silence_ms: ['lead', 'sil.'],
  unattributed_ms: ['not', 'known'],
};

/** Few runs have any of these; a column of zeros would only take room. */
const rareSpans: ReadonlySet<string> = new Set(['text_optimization_ms', 'unattributed_ms']);

/** The columns of a row add up to its last but one, to the millisecond. */
function spanTable(cells: readonly CellReport[], width: number, colors: Colors): string[] {
  const rows = [...groupBy(cells, rowLabel)].map(
    ([provider, group]) => [provider, meanSpans(group)] as const,
  );
  const shown = spanMetricNames.flatMap((name, i) =>
    rareSpans.has(name) && rows.every(([, mean]) => (mean?.spansMs[i] ?? 0) === 0) ? [] : [i],
  );
  const columns: TableColumn[] = [
    { head: ['', 'provider'], align: 'left' },
    ...shown.map((i): TableColumn => {
      const name = spanMetricNames[i]!;
      return { head: spanHeads[name] ?? ['', name], align: 'right' };
    }),
    { head: ['', '= heard'], align: 'right' },
    { head: ['', 'n'], align: 'right' },
  ];
  const table = rows.map(([provider, mean]): TableCell[] => {
    const largest = mean === null ? -1 : Math.max(...mean.spansMs.map((value) => value ?? -1));
    return [
      { text: neutralize(provider) },
      ...shown.map((i): TableCell => {
        const value = mean?.spansMs[i] ?? null;
        if (value === null) return { text: none };
        return { text: String(value), ...(value === largest ? { paint: colors.yellow } : {}) };
      }),
      { text: mean === null ? none : String(mean.audibleMs), paint: colors.bold },
      { text: String(mean?.n ?? 0) },
    ];
  });
  const title = 'Where did the time go (mean ms per answered turn)';
  return [colors.bold(title), ...renderTable(columns, table, width, colors.dim)];
}

function failureList(
  cells: readonly CellReport[],
  { width, recordingsFolder }: TerminalReportSettings,
  colors: Colors,
): string[] {
  const failed = cells.flatMap((cell) => failedCell(cell) ?? []);
  const lines = [...groupBy(failed, ({ cause }) => cause).values()].flatMap((group) => {
    const [{ cell, items }] = group as [FailedCell];
    const paint = cell.verdict === 'infra' ? colors.yellow : colors.red;
    const more = group.length === 1 ? '' : ` (and ${group.length - 1} more)`;
    const recording = `recording: ${recordingsFolder}/${cell.recording}${more}`;
    const tries = [...tryLines(cell), ...noOtherTryLines(cell)];
    return [
      ...wrapText(neutralize(groupTitle(group.map((one) => one.cell))), width, ['  ', '    ']).map(
        paint,
      ),
      ...[...items, ...tries, recording].flatMap((item) =>
        wrapText(neutralize(item), width, ['    ', '      ']),
      ),
    ];
  });
  return lines.length === 0 ? [] : [colors.bold('What failed'), ...lines];
}

/** What came out differently when it was held again: the verdicts stay as they are. */
function flakyList({ run, cells }: RunReport, width: number, colors: Colors): string[] {
  const groups = flakyGroups(cells);
  if (groups.length === 0) return [];
  return [
    colors.bold('Flaky'),
    ...groups.flatMap((group) => [
      ...wrapText(neutralize(`${flakyTitle(group)}: ${flakyWords(group.flaky, run.time)}`), width, [
        '  ',
        '    ',
      ]).map(colors.yellow),
      ...flakyEvidence(group).flatMap((line) =>
        wrapText(neutralize(line), width, ['    ', '      ']),
      ),
    ]),
  ];
}

/** One cell by its name, several by what they have in common and in how many ways they differ. */
function groupTitle(cells: readonly CellReport[]): string {
  const [first] = cells;
  if (cells.length === 1) return cellTitle(first!);
  const parts = (['scenario', 'provider', 'device', 'network', 'server'] as const).flatMap(
    (key) => {
      const names = [
        ...new Set(
          cells.map((cell) => {
            if (key === 'device') return placeOf(cell)[0];
            return key === 'network' ? placeOf(cell)[1] : cell[key];
          }),
        ),
      ];
      if (key === 'server' && names.every(isUsual)) return [];
      const nouns = {
        scenario: 'scenarios',
        provider: 'providers',
        device: 'boards',
        network: 'networks',
        server: 'servers',
      };
      return [names.length > 4 ? `${names.length} ${nouns[key]}` : names.join(', ')];
    },
  );
  return `${parts.join(' · ')}: ${cells.length} cells`;
}

/** Estimates must never pass for what was measured at a board. */
function boardSections(
  cells: readonly CellReport[],
  { width, twin = false }: TerminalReportSettings,
  colors: Colors,
): string[] {
  return cells.flatMap((cell) => {
    const { board, device } = cell;
    if (board === undefined) return [];
    return [
      ...(cells.length === 1 ? [] : [neutralize(cellTitle(cell))]),
      ...boardLines(board, device, width).map(colors.yellow),
      ...(cell.room === undefined ? [] : roomLines(cell.room, width)),
      ...(twin ? ['', ...twinLines(board, width, colors)] : []),
    ];
  });
}

function notRunList({ notRun }: RunReport, width: number, colors: Colors): string[] {
  if (notRun.length === 0) return [];
  return [
    colors.bold(`Not run: ${plural(notRun.length, 'cell')}`),
    ...[...groupBy(notRun, ({ reason }) => reason)].flatMap(([reason, cells]) => {
      const names = cells.map((cell) => `${cell.scenario} × ${cell.provider}`);
      const text = `${[...new Set(names)].join(', ')}: ${reason}`;
      return wrapText(neutralize(text), width, ['  ', '    ']).map(colors.yellow);
    }),
  ];
}

function closing(
  cells: readonly CellReport[],
  { recordingsFolder, nextSteps, width }: TerminalReportSettings,
  colors: Colors,
): string[] {
  const audibility = cells[0]?.settings.audibility;
  const heard =
    audibility === undefined
      ? []
      : [
          'Times in ms. heard = last voiced sample of the user → first audible sample at the ' +
            'speaker; pre-buf. = largest start delay, from playing at once, that a sentence needed to ' +
            `have no underrun; audible = RMS of ${audibility.windowSamples / 16} ms above ` +
            `${audibility.thresholdDbfs} dBFS; ${none} = not measured`,
        ];
  return [
    ...heard.flatMap((text) => wrapText(text, width)).map(colors.dim),
    `Recordings: ${neutralize(recordingsFolder)}`,
    ...(nextSteps.length === 0
      ? []
      : ['Next:', ...nextSteps.map((step) => `  ${neutralize(step)}`)]),
  ];
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
