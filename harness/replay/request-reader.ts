import { FrameReader, opcodes } from '../network/web-socket-frame.ts';
import { opensUtterance, type RequestPart } from './request-part.ts';

/** One request and its answer of HTTP; the handshake of a WebSocket; one utterance on it, which may carry several. */
export type ExchangeKind = 'http' | 'handshake' | 'utterance';

export type RequestStep =
  /** A request begins with this part. */
  | { readonly step: 'begin'; readonly kind: ExchangeKind; readonly part: RequestPart }
  | { readonly step: 'more'; readonly part: RequestPart }
  /** The client's close frame. */
  | { readonly step: 'close' };

/** Puts together what a client sent over one connection, of pieces as they are recorded. */
export class RequestReader {
  readonly #frames = new FrameReader();
  #kind: ExchangeKind | undefined;
  #chunked = false;
  readonly #body: Buffer[] = [];
  /** Payloads of a message whose last frame is still to come. */
  #fragments: { readonly opcode: number; readonly payloads: Uint8Array[] } | undefined;

  push({
    kind,
    bytes,
    last,
  }: {
    readonly kind: 'head' | 'body' | 'frame';
    readonly bytes: Buffer;
    readonly last: boolean;
  }): RequestStep[] {
    if (kind === 'head') {
      const head = bytes.toString('latin1');
      this.#kind = /\r\nupgrade:\s*websocket\r\n/i.test(head) ? 'handshake' : 'http';
      this.#chunked = /\r\ntransfer-encoding:[^\r]*\bchunked\b/i.test(head);
      return [{ step: 'begin', kind: this.#kind, part: { kind: 'head', bytes } }];
    }
    if (kind === 'frame') return this.#frames.push(bytes).flatMap((frame) => this.#frame(frame));
    this.#body.push(bytes);
    if (!last) return [];
    const body = Buffer.concat(this.#body.splice(0));
    return [{ step: 'more', part: { kind: 'body', bytes: this.#chunked ? joined(body) : body } }];
  }

  #frame({
    opcode,
    payload,
    final,
  }: {
    readonly opcode: number;
    readonly payload: Uint8Array;
    readonly final: boolean;
  }): RequestStep[] {
    if (opcode === opcodes.close) return [{ step: 'close' }];
    if (opcode === opcodes.ping || opcode === opcodes.pong) return [];
    this.#fragments ??= { opcode, payloads: [] };
    this.#fragments.payloads.push(payload);
    if (!final) return [];
    const { opcode: first, payloads } = this.#fragments;
    this.#fragments = undefined;
    const part: RequestPart = {
      kind: first === opcodes.text ? 'text' : 'binary',
      bytes: Buffer.concat(payloads),
    };
    if (this.#kind === 'utterance' && !opensUtterance(part)) return [{ step: 'more', part }];
    this.#kind = 'utterance';
    return [{ step: 'begin', kind: 'utterance', part }];
  }
}

/** The content of a body that was sent in chunks (RFC 9112, section 7.1). */
function joined(body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at);
    const size = end < 0 ? 0 : Number.parseInt(body.toString('latin1', at, end), 16);
    if (!(size > 0)) return Buffer.concat(pieces);
    pieces.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
