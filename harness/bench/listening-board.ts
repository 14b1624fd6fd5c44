import { once } from 'node:events';
import net from 'node:net';
import {
  buildConnectUrl,
  decodeServerEvent,
  encodeClientCommand,
} from '../../firmware-protocol/index.ts';
import type { Clock } from '../clock/clock.ts';
import { loadDeviceId } from '../load/loaded-board.ts';
import type { Endpoint } from '../network/network.ts';

/** The first audio of an answer at a board. */
export interface BoardArrival {
  readonly board: number;
  /** Questions of the board so far, this one included. */
  readonly turn: number;
  /** NaN: the answer ended without any. */
  readonly atUs: number;
}

const mask = Buffer.from([1, 2, 3, 4]);

/**
 * A board that asks in writing and notes when the first audio of the answer came. Nothing is decoded and nothing played, so that
 * a hundred of them in one process are not late themselves. It reads the frames of its WebSocket itself (RFC 6455, section 5):
 * what a server sends is never masked, never compressed, and here never in pieces.
 */
export class ListeningBoard {
  readonly #board: number;
  readonly #socket: net.Socket;
  readonly #clock: Clock;
  #pending: Buffer = Buffer.alloc(0);
  #turn = 0;
  #firstUs = Number.NaN;
  #answered: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #broken: Error | undefined;

  private constructor(board: number, socket: net.Socket, clock: Clock) {
    this.#board = board;
    this.#socket = socket;
    this.#clock = clock;
  }

  /**
   * @param look called when bytes have come
   * @param opus false: it asks for raw PCM, which is ten times as many bytes and more
   */
  static async connect(
    board: number,
    { host, port }: Endpoint,
    clock: Clock,
    look: () => void,
    opus = true,
  ): Promise<ListeningBoard> {
    const socket = net.connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    const base = `ws://${host}:${port}/ws/`;
    const url = new URL(
      buildConnectUrl({
        base,
        deviceId: loadDeviceId(board),
        reconnect: true,
        opus,
        vowel: false,
        streamAsr: false,
      }),
    );
    const head = [
      `GET ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    const end = answer.indexOf('\r\n\r\n');
    if (!answer.toString('latin1').startsWith('HTTP/1.1 101') || end < 0) {
      throw new Error(
        `The server does not let board ${board} in: ${answer.toString('latin1').split('\r\n')[0]}`,
      );
    }
    const listening = new ListeningBoard(board, socket, clock);
    listening.#take(answer.subarray(end + 4));
    socket.on('data', (data) => {
      look();
      listening.#take(data);
    });
    socket.on('error', (error) => listening.#fail(error));
    socket.on('close', () =>
      listening.#fail(new Error(`The connection of board ${board} was closed.`)),
    );
    return listening;
  }

  /** Asks, and waits for the end of the answer. */
  async ask(): Promise<BoardArrival> {
    this.#firstUs = Number.NaN;
    const answered = new Promise<void>((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
    if (this.#broken !== undefined) throw this.#broken;
    this.askOnly();
    await answered;
    return { board: this.#board, turn: this.#turn, atUs: this.#firstUs };
  }

  askOnly(): void {
    this.#turn += 1;
    const text = Buffer.from(encodeClientCommand({ event: 'Text', input: 'What is that?' }));
    if (text.length > 125) throw new RangeError('A question has at most 125 bytes.');
    const masked = text.map((byte, at) => byte ^ mask[at % 4]!);
    this.#socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length]), mask, masked]));
  }

  /** From now on. */
  stopReading(): void {
    this.#socket.removeAllListeners('data');
    this.#socket.pause();
  }

  leave(): void {
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    this.#broken = error;
    this.#failed?.(error);
  }

  #take(data: Buffer): void {
    this.#pending = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    for (;;) {
      const frame = this.#pending;
      const short = frame.length < 2 ? 0 : frame[1]! & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (frame.length < head) return;
      const length =
        head === 2 ? short : head === 4 ? frame.readUInt16BE(2) : Number(frame.readBigUInt64BE(2));
      if (frame.length < head + length) return;
      this.#pending = frame.subarray(head + length);
      if ((frame[0]! & 0x0f) === 2) this.#hear(frame.subarray(head, head + length));
    }
  }

  #hear(message: Buffer): void {
    const decoded = decodeServerEvent(message);
    if (!decoded.ok) return;
    const { type } = decoded.event;
    if (type === 'AudioChunk' && Number.isNaN(this.#firstUs)) this.#firstUs = this.#clock.nowUs();
    if (type !== 'EndResponse') return;
    this.#answered?.();
    this.#answered = undefined;
  }
}
