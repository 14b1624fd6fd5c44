import type { Alarm, Clock } from '../clock/clock.ts';

/** A USB adapter hands over what has come in for this long, as one piece. */
const packetUs = 1000;

/** Start bit, eight data bits, stop bit. */
const bitsPerByte = 10;

/** What waits beyond this is lost; firmware would stand still, which the model does not. */
const waitingMaximumBytes = 256 * 1024;

/**
 * The sending half of a UART: bytes leave at the baud rate, whoever prints them, and arrive in pieces of a
 * millisecond.
 */
export class UartTransmitter {
  readonly #clock: Clock;
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #bytesPerSecond: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #alarm: Alarm | undefined;
  /** When the last byte that waits will have left. */
  #idleUs = 0;
  /** Until when the bytes have been handed over. */
  #sentUs = 0;
  #lostBytes = 0;

  /** @param baud 8N1; the chip does not change it while it runs */
  constructor(clock: Clock, baud: number, deliver: (bytes: Uint8Array) => void) {
    this.#clock = clock;
    this.#bytesPerSecond = baud / bitsPerByte;
    this.#deliver = deliver;
  }

  get lostBytes(): number {
    return this.#lostBytes;
  }

  /** When everything that was written has left. */
  get idleUs(): number {
    return Math.max(this.#idleUs, this.#clock.nowUs());
  }

  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#waitingBytes + bytes.length > waitingMaximumBytes) {
      this.#lostBytes += bytes.length;
      return;
    }
    const nowUs = this.#clock.nowUs();
    if (this.#waitingBytes === 0) {
      this.#sentUs = nowUs;
      this.#idleUs = nowUs;
    }
    this.#waiting.push(Uint8Array.from(bytes));
    this.#waitingBytes += bytes.length;
    this.#idleUs += this.#durationUs(bytes.length);
    this.#arm();
  }

  /** A reset of the chip: what has not left is lost. */
  clear(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#idleUs = this.#clock.nowUs();
  }

  #durationUs(bytes: number): number {
    return (bytes * 1_000_000) / this.#bytesPerSecond;
  }

  #arm(): void {
    if (this.#alarm !== undefined || this.#waitingBytes === 0) return;
    const perPacket = Math.max(1, Math.floor((packetUs * this.#bytesPerSecond) / 1_000_000));
    const bytes = Math.min(perPacket, this.#waitingBytes);
    const dueUs = this.#sentUs + this.#durationUs(bytes);
    this.#alarm = this.#clock.after(Math.ceil(dueUs - this.#clock.nowUs()), () => {
      this.#alarm = undefined;
      this.#sentUs = dueUs;
      const piece = this.#take(bytes);
      this.#arm();
      this.#deliver(piece);
    });
  }

  #take(bytes: number): Uint8Array {
    const piece = new Uint8Array(bytes);
    let at = 0;
    while (at < bytes) {
      const first = this.#waiting[0]!;
      const part = first.subarray(0, bytes - at);
      piece.set(part, at);
      at += part.length;
      if (part.length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(part.length);
    }
    this.#waitingBytes -= bytes;
    return piece;
  }
}
