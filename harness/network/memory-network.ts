import type { Duplex } from 'node:stream';
import type { SimulatedClock } from '../clock/simulated-clock.ts';
import type { Random } from '../random/random.ts';
import {
  endpointName,
  type LaboratoryNetwork,
  type LinkDisturbance,
  Links,
} from './laboratory-network.ts';
import type { LinkProfile } from './link.ts';
import { createStreamPair } from './memory-stream.ts';
import type { DialTarget, Endpoint, Listener } from './network.ts';
import { NetworkError } from './network-error.ts';

/** Connections inside the process, in virtual time. Nothing ever leaves it. */
export class MemoryNetwork implements LaboratoryNetwork {
  readonly #clock: SimulatedClock;
  readonly #links: Links;
  readonly #listeners = new Map<string, (stream: Duplex) => void>();
  #nextPort = 49152;

  constructor(clock: SimulatedClock, random: Random) {
    this.#clock = clock;
    this.#links = new Links(clock, random);
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    await this.#links.connect(target, signal);
    const accept = this.#listeners.get(endpointName(target));
    if (accept === undefined) {
      throw new NetworkError(
        'NETWORK_REFUSED',
        `Nothing answers at ${endpointName(target)} in this simulation.`,
        `Known endpoints: ${[...this.#listeners.keys()].join(', ') || 'none'}.`,
      );
    }
    const { client, server } = createStreamPair(() => this.#clock.noteActivity());
    const stream = this.#links.dialed(target, client);
    accept(server);
    return stream;
  }

  async listen(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener> {
    const bound = endpoint.port === 0 ? { ...endpoint, port: this.#nextPort++ } : endpoint;
    const name = endpointName(bound);
    if (this.#listeners.has(name)) {
      throw new NetworkError(
        'NETWORK_PORT_TAKEN',
        `Port ${bound.port} of ${bound.host} is taken.`,
        'Close the other listener, or ask for port 0 to get a free one.',
      );
    }
    this.#listeners.set(name, onConnection);
    return {
      endpoint: bound,
      close: async () => {
        this.#listeners.delete(name);
      },
    };
  }

  impersonate(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener> {
    return this.listen(endpoint, onConnection);
  }

  setLink(endpoint: Endpoint, profile: LinkProfile): void {
    this.#links.set(endpoint, profile);
  }

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): number {
    return this.#links.disturb(endpoint, disturbance);
  }
}
