/**
 * Services that copy OpenAI's route, reached by URL. The tests follow the rows of TTS provider
 * protocol reference, section 5.7; bodies and headers are those of sections 5.1 to 5.6.
 */
import { execFileSync } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import ffmpeg from '@ffmpeg-installer/ffmpeg';
import test from 'ava';
import { pcmBytes, wavBytes } from '../audio/wav-fixture.contract.ts';
import { httpAnswers } from '../scripted-wire.contract.ts';
import {
  audioOf,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
} from '../speech-adapter.contract.ts';
import { readTtsConfig } from '../tts-config.ts';
import { type OpenAiConfig, openAiAdapter } from './openai.ts';

const urls = {
  openRouter: 'https://openrouter.ai/api/v1/audio/speech',
  kokoro: 'http://box.lan:8880/v1/audio/speech',
  vllmOmni: 'http://box.lan:8091/v1/audio/speech',
  telnyx: 'https://api.telnyx.com/v2/audio/speech',
  fish: 'https://api.fish.audio/compat/v1/audio/speech',
  groq: 'https://api.groq.com/openai/v1/audio/speech',
  speaches: 'http://box.lan:8000/v1/audio/speech',
  sglang: 'http://box.lan:30000/v1/audio/speech',
  litellm: 'http://box.lan:4000/v1/audio/speech',
} as const;
type Way = OpenAiConfig['stream'] | 'wav';

/** A service of this kind that answers every request as told. */
function service(
  name: keyof typeof urls,
  way: Way,
  answer: (response: ServerResponse) => void,
  more: Partial<OpenAiConfig> = {},
) {
  const config: OpenAiConfig = {
    url: urls[name],
    apiKey: 'sk_x',
    model: 'm',
    voice: 'v',
    ...(way === 'wav' || way === undefined ? {} : { stream: way }),
    ...more,
  };
  return makeStage(
    { adapter: openAiAdapter, config, rateHz: 24_000, wire: () => httpAnswers(answer) },
    {},
  );
}

const audioAnswer =
  (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void => {
    response.writeHead(200, headers);
    response.end(body);
  };
const refusal =
  (status: number, body: unknown) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };

async function spoken(stage: Awaited<ReturnType<typeof service>>) {
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await stage.finish();
  return events;
}

const planted = [1, -2, 3, -4, 5_000, -6_000, 7, -8, 9];
const planted16k = wavBytes(pcmBytes(planted), { rateHz: 16_000, dataSize: 0xffff_ffff });

for (const name of ['openRouter', 'vllmOmni', 'fish', 'kokoro'] as const) {
  test(`row "default format not mp3": the request to ${name} always names its format`, async (t) => {
    for (const [way, format] of [
      ['wav', '"response_format":"wav"}'],
      ['pcm', '"response_format":"pcm"}'],
      ['sse', '"response_format":"pcm","stream_format":"sse"}'],
    ] as const) {
      const stage = await service(name, way, refusal(500, {}));
      await outcomeOf(stage, ['Hi.']);
      t.true(stage.wire.log.received[0]!.endsWith(format), stage.wire.log.received[0]);
      await stage.finish();
    }
  });
}

test('row "only wav": Groq refuses PCM, and the advice names the key to change', async (t) => {
  const stage = await service(
    'groq',
    'pcm',
    refusal(400, {
      error: { message: 'response_format must be one of [wav]', type: 'invalid_request_error' },
    }),
  );
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.is(error.kind, 'bad-request');
  t.true(error.message.includes('response_format must be one of [wav]'));
  t.true(error.message.includes('"stream"'));
});

// The number of samples tells the rate that was taken: 4410 frames are 100 ms at 44.1 kHz.
for (const [label, name, headers, more, rateHz] of [
  ['Fish by its host', 'fish', { 'content-type': 'audio/pcm' }, {}, 44_100],
  [
    'OpenRouter by its content type',
    'openRouter',
    { 'content-type': 'audio/pcm;rate=24000;channels=1' },
    {},
    24_000,
  ],
  [
    'a service with another rate in its content type',
    'openRouter',
    { 'content-type': 'audio/pcm; rate=44100; channels=1' },
    {},
    44_100,
  ],
  [
    'sglang-omni by its headers',
    'sglang',
    {
      'content-type': 'application/octet-stream',
      'x-sample-rate': '48000',
      'x-channels': '1',
      'x-bit-depth': '16',
    },
    {},
    48_000,
  ],
  [
    'vLLM-Omni with Fish s2-pro, which does not tell, by the configuration',
    'vllmOmni',
    { 'content-type': 'audio/pcm' },
    { sampleRateHz: 44_100 },
    44_100,
  ],
  [
    'a service that tells a wrong rate, by the configuration',
    'kokoro',
    { 'content-type': 'audio/pcm;rate=48000' },
    { sampleRateHz: 22_050 },
    22_050,
  ],
  ['any other service', 'kokoro', { 'content-type': 'audio/pcm' }, {}, 24_000],
] as const) {
  test(`row "sample rate not 24 k": ${label}`, async (t) => {
    const frames = rateHz / 10;
    for (const way of ['pcm', 'sse'] as const) {
      const events = await spoken(
        await service(name, way, audioAnswer(new Uint8Array(frames * 2), headers), more),
      );
      t.is(audioOf(events)[0]!.sourceRateHz, rateHz);
      t.like(events.at(-1)!, { sourceFrames: frames, samples: 1_600 });
    }
  });
}

test('row "sample rate not 24 k": a WAV tells its rate, whatever is configured', async (t) => {
  const wav = wavBytes(new Uint8Array(9_600), { rateHz: 48_000, dataSize: 0xffff_ffff });
  for (const way of ['wav', 'pcm', 'sse'] as const) {
    const more = { sampleRateHz: 8_000 };
    const events = await spoken(await service('fish', way, audioAnswer(wav), more));
    t.is(audioOf(events)[0]!.sourceRateHz, 48_000);
    t.like(events.at(-1)!, { sourceFrames: 4_800, samples: 1_600 });
  }
});

test('the rate is a key of the configuration, in hertz', (t) => {
  const { config } = readTtsConfig({ platform: 'openai', api_key: 'k', sample_rate: 44_100 });
  t.like(config, { sampleRateHz: 44_100 });
  t.false('sampleRateHz' in (readTtsConfig({ platform: 'openai', api_key: 'k' }).config as object));
  for (const sample_rate of [0, 44.1, 3_999, 192_001]) {
    t.throws(() => readTtsConfig({ platform: 'openai', api_key: 'k', sample_rate }), {
      message: /tts\.sample_rate.*between 4000 and 192000/,
    });
  }
});

// Statuses, bodies and what they mean. `words` is what must reach the user.
const refusals = [
  [
    'kokoro',
    400,
    {
      detail: {
        error: 'validation_error',
        message: "Voice 'x' not found. Available voices: af_heart, af_bella",
        type: 'invalid_request_error',
      },
    },
    'bad-voice',
    'validation_error',
    'Available voices: af_heart',
  ],
  [
    'kokoro',
    400,
    {
      detail: {
        error: 'invalid_model',
        message: 'Unsupported model: m',
        type: 'invalid_request_error',
      },
    },
    'bad-request',
    'invalid_model',
    'Unsupported model',
  ],
  [
    'kokoro',
    500,
    { detail: { error: 'processing_error', message: 'boom', type: 'server_error' } },
    'server',
    'processing_error',
    'boom',
  ],
  [
    'kokoro',
    422,
    {
      detail: [
        {
          type: 'missing',
          loc: ['body', 'input'],
          msg: 'Field required',
          input: {},
          url: 'https://e',
        },
      ],
    },
    'bad-request',
    'missing',
    'Field required',
  ],
  [
    'speaches',
    422,
    {
      detail: [
        {
          type: 'literal_error',
          loc: ['body', 'response_format'],
          msg: "Input should be 'pcm', 'mp3' or 'wav'",
          input: 'opus',
        },
      ],
    },
    'bad-request',
    'literal_error',
    "Input should be 'pcm'",
  ],
  [
    'telnyx',
    401,
    { errors: [{ code: '10009', title: 'Authentication failed', detail: 'No key was found.' }] },
    'auth',
    '10009',
    'No key was found',
  ],
  [
    'telnyx',
    422,
    { errors: [{ code: '90103', title: 'Invalid voice', detail: 'The voice v does not exist.' }] },
    'bad-voice',
    '90103',
    'does not exist',
  ],
  [
    'openRouter',
    402,
    { error: { code: 402, message: 'This request requires more credits.' } },
    'quota',
    '402',
    'more credits',
  ],
  [
    'openRouter',
    429,
    {
      error: {
        code: 429,
        message: 'Provider returned error',
        metadata: { provider_name: 'OpenAI', raw: '…' },
      },
    },
    'rate-limit',
    '429',
    'Provider returned error',
  ],
  [
    'fish',
    400,
    {
      error: {
        code: 400,
        message: "stream_format 'sse' is not supported; use 'audio'",
        type: 'invalid_request_error',
      },
    },
    'bad-request',
    '400',
    "use 'audio'",
  ],
  [
    'fish',
    502,
    {
      error: {
        code: 502,
        message: 'upstream failed',
        type: 'provider_error',
        metadata: { provider_name: 'Fish Audio' },
      },
    },
    'server',
    '502',
    'upstream failed',
  ],
  [
    'vllmOmni',
    400,
    {
      error: {
        message: 'Streaming needs speed 1.0',
        type: 'BadRequestError',
        param: null,
        code: 400,
      },
    },
    'bad-request',
    '400',
    'speed 1.0',
  ],
  [
    'litellm',
    400,
    {
      error: {
        message: 'litellm.BadRequestError: voice is required',
        type: null,
        param: 'voice',
        code: '400',
      },
    },
    'bad-voice',
    '400',
    'voice is required',
  ],
] as const;
for (const [name, status, body, kind, providerCode, words] of refusals) {
  test(`rows "error body" and "code is a number": ${name} ${status} ${providerCode}`, async (t) => {
    for (const way of ['wav', 'pcm', 'sse'] as const) {
      const stage = await service(name, way, refusal(status, body));
      const { error } = await outcomeOf(stage, ['Hi.']);
      t.like(error, { kind, status, providerCode });
      t.true(error.message.includes(words), error.message);
      t.is(stage.wire.log.requests.length, 1, 'nothing is retried');
      await stage.finish();
    }
  });
}

test('row "error body": JSON behind a 200 is judged by its words, whatever its content type', async (t) => {
  for (const [body, kind] of [
    [{ error: { code: 402, message: 'Insufficient credits' } }, 'quota'],
    [{ error: { code: 429, message: 'slow down' } }, 'rate-limit'],
    [{ error: { code: 503, message: 'voice not available' } }, 'server'],
    [{ detail: { error: 'validation_error', message: "Voice 'x' not found." } }, 'bad-voice'],
    [{ errors: [{ code: '90103', title: 'Bad', detail: 'Worse' }] }, 'protocol'],
    [{ base64_audio: 'AAAA' }, 'protocol'],
    [{ audio_url: 'https://cdn.example/a.mp3' }, 'protocol'],
    [{ error: { message: 'overloaded', code: 'busy' } }, 'protocol'],
  ] as const) {
    const text = JSON.stringify(body, null, 2);
    for (const way of ['wav', 'pcm', 'sse'] as const) {
      for (const type of ['application/json', 'audio/mpeg', 'audio/pcm']) {
        const stage = await service(
          'openRouter',
          way,
          (response) => {
            response.writeHead(200, { 'content-type': type });
            for (const character of text) response.write(character);
            response.end();
          },
          {},
        );
        const { error } = await outcomeOf(stage, ['Hi.']);
        t.is(error.kind, kind, `${way}, ${type}: ${text}`);
        t.like(error, { status: 200, deliveredSamples: 0 });
        await stage.finish();
      }
    }
  }
});

test('a key in an explanation that was labelled as audio is recorded nowhere', async (t) => {
  const stage = await service(
    'openRouter',
    'pcm',
    audioAnswer('{"error":{"code":401,"message":"No such key: sk_very_secret"}}', {
      'content-type': 'audio/pcm',
    }),
    { apiKey: 'sk_very_secret' },
  );
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.is(error.kind, 'auth');
  t.false(error.message.includes('sk_very_secret'));
  t.true(stage.observed.some(({ data }) => Buffer.from(data).includes('[redacted]')));
  t.false(stage.observed.some(({ data }) => Buffer.from(data).includes('sk_very_secret')));
});

test('row "ignores stream_format": the audio itself is played where events were asked for', async (t) => {
  for (const [body, type] of [
    [planted16k, 'audio/wav'],
    [planted16k, 'audio/pcm'],
    [pcmBytes(planted), 'audio/pcm;rate=16000'],
    [pcmBytes(planted), 'audio/L16;rate=16000;channels=1'],
  ] as const) {
    const stage = await service('kokoro', 'sse', audioAnswer(body, { 'content-type': type }));
    const events = await spoken(stage);
    t.deepEqual(samplesOf(events), planted, type);
    t.is(events.at(-1)!.type, 'end', 'the end of the body is the end: nothing else was promised');
  }
  const unnamed = await service('kokoro', 'sse', audioAnswer(planted16k));
  t.deepEqual(samplesOf(await spoken(unnamed)), planted);
});

test('events where none were asked for are understood as well', async (t) => {
  const body = `data: ${JSON.stringify({ type: 'speech.audio.delta', audio: Buffer.from(planted16k).toString('base64') })}\n\ndata: [DONE]\n\n`;
  for (const way of ['wav', 'pcm'] as const) {
    const headers = { 'content-type': 'text/event-stream; charset=utf-8' };
    const stage = await service('vllmOmni', way, audioAnswer(body, headers));
    t.deepEqual(samplesOf(await spoken(stage)), planted);
  }
});

test('row "input cap": a text for Groq is cut at 200 characters, for a host without limit never', async (t) => {
  const text = 'The tides are made mostly by the moon. '.repeat(20).trim();
  for (const [name, requests] of [
    ['groq', 4],
    ['kokoro', 1],
  ] as const) {
    const stage = await service(name, 'wav', audioAnswer(planted16k));
    await stage.clock.run(collect(stage.session.speak(said(text), never())));
    t.is(stage.wire.log.requests.length, requests);
    await stage.finish();
  }
});

test('row "content type lies": WAV or PCM labelled as MP3 is played as what it is', async (t) => {
  const headers = { 'content-type': 'audio/mpeg' };
  for (const way of ['wav', 'pcm', 'sse'] as const) {
    const stage = await service('litellm', way, audioAnswer(planted16k, headers));
    t.deepEqual(samplesOf(await spoken(stage)), planted, `WAV for ${way}`);
  }
  const more = { sampleRateHz: 16_000 };
  const stage = await service('litellm', 'pcm', audioAnswer(pcmBytes(planted), headers), more);
  t.deepEqual(samplesOf(await spoken(stage)), planted, 'PCM');
});

test('row "content type lies": real MP3 and its like are protocol failures that name it', async (t) => {
  const encoded = (...options: string[]): Uint8Array =>
    execFileSync(ffmpeg.path, [
      ...['-v', 'error', '-f', 'lavfi', '-i', 'sine=frequency=440:duration=0.5'],
      ...options,
      '-',
    ]);
  const bodies: [string, Uint8Array][] = [
    ['MP3', encoded('-f', 'mp3')],
    ['MP3', encoded('-id3v2_version', '0', '-write_xing', '0', '-f', 'mp3')],
    ['AAC', encoded('-f', 'adts')],
    ['Ogg', encoded('-c:a', 'libopus', '-f', 'ogg')],
    ['FLAC', encoded('-f', 'flac')],
  ];
  for (const [name, body] of bodies) {
    for (const way of ['wav', 'pcm', 'sse'] as const) {
      for (const type of ['audio/mpeg', 'audio/wav', 'audio/pcm']) {
        const answer = audioAnswer(body, { 'content-type': type });
        const stage = await service('kokoro', way, answer);
        const { events, error } = await outcomeOf(stage, ['Hi.']);
        t.is(error.kind, 'protocol', `${name} as ${type} for ${way}`);
        t.true(error.message.includes(name), error.message);
        t.deepEqual(audioOf(events), [], 'nothing of it was played');
        await stage.finish();
      }
    }
  }
});

test('row "content type lies": events and pages labelled as audio are no noise', async (t) => {
  for (const [body, words] of [
    ['data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n', 'server-sent events'],
    ['event: speech.audio.delta\ndata: {}\n\n', 'server-sent events'],
    ['<!DOCTYPE html><html><title>Bad gateway</title></html>', 'Bad gateway'],
  ] as const) {
    for (const way of ['wav', 'pcm', 'sse'] as const) {
      const answer = audioAnswer(body, { 'content-type': 'audio/mpeg' });
      const stage = await service('litellm', way, answer);
      const { error } = await outcomeOf(stage, ['Hi.']);
      t.is(error.kind, 'protocol', `${way}: ${body}`);
      t.true(error.message.includes(words), error.message);
      await stage.finish();
    }
  }
});

test('characters that a service counts in the head of its answer are kept', async (t) => {
  for (const [value, usage] of [
    ['17', { billedCharacters: 17 }],
    ['0', { billedCharacters: 0 }],
    ['many', undefined],
  ] as const) {
    const answer = audioAnswer(planted16k, { 'character-cost': value });
    const end = (await spoken(await service('kokoro', 'wav', answer))).at(-1)!;
    t.true(end.type === 'end');
    if (end.type === 'end') t.deepEqual(end.usage, usage, value);
  }
});

test("the services' own ids of a request are kept", async (t) => {
  for (const [header, id] of [
    ['x-request-id', 'req_1'],
    ['x-generation-id', 'gen-tts-1700000000-abc'],
  ] as const) {
    const stage = await service('openRouter', 'wav', audioAnswer(planted16k, { [header]: id }));
    t.like((await spoken(stage))[1]!, { type: 'responseHead', requestId: id });
  }
});
