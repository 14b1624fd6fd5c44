import { getEventListeners } from 'node:events';
import test from 'ava';
import { AlarmQueue } from './alarm-queue.ts';
import { eventLoopTurn } from './event-loop.ts';
import { FollowingController } from './following-controller.ts';
import { SimulatedClock } from './simulated-clock.ts';
import { SystemClock } from './system-clock.ts';
import { createBell, ring, WaitingClock } from './waiting-clock.ts';

test('alarms come out by instant, and in the order of setting within one instant', (t) => {
  const queue = new AlarmQueue();
  const names: string[] = [];
  const rows: [number, string][] = [
    [30, 'd'],
    [10, 'a'],
    [20, 'b'],
    [20, 'c'],
    [5, 'never'],
  ];
  for (const [at, name] of rows) {
    const alarm = queue.add(at, () => names.push(name));
    if (name === 'never') alarm.cancel();
  }
  t.is(queue.size, 4);
  for (let alarm = queue.take(); alarm !== undefined; alarm = queue.take()) alarm.callback();
  t.deepEqual(names, ['a', 'b', 'c', 'd']);
  t.is(queue.size, 0);
});

test('a queue of many alarms agrees with a sorted list', (t) => {
  const queue = new AlarmQueue();
  const expected: { at: number; order: number }[] = [];
  let x = 12345;
  for (let order = 0; order < 2000; order++) {
    x = (x * 1103515245 + 12345) % 2147483648;
    const at = x % 97;
    const alarm = queue.add(at, () => {});
    if (x % 5 === 0) alarm.cancel();
    else expected.push({ at, order });
  }
  expected.sort((a, b) => a.at - b.at || a.order - b.order);
  const seen: number[] = [];
  for (let alarm = queue.take(); alarm !== undefined; alarm = queue.take()) seen.push(alarm.dueUs);
  t.deepEqual(
    seen,
    expected.map((row) => row.at),
  );
});

test('a limit that is set anew all the time leaves nothing in the queue, and the others keep their order', (t) => {
  const queue = new AlarmQueue();
  const expected: number[] = [];
  let limit = queue.add(3_600_000_000, () => {});
  let most = 0;
  for (let i = 0; i < 5000; i++) {
    limit.cancel();
    limit = queue.add(3_600_000_000 + i, () => {});
    if (i % 100 === 0) {
      const at = (i * 7919) % 5003;
      queue.add(at, () => {});
      expected.push(at);
    }
    most = Math.max(most, queue.held);
  }
  t.true(most <= 2 * 51 + 66, `${most}`);
  expected.sort((a, b) => a - b);
  const seen: number[] = [];
  for (let alarm = queue.take(); alarm !== undefined; alarm = queue.take()) seen.push(alarm.dueUs);
  t.deepEqual(seen, [...expected, 3_600_004_999]);
});

test('virtual time jumps from alarm to alarm and stands still in between', async (t) => {
  const clock = new SimulatedClock();
  const seen: number[] = [];
  const work = async (): Promise<string> => {
    seen.push(clock.nowUs());
    await clock.sleep(1_500_000);
    seen.push(clock.nowUs());
    for (let i = 0; i < 10; i++) await eventLoopTurn().then(() => clock.noteActivity());
    seen.push(clock.nowUs());
    await clock.sleep(3_600_000_000);
    seen.push(clock.nowUs());
    return 'done';
  };
  t.is(await clock.run(work()), 'done');
  t.deepEqual(seen, [0, 1_500_000, 1_500_000, 3_601_500_000]);
});

test('held work outside the event loop stops virtual time', async (t) => {
  const clock = new SimulatedClock();
  let finished = false;
  const outside = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await eventLoopTurn();
    finished = true;
  };
  const goal = (async () => {
    void clock.hold(outside());
    await clock.sleep(10);
    return finished;
  })();
  t.true(await clock.run(goal));
});

test('virtual time with nothing left to happen reports a deadlock instead of hanging', async (t) => {
  const clock = new SimulatedClock();
  const error = await t.throwsAsync(clock.run(new Promise(() => {})));
  t.is((error as { code?: string }).code, 'CLOCK_DEADLOCK');
});

test('virtual time does not pass its limit', async (t) => {
  const clock = new SimulatedClock();
  const error = await t.throwsAsync(clock.run(clock.sleep(2_000), 1_000));
  t.is((error as { code?: string }).code, 'CLOCK_LIMIT');
});

test('a sleep ends with the reason of its signal and leaves no alarm behind', async (t) => {
  const clock = new SimulatedClock();
  const control = new AbortController();
  const goal = (async () => {
    const sleeping = clock.sleep(5_000, control.signal);
    clock.after(1_000, () => control.abort(new Error('enough')));
    await t.throwsAsync(sleeping, { message: 'enough' });
    return clock.nowUs();
  })();
  t.is(await clock.run(goal), 1_000);
  await t.throwsAsync(clock.sleep(1, control.signal), { message: 'enough' });
});

test('a failing goal rejects the run', async (t) => {
  const clock = new SimulatedClock();
  await t.throwsAsync(clock.run(Promise.reject(new Error('broken'))), { message: 'broken' });
});

test('real alarms are never early and come in the order in which they are due', async (t) => {
  const clock = new SystemClock();
  const rows: { dueUs: number; late: number }[] = [];
  await new Promise<void>((resolve) => {
    for (const delayUs of [9_000, 300, 4_200, 0]) {
      const alarm = clock.after(delayUs, () => {
        rows.push({ dueUs: alarm.dueUs, late: clock.nowUs() - alarm.dueUs });
        if (rows.length === 4) resolve();
      });
    }
    const gone = clock.after(2_000, () => t.fail('a cancelled alarm fired'));
    gone.cancel();
  });
  const due = rows.map((row) => row.dueUs);
  t.deepEqual(
    due,
    [...due].sort((a, b) => a - b),
  );
  t.true(rows.every((row) => row.late >= 0));
});

test('a clock that waits has the instants of the clock that it is made of; its alarms come in order and are never early', (t) => {
  const system = new SystemClock();
  const clock = new WaitingClock(system.startNs);
  const [before, now, after] = [system.nowUs(), clock.nowUs(), system.nowUs()];
  t.true(before - 50 <= now && now <= after + 50, `${before}, ${now}, ${after}`);
  const bell = createBell();
  const fired: string[] = [];
  const set = (name: string, delayUs: number): void => {
    const alarm = clock.after(delayUs, () => {
      t.true(clock.nowUs() >= alarm.dueUs);
      fired.push(name);
    });
  };
  set('late', 3_000);
  set('first of one instant', 1_000);
  set('now', -5);
  clock.after(500, () => fired.push('cancelled')).cancel();
  while (fired.length < 3) if (!clock.fireDue()) clock.wait(bell, 0);
  t.deepEqual(fired, ['now', 'first of one instant', 'late']);
});

test('whoever was rung for since it last looked does not wait', (t) => {
  const clock = new WaitingClock(process.hrtime.bigint());
  const bell = createBell();
  const hour = 3_600_000_000;
  clock.after(hour, () => t.fail());
  const heard = Atomics.load(bell, 0);
  ring(bell);
  clock.wait(bell, heard);
  t.true(clock.nowUs() < hour);
  t.false(clock.fireDue());
});

test('a following controller aborts with what it follows, or alone, and leaves nothing on it when it is over', (t) => {
  const parent = new AbortController();
  const [aborted, released, running] = [1, 2, 3].map(
    () => new FollowingController(parent.signal),
  ) as [FollowingController, FollowingController, FollowingController];
  t.is(getEventListeners(parent.signal, 'abort').length, 3);
  aborted.abort('enough');
  released.release();
  t.is(aborted.signal.reason, 'enough');
  t.is(getEventListeners(parent.signal, 'abort').length, 1);
  parent.abort('the end');
  t.is(running.signal.reason, 'the end');
  t.false(released.signal.aborted);
  t.is(aborted.signal.reason, 'enough');
  t.is(new FollowingController(parent.signal).signal.reason, 'the end');
  t.is(getEventListeners(parent.signal, 'abort').length, 0);
});
