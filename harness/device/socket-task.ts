import { WebSocket } from 'ws';
import type { Clock } from '../clock/clock.ts';
import type { Dialer } from '../network/network.ts';
import type { Random } from '../random/random.ts';

/** The firmware's own limit of one message (EchoKit device protocol reference, section 1.5). */
const messageBytesMaximum = 64 * 1024 * 1024;
/** More make its parser give up (section 1.4). */
const responseHeadersMaximum = 25;
/** Offered although the board cannot do it, to please a hosting proxy (section 1.4). */
const offeredExtension = 'permessage-deflate; client_max_window_bits';

/** Something that has arrived and that the socket task has not dealt with yet, in order. */
export type Arrival = { readonly atUs: number } & ArrivedThing;

type ArrivedThing =
  | { readonly kind: 'binary'; readonly data: Uint8Array }
  /** Text, ping or pong. */
  | { readonly kind: 'other' }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'closed'; readonly code: number };

/** A connection of the board to its server, whatever carries it. */
export interface BoardSocket {
  /** The owner takes from the front. */
  readonly arrivals: Arrival[];
  /** Stops taking what the server sends, or goes on. */
  hold(held: boolean): void;
  /**
   * Sends one message.
   *
   * @param done called when it has been taken; with false when it never will
   */
  send(data: string | Uint8Array, done: (taken: boolean) => void): void;
  /** Starts to close it in order; what arrives is reported until it is closed. */
  close(): void;
  /** Breaks the connection off, or gives up making it. Nothing is reported after. */
  drop(): void;
}

export interface SocketTaskOptions {
  /** The whole URL with id and query. */
  readonly url: string;
  /** Offers permessage-deflate in the handshake. */
  readonly offersCompression: boolean;
  /** `wss:` is not tried at all, instead of in clear text (quirk Q11 off). */
  readonly refusesSecure: boolean;
  /** `wss:` is spoken to in TLS, which no firmware can. Default: false. */
  readonly speaksTls?: boolean;
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly random: Random;
  /** The handshake is done. Called in the event itself, before anything can arrive. */
  onOpen(): void;
  /** No connection came about. */
  onFailure(message: string): void;
  /** Something was put into `arrivals`. */
  onArrival(): void;
}

/**
 * One WebSocket connection of the board: the client half of section 1.4 to 1.6 over the `ws`
 * package, without compression. It reads on only while its owner keeps up ({@link hold}).
 */
export class SocketTask implements BoardSocket {
  readonly arrivals: Arrival[] = [];
  readonly #options: SocketTaskOptions;
  readonly #abort = new AbortController();
  #socket: WebSocket | undefined;
  #settled = false;
  #dropped = false;

  constructor(options: SocketTaskOptions) {
    this.#options = options;
    this.#dial().then(
      () => {},
      (error: unknown) => this.#fail(messageOf(error)),
    );
  }

  /** Stops reading from the network, or goes on. */
  hold(held: boolean): void {
    if (held === this.#socket?.isPaused) return;
    if (held) this.#socket?.pause();
    else this.#socket?.resume();
  }

  /** `done` is called when the stream has taken it. */
  send(data: string | Uint8Array, done: (taken: boolean) => void): void {
    const socket = this.#socket;
    if (socket === undefined) {
      done(false);
      return;
    }
    socket.send(data, { binary: typeof data !== 'string' }, (error) => done(error == null));
  }

  /** Starts the closing handshake with code 1000 and no reason; goes on reading. */
  close(): void {
    this.#socket?.close(1000);
  }

  /** Breaks the connection off without a close frame, or gives up making it. Nothing is reported after. */
  drop(): void {
    this.#dropped = true;
    this.#settled = true;
    this.arrivals.length = 0;
    this.#abort.abort();
    this.#socket?.terminate();
  }

  async #dial(): Promise<void> {
    const { url, dialer, random, offersCompression, refusesSecure, speaksTls } = this.#options;
    const { hostname, port, protocol, pathname, search } = new URL(url);
    const secure = protocol === 'wss:' && speaksTls === true;
    if (protocol === 'wss:' && refusesSecure && !secure) throw new Error('TLS is not supported');
    // `wss:` goes out in clear text to port 443, because the firmware has no TLS (section 1.2).
    const target = {
      host: hostname,
      port: port === '' ? (protocol === 'wss:' ? 443 : 80) : Number(port),
      secure,
    };
    const stream = await dialer.dial(target, this.#abort.signal);
    if (this.#dropped) {
      stream.destroy();
      return;
    }
    const authority = port === '' ? hostname : `${hostname}:${port}`;
    const socket = new WebSocket(`ws://${authority}${pathname}${search}`, {
      createConnection: () => stream,
      perMessageDeflate: false,
      headers: offersCompression ? { 'Sec-WebSocket-Extensions': offeredExtension } : {},
      maxPayload: messageBytesMaximum,
      generateMask: (mask) => {
        mask.set(random.bytes(mask.length));
      },
    });
    this.#socket = socket;
    socket.on('upgrade', ({ headers, rawHeaders }) => {
      if (rawHeaders.length > 2 * responseHeadersMaximum) {
        this.#fail(`more than ${responseHeadersMaximum} response headers`);
        socket.terminate();
        return;
      }
      // The board looks at status and key only (section 1.4); a compressed frame is what makes it give up.
      headers.upgrade = 'websocket';
      delete headers['sec-websocket-protocol'];
      delete headers['sec-websocket-extensions'];
    });
    socket.on('unexpected-response', (_request, response) => {
      this.#fail(
        `expected HTTP 101 Switching Protocols, got status code ${response.statusCode ?? 0}`,
      );
      socket.terminate();
    });
    socket.on('open', () => {
      if (this.#settled) return;
      this.#settled = true;
      this.#options.onOpen();
    });
    socket.on('message', (data, isBinary) => {
      this.#arrive(isBinary ? { kind: 'binary', data: data as Buffer } : { kind: 'other' });
    });
    socket.on('ping', () => this.#arrive({ kind: 'other' }));
    socket.on('pong', () => this.#arrive({ kind: 'other' }));
    socket.on('error', (error) => {
      this.#fail(error.message);
      this.#arrive({ kind: 'error', message: receiveError(error) });
    });
    socket.on('close', (code) => this.#arrive({ kind: 'closed', code }));
  }

  #fail(message: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#dropped = true;
    this.#options.onFailure(message);
  }

  #arrive(thing: ArrivedThing): void {
    if (this.#dropped) return;
    this.arrivals.push({ atUs: this.#options.clock.nowUs(), ...thing });
    this.#options.onArrival();
  }
}

function receiveError(error: Error & { code?: string }): string {
  // A compressed frame: the words of the firmware's library (section 1.4).
  return error.code === 'WS_ERR_UNEXPECTED_RSV_1' ? 'invalid extension' : error.message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
