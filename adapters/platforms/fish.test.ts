import test from 'ava';
import { pcmBytes, wavHeader } from '../audio/wav-fixture.contract.ts';
import { fishWire, httpAnswers } from '../scripted-wire.contract.ts';
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
import { readTtsConfig } from '../tts-config.ts';
import { type FishConfig, fishAdapter } from './fish.ts';

const secret = 'fish_very_secret';
const subject: ContractSubject<FishConfig> = {
  adapter: fishAdapter,
  config: {
    url: 'https://api.fish.audio/v1/tts',
    apiKey: secret,
    speaker: '8ef4a238714b45718ce04243307c57a7',
    model: 's1',
  },
  rateHz: 44_100,
  secret,
  refusalCode: '401',
  wire: (clock, script) => fishWire(clock, script, secret, 44_100),
};
speechAdapterContract(test, subject);

/** Bytes by hand: numbers are bytes, strings their Latin-1 characters. */
const bytes = (...parts: (number | string)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part, 'latin1'))),
  );

/** What one text becomes, as header and body. */
async function sent(config: Partial<FishConfig>, text = 'Hello.') {
  const wire = httpAnswers((response) => response.writeHead(400).end());
  const stage = await makeStage(
    { ...subject, config: { ...subject.config, ...config }, wire: () => wire },
    {},
  );
  await outcomeOf(stage, [text]);
  await stage.finish();
  const body = stage.observed.find(({ direction }) => direction === 'sent')!.data;
  return { ...wire.log.requests[0]!, body: Buffer.from(body) };
}

test('the request is the one of EchoKit, byte by byte', async (t) => {
  const { path, headers, body } = await sent({});
  t.is(path, '/v1/tts');
  t.like(headers, {
    host: 'api.fish.audio',
    authorization: `Bearer ${secret}`,
    model: 's1',
    'content-type': 'application/msgpack',
  });
  // TTS provider protocol reference, section 3.2, written in the MessagePack format by hand.
  t.deepEqual(
    body,
    bytes(
      ...[0x87, 0xa4, 'text', 0xa6, 'Hello.', 0xac, 'chunk_length', 0xcc, 200],
      ...[0xa6, 'format', 0xa3, 'wav', 0xab, 'mp3_bitrate', 0xcc, 128],
      ...[0xac, 'reference_id', 0xd9, 32, '8ef4a238714b45718ce04243307c57a7'],
      ...[0xa9, 'normalize', 0xc3, 0xa7, 'latency', 0xa6, 'normal'],
    ),
  );
});

test('other ways of asking keep the order of the keys', async (t) => {
  const json = await sent({ encoding: 'json', latency: 'low', model: 's2-pro' });
  t.is(json.headers['content-type'], 'application/json');
  t.is(json.headers['model'], 's2-pro');
  t.is(
    json.body.toString(),
    '{"text":"Hello.","chunk_length":200,"format":"wav","mp3_bitrate":128,"reference_id":"8ef4a238714b45718ce04243307c57a7","normalize":true,"latency":"low"}',
  );
  const pcm = await sent({ encoding: 'json', stream: 'pcm' });
  t.is(
    pcm.body.toString(),
    '{"text":"Hello.","chunk_length":200,"format":"pcm","sample_rate":16000,"reference_id":"8ef4a238714b45718ce04243307c57a7","normalize":true,"latency":"balanced"}',
  );
});

test("a WAV with Fish's sizes is read to its end, at the rate of its header", async (t) => {
  const samples = [100, -200, 300, -400];
  const stage = await makeStage(
    {
      ...subject,
      wire: () =>
        httpAnswers((response) => {
          response.writeHead(200, { 'content-type': 'audio/wav' });
          // Section 2.2.
          const sizes = { riffSize: 0xffff_ff24, dataSize: 0xffff_ff00 };
          response.write(wavHeader(0, { rateHz: 16_000, ...sizes }));
          response.end(pcmBytes(samples));
        }),
    },
    {},
  );
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), samples);
  await stage.finish();
});

// Section 7.4. The words are ours where the reference has none.
for (const [status, body, kind, retryable] of [
  [400, '{"message":"Reference not found","status":400}', 'bad-voice', false],
  [400, '{"message":"sample_rate 22050 is not supported","status":400}', 'bad-request', false],
  [400, 'Failed to parse the request body', 'bad-request', false],
  [401, '{"message":"Invalid Token","status":401,"reason":null}', 'auth', false],
  [402, '{"message":"Insufficient Balance","status":402}', 'quota', false],
  [402, '{"message":"Payment required","status":402}', 'quota', false],
  [403, '{"message":"Forbidden","status":403}', 'auth', false],
  [404, '{"message":"Model not found","status":404}', 'bad-voice', false],
  [404, '{"message":"No route","status":404}', 'bad-request', false],
  [413, '{"message":"Payload too large","status":413}', 'too-long', false],
  [422, '[{"loc":["body","latency"],"type":"enum","msg":"Bad"}]', 'bad-request', false],
  [422, '{"detail":"reference_id should be a string"}', 'bad-voice', false],
  [429, '{"message":"Too many requests","status":429}', 'rate-limit', true],
  [503, '{"message":"Overloaded","status":503}', 'server', true],
  [500, '{"message":"Unknown model state","status":500}', 'server', true],
] as const) {
  test(`a refusal is classified: ${status} ${body}`, async (t) => {
    const stage = await makeStage(
      {
        ...subject,
        wire: () =>
          httpAnswers((response) => {
            response.writeHead(status, { 'retry-after': '7' });
            response.end(body);
          }),
      },
      {},
    );
    const { error } = await outcomeOf(stage, ['Hi.']);
    t.like(error, { kind, retryable, status, retryAfterMs: 7_000, deliveredSamples: 0 });
    await stage.finish();
  });
}

test('MP3, the default of the service, and JSON behind a 200 are protocol failures', async (t) => {
  for (const stream of [undefined, 'pcm'] as const) {
    for (const [body, words] of [
      [Buffer.from(`ID3\x04${'\0'.repeat(60)}`, 'latin1'), 'MP3'],
      [Buffer.from('{"message":"warming up"}'), 'warming up'],
    ] as const) {
      const config = { ...subject.config, ...(stream === undefined ? {} : { stream }) };
      const wire = () => httpAnswers((response) => response.writeHead(200).end(body));
      const stage = await makeStage({ ...subject, config, wire }, {});
      const { error } = await outcomeOf(stage, ['Hi.']);
      t.like(error, { kind: 'protocol', status: 200, deliveredSamples: 0 });
      t.true(error.message.includes(words), error.message);
      await stage.finish();
    }
  }
});

test('the keys of EchoKit mean what they mean there, and our own have defaults', (t) => {
  const keys = { api_key: 'k', speaker: 'v' };
  const read = (more: object) => readTtsConfig({ platform: 'Fish', ...keys, ...more });
  const config = { url: 'https://api.fish.audio/v1/tts', apiKey: 'k', speaker: 'v', model: 's1' };
  t.deepEqual(read({}).config, config);
  t.deepEqual(read({}).warnings, []);
  t.deepEqual(read({ stream: 'live', latency: 'low', encoding: 'json', model: 'm' }).config, {
    ...config,
    model: 'm',
    stream: 'live',
    latency: 'low',
    encoding: 'json',
  });
  for (const [more, textIn, audioOut] of [
    [{}, 'whole', 'whole'],
    [{ stream: 'pcm' }, 'whole', 'chunks'],
    [{ stream: 'live' }, 'pieces', 'chunks'],
    [{ url: 'wss://api.fish.audio/v1/tts/live' }, 'pieces', 'chunks'],
    [{ url: 'ws://127.0.0.1:7000/v1/tts' }, 'pieces', 'chunks'],
  ] as const) {
    const capabilities = fishAdapter.capabilities(read(more).config as FishConfig);
    t.like(capabilities, { textIn, audioOut });
    t.is(capabilities.charactersMax, undefined, 'no limit of texts is published');
  }
});

test('keys that the live socket does not use are warned of', (t) => {
  const said = (more: object) =>
    readTtsConfig({ platform: 'fish', api_key: 'k', speaker: 'v', ...more }).warnings.map(
      ({ code, keyPath }) => `${keyPath} ${code}`,
    );
  const url = 'wss://api.fish.audio/v1/tts/live';
  t.deepEqual(said({ url, stream: 'pcm' }), ['tts.stream CONFIG_NO_EFFECT']);
  t.deepEqual(said({ stream: 'live', encoding: 'json' }), ['tts.encoding CONFIG_NO_EFFECT']);
  t.deepEqual(said({ stream: 'pcm', encoding: 'json' }), []);
});
