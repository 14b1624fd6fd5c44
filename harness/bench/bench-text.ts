/** A bench as text: for a terminal, and as a row of its history. */
import type { BenchPart } from './bench-part.ts';
import { type BenchResult, type Moved, meetsGoal, type PartResult } from './bench-result.ts';
import { betweenRuns, type Figure } from './figure.ts';

/** All parts below each other. */
export function benchText({ machine, parts }: BenchResult): string {
  const { cpu, cores, node, loadBefore, loadAfter, commit } = machine;
  return [
    `${cores} × ${cpu}, Node ${node}, load ${loadBefore} before and ${loadAfter} after${commit === null ? '' : `, commit ${commit}`}`,
    ...parts.map(partText),
    [
      'In brackets: between which the value lies with about 95 %, by its repetitions. Values marked * are of this machine and what it',
      `did meanwhile; the others are ratios within this run, or exact, and can be compared with those of another run. Ratios have`,
      `${betweenRuns * 100} % more on each side of their brackets, for what differs between runs and not within one.`,
    ].join('\n'),
  ].join('\n\n');
}

function partText({ name, about, figures, missing }: PartResult): string {
  if (missing !== undefined) return `${name}: left out, ${missing}`;
  const width = Math.max(0, ...figures.map(({ label }) => label.length));
  const rows = figures.map((figure) => {
    const mark = figure.kind === 'here' ? ' *' : '';
    return `  ${figure.label.padEnd(width)}  ${amount(figure.value, figure)}${mark}${spreadText(figure)}${goalText(figure)}`;
  });
  return [`${name}: ${about}`, ...rows].join('\n');
}

/** What moved, and what did not within the spreads. */
export function movedText(moved: readonly Moved[], since: string): string {
  if (moved.length === 0) return `Nothing that both runs measured can be compared with ${since}.`;
  const width = Math.max(...moved.map(({ now }) => now.id.length));
  const rows = moved.map(({ before, now, verdict }) => {
    const change = before.value === 0 ? '' : ` (${signed((now.value / before.value - 1) * 100)} %)`;
    const word = verdict === 'same' ? 'not moved' : `moved, ${verdict}`;
    return `  ${now.id.padEnd(width)}  ${amount(before.value, before)}${spreadText(before)} → ${amount(now.value, now)}${spreadText(now)}${change}  ${word}`;
  });
  const count = moved.filter(({ verdict }) => verdict !== 'same').length;
  return [
    `Against ${since}: ${count} of ${moved.length} figures moved by more than their spreads.`,
    ...rows,
  ].join('\n');
}

export function listText(parts: readonly BenchPart[]): string {
  const width = Math.max(...parts.map(({ name }) => name.length));
  return parts
    .map(({ name, about, seconds, always }) => {
      const only = always === false ? '; only when it is named' : '';
      return `${name.padEnd(width)}  ${about} (about ${seconds} s${only})`;
    })
    .join('\n');
}

export function amount(value: number, { unit }: Pick<Figure, 'unit'>): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${unit === '' ? '' : unit === '×' ? unit : ` ${unit}`}`;
}

function spreadText({ spread, unit }: Figure): string {
  if (spread === undefined) return '';
  return ` [${amount(spread.low, { unit: '' })} to ${amount(spread.high, { unit })}]`;
}

function goalText(figure: Figure): string {
  const met = meetsGoal(figure);
  if (met === undefined) return '';
  const goal = `${figure.better === 'lower' ? 'at most' : 'at least'} ${amount(figure.goal!, figure)}`;
  return met ? `  (${goal}: yes)` : `  (${goal}: NO)`;
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(0)}`;
}

/** Columns of `docs/bench-history.md`, in the order in which they stand there. */
const historyFigures = [
  'speed.cold',
  'speed.warm',
  'speed.warm_over_cold',
  'startup.help',
  'startup.help_ratio',
  'server.p99',
  'replay.left_p99',
  'boards.per_processor',
  'console.line_p99',
  'added.openai-stream_1_p50',
  'added.openai-stream_100_p99',
  'isolation.deaf-board_p99',
  'compat.openai-stream',
  'codec.encode_120_yardsticks',
  'report.json_yardsticks',
];

/** A row of the table of `docs/bench-history.md`. */
export function historyRow(result: BenchResult): string {
  const { at, commit, node, cpu, cores, loadBefore, loadAfter } = result.machine;
  const figures = new Map(
    result.parts.flatMap((part) => part.figures.map((one) => [one.id, one] as const)),
  );
  const cells = [
    at.slice(0, 10),
    commit ?? '–',
    node,
    `${cores} × ${cpu}`,
    `${loadBefore} to ${loadAfter}`,
    ...historyFigures.map((id) => {
      const figure = figures.get(id);
      return figure === undefined ? '–' : `${amount(figure.value, figure)}${spreadText(figure)}`;
    }),
  ];
  return `| ${cells.join(' | ')} |`;
}
