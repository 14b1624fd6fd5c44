import test from 'ava';
import { SimulatedClock } from '../../harness/clock/simulated-clock.ts';
import { TimeLimit } from './time-limit.ts';

/** Runs 100 s with a limit and returns the instants, in ms, at which it expired. */
async function expiries(
  script: (limit: TimeLimit, at: (ms: number, action: () => void) => void) => void,
): Promise<number[]> {
  const clock = new SimulatedClock();
  const instants: number[] = [];
  const limit = new TimeLimit(clock, () => instants.push(clock.nowUs() / 1_000));
  script(limit, (ms, action) => void clock.after(ms * 1_000, action));
  await clock.run(clock.sleep(100_000_000));
  return instants;
}

test('it expires once, exactly then', async (t) => {
  t.deepEqual(await expiries((limit) => limit.start(1_500)), [1_500]);
});

test('every touch counts from anew', async (t) => {
  const instants = await expiries((limit, at) => {
    limit.start(1_000);
    for (const ms of [400, 800, 1_799]) at(ms, () => limit.touch());
  });
  t.deepEqual(instants, [2_799]);
});

test('a stopped limit does not expire, a restarted one does', async (t) => {
  const stopped = await expiries((limit, at) => {
    limit.start(1_000);
    at(999, () => limit.stop());
  });
  t.deepEqual(stopped, []);
  const restarted = await expiries((limit, at) => {
    limit.start(1_000);
    at(500, () => limit.start(5_000));
  });
  t.deepEqual(restarted, [5_500]);
});

test('time in which the consumer is slow does not count', async (t) => {
  const instants = await expiries((limit, at) => {
    limit.start(1_000);
    at(300, () => limit.hold(true));
    at(20_000, () => limit.hold(false));
  });
  t.deepEqual(instants, [20_700]);
  const touched = await expiries((limit, at) => {
    limit.start(1_000);
    at(300, () => limit.hold(true));
    at(10_000, () => limit.touch());
    at(20_000, () => limit.hold(false));
  });
  t.deepEqual(touched, [21_000]);
});
