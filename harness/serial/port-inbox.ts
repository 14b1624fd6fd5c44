import type { SerialError } from './serial-error.ts';

/** Held until somebody listens; a port that nobody reads loses what is older. */
const waitingMaximumBytes = 1024 * 1024;

/** The receiving half of every port: keeps what arrives until there is a listener, and why the port is gone. */
export class PortInbox {
  readonly #waiting: { readonly bytes: Uint8Array; readonly atUs: number }[] = [];
  #waitingBytes = 0;
  #onBytes: ((bytes: Uint8Array, atUs: number) => void) | undefined;
  #onGone: ((problem: Error) => void) | undefined;
  #problem: SerialError | undefined;
  #tap: ((bytes: Uint8Array, atUs: number) => void) | undefined;

  /** @throws {SerialError} why the port cannot be used any more */
  check(): void {
    if (this.#problem !== undefined) throw this.#problem;
  }

  get problem(): SerialError | undefined {
    return this.#problem;
  }

  deliver(bytes: Uint8Array, atUs: number): void {
    if (this.#problem !== undefined || bytes.length === 0) return;
    this.#tap?.(bytes, atUs);
    if (this.#onBytes !== undefined) {
      this.#onBytes(bytes, atUs);
      return;
    }
    this.#waiting.push({ bytes, atUs });
    this.#waitingBytes += bytes.length;
    while (this.#waitingBytes > waitingMaximumBytes) {
      this.#waitingBytes -= this.#waiting.shift()!.bytes.length;
    }
  }

  /** Sees every piece before the listener, what waits included; undefined ends it. */
  tap(tap: ((bytes: Uint8Array, atUs: number) => void) | undefined): void {
    this.#tap = tap;
    for (const { bytes, atUs } of this.#waiting) tap?.(bytes, atUs);
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.#onBytes = listener;
    for (const { bytes, atUs } of this.#waiting.splice(0)) listener(bytes, atUs);
    this.#waitingBytes = 0;
  }

  onGone(listener: (problem: Error) => void): void {
    this.#onGone = listener;
    if (this.#problem !== undefined && !this.#closed) listener(this.#problem);
  }

  /** The port is gone without our having closed it. */
  gone(problem: SerialError): void {
    if (this.#problem !== undefined) return;
    this.#problem = problem;
    this.#onGone?.(problem);
  }

  #closed = false;

  /** We close it: nothing is delivered any more, and nobody is told. */
  close(problem: SerialError): void {
    if (this.#problem !== undefined) return;
    this.#closed = true;
    this.#problem = problem;
  }
}
