import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import { Air } from './air.ts';
import { idealLink, LinkDirection, type LinkProfile } from './link.ts';
import type { DialTarget, Endpoint, Listener, Network } from './network.ts';
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
    };

/**
 * A {@link Network} in which this process plays the outside world: it answers for named endpoints
 * (`api.openai.com:443`) and decides how the link to each behaves.
 */
export interface LaboratoryNetwork extends Network {
  /** Answers for `endpoint`, whoever it belongs to. Without TLS, even when dialed as secure. */
  impersonate(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener>;
  /** How connections to `endpoint` behave from now on, those that are open included. */
  setLink(endpoint: Endpoint, profile: LinkProfile): void;
  /** Disturbs the live connections to `endpoint` (and, while a stall or an absence lasts, new ones). */
  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): void;
}

interface Route {
  readonly air: Air;
  readonly live: Set<ShapedStream>;
  dialed: number;
  /** Nobody answers before this instant. */
  awayUntilUs: number;
}

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

  /** Whether nobody answers at `target` now. */
  away(target: Endpoint): boolean {
    return this.#clock.nowUs() < this.#route(target).awayUntilUs;
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

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): void {
    const route = this.#route(endpoint);
    if (disturbance.kind === 'away') {
      const { durationUs = Number.POSITIVE_INFINITY } = disturbance;
      route.awayUntilUs = Math.max(route.awayUntilUs, this.#clock.nowUs() + durationUs);
    }
    if (disturbance.kind !== 'stall') {
      for (const stream of [...route.live]) stream.resetAndDestroy();
      return;
    }
    const fromUs = this.#clock.nowUs();
    const stall = { fromUs, untilUs: fromUs + disturbance.durationUs };
    if (disturbance.direction !== 'down') route.air.stall('up', stall);
    if (disturbance.direction !== 'up') route.air.stall('down', stall);
  }

  #route(endpoint: Endpoint): Route {
    const name = endpointName(endpoint);
    let route = this.#routes.get(name);
    if (route === undefined) {
      const air = new Air(idealLink, this.#random.fork(name));
      route = { air, live: new Set(), dialed: 0, awayUntilUs: 0 };
      this.#routes.set(name, route);
    }
    return route;
  }
}

export function endpointName(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}
