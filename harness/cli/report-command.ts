import { dirname, join, relative, sep } from 'node:path';
import { checkWritable, writeWhole } from '../files/written-file.ts';
import { withFlakyCells } from '../report/flaky-report.ts';
import { ReportPage } from '../report/page/report-page.ts';
import type { CellReport, RunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { tracedCells } from './carried-run.ts';
import { exitCodeOfVerdicts } from './exit-code.ts';
import { pageProgram, urlPath } from './page-program.ts';
import { onlyOf, recordedReport } from './recorded-report.ts';
import { type RunFolder, withRunFolder } from './recorded-run-folder.ts';
import {
  type OutputOptions,
  type RunOutput,
  showOnGithub,
  takesStandardOutput,
  wantedOutputs,
  writeOutputs,
} from './run-outputs.ts';
import { scenarioCatalog } from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

export interface ReportCommandOptions extends OutputOptions {
  readonly ledger?: 'faulty' | 'all';
  readonly twin?: boolean;
  /** File that gets the page for a browser. */
  readonly html?: string;
}

/** `report`: what recordings come to, from their files alone. Returns the exit code. */
export async function reportCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: ReportCommandOptions,
): Promise<number> {
  const outputs = wantedOutputs(options);
  if (options.html !== undefined) checkWritable(options.html);
  return await withRuns(paths, [], (runs) => reportOf(terminal, runs, outputs, options));
}

/** All of them stay open until the command is done: the outputs look into their recordings, too. */
function withRuns<T>(
  paths: readonly string[],
  opened: readonly NamedRun[],
  use: (runs: readonly NamedRun[]) => T,
): T {
  const [path, ...others] = paths;
  if (path === undefined) return use(opened);
  return withRunFolder(path, (folder) => withRuns(others, [...opened, { path, folder }], use));
}

interface NamedRun {
  /** As the user called it. */
  readonly path: string;
  readonly folder: RunFolder;
}

async function reportOf(
  terminal: Terminal,
  runs: readonly NamedRun[],
  outputs: readonly RunOutput[],
  options: ReportCommandOptions,
): Promise<number> {
  const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
  const page = options.html === undefined ? undefined : new ReportPage();
  /** Folders that stay where they are, by the name of their recording. */
  const folders = new Map<string, string>();
  const alone = runs.length === 1;
  const reports = runs.map(({ path, folder: run }) => {
    const { report, notes } = recordedReport(
      run.path,
      catalog,
      run.name,
      (place, recorded, { turns }) => {
        const recording = alone ? place : placeFrom(path, place);
        if (!run.isBundle) folders.set(recording, join(run.path, place));
        page?.add(recording, recorded, turns);
      },
    );
    for (const note of notes) terminal.say(run.asNamed(note));
    return { path, report };
  });
  const paths = runs.map(({ path }) => path);
  const report = joined(reports);
  if (!takesStandardOutput(outputs)) {
    terminal.print(
      renderTerminalReport(report, {
        color: terminal.color,
        width: terminal.width,
        recordingsFolder: paths.join(', '),
        ...(options.ledger !== undefined && { ledger: options.ledger }),
        twin: options.twin === true,
        nextSteps: [],
      }).trimEnd(),
    );
  }
  if (page !== undefined && options.html !== undefined) {
    const from = dirname(options.html);
    const html = page.html(report, {
      program: await pageProgram(),
      folderOf: (recording) => {
        const folder = folders.get(recording);
        return folder === undefined ? null : urlPath(relative(from, folder).split(sep).join('/'));
      },
      redact: (text) => text,
    });
    writeWhole(options.html, html);
    terminal.say(`Report: ${options.html}`);
  }
  writeOutputs(terminal, outputs, {
    report,
    *recordings() {
      for (const [index, { folder }] of runs.entries()) {
        yield* tracedCells(folder.path, reports[index]!.report.cells);
      }
    },
  });
  if (options.github !== false) showOnGithub(terminal, report, process.env);
  return exitCodeOfVerdicts(report.cells.map(({ verdict }) => verdict));
}

/** One document for all. A single one stays as it is; of several the recordings are named from here. */
function joined(
  reports: readonly { readonly path: string; readonly report: RunReport }[],
): RunReport {
  const [first, ...others] = reports;
  if (others.length === 0) return first!.report;
  const { report } = first!;
  return {
    ...report,
    run: {
      ...report.run,
      seed: onlyOf(reports.map(({ report: { run } }) => run.seed)) ?? null,
      id: `${reports.length} recordings`,
      live: reports.some(({ report: { run } }) => run.live),
    },
    cells: withFlakyCells(
      reports.map(({ path, report: one }) => ({
        ...one,
        cells: one.cells.map((cell) => namedFrom(path, cell)),
      })),
    ),
  };
}

function namedFrom(path: string, cell: CellReport): CellReport {
  const { recording, earlierTries } = cell;
  return {
    ...cell,
    recording: placeFrom(path, recording),
    ...(earlierTries !== undefined && {
      earlierTries: earlierTries.map((one) => ({
        ...one,
        recording: placeFrom(path, one.recording),
      })),
    }),
  };
}

function placeFrom(path: string, place: string): string {
  return place === '.' ? path : `${path}/${place}`;
}
