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
const query = 'model_id=eleven_flash_v2_5&output_format=pcm_16000';
const pathOf = (changes = '') =>
  `/v1/text-to-speech/${voiceId}/multi-stream-input?${query}${changes}`;

const of = (record: SocketRecord, context: string): SocketRecord => ({
  ...record,
  messages: record.messages.filter(({ json }) => json.contextId === context),
});

test('a conversation of two contexts, message for message', async (t) => {
  // TTS provider protocol reference, section 6.3.
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const settings = { stability: 0.5, similarity_boost: 0.8 };
  const record = await converse(lab, pathOf(), [
    [0, { text: ' ', context_id: 'c1', voice_settings: settings }],
    [10, { text: 'Hello there. ', context_id: 'c1' }],
    [20, { context_id: 'c1', flush: true }],
    [30, { text: 'Second voice. ', context_id: 'c2', flush: true }],
    [40, { text: '', context_id: 'c1' }],
    [900, { context_id: 'c1', flush: true }],
    [900, { context_id: 'c1', close_context: true }],
    [1000, { context_id: 'c2', close_context: true }],
    [2000, { close_socket: true }],
  ]);
  const voice = await sharedVoice();
  for (const [context, text] of [
    ['c1', 'Hello there. '],
    ['c2', 'Second voice. '],
  ] as const) {
    const own = of(record, context);
    const speech = bytesOf(voice.speak(text, voiceId).samples);
    t.is(digestOf(base64AudioOf(own)), digestOf(speech));
    const [first] = own.messages;
    t.is(first!.atUs, context === 'c1' ? 200_000 : 210_000);
    t.deepEqual(Object.keys(first!.json), [
      'audio',
      'isFinal',
      'normalizedAlignment',
      'alignment',
      'contextId',
    ]);
    t.is(first!.json.alignment?.chars.join(''), text);
    // A flush alone brings no final message, the close exactly one.
    const finals = own.messages.filter(({ json }) => json.isFinal === true);
    t.deepEqual(
      finals.map(({ atUs, json }) => [atUs, json]),
      [[context === 'c1' ? 960_000 : 1_060_000, { isFinal: true, contextId: context }]],
    );
    t.is(own.messages.at(-1), finals[0]);
  }
  t.deepEqual(record.closed, { atUs: 2_001_000, code: 1000, reason: '' });
  // The contexts speak at the same time.
  t.true(of(record, 'c2').messages[0]!.atUs < of(record, 'c1').messages[1]!.atUs);
});

test('each context is a request for speech with an entry of its own', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  await converse(lab, pathOf(), [
    [0, { text: 'One. ', context_id: 'a', flush: true }],
    [0, { text: 'Two. ', context_id: 'b', flush: true }],
    [1, { close_socket: true }],
  ]);
  t.deepEqual(
    lab.standIn.log.map(({ request, messages, outcome, audioBytes }) => [
      request,
      messages.length,
      outcome,
      audioBytes > 0,
    ]),
    [
      [undefined, 1, 'answered', false],
      [1, 1, 'answered', true],
      [2, 1, 'answered', true],
    ],
  );
});

test('both casings and a context without a name are understood', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const record = await converse(lab, pathOf(), [
    [0, { text: 'Camel. ', contextId: 'x', flush: true }],
    [500, { contextId: 'x', closeContext: true }],
    [2000, { text: 'Nameless. ', flush: true }],
    [2500, { close_context: true }],
    [4000, { closeSocket: true }],
  ]);
  t.deepEqual(
    record.messages.filter(({ json }) => json.isFinal === true).map(({ json }) => json.contextId),
    ['x', 'default'],
  );
  t.is(record.closed?.code, 1000);
});

test('close_context drops what has not been flushed', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const record = await converse(lab, pathOf(), [
    [0, { text: 'Spoken. ', context_id: 'c', flush: true }],
    [1, { text: 'Never spoken. ', context_id: 'c' }],
    [2, { text: 'Neither. ', context_id: 'c', close_context: true }],
    [3000, { close_socket: true }],
  ]);
  const said = record.messages.flatMap(({ json }) => json.alignment?.chars ?? []);
  t.is(said.join(''), 'Spoken. ');
});

test('close_socket speaks what is buffered in every context', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const record = await converse(lab, pathOf(), [
    [0, { text: 'The first. ', context_id: 'a' }],
    [0, { text: 'The second. ', context_id: 'b' }],
    [10, { close_socket: true }],
  ]);
  const said = (context: string) =>
    of(record, context)
      .messages.flatMap(({ json }) => json.alignment?.chars ?? [])
      .join('');
  t.deepEqual([said('a'), said('b')], ['The first. ', 'The second. ']);
  t.is(record.messages.filter(({ json }) => json.isFinal === true).length, 2);
  t.is(record.closed?.code, 1000);
  t.is(record.closed!.atUs, record.messages.at(-1)!.atUs + 1000);
});

const flush = (id: string) => ({ context_id: id, flush: true });

test('a sixth context ends the connection', async (t) => {
  const lab = await laboratory('elevenlabs');
  // A flush or keep-alive for an unknown context opens it silently.
  const record = await converse(lab, pathOf(), [
    ...['1', '2', '3', '4'].map((id) => [0, flush(id)] as const),
    [1, { context_id: '5', text: '' }],
    [2, flush('6')],
  ]);
  t.is(record.messages.length, 1);
  t.deepEqual(record.messages[0]!.json, {
    message:
      'Maximum simultaneous contexts per WebSocket connection exceeded (5). ' +
      'Please close an existing context before opening a new one.',
    error: 'max_active_conversations',
    code: 1008,
  });
  t.is(record.closed?.code, 1008);
  t.is(Buffer.byteLength(record.closed!.reason), 123);
});

test('a closed context counts until its final message', async (t) => {
  const busy = [
    [0, { context_id: '1', text: 'This one still speaks. ', flush: true }],
    ...['2', '3', '4', '5'].map((id) => [0, flush(id)] as const),
    [1, { context_id: '1', close_context: true }],
  ] as const;
  const early = await converse(await laboratory('elevenlabs'), pathOf(), [
    ...busy,
    [2, flush('6')],
  ]);
  t.is(early.closed?.code, 1008);
  const late = await converse(await laboratory('elevenlabs'), pathOf(), [
    ...busy,
    [5000, flush('6')],
    [5001, { close_socket: true }],
  ]);
  t.is(late.closed?.code, 1000);
});

test('the name of a closed context may be used again, for another one', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  const record = await converse(lab, pathOf(), [
    [0, { context_id: 'c', text: 'The old one. ', flush: true }],
    [1, { context_id: 'c', close_context: true }],
    [2, { context_id: 'c', text: 'The new one. ', voice_settings: {}, flush: true }],
    [3, { context_id: 'c', close_context: true }],
    [5000, { close_socket: true }],
  ]);
  t.is(record.messages.filter(({ json }) => json.isFinal === true).length, 2);
  t.is(lab.standIn.log.filter(({ request }) => request !== undefined).length, 2);
  t.is(record.closed?.code, 1000);
});

test('a context without messages ends after its own 20 s, an empty text keeps it', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf(), [
    [0, { context_id: 'kept', text: ' ' }],
    [5000, { context_id: 'left', text: ' ' }],
    [19_999, { context_id: 'kept', text: '' }],
  ]);
  t.deepEqual(
    record.messages.map(({ atUs, json }) => [atUs, json.contextId ?? json.error]),
    [
      [25_060_000, 'left'],
      [40_059_000, 'kept'],
      // Then nothing is open, and the connection has its own 20 s.
      [60_059_000, 'input_timeout_exceeded'],
    ],
  );
  t.is(record.closed?.code, 1008);
  t.is(record.closed?.atUs, 60_059_000);
});

test('a socket on which nothing is opened ends after inactivity_timeout', async (t) => {
  const lab = await laboratory('elevenlabs');
  const record = await converse(lab, pathOf('&inactivity_timeout=180'), []);
  t.is(record.closed?.atUs, 180_000_000);
  t.is(record.closed?.code, 1008);
});

const wrong: [string, readonly unknown[]][] = [
  [
    'settings in a later message',
    [
      { context_id: 'c', text: '' },
      { context_id: 'c', voice_settings: { speed: 1 } },
    ],
  ],
  ['no JSON', ['hello']],
  ['a context that is a number', [{ context_id: 5, text: 'Hi' }]],
  [
    'a schedule out of range',
    [{ context_id: 'c', generation_config: { chunk_length_schedule: [5] } }],
  ],
];
for (const [name, messages] of wrong) {
  test(`${name}: an error frame and close 1008`, async (t) => {
    const lab = await laboratory('elevenlabs');
    const script = messages.map((message, i) => [i, message] as const);
    const record = await converse(lab, pathOf(), script);
    t.is(record.messages.at(-1)?.json.error, 'invalid_input_message');
    t.is(record.closed?.code, 1008);
  });
}

test('the key may come with the first message', async (t) => {
  for (const [key, code] of [
    ['good', 1000],
    ['bad', 1008],
  ] as const) {
    const lab = await laboratory('elevenlabs', { credentials: 'good' });
    const record = await converse(
      lab,
      pathOf(),
      [
        [0, { text: ' ', context_id: 'c', xi_api_key: key }],
        [1, { close_socket: true }],
      ],
      {},
    );
    t.is(record.closed?.code, code);
  }
});

test('models of the dialogue socket are refused here', async (t) => {
  const lab = await laboratory('elevenlabs');
  for (const model of ['eleven_v3', 'eleven_v4', 'eleven_v4_turbo']) {
    const record = await converse(lab, pathOf().replace('eleven_flash_v2_5', model), []);
    t.is(record.refused?.status, 400);
  }
});

for (const [kind, status] of [
  ['auth', 401],
  ['rate-limit', 429],
] as const) {
  test(`the planted fault ${kind} refuses the handshake, or the context it was planted for`, async (t) => {
    const first = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 1, afterFraction: 0 } },
    });
    t.is((await converse(first, pathOf(), [])).refused?.status, status);
    t.is((await converse(first, pathOf(), [[0, { close_socket: true }]])).closed?.code, 1000);
    const second = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 2, afterFraction: 0 } },
    });
    const record = await converse(second, pathOf(), [
      [0, flush('1')],
      [1, flush('2')],
    ]);
    const error = kind === 'auth' ? 'invalid_api_key' : 'too_many_concurrent_requests';
    t.is(record.messages[0]?.json.error, error);
    t.is(second.standIn.log[2]?.fault, kind);
  });
}

for (const [kind, error, code] of [
  ['quota', 'quota_exceeded', 1008],
  ['bad-voice', 'voice_not_found', 1008],
  ['server', 'internal_server_error', 1011],
] as const) {
  test(`the planted fault ${kind} is ${error} and close ${code}`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 2, afterFraction: 0 } },
    });
    const record = await converse(lab, pathOf(), [
      [0, { text: 'Fine. ', context_id: 'a', flush: true }],
      [5000, { text: 'Not fine. ', context_id: 'b', flush: true }],
    ]);
    t.is(record.messages.at(-1)?.json.error, error);
    t.is(record.closed?.code, code);
  });
}

test('faults in mid audio strike one context and leave the others alone', async (t) => {
  const text = 'This sentence is long enough for several chunks of audio. ';
  const script = [
    [0, { text, context_id: 'a', flush: true }],
    [0, { text, context_id: 'b', flush: true }],
    [9000, { close_socket: true }],
  ] as const;
  const full = base64AudioOf(
    of(await converse(await laboratory('elevenlabs'), pathOf(), script), 'b'),
  );
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, finals, code] of [
    ['cut', half, 0, 1006],
    ['early-end', half, 1, 1000],
    ['empty', 0, 1, 1000],
    ['stall', half, 0, undefined],
  ] as const) {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, request: 2, afterFraction: 0.5 } },
    });
    const record = await lab.clock.run(
      (async () => {
        const open = await lab.socket(pathOf());
        open.send(script[0][1]);
        open.send(script[1][1]);
        await lab.clock.sleep(9e6);
        if (open.closed === undefined) open.send({ close_socket: true });
        await lab.clock.sleep(60e6);
        return open;
      })(),
    );
    const struck = of(record, 'b');
    t.is(digestOf(base64AudioOf(struck)), digestOf(full.subarray(0, bytes)), kind);
    t.is(struck.messages.filter(({ json }) => json.isFinal === true).length, finals, kind);
    t.is(record.closed?.code, code, kind);
    if (kind !== 'cut') {
      t.is(of(record, 'a').messages.filter(({ json }) => json.isFinal === true).length, 1, kind);
    }
    record.socket.terminate();
    await lab.standIn.close();
  }
});

for (const [kind, moment, last, code] of [
  ['timeout', 'answer', { error: 'input_timeout_exceeded' }, 1008],
  ['timeout', 'mid-audio', { error: 'input_timeout_exceeded' }, 1008],
  ['quota', 'answer', { error: 'quota_exceeded' }, 1008],
  ['too-long', 'first-audio', { error: 'max_character_limit_exceeded' }, 1008],
  ['protocol', 'mid-audio', { audio: 'This is no base64.' }, undefined],
  ['server', 'end', { error: 'internal_server_error' }, 1011],
  ['cut', 'answer', undefined, 1006],
  ['stall', 'answer', undefined, undefined],
] as const) {
  test(`the planted fault ${kind} strikes a context at the moment ${moment}`, async (t) => {
    const lab = await laboratory('elevenlabs', {
      changes: { fault: { kind, moment, request: 2, afterFraction: 0.5 } },
    });
    const record = await lab.clock.run(
      (async () => {
        const open = await lab.socket(pathOf());
        open.send({ text: 'Fine. ', context_id: 'a', flush: true });
        await lab.clock.sleep(5e6);
        open.send({ text: 'This is not so fine at all. ', context_id: 'b', flush: true });
        if (moment === 'end') open.send({ context_id: 'b', close_context: true });
        await lab.clock.sleep(9e6);
        return open;
      })(),
    );
    const second = record.messages.slice(of(record, 'a').messages.length);
    if (last === undefined) t.deepEqual(second, []);
    else t.like(second.at(-1)?.json, last);
    t.is(record.closed?.code, code);
    t.is(
      second.filter(({ json }) => json.contextId === 'b').length > 0,
      moment === 'end' || moment === 'mid-audio',
    );
    record.socket.terminate();
    await lab.standIn.close();
  });
}

test('a client that closes leaves nothing planned', async (t) => {
  const lab = await laboratory('elevenlabs', { profile: exactProfile() });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(pathOf());
      record.send({ text: 'This will be interrupted. ', context_id: 'a', flush: true });
      record.send({ text: 'And this. ', context_id: 'b' });
      await lab.clock.sleep(200_000);
      record.socket.terminate();
      await record.whenClosed();
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(lab.clock.nowUs(), 200_000);
  t.deepEqual(
    lab.standIn.log.map(({ outcome }) => outcome),
    ['aborted', 'aborted', 'aborted'],
  );
});

test('one seed gives one conversation', async (t) => {
  const run = async (seed: number) => {
    const lab = await laboratory('elevenlabs', { seed });
    const { messages, closed } = await converse(lab, pathOf(), [
      [0, { text: 'The first sentence. ', context_id: 'a', flush: true }],
      [100, { text: 'And the second. ', context_id: 'b', flush: true }],
      [3000, { close_socket: true }],
    ]);
    return JSON.stringify([messages, closed, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
