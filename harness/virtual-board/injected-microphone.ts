import type { Alarm, Clock } from '../clock/clock.ts';

const sampleUs = 62.5;

/**
 * Samples in place of a microphone (SL-5.5): the piece that starts is heard when it arrives, every other one at its
 * position behind it. What comes too late for its place is not heard; silence was, and nothing moves.
 */
export class InjectedMicrophone {
  readonly #clock: Clock;
  readonly #hear: (samples: Int16Array) => void;
  readonly #waiting = new Set<Alarm>();
  #startUs: number | undefined;
  /** Until when there are samples in place of the microphone, once the last of them are known. */
  #endUs = Number.POSITIVE_INFINITY;
  #lateSamples = 0;

  /** @param hear plays samples at the microphone from now on */
  constructor(clock: Clock, hear: (samples: Int16Array) => void) {
    this.#clock = clock;
    this.#hear = hear;
  }

  /** The microphone itself is not heard. */
  get active(): boolean {
    return this.#startUs !== undefined && this.#clock.nowUs() < this.#endUs;
  }

  /** Samples that came after their turn. */
  get lateSamples(): number {
    return this.#lateSamples;
  }

  /** Throws away what waits; the piece that begins follows. */
  start(): void {
    this.stop();
    this.#startUs = this.#clock.nowUs();
    this.#endUs = Number.POSITIVE_INFINITY;
  }

  /** @param position of the first sample behind the start */
  take(position: number, samples: Int16Array, isLast: boolean): void {
    if (this.#startUs === undefined) return;
    const fromUs = this.#startUs + Math.round(position * sampleUs);
    if (isLast) this.#endUs = fromUs + Math.round(samples.length * sampleUs);
    const lateUs = this.#clock.nowUs() - fromUs;
    if (lateUs <= 0) {
      const alarm = this.#clock.after(-lateUs, () => {
        this.#waiting.delete(alarm);
        this.#hear(samples);
      });
      this.#waiting.add(alarm);
      return;
    }
    const late = Math.min(samples.length, Math.ceil(lateUs / sampleUs));
    this.#lateSamples += late;
    if (late < samples.length) this.#hear(samples.subarray(late));
  }

  /** The microphone is heard again. */
  stop(): void {
    for (const alarm of this.#waiting) alarm.cancel();
    this.#waiting.clear();
    this.#startUs = undefined;
  }
}
