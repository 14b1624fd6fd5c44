import test from 'ava';
import { AlarmQueue } from '../clock/alarm-queue.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import { ArrivalLane } from './arrival-lane.ts';

/** A clock on which a pause of the program passes between two readings. */
class StutteringClock implements Clock {
  readonly kind = 'real';
  readonly #alarms = new AlarmQueue();
  /** Microseconds that pass after the next readings. */
  readonly pauses: number[] = [];
  #nowUs = 0;

  nowUs(): number {
    const now = this.#nowUs;
    this.#nowUs += this.pauses.shift() ?? 0;
    return now;
  }

  after(delayUs: number, callback: () => void): Alarm {
    return this.#alarms.add(this.#nowUs + delayUs, callback);
  }

  sleep(): Promise<void> {
    return Promise.reject(new Error('Nobody sleeps here.'));
  }

  run(): void {
    for (let alarm = this.#alarms.peek(); alarm !== undefined; alarm = this.#alarms.peek()) {
      this.#alarms.take();
      this.#nowUs = Math.max(this.#nowUs, alarm.dueUs);
      alarm.callback();
    }
  }
}

test('what was sent first arrives first although the program paused before its alarm was set', (t) => {
  const clock = new StutteringClock();
  const lane = new ArrivalLane(clock);
  const arrived: string[] = [];
  clock.pauses.push(5000);
  lane.send(10_000, () => arrived.push('first'));
  lane.send(10_010, () => arrived.push('second'));
  clock.run();
  t.deepEqual(arrived, ['first', 'second']);
});

test('what is due at once does not overtake what is under way', (t) => {
  const clock = new StutteringClock();
  const lane = new ArrivalLane(clock);
  const arrived: string[] = [];
  lane.send(10, () => arrived.push('first'));
  clock.pauses.push(0, 20);
  clock.nowUs();
  clock.nowUs();
  lane.send(15, () => arrived.push('second'));
  t.deepEqual(arrived, ['first', 'second']);
  clock.run();
  t.deepEqual(arrived, ['first', 'second']);
});

test('everything arrives at its instant and once', (t) => {
  const clock = new StutteringClock();
  const lane = new ArrivalLane(clock);
  const arrived: [string, number][] = [];
  for (const [name, atUs] of [
    ['a', 5],
    ['b', 5],
    ['c', 9],
  ] as const) {
    lane.send(atUs, () => arrived.push([name, clock.nowUs()]));
  }
  clock.run();
  t.deepEqual(arrived, [
    ['a', 5],
    ['b', 5],
    ['c', 9],
  ]);
});
