/** HTTP/1.1 heads and bodies as bytes, as far as a WebSocket upgrade and a download need them. */
import { createHash } from 'node:crypto';

export interface HttpHead {
  /** Request or status line. */
  readonly first: string;
  /** In the order of the wire, names as written. */
  readonly headers: readonly (readonly [string, string])[];
}

const headMaximumBytes = 64 * 1024;

export function encodeHead({ first, headers }: HttpHead): Buffer {
  const lines = [first, ...headers.map(([name, value]) => `${name}: ${value}`), '', ''];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

/**
 * The head at the beginning of the bytes and what follows it; undefined while it is incomplete.
 *
 * @throws {RangeError} when it does not end within 64 KiB or is no HTTP
 */
export function readHead(bytes: Buffer): { head: HttpHead; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) {
    if (bytes.length > headMaximumBytes) throw new RangeError('the head has no end within 64 KiB');
    if (!/^[\x20-\x7e\r\n\t]/.test(bytes.toString('latin1', 0, 1)) && bytes.length > 0) {
      throw new RangeError('what came is no HTTP');
    }
    return undefined;
  }
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { head: { first, headers }, rest: bytes.subarray(end + 4) };
}

/** Values of a header, joined as HTTP joins them; undefined when it is absent. */
export function headerOf({ headers }: HttpHead, name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  return values.length === 0 ? undefined : values.map(([, value]) => value).join(', ');
}

/** Status of a status line; 0 when it is none. */
export function statusOf({ first }: HttpHead): number {
  return Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1] ?? 0);
}

/** The body of a response that has come to its end as far as the bytes show; undefined: more to come. */
export function completeBody(head: HttpHead, bytes: Buffer, ended: boolean): Buffer | undefined {
  if (headerOf(head, 'transfer-encoding')?.toLowerCase() === 'chunked') {
    return unchunked(bytes) ?? (ended ? bytes : undefined);
  }
  const length = headerOf(head, 'content-length');
  if (length !== undefined && bytes.length >= Number(length)) {
    return bytes.subarray(0, Number(length));
  }
  return ended ? bytes : undefined;
}

function unchunked(bytes: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (!Number.isInteger(size) || bytes.length < lineEnd + 2 + size + 2) return undefined;
    if (size === 0) return Buffer.concat(pieces);
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

/** `Sec-WebSocket-Accept` for a key (RFC 6455, section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
