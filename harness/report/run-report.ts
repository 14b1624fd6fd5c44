/**
 * A run as one JSON document: what `--json` prints and what the other reports are drawn from.
 * Metric names and their units are those of `harness/metrics/metric-catalog.ts`.
 */
import type { Comparison } from '../comparison/comparison.ts';
import type { Flakiness } from '../comparison/flaky.ts';
import type { UnderrunBlame } from '../metrics/blame.ts';
import type { BoardMeasurement } from '../metrics/board-measurement.ts';
import { spanNames } from '../metrics/latency-spans.ts';
import type { CellMeasurement, MeasureSettings, TurnMeasurement } from '../metrics/measure.ts';
import { metricFamilies, metricsVersion } from '../metrics/metric-catalog.ts';
import type { RoomMeasurement } from '../metrics/room-measurement.ts';
import type { MetricSummary } from '../metrics/summary.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Expectation, Scenario } from '../scenario/scenario.ts';
import type { ManifestInputs } from '../trace/manifest.ts';
import type { Verdict, VerdictFailure } from '../verdict/judge.ts';
import { type BlameReport, blameReport } from './blame-report.ts';
import { type BoardReport, boardReport } from './board-report.ts';
import { withFlakyCells } from './flaky-report.ts';
import {
  type CellLedgerReport,
  cellLedger,
  type TurnLedgerReport,
  turnLedger,
} from './ledger-report.ts';

/** Raise it when a field changes its meaning or goes away; new fields do not change it. */
export const reportSchemaVersion = 1;

/** Holds only what JSON can say: a number that could not be measured is null, never NaN. */
export interface RunReport {
  readonly schemaVersion: typeof reportSchemaVersion;
  /** By which definitions it was measured; other versions may give other numbers. Absent in older reports: 1. */
  readonly metricsVersion?: number;
  readonly run: RunFacts;
  /** In the order of the plan. */
  readonly cells: readonly CellReport[];
  /** Cells that were asked for and not run. */
  readonly notRun: readonly NotRunReport[];
  /** With a baseline: the baseline is A, this run is B. Absent: there was none to compare with. */
  readonly comparison?: Comparison;
  readonly environment: Environment;
}

/** A run whose cells are read one after the other, as often as wanted: they need not all be in memory. */
export interface ReportedRun extends Omit<RunReport, 'cells'> {
  readonly cells: Iterable<CellReport>;
}

export interface NotRunReport {
  readonly scenario: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  readonly reason: string;
}

/** Beside `seed`, `time` and `live` the wall-clock facts of the run: they differ from one run to the next. */
export interface RunFacts {
  /** Name of the run's folder. */
  readonly id: string;
  /** Null: of recordings that do not know it. Every cell has its own, which is derived from it. */
  readonly seed: number | null;
  readonly time: 'virtual' | 'real';
  /** Real services spoke; otherwise the figures are those of stand-ins. */
  readonly live: boolean;
  /** Recordings answered in the place of providers, `what-if`: something was changed. Absent: stand-ins or real services did. */
  readonly replay?: 'strict' | 'what-if';
  /** It is one of several parts of a plan; `merge` joins them. Absent: it is all of it. */
  readonly shard?: ShardFacts;
  /** What a live run was allowed to ask of the services, and what it asked. */
  readonly budget?: RunBudget;
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly durationMs?: number;
}

/** Which part of which plan. */
export interface ShardFacts {
  /** From 1. */
  readonly index: number;
  readonly of: number;
  /** Places in the plan, from 0: those of `cells`, then those of the cells of this part that were not run. */
  readonly places: readonly number[];
  readonly plan: {
    /** Of all parts together. */
    readonly cells: number;
    /** Of everything that decides how they go, beside the program. */
    readonly digest: string;
    /** Digest of each scenario, by its name. */
    readonly scenarios: Readonly<Record<string, string>>;
  };
}

/** Versions, operating system and the like; whatever the caller knows. */
export type Environment = Readonly<Record<string, string | number | boolean | null>>;

export interface RunBudget {
  readonly maxRequests: number;
  readonly maxCharacters: number;
  readonly requests: number;
  readonly characters: number;
}

export interface CellReport {
  readonly scenario: string;
  readonly title: string;
  /** The scenario file as it was named; of a recording where it is below its folder. */
  readonly file: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  /** Whose behavior the server had: `harness`, its own, or `echokit-server`. */
  readonly server: string;
  /** Host and port of the real service that spoke; null: a stand-in did. */
  readonly host: string | null;
  /** Ids of the board's quirks that the scenario has switched off. Absent: none. */
  readonly quirksOff?: readonly string[];
  /** RMS of the noise at the board's microphone. Absent: none. */
  readonly noiseDbfs?: number;
  /** Gain and acoustic delay of the speaker at the microphone. Absent: it was not heard. */
  readonly echoDb?: number;
  readonly echoDelayMs?: number;
  /** The real board that played; `device` is then the model that estimates its playout. Absent: an emulated one. */
  readonly board?: BoardReport;
  /** What a microphone heard of the conversation. Absent: the room was not captured. */
  readonly room?: RoomMeasurement;
  readonly seed: number;
  /** From 1, in a run that repeats its cells. Absent: it does not. */
  readonly repetition?: number;
  /** Digests of what decided how it went, as in the manifest of its recording. Absent: not known. */
  readonly inputs?: ManifestInputs;
  /** How much worse than a baseline its scenario allows it to be. Absent: its scenario says nothing. */
  readonly gates?: readonly { readonly metric: string; readonly tolerance: string }[];
  /** Of the conversation, on its own clock. */
  readonly durationMs: number;
  readonly verdict: Verdict['outcome'];
  /** The first failure that no expectation asked for; a missed expectation is not one of them. */
  readonly failure?: VerdictFailure;
  /** All failures, the expected ones marked as such. */
  readonly failures: readonly VerdictFailure[];
  readonly turns: readonly TurnReport[];
  readonly metrics: MetricTree;
  /**
   * The single values that the distributions in `metrics` rest on, by name, in the order of the
   * recording. Names without a value are left out, and so is what is measured per chunk.
   */
  readonly values: Readonly<Record<string, readonly number[]>>;
  /** Where each of `values` belongs, at the same index. */
  readonly places: Readonly<Record<string, readonly ValuePlace[]>>;
  readonly expectations: readonly ExpectationReport[];
  /** Where every sample went, from the provider to the speaker. */
  readonly ledger: CellLedgerReport;
  /** Whose fault each underrun was. Absent: nobody asked. */
  readonly blame?: readonly BlameReport[];
  readonly settings: MeasureSettings;
  /** Folder of the recording, relative to the folder of the run, with `/` as separator. */
  readonly recording: string;
  /** The tries before this one, the oldest first: none of them could be judged. Absent: there was none. */
  readonly earlierTries?: readonly TryReport[];
  /** Why another try would change nothing, though it could not be judged. Absent: it was judged, or might. */
  readonly notTriedAgain?: string;
  /** It did not come out the same each time that it was held. Absent: nothing shows that. */
  readonly flaky?: Flakiness;
}

/** A try that does not count: what it came to, and where its recording is. */
export interface TryReport {
  readonly verdict: Verdict['outcome'];
  readonly failures: readonly VerdictFailure[];
  /** Of the conversation, on its own clock. */
  readonly durationMs: number;
  /** As {@link CellReport.recording}. */
  readonly recording: string;
}

export interface ValuePlace {
  /** Null: to no turn. */
  readonly turn: number | null;
  /** Of a request: its connection was open before. Absent: it is of no request. */
  readonly reused?: boolean;
}

export interface TurnReport {
  readonly turn: number;
  /** Of its `[[turn]]` in the file of the cell. Absent: the scenario is not known. */
  readonly line?: number;
  /** `ok`: heard to its end. `interrupted`: the user cut it off. */
  readonly verdict: TurnMeasurement['outcome'];
  readonly failure?: NonNullable<TurnMeasurement['failure']>;
  /** Null in a failed turn, as all of its spans. */
  readonly audible_at_speaker_ms: number | null;
  /**
   * Milliseconds by span (`end_of_turn_ms` … `lead_silence_ms`, `unattributed_ms`). To the
   * microsecond they add up to `audible_at_speaker_ms`, a null counting as 0.
   */
  readonly spans: Readonly<Record<string, number | null>>;
  readonly underruns: readonly UnderrunReport[];
  readonly sentences: readonly { readonly sentence: number; readonly text: string | null }[];
  readonly metrics: MetricTree;
  readonly ledger: TurnLedgerReport;
}

export interface UnderrunReport {
  readonly sentence: number;
  /** Index of its first zero in `speaker.wav`. */
  readonly position: number;
  readonly atMs: number;
  readonly durationMs: number;
  /** After the last sound of the sentence: the player waited for the end marker only. */
  readonly trailing: boolean;
  readonly seqs: readonly number[];
}

export interface ExpectationReport {
  readonly metric: string;
  readonly operator: Expectation['operator'];
  readonly value: Expectation['value'];
  readonly turn?: number;
  /** `unknown`: an external server does not tell; it does not count. */
  readonly outcome: 'pass' | 'fail' | 'unknown';
  readonly actual: number | string | null;
  readonly evidence: string;
  readonly at: Expectation['at'];
  readonly seqs: readonly number[];
  /** A `[[check]]` of the scenario: how often something happened. */
  readonly check?: true;
}

/**
 * Metrics by the parts of their path: `metrics.ttfa_ms.p50`, `metrics.underruns.count`. A
 * distribution always has its `n`, 0 when nothing was measured.
 */
export interface MetricTree {
  readonly [name: string]: MetricTree | number | string | null;
}

export interface ReportedCell {
  readonly cell: Cell;
  readonly measurement: CellMeasurement;
  readonly verdict: Verdict;
  /** Relative to the folder of the run. */
  readonly recording: string;
  readonly host: string | null;
  readonly inputs?: ManifestInputs;
  /** When somebody asked for it. */
  readonly blame?: readonly UnderrunBlame[];
  /** Of a real board. */
  readonly board?: BoardMeasurement;
  readonly room?: RoomMeasurement;
  readonly earlierTries?: readonly {
    readonly verdict: Verdict;
    /** Relative to the folder of the run. */
    readonly recording: string;
    readonly durationUs: number;
  }[];
  readonly notTriedAgain?: string;
}

export function buildRunReport(source: {
  readonly cells: readonly ReportedCell[];
  readonly notRun?: readonly { readonly cell: Cell; readonly reason: string }[];
  readonly run: RunFacts;
  readonly environment: Environment;
}): RunReport {
  const { run, environment } = source;
  return finite({
    schemaVersion: reportSchemaVersion,
    metricsVersion,
    run,
    cells: withFlakyCells([{ run, environment, cells: source.cells.map(cellReport) }]),
    notRun: (source.notRun ?? []).map(({ cell, reason }) => ({
      scenario: cell.scenario.name,
      provider: cell.provider,
      device: cell.device,
      network: cell.network,
      server: cell.server,
      reason,
    })),
    environment,
  });
}

/** What two runs with the same scenarios, seed and version have in common, to the byte. */
export interface ReportData {
  readonly schemaVersion: typeof reportSchemaVersion;
  readonly seed: number | null;
  readonly cells: readonly CellReport[];
}

export function reportData({ schemaVersion, run, cells }: RunReport): ReportData {
  return { schemaVersion, seed: run.seed, cells };
}

/**
 * The names of the spans of a turn, in the order in which they follow each other; the last one is
 * what no span covers.
 */
export const spanMetricNames: readonly string[] = [...spanNames.map(metricName), 'unattributed_ms'];

function metricName(span: string): string {
  return `${span.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_ms`;
}

function cellReport({
  cell,
  measurement,
  verdict,
  recording,
  host,
  inputs,
  blame,
  board,
  room,
  earlierTries,
  notTriedAgain,
}: ReportedCell): CellReport {
  const failure = verdict.failures.find(({ expected }) => !expected);
  const { quirksOff, noiseDbfs, echo } = cell.scenario.device;
  return {
    scenario: cell.scenario.name,
    title: cell.scenario.title,
    file: cell.scenario.file,
    provider: cell.provider,
    device: cell.device,
    network: cell.network,
    server: cell.server,
    host,
    ...(quirksOff.length === 0 ? {} : { quirksOff }),
    ...(noiseDbfs !== undefined && { noiseDbfs }),
    ...(echo !== undefined && { echoDb: echo.db, echoDelayMs: echo.delayMs }),
    ...(board !== undefined && { board: boardReport(board) }),
    ...(room !== undefined && { room }),
    seed: cell.seed,
    ...(cell.repetition !== undefined && { repetition: cell.repetition }),
    ...(inputs !== undefined && { inputs }),
    ...(cell.scenario.gates !== undefined && {
      gates: cell.scenario.gates.map(({ metric, tolerance }) => ({ metric, tolerance })),
    }),
    durationMs: measurement.durationUs / 1000,
    verdict: verdict.outcome,
    ...(failure === undefined ? {} : { failure }),
    failures: verdict.failures,
    turns: measurement.turns.map((turn) => turnReport(turn, measurement, cell.scenario)),
    metrics: metricTree(measurement.metrics),
    ...distributionValues(measurement),
    expectations: verdict.expectations.map(({ expectation, ...judged }) => ({
      metric: expectation.metric,
      operator: expectation.operator,
      value: expectation.value,
      ...(expectation.turn === undefined ? {} : { turn: expectation.turn }),
      ...judged,
      at: expectation.at,
    })),
    ledger: cellLedger(measurement.conservation),
    ...(blame !== undefined && { blame: blameReport(blame) }),
    settings: measurement.settings,
    recording,
    ...(earlierTries !== undefined && {
      earlierTries: earlierTries.map((one) => ({
        verdict: one.verdict.outcome,
        failures: one.verdict.failures,
        durationMs: one.durationUs / 1000,
        recording: one.recording,
      })),
    }),
    ...(notTriedAgain !== undefined && { notTriedAgain }),
  };
}

function turnReport(
  turn: TurnMeasurement,
  { underruns, conservation }: CellMeasurement,
  { turns }: Scenario,
): TurnReport {
  const line = turns.find(({ number }) => number === turn.turn)?.line;
  // The spans of a failed turn end at the failure; as latencies they would make it look fast.
  const ms = (us: number | null) => (us === null || turn.outcome === 'failed' ? null : us / 1000);
  const spans = Object.fromEntries([
    ...spanNames.map((name) => [metricName(name), ms(turn.spans[name])] as const),
    ['unattributed_ms', ms(turn.unattributedUs)] as const,
  ]);
  return {
    turn: turn.turn,
    ...(line !== undefined && { line }),
    verdict: turn.outcome,
    ...(turn.failure === null ? {} : { failure: turn.failure }),
    audible_at_speaker_ms: ms(turn.audibleAtSpeakerUs),
    spans,
    underruns: underruns
      .flatMap((sentence) => sentence.underruns)
      .filter((run) => run.turn === turn.turn)
      .map(({ sentence, position, atUs, durationUs, trailing, seqs }) => ({
        sentence,
        position,
        atMs: atUs / 1000,
        durationMs: durationUs / 1000,
        trailing,
        seqs,
      })),
    sentences: turn.sentences.map(({ sentence, text }) => ({ sentence, text })),
    metrics: metricTree(turn.metrics),
    ledger: turnLedger(conservation, turn.turn),
  };
}

function distributionValues({
  observations,
}: CellMeasurement): Pick<CellReport, 'values' | 'places'> {
  const values: Record<string, number[]> = {};
  const places: Record<string, ValuePlace[]> = {};
  const reused = new Set(observations['requests.reused']?.map(({ request }) => request));
  for (const { name, kind, per } of metricFamilies) {
    const observed = observations[name];
    if (kind !== 'distribution' || per === 'chunk' || observed === undefined) continue;
    values[name] = observed.map(({ value }) => value);
    places[name] = observed.map(({ turn, request }) => ({
      turn,
      ...(request !== undefined && { reused: reused.has(request) }),
    }));
  }
  return { values, places };
}

/**
 * A path that has others below it, such as `lead_silence_ms` beside `lead_silence_ms.p50`, stands
 * for the median and is left out: one name cannot be a number and an object.
 */
export function metricTree(summary: MetricSummary): MetricTree {
  type Branch = { [name: string]: Branch | number | string | null };
  const root: Branch = {};
  const paths = Object.keys(summary);
  for (const path of paths) {
    if (paths.some((other) => other.startsWith(`${path}.`))) continue;
    const names = path.split('.');
    const leaf = names.pop()!;
    let branch = root;
    for (const name of names) {
      branch[name] ??= {};
      branch = branch[name] as Branch;
    }
    branch[leaf] = summary[path] ?? null;
  }
  return root;
}

/** A copy with null in the place of every number that JSON has no word for. */
function finite<T>(value: T): T {
  if (typeof value === 'number') return (Number.isFinite(value) ? value : null) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(finite) as T;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, finite(member)]),
  ) as T;
}
