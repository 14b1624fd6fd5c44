/** A comparison for a person at a terminal: the gates first, then what moved, then who is quicker than whom. */
import picocolors from 'picocolors';
import type { Interval } from '../comparison/bootstrap.ts';
import type {
  ComparedGroup,
  ComparedSide,
  Comparison,
  GateReport,
  MetricComparison,
  RankedPlace,
} from '../comparison/comparison.ts';
import { differenceText } from '../comparison/differences.ts';
import { groupBy, isUsual } from './cell-groups.ts';
import { flakyWords } from './flaky-report.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableCell, type TableColumn, wrapText } from './text-table.ts';

export interface ComparisonTextSettings {
  readonly color: boolean;
  readonly width: number;
  /** Show every metric; else those that moved and the most important ones. */
  readonly all?: boolean;
}

type Colors = ReturnType<typeof picocolors.createColors>;

const none = '—';

/** Shown whether they moved or not. */
const headlines: ReadonlySet<string> = new Set([
  'audible_at_speaker_ms.p50',
  'audible_at_speaker_ms.p95',
  'ttfb_ms.p50',
  'underruns.count',
  'underruns.total_ms',
  'audio_seconds.played',
  'turns.failed',
]);

/** Text that ends in a line feed. Whatever the comparison holds cannot act on the terminal. */
export function renderComparison(comparison: Comparison, settings: ComparisonTextSettings): string {
  const colors = picocolors.createColors(settings.color);
  const { width } = settings;
  const sections = [
    headline(comparison, width, colors),
    gateTable(comparison.gates, width, colors),
    gateNotes(comparison, width, colors),
    ...comparison.groups.map((group) => groupTable(group, settings, colors)),
    onlyLines(comparison, width, colors),
    flakyLines(comparison, width, colors),
    ...(['a', 'b'] as const).flatMap((side) =>
      comparison[side].ranking.map((place) =>
        rankingTable(side.toUpperCase(), place, width, colors),
      ),
    ),
    closing(comparison, width, colors),
  ].filter((lines) => lines.length > 0);
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function headline(comparison: Comparison, width: number, colors: Colors): string[] {
  const { a, b, verdict, differences } = comparison;
  const words = {
    pass: colors.green('no gate was passed'),
    regression: colors.red('REGRESSION'),
    undecided: colors.yellow('no gate was passed, and not all could be decided'),
  }[verdict];
  return [
    `${colors.bold('Comparison')}: ${words}`,
    ...sideLines('A', a, width),
    ...sideLines('B', b, width),
    ...differences.flatMap((difference) =>
      wrapText(neutralize(`differs, as allowed: ${differenceText(difference)}`), width, [
        '  ',
        '    ',
      ]).map(colors.yellow),
    ),
  ];
}

function sideLines(
  letter: string,
  { name, facts, conversations, infra }: ComparedSide,
  width: number,
): string[] {
  const { version, started, seed } = facts;
  const known = [
    `${conversations} ${conversations === 1 ? 'conversation' : 'conversations'}`,
    ...(infra === 0 ? [] : [`${infra} could not be judged`]),
    ...(version === undefined ? [] : [`version ${version}`]),
    ...(seed === undefined ? [] : [`seed ${seed}`]),
    ...(started === undefined ? [] : [started]),
  ];
  return wrapText(neutralize(`${letter}: ${name} — ${known.join(', ')}`), width, ['  ', '     ']);
}

const gateColumns: readonly TableColumn[] = [
  { head: ['', 'gate'], align: 'left' },
  { head: ['', 'A'], align: 'right' },
  { head: ['', 'B'], align: 'right' },
  { head: ['', 'change'], align: 'right' },
  { head: ['95 %', 'interval'], align: 'right' },
  { head: ['', 'allowed'], align: 'right' },
  { head: ['', 'n'], align: 'right' },
  { head: ['', 'verdict'], align: 'left' },
];

function gateTable(gates: readonly GateReport[], width: number, colors: Colors): string[] {
  return [...groupBy(gates, groupName)].flatMap(([name, own], i) => [
    ...(i === 0 ? [] : ['']),
    colors.bold(neutralize(`Gates of ${name}`)),
    ...renderTable(
      gateColumns,
      own.map((gate) => gateRow(gate, colors)),
      width,
      colors.dim,
    ),
  ]);
}

function gateRow(gate: GateReport, colors: Colors): TableCell[] {
  const { metric, requests, scenario, change, interval, tolerance, conversations } = gate;
  const relative = tolerance.endsWith('%');
  const what = [metric, requests, ...(scenario === undefined ? [] : [`in ${scenario}`])];
  return [
    { text: neutralize(what.filter((part) => part !== undefined).join(' ')) },
    { text: change === null ? none : figure(change.a) },
    { text: change === null ? none : figure(change.b) },
    { text: change === null ? none : changeText(change, relative) },
    { text: intervalText(interval, relative) },
    { text: neutralize(tolerance) },
    { text: `${conversations}` },
    verdictCell(gate, colors),
  ];
}

function verdictCell({ verdict, needs }: GateReport, colors: Colors): TableCell {
  switch (verdict) {
    case 'pass':
      return { text: 'pass', paint: colors.green };
    case 'regression':
      return { text: 'REGRESSION', paint: colors.red };
    case 'undecided': {
      const text = needs === null ? 'undecided' : `undecided, needs n ≥ ${needs}`;
      return { text, paint: colors.yellow };
    }
  }
}

/** Why gates could not be decided, each reason once. */
function gateNotes({ gates }: Comparison, width: number, colors: Colors): string[] {
  const open = gates.filter(({ verdict }) => verdict === 'undecided');
  const reasons = [...new Set(open.map(({ reason }) => reason))];
  return reasons.flatMap((reason) => {
    const count = open.filter((gate) => gate.reason === reason).length;
    const text = `${count} undecided: ${reason}`;
    return wrapText(neutralize(text), width, ['', '  ']).map(colors.yellow);
  });
}

const metricColumns: readonly TableColumn[] = [
  { head: ['', 'metric'], align: 'left' },
  { head: ['', 'A'], align: 'right' },
  { head: ['', 'B'], align: 'right' },
  { head: ['', 'change'], align: 'right' },
  { head: ['95 %', 'interval'], align: 'right' },
  { head: ['n', 'A/B'], align: 'right' },
  { head: ['pairs', '+/-/='], align: 'right' },
  { head: ['', 'moved'], align: 'left' },
];

function groupTable(
  group: ComparedGroup,
  { width, all = false }: ComparisonTextSettings,
  colors: Colors,
): string[] {
  const shown = group.metrics.filter(
    ({ metric, moved }) => all || headlines.has(metric) || moved === 'higher' || moved === 'lower',
  );
  const { answered, scenarios, kind, repeatable } = group;
  const facts = [
    `${scenarios.length} ${scenarios.length === 1 ? 'scenario' : 'scenarios'}`,
    `answered ${answered.a.ok}/${answered.a.turns} and ${answered.b.ok}/${answered.b.turns} turns`,
    ...(repeatable ? ['the same draws'] : [kind === 'pairs' ? 'in pairs' : 'as two samples']),
  ];
  const rows = shown.map((metric): TableCell[] => [
    { text: `${metric.metric}${metric.requests === undefined ? '' : ` ${metric.requests}`}` },
    { text: figure(metric.change.a) },
    { text: figure(metric.change.b) },
    { text: changeText(metric.change, isShare(metric)) },
    {
      text:
        metric.tooFewBelow === undefined
          ? intervalText(
              isShare(metric) ? metric.intervals.relative : metric.intervals.absolute,
              isShare(metric),
            )
          : `n < ${metric.tooFewBelow}`,
    },
    { text: metric.n.a === metric.n.b ? `${metric.n.a}` : `${metric.n.a}/${metric.n.b}` },
    {
      text:
        metric.pairs === undefined
          ? none
          : `${metric.pairs.higher}/${metric.pairs.lower}/${metric.pairs.same}`,
    },
    movedCell(metric, colors),
  ]);
  return [
    ...wrapText(neutralize(`${groupName(group)} — ${facts.join(', ')}`), width, ['', '  ']).map(
      colors.bold,
    ),
    ...renderTable(metricColumns, rows, width, colors.dim),
  ];
}

/** Shares tell more of what has a natural 0. */
function isShare({ unit, change }: MetricComparison): boolean {
  return (unit === 'ms' || unit === 's' || unit === 'ratio') && change.relative !== null;
}

function movedCell({ moved, worse, effect }: MetricComparison, colors: Colors): TableCell {
  if (moved === 'same') return { text: 'same' };
  if (moved === 'unclear') return { text: 'unclear', paint: colors.dim };
  const word = worse === null ? moved : moved === worse ? 'worse' : 'better';
  const paint = word === 'worse' ? colors.red : word === 'better' ? colors.green : colors.cyan;
  return { text: `${word}, ${effect} effect`, paint };
}

function onlyLines({ onlyInA, onlyInB }: Comparison, width: number, colors: Colors): string[] {
  const lines = [
    ['A', onlyInA],
    ['B', onlyInB],
  ] as const;
  return lines.flatMap(([side, cells]) =>
    cells.length === 0
      ? []
      : wrapText(
          neutralize(
            `Only in ${side}, not compared: ${cells.slice(0, 6).join('; ')}${cells.length > 6 ? ` and ${cells.length - 6} more` : ''}`,
          ),
          width,
          ['', '  '],
        ).map(colors.yellow),
  );
}

/** What a difference of one conversation says little of. */
function flakyLines({ a, b, notRepeatable }: Comparison, width: number, colors: Colors): string[] {
  const lines = Object.entries({ A: a.flaky, B: b.flaky }).flatMap(([side, cells]) =>
    cells.map(
      ({ cell, time, ...flaky }) =>
        `Flaky in ${side}: ${cell}: ${flakyWords(flaky, time === 'virtual' ? time : 'real')}`,
    ),
  );
  const defects = notRepeatable.map(
    (cell) =>
      `Not repeatable: ${cell} passed and failed with the same seed and program in virtual time. This is a defect of ` +
      'echokit-harness; please report it with both recordings',
  );
  const wrapped = (text: string): string[] => wrapText(neutralize(text), width, ['', '  ']);
  return [
    ...defects.flatMap(wrapped).map(colors.red),
    ...lines.flatMap(wrapped).map(colors.yellow),
  ];
}

const rankingColumns: readonly TableColumn[] = [
  { head: ['', 'provider'], align: 'left' },
  { head: ['heard', 'p50'], align: 'right' },
  { head: ['95 %', 'interval'], align: 'right' },
  { head: ['', 'n'], align: 'right' },
  { head: ['', ''], align: 'left' },
];

function rankingTable(
  side: string,
  { device, network, server, scenarios, providers, refused }: RankedPlace,
  width: number,
  colors: Colors,
): string[] {
  const place = [device, network, ...(isUsual(server) ? [] : [server])].join(' · ');
  const of = `${scenarios.length} ${scenarios.length === 1 ? 'scenario' : 'scenarios'}`;
  const rows = providers.map(({ provider, audibleMs, interval, conversations, apart }) => [
    { text: neutralize(provider) },
    { text: figure(audibleMs) },
    { text: interval === null ? none : `${figure(interval.low)} … ${figure(interval.high)}` },
    { text: `${conversations}` },
    apart === false
      ? { text: 'not told apart from the one above', paint: colors.dim }
      : { text: '' },
  ]);
  return [
    colors.bold(neutralize(`Providers of ${side} by what was heard — ${place}, ${of}`)),
    ...(rows.length === 0 ? [] : renderTable(rankingColumns, rows, width, colors.dim)),
    ...refused.flatMap(({ provider, answered }) =>
      wrapText(
        neutralize(
          `not ranked: ${provider}, which answered ${answered.ok} of ${answered.turns} turns; ` +
            'those may have been the easy ones',
        ),
        width,
        ['  ', '    '],
      ).map(colors.yellow),
    ),
  ];
}

function closing({ method, groups }: Comparison, width: number, colors: Colors): string[] {
  const scope = groups.some(({ holdsFor }) => holdsFor === 'other-texts')
    ? 'Intervals are over scenarios where there are ten or more, else over conversations: they hold for these texts.'
    : 'Intervals are over conversations of these scenarios: they hold for these texts.';
  const text =
    `${scope} n counts values, at the gates conversations. Gates together blame at most ` +
    `${method.falseAlarmShare * 100} % of runs in which nothing has changed. unclear = chance could have done it. ` +
    'Method: harness/comparison/README.md';
  return wrapText(text, width).map(colors.dim);
}

function groupName({
  provider,
  device,
  network,
  server,
}: Pick<ComparedGroup, 'provider' | 'device' | 'network' | 'server'>): string {
  return [provider, device, network, ...(isUsual(server) ? [] : [server])].join(' · ');
}

/** Enough digits to tell values of this size apart. */
function figure(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 1000) return value.toFixed(0);
  if (size >= 100) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}

function signed(value: number, text: (value: number) => string): string {
  return value > 0 ? `+${text(value)}` : text(value);
}

function share(value: number): string {
  return signed(value, (number) => `${(100 * number).toFixed(1)} %`);
}

function changeText({ absolute, relative }: MetricComparison['change'], asShare: boolean): string {
  return asShare && relative !== null ? share(relative) : signed(absolute, figure);
}

function intervalText(interval: Interval | null, asShare: boolean): string {
  if (interval === null) return none;
  const text = (value: number): string => (asShare ? share(value) : signed(value, figure));
  return `${text(interval.low)} … ${text(interval.high)}`;
}
