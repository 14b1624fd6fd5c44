/**
 * What passes between a board and our server, seen at the server's end of the socket. The bytes are handed
 * on as they are; what they say is told: a board connects, asks to be listened to, sends sound, closes.
 */
import type { Duplex } from 'node:stream';
import { decodeClientCommand } from '../../firmware-protocol/client-command.ts';
import { parseConnectUrl } from '../../firmware-protocol/connect-url.ts';
import type { Clock } from '../clock/clock.ts';
import type { LinkDisturbance } from '../network/laboratory-network.ts';
import { SocketLikeStream } from '../network/socket-like-stream.ts';
import { FrameReader, opcodes } from '../network/web-socket-frame.ts';
import { tokensOf } from '../server/access-token.ts';

/** A WebSocket connection of the board, from the instant at which the server has accepted it. */
export interface TappedConnection {
  /** From 1 in the order in which they were accepted, as the server counts them. */
  readonly number: number;
  readonly deviceId: string;
  /** The board was running before: K0 or an interruption. */
  readonly reconnect: boolean;
  /**
   * Everything the server writes behind its handshake, also what it has written already. Once per
   * connection. `undefined`: the connection has ended.
   */
  listen(listener: (bytes: Uint8Array | undefined) => void): void;
}

export interface TapObserver {
  connected(connection: TappedConnection): void;
  /** `StartChat` arrived. */
  startChat(connection: TappedConnection): void;
  /** A frame of microphone audio arrived. */
  audio(connection: TappedConnection, samples: Int16Array): void;
  /** The board has begun to close, with a close frame. */
  closing(connection: TappedConnection): void;
  ended(connection: TappedConnection): void;
  /** Another board wanted to connect and was sent away. */
  foreign(deviceId: string): void;
}

/** More than any client sends before its handshake is over. */
const headMaximumBytes = 16 * 1024;

/**
 * All connections of one board to one server. Boards have their server's address stored, so another one in the
 * same room may call here too: whoever is not this board is sent away, or its turns would be counted.
 */
export class ConnectionTap {
  readonly #clock: Clock;
  readonly #observer: TapObserver;
  readonly #live = new Set<TappedStream>();
  #deviceId: string | undefined;
  #connections = 0;
  /** Whoever connects before is sent away. */
  #awayUntilUs = 0;

  /** @param deviceId of the board; absent: the first one that connects is it */
  constructor(clock: Clock, observer: TapObserver, deviceId?: string) {
    this.#clock = clock;
    this.#observer = observer;
    this.#deviceId = deviceId;
  }

  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** @returns the stream that the server is to be given in place of `stream` */
  attach(stream: Duplex): Duplex {
    const tapped = new TappedStream(stream, {
      admit: (deviceId) => {
        this.#deviceId ??= deviceId;
        if (deviceId === this.#deviceId) return true;
        this.#observer.foreign(deviceId);
        return false;
      },
      number: () => ++this.#connections,
      observer: this.#observer,
    });
    this.#live.add(tapped);
    tapped.once('close', () => this.#live.delete(tapped));
    if (this.#clock.nowUs() < this.#awayUntilUs) tapped.resetAndDestroy();
    return tapped;
  }

  /** Ends all connections, without another word to the board. Resolves when the server knows. */
  async close(): Promise<void> {
    this.#awayUntilUs = Number.POSITIVE_INFINITY;
    const ended = [...this.#live].map(
      (stream) => new Promise<void>((resolve) => void stream.once('close', () => resolve())),
    );
    for (const stream of [...this.#live]) stream.destroy();
    await Promise.all(ended);
  }

  /** Trouble at our end of the connections: the air of a real board cannot be disturbed. */
  disturb(disturbance: LinkDisturbance): void {
    switch (disturbance.kind) {
      case 'lift':
        this.#awayUntilUs = 0;
        return;
      case 'half-open':
        for (const stream of this.#live) stream.hold('both');
        return;
      case 'stall':
        for (const stream of this.#live) {
          stream.hold(disturbance.direction);
          this.#clock.after(disturbance.durationUs, () => stream.release(disturbance.direction));
        }
        return;
      case 'drop':
        break;
      default: {
        // Whatever keeps a board from connecting, at this end it is sent away.
        const { durationUs = Number.POSITIVE_INFINITY } = disturbance;
        this.#awayUntilUs = this.#clock.nowUs() + durationUs;
      }
    }
    for (const stream of [...this.#live]) stream.resetAndDestroy();
  }
}

interface TapHandlers {
  admit(deviceId: string): boolean;
  number(): number;
  readonly observer: TapObserver;
}

type Direction = 'up' | 'down';

class TappedStream extends SocketLikeStream {
  readonly #inner: Duplex & { resetAndDestroy?(): unknown };
  readonly #handlers: TapHandlers;
  readonly #frames = new FrameReader();
  #upHead: Buffer | undefined = Buffer.alloc(0);
  #downHead: Buffer | undefined = Buffer.alloc(0);
  #target: { readonly deviceId: string; readonly reconnect: boolean } | undefined;
  #connection: WrittenConnection | undefined;
  readonly #held: Record<Direction, number> = { up: 0, down: 0 };
  /** A write that waits for the end of a stall. */
  #waiting: (() => void) | undefined;

  constructor(inner: Duplex, handlers: TapHandlers) {
    super({ allowHalfOpen: true });
    this.#inner = inner;
    this.#handlers = handlers;
    inner.on('data', (chunk: Buffer) => this.#arrive(chunk));
    inner.on('end', () => this.push(null));
    inner.on('error', (error: Error) => this.destroy(error));
    inner.on('close', () => this.destroy());
    this.on('error', () => {});
  }

  hold(direction: Direction | 'both'): void {
    if (direction !== 'up') this.#held.down += 1;
    if (direction === 'down') return;
    this.#held.up += 1;
    this.#inner.pause();
  }

  release(direction: Direction | 'both'): void {
    if (direction !== 'up' && --this.#held.down === 0) {
      const write = this.#waiting;
      this.#waiting = undefined;
      write?.();
    }
    if (direction !== 'down' && --this.#held.up === 0) this.#inner.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (e?: Error | null) => void,
  ): void {
    if (this.#held.down > 0) {
      this.#waiting = () => this._write(chunk, 'binary', done);
      return;
    }
    // A socket may be given the same memory again after the write.
    this.#readDown(Buffer.from(chunk));
    this.#inner.write(chunk, (error) => done(error));
  }

  override _read(): void {
    if (this.#held.up === 0) this.#inner.resume();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#inner.destroy();
    done(error);
    if (connection === undefined) return;
    connection.write(undefined);
    this.#handlers.observer.ended(connection);
  }

  /** The board sees a reset, and not an orderly end. */
  resetAndDestroy(): void {
    if (this.#inner.resetAndDestroy !== undefined) this.#inner.resetAndDestroy();
    else this.#inner.destroy();
    this.destroy();
  }

  #arrive(chunk: Buffer): void {
    let passed = chunk;
    if (this.#upHead !== undefined) {
      this.#upHead = Buffer.concat([this.#upHead, chunk]);
      const end = this.#upHead.indexOf('\r\n\r\n');
      if (end < 0 && this.#upHead.length <= headMaximumBytes) return;
      const head = this.#upHead.toString('latin1', 0, Math.max(0, end));
      passed = this.#upHead;
      this.#upHead = undefined;
      // The address that is stored on a board may hold the token of another server, which ours does not ask for.
      const url = head.split(' ')[1] ?? '/';
      const parsed = parseConnectUrl(tokensOf({ url, authorization: undefined }).target);
      if (parsed.ok) {
        if (!this.#handlers.admit(parsed.deviceId)) {
          this.#inner.end(
            'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
          );
          return;
        }
        this.#target = { deviceId: parsed.deviceId, reconnect: parsed.query.reconnect };
      }
    } else if (this.#connection !== undefined) this.#readUp(this.#connection, chunk);
    if (!this.push(passed)) this.#inner.pause();
  }

  #readUp(connection: WrittenConnection, chunk: Buffer): void {
    const { observer } = this.#handlers;
    let frames: ReturnType<FrameReader['push']>;
    try {
      frames = this.#frames.push(chunk);
    } catch {
      // No frames any more; the server refuses them as well and ends the connection.
      return;
    }
    for (const { opcode, payload } of frames) {
      if (opcode === opcodes.binary) observer.audio(connection, samplesOf(payload));
      else if (opcode === opcodes.close) observer.closing(connection);
      else if (opcode === opcodes.text) {
        const decoded = decodeClientCommand(Buffer.from(payload).toString());
        if (decoded.ok && decoded.command.event === 'StartChat') observer.startChat(connection);
      }
    }
  }

  #readDown(chunk: Buffer): void {
    if (this.#downHead === undefined) {
      this.#connection?.write(chunk);
      return;
    }
    this.#downHead = Buffer.concat([this.#downHead, chunk]);
    const end = this.#downHead.indexOf('\r\n\r\n');
    if (end < 0) return;
    const accepted = this.#downHead.toString('latin1', 0, end).startsWith('HTTP/1.1 101');
    const rest = this.#downHead.subarray(end + 4);
    this.#downHead = undefined;
    if (!accepted || this.#target === undefined) return;
    this.#connection = new WrittenConnection(this.#handlers.number(), this.#target);
    if (rest.length > 0) this.#connection.write(rest);
    this.#handlers.observer.connected(this.#connection);
  }
}

/** A connection whose bytes somebody hands in; they wait for the listener. */
export class WrittenConnection implements TappedConnection {
  readonly number: number;
  readonly deviceId: string;
  readonly reconnect: boolean;
  readonly #before: (Uint8Array | undefined)[] = [];
  #listener: ((bytes: Uint8Array | undefined) => void) | undefined;

  constructor(number: number, target: { deviceId: string; reconnect: boolean }) {
    this.number = number;
    this.deviceId = target.deviceId;
    this.reconnect = target.reconnect;
  }

  listen(listener: (bytes: Uint8Array | undefined) => void): void {
    this.#listener = listener;
    for (const bytes of this.#before.splice(0)) listener(bytes);
  }

  write(bytes: Uint8Array | undefined): void {
    if (this.#listener === undefined) this.#before.push(bytes);
    else this.#listener(bytes);
  }
}

function samplesOf(payload: Uint8Array): Int16Array {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(2 * i));
}
