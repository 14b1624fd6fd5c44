import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { writeWhole } from '../files/written-file.ts';
import { measureCell } from '../metrics/measure.ts';
import { cellTitle } from '../report/cell-groups.ts';
import { jsonReport } from '../report/json-report.ts';
import { ReportPage } from '../report/page/report-page.ts';
import type { CellReport } from '../report/run-report.ts';
import { neutralize } from '../report/terminal-text.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { stoppedReason, tracedCells } from './carried-run.ts';
import { CommandError, exitCode, exitCodeOfVerdicts } from './exit-code.ts';
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

export interface MergeCommandOptions extends OutputOptions {
  readonly out: string;
  /** False: no page for a browser. */
  readonly html?: boolean;
}

/** A page holds all of its run, and takes memory for it. */
const pageCells = 500;
/** Cells that are named one by one. */
const namedCells = 20;

/**
 * `merge`: the parts of a divided run as one run. Returns the exit code that the run would have had.
 *
 * @throws {CommandError} `MERGE_…`
 * @throws {OutputError}
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
    const { report } = merged;
    writeWhole(join(partial, 'report.json'), jsonReport(report));
    const hasPage =
      options.html !== false && merged.verdicts.length <= pageCells && brought.none === 0;
    if (hasPage) await writePage(partial, merged);
    const isTable = !takesStandardOutput(outputs);
    const tell = (text: string): void => (isTable ? terminal.print(text) : terminal.say(text));
    for (const line of summary(merged, paths.length)) tell(line);
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
    const shown = relative('.', out) || out;
    tell(hasPage ? `Report: ${join(shown, 'report.html')}` : `Run: ${shown}`);
    if (report.notRun.some(({ reason }) => reason === stoppedReason)) return exitCode.interrupted;
    return exitCodeOfVerdicts(merged.verdicts);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

async function writePage(folder: string, { report }: MergedRun): Promise<void> {
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

function summary({ report, verdicts }: MergedRun, parts: number): string[] {
  const count = (verdict: CellReport['verdict']) =>
    verdicts.filter((one) => one === verdict).length;
  const words = [
    `${count('pass')} passed`,
    ...(count('fail') > 0 ? [`${count('fail')} failed`] : []),
    ...(count('infra') > 0 ? [`${count('infra')} could not be judged`] : []),
    ...(report.notRun.length > 0 ? [`${report.notRun.length} not run`] : []),
  ];
  const lines = [`${parts} parts, ${verdicts.length} cells: ${words.join(', ')}`];
  let left = 0;
  for (const cell of report.cells) {
    if (cell.verdict === 'pass') continue;
    if (lines.length > namedCells) left++;
    else lines.push(`  ${cell.verdict}  ${neutralize(cellTitle(cell))}`);
  }
  return left === 0 ? lines : [...lines, `  and ${left} more`];
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
    `All tables: echokit-harness report ${out}`,
  ];
}
