/** A load run as one JSON document: `load.json`, and what `--json` prints. Names of metrics as in reports of runs. */
import type { BoardSummary } from './board-crowd.ts';
import { Histogram, type HistogramData } from './histogram.ts';
import type { LateCycles } from './late-cycles.ts';
import type { LoadFigures, ProcessFigures } from './load-figures.ts';
import type { LoadPlan } from './load-plan.ts';
import { judge, type Threshold, type ThresholdResult } from './threshold.ts';

/** Raise it when a field changes its meaning or goes away; new fields do not change it. */
export const loadSchemaVersion = 1;

/** Holds only what JSON can say: what could not be measured is null. */
export interface LoadReport {
  readonly schemaVersion: typeof loadSchemaVersion;
  /** `pass`: no threshold is broken. */
  readonly verdict: 'pass' | 'fail';
  readonly run: LoadRunFacts;
  readonly thresholds: readonly ThresholdResult[];
  readonly metrics: LoadMetrics;
  readonly processes: readonly LoadProcess[];
  readonly boards: readonly LoadBoard[];
  /** With `--find-limit`: every try, in the order in which they were made. `metrics` are those of the largest that held. */
  readonly limit?: LoadLimit;
  readonly environment: Readonly<Record<string, string>>;
}

export interface LoadRunFacts {
  readonly id: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly time: 'virtual' | 'real';
  readonly seed: number;
  readonly devices: number;
  readonly ramp_s: number;
  /** Behind the ramp, on the clock of the run. */
  readonly held_s: number;
  readonly pause_s: number;
  readonly wall_s: number;
  readonly scenarios: readonly string[];
  readonly provider: string;
  readonly boards: readonly string[];
  readonly networks: readonly string[];
  /** URL of a server that is not ours; null: it is ours. */
  readonly server: string | null;
  readonly interrupted: boolean;
}

export interface LoadMetrics {
  readonly boards: {
    readonly asked: number;
    /** Connected at some time. */
    readonly connected: number;
    /** Not one connection. */
    readonly refused: number;
    /** What the first of them were told. */
    readonly refusals: readonly string[];
    readonly connections: number;
    readonly restarts: number;
  };
  readonly turns: {
    readonly n: number;
    readonly failed: number;
    /** Null: no turn has ended. */
    readonly failed_share: number | null;
    readonly failures: Readonly<Record<string, number>>;
    /** In progress at the end of the run; neither ended nor failed. */
    readonly unfinished: number;
    readonly conversations: number;
  };
  readonly audible_at_speaker_ms: LoadPercentiles;
  /** Of all requests of the server; nothing with a server that is not ours. */
  readonly ttfb_ms: LoadPercentiles;
  readonly provider: {
    readonly requests: number;
    readonly failed: number;
    readonly failed_turns: Readonly<Record<string, number>>;
  } | null;
  readonly underruns: {
    readonly count: number;
    readonly total_ms: number;
    readonly longest_ms: number | null;
    readonly per_turn: number | null;
  };
  /** The worse one of boards and server. Null in virtual time. */
  readonly late_cycles: {
    readonly share: number | null;
    readonly boards: LoadCycles | null;
    readonly server: LoadCycles | null;
  };
  /** Windows of 64 ms at the speakers. Null: voices were not checked. */
  readonly voices: {
    readonly own: number;
    readonly quiet: number;
    readonly damaged: number;
    readonly foreign: number;
    /** The first sentences in which a board heard somebody else; `heard` null: tones that are no board's. */
    readonly strangers: readonly {
      readonly board: number;
      readonly at_ms: number;
      readonly heard: number | null;
    }[];
  } | null;
  readonly messages_per_second: number;
  readonly bytes_received: number;
  readonly played_s: number;
  /** Simulated seconds per second; null in real time. */
  readonly speed: number | null;
  /** What one board more takes: growth of the resident memory from no board to all of them, divided by them. */
  readonly memory_per_board_bytes: Readonly<Record<string, number>>;
}

export interface LoadPercentiles {
  readonly n: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

export interface LoadCycles {
  readonly n: number;
  readonly late: number;
  readonly share: number | null;
  readonly lateness_ms: LoadPercentiles;
}

export interface LoadProcess {
  readonly role: ProcessFigures['role'];
  readonly boards: number;
  readonly cpu_s: number;
  /** Processors that it kept busy, on average. */
  readonly cores: number;
  readonly resident_bytes: {
    readonly before: number;
    readonly full: number;
    readonly after: number;
  };
  readonly heap_bytes: { readonly before: number; readonly full: number; readonly after: number };
}

export interface LoadBoard {
  readonly board: number;
  readonly scenario: string;
  readonly device: string;
  readonly network: string;
  readonly connections: number;
  readonly restarts: number;
  readonly turns: number;
  readonly failed: number;
  readonly audible_at_speaker_ms: LoadPercentiles;
  readonly underruns: number;
  readonly underruns_total_ms: number;
  readonly foreign_windows: number;
}

export interface LoadLimit {
  /** The most boards that held every threshold; null: not even the least that were tried. */
  readonly boards: number | null;
  /** The fewest that broke one; null: none did. */
  readonly broken: number | null;
  readonly tries: readonly LoadTry[];
}

export interface LoadTry {
  readonly devices: number;
  readonly passed: boolean;
  readonly thresholds: readonly ThresholdResult[];
  readonly audible_at_speaker_ms: LoadPercentiles;
  readonly late_cycles: number | null;
}

export function loadMetrics(figures: LoadFigures): LoadMetrics {
  const { boards, server, cycles, checksVoices } = figures;
  const underruns = Histogram.fromData(boards.underruns);
  const late = {
    boards: cycles === null ? null : loadCycles(cycles.boards),
    server: cycles === null || cycles.server === null ? null : loadCycles(cycles.server),
  };
  const lateShares = [late.boards?.share, late.server?.share].filter(
    (share): share is number => typeof share === 'number',
  );
  return {
    boards: {
      asked: boards.boards,
      connected: boards.connected,
      refused: boards.boards - boards.connected,
      refusals: boards.refusals,
      connections: boards.connections,
      restarts: boards.restarts,
    },
    turns: {
      n: boards.turns,
      failed: boards.failed,
      failed_share: share(boards.failed, boards.turns),
      failures: boards.failures,
      unfinished: boards.unfinished,
      conversations: boards.conversations,
    },
    audible_at_speaker_ms: percentilesMs(boards.audible),
    ttfb_ms: percentilesMs(server?.ttfb ?? new Histogram().toData()),
    provider:
      server === null
        ? null
        : {
            requests: server.requests,
            failed: server.failedRequests,
            failed_turns: server.failures,
          },
    underruns: {
      count: underruns.n,
      total_ms: underruns.n === 0 ? 0 : (underruns.mean * underruns.n) / 1000,
      longest_ms: underruns.n === 0 ? null : underruns.max / 1000,
      per_turn: share(underruns.n, boards.turns),
    },
    late_cycles: { share: lateShares.length === 0 ? null : Math.max(...lateShares), ...late },
    voices: !checksVoices
      ? null
      : {
          ...boards.voices,
          strangers: boards.voices.strangers.map(({ board, atUs, heard }) => ({
            board,
            at_ms: rounded(atUs / 1000),
            heard: heard.board ?? null,
          })),
        },
    messages_per_second: rounded(figures.messagesPerSecond),
    bytes_received: boards.bytesReceived,
    played_s: rounded(boards.playedSeconds),
    speed: figures.time === 'virtual' ? rounded(figures.ranMs / figures.wallMs) : null,
    memory_per_board_bytes: memoryPerBoard(figures),
  };
}

export interface LoadReportOptions {
  readonly plan: LoadPlan;
  readonly figures: LoadFigures;
  readonly thresholds: readonly Threshold[];
  readonly id: string;
  readonly startedAt: string;
  readonly server?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly limit?: LoadLimit;
}

export function loadReport(options: LoadReportOptions): LoadReport {
  const { plan, figures, thresholds, id, startedAt, server, environment, limit } = options;
  const metrics = loadMetrics(figures);
  const results = judge(thresholds, metrics);
  const names = (key: 'device' | 'network'): string[] => [
    ...new Set(plan.cells.map((cell) => cell[key])),
  ];
  return {
    schemaVersion: loadSchemaVersion,
    verdict: results.every(({ passed }) => passed) ? 'pass' : 'fail',
    run: {
      id,
      startedAt,
      time: figures.time,
      seed: plan.seed,
      devices: figures.devices,
      ramp_s: figures.rampMs / 1000,
      held_s: rounded(figures.heldMs / 1000),
      pause_s: plan.pauseMs / 1000,
      wall_s: rounded(figures.wallMs / 1000),
      scenarios: [...new Set(plan.cells.map(({ scenario }) => scenario.name))],
      provider: figures.provider,
      boards: names('device'),
      networks: names('network'),
      server: server ?? null,
      interrupted: figures.interrupted,
    },
    thresholds: results,
    metrics,
    processes: figures.processes.map(loadProcess),
    boards: figures.eachBoard.map(loadBoard),
    ...(limit !== undefined && { limit }),
    environment,
  };
}

/** Percentiles in milliseconds of what was counted in microseconds. */
export function percentilesMs(data: HistogramData): LoadPercentiles {
  const histogram = Histogram.fromData(data);
  const at = (rank: number): number | null =>
    histogram.n === 0 ? null : rounded(histogram.percentile(rank) / 1000);
  return { n: histogram.n, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

function loadCycles({ cycles, late, lateness }: LateCycles): LoadCycles {
  return { n: cycles, late, share: share(late, cycles), lateness_ms: percentilesMs(lateness) };
}

function loadProcess({
  role,
  boards,
  cpuMs,
  cores,
  before,
  full,
  after,
}: ProcessFigures): LoadProcess {
  return {
    role,
    boards,
    cpu_s: rounded(cpuMs / 1000),
    cores: rounded(cores),
    resident_bytes: {
      before: before.residentBytes,
      full: full.residentBytes,
      after: after.residentBytes,
    },
    heap_bytes: { before: before.heapBytes, full: full.heapBytes, after: after.heapBytes },
  };
}

function loadBoard(summary: BoardSummary): LoadBoard {
  const { board, scenario, device, network, connections, restarts, turns, failed } = summary;
  const underruns = Histogram.fromData(summary.underruns);
  return {
    board,
    scenario,
    device,
    network,
    connections,
    restarts,
    turns,
    failed,
    audible_at_speaker_ms: percentilesMs(summary.audible),
    underruns: underruns.n,
    underruns_total_ms: underruns.n === 0 ? 0 : (underruns.mean * underruns.n) / 1000,
    foreign_windows: summary.foreignWindows,
  };
}

/** By the role of the process: what all boards together have added to it, for each of them. */
function memoryPerBoard({ processes }: LoadFigures): Record<string, number> {
  const grown = new Map<string, { bytes: number; boards: number }>();
  for (const { role, boards, before, full, after } of processes) {
    if (boards === 0) continue;
    const bytes = Math.max(full.residentBytes, after.residentBytes) - before.residentBytes;
    const sum = grown.get(role) ?? { bytes: 0, boards: 0 };
    grown.set(role, { bytes: sum.bytes + bytes, boards: sum.boards + boards });
  }
  return Object.fromEntries(
    [...grown].map(([role, { bytes, boards }]) => [role, Math.round(bytes / boards)]),
  );
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
