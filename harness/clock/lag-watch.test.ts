import test from 'ava';
import type { Alarm, Clock } from './clock.ts';
import { LagWatch } from './lag-watch.ts';

/** A computer whose alarms are late by what is planted, one after the other. */
class LateClock implements Clock {
  readonly kind = 'real';
  #nowUs = 0;
  #waiting: { dueUs: number; callback: () => void } | undefined;

  nowUs(): number {
    return this.#nowUs;
  }

  after(delayUs: number, callback: () => void): Alarm {
    const dueUs = this.#nowUs + delayUs;
    this.#waiting = { dueUs, callback };
    return {
      dueUs,
      cancel: () => {
        this.#waiting = undefined;
      },
    };
  }

  sleep(): Promise<void> {
    throw new Error('not asked for');
  }

  get waits(): boolean {
    return this.#waiting !== undefined;
  }

  fireLateBy(lateUs: number): void {
    const { dueUs, callback } = this.#waiting!;
    this.#nowUs = dueUs + lateUs;
    callback();
  }
}

test('planted delays come back as their percentiles', (t) => {
  const clock = new LateClock();
  const watch = new LagWatch(clock);
  for (let i = 1; i <= 200; i++) clock.fireLateBy(i === 200 ? 90_000 : i * 10);
  t.deepEqual(watch.stop(), { n: 200, p50Us: 1000, p99Us: 1980, maxUs: 90_000 });
  t.false(clock.waits);
});

test('with few alarms the largest delay is the 99th percentile', (t) => {
  const clock = new LateClock();
  const watch = new LagWatch(clock);
  for (const late of [5, 70_000, 7]) clock.fireLateBy(late);
  t.deepEqual(watch.stop(), { n: 3, p50Us: 7, p99Us: 70_000, maxUs: 70_000 });
});

test('a watch that ends before its first alarm knows nothing', (t) => {
  t.is(new LagWatch(new LateClock()).stop(), null);
});
