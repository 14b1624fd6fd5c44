import test from 'ava';
import { audibleRange } from './audible-range.ts';
import { bytesOf } from './clip-cache.ts';
import { personalities } from './personality-catalog.ts';
import { digestOf, exactProfile, laboratory, samplesOf, sharedVoice } from './test-client.ts';

const speechPath = '/openai/v1/audio/speech';
const input = 'Hello there. How can I help?';
const good = {
  model: 'canopylabs/orpheus-v1-english',
  voice: 'hannah',
  input,
  response_format: 'wav',
};

test('the answer is a WAV of 24 kHz with the planted silence in front', async (t) => {
  const { clock, post, standIn } = await laboratory('groq', {
    profile: exactProfile({ leadSilenceMs: 60 }),
  });
  const answer = await clock.run(post(speechPath, good));
  t.is(answer.status, 200);
  t.is(answer.end, 'complete');
  t.is(answer.headers['content-type'], 'audio/wav');
  t.is(answer.headers['transfer-encoding'], 'chunked');
  t.is(answer.headers.date, undefined);
  t.is(answer.body.toString('latin1', 0, 4), 'RIFF');
  t.is(answer.body.readUInt32LE(24), 24_000);
  const speech = (await sharedVoice()).speakAt(input, 'hannah', 24_000).samples;
  const expected = Buffer.concat([Buffer.alloc(2 * 1440), bytesOf(speech)]);
  const audio = answer.body.subarray(44);
  t.is(digestOf(audio), digestOf(expected));
  const { from } = audibleRange(samplesOf(audio), 24_000);
  t.true(Math.abs(from / 24 - 60) <= 1, `${from / 24} ms of silence`);
  t.is(standIn.log[0]!.audioBytes, audio.length);
  t.like(standIn.log[0]!.headers, { authorization: '***' });
});

test('its timing is the profile of the reference, chunk by chunk', async (t) => {
  const { clock, post, standIn } = await laboratory('groq', {
    profile: { ...personalities().get('groq-orpheus')!.timing, jitterMs: 0 },
  });
  t.is(standIn.connectMs, 90);
  const { chunks, body } = await clock.run(post(speechPath, good));
  const [header, ...audio] = chunks;
  t.is(header!.data.length, 44);
  t.true(audio.slice(0, -1).every(({ data }) => data.length === 0.4 * 48_000));
  // 0.4 s of audio take 50 ms to produce at eightfold speed, longer than the gap of 40 ms.
  const gaps = audio.slice(1, -1).map(({ atUs }, i) => atUs - audio[i]!.atUs);
  t.true(gaps.length > 2 && gaps.every((gap) => gap === 50_000), gaps.join());
  t.true(body.length > 48_000);
});

test('every answer states the limits, and only a 429 the wait', async (t) => {
  const { clock, post, request } = await laboratory('groq', {
    changes: { fault: { kind: 'rate-limit', request: 2, afterFraction: 0.5 } },
  });
  const headers = { authorization: 'Bearer k' };
  const answers = [
    await clock.run(post(speechPath, good)),
    await clock.run(post(speechPath, good)),
    await clock.run(post(speechPath, { ...good, voice: 'bob' })),
    await clock.run(request('GET', '/openai/v1/models', { headers })),
  ];
  t.deepEqual(
    answers.map(({ status }) => status),
    [200, 429, 400, 200],
  );
  for (const { status, headers: sent } of answers) {
    for (const what of ['limit', 'remaining', 'reset']) {
      for (const unit of ['requests', 'tokens']) t.truthy(sent[`x-ratelimit-${what}-${unit}`]);
    }
    t.is(sent['retry-after'], status === 429 ? '1' : undefined);
    t.regex(String(sent['x-request-id']), /^req_/);
  }
});

const refusals: [string, object | string, number, string | undefined, RegExp][] = [
  [
    'mp3',
    { ...good, response_format: 'mp3' },
    400,
    undefined,
    /^response_format must be one of \[wav\]$/,
  ],
  ['no format', { ...good, response_format: undefined }, 400, undefined, /one of \[wav\]/],
  ['201 characters', { ...good, input: 'é'.repeat(201) }, 400, undefined, /at most 200 characters/],
  [
    'an unknown voice',
    { ...good, voice: 'ash' },
    400,
    undefined,
    /^voice must be one of \[autumn /,
  ],
  [
    'a voice of another model',
    { ...good, model: 'canopylabs/orpheus-arabic-saudi' },
    400,
    undefined,
    /^voice must be one of \[abdullah /,
  ],
  ['no voice', { ...good, voice: undefined }, 400, undefined, /^voice is required$/],
  ['an empty input', { ...good, input: '' }, 400, undefined, /^input is required$/],
  ['a number as input', { ...good, input: 5 }, 400, undefined, /^input must be a string$/],
  ['broken JSON', '{"model":', 400, undefined, /no JSON object/],
  [
    "EchoKit's default model",
    { ...good, model: 'playai-tts' },
    400,
    'model_decommissioned',
    /decommissioned/,
  ],
  [
    'an unknown model',
    { ...good, model: 'tts-1' },
    404,
    'model_not_found',
    /`tts-1` does not exist/,
  ],
];
for (const [name, body, status, code, message] of refusals) {
  test(`${name} is refused with ${status} in Groq's envelope, without param`, async (t) => {
    const { clock, post, standIn } = await laboratory('groq');
    const answer = await clock.run(post(speechPath, body));
    t.is(answer.status, status);
    t.is(answer.headers['content-type'], 'application/json');
    const { error } = JSON.parse(answer.body.toString());
    const keys = code === undefined ? ['message', 'type'] : ['message', 'type', 'code'];
    t.deepEqual(Object.keys(error), keys);
    t.is(error.type, 'invalid_request_error');
    t.is(error.code, code);
    t.regex(error.message, message);
    t.is(standIn.log[0]!.audioBytes, 0);
  });
}

test('200 characters, engine voices, test signals and unknown fields are accepted', async (t) => {
  const { clock, post } = await laboratory('groq', { profile: exactProfile() });
  for (const changes of [
    { input: '🌙 '.repeat(100), voice: 'silence' },
    { voice: 'rms', speed: 1.5 },
    { voice: 'tone', model: 'canopylabs/orpheus-arabic-saudi' },
  ]) {
    t.is((await clock.run(post(speechPath, { ...good, ...changes }))).status, 200);
  }
});

const planted = [
  ['auth', 401, 'invalid_request_error', 'invalid_api_key', undefined],
  ['quota', 429, 'tokens', 'rate_limit_exceeded', '870'],
  ['rate-limit', 429, 'requests', 'rate_limit_exceeded', '1'],
  ['bad-voice', 400, 'invalid_request_error', undefined, undefined],
  ['server', 500, 'internal_server_error', undefined, undefined],
] as const;
for (const [kind, status, type, code, wait] of planted) {
  test(`the planted fault ${kind} is a ${status} for the chosen request only`, async (t) => {
    const { clock, post, standIn } = await laboratory('groq', {
      changes: { fault: { kind, request: 2, afterFraction: 0.5 } },
    });
    t.is((await clock.run(post(speechPath, good))).status, 200);
    const answer = await clock.run(post(speechPath, good));
    t.is(answer.status, status);
    const { error } = JSON.parse(answer.body.toString());
    t.is(error.type, type);
    t.is(error.code, code);
    t.is(answer.headers['retry-after'], wait);
    t.is((await clock.run(post(speechPath, good))).status, 200);
    t.deepEqual(
      standIn.log.map(({ fault }) => fault),
      [undefined, kind, undefined],
    );
  });
}

test('faults in mid audio are those of the other HTTP services', async (t) => {
  const whole = await laboratory('groq');
  const full = (await whole.clock.run(whole.post(speechPath, good))).body.length - 44;
  const half = Math.floor(full / 4) * 2;
  const expected = {
    cut: ['broken', half],
    'early-end': ['complete', half],
    stall: ['open', half],
    empty: ['complete', 0],
  } as const;
  for (const kind of ['cut', 'early-end', 'stall', 'empty'] as const) {
    const { clock, post } = await laboratory('groq', {
      changes: { fault: { kind, afterFraction: 0.5 } },
    });
    const answer = await clock.run(post(speechPath, good, { waitUs: 30e6 }));
    t.deepEqual([answer.end, answer.body.length - 44], [...expected[kind]], kind);
  }
});

test('keys are checked, and other paths are unknown', async (t) => {
  const { clock, request, post, standIn } = await laboratory('groq', { credentials: 'gsk-right' });
  const wrong = { headers: { authorization: 'Bearer gsk-wrong' } };
  const refused = await clock.run(post(speechPath, good, wrong));
  t.is(refused.status, 401);
  t.deepEqual(JSON.parse(refused.body.toString()), {
    error: { message: 'Invalid API Key', type: 'invalid_request_error', code: 'invalid_api_key' },
  });
  t.false(JSON.stringify(standIn.log).includes('gsk-wrong'));
  const right = { headers: { authorization: 'Bearer gsk-right' } };
  t.is((await clock.run(post(speechPath, good, right))).status, 200);
  t.is((await clock.run(request('HEAD', '/openai/v1/models', right))).status, 200);
  for (const [method, path] of [
    ['GET', speechPath],
    ['GET', '/v1/models'],
  ] as const) {
    const lost = await clock.run(request(method, path, right));
    t.is(lost.status, 404);
    t.is(JSON.parse(lost.body.toString()).error.code, 'unknown_url');
  }
});
