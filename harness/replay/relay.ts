import type { Duplex } from 'node:stream';
import { ClientBytes } from './client-bytes.ts';

/**
 * Passes everything between a client and a server, both ways, with ends, resets and the pressure of a slow reader.
 *
 * @param client that was accepted @param server that was dialed @param forward what the server gets of what the client
 *   sends; absent: the same
 */
export function relay(
  client: Duplex,
  server: Duplex,
  forward: (chunk: Buffer) => Buffer = (chunk) => chunk,
): void {
  pass(client, server, forward);
  pass(server, client, (chunk) => chunk);
}

function pass(from: Duplex, to: Duplex, forward: (chunk: Buffer) => Buffer): void {
  from.on('data', (chunk: Buffer) => {
    const bytes = forward(chunk);
    if (bytes.length > 0 && !to.destroyed && !to.write(bytes)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('error', () => reset(to));
  from.on('close', () => {
    // An orderly end is under way; anything else is told at once.
    if (!from.readableEnded) reset(to);
  });
}

/** The other side sees a broken connection. */
function reset(stream: Duplex & { resetAndDestroy?(): unknown }): void {
  if (stream.destroyed) return;
  if (stream.resetAndDestroy !== undefined) stream.resetAndDestroy();
  else stream.destroy();
}

/**
 * Requests for another host than they were sent to: `Host` becomes that of the service, or it would not know them. All
 * other bytes stay as they are.
 */
export class ForwardedRequests {
  readonly #host: string;
  readonly #requests = new ClientBytes();
  /** A WebSocket was asked for: nothing that follows is a head. */
  #opaque = false;

  /** @param host with the port, where it is not the one of the scheme */
  constructor(host: string) {
    this.#host = host;
  }

  push(chunk: Buffer): Buffer {
    if (this.#opaque) return chunk;
    const parts = this.#requests.push(chunk);
    this.#opaque = this.#requests.pendingKey !== undefined;
    const passed = parts.map(({ kind, raw }) => {
      if (kind !== 'head') return raw;
      const head = raw.toString('latin1').replace(/^(host:[ \t]*)[^\r\n]*/im, `$1${this.#host}`);
      return Buffer.from(head, 'latin1');
    });
    return Buffer.concat(passed);
  }
}
