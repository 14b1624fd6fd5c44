import test from 'ava';
import { AsyncQueue } from './async-queue.ts';

const never = new AbortController().signal;

test('items come out in order, before and after somebody waits for them', async (t) => {
  const queue = new AsyncQueue<number>(never);
  queue.push(1);
  t.is(await queue.take(), 1);
  const waiting = queue.take();
  queue.push(2);
  queue.push(3);
  queue.close();
  queue.push(4);
  t.is(await waiting, 2);
  const rest: number[] = [];
  for await (const item of queue) rest.push(item);
  t.deepEqual(rest, [3]);
  t.is(await queue.take(), undefined);
});

test('a producer waits for room by weight', async (t) => {
  const queue = new AsyncQueue<Int16Array>(never, (block) => block.length);
  await queue.room(0);
  queue.push(new Int16Array(100));
  queue.push(new Int16Array(50));
  t.is(queue.load, 150);
  let room = false;
  const waiting = queue.room(60).then(() => {
    room = true;
  });
  await Promise.resolve();
  t.false(room);
  await queue.take();
  await waiting;
  t.is(queue.load, 50);
  t.is(queue.drain().length, 1);
  t.is(queue.load, 0);
});

test('an abort ends every wait with its reason, and what waits can still be taken back', async (t) => {
  const stop = new AbortController();
  const queue = new AsyncQueue<number>(stop.signal);
  const waiting = queue.take();
  stop.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
  queue.push(1);
  await t.throwsAsync(queue.take(), { message: 'enough' });
  await t.throwsAsync(queue.room(5), { message: 'enough' });
  t.deepEqual(queue.drain(), [1]);
});
