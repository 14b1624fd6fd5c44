/** One end of a serial link on a port: bytes, instants and deadlines brought together. */
import {
  SerialLinkEndpoint,
  type SerialLinkEvent,
  type SerialLinkMessage,
  type SerialLinkSettings,
} from '../../firmware-protocol/index.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';

export interface SerialLinkSessionOptions {
  /** Open, and without a listener. It stays the caller's, who closes it. */
  readonly port: BoardPort;
  readonly clock: Clock;
  readonly settings: Omit<SerialLinkSettings, 'output' | 'onEvent'>;
  /**
   * Also gets console text. May call the session.
   *
   * @param atUs when the bytes that made it happen were received, or when a deadline passed
   */
  readonly onEvent: (event: SerialLinkEvent, atUs: number) => void;
  /** The port is gone, told once; the session is over. */
  readonly onGone: (problem: Error) => void;
}

export class SerialLinkSession {
  readonly endpoint: SerialLinkEndpoint;
  readonly #options: SerialLinkSessionOptions;
  #alarm: Alarm | undefined;
  #atUs = 0;
  /** Nothing is received or done any more. */
  #isOver = false;
  #isGone = false;
  #written: Promise<void> = Promise.resolve();

  /** @throws {ProtocolError} FP_SERIAL_LINK_SETTING */
  constructor(options: SerialLinkSessionOptions) {
    const { port, settings } = options;
    this.#options = options;
    this.endpoint = new SerialLinkEndpoint({
      ...settings,
      output: (bytes) => this.#write(bytes),
      onEvent: (event) => options.onEvent(event, this.#atUs),
    });
    port.onGone((problem) => this.#end(problem));
    port.onBytes((bytes, atUs) => {
      if (!this.#isOver) this.#do((nowUs) => this.endpoint.receive(bytes, nowUs), atUs);
    });
  }

  /** Begins; the event `connected` says when the other end has answered. */
  start(): void {
    this.#do((nowUs) => this.endpoint.start(nowUs));
  }

  /** @see SerialLinkEndpoint.send, whose errors it throws */
  send(message: SerialLinkMessage, options: { readonly loose?: boolean } = {}): number {
    return this.#do((nowUs) => this.endpoint.send(message, nowUs, options));
  }

  /** @see SerialLinkEndpoint.ping, whose errors it throws */
  ping(): void {
    this.#do((nowUs) => this.endpoint.ping(nowUs));
  }

  /** @see SerialLinkEndpoint.grant */
  grant(messages: number): void {
    this.#do((nowUs) => this.endpoint.grant(messages, nowUs));
  }

  /** Tells the other end that this one has finished. Resolves when that has left; the port stays open. */
  async stop(): Promise<void> {
    if (!this.#isOver) {
      this.#do((nowUs) => this.endpoint.close(nowUs));
      this.#isOver = true;
      this.#alarm?.cancel();
    }
    await this.#written;
  }

  /** What is done may have moved the deadline. */
  #do<Result>(what: (nowUs: number) => Result, atUs = this.#options.clock.nowUs()): Result {
    // A port may have noted the arrival before something else was done.
    this.#atUs = Math.max(this.#atUs, atUs);
    try {
      return what(this.#atUs);
    } finally {
      this.#arm();
    }
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const nextUs = this.endpoint.nextDeadlineUs();
    if (this.#isOver || nextUs === Number.POSITIVE_INFINITY) return;
    this.#alarm = clock.after(Math.max(0, nextUs - clock.nowUs()), () => {
      this.#do((nowUs) => this.endpoint.due(nowUs));
    });
  }

  #write(bytes: Uint8Array): void {
    this.#written = this.#written.then(async () => {
      if (!this.#isGone) await this.#options.port.write(bytes).catch((error) => this.#end(error));
    });
  }

  #end(problem: Error): void {
    this.#isGone = true;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#alarm?.cancel();
    this.#options.onGone(problem);
  }
}

/** A number for a session, from 1 to 2^32 − 1, of four bytes. */
export function sessionNumber([a, b, c, d]: Uint8Array): number {
  return a! + b! * 2 ** 8 + c! * 2 ** 16 + d! * 2 ** 24 || 1;
}
