import { openSync, readSync } from 'node:fs';

/**
 * How long the calling thread could have run and had no processor, because others had them: the part of a lateness that
 * is the machine's. Linux counts it; elsewhere there is none.
 */
export class ProcessorWait {
  readonly #file: number;
  readonly #text = Buffer.alloc(96);

  private constructor(file: number) {
    this.#file = file;
  }

  /** For the thread that calls this; undefined where the system does not count. */
  static ofThisThread(): ProcessorWait | undefined {
    try {
      // Three numbers: ns on a processor, ns waiting for one, time slices (Linux: Documentation/scheduler/sched-stats).
      return new ProcessorWait(openSync('/proc/thread-self/schedstat', 'r'));
    } catch {
      return undefined;
    }
  }

  /** Since the thread began, in µs. */
  waitedUs(): number {
    const length = readSync(this.#file, this.#text, 0, this.#text.length, 0);
    return Number(this.#text.toString('latin1', 0, length).split(' ')[1]) / 1000;
  }
}
