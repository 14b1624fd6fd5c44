import test from 'ava';
import type { SpeechEvent } from '../speech-adapter.ts';
import { readAheadBytesMax, SpeechDelivery, untilStopped } from './speech-delivery.ts';

const audio = (samples: number): SpeechEvent => ({
  type: 'audio',
  atUs: 0,
  request: 1,
  samples: new Int16Array(samples),
  sourceBytes: 2 * samples,
  sourceRateHz: 16_000,
  sourceChannels: 1,
});
const open = (): AbortSignal => new AbortController().signal;

/** A delivery whose producer does nothing, so that the test produces. */
function handmade(signal = open()): SpeechDelivery {
  return new SpeechDelivery(signal, () => new Promise(() => {}));
}

test('nothing is produced before the first event is asked for', async (t) => {
  let started = 0;
  const delivery = new SpeechDelivery(open(), async (out) => {
    started++;
    out.push(audio(1));
  });
  t.is(started, 0);
  t.is((await delivery.next()).done, false);
  t.is((await delivery.next()).done, true);
  t.is((await delivery.next()).done, true);
  t.is(started, 1);
});

test('a failure comes after everything that was pushed before it, and once', async (t) => {
  const delivery = new SpeechDelivery(open(), async (out) => {
    out.push(audio(1));
    out.push(audio(2));
    throw new Error('broken');
  });
  t.false((await delivery.next()).done);
  t.false((await delivery.next()).done);
  await t.throwsAsync(delivery.next(), { message: 'broken' });
  t.true((await delivery.next()).done);
  t.true(delivery.stopped.aborted);
});

test('an abort throws away what was not taken yet', async (t) => {
  const stop = new AbortController();
  const delivery = handmade(stop.signal);
  const first = delivery.next();
  delivery.push(audio(1));
  delivery.push(audio(2));
  await first;
  const reason = new Error('stop');
  stop.abort(reason);
  delivery.push(audio(3));
  t.is(await delivery.next().catch((error: unknown) => error), reason);
  t.true((await delivery.next()).done);
  t.is(delivery.stopped.reason, reason);
});

test('an abort ends a call that is waiting', async (t) => {
  const stop = new AbortController();
  const waiting = handmade(stop.signal).next();
  stop.abort(new Error('stop'));
  await t.throwsAsync(waiting, { message: 'stop' });
});

test('leaving while a call is waiting ends both without an error', async (t) => {
  const delivery = handmade();
  const waiting = delivery.next();
  t.true((await delivery.return()).done);
  t.true((await waiting).done);
  t.true(delivery.stopped.aborted);
});

test('reading stops at 4 MiB ahead and goes on when half of it was taken', async (t) => {
  const delivery = handmade();
  const flow: boolean[] = [];
  delivery.onFlow((paused) => flow.push(paused));
  const first = delivery.next();
  const chunks = readAheadBytesMax / 65_536;
  for (let i = 0; i <= chunks; i++) {
    delivery.push(audio(32_768));
    if (i === chunks - 1) t.deepEqual(flow, []);
  }
  t.deepEqual(flow, [true]);
  await first;
  for (let i = 0; i < chunks / 2; i++) await delivery.next();
  t.deepEqual(flow, [true]);
  await delivery.next();
  t.deepEqual(flow, [true, false]);
  t.is(delivery.samples, (chunks + 1) * 32_768);
});

test('a source is read until the stop and told of it', async (t) => {
  const stop = new AbortController();
  let returned = 0;
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]() {
      let next = 0;
      return {
        next: () =>
          next < 2 ? Promise.resolve({ done: false, value: next++ }) : new Promise(() => {}),
        return: async () => {
          returned++;
          return { done: true, value: undefined };
        },
      };
    },
  };
  const taken: number[] = [];
  const reading = (async () => {
    for await (const value of untilStopped(source, stop.signal)) {
      taken.push(value);
      if (value === 1) queueMicrotask(() => stop.abort(new Error('stop')));
    }
  })();
  await t.throwsAsync(reading, { message: 'stop' });
  t.deepEqual(taken, [0, 1]);
  t.is(returned, 1);
});
