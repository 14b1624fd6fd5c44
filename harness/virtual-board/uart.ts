import type { Alarm, Clock } from '../clock/clock.ts';

/** A USB adapter hands over what has come in for this long, as one piece. */
const packetUs = 1000;

/** Start bit, eight data bits, stop bit. */
const bitsPerByte = 10;

/** What waits beyond this is lost; firmware would stand still, which the model does not. */
const waitingMaximumBytes = 256 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly baud: number;
}

/**
 * One direction of a UART: bytes leave at the baud rate, whoever prints them, and arrive in pieces of a
 * millisecond. The rate may change between two writes, as it does between the ROM and an application.
 */
export class UartTransmitter {
  readonly #clock: Clock;
  readonly #deliver: (bytes: Uint8Array, baud: number) => void;
  readonly #baud: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #alarm: Alarm | undefined;
  /** When the last byte that waits will have left. */
  #idleUs = 0;
  /** Until when the bytes have been handed over. */
  #sentUs = 0;
  #lostBytes = 0;

  /**
   * @param baud 8N1, of writes that do not say another
   * @param deliver is told the rate at which the bytes came
   */
  constructor(clock: Clock, baud: number, deliver: (bytes: Uint8Array, baud: number) => void) {
    this.#clock = clock;
    this.#baud = baud;
    this.#deliver = deliver;
  }

  get lostBytes(): number {
    return this.#lostBytes;
  }

  /** When everything that was written has left. */
  get idleUs(): number {
    return Math.max(this.#idleUs, this.#clock.nowUs());
  }

  write(bytes: Uint8Array, baud = this.#baud): void {
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
    this.#waiting.push({ bytes: Uint8Array.from(bytes), baud });
    this.#waitingBytes += bytes.length;
    this.#idleUs += durationUs(bytes.length, baud);
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

  #arm(): void {
    const first = this.#waiting[0];
    if (this.#alarm !== undefined || first === undefined) return;
    const { baud } = first;
    const perPacket = Math.max(1, Math.floor((packetUs * baud) / bitsPerByte / 1_000_000));
    let alike = 0;
    for (const waiting of this.#waiting) {
      if (waiting.baud !== baud || alike >= perPacket) break;
      alike += waiting.bytes.length;
    }
    const bytes = Math.min(perPacket, alike);
    const dueUs = this.#sentUs + durationUs(bytes, baud);
    this.#alarm = this.#clock.after(Math.ceil(dueUs - this.#clock.nowUs()), () => {
      this.#alarm = undefined;
      this.#sentUs = dueUs;
      const piece = this.#take(bytes);
      this.#arm();
      this.#deliver(piece, baud);
    });
  }

  #take(bytes: number): Uint8Array {
    const piece = new Uint8Array(bytes);
    let at = 0;
    while (at < bytes) {
      const first = this.#waiting[0]!;
      const part = first.bytes.subarray(0, bytes - at);
      piece.set(part, at);
      at += part.length;
      if (part.length === first.bytes.length) this.#waiting.shift();
      else this.#waiting[0] = { ...first, bytes: first.bytes.subarray(part.length) };
    }
    this.#waitingBytes -= bytes;
    return piece;
  }
}

function durationUs(bytes: number, baud: number): number {
  return (bytes * bitsPerByte * 1_000_000) / baud;
}
