import { Duplex } from 'node:stream';

/**
 * A stream that Node's `http` and the `ws` package take for a `net.Socket`: the properties and
 * methods they ask for, without effect. Pieces written together arrive together.
 */
export abstract class SocketLikeStream extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly remoteFamily = 'IPv4';
  readonly remotePort = 1;
  readonly encrypted = false;
  readonly connecting = false;

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(chunks.map((piece) => piece.chunk)), 'binary', callback);
  }

  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  /** Library time-outs would run on real time; limits are kept by our own clock. */
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  address(): { address: string; family: string; port: number } {
    return { address: '127.0.0.1', family: 'IPv4', port: 1 };
  }
}

/** An error as `net.Socket` raises it. */
export function socketError(code: string, syscall: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}
