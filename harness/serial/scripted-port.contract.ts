/** For tests: a port whose other end is the test. */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort, ModemLines } from './board-port.ts';
import { SerialError } from './serial-error.ts';

export class ScriptedPort implements BoardPort {
  readonly address: string;
  readonly carriesLines = true;
  readonly lines: ModemLines[] = [];
  closed = false;
  readonly #clock: Clock;
  #bytes: ((bytes: Uint8Array, atUs: number) => void) | undefined;
  #gone: ((problem: Error) => void) | undefined;

  constructor(address: string, clock: Clock) {
    this.address = address;
    this.#clock = clock;
  }

  /** The board prints. */
  print(bytes: Uint8Array): void {
    this.#bytes?.(bytes, this.#clock.nowUs());
  }

  /** The cable is pulled. */
  vanish(): void {
    const gone = new SerialError('SERIAL_GONE', `${this.address} is gone.`, 'plug it in again');
    this.#gone?.(gone);
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.#bytes = listener;
  }

  onGone(listener: (problem: Error) => void): void {
    this.#gone = listener;
  }

  async write(): Promise<void> {}

  async setLines(lines: ModemLines): Promise<void> {
    this.lines.push(lines);
  }

  async setBaudRate(): Promise<void> {}

  async close(): Promise<void> {
    this.closed = true;
  }
}
