import type { Duplex } from 'node:stream';
import type { Alarm, Clock } from '../clock/clock.ts';
import { SocketLikeStream } from './socket-like-stream.ts';
import { encodeFrame, FrameReader, opcodes } from './web-socket-frame.ts';
import {
  type AnswerHead,
  applyEdits,
  type EditSource,
  type WireAct,
  type WirePiece,
} from './wire-edit.ts';

/** More than any head of an answer; what is longer is passed on as it is. */
const headMaximumBytes = 64 * 1024;

const lastChunk = Buffer.from('0\r\n\r\n');

type Task = WireAct | { readonly act: 'written'; readonly callback: () => void };

/**
 * The server's end of a connection whose answers pass through edits. HTTP answers and WebSocket messages are read
 * and written again with the same framing, so that what no edit touches is the same to the byte. What the client
 * sends is handed on as it is.
 */
export class EditedStream extends SocketLikeStream {
  readonly #inner: Duplex & { resetAndDestroy?(): unknown };
  readonly #clock: Clock;
  readonly #edits: EditSource;
  readonly #tasks: Task[] = [];
  readonly #reader = new AnswerReader();
  readonly #clientFrames = new FrameReader();
  #answer = 0;
  #upgraded = false;
  #muted = false;
  #deaf = false;
  #waiting: Alarm | undefined;
  #awaitsPong = false;
  #ending: (() => void) | undefined;
  #closing = false;

  constructor(inner: Duplex, clock: Clock, edits: EditSource) {
    super({ allowHalfOpen: true });
    this.#inner = inner;
    this.#clock = clock;
    this.#edits = edits;
    inner.on('data', (chunk: Buffer) => this.#arrive(chunk));
    inner.on('end', () => {
      if (!this.#deaf) this.push(null);
    });
    inner.on('error', (error: Error) => this.destroy(error));
    inner.on('close', () => this.destroy());
    this.on('error', () => {});
  }

  /** What is written from now on belongs to this answer of the service. */
  beginAnswer(ordinal: number): void {
    this.#answer = ordinal;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    for (const part of this.#reader.push(chunk)) {
      if ('raw' in part) {
        this.#tasks.push({ act: 'raw', bytes: part.raw });
        continue;
      }
      const piece = { ...part, answer: this.#answer };
      if (piece.kind === 'head' && piece.head.framing === 'websocket') this.#upgraded = true;
      for (const act of applyEdits(piece, this.#edits(this.#answer))) {
        const bytes = act.act === 'send' ? framed(piece, act) : undefined;
        this.#tasks.push(bytes === undefined ? act : { act: 'raw', bytes });
      }
    }
    this.#tasks.push({ act: 'written', callback });
    this.#proceed();
  }

  override _read(): void {
    this.#inner.resume();
  }

  override _final(callback: () => void): void {
    this.#ending = () => {
      this.#inner.end();
      callback();
    };
    this.#proceed();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#closing = true;
    // What has been written and waits still leaves.
    if (this.#waiting === undefined && !this.#awaitsPong) this.#inner.destroy();
    callback(error);
  }

  #arrive(chunk: Buffer): void {
    if (this.#deaf) return;
    if (this.#upgraded && this.#awaitsPong) this.#lookForPong(chunk);
    if (!this.destroyed && !this.push(chunk)) this.#inner.pause();
  }

  #lookForPong(chunk: Buffer): void {
    let frames: ReturnType<FrameReader['push']> = [];
    try {
      frames = this.#clientFrames.push(chunk);
    } catch {
      return; // No frames any more: nothing answers.
    }
    if (!frames.some(({ opcode }) => opcode === opcodes.pong)) return;
    this.#awaitsPong = false;
    this.#proceed();
  }

  #proceed(): void {
    while (this.#waiting === undefined && !this.#awaitsPong) {
      const task = this.#tasks.shift();
      if (task === undefined) break;
      this.#perform(task);
    }
    if (this.#waiting !== undefined || this.#awaitsPong || this.#tasks.length > 0) return;
    const ending = this.#ending;
    this.#ending = undefined;
    if (!this.#muted) ending?.();
    if (this.#closing) this.#inner.destroy();
  }

  #perform(task: Task): void {
    switch (task.act) {
      case 'written':
        task.callback();
        break;
      case 'wait':
        if (this.#muted) break;
        this.#waiting = this.#clock.after(task.us, () => {
          this.#waiting = undefined;
          this.#proceed();
        });
        break;
      case 'mute':
        this.#muted = true;
        break;
      case 'half-open':
        this.#muted = true;
        this.#deaf = true;
        break;
      case 'await-pong':
        if (this.#muted) break;
        this.#awaitsPong = true;
        this.#inner.write(encodeFrame({ opcode: opcodes.ping, payload: Buffer.from('hold') }));
        break;
      case 'close':
        if (this.#muted) break;
        this.#muted = true;
        this.#end(task.how);
        break;
      default:
        if (!this.#muted && !this.#inner.destroyed && !this.#inner.writableEnded) {
          this.#inner.write(task.bytes);
        }
    }
  }

  #end(how: 'end' | 'reset'): void {
    const inner = this.#inner;
    if (how === 'end') inner.end(() => inner.destroy());
    else if (inner.resetAndDestroy !== undefined) inner.resetAndDestroy();
    else inner.destroy();
  }
}

function framed(piece: WirePiece, act: Extract<WireAct, { act: 'send' }>): Buffer {
  const { opcode } = act;
  if (opcode !== undefined) return encodeFrame({ opcode, payload: act.bytes });
  const { framing } = piece.head;
  if (framing !== 'chunks' || piece.kind === 'head') return act.bytes;
  if (act.bytes.length === 0) return piece.kind === 'end' ? lastChunk : act.bytes;
  const size = Buffer.from(`${act.bytes.length.toString(16)}\r\n`);
  return Buffer.concat([size, act.bytes, Buffer.from('\r\n')]);
}

type ReadPart = Omit<WirePiece, 'answer'> | { readonly raw: Buffer };

/** Cuts the bytes of a server into heads, pieces of bodies and messages. */
class AnswerReader {
  #rest: Buffer = Buffer.alloc(0);
  #head: AnswerHead | undefined;
  /** Bytes of a body of known length that are still to come. */
  #left = 0;
  readonly #frames = new FrameReader();
  #unreadable = false;

  push(chunk: Buffer): ReadPart[] {
    const parts: ReadPart[] = [];
    if (this.#unreadable) return [{ raw: Buffer.from(chunk) }];
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let more = true; more; ) more = this.#next(parts);
    return parts;
  }

  /** False: more has to come first. */
  #next(parts: ReadPart[]): boolean {
    const head = this.#head;
    if (head === undefined) return this.#readHead(parts);
    switch (head.framing) {
      case 'websocket':
        return this.#readFrames(head, parts);
      case 'chunks':
        return this.#readChunk(head, parts);
      case 'length': {
        const bytes = this.#take(Math.min(this.#left, this.#rest.length));
        this.#left -= bytes.length;
        if (bytes.length > 0) parts.push({ kind: 'body', head, bytes });
        if (this.#left > 0) return false;
        parts.push({ kind: 'end', head, bytes: Buffer.alloc(0) });
        this.#head = undefined;
        return this.#rest.length > 0;
      }
      default: {
        const bytes = this.#take(this.#rest.length);
        if (bytes.length > 0) parts.push({ kind: 'body', head, bytes });
        return false;
      }
    }
  }

  #readHead(parts: ReadPart[]): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#rest.length > headMaximumBytes) this.#giveUp(parts);
      return false;
    }
    const bytes = this.#take(end + 4);
    const head = parseHead(bytes.toString('latin1'));
    parts.push({ kind: 'head', head, bytes });
    if (head.framing === 'nothing') return this.#rest.length > 0;
    this.#left = Number(head.headers.get('content-length') ?? 0);
    this.#head = head;
    return true;
  }

  #readFrames(head: AnswerHead, parts: ReadPart[]): boolean {
    const bytes = this.#take(this.#rest.length);
    for (const { opcode, payload } of this.#frames.push(bytes)) {
      parts.push({ kind: 'message', head, bytes: Buffer.from(payload), opcode });
    }
    return false;
  }

  #readChunk(head: AnswerHead, parts: ReadPart[]): boolean {
    const line = this.#rest.indexOf('\r\n');
    if (line < 0) return false;
    const digits = this.#rest.toString('latin1', 0, line);
    // A stand-in may break its own framing: what follows is none any more.
    if (!/^[0-9a-f]+$/i.test(digits)) {
      this.#giveUp(parts);
      return false;
    }
    const size = Number.parseInt(digits, 16);
    if (this.#rest.length < line + 2 + size + 2) return false;
    this.#take(line + 2);
    const bytes = this.#take(size);
    this.#take(2);
    if (size > 0) {
      parts.push({ kind: 'body', head, bytes });
      return true;
    }
    parts.push({ kind: 'end', head, bytes });
    this.#head = undefined;
    return this.#rest.length > 0;
  }

  #giveUp(parts: ReadPart[]): void {
    this.#unreadable = true;
    parts.push({ raw: this.#take(this.#rest.length) });
  }

  #take(count: number): Buffer {
    const taken = Buffer.from(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return taken;
  }
}

function parseHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n');
  const status = Number(first.split(' ')[1] ?? 0);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status, headers, framing: framingOf(status, headers) };
}

function framingOf(status: number, headers: ReadonlyMap<string, string>): AnswerHead['framing'] {
  if (status === 101) return 'websocket';
  if (status === 204 || status === 304 || status < 200) return 'nothing';
  if (/chunked/i.test(headers.get('transfer-encoding') ?? '')) return 'chunks';
  return headers.has('content-length') ? 'length' : 'close';
}
