/** What went wrong in a cell, in words: the same ones in every output. */
import type { VerdictFailure } from '../verdict/judge.ts';
import { traceLines } from './ledger-tables.ts';
import type { CellReport, ExpectationReport } from './run-report.ts';
import { neutralize } from './terminal-text.ts';

/** What is to be told of one cell, without where it is. */
export interface FailedCell {
  readonly cell: CellReport;
  readonly items: readonly string[];
  /** Equal for cells that failed for the same reason. */
  readonly cause: string;
}

/** Undefined: there is nothing to tell. */
export function failedCell(cell: CellReport): FailedCell | undefined {
  const { failures, told, implied } = toldFailures(cell);
  if (failures.length + told.length + implied.length === 0) return undefined;
  const reasons = failures.map(({ class: kind, code, message, seqs }) => {
    const label = kind === 'defect' ? failureLabel(kind, code) : kind;
    return [`${label}: ${message}`, traceLines(seqs)] as const;
  });
  const rest = [
    ...told.map(({ evidence, at }) => `expectation: ${evidence} — ${at.file}:${at.line}`),
    ...(implied.length === 0
      ? []
      : [
          `${cell.verdict === 'infra' ? 'not judged' : 'not met because of it'}: ${implied
            .map(({ metric }) => metric)
            .join(', ')}`,
        ]),
  ];
  return {
    cell,
    items: [...reasons.map((parts) => parts.join('')), ...rest],
    cause: [cell.verdict, ...reasons.map(([reason]) => reason), ...rest].join('\n'),
  };
}

/** Failures that nobody asked for, and the missed expectations: those that say something more, and those that follow. */
export function toldFailures(cell: CellReport): {
  readonly failures: readonly VerdictFailure[];
  readonly told: readonly ExpectationReport[];
  readonly implied: readonly ExpectationReport[];
} {
  const failures = cell.failures.filter(({ expected }) => !expected);
  const missed = cell.expectations.filter(({ outcome }) => outcome === 'fail');
  // A turn that failed breaks what is expected of turns, too: that is the same cause once more.
  const breaksTurn = failures.some(({ class: kind }) => kind === 'turn');
  const told = missed.filter(
    ({ metric }) =>
      cell.verdict !== 'infra' && !(breaksTurn && /^(?:turns|failure)\./.test(metric)),
  );
  return { failures, told, implied: missed.filter((one) => !told.includes(one)) };
}

/** Where a reader should look: at the first expectation that was missed, the turn that failed, or the file. */
export function placeOfCell(cell: CellReport): {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
} {
  const { failures, told } = toldFailures(cell);
  const turn = failures.find((failure) => failure.turn !== null)?.turn;
  const line = cell.turns.find((one) => one.turn === turn)?.line;
  if (line !== undefined) return { file: cell.file, line };
  const [missed] = told;
  if (missed !== undefined) return missed.at;
  return { file: cell.file };
}

/** In a word or two, for a column beside the verdict; empty: nothing went wrong. */
export function reasonOf({ failure, failures, expectations }: CellReport): string {
  if (failure !== undefined) return failureLabel(failure.class, failure.code);
  const missed = expectations.filter(({ outcome }) => outcome === 'fail').length;
  if (missed > 0) return `${missed} missed`;
  const expected = failures[0];
  return expected === undefined ? '' : `(${neutralize(expected.code)})`;
}

/** A planned fault that did not happen says nothing of the numbers; other defects do. */
function failureLabel(kind: VerdictFailure['class'], code: string): string {
  return kind === 'defect' && code !== 'missed-disturbance' ? 'defect' : neutralize(code);
}
