import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import test from 'ava';
import { WebSocket, WebSocketServer } from 'ws';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { createRandom } from '../random/random.ts';
import { Air } from './air.ts';
import { endpointOfUrl } from './endpoint-url.ts';
import type { LaboratoryNetwork } from './laboratory-network.ts';
import { LinkDirection, type LinkProfile } from './link.ts';
import { MemoryNetwork } from './memory-network.ts';
import { SocketNetwork } from './socket-network.ts';
import { testCertificate, testCertificateKey } from './test-certificate.contract.ts';

const place = { host: 'api.example.com', port: 443 };
const target = { ...place, secure: true };

function virtual(seed = 1): { clock: SimulatedClock; network: MemoryNetwork } {
  const clock = new SimulatedClock();
  return { clock, network: new MemoryNetwork(clock, createRandom(seed, 'network')) };
}

function direction(profile: LinkProfile, seed = 1): { air: Air; down: LinkDirection } {
  const air = new Air(profile, createRandom(seed, 'air'));
  return { air, down: new LinkDirection(air, 'down', createRandom(seed)) };
}

function httpServer(handler: http.RequestListener): (stream: Duplex) => void {
  const server = http.createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
    handler,
  );
  return (stream) => void server.emit('connection', stream);
}

async function get(
  network: LaboratoryNetwork,
): Promise<{ status: number; body: string; chunks: number }> {
  const stream = await network.dial(target);
  const options = { host: place.host, path: '/x', createConnection: () => stream as never };
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.get(options, resolve).on('error', reject);
  });
  let body = '';
  let chunks = 0;
  for await (const chunk of response) {
    chunks++;
    body += chunk;
  }
  stream.destroy();
  return { status: response.statusCode ?? 0, body, chunks };
}

test('HTTP over memory takes exactly the latency of the link, each way, and its connect time', async (t) => {
  const { clock, network } = virtual();
  network.setLink(place, { latencyUs: 10_000, jitterUs: 0, connectUs: 50_000 });
  const seen: number[] = [];
  await network.impersonate(
    place,
    httpServer((_request, response) => {
      seen.push(clock.nowUs());
      response.sendDate = false;
      response.write('a');
      clock.after(5_000, () => response.end('b'));
    }),
  );
  const answer = await clock.run(get(network));
  t.deepEqual(answer, { status: 200, body: 'ab', chunks: 2 });
  t.deepEqual(seen, [60_000]);
  t.is(clock.nowUs(), 75_000);
});

test('bandwidth delays the end of a transfer by its size', async (t) => {
  const { down } = direction({ latencyUs: 1_000, jitterUs: 0, bytesPerSecond: 1_000_000 });
  t.is(down.arrivalUs(10_000, 0), 11_000);
  t.is(down.arrivalUs(10_000, 0), 21_000, 'the line is busy with the first piece');
  t.is(down.arrivalUs(10_000, 100_000), 111_000);
});

test('jitter never reorders', (t) => {
  const { down } = direction({ latencyUs: 1_000, jitterUs: 50_000 }, 5);
  let last = 0;
  for (let now = 0; now < 1_000_000; now += 1_000) {
    const at = down.arrivalUs(100, now);
    t.true(at >= last && at >= now + 1_000);
    last = at;
  }
});

test('what would arrive during a stall arrives at its end', (t) => {
  const { air, down } = direction({ latencyUs: 1_000, jitterUs: 0 });
  air.stall('down', { fromUs: 5_000, untilUs: 20_000 });
  t.deepEqual(
    [0, 3_999, 4_000, 10_000, 18_999, 19_000].map((now) => down.arrivalUs(1, now)),
    [1_000, 4_999, 20_000, 20_000, 20_000, 20_000],
  );
  t.is(down.arrivalUs(1, 30_000), 31_000);
});

test('a window limits what is under way, and a reader that stops stops the writer', async (t) => {
  const { clock, network } = virtual();
  network.setLink(place, { latencyUs: 10_000, jitterUs: 0, windowBytes: 1_000 });
  let accepted: Duplex | undefined;
  await network.impersonate(place, (stream) => {
    accepted = stream;
  });
  await clock.run(
    (async () => {
      const client = await network.dial(target);
      const start = clock.nowUs();
      accepted!.write(Buffer.alloc(5_000, 7));
      let bytes = 0;
      const arrivals: number[] = [];
      while (bytes < 5_000) {
        const chunk: Buffer | null = client.read();
        if (chunk === null) await new Promise((resolve) => client.once('readable', resolve));
        else {
          bytes += chunk.length;
          arrivals.push((clock.nowUs() - start) / 1_000);
        }
      }
      t.deepEqual(arrivals, [10, 30, 50, 70, 90], 'one window per round trip');

      accepted!.write(Buffer.alloc(200_000));
      await clock.sleep(1_000_000);
      const stuck = accepted!.writableLength;
      await clock.sleep(5_000_000);
      t.true(stuck > 0);
      t.is(accepted!.writableLength, stuck, 'nothing moves while nobody reads');
      client.destroy();
    })(),
  );
});

test('destroying one end ends the other, resetting it fails the other', async (t) => {
  const { clock, network } = virtual();
  network.setLink(place, { latencyUs: 3_000, jitterUs: 0 });
  const ends: string[] = [];
  await network.impersonate(place, (stream) => {
    stream.resume();
    stream.on('end', () => ends.push(`end ${clock.nowUs()}`));
    stream.on('error', (error: NodeJS.ErrnoException) => ends.push(`${error.code}`));
  });
  await clock.run(
    (async () => {
      const first = await network.dial(target);
      first.destroy();
      await clock.sleep(10_000);
      const second = await network.dial(target);
      second.on('error', () => {});
      network.disturb(place, { kind: 'drop' });
      await clock.sleep(10_000);
      t.true(second.destroyed);
    })(),
  );
  t.deepEqual(ends, ['end 9000', 'ECONNRESET']);
});

test('an absent server breaks what is open and refuses what is new, until it is back', async (t) => {
  const { clock, network } = virtual();
  await network.impersonate(place, (stream) => stream.on('error', () => {}));
  await clock.run(
    (async () => {
      const open = await network.dial(target);
      open.on('error', () => {});
      network.disturb(place, { kind: 'away', durationUs: 500_000 });
      t.true(open.destroyed);
      await t.throwsAsync(network.dial(target), { code: 'NETWORK_REFUSED' } as never);
      await clock.sleep(499_999);
      await t.throwsAsync(network.dial(target), { code: 'NETWORK_REFUSED' } as never);
      await clock.sleep(1);
      (await network.dial(target)).destroy();
      network.disturb(place, { kind: 'away' });
      await clock.sleep(3_600_000_000);
      await t.throwsAsync(network.dial(target), { code: 'NETWORK_REFUSED' } as never);
    })(),
  );
});

test('a host nobody answers for is refused with the names that are known', async (t) => {
  const { clock, network } = virtual();
  await network.impersonate(place, () => {});
  const error = await t.throwsAsync<Error & { code: string; hint: string }>(
    clock.run(network.dial({ host: 'nowhere.example.com', port: 80, secure: false })),
  );
  t.is(error.code, 'NETWORK_REFUSED');
  t.regex(error.hint, /api\.example\.com:443/);
  await t.throwsAsync(
    network.listen(place, () => {}),
    { code: 'NETWORK_PORT_TAKEN' },
  );
});

async function echoOverWebSocket(
  network: LaboratoryNetwork,
  clock: { nowUs(): number },
): Promise<{ texts: string[]; times: number[]; code: number }> {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const web = http.createServer();
  web.on('upgrade', (request, socket, head) => {
    server.handleUpgrade(request, socket, head, (peer) => {
      peer.on('message', (data) => peer.send(`echo ${String(data)}`));
    });
  });
  const listener = await network.impersonate(
    place,
    (stream) => void web.emit('connection', stream),
  );
  const stream = await network.dial(target);
  const client = new WebSocket('ws://api.example.com/x', {
    createConnection: () => stream as never,
    perMessageDeflate: false,
  });
  const texts: string[] = [];
  const times: number[] = [];
  await new Promise((resolve) => client.once('open', resolve));
  const closed = new Promise<number>((resolve) => client.once('close', resolve));
  client.on('message', (data) => {
    texts.push(String(data));
    times.push(clock.nowUs());
    if (texts.length === 3) client.close(1000);
    else client.send(`${texts.length}`);
  });
  client.send('0');
  const code = await closed;
  await listener.close();
  return { texts, times, code };
}

test('the ws package talks over memory in virtual time and over sockets in real time alike', async (t) => {
  const { clock, network } = virtual();
  network.setLink(place, { latencyUs: 2_000, jitterUs: 0 });
  const simulated = await clock.run(echoOverWebSocket(network, clock));
  t.deepEqual(simulated.times, [12_000, 16_000, 20_000]);

  const systemClock = new SystemClock();
  const sockets = new SocketNetwork({
    clock: systemClock,
    random: createRandom(1),
    outside: [],
  });
  sockets.setLink(place, { latencyUs: 2_000, jitterUs: 0 });
  const real = await echoOverWebSocket(sockets, systemClock);
  t.deepEqual(real.texts, simulated.texts);
  t.is(real.code, simulated.code);
  t.true(real.times[2]! - real.times[0]! >= 8_000);
});

test('two simulations with jitter and one seed have identical timings, another seed has not', async (t) => {
  const times = async (seed: number): Promise<number[]> => {
    const { clock, network } = virtual(seed);
    network.setLink(place, { latencyUs: 2_000, jitterUs: 9_000 });
    return (await clock.run(echoOverWebSocket(network, clock))).times;
  };
  t.deepEqual(await times(3), await times(3));
  t.notDeepEqual(await times(3), await times(4));
});

test('sockets refuse to leave the machine, and name a taken port', async (t) => {
  const network = new SocketNetwork({
    clock: new SystemClock(),
    random: createRandom(1),
    outside: [],
  });
  await t.throwsAsync(network.dial({ host: 'api.openai.com', port: 443, secure: true }), {
    code: 'NETWORK_OUTSIDE_FORBIDDEN',
  });
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
    stream.destroy(),
  );
  const error = await t.throwsAsync<Error & { code: string }>(
    network.listen(listener.endpoint, () => {}),
  );
  t.is(error.code, 'NETWORK_PORT_TAKEN');
  await listener.close();
  await t.throwsAsync(network.dial({ ...listener.endpoint, secure: false }), {
    code: 'NETWORK_REFUSED',
  });
});

test('of the endpoints outside only the listed ones may be dialed, port by port', async (t) => {
  const network = new SocketNetwork({
    clock: new SystemClock(),
    random: createRandom(1),
    outside: [{ host: 'api.example.invalid', port: 443 }],
  });
  const allowed = { host: 'api.example.invalid', port: 443, secure: true };
  // `.invalid` has no address anywhere (RFC 2606): the refusal comes from the name service.
  await t.throwsAsync(network.dial(allowed), { code: 'NETWORK_NOT_FOUND' });
  for (const other of [
    { ...allowed, port: 8443 },
    { ...allowed, host: 'example.invalid' },
  ]) {
    const error = await t.throwsAsync<Error & { code: string; hint: string }>(network.dial(other));
    t.is(error.code, 'NETWORK_OUTSIDE_FORBIDDEN');
    t.regex(error.hint, /api\.example\.invalid:443/);
  }
});

test('an endpoint is read from a URL with the port of its scheme, also for IPv6', (t) => {
  const read = (url: string) => {
    const { host, port } = endpointOfUrl(new URL(url));
    return [host, port];
  };
  t.deepEqual(read('https://api.example.com/v1'), ['api.example.com', 443]);
  t.deepEqual(read('wss://api.example.com'), ['api.example.com', 443]);
  t.deepEqual(read('http://localhost/'), ['localhost', 80]);
  t.deepEqual(read('ws://[::1]:9094/x'), ['::1', 9094]);
});

async function withTlsServer<T>(use: (port: number) => Promise<T>): Promise<T> {
  const server = https.createServer({ cert: testCertificate, key: testCertificateKey });
  server.on('request', (_request, response) => response.end('over TLS'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('a certificate that nobody vouches for is refused before a byte is sent', async (t) => {
  const network = new SocketNetwork({
    clock: new SystemClock(),
    random: createRandom(1),
    outside: [],
  });
  await withTlsServer(async (port) => {
    const error = await t.throwsAsync<Error & { code: string; hint: string }>(
      network.dial({ host: 'localhost', port, secure: true }),
    );
    t.is(error.code, 'NETWORK_TLS');
    t.regex(error.message, /certificate of localhost:\d+ is not trusted: .+ \([A-Z_]+\)\.$/);
    t.regex(error.hint, /NODE_EXTRA_CA_CERTS/);
  });
});

test('a port that does not speak TLS is told from one that nobody listens at', async (t) => {
  const network = new SocketNetwork({
    clock: new SystemClock(),
    random: createRandom(1),
    outside: [],
  });
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => {});
    stream.resume();
    stream.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  const target = { ...listener.endpoint, secure: true };
  const error = await t.throwsAsync<Error & { code: string }>(network.dial(target));
  t.is(error.code, 'NETWORK_TLS');
  t.regex(error.message, /^No TLS with 127\.0\.0\.1:\d+: /);
  await listener.close();
  await t.throwsAsync(network.dial(target), { code: 'NETWORK_REFUSED' });
});
