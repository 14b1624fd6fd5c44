import type { Alarm, Clock } from '../clock/clock.ts';

/**
 * Stops work that has been silent for too long; a limit of `Infinity` never is. The work runs under `signal`, which aborts when
 * the watchdog expires (with its own reason) or when `parent` aborts (with the parent's reason).
 * `stop` MUST be called when the work is over.
 */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #reason: () => unknown;
  readonly #parent: AbortSignal;
  readonly #controller = new AbortController();
  #alarm: Alarm | undefined;
  readonly #follow = (): void => {
    this.#alarm?.cancel();
    this.#controller.abort(this.#parent.reason);
  };

  constructor(clock: Clock, limitMs: number, parent: AbortSignal, reason: () => unknown) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#parent = parent;
    this.#reason = reason;
    if (parent.aborted) this.#follow();
    else {
      parent.addEventListener('abort', this.#follow, { once: true });
      this.kick();
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** There was a sign of life: the limit starts anew. */
  kick(): void {
    this.#alarm?.cancel();
    if (this.signal.aborted || this.#limitMs === Number.POSITIVE_INFINITY) return;
    this.#alarm = this.#clock.after(this.#limitMs * 1000, () =>
      this.#controller.abort(this.#reason()),
    );
  }

  /**
   * The outcome of a step of the work, or the reason of the abort if that comes first: work that
   * does not heed its signal cannot hold anybody up.
   */
  guard<T>(step: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(this.signal.reason);
      if (this.signal.aborted) abort();
      else this.signal.addEventListener('abort', abort);
      const over = (): void => this.signal.removeEventListener('abort', abort);
      step.then(resolve, reject).finally(over);
    });
  }

  stop(): void {
    this.#alarm?.cancel();
    this.#parent.removeEventListener('abort', this.#follow);
  }
}
