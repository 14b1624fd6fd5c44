import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClockLag, clockLag } from '../clock/lag-watch.ts';
import { recordedTraffic } from '../replay/recorded-exchange.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import { runPlan } from '../runner/run-plan.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import { type Plan, planRun } from '../scenario/plan.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { readWire, type WireConnection, type WireStep } from '../trace/wire-traffic.ts';
import type { BenchMeasurement } from './bench-part.ts';
import type { Figure } from './figure.ts';

/** Of `left`, on a machine that does nothing else. */
const goalMs = 1;

export const replayLateness: BenchMeasurement = {
  async measure({ full, catalog, scenarios, providers, laboratory, signal }) {
    const plan = planRun(scenarios(full ? 'long-answer' : 'one-question'), {
      seed: 1,
      time: 'virtual',
      catalog,
      providers: ['openai-stream', 'cosyvoice', 'elevenlabs'],
      networks: ['ideal'],
    });
    const lab = await laboratory();
    const { left, reached, alarms } = await measureReplayLateness(
      plan,
      providers,
      catalog,
      lab,
      signal,
    );
    return [
      ...lagFigures('left', 'piece left the recording after it was due', left, goalMs),
      ...lagFigures('reached', 'piece reached the adapter after it was due', reached),
      ...lagFigures('alarms', 'alarm where adapter, server and board run', alarms),
    ];
  },
};

function lagFigures(
  what: string,
  label: string,
  { n, p50Us, p99Us, maxUs }: ClockLag,
  goal?: number,
): Figure[] {
  const row = (rank: string, us: number): Figure => ({
    id: `replay.${what}_${rank}`,
    label: `${label}, ${rank}`,
    value: us / 1000,
    unit: 'ms',
    better: 'lower',
    kind: 'here',
    n,
    ...(rank === 'p99' && goal !== undefined && { goal }),
  });
  return [row('p50', p50Us), row('p99', p99Us), row('max', maxUs)];
}

/** How late a replay is in real time. */
export interface ReplayLateness {
  /** Pieces of answers that left the recording: from the instant at which each was due. */
  readonly left: ClockLag;
  /** The same pieces when the adapter got them, counted from what it had asked. */
  readonly reached: ClockLag;
  /** How late alarms fired meanwhile in the thread of the adapter, the server and the board. */
  readonly alarms: ClockLag;
}

/** Every piece of a recorded answer becomes so many, and of what is measured a 99th percentile means something. */
const piecesOfOne = 4;

/**
 * Records a plan in virtual time, cuts the answers finer, replays that in real time and compares instants. Of the
 * conversations the worst p50, p99 and maximum count in `left` and `alarms`.
 */
export async function measureReplayLateness(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
  catalog: ScenarioCatalog,
  laboratory: Laboratory,
  signal: AbortSignal,
): Promise<ReplayLateness> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  try {
    const how = { laboratory, signal, environment: {} };
    const recorded = join(folder, 'recorded');
    await runPlan({ ...how, plan, providers, folder: recorded });
    const conversations = openReplayables(recorded, catalog);
    const wires = new Map(
      conversations.map(({ cell, folder: of }) => [cell, cutFiner(readWire(of), piecesOfOne)]),
    );
    const replayed = join(folder, 'replayed');
    const results = await runPlan({
      ...how,
      ...recordedMeans(conversations),
      recorded: (cell) => recordedTraffic(wires.get(cell)!),
      plan: replayPlan(conversations, 'real'),
      folder: replayed,
    });
    const replays = results.map(({ cell, recording }) => {
      const of = join(replayed, recording);
      const { events } = readRecording(of);
      return {
        reached: latenesses(wires.get(cell)!, readWire(of)),
        left: events.flatMap((event) => (event.type === 'replayLag' ? [event] : [])),
        alarms: events.flatMap((event) => (event.type === 'lag' ? [event] : [])),
      };
    });
    return {
      left: worst(replays.flatMap(({ left }) => left)),
      reached: clockLag(replays.flatMap(({ reached }) => reached)) ?? nothing,
      alarms: worst(replays.flatMap(({ alarms }) => alarms)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const nothing: ClockLag = { n: 0, p50Us: Number.NaN, p99Us: Number.NaN, maxUs: Number.NaN };

function worst(lags: readonly ClockLag[]): ClockLag {
  if (lags.length === 0) return nothing;
  const most = (key: 'p50Us' | 'p99Us' | 'maxUs'): number =>
    Math.max(...lags.map((lag) => lag[key]));
  return {
    n: lags.reduce((sum, { n }) => sum + n, 0),
    p50Us: most('p50Us'),
    p99Us: most('p99Us'),
    maxUs: most('maxUs'),
  };
}

/** Heads of answers stay whole. */
const cutBytesMin = 400;

/** The same bytes in more pieces, spread evenly until the next thing happens on the connection. */
export function cutFiner(connections: readonly WireConnection[], count: number): WireConnection[] {
  return connections.map(({ number, steps }) => ({
    number,
    steps: steps.flatMap((step, index): WireStep[] => {
      const { type, atUs, data } = step;
      if (type !== 'received' || data === undefined || data.length < cutBytesMin) return [step];
      const untilUs = steps[index + 1]?.atUs ?? atUs;
      return Array.from({ length: count }, (_, piece): WireStep => {
        const part = data.subarray(
          Math.floor((piece * data.length) / count),
          Math.floor(((piece + 1) * data.length) / count),
        );
        const at = atUs + Math.floor((piece * (untilUs - atUs)) / count);
        return { type, atUs: at, bytes: part.length, data: part };
      });
    }),
  }));
}

/**
 * In µs, piece by piece. A piece that came together with the next one came with it; bytes that never came are not
 * counted.
 */
export function latenesses(
  recorded: readonly WireConnection[],
  replayed: readonly WireConnection[],
): number[] {
  return recorded.flatMap((connection, index) => {
    const again = replayed[index];
    if (again === undefined) return [];
    const { sentUs, pieces } = timesOf(again);
    return timesOf(connection).pieces.flatMap(({ bytes, delayUs, parts }) => {
      const same = pieces.find((piece) => piece.bytes >= bytes);
      const askedUs = sentUs[parts - 1];
      return same === undefined || askedUs === undefined ? [] : [same.atUs - askedUs - delayUs];
    });
  });
}

interface Piece {
  readonly atUs: number;
  /** Bytes of the connection up to its end. */
  readonly bytes: number;
  /** Since the part of the request before it. */
  readonly delayUs: number;
  /** Parts of requests before it. */
  readonly parts: number;
}

function timesOf({ steps }: WireConnection): { sentUs: number[]; pieces: Piece[] } {
  const sentUs: number[] = [];
  const pieces: Piece[] = [];
  let bytes = 0;
  for (const step of steps) {
    if (step.type === 'sent') sentUs.push(step.atUs);
    if (step.type !== 'received') continue;
    bytes += step.bytes;
    const fromUs = sentUs.at(-1) ?? step.atUs;
    pieces.push({ atUs: step.atUs, bytes, delayUs: step.atUs - fromUs, parts: sentUs.length });
  }
  return { sentUs, pieces };
}
