/**
 * Ends a process whose decoder does not come back. It runs on a thread of its own, because the thread that hangs can do
 * nothing any more; before it ends the process it writes down the input that did it.
 */
import { Worker } from 'node:worker_threads';

export interface HangWatchOptions {
  /** So long an input may take of real time. */
  readonly limitMs: number;
  /** Where the input is written that took longer. */
  readonly file: string;
  readonly longestBytes: number;
}

/** In this order in the shared memory, behind which the input lies. */
const counterAt = 0;
const lengthAt = 1;
const headBytes = 8;

export class HangWatch {
  readonly #numbers: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #thread: Worker;

  constructor({ limitMs, file, longestBytes }: HangWatchOptions) {
    const memory = new SharedArrayBuffer(headBytes + longestBytes);
    this.#numbers = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, headBytes);
    const workerData = { memory, limitMs, file };
    this.#thread = new Worker(watching, { eval: true, execArgv: [], workerData });
    this.#thread.unref();
  }

  /** An input begins. */
  note(input: Uint8Array): void {
    this.#bytes.set(input);
    this.#numbers[lengthAt] = input.length;
    Atomics.add(this.#numbers, counterAt, 1);
    Atomics.notify(this.#numbers, counterAt);
  }

  /** @returns when the thread is gone */
  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}

/** In plain JavaScript, so that the thread needs no loader. It sleeps until the next input begins, or the limit is over. */
const watching = `
const { workerData: { memory, limitMs, file } } = require('node:worker_threads');
const { writeFileSync } = require('node:fs');
const numbers = new Int32Array(memory, 0, 2);
for (;;) {
  const seen = Atomics.load(numbers, ${counterAt});
  if (Atomics.wait(numbers, ${counterAt}, seen, limitMs) !== 'timed-out' || seen === 0) continue;
  writeFileSync(file, Buffer.from(new Uint8Array(memory, ${headBytes}, numbers[${lengthAt}])));
  process.kill(process.pid, 'SIGKILL');
}
`;
