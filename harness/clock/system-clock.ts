import { AlarmQueue } from './alarm-queue.ts';
import type { Alarm, Clock } from './clock.ts';
import { sleep } from './sleep.ts';

/** Node's timers may be late by their granularity of 1 ms; the rest is bridged by polling. */
const timerGranularityMs = 1;

/**
 * Real time, the only place that reads it. Monotonic; microseconds since creation.
 *
 * Alarms are never early. On an idle machine they are late by well under 0.1 ms: one Node timer
 * waits for the earliest alarm minus a granule, and the event loop is polled through the rest.
 */
export class SystemClock implements Clock {
  readonly kind = 'real';
  /** Instant 0 on the monotonic clock of this machine, in ns. */
  readonly startNs: bigint;
  /** Time that was skipped, in ns. */
  #skippedNs = 0n;
  readonly #alarms = new AlarmQueue();
  #timer: NodeJS.Timeout | undefined;
  #timerDueUs = Number.POSITIVE_INFINITY;
  #polling = false;

  /** @param startNs of the clock of another thread, for the same instants as there; absent: now */
  constructor(startNs: bigint = process.hrtime.bigint()) {
    this.startNs = startNs;
  }

  nowUs(): number {
    return Number((process.hrtime.bigint() - this.startNs + this.#skippedNs) / 1000n);
  }

  /** The same instant on the monotonic clock of this machine, which all its processes share. */
  monotonicUs(atUs: number): number {
    return Number((this.startNs - this.#skippedNs) / 1000n) + atUs;
  }

  after(delayUs: number, callback: () => void): Alarm {
    const alarm = this.#alarms.add(this.nowUs() + Math.max(0, Math.round(delayUs)), callback);
    this.#arm();
    return {
      dueUs: alarm.dueUs,
      cancel: () => {
        alarm.cancel();
        if (this.#alarms.size === 0) this.#disarm();
      },
    };
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return sleep((us, callback) => this.after(us, callback), delayUs, signal);
  }

  skip(spanUs: number): void {
    this.#skippedNs += BigInt(Math.max(0, Math.round(spanUs))) * 1000n;
    this.#disarm();
    this.#arm();
  }

  #arm(): void {
    const next = this.#alarms.peek();
    if (next === undefined || this.#polling || next.dueUs >= this.#timerDueUs) return;
    this.#disarm();
    const waitMs = (next.dueUs - this.nowUs()) / 1000 - timerGranularityMs;
    if (waitMs < timerGranularityMs) {
      this.#polling = true;
      setImmediate(() => this.#poll());
      return;
    }
    this.#timerDueUs = next.dueUs;
    this.#timer = setTimeout(() => {
      this.#timerDueUs = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
      this.#arm();
    }, Math.floor(waitMs));
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerDueUs = Number.POSITIVE_INFINITY;
  }

  /** Fires what is due; keeps polling while the next alarm is nearer than a timer can hit. */
  #poll(): void {
    this.#polling = false;
    const nowUs = this.nowUs();
    try {
      for (let alarm = this.#alarms.peek(); alarm !== undefined && alarm.dueUs <= nowUs; ) {
        this.#alarms.take();
        alarm.callback();
        alarm = this.#alarms.peek();
      }
    } finally {
      this.#arm();
    }
  }
}

/** Local time with its offset in the name of a file: `20261126_194121+0100`. */
export function wallClockStamp(): string {
  const now = new Date();
  const minutes = -now.getTimezoneOffset();
  const local = new Date(now.getTime() + minutes * 60_000).toISOString();
  const [date, time] = local.slice(0, 19).replaceAll(/[-:]/g, '').split('T');
  const offset = Math.abs(minutes);
  const hhmm = `${Math.floor(offset / 60)}`.padStart(2, '0') + `${offset % 60}`.padStart(2, '0');
  return `${date}_${time}${minutes < 0 ? '-' : '+'}${hhmm}`;
}

/** Facts of the wall clock for manifests: never for behaviour, never in a trace. */
export function wallClockIso(): string {
  return new Date().toISOString();
}

/** The clock of the system was set when it is so far from where it was. */
const setClockMs = 1_000;

/**
 * Local time of day of instants of a clock, for people: `19:41:21.345`. Later instants have later times, until somebody
 * sets the clock of the system.
 *
 * @param now milliseconds of the system's clock
 */
export function wallClockTimes(
  clock: Pick<Clock, 'nowUs'>,
  now: () => number = Date.now,
): (atUs: number) => string {
  const read = (): number => now() - clock.nowUs() / 1000;
  let zeroMs = read();
  return (atUs) => {
    const nowZeroMs = read();
    if (Math.abs(nowZeroMs - zeroMs) > setClockMs) zeroMs = nowZeroMs;
    const then = new Date(zeroMs + atUs / 1000);
    const local = then.getTime() - then.getTimezoneOffset() * 60_000;
    return new Date(local).toISOString().slice(11, 23);
  };
}

/** Milliseconds since 1970 on the wall clock, for what is valid until a day. Never for measuring. */
export function wallClockMs(): number {
  return Date.now();
}

/** The instant of a date that is written as in certificates or in ISO 8601, as {@link wallClockMs} counts. */
export function wallClockOf(date: string): number {
  return Date.parse(date);
}
