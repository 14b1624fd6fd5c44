/** The copies of OpenAI's API, each as section 5 of the TTS provider protocol reference has it. */
import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { ClipEncoder } from './clip-encoder.ts';
import { personalities } from './personality-catalog.ts';
import { digestOf, exactProfile, laboratory, samplesOf, sharedVoice } from './test-client.ts';

const input = 'Hello there. How can I help?';
const keyless = { authorization: '' };

/** A stand-in with this personality's behavior and a timing without chance. */
const exact = (personality: string, more = {}) =>
  laboratory('openai', { personality, profile: exactProfile(), ...more });

const envelope = (body: Buffer): unknown => JSON.parse(body.toString());

// OpenRouter (section 5.2)

const routerPath = '/api/v1/audio/speech';
const routed = { model: 'openai/gpt-4o-mini-tts', voice: 'alloy', input };

test('openrouter sends pcm when no format is named, with its rate and an id', async (t) => {
  const { clock, post } = await exact('openrouter');
  const answer = await clock.run(post(routerPath, routed));
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'audio/pcm;rate=24000;channels=1');
  t.is(answer.headers['transfer-encoding'], 'chunked');
  t.regex(String(answer.headers['x-generation-id']), /^gen-tts-\d{10}-[0-9a-f]{16}$/);
  const { samples } = (await sharedVoice()).speakAt(input, 'alloy', 24_000);
  t.deepEqual(samplesOf(answer.body), samples);
  t.is((await clock.run(post('/v1/audio/speech', routed))).status, 404);
});

test('errors of openrouter have the status as a number for their code', async (t) => {
  const { clock, post, standIn } = await exact('openrouter');
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ ...routed, response_format: 'flac' }, /response_format/],
    [{ ...routed, voice: 'unknown-voice' }, /voice/],
    [{ ...routed, model: 'gpt' }, /not a valid model ID/],
    [{ ...routed, input: '' }, /input/],
    [{ ...routed, model: 'google/gemini-x', response_format: 'mp3' }, /pcm only/],
  ];
  for (const [body, message] of cases) {
    const answer = await clock.run(post(routerPath, body));
    t.is(answer.status, 400);
    const { error } = envelope(answer.body) as { error: { code: number; message: string } };
    t.deepEqual(Object.keys(error).sort(), ['code', 'message']);
    t.is(error.code, 400);
    t.regex(error.message, message);
  }
  const refused = await clock.run(post(routerPath, routed, { headers: keyless }));
  t.is(refused.status, 401);
  t.is(standIn.log.at(-1)!.error, '401');
});

// Kokoro-FastAPI (section 5.3)

const speechPath = '/v1/audio/speech';
const kokoro = { model: 'kokoro', input, voice: 'af_heart', response_format: 'pcm' };

test('kokoro needs no key and sends a chunk for each sentence', async (t) => {
  const { clock, post } = await exact('kokoro-gpu', {
    profile: { ...personalities().get('kokoro-gpu')!.timing, jitterMs: 0 },
  });
  const answer = await clock.run(post(speechPath, kokoro, { headers: keyless }));
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'audio/pcm');
  t.is(answer.headers['content-disposition'], 'attachment; filename=speech.pcm');
  t.is(answer.headers['x-accel-buffering'], 'no');
  t.is(answer.headers['cache-control'], 'no-cache');
  t.is(answer.headers['content-length'], undefined);
  const voice = await sharedVoice();
  const [first, second] = ['Hello there.', 'How can I help?'].map(
    (sentence) => voice.speakAt(sentence, 'af_heart', 24_000).samples.length,
  );
  const pieces = answer.chunks.map(({ data }) => data.length / 2);
  // 40 ms of silence in front of the clip, once.
  t.deepEqual(pieces, [960 + first!, second]);
  // The second sentence is made at 40 times real time while the first is on its way.
  const madeMs = second! / 24 / 40;
  const tookMs = (answer.chunks[1]!.atUs - answer.chunks[0]!.atUs) / 1000;
  t.true(Math.abs(tookMs - madeMs) < 0.01, `${tookMs} ms, ${madeMs} ms of work`);
});

test('kokoro finishes the file first when it is told not to stream', async (t) => {
  const { clock, post } = await exact('kokoro-old-cpu', {
    profile: { ...personalities().get('kokoro-old-cpu')!.timing, jitterMs: 0 },
    changes: { firstByteMs: 1000 },
  });
  const streamed = await clock.run(post(speechPath, kokoro));
  const whole = await clock.run(post(speechPath, { ...kokoro, stream: false }));
  t.is(whole.headers['content-length'], String(whole.body.length));
  t.is(digestOf(whole.body), digestOf(streamed.body));
  t.true(whole.chunks.every(({ atUs }) => atUs === whole.headUs));
});

test('kokoro mixes voices, and knows those of OpenAI', async (t) => {
  const { clock, post } = await exact('kokoro-gpu');
  for (const voice of ['af_bella(2)+af_sky(1)', 'af_bella+bm_george', 'alloy', 'tone', undefined]) {
    t.is((await clock.run(post(speechPath, { ...kokoro, voice }))).status, 200, voice);
  }
});

test('errors of kokoro are those of FastAPI', async (t) => {
  const { clock, post, request } = await exact('kokoro-gpu');
  const missing = await clock.run(post(speechPath, { ...kokoro, voice: 'af_bella(2)+af_bob' }));
  t.is(missing.status, 400);
  const { detail } = envelope(missing.body) as { detail: Record<string, string> };
  t.is(detail['error'], 'validation_error');
  t.is(detail['type'], 'invalid_request_error');
  t.regex(detail['message']!, /^Voice 'af_bob' not found\. Available voices: af_alloy, /);
  const model = await clock.run(post(speechPath, { ...kokoro, model: 'tts-9' }));
  t.is(model.status, 400);
  t.like(envelope(model.body), { detail: { error: 'invalid_model' } });
  const noInput = await clock.run(post(speechPath, { voice: 'af_heart' }));
  t.is(noInput.status, 422);
  t.deepEqual(envelope(noInput.body), {
    detail: [
      {
        type: 'missing',
        loc: ['body', 'input'],
        msg: 'Field required',
        input: { voice: 'af_heart' },
      },
    ],
  });
  const format = await clock.run(post(speechPath, { ...kokoro, response_format: 'ogg' }));
  t.is(format.status, 422);
  t.like(envelope(format.body), { detail: { 0: { type: 'literal_error' } } });
  t.is((await clock.run(request('GET', speechPath))).status, 405);
  const lost = await clock.run(request('GET', '/nowhere'));
  t.deepEqual([lost.status, envelope(lost.body)], [404, { detail: 'Not Found' }]);
  const voices = await clock.run(request('GET', '/v1/audio/voices'));
  t.true((envelope(voices.body) as { voices: string[] }).voices.includes('af_heart'));
});

testWithFfmpeg('kokoro speaks all six formats, mp3 when none is named', async (t) => {
  const { clock, post } = await exact('kokoro-gpu', { encoder: new ClipEncoder() });
  const types = {
    mp3: 'audio/mpeg',
    opus: 'audio/opus',
    aac: 'audio/aac',
    flac: 'audio/flac',
    wav: 'audio/wav',
    pcm: 'audio/pcm',
  };
  const pcm = await clock.run(post(speechPath, kokoro));
  const { response_format: _, ...unsaid } = kokoro;
  t.is((await clock.run(post(speechPath, unsaid))).headers['content-type'], 'audio/mpeg');
  for (const [format, type] of Object.entries(types)) {
    const answer = await clock.run(post(speechPath, { ...kokoro, response_format: format }));
    t.is(answer.headers['content-type'], type);
    t.is(answer.chunks.filter(({ data }) => data.length > 44).length, 2, format);
    if (format === 'pcm') continue;
    const decode = ['-i', 'pipe:0', '-f', 's16le', '-ac', '1', '-ar', '24000', 'pipe:1'];
    const extraMs = (installed!.run(decode, answer.body).length - pcm.body.length) / 48;
    t.true(extraMs >= 0 && extraMs < 120, `${format}: ${extraMs} ms longer`);
  }
});

// vLLM-Omni (section 5.4)

const omni = { input, voice: 'vivian' };

test('vllm-omni sends a finished wav with its sizes and counts of tokens when nothing is said', async (t) => {
  const { clock, post } = await exact('vllm-omni');
  const answer = await clock.run(post(speechPath, omni, { headers: keyless }));
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'audio/wav');
  t.is(answer.headers['content-length'], String(answer.body.length));
  t.is(answer.body.readUInt32LE(4), answer.body.length - 8);
  t.is(answer.body.readUInt32LE(40), answer.body.length - 44);
  const count = (name: string): number => Number(answer.headers[`x-vllm-omni-${name}-tokens`]);
  t.true(count('input') > 0);
  t.is(count('total'), count('input') + count('output'));
});

test('vllm-omni streams raw audio or named events, by two switches', async (t) => {
  const { clock, post } = await exact('vllm-omni');
  const raw = await clock.run(
    post(speechPath, { ...omni, stream_format: 'audio', response_format: 'pcm' }),
  );
  t.is(raw.headers['content-type'], 'audio/pcm');
  t.is(raw.headers['content-length'], undefined);
  t.true(raw.chunks.length > 1);
  for (const ways of [{ stream: true }, { stream_format: 'sse' }]) {
    const answer = await clock.run(post(speechPath, { ...omni, ...ways, response_format: 'pcm' }));
    t.is(answer.headers['content-type'], 'text/event-stream');
    const events = answer.body.toString().split('\n\n');
    t.is(events.pop(), '');
    const parsed = events.map((event) => {
      const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(event)!;
      const fields = JSON.parse(data!);
      t.is(fields.type, name);
      return fields;
    });
    const done = parsed.pop();
    t.is(done.type, 'speech.audio.done');
    t.is(done.usage.input_token_details.text_tokens, done.usage.input_tokens);
    t.true(parsed.every((fields) => fields.response_format === 'pcm'));
    const audio = Buffer.concat(parsed.map((fields) => Buffer.from(fields.audio, 'base64')));
    t.is(digestOf(audio), digestOf(raw.body));
  }
});

test('a failure of vllm-omni is a status, or the last event of a stream', async (t) => {
  const fault = { kind: 'server', afterFraction: 0 } as const;
  const { clock, post } = await exact('vllm-omni', { changes: { fault } });
  const plain = await clock.run(post(speechPath, omni));
  t.is(plain.status, 500);
  t.like(envelope(plain.body), { error: { code: 500, param: null } });
  const events = await clock.run(post(speechPath, { ...omni, stream: true }));
  t.is(events.status, 200);
  const [, data] = /^event: speech\.audio\.error\ndata: (.*)\n\n$/.exec(events.body.toString())!;
  t.like(JSON.parse(data!), { type: 'speech.audio.error', error: { code: 500, param: null } });
});

test('vllm-omni refuses to stream what it cannot, and names it', async (t) => {
  const { clock, post, request } = await exact('vllm-omni');
  const cases: readonly (readonly [object, number, RegExp])[] = [
    [{ ...omni, stream: true, response_format: 'mp3' }, 400, /pcm and wav/],
    [{ ...omni, stream: true, speed: 1.5 }, 400, /speed 1\.0/],
    [{ ...omni, voice: 'bob' }, 400, /Invalid voice 'bob'/],
    [{ ...omni, model: 'unknown' }, 404, /does not exist/],
    [{ voice: 'vivian' }, 400, /input: Field required/],
  ];
  for (const [body, status, message] of cases) {
    const answer = await clock.run(post(speechPath, body));
    const { error } = envelope(answer.body) as { error: { code: number; message: string } };
    t.deepEqual([answer.status, error.code], [status, status]);
    t.regex(error.message, message);
  }
  const voices = await clock.run(request('GET', '/v1/audio/voices'));
  t.true((envelope(voices.body) as { voices: string[] }).voices.includes('vivian'));
});

test('vllm-omni checks keys only when it was started with one', async (t) => {
  const open = await exact('vllm-omni');
  t.is((await open.clock.run(open.post(speechPath, omni, { headers: keyless }))).status, 200);
  const locked = await exact('vllm-omni', { credentials: 'token-1' });
  t.is((await locked.clock.run(locked.post(speechPath, omni, { headers: keyless }))).status, 401);
  const right = { headers: { authorization: 'Bearer token-1' } };
  t.is((await locked.clock.run(locked.post(speechPath, omni, right))).status, 200);
});

// What they share

const refusals: readonly (readonly [string, string, object, Readonly<Record<string, number>>])[] = [
  [
    'openrouter',
    routerPath,
    routed,
    { auth: 401, quota: 402, 'rate-limit': 429, 'bad-voice': 400, server: 500 },
  ],
  [
    'kokoro-gpu',
    speechPath,
    kokoro,
    { auth: 401, quota: 402, 'rate-limit': 429, 'bad-voice': 400, server: 500 },
  ],
  [
    'vllm-omni',
    speechPath,
    omni,
    { auth: 401, quota: 402, 'rate-limit': 429, 'bad-voice': 400, server: 500 },
  ],
];
for (const [personality, path, body, statuses] of refusals) {
  test(`planted refusals of ${personality} strike the chosen request in its own form`, async (t) => {
    for (const [kind, status] of Object.entries(statuses)) {
      const fault = { kind: kind as 'auth', request: 2, afterFraction: 0 };
      const { clock, post, standIn } = await exact(personality, { changes: { fault } });
      t.is((await clock.run(post(path, body))).status, 200);
      const answer = await clock.run(post(path, body));
      t.is(answer.status, status, kind);
      t.is(answer.headers['retry-after'], kind === 'rate-limit' ? '1' : undefined);
      t.is(standIn.log[1]!.fault, kind as 'auth');
      t.truthy(standIn.log[1]!.error, kind);
      t.is((await clock.run(post(path, body))).status, 200);
    }
  });

  test(`${personality} breaks, stalls, ends early and stays silent`, async (t) => {
    const whole = await exact(personality);
    const full = (await whole.clock.run(whole.post(path, body))).body.length;
    for (const [kind, end] of [
      ['cut', 'broken'],
      ['stall', 'open'],
      ['early-end', 'complete'],
    ] as const) {
      const { clock, post } = await exact(personality, {
        changes: { fault: { kind, afterFraction: 0.5 } },
      });
      const answer = await clock.run(post(path, body, { waitUs: 60e6 }));
      t.is(answer.end, end);
      const share = answer.body.length / full;
      t.true(share > 0.45 && share < 0.55, `${kind}: ${share}`);
    }
    const fault = { kind: 'empty', afterFraction: 0 } as const;
    const empty = await exact(personality, { changes: { fault } });
    const answer = await empty.clock.run(empty.post(path, body));
    t.is(answer.end, 'complete');
    t.true(answer.body.length <= 44, 'nothing but a header');
  });
}
