import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import {
  endpointName,
  type LaboratoryNetwork,
  type LinkDisturbance,
  Links,
} from './laboratory-network.ts';
import type { LinkProfile } from './link.ts';
import type { DialTarget, Endpoint, Listener } from './network.ts';
import { NetworkError } from './network-error.ts';

export interface SocketNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Whether hosts other than loopback that nobody impersonates may be dialed. */
  readonly outside: 'allowed' | 'forbidden';
}

/** Real sockets, in real time. Impersonated endpoints are reached over loopback. */
export class SocketNetwork implements LaboratoryNetwork {
  readonly #options: SocketNetworkOptions;
  readonly #links: Links;
  readonly #impersonated = new Map<string, Endpoint>();

  constructor(options: SocketNetworkOptions) {
    this.#options = options;
    this.#links = new Links(options.clock, options.random);
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    const stand = this.#impersonated.get(endpointName(target));
    if (stand === undefined && !isLoopback(target.host) && this.#options.outside === 'forbidden') {
      throw new NetworkError(
        'NETWORK_OUTSIDE_FORBIDDEN',
        `A connection to ${endpointName(target)} was asked for, which is outside this machine.`,
        'Live providers need --live; without it only the local stand-ins answer.',
      );
    }
    await this.#options.clock.sleep(this.#links.connectUs(target), signal);
    const socket = await connect(stand ?? target, stand === undefined && target.secure, signal);
    return this.#links.dialed(target, socket);
  }

  listen(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(endpoint, error)));
      server.listen(endpoint.port, endpoint.host, () => {
        const { port } = server.address() as net.AddressInfo;
        resolve({
          endpoint: { host: endpoint.host, port },
          close: () =>
            new Promise((done) => {
              server.close(() => done());
            }),
        });
      });
    });
  }

  async impersonate(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener> {
    const listener = await this.listen({ host: '127.0.0.1', port: 0 }, onConnection);
    this.#impersonated.set(endpointName(endpoint), listener.endpoint);
    return {
      endpoint: listener.endpoint,
      close: () => {
        this.#impersonated.delete(endpointName(endpoint));
        return listener.close();
      },
    };
  }

  setLink(endpoint: Endpoint, profile: LinkProfile): void {
    this.#links.set(endpoint, profile);
  }

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): void {
    this.#links.disturb(endpoint, disturbance);
  }
}

function connect(target: Endpoint, secure: boolean, signal?: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const socket = secure
      ? tls.connect({
          host,
          port,
          servername: net.isIP(host) ? '' : host,
          ALPNProtocols: ['http/1.1'],
        })
      : net.connect({ host, port, noDelay: true });
    const abort = (): void => {
      socket.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      signal?.removeEventListener('abort', abort);
      reject(dialError(target, error));
    });
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      signal?.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      // Until its user listens, an error must not take the process down.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

function dialError(target: Endpoint, error: NodeJS.ErrnoException): NetworkError {
  const name = endpointName(target);
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
    return new NetworkError(
      'NETWORK_NOT_FOUND',
      `No address was found for ${target.host} (${error.code}).`,
      'Check the spelling of the host and the name service of this machine.',
      error,
    );
  }
  return new NetworkError(
    'NETWORK_REFUSED',
    `No connection to ${name}: ${error.message}.`,
    'Check that a server listens there and that a firewall lets it through.',
    error,
  );
}

function listenError(endpoint: Endpoint, error: NodeJS.ErrnoException): NetworkError {
  const name = endpointName(endpoint);
  if (error.code === 'EADDRINUSE') {
    return new NetworkError(
      'NETWORK_PORT_TAKEN',
      `Port ${endpoint.port} of ${endpoint.host} is taken by another program.`,
      'Stop that program, or choose another port with --port (0: any free one).',
      error,
    );
  }
  return new NetworkError(
    'NETWORK_LISTEN_FAILED',
    `Cannot listen on ${name}: ${error.message}.`,
    'Choose an address of this machine and a port above 1023.',
    error,
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
