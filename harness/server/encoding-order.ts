/** Whose packet is encoded next: the server has one event loop, and a packet of 120 ms is some 2 ms of work in it. */
import type { Clock } from '../clock/clock.ts';

/** Work behind which the event loop has its turn before the next packet. In virtual time work takes none. */
const workPerTurnOfTheLoopUs = 1_000;

interface Waiting {
  readonly neededUs: number;
  begin(): void;
}

/**
 * All boards of a server share one. While nobody works, a packet is encoded at once. Otherwise packets wait for each other, one in each
 * turn of the event loop, so that what has come from providers is read in between; and the board that has nothing more to play goes
 * first, not the one whose provider was quicker. At most one packet of each board waits.
 */
export class EncodingOrder {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  /** In this turn of the event loop. */
  #workedUs = 0;
  #turnAwaited = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits until it is this packet's turn; its {@link work} has to follow at once.
   *
   * @param neededUs µs on the clock: when the board will have played what it was sent before
   * @returns undefined: without waiting
   * @throws the signal's reason; nothing is to be done then
   */
  turn(neededUs: number, signal: AbortSignal): Promise<void> | undefined {
    signal.throwIfAborted();
    if (!this.#turnAwaited) return undefined;
    return new Promise((resolve, reject) => {
      const give = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        neededUs,
        begin: () => {
          signal.removeEventListener('abort', give);
          resolve();
        },
      };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', give, { once: true });
    });
  }

  /** Does the work and counts what it took. */
  work<T>(job: () => T): T {
    const fromUs = this.#clock.nowUs();
    try {
      return job();
    } finally {
      this.#workedUs += this.#clock.nowUs() - fromUs;
      if (this.#workedUs >= workPerTurnOfTheLoopUs) this.#awaitTurn();
    }
  }

  #awaitTurn(): void {
    if (this.#turnAwaited) return;
    this.#turnAwaited = true;
    this.#clock.after(0, () => this.#beginNext());
  }

  #beginNext(): void {
    this.#turnAwaited = false;
    this.#workedUs = 0;
    if (this.#waiting.length === 0) return;
    const next = this.#waiting.reduce((first, one) =>
      one.neededUs < first.neededUs ? one : first,
    );
    this.#waiting.splice(this.#waiting.indexOf(next), 1);
    // Its work follows behind this; whoever asks until then is not to be in the same turn of the loop.
    this.#awaitTurn();
    next.begin();
  }
}
