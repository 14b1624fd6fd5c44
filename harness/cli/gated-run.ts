/** A run that is held to a baseline: what `run --baseline` and `merge --baseline` add behind the report. */
import type { ComparableRun, ConditionName } from '../comparison/comparable-run.ts';
import { compareRuns } from '../comparison/compare-runs.ts';
import type { Comparison } from '../comparison/comparison.ts';
import { ComparisonError } from '../comparison/comparison-error.ts';
import { comparableRun } from '../report/comparable.ts';
import type { CellReport, ReportedRun } from '../report/run-report.ts';
import type { GateRule } from '../scenario/gate.ts';
import { openComparable } from './comparable-source.ts';
import { exitCodeOfComparison, gatesOfOptions } from './compare-command.ts';
import { CommandError, exitCode, exitCodeOfVerdicts } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** What a run is compared with, and how. */
export interface RunBaseline {
  readonly run: ComparableRun;
  readonly gates: readonly GateRule[];
  readonly allow: ReadonlySet<ConditionName>;
}

export interface BaselineChoice {
  /** Anything that can be compared, or the name of a baseline. */
  readonly baseline?: string;
  readonly gate?: readonly string[];
  readonly allowDifferent?: readonly ConditionName[];
}

/**
 * Opened before anything is run, so that a wrong name is told at once.
 *
 * @param configured gates of the configuration file; those of the command line go before them
 * @throws {ComparisonError} `BASELINE_NOT_FOUND`, `BASELINE_INVALID`
 * @throws {CommandError} `USAGE` for options that have no meaning without a baseline
 */
export function runBaseline(
  terminal: Pick<Terminal, 'say'>,
  { baseline, gate = [], allowDifferent }: BaselineChoice,
  configured: readonly GateRule[] = [],
): RunBaseline | undefined {
  if (baseline === undefined) {
    const lonely = gate.length > 0 ? '--gate' : allowDifferent ? '--allow-different' : undefined;
    if (lonely === undefined) return undefined;
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `${lonely} is about what a run is compared with, and there is nothing.`,
      'add --baseline <name or file>',
    );
  }
  const gates = [...configured, ...gatesOfOptions(gate)];
  const { run, notes } = openComparable(baseline);
  for (const note of notes) terminal.say(note);
  return { run, gates, allow: new Set(allowDifferent) };
}

/** What came of the gates. Of a run without a baseline: nothing. */
export interface Gated {
  readonly comparison?: Comparison;
  /** Why there is no comparison. The report is kept; that nothing was compared must not be taken for a pass. */
  readonly refusal?: ComparisonError;
}

export function heldToBaseline(report: ReportedRun, baseline: RunBaseline | undefined): Gated {
  if (baseline === undefined) return {};
  const { run, gates, allow } = baseline;
  const held = comparableRun(`run ${report.run.id}`, [report]);
  try {
    return { comparison: compareRuns(run, held, { gates, allow }) };
  } catch (error) {
    if (error instanceof ComparisonError) return { refusal: error };
    throw error;
  }
}

/** What failed, failed; a regression weighs more than what could not be judged. */
export function exitCodeOfGated(
  verdicts: readonly CellReport['verdict'][],
  { comparison }: Gated,
): number {
  const judged = exitCodeOfVerdicts(verdicts);
  const regression = comparison === undefined ? exitCode.passed : exitCodeOfComparison(comparison);
  return judged === exitCode.expectationFailed || regression === exitCode.passed
    ? judged
    : regression;
}
