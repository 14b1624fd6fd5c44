/** Whatever can be compared, by the name that the user gives it: runs, reports, bundles, folders of runs, baselines. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readBaseline } from '../comparison/baseline.ts';
import type { ComparableRun } from '../comparison/comparable-run.ts';
import { ComparisonError } from '../comparison/comparison-error.ts';
import { metricsVersion } from '../metrics/metric-catalog.ts';
import { comparableRun } from '../report/comparable.ts';
import { type RunReport, reportSchemaVersion } from '../report/run-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { recordedReport } from './recorded-report.ts';
import { withRunFolder } from './recorded-run-folder.ts';
import { scenarioCatalog } from './scenario-files.ts';

/** Where baselines are, from the working folder. */
export const baselineFolder = 'baselines';

export interface ComparableSource {
  readonly run: ComparableRun;
  /** What a reader must know of it, one line each. */
  readonly notes: readonly string[];
}

/** The file of a baseline that is called by its name. */
export function baselineFile(name: string, folder = baselineFolder): string {
  return join(folder, `${name}.json`);
}

/**
 * @param named a path, or the name of a baseline
 * @throws {ComparisonError} `BASELINE_NOT_FOUND`, `BASELINE_INVALID`
 * @throws {RecordingError}
 * @throws {BundleError}
 */
export function openComparable(named: string): ComparableSource {
  if (!existsSync(named)) {
    const file = baselineFile(named);
    if (existsSync(file)) return { run: readBaseline(readFileSync(file, 'utf8'), file), notes: [] };
    throw new ComparisonError(
      'BASELINE_NOT_FOUND',
      `${named} is neither a file nor a folder, and there is no baseline ${file}.`,
      'name a run, a report.json, a bundle or a baseline; "baseline list" shows the baselines',
    );
  }
  if (statSync(named).isDirectory()) return fromFolder(named);
  return named.endsWith('.json') ? fromJson(named) : fromRun(named);
}

function fromJson(file: string): ComparableSource {
  const text = readFileSync(file, 'utf8');
  let parsed: Partial<RunReport>;
  try {
    parsed = JSON.parse(text) as Partial<RunReport>;
  } catch {
    parsed = {};
  }
  // Of a report nothing can be measured again.
  if (isReport(parsed)) return { run: comparableRun(file, [parsed]), notes: [] };
  return { run: readBaseline(text, file), notes: [] };
}

function isReport(parsed: Partial<RunReport>): parsed is RunReport {
  return parsed.schemaVersion === reportSchemaVersion && Array.isArray(parsed.cells);
}

function fromFolder(folder: string): ComparableSource {
  if (isRun(folder)) return fromRun(folder);
  const runs = readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isDirectory() && isRun(path));
  // Says what is wrong with a folder in which there is nothing.
  if (runs.length === 0) return fromRun(folder);
  const opened = runs.map(reportOf);
  return {
    run: comparableRun(
      folder,
      opened.map(({ report }) => report),
    ),
    notes: opened.flatMap(({ notes }) => notes),
  };
}

function isRun(folder: string): boolean {
  return ['report.json', 'cells', 'trace.jsonl'].some((name) => existsSync(join(folder, name)));
}

function fromRun(path: string): ComparableSource {
  const { report, notes } = reportOf(path);
  return { run: comparableRun(path, [report]), notes };
}

/**
 * The report that lies beside the recordings, when this version would measure the same; else they are measured again.
 */
function reportOf(path: string): { report: RunReport; notes: readonly string[] } {
  return withRunFolder(path, (run) => {
    const kept = keptReport(join(run.path, 'report.json'));
    if (kept !== undefined) return { report: kept, notes: [] };
    const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
    const { report, notes } = recordedReport(run.path, catalog, run.name);
    return { report, notes: notes.map(run.asNamed) };
  });
}

function keptReport(file: string): RunReport | undefined {
  if (!existsSync(file)) return undefined;
  let parsed: Partial<RunReport>;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8')) as Partial<RunReport>;
  } catch {
    return undefined;
  }
  const isCurrent =
    isReport(parsed) &&
    parsed.metricsVersion === metricsVersion &&
    parsed.cells.every((cell) => (cell as Partial<typeof cell>).places !== undefined);
  return isCurrent ? (parsed as RunReport) : undefined;
}
