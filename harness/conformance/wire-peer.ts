/**
 * One end of a WebSocket connection after the handshake: sends what a case wants, however wrong, and
 * keeps everything that comes with its instant. It never closes, answers or repairs by itself, except
 * that it answers pings.
 */
import type { Duplex } from 'node:stream';
import {
  decodeServerEvent,
  type ServerEvent,
  type ServerEventType,
} from '../../firmware-protocol/server-event.ts';
import type { Clock } from '../clock/clock.ts';
import {
  encodeFrame,
  type Frame,
  FrameReader,
  opcodes,
  type ReadFrame,
} from '../network/web-socket-frame.ts';
import type { Random } from '../random/random.ts';
import type { EvidenceLine } from './conformance-case.ts';

export type Arrival = { readonly atUs: number } & (
  | {
      readonly kind: 'binary';
      readonly bytes: Buffer;
      /** As an event of a server; `any` dialect, so the place of an event is not taken for its name. */
      readonly event: ServerEvent | undefined;
    }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ping' | 'pong'; readonly bytes: Buffer }
  | { readonly kind: 'close'; readonly code: number | undefined }
  /** The connection has ended; nothing follows. */
  | { readonly kind: 'end'; readonly how: string }
);

export interface WirePeerOptions {
  readonly clock: Clock;
  readonly stream: Duplex;
  /** Bytes that came behind the handshake. */
  readonly rest: Buffer;
  /** Of a client every frame is masked, of a server none. */
  readonly role: 'client' | 'server';
  readonly random: Random;
  /** Number of the connection in the case. */
  readonly connection: number;
  readonly evidence: EvidenceLine[];
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

export class WirePeer {
  readonly connection: number;
  readonly arrivals: Arrival[] = [];
  /** Every frame as it was on the wire. */
  readonly frames: ReadFrame[] = [];
  /** Pings are answered. */
  answersPings = true;
  readonly #options: WirePeerOptions;
  readonly #reader = new FrameReader();
  readonly #waiting = new Set<() => void>();
  #fragments: ReadFrame[] = [];
  #ended = false;

  constructor(options: WirePeerOptions) {
    this.#options = options;
    this.connection = options.connection;
    const { stream } = options;
    if (options.rest.length > 0) this.#read(options.rest);
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('end', () => this.#end('the other end has closed the stream'));
    stream.on('error', (error: NodeJS.ErrnoException) =>
      this.#end(`the stream broke: ${error.code ?? error.message}`),
    );
    stream.on('close', () => this.#end('the stream is closed'));
    stream.resume();
    if (stream.destroyed) this.#end('the stream is closed');
  }

  get open(): boolean {
    return !this.#ended;
  }

  /** What was understood, oldest first. */
  get events(): (ServerEvent & { readonly atUs: number })[] {
    return this.arrivals.flatMap((arrival) =>
      arrival.kind === 'binary' && arrival.event !== undefined
        ? [{ ...arrival.event, atUs: arrival.atUs }]
        : [],
    );
  }

  count(type: ServerEventType): number {
    return this.events.filter((event) => event.type === type).length;
  }

  text(text: string): void {
    this.frame({ opcode: opcodes.text, payload: Buffer.from(text) }, `text ${quoted(text)}`);
  }

  binary(bytes: Uint8Array, what = `binary, ${bytes.length} bytes`): void {
    this.frame({ opcode: opcodes.binary, payload: bytes }, what);
  }

  ping(payload: string): void {
    this.frame({ opcode: opcodes.ping, payload: Buffer.from(payload) }, `ping ${quoted(payload)}`);
  }

  /** Starts the closing handshake. */
  close(code = 1000): void {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.frame({ opcode: opcodes.close, payload }, `Close ${code}`);
  }

  /** @param mask default: as the role demands */
  frame(frame: Frame, what: string, mask = this.#options.role === 'client'): void {
    this.#note('sent', what);
    this.#write(encodeFrame(frame, mask ? this.#options.random.bytes(4) : undefined));
  }

  /** Stops reading; what comes fills the buffers up to the sender. */
  pause(): void {
    this.#options.stream.pause();
    this.#note('remark', 'stops reading');
  }

  resume(): void {
    this.#note('remark', 'reads on');
    this.#options.stream.resume();
  }

  /** Bytes written that the other end has not taken. */
  get unsentBytes(): number {
    return this.#options.stream.writableLength;
  }

  /** Breaks the connection off without a close frame. */
  drop(): void {
    if (this.#ended) return;
    this.#note('remark', 'breaks the connection off');
    this.#options.stream.destroy();
  }

  /**
   * Waits until the condition holds; it is asked again after everything that comes.
   *
   * @returns false when `limitMs` has passed or the connection has ended without it
   */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const { clock, signal } = this.#options;
    const untilUs = clock.nowUs() + limitMs * 1000;
    while (!condition()) {
      signal.throwIfAborted();
      const leftUs = untilUs - clock.nowUs();
      if (this.#ended || leftUs <= 0) return false;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          alarm.cancel();
          this.#waiting.delete(go);
          signal.removeEventListener('abort', go);
          resolve();
        };
        const alarm = clock.after(leftUs, go);
        this.#waiting.add(go);
        signal.addEventListener('abort', go, { once: true });
      });
    }
    return true;
  }

  #write(bytes: Buffer): void {
    const { stream } = this.#options;
    if (!stream.destroyed && stream.writable) stream.write(bytes);
  }

  #read(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const frame of this.#reader.push(chunk)) this.#take(frame);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#end(error.message);
      this.#options.stream.destroy();
    }
    this.#wake();
  }

  #take(frame: ReadFrame): void {
    this.frames.push(frame);
    const bytes = frame.payload as Buffer;
    switch (frame.opcode) {
      case opcodes.ping:
        this.#arrive({ kind: 'ping', bytes }, `ping ${quoted(bytes.toString())}`);
        if (this.answersPings) this.#answer(opcodes.pong, bytes, 'pong');
        return;
      case opcodes.pong:
        this.#arrive({ kind: 'pong', bytes }, `pong ${quoted(bytes.toString())}`);
        return;
      case opcodes.close: {
        const code = bytes.length >= 2 ? bytes.readUInt16BE(0) : undefined;
        this.#arrive({ kind: 'close', code }, `Close ${code ?? 'without a code'}`);
        return;
      }
    }
    this.#fragments.push(frame);
    if (!frame.final) return;
    const message = Buffer.concat(this.#fragments.map(({ payload }) => payload));
    const { opcode } = this.#fragments[0]!;
    this.#fragments = [];
    if (opcode === opcodes.text) {
      this.#arrive(
        { kind: 'text', text: message.toString() },
        `text ${quoted(message.toString())}`,
      );
      return;
    }
    const decoded =
      this.#options.role === 'client' ? decodeServerEvent(message, { dialect: 'any' }) : undefined;
    const event = decoded?.ok ? decoded.event : undefined;
    const what =
      decoded === undefined
        ? `binary, ${message.length} bytes`
        : decoded.ok
          ? describeEvent(decoded.event)
          : `not understood (${decoded.reason})`;
    const hex = decoded === undefined ? '' : `  ${hexExcerpt(message)}`;
    this.#arrive({ kind: 'binary', bytes: message, event }, `${what}${hex}`);
  }

  #answer(opcode: number, payload: Buffer, what: string): void {
    this.frame({ opcode, payload }, what);
  }

  #arrive(arrival: WithoutInstant<Arrival>, what: string): void {
    this.arrivals.push({ atUs: this.#options.clock.nowUs(), ...arrival } as Arrival);
    this.#note('received', what);
  }

  #end(how: string): void {
    if (this.#ended) return;
    this.#arrive({ kind: 'end', how }, how);
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    for (const go of [...this.#waiting]) go();
  }

  #note(direction: EvidenceLine['direction'], text: string): void {
    const { clock, evidence, connection } = this.#options;
    evidence.push({ atUs: clock.nowUs(), connection, direction, text });
  }
}

type WithoutInstant<T> = T extends unknown ? Omit<T, 'atUs'> : never;

/** An event in words, audio by its size. */
export function describeEvent(event: ServerEvent): string {
  const { type, ...fields } = event;
  const shown = Object.entries(fields).map(([name, value]) =>
    typeof value === 'object' && 'length' in value && typeof value[0] !== 'string'
      ? `${name} of ${value.length}`
      : `${name} ${typeof value === 'string' ? quoted(value) : JSON.stringify(value)}`,
  );
  return [type, ...shown].join(' ');
}

/** A text on one line, cut when it is long. */
export function quoted(text: string): string {
  const shown = JSON.stringify(text);
  return shown.length <= 80 ? shown : `${shown.slice(0, 60)}… (${text.length} characters)`;
}

export function hexExcerpt(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.subarray(0, 16))
    .toString('hex')
    .replaceAll(/(..)(?=.)/g, '$1 ');
  return bytes.length > 16 ? `${hex} …` : hex;
}
