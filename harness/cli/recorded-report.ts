/** The report of recordings, from their files and nothing else: no server, no board, no provider is needed for it. */
import { basename, relative, sep } from 'node:path';
import type { CellMeasurement } from '../metrics/measure.ts';
import { measureRoom } from '../metrics/room-measurement.ts';
import {
  buildRunReport,
  type CellReport,
  type ReportedCell,
  type RunReport,
} from '../report/run-report.ts';
import { earlierTryFolders, recordingFolders } from '../runner/recorded-run.ts';
import { judgeRecording } from '../runner/recording-verdict.ts';
import { readInputs } from '../runner/run-inputs.ts';
import { type ScenarioCatalog, silentScenario } from '../scenario/load.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { ScenarioError } from '../scenario/scenario-error.ts';
import type { ManifestPlan, RecordingManifest } from '../trace/manifest.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readManifest } from '../trace/recorded-files.ts';
import { RecordingError } from '../trace/recording-error.ts';
import { readRecording } from '../trace/recording-reader.ts';
import type { ReplayKind, TraceHeader } from '../trace/trace-event.ts';
import { whyNoOtherTry } from '../verdict/second-try.ts';

export interface RecordedReport {
  readonly report: RunReport;
  /** What a reader must know of the recordings, one line each. */
  readonly notes: readonly string[];
}

/**
 * @param path of a recording or of a run
 * @param name of the report; default: that of the folder
 * @param onRecording called with each, by the name that the report gives it
 * @throws {RecordingError} for a folder without a recording, or one that cannot be read
 */
export function recordedReport(
  path: string,
  catalog: ScenarioCatalog,
  name: string = basename(path),
  onRecording?: (recording: string, recorded: Recording, measurement: CellMeasurement) => void,
): RecordedReport {
  const notes: string[] = [];
  const folders = recordingFolders(path);
  const headers: TraceHeader[] = [];
  const manifests: RecordingManifest[] = [];
  const cells = folders.map((folder): ReportedCell => {
    const recording = readRecording(folder);
    const { header, partial } = recording;
    const manifest = readManifest(folder);
    headers.push(header);
    if (manifest !== undefined) manifests.push(manifest);
    if (partial) notes.push(`${folder} is partial: the run was stopped before its end.`);
    const scenario = scenarioOf(folder, catalog, notes);
    const { measurement, board, verdict } = judgeRecording(recording, scenario);
    const room = measureRoom(recording);
    const place = placeIn(path, folder);
    const earlierTries = earlierTryFolders(folder).map((earlier) => {
      const judged = judgeRecording(readRecording(earlier), scenario);
      return {
        verdict: judged.verdict,
        recording: placeIn(path, earlier),
        durationUs: judged.measurement.durationUs,
      };
    });
    onRecording?.(place, recording, measurement);
    const notTriedAgain = whyNoOtherTry({
      verdict,
      time: header.time,
      onBoard: board !== null,
      scenario,
    });
    return {
      cell: cellOf(header, scenario ?? unknownScenario(header, manifest)),
      measurement,
      verdict,
      recording: place,
      host: header.live ?? null,
      ...(manifest?.inputs !== undefined && { inputs: manifest.inputs }),
      ...(board !== null && { board }),
      ...(room !== null && { room }),
      ...(earlierTries.length > 0 && { earlierTries }),
      ...(notTriedAgain !== undefined && { notTriedAgain }),
    };
  });
  const [first] = headers;
  const environment = manifests[0]?.environment ?? {};
  const report = buildRunReport({
    cells,
    run: {
      id: name,
      seed: onlyOf(manifests.map(({ plan }) => plan.runSeed)) ?? null,
      time: first!.time,
      live: headers.some(({ live }) => live !== undefined),
      ...replayOf(headers),
      ...(environment.startedAt !== undefined && { startedAt: environment.startedAt }),
    },
    environment,
  });
  return {
    report: { ...report, cells: report.cells.map((cell, index) => placed(cell, folders[index]!)) },
    notes,
  };
}

/** A folder as a report names it. */
function placeIn(path: string, folder: string): string {
  return relative(path, folder).split(sep).join('/') || '.';
}

function replayOf(headers: readonly TraceHeader[]): { readonly replay?: ReplayKind } {
  const kinds = headers.flatMap(({ replay }) => (replay === undefined ? [] : [replay]));
  if (kinds.length === 0) return {};
  return { replay: kinds.includes('what-if') ? 'what-if' : 'strict' };
}

/** What all of them have; undefined when they differ. */
export function onlyOf<T>(values: readonly T[]): T | undefined {
  const [first, ...others] = new Set(values);
  return others.length === 0 ? first : undefined;
}

/** Where the files were when the report was made is nobody's business: a scenario is named from its recording on. */
function placed(cell: CellReport, folder: string): CellReport {
  const shown = (file: string): string =>
    file.startsWith(folder) ? relative(folder, file).split(sep).join('/') : file;
  const expectations = cell.expectations.map((expectation) => ({
    ...expectation,
    at: { ...expectation.at, file: shown(expectation.at.file) },
  }));
  return { ...cell, file: shown(cell.file), expectations };
}

function scenarioOf(
  folder: string,
  catalog: ScenarioCatalog,
  notes: string[],
): Scenario | undefined {
  try {
    return readInputs(folder, catalog).scenario;
  } catch (error) {
    const known = error instanceof ScenarioError || error instanceof RecordingError;
    if (!known) throw error;
    const why =
      error instanceof RecordingError
        ? 'it does not hold its scenario'
        : 'this version does not read its scenario';
    notes.push(`${folder}: what was expected is not known, ${why} [${error.code}].`);
    return undefined;
  }
}

function cellOf(header: TraceHeader, scenario: Scenario): Cell {
  const { provider, device, network, seed, repetition } = header;
  const server = (header.server ?? 'harness') as Cell['server'];
  return {
    scenario,
    provider,
    device,
    network,
    server,
    seed,
    ...(repetition !== undefined && { repetition }),
  };
}

/** What the recording itself tells of a scenario that it does not hold. */
function unknownScenario(header: TraceHeader, manifest: RecordingManifest | undefined): Scenario {
  const plan: Partial<ManifestPlan> = manifest?.plan ?? {};
  const { title = header.scenario, file = header.scenario, quirksOff = [] } = plan;
  const { noiseDbfs, echoDb, echoDelayMs = 0 } = plan;
  const silent = silentScenario(header.scenario, file, title);
  return {
    ...silent,
    device: {
      ...silent.device,
      quirksOff,
      ...(noiseDbfs !== undefined && { noiseDbfs }),
      ...(echoDb !== undefined && { echo: { db: echoDb, delayMs: echoDelayMs } }),
    },
  };
}
