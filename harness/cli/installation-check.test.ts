import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Alarm, Clock } from '../clock/clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { CheckReport } from '../report/doctor-report.ts';
import { checkInstallation, oldestNode, type Surroundings } from './installation-check.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-doctor-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** Every alarm of 10 ms comes late by `lateUs`; reading it takes 3 µs. */
class PlantedClock implements Clock {
  readonly kind = 'real';
  readonly #lateUs: number;
  #nowUs = 0;

  constructor(lateUs: number) {
    this.#lateUs = lateUs;
  }

  nowUs(): number {
    this.#nowUs += 3;
    return this.#nowUs;
  }

  after(): Alarm {
    throw new Error('Nobody sets an alarm here.');
  }

  async sleep(delayUs: number): Promise<void> {
    this.#nowUs += delayUs + this.#lateUs;
  }
}

const network = new SocketNetwork({
  clock: new SystemClock(),
  random: createRandom(1),
  outside: [],
});

const healthy: Surroundings = {
  nodeVersion: 'v20.19.0',
  cacheFolder: join(folder, 'cache'),
  ffmpegPath: join(folder, 'no-ffmpeg'),
  clock: new PlantedClock(400),
  network,
  ports: [],
  load: async () => ({}),
  proxies: [],
};

async function check(name: string, change: Partial<Surroundings>): Promise<CheckReport> {
  const checks = await checkInstallation({ ...healthy, ...change });
  const found = checks.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`There is no check "${name}".`);
  return found;
}

test('the oldest Node is the one of package.json; one before it fails', async (t) => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { engines } = JSON.parse(text) as { engines: { node: string } };
  t.is(engines.node, `>=${oldestNode.major}.${oldestNode.minor}`);
  t.is((await check('Node', {})).status, 'ok');
  t.is((await check('Node', { nodeVersion: 'v24.0.1' })).status, 'ok');
  for (const nodeVersion of ['v20.18.3', 'v18.20.0']) {
    const { status, message } = await check('Node', { nodeVersion });
    t.is(status, 'fail', nodeVersion);
    t.regex(message, /too old: install 20\.19 or newer/);
  }
});

test('the offline voice says how long it took', async (t) => {
  t.like(await check('voice', {}), { status: 'ok' });
  t.regex((await check('voice', {})).message, /^\d\.\d s of offline speech made in \d+ ms$/);
});

test('a cache that cannot be written, a missing package and a proxy are notes', async (t) => {
  t.like(await check('cache', {}), { status: 'ok' });
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const cache = await check('cache', { cacheFolder: join(file, 'cache') });
  t.is(cache.status, 'note');
  t.regex(cache.message, /cannot be written.*ECHOKIT_HARNESS_CACHE/);

  t.is((await check('serialport', {})).status, 'ok');
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
  for (const [error, words] of [
    [missing, /^not installed;.*npm install serialport$/],
    [new Error('wrong ELF class\nand more'), /^cannot be loaded \(wrong ELF class\);/],
  ] as const) {
    const serial = await check('serialport', { load: () => Promise.reject(error) });
    t.is(serial.status, 'note');
    t.regex(serial.message, words);
  }

  t.like(await check('ffmpeg', {}), { status: 'note' });
  const proxy = await check('proxy', { proxies: ['HTTPS_PROXY'] });
  t.is(proxy.status, 'note');
  t.regex(proxy.message, /HTTPS_PROXY is set: this program connects directly/);
});

test('a port that is taken is named, with what to do about it', async (t) => {
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
    stream.destroy(),
  );
  const { endpoint } = listener;
  const ports = [{ command: 'serve', endpoints: [endpoint] }];
  const taken = await check('port of serve', { ports });
  t.is(taken.status, 'note');
  t.true(
    taken.message.startsWith(`127.0.0.1:${endpoint.port} cannot be listened on`),
    taken.message,
  );
  t.regex(taken.message, /serve takes --port/);
  await listener.close();
  t.deepEqual(await check('port of serve', { ports }), {
    name: 'port of serve',
    status: 'ok',
    message: `${endpoint.port} is free`,
  });
});

test('the lateness of alarms is measured, and too much of it is a note', async (t) => {
  // Between the two readings of the clock lie the lateness and the 3 µs of the reading itself.
  const quick = await check('clock', {});
  t.is(quick.status, 'ok');
  t.is(
    quick.message,
    'alarms are late by 0.40 ms (p50), 0.40 ms (p95), 0.40 ms (max); the clock has steps of 3 µs',
  );
  const slow = await check('clock', { clock: new PlantedClock(30_000) });
  t.is(slow.status, 'note');
  t.regex(slow.message, /30\.00 ms \(p95\).*This machine is busy/);
});
