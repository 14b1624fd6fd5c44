import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { Service, textOf } from './service-call.ts';

const request = { headers: { 'Content-Type': 'text/plain' }, body: Buffer.from('question') };

/** A service that answers each request with the bytes of `answer`, 100 ms after it has come. */
async function withService<T>(
  answer: string | 'close',
  script: (service: Service, clock: SimulatedClock, asked: string[]) => Promise<T>,
): Promise<T> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const asked: string[] = [];
  await network.listen({ host: 'service', port: 80 }, (stream) => {
    stream.on('error', () => {});
    stream.on('data', (piece: Buffer) => {
      asked.push(piece.toString());
      if (!piece.toString().includes('question')) return;
      clock.after(100_000, () => (answer === 'close' ? stream.destroy() : stream.write(answer)));
    });
  });
  const service = new Service('http://service/path?x=1', { clock, dialer: network });
  try {
    return await clock.run(script(service, clock, asked));
  } finally {
    service.close();
  }
}

const whole = 'HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nanswer';

test('the request goes out as it was given, and the answer comes back', async (t) => {
  await withService(whole, async (service, clock, asked) => {
    const answer = await service.post(request, new AbortController().signal);
    t.is(answer.status, 201);
    t.is(await textOf(answer), 'answer');
    t.is(clock.nowUs(), 100_000);
    const sent = asked.join('');
    t.true(sent.startsWith('POST /path?x=1 HTTP/1.1\r\n'));
    t.true(sent.includes('Host: service\r\n') && sent.includes('Content-Length: 8\r\n'));
  });
});

test('a connection that breaks is an error with the name of the service', async (t) => {
  for (const answer of ['close', 'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalf']) {
    await withService(answer, async (service, clock) => {
      const run = async (): Promise<string> => {
        const head = await service.post(request, new AbortController().signal);
        clock.after(50_000, () => service.close());
        return textOf(head);
      };
      await t.throwsAsync(run(), { message: /service/, code: 'SERVICE_UNREACHABLE' });
    });
  }
});

test('an abort ends the call in the same instant, before and in the body', async (t) => {
  const reason = new Error('enough');
  for (const [answer, atUs] of [
    [whole, 50_000],
    ['HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalf', 150_000],
  ] as const) {
    await withService(answer, async (service, clock) => {
      const stop = new AbortController();
      clock.after(atUs, () => stop.abort(reason));
      const run = async (): Promise<string> => textOf(await service.post(request, stop.signal));
      t.is(await t.throwsAsync(run()), reason);
      t.is(clock.nowUs(), atUs);
    });
  }
});

test('a request that is not admitted is not made', async (t) => {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  let connections = 0;
  await network.listen({ host: 'service', port: 80 }, () => {
    connections += 1;
  });
  const admit = (): void => {
    throw new Error('used up');
  };
  const service = new Service('http://service/', { clock, dialer: network, admit });
  const asked = service.post(request, new AbortController().signal);
  await clock.run(t.throwsAsync(asked, { message: 'used up' }));
  t.is(connections, 0);
});
