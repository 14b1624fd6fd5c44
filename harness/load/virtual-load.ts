/** A load run in virtual time: boards, server and provider in one process, on one simulated clock. */
import type { Clock } from '../clock/clock.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { createRandom } from '../random/random.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { BoardCrowd, type CrowdTotals } from './board-crowd.ts';
import type { LoadFigures } from './load-figures.ts';
import type { LoadPlan, LoadProgress } from './load-plan.ts';
import { type LoadServerOptions, openLoadProvider, openLoadServer } from './load-server.ts';
import { ProcessWatch, processMemory } from './process-watch.ts';

export interface VirtualLoadOptions extends Pick<LoadServerOptions, 'mixesUp'> {
  readonly plan: LoadPlan;
  readonly provider: ProviderEntry;
  readonly laboratory: Laboratory;
  /** Real time, for how long it took. */
  readonly wallClock: Clock;
  readonly signal: AbortSignal;
  /** Called when turns end. */
  onProgress?(progress: LoadProgress): void;
  /** Called every so often on the clock of the run; see `soak.ts`. */
  readonly sample?: {
    readonly everyUs: number;
    take(atUs: number, end: AbortSignal): Promise<void>;
  };
}

/** Where the boards of a network find the server. Each has a name of its own for it, so that each has a link of its own. */
function endpointOf(board: number): { readonly host: string; readonly port: number } {
  return { host: `board-${board}.echokit-server`, port: 8080 };
}

export async function runVirtualLoad(options: VirtualLoadOptions): Promise<LoadFigures> {
  const clock = new SimulatedClock();
  return clock.run(hold(options, clock));
}

async function hold(options: VirtualLoadOptions, clock: SimulatedClock): Promise<LoadFigures> {
  const { plan, provider, laboratory, wallClock, signal, onProgress, sample } = options;
  const { cells, devices, rampMs, holdMs, turns, checksVoices } = plan;
  const random = createRandom(plan.seed, 'load');
  const network = new MemoryNetwork(clock, random.fork('network'));
  const shared = { cells, provider, clock, laboratory, signsVoices: checksVoices };
  const standIns = await openLoadProvider({ ...shared, random }, network);
  const server = openLoadServer({
    ...shared,
    random: random.fork('server'),
    dialer: network,
    ...(plan.rememberedExchanges !== undefined && {
      rememberedExchanges: plan.rememberedExchanges,
    }),
    ...(options.mixesUp !== undefined && { mixesUp: options.mixesUp }),
  });
  const listeners = await Promise.all(
    Array.from({ length: devices }, (_, board) =>
      network.impersonate(endpointOf(board), (stream) => server.accept(stream)),
    ),
  );
  const before = processMemory();
  const crowd = new BoardCrowd({
    boards: Array.from({ length: devices }, (_, board) => board),
    devices,
    rampMs,
    pauseMs: plan.pauseMs,
    cells,
    profiles: plan.profiles,
    clock,
    random,
    laboratory,
    checksVoices,
    ...(turns !== undefined && { turns }),
    placeOf: (board, { network: name }) => {
      const endpoint = endpointOf(board);
      network.setLink(endpoint, networkProfiles[name]!.link);
      return {
        serverUrl: `ws://${endpoint.host}:${endpoint.port}/ws/`,
        dialer: network,
        network: {
          disturb: (disturbance) => void network.disturb(endpoint, disturbance),
          change: (to) => network.setLink(endpoint, networkProfiles[to]!.link),
        },
      };
    },
    onTurn: () => onProgress?.({ atUs: clock.nowUs(), ...crowd.totals() }),
  });
  const over = new AbortController();
  const end = AbortSignal.any([signal, over.signal]);
  const watch = new ProcessWatch(wallClock);
  const startWallUs = wallClock.nowUs();
  let full = before;
  let rampMessages = 0;
  let holdFromUs = 0;
  const timing = [
    clock.after(rampMs * 1000, () => {
      full = processMemory();
      rampMessages = crowd.totals().messages;
      holdFromUs = clock.nowUs();
    }),
    ...(holdMs === undefined
      ? []
      : [clock.after((rampMs + holdMs) * 1000, () => over.abort(new Error('The time is over.')))]),
  ];
  const sampling = sample === undefined ? undefined : takeSamples(sample, clock, end);
  let totals: CrowdTotals;
  try {
    await crowd.run(end);
    totals = crowd.totals();
  } finally {
    for (const alarm of timing) alarm.cancel();
    over.abort(new Error('The run is over.'));
    await sampling;
    await server.close();
    await standIns.close();
    for (const listener of listeners) await listener.close();
  }
  const used = watch.stop();
  const ranUs = clock.nowUs();
  const heldUs = Math.max(0, ranUs - holdFromUs);
  return {
    time: 'virtual',
    devices,
    provider: provider.name,
    rampMs,
    ranMs: ranUs / 1000,
    heldMs: heldUs / 1000,
    wallMs: (wallClock.nowUs() - startWallUs) / 1000,
    interrupted: signal.aborted,
    boards: crowd.figures().toData(),
    eachBoard: crowd.summaries(),
    server: server.figures.toData(),
    cycles: null,
    messagesPerSecond: heldUs === 0 ? 0 : ((totals.messages - rampMessages) * 1e6) / heldUs,
    processes: [{ role: 'all', ...used, boards: devices, before, full, after: processMemory() }],
    checksVoices,
  };
}

async function takeSamples(
  { everyUs, take }: NonNullable<VirtualLoadOptions['sample']>,
  clock: SimulatedClock,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(everyUs, signal);
      await clock.hold(take(clock.nowUs(), signal));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
