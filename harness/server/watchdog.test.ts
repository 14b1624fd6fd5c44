import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { Watchdog } from './watchdog.ts';

const reason = (): Error => new Error('silent');

test('it expires after the limit without a sign of life', async (t) => {
  const clock = new SimulatedClock();
  const watchdog = new Watchdog(clock, 100, new AbortController().signal, reason);
  const work = watchdog.guard(new Promise(() => {}));
  await clock.run(clock.sleep(60_000));
  watchdog.kick();
  await t.throwsAsync(clock.run(work), { message: 'silent' });
  t.is(clock.nowUs(), 160_000);
  watchdog.kick();
  t.true(watchdog.signal.aborted);
});

test('it follows its parent, from before and from later', async (t) => {
  const clock = new SimulatedClock();
  const parent = new AbortController();
  const early = new Watchdog(clock, 100, parent.signal, reason);
  parent.abort(new Error('parent'));
  await t.throwsAsync(early.guard(Promise.resolve(1)), { message: 'parent' });
  const late = new Watchdog(clock, 100, parent.signal, reason);
  t.is((late.signal.reason as Error).message, 'parent');
});

test('stopped, it neither expires nor follows', async (t) => {
  const clock = new SimulatedClock();
  const parent = new AbortController();
  const watchdog = new Watchdog(clock, 100, parent.signal, reason);
  t.is(await watchdog.guard(Promise.resolve(1)), 1);
  watchdog.stop();
  await clock.run(clock.sleep(1_000_000));
  parent.abort();
  t.false(watchdog.signal.aborted);
});
