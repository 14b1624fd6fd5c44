/** A run that is held to a baseline: what `run --baseline` adds behind the report. */
import type { ComparableRun, ConditionName } from '../comparison/comparable-run.ts';
import { compareRuns } from '../comparison/compare-runs.ts';
import type { Comparison } from '../comparison/comparison.ts';
import { comparableRun } from '../report/comparable.ts';
import type { RunReport } from '../report/run-report.ts';
import type { GateRule } from '../scenario/gate.ts';
import { openComparable } from './comparable-source.ts';
import { gatesOfOptions } from './compare-command.ts';
import { CommandError, exitCode } from './exit-code.ts';
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

/**
 * The run against its baseline.
 *
 * @throws {ComparisonError} `COMPARISON_DIFFERENT`, `COMPARISON_NOTHING_IN_COMMON`
 */
export function comparedWithBaseline(
  report: RunReport,
  { run, gates, allow }: RunBaseline,
): Comparison {
  return compareRuns(run, comparableRun(`run ${report.run.id}`, [report]), { gates, allow });
}
