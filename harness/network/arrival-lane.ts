import type { Clock } from '../clock/clock.ts';

interface Passage {
  readonly action: () => void;
}

/**
 * What travels in one direction arrives in the order in which it was sent. Alarms alone do not keep it: on a
 * real clock time passes between asking for the time and setting the alarm, so of two that are due microseconds
 * apart the second may come first.
 */
export class ArrivalLane {
  readonly #clock: Clock;
  readonly #underWay: Passage[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `action` at the instant, at once when it has passed, but never before what was sent earlier. */
  send(atUs: number, action: () => void): void {
    const passage = { action };
    this.#underWay.push(passage);
    const delayUs = atUs - this.#clock.nowUs();
    if (delayUs <= 0) this.#arrive(passage);
    else this.#clock.after(delayUs, () => this.#arrive(passage));
  }

  #arrive(passage: Passage): void {
    const count = this.#underWay.indexOf(passage) + 1;
    for (const { action } of this.#underWay.splice(0, count)) action();
  }
}
