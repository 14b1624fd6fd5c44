import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import { Air } from './air.ts';
import { idealLink, LinkDirection, type LinkProfile } from './link.ts';
import type { DialTarget, Endpoint, Listener, Network } from './network.ts';
import { NetworkError, type NetworkErrorCode } from './network-error.ts';
import { type InnerStream, ShapedStream } from './shaped-stream.ts';

/** Trouble on every connection of an endpoint, from now on. */
export type LinkDisturbance =
  | { readonly kind: 'drop' }
  /** As a drop, and until then nobody answers there; without a duration for ever. */
  | { readonly kind: 'away'; readonly durationUs?: number }
  | {
      readonly kind: 'stall';
      readonly direction: 'down' | 'up' | 'both';
      readonly durationUs: number;
    }
  /** Connections live on, but nothing passes any more, not even their end: the other side is gone. */
  | { readonly kind: 'half-open' }
  /** Connections end in order, and until then new ones fail in this way; without a duration for ever. */
  | {
      readonly kind: 'unreachable';
      readonly code: UnreachableCode;
      readonly durationUs?: number;
    }
  /** As that, but whoever connects is left waiting. */
  | { readonly kind: 'no-connect'; readonly durationUs?: number }
  /** As that, but to connect takes so much longer. */
  | { readonly kind: 'slow-connect'; readonly delayUs: number; readonly durationUs?: number }
  /** Ends an absence and what keeps others from connecting. */
  | { readonly kind: 'lift' };

/** Ways in which a connection cannot be made. */
export type UnreachableCode = Extract<
  NetworkErrorCode,
  'NETWORK_REFUSED' | 'NETWORK_NOT_FOUND' | 'NETWORK_UNREACHABLE' | 'NETWORK_TLS'
>;

/**
 * A {@link Network} in which this process plays the outside world: it answers for named endpoints
 * (`api.openai.com:443`) and decides how the link to each behaves.
 */
export interface LaboratoryNetwork extends Network {
  /** Answers for `endpoint`, whoever it belongs to. Without TLS, even when dialed as secure. */
  impersonate(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener>;
  /** How connections to `endpoint` behave from now on, those that are open included. */
  setLink(endpoint: Endpoint, profile: LinkProfile): void;
  /**
   * Disturbs the live connections to `endpoint` (and, while a stall or an absence lasts, new ones).
   *
   * @returns how many connections are live
   */
  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): number;
}

interface Route {
  readonly air: Air;
  readonly live: Set<ShapedStream>;
  dialed: number;
  /** What keeps others from connecting, and until when. */
  hindrance: Hindrance | undefined;
}

type Hindrance = { readonly untilUs: number } & (
  | { readonly kind: 'refused'; readonly code: UnreachableCode }
  | { readonly kind: 'no-connect' }
  | { readonly kind: 'slow-connect'; readonly delayUs: number }
);

/**
 * What a memory and a socket network share: the links. `dialed()` wraps a stream that has just been
 * opened; the client sees the connection through the link of its endpoint.
 */
export class Links {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #routes = new Map<string, Route>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  set(endpoint: Endpoint, profile: LinkProfile): void {
    this.#route(endpoint).air.change(profile, this.#clock.nowUs());
  }

  /** Time a connection takes to be usable. */
  connectUs(endpoint: Endpoint): number {
    const { profile } = this.#route(endpoint).air;
    const { up, down, latencyUs } = profile;
    return profile.connectUs ?? (up?.latencyUs ?? latencyUs) + (down?.latencyUs ?? latencyUs);
  }

  /**
   * Takes as long as a connection to `target` takes.
   *
   * @throws {NetworkError} when a disturbance keeps it from being made
   */
  async connect(target: DialTarget, signal?: AbortSignal): Promise<void> {
    await this.#clock.sleep(this.connectUs(target), signal);
    const hindrance = this.#hindranceOf(target);
    if (hindrance?.kind === 'slow-connect') {
      await this.#clock.sleep(hindrance.delayUs, signal);
    } else if (hindrance?.kind === 'no-connect') {
      const leftUs = hindrance.untilUs - this.#clock.nowUs();
      await (Number.isFinite(leftUs) ? this.#clock.sleep(leftUs, signal) : never(signal));
    } else if (hindrance !== undefined) {
      throw new NetworkError(
        hindrance.code,
        `${unreachable[hindrance.code]} ${endpointName(target)} for now.`,
        'A disturbance of the scenario is the reason.',
      );
    }
  }

  #hindranceOf(target: Endpoint): Hindrance | undefined {
    const { hindrance } = this.#route(target);
    return hindrance !== undefined && this.#clock.nowUs() < hindrance.untilUs
      ? hindrance
      : undefined;
  }

  dialed(target: DialTarget, inner: InnerStream): ShapedStream {
    const route = this.#route(target);
    const random = this.#random.fork(`${endpointName(target)}#${++route.dialed}`);
    const stream = new ShapedStream(
      inner,
      route.air,
      new LinkDirection(route.air, 'up', random.fork('up')),
      new LinkDirection(route.air, 'down', random.fork('down')),
      this.#clock,
    );
    route.live.add(stream);
    stream.once('close', () => route.live.delete(stream));
    return stream;
  }

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): number {
    const route = this.#route(endpoint);
    const live = route.live.size;
    const nowUs = this.#clock.nowUs();
    const until = (durationUs = Number.POSITIVE_INFINITY): number => nowUs + durationUs;
    switch (disturbance.kind) {
      case 'lift':
        route.hindrance = undefined;
        break;
      case 'half-open':
        for (const stream of route.live) stream.mute();
        break;
      case 'drop':
        for (const stream of [...route.live]) stream.resetAndDestroy();
        break;
      case 'away':
        route.hindrance = {
          kind: 'refused',
          code: 'NETWORK_REFUSED',
          untilUs: until(disturbance.durationUs),
        };
        for (const stream of [...route.live]) stream.resetAndDestroy();
        break;
      case 'unreachable':
      case 'no-connect':
      case 'slow-connect': {
        const { durationUs } = disturbance;
        const untilUs = until(durationUs);
        route.hindrance =
          disturbance.kind === 'unreachable'
            ? { kind: 'refused', code: disturbance.code, untilUs }
            : { ...disturbance, untilUs };
        for (const stream of [...route.live]) stream.endBoth();
        break;
      }
      case 'stall': {
        const stall = { fromUs: nowUs, untilUs: nowUs + disturbance.durationUs };
        if (disturbance.direction !== 'down') route.air.stall('up', stall);
        if (disturbance.direction !== 'up') route.air.stall('down', stall);
      }
    }
    return live;
  }

  #route(endpoint: Endpoint): Route {
    const name = endpointName(endpoint);
    let route = this.#routes.get(name);
    if (route === undefined) {
      const air = new Air(idealLink, this.#random.fork(name));
      route = { air, live: new Set(), dialed: 0, hindrance: undefined };
      this.#routes.set(name, route);
    }
    return route;
  }
}

const unreachable: Readonly<Record<UnreachableCode, string>> = {
  NETWORK_REFUSED: 'Nobody answers at',
  NETWORK_NOT_FOUND: 'Nobody knows the name of',
  NETWORK_UNREACHABLE: 'There is no way to',
  NETWORK_TLS: 'There is no trust in the certificate of',
};

/** Waits until the signal aborts. */
function never(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

export function endpointName(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}
