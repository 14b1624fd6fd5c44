import { PassThrough } from 'node:stream';
import test from 'ava';
import { SimulatedClock } from '../../harness/clock/simulated-clock.ts';
import type { AdapterDeps } from '../speech-adapter.ts';
import { SpeechError } from '../speech-error.ts';
import { dial, targetOf } from './dial.ts';

const target = { host: 'h', port: 1, secure: false };

/** A dialer that does not listen to its signal and answers after two seconds. */
function stubborn(): { clock: SimulatedClock; deps: AdapterDeps; stream: PassThrough } {
  const clock = new SimulatedClock();
  const stream = new PassThrough();
  const dialer = { dial: () => clock.sleep(2_000_000).then(() => stream) };
  return { clock, stream, deps: { clock, dialer, randomBytes: () => new Uint8Array(4) } };
}

test('a stream that comes after the limit is destroyed', async (t) => {
  const { clock, deps, stream } = stubborn();
  const result = dial(target, 1_000, deps, new AbortController().signal);
  const error = await clock.run(t.throwsAsync(result, { instanceOf: SpeechError }));
  t.is(error?.kind, 'timeout');
  t.is(clock.nowUs(), 1_000_000);
  t.false(stream.destroyed);
  await clock.run(clock.sleep(1_500_000));
  t.true(stream.destroyed);
});

test('a stream that comes after the abort is destroyed', async (t) => {
  const { clock, deps, stream } = stubborn();
  const stop = new AbortController();
  const reason = new Error('stop');
  clock.after(500_000, () => stop.abort(reason));
  const result = dial(target, 10_000, deps, stop.signal);
  t.is(await clock.run(result.catch((error: unknown) => error)), reason);
  t.is(clock.nowUs(), 500_000);
  await clock.run(clock.sleep(2_000_000));
  t.true(stream.destroyed);
});

test('a stream that fails before it has an owner ends nothing', async (t) => {
  const { clock, deps } = stubborn();
  const stream = await clock.run(dial(target, 10_000, deps, new AbortController().signal));
  stream.destroy(new Error('reset'));
  await clock.run(clock.sleep(1));
  t.true(stream.destroyed);
});

test('a URL says host, port and whether TLS is needed', (t) => {
  for (const [url, expected] of [
    ['https://a.example/x', { host: 'a.example', port: 443, secure: true }],
    ['wss://a.example/x', { host: 'a.example', port: 443, secure: true }],
    ['http://localhost:9094/', { host: 'localhost', port: 9094, secure: false }],
    ['ws://a.example', { host: 'a.example', port: 80, secure: false }],
    ['http://[::1]:8080/', { host: '::1', port: 8080, secure: false }],
  ] as const) {
    t.deepEqual(targetOf(new URL(url)), expected);
  }
});
