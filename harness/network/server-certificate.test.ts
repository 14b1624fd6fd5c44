import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock, wallClockOf } from '../clock/system-clock.ts';
import { SocketTask } from '../device/socket-task.ts';
import { createRandom } from '../random/random.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { promptServer } from '../server/server-laboratory.contract.ts';
import { type CertificateError, readServerCertificate } from './server-certificate.ts';
import { SocketNetwork } from './socket-network.ts';
import { testAuthority, testCertificate, testCertificateKey } from './test-certificate.contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-certificate-'));
test.after.always(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const nowMs = wallClockOf('Jun  1 00:00:00 2026 GMT');

test('material that cannot be used is told before a client finds out', (t) => {
  const cert = file('cert.pem', testCertificate);
  const key = file('key.pem', testCertificateKey);
  t.is(readServerCertificate({ cert, key }, nowMs).cert, testCertificate);

  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const other = file('other.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const cases: [string, () => unknown][] = [
    ['TLS_UNREADABLE', () => readServerCertificate({ cert: join(folder, 'none'), key }, nowMs)],
    ['TLS_INVALID', () => readServerCertificate({ cert: key, key }, nowMs)],
    ['TLS_INVALID', () => readServerCertificate({ cert, key: cert }, nowMs)],
    ['TLS_KEY_MISMATCH', () => readServerCertificate({ cert, key: other }, nowMs)],
    // The certificate is valid from 2020 to 2120.
    ['TLS_EXPIRED', () => readServerCertificate({ cert, key }, wallClockOf('2121-01-01'))],
    ['TLS_NOT_YET_VALID', () => readServerCertificate({ cert, key }, wallClockOf('2019-01-01'))],
  ];
  for (const [code, read] of cases) {
    t.is(t.throws<CertificateError>(read as () => never)!.code, code as CertificateError['code']);
  }
});

test('a board that speaks TLS talks to a server over wss, when it trusts its authority, and only then', async (t) => {
  t.timeout(30_000);
  const clock = new SystemClock();
  const random = createRandom(1);
  const options = { clock, random, outside: [] };
  const server = createAdapterServer(promptServer(clock));
  const listener = await new SocketNetwork(options).listen(
    { host: '127.0.0.1', port: 0 },
    (stream) => server.accept(stream),
    { cert: testCertificate, key: testCertificateKey },
  );
  t.teardown(async () => {
    await server.close();
    await listener.close();
  });
  /** Messages until the answer is over, or why there is no connection. */
  const talk = (network: SocketNetwork): Promise<number | string> =>
    new Promise((resolve) => {
      const task = new SocketTask({
        url: `wss://127.0.0.1:${listener.endpoint.port}/ws/a1b2c3d4e5f6?opus=true`,
        offersCompression: true,
        refusesSecure: false,
        speaksTls: true,
        clock,
        dialer: network,
        random,
        onOpen: () => task.send('{"event":"Text","input":"Hello"}', () => {}),
        onFailure: resolve,
        onArrival: () => {
          const over = task.arrivals.some(
            (arrival) =>
              arrival.kind === 'binary' && Buffer.from(arrival.data).includes('EndResponse'),
          );
          if (over) {
            resolve(task.arrivals.length);
            task.drop();
          }
        },
      });
    });
  const trusting = new SocketNetwork({ ...options, authorities: testAuthority });
  // ASR, StartAudio, five packets of 120 ms for half a second, EndAudio, EndResponse.
  t.is(await talk(trusting), 9);
  t.regex(String(await talk(new SocketNetwork(options))), /is not trusted/);
});
