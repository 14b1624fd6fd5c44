/**
 * Time as the harness knows it.
 *
 * Instants are integer microseconds from the start of the run (`atUs`, `nowUs`); durations end in
 * `Us` or `Ms`. Every wait, deadline and timestamp of the program goes through a {@link Clock}, so
 * that the same code runs in real time (`SystemClock`) and in virtual time (`SimulatedClock`).
 */
export interface Clock {
  /** `virtual` when time only moves because the simulation says so. For reports, never for behaviour. */
  readonly kind: 'virtual' | 'real';

  /** Microseconds since the start of the run. Monotonic, an integer. */
  nowUs(): number;

  /**
   * Calls `callback` once, `delayUs` from now (0 or less: at the current instant, but never before
   * this call has returned). Alarms of one instant fire in the order in which they were set.
   */
  after(delayUs: number, callback: () => void): Alarm;

  /**
   * Resolves `delayUs` from now. Rejects with the signal's reason when `signal` aborts first; the
   * alarm is then gone.
   */
  sleep(delayUs: number, signal?: AbortSignal): Promise<void>;

  /**
   * Time has passed without anybody being able to do anything, as on a computer that was suspended or whose program
   * stood still: what was due in between is late.
   */
  skip?(spanUs: number): void;

  /** Virtual time: stands still until `work`, which leaves the event loop, is done. Returns `work`. */
  hold?<T>(work: Promise<T>): Promise<T>;
}

/** A pending call of {@link Clock.after}. */
export interface Alarm {
  /** The instant at which the callback is due. */
  readonly dueUs: number;
  /** Forgets the callback. Harmless after it has run. */
  cancel(): void;
}
