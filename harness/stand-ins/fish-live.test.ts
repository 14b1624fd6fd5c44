import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import { bytesOf } from './clip-cache.ts';
import {
  converse,
  digestOf,
  exactProfile,
  laboratory,
  type SocketRecord,
  sharedVoice,
} from './test-client.ts';

const path = '/v1/tts/live';
const voiceId = 'YOUR-REFERENCE-ID';
const headers = { authorization: 'Bearer key', model: 's2-pro' };
const request = {
  text: '',
  format: 'pcm',
  sample_rate: 16_000,
  reference_id: voiceId,
  latency: 'balanced',
};
const start = (changes: object = {}) =>
  encode({ event: 'start', request: { ...request, ...changes } });
const text = (said: string) => encode({ event: 'text', text: said });
const flush = encode({ event: 'flush' });
const stop = encode({ event: 'stop' });

type Event = Readonly<Record<string, unknown>> & { readonly event: string };

/** Every message is a binary frame with a map. */
function eventsOf(record: SocketRecord): (Event & { readonly ms: number })[] {
  return record.messages.map(({ atUs, bytes }) => ({
    ...(decode(bytes!) as Event),
    ms: atUs / 1000,
  }));
}

const audioOf = (record: SocketRecord): Buffer =>
  Buffer.concat(
    eventsOf(record)
      .filter(({ event }) => event === 'audio')
      .map(({ audio }) => Buffer.from(audio as Uint8Array)),
  );

test('the reference timeline, message for message', async (t) => {
  // TTS provider protocol reference, section 7.8; instants from the 101 on.
  const profile = exactProfile({
    firstByteMs: { p50: 300, p95: 300 },
    firstChunkSeconds: 0.46,
    nextChunkSeconds: [{ minimum: 10, maximum: 10 }],
    cadenceMs: [{ minimum: 60, maximum: 60 }],
  });
  const lab = await laboratory('fish', { profile });
  const script = [
    [0, start()],
    [1, text('Hello there. ')],
    [2, flush],
    [600, stop],
  ] as const;
  const record = await converse(lab, path, script, headers);
  const events = eventsOf(record);
  t.deepEqual(
    events.map(({ ms, event }) => [ms, event]),
    [
      [0, 'log'],
      [302, 'audio'],
      [362, 'audio'],
      [600, 'finish'],
    ],
  );
  t.deepEqual(record.closed, { atUs: 600_000, code: 1000, reason: '' });
  const [log, first, second, finish] = record.messages.map(({ bytes }) => decode(bytes!) as Event);
  t.deepEqual(log, { event: 'log', message: 'session started: model s2-pro, latency balanced' });
  for (const audio of [first!, second!]) {
    t.deepEqual(Object.keys(audio), ['event', 'audio', 'time']);
    // The bin type, which no decoder takes for a text.
    t.true(audio['audio'] instanceof Uint8Array);
  }
  t.deepEqual([first!['time'], second!['time']], [302, 362]);
  t.is((first!['audio'] as Uint8Array).length, 0.46 * 32_000);
  t.deepEqual(finish, { event: 'finish', reason: 'stop' });
  const speech = (await sharedVoice()).speak('Hello there. ', voiceId).samples;
  t.is(digestOf(audioOf(record)), digestOf(bytesOf(speech)));
  const [connection, session] = lab.standIn.log;
  t.deepEqual(
    [connection!.request, connection!.status, connection!.closeCode, connection!.outcome],
    [undefined, 101, 1000, 'answered'],
  );
  t.deepEqual([session!.request, session!.outcome, session!.messages.length], [1, 'answered', 4]);
  t.is(session!.messages[1]!.text, '{"event":"text","text":"Hello there. "}');
  t.is(session!.audioBytes, speech.length * 2);
});

test('without flush or stop the last text is held back', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile() });
  const script = [
    [0, start()],
    [1, text('This waits. ')],
    [9000, stop],
  ] as const;
  const record = await converse(lab, path, script, headers);
  const audio = eventsOf(record).filter(({ event }) => event === 'audio');
  t.true(audio.length > 0 && audio.every(({ ms }) => ms > 9000));
});

test('text is buffered up to chunk_length, and cut behind a sentence', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile({ firstChunkSeconds: 60 }) });
  const sentence = 'This is a sentence of forty characters. '; // 40
  const script = [
    [0, start({ chunk_length: 100 })],
    [1, text(sentence)],
    [2, text(sentence)],
    [3, text('And the rest')], // 92
    [2000, text(' of it.')], // 99
    [4000, text(' Now.')], // 104
    [9000, stop],
  ] as const;
  const record = await converse(lab, path, script, headers);
  const audio = eventsOf(record).filter(({ event }) => event === 'audio');
  t.deepEqual(
    audio.map(({ ms }) => ms),
    [4180, 9180],
  );
  const voice = await sharedVoice();
  const speech = [`${sentence}${sentence}And the rest of it. `, 'Now.'].map((said) =>
    bytesOf(voice.speak(said, voiceId).samples),
  );
  t.is(digestOf(audioOf(record)), digestOf(Buffer.concat(speech)));
});

test('normal latency sends a whole segment at once, balanced streams it', async (t) => {
  for (const [latency, instants] of [
    ['balanced', 1],
    ['normal', 0],
  ] as const) {
    const lab = await laboratory('fish', { profile: exactProfile() });
    const script = [
      [0, start({ latency })],
      [0, text('This sentence is long enough for several chunks. ')],
      [0, flush],
      [6000, stop],
    ] as const;
    const record = await converse(lab, path, script, headers);
    const audio = eventsOf(record).filter(({ event }) => event === 'audio');
    t.true(audio.length > 3);
    t.is(new Set(audio.map(({ ms }) => ms)).size, instants === 0 ? 1 : audio.length, latency);
  }
});

test('a session without text finishes at once, and a text in start is spoken', async (t) => {
  const silent = await laboratory('fish', { profile: exactProfile() });
  const nothing = await converse(
    silent,
    path,
    [
      [0, start()],
      [5, stop],
    ],
    headers,
  );
  t.deepEqual(
    eventsOf(nothing).map(({ ms, event }) => [ms, event]),
    [
      [0, 'log'],
      [5, 'finish'],
    ],
  );
  const lab = await laboratory('fish', { profile: exactProfile() });
  const script = [
    [0, start({ text: 'Hi there.' })],
    [1, stop],
  ] as const;
  const speech = (await sharedVoice()).speak('Hi there.', voiceId).samples;
  t.is(digestOf(audioOf(await converse(lab, path, script, headers))), digestOf(bytesOf(speech)));
});

test('wav has one header, in front of the first audio', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile() });
  const script = [
    [0, start({ format: 'wav', sample_rate: 24_000 })],
    [0, text('One sentence. ')],
    [0, flush],
    [0, text('Another one. ')],
    [0, stop],
  ] as const;
  const bytes = audioOf(await converse(lab, path, script, headers));
  t.is(bytes.readUInt32LE(24), 24_000);
  t.is(bytes.readUInt32LE(40), 0xffff_ff00);
  t.is(bytes.indexOf('RIFF', 4), -1);
  t.is(bytes.length - 44, lab.standIn.log[1]!.audioBytes);
});

test('the socket closes behind finish, or takes the next session where it stays open', async (t) => {
  const script = [
    [0, start()],
    [0, text('The first answer. ')],
    [0, stop],
    [5000, start({ reference_id: 'rms' })],
    [5000, text('The second answer. ')],
    [5000, stop],
  ] as const;
  const closing = await laboratory('fish');
  const once = await converse(closing, path, script, headers);
  t.is(eventsOf(once).filter(({ event }) => event === 'finish').length, 1);
  t.is(once.closed?.code, 1000);

  const lab = await laboratory('fish', { personality: 'fish-open-socket' });
  const record = await lab.clock.run(
    (async () => {
      const open = await lab.socket(path, headers);
      for (const [, message] of script.slice(0, 3)) open.send(message);
      await lab.clock.sleep(5e6);
      for (const [, message] of script.slice(3)) open.send(message);
      await lab.clock.sleep(60e6);
      return open;
    })(),
  );
  t.is(record.closed, undefined);
  t.is(eventsOf(record).filter(({ event }) => event === 'finish').length, 2);
  t.deepEqual(
    lab.standIn.log.map((entry) => [entry.request, entry.outcome]),
    [
      [undefined, 'open'],
      [1, 'answered'],
      [2, 'answered'],
    ],
  );
  record.socket.close(1000);
  await lab.clock.run(record.whenClosed());
  t.is(lab.standIn.log[0]!.outcome, 'answered');
});

test('the model is that of the handshake; a missing or unknown one falls back', async (t) => {
  for (const [model, used] of [
    ['s1', 's1'],
    ['s2.1-pro-free', 's2.1-pro-free'],
    ['speech-1.5', 's2.1-pro'],
    [undefined, 's2.1-pro'],
  ] as const) {
    const lab = await laboratory('fish');
    const sent = { authorization: 'Bearer key', ...(model !== undefined && { model }) };
    const record = await converse(
      lab,
      path,
      [
        [0, start()],
        [1, stop],
      ],
      sent,
    );
    t.is(eventsOf(record)[0]!['message'], `session started: model ${used}, latency balanced`);
  }
});

const wrong: [string, readonly unknown[], RegExp][] = [
  ['text before start', [text('Hi. ')], /text: a session begins with start/],
  ['stop before start', [stop], /stop: a session begins with start/],
  ['a text frame', ['{"event":"start"}'], /binary frame/],
  ['no MessagePack', [Buffer.from([0xc1])], /MessagePack map/],
  ['a list', [encode([1])], /MessagePack map/],
  ['a second start', [start(), start()], /has not finished/],
  ['an unknown event', [start(), encode({ event: 'pause' })], /Unknown event: pause/],
  ['a text that is a number', [start(), encode({ event: 'text', text: 5 })], /text: /],
  ['a start without a request', [encode({ event: 'start' })], /request: /],
  ['22050 Hz', [start({ sample_rate: 22_050 })], /sample_rate: 22050/],
  ['a chunk_length of 99', [start({ chunk_length: 99 })], /chunk_length: /],
  ['an unknown reference', [start({ reference_id: 'unknown' })], /Reference not found: unknown/],
  ['mp3 without an encoder', [start({ format: null, sample_rate: null })], /mp3 \(the default/],
];
for (const [name, messages, expected] of wrong) {
  test(`${name}: finish with an error, close 1000`, async (t) => {
    const lab = await laboratory('fish');
    const script = messages.map((message, i) => [i, message] as const);
    const record = await converse(lab, path, script, headers);
    const last = eventsOf(record).at(-1)!;
    t.is(last['reason'], 'error');
    t.regex(String(last['message']), expected);
    t.deepEqual(Object.keys(last), ['event', 'reason', 'message', 'ms']);
    t.is(record.closed?.code, 1000);
    t.is(lab.standIn.log.at(-1)!.error, String(last['message']));
  });
}

test('a wrong key refuses the upgrade with 401, another path with 404', async (t) => {
  const lab = await laboratory('fish', { credentials: 'good' });
  for (const authorization of ['Bearer bad', '']) {
    const record = await converse(lab, path, [], { authorization });
    t.deepEqual(record.refused, { status: 401, body: { message: 'Invalid Token', status: 401 } });
  }
  const other = await converse(lab, '/v1/tts/other', [], { authorization: 'Bearer good' });
  t.is(other.refused?.status, 404);
  t.false(JSON.stringify(lab.standIn.log).includes('good'));
});

test('a WebSocket is usable 180 ms later than a connection for HTTP', async (t) => {
  // Section 11.2: 330 and 150 ms; the network has the 150.
  const lab = await laboratory('fish');
  t.is(lab.standIn.connectMs, 150);
  await lab.clock.run(lab.socket(path, headers));
  t.is(lab.clock.nowUs(), 180_000);
  const balanced = await laboratory('fish', { personality: 'fish-balanced-ws' });
  t.is(balanced.standIn.connectMs, 330);
  await balanced.clock.run(balanced.socket(path, headers));
  t.is(balanced.clock.nowUs(), 0);
});

for (const [kind, status, message] of [
  ['auth', 401, 'Invalid Token'],
  ['quota', 402, 'Insufficient Balance'],
  ['rate-limit', 429, 'Too many concurrent requests'],
] as const) {
  test(`the planted fault ${kind} refuses the upgrade with ${status}, or ends a later session`, async (t) => {
    const fault = { kind, request: 1, afterFraction: 0 };
    const first = await laboratory('fish', { changes: { fault } });
    const record = await converse(first, path, [], headers);
    t.deepEqual(record.refused, { status, body: { message, status } });
    const plain = [
      [0, start()],
      [1, stop],
    ] as const;
    t.is((await converse(first, path, plain, headers)).closed?.code, 1000);

    const second = await laboratory('fish', {
      personality: 'fish-open-socket',
      changes: { fault: { ...fault, request: 2 } },
    });
    const later = await converse(second, path, [...plain, [10, start()]], headers);
    t.deepEqual(
      eventsOf(later).map(({ event, reason }) => [event, reason]),
      [
        ['log', undefined],
        ['finish', 'stop'],
        ['finish', 'error'],
      ],
    );
    t.is(eventsOf(later).at(-1)!['message'], message);
    t.is(second.standIn.log[2]!.fault, kind);
  });
}

test('a refusal for too many requests says when to come back', async (t) => {
  const lab = await laboratory('fish', {
    changes: { fault: { kind: 'rate-limit', afterFraction: 0 } },
  });
  const answer = await lab.clock.run(
    lab.request('GET', path, {
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket' },
    }),
  );
  t.is(answer.status, 429);
  t.is(answer.headers['retry-after'], '1');
});

for (const [kind, message] of [
  ['bad-voice', `Reference not found: ${voiceId}`],
  ['server', 'Service Unavailable'],
] as const) {
  test(`the planted fault ${kind} ends the session: ${message}`, async (t) => {
    const lab = await laboratory('fish', { changes: { fault: { kind, afterFraction: 0 } } });
    const record = await converse(lab, path, [[0, start()]], headers);
    const [only, ...others] = eventsOf(record);
    t.deepEqual([only!['reason'], only!['message'], others], ['error', message, []]);
    t.is(record.closed?.code, 1000);
  });
}

test('faults in mid audio: cut, early-end, empty and stall', async (t) => {
  const said = 'This sentence is long enough for several chunks of audio. ';
  const script = [
    [0, start()],
    [0, text(said)],
    [0, flush],
  ] as const;
  const plain = await laboratory('fish');
  const full = audioOf(await converse(plain, path, [...script, [9000, stop]], headers));
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, finishes, code] of [
    ['cut', half, 0, 1006],
    ['early-end', half, 1, 1000],
    ['empty', 0, 1, 1000],
    ['stall', half, 0, undefined],
  ] as const) {
    const lab = await laboratory('fish', { changes: { fault: { kind, afterFraction: 0.5 } } });
    const record = await lab.clock.run(
      (async () => {
        const open = await lab.socket(path, headers);
        for (const [, message] of script) open.send(message);
        await lab.clock.sleep(9e6);
        if (open.closed === undefined) open.send(stop);
        await lab.clock.sleep(60e6);
        return open;
      })(),
    );
    t.is(digestOf(audioOf(record)), digestOf(full.subarray(0, bytes)), kind);
    t.is(eventsOf(record).filter(({ event }) => event === 'finish').length, finishes, kind);
    t.is(record.closed?.code, code, kind);
    record.socket.terminate();
    await lab.standIn.close();
  }
});

test('a client that closes leaves nothing planned', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile() });
  await lab.clock.run(
    (async () => {
      const record = await lab.socket(path, headers);
      for (const message of [start(), text('This will be interrupted. '), flush]) {
        record.send(message);
      }
      await lab.clock.sleep(200_000);
      record.socket.terminate();
      await record.whenClosed();
    })(),
  );
  await t.throwsAsync(lab.clock.run(new Promise(() => {})), { code: 'CLOCK_DEADLOCK' });
  t.is(lab.clock.nowUs(), 200_000);
  t.deepEqual(
    lab.standIn.log.map(({ outcome }) => outcome),
    ['aborted', 'aborted'],
  );
});

test('one seed gives one conversation', async (t) => {
  const run = async (seed: number) => {
    const lab = await laboratory('fish', { seed });
    const script = [
      [0, start()],
      [0, text('The first sentence. ')],
      [300, flush],
      [500, text('And the second. ')],
      [600, stop],
    ] as const;
    const { messages, closed } = await converse(lab, path, script, headers);
    const events = messages.map(({ atUs, bytes }) => [atUs, bytes!.toString('hex')]);
    return JSON.stringify([events, closed, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
