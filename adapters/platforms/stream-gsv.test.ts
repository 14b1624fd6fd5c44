import test from 'ava';
import { pcmBytes } from '../audio/wav-fixture.contract.ts';
import { httpAnswers, httpWire } from '../scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
  speechAdapterContract,
} from '../speech-adapter.contract.ts';
import { type StreamGsvConfig, streamGsvAdapter } from './stream-gsv.ts';

const subject: ContractSubject<StreamGsvConfig> = {
  adapter: streamGsvAdapter,
  config: { url: 'http://localhost:9094/v1/audio/stream_speech', speaker: 'texan' },
  rateHz: 16_000,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      // What the real server claims, whatever the samples are.
      contentType: 'audio/pcm;rate=32000',
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
          response.writeHead(status, { 'content-type': type });
          response.end(body);
        }),
    },
    {},
  );

test('the request is the one EchoKit sends, without authorization', async (t) => {
  const stage = await makeStage(subject, {});
  await stage.clock.run(collect(stage.session.speak(said('Hello ', 'there.'), never())));
  t.deepEqual(stage.wire.log.received, [
    '{"speaker":"texan","input":"Hello there.","sample_rate":16000}',
  ]);
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/v1/audio/stream_speech');
  t.is(headers.host, 'localhost:9094');
  t.is(headers.authorization, undefined);
  await stage.finish();
});

test('the rate is the one asked for, whatever the content type says', async (t) => {
  const stage = await answering(200, pcmBytes([5, -6, 7]), 'audio/pcm;rate=32000');
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [5, -6, 7]);
  t.is(audioOf(events)[0]!.sourceRateHz, 16_000);
  await stage.finish();
});

test('an unknown speaker looks like success on this route and is reported as empty', async (t) => {
  const stage = await answering(200, '', 'audio/pcm;rate=32000');
  const { error } = await outcomeOf(stage, ['Hello.']);
  t.like(error, { kind: 'empty', status: 200, retryable: false });
  t.true(error.message.includes('/v1/audio/speakers'));
  await stage.finish();
});

// Plain-text refusals of section 8.1.
for (const [status, body, kind] of [
  [400, 'Unsupported sample rate: 44100, only 48000, 44000, 32000 are supported', 'bad-request'],
  [422, 'Failed to deserialize the JSON body: missing field `speaker`', 'bad-request'],
  [415, 'Expected request with `Content-Type: application/json`', 'bad-request'],
  [405, '', 'bad-request'],
  [500, 'TTS service is not available', 'server'],
  [400, 'unknown speaker texan', 'bad-voice'],
  // The server itself has neither keys nor limits: these are a proxy's before it.
  [401, 'Unauthorized', 'auth'],
  [402, 'Payment Required', 'quota'],
  [413, 'Payload Too Large', 'too-long'],
  [429, 'Too Many Requests', 'rate-limit'],
] as const) {
  test(`a plain-text refusal is classified: ${status} ${body}`, async (t) => {
    const stage = await answering(status, body);
    const { error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind, status, providerCode: undefined });
    t.true(error.message.includes(body));
    await stage.finish();
  });
}

test('the index page that answers a wrong URL is no audio', async (t) => {
  const stage = await answering(200, '<!DOCTYPE html><html><title>GSV</title></html>', 'text/html');
  t.is((await outcomeOf(stage, ['Hello.'])).error.kind, 'protocol');
});
