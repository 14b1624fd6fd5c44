import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { opusPacketSamples } from '../../firmware-protocol/index.ts';
import type { Clock } from '../clock/clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { runPlan } from '../runner/run-plan.ts';
import { type Plan, planRun } from '../scenario/plan.ts';
import { readRecording } from '../trace/recording-reader.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import type { BenchMeasurement } from './bench-part.ts';
import { type Figure, percentile } from './figure.ts';

export const serverLatency: BenchMeasurement = {
  async measure({ catalog, scenarios, providers, laboratory, signal }) {
    const plan = planRun(scenarios('two-turns'), {
      seed: 1,
      time: 'real',
      catalog,
      providers: ['openai-stream', 'stream_gsv', 'elevenlabs'],
      networks: ['ideal'],
    });
    const measured = await measureServerLatency(plan, providers, await laboratory(), signal);
    const { n, p50Us, p99Us, maxUs, loopbackRoundTripP50Us } = measured;
    const row = (rank: string, us: number): Figure => ({
      id: `server.${rank}`,
      label: `provider chunk → frame on the socket, ${rank}`,
      value: us / 1000,
      unit: 'ms',
      better: 'lower',
      kind: 'here',
      n,
    });
    return [
      row('p50', p50Us),
      row('p99', p99Us),
      row('max', maxUs),
      { ...row('loopback_p50', loopbackRoundTripP50Us), label: 'round trip of 400 bytes, p50' },
    ];
  },
};

/** What the adapter server adds between the provider's audio and the board's socket, in real time. */
export interface ServerLatency {
  /** Frames measured. */
  readonly n: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Round trip of 400 bytes over a loopback socket in the same process, for comparison. */
  readonly loopbackRoundTripP50Us: number;
}

/**
 * Runs a real-time plan and takes, for every audio frame of the first sentence of a turn, the time
 * from the arrival of the provider chunk that completed it to the instant it was written. Later
 * sentences wait for their turn, and a last frame for the end of the audio; both are no latency of
 * the server.
 */
export async function measureServerLatency(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
  laboratory: Laboratory,
  signal: AbortSignal,
): Promise<ServerLatency> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  try {
    const options = { plan, providers, laboratory, folder, signal, environment: {} };
    const results = await runPlan(options);
    const latencies = results.flatMap(({ recording }) =>
      frameLatencies(readRecording(join(folder, recording)).events),
    );
    const at = (share: number): number => percentile(latencies, share);
    return {
      n: latencies.length,
      p50Us: at(0.5),
      p99Us: at(0.99),
      maxUs: at(1),
      loopbackRoundTripP50Us: await loopbackRoundTripUs(new SystemClock()),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In µs, in order of the frames. */
export function frameLatencies(events: readonly TraceEvent[]): number[] {
  const firstOfTurn = new Map<number, number>();
  for (const event of events) {
    if (event.source === 'server' && event.type === 'sentence' && !firstOfTurn.has(event.turn)) {
      firstOfTurn.set(event.turn, event.sentence);
    }
  }
  return [...firstOfTurn].flatMap(([turn, sentence]) => {
    const requests = new Set<number>();
    const arrivals: { readonly atUs: number; readonly samples: number }[] = [];
    const latencies: number[] = [];
    let arrived = 0;
    let framed = 0;
    for (const event of events) {
      if (event.source === 'provider') {
        if (event.type === 'request' && event.turn === turn && event.sentence === sentence) {
          requests.add(event.request);
        }
        if (event.type === 'chunk' && requests.has(event.request)) {
          arrived += event.samples;
          arrivals.push({ atUs: event.atUs, samples: arrived });
        }
      }
      if (event.source !== 'server' || event.type !== 'frame') continue;
      if (event.turn !== turn || event.sentence !== sentence || event.samples === undefined)
        continue;
      framed += opusPacketSamples;
      const completing = arrivals.find(({ samples }) => samples >= framed);
      if (completing !== undefined) latencies.push(event.atUs - completing.atUs);
    }
    return latencies;
  });
}

async function loopbackRoundTripUs(clock: Clock): Promise<number> {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const times: number[] = [];
  for (let i = 0; i < 300; i++) {
    const fromUs = clock.nowUs();
    let bytes = 0;
    socket.write(Buffer.alloc(400));
    while (bytes < 400) {
      const [data] = (await once(socket, 'data')) as [Buffer];
      bytes += data.length;
    }
    times.push(clock.nowUs() - fromUs);
  }
  socket.destroy();
  server.close();
  return times.sort((a, b) => a - b)[150]!;
}
