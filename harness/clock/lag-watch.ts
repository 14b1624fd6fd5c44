import type { Alarm, Clock } from './clock.ts';

/** How late alarms fired, or what hangs on them: what a busy computer adds to the instants of a run in real time. */
export interface ClockLag {
  /** How many were measured. */
  readonly n: number;
  readonly p50Us: number;
  /** Nearest rank: with fewer than 100 alarms the largest. */
  readonly p99Us: number;
  readonly maxUs: number;
}

/**
 * Sets an alarm every `everyUs` and measures how late each is. The event loop is late for everything else
 * by as much: for bytes that have arrived, and for packets that should leave (pitfalls catalogue, S04). An alarm that
 * would have been due while the loop was blocked is not counted again.
 */
export class LagWatch {
  readonly #clock: Clock;
  readonly #everyUs: number;
  readonly #lags: number[] = [];
  #alarm: Alarm;

  constructor(clock: Clock, everyUs = 50_000) {
    this.#clock = clock;
    this.#everyUs = everyUs;
    this.#alarm = this.#set();
  }

  /** Ends the watch. Null when no alarm was due yet. */
  stop(): ClockLag | null {
    this.#alarm.cancel();
    return clockLag(this.#lags);
  }

  #set(): Alarm {
    const dueUs = this.#clock.nowUs() + this.#everyUs;
    return this.#clock.after(this.#everyUs, () => {
      this.#lags.push(Math.max(0, this.#clock.nowUs() - dueUs));
      this.#alarm = this.#set();
    });
  }
}

/** Null of nothing. */
export function clockLag(latenessesUs: readonly number[]): ClockLag | null {
  const sorted = latenessesUs.toSorted((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
  if (sorted.length === 0) return null;
  return { n: sorted.length, p50Us: rank(0.5), p99Us: rank(0.99), maxUs: rank(1) };
}
