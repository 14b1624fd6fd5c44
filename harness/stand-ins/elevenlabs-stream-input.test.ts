import test from 'ava';
import { bytesOf } from './clip-cache.ts';
import {
  base64AudioOf as audioOf,
  converse,
  digestOf,
  exactProfile,
  laboratory,
  sharedVoice,
} from './test-client.ts';

const voiceId = 'YOUR-VOICE-ID';
const query = 'model_id=eleven_flash_v2_5&output_format=pcm_16000';
const pathOf = (changes = '') => `/v1/text-to-speech/${voiceId}/stream-input?${query}${changes}`;

test('the reference timeline, message for message', async (t) => {
  // TTS provider protocol reference, section 6.9; instants from the 101 at 200 ms on.
  const lab = await laboratory('elevenlabs', {
    profile: exactProfile({
      firstChunkSeconds: 1,
      nextChunkSeconds: [{ minimum: 10, maximum: 10 }],
    }),
  });
  const record = await converse(lab, pathOf(), [
    [1, { text: ' ', voice_settings: { stability: 0.5, similarity_boost: 0.8 } }],
    [10, { text: 'Hello there. ' }],
    [400, { text: 'How can I help? ', flush: true }],
    [700, { text: '' }],
  ]);
  t.deepEqual(
    record.messages.map(({ atUs }) => atUs / 1000),
    [580, 660, 760],
  );
  t.deepEqual(record.closed, { atUs: 761_000, code: 1000, reason: '' });
  const [first, second, final] = record.messages.map(({ json }) => json);
  for (const message of [first!, second!, final!]) {
    t.deepEqual(Object.keys(message), ['audio', 'isFinal', 'normalizedAlignment', 'alignment']);
  }
  t.is(first!.isFinal, null);
  t.deepEqual(first!.alignment?.chars.join(''), 'Hello there. How can I help? ');
  t.is(first!.normalizedAlignment?.chars.join(''), ' Hello there. How can I help? ');
  t.is(second!.alignment, null);
  t.deepEqual(final, { audio: null, isFinal: true, normalizedAlignment: null, alignment: null });
  const speech = (await sharedVoice()).speak('Hello there. How can I help? ', voiceId).samples;
  t.is(digestOf(audioOf(record)), digestOf(bytesOf(speech)));
});

test('EchoKit, which sends no initial space, gets its answer', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf('&language_code=en'), [
    [0, { text: 'It has no air.', flush: true }],
    [0, { text: '' }],
  ]);
  t.is(record.closed?.code, 1000);
  t.is(record.messages.at(-1)!.json.isFinal, true);
  const lead = Buffer.alloc(2 * 960);
  const speech = (await sharedVoice()).speak('It has no air.', voiceId).samples;
  t.is(digestOf(audioOf(record)), digestOf(Buffer.concat([lead, bytesOf(speech)])));
  const entry = lab.standIn.log[0]!;
  t.deepEqual(
    [entry.request, entry.status, entry.closeCode, entry.outcome],
    [1, 101, 1000, 'answered'],
  );
  t.is(entry.messages.length, 2);
  t.is(entry.audioBytes, audioOf(record).length);
});

const words = (count: number): string => 'word '.repeat(Math.ceil(count / 5)).slice(0, count);
const buffering: [string, string, unknown[], number[]][] = [
  // name, query, messages 2 s apart, characters of each generation before the end of input
  ['119 characters wait', '', [{ text: words(119) }], []],
  ['120 characters start', '', [{ text: words(120) }], [120]],
  ['the second generation needs 160', '', [{ text: words(120) }, { text: words(159) }], [120]],
  [
    'and starts with 160',
    '',
    [{ text: words(120) }, { text: words(100) }, { text: words(60) }],
    [120, 160],
  ],
  [
    'a schedule of the client counts',
    '',
    [
      { text: ' ', generation_config: { chunk_length_schedule: [50] } },
      { text: words(50) },
      { text: words(49) },
    ],
    [50],
  ],
  [
    'its last entry repeats',
    '',
    [
      { text: words(60), generation_config: { chunk_length_schedule: [50, 60] } },
      { text: words(60) },
      { text: words(60) },
    ],
    [60, 60, 60],
  ],
  ['flush starts with anything', '', [{ text: 'Hi. ', flush: true }], [4]],
  ['flush alone starts what is buffered', '', [{ text: 'Hi. ' }, { text: ' ', flush: true }], [4]],
  ['flush of nothing does nothing', '', [{ text: ' ', flush: true }], []],
  ['try_trigger needs more than 50', '', [{ text: words(50), try_trigger_generation: true }], []],
  ['try_trigger starts above 50', '', [{ text: words(51), try_trigger_generation: true }], [51]],
  [
    'auto_mode starts every message',
    '&auto_mode=true',
    [{ text: 'One. ' }, { text: 'Two. ' }],
    [5, 5],
  ],
  ['a space keeps alive and says nothing', '&auto_mode=true', [{ text: ' ' }, { text: ' ' }], []],
];
for (const [name, extra, messages, expected] of buffering) {
  test(`buffering: ${name}`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      profile: exactProfile({ firstChunkSeconds: 60 }),
    });
    const endMs = messages.length * 2000;
    const record = await converse(lab, pathOf(extra), [
      ...messages.map((message, i) => [i * 2000, message] as const),
      [endMs, { text: '' }],
    ]);
    const before = record.messages.filter(({ atUs }) => atUs < endMs * 1000);
    t.deepEqual(
      before.map(({ json }) => json.alignment?.chars.length),
      expected,
    );
    // The end of input speaks the rest: nothing is lost and nothing is said twice.
    const said = record.messages.flatMap(({ json }) => json.alignment?.chars ?? []);
    const sent = messages.map((message) => (message as { text: string }).text);
    t.is(said.join(''), sent.filter((text) => text.trim() !== '').join(''));
    t.is(record.messages.filter(({ json }) => json.isFinal === true).length, 1);
    t.is(record.closed?.code, 1000);
  });
}

test('sync_alignment times every chunk from its own first sample', async (t) => {
  const lab = await laboratory('elevenlabs');
  const text = 'The moon is far away, and it has no air. ';
  const record = await converse(lab, pathOf('&sync_alignment=true'), [
    [0, { text, flush: true }],
    [0, { text: '' }],
  ]);
  let chunkStartMs = 0;
  let said = '';
  let lastMs = 0;
  for (const { json } of record.messages.slice(0, -1)) {
    const seconds = Buffer.from(json.audio!, 'base64').length / 32_000;
    const alignment = json.alignment;
    for (const [i, character] of (alignment?.chars ?? []).entries()) {
      const startMs = alignment!.charStartTimesMs[i]!;
      t.true(startMs >= 0 && startMs <= seconds * 1000 + 1, `${startMs} in ${seconds} s`);
      t.true(chunkStartMs + startMs >= lastMs - 1);
      lastMs = chunkStartMs + startMs;
      said += character;
    }
    chunkStartMs += seconds * 1000;
  }
  t.is(said, text);
  t.true(record.messages.length > 3);
  // The first character starts where the planted silence ends.
  const first = record.messages[0]!.json.alignment!;
  t.is(first.charStartTimesMs[0], 60);
});

test('a generation queues behind the one being delivered', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const record = await converse(lab, pathOf(), [
    [0, { text: 'The first sentence is a long one. ', flush: true }],
    [100, { text: 'Second. ', flush: true }],
    [5000, { text: '' }],
  ]);
  const starts = record.messages.filter(({ json }) => json.alignment !== null);
  t.is(starts[0]!.atUs, 180_000);
  const at = record.messages.map(({ atUs }) => atUs);
  t.deepEqual(
    at.slice(0, -1),
    at.slice(0, -1).map((_, i) => 180_000 + i * 80_000),
  );
  t.is(starts.length, 2);
  t.is(at.at(-1), 5_060_000);
});

test('20 s without a message end the connection, a space keeps it', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf(), [
    [0, { text: ' ' }],
    [19_999, { text: ' ' }],
  ]);
  const [error] = record.messages;
  t.is(error!.atUs, 39_999_000);
  t.is(error!.json.error, 'input_timeout_exceeded');
  t.is(error!.json.code, 1008);
  t.is(record.closed?.code, 1008);
  t.is(Buffer.byteLength(record.closed!.reason), 123);
  t.true(String(error!.json.message).startsWith(record.closed!.reason));
  t.true(String(error!.json.message).length > 123);
});

test('inactivity_timeout moves the limit up to 180 s', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf('&inactivity_timeout=5'), []);
  t.is(record.closed?.atUs, 5_000_000);
  const refused = await converse(lab, pathOf('&inactivity_timeout=181'), []);
  t.is(refused.refused?.status, 400);
});

const doors: [string, string, Record<string, string>, unknown, boolean][] = [
  ['header xi-api-key', '', { 'xi-api-key': 'good' }, {}, true],
  ['bearer header', '', { authorization: 'Bearer good' }, {}, true],
  ['query authorization', '&authorization=Bearer%20good', {}, {}, true],
  ['query single_use_token', '&single_use_token=good', {}, {}, true],
  ['xi_api_key in the first message', '', {}, { xi_api_key: 'good' }, true],
  ['xi-api-key in the first message', '', {}, { 'xi-api-key': 'good' }, true],
  ['authorization in the first message', '', {}, { authorization: 'Bearer good' }, true],
  ['wrong key in the first message', '', {}, { xi_api_key: 'bad' }, false],
  ['no key at all', '', {}, {}, false],
];
for (const [name, extra, headers, fields, opens] of doors) {
  test(`credentials: ${name}`, async (t) => {
    const lab = await laboratory('elevenlabs', { credentials: 'good' });
    const script = [
      [0, { text: 'Hi. ', ...(fields as object) }],
      [1, { text: '' }],
    ] as const;
    const record = await converse(lab, pathOf(extra), script, headers);
    t.is(record.closed?.code, opens ? 1000 : 1008);
    if (!opens) {
      const expected = name === 'no key at all' ? 'authentication_required' : 'invalid_api_key';
      t.is(record.messages[0]!.json.error, expected);
      t.deepEqual(Object.keys(record.messages[0]!.json), ['message', 'error', 'code']);
    }
    t.false(JSON.stringify(lab.standIn.log).includes('good'));
  });
}

const refusals: [string, string, Record<string, string>, number, string][] = [
  ['a wrong key', pathOf(), { 'xi-api-key': 'invalid' }, 401, 'invalid_api_key'],
  [
    'a v3 model',
    pathOf().replace('eleven_flash_v2_5', 'eleven_v3'),
    { 'xi-api-key': 'k' },
    400,
    'unsupported_model',
  ],
  [
    'mp3, the default, without an encoder',
    pathOf().replace('&output_format=pcm_16000', ''),
    { 'xi-api-key': 'k' },
    400,
    'stand_in_format',
  ],
  [
    'opus without an encoder',
    pathOf().replace('pcm_16000', 'opus_48000_64'),
    { 'xi-api-key': 'k' },
    400,
    'stand_in_format',
  ],
  [
    'pcm_48000, which only HTTP has',
    pathOf().replace('pcm_16000', 'pcm_48000'),
    { 'xi-api-key': 'k' },
    400,
    'invalid_output_format',
  ],
];
for (const [name, path, headers, status, code] of refusals) {
  test(`the handshake refuses ${name} with ${status}`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const record = await converse(lab, path, [], headers);
    t.is(record.refused?.status, status);
    const { detail } = record.refused!.body as { detail: { status: string; message: string } };
    t.is(detail.status, code);
    t.true(detail.message.length > 0);
    t.is(lab.standIn.log[0]!.error, code);
  });
}

test('an unknown WebSocket path is 404', async (t) => {
  const lab = await laboratory('elevenlabs');
  for (const path of ['/v1/text-to-speech/x/other', pathOf().replace(voiceId, '%zz'), '//']) {
    const record = await converse(lab, path, []);
    t.is(record.refused?.status, 404, path);
  }
});

test('arguments the Python SDK leaves out count as absent', async (t) => {
  const lab = await laboratory('elevenlabs');
  const path = pathOf('&inactivity_timeout=None').replace('eleven_flash_v2_5', 'Ellipsis');
  const record = await converse(lab, path, [[0, { text: '' }]]);
  t.is(record.closed?.code, 1000);
});

test('every pcm rate gives the clip at that rate', async (t) => {
  const voice = await sharedVoice();
  for (const rateHz of [8000, 16_000, 22_050, 24_000, 44_100]) {
    const lab = await laboratory('elevenlabs', { profile: exactProfile() });
    const path = pathOf().replace('16000', String(rateHz));
    const script = [
      [0, { text: 'Hi there.' }],
      [0, { text: '' }],
    ] as const;
    const record = await converse(lab, path, script);
    t.is(
      digestOf(audioOf(record)),
      digestOf(bytesOf(voice.speakAt('Hi there.', voiceId, rateHz).samples)),
    );
  }
});

for (const [name, message] of [
  ['no JSON', 'hello'],
  ['no object', '5'],
  ['no text', { flush: true }],
  ['a text that is a number', { text: 5 }],
  ['a schedule out of range', { text: ' ', generation_config: { chunk_length_schedule: [20] } }],
] as const) {
  test(`a message with ${name} is an error frame and close 1008`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const record = await converse(lab, pathOf(), [[0, message]]);
    t.is(record.messages[0]!.json.error, 'invalid_input_message');
    t.is(record.closed?.code, 1008);
  });
}

test('more characters than the model takes end the connection', async (t) => {
  const lab = await laboratory('elevenlabs');
  const path = pathOf().replace('eleven_flash_v2_5', 'eleven_multilingual_v2');
  const record = await converse(lab, path, [[0, { text: '. '.repeat(5001) }]]);
  t.is(record.messages[0]!.json.error, 'max_character_limit_exceeded');
});

test('a voice whose id starts with unknown is not found', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf().replace(voiceId, 'unknown1'), [
    [0, { text: 'Hi. ', flush: true }],
  ]);
  t.is(record.messages[0]!.json.error, 'voice_not_found');
  t.is(record.closed?.code, 1008);
});

for (const [kind, error, code] of [
  ['quota', 'quota_exceeded', 1008],
  ['bad-voice', 'voice_not_found', 1008],
  ['server', 'internal_server_error', 1011],
] as const) {
  test(`the planted fault ${kind} is ${error} and close ${code}, for its request only`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 2, afterFraction: 0.5 } },
    });
    const script = [
      [0, { text: 'Hi. ', flush: true }],
      [1, { text: '' }],
    ] as const;
    t.is((await converse(lab, pathOf(), script)).closed?.code, 1000);
    const record = await converse(lab, pathOf(), script);
    t.is(record.messages.length, 1);
    t.is(record.messages[0]!.json.error, error);
    t.is(record.messages[0]!.json.code, code);
    t.is(record.closed?.code, code);
    t.is(lab.standIn.log[1]!.fault, kind);
    t.is((await converse(lab, pathOf(), script)).closed?.code, 1000);
  });
}

for (const [kind, status, code] of [
  ['auth', 401, 'invalid_api_key'],
  ['rate-limit', 429, 'too_many_concurrent_requests'],
] as const) {
  test(`the planted fault ${kind} refuses the handshake with ${status}`, async (t) => {
    const lab = await laboratory('elevenlabs', { changes: { fault: { kind, afterFraction: 0 } } });
    const record = await converse(lab, pathOf(), []);
    t.is(record.refused?.status, status);
    t.is((record.refused!.body as { detail: { status: string } }).detail.status, code);
  });
}

test('faults in mid audio: cut, early-end, empty and stall', async (t) => {
  const text = 'This sentence is long enough for several chunks of audio. ';
  const script = [[0, { text, flush: true }]] as const;
  const plain = await laboratory('elevenlabs');
  const full = audioOf(await converse(plain, pathOf(), [...script, [9000, { text: '' }]]));
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, final, code] of [
    ['cut', half, false, 1006],
    ['early-end', half, true, 1000],
    ['empty', 0, true, 1000],
  ] as const) {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, afterFraction: 0.5 } },
    });
    const record = await converse(lab, pathOf(), script);
    t.is(digestOf(audioOf(record)), digestOf(full.subarray(0, bytes)), kind);
    t.is(record.messages.at(-1)?.json.isFinal === true, final, kind);
    t.is(record.closed?.code, code, kind);
  }

  const lab = await laboratory('elevenlabs', {
    changes: { fault: { kind: 'stall', afterFraction: 0.5 } },
  });
  const record = await lab.clock.run(
    (async () => {
      const open = await lab.socket(pathOf());
      open.send(script[0][1]);
      open.send({ text: '' });
      await lab.clock.sleep(60e6);
      return open;
    })(),
  );
  t.is(digestOf(audioOf(record)), digestOf(full.subarray(0, half)));
  t.is(record.closed, undefined);
  record.socket.terminate();
  await lab.standIn.close();
});

test('a client that closes stops the schedule at once', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(pathOf());
      record.send({ text: 'This will be interrupted in the middle. ', flush: true });
      await lab.clock.sleep(200_000);
      record.socket.terminate();
      await record.whenClosed();
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(lab.clock.nowUs(), 200_000);
  t.is(lab.standIn.log[0]!.outcome, 'aborted');
  t.is(lab.standIn.log[0]!.audioSeconds, 0.5);
});

test('closing the stand-in breaks live sockets and leaves nothing planned', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(pathOf());
      record.send({ text: 'This will be interrupted in the middle. ', flush: true });
      await lab.clock.sleep(200_000);
      await lab.standIn.close();
      await record.whenClosed();
      t.is(record.closed?.code, 1006);
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
});

test('one seed gives one conversation', async (t) => {
  const run = async (seed: number) => {
    const lab = await laboratory('elevenlabs', { seed });
    const { messages, closed } = await converse(lab, pathOf(), [
      [0, { text: 'The first sentence. ', flush: true }],
      [300, { text: 'And the second. ', flush: true }],
      [500, { text: '' }],
    ]);
    return JSON.stringify([messages, closed, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
