import { SocketLikeStream, socketError } from './socket-like-stream.ts';

/** Bytes a reader buffers before the writer feels it; as a kernel's socket buffer does. */
const readBufferBytes = 64 * 1024;

/**
 * One end of a connection inside the process, with the socket methods that Node's `http` and the
 * `ws` package call. What one end writes the other reads, in the same instant; a write is
 * acknowledged when the reader has room for it.
 *
 * `destroy()` closes like a socket: the peer reads the end of the stream, and its next write fails
 * with `EPIPE`. `resetAndDestroy()` makes the peer fail with `ECONNRESET` at once.
 */
export class MemoryStream extends SocketLikeStream {
  readonly #onActivity: () => void;
  #peer: MemoryStream | undefined;
  #waiting: ((error?: Error | null) => void) | undefined;
  #ended = false;
  #reset = false;

  constructor(onActivity: () => void, allowHalfOpen: boolean) {
    super({ allowHalfOpen, readableHighWaterMark: readBufferBytes });
    this.#onActivity = onActivity;
  }

  /** @internal */
  attach(peer: MemoryStream): void {
    this.#peer = peer;
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#onActivity();
    const peer = this.#peer;
    if (peer === undefined || peer.destroyed) {
      callback(socketError('EPIPE', 'write'));
      return;
    }
    // A socket copies: the writer may use its buffer again after the callback.
    if (peer.push(Buffer.from(chunk))) callback();
    else peer.#waiting = callback;
  }

  override _read(): void {
    const acknowledge = this.#waiting;
    if (acknowledge === undefined) return;
    this.#waiting = undefined;
    this.#onActivity();
    acknowledge();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#onActivity();
    if (this.#peer !== undefined) this.#peer.#endReading();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onActivity();
    this.#waiting?.(socketError('EPIPE', 'write'));
    this.#waiting = undefined;
    const peer = this.#peer;
    if (peer !== undefined && !peer.destroyed) {
      if (this.#reset) peer.destroy(socketError('ECONNRESET', 'read'));
      else peer.#endReading();
    }
    callback(error);
  }

  resetAndDestroy(): this {
    this.#reset = true;
    return this.destroy();
  }

  #endReading(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }
}

/** Two connected ends: `client` closes itself when the peer has ended, `server` may stay half open. */
export function createStreamPair(onActivity: () => void): {
  client: MemoryStream;
  server: MemoryStream;
} {
  const client = new MemoryStream(onActivity, false);
  const server = new MemoryStream(onActivity, true);
  client.attach(server);
  server.attach(client);
  return { client, server };
}
