/**
 * Streaming WAV reader that trusts a header only as far as it deserves: TTS providers send
 * placeholder sizes, extra chunks, a header per chunk and sizes that are 2 bytes too large (TTS
 * provider protocol reference, section 2.2).
 *
 * The result does not depend on how the bytes are cut into chunks.
 */

/** One contiguous run of sample data. */
export interface WavPiece {
  readonly format: PcmFormat;
  /** Sample data, interleaved, little-endian; may start or end inside a frame. A view: copy to keep. */
  readonly data: Uint8Array;
  /** True for the first piece after a header: frames start anew, a partial frame before it is lost. */
  readonly restart: boolean;
}

export interface PcmFormat {
  readonly encoding: 'integer' | 'float';
  /** Bits per sample as stored: 8, 16, 24, 32 (integer) or 32, 64 (float). 8-bit is unsigned. */
  readonly bits: number;
  readonly channels: number;
  readonly rateHz: number;
}

export type WavErrorCode =
  | 'WAV_NOT_WAV'
  | 'WAV_UNSUPPORTED_FORMAT'
  | 'WAV_BAD_HEADER'
  | 'WAV_HEADER_TOO_LONG'
  | 'WAV_ENDED_IN_HEADER';

/** The bytes are not a WAV that can be played. `found` names what they look like instead. */
export class WavError extends Error {
  override readonly name = 'WavError';
  readonly code: WavErrorCode;
  readonly found: string | undefined;

  constructor(code: WavErrorCode, message: string, found?: string) {
    super(message);
    this.code = code;
    this.found = found;
  }
}

/** Sizes from here up are placeholders for "until the end of the stream" (section 2.2, rule 2). */
const placeholderSizeMin = 0x7000_0000;
/** A header with its extra chunks is held in memory; this much of it is more than any real one has. */
const headerBytesMax = 1024 * 1024;
/** Of the chunk that says what the samples are; what is above this is no sound of anybody. */
const formatBytesMin = 16;
const formatBytesMax = 4096;
const channelsMax = 32;
const rateHzMin = 1_000;
const rateHzMax = 768_000;
/** Of what is no WAV, in the failure. */
const excerptBytesMax = 160;
/** `RIFF`, four bytes of size, `WAVE`, `fmt `: what a repeated header looks like. */
const repeatedHeaderBytes = 16;

type State =
  /** Collecting `RIFF….WAVE` and the chunks before `data`; `next` is the chunk that is looked at next. */
  | { at: 'header'; next: number; format: PcmFormat | undefined }
  /** Inside sample data; `left` is Infinity for a placeholder size. */
  | { at: 'data'; left: number; odd: boolean }
  /** After sample data of an honest size: chunk headers, whose content is skipped. */
  | { at: 'tail'; padding: boolean }
  | { at: 'skip'; left: number };

export class WavStream {
  #state: State = newHeader();
  readonly #held = new HeldBytes();
  /** So many bytes must be held before there is anything to do. */
  #wanted = 0;
  #format: PcmFormat | undefined;
  #restart = true;
  #ignoredBytes = 0;

  /** Format of the last header read; undefined before the first is complete. */
  get format(): PcmFormat | undefined {
    return this.#format;
  }

  /** Bytes after the sample data that were neither audio nor a header. */
  get ignoredBytes(): number {
    return this.#ignoredBytes;
  }

  /**
   * Takes the next bytes and returns the sample data among them. The pieces are views into `bytes`
   * (or into memory of this object) and valid until the next call.
   *
   * @throws {WavError} when the bytes are no WAV, or one in an encoding that is not linear PCM
   */
  push(bytes: Uint8Array): WavPiece[] {
    const wasHeld = this.#held.length > 0;
    if (wasHeld) this.#held.append(bytes);
    const all = wasHeld ? this.#held.bytes : bytes;
    if (all.length < this.#wanted) return [];
    this.#wanted = 0;
    const pieces: WavPiece[] = [];
    let rest = all;
    while (rest.length > 0) {
      const used = this.#step(rest, pieces, false);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    if (wasHeld && rest.length === all.length) return pieces;
    this.#held.clear();
    // A copy: the caller may reuse its buffer.
    if (rest.length > 0) this.#held.append(rest);
    return pieces;
  }

  /**
   * Ends the stream: returns sample data that was held back because it looked like the start of a
   * repeated header.
   *
   * @throws {WavError} `WAV_ENDED_IN_HEADER` when the stream ended before any sample data
   */
  end(): WavPiece[] {
    const pieces: WavPiece[] = [];
    let rest = this.#held.bytes;
    this.#held.clear();
    if (this.#state.at === 'data') {
      while (rest.length > 0 && this.#state.at === 'data') {
        rest = rest.subarray(this.#step(rest, pieces, true));
      }
    }
    if (this.#state.at === 'header' && this.#format === undefined) {
      if (rest.length > 0) requireRiff(rest, true);
      throw new WavError(
        'WAV_ENDED_IN_HEADER',
        `The WAV ended after ${rest.length} bytes, before its sample data began.`,
      );
    }
    this.#ignoredBytes += rest.length;
    return pieces;
  }

  /** Consumes the front of `bytes`; 0 means that more bytes are needed. */
  #step(bytes: Uint8Array, pieces: WavPiece[], ending: boolean): number {
    const state = this.#state;
    switch (state.at) {
      case 'header':
        return this.#readHeader(state, bytes);
      case 'data':
        return this.#readData(state, bytes, pieces, ending);
      case 'tail':
        return this.#readTail(state, bytes);
      case 'skip': {
        const used = Math.min(state.left, bytes.length);
        state.left -= used;
        this.#ignoredBytes += used;
        if (state.left === 0) this.#state = { at: 'tail', padding: false };
        return used;
      }
    }
  }

  /**
   * Needs the whole header up to the sample data, because it may be cut anywhere. What was looked at once is not looked at
   * again, and nothing is done until the next chunk is there: a long header may come byte by byte.
   */
  #readHeader(state: { next: number; format: PcmFormat | undefined }, bytes: Uint8Array): number {
    if (state.next === 12 && !requireRiff(bytes, false)) return 0;
    if (bytes.length < 12) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (;;) {
      const at = state.next;
      if (at > headerBytesMax) {
        throw new WavError(
          'WAV_HEADER_TOO_LONG',
          `No "data" chunk in the first ${headerBytesMax} bytes of the WAV.`,
        );
      }
      if (at + 8 > bytes.length) return this.#waitFor(at + 8);
      const id = tag(bytes, at);
      const size = view.getUint32(at + 4, true);
      if (id === 'data') {
        if (state.format === undefined) {
          throw new WavError(
            'WAV_BAD_HEADER',
            'The WAV has a "data" chunk before any "fmt " chunk.',
          );
        }
        const open = size === 0 || size >= placeholderSizeMin;
        this.#state = open
          ? { at: 'data', left: Number.POSITIVE_INFINITY, odd: false }
          : { at: 'data', left: size, odd: size % 2 === 1 };
        this.#format = state.format;
        this.#restart = true;
        return at + 8;
      }
      if (id === 'fmt ') {
        if (size < formatBytesMin || size > formatBytesMax) {
          throw new WavError('WAV_BAD_HEADER', `The "fmt " chunk of the WAV says ${size} bytes.`);
        }
        if (at + 8 + size > bytes.length) return this.#waitFor(at + 8 + size);
        state.format = readFormat(view, at + 8, size);
      } else if (!isChunkId(id)) {
        throw new WavError(
          'WAV_BAD_HEADER',
          `Expected a chunk at byte ${at} of the WAV header, found ${hex(bytes.subarray(at, at + 8))}.`,
        );
      }
      state.next = at + 8 + size + (size % 2);
    }
  }

  /** @returns 0: nothing is used */
  #waitFor(bytes: number): number {
    this.#wanted = bytes;
    return 0;
  }

  #enterHeader(bytes: Uint8Array): number {
    const header = newHeader();
    this.#state = header;
    return this.#readHeader(header, bytes);
  }

  #readData(
    state: { left: number; odd: boolean },
    bytes: Uint8Array,
    pieces: WavPiece[],
    ending: boolean,
  ): number {
    if (state.left === 0) {
      this.#state = { at: 'tail', padding: state.odd };
      return this.#readTail({ padding: state.odd }, bytes);
    }
    const found = findRepeatedHeader(bytes, ending);
    if (found === 0 && isRepeatedHeader(bytes)) {
      return this.#enterHeader(bytes);
    }
    const end = found === -1 ? bytes.length : found;
    const used = Math.min(state.left, end);
    if (used > 0) {
      pieces.push({ format: this.#format!, data: bytes.subarray(0, used), restart: this.#restart });
      this.#restart = false;
      state.left -= used;
    }
    return used;
  }

  /** Chunks after the sample data; played as audio they are the click at the end. */
  #readTail(state: { padding: boolean }, bytes: Uint8Array): number {
    if (state.padding) {
      // RIFF pads odd chunks with a zero byte; some writers forget it.
      this.#state = { at: 'tail', padding: false };
      if (bytes[0] === 0) {
        this.#ignoredBytes += 1;
        return 1;
      }
    }
    if (bytes.length < 8) return 0;
    const id = tag(bytes, 0);
    if (id === 'RIFF') {
      return this.#enterHeader(bytes);
    }
    const size = new DataView(bytes.buffer, bytes.byteOffset, 8).getUint32(4, true);
    // Not a chunk: nothing behind it can be located, so the rest is ignored as well.
    const left = isChunkId(id) ? size + (size % 2) : Number.POSITIVE_INFINITY;
    this.#state = left === 0 ? { at: 'tail', padding: false } : { at: 'skip', left };
    this.#ignoredBytes += 8;
    return 8;
  }
}

/**
 * Names what the first bytes of a body look like; undefined when they look like nothing known.
 * Only unmistakable marks count, because raw PCM may start with anything.
 */
export function sniffContent(bytes: Uint8Array): string | undefined {
  const text = ascii(bytes.subarray(0, 32));
  if (text.startsWith('RIFF')) return 'WAV';
  if (text.startsWith('ID3')) return 'MP3';
  if (text.startsWith('OggS')) return 'Ogg';
  if (text.startsWith('fLaC')) return 'FLAC';
  if (bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8) return 'gzip';
  const start = text.replace(/^(?:\u00ef\u00bb\u00bf)?\s*/, '').toLowerCase();
  if (/^(?:\{\s*["}]|\[\s*\{)/.test(start)) return 'JSON';
  if (/^<(?:!doctype|html|\?xml|head|body)/.test(start)) return 'HTML';
  if (start.startsWith('data:') || start.startsWith('event:')) return 'server-sent events';
  // MPEG audio frame: 11 sync bits, a valid version, layer, bit rate and sampling rate.
  if (
    bytes.length >= 3 &&
    bytes[0] === 0xff &&
    (bytes[1]! & 0xe0) === 0xe0 &&
    (bytes[1]! & 0x18) !== 0x08 &&
    (bytes[2]! & 0xf0) !== 0xf0 &&
    (bytes[2]! & 0x0c) !== 0x0c
  ) {
    return (bytes[1]! & 0x06) === 0 ? 'AAC' : 'MP3';
  }
  return undefined;
}

/**
 * Whether `bytes` begin like a WAV as far as they go; false while too few of another content are
 * there to name it.
 */
function requireRiff(bytes: Uint8Array, ending: boolean): boolean {
  const riff = tag(bytes, 0);
  const wave = tag(bytes, 8);
  if ('RIFF'.startsWith(riff) && 'WAVE'.startsWith(wave)) return true;
  if (!ending && bytes.length < 32) return false;
  const found = riff === 'RIFF' ? undefined : sniffContent(bytes);
  const excerpt =
    found === 'JSON' || found === 'HTML'
      ? ` It begins: ${printable(bytes.subarray(0, excerptBytesMax))}`
      : ` First bytes: ${hex(bytes.subarray(0, 12))}.`;
  throw new WavError(
    'WAV_NOT_WAV',
    `Expected a WAV, got ${found ?? 'something unknown'}.${excerpt}`,
    found,
  );
}

function readFormat(view: DataView, at: number, size: number): PcmFormat {
  let tagValue = view.getUint16(at, true);
  const channels = view.getUint16(at + 2, true);
  const rateHz = view.getUint32(at + 4, true);
  const bits = view.getUint16(at + 14, true);
  // The extensible form keeps the real format in the first two bytes of its sub-format.
  if (tagValue === 0xfffe && size >= 26) tagValue = view.getUint16(at + 24, true);
  const encoding = tagValue === 1 ? 'integer' : tagValue === 3 ? 'float' : undefined;
  const known =
    (encoding === 'integer' && [8, 16, 24, 32].includes(bits)) ||
    (encoding === 'float' && [32, 64].includes(bits));
  if (encoding === undefined || !known) {
    const names: Record<number, string> = { 2: 'ADPCM', 6: 'A-law', 7: 'µ-law', 85: 'MP3' };
    throw new WavError(
      'WAV_UNSUPPORTED_FORMAT',
      `The WAV is ${names[tagValue] ?? `format ${tagValue}`} with ${bits} bits; supported are integer PCM of 8, 16, 24, 32 bits and float of 32, 64 bits.`,
    );
  }
  if (channels < 1 || channels > channelsMax || rateHz < rateHzMin || rateHz > rateHzMax) {
    throw new WavError(
      'WAV_BAD_HEADER',
      `The WAV header says ${channels} channels at ${rateHz} Hz, which cannot be right.`,
    );
  }
  return { encoding, bits, channels, rateHz };
}

/**
 * First index at which a repeated header begins or, unless `ending`, may begin; -1 when there is
 * none. Twelve fixed bytes do not occur in speech by chance.
 */
function findRepeatedHeader(bytes: Uint8Array, ending: boolean): number {
  for (let at = bytes.indexOf(0x52); at !== -1; at = bytes.indexOf(0x52, at + 1)) {
    const candidate = bytes.subarray(at, at + repeatedHeaderBytes);
    if (!matchesRepeatedHeader(candidate)) continue;
    if (candidate.length === repeatedHeaderBytes || !ending) return at;
  }
  return -1;
}

function isRepeatedHeader(bytes: Uint8Array): boolean {
  return bytes.length >= repeatedHeaderBytes && matchesRepeatedHeader(bytes);
}

/** Whether `bytes` agree with the mark of a header as far as both go. */
function matchesRepeatedHeader(bytes: Uint8Array): boolean {
  const mark = 'RIFF\0\0\0\0WAVEfmt ';
  for (let i = 0; i < Math.min(bytes.length, mark.length); i++) {
    if ((i < 4 || i >= 8) && bytes[i] !== mark.charCodeAt(i)) return false;
  }
  return true;
}

function isChunkId(id: string): boolean {
  return id.length === 4 && /^[\x20-\x7e]+$/.test(id);
}

function tag(bytes: Uint8Array, at: number): string {
  return ascii(bytes.subarray(at, at + 4));
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function printable(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\s+/g, ' ').trim();
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function newHeader(): State & { at: 'header' } {
  return { at: 'header', next: 12, format: undefined };
}

/** Bytes that wait for more; room is doubled, so that many small pieces cost no more than a few large ones. */
class HeldBytes {
  #room = new Uint8Array(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.length));
      room.set(this.#room.subarray(0, this.#length));
      this.#room = room;
    }
    this.#room.set(bytes, this.#length);
    this.#length = length;
  }

  /** A view, which {@link clear} leaves to whoever has it. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length);
  }

  clear(): void {
    this.#room = new Uint8Array(0);
    this.#length = 0;
  }
}
