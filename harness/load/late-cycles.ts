/**
 * Late cycles: whether a process was quick enough for the boards, or the server, in it.
 *
 * The player of a board works in cycles of 16 ms, and everything of the boards of one process runs in one event loop. So a
 * process keeps a grid of 16 ms from the start of its measurement. Cycle k is due at k · 16 ms and runs when the event loop
 * gets to it; cycles that became due while the loop stood still run when it goes on. A cycle is **late** when it ran more
 * than its own length, 16 ms, after it was due: by then the next one was due, too. In virtual time there are none.
 */
import type { Alarm, Clock } from '../clock/clock.ts';
import { Histogram, type HistogramData } from './histogram.ts';

export const cyclePeriodUs = 16_000;

export interface LateCycles {
  readonly cycles: number;
  readonly late: number;
  /** How long after they were due cycles ran, in microseconds. */
  readonly lateness: HistogramData;
}

/** Counts the cycles of this process from when it is made until {@link stop}. */
export class CycleWatch {
  readonly #clock: Clock;
  readonly #startUs: number;
  readonly #lateness = new Histogram();
  #cycle = 0;
  #late = 0;
  #alarm: Alarm;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startUs = clock.nowUs();
    this.#alarm = this.#set();
  }

  /** What was counted so far. */
  get counted(): LateCycles {
    return { cycles: this.#cycle, late: this.#late, lateness: this.#lateness.toData() };
  }

  /** Ends the watch. */
  stop(): LateCycles {
    this.#alarm.cancel();
    return this.counted;
  }

  #set(): Alarm {
    const dueUs = this.#dueUs(this.#cycle + 1);
    return this.#clock.after(dueUs - this.#clock.nowUs(), () => {
      const nowUs = this.#clock.nowUs();
      while (this.#dueUs(this.#cycle + 1) <= nowUs) {
        this.#cycle += 1;
        const lateUs = nowUs - this.#dueUs(this.#cycle);
        this.#lateness.record(lateUs);
        if (lateUs > cyclePeriodUs) this.#late += 1;
      }
      this.#alarm = this.#set();
    });
  }

  #dueUs(cycle: number): number {
    return this.#startUs + cycle * cyclePeriodUs;
  }
}
