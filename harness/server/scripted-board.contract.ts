/**
 * A board as a script: a `ws` client that sends what it is told and notes what it gets. It decodes
 * with the MessagePack package directly, so it does not share the server's encoder. For tests.
 */
import { decode } from '@msgpack/msgpack';
import { WebSocket } from 'ws';
import type { Clock } from '../clock/clock.ts';
import type { Dialer } from '../network/network.ts';

export interface ReceivedMessage {
  readonly atUs: number;
  readonly event: string;
  readonly fields: readonly unknown[];
}

export class ScriptedBoard {
  readonly received: ReceivedMessage[] = [];
  readonly socket: WebSocket;
  readonly #clock: Clock;
  readonly #waiting: { event: string; count: number; resolve: () => void }[] = [];
  closeCode: number | undefined;

  private constructor(clock: Clock, socket: WebSocket) {
    this.#clock = clock;
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      const value = isBinary ? decode(data) : data.toString();
      const [event, fields] =
        typeof value === 'string' || !isBinary
          ? [String(value), []]
          : Object.entries(value as Record<string, unknown[]>)[0]!;
      this.received.push({ atUs: clock.nowUs(), event, fields });
      this.#check();
    });
    socket.on('close', (code) => {
      this.closeCode = code;
      this.#check();
    });
    socket.on('error', () => {});
  }

  /** @param query without the question mark; a current board's by default. */
  static async connect(
    network: Dialer,
    clock: Clock,
    deviceId: string,
    query = 'opus=true&vowel=true&stream_asr=true',
    path = '/ws',
  ): Promise<ScriptedBoard> {
    const stream = await network.dial({ host: 'server', port: 80, secure: false });
    const socket = new WebSocket(
      `ws://server${path}/${deviceId}${query === '' ? '' : `?${query}`}`,
      {
        // A real board offers compression, and a server must not take it.
        perMessageDeflate: true,
        createConnection: () => stream as never,
        generateMask: (mask) => mask.fill(1),
      },
    );
    const board = new ScriptedBoard(clock, socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return board;
  }

  command(event: string, fields: Record<string, unknown> = {}): void {
    this.socket.send(JSON.stringify({ event, ...fields }));
  }

  audio(samples: Int16Array): void {
    this.socket.send(Buffer.from(samples.slice().buffer));
  }

  /** Uploads as a board does: frames of 8192 samples, each when it has been captured. */
  async speak(samples: Int16Array): Promise<void> {
    this.command('StartChat');
    await this.upload(samples);
  }

  async upload(samples: Int16Array): Promise<void> {
    for (let at = 0; at + 8192 <= samples.length; at += 8192) {
      await this.#clock.sleep(512_000);
      this.audio(samples.subarray(at, at + 8192));
    }
  }

  /** Resolves when the event has been received `count` times, or the connection is closed. */
  until(event: string, count = 1): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ event, count, resolve });
      this.#check();
    });
  }

  /** Names in order; runs of one name are written once with a `*`. */
  get order(): string {
    const names: string[] = [];
    for (const { event } of this.received) {
      const name = event.startsWith('AudioChunk') ? `${event}*` : event;
      if (!name.endsWith('*') || names.at(-1) !== name) names.push(name);
    }
    return names.join(' ');
  }

  fieldsOf(event: string): unknown[] {
    return this.received.filter((message) => message.event === event).map((m) => m.fields[0]);
  }

  #check(): void {
    for (const waiting of [...this.#waiting]) {
      const seen = this.received.filter((message) => message.event === waiting.event).length;
      if (seen < waiting.count && this.closeCode === undefined) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve();
    }
  }
}
