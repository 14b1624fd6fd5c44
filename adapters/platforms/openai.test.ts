import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import test from 'ava';
import { chunk, pcmBytes, wavBytes } from '../audio/wav-fixture.contract.ts';
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
import { type OpenAiConfig, openAiAdapter } from './openai.ts';

const secret = 'sk_very_secret';
const buffered: ContractSubject<OpenAiConfig> = {
  adapter: openAiAdapter,
  config: {
    url: 'https://api.openai.com/v1/audio/speech',
    apiKey: secret,
    model: 'gpt-4o-mini-tts',
    voice: 'ash',
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
        body: `{"error":{"message":"Incorrect API key provided: ${secret}.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
      },
    }),
};
speechAdapterContract(test, buffered);

type Answer = (response: ServerResponse) => void;

const answering = (answer: Answer, config: Partial<OpenAiConfig> = {}) =>
  makeStage(
    { ...buffered, config: { ...buffered.config, ...config }, wire: () => httpAnswers(answer) },
    {},
  );
const refusing =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers);
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const audio = pcmBytes([1, -2, 3, -4, 5, -6, 7, -8]);

test('the request is the one EchoKit sends', async (t) => {
  const stage = await makeStage(buffered, {});
  const events = await stage.clock.run(
    collect(stage.session.speak(said('A "moon". ', '月'), never())),
  );
  t.deepEqual(stage.wire.log.received, [
    '{"model":"gpt-4o-mini-tts","voice":"ash","input":"A \\"moon\\". 月","response_format":"wav"}',
  ]);
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/v1/audio/speech');
  t.is(headers.host, 'api.openai.com');
  t.is(headers.authorization, `Bearer ${secret}`);
  t.is(headers['content-type'], 'application/json');
  t.is(headers['accept-encoding'], undefined, 'compression would destroy the timing');
  t.like(events[0]!, { url: 'https://api.openai.com/v1/audio/speech', characters: 11 });
  t.like(events[1]!, { status: 200, contentType: 'audio/wav', requestId: 'req_1' });
  await stage.finish();
});

test('a port in the URL is part of the host, and an empty key sends no authorization', async (t) => {
  const stage = await answering(refusing(500, ''), {
    url: 'http://box.lan:8880/v1/audio/speech?x=1',
    apiKey: '',
    stream: 'pcm',
  });
  await outcomeOf(stage, ['Hello.']);
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/v1/audio/speech?x=1');
  t.is(headers.host, 'box.lan:8880');
  t.is(headers.authorization, undefined);
  t.true(stage.wire.log.received[0]!.endsWith('"response_format":"pcm"}'));
});

test('a buffered answer is delivered at its end, with the instants of its arrival', async (t) => {
  const stage = await makeStage(buffered, {});
  const taken: { atUs: number; nowUs: number }[] = [];
  const taking = (async () => {
    for await (const event of stage.session.speak(said('The moon.'), never())) {
      if (event.type === 'audio') taken.push({ atUs: event.atUs, nowUs: stage.clock.nowUs() });
    }
  })();
  await stage.clock.run(taking);
  t.true(taken.length > 2);
  t.is(new Set(taken.map(({ nowUs }) => nowUs)).size, 1);
  t.true(taken[0]!.atUs < taken[0]!.nowUs);
  await stage.finish();
});

// The bodies are those of TTS provider protocol reference, sections 4.5, 5.1, 5.3, 5.5 and 5.6.
const refusals: [string, number, unknown, string, string | undefined, boolean][] = [
  [
    'wrong key',
    401,
    { error: { message: 'Incorrect API key', code: 'invalid_api_key' } },
    'auth',
    'invalid_api_key',
    false,
  ],
  [
    'region',
    403,
    { error: { message: 'Country not supported', code: 'unsupported_country' } },
    'auth',
    'unsupported_country',
    false,
  ],
  [
    'no credit',
    429,
    {
      error: {
        message: 'You exceeded your current quota',
        type: 'insufficient_quota',
        code: 'insufficient_quota',
      },
    },
    'quota',
    'insufficient_quota',
    false,
  ],
  [
    'payment required',
    402,
    { error: { code: 402, message: 'Insufficient credits' } },
    'quota',
    '402',
    false,
  ],
  [
    'too fast',
    429,
    { error: { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' } },
    'rate-limit',
    'rate_limit_exceeded',
    true,
  ],
  [
    'Groq tokens per day',
    429,
    {
      error: {
        message: 'Rate limit reached for model',
        type: 'tokens',
        code: 'rate_limit_exceeded',
      },
    },
    'rate-limit',
    'rate_limit_exceeded',
    true,
  ],
  [
    'voice of OpenAI',
    400,
    {
      error: {
        message: "[{'type': 'enum', 'loc': ('body', 'voice'), 'msg': \"Input should be 'nova'\"}]",
        type: 'invalid_request_error',
        param: null,
        code: null,
      },
    },
    'bad-voice',
    'invalid_request_error',
    false,
  ],
  [
    'voice of Kokoro',
    400,
    {
      detail: {
        error: 'validation_error',
        message: "Voice 'x' not found. Available voices: af_heart",
        type: 'invalid_request_error',
      },
    },
    'bad-voice',
    'validation_error',
    false,
  ],
  [
    'voice as a parameter',
    422,
    { detail: [{ loc: ['body', 'voice'], msg: 'Field required', type: 'missing' }] },
    'bad-voice',
    'missing',
    false,
  ],
  [
    'too many tokens',
    400,
    {
      error: {
        message: 'Input of 2132 tokens is over the maximum input limit of 2000 tokens.',
        code: 'invalid_value',
      },
    },
    'too-long',
    'invalid_value',
    false,
  ],
  [
    'too many characters',
    400,
    { error: { message: 'String too long', code: 'string_above_max_length' } },
    'too-long',
    'string_above_max_length',
    false,
  ],
  [
    'unknown model',
    404,
    { error: { message: 'The model does not exist', code: 'model_not_found' } },
    'bad-request',
    'model_not_found',
    false,
  ],
  [
    'wav only',
    400,
    { error: { message: 'response_format must be one of [wav]', type: 'invalid_request_error' } },
    'bad-request',
    'invalid_request_error',
    false,
  ],
  [
    'Fish',
    500,
    { error: { code: 500, message: 'upstream', type: 'provider_error' } },
    'server',
    '500',
    true,
  ],
  [
    'Telnyx',
    400,
    { errors: [{ code: '90103', title: 'Bad', detail: 'Worse' }] },
    'bad-request',
    '90103',
    false,
  ],
  ['plain text', 502, 'upstream connect error', 'server', undefined, true],
  [
    'HTML',
    503,
    '<!DOCTYPE html><html><head><title>Service unavailable</title></head></html>',
    'server',
    undefined,
    true,
  ],
  ['nothing', 500, '', 'server', undefined, true],
];
for (const [name, status, body, kind, providerCode, retryable] of refusals) {
  test(`a refusal is classified: ${name}`, async (t) => {
    const stage = await answering(refusing(status, body));
    const { events, error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind, providerCode, retryable, status, deliveredSamples: 0 });
    t.deepEqual(
      events.map((event) => event.type),
      ['request', 'responseHead'],
    );
    t.is(stage.wire.log.connections, 1, 'nothing is retried');
    await stage.finish();
  });
}

test("the provider's own words reach the user", async (t) => {
  const said = 'Rate limit reached for model `X`. Please try again in 14m.';
  const stage = await answering(refusing(429, { error: { message: said } }));
  t.true((await outcomeOf(stage, ['Hello.'])).error.message.includes(said));
  const html = await answering(refusing(503, '<html><title>Down for repair</title></html>'));
  t.true((await outcomeOf(html, ['Hello.'])).error.message.includes('503: Down for repair'));
});

test('the wait a provider asks for is read in every form', async (t) => {
  const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
  for (const [headers, wait] of [
    [{ 'retry-after': '7' }, 7_000],
    [{ 'retry-after': '1.5' }, 1_500],
    [{ 'retry-after-ms': '250', 'retry-after': '1' }, 250],
    [{ 'retry-after': 'Sun, 06 Nov 1994 08:50:07 GMT', date }, 30_000],
    [{ 'retry-after': 'Sun, 06 Nov 1994 08:49:00 GMT', date }, 0],
    [{ 'retry-after': 'Sun, 06 Nov 1994 08:50:07 GMT' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ] as [Record<string, string>, number | undefined][]) {
    const stage = await answering(refusing(429, '{}', headers));
    t.is((await outcomeOf(stage, ['Hello.'])).error.retryAfterMs, wait, JSON.stringify(headers));
  }
});

test('a connection serves the next request after a refusal', async (t) => {
  const stage = await answering(refusing(429, '{}'));
  await outcomeOf(stage, ['One.']);
  await stage.clock.run(stage.clock.sleep(1_000_000));
  const { events } = await outcomeOf(stage, ['Two.']);
  t.like(events[0]!, { reused: true });
  t.is(stage.wire.log.connections, 1);
  await stage.finish();
});

test('a connection is not used again after the idle time its server names', async (t) => {
  for (const [headers, idleMs, reused] of [
    [{ 'keep-alive': 'timeout=5' }, 3_900, true],
    [{ 'keep-alive': 'timeout=5' }, 4_100, false],
    [{}, 29_000, true],
    [{}, 31_000, false],
    [{ connection: 'close' }, 10, false],
  ] as [Record<string, string>, number, boolean][]) {
    const stage = await answering(refusing(429, '{}', headers));
    await outcomeOf(stage, ['One.']);
    await stage.clock.run(stage.clock.sleep(idleMs * 1_000));
    const { events } = await outcomeOf(stage, ['Two.']);
    t.like(events[0]!, { reused }, `${JSON.stringify(headers)} after ${idleMs} ms`);
    await stage.finish();
  }
});

test('a connection that its server closed while idle is not used again', async (t) => {
  const stage = await answering((response) => {
    const { socket } = response;
    response.end('{}');
    stage.clock.after(500_000, () => socket?.end());
  });
  for (const text of ['One.', 'Two.']) {
    const { events } = await outcomeOf(stage, [text]);
    t.like(events[0]!, { reused: false });
    await stage.clock.run(stage.clock.sleep(1_000_000));
  }
  t.is(stage.wire.log.connections, 2);
  await stage.finish();
});

test('text where audio should be is a protocol failure with the words', async (t) => {
  const json = '{"error":{"message":"overloaded","code":"busy"}}';
  for (const type of ['application/json; charset=utf-8', 'audio/wav']) {
    const stage = await answering(refusing(200, json, { 'content-type': type }));
    const { error } = await outcomeOf(stage, ['Hello.']);
    t.is(error.kind, 'protocol', type);
    t.true(error.message.includes('overloaded'));
    t.false(error.retryable);
  }
});

test('another audio format than the one asked for is a protocol failure that names it', async (t) => {
  for (const [bytes, name] of [
    [
      Buffer.from('ID3\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0', 'latin1'),
      'MP3',
    ],
    [
      Buffer.from('OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0', 'latin1'),
      'Ogg',
    ],
  ] as const) {
    const stage = await answering((response) => {
      response.writeHead(200, { 'content-type': 'audio/wav' });
      response.end(bytes);
    });
    const { error } = await outcomeOf(stage, ['Hello.']);
    t.is(error.kind, 'protocol');
    t.true(error.message.includes(name), error.message);
  }
});

test('a redirect is not followed but named', async (t) => {
  const stage = await answering(refusing(308, '', { location: 'https://elsewhere.example/v1' }));
  const { error } = await outcomeOf(stage, ['Hello.']);
  t.is(error.kind, 'protocol');
  t.true(error.message.includes('https://elsewhere.example/v1'));
});

test('a compressed answer is refused', async (t) => {
  const stage = await answering(refusing(200, 'x', { 'content-encoding': 'gzip' }));
  t.is((await outcomeOf(stage, ['Hello.'])).error.kind, 'protocol');
});

test('a server that does not speak HTTP is a protocol failure', async (t) => {
  const subject = {
    ...buffered,
    wire: () => {
      const wire = httpAnswers(() => {});
      return {
        ...wire,
        accept: (stream: Duplex) => {
          stream.on('error', () => {});
          stream.once('data', () => stream.write('SSH-2.0-OpenSSH_9.2\r\n'));
        },
      };
    },
  };
  const { error } = await outcomeOf(await makeStage(subject, {}), ['Hello.']);
  t.is(error.kind, 'protocol');
});

test('a server that closes without an answer is a network failure', async (t) => {
  const stage = await answering((response) => response.socket?.destroy());
  const { error } = await outcomeOf(stage, ['Hello.']);
  t.is(error.kind, 'network');
  t.true(error.retryable);
});

test('a body shorter than its Content-Length is cut, in WAV and in PCM', async (t) => {
  const cut: Answer = (response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write(audio, () => response.socket?.destroy());
  };
  const whole = await outcomeOf(await answering(cut), ['Hello.']);
  t.is(whole.error.kind, 'network');
  const streaming = await outcomeOf(await answering(cut, { stream: 'pcm' }), ['Hello.']);
  t.is(
    streaming.error.kind,
    'network',
    'less came than the filter holds, so nothing was delivered',
  );
});

test('a text above the limit of the service is refused before it is sent, in code points', async (t) => {
  for (const [url, limit] of [
    ['https://api.openai.com/v1/audio/speech', 4_096],
    ['https://api.groq.com/openai/v1/audio/speech', 200],
  ] as const) {
    t.is(openAiAdapter.capabilities({ ...buffered.config, url }).charactersMax, limit);
    const stage = await answering(refusing(500, ''), { url });
    const { error } = await outcomeOf(stage, ['🌙'.repeat(limit + 1)]);
    t.is(error.kind, 'too-long');
    t.is(stage.wire.log.connections, 0);
    t.is(
      (await outcomeOf(stage, ['🌙'.repeat(limit)])).error.kind,
      'server',
      'the limit itself fits',
    );
  }
  const url = 'http://box.lan:8880/v1/audio/speech';
  t.is(openAiAdapter.capabilities({ ...buffered.config, url }).charactersMax, undefined);
});

test('raw PCM is taken at 24 kHz unless the service declares another rate', async (t) => {
  for (const [headers, rateHz, channels] of [
    [{ 'content-type': 'audio/pcm' }, 24_000, 1],
    [{ 'content-type': 'audio/mpeg' }, 24_000, 1],
    [{ 'content-type': 'audio/pcm;rate=44100;channels=2' }, 44_100, 2],
    [
      { 'content-type': 'application/octet-stream', 'x-sample-rate': '48000', 'x-channels': '1' },
      48_000,
      1,
    ],
    [{ 'content-type': 'audio/pcm;rate=7' }, 24_000, 1],
  ] as [Record<string, string>, number, number][]) {
    const stage = await answering(
      (response) => {
        response.writeHead(200, headers);
        response.end(audio);
      },
      { stream: 'pcm' },
    );
    const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
    t.like(audioOf(events)[0]!, {
      sourceRateHz: rateHz,
      sourceChannels: channels,
      sourceBytes: 16,
    });
    await stage.finish();
  }
});

test('a WAV where PCM was asked for is played as the WAV it is', async (t) => {
  const stage = await answering(
    (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.end(wavBytes(audio, { rateHz: 16_000 }));
    },
    { stream: 'pcm' },
  );
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [1, -2, 3, -4, 5, -6, 7, -8]);
  await stage.finish();
});

test('a chunk behind the sample data is not played', async (t) => {
  const stage = await answering((response) => {
    response.writeHead(200, { 'content-type': 'audio/wav' });
    response.end(wavBytes(audio, { rateHz: 16_000, after: chunk('LIST', new Uint8Array(64)) }));
  });
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.is(samplesOf(events).length, 8);
  t.is(
    audioOf(events).reduce((sum, event) => sum + event.sourceBytes, 0),
    16,
  );
  await stage.finish();
});

test('a page in the place of the next chunk is a failure of the protocol, and what came before is kept', async (t) => {
  const stage = await answering(
    (response) => {
      response.writeHead(200, { 'content-type': 'audio/pcm' });
      response.write(audio);
      response.socket?.write('<html>Bad Gateway</html>');
    },
    { stream: 'pcm' },
  );
  const { error } = await outcomeOf(stage, ['Hello.']);
  t.is(error.kind, 'protocol');
  t.regex(error.message, /stopped being HTTP after \d+ bytes of its body/);
  await stage.finish();
});
