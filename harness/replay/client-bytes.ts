/**
 * What a client sends over one connection, cut into the parts that mean something: request heads, pieces of bodies,
 * WebSocket frames. Credentials are replaced, and so is what differs from one connection to the next without
 * meaning anything: the key of the handshake and the masks of frames.
 */
import { createHash } from 'node:crypto';
import { encodeFrame, FrameReader, opcodes, type ReadFrame } from '../network/web-socket-frame.ts';

/** Head of a request or an answer; a longer one is passed on as it is and not understood. */
export const headBytesMax = 64 * 1024;

export interface ClientPart {
  readonly kind: 'head' | 'body' | 'frame';
  /** As they are kept: of the form that was sent, without credentials. */
  readonly bytes: Buffer;
  /** As they were sent; a frame with a mask of zero. Holds credentials: pass it on, and keep it nowhere. */
  readonly raw: Buffer;
  /** The request ends with it. Every frame is a request's end of its own. */
  readonly last: boolean;
}

/** Stands in recordings for the random key of every handshake; 16 bytes of zero. */
export const recordedKey = Buffer.alloc(16).toString('base64');

/** What a server answers to a key (RFC 6455, section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** Headers that carry credentials, in lower case. */
const secretHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'xi-api-key',
  'x-api-key',
  'api-key',
  'cookie',
]);
/** Members of JSON and parameters of a query that carry credentials. */
export const secretMembers: ReadonlySet<string> = new Set([
  'api_key',
  'apikey',
  'xi_api_key',
  'xi-api-key',
  'access_token',
  'authorization',
  'token',
  'bearer',
  'password',
]);
const secretInJson = new RegExp(
  `"(?:${[...secretMembers].join('|')})"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)"`,
  'gi',
);

const headEnd = Buffer.from('\r\n\r\n');
const redacted = '[redacted]';
const zeroMask = Buffer.alloc(4);

type Body =
  | { readonly kind: 'length'; left: number }
  | { readonly kind: 'chunked'; readonly chunks: ChunkReader };

/**
 * Reads one connection. Bytes that are neither HTTP/1.1 nor frames of RFC 6455 are handed on as parts of a body
 * that never ends.
 */
export class ClientBytes {
  #held: Buffer = Buffer.alloc(0);
  #body: Body | undefined;
  #frames: FrameReader | undefined;
  /** A request to upgrade waits for its answer; what follows it depends on it. */
  #key: string | undefined;
  #lost = false;

  /** The key of the handshake that waits for its answer, if one does. */
  get pendingKey(): string | undefined {
    return this.#key;
  }

  /** The answer to a request to upgrade has begun. */
  answered(status: number): ClientPart[] {
    if (this.#key === undefined) return [];
    this.#key = undefined;
    if (status === 101) this.#frames = new FrameReader();
    return this.push(Buffer.alloc(0));
  }

  push(chunk: Uint8Array): ClientPart[] {
    this.#held = Buffer.concat([this.#held, chunk]);
    const parts: ClientPart[] = [];
    for (let part = this.#next(); part !== undefined; part = this.#next()) parts.push(...part);
    return parts;
  }

  #next(): ClientPart[] | undefined {
    if (this.#held.length === 0 || this.#key !== undefined) return undefined;
    if (this.#lost) {
      const raw = this.#take(this.#held.length);
      return [{ kind: 'body', bytes: starred(raw), raw, last: false }];
    }
    if (this.#frames !== undefined) return this.#readFrames(this.#frames);
    return this.#body === undefined ? this.#readHead() : this.#readBody(this.#body);
  }

  #readFrames(reader: FrameReader): ClientPart[] {
    try {
      return reader.push(this.#take(this.#held.length)).map((frame) => {
        const payload = withoutSecrets(frame);
        const bytes = encodeFrame({ ...frame, payload }, zeroMask);
        return { kind: 'frame', bytes, raw: encodeFrame(frame, zeroMask), last: true };
      });
    } catch {
      this.#lost = true;
      return [];
    }
  }

  #readHead(): ClientPart[] | undefined {
    const end = this.#held.indexOf(headEnd);
    if (end < 0) {
      if (this.#held.length <= headBytesMax) return undefined;
      this.#lost = true;
      return [];
    }
    const raw = this.#take(end + headEnd.length);
    const [line = '', ...fields] = raw.toString('latin1').slice(0, -headEnd.length).split('\r\n');
    const headers = fields.map((field) => {
      const colon = field.indexOf(':');
      return { name: field.slice(0, colon), value: field.slice(colon + 1).trim(), field };
    });
    const fieldOf = (name: string): string | undefined =>
      headers.find((header) => header.name.toLowerCase() === name)?.value;
    if (/^websocket$/i.test(fieldOf('upgrade') ?? ''))
      this.#key = fieldOf('sec-websocket-key') ?? '';
    const length = Number(fieldOf('content-length') ?? 0);
    if (/\bchunked\b/i.test(fieldOf('transfer-encoding') ?? '')) {
      this.#body = { kind: 'chunked', chunks: new ChunkReader() };
    } else if (length > 0) this.#body = { kind: 'length', left: length };
    const kept = headers.map(({ name, value, field }) => {
      const lower = name.toLowerCase();
      if (lower === 'sec-websocket-key') return `${name}: ${recordedKey}`;
      return secretHeaders.has(lower) && value !== '' ? `${name}: ${redacted}` : field;
    });
    const bytes = Buffer.from(
      `${[withoutSecretQuery(line), ...kept].join('\r\n')}\r\n\r\n`,
      'latin1',
    );
    return [{ kind: 'head', bytes, raw, last: this.#body === undefined }];
  }

  #readBody(body: Body): ClientPart[] {
    let last: boolean;
    let bytes: Buffer;
    if (body.kind === 'length') {
      bytes = this.#take(Math.min(body.left, this.#held.length));
      body.left -= bytes.length;
      last = body.left === 0;
    } else {
      const length = body.chunks.push(this.#held);
      bytes = this.#take(length);
      last = body.chunks.done;
    }
    if (last) this.#body = undefined;
    return [{ kind: 'body', bytes: starred(bytes), raw: bytes, last }];
  }

  #take(count: number): Buffer {
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }
}

/** Finds the end of a body in chunks (RFC 9112, section 7.1). */
class ChunkReader {
  done = false;
  #line = '';
  #left = 0;
  #state: 'size' | 'data' | 'trailer' = 'size';

  /** @returns how many of the bytes belong to the body */
  push(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at++) {
      if (this.#state === 'data') {
        const step = Math.min(this.#left, bytes.length - at);
        this.#left -= step;
        at += step - 1;
        if (this.#left === 0) this.#state = 'size';
        continue;
      }
      this.#line += String.fromCharCode(bytes[at]!);
      if (!this.#line.endsWith('\r\n')) continue;
      const line = this.#line.slice(0, -2);
      this.#line = '';
      if (this.#state === 'trailer') {
        if (line !== '') continue;
        this.done = true;
        return at + 1;
      }
      const size = Number.parseInt(line, 16);
      if (size === 0) this.#state = 'trailer';
      else {
        // The line break behind the data belongs to it.
        this.#left = (Number.isNaN(size) ? 0 : size) + 2;
        this.#state = 'data';
      }
    }
    return bytes.length;
  }
}

function withoutSecretQuery(line: string): string {
  return line.replaceAll(/([?&])([^=&\s]+)=([^&\s]*)/g, (all, mark: string, name: string) =>
    secretMembers.has(decoded(name).toLowerCase()) ? `${mark}${name}=${redacted}` : all,
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function withoutSecrets({ opcode, payload }: ReadFrame): Uint8Array {
  return opcode === opcodes.text ? starred(Buffer.from(payload)) : payload;
}

/** Credentials in members of JSON become as many asterisks, so that lengths stay true. */
function starred(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  let out: Buffer | undefined;
  for (const match of text.matchAll(secretInJson)) {
    const value = match[1]!;
    if (value === '') continue;
    out ??= Buffer.from(bytes);
    const from = match.index + match[0].length - 1 - value.length;
    out.fill('*', from, from + value.length, 'latin1');
  }
  return out ?? bytes;
}
