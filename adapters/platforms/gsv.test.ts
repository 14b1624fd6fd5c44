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
import { readTtsConfig } from '../tts-config.ts';
import { gsvAdapter } from './gsv.ts';
import type { GsvConfig } from './gsv-server.ts';

const url = 'http://localhost:9094/v1/audio/speech';
const subject: ContractSubject<GsvConfig> = {
  adapter: gsvAdapter,
  config: { url, speaker: 'texan' },
  rateHz: 16_000,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      contentType: 'audio/wav',
      wavRateHz: 16_000,
      refusal: { status: 500, body: 'TTS service is not available' },
    }),
};
speechAdapterContract(test, subject);

const answering = (status: number, body: string | Uint8Array, type = 'text/plain') =>
  makeStage(
    {
      ...subject,
      wire: () =>
        httpAnswers((response) => {
          response.writeHead(status, { 'content-type': type, 'content-length': body.length });
          response.end(body);
        }),
    },
    {},
  );

test('the request is the one EchoKit sends, without authorization', async (t) => {
  const { config } = readTtsConfig({ platform: 'gsv', url, speaker: 'texan', api_key: 'sk_never' });
  const stage = await makeStage({ ...subject, config: config as GsvConfig }, {});
  await stage.clock.run(collect(stage.session.speak(said('Hello ', 'there.'), never())));
  t.deepEqual(stage.wire.log.received, [
    '{"speaker":"texan","input":"Hello there.","sample_rate":16000}',
  ]);
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/v1/audio/speech');
  t.is(headers.host, 'localhost:9094');
  t.is(headers.authorization, undefined);
  await stage.finish();
});

test('timeout_sec is the wait for the WAV, 15 s unless set, and nothing is tried again', async (t) => {
  for (const [keys, seconds] of [
    [{}, 15],
    [{ timeout_sec: 4 }, 4],
  ] as const) {
    const { config } = readTtsConfig({ platform: 'gsv', url, speaker: 'texan', ...keys });
    const stage = await makeStage(
      { ...subject, config: config as GsvConfig },
      { outcome: 'silent' },
    );
    const { events, error } = await outcomeOf(stage, ['Hello.']);
    t.is(error.kind, 'timeout');
    t.is(stage.clock.nowUs(), events[0]!.atUs + seconds * 1_000_000);
    t.is(stage.wire.log.requests.length, 1);
  }
});

// Section 2.2: the size of an odd count of samples is 2 bytes too large, and no pad follows.
test('the size that gsv_tts rounds up adds no sample and is no cut answer', async (t) => {
  const wav = wavBytes(pcmBytes([5, -6, 7]), { rateHz: 16_000, riffSize: 44, dataSize: 8 });
  const stage = await answering(200, wav, 'audio/wav');
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [5, -6, 7]);
  t.like(events.at(-1)!, { type: 'end', sourceFrames: 3, samples: 3 });
  await stage.finish();
});

test('a WAV without samples, and no body at all, are empty', async (t) => {
  for (const body of [wavBytes(pcmBytes([]), { rateHz: 16_000 }), new Uint8Array(0)]) {
    const stage = await answering(200, body, 'audio/wav');
    const { error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind: 'empty', status: 200, retryable: false });
    await stage.finish();
  }
});

// Plain-text refusals of section 8.1. An unknown speaker gets the same words as a broken engine.
for (const [status, body, kind, advice] of [
  [400, 'Unsupported sample rate: 44100, only 48000 are supported', 'bad-request', 'audio/speech'],
  [422, 'Failed to deserialize the JSON body: missing field `speaker`', 'bad-request', '"url"'],
  [415, 'Expected request with `Content-Type: application/json`', 'bad-request', '"url"'],
  [500, 'TTS service is not available', 'server', '/v1/audio/speakers'],
  [500, 'Internal Server Error', 'server', 'log'],
  [400, 'unknown speaker texan', 'bad-voice', ''],
  // The server itself has neither keys nor limits: these are a proxy's before it.
  [401, 'Unauthorized', 'auth', ''],
  [402, 'Payment Required', 'quota', ''],
  [413, 'Payload Too Large', 'too-long', ''],
  [429, 'Too Many Requests', 'rate-limit', ''],
] as const) {
  test(`a plain-text refusal is classified: ${status} ${body}`, async (t) => {
    const stage = await answering(status, body);
    const { error } = await outcomeOf(stage, ['Hello.']);
    const retryable = kind === 'server' || kind === 'rate-limit';
    t.like(error, { kind, status, providerCode: undefined, retryable });
    t.true(error.message.includes(body) && error.message.includes(advice), error.message);
    await stage.finish();
  });
}

test('the URL of the streaming route is a protocol failure, not noise', async (t) => {
  const raw = pcmBytes(Array.from({ length: 400 }, (_, i) => (i * 37) % 2_000));
  const stage = await answering(200, raw, 'audio/pcm;rate=32000');
  t.is((await outcomeOf(stage, ['Hello.'])).error.kind, 'protocol');
});
