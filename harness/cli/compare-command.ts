import type { ConditionName } from '../comparison/comparable-run.ts';
import { compareRuns } from '../comparison/compare-runs.ts';
import type { Comparison } from '../comparison/comparison.ts';
import { readHarnessConfigFile } from '../harness-config/harness-config.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { renderComparison } from '../report/comparison-text.ts';
import { type GateRule, readGate } from '../scenario/gate.ts';
import { openComparable } from './comparable-source.ts';
import { configFile } from './configured-run.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export interface GateOptions {
  /** As written: `ttfb_ms.p50=+10%`. */
  readonly gate?: readonly string[];
  /** As in `run`: whose `[gate]` is in force. */
  readonly harnessConfig?: string | boolean;
}

export interface CompareCommandOptions extends GateOptions {
  readonly allowDifferent?: readonly ConditionName[];
  readonly seed: number;
  readonly byScenario?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** `compare`: what moved from A to B, and whether a gate was passed. Returns the exit code. */
export function compareCommand(
  terminal: Terminal,
  a: string,
  b: string,
  options: CompareCommandOptions,
): number {
  const gates = chosenGates(options);
  const sides = [a, b].map(openComparable);
  for (const { notes } of sides) for (const note of notes) terminal.say(note);
  const comparison = compareRuns(sides[0]!.run, sides[1]!.run, {
    gates,
    allow: new Set(options.allowDifferent),
    seed: options.seed,
    byScenario: options.byScenario === true,
  });
  if (options.json === true) terminal.print(JSON.stringify(comparison, null, 2));
  else {
    const { color, width } = terminal;
    const all = options.all === true;
    terminal.print(renderComparison(comparison, { color, width, all }).trimEnd());
  }
  return exitCodeOfComparison(comparison);
}

/** An undecided gate is told and not failed: too few conversations are nobody's regression. */
export function exitCodeOfComparison({ verdict }: Comparison): number {
  return verdict === 'regression' ? exitCode.regression : exitCode.passed;
}

/**
 * Gates of the configuration file of the project, and behind them those of the command line, which take their place.
 *
 * @throws {HarnessConfigError}
 * @throws {CommandError} `USAGE` for what is no gate
 */
export function chosenGates({ gate = [], harnessConfig }: GateOptions): GateRule[] {
  const config = configFile(harnessConfig, process.cwd());
  const configured = config === undefined ? [] : readHarnessConfigFile(config).gates;
  return [...configured, ...gatesOfOptions(gate)];
}

/** @throws {CommandError} `USAGE` for what is no gate */
export function gatesOfOptions(written: readonly string[]): GateRule[] {
  return written.map((text) => {
    const [, metric = '', tolerance = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (metric === '') {
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        `--gate is "${text}"; it must be a metric and how much worse it may get.`,
        'for example --gate "ttfb_ms.p50=+10%"',
      );
    }
    const rule = readGate(metric.trim(), tolerance, metricCatalog);
    if ('limits' in rule) return rule;
    throw new CommandError('USAGE', exitCode.usage, `--gate: ${rule.message}.`, rule.hint);
  });
}
