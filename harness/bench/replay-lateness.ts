import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import { runPlan } from '../runner/run-plan.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import type { Plan } from '../scenario/plan.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { readWire, type WireConnection } from '../trace/wire-traffic.ts';

/** How much later than in its recording a piece of an answer comes in real time, counted from what was asked. */
export interface ReplayLateness {
  /** Pieces measured. */
  readonly n: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** How late alarms of this computer fired meanwhile: what it adds to anything. The worst of the conversations. */
  readonly alarms: Pick<ReplayLateness, 'p50Us' | 'p99Us' | 'maxUs'>;
}

/** Records a plan in virtual time, replays it in real time and compares the two recordings of the wire. */
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
    const replayed = join(folder, 'replayed');
    const means = recordedMeans(conversations);
    const results = await runPlan({
      ...how,
      ...means,
      plan: replayPlan(conversations, 'real'),
      folder: replayed,
    });
    const late = conversations
      .flatMap(({ folder: cell }) =>
        latenesses(readWire(cell), readWire(cell.replace(recorded, replayed))),
      )
      .sort((a, b) => a - b);
    const at = (share: number): number =>
      late[Math.max(0, Math.ceil(share * late.length) - 1)] ?? Number.NaN;
    const alarms = results
      .flatMap(({ recording }) => readRecording(join(replayed, recording)).events)
      .flatMap((event) => (event.source === 'harness' && event.type === 'lag' ? [event] : []));
    const worst = (key: 'p50Us' | 'p99Us' | 'maxUs'): number =>
      Math.max(...alarms.map((lag) => lag[key]));
    return {
      n: late.length,
      p50Us: at(0.5),
      p99Us: at(0.99),
      maxUs: at(1),
      alarms: { p50Us: worst('p50Us'), p99Us: worst('p99Us'), maxUs: worst('maxUs') },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
