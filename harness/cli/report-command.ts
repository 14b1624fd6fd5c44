import type { RunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { exitCodeOfVerdicts } from './exit-code.ts';
import { recordedReport } from './recorded-report.ts';
import { openRunFolder } from './recorded-run-folder.ts';
import { scenarioCatalog } from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

export interface ReportCommandOptions {
  readonly ledger?: 'faulty' | 'all';
  readonly twin?: boolean;
  readonly json?: boolean;
}

/** `report`: what recordings come to, from their files alone. Returns the exit code. */
export function reportCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: ReportCommandOptions,
): number {
  const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
  const reports = paths.map((path) => {
    const run = openRunFolder(path);
    try {
      const { report, notes } = recordedReport(run.path, catalog, run.name);
      for (const note of notes) terminal.say(note.replaceAll(run.path, path));
      return { path, report };
    } finally {
      run.close();
    }
  });
  const report = joined(reports);
  if (options.json === true) terminal.print(JSON.stringify(report, null, 2));
  else {
    terminal.print(
      renderTerminalReport(report, {
        color: terminal.color,
        width: terminal.width,
        recordingsFolder: paths.length === 1 ? paths[0]! : '.',
        ...(options.ledger !== undefined && { ledger: options.ledger }),
        twin: options.twin === true,
        nextSteps: [],
      }).trimEnd(),
    );
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
      id: `${reports.length} recordings`,
      live: reports.some(({ report: { run } }) => run.live),
    },
    cells: reports.flatMap(({ path, report: { cells } }) =>
      cells.map((cell) => ({
        ...cell,
        recording: cell.recording === '.' ? path : `${path}/${cell.recording}`,
      })),
    ),
  };
}
