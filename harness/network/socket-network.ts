import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import { isLoopback } from './endpoint-url.ts';
import {
  endpointName,
  type LaboratoryNetwork,
  type LinkDisturbance,
  Links,
} from './laboratory-network.ts';
import type { LinkProfile } from './link.ts';
import type { DialTarget, Endpoint, Listener } from './network.ts';
import { NetworkError } from './network-error.ts';
import type { ServerCertificate } from './server-certificate.ts';

/** Connections of one listener; the system closes further ones at once. */
const listenerConnections = 8192;
/** A silent connection is asked by TCP from then on whether its other end is still there. */
const keepAliveMs = 60_000;
/** A client that has not agreed on TLS by then is let go. */
const tlsHandshakeMs = 10_000;

export interface SocketNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Endpoints of other machines that may be dialed; everything else outside is refused. This machine
   * and what is impersonated can always be reached.
   */
  readonly outside: readonly Endpoint[];
  /** Certificates, as PEM, of authorities that are trusted instead of the usual ones when TLS is dialed. */
  readonly authorities?: string;
}

/** Real sockets, in real time. Impersonated endpoints are reached over loopback. */
export class SocketNetwork implements LaboratoryNetwork {
  readonly #links: Links;
  readonly #impersonated = new Map<string, Endpoint>();
  readonly #outside: ReadonlySet<string>;
  readonly #authorities: string | undefined;

  constructor(options: SocketNetworkOptions) {
    this.#outside = new Set(options.outside.map(endpointName));
    this.#authorities = options.authorities;
    this.#links = new Links(options.clock, options.random);
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    const name = endpointName(target);
    const stand = this.#impersonated.get(name);
    if (stand === undefined && !isLoopback(target.host) && !this.#outside.has(name)) {
      throw new NetworkError(
        'NETWORK_OUTSIDE_FORBIDDEN',
        `A connection to ${name} was asked for, which is outside this machine.`,
        this.#outside.size === 0
          ? 'Live providers need --live; without it only the local stand-ins answer.'
          : `Only these may be reached: ${[...this.#outside].join(', ')}.`,
      );
    }
    await this.#links.connect(target, signal);
    const secure = stand === undefined && target.secure;
    const socket = await connect(stand ?? target, secure, signal, this.#authorities);
    return this.#links.dialed(target, socket);
  }

  /** @param certificate with which clients are spoken to in TLS; absent: in clear text */
  listen(
    endpoint: Endpoint,
    onConnection: (stream: Duplex) => void,
    certificate?: ServerCertificate,
  ): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const sockets = {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveMs,
      };
      const server =
        certificate === undefined
          ? net.createServer(sockets, onConnection)
          : tls.createServer(
              {
                ...sockets,
                // Who hangs up in the handshake would otherwise never be gone.
                allowHalfOpen: false,
                ...certificate,
                ALPNProtocols: ['http/1.1'],
                handshakeTimeout: tlsHandshakeMs,
              },
              onConnection,
            );
      server.maxConnections = listenerConnections;
      server.on('tlsClientError', (_error, socket: Duplex) => socket.destroy());
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

  /** Connections to `endpoint` are made to `at` on this machine, where another process answers for it, without TLS. */
  lead(endpoint: Endpoint, at: Endpoint): void {
    this.#impersonated.set(endpointName(endpoint), at);
  }

  setLink(endpoint: Endpoint, profile: LinkProfile): void {
    this.#links.set(endpoint, profile);
  }

  disturb(endpoint: Endpoint, disturbance: LinkDisturbance): number {
    return this.#links.disturb(endpoint, disturbance);
  }
}

function connect(
  target: Endpoint,
  secure: boolean,
  signal?: AbortSignal,
  authorities?: string,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const socket = secure
      ? tls.connect({
          host,
          port,
          servername: net.isIP(host) ? '' : host,
          ALPNProtocols: ['http/1.1'],
          ...(authorities !== undefined && { ca: authorities }),
        })
      : net.connect({ host, port });
    // A small message that waits for the acknowledgement of the one before would be measured.
    socket.setNoDelay(true);
    let reached = false;
    const abort = (): void => {
      socket.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      reached = true;
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      signal?.removeEventListener('abort', abort);
      reject(reached ? tlsError(target, error) : dialError(target, error));
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
  switch (error.code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new NetworkError(
        'NETWORK_NOT_FOUND',
        `No address was found for ${target.host} (${error.code}).`,
        'Check the spelling of the host and the name service of this machine.',
        error,
      );
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'ETIMEDOUT':
      return new NetworkError(
        'NETWORK_UNREACHABLE',
        `There is no way to ${name}: ${wordsOf(error)}.`,
        'Check the network of this machine, its firewall, and whether it only gets out through a proxy.',
        error,
      );
    default:
      return new NetworkError(
        'NETWORK_REFUSED',
        `No connection to ${name}: ${wordsOf(error)}.`,
        'Check that a server listens there and that a firewall lets it through.',
        error,
      );
  }
}

/** The other side was reached, and then TLS could not be agreed on. */
function tlsError(target: Endpoint, error: NodeJS.ErrnoException): NetworkError {
  const { code = '' } = error;
  const untrusted = /CERT|LEAF|ISSUER|CA$|CRL/.test(code);
  const words = `${wordsOf(error)}${code === '' ? '' : ` (${code})`}`;
  return new NetworkError(
    'NETWORK_TLS',
    untrusted
      ? `The certificate of ${endpointName(target)} is not trusted: ${words}.`
      : `No TLS with ${endpointName(target)}: ${words}.`,
    untrusted
      ? 'For a server of your own, name its certificate authority in NODE_EXTRA_CA_CERTS. Otherwise check the host, the clock of this machine, and whether a proxy opens its connections.'
      : 'Check the scheme and the port of the URL: the port may not speak TLS.',
    error,
  );
}

/** What was tried, also where several addresses were, of which Node says nothing together. */
function wordsOf(error: Error): string {
  const tried = error instanceof AggregateError ? error.errors : [error];
  const words = tried.map((each: Error) => each.message.trim().split('\n')[0]!);
  return words.join('; ').replace(/\.$/, '');
}

function listenError(endpoint: Endpoint, error: NodeJS.ErrnoException): NetworkError {
  const name = endpointName(endpoint);
  if (error.code === 'EADDRINUSE') {
    return new NetworkError(
      'NETWORK_PORT_TAKEN',
      `Port ${endpoint.port} of ${endpoint.host} is taken by another program.`,
      'Stop that program, or choose another port.',
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
