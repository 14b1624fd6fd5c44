import test from 'ava';
import { bytesOf } from './clip-cache.ts';
import {
  digestOf,
  exactProfile,
  type Laboratory,
  laboratory,
  type SocketRecord,
  sharedVoice,
} from './test-client.ts';

const path = '/api-ws/v1/inference';
const bearer = { authorization: 'Bearer sk-test' };

const message = (action: string, id: string, payload: object): object => ({
  header: { action, task_id: id, streaming: 'duplex' },
  payload,
});
const run = (id: string, changes: object = {}, parameters: object = {}): object =>
  message('run-task', id, {
    task_group: 'audio',
    task: 'tts',
    function: 'SpeechSynthesizer',
    model: 'cosyvoice-v2',
    parameters: {
      text_type: 'PlainText',
      voice: 'longwan_v2',
      format: 'pcm',
      sample_rate: 16_000,
      ...parameters,
    },
    input: {},
    ...changes,
  });
const say = (id: string, text: string): object => message('continue-task', id, { input: { text } });
const finish = (id: string): object => message('finish-task', id, { input: {} });

type Line = readonly [number, unknown];

/** Runs a scripted client, [instant in ms after the upgrade, message], until `untilMs` or the close. */
async function converse(
  lab: Laboratory,
  script: readonly Line[],
  untilMs = 20_000,
): Promise<SocketRecord> {
  return lab.clock.run(
    (async () => {
      const record = await lab.socket(path, bearer);
      const start = lab.clock.nowUs();
      for (const [ms, line] of script) {
        lab.clock.after(start + ms * 1000 - lab.clock.nowUs(), () => {
          if (record.socket.readyState === 1) record.send(line);
        });
      }
      if (record.refused === undefined) {
        await Promise.race([record.whenClosed(), lab.clock.sleep(untilMs * 1000)]);
      }
      return record;
    })(),
  );
}

interface Event {
  readonly header: {
    readonly task_id: string;
    readonly event: string;
    readonly error_code?: string;
    readonly error_message?: string;
  };
  readonly payload: {
    readonly output?: {
      readonly type?: string;
      readonly original_text?: string;
      readonly sentence: { readonly index?: number; readonly words: { begin_time: number }[] };
    };
    readonly usage?: { readonly characters: number };
  };
}
const eventsOf = (record: SocketRecord): Event[] =>
  record.messages.flatMap(({ text, bytes }) => (bytes === undefined ? [JSON.parse(text)] : []));
const lastOf = (record: SocketRecord): Event => eventsOf(record).at(-1)!;
const audioOf = (record: SocketRecord): Buffer =>
  Buffer.concat(record.messages.map(({ bytes }) => bytes ?? Buffer.alloc(0)));
/** One word per message: the task, and what was said. */
const outline = (record: SocketRecord): string[] =>
  record.messages.map(({ text, bytes }) => {
    if (bytes !== undefined) return 'BINARY';
    const { header, payload } = JSON.parse(text) as Event;
    return `${header.event} ${header.task_id}${payload.output?.type ? ` ${payload.output.type}` : ''}`;
  });

test('the reference timeline: two tasks on one socket', async (t) => {
  // TTS provider protocol reference, section 9.8.
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  const record = await converse(
    lab,
    [
      [0, run('A')],
      [10, say('A', '你好，')],
      [500, say('A', '世界。')],
      [3_000, finish('A')],
      [50_000, run('B')],
    ],
    51_000,
  );
  t.deepEqual(outline(record), [
    'task-started A',
    'result-generated A sentence-begin',
    'result-generated A sentence-synthesis',
    'BINARY',
    'result-generated A sentence-synthesis',
    'BINARY',
    'result-generated A sentence-end',
    'task-finished A',
    'task-started B',
  ]);
  const start = record.messages[0]!.atUs;
  // The incomplete sentence waits for its end at 500 ms; then 180 ms to the first byte, one 80 ms gap.
  t.deepEqual(
    record.messages.map(({ atUs }) => (atUs - start) / 1000),
    [0, 680, 680, 680, 760, 760, 760, 3_000, 50_000],
  );
  const events = eventsOf(record);
  t.deepEqual(events[0], {
    header: { task_id: 'A', event: 'task-started', attributes: {} },
    payload: {},
  } as never);
  t.deepEqual(events[1]!.payload.output, {
    type: 'sentence-begin',
    original_text: '你好，世界。',
    sentence: { index: 0, words: [] },
  });
  // Four Han characters count twice, two marks once.
  t.deepEqual(events.at(-3)!.payload.usage, { characters: 10 });
  t.deepEqual(events.at(-2)!.payload, {
    output: { sentence: { words: [] } },
    usage: { characters: 10 },
  });
  const speech = (await sharedVoice()).speak('你好，世界。', 'longwan_v2').samples;
  t.is(digestOf(audioOf(record)), digestOf(bytesOf(speech)));
  t.deepEqual(
    lab.standIn.log.map(({ request, status, outcome }) => [request, status, outcome]),
    [
      [undefined, 101, 'open'],
      [1, 101, 'answered'],
      [2, 101, 'open'],
    ],
  );
  t.is(lab.standIn.log[1]!.audioBytes, audioOf(record).length);
  t.is(lab.standIn.log[1]!.messages.length, 4);
});

test('EchoKit, which sends the whole text with run-task, gets its answer', async (t) => {
  const lab = await laboratory('cosyvoice');
  const record = await converse(lab, [
    [0, run('e-1', { input: { text: 'It has no air' } })],
    [1, finish('e-1')],
  ]);
  t.is(lastOf(record).header.event, 'task-finished');
  const lead = Buffer.alloc(2 * 1280);
  const speech = (await sharedVoice()).speak('It has no air', 'longwan_v2').samples;
  t.is(digestOf(audioOf(record)), digestOf(Buffer.concat([lead, bytesOf(speech)])));
  // EchoKit takes anything else after task-started for an error (section 3.3).
  const names = new Set(
    eventsOf(record)
      .slice(1)
      .map(({ header }) => header.event),
  );
  t.deepEqual([...names], ['result-generated', 'task-finished']);
});

for (const [name, texts, sentences] of [
  ['an incomplete one waits', ['The moon'], []],
  ['a full stop at the end of a message ends it', ['The moon is far.'], ['The moon is far.']],
  ['two in one message', ['One. Two. '], ['One. ', 'Two. ']],
  ['a number is not cut', ['It is 3.', '14 or so.'], ['It is 3.14 or so.']],
  ['Chinese needs no space', ['一。二！三'], ['一。', '二！']],
  ['quotes belong to it', ['“Go!” he said.'], ['“Go!” ', 'he said.']],
  ['marks alone are no sentence', ['... ', 'Well. '], ['... Well. ']],
] as const) {
  test(`sentences before finish-task: ${name}`, async (t) => {
    const lab = await laboratory('cosyvoice', { profile: exactProfile() });
    const script = texts.map((text, i): Line => [i + 1, say('A', text)]);
    const record = await converse(lab, [[0, run('A')], ...script], 10_000);
    t.deepEqual(
      eventsOf(record).flatMap(({ payload: { output } }) =>
        output?.type === 'sentence-begin' ? [output.original_text] : [],
      ),
      [...sentences],
    );
  });
}

test('flush speaks what is incomplete, and word times come when asked for', async (t) => {
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  const record = await converse(lab, [
    [0, run('A', {}, { word_timestamp_enabled: true })],
    [1, say('A', '你好')],
    [2, message('continue-task', 'A', { input: { flush: true } })],
  ]);
  const { output, usage } = eventsOf(record).at(-1)!.payload;
  t.is(output?.type, 'sentence-end');
  t.is(usage?.characters, 4);
  // Two characters share the clip evenly: 16 samples are a millisecond.
  const clipMs = audioOf(record).length / 32;
  t.deepEqual(output?.sentence.words, [
    { text: '你', begin_index: 0, end_index: 1, begin_time: 0, end_time: clipMs / 2 },
    { text: '好', begin_index: 1, end_index: 2, begin_time: clipMs / 2, end_time: clipMs },
  ] as never);
});

test('the first generation sends events without types', async (t) => {
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  const record = await converse(lab, [
    [0, run('A', { model: 'cosyvoice-v1' }, { voice: 'longwan' })],
    [1, say('A', 'The moon is far.')],
    [2, finish('A')],
  ]);
  t.deepEqual(outline(record).slice(0, 3), ['task-started A', 'result-generated A', 'BINARY']);
  t.deepEqual(eventsOf(record)[1]!.payload, { output: { sentence: { words: [] } } });
});

test('23 s of silence fail a task, text and audio put that off', async (t) => {
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  const record = await converse(
    lab,
    [
      [0, run('A')],
      [22_000, say('A', 'Hi.')],
    ],
    60_000,
  );
  const audioUs = record.messages.findLast(({ bytes }) => bytes !== undefined)!.atUs;
  t.is(record.closed!.atUs - audioUs, 23_000_000);
  t.like(lastOf(record).header, {
    event: 'task-failed',
    error_code: 'CLIENT_ERROR',
    error_message: 'request timeout after 23 seconds.',
  });
  t.is(lab.standIn.log[1]!.error, 'CLIENT_ERROR');
});

test('60 s between tasks close the connection', async (t) => {
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  const opened = await converse(lab, [], 70_000);
  t.like(opened.closed, { atUs: 60_000_000, code: 1000 });
  const record = await converse(
    lab,
    [
      [0, run('A')],
      [0, say('A', 'Hi.')],
      [0, finish('A')],
    ],
    70_000,
  );
  t.is(record.closed!.atUs - record.messages.at(-1)!.atUs, 60_000_000);
  t.deepEqual(
    lab.standIn.log.map(({ outcome }) => outcome),
    ['answered', 'answered', 'answered'],
  );
});

// Section 9.5; the words of the last five are ours.
for (const [name, script, code, words] of [
  [
    'a voice of another generation',
    [run('A', {}, { voice: 'longwan' }), say('A', 'Hi.')],
    'InvalidParameter',
    /^\[cosyvoice:\]Engine return error code: 418$/,
  ],
  [
    'a model of another generation',
    [run('A', { model: 'cosyvoice-v3-flash' }), say('A', 'Hi.')],
    'InvalidParameter',
    /418$/,
  ],
  [
    'an unknown voice',
    [run('A', {}, { voice: 'unknown' })],
    'InvalidParameter',
    /^Request voice is invalid!$/,
  ],
  [
    'no model',
    [run('A', { model: undefined })],
    'InvalidParameter',
    /^Missing required parameter 'payload\.model'! Please follow the protocol!$/,
  ],
  ['values out of range', [run('A', {}, { volume: 101 })], 'InvalidParameter', /411$/],
  [
    'a rate that is not served',
    [run('A', {}, { sample_rate: 11_025 })],
    'InvalidParameter',
    /411$/,
  ],
  [
    'no text at all',
    [run('A'), finish('A')],
    'InvalidParameter',
    /^Please ensure input text is valid\.$/,
  ],
  [
    'nothing to speak',
    [run('A'), say('A', '…'), finish('A')],
    'InvalidParameter',
    /^Please ensure input text is valid\.$/,
  ],
  [
    'SSML with two texts',
    [run('A', {}, { enable_ssml: true }), say('A', 'Hi '), say('A', 'you.')],
    'InvalidParameter',
    /^Text request limit violated, expected 1\.$/,
  ],
  [
    'SSML with the first generation',
    [run('A', { model: 'cosyvoice-v1' }, { voice: 'longwan', enable_ssml: true })],
    'InvalidParameter',
    /^SSML text is not supported at the moment!$/,
  ],
  [
    '20 001 characters at once',
    [run('A'), say('A', '. '.repeat(10_001))],
    'InvalidParameter',
    /411$/,
  ],
  [
    'mp3, the default',
    [run('A', {}, { format: 'Default' })],
    'InvalidParameter',
    /renders pcm only/,
  ],
  ['no JSON', ['hello'], 'InvalidParameter', /JSON object/],
  ['no task id', [{ header: { action: 'run-task' } }], 'InvalidParameter', /header\.task_id/],
  ['text without a task', [say('A', 'Hi.')], 'InvalidParameter', /No task A/],
  ['a second task at once', [run('A'), run('B')], 'InvalidParameter', /No task B/],
] as const) {
  test(`task-failed and close: ${name}`, async (t) => {
    const lab = await laboratory('cosyvoice', { profile: exactProfile() });
    const record = await converse(
      lab,
      script.map((line, i): Line => [i, line]),
    );
    const { header, payload } = lastOf(record);
    t.is(header.event, 'task-failed');
    t.is(header.error_code, code);
    t.regex(header.error_message!, words);
    t.deepEqual(payload, {});
    t.is(record.closed?.code, 1000);
    t.is(audioOf(record).length, 0);
  });
}

test('a message that crossed the end of its task is passed over', async (t) => {
  const lab = await laboratory('cosyvoice', {
    profile: exactProfile(),
    changes: { fault: { kind: 'early-end', request: 1, afterFraction: 0.5 } },
  });
  const record = await converse(lab, [
    [0, run('A')],
    [1, say('A', 'The moon is far. ')],
    [2_000, say('A', 'It has no air.')],
    [2_001, finish('A')],
    [3_000, run('B')],
  ]);
  t.deepEqual(outline(record).slice(-2), ['task-finished A', 'task-started B']);
});

test('credentials open the upgrade, and stay out of the log', async (t) => {
  const lab = await laboratory('cosyvoice', { credentials: 'good' });
  const open = (headers: Record<string, string>, at = path): Promise<SocketRecord> =>
    lab.clock.run(lab.socket(at, headers));
  for (const headers of [{ authorization: 'Bearer bad' }, { authorization: 'good' }, {}]) {
    const { refused } = await open(headers as Record<string, string>);
    t.is(refused?.status, 401);
    t.like(refused?.body, { code: 'InvalidApiKey', message: 'Invalid API-key provided.' });
  }
  t.is((await open({ authorization: 'bearer good' })).refused, undefined);
  t.is((await open({ authorization: 'Bearer good' }, `${path}/`)).refused, undefined);
  t.is((await open({ authorization: 'Bearer good' }, '/other')).refused?.status, 404);
  t.false(JSON.stringify(lab.standIn.log).includes('good'));
  await lab.standIn.close();
});

const task = (id: string, at: number): Line[] => [
  [at, run(id)],
  [at + 1, say(id, 'This sentence is long enough for several pieces of audio. ')],
  [at + 5_000, finish(id)],
];

for (const [kind, code, started] of [
  ['quota', 'Arrearage', false],
  ['rate-limit', 'Throttling.RateQuota', false],
  ['bad-voice', 'InvalidParameter', true],
  ['server', 'InternalError', true],
] as const) {
  test(`the planted fault ${kind} is task-failed ${code}, for its task only`, async (t) => {
    const lab = await laboratory('cosyvoice', {
      profile: exactProfile(),
      changes: { fault: { kind, request: 2, afterFraction: 0.5 } },
    });
    const record = await converse(lab, [...task('A', 0), ...task('B', 10_000)]);
    const own = outline(record).filter((line) => line.includes(' B'));
    t.deepEqual(own, started ? ['task-started B', 'task-failed B'] : ['task-failed B']);
    t.is(lastOf(record).header.error_code, code);
    t.is(record.closed?.code, 1000);
    t.is(lab.standIn.log.find(({ request }) => request === 2)?.fault, kind);
    const next = await converse(lab, task('C', 0));
    t.is(lastOf(next).header.event, 'task-finished');
  });
}

test('the planted fault auth refuses the upgrade of its task, or the task on an open socket', async (t) => {
  const lab = await laboratory('cosyvoice', {
    profile: exactProfile(),
    changes: { fault: { kind: 'auth', request: 1, afterFraction: 0 } },
  });
  t.is((await converse(lab, [])).refused?.status, 401);
  t.is(lab.standIn.log[0]!.request, 1);
  t.is(lastOf(await converse(lab, task('B', 0))).header.event, 'task-finished');
  const second = await laboratory('cosyvoice', {
    profile: exactProfile(),
    changes: { fault: { kind: 'auth', request: 2, afterFraction: 0 } },
  });
  const record = await converse(second, [...task('A', 0), ...task('B', 10_000)]);
  t.is(lastOf(record).header.error_code, 'InvalidApiKey');
});

test('faults in mid audio: cut, early-end, empty and stall', async (t) => {
  const plain = await laboratory('cosyvoice', { profile: exactProfile() });
  const full = audioOf(await converse(plain, task('A', 0)));
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, finished, code] of [
    ['cut', half, false, 1006],
    ['early-end', half, true, undefined],
    ['empty', 0, true, undefined],
    ['stall', half, false, undefined],
  ] as const) {
    const lab = await laboratory('cosyvoice', {
      profile: exactProfile(),
      changes: { fault: { kind, afterFraction: 0.5 } },
    });
    const record = await converse(lab, task('A', 0), 55_000);
    t.is(digestOf(audioOf(record)), digestOf(full.subarray(0, bytes)), kind);
    t.is(lastOf(record).header.event === 'task-finished', finished, kind);
    t.is(record.closed?.code, code, kind);
    t.is(lab.standIn.log[1]!.fault, kind);
    record.socket.terminate();
    await lab.standIn.close();
  }
});

test('a client that closes stops the schedule at once', async (t) => {
  const lab = await laboratory('cosyvoice', { profile: exactProfile() });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(path, bearer);
      record.send(run('A'));
      record.send(say('A', 'This will be interrupted in the middle. '));
      await lab.clock.sleep(200_000);
      record.socket.terminate();
      await record.whenClosed();
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(lab.clock.nowUs(), 200_000);
  t.is(lab.standIn.log[1]!.outcome, 'aborted');
  t.is(lab.standIn.log[1]!.audioSeconds, 0.5);
});

test('every rate gives the clip at that rate, and 0 stands for 22 050', async (t) => {
  const voice = await sharedVoice();
  for (const [given, rateHz] of [
    [8000, 8000],
    [0, 22_050],
    [48_000, 48_000],
  ] as const) {
    const lab = await laboratory('cosyvoice', { profile: exactProfile() });
    const record = await converse(lab, [
      [0, run('A', {}, { sample_rate: given })],
      [1, say('A', 'Hi there.')],
      [2, finish('A')],
    ]);
    const { samples } = voice.speakAt('Hi there.', 'longwan_v2', rateHz);
    t.is(digestOf(audioOf(record)), digestOf(bytesOf(samples)));
  }
});

test('one seed gives one conversation', async (t) => {
  const once = async (seed: number) => {
    const lab = await laboratory('cosyvoice', { seed });
    const { messages } = await converse(lab, [...task('A', 0), ...task('B', 10_000)]);
    return JSON.stringify([messages, lab.standIn.log]);
  };
  t.is(await once(4), await once(4));
  t.not(await once(4), await once(5));
});
