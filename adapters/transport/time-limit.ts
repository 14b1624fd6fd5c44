import type { AdapterClock } from '../speech-adapter.ts';

/** Longest waits of an adapter, in milliseconds; `Infinity` for none. */
export interface TimeLimitsMs {
  /** Until a connection is usable: name, TCP, TLS, WebSocket upgrade. */
  readonly connect: number;
  /** From the request written to the first byte of the answer's body. */
  readonly firstByte: number;
  /** Between two pieces of an answer. */
  readonly idle: number;
}

export const defaultTimeLimitsMs: TimeLimitsMs = {
  connect: 10_000,
  firstByte: 30_000,
  idle: 15_000,
};

/** No limit at all, as the EchoKit server has it for most platforms. */
export const noTimeLimits: TimeLimitsMs = {
  connect: Number.POSITIVE_INFINITY,
  firstByte: Number.POSITIVE_INFINITY,
  idle: Number.POSITIVE_INFINITY,
};

/** Calls back after `limitMs`; never for a limit that is none. */
export function alarmAfter(
  clock: AdapterClock,
  limitMs: number,
  callback: () => void,
): { cancel(): void } {
  if (limitMs === Number.POSITIVE_INFINITY) return { cancel: () => {} };
  return clock.after(limitMs * 1_000, callback);
}

/**
 * One running limit on the injected clock. Restarting is cheap, so it can be told of every chunk:
 * the alarm is only set again when it fires.
 */
export class TimeLimit {
  readonly #clock: AdapterClock;
  readonly #onExpired: (limitMs: number) => void;
  #limitMs = 0;
  #sinceUs = 0;
  #heldUs: number | undefined;
  #alarm: { cancel(): void } | undefined;

  constructor(clock: AdapterClock, onExpired: (limitMs: number) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** From now on at most `limitMs` until the next call of this, {@link touch} or {@link stop}. */
  start(limitMs: number): void {
    this.stop();
    if (limitMs === Number.POSITIVE_INFINITY) return;
    this.#limitMs = limitMs;
    this.#sinceUs = this.#clock.nowUs();
    this.#arm();
  }

  /** Something happened: the limit counts from here. */
  touch(): void {
    this.#sinceUs = this.#clock.nowUs();
  }

  /** While held, time does not count: it is the consumer that is slow. */
  hold(held: boolean): void {
    const nowUs = this.#clock.nowUs();
    if (held) this.#heldUs ??= nowUs;
    else if (this.#heldUs !== undefined) {
      this.#sinceUs += nowUs - Math.max(this.#heldUs, this.#sinceUs);
      this.#heldUs = undefined;
      if (this.#alarm === undefined && this.#limitMs > 0) this.#arm();
    }
  }

  stop(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#limitMs = 0;
  }

  #arm(): void {
    const dueUs = this.#sinceUs + this.#limitMs * 1_000;
    this.#alarm = this.#clock.after(dueUs - this.#clock.nowUs(), () => {
      this.#alarm = undefined;
      if (this.#heldUs !== undefined) return;
      if (this.#clock.nowUs() < this.#sinceUs + this.#limitMs * 1_000) this.#arm();
      else this.#onExpired(this.#limitMs);
    });
  }
}
