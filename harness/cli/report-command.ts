import { dirname, join, relative, sep } from 'node:path';
import { writeWhole } from '../files/written-file.ts';
import { ReportPage } from '../report/page/report-page.ts';
import type { RunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { exitCodeOfVerdicts } from './exit-code.ts';
import { pageProgram, urlPath } from './page-program.ts';
import { onlyOf, recordedReport } from './recorded-report.ts';
import { withRunFolder } from './recorded-run-folder.ts';
import { scenarioCatalog } from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

export interface ReportCommandOptions {
  readonly ledger?: 'faulty' | 'all';
  readonly twin?: boolean;
  readonly json?: boolean;
  /** File that gets the page for a browser. */
  readonly html?: string;
}

/** `report`: what recordings come to, from their files alone. Returns the exit code. */
export async function reportCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: ReportCommandOptions,
): Promise<number> {
  const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
  const page = options.html === undefined ? undefined : new ReportPage();
  /** Folders that stay where they are, by the name of their recording. */
  const folders = new Map<string, string>();
  const alone = paths.length === 1;
  const reports = paths.map((path) => {
    const { report, notes } = withRunFolder(path, (run) => {
      const made = recordedReport(run.path, catalog, run.name, (place, recorded, { turns }) => {
        const recording = alone ? place : placeFrom(path, place);
        if (!run.isBundle) folders.set(recording, join(run.path, place));
        page?.add(recording, recorded, turns);
      });
      return { report: made.report, notes: made.notes.map(run.asNamed) };
    });
    for (const note of notes) terminal.say(note);
    return { path, report };
  });
  const report = joined(reports);
  if (options.json === true) terminal.print(JSON.stringify(report, null, 2));
  else {
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
    cells: reports.flatMap(({ path, report: { cells } }) =>
      cells.map((cell) => ({
        ...cell,
        recording: placeFrom(path, cell.recording),
      })),
    ),
  };
}

function placeFrom(path: string, place: string): string {
  return place === '.' ? path : `${path}/${place}`;
}
