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
import { WaitingThread } from './waiting-thread.ts';

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
    const measured = await measureReplayLateness(
      plan,
      providers,
      catalog,
      await laboratory(),
      signal,
      full ? piecesOfOne.full : piecesOfOne.quick,
    );
    const { left, leftOwnP99Us, machine, reached, alarms } = measured;
    const own: Figure = {
      id: 'replay.left_own_p99',
      label: 'the same without waiting for a processor, p99',
      value: (leftOwnP99Us ?? Number.NaN) / 1000,
      unit: 'ms',
      better: 'lower',
      kind: 'here',
      n: left.n,
      goal: goalMs,
    };
    return [
      ...lagFigures('left', 'piece left the recording after it was due', left, goalMs),
      ...(leftOwnP99Us === undefined ? [] : [own]),
      ...lagFigures('machine', 'the machine itself: a thread that only waits', machine),
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
  /** p99 of that without the time in which the thread waited for a processor; undefined where the system does not tell. */
  readonly leftOwnP99Us: number | undefined;
  /** How late a thread was meanwhile that does nothing but wait, one alarm after the other. */
  readonly machine: ClockLag;
  /** The same pieces when the adapter got them, counted from what it had asked. */
  readonly reached: ClockLag;
  /** How late alarms fired meanwhile in the thread of the adapter, the server and the board. */
  readonly alarms: ClockLag;
}

/** Every piece of a recorded answer becomes so many, and of what is measured a 99th percentile means something. */
const piecesOfOne = { quick: 16, full: 4 };

/**
 * Records a plan in virtual time, cuts the answers finer, replays that in real time and compares instants. Of the
 * conversations the worst p50, p99 and maximum count in all but `reached`.
 */
export async function measureReplayLateness(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
  catalog: ScenarioCatalog,
  laboratory: Laboratory,
  signal: AbortSignal,
  pieces: number,
): Promise<ReplayLateness> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  try {
    const how = { laboratory, signal, environment: {} };
    const recorded = join(folder, 'recorded');
    await runPlan({ ...how, plan, providers, folder: recorded });
    const conversations = openReplayables(recorded, catalog);
    const wires = new Map(
      conversations.map(({ cell, folder: of }) => [cell, cutFiner(readWire(of), pieces)]),
    );
    const machine: ClockLag[] = [];
    const replays: TimedReplay[] = [];
    for (const [index, conversation] of conversations.entries()) {
      const replayed = join(folder, `replayed-${index}`);
      const thread = new WaitingThread();
      try {
        const results = await runPlan({
          ...how,
          ...recordedMeans([conversation]),
          recorded: (cell) => recordedTraffic(wires.get(cell)!),
          plan: replayPlan([conversation], 'real'),
          folder: replayed,
        });
        for (const { recording } of results) {
          replays.push(timedReplay(join(replayed, recording), wires.get(conversation.cell)!));
        }
      } finally {
        machine.push(...(await thread.stop()));
      }
    }
    const own = replays.flatMap(({ left }) =>
      left.flatMap(({ ownP99Us }) => (ownP99Us === undefined ? [] : [ownP99Us])),
    );
    return {
      left: worst(replays.flatMap(({ left }) => left)),
      leftOwnP99Us: own.length === 0 ? undefined : Math.max(...own),
      machine: worst(machine),
      reached: clockLag(replays.flatMap(({ reached }) => reached)) ?? nothing,
      alarms: worst(replays.flatMap(({ alarms }) => alarms)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface TimedReplay {
  readonly left: readonly (ClockLag & { readonly ownP99Us?: number })[];
  readonly reached: readonly number[];
  readonly alarms: readonly ClockLag[];
}

function timedReplay(folder: string, recorded: readonly WireConnection[]): TimedReplay {
  const { events } = readRecording(folder);
  return {
    reached: latenesses(recorded, readWire(folder)),
    left: events.flatMap((event) => (event.type === 'replayLag' ? [event] : [])),
    alarms: events.flatMap((event) => (event.type === 'lag' ? [event] : [])),
  };
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
