import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ClockLag, clockLag } from '../clock/lag-watch.ts';

/**
 * A thread that does nothing but wait for one instant after the other, 3 to 13 ms apart, and look how late it is: as late
 * as the machine makes everybody meanwhile. It waits as the thread of a replay does (`harness/clock/waiting-clock.ts`), with
 * nothing of this program in it.
 */
export class WaitingThread {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;

  constructor() {
    this.#worker = new Worker(program, { eval: true, execArgv: [] });
    this.#worker.unref();
    this.#failed = once(this.#worker, 'exit').then(() => {
      throw new Error('The thread that waits has ended by itself.');
    });
    this.#failed.catch(() => {});
  }

  /** Ends it. @returns how late it was; nothing when it never was due */
  async stop(): Promise<ClockLag[]> {
    const told = once(this.#worker, 'message') as Promise<[readonly number[]]>;
    this.#worker.ref();
    this.#worker.postMessage('stop');
    const [latenesses] = await Promise.race([told, this.#failed]);
    await this.#worker.terminate();
    const lag = clockLag(latenesses);
    return lag === null ? [] : [lag];
  }
}

const program = `
const { parentPort, receiveMessageOnPort } = require('node:worker_threads');
const never = new Int32Array(new SharedArrayBuffer(4));
const late = [];
let due = performance.now() + 5;
for (let turn = 0; receiveMessageOnPort(parentPort) === undefined; turn++) {
  const waitMs = due - performance.now() - 0.2;
  if (waitMs > 0) Atomics.wait(never, 0, 0, waitMs);
  while (performance.now() < due);
  const now = performance.now();
  late.push(Math.floor((now - due) * 1000));
  due = Math.max(due, now) + 3 + ((turn * 7) % 11);
}
parentPort.postMessage(late);
`;
