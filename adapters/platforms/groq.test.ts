import type { ServerResponse } from 'node:http';
import test from 'ava';
import { pcmBytes, wavBytes } from '../audio/wav-fixture.contract.ts';
import { httpAnswers, httpWire } from '../scripted-wire.contract.ts';
import {
  type ContractSubject,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
  speechAdapterContract,
} from '../speech-adapter.contract.ts';
import { type GroqConfig, groqAdapter } from './groq.ts';
import { openAiAdapter } from './openai.ts';

const secret = 'gsk_very_secret';
const subject: ContractSubject<GroqConfig> = {
  adapter: groqAdapter,
  config: {
    url: 'https://api.groq.com/openai/v1/audio/speech',
    apiKey: secret,
    model: 'canopylabs/orpheus-v1-english',
    voice: 'hannah',
  },
  rateHz: 24_000,
  secret,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      contentType: 'audio/wav',
      wavRateHz: 24_000,
      refusal: {
        status: 401,
        body: `{"error":{"message":"Invalid API Key ${secret}","type":"invalid_request_error","code":"invalid_api_key"}}`,
      },
    }),
};
speechAdapterContract(test, subject);

type Answer = (response: ServerResponse) => void;
const answering = (answer: Answer) =>
  makeStage({ ...subject, wire: () => httpAnswers(answer) }, {});
const refusal =
  (status: number, error: object, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ error }));
  };
const speaking: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'audio/wav' });
  // 2 of 24 kHz are 1.33 of 16 kHz: each answer is converted and rounded by itself.
  response.end(wavBytes(pcmBytes([3_000, -3_000]), { rateHz: 24_000 }));
};

const sentence = 'The tides are made mostly by the moon, which is far away.';
const long = Array.from({ length: 9 }, () => sentence).join(' ');
const threeSentences = [sentence, sentence, sentence].join(' ');

test('the request is the one EchoKit sends', async (t) => {
  const stage = await makeStage(subject, {});
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi ', 'you.'), never())));
  t.deepEqual(stage.wire.log.received, [
    '{"model":"canopylabs/orpheus-v1-english","voice":"hannah","input":"Hi you.","response_format":"wav"}',
  ]);
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/openai/v1/audio/speech');
  t.is(headers.host, 'api.groq.com');
  t.is(headers.authorization, `Bearer ${secret}`);
  t.like(events[0]!, { url: subject.config.url, characters: 7 });
  await stage.finish();
});

test('a text above 200 characters is one utterance of several requests over one connection', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 30 });
  const events = await stage.clock.run(collect(stage.session.speak(said(long), never())));
  const inputs = stage.wire.log.received.map((body) => JSON.parse(body).input as string);
  t.deepEqual(inputs, [threeSentences, threeSentences, threeSentences]);
  t.is(stage.wire.log.connections, 1);

  const group = ['request', 'responseHead', 'audio'];
  const kinds = events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
  t.deepEqual(kinds, [...group, ...group, ...group, 'end']);
  const requests = events.filter((event) => event.type === 'request');
  t.deepEqual(
    requests.map(({ request, reused, characters }) => [request, reused, characters]),
    [1, 2, 3].map((request) => [request, request > 1, [...threeSentences].length]),
  );

  // What the three answers are by themselves, one after the other.
  const alone = await makeStage(subject, { samplesPerCharacter: 30 });
  const apart: number[] = [];
  for (const input of inputs) {
    const speaking = collect(alone.session.speak(said(input), never()));
    apart.push(...samplesOf(await alone.clock.run(speaking)));
  }
  t.deepEqual(samplesOf(events), apart);
  const frames = inputs.join('').length * 30;
  t.like(events.at(-1)!, { request: 3, sourceFrames: frames, samples: apart.length });
  t.is(events.at(-1)!.atUs, stage.clock.nowUs());
  await stage.finish();
  await alone.finish();
});

test('each part is delivered before the next one is asked for', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 30 });
  const events = await stage.clock.run(collect(stage.session.speak(said(long), never())));
  const requests = events.filter((event) => event.type === 'request');
  for (const { request, decidedUs, connectedUs } of requests.slice(1)) {
    const before = events.filter((event) => event.request === request - 1);
    t.true(before.every(({ atUs }) => atUs <= decidedUs));
    t.is(decidedUs, connectedUs);
  }
  await stage.finish();
});

test('a failure of a later part keeps what was delivered, ends the utterance and stops asking', async (t) => {
  const limited = refusal(429, { message: 'Slow down', type: 'requests' }, { 'retry-after': '2' });
  const broken: Answer = (response) => response.socket?.destroy();
  for (const [answer, kind, retryAfterMs] of [
    [limited, 'rate-limit', 2_000],
    [broken, 'network', undefined],
  ] as const) {
    let requests = 0;
    const stage = await answering((response) => (++requests === 2 ? answer : speaking)(response));
    const { events, error } = await outcomeOf(stage, [long]);
    t.like(error, { kind, retryAfterMs, deliveredSamples: 1 });
    t.is(samplesOf(events).length, 1);
    t.is(requests, 2);
    t.false(events.some(({ type }) => type === 'end'));
    await stage.finish();
  }
});

test('a connection that does not come for a later part is told with what was delivered', async (t) => {
  let dials = 0;
  const adapter: typeof groqAdapter = {
    ...groqAdapter,
    open(config, deps) {
      const dial: typeof deps.dialer.dial = (target, signal) =>
        ++dials === 1
          ? deps.dialer.dial(target, signal)
          : Promise.reject(new Error('nobody is there'));
      return groqAdapter.open(config, { ...deps, dialer: { dial } });
    },
  };
  const wire = () =>
    httpAnswers((response) => {
      response.setHeader('connection', 'close');
      speaking(response);
    });
  const stage = await makeStage({ ...subject, adapter, wire }, {});
  const { error } = await outcomeOf(stage, [long]);
  t.like(error, { kind: 'network', retryable: true, deliveredSamples: 1 });
  t.is(dials, 2);
  await stage.finish();
});

test('an abort between two parts asks for nothing more', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 30 });
  const stop = new AbortController();
  const reason = new Error('enough');
  const taking = (async () => {
    for await (const event of stage.session.speak(said(long), stop.signal)) {
      if (event.type === 'request' && event.request === 2) stop.abort(reason);
    }
  })();
  t.is(await stage.clock.run(taking.catch((error: unknown) => error)), reason);
  await stage.clock.run(stage.clock.sleep(1_000_000));
  t.is(stage.wire.log.open, 0);
  t.true(stage.wire.log.received.length <= 2);
});

test('a word above the limit is refused before anything is sent', async (t) => {
  const stage = await answering(speaking);
  const { error } = await outcomeOf(stage, [`${sentence} ${'a'.repeat(201)}`]);
  t.is(error.kind, 'too-long');
  t.is(stage.wire.log.connections, 0);
});

test('the limit is that of the models, behind any host; under openai it is that of the host', async (t) => {
  const url = 'http://proxy.lan/openai/v1/audio/speech';
  t.is(groqAdapter.capabilities({ ...subject.config, url }).charactersMax, 200);
  const stage = await makeStage({ ...subject, adapter: openAiAdapter }, {});
  await stage.clock.run(collect(stage.session.speak(said(long), never())));
  t.is(stage.wire.log.received.length, 3);
  await stage.finish();
});

// Section 5.1: the envelope has no `param` and mostly no `code`.
const invalid = 'invalid_request_error';
for (const [name, status, error, kind, providerCode] of [
  [
    'another format',
    400,
    ['response_format must be one of [wav]', invalid],
    'bad-request',
    invalid,
  ],
  ['a voice', 400, ['voice must be one of [autumn hannah]', invalid], 'bad-voice', invalid],
  ['the limit', 400, ['input must be at most 200 characters', invalid], 'too-long', invalid],
  ['no credit', 402, ['Payment required', 'billing'], 'quota', 'billing'],
  ['tokens per day', 429, ['Rate limit reached for model `X`', 'tokens'], 'rate-limit', 'tokens'],
  [
    'a defect',
    500,
    ['Internal Server Error', 'internal_server_error'],
    'server',
    'internal_server_error',
  ],
] as const) {
  test(`a refusal without a code is classified: ${name}`, async (t) => {
    const [message, type] = error;
    const stage = await answering(refusal(status, { message, type }));
    const { error: failed } = await outcomeOf(stage, ['Hello.']);
    t.like(failed, { kind, status, providerCode, deliveredSamples: 0 });
    t.true(failed.message.includes(message));
    await stage.finish();
  });
}

test('a rate limit carries its wait, and a shut down model what to set', async (t) => {
  const message = 'Rate limit reached for model `X` on tokens per day (TPD): Limit 3600';
  const limited = { message, type: 'tokens', code: 'rate_limit_exceeded' };
  const stage = await answering(refusal(429, limited, { 'retry-after': '870' }));
  const { error } = await outcomeOf(stage, ['Hello.']);
  t.like(error, { kind: 'rate-limit', retryable: true, retryAfterMs: 870_000 });
  const gone = { message: 'The model `playai-tts` does not exist', code: 'model_not_found' };
  const missing = await outcomeOf(await answering(refusal(404, gone)), ['Hello.']);
  t.is(missing.error.kind, 'bad-request');
  t.true(missing.error.message.includes('canopylabs/orpheus-v1-english'));
});

test('JSON and MP3 behind a 200 are protocol failures', async (t) => {
  for (const [body, words] of [
    [Buffer.from('{"error":{"message":"overloaded"}}'), 'overloaded'],
    [Buffer.from(`ID3\x04${'\0'.repeat(60)}`, 'latin1'), 'MP3'],
  ] as const) {
    const stage = await answering((response) => {
      response.writeHead(200, { 'content-type': 'audio/wav' });
      response.end(body);
    });
    const { error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind: 'protocol', status: 200, deliveredSamples: 0 });
    t.true(error.message.includes(words), error.message);
    await stage.finish();
  }
});
