import type { Duplex } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { connection, head, type PlantedStep, target } from './planted-wire.contract.ts';
import { recordedTraffic } from './recorded-exchange.ts';
import type { ReplayDeviation } from './recorded-provider.ts';
import { ThreadedProvider } from './threaded-provider.ts';

const body = '{"voice":"ash","input":"Hi."}';

async function opened(
  t: ExecutionContext,
  ...connections: readonly (readonly PlantedStep[])[]
): Promise<{ clock: SystemClock; provider: ThreadedProvider; deviations: ReplayDeviation[] }> {
  t.timeout(60_000);
  const clock = new SystemClock();
  const deviations: ReplayDeviation[] = [];
  const provider = await ThreadedProvider.open({
    traffic: recordedTraffic(connections.map((steps, index) => connection(index + 1, steps))),
    clock,
    onDeviation: (deviation) => deviations.push(deviation),
  });
  t.teardown(() => provider.close());
  return { clock, provider, deviations };
}

/** What a client hears until it hears no more, piece by piece. */
function heard(stream: Duplex): Promise<string[]> {
  const pieces: string[] = [];
  stream.on('data', (chunk: Buffer) => pieces.push(chunk.toString('latin1')));
  return new Promise((resolve) => {
    stream.on('end', () => pieces.push('end'));
    stream.on('error', ({ code }: NodeJS.ErrnoException) => pieces.push(`error ${code}`));
    stream.on('close', () => resolve(pieces));
  });
}

test.serial(
  'in a thread of its own a recording answers with its bytes, ends and breaks',
  async (t) => {
    const { provider, deviations } = await opened(
      t,
      [
        [1_000, 'open'],
        [1_000, 'head', head(body)],
        [1_000, 'body', body],
        [3_000, 'received', 'one'],
        [4_000, 'received', 'two'],
        [9_000, 'end'],
      ],
      [
        [20_000, 'open'],
        [20_000, 'head', head(body)],
        [20_000, 'body', body],
        [21_000, 'received', 'half'],
        [22_000, 'broken', 'ECONNRESET'],
      ],
      [[40_000, 'refused', 'Nobody is there.']],
      [[60_000, 'abandoned']],
    );
    for (const expected of [
      ['one', 'two', 'end'],
      ['half', 'error ECONNRESET'],
    ]) {
      const stream = await provider.dial(target);
      const pieces = heard(stream);
      stream.write(head(body));
      stream.write(body);
      t.deepEqual(await pieces, expected);
    }
    await t.throwsAsync(provider.dial(target), {
      name: 'NetworkError',
      code: 'NETWORK_REFUSED',
      message: 'Nobody is there.',
    });
    const stop = new AbortController();
    const given = provider.dial(target, stop.signal);
    stop.abort(new Error('enough'));
    await t.throwsAsync(given, { message: 'enough' });
    const lag = await provider.finish();
    t.is(lag?.n, 3);
    t.deepEqual(deviations, []);
  },
);

test.serial('what differs from the recording, or is missing, is told across threads', async (t) => {
  const { provider, deviations } = await opened(t, [
    [1_000, 'open'],
    [1_000, 'head', head(body)],
    [1_000, 'body', body],
    [3_000, 'received', 'one'],
  ]);
  const stream = await provider.dial(target);
  const pieces = heard(stream);
  const other = body.replace('ash', 'oak');
  stream.write(head(other) + other);
  t.deepEqual(await pieces, ['error ECONNRESET']);
  t.is(await provider.finish(), null);
  t.deepEqual(
    deviations.map(({ code }) => code),
    ['REPLAY_REQUEST_DIFFERS', 'REPLAY_REQUEST_MISSING'],
  );
  t.deepEqual(deviations[0]!.differences, [
    { where: 'body, voice', recorded: '"ash"', now: '"oak"' },
  ]);
});

test.serial('a client that is busy does not make the recording late', async (t) => {
  const count = 100;
  const { clock, provider } = await opened(t, [
    [1_000, 'open'],
    [1_000, 'head', head(body)],
    [1_000, 'body', body],
    ...Array.from(
      { length: count },
      (_, piece): PlantedStep => [6_000 + 3_000 * piece, 'received', `piece ${piece}`],
    ),
    [400_000, 'end'],
  ]);
  const stream = await provider.dial(target);
  const pieces = heard(stream);
  stream.write(head(body) + body);
  // An event loop that does nothing else for 300 ms: the pieces of all of them are due meanwhile.
  const untilUs = clock.nowUs() + 310_000;
  while (clock.nowUs() < untilUs);
  t.is((await pieces).length, count + 1);
  const lag = await provider.finish();
  t.is(lag?.n, count);
  // In the loop of the client the piece in the middle would be 150 ms late.
  t.true(lag!.p50Us < 20_000, `p50 ${lag!.p50Us} µs, max ${lag!.maxUs} µs`);
});
