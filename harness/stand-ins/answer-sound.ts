import { decode, encode } from '@msgpack/msgpack';
import { opcodes } from '../network/web-socket-frame.ts';
import type { AnswerHead, WirePiece } from '../network/wire-edit.ts';

/** The sound in one piece of an answer, whatever it is wrapped in. */
export interface PieceSound {
  /** Header of a WAV file in front of it; empty: there is none in this piece. */
  readonly header: Buffer;
  readonly samples: Buffer;
  /** How it is wrapped: as it is, as base64 in JSON, or in a MessagePack map. */
  readonly form: 'raw' | 'json' | 'messagepack';
  /** The piece with another sound, of any length. */
  put(samples: Buffer, header?: Buffer): Buffer;
}

const base64Field = /("(?:audio|delta|audio_base64|data)"\s*:\s*")([A-Za-z0-9+/=]{8,})(")/;

/**
 * Finds the sound of a piece. A head, an end and a piece without sound have none.
 *
 * @param isFirst nothing of the sound of this answer has come before, so that a header may stand in front
 */
export function soundOf(piece: WirePiece, isFirst: boolean): PieceSound | undefined {
  const wrapped = unwrap(piece);
  if (wrapped === undefined || wrapped.bytes.length === 0) return undefined;
  const { bytes, form, wrap } = wrapped;
  const headBytes = isFirst ? wavHeaderBytes(bytes) : 0;
  const header = bytes.subarray(0, headBytes);
  return {
    header,
    samples: bytes.subarray(headBytes),
    form,
    put: (samples, other = header) => wrap(Buffer.concat([other, samples])),
  };
}

interface Wrapped {
  readonly bytes: Buffer;
  readonly form: PieceSound['form'];
  readonly wrap: (bytes: Buffer) => Buffer;
}

function unwrap(piece: WirePiece): Wrapped | undefined {
  const { kind, head, bytes, opcode } = piece;
  if (kind === 'message') {
    if (opcode === opcodes.text) return fromJson(bytes);
    return opcode === opcodes.binary ? (fromMessagePack(bytes) ?? asItIs(bytes)) : undefined;
  }
  if (kind !== 'body' || head.status !== 200) return undefined;
  const type = head.headers.get('content-type') ?? '';
  if (/event-stream|json/.test(type)) return fromJson(bytes);
  return /^text\/(?!event)/.test(type) ? undefined : asItIs(bytes);
}

function asItIs(bytes: Buffer): Wrapped {
  return { bytes, form: 'raw', wrap: (other) => other };
}

function fromJson(bytes: Buffer): Wrapped | undefined {
  const text = bytes.toString();
  const found = base64Field.exec(text);
  if (found === null) return undefined;
  const [whole, before, base64, after] = found;
  return {
    bytes: Buffer.from(base64!, 'base64'),
    form: 'json',
    wrap: (other) =>
      Buffer.from(text.replace(whole, () => `${before}${other.toString('base64')}${after}`)),
  };
}

function fromMessagePack(bytes: Buffer): Wrapped | undefined {
  let value: unknown;
  try {
    value = decode(bytes);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('event' in value)) return undefined;
  const { audio } = value as { readonly audio?: unknown };
  // A map without sound is no raw sound either.
  if (!(audio instanceof Uint8Array)) {
    return { bytes: Buffer.alloc(0), form: 'messagepack', wrap: () => bytes };
  }
  return {
    bytes: Buffer.from(audio),
    form: 'messagepack',
    wrap: (other) => Buffer.from(encode({ ...value, audio: new Uint8Array(other) })),
  };
}

/** Bytes up to the samples; 0 when no WAV file begins here, all of them when its header goes on. */
function wavHeaderBytes(bytes: Buffer): number {
  if (bytes.toString('latin1', 0, 4) !== 'RIFF') return 0;
  const data = bytes.indexOf('data', 12, 'latin1');
  return data < 0 ? bytes.length : Math.min(bytes.length, data + 8);
}

/** What a body of this kind is called in a sentence. */
export function framingName({ framing }: AnswerHead): string {
  switch (framing) {
    case 'websocket':
      return 'a WebSocket';
    case 'chunks':
      return 'a body of chunks';
    case 'length':
      return 'a body of known length';
    default:
      return 'a body that ends with its connection';
  }
}
