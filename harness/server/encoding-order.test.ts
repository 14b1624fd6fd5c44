import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { EncodingOrder } from './encoding-order.ts';

/** Boards whose packets take so much of the clock, as encoding takes of a real one. */
function bench(workUs: number) {
  const clock = new SimulatedClock();
  const order = new EncodingOrder(clock);
  const encoded: string[] = [];
  const packet = async (
    name: string,
    neededUs: number,
    signal = new AbortController().signal,
  ): Promise<void> => {
    const turn = order.turn(neededUs, signal);
    if (turn !== undefined) await turn;
    order.work(() => {
      clock.skip(workUs);
      encoded.push(`${name} ${clock.nowUs()}`);
    });
  };
  return { clock, order, encoded, packet };
}

test('a packet is encoded at once while nobody works, and others wait in the order in which their boards run dry', async (t) => {
  const { clock, encoded, packet } = bench(2_000);
  await clock.run(
    Promise.all([
      packet('first', 900_000),
      packet('in no hurry', 800_000),
      packet('soon', 50_000),
      packet('silent until now', 0),
      packet('as silent, later', 0),
    ]),
  );
  t.deepEqual(encoded, [
    'first 2000',
    'silent until now 4000',
    'as silent, later 6000',
    'soon 8000',
    'in no hurry 10000',
  ]);
});

test('between two packets the event loop has its turn', async (t) => {
  const { clock, encoded, packet } = bench(2_000);
  const reads = (async () => {
    for (let read = 1; read <= 2; read++) {
      await clock.sleep(0);
      encoded.push(`read ${read}`);
    }
  })();
  await clock.run(Promise.all([packet('a', 0), packet('b', 0), packet('c', 0), reads]));
  t.deepEqual(
    encoded.map((what) => what.replace(/ \d+$/, '')),
    ['a', 'read', 'b', 'read', 'c'],
  );
});

test('work that takes no time, as in virtual time, makes nobody wait', async (t) => {
  const { clock, order, encoded, packet } = bench(0);
  const { signal } = new AbortController();
  await clock.run(
    (async () => {
      for (const name of ['a', 'b', 'c']) {
        t.is(order.turn(0, signal), undefined);
        await packet(name, 0);
      }
    })(),
  );
  t.deepEqual(encoded, ['a 0', 'b 0', 'c 0']);
});

test('a board that is gone gives its place up, and the others go on', async (t) => {
  const { clock, order, encoded, packet } = bench(2_000);
  const gone = new AbortController();
  const reason = new Error('the board is gone');
  await clock.run(
    (async () => {
      await packet('first', 0);
      const given = t.throwsAsync(packet('gone', 0, gone.signal), { is: reason });
      const other = packet('other', 1);
      gone.abort(reason);
      await Promise.all([given, other]);
      t.throws(() => order.turn(0, gone.signal), { is: reason });
    })(),
  );
  t.deepEqual(encoded, ['first 2000', 'other 4000']);
});

test('work that throws counts, and nobody waits for ever behind it', async (t) => {
  const { clock, order, encoded, packet } = bench(2_000);
  const broken = new Error('the encoder broke');
  t.throws(
    () =>
      order.work(() => {
        clock.skip(2_000);
        throw broken;
      }),
    { is: broken },
  );
  await clock.run(packet('next', 0));
  t.deepEqual(encoded, ['next 4000']);
});
