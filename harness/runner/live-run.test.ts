/** Conversations with "real" services: servers of the tests on this machine, reached by their URL. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { encodeWav } from '../trace/wav-file.ts';
import {
  liveBuiltIn,
  type ProviderEntry,
  providerEntry,
  standInValue,
} from './provider-catalog.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';
import { RequestBudget } from './request-budget.ts';
import {
  ScriptedService,
  type ServiceAnswer,
  type ServiceRequest,
  type ServiceScript,
  tonePcm,
  toneSamples,
} from './scripted-service.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const canary = 'sk-canary-"4711"/secret';

/** The canary as it is, and as JSON, URLs and headers carry it. */
const canaries = [
  canary,
  JSON.stringify(canary).slice(1, -1),
  encodeURIComponent(canary),
  Buffer.from(canary).toString('base64'),
];

function openAi(port: number) {
  return providerEntry('real', {
    platform: 'openai',
    url: `http://127.0.0.1:${port}/v1/audio/speech`,
    model: 'tts-of-the-house',
    api_key: canary,
    voice: 'ash',
    stream: 'pcm',
  });
}

function scenarioWith(name: string, turns: number) {
  const turn = `
[[turn]]
say = "Please go on, how far is it?"
timeout_ms = 15000
reply = "Well, well."
reply_pace = { first_token_ms = 20, tokens_per_second = 200 }
`;
  return scenarioOf(name, turn.repeat(turns));
}

/** A machine that is too busy for real time misses what is said now and then: three attempts. */
async function speakLive(
  script: ServiceScript,
  entryAt: (port: number) => ProviderEntry,
  turns: number,
  budget?: () => RequestBudget,
): Promise<{ cell: RecordedConversation; service: ScriptedService; budget?: RequestBudget }> {
  for (let attempt = 1; ; attempt++) {
    const service = await ScriptedService.open(script);
    const limit = budget?.();
    const [cell] = await runner.run(scenarioWith('live', turns), {
      ...{ time: 'real', live: true },
      ...(limit === undefined ? {} : { budget: limit }),
      entries: [entryAt(service.port)],
      providers: ['real'],
    });
    await service.close();
    const missed = cell!.measurement.turns.some(({ failure }) => failure?.by === 'turn');
    if (missed && attempt < 3) continue;
    return { cell: cell!, service, ...(limit === undefined ? {} : { budget: limit }) };
  }
}

function filesOf({ path }: RecordedConversation): { name: string; content: Buffer }[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => ({ name, content: readFileSync(join(parentPath, name)) }));
}

const audio: ServiceAnswer = {
  headers: { 'content-type': 'audio/pcm' },
  body: [tonePcm(24_000, 0.3), tonePcm(24_000, 0.4)],
};

test.serial('a live cell is spoken by the real service, and says so everywhere', async (t) => {
  const { cell, service, budget } = await speakLive(
    { answer: () => audio },
    openAi,
    2,
    () => new RequestBudget({ requests: 5, characters: 100 }),
  );
  const place = `127.0.0.1:${service.port}`;
  const { verdict, recorded, host, measurement, path } = cell;
  t.is(verdict.outcome, 'pass', JSON.stringify(verdict.failures));
  t.is(service.requests.length, 2);
  t.is(service.requests[0]!.headers.authorization, `Bearer ${canary}`);
  t.is(JSON.parse(service.requests[0]!.body).input, 'Well, well.');
  t.is(measurement.turns.length, 2);
  t.is(recorded.provider.get(1)?.length, 11_200);
  t.deepEqual(budget!.used, { requests: 2, characters: 22 });

  t.is(host, place);
  t.is(recorded.header.live, place);
  t.is(recorded.header.time, 'real');
  const manifest = readFileSync(join(path, 'manifest.toml'), 'utf8');
  t.true(manifest.includes('live = true'), manifest);
  t.true(manifest.includes(`host = "${place}"`), manifest);
});

test.serial('a key that a service echoes is in no file of the recording', async (t) => {
  const echo = JSON.stringify({ error: { message: `no such key ${canary}`, code: canary } });
  const cut = echo.indexOf('4711') + 2;
  const pieces = [echo.slice(0, cut), echo.slice(cut)];
  const headers = { 'x-request-id': canary, 'www-authenticate': `Bearer ${canary}` };
  const answers: ServiceAnswer[] = [
    { status: 401, headers, body: pieces },
    { headers: { ...headers, 'content-type': `application/json; k="${canary}"` }, body: pieces },
    { status: 500, headers, body: [`<html><title>${canary}</title>`, encodeURIComponent(canary)] },
    {
      headers: { ...headers, 'content-type': 'audio/pcm' },
      body: [tonePcm(24_000, 0.2), Buffer.from(`${canary}.`), tonePcm(24_000, 0.2)],
    },
  ];
  const script = { answer: ({ ordinal }: ServiceRequest) => answers[ordinal - 1] ?? audio };
  const { cell, service } = await speakLive(script, openAi, answers.length);
  t.is(service.requests.length, answers.length);
  const kinds = cell.measurement.turns.map(({ failure, outcome }) => failure?.kind ?? outcome);
  t.deepEqual(kinds, ['auth', 'protocol', 'server', 'ok']);
  const files = filesOf(cell);
  t.true(files.length > 10);
  for (const { name, content } of files) {
    for (const form of canaries) t.false(content.includes(form), `${name} holds ${form}`);
  }
  const failures = cell.measurement.turns.map(({ failure }) => failure?.message ?? '').join('\n');
  t.regex(failures, /no such key \[redacted\]/);
  for (const form of canaries) t.false(JSON.stringify(cell.verdict).includes(form));
  const received = files.find(({ name }) => name === '4.received')!.content.toString('latin1');
  t.true(received.includes(`${'*'.repeat(canary.length)}.`), 'the rest is as it arrived');
});

test.serial('a key that comes back over a WebSocket is in no file either', async (t) => {
  const script: ServiceScript = {
    socket: ({ ordinal }, accept) => {
      if (ordinal === 1) {
        return { status: 403, headers: { 'request-id': canary }, body: [`{"detail":"${canary}"}`] };
      }
      void accept().then((socket) => {
        socket.on('message', () => {
          socket.send(
            JSON.stringify({ message: `key ${canary}`, error: 'quota_exceeded', code: 1008 }),
          );
          socket.close(1008, `no ${canary}`);
        });
      });
      return undefined;
    },
  };
  const elevenLabs = (port: number) =>
    providerEntry('real', {
      platform: 'elevenlabs',
      url: `ws://127.0.0.1:${port}/v1/text-to-speech`,
      token: canary,
      voice: 'v',
    });
  const { cell } = await speakLive(script, elevenLabs, 2);
  t.deepEqual(
    cell.measurement.turns.map(({ failure }) => failure?.kind),
    ['auth', 'quota'],
  );
  t.is(cell.verdict.outcome, 'infra', 'neither says anything about the product');
  for (const { name, content } of filesOf(cell)) {
    for (const form of canaries) t.false(content.includes(form), `${name} holds ${form}`);
  }
});

test.serial('a model that rewrites the text is asked too, and counts as a request', async (t) => {
  const script: ServiceScript = {
    answer: ({ url }) =>
      url.endsWith('/chat/completions')
        ? {
            headers: { 'content-type': 'application/json' },
            body: [
              JSON.stringify({
                choices: [{ message: { content: 'Well, well, well.' }, finish_reason: 'stop' }],
              }),
            ],
          }
        : { body: [encodeWav(toneSamples(0.5))] },
  };
  // One gateway for both, as nobody could stand in for it.
  const gateway = (port: number) =>
    providerEntry('real', {
      platform: 'gsv',
      url: `http://127.0.0.1:${port}/v1/audio/speech`,
      speaker: 'texan',
      text_optimization: { url: `http://127.0.0.1:${port}/v1/chat/completions`, api_key: canary },
    });
  const { cell, service, budget } = await speakLive(
    script,
    gateway,
    1,
    () => new RequestBudget({ requests: 5, characters: 100 }),
  );
  t.is(cell.verdict.outcome, 'pass', JSON.stringify(cell.verdict.failures));
  t.deepEqual(
    service.requests.map(({ url }) => url),
    ['/v1/chat/completions', '/v1/audio/speech'],
  );
  // 11 characters of the reply were foreseen; what was spoken instead has 17.
  t.deepEqual(budget!.used, { requests: 2, characters: 17 });
  for (const { name, content } of filesOf(cell)) t.false(content.includes(canary), name);
});

test.serial('a live run may reach its own service and no other address', async (t) => {
  const entry = openAi(9);
  const [cell] = await runner.run(scenarioWith('elsewhere', 1), {
    ...{ time: 'real', live: true },
    // As an adapter would that follows a redirect or calls home.
    entries: [
      {
        ...entry,
        tts: {
          ...entry.tts,
          config: { ...(entry.tts.config as object), url: 'https://elsewhere.invalid/' },
        },
      },
    ],
    providers: ['real'],
  });
  t.is(cell!.measurement.turns[0]?.failure?.kind, 'network');
  t.regex(cell!.measurement.turns[0]!.failure!.message, /outside this machine/);
});

test('a built-in provider takes its key from the environment, never the one for stand-ins', (t) => {
  const entry = liveBuiltIn('openai', { OPENAI_API_KEY: 'sk-of-mine' });
  t.like(entry.tts.config, { apiKey: 'sk-of-mine', model: 'gpt-4o-mini-tts' });
  t.true(entry.tts.secrets.includes('sk-of-mine'));
  t.is(standInValue(entry), undefined);
  for (const name of ['openai', 'openai-stream', 'groq', 'elevenlabs', 'cosyvoice']) {
    t.throws(() => liveBuiltIn(name, {}), { code: 'CONFIG_MISSING_KEY' }, name);
  }
  // A server of one's own has no key.
  t.is(liveBuiltIn('stream_gsv', {}).endpoint.port, 9094);
});

test('values of stand-ins are found in a configuration, unless they stay on this machine', (t) => {
  const table = { platform: 'openai', api_key: 'sk_stand_in' };
  t.is(standInValue(providerEntry('x', table)), 'sk_stand_in');
  t.is(standInValue(providerEntry('x', { ...table, url: 'http://127.0.0.1:9100/v1' })), undefined);
  const voice = { platform: 'elevenlabs', token: 'mine', voice: 'YOUR-VOICE-ID' };
  t.is(standInValue(providerEntry('x', voice)), 'YOUR-VOICE-ID');
});
