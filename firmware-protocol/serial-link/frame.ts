/**
 * Frames of the serial link among console text, on one stream of bytes (SL-1 and SL-2 of the
 * README beside this file). Pure: bytes in, frames and text out; never throws for what arrives.
 */
import { cobsDecode, cobsEncode, cobsMaximumBytes } from './cobs.ts';
import { crc32 } from './crc32.ts';

/** Behind a zero it begins a frame. No UTF-8 text contains it. */
export const frameMarker = 0xc1;

/** A body of this size is one codeword of CRC-32 in which any four wrong bits are detected. */
export const recommendedFrameBytes = 360;
/** Every end takes bodies of at least this size; a hello is never larger. */
export const leastFrameBytes = 96;
/** Up to here any three wrong bits are detected. */
export const mostFrameBytes = 4096;

const checkBytes = 6;

/** Bytes of a frame on the line when its body has so many: at most. */
export function serialLinkWireBytes(bodyBytes: number): number {
  return 2 + cobsMaximumBytes(bodyBytes) + checkBytes + 1;
}

/** One frame as it goes on the line, in a buffer of its own. The body has at least one byte. */
export function encodeSerialLinkFrame(body: Uint8Array): Uint8Array {
  const stuffed = cobsEncode(body);
  const wire = new Uint8Array(2 + stuffed.length + checkBytes + 1);
  wire[1] = frameMarker;
  wire.set(stuffed, 2);
  writeCheck(wire, 2 + stuffed.length, crc32(wire.subarray(1, 2 + stuffed.length)));
  return wire;
}

/** Six bits in each byte, lowest first, on top of 0x80: no zero, and never the beginning of UTF-8. */
function writeCheck(wire: Uint8Array, at: number, crc: number): void {
  for (let i = 0; i < checkBytes; i++) wire[at + i] = 0x80 | ((crc >>> (6 * i)) & 0x3f);
}

/** Why bytes that began like a frame are none. */
export type SerialLinkDamage =
  /** Fewer bytes than the smallest frame has. */
  | 'too-short'
  /** More bytes than the receiver takes. */
  | 'too-long'
  /** The check does not fit the bytes. */
  | 'check'
  /** The check fits, but the groups of the byte stuffing do not: a mistake of the sender. */
  | 'stuffing'
  /** No more bytes came; see {@link SerialLinkDecoder.giveUp}. */
  | 'unfinished';

/** What was found on the line. The bytes are copies and belong to the receiver. */
export type SerialLinkItem =
  | { readonly kind: 'frame'; readonly body: Uint8Array }
  /** Console text, byte for byte; pieces are cut anywhere. */
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /**
   * What was taken for a frame and is none, without the zeros and the marker. Text at its end is
   * not in here but follows as `text`.
   */
  | { readonly kind: 'damaged'; readonly reason: SerialLinkDamage; readonly bytes: Uint8Array };

export interface SerialLinkDecoderCounts {
  frames: number;
  textBytes: number;
  damaged: Record<SerialLinkDamage, number>;
}

/** Takes a stream of bytes apart. Its memory is that of one frame, whatever arrives. */
export class SerialLinkDecoder {
  readonly counts: SerialLinkDecoderCounts = {
    frames: 0,
    textBytes: 0,
    damaged: { 'too-short': 0, 'too-long': 0, check: 0, stuffing: 0, unfinished: 0 },
  };
  readonly #bodyMaximum: number;
  /** Between the marker and the zero. */
  readonly #frame: Uint8Array;
  #length = 0;
  /** `zero`: a zero that may begin a frame, else is text. `closed`: one that has ended a frame. */
  #state: 'text' | 'zero' | 'closed' | 'frame' = 'text';

  /** @param settings.frameMaximumBytes the largest body that is taken */
  constructor(settings: { readonly frameMaximumBytes?: number } = {}) {
    this.#bodyMaximum = settings.frameMaximumBytes ?? recommendedFrameBytes;
    this.#frame = new Uint8Array(cobsMaximumBytes(this.#bodyMaximum) + checkBytes);
  }

  /** Whether something begun waits for its end, so that {@link giveUp} would have an effect. */
  get isWaiting(): boolean {
    return this.#state === 'frame' || this.#state === 'zero';
  }

  /** @param bytes as they arrived, cut anywhere; kept no longer than the call */
  push(bytes: Uint8Array): SerialLinkItem[] {
    const items = new ItemList(this.counts);
    /** Where text begins that is not in `items` yet; -1: none. */
    let textFrom = -1;
    const endText = (end: number): void => {
      if (textFrom !== -1) items.text(bytes.subarray(textFrom, end));
      textFrom = -1;
    };
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#state === 'frame') {
        if (byte === 0) {
          this.#endFrame(items);
          this.#state = 'closed';
          continue;
        }
        if (this.#length < this.#frame.length) {
          this.#frame[this.#length++] = byte;
          continue;
        }
        this.#damaged(items, 'too-long');
        this.#state = 'text';
      }
      if (this.#state !== 'text' && byte === frameMarker) {
        this.#state = 'frame';
        this.#length = 0;
        continue;
      }
      if (this.#state === 'zero') items.text(Uint8Array.of(0));
      if (byte === 0) {
        endText(i);
        this.#state = 'zero';
        continue;
      }
      this.#state = 'text';
      if (textFrom === -1) textFrom = i;
    }
    endText(bytes.length);
    return items.finish();
  }

  /**
   * Nothing has come for a while (the caller knows for how long), or the line has ended: what was
   * begun will not be completed. Text in it is handed on.
   */
  giveUp(): SerialLinkItem[] {
    const items = new ItemList(this.counts);
    if (this.#state === 'frame') this.#damaged(items, 'unfinished');
    if (this.#state === 'zero') items.text(Uint8Array.of(0));
    this.#state = 'text';
    return items.finish();
  }

  #endFrame(items: ItemList): void {
    const stuffedLength = this.#length - checkBytes;
    if (stuffedLength < 2) {
      this.#damaged(items, 'too-short');
      return;
    }
    const expected = new Uint8Array(checkBytes);
    const stuffed = this.#frame.subarray(0, stuffedLength);
    writeCheck(expected, 0, crc32(stuffed, crcOfMarker));
    if (expected.some((byte, i) => byte !== this.#frame[stuffedLength + i])) {
      this.#damaged(items, 'check');
      return;
    }
    const body = cobsDecode(stuffed);
    if (body === null || body.length === 0) {
      this.#damaged(items, 'stuffing');
    } else if (body.length > this.#bodyMaximum) {
      this.#damaged(items, 'too-long');
    } else {
      items.frame(body);
    }
  }

  #damaged(items: ItemList, reason: SerialLinkDamage): void {
    const bytes = this.#frame.slice(0, this.#length);
    const from = textAtEnd(bytes);
    items.damaged(reason, bytes.slice(0, from));
    if (from < bytes.length) items.text(bytes.subarray(from));
  }
}

/** What is found in one go, in order and counted. Text that lies together is put together once, however many pieces it has. */
class ItemList {
  readonly #counts: SerialLinkDecoderCounts;
  readonly #items: SerialLinkItem[] = [];
  #texts: Uint8Array[] = [];

  constructor(counts: SerialLinkDecoderCounts) {
    this.#counts = counts;
  }

  frame(body: Uint8Array): void {
    this.#endText();
    this.#counts.frames += 1;
    this.#items.push({ kind: 'frame', body });
  }

  damaged(reason: SerialLinkDamage, bytes: Uint8Array): void {
    this.#endText();
    this.#counts.damaged[reason] += 1;
    this.#items.push({ kind: 'damaged', reason, bytes });
  }

  /** @param bytes copied before {@link finish} returns */
  text(bytes: Uint8Array): void {
    this.#counts.textBytes += bytes.length;
    this.#texts.push(bytes);
  }

  finish(): SerialLinkItem[] {
    this.#endText();
    return this.#items;
  }

  #endText(): void {
    if (this.#texts.length === 0) return;
    this.#items.push({ kind: 'text', bytes: joined(this.#texts) });
    this.#texts = [];
  }
}

const crcOfMarker = crc32(Uint8Array.of(frameMarker));

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Where the text at the end of damaged bytes begins: behind the last byte that is neither UTF-8 nor
 * TAB, LF, CR or ESC. The check of a frame is no UTF-8, so this is behind the frame at the earliest
 * when only its closing zero is lost.
 */
export function textAtEnd(bytes: Uint8Array): number {
  let from = 0;
  let i = 0;
  while (i < bytes.length) {
    const length = characterLength(bytes, i);
    if (length === 0) from = i + 1;
    i += Math.max(length, 1);
  }
  return Math.min(from, bytes.length);
}

/** Bytes of the character that stands here; up to the end for one that is cut off; 0: none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) {
    const isControl = first < 0x20 || first === 0x7f;
    return !isControl || [0x09, 0x0a, 0x0d, 0x1b].includes(first) ? 1 : 0;
  }
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const end = Math.min(at + length, bytes.length);
  for (let i = at + 1; i < end; i++) {
    let least = 0x80;
    let most = 0xbf;
    if (i === at + 1) {
      if (first === 0xe0) least = 0xa0;
      if (first === 0xed) most = 0x9f;
      if (first === 0xf0) least = 0x90;
      if (first === 0xf4) most = 0x8f;
    }
    if (bytes[i]! < least || bytes[i]! > most) return 0;
  }
  return end - at;
}
