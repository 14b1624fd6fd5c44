/** Whose fault the underruns were: as JSON, and for a person. */
import type { Stage, UnderrunBlame } from '../metrics/blame.ts';
import { cellTitle } from './cell-groups.ts';
import { type Colors, traceLines } from './ledger-tables.ts';
import type { CellReport } from './run-report.ts';
import { neutralize } from './terminal-text.ts';
import { wrapText } from './text-table.ts';

/** `cause` is the first thing to read: a stage, `several` (they are in `together`) or `unknown`. */
export interface BlameReport {
  readonly turn: number | null;
  readonly sentence: number;
  /** Index of its first zero in `speaker.wav`. */
  readonly position: number;
  readonly atMs: number;
  readonly durationMs: number;
  readonly cause: UnderrunBlame['cause'];
  readonly together: readonly Stage[];
  /** `delayMs`: how much later by this stage than when the sentence began. `savedMs`: without it alone. */
  readonly stages: Readonly<
    Partial<Record<Stage, { readonly delayMs: number; readonly savedMs: number }>>
  >;
  readonly evidence: UnderrunBlame['evidence'];
}

export function blameReport(blames: readonly UnderrunBlame[]): BlameReport[] {
  return blames.map(({ stages, atUs, durationUs, turn, sentence, position, ...rest }) => ({
    turn,
    sentence,
    position,
    atMs: atUs / 1000,
    durationMs: durationUs / 1000,
    cause: rest.cause,
    together: rest.together,
    stages: Object.fromEntries(
      stages.map(({ stage, delayUs, savedUs }) => [
        stage,
        { delayMs: delayUs / 1000, savedMs: savedUs / 1000 },
      ]),
    ),
    evidence: rest.evidence,
  }));
}

/** A conversation by its name, with the blame of its underruns where it was asked for. */
export type BlamedCell = Pick<
  CellReport,
  'scenario' | 'provider' | 'device' | 'network' | 'server' | 'board' | 'blame'
>;

/** Longer lists are told with `--json`. */
const shownPerCell = 10;

/** Empty where nobody asked for it. */
export function blameLines(cells: readonly BlamedCell[], width: number, colors: Colors): string[] {
  const asked = cells.filter(({ blame }) => blame !== undefined);
  if (asked.length === 0) return [];
  const broken = asked.filter(({ blame = [] }) => blame.length > 0);
  if (broken.length === 0) return ['No underrun, so there is nobody to blame.'];
  return [
    colors.bold('Whose fault each underrun was'),
    ...broken.flatMap((cell) => [
      ...wrapText(neutralize(cellTitle(cell)), width, ['  ', '    ']).map(colors.yellow),
      ...cellLines(cell.blame!, width),
    ]),
    ...wrapText(
      'A stage is at fault when the underrun is gone, or no more than one cycle (16 ms) or a fifth of it is left, as soon ' +
        'as this stage alone holds nothing up for longer than it did when the sentence began.',
      width,
    ).map(colors.dim),
  ];
}

function cellLines(blame: readonly BlameReport[], width: number): string[] {
  const sums = new Map<string, { count: number; ms: number }>();
  for (const { cause, durationMs } of blame) {
    const { count, ms } = sums.get(cause) ?? { count: 0, ms: 0 };
    sums.set(cause, { count: count + 1, ms: ms + durationMs });
  }
  const sum = [...sums].map(([cause, { count, ms }]) => `${cause} ${count} (${Math.round(ms)} ms)`);
  const more = blame.length - shownPerCell;
  return [
    ...wrapText(`in all: ${sum.join(', ')}`, width, ['    ', '      ']),
    ...blame
      .slice(0, shownPerCell)
      .flatMap((one) => wrapText(neutralize(sentenceOf(one)), width, ['    ', '      '])),
    ...(more > 0 ? [`    … and ${more} more, see --json`] : []),
  ];
}

function sentenceOf({
  sentence,
  atMs,
  durationMs,
  cause,
  together,
  stages,
  evidence,
}: BlameReport) {
  const where = `sentence ${sentence}, ${Math.round(durationMs)} ms at ${(atMs / 1000).toFixed(2)} s`;
  if (cause === 'unknown') return `${where}: the recording does not tell`;
  const saved = (stage: Stage): string => `${Math.round(stages[stage]?.savedMs ?? 0)} ms`;
  const who =
    cause === 'several'
      ? `${together.join(' and ')} together; without one of them ${together.map((stage) => `(${stage}) ${saved(stage)}`).join(', ')} less`
      : `${cause}, ${saved(cause)} less without it`;
  const what = evidence.map(({ text, seqs }) => `${text}${traceLines(seqs)}`);
  return `${where}: ${who}. ${what.join('; ')}`;
}
