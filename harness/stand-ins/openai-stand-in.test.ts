import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { audibleRange } from './audible-range.ts';
import { bytesOf } from './clip-cache.ts';
import { ClipEncoder } from './clip-encoder.ts';
import { personalities } from './personality-catalog.ts';
import { digestOf, exactProfile, laboratory, samplesOf, sharedVoice } from './test-client.ts';

const speechPath = '/v1/audio/speech';
const input = 'Hello there. How can I help?';
const good = { model: 'gpt-4o-mini-tts', voice: 'ash', input, response_format: 'pcm' };

/** The 44-byte header of the reference, section 2.2, with placeholder sizes. */
const openAiHeader =
  '52494646ffffffff57415645666d7420100000000100' +
  '0100c05d000080bb0000020010006461746' +
  '1ffffffff';

test('pcm is the clip at 24 kHz with the planted silence in front', async (t) => {
  const { clock, post, standIn } = await laboratory('openai', {
    profile: exactProfile({ leadSilenceMs: 80 }),
  });
  const answer = await clock.run(post(speechPath, good));
  t.is(answer.status, 200);
  t.is(answer.end, 'complete');
  t.is(answer.headers['content-type'], 'audio/pcm');
  t.is(answer.headers['transfer-encoding'], 'chunked');
  t.is(answer.headers['content-length'], undefined);
  t.is(answer.headers['content-encoding'], undefined);
  t.is(answer.headers.date, undefined);
  t.regex(String(answer.headers['x-request-id']), /^req_[0-9a-f]{32}$/);
  t.is(answer.headers['openai-processing-ms'], '180');
  const speech = (await sharedVoice()).speakAt(input, 'ash', 24_000).samples;
  const expected = Buffer.concat([Buffer.alloc(2 * 1920), bytesOf(speech)]);
  t.is(digestOf(answer.body), digestOf(expected));
  const { from } = audibleRange(samplesOf(answer.body), 24_000);
  t.true(Math.abs(from / 24 - 80) <= 1, `${from / 24} ms of silence`);
  const entry = standIn.log[0]!;
  t.is(entry.request, 1);
  t.is(entry.outcome, 'answered');
  t.is(entry.audioBytes, answer.body.length);
  t.is(entry.audioSeconds, answer.body.length / 48_000);
  t.like(entry.headers, { authorization: '***' });
  t.deepEqual(JSON.parse(entry.body), good);
});

test('chunks arrive at the planned instants, from the first byte on', async (t) => {
  const { clock, post } = await laboratory('openai', { profile: exactProfile() });
  const { chunks, headUs } = await clock.run(post(speechPath, good));
  t.is(headUs, 180_000);
  t.deepEqual(
    chunks.map(({ atUs }) => atUs),
    chunks.map((_, i) => 180_000 + i * 80_000),
  );
  t.true(chunks.slice(0, -1).every(({ data }) => data.length === 24_000));
});

test('a slow provider takes as long as its speed says', async (t) => {
  const { clock, post } = await laboratory('openai', {
    profile: { ...personalities().get('openai-mini')!.timing, jitterMs: 0 },
    changes: { speed: 0.5, firstByteMs: 300 },
  });
  const { chunks, body } = await clock.run(post(speechPath, good));
  const rest = (body.length - chunks[0]!.data.length) / 48_000;
  const tookUs = chunks.at(-1)!.atUs - chunks[0]!.atUs;
  t.true(Math.abs(tookUs / 1e6 - rest / 0.5) < 0.001);
});

test('wav has the placeholder header and then the same samples', async (t) => {
  const { clock, post } = await laboratory('openai');
  const wav = await clock.run(post(speechPath, { ...good, response_format: 'wav' }));
  t.is(wav.headers['content-type'], 'audio/wav');
  t.is(wav.body.subarray(0, 44).toString('hex'), openAiHeader);
  const pcm = await laboratory('openai');
  const raw = await pcm.clock.run(pcm.post(speechPath, good));
  t.is(digestOf(wav.body.subarray(44)), digestOf(raw.body));
});

test('the profile cuts the stream at odd bytes', async (t) => {
  const { clock, post } = await laboratory('openai');
  const { chunks } = await clock.run(post(speechPath, good));
  t.true(chunks.some(({ data }) => data.length % 2 === 1));
});

test('server-sent events carry the same bytes and end with done', async (t) => {
  const { clock, post } = await laboratory('openai');
  const answer = await clock.run(post(speechPath, { ...good, stream_format: 'sse' }));
  t.is(answer.headers['content-type'], 'text/event-stream');
  const events = answer.body.toString().split('\n\n');
  t.is(events.pop(), '');
  const parsed = events.map((event) => JSON.parse(event.replace(/^data: /, '')));
  const done = parsed.pop();
  t.is(done.type, 'speech.audio.done');
  t.is(done.usage.total_tokens, done.usage.input_tokens + done.usage.output_tokens);
  t.true(parsed.every(({ type }) => type === 'speech.audio.delta'));
  const audio = Buffer.concat(parsed.map((event) => Buffer.from(event.audio, 'base64')));
  const plain = await laboratory('openai');
  const whole = await plain.clock.run(plain.post(speechPath, good));
  t.is(digestOf(audio), digestOf(whole.body));
  const { status } = await clock.run(
    post(speechPath, { ...good, model: 'tts-1', stream_format: 'sse' }),
  );
  t.is(status, 400);
});

const refusals: [string, object | string, number, string | null, RegExp][] = [
  ['unknown model', { ...good, model: 'gpt-4o-tts' }, 404, 'model_not_found', /gpt-4o-tts/],
  [
    'unknown voice',
    { ...good, voice: 'bob' },
    400,
    null,
    /^\[\{'type': 'enum', 'loc': \('body', 'voice'\), 'msg': "Input should be 'nova', .* or 'cedar'", 'input': 'bob'\}\]$/,
  ],
  [
    'ballad with tts-1',
    { ...good, model: 'tts-1', voice: 'ballad' },
    400,
    null,
    /'loc': \('body', 'voice'\)/,
  ],
  [
    'missing input',
    { model: 'tts-1', voice: 'ash' },
    400,
    null,
    /'type': 'missing', 'loc': \('body', 'input'\), 'msg': 'Field required'/,
  ],
  ['empty input', { ...good, input: '' }, 400, null, /at least 1 character/],
  ['4097 characters', { ...good, input: 'é'.repeat(4097) }, 400, null, /at most 4096 characters/],
  ['speed 5', { ...good, speed: 5 }, 400, null, /less than or equal to 4/],
  ['speed 0.1', { ...good, speed: 0.1 }, 400, null, /greater than or equal to 0.25/],
  [
    'unknown field',
    { ...good, language: 'en' },
    400,
    null,
    /'type': 'extra_forbidden', 'loc': \('body', 'language'\)/,
  ],
  ['voice that is null', { ...good, voice: null }, 400, null, /'input': None/],
  [
    'unknown format',
    { ...good, response_format: 'ogg' },
    400,
    null,
    /'loc': \('body', 'response_format'\)/,
  ],
  [
    'mp3 without an encoder',
    { ...good, response_format: 'mp3' },
    400,
    'stand_in_format',
    /wav and pcm only, and "mp3"/,
  ],
  [
    'no format without an encoder',
    { model: 'tts-1', voice: 'ash', input },
    400,
    'stand_in_format',
    /default of the API/,
  ],
  ['broken JSON', '{"model":', 400, null, /could not parse the JSON/],
  ['an array', '[]', 400, null, /could not parse the JSON/],
];
for (const [name, body, status, code, message] of refusals) {
  test(`${name} is refused with ${status} in the envelope of the service`, async (t) => {
    const { clock, post, standIn } = await laboratory('openai');
    const answer = await clock.run(post(speechPath, body));
    t.is(answer.status, status);
    t.is(answer.headers['content-type'], 'application/json');
    t.truthy(answer.headers['x-request-id']);
    const { error } = JSON.parse(answer.body.toString());
    t.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    t.is(error.type, 'invalid_request_error');
    t.is(error.param, null);
    t.is(error.code, code);
    t.regex(error.message, message);
    t.is(standIn.log[0]!.audioBytes, 0);
  });
}

test('4096 characters, custom voices, engine voices and test signals are accepted', async (t) => {
  const { clock, post } = await laboratory('openai', { profile: exactProfile() });
  for (const changes of [
    { input: 'a '.repeat(2048), voice: 'silence' },
    { voice: { id: 'voice_123' } },
    { voice: 'rms' },
    { voice: 'tone', model: 'tts-1-hd' },
  ]) {
    t.is((await clock.run(post(speechPath, { ...good, ...changes }))).status, 200);
  }
});

test('an encoder without ffmpeg gives its reason', async (t) => {
  const encoder = new ClipEncoder({ ffmpegPath: '/nowhere/ffmpeg' });
  const { clock, post } = await laboratory('openai', { encoder });
  const answer = await clock.run(post(speechPath, { ...good, response_format: 'flac' }));
  t.is(answer.status, 400);
  t.regex(JSON.parse(answer.body.toString()).error.message, /\/nowhere\/ffmpeg.*FFMPEG_PATH/);
});

const compressedTypes = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
};
for (const [format, type] of Object.entries(compressedTypes)) {
  testWithFfmpeg(`${format} is the same clip, and arrives when its sound would`, async (t) => {
    const options = { encoder: new ClipEncoder(), profile: exactProfile() };
    const { clock, post, standIn } = await laboratory('openai', options);
    const pcm = await clock.run(post(speechPath, good));
    const answer = await clock.run(post(speechPath, { ...good, response_format: format }));
    t.is(answer.headers['content-type'], type);
    const decode = ['-i', 'pipe:0', '-f', 's16le', '-ac', '1', '-ar', '24000', 'pipe:1'];
    const decoded = installed!.run(decode, answer.body);
    const extraMs = (decoded.length - pcm.body.length) / 48;
    t.true(extraMs >= 0 && extraMs < 120, `${extraMs} ms longer`);
    t.is(answer.chunks.length, pcm.chunks.length);
    let sent = 0;
    let heard = 0;
    for (const [i, { atUs, data }] of answer.chunks.entries()) {
      const plain = pcm.chunks[i]!;
      t.is(atUs - answer.headUs, plain.atUs - pcm.headUs);
      sent += data.length;
      heard += plain.data.length;
      const share = sent / answer.body.length - heard / pcm.body.length;
      t.true(Math.abs(share) * answer.body.length < 1, `chunk ${i}`);
    }
    const [plain, entry] = standIn.log;
    t.is(entry!.audioBytes, answer.body.length);
    t.true(Math.abs(entry!.audioSeconds - plain!.audioSeconds) < 1e-9);
  });
}

testWithFfmpeg('mp3 is what comes when no format is named, also in events', async (t) => {
  const { clock, post } = await laboratory('openai', { encoder: new ClipEncoder() });
  const { response_format: _, ...unsaid } = good;
  const plain = await clock.run(post(speechPath, unsaid));
  t.is(plain.headers['content-type'], 'audio/mpeg');
  const events = await clock.run(post(speechPath, { ...unsaid, stream_format: 'sse' }));
  const audio = Buffer.concat(
    [...events.body.toString().matchAll(/"audio":"([^"]+)"/g)].map(([, base64]) =>
      Buffer.from(base64!, 'base64'),
    ),
  );
  t.is(digestOf(audio), digestOf(plain.body));
});

test('more than 2000 tokens are refused with the count, by the newer models only', async (t) => {
  const { clock, post } = await laboratory('openai', { profile: exactProfile() });
  // One token for each Han character, whatever the tokenizer.
  const long = { ...good, input: '月'.repeat(2132), voice: 'silence' };
  const answer = await clock.run(post(speechPath, long));
  t.is(answer.status, 400);
  t.deepEqual(JSON.parse(answer.body.toString()), {
    error: {
      message:
        'Input of 2132 tokens is over the maximum input limit of 2000 tokens. Please shorten your input.',
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_value',
    },
  });
  const fits = await clock.run(post(speechPath, { ...long, input: '月'.repeat(2000) }));
  t.is(fits.status, 200);
  t.is((await clock.run(post(speechPath, { ...long, model: 'tts-1' }))).status, 200);
});

test('keys are checked, and never shown or logged', async (t) => {
  const strict = await laboratory('openai', { credentials: 'sk-right' });
  const key = 'sk-wrong-0123456789';
  const authorization = `Bearer ${key}`;
  const refused = await strict.clock.run(
    strict.post(speechPath, good, { headers: { authorization } }),
  );
  t.is(refused.status, 401);
  const { error } = JSON.parse(refused.body.toString());
  t.is(error.code, 'invalid_api_key');
  t.false(refused.body.includes(key));
  t.false(JSON.stringify(strict.standIn.log).includes(key));
  const right = { headers: { authorization: 'Bearer sk-right' } };
  t.is((await strict.clock.run(strict.post(speechPath, good, right))).status, 200);

  const lenient = await laboratory('openai');
  for (const [value, status] of [
    ['Bearer anything', 200],
    ['Bearer sk-invalid', 401],
    ['Bearer ', 401],
    ['Basic abc', 401],
  ] as const) {
    const answer = await lenient.clock.run(
      lenient.post(speechPath, good, { headers: { authorization: value } }),
    );
    t.is(answer.status, status, value);
  }
});

test('models are listed, other paths are answered as the service does', async (t) => {
  const { clock, request, standIn } = await laboratory('openai');
  const headers = { authorization: 'Bearer k' };
  const list = await clock.run(request('GET', '/v1/models', { headers }));
  t.true(JSON.parse(list.body.toString()).data.some(({ id }: { id: string }) => id === 'tts-1'));
  const head = await clock.run(request('HEAD', '/v1/models', { headers }));
  t.is(head.status, 200);
  t.is(head.body.length, 0);
  t.is((await clock.run(request('HEAD', '/v1/models'))).status, 401);
  t.is((await clock.run(request('GET', speechPath, { headers }))).status, 405);
  t.is((await clock.run(request('GET', '//', { headers }))).status, 404);
  const lost = await clock.run(request('GET', '/v1/nothing', { headers }));
  t.is(lost.status, 404);
  t.is(JSON.parse(lost.body.toString()).error.message, 'Invalid URL (GET /v1/nothing)');
  t.true(standIn.log.every(({ request: ordinal }) => ordinal === undefined));
});

const plantedErrors = [
  ['auth', 401, 'invalid_request_error', 'invalid_api_key'],
  ['quota', 429, 'insufficient_quota', 'insufficient_quota'],
  ['rate-limit', 429, 'requests', 'rate_limit_exceeded'],
  ['bad-voice', 400, 'invalid_request_error', null],
  ['server', 500, 'server_error', null],
] as const;
for (const [kind, status, type, code] of plantedErrors) {
  test(`the planted fault ${kind} is a ${status} for the chosen request only`, async (t) => {
    const { clock, post, standIn } = await laboratory('openai', {
      changes: { fault: { kind, request: 2, afterFraction: 0.5 } },
    });
    t.is((await clock.run(post(speechPath, good))).status, 200);
    const answer = await clock.run(post(speechPath, good));
    t.is(answer.status, status);
    const { error } = JSON.parse(answer.body.toString());
    t.is(error.type, type);
    t.is(error.code, code);
    t.is(answer.headers['retry-after'], kind === 'rate-limit' ? '1' : undefined);
    const left = answer.headers['x-ratelimit-remaining-requests'];
    t.is(left, kind === 'rate-limit' ? '0' : '499');
    t.is((await clock.run(post(speechPath, good))).status, 200);
    t.deepEqual(
      standIn.log.map(({ fault }) => fault),
      [undefined, kind, undefined],
    );
  });
}

test('faults in mid audio: cut breaks, early-end ends, stall waits, empty has no audio', async (t) => {
  const whole = await laboratory('openai');
  const full = (await whole.clock.run(whole.post(speechPath, good))).body;
  const half = Math.floor(full.length / 4) * 2;
  const expected = {
    cut: ['broken', half],
    'early-end': ['complete', half],
    stall: ['open', half],
    empty: ['complete', 0],
  } as const;
  for (const kind of ['cut', 'early-end', 'stall', 'empty'] as const) {
    const { clock, post, standIn } = await laboratory('openai', {
      changes: { fault: { kind, afterFraction: 0.5 } },
    });
    const answer = await clock.run(post(speechPath, good, { waitUs: 30e6 }));
    t.is(answer.status, 200, kind);
    t.deepEqual([answer.end, answer.body.length], [...expected[kind]], kind);
    t.is(digestOf(answer.body), digestOf(full.subarray(0, answer.body.length)), kind);
    t.is(standIn.log[0]!.fault, kind);
    t.is(standIn.log[0]!.audioBytes, answer.body.length);
    if (kind === 'cut') t.is(standIn.log[0]!.outcome, 'cut');
  }
});

test('a client that goes away stops the schedule at once', async (t) => {
  const { clock, post, standIn } = await laboratory('openai', { profile: exactProfile() });
  await t.throwsAsync(clock.run(post(speechPath, good, { abortAfterUs: 100_000 })));
  await t.throwsAsync(clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  // Nothing of the schedule (first byte at 180 ms) was left to be waited for.
  t.is(clock.nowUs(), 100_000);
  t.is(standIn.log[0]!.outcome, 'aborted');
  t.is(standIn.log[0]!.audioBytes, 0);
});

test('requests at the same time do not disturb each other', async (t) => {
  const { clock, post, standIn } = await laboratory('openai');
  const other = { ...good, input: 'A different sentence.' };
  const together = await clock.run(Promise.all([post(speechPath, good), post(speechPath, other)]));
  const apart = await laboratory('openai');
  const first = await apart.clock.run(apart.post(speechPath, good));
  t.is(digestOf(together[0].body), digestOf(first.body));
  t.deepEqual(
    together[0].chunks.map(({ atUs }) => atUs),
    first.chunks.map(({ atUs }) => atUs),
  );
  t.notDeepEqual(together[1].body, together[0].body);
  t.deepEqual(
    standIn.log.map(({ request }) => request),
    [1, 2],
  );
});

test('one seed gives one conversation, byte for byte and instant for instant', async (t) => {
  const converse = async (seed: number) => {
    const { clock, post, standIn } = await laboratory('openai', { seed });
    const answers = [];
    for (const voice of ['ash', 'coral']) {
      answers.push(await clock.run(post(speechPath, { ...good, voice })));
    }
    return JSON.stringify([answers, standIn.log]);
  };
  t.is(await converse(4), await converse(4));
  t.not(await converse(4), await converse(5));
});

test('closing destroys connections and leaves nothing planned', async (t) => {
  const ended: string[] = [];
  const { clock, post, standIn } = await laboratory('openai', {
    profile: exactProfile(),
    onRequest: ({ outcome }) => ended.push(outcome),
  });
  const answer = post(speechPath, good);
  clock.after(300_000, () => void standIn.close());
  t.is((await clock.run(answer)).end, 'broken');
  await t.throwsAsync(clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(clock.nowUs(), 300_000);
  t.deepEqual(ended, ['aborted']);
});
