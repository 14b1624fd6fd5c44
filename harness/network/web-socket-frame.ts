/**
 * WebSocket frames as bytes (RFC 6455, section 5), with everything a conformance case has to see or
 * to break: reserved bits, masks, lengths, fragments. Independent of the library that the server and
 * the emulated board use.
 */
export const opcodes = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

export interface Frame {
  /** Last frame of its message. Default: true. */
  readonly final?: boolean;
  /** RSV1, RSV2, RSV3 as 4, 2, 1. Default: 0. */
  readonly reserved?: number;
  readonly opcode: number;
  readonly payload: Uint8Array;
}

export interface ReadFrame extends Required<Frame> {
  readonly masked: boolean;
  /** The length was written in the smallest of the three forms. */
  readonly shortestLength: boolean;
}

/** @param mask four bytes; absent: the frame is not masked */
export function encodeFrame(frame: Frame, mask?: Uint8Array): Buffer {
  const { final = true, reserved = 0, opcode, payload } = frame;
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + extended + (mask === undefined ? 0 : 4));
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] =
    (mask === undefined ? 0 : 0x80) | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) head.writeUInt16BE(length, 2);
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (mask === undefined) return Buffer.concat([head, payload]);
  head.set(mask, head.length - 4);
  return Buffer.concat([head, masked(payload, mask)]);
}

/** No message of this protocol comes near to it; a length above it is a broken frame. */
const payloadMaximumBytes = 64 * 1024 * 1024;

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** @throws {RangeError} for a frame of more than 64 MiB; the stream cannot be read on. */
  push(chunk: Uint8Array): ReadFrame[] {
    this.#bytes =
      this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk]);
    const frames: ReadFrame[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): ReadFrame | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]! & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const isMasked = (bytes[1]! & 0x80) !== 0;
    const headBytes = 2 + extended + (isMasked ? 4 : 0);
    if (bytes.length < headBytes) return undefined;
    const length =
      extended === 0
        ? short
        : extended === 2
          ? bytes.readUInt16BE(2)
          : Number(bytes.readBigUInt64BE(2));
    if (length > payloadMaximumBytes) {
      throw new RangeError(`a frame announces ${length} bytes, more than ${payloadMaximumBytes}`);
    }
    if (bytes.length < headBytes + length) return undefined;
    const body = bytes.subarray(headBytes, headBytes + length);
    this.#bytes = bytes.subarray(headBytes + length);
    return {
      final: (bytes[0]! & 0x80) !== 0,
      reserved: (bytes[0]! >> 4) & 0x7,
      opcode: bytes[0]! & 0xf,
      masked: isMasked,
      shortestLength: extended === 0 || (extended === 2 ? length > 125 : length > 65_535),
      payload: isMasked
        ? masked(body, bytes.subarray(headBytes - 4, headBytes))
        : Buffer.from(body),
    };
  }
}

function masked(payload: Uint8Array, mask: Uint8Array): Buffer {
  const out = Buffer.from(payload);
  for (let i = 0; i < out.length; i++) out[i]! ^= mask[i & 3]!;
  return out;
}
