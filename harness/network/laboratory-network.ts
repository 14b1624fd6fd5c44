import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import { idealLink, LinkDirection, type LinkProfile, type Stall } from './link.ts';
import type { DialTarget, Endpoint, Listener, Network } from './network.ts';
import { type InnerStream, ShapedStream } from './shaped-stream.ts';

/** Trouble on every connection of an endpoint, from now on. */
export interface LinkDisturbance {
  readonly kind: 'stall' | 'drop';
  readonly direction: 'down' | 'up' | 'both';
  readonly durationUs: number;
}

/**
 * A {@link Network} in which this process plays the outside world: it answers for named endpoints
 * (`api.openai.com:443`) and decides how the link to each behaves.
 */
export interface LaboratoryNetwork extends Network {
  /** Answers for `endpoint`, whoever it belongs to. Without TLS, even when dialed as secure. */
  impersonate(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener>;
  /** How connections to `endpoint` behave that are dialed from now on. */
  setLink(endpoint: Endpoint, profile: LinkProfile): void;
  /** Disturbs the live connections to `endpoint` (and, while a stall lasts, new ones). */
  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): void;
}

interface Route {
  profile: LinkProfile;
  readonly stalls: { up: Stall[]; down: Stall[] };
  readonly live: Set<ShapedStream>;
  dialed: number;
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
    this.#route(endpoint).profile = profile;
  }

  /** Time a connection takes to be usable. */
  connectUs(endpoint: Endpoint): number {
    const { connectUs, latencyUs } = this.#route(endpoint).profile;
    return connectUs ?? 2 * latencyUs;
  }

  dialed(target: DialTarget, inner: InnerStream): ShapedStream {
    const route = this.#route(target);
    const random = this.#random.fork(`${endpointName(target)}#${++route.dialed}`);
    const stream = new ShapedStream(
      inner,
      route.profile,
      new LinkDirection(route.profile, random.fork('up'), route.stalls.up),
      new LinkDirection(route.profile, random.fork('down'), route.stalls.down),
      this.#clock,
    );
    route.live.add(stream);
    stream.once('close', () => route.live.delete(stream));
    return stream;
  }

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): void {
    const route = this.#route(endpoint);
    if (disturbance.kind === 'drop') {
      for (const stream of [...route.live]) stream.resetAndDestroy();
      return;
    }
    const fromUs = this.#clock.nowUs();
    const stall = { fromUs, untilUs: fromUs + disturbance.durationUs };
    if (disturbance.direction !== 'down') route.stalls.up.push(stall);
    if (disturbance.direction !== 'up') route.stalls.down.push(stall);
  }

  #route(endpoint: Endpoint): Route {
    const name = endpointName(endpoint);
    let route = this.#routes.get(name);
    if (route === undefined) {
      route = { profile: idealLink, stalls: { up: [], down: [] }, live: new Set(), dialed: 0 };
      this.#routes.set(name, route);
    }
    return route;
  }
}

export function endpointName(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}
