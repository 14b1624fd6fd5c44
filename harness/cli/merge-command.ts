import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { writeWhole } from '../files/written-file.ts';
import { readHarnessConfigFile } from '../harness-config/harness-config.ts';
import { measureCell } from '../metrics/measure.ts';
import { cellTitle } from '../report/cell-groups.ts';
import { renderComparison } from '../report/comparison-text.ts';
import { flakyGroups, flakyTitle, flakyWords } from '../report/flaky-report.ts';
import { jsonReport } from '../report/json-report.ts';
import { ReportPage } from '../report/page/report-page.ts';
import type { CellReport, ReportedRun } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { neutralize } from '../report/terminal-text.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { stoppedReason, tracedCells } from './carried-run.ts';
import { configFile, configuredBaseline } from './configured-run.ts';
import { CommandError, exitCode } from './exit-code.ts';
import {
  type BaselineChoice,
  exitCodeOfGated,
  heldToBaseline,
  type RunBaseline,
  runBaseline,
} from './gated-run.ts';
import { bringRecording, type MergedRun, readParts, runName } from './merged-run.ts';
import { pageProgram, urlPath } from './page-program.ts';
import {
  type OutputOptions,
  showOnGithub,
  takesStandardOutput,
  wantedOutputs,
  writeOutputs,
} from './run-outputs.ts';
import type { Terminal } from './terminal.ts';

export interface MergeCommandOptions extends OutputOptions, BaselineChoice {
  readonly out: string;
  /** As in `run`: whose `baseline` and `[gate]` are in force. */
  readonly harnessConfig?: string | boolean;
  /** False: no page for a browser. */
  readonly html?: boolean;
}

/** A page and tables hold all of their run, and take memory for it. */
const pageCells = 500;
const tableCells = 200;
/** Cells that are named one by one. */
const namedCells = 20;

/**
 * `merge`: the parts of a divided run as one run, which is held to its baseline. Returns the exit code that the run would have had.
 *
 * @throws {CommandError} `MERGE_…`
 * @throws {OutputError}
 * @throws {ComparisonError} when the joined run, which is kept, cannot be compared
 */
export async function mergeCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: MergeCommandOptions,
): Promise<number> {
  const { out } = options;
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new CommandError(
      'MERGE_OUT_EXISTS',
      exitCode.usage,
      `${out} is there already.`,
      'name a folder that is not there yet',
    );
  }
  const outputs = wantedOutputs(options);
  const baseline = chosenBaseline(terminal, options);
  // What is killed leaves no folder that looks whole.
  const partial = `${out}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const spool = join(partial, 'cells.spool');
  try {
    const merged = readParts(paths, spool, runName(resolve(out)));
    const brought = { linked: 0, copied: 0, none: 0 };
    for (const { from, to } of merged.recordings)
      brought[bringRecording(from, join(partial, to))]++;
    // Part of a run says nothing about the whole.
    const wasStopped = merged.report.notRun.some(({ reason }) => reason === stoppedReason);
    const gate = wasStopped ? {} : heldToBaseline(merged.report, baseline);
    const { comparison } = gate;
    const report = comparison === undefined ? merged.report : { ...merged.report, comparison };
    writeWhole(join(partial, 'report.json'), jsonReport(report));
    const hasPage =
      options.html !== false && merged.verdicts.length <= pageCells && brought.none === 0;
    if (hasPage) await writePage(partial, report);
    const isTable = !takesStandardOutput(outputs);
    const tell = (text: string): void => (isTable ? terminal.print(text) : terminal.say(text));
    const shown = relative('.', out) || out;
    tell(headline(merged, paths.length));
    const hasTables = isTable && merged.verdicts.length <= tableCells;
    if (!hasTables) for (const line of notPassed(report)) tell(line);
    if (isTable) printTables(terminal, report, { cells: hasTables, recordingsFolder: shown });
    for (const line of remarks(brought, options, merged)) terminal.say(line);
    writeOutputs(terminal, outputs, {
      report,
      recordings: () => tracedCells(partial, report.cells),
    });
    if (options.github !== false) showOnGithub(terminal, report, process.env);
    rmSync(spool);
    rmSync(out, { recursive: true, force: true });
    mkdirSync(dirname(resolve(out)), { recursive: true });
    renameSync(partial, out);
    tell(hasPage ? `Report: ${join(shown, 'report.html')}` : `Run: ${shown}`);
    if (wasStopped) return exitCode.interrupted;
    if (gate.refusal !== undefined) throw gate.refusal;
    return exitCodeOfGated(merged.verdicts, gate);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

async function writePage(folder: string, report: ReportedRun): Promise<void> {
  const page = new ReportPage();
  const cells: CellReport[] = [];
  for (const cell of report.cells) {
    const recorded = readRecording(join(folder, cell.recording));
    page.add(cell.recording, recorded, measureCell(recorded).turns);
    cells.push(cell);
  }
  const html = page.html(
    { ...report, cells },
    { program: await pageProgram(), folderOf: urlPath, redact: (text) => text },
  );
  writeWhole(join(folder, 'report.html'), html);
}

/** Of the command line, else of the configuration file of the project. */
function chosenBaseline(terminal: Terminal, options: MergeCommandOptions): RunBaseline | undefined {
  const file = configFile(options.harnessConfig, process.cwd());
  const config = file === undefined ? undefined : readHarnessConfigFile(file);
  const configured = config === undefined ? undefined : configuredBaseline(config);
  const { baseline = configured } = options;
  return runBaseline(
    terminal,
    { ...options, ...(baseline !== undefined && { baseline }) },
    config?.gates,
  );
}

function headline({ report, verdicts }: MergedRun, parts: number): string {
  const count = (verdict: CellReport['verdict']) =>
    verdicts.filter((one) => one === verdict).length;
  const words = [
    `${count('pass')} passed`,
    ...(count('fail') > 0 ? [`${count('fail')} failed`] : []),
    ...(count('infra') > 0 ? [`${count('infra')} could not be judged`] : []),
    ...(report.notRun.length > 0 ? [`${report.notRun.length} not run`] : []),
  ];
  return `${parts} parts, ${verdicts.length} cells: ${words.join(', ')}`;
}

/** As `run` shows them. */
function printTables(
  terminal: Terminal,
  report: ReportedRun,
  { cells, recordingsFolder }: { readonly cells: boolean; readonly recordingsFolder: string },
): void {
  const { color, width } = terminal;
  if (cells) {
    const whole = { ...report, cells: [...report.cells] };
    const settings = { color, width, recordingsFolder, nextSteps: [] };
    terminal.print(`\n${renderTerminalReport(whole, settings).trimEnd()}\n`);
  }
  const { comparison } = report;
  if (comparison === undefined) return;
  terminal.print(`${renderComparison(comparison, { color, width }).trimEnd()}\n`);
}

/** Where there are too many cells for tables. */
function notPassed({ run, cells }: ReportedRun): string[] {
  const lines: string[] = [];
  let left = 0;
  for (const cell of cells) {
    if (cell.verdict === 'pass') continue;
    if (lines.length >= namedCells) left++;
    else lines.push(`  ${cell.verdict}  ${neutralize(cellTitle(cell))}`);
  }
  const flaky = flakyGroups(cells).map((group) =>
    neutralize(`  flaky ${flakyTitle(group)}: ${flakyWords(group.flaky, run.time)}`),
  );
  const more = flaky.length > namedCells ? [`  and ${flaky.length - namedCells} more flaky`] : [];
  return [
    ...lines,
    ...(left === 0 ? [] : [`  and ${left} more`]),
    ...flaky.slice(0, namedCells),
    ...more,
  ];
}

function remarks(
  { linked, copied, none }: Readonly<Record<'linked' | 'copied' | 'none', number>>,
  { html, out }: MergeCommandOptions,
  { verdicts }: MergedRun,
): string[] {
  return [
    `Recordings: ${linked} linked to the files of the parts, ${copied} copied`,
    ...(none === 0
      ? []
      : [`${none} recordings are not beside their report, and not in the joined run.`]),
    ...(html !== false && verdicts.length > pageCells
      ? [
          `No page for a browser: ${verdicts.length} cells are more than ${pageCells}. Make one of some: echokit-harness report ${out}/cells/<cell> --html report.html`,
        ]
      : []),
    ...(verdicts.length > tableCells ? [`All tables: echokit-harness report ${out}`] : []),
  ];
}
