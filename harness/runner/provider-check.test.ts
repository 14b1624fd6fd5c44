import http from 'node:http';
import type { Duplex } from 'node:stream';
import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { StandInFaultKind } from '../stand-ins/stand-in-changes.ts';
import { openLaboratory } from './laboratory.ts';
import { builtInProviders, type ProviderEntry, providerEntry } from './provider-catalog.ts';
import {
  checkProvider,
  type ProviderCheck,
  type ProviderProblem,
  probeNeeds,
} from './provider-check.ts';
import { impersonateProvider } from './provider-stand-ins.ts';
import { RequestBudget } from './request-budget.ts';
import { ScriptedService, type ServiceAnswer, tonePcm } from './scripted-service.contract.ts';
import { ownCacheFolder } from './test-cache.contract.ts';

const laboratory = await openLaboratory(await ownCacheFolder());
const signal = new AbortController().signal;
const enough = () => new RequestBudget({ requests: 10, characters: 100 });

function openAi(url: string, more: Readonly<Record<string, unknown>> = {}): ProviderEntry {
  return providerEntry('mine', {
    platform: 'openai',
    url,
    api_key: 'sk-canary-4711',
    model: 'tts-of-the-house',
    voice: 'ash',
    stream: 'pcm',
    ...more,
  });
}

/** In virtual time, against what `place` puts on the network. */
async function checkVirtual(
  entry: ProviderEntry,
  place: (network: MemoryNetwork, clock: SimulatedClock) => Promise<unknown>,
): Promise<ProviderCheck> {
  const clock = new SimulatedClock();
  const random = createRandom(1, 'check');
  const network = new MemoryNetwork(clock, random.fork('network'));
  await place(network, clock);
  const deps = { clock, dialer: network, randomBytes: (count: number) => random.bytes(count) };
  return clock.run(checkProvider(entry, { deps, budget: enough(), signal }));
}

/** Over sockets, as `doctor --live` does. */
async function checkOverSockets(entry: ProviderEntry, budget = enough()): Promise<ProviderCheck> {
  const clock = new SystemClock();
  const random = createRandom(1, 'check');
  const dialer = new SocketNetwork({ clock, random, outside: [entry.endpoint] });
  const deps = { clock, dialer, randomBytes: (count: number) => random.bytes(count) };
  return checkProvider(entry, { deps, budget, signal });
}

test('a provider that works: when the connection, the first and the last audio were there', async (t) => {
  const place = { host: 'tts.example.com', port: 80 };
  const entry = openAi('http://tts.example.com/v1/audio/speech');
  const check = await checkVirtual(entry, async (network, clock) => {
    const server = http.createServer((request, response) => {
      request.resume();
      response.sendDate = false;
      // The head alone is no audio.
      clock.after(100_000, () =>
        response.writeHead(200, { 'content-type': 'audio/pcm' }).flushHeaders(),
      );
      clock.after(400_000, () => void response.write(tonePcm(24_000, 0.3)));
      clock.after(650_000, () => response.end(tonePcm(24_000, 0.2)));
    });
    network.setLink(place, { latencyUs: 0, jitterUs: 0, connectUs: 120_000 });
    await network.impersonate(place, (stream: Duplex) => void server.emit('connection', stream));
  });
  t.deepEqual(check, {
    outcome: 'ok',
    connectMs: 120,
    ttfbMs: 400,
    totalMs: 770,
    sourceRateHz: 24_000,
    audioMs: 500,
  });
});

test('every built-in provider passes against its stand-in, for what was foreseen', async (t) => {
  for (const entry of builtInProviders) {
    const clock = new SimulatedClock();
    const random = createRandom(1, 'check');
    const network = new MemoryNetwork(clock, random.fork('network'));
    const { voice, encoder } = laboratory;
    const { personality } = entry;
    await impersonateProvider(entry, network, {
      ...{ voice, encoder, clock, random, changes: {} },
      ...(personality === undefined ? {} : { personality }),
    });
    const deps = { clock, dialer: network, randomBytes: (count: number) => random.bytes(count) };
    const budget = enough();
    const check = await clock.run(checkProvider(entry, { deps, budget, signal }));
    t.is(check.outcome, 'ok', `${entry.name}: ${JSON.stringify(check)}`);
    t.deepEqual(budget.used, probeNeeds(entry), entry.name);
    t.deepEqual(probeNeeds(entry), { requests: 1, characters: 3 }, entry.name);
  }
});

/** In each provider's own form. gsv_tts has no words of its own for most of them. */
const faults: Readonly<Partial<Record<StandInFaultKind, ProviderProblem>>> = {
  auth: 'key',
  quota: 'quota',
  'rate-limit': 'rate limit',
  'bad-voice': 'voice',
  server: 'service',
  cut: 'cut off',
  empty: 'audio',
  stall: 'timeout',
};
for (const name of ['openai-stream', 'elevenlabs', 'cosyvoice']) {
  test(`${name}: each fault of a stand-in is named for what it is, in one line`, async (t) => {
    const entry = builtInProviders.find((other) => other.name === name)!;
    const { voice, encoder } = laboratory;
    for (const [kind, problem] of Object.entries(faults)) {
      const fault = { kind: kind as StandInFaultKind, afterFraction: 0.7 };
      const check = await checkVirtual(entry, (network, clock) =>
        impersonateProvider(entry, network, {
          ...{ voice, encoder, clock, random: createRandom(1), changes: { fault } },
        }),
      );
      t.like(check, { outcome: 'failed', problem }, `${kind}: ${JSON.stringify(check)}`);
      if (check.outcome === 'failed') t.notRegex(check.message, /\n/);
    }
  });
}

const openAiError = (status: number, code: string, message: string): ServiceAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '12' }) },
  body: [JSON.stringify({ error: { message, code, type: 'invalid_request_error' } })],
});
const noise = Buffer.from(createRandom(7).bytes(48_000));

const answers: readonly (readonly [string, ServiceAnswer, ProviderProblem, RegExp])[] = [
  [
    'a key that is echoed',
    openAiError(401, 'invalid_api_key', 'Incorrect API key provided: sk-canary-4711.'),
    'key',
    /\[redacted\].*Check "api_key"/,
  ],
  [
    'an account without credit',
    openAiError(429, 'insufficient_quota', 'You are broke.'),
    'quota',
    /You are broke/,
  ],
  [
    'too many requests, with the time to wait',
    openAiError(429, 'rate_limit_exceeded', 'Slow down.'),
    'rate limit',
    /Slow down\..* Try again in 12 s\.$/,
  ],
  [
    'an unknown voice',
    openAiError(400, 'unknown', 'Unknown voice: ash.'),
    'voice',
    /Unknown voice: ash/,
  ],
  [
    'an unknown model',
    openAiError(404, 'model_not_found', 'There is no tts-of-the-house.'),
    'model',
    /no tts-of-the-house/,
  ],
  ['a parameter it does not take', openAiError(400, 'bad', 'Nope.'), 'request', /Nope/],
  ['a defect of the service', { status: 503, body: ['overloaded'] }, 'service', /overloaded/],
  [
    'a web page',
    { headers: { 'content-type': 'text/html' }, body: ['<html><title>Log in</title></html>'] },
    'web page',
    /Log in.*Check that the URL/,
  ],
  [
    'JSON instead of audio',
    { headers: { 'content-type': 'application/json' }, body: ['{"hello": 1}'] },
    'answer',
    /application\/json instead of audio/,
  ],
  [
    'nothing at all',
    { headers: { 'content-type': 'audio/pcm' }, body: [] },
    'audio',
    /without any audio/,
  ],
  [
    'silence',
    { body: [Buffer.alloc(24_000)] },
    'audio',
    /500 ms of audio came, and nothing in it is above -50 dBFS/,
  ],
  ['a click instead of speech', { body: [tonePcm(24_000, 0.02)] }, 'audio', /took \d+ ms to say/],
  ['far too much', { body: [tonePcm(24_000, 15)] }, 'audio', /took 15000 ms to say/],
  ['compressed audio taken for samples', { body: [noise] }, 'audio', /noise at -\d dBFS/],
];
for (const [what, answer, problem, words] of answers) {
  test(`${what} is a problem of kind "${problem}"`, async (t) => {
    const service = await ScriptedService.open({ answer: () => answer });
    const check = await checkOverSockets(
      openAi(`http://127.0.0.1:${service.port}/v1/audio/speech`),
    );
    await service.close();
    t.is(service.requests.length, 1, 'nothing is asked twice');
    if (check.outcome === 'ok') return t.fail('it passed');
    t.is(check.problem, problem, check.message);
    t.regex(check.message, words);
    t.notRegex(check.message, /\n|canary/);
    t.true(check.message.length <= 240);
    return undefined;
  });
}

test('a name without an address, a closed port and an untrusted certificate are told apart', async (t) => {
  const service = await ScriptedService.open({ tls: true, answer: () => ({ body: [] }) });
  const plain = await ScriptedService.open({});
  await plain.close();
  for (const [url, problem, words] of [
    ['http://no-such-host.invalid/', 'host name', /No address was found for no-such-host\.invalid/],
    [`http://127.0.0.1:${plain.port}/`, 'refused', /ECONNREFUSED.*Check that a server listens/],
    [`https://localhost:${service.port}/`, 'TLS', /is not trusted.*NODE_EXTRA_CA_CERTS/],
  ] as const) {
    const check = await checkOverSockets(openAi(url));
    t.like(check, { outcome: 'failed', problem }, JSON.stringify(check));
    t.regex((check as { message: string }).message, words);
  }
  const socket = providerEntry('mine', {
    platform: 'elevenlabs',
    url: `wss://localhost:${service.port}/`,
    token: 'sk-canary-4711',
    voice: 'v',
  });
  t.like(await checkOverSockets(socket), { outcome: 'failed', problem: 'TLS' });
  await service.close();
  t.is(service.requests.length, 0, 'no request, and so no key, went over it');
});

test('a budget that is used up is no fault of the provider', async (t) => {
  const service = await ScriptedService.open({ answer: () => ({ body: [tonePcm(24_000, 0.5)] }) });
  const entry = openAi(`http://127.0.0.1:${service.port}/`);
  const budget = new RequestBudget({ requests: 1, characters: 100 });
  t.is((await checkOverSockets(entry, budget)).outcome, 'ok');
  t.like(await checkOverSockets(entry, budget), { outcome: 'failed', problem: 'limit' });
  await service.close();
  t.is(service.requests.length, 1);
});
