import { STATUS_CODES } from 'node:http';
import { encodeFrame, opcodes } from '../network/web-socket-frame.ts';
import type { AnswerHead, WireAct, WireEdit, WirePiece } from '../network/wire-edit.ts';
import type { Random } from '../random/random.ts';
import { framingName, type PieceSound, soundOf } from './answer-sound.ts';
import { wavHeader } from './rendered-clip.ts';
import type { WireFault } from './wire-fault.ts';

/** Where a fault of the bytes tells what became of it; each of them once for an answer. */
export interface WireFaultObserver {
  struck(answer: number): void;
  /** It cannot happen to this answer: why, as a sentence without its full stop. */
  unfit(answer: number, obstacle: string): void;
}

/** Bytes of one size line and the pause behind it when sound is dripped. */
const dripUs = 20_000;

export interface WireFaultEdit extends WireEdit {
  /** Nothing more comes: tells of each answer that the fault has not happened to, why not. */
  conclude(): void;
}

/** A fault, as a change of an answer. One object for each planned fault. */
export function wireFaultEdit(
  fault: WireFault,
  random: Random,
  observer: WireFaultObserver,
): WireFaultEdit {
  return new FaultEdit(fault, random, observer);
}

/** What has been seen of one answer. */
interface Progress {
  readonly head: AnswerHead;
  /** Messages with sound, or for faults of JSON of JSON, so far. */
  messages: number;
  soundBytes: number;
  struck: boolean;
  told: boolean;
  /** Replaced altogether: nothing of it leaves any more. */
  over: boolean;
  held: WireAct[];
  /** First half of a sample whose second half comes with the next piece. */
  half: Buffer;
}

/** Faults that change how long a body is. */
const changesLength: ReadonlySet<WireFault['kind']> = new Set([
  'duplicate',
  'drop',
  'lost-byte',
  'header-each',
]);

class FaultEdit implements WireFaultEdit {
  readonly #fault: WireFault;
  readonly #random: Random;
  readonly #observer: WireFaultObserver;
  readonly #answers = new Map<AnswerHead, Map<number, Progress>>();

  constructor(fault: WireFault, random: Random, observer: WireFaultObserver) {
    this.#fault = fault;
    this.#random = random;
    this.#observer = observer;
  }

  edit(piece: WirePiece): readonly WireAct[] | undefined {
    const progress = this.#progressOf(piece);
    if (progress.over) return [];
    const obstacle = this.#obstacle(piece);
    if (obstacle !== undefined) {
      if (!progress.told && !progress.struck) this.#observer.unfit(piece.answer, obstacle);
      progress.told = true;
      return undefined;
    }
    const strike = (): void => {
      if (!progress.struck) this.#observer.struck(piece.answer);
      progress.struck = true;
    };
    if (piece.kind === 'head') return this.#editHead(piece, progress, strike);
    if (this.#fault.kind === 'broken-json') return this.#breakJson(piece, progress, strike);
    const sound = soundOf(piece, progress.soundBytes === 0);
    const acts =
      sound === undefined
        ? this.#editOther(piece, progress)
        : this.#editSound(piece, sound, progress, strike);
    if (sound !== undefined) progress.soundBytes += sound.header.length + sound.samples.length;
    if (piece.kind === 'end' && !progress.struck && !progress.told && piece.head.status === 200) {
      this.#observer.unfit(piece.answer, missed(this.#fault, progress));
      progress.told = true;
    }
    return acts;
  }

  conclude(): void {
    for (const [head, answers] of this.#answers) {
      for (const [answer, progress] of answers) {
        // A handshake of its own has no sound.
        const speaks = answer > 0 && (head.status === 200 || head.framing === 'websocket');
        if (!speaks || progress.struck || progress.told) continue;
        progress.told = true;
        this.#observer.unfit(answer, missed(this.#fault, progress));
      }
    }
  }

  #progressOf({ head, answer }: WirePiece): Progress {
    let answers = this.#answers.get(head);
    if (answers === undefined) {
      answers = new Map();
      this.#answers.set(head, answers);
    }
    let progress = answers.get(answer);
    if (progress === undefined) {
      const fresh = { messages: 0, soundBytes: 0, struck: false, told: false, over: false };
      progress = { head, ...fresh, held: [], half: Buffer.alloc(0) };
      answers.set(answer, progress);
    }
    return progress;
  }

  /** Why this answer is none that the fault can happen to. */
  #obstacle({ head, kind }: WirePiece): string | undefined {
    const { kind: fault } = this.#fault;
    const { framing } = head;
    const is = `the answer is ${framingName(head)}`;
    if (fault === 'chunk-size' && framing !== 'chunks') return `${is} and has no chunks`;
    if (fault === 'length' && framing !== 'length') return `${is} and names no length`;
    if ((fault === 'close-code' || fault === 'await-pong') && framing !== 'websocket') {
      return `${is} and no WebSocket`;
    }
    if (fault === 'mime' && framing === 'websocket') return `${is}, whose messages have no type`;
    if (changesLength.has(fault) && framing === 'length') {
      return `${is}, which cannot become longer or shorter`;
    }
    const atHead = fault === 'refuse' || fault === 'late-head';
    const answers = [...(this.#answers.get(head)?.values() ?? [])];
    if (atHead && kind !== 'head' && !answers.some(({ struck }) => struck)) {
      return 'the socket was open already, and its head is long past';
    }
    return undefined;
  }

  #editHead(
    piece: WirePiece,
    progress: Progress,
    strike: () => void,
  ): readonly WireAct[] | undefined {
    const fault = this.#fault;
    const send = (bytes: Buffer): readonly WireAct[] => [{ act: 'send', bytes }];
    switch (fault.kind) {
      case 'refuse':
        strike();
        progress.over = true;
        return [
          { act: 'raw', bytes: refusal(fault) },
          { act: 'close', how: 'end' },
        ];
      case 'late-head':
        strike();
        return [{ act: 'wait', us: fault.ms * 1000 }, ...send(piece.bytes)];
      case 'mime':
        strike();
        return send(withHeader(piece.bytes, 'content-type', () => fault.type));
      case 'rate': {
        const named = /rate\s*=\s*\d+/i;
        if (!named.test(piece.head.headers.get('content-type') ?? '')) return undefined;
        strike();
        return send(
          withHeader(piece.bytes, 'content-type', (value) =>
            value.replace(named, `rate=${fault.rateHz}`),
          ),
        );
      }
      case 'length':
        strike();
        return send(
          withHeader(piece.bytes, 'content-length', (value) =>
            String(Math.max(1, Number(value) + fault.by)),
          ),
        );
      default:
        return undefined;
    }
  }

  /** A piece without sound. */
  #editOther(piece: WirePiece, progress: Progress): readonly WireAct[] | undefined {
    const isControl = (piece.opcode ?? 0) >= opcodes.close;
    if (progress.held.length === 0 || isControl) return undefined;
    const { bytes, opcode } = piece;
    const own: WireAct = { act: 'send', bytes, ...(opcode !== undefined && { opcode }) };
    return [...progress.held.splice(0), own];
  }

  #breakJson(
    piece: WirePiece,
    progress: Progress,
    strike: () => void,
  ): readonly WireAct[] | undefined {
    const { bytes, opcode, kind } = piece;
    const brace = bytes.indexOf('{');
    const isText = opcode === opcodes.text || (kind === 'body' && opcode === undefined);
    if (kind === 'end' && !progress.struck && !progress.told) {
      progress.told = true;
      this.#observer.unfit(piece.answer, missed(this.#fault, progress));
    }
    if (!isText || brace < 0 || !isJsonBody(piece)) return undefined;
    progress.messages += 1;
    if (this.#fault.kind !== 'broken-json' || progress.messages !== this.#fault.nth) {
      return undefined;
    }
    strike();
    const half = bytes.subarray(0, brace + Math.ceil((bytes.length - brace) / 2));
    // An event of a stream still ends as one.
    const end = opcode === undefined ? Buffer.from('\n\n') : Buffer.alloc(0);
    return [
      {
        act: 'send',
        bytes: Buffer.concat([half, end]),
        ...(opcode !== undefined && { opcode }),
      },
    ];
  }

  #editSound(
    piece: WirePiece,
    sound: PieceSound,
    progress: Progress,
    strike: () => void,
  ): readonly WireAct[] | undefined {
    const fault = this.#fault;
    const { opcode } = piece;
    const send = (bytes: Buffer): WireAct => ({
      act: 'send',
      bytes,
      ...(opcode !== undefined && { opcode }),
    });
    const isFirst = progress.soundBytes === 0;
    const { header, samples } = sound;
    if (header.length > 0) {
      const changed = this.#editWavHeader(sound, progress, send, strike);
      if (changed !== undefined) return changed;
    }
    if (samples.length > 0) progress.messages += 1;
    const isNth = 'nth' in fault && samples.length > 0 && progress.messages === fault.nth;
    if (isNth && fault.kind !== 'silence' && fault.kind !== 'noise') strike();
    switch (fault.kind) {
      case 'delay':
        return isNth ? [{ act: 'wait', us: fault.ms * 1000 }, send(piece.bytes)] : undefined;
      case 'duplicate':
        return isNth ? [send(piece.bytes), send(sound.put(samples, Buffer.alloc(0)))] : undefined;
      case 'drop':
        return isNth ? (header.length === 0 ? [] : [send(sound.put(Buffer.alloc(0)))]) : undefined;
      case 'reorder':
        if (isNth) {
          progress.held.push(send(sound.put(samples, Buffer.alloc(0))));
          return header.length === 0 ? [] : [send(sound.put(Buffer.alloc(0)))];
        }
        return progress.held.length === 0
          ? undefined
          : [send(piece.bytes), ...progress.held.splice(0)];
      case 'lost-byte':
        return isNth ? [send(sound.put(samples.subarray(1)))] : undefined;
      case 'chunk-size': {
        if (!isNth) return undefined;
        const announced = Math.max(1, piece.bytes.length + fault.by);
        const text = `${announced.toString(16)}\r\n`;
        const bytes = Buffer.concat([Buffer.from(text), piece.bytes, Buffer.from('\r\n')]);
        return [{ act: 'raw', bytes }];
      }
      case 'close-code': {
        if (!isNth) return undefined;
        progress.over = true;
        const payload = Buffer.alloc(2);
        payload.writeUInt16BE(fault.code);
        return [
          send(piece.bytes),
          { act: 'raw', bytes: encodeFrame({ opcode: opcodes.close, payload }) },
          { act: 'close', how: 'end' },
        ];
      }
      case 'reset':
        if (!isNth) return undefined;
        progress.over = true;
        return [send(piece.bytes), { act: 'close', how: 'reset' }];
      case 'half-open':
        if (!isNth) return undefined;
        progress.over = true;
        return [{ act: 'half-open' }];
      case 'await-pong':
        return isNth ? [send(piece.bytes), { act: 'await-pong' }] : undefined;
      case 'pieces': {
        if (samples.length === 0) return undefined;
        strike();
        const parts: Buffer[] = [];
        for (let at = 0; at < samples.length; at += fault.bytes) {
          const part = samples.subarray(at, at + fault.bytes);
          parts.push(sound.put(part, at === 0 ? header : Buffer.alloc(0)));
        }
        return parts.map(send);
      }
      case 'drip': {
        if (samples.length === 0) return undefined;
        strike();
        const step = Math.max(2, 2 * Math.round((fault.bytesPerSecond * dripUs) / 2e6));
        const acts: WireAct[] = [];
        for (let at = 0; at < samples.length; at += step) {
          const part = samples.subarray(at, at + step);
          acts.push(send(sound.put(part, at === 0 ? header : Buffer.alloc(0))));
          acts.push({ act: 'wait', us: Math.round((part.length * 1e6) / fault.bytesPerSecond) });
        }
        return acts;
      }
      case 'byte-swap': {
        strike();
        return [send(sound.put(swapped(wholeSamples(samples, progress))))];
      }
      case 'gain':
        strike();
        return [send(sound.put(amplified(wholeSamples(samples, progress), fault.db)))];
      case 'silence':
      case 'noise': {
        const within =
          progress.messages >= fault.nth && progress.messages < fault.nth + fault.count;
        if (!within || samples.length === 0) return undefined;
        strike();
        const filled =
          fault.kind === 'silence' ? Buffer.alloc(samples.length) : this.#noise(samples.length);
        return [send(sound.put(filled))];
      }
      case 'header-each': {
        if (samples.length === 0 || isFirst) return undefined;
        strike();
        return [send(sound.put(samples, wavHeader(24_000, samples.length + 36, samples.length)))];
      }
      case 'hold':
        strike();
        progress.held.push(send(piece.bytes));
        return [];
      default:
        return undefined;
    }
  }

  #editWavHeader(
    { header, samples, put }: PieceSound,
    progress: Progress,
    send: (bytes: Buffer) => WireAct,
    strike: () => void,
  ): readonly WireAct[] | undefined {
    const fault = this.#fault;
    const changed = Buffer.from(header);
    switch (fault.kind) {
      case 'rate': {
        const format = changed.indexOf('fmt ');
        if (format < 0 || format + 16 > changed.length) return undefined;
        changed.writeUInt32LE(fault.rateHz, format + 12);
        changed.writeUInt32LE(fault.rateHz * 2, format + 16);
        break;
      }
      case 'wav-sizes':
        changed.writeUInt32LE(fault.bytes >>> 0, 4);
        if (changed.length >= 8) changed.writeUInt32LE(fault.bytes >>> 0, changed.length - 4);
        break;
      case 'cut-header':
        strike();
        progress.over = true;
        return [send(put(Buffer.alloc(0), changed.subarray(0, fault.bytes))), ...ended(progress)];
      default:
        return undefined;
    }
    strike();
    if (samples.length > 0) progress.messages += 1;
    return [send(put(samples, changed))];
  }

  #noise(bytes: number): Buffer {
    const noise = Buffer.alloc(bytes);
    for (let at = 0; at + 1 < bytes; at += 2) {
      noise.writeInt16LE(this.#random.integer(-16_000, 16_000), at);
    }
    return noise;
  }
}

/** How an answer ends in order behind a part of its body. */
function ended({ head }: Progress): readonly WireAct[] {
  if (head.framing !== 'chunks') return [{ act: 'close', how: 'end' }];
  return [
    { act: 'raw', bytes: Buffer.from('0\r\n\r\n') },
    { act: 'close', how: 'end' },
  ];
}

function isJsonBody({ kind, head }: WirePiece): boolean {
  if (kind === 'message') return true;
  return /event-stream|json/.test(head.headers.get('content-type') ?? '');
}

/** What kept a fault from happening to an answer that has come to its end. */
function missed(fault: WireFault, { messages }: Progress): string {
  switch (fault.kind) {
    case 'broken-json':
      return messages === 0
        ? 'the answer has no JSON'
        : `the answer has no JSON message ${fault.nth}: there were ${messages}`;
    case 'rate':
      return 'nothing in the answer names a sampling rate';
    case 'wav-sizes':
    case 'cut-header':
      return 'the answer is no WAV file';
    case 'header-each':
      return 'the answer has only one message with sound';
    default:
      return 'nth' in fault
        ? `the answer has no message ${fault.nth} with sound: there were ${messages}`
        : 'the answer has no sound';
  }
}

function refusal({ status, retryAfterS, location }: Extract<WireFault, { kind: 'refuse' }>) {
  const reason = STATUS_CODES[status] ?? 'Refused';
  const body = JSON.stringify({ error: { message: reason, code: status } });
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(retryAfterS === undefined ? [] : [`Retry-After: ${retryAfterS}`]),
    ...(location === undefined ? [] : [`Location: ${location}`]),
    'Connection: close',
    '',
    body,
  ];
  return Buffer.from(lines.join('\r\n'));
}

function withHeader(head: Buffer, name: string, change: (value: string) => string): Buffer {
  const line = new RegExp(`^(${name}:[ \\t]*)(.*)$`, 'im');
  const text = head.toString('latin1');
  const changed = line.test(text)
    ? text.replace(line, (_, before: string, value: string) => before + change(value.trim()))
    : text.replace('\r\n', () => `\r\n${name}: ${change('')}\r\n`);
  return Buffer.from(changed, 'latin1');
}

/** The samples that are complete with this piece; a half one waits for the next. */
function wholeSamples(bytes: Buffer, progress: Progress): Buffer {
  const all = Buffer.concat([progress.half, bytes]);
  const whole = all.length - (all.length % 2);
  progress.half = Buffer.from(all.subarray(whole));
  return all.subarray(0, whole);
}

function swapped(samples: Buffer): Buffer {
  return Buffer.from(samples).swap16();
}

function amplified(samples: Buffer, db: number): Buffer {
  const out = Buffer.from(samples);
  const factor = 10 ** (db / 20);
  for (let at = 0; at + 1 < out.length; at += 2) {
    const value = Math.round(samples.readInt16LE(at) * factor);
    out.writeInt16LE(Math.max(-32_768, Math.min(32_767, value)), at);
  }
  return out;
}
