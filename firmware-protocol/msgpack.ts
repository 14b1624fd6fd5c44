/**
 * The part of MessagePack that the device protocol uses, read with bounds and written in the
 * smallest form.
 *
 * Reading never allocates more than the message is long: a header that announces four thousand
 * million elements costs nothing until the elements are there.
 */
import {
  depthExceeded,
  endOfBytes,
  endOfMarker,
  endOfNumber,
  wrongMarker,
} from './decoder-reason.ts';

/** Why a message was refused. Internal to the decoders, which turn it into a result. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/**
 * One value, or the head of a container whose `length` elements (for a map: pairs) follow.
 * `bytes` are a view of the message: copy them to keep them. `signed` tells the marker family; the
 * firmware takes a positive number in a signed marker for a field value but not for a name.
 */
export type MessagePackValue =
  | { readonly kind: 'unit' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number | bigint; readonly signed: boolean }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly bytes: Uint8Array }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array }
  | { readonly kind: 'sequence'; readonly length: number }
  | { readonly kind: 'map'; readonly length: number }
  | { readonly kind: 'extension'; readonly length: number };

/** Whether a map begins with this marker. */
export function isMapMarker(marker: number): boolean {
  return (marker >= 0x80 && marker < 0x90) || marker === 0xde || marker === 0xdf;
}

/** What the firmware reads where it wants a number: numbers, but also nil and booleans. */
export function isNumberMarker(marker: number): boolean {
  return (
    marker < 0x80 ||
    marker >= 0xe0 ||
    marker === 0xc0 ||
    marker === 0xc2 ||
    marker === 0xc3 ||
    (marker >= 0xca && marker <= 0xd3)
  );
}

/** Containers may be nested this deep (rmp-serde's limit of 1024, reached before it is used up). */
const depthLimit = 1023;

export class MessagePackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  /** Keeps a view of `bytes`; nothing that is returned outlives it except numbers. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  /** The next marker, left in place. */
  peekMarker(): number {
    const marker = this.#bytes[this.#position];
    if (marker === undefined) throw new Refusal(endOfMarker);
    return marker;
  }

  /** Reads one value, or the head of a container. */
  value(): MessagePackValue {
    const marker = this.peekMarker();
    this.#position += 1;
    if (marker < 0x80) return { kind: 'integer', value: marker, signed: false };
    if (marker < 0x90) return { kind: 'map', length: marker & 0x0f };
    if (marker < 0xa0) return { kind: 'sequence', length: marker & 0x0f };
    if (marker < 0xc0) return { kind: 'string', bytes: this.#slice(marker & 0x1f) };
    if (marker >= 0xe0) return { kind: 'integer', value: marker - 0x100, signed: true };
    switch (marker) {
      case 0xc0:
        return { kind: 'unit' };
      case 0xc2:
      case 0xc3:
        return { kind: 'boolean', value: marker === 0xc3 };
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return { kind: 'binary', bytes: this.#slice(this.#unsigned(1 << (marker - 0xc4))) };
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return { kind: 'extension', length: this.#unsigned(1 << (marker - 0xc7)) };
      case 0xca:
        return { kind: 'float', value: this.#view.getFloat32(this.#take(4)) };
      case 0xcb:
        return { kind: 'float', value: this.#view.getFloat64(this.#take(8)) };
      case 0xcc:
      case 0xcd:
      case 0xce:
        return { kind: 'integer', value: this.#unsigned(1 << (marker - 0xcc)), signed: false };
      case 0xcf:
        return {
          kind: 'integer',
          value: smallest(this.#view.getBigUint64(this.#take(8))),
          signed: false,
        };
      case 0xd0:
        return { kind: 'integer', value: this.#view.getInt8(this.#take(1)), signed: true };
      case 0xd1:
        return { kind: 'integer', value: this.#view.getInt16(this.#take(2)), signed: true };
      case 0xd2:
        return { kind: 'integer', value: this.#view.getInt32(this.#take(4)), signed: true };
      case 0xd3:
        return {
          kind: 'integer',
          value: smallest(this.#view.getBigInt64(this.#take(8))),
          signed: true,
        };
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return { kind: 'extension', length: 1 << (marker - 0xd4) };
      case 0xd9:
      case 0xda:
      case 0xdb:
        return { kind: 'string', bytes: this.#slice(this.#unsigned(1 << (marker - 0xd9))) };
      case 0xdc:
      case 0xdd:
        return { kind: 'sequence', length: this.#unsigned(2 << (marker - 0xdc)) };
      case 0xde:
      case 0xdf:
        return { kind: 'map', length: this.#unsigned(2 << (marker - 0xde)) };
      default:
        throw new Refusal(wrongMarker(marker));
    }
  }

  /**
   * Copies the run of smallest-form byte integers that starts here into `out` from `from` on and
   * returns where it stopped. Stops at anything else, which {@link value} then has to judge. This
   * is the hot loop of the protocol: all audio passes through it.
   */
  byteRun(out: Uint8Array | Int16Array, from: number): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    const room = out.length;
    let position = this.#position;
    let index = from;
    while (index < room && position < end) {
      const marker = bytes[position]!;
      if (marker < 0x80) {
        out[index++] = marker;
        position += 1;
      } else if (marker === 0xcc && position + 1 < end) {
        out[index++] = bytes[position + 1]!;
        position += 2;
      } else break;
    }
    this.#position = position;
    return index;
  }

  /** Passes over one value, whatever it is. `depth` is the number of containers around it. */
  skip(depth: number): void {
    // A stack of counts instead of recursion: the depth of a hostile message must not become ours.
    const pending = [1];
    while (pending.length > 0) {
      const left = pending.pop()!;
      if (left > 1) pending.push(left - 1);
      else if (left === 0) continue;
      // Finished containers leave the stack late, so that its length is the depth.
      else pending.push(0);
      const value = this.value();
      if (value.kind === 'sequence' || value.kind === 'map' || value.kind === 'extension') {
        if (depth + pending.length > depthLimit) throw new Refusal(depthExceeded);
        if (value.kind === 'extension') {
          this.#take(1);
          this.#slice(value.length);
        } else pending.push(value.kind === 'map' ? value.length * 2 : value.length);
      }
    }
  }

  #take(count: number): number {
    const at = this.#position;
    if (count > this.remaining) throw new Refusal(endOfNumber);
    this.#position += count;
    return at;
  }

  #unsigned(count: number): number {
    const at = this.#take(count);
    if (count === 1) return this.#view.getUint8(at);
    return count === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #slice(count: number): Uint8Array {
    if (count > this.remaining) throw new Refusal(endOfBytes);
    const at = this.#position;
    this.#position += count;
    return this.#bytes.subarray(at, at + count);
  }
}

/**
 * Whether `bytes` hold one value and nothing behind it, with everything that its headers announce. Nothing is allocated
 * for what is only announced, so a message may be asked this before it is given to a decoder that believes them.
 */
export function isWholeMessagePack(bytes: Uint8Array): boolean {
  const reader = new MessagePackReader(bytes);
  try {
    reader.skip(0);
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
  return reader.remaining === 0;
}

function smallest(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const textEncoder = new TextEncoder();

/** Writes each value in its smallest form, as rmp-serde and @msgpack/msgpack do. */
export class MessagePackWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** What was written, in a buffer of its own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  arrayHead(length: number): void {
    this.#head(length, 0x90, 0x0f, [undefined, 0xdc, 0xdd]);
  }

  mapHead(length: number): void {
    this.#head(length, 0x80, 0x0f, [undefined, 0xde, 0xdf]);
  }

  /** A lone surrogate, which UTF-8 cannot carry, becomes U+FFFD. */
  text(value: string): void {
    const bytes = textEncoder.encode(value);
    this.#head(bytes.length, 0xa0, 0x1f, [0xd9, 0xda, 0xdb]);
    this.#append(bytes);
  }

  binary(value: Uint8Array): void {
    this.#head(value.length, 0, -1, [0xc4, 0xc5, 0xc6]);
    this.#append(value);
  }

  /** Bytes as an array of unsigned integers: the form in which the reference server sends audio. */
  byteArray(value: Uint8Array): void {
    this.arrayHead(value.length);
    this.#reserve(2 * value.length);
    const out = this.#bytes;
    let length = this.#length;
    for (let i = 0; i < value.length; i++) {
      const byte = value[i]!;
      if (byte > 0x7f) out[length++] = 0xcc;
      out[length++] = byte;
    }
    this.#length = length;
  }

  int16Array(value: Int16Array): void {
    this.arrayHead(value.length);
    for (const sample of value) this.int16(sample);
  }

  /** @param value integer from −32 768 to 65 535. */
  int16(value: number): void {
    this.#reserve(3);
    const out = this.#bytes;
    if (value >= -0x20 && value < 0x80) {
      out[this.#length++] = value & 0xff;
    } else if (value >= -0x80 && value <= 0xff) {
      out[this.#length++] = value < 0 ? 0xd0 : 0xcc;
      out[this.#length++] = value & 0xff;
    } else {
      out[this.#length++] = value < 0 ? 0xd1 : 0xcd;
      out[this.#length++] = (value >> 8) & 0xff;
      out[this.#length++] = value & 0xff;
    }
  }

  /** A length in the short form up to `fixMax`, else after the marker for 8, 16 or 32 bits. */
  #head(
    length: number,
    fix: number,
    fixMax: number,
    [wide8, wide16, wide32]: readonly [number | undefined, number, number],
  ): void {
    this.#reserve(5);
    const out = this.#bytes;
    if (length <= fixMax) out[this.#length++] = fix | length;
    else if (wide8 !== undefined && length <= 0xff) {
      out[this.#length++] = wide8;
      out[this.#length++] = length;
    } else {
      const wide = length > 0xffff;
      out[this.#length++] = wide ? wide32 : wide16;
      for (let shift = wide ? 24 : 8; shift >= 0; shift -= 8) {
        out[this.#length++] = (length >>> shift) & 0xff;
      }
    }
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
