/** For tests: the two ends of a serial line in memory, ten bits for each byte. */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import { SerialError } from './serial-error.ts';

export class CrossedPort implements BoardPort {
  readonly address = 'memory:';
  readonly carriesLines = false;
  #other: CrossedPort | undefined;
  readonly #clock: Clock;
  readonly #baud: number;
  #freeUs = 0;
  #listener: ((bytes: Uint8Array, atUs: number) => void) | undefined;
  #gone: ((problem: Error) => void) | undefined;

  private constructor(clock: Clock, baud: number) {
    this.#clock = clock;
    this.#baud = baud;
  }

  static pair(clock: Clock, baud: number): readonly [CrossedPort, CrossedPort] {
    const [one, other] = [new CrossedPort(clock, baud), new CrossedPort(clock, baud)];
    one.#other = other;
    other.#other = one;
    return [one, other];
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.#listener = listener;
  }

  onGone(listener: (problem: Error) => void): void {
    this.#gone = listener;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const nowUs = this.#clock.nowUs();
    this.#freeUs = Math.max(this.#freeUs, nowUs) + (bytes.length * 10_000_000) / this.#baud;
    this.#clock.after(Math.ceil(this.#freeUs - nowUs), () => this.#other?.arrive(bytes));
  }

  arrive(bytes: Uint8Array): void {
    this.#listener?.(bytes, this.#clock.nowUs());
  }

  /** The cable is pulled. */
  vanish(): void {
    this.#gone?.(new SerialError('SERIAL_GONE', 'It is gone.', 'Plug it in.'));
  }

  async setLines(): Promise<void> {}
  async setBaudRate(): Promise<void> {}
  async close(): Promise<void> {}
}
