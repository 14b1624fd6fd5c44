/**
 * Takes secrets out of whatever is about to be written or shown: known values in every spelling in which a service
 * may echo them, and what stands in fields that carry credentials.
 */
import { secretPattern, secretSpellings } from '../../adapters/secret-spellings.ts';
import {
  type FieldClosing,
  findClosing,
  findOpening,
  mayHoldFields,
  openingAtEnd,
  redacted,
} from './secret-fields.ts';

/** Shorter than this, the beginning of a secret tells nothing. */
const tellingBytes = 4;
const star = 0x2a;

export class SecretMask {
  readonly #pattern: RegExp | undefined;
  readonly #bytes: readonly Buffer[];

  constructor(secrets: readonly string[]) {
    this.#pattern = secretPattern(secrets);
    this.#bytes = secretSpellings(secrets).map((word) => Buffer.from(word));
  }

  text(text: string): string {
    const known = this.#pattern === undefined ? text : text.replaceAll(this.#pattern, redacted);
    if (!mayHoldFields(known)) return known;
    let clean = '';
    let at = 0;
    for (let field = findOpening(known, 0); field !== undefined; field = findOpening(known, at)) {
      const { end, closing } = field;
      const found = findClosing(known, end, closing);
      const close = found < 0 ? known.length : found;
      clean += known.slice(at, end) + (close > end ? redacted : '');
      at = close;
    }
    return clean + known.slice(at);
  }

  /**
   * For bytes that arrive in pieces: a secret may be cut by their boundaries. Fields are looked for, too.
   *
   * @param write receives all bytes in order, secrets replaced by as many asterisks. Valid during the call.
   */
  stream(write: (bytes: Uint8Array) => void): MaskedStream {
    return new MaskedStream(this.#bytes, write);
  }

  /** The same for the bytes of a connection: a secret may also be cut by the chunks of HTTP (RFC 9112, section 7.1). */
  wire(write: (bytes: Uint8Array) => void): MaskedWire {
    return new MaskedWire(this, write);
  }
}

/** The line that ends a chunk, and the size of the next one. Elsewhere such lines mean nothing, and pass as well. */
const chunkLines = /\r\n[\da-f]{1,8}(?:;[^\r\n]{0,80})?\r\n/gi;
/** The beginning of such a line at the end of what has come. */
const chunkLineAtEnd = /\r(?:\n(?:[\da-f]{1,8}(?:;[^\r\n]{0,80})?\r?)?)?$/i;

/** Takes the lines between chunks out, has the rest masked, and puts them back where they were. */
export class MaskedWire {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #content: MaskedStream;
  /** Lines that are not written yet, and how many bytes of content come before each. */
  readonly #lines: { readonly at: number; readonly bytes: Buffer }[] = [];
  #pushed = 0;
  #written = 0;
  #held: Buffer = Buffer.alloc(0);

  constructor(mask: SecretMask, write: (bytes: Uint8Array) => void) {
    this.#write = write;
    this.#content = mask.stream((bytes) => this.#pass(bytes));
  }

  push(piece: Uint8Array): void {
    const bytes = Buffer.concat([this.#held, piece]);
    const text = bytes.toString('latin1');
    let at = 0;
    for (const { index, 0: line } of text.matchAll(chunkLines)) {
      this.#take(bytes.subarray(at, index));
      at = index + line.length;
      this.#lines.push({ at: this.#pushed, bytes: bytes.subarray(index, at) });
    }
    const tail = Math.max(at, text.length - 100);
    const begun = text.slice(tail).search(chunkLineAtEnd);
    const end = begun < 0 ? text.length : tail + begun;
    this.#take(bytes.subarray(at, end));
    this.#held = Buffer.from(bytes.subarray(end));
  }

  end(): void {
    this.#take(this.#held);
    this.#content.end();
    for (const { bytes } of this.#lines) this.#write(bytes);
  }

  #take(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pushed += bytes.length;
    this.#content.push(bytes);
  }

  #pass(bytes: Uint8Array): void {
    let from = 0;
    for (;;) {
      const line = this.#lines[0];
      const to = line === undefined ? bytes.length : line.at - this.#written;
      if (line === undefined || to > bytes.length - from) break;
      if (to > 0) this.#write(bytes.subarray(from, from + to));
      this.#write(line.bytes);
      this.#lines.shift();
      this.#written += to;
      from += to;
    }
    if (from < bytes.length) this.#write(bytes.subarray(from));
    this.#written += bytes.length - from;
  }
}

/** Holds back what may be the beginning of a secret until the next piece shows whether it is. */
export class MaskedStream {
  readonly #secrets: readonly Buffer[];
  readonly #fields: MaskedFields;
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: readonly Buffer[], write: (bytes: Uint8Array) => void) {
    this.#secrets = secrets;
    this.#fields = new MaskedFields(write);
  }

  push(piece: Uint8Array): void {
    const bytes = Buffer.concat([this.#held, piece]);
    let held = 0;
    for (const secret of this.#secrets) {
      for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at)) {
        bytes.fill(star, at, at + secret.length);
      }
    }
    for (const secret of this.#secrets) held = Math.max(held, beginningAtEnd(bytes, secret));
    this.#held = Buffer.from(bytes.subarray(bytes.length - held));
    if (held < bytes.length) this.#fields.push(bytes.subarray(0, bytes.length - held));
  }

  /** Nothing follows: most of a secret is one as well. */
  end(): void {
    if (this.#held.length >= tellingBytes) this.#held.fill(star);
    if (this.#held.length > 0) this.#fields.push(this.#held);
    this.#held = Buffer.alloc(0);
    this.#fields.end();
  }
}

/** The values of secret fields in a stream. A byte of zero ends a value: there is no text any more. */
class MaskedFields {
  readonly #write: (bytes: Uint8Array) => void;
  #held: Buffer = Buffer.alloc(0);
  /** In the middle of a value: what ends it. */
  #closing: FieldClosing | undefined;
  /** The character before what is held: a header begins a line. */
  #before = '\n';

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** @param piece is changed */
  push(piece: Buffer): void {
    const bytes = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
    this.#pass(bytes, this.#mask(bytes));
  }

  end(): void {
    if (this.#closing !== undefined) this.#held.fill(star);
    this.#closing = undefined;
    if (this.#held.length > 0) this.#pass(this.#held, this.#held.length);
  }

  /** @returns how many bytes can be written; the others must wait for what follows */
  #mask(bytes: Buffer): number {
    const lead = this.#before.length;
    // One character for each byte, so that indices are those of the bytes, but for the character before.
    const text = this.#before + bytes.toString('latin1');
    let at = lead;
    const barren = this.#closing === undefined && !mayHoldFields(text);
    if (barren) return Math.max(lead, openingAtEnd(text)) - lead;
    for (;;) {
      if (this.#closing === undefined) {
        const field = findOpening(text, at);
        if (field === undefined) {
          // Never before `at`: what is masked is no beginning of a name.
          return Math.max(at, lead, openingAtEnd(text)) - lead;
        }
        // What a client has replaced itself stays readable.
        const rest = text.slice(field.end, field.end + redacted.length);
        if (rest !== redacted && redacted.startsWith(rest))
          return Math.max(lead, field.start) - lead;
        at = rest === redacted ? field.end + redacted.length : field.end;
        this.#closing = field.closing;
      }
      const close = findClosing(text, at, this.#closing);
      // A quote at the beginning of the next piece has these before it.
      const end = close >= 0 ? close : text.length - trailingBackslashes(text, at);
      bytes.fill(star, at - lead, end - lead);
      if (close < 0) return end - lead;
      this.#closing = undefined;
      at = close;
    }
  }

  #pass(bytes: Buffer, count: number): void {
    this.#held = Buffer.from(bytes.subarray(count));
    if (count === 0) return;
    this.#before = bytes.toString('latin1', count - 1, count);
    this.#write(bytes.subarray(0, count));
  }
}

function trailingBackslashes(text: string, from: number): number {
  let count = 0;
  while (text.length - 1 - count >= from && text[text.length - 1 - count] === '\\') count++;
  return count;
}

/** Length of the longest end of `bytes` with which `secret` begins, short of the whole. */
function beginningAtEnd(bytes: Buffer, secret: Buffer): number {
  for (let length = Math.min(secret.length - 1, bytes.length); length > 0; length--) {
    if (bytes[bytes.length - length] !== secret[0]) continue;
    if (bytes.subarray(bytes.length - length).equals(secret.subarray(0, length))) return length;
  }
  return 0;
}
