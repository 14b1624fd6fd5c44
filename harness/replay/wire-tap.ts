import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Dialer, DialTarget } from '../network/network.ts';
import { NetworkError } from '../network/network-error.ts';
import { SocketLikeStream } from '../network/socket-like-stream.ts';
import type { WireEvent } from '../trace/wire-traffic.ts';
import {
  acceptOf,
  ClientBytes,
  type ClientPart,
  headBytesMax,
  recordedKey,
} from './client-bytes.ts';

/**
 * Where the traffic goes. `data` belongs to the event and is only valid during the call.
 * Calls of one connection come in order.
 */
export type WireSink = (connection: number, event: WireEvent, data?: Uint8Array) => void;

/** A dialer whose connections are written down, byte for byte, at the client's end. */
export class TappedDialer implements Dialer {
  readonly #inner: Dialer;
  readonly #clock: Clock;
  readonly #sink: WireSink;
  readonly #numbers = new WeakMap<Duplex, number>();
  #connections = 0;

  constructor(inner: Dialer, clock: Clock, sink: WireSink) {
    this.#inner = inner;
    this.#clock = clock;
    this.#sink = sink;
  }

  /** The number of a connection that was dialed here. */
  numberOf(stream: Duplex): number | undefined {
    return this.#numbers.get(stream);
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    const number = ++this.#connections;
    const tell = (event: Untimed<WireEvent>, data?: Uint8Array): void =>
      this.#sink(number, { atUs: this.#clock.nowUs(), ...event }, data);
    const { host, port, secure } = target;
    tell({ type: 'dial', host, port, secure });
    let stream: Duplex;
    try {
      stream = await this.#inner.dial(target, signal);
    } catch (error) {
      if (signal?.aborted === true) tell({ type: 'abandoned' });
      else tell({ type: 'refused', ...refusalOf(error) });
      throw error;
    }
    tell({ type: 'open' });
    const tapped = new TappedWire(stream, tell);
    this.#numbers.set(tapped, number);
    return tapped;
  }
}

type Untimed<T> = T extends unknown ? Omit<T, 'atUs'> : never;
type Tell = (event: Untimed<WireEvent>, data?: Uint8Array) => void;

function refusalOf(error: unknown): { code: string; message: string; hint: string } {
  if (error instanceof NetworkError) {
    const { code, message, hint } = error;
    return { code, message, hint };
  }
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  return { code, message, hint: '' };
}

/** The client's end of a connection: everything passes, and is told. */
class TappedWire extends SocketLikeStream {
  readonly #inner: Duplex;
  readonly #tell: Tell;
  readonly #sent = new ClientBytes();
  #answerHead: { readonly accept: string; bytes: Buffer } | undefined;
  #over = false;

  constructor(inner: Duplex, tell: Tell) {
    super({ allowHalfOpen: false });
    this.#inner = inner;
    this.#tell = tell;
    inner.on('data', (chunk: Buffer) => {
      this.#received(chunk);
      if (!this.push(chunk)) inner.pause();
    });
    inner.on('end', () => this.#end());
    inner.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#over) {
        this.#over = true;
        tell({ type: 'broken', code: error.code ?? '', message: error.message });
      }
      this.destroy(error);
    });
    inner.on('close', () => this.#end());
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#tellSent(this.#sent.push(chunk));
    this.#inner.write(chunk, (error) => done(error));
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#close();
    this.#inner.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#close();
    this.#inner.destroy();
    done(error);
  }

  #end(): void {
    if (!this.#over) {
      this.#over = true;
      this.#flushAnswerHead();
      this.#tell({ type: 'end' });
    }
    if (!this.destroyed && !this.readableEnded) this.push(null);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#flushAnswerHead();
    this.#tell({ type: 'closed' });
  }

  #tellSent(parts: readonly ClientPart[]): void {
    for (const { kind, bytes, last } of parts) {
      this.#tell({ type: 'sent', kind, bytes: bytes.length, last }, bytes);
    }
    const key = this.#sent.pendingKey;
    if (key !== undefined) this.#answerHead ??= { accept: acceptOf(key), bytes: Buffer.alloc(0) };
  }

  /** The answer to a handshake depends on its random key, and is kept as the answer to {@link recordedKey}. */
  #received(chunk: Buffer): void {
    const head = this.#answerHead;
    if (head === undefined) {
      this.#tell({ type: 'received', bytes: chunk.length }, chunk);
      return;
    }
    this.#tell({ type: 'received', bytes: chunk.length });
    head.bytes = Buffer.concat([head.bytes, chunk]);
    const isComplete = head.bytes.includes('\r\n\r\n') || head.bytes.length > headBytesMax;
    if (!isComplete) return;
    const status = Number(head.bytes.toString('latin1', 9, 12));
    this.#flushAnswerHead();
    this.#tellSent(this.#sent.answered(status));
  }

  /** Bytes that were announced before they could be written. */
  #flushAnswerHead(): void {
    const head = this.#answerHead;
    if (head === undefined) return;
    this.#answerHead = undefined;
    const at = head.bytes.indexOf(head.accept);
    if (at >= 0) head.bytes.write(acceptOf(recordedKey), at, 'latin1');
    this.#tell({ type: 'received', bytes: 0 }, head.bytes);
  }
}
