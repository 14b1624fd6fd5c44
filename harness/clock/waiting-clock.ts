import { AlarmQueue } from './alarm-queue.ts';
import type { Alarm, Clock } from './clock.ts';
import { sleep } from './sleep.ts';

/**
 * What a thread is woken with: whoever has something for it counts up and notifies. One 32-bit number in memory that
 * both threads share.
 */
export type Bell = Int32Array<SharedArrayBuffer>;

export function createBell(): Bell {
  return new Int32Array(new SharedArrayBuffer(4));
}

export function ring(bell: Bell): void {
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** A thread that has slept runs again within this, unless others have the processors; the rest it looks at the clock. */
const spinUs = 200;

/**
 * Real time for a thread that does nothing but act when it is due or told. Nothing fires by itself: the thread's loop
 * calls {@link fireDue} and, when there was nothing to do, {@link wait}. Timers of Node are not used: they have a
 * granularity of 1 ms and are late by as much, and a thread that polls for so long is the first to lose its processor
 * when others want it.
 */
export class WaitingClock implements Clock {
  readonly kind = 'real';
  readonly #alarms = new AlarmQueue();
  /** Instant 0 on this thread's `performance`, in µs. */
  readonly #zeroUs: number;

  /** @param startNs of a `SystemClock`, for the same instants as there */
  constructor(startNs: bigint) {
    // Of some readings of both clocks the one with the least between them.
    let best = Number.POSITIVE_INFINITY;
    let zeroUs = 0;
    for (let reading = 0; reading < 16; reading++) {
      const before = process.hrtime.bigint();
      const nowMs = performance.now();
      const between = Number(process.hrtime.bigint() - before);
      if (between >= best) continue;
      best = between;
      zeroUs = nowMs * 1000 - (Number(before - startNs) + between / 2) / 1000;
    }
    this.#zeroUs = zeroUs;
  }

  /** Without an object for each reading, so that looking at the clock makes no garbage. */
  nowUs(): number {
    return Math.floor(performance.now() * 1000 - this.#zeroUs);
  }

  after(delayUs: number, callback: () => void): Alarm {
    return this.#alarms.add(this.nowUs() + Math.max(0, Math.round(delayUs)), callback);
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return sleep((us, callback) => this.after(us, callback), delayUs, signal);
  }

  /** Calls what is due by now; what becomes due meanwhile waits for the next call. @returns whether there was anything */
  fireDue(): boolean {
    const nowUs = this.nowUs();
    let fired = false;
    for (;;) {
      const alarm = this.#alarms.peek();
      if (alarm === undefined || alarm.dueUs > nowUs) return fired;
      this.#alarms.take();
      fired = true;
      alarm.callback();
    }
  }

  /**
   * Blocks the thread until the next alarm is due or the bell was rung since it was `heard`; it may return earlier.
   *
   * @param heard what the bell was before the thread looked for what it is told, so that no ring is missed
   */
  wait(bell: Bell, heard: number): void {
    const next = this.#alarms.peek();
    const waitUs = next === undefined ? Number.POSITIVE_INFINITY : next.dueUs - this.nowUs();
    if (waitUs > spinUs) {
      Atomics.wait(bell, 0, heard, (waitUs - spinUs) / 1000);
      return;
    }
    while (next !== undefined && this.nowUs() < next.dueUs && Atomics.load(bell, 0) === heard);
  }
}
