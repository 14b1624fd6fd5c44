/** Carries out a plan for a person: progress, recordings, report, exit code. */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { SystemClock, wallClockIso } from '../clock/system-clock.ts';
import { writeWhole } from '../files/written-file.ts';
import { cellTitle } from '../report/cell-groups.ts';
import type { TracedCell } from '../report/chrome-trace.ts';
import { renderComparison } from '../report/comparison-text.ts';
import { jsonReport } from '../report/json-report.ts';
import { ReportPage } from '../report/page/report-page.ts';
import { buildRunReport, type CellReport, type ShardFacts } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { type CellResult, type RunPlanOptions, runPlan } from '../runner/run-plan.ts';
import type { Plan, SkippedCell } from '../scenario/plan.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { exitCodeOfGated, type Gated, heldToBaseline, type RunBaseline } from './gated-run.ts';
import { spentOf } from './live-providers.ts';
import { pageProgram, urlPath } from './page-program.ts';
import { programEnvironment } from './program-environment.ts';
import {
  maskedReport,
  type OutputOptions,
  showOnGithub,
  takesStandardOutput,
  wantedOutputs,
  writeOutputs,
} from './run-outputs.ts';
import { RunProgress } from './run-progress.ts';
import type { Terminal } from './terminal.ts';

/** How a run is shown. */
export interface ShownRunOptions extends OutputOptions {
  /** Folder that gets a folder for the run. */
  readonly out: string;
  /** Show where a real board and its model part. */
  readonly twin?: boolean;
  /** Show the ledger of samples turn by turn: of cells in which something is wrong, or of all. */
  readonly ledger?: 'faulty' | 'all';
  /** False: no page for a browser. */
  readonly html?: boolean;
  /** How often a conversation that could not be judged is held again. Default: {@link usualRetries}. */
  readonly retries?: number;
  readonly quiet?: boolean;
  /** Say every event when it happens. */
  readonly verbose?: boolean;
  readonly version: string;
}

export interface CarryOutOptions
  extends ShownRunOptions,
    Pick<
      RunPlanOptions,
      | 'providers'
      | 'devices'
      | 'board'
      | 'budget'
      | 'external'
      | 'recorded'
      | 'source'
      | 'whatIf'
      | 'secrets'
      | 'blame'
      | 'signal'
    > {
  /** The plan is one of several parts. */
  readonly shard?: ShardFacts;
  /** What the run is held to. Absent: to nothing. */
  readonly baseline?: RunBaseline;
  /** Lines below the report, for a person. */
  nextSteps(results: readonly CellResult[], folder: string): string[];
}

/** Of a conversation that could not be judged: what came from outside is often gone in the next one. */
export const usualRetries = 1;

/** Runs the plan and shows the report. Returns the exit code. */
export async function carryOut(
  terminal: Terminal,
  plan: Plan,
  options: CarryOutOptions,
): Promise<number> {
  const { budget } = options;
  // What cannot be written is better known before than after an hour.
  const outputs = wantedOutputs(options);
  const clock = new SystemClock();
  const startedAt = wallClockIso();
  const id = startedAt.replaceAll(/[:.]/g, '-').replace(/-\d{3}Z$/, 'Z');
  const folder = newRunFolder(options.out, id);
  const environment = programEnvironment(options.version);
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  const {
    providers,
    devices,
    external,
    recorded,
    source,
    whatIf = false,
    board,
    secrets,
    blame = false,
    signal,
  } = options;
  const progress = new RunProgress(terminal, plan, {
    quiet: options.quiet === true,
    verbose: options.verbose === true,
    onBoard: board !== undefined,
    nowUs: () => clock.nowUs(),
  });
  const page = options.html === false ? undefined : new ReportPage();
  const results = await runInFolder(folder.path, {
    plan,
    providers,
    ...(devices !== undefined && { devices }),
    ...(board !== undefined && { board }),
    ...(budget !== undefined && { budget }),
    ...(external !== undefined && { external }),
    ...(recorded !== undefined && { recorded }),
    ...(source !== undefined && { source }),
    whatIf,
    laboratory: await openCommandLaboratory({ ...terminal, say }),
    ...(secrets !== undefined && { secrets }),
    blame,
    signal,
    environment: { ...environment, startedAt },
    onCell: (result, index) => progress.ended(result, index),
    ...(page !== undefined && {
      onRecording: (recording, recorded, { turns }) => page.add(recording, recorded, turns),
    }),
    retries: options.retries ?? usualRetries,
    onTry: (cell, index, earlier) => progress.began(cell, index, earlier),
    ...(options.verbose === true && { onEvent: (event) => progress.event(event) }),
  }).finally(() => progress.over());

  const measured = buildRunReport({
    cells: results,
    notRun: notRun(plan, results.length, signal.aborted),
    run: {
      id: folder.id,
      seed: plan.seed,
      time: plan.time,
      live: plan.live,
      ...(recorded !== undefined && { replay: whatIf ? 'what-if' : 'strict' }),
      ...(options.shard !== undefined && { shard: options.shard }),
      ...(budget !== undefined && { budget: spentOf(budget) }),
      startedAt,
      durationMs: Math.round(clock.nowUs() / 1000),
    },
    environment,
  });
  // Part of a run says nothing about the whole.
  const gate: Gated = signal.aborted ? {} : heldToBaseline(measured, options.baseline);
  const { comparison } = gate;
  const report = comparison === undefined ? measured : { ...measured, comparison };
  const mask = new SecretMask(options.secrets ?? []);
  const shown = maskedReport(report, mask);
  writeWhole(join(folder.path, 'report.json'), jsonReport(shown));
  const pagePath = join(folder.path, 'report.html');
  if (page !== undefined) {
    const html = page.html(report, {
      program: await pageProgram(),
      folderOf: urlPath,
      redact: (text) => mask.text(text),
    });
    writeWhole(pagePath, html);
  }
  if (!takesStandardOutput(outputs)) {
    say('');
    terminal.print(
      renderTerminalReport(report, {
        color: terminal.color,
        width: terminal.width,
        recordingsFolder: relative('.', folder.path) || folder.path,
        ...(options.ledger !== undefined && { ledger: options.ledger }),
        twin: options.twin === true,
        nextSteps: options.nextSteps(results, folder.path),
      }).trimEnd(),
    );
    if (comparison !== undefined) {
      const { color, width } = terminal;
      terminal.print(`\n${renderComparison(comparison, { color, width }).trimEnd()}`);
    }
  }
  writeOutputs(terminal, outputs, {
    report: shown,
    recordings: () => tracedCells(folder.path, report.cells),
  });
  if (options.github !== false) showOnGithub(terminal, shown, process.env);
  if (page !== undefined) {
    const line = `Report: ${relative('.', pagePath) || pagePath}`;
    if (takesStandardOutput(outputs)) say(line);
    else terminal.print(line);
  }
  if (signal.aborted) return exitCode.interrupted;
  if (gate.refusal !== undefined) throw gate.refusal;
  return exitCodeOfGated(
    results.map(({ verdict }) => verdict.outcome),
    gate,
  );
}

/** The recordings of a run, opened one after the other. */
export function* tracedCells(folder: string, cells: Iterable<CellReport>): Iterable<TracedCell> {
  for (const cell of cells) {
    yield { name: cellTitle(cell), recording: readRecording(join(folder, cell.recording)) };
  }
}

/** A run that could not begin leaves no folder. */
async function runInFolder(
  folder: string,
  options: Omit<Parameters<typeof runPlan>[0], 'folder'>,
): Promise<CellResult[]> {
  try {
    return await runPlan({ ...options, folder });
  } catch (error) {
    for (const path of [join(folder, 'cells'), folder]) {
      if (existsSync(path) && readdirSync(path).length === 0) rmdirSync(path);
    }
    throw error;
  }
}

/** Why cells were not run that a signal kept from it. */
export const stoppedReason = 'the run was stopped';

/** What was asked for and is not in the report. */
function notRun({ cells, skipped }: Plan, done: number, stopped: boolean): SkippedCell[] {
  const reason = stopped ? stoppedReason : 'the limit of the run was reached before';
  return [...skipped, ...cells.slice(done).map((cell) => ({ cell, reason }))];
}

/** Two runs within one second get folders of their own. */
export function newRunFolder(out: string, id: string): { id: string; path: string } {
  mkdirSync(out, { recursive: true });
  for (let copy = 1; ; copy++) {
    const name = copy === 1 ? id : `${id}-${copy}`;
    try {
      mkdirSync(join(out, name));
      return { id: name, path: join(out, name) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
