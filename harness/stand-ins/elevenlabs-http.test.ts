import test from 'ava';
import { bytesOf } from './clip-cache.ts';
import { digestOf, exactProfile, laboratory, sharedVoice } from './test-client.ts';

const voiceId = 'YOUR-VOICE-ID';
const text = 'The moon has no air.';
const headers = { 'xi-api-key': 'key' };
const pathOf = (route = '', format = 'pcm_16000') =>
  `/v1/text-to-speech/${voiceId}${route}?output_format=${format}`;
const json = ({ body }: { readonly body: Buffer }) => JSON.parse(body.toString());

test('a stream is raw samples, chunk by chunk; a whole clip comes when it is complete', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const speech = bytesOf((await sharedVoice()).speak(text, voiceId).samples);
  const streamed = await lab.clock.run(lab.post(pathOf('/stream'), { text }, { headers }));
  t.is(streamed.status, 200);
  t.is(digestOf(streamed.body), digestOf(speech));
  const instants = streamed.chunks.map(({ atUs }) => atUs);
  t.deepEqual(
    instants,
    instants.map((_, i) => 180_000 + i * 80_000),
  );
  t.true(instants.length >= 3);
  const startUs = lab.clock.nowUs();
  const whole = await lab.clock.run(lab.post(pathOf(), { text }, { headers }));
  t.is(digestOf(whole.body), digestOf(speech));
  t.is(whole.headUs - startUs, instants.at(-1)!);
  t.is(whole.endUs, whole.headUs);
});

test('the answer says what it cost and how busy the account is', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const [one, two] = await lab.clock.run(
    Promise.all([
      lab.post(pathOf('/stream'), { text }, { headers }),
      lab.post(pathOf('/stream'), { text: 'Hi.' }, { headers }),
    ]),
  );
  for (const name of ['request-id', 'x-trace-id', 'x-region']) t.truthy(one!.headers[name], name);
  t.is(one!.headers['server'], 'uvicorn');
  t.is(one!.headers['character-cost'], String(text.length));
  t.is(two!.headers['character-cost'], '3');
  t.is(two!.headers['current-concurrent-requests'], '2');
  t.is(two!.headers['maximum-concurrent-requests'], '10');
  t.is(one!.headers['date'], undefined);
  t.not(one!.headers['request-id'], two!.headers['request-id']);
  const after = await lab.clock.run(lab.post(pathOf('/stream'), { text: 'Hi.' }, { headers }));
  t.is(after.headers['current-concurrent-requests'], '1');
});

test('every pcm and wav format gives the clip at its rate', async (t) => {
  const voice = await sharedVoice();
  for (const rate of [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]) {
    const lab = await laboratory('elevenlabs', { profile: exactProfile() });
    const speech = bytesOf(voice.speakAt('Hi there.', voiceId, rate).samples);
    const body = { text: 'Hi there.' };
    const pcm = await lab.clock.run(lab.post(pathOf('/stream', `pcm_${rate}`), body, { headers }));
    t.is(digestOf(pcm.body), digestOf(speech));
    const wav = await lab.clock.run(lab.post(pathOf('', `wav_${rate}`), body, { headers }));
    // Section 2.2: the size is a placeholder.
    t.is(wav.body.toString('latin1', 0, 4), 'RIFF');
    t.is(wav.body.readUInt32LE(24), rate);
    t.is(wav.body.readUInt32LE(40), 0x7fff_ffff);
    t.is(digestOf(wav.body.subarray(44)), digestOf(speech));
    t.is(wav.headers['content-type'], 'audio/wav');
  }
});

test('wav is a format of whole clips, with and without timestamps, and not of streams', async (t) => {
  const lab = await laboratory('elevenlabs');
  for (const [route, status] of [
    ['', 200],
    ['/with-timestamps', 200],
    ['/stream', 422],
    ['/stream/with-timestamps', 422],
  ] as const) {
    const path = pathOf(route, 'wav_16000');
    t.is((await lab.clock.run(lab.post(path, { text }, { headers }))).status, status, route);
  }
});

interface Timed {
  readonly audio_base64: string;
  readonly alignment: {
    readonly characters: string[];
    readonly character_start_times_seconds: number[];
    readonly character_end_times_seconds: number[];
  } | null;
  readonly normalized_alignment: Timed['alignment'];
}

test('with-timestamps is one document, its stream one line for each chunk', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile({ leadSilenceMs: 60 }) });
  const whole = await lab.clock.run(lab.post(pathOf('/with-timestamps'), { text }, { headers }));
  t.is(whole.headers['content-type'], 'application/json');
  const document = json(whole) as Timed;
  t.deepEqual(Object.keys(document), ['audio_base64', 'alignment', 'normalized_alignment']);
  t.is(document.alignment!.characters.join(''), text);
  t.is(document.normalized_alignment!.characters.join(''), ` ${text}`);
  t.is(document.alignment!.character_start_times_seconds[0], 0.06);

  const streamed = await lab.clock.run(
    lab.post(pathOf('/stream/with-timestamps'), { text }, { headers }),
  );
  const lines = streamed.body.toString().trimEnd().split('\n');
  t.is(lines.length, streamed.chunks.length);
  t.true(lines.length >= 3);
  const parts = lines.map((part) => JSON.parse(part) as Timed);
  t.is(parts.flatMap(({ alignment }) => alignment?.characters ?? []).join(''), text);
  const audio = Buffer.concat(parts.map((part) => Buffer.from(part.audio_base64, 'base64')));
  t.is(digestOf(audio), digestOf(Buffer.from(document.audio_base64, 'base64')));
  const { length: bytes } = audio;
  const times = parts.flatMap(({ alignment }) => alignment?.character_start_times_seconds ?? []);
  t.deepEqual(times, document.alignment!.character_start_times_seconds);
  t.true(times.every((time, i) => time >= (times[i - 1] ?? 0) && time <= bytes / 32_000));
});

const invalid: [string, unknown, (string | number)[], string][] = [
  ['no text', {}, ['body', 'text'], 'missing'],
  ['a text that is a number', { text: 5 }, ['body', 'text'], 'string_type'],
  ['no JSON', 'hello', ['body', '0'], 'json_invalid'],
  ['a seed below 0', { text, seed: -1 }, ['body', 'seed'], 'greater_than_equal'],
  ['a seed above 4294967295', { text, seed: 4_294_967_296 }, ['body', 'seed'], 'less_than_equal'],
  ['a seed with a fraction', { text, seed: 0.5 }, ['body', 'seed'], 'int_type'],
  [
    'four dictionaries',
    { text, pronunciation_dictionary_locators: [1, 2, 3, 4] },
    ['body', 'pronunciation_dictionary_locators'],
    'too_long',
  ],
  [
    'four previous requests',
    { text, previous_request_ids: ['a', 'b', 'c', 'd'] },
    ['body', 'previous_request_ids'],
    'too_long',
  ],
  [
    'four next requests',
    { text, next_request_ids: ['a', 'b', 'c', 'd'] },
    ['body', 'next_request_ids'],
    'too_long',
  ],
  [
    'an unknown normalization',
    { text, apply_text_normalization: 'maybe' },
    ['body', 'apply_text_normalization'],
    'enum',
  ],
  [
    'a speed of 1.3',
    { text, voice_settings: { speed: 1.3 } },
    ['body', 'voice_settings', 'speed'],
    'less_than_equal',
  ],
  [
    'settings that are a text',
    { text, voice_settings: 'fast' },
    ['body', 'voice_settings'],
    'model_attributes_type',
  ],
];
for (const [name, body, loc, type] of invalid) {
  test(`${name} is a 422 with the list of problems`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const answer = await lab.clock.run(lab.post(pathOf(), body, { headers }));
    t.is(answer.status, 422);
    const [problem, ...others] = json(answer).detail;
    t.deepEqual([problem.loc, problem.type], [loc, type]);
    t.true(problem.msg.length > 0);
    t.deepEqual(Object.keys(problem), ['loc', 'msg', 'type']);
    t.deepEqual(others, []);
  });
}

test('null stands for every field that may be left out', async (t) => {
  const lab = await laboratory('elevenlabs');
  const body = { text, model_id: null, voice_settings: null, seed: null, language_code: null };
  t.is((await lab.clock.run(lab.post(pathOf(), body, { headers }))).status, 200);
});

test('an unknown output_format is a 422, one that is not rendered a 400 that says so', async (t) => {
  const lab = await laboratory('elevenlabs');
  const unknown = await lab.clock.run(lab.post(pathOf('', 'pcm_11025'), { text }, { headers }));
  t.is(unknown.status, 422);
  t.deepEqual(json(unknown).detail[0].loc, ['query', 'output_format']);
  for (const path of [pathOf('', 'opus_48000_64'), `/v1/text-to-speech/${voiceId}`]) {
    const other = await lab.clock.run(lab.post(path, { text }, { headers }));
    t.is(other.status, 400);
    t.is(json(other).detail.status, 'stand_in_format');
  }
});

const refused: [string, string, object, Record<string, string>, number, string][] = [
  ['a wrong key', voiceId, { text }, { 'xi-api-key': 'invalid' }, 401, 'invalid_api_key'],
  ['no key', voiceId, { text }, { authorization: '' }, 401, 'invalid_api_key'],
  ['an unknown voice', 'unknown1', { text }, headers, 400, 'voice_not_found'],
  ['an unknown model', voiceId, { text, model_id: 'nobody' }, headers, 400, 'unsupported_model'],
  [
    '3001 characters for eleven_v3',
    voiceId,
    { text: 'a'.repeat(3001), model_id: 'eleven_v3' },
    headers,
    400,
    'max_character_limit_exceeded',
  ],
  [
    '10001 characters for the default model',
    voiceId,
    { text: 'a'.repeat(10_001) },
    headers,
    400,
    'max_character_limit_exceeded',
  ],
];
for (const [name, voice, body, sent, status, code] of refused) {
  test(`${name} is a ${status} ${code}`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const path = pathOf('/stream').replace(voiceId, voice);
    const answer = await lab.clock.run(lab.post(path, body, { headers: sent }));
    t.is(answer.status, status);
    t.is(json(answer).detail.status, code);
    t.deepEqual(Object.keys(json(answer).detail), ['status', 'message']);
    t.truthy(answer.headers['request-id']);
    t.is(lab.standIn.log[0]!.error, code);
  });
}

for (const [kind, status, code] of [
  ['auth', 401, 'invalid_api_key'],
  // A quota problem is a 401 here (section 6.5).
  ['quota', 401, 'quota_exceeded'],
  ['rate-limit', 429, 'too_many_concurrent_requests'],
  ['bad-voice', 400, 'voice_not_found'],
  ['server', 500, 'internal_server_error'],
] as const) {
  test(`the planted fault ${kind} is ${status} ${code}, for its request only`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 2, afterFraction: 0 } },
    });
    const ask = () => lab.clock.run(lab.post(pathOf('/stream'), { text: 'Hi.' }, { headers }));
    t.is((await ask()).status, 200);
    const answer = await ask();
    t.is(answer.status, status);
    t.is(json(answer).detail.status, code);
    t.is(lab.standIn.log[1]!.fault, kind);
    t.is((await ask()).status, 200);
  });
}

test('faults in mid audio: cut, early-end, empty and stall, streamed and whole', async (t) => {
  const plain = await laboratory('elevenlabs');
  const full = (await plain.clock.run(plain.post(pathOf('/stream'), { text }, { headers }))).body;
  const half = Math.floor(full.length / 4) * 2;
  for (const route of ['', '/stream']) {
    for (const [kind, bytes, end] of [
      ['cut', half, 'broken'],
      ['early-end', half, 'complete'],
      ['empty', 0, 'complete'],
      ['stall', half, 'open'],
    ] as const) {
      const lab = await laboratory('elevenlabs', {
        changes: { fault: { kind, afterFraction: 0.5 } },
      });
      const options = { headers, ...(kind === 'stall' && { waitUs: 60e6 }) };
      const answer = await lab.clock.run(lab.post(pathOf(route), { text }, options));
      t.is(answer.status, 200);
      t.is(digestOf(answer.body), digestOf(full.subarray(0, bytes)), `${kind} ${route}`);
      t.is(answer.end, end, `${kind} ${route}`);
      await lab.standIn.close();
    }
  }
});

test('an early end of the timed forms is proper JSON with less audio', async (t) => {
  for (const route of ['/with-timestamps', '/stream/with-timestamps']) {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind: 'early-end', afterFraction: 0.5 } },
    });
    const answer = await lab.clock.run(lab.post(pathOf(route), { text }, { headers }));
    const parts = answer.body
      .toString()
      .trimEnd()
      .split('\n')
      .map((part) => JSON.parse(part));
    const bytes = parts.reduce((n, part) => n + Buffer.from(part.audio_base64, 'base64').length, 0);
    t.is(bytes, lab.standIn.log[0]!.audioBytes);
    t.true(bytes > 0);
  }
});

test('one seed gives one answer', async (t) => {
  const run = async (seed: number) => {
    const lab = await laboratory('elevenlabs', { seed });
    const answer = await lab.clock.run(
      lab.post(pathOf('/stream/with-timestamps'), { text }, { headers }),
    );
    return JSON.stringify([answer, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
