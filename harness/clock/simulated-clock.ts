import { AlarmQueue } from './alarm-queue.ts';
import type { Alarm, Clock } from './clock.ts';
import { eventLoopTurn } from './event-loop.ts';
import { sleep } from './sleep.ts';

/**
 * Turns of the event loop that must pass without activity before time may move. One is enough for
 * promise jobs and `process.nextTick`; the others cover libraries that hop through `setImmediate`.
 */
const quietTurnsMin = 3;

/**
 * Virtual time. It stands still while anything is going on and then jumps to the next alarm.
 *
 * Rule for everything that runs under it: wait on nothing but this clock and the streams of a
 * `MemoryNetwork`. Work that must leave the event loop (compiling WebAssembly, reading a file)
 * goes through {@link hold}, which stops time until it is done.
 */
export class SimulatedClock implements Clock {
  readonly kind = 'virtual';
  readonly #alarms = new AlarmQueue();
  readonly #held = new Set<Promise<unknown>>();
  #nowUs = 0;
  #activity = 0;
  #running = false;

  nowUs(): number {
    return this.#nowUs;
  }

  after(delayUs: number, callback: () => void): Alarm {
    this.#activity++;
    return this.#alarms.add(this.#nowUs + Math.max(0, Math.round(delayUs)), callback);
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return sleep((us, callback) => this.after(us, callback), delayUs, signal);
  }

  skip(spanUs: number): void {
    this.#nowUs += Math.max(0, Math.round(spanUs));
  }

  /** Says that something moved, so that time waits for the consequences. For streams in memory. */
  noteActivity(): void {
    this.#activity++;
  }

  /** Stops time until `work`, which leaves the event loop, is done. Returns `work`. */
  hold<T>(work: Promise<T>): Promise<T> {
    this.#activity++;
    const done = (): void => {
      this.#held.delete(held);
    };
    const held: Promise<void> = work.then(done, done);
    this.#held.add(held);
    return work;
  }

  /**
   * Lets time run until `goal` settles, and returns its result. Alarms that are still pending then
   * stay pending.
   *
   * @throws {ClockError} `CLOCK_DEADLOCK` when nothing is left that could ever settle `goal`;
   *   `CLOCK_LIMIT` when virtual time would pass `limitUs`.
   */
  async run<T>(goal: Promise<T>, limitUs = Number.POSITIVE_INFINITY): Promise<T> {
    if (this.#running)
      throw new ClockError('CLOCK_BUSY', 'The simulated clock is running already.');
    this.#running = true;
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    goal.then(settle, settle);
    try {
      for (;;) {
        await this.#settle();
        if (settled) return await goal;
        const alarm = this.#alarms.peek();
        if (alarm === undefined) {
          throw new ClockError(
            'CLOCK_DEADLOCK',
            `Virtual time stands at ${this.#nowUs} µs: nothing is pending that could finish the run.`,
          );
        }
        if (alarm.dueUs > limitUs) {
          throw new ClockError(
            'CLOCK_LIMIT',
            `Virtual time would pass its limit of ${limitUs} µs (next alarm at ${alarm.dueUs} µs).`,
          );
        }
        this.#alarms.take();
        // Time that was skipped has made it late.
        this.#nowUs = Math.max(this.#nowUs, alarm.dueUs);
        alarm.callback();
      }
    } finally {
      this.#running = false;
    }
  }

  /** Waits until the event loop has nothing to do that concerns the simulation. */
  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < quietTurnsMin; ) {
      const before = this.#activity;
      await eventLoopTurn();
      while (this.#held.size > 0) await Promise.all(this.#held);
      quiet = this.#activity === before ? quiet + 1 : 0;
    }
  }
}

export class ClockError extends Error {
  override readonly name = 'ClockError';
  readonly code: 'CLOCK_DEADLOCK' | 'CLOCK_LIMIT' | 'CLOCK_BUSY';

  constructor(code: ClockError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
