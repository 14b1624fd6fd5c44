/** What a process uses while a load run lasts. */
import type { Clock } from '../clock/clock.ts';

export interface ProcessUse {
  /** Processor time, user and system, of all threads. */
  readonly cpuMs: number;
  /** That, as a share of one core over the time that passed. */
  readonly cores: number;
  /** Memory. */
  readonly residentBytes: number;
}

export interface ProcessMemory {
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Buffers outside of the heap, WebAssembly included. */
  readonly externalBytes: number;
}

/** Now. */
export function processMemory(): ProcessMemory {
  const { rss, heapUsed, external } = process.memoryUsage();
  return { residentBytes: rss, heapBytes: heapUsed, externalBytes: external };
}

/** From when it is made until {@link stop}. */
export class ProcessWatch {
  readonly #clock: Clock;
  readonly #startUs: number;
  readonly #start = process.cpuUsage();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startUs = clock.nowUs();
  }

  stop(): ProcessUse {
    const { user, system } = process.cpuUsage(this.#start);
    const cpuUs = user + system;
    return {
      cpuMs: cpuUs / 1000,
      cores: cpuUs / Math.max(1, this.#clock.nowUs() - this.#startUs),
      residentBytes: process.memoryUsage().rss,
    };
  }
}
