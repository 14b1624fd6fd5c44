import test from 'ava';
import { bytesOf } from './clip-cache.ts';
import {
  base64AudioOf,
  converse,
  digestOf,
  exactProfile,
  laboratory,
  type SocketRecord,
  sharedVoice,
} from './test-client.ts';

const voiceId = 'YOUR-VOICE-ID';
const pathOf = (changes = '', model = 'eleven_v4_turbo') =>
  `/v1/text-to-dialogue/stream-input?model_id=${model}&output_format=pcm_16000${changes}`;

/** The dialogue's pace without chance. */
const pace = exactProfile({
  firstByteMs: { p50: 240, p95: 240 },
  firstChunkSeconds: 1.23,
  nextChunkSeconds: [{ minimum: 1, maximum: 1 }],
  cadenceMs: [
    { minimum: 1250, maximum: 1250 },
    { minimum: 300, maximum: 300 },
  ],
});

/** Every passage is one piece. */
const undivided = exactProfile({
  firstChunkSeconds: 60,
  nextChunkSeconds: [{ minimum: 60, maximum: 60 }],
});

const first = { voices: [voiceId], voice_settings: { stability: 0.5 } };
const line = (text: string, more: object = {}) => ({
  inputs: [{ text, voice_id: voiceId, ...more }],
});
const long = 'The moon is far away from here, and it has no air, no water and no weather at all. ';

/** Instants in ms, and what each message is. */
function course(record: SocketRecord): (readonly [number, string])[] {
  return record.messages.map(({ atUs, json }) => {
    const what = json.audio === undefined ? Object.keys(json).join() : 'audio';
    return [atUs / 1000, what] as const;
  });
}

test('a conversation, message for message', async (t) => {
  // TTS provider protocol reference, section 6.4: first sound after about 240 ms, the second piece
  // 1.25 s behind the first, the end of the turn, the end of the session, close.
  const [second] = pace.nextChunkSeconds;
  const nextChunkSeconds = [second!, { minimum: 60, maximum: 60 }];
  const lab = await laboratory('elevenlabs', { profile: { ...pace, nextChunkSeconds } });
  const record = await converse(lab, pathOf(), [
    [0, { ...first, inputs: [] }],
    [10, { ...line(long), flush: true }],
    [2000, { keep_alive: true }],
    [3000, { close_socket: true }],
  ]);
  t.deepEqual(course(record), [
    [250, 'audio'],
    [1500, 'audio'],
    [1800, 'audio'],
    [3000, 'is_final_audio_for_turn'],
    [3060, 'is_final'],
  ]);
  t.deepEqual(record.closed, { atUs: 3_061_000, code: 1000, reason: '' });
  t.deepEqual(Object.keys(record.messages[0]!.json), ['audio']);
  const speech = (await sharedVoice()).speak(long, voiceId).samples;
  t.is(digestOf(base64AudioOf(record)), digestOf(bytesOf(speech)));
});

test('with its own personality the second piece comes about 1.25 s after the first', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf(), [
    [0, { ...first, ...line(long), flush: true }],
    [4000, { close_socket: true }],
  ]);
  const [one, two] = record.messages;
  const gap = two!.atUs - one!.atUs;
  t.true(gap >= 1_250_000 && gap < 1_320_000, `${gap} µs`);
  // The connection of this face is that of the others.
  t.is(lab.standIn.connectMs, 200);
});

const firstPieces: [string, number, number, number][] = [
  // characters handed over, seconds in the first piece, its instant (section 6.4; medians)
  ['one sentence of 45', 45, 1.23, 240],
  ['80 characters', 80, 2.5, 307],
  ['120 characters', 120, 5.1, 369],
  ['a whole reply', 240, 7.7, 395],
];
for (const [name, characters, seconds, ms] of firstPieces) {
  test(`first piece after ${name}: ${seconds} s of audio`, async (t) => {
    const text = 'moon '.repeat(characters / 5);
    const starts: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const lab = await laboratory('elevenlabs', { seed });
      const record = await lab.clock.run(
        (async () => {
          const open = await lab.socket(pathOf());
          open.send({ ...first, ...line(text), flush: true });
          await lab.clock.sleep(2e6);
          open.socket.terminate();
          return open;
        })(),
      );
      const piece = record.messages[0]!;
      t.is(Buffer.from(piece.json.audio!, 'base64').length / 32_000, seconds);
      starts.push(piece.atUs / 1000);
      await lab.standIn.close();
    }
    starts.sort((a, b) => a - b);
    t.true(Math.abs(starts[20]! / ms - 1) < 0.2, `median ${starts[20]}`);
  });
}

const buffering: [string, string[], number][] = [
  // name, texts 100 ms apart, pieces of audio that start before the flush
  ['39 characters in seven words wait', ['aaaaa bbbbb ccccc ddddd eeeee fffff gg.'], 0],
  ['40 characters start', ['aaaaa bbbbb ccccc ddddd eeeee fffff ggg.'], 1],
  ['seven short words wait', ['one two six ten one two six '], 0],
  ['eight short words start', ['one two six ten one two six ten '], 1],
];
for (const [name, texts, expected] of buffering) {
  test(`buffering: ${name}`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      profile: undivided,
    });
    const record = await converse(lab, pathOf('&sync_alignment=true'), [
      [0, { ...first }],
      ...texts.map((text, i) => [i * 100, line(text)] as const),
      [5000, { flush: true }],
      [9000, { close_socket: true }],
    ]);
    const early = record.messages.filter(({ atUs, json }) => json.audio && atUs < 5_000_000);
    t.is(early.length, expected);
    const all = record.messages.filter(({ json }) => json.audio);
    t.is(all.length, 1);
  });
}

test('half a word waits for its other half', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: undivided });
  const record = await converse(lab, pathOf('&sync_alignment=true'), [
    [0, { ...first, ...line('One two three four five six seven eight nine te') }],
    [100, line('n eleven.')],
    [9000, { close_socket: true }],
  ]);
  const said = record.messages
    .filter(({ json }) => json.audio)
    .map(({ json }) => json.alignment?.chars.join(''));
  t.deepEqual(said, ['One two three four five six seven eight nine ', 'ten eleven.']);
});

test('sync_alignment names the times in snake case, from the start of each piece', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf('&sync_alignment=true'), [
    [0, { ...first, ...line(long), close_socket: true }],
  ]);
  const pieces = record.messages.filter(({ json }) => json.audio);
  t.true(pieces.length > 2);
  let said = '';
  for (const { json } of pieces) {
    const alignment = json.alignment as unknown as Record<string, number[]> | undefined;
    if (alignment === undefined) continue;
    t.deepEqual(Object.keys(alignment), ['chars', 'char_start_times_ms', 'char_durations_ms']);
    const seconds = Buffer.from(json.audio!, 'base64').length / 32_000;
    for (const start of alignment['char_start_times_ms']!) {
      t.true(start >= 0 && start <= seconds * 1000 + 1);
    }
    said += alignment['chars']!.join('');
  }
  t.is(said, long);
  t.is(
    (pieces[0]!.json.alignment as unknown as Record<string, number[]>)['char_start_times_ms']![0],
    40,
  );
});

test('another voice or new_turn ends a turn, behind its last audio', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: undivided });
  const say = (text: string, voice_id: string, new_turn = false) => ({ text, voice_id, new_turn });
  const record = await converse(lab, pathOf('', 'eleven_v3'), [
    [
      0,
      {
        voices: ['rms', 'slt'],
        inputs: [
          say('Knock knock.', 'rms'),
          say('Who is there?', 'slt'),
          say('The moon.', 'slt', true),
        ],
        flush: true,
      },
    ],
    [3000, { close_socket: true }],
  ]);
  t.deepEqual(course(record), [
    [180, 'audio'],
    [180, 'is_final_audio_for_turn'],
    [260, 'audio'],
    [260, 'is_final_audio_for_turn'],
    [340, 'audio'],
    [3000, 'is_final_audio_for_turn'],
    [3060, 'is_final'],
  ]);
  const voice = await sharedVoice();
  const speech = [
    voice.speak('Knock knock.', 'rms'),
    voice.speak('Who is there?', 'slt'),
    voice.speak('The moon.', 'slt'),
  ];
  const expected = Buffer.concat(speech.map(({ samples }) => bytesOf(samples)));
  t.is(digestOf(base64AudioOf(record)), digestOf(expected));
});

test('the pace goes on over the passages of a turn: only its second piece is late', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: { ...pace, leadSilenceMs: 40 } });
  const record = await converse(lab, pathOf(), [
    [0, { ...first, ...line('One two three four five six seven eight. ') }],
    [500, line('Nine ten eleven twelve thirteen fourteen fifteen sixteen. ')],
    [8000, { close_socket: true }],
  ]);
  const at = record.messages.filter(({ json }) => json.audio).map(({ atUs }) => atUs / 1000);
  t.true(at.length >= 4);
  t.deepEqual(at.slice(0, 4), [240, 1490, 1790, 2090]);
});

test('20 s without a message end the connection, keep_alive keeps it', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf('&inactivity_timeout=180'), [
    [0, first],
    [19_999, { keep_alive: true }],
  ]);
  t.deepEqual(
    [record.messages[0]!.atUs, record.messages[0]!.json.error, record.messages[0]!.json.code],
    [39_999_000, 'input_timeout_exceeded', 1008],
  );
  t.deepEqual([record.closed?.atUs, record.closed?.code], [39_999_000, 1008]);
});

const refused: [string, unknown[], string, string | undefined][] = [
  ['no voices', [{ inputs: [] }], 'invalid_input_message', 'voices'],
  ['an empty list of voices', [{ voices: [] }], 'invalid_input_message', 'voices'],
  ['two voices for eleven_v4_turbo', [{ voices: ['a', 'b'] }], 'invalid_input_message', 'voices'],
  ['voices in a later message', [first, { voices: [voiceId] }], 'invalid_input_message', 'voices'],
  [
    'settings in a later message',
    [first, { voice_settings: {} }],
    'invalid_input_message',
    'voice_settings',
  ],
  [
    'a voice that was not named',
    [first, { inputs: [{ text: 'Hi', voice_id: 'x' }] }],
    'invalid_input_message',
    'voice_id',
  ],
  [
    'an input without a voice',
    [first, { inputs: [{ text: 'Hi' }] }],
    'invalid_input_message',
    'inputs',
  ],
  ['inputs that are no list', [{ ...first, inputs: 'Hi' }], 'invalid_input_message', 'inputs'],
  ['no JSON', ['hello'], 'invalid_input_message', undefined],
  [
    'an unknown voice',
    [{ voices: ['unknown1'], inputs: [{ text: 'Hi', voice_id: 'unknown1' }] }],
    'voice_not_found',
    'voices',
  ],
  ['too much text', [first, line('. '.repeat(5001))], 'max_character_limit_exceeded', undefined],
];
for (const [name, messages, error, param] of refused) {
  test(`${name}: an error frame and close 1008`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const script = messages.map((message, i) => [i, message] as const);
    const record = await converse(lab, pathOf(), script);
    const { json } = record.messages.at(-1)!;
    t.deepEqual([json.error, json.param, json.code], [error, param, 1008]);
    t.true(json.message!.length > 0);
    t.is(record.closed?.code, 1008);
  });
}

test('ten voices are the most of eleven_v3, one that of eleven_v3_conversational', async (t) => {
  const names = Array.from({ length: 11 }, (_, i) => `voice${i}`);
  for (const [model, count, code] of [
    ['eleven_v3', 10, 1000],
    ['eleven_v3', 11, 1008],
    ['eleven_v3_conversational', 1, 1000],
    ['eleven_v3_conversational', 2, 1008],
  ] as const) {
    const lab = await laboratory('elevenlabs');
    const record = await converse(lab, pathOf('', model), [
      [0, { voices: names.slice(0, count), close_socket: true }],
    ]);
    t.is(record.closed?.code, code, `${model} ${count}`);
  }
});

test('flash, turbo and multilingual models are refused in the handshake', async (t) => {
  const lab = await laboratory('elevenlabs');
  for (const model of ['eleven_flash_v2_5', 'eleven_turbo_v2_5', 'eleven_multilingual_v2']) {
    const record = await converse(lab, pathOf('', model), []);
    t.is(record.refused?.status, 400);
    t.is(
      (record.refused!.body as { detail: { status: string } }).detail.status,
      'unsupported_model',
    );
  }
});

test('the formats of this face: pcm_32000 and pcm_48000, too', async (t) => {
  for (const rate of [8000, 32_000, 48_000]) {
    const lab = await laboratory('elevenlabs', { profile: exactProfile() });
    const record = await converse(lab, pathOf().replace('16000', String(rate)), [
      [0, { ...first, ...line('Hi there.'), close_socket: true }],
    ]);
    const speech = (await sharedVoice()).speakAt('Hi there.', voiceId, rate).samples;
    t.is(digestOf(base64AudioOf(record)), digestOf(bytesOf(speech)));
  }
  const lab = await laboratory('elevenlabs');
  const other = await converse(lab, pathOf().replace('pcm_16000', 'wav_16000'), []);
  t.is(other.refused?.status, 400);
});

test('the key may come with the first message', async (t) => {
  for (const [field, key, code] of [
    ['xi_api_key', 'good', 1000],
    ['authorization', 'Bearer good', 1000],
    ['single_use_token', 'good', 1000],
    ['xi_api_key', 'bad', 1008],
    ['nothing', '', 1008],
  ] as const) {
    const lab = await laboratory('elevenlabs', { credentials: 'good' });
    const script = [[0, { ...first, [field]: key, close_socket: true }]] as const;
    const record = await converse(lab, pathOf(), script, {});
    t.is(record.closed?.code, code, field);
    t.false(JSON.stringify(lab.standIn.log).includes('good'));
  }
});

for (const [kind, error, code] of [
  ['quota', 'quota_exceeded', 1008],
  ['bad-voice', 'voice_not_found', 1008],
  ['server', 'internal_server_error', 1011],
] as const) {
  test(`the planted fault ${kind} is ${error} and close ${code}`, async (t) => {
    const lab = await laboratory('elevenlabs', { changes: { fault: { kind, afterFraction: 0 } } });
    const record = await converse(lab, pathOf(), [[0, { ...first, ...line('Hi.'), flush: true }]]);
    t.is(record.messages[0]!.json.error, error);
    t.is(record.closed?.code, code);
    t.is(lab.standIn.log[0]!.fault, kind);
  });
}

for (const [kind, status] of [
  ['auth', 401],
  ['rate-limit', 429],
] as const) {
  test(`the planted fault ${kind} refuses the handshake with ${status}`, async (t) => {
    const lab = await laboratory('elevenlabs', { changes: { fault: { kind, afterFraction: 0 } } });
    t.is((await converse(lab, pathOf(), [])).refused?.status, status);
  });
}

test('faults in mid audio: cut, early-end, empty and stall', async (t) => {
  const script = [[0, { ...first, ...line(long), flush: true }]] as const;
  const plain = await laboratory('elevenlabs');
  const full = base64AudioOf(
    await converse(plain, pathOf(), [...script, [9000, { close_socket: true }]]),
  );
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, final, code] of [
    ['cut', half, false, 1006],
    ['early-end', half, true, 1000],
    ['empty', 0, true, 1000],
    ['stall', half, false, undefined],
  ] as const) {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, afterFraction: 0.5 } },
    });
    const record = await lab.clock.run(
      (async () => {
        const open = await lab.socket(pathOf());
        open.send(script[0][1]);
        await lab.clock.sleep(60e6);
        return open;
      })(),
    );
    t.is(digestOf(base64AudioOf(record)), digestOf(full.subarray(0, bytes)), kind);
    t.is(record.messages.at(-1)?.json.is_final === true, final, kind);
    t.is(record.closed?.code, code, kind);
    record.socket.terminate();
    await lab.standIn.close();
  }
});

test('a client that closes leaves nothing planned', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: pace });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(pathOf());
      record.send({ ...first, ...line(long), flush: true });
      await lab.clock.sleep(300_000);
      record.socket.terminate();
      await record.whenClosed();
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(lab.clock.nowUs(), 300_000);
  t.is(lab.standIn.log[0]!.outcome, 'aborted');
});

test('one seed gives one conversation', async (t) => {
  const run = async (seed: number) => {
    const lab = await laboratory('elevenlabs', { seed });
    const { messages, closed } = await converse(lab, pathOf(), [
      [0, { ...first, ...line(long) }],
      [300, line(long, { new_turn: true })],
      [500, { close_socket: true }],
    ]);
    return JSON.stringify([messages, closed, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
