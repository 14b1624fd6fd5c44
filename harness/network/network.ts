import type { Duplex } from 'node:stream';

/**
 * Byte streams between named endpoints. The one interface behind which memory duplexes (virtual
 * time) and sockets (real time) are interchangeable: HTTP and WebSocket code above it is the same.
 *
 * Every stream handed out behaves like a `net.Socket` as far as Node's `http` and the `ws` package
 * ask: `setNoDelay`, `setKeepAlive`, `setTimeout`, `ref`, `unref`, `remoteAddress`.
 */
export interface Network extends Dialer {
  /**
   * Accepts streams for `endpoint`. `onConnection` receives each new stream and owns it.
   * Port 0 asks for any free port; the listener says which.
   *
   * @throws {NetworkError} `NETWORK_PORT_TAKEN`, `NETWORK_LISTEN_FAILED`
   */
  listen(endpoint: Endpoint, onConnection: (stream: Duplex) => void): Promise<Listener>;
}

/** The calling half of a {@link Network}; all an adapter needs. */
export interface Dialer {
  /**
   * Opens a stream. Resolves when bytes may be written (TCP, and TLS when `secure`, are done), so
   * the time until then is the connect time. The caller owns the stream and must destroy it.
   *
   * @throws {NetworkError} `NETWORK_REFUSED`, `NETWORK_NOT_FOUND`, `NETWORK_UNREACHABLE`, `NETWORK_TLS`,
   *   `NETWORK_OUTSIDE_FORBIDDEN`
   */
  dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex>;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface DialTarget extends Endpoint {
  /** The URL said `https:` or `wss:`. A stand-in that answers for the host is reached without TLS. */
  readonly secure: boolean;
}

export interface Listener {
  readonly endpoint: Endpoint;
  /** Stops accepting. Streams already handed out live on. */
  close(): Promise<void>;
}
