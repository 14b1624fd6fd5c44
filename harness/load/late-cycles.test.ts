import test from 'ava';
import type { Alarm, Clock } from '../clock/clock.ts';
import { CycleWatch } from './late-cycles.ts';

/** A clock whose alarm fires when it is told to. */
class HandClock implements Clock {
  readonly kind = 'real';
  #nowUs = 1_000;
  #callback: (() => void) | undefined;

  nowUs(): number {
    return this.#nowUs;
  }

  after(delayUs: number, callback: () => void): Alarm {
    this.#callback = callback;
    return { dueUs: this.#nowUs + delayUs, cancel: () => {} };
  }

  sleep(): Promise<void> {
    throw new Error('not asked for');
  }

  fireAt(nowUs: number): void {
    this.#nowUs = nowUs;
    this.#callback!();
  }
}

test('a cycle is late when it runs more than 16 ms after it was due, and those that the loop slept through count', (t) => {
  const clock = new HandClock();
  const watch = new CycleWatch(clock);
  clock.fireAt(1_000 + 16_000); // cycle 1, in time
  clock.fireAt(1_000 + 32_000 + 16_000); // cycles 2 and 3: 16 ms late is not yet late
  t.like(watch.counted, { cycles: 3, late: 0 });
  // The loop stood still for 80 ms: cycles 4 to 8 run at the end of it, 64, 48, 32, 16 and 0 ms late.
  clock.fireAt(1_000 + 128_000);
  const { cycles, late, lateness } = watch.stop();
  t.is(cycles, 8);
  t.is(late, 3);
  t.is(lateness.n, 8);
  t.is(lateness.max, 64_000);
  t.is(lateness.sum, 16_000 + 64_000 + 48_000 + 32_000 + 16_000);
});
