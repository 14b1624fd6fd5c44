/**
 * One WebSocket connection of a board, as the conversation sees it: a bounded inbox of what the
 * board said, and sending that waits for the board instead of piling up.
 */
import { endianness } from 'node:os';
import type { WebSocket } from 'ws';
import { type ClientCommand, decodeClientCommand } from '../../firmware-protocol/client-command.ts';
import type { ConnectQuery } from '../../firmware-protocol/connect-url.ts';
import {
  type ServerEvent as DeviceMessage,
  encodeServerEvent,
} from '../../firmware-protocol/server-event.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import { AsyncQueue } from './async-queue.ts';
import type { ServerEvent } from './server-event.ts';
import type { CutCode, ServerLimits } from './server-limits.ts';

/** What arrives in the inbox of a connection. */
export type Mail =
  | { readonly kind: 'audio'; readonly samples: Int16Array }
  | { readonly kind: 'command'; readonly command: ClientCommand }
  | { readonly kind: 'wake' };

/** What a sent message belongs to; turn 0 is no turn (hello, farewell of an idle connection). */
export interface MessagePlace {
  readonly turn: number;
  readonly sentence?: number;
  /** Samples of audio in the message. */
  readonly samples?: number;
}

export interface DeviceLinkOptions {
  readonly clock: Clock;
  readonly socket: WebSocket;
  readonly connection: number;
  readonly deviceId: string;
  readonly query: ConnectQuery;
  readonly downlinkBufferBytes: number;
  readonly limits: ServerLimits;
  report(event: ServerEvent): void;
}

/** Why the server ends a connection. */
export interface Cut {
  readonly code: CutCode;
  /** Of the close frame (RFC 6455, section 7.4.1). */
  readonly closeCode: number;
  readonly message: string;
}

/** Codes of the `ws` package for messages that are too large, or in too many pieces. */
const tooLarge = new Set([
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
]);

/** Why a connection serves no longer. */
export class LinkRetired extends Error {
  override readonly name = 'LinkRetired';
  readonly code: 'SERVER_CONNECTION_REPLACED' | 'SERVER_CONNECTION_CLOSED' | 'SERVER_CLOSING';

  constructor(code: LinkRetired['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export class DeviceLink {
  readonly connection: number;
  readonly deviceId: string;
  readonly query: ConnectQuery;
  /** Waiting here for mail fails with {@link LinkRetired} once the connection serves no longer. */
  readonly inbox: AsyncQueue<Mail>;
  /** Resolves when the socket is closed and everything about it has been reported. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #bufferBytes: number;
  readonly #report: (event: ServerEvent) => void;
  readonly #retirement = new AbortController();
  /** Whoever waits for room in the socket. */
  readonly #waiting: (() => void)[] = [];
  readonly #limits: ServerLimits;
  #idle: Alarm | undefined;
  #frames = 0;
  #uplinkSamples = 0;
  #isCut = false;
  /** What may still come at once, and when that was so. */
  readonly #allowance: { messages: number; bytes: number; atUs: number };
  #lastMessageUs: number;
  #pingedUs: number | undefined;

  constructor(options: DeviceLinkOptions) {
    this.connection = options.connection;
    this.deviceId = options.deviceId;
    this.query = options.query;
    this.#socket = options.socket;
    this.#clock = options.clock;
    this.#bufferBytes = options.downlinkBufferBytes;
    this.#report = options.report;
    const { limits } = options;
    this.#limits = limits;
    this.#lastMessageUs = this.#clock.nowUs();
    const { messagesAtOnce: messages, bytesAtOnce: bytes } = limits;
    this.#allowance = { messages, bytes, atUs: this.#lastMessageUs };
    // So many small messages weigh as much as all the bytes that may wait.
    const leastBytes = limits.inboxBytes / limits.inboxMessages;
    this.inbox = new AsyncQueue(this.signal, (mail) =>
      Math.max(leastBytes, mail.kind === 'audio' ? mail.samples.byteLength : 0),
    );
    this.signal.addEventListener('abort', () => {
      this.#socket.resume();
      this.#wakeSenders();
    });

    this.#socket.on('message', (data: Buffer, isBinary) => {
      if (!this.#admit(data.length)) return;
      if (isBinary) this.#takeAudio(data);
      else this.#takeText(data);
    });
    this.#socket.on('ping', () => this.#admit());
    this.#socket.on('pong', () => {
      if (!this.#admit()) return;
      if (this.#pingedUs === undefined) return;
      const atUs = this.#clock.nowUs();
      const afterUs = atUs - this.#pingedUs;
      this.#pingedUs = undefined;
      this.#report({ type: 'pong', atUs, connection: this.connection, afterUs });
    });
    // A protocol error of the peer; `close` follows.
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      if (tooLarge.has(error.code ?? '')) {
        this.cut({
          code: 'SERVER_MESSAGE_TOO_LARGE',
          closeCode: 1009,
          message: `A message is larger than this server takes: ${error.message}.`,
        });
      }
    });
    this.#watchIdle();
    this.closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.on('close', (code) => {
      this.#idle?.cancel();
      this.#report({
        type: 'disconnected',
        atUs: this.#clock.nowUs(),
        connection: this.connection,
        code,
      });
      this.#retireClosed(code);
    });
  }

  /** Aborts, with a {@link LinkRetired}, when the connection serves no longer. */
  get signal(): AbortSignal {
    return this.#retirement.signal;
  }

  retire(reason: LinkRetired): void {
    this.#retirement.abort(reason);
  }

  /** Puts a note into the inbox: something else the conversation waits for has happened. */
  wake(): void {
    this.inbox.push({ kind: 'wake' });
  }

  /**
   * Waits until the socket has room for another message.
   *
   * @throws {LinkRetired} when the connection serves no longer, also while waiting.
   */
  async room(): Promise<void> {
    this.#throwIfClosed();
    while (this.#socket.bufferedAmount > this.#bufferBytes) {
      await this.#taken();
      this.#throwIfClosed();
    }
  }

  /**
   * Writes one message without waiting.
   *
   * @throws {LinkRetired} when the connection serves no longer.
   */
  write(message: DeviceMessage, place: MessagePlace): void {
    this.#throwIfClosed();
    this.#write(message, place);
  }

  /** Writes one message as soon as there is room. */
  async send(message: DeviceMessage, place: MessagePlace): Promise<void> {
    await this.room();
    this.write(message, place);
  }

  /** The device has taken a message, or was cut because it takes none. */
  async #taken(): Promise<void> {
    const { stalledMs } = this.#limits;
    const alarm = this.#clock.after(stalledMs * 1000, () =>
      this.cut({
        code: 'SERVER_DEVICE_STALLED',
        closeCode: 1008,
        message: `The device took nothing for ${stalledMs} ms while ${this.#socket.bufferedAmount} bytes waited for it.`,
      }),
    );
    try {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } finally {
      alarm.cancel();
    }
  }

  /** The last message to a connection that serves no longer, when it can still be written. */
  sendFarewell(message: DeviceMessage, place: MessagePlace): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#write(message, place);
  }

  /** The socket can still be written. */
  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Asks the board for a pong; whether it comes is reported. */
  ping(): void {
    this.#pingedUs = this.#clock.nowUs();
    this.#report({ type: 'ping', atUs: this.#pingedUs, connection: this.connection });
    this.#socket.ping();
  }

  /** Closes in order. Nothing further is sent. */
  close(code: number): void {
    this.#socket.close(code);
  }

  /** Ends the connection because of what the device does, and says so. */
  cut(cut: Cut): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#report({ type: 'cut', atUs: this.#clock.nowUs(), connection: this.connection, ...cut });
    // A device that does not read cannot hold its connection; one that does gets the close frame.
    this.#socket.close(cut.closeCode);
    this.#socket.terminate();
  }

  /** Ends the connection without waiting for the peer. */
  terminate(): void {
    // The close frame reaches the board when the socket has room for it.
    this.#socket.close(1001);
    this.#socket.terminate();
  }

  /** @throws {LinkRetired} */
  #throwIfClosed(): void {
    // One of both ends has begun to close; the `close` event has not come yet.
    if (this.#socket.readyState !== this.#socket.OPEN) this.#retireClosed(1006);
    this.signal.throwIfAborted();
  }

  /** Whether a message still counts. A device that sends faster than any of them does is cut. */
  #admit(length = 0): boolean {
    if (this.#isCut) return false;
    const { messagesAtOnce, messagesPerSecond, bytesAtOnce, bytesPerSecond } = this.#limits;
    const atUs = this.#clock.nowUs();
    this.#lastMessageUs = atUs;
    const left = this.#allowance;
    const seconds = (atUs - left.atUs) / 1_000_000;
    left.messages = Math.min(messagesAtOnce, left.messages + seconds * messagesPerSecond) - 1;
    left.bytes = Math.min(bytesAtOnce, left.bytes + seconds * bytesPerSecond) - length;
    left.atUs = atUs;
    if (left.messages >= 0 && left.bytes >= 0) return true;
    const what =
      left.messages < 0
        ? `${messagesAtOnce} messages at once and ${messagesPerSecond}`
        : `${bytesAtOnce} bytes at once and ${bytesPerSecond}`;
    this.cut({
      code: 'SERVER_TOO_MANY_MESSAGES',
      closeCode: 1008,
      message: `The device sent more than ${what} each second.`,
    });
    return false;
  }

  #watchIdle(): void {
    const { idleMs } = this.#limits;
    const dueUs = this.#lastMessageUs + idleMs * 1000;
    const leftUs = dueUs - this.#clock.nowUs();
    if (leftUs > 0) {
      this.#idle = this.#clock.after(leftUs, () => this.#watchIdle());
      return;
    }
    this.cut({
      code: 'SERVER_IDLE',
      closeCode: 1001,
      message: `Nothing was sent in either direction for ${idleMs} ms.`,
    });
  }

  #write(message: DeviceMessage, place: MessagePlace): void {
    this.#lastMessageUs = this.#clock.nowUs();
    const bytes = encodeServerEvent(message);
    const compressing = this.#socket.extensions !== '';
    const sent = new Promise<void>((resolve) => {
      this.#socket.send(bytes, () => {
        this.#wakeSenders();
        resolve();
      });
    });
    // Compression works outside of the event loop, where virtual time does not see it.
    if (compressing) void this.#clock.hold?.(sent);
    this.#frames += 1;
    this.#report({
      type: 'frame',
      atUs: this.#clock.nowUs(),
      connection: this.connection,
      frame: this.#frames,
      event: message.type,
      bytes: bytes.length,
      ...place,
    });
  }

  #takeAudio(data: Buffer): void {
    const samples = pcmSamples(data);
    if (data.length % 2 !== 0) {
      this.#ignored(`audio message of ${data.length} bytes: the last byte is half a sample`);
    }
    this.#uplinkSamples += samples.length;
    this.#report({
      type: 'uplink',
      atUs: this.#clock.nowUs(),
      connection: this.connection,
      samples: samples.length,
      totalSamples: this.#uplinkSamples,
    });
    if (!this.signal.aborted) this.#deliver({ kind: 'audio', samples });
  }

  #takeText(data: Buffer): void {
    const { commandBytes } = this.#limits;
    if (data.length > commandBytes) {
      this.#ignored(`a command of ${data.length} bytes; at most ${commandBytes} are read`);
      return;
    }
    const decoded = decodeClientCommand(data.toString());
    if (!decoded.ok) this.#ignored(decoded.reason);
    else if (this.signal.aborted)
      this.#ignored(`${decoded.command.event}: ${this.signal.reason.message}`);
    else this.#deliver({ kind: 'command', command: decoded.command });
  }

  #deliver(mail: Mail): void {
    this.inbox.push(mail);
    const { inboxBytes } = this.#limits;
    if (this.inbox.load < inboxBytes || this.#socket.isPaused) return;
    this.#socket.pause();
    const resume = (): void => this.#socket.resume();
    this.inbox.room(inboxBytes / 2).then(resume, resume);
  }

  #ignored(reason: string): void {
    this.#report({
      type: 'commandIgnored',
      atUs: this.#clock.nowUs(),
      connection: this.connection,
      reason,
    });
  }

  #retireClosed(code: number): void {
    this.retire(
      new LinkRetired(
        'SERVER_CONNECTION_CLOSED',
        `Connection ${this.connection} of ${this.deviceId} was closed with code ${code}.`,
      ),
    );
  }

  #wakeSenders(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}

/** Whole samples of a message of 16-bit little-endian PCM. */
function pcmSamples(data: Buffer): Int16Array {
  const samples = new Int16Array(data.length >> 1);
  const bytes = Buffer.from(samples.buffer);
  data.copy(bytes, 0, 0, bytes.length);
  if (endianness() === 'BE') bytes.swap16();
  return samples;
}
