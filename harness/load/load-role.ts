/**
 * The parts of a load run in real time: provider, server, and some of the boards. Each lives in a process of its own, so that boards
 * do not take the time of the server's event loop and what is measured of one is not the other. A part is asked one thing at a
 * time; what it is asked and answers is plain data.
 */
import type { Duplex } from 'node:stream';
import { SystemClock } from '../clock/system-clock.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import type { Listener } from '../network/network.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { BoardCrowd, type BoardSummary, type CrowdTotals } from './board-crowd.ts';
import type { BoardFiguresData } from './board-figures.ts';
import { CycleWatch, type LateCycles } from './late-cycles.ts';
import type { LoadPlan } from './load-plan.ts';
import {
  type LoadServerOptions,
  openLoadProvider,
  openLoadServer,
  type ProviderService,
  type ServerFigures,
  type ServerFiguresData,
} from './load-server.ts';
import {
  type ProcessMemory,
  type ProcessUse,
  ProcessWatch,
  processMemory,
} from './process-watch.ts';
import { activeResources, type Resources, settledLeftOver } from './resources.ts';
import { type SoakSample, takeSample } from './soak.ts';

export type RoleRequest =
  | { readonly kind: 'provider'; readonly plan: LoadPlan; readonly provider: ProviderEntry }
  | {
      readonly kind: 'server';
      readonly plan: LoadPlan;
      readonly provider: ProviderEntry;
      readonly services: readonly ProviderService[];
    }
  | {
      readonly kind: 'boards';
      readonly plan: LoadPlan;
      /** Their numbers. */
      readonly boards: readonly number[];
      readonly serverUrl: string;
    }
  /** Boards are switched on from now on. */
  | { readonly kind: 'start' }
  /** How far the boards are. */
  | { readonly kind: 'totals' }
  /** All boards are on: cycles and processor time count from now on. */
  | { readonly kind: 'measure' }
  /** One look at the memory, behind a collection of garbage. */
  | { readonly kind: 'sample'; readonly atHours: number }
  /** Everything is over. `settles`: what is still being closed is waited for, to tell what stays open. */
  | { readonly kind: 'finish'; readonly settles: boolean };

export type RoleAnswer =
  | {
      readonly kind: 'opened';
      readonly memory: ProcessMemory;
      readonly services: readonly ProviderService[];
      readonly serverUrl: string;
    }
  | { readonly kind: 'totals'; readonly totals: CrowdTotals; readonly over: boolean }
  | { readonly kind: 'measuring'; readonly memory: ProcessMemory; readonly totals: CrowdTotals }
  | { readonly kind: 'sampled'; readonly sample: SoakSample }
  | RoleFigures;

export interface RoleFigures {
  readonly kind: 'finished';
  readonly use: ProcessUse | null;
  readonly memory: ProcessMemory;
  readonly cycles: LateCycles | null;
  readonly boards: BoardFiguresData | null;
  readonly eachBoard: readonly BoardSummary[];
  readonly server: ServerFiguresData | null;
  readonly totals: CrowdTotals;
  /** Open behind the end and not before the beginning; empty where nobody waited for it. */
  readonly left: Resources;
}

export interface LoadRoleOptions extends Pick<LoadServerOptions, 'mixesUp'> {
  readonly laboratory: Laboratory;
  /** Instant 0 of all parts: `SystemClock.startNs`. */
  readonly startNs: bigint;
}

const noTotals: CrowdTotals = { turns: 0, failed: 0, connected: 0, messages: 0, foreign: 0 };
const loopback = { host: '127.0.0.1', port: 0 };

export class LoadRole {
  readonly #options: LoadRoleOptions;
  readonly #clock: SystemClock;
  readonly #closing: (() => Promise<void>)[] = [];
  readonly #over = new AbortController();
  readonly #before = activeResources();
  #crowd: BoardCrowd | undefined;
  #running: Promise<void> | undefined;
  #allTurnsHeld = false;
  #server: ServerFigures | undefined;
  #use: ProcessWatch | undefined;
  #cycles: CycleWatch | undefined;

  constructor(options: LoadRoleOptions) {
    this.#options = options;
    this.#clock = new SystemClock(options.startNs);
  }

  async answer(request: RoleRequest): Promise<RoleAnswer> {
    switch (request.kind) {
      case 'provider':
        return this.#opened({ services: await this.#openProvider(request) });
      case 'server':
        return this.#opened({ serverUrl: await this.#openServer(request) });
      case 'boards':
        this.#openBoards(request);
        return this.#opened({});
      case 'start':
        this.#running = this.#crowd?.run(this.#over.signal).then(() => {
          this.#allTurnsHeld = true;
        });
        return this.#totals();
      case 'totals':
        return this.#totals();
      case 'measure':
        this.#use = new ProcessWatch(this.#clock);
        this.#cycles = new CycleWatch(this.#clock);
        return { kind: 'measuring', memory: processMemory(), totals: this.#now() };
      case 'sample':
        return { kind: 'sampled', sample: takeSample(request.atHours, this.#over.signal) };
      case 'finish':
        return this.#finish(request.settles);
    }
  }

  #now(): CrowdTotals {
    return this.#crowd?.totals() ?? noTotals;
  }

  #totals(): RoleAnswer {
    return { kind: 'totals', totals: this.#now(), over: this.#allTurnsHeld };
  }

  #opened(found: {
    readonly services?: readonly ProviderService[];
    readonly serverUrl?: string;
  }): RoleAnswer {
    const { services = [], serverUrl = '' } = found;
    return { kind: 'opened', memory: processMemory(), services, serverUrl };
  }

  async #openProvider({
    plan,
    provider,
  }: Extract<RoleRequest, { kind: 'provider' }>): Promise<readonly ProviderService[]> {
    const random = createRandom(plan.seed, 'load');
    const clock = this.#clock;
    const network = new SocketNetwork({ clock, random: random.fork('network'), outside: [] });
    const { laboratory } = this.#options;
    const { cells, checksVoices: signsVoices } = plan;
    const opened = await openLoadProvider(
      { cells, provider, clock, random, laboratory, signsVoices },
      network,
    );
    this.#closing.push(() => opened.close());
    return opened.services;
  }

  async #openServer({
    plan,
    provider,
    services,
  }: Extract<RoleRequest, { kind: 'server' }>): Promise<string> {
    const { laboratory, mixesUp } = this.#options;
    const random = createRandom(plan.seed, 'load').fork('server');
    const clock = this.#clock;
    const network = new SocketNetwork({ clock, random: random.fork('network'), outside: [] });
    for (const { endpoint, at, connectUs } of services) {
      network.lead(endpoint, at);
      network.setLink(endpoint, { latencyUs: 0, jitterUs: 0, connectUs });
    }
    const server = openLoadServer({
      cells: plan.cells,
      provider,
      clock,
      dialer: network,
      random,
      laboratory,
      signsVoices: plan.checksVoices,
      ...(plan.rememberedExchanges !== undefined && {
        rememberedExchanges: plan.rememberedExchanges,
      }),
      ...(mixesUp !== undefined && { mixesUp }),
    });
    this.#server = server.figures;
    const listener: Listener = await network.listen(loopback, (stream: Duplex) =>
      server.accept(stream),
    );
    this.#closing.push(
      () => server.close(),
      () => listener.close(),
    );
    return `ws://${listener.endpoint.host}:${listener.endpoint.port}/ws/`;
  }

  #openBoards({ plan, boards, serverUrl }: Extract<RoleRequest, { kind: 'boards' }>): void {
    const clock = this.#clock;
    const random = createRandom(plan.seed, 'load');
    const endpoint = endpointOfUrl(new URL(serverUrl));
    const { turns } = plan;
    this.#crowd = new BoardCrowd({
      ...plan,
      boards,
      clock,
      random,
      laboratory: this.#options.laboratory,
      ...(turns !== undefined && { turns }),
      placeOf: (board, { network: name }) => {
        // A network for each board, so that each has a link of its own.
        const network = new SocketNetwork({
          clock,
          random: random.fork(`network ${board}`),
          outside: [endpoint],
        });
        network.setLink(endpoint, networkProfiles[name]!.link);
        return {
          serverUrl,
          dialer: network,
          network: {
            disturb: (disturbance) => void network.disturb(endpoint, disturbance),
            change: (to) => network.setLink(endpoint, networkProfiles[to]!.link),
          },
        };
      },
    });
  }

  async #finish(settles: boolean): Promise<RoleFigures> {
    const cycles = this.#cycles?.stop() ?? null;
    const use = this.#use?.stop() ?? null;
    const memory = processMemory();
    const totals = this.#now();
    this.#over.abort(new Error('The time is over.'));
    await this.#running;
    for (const close of this.#closing) await close();
    const left = settles ? await settledLeftOver(this.#before, this.#clock) : {};
    return {
      kind: 'finished',
      use,
      memory,
      cycles,
      boards: this.#crowd?.figures().toData() ?? null,
      eachBoard: this.#crowd?.summaries() ?? [],
      server: this.#server?.toData() ?? null,
      totals,
      left,
    };
  }
}
