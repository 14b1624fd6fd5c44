import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import type { WebSocket } from 'ws';
import { pcmBytes } from '../audio/wav-fixture.contract.ts';
import { fishLiveWire, httpAnswers, webSocketAnswers } from '../scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  failure,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
  speechAdapterContract,
} from '../speech-adapter.contract.ts';
import { SpeechError } from '../speech-error.ts';
import { type FishConfig, fishAdapter } from './fish.ts';

const secret = 'fish_very_secret';
const subject: ContractSubject<FishConfig> = {
  adapter: fishAdapter,
  config: {
    url: 'https://api.fish.audio/v1/tts',
    apiKey: secret,
    speaker: 'voice',
    model: 's2-pro',
    stream: 'live',
  },
  rateHz: 16_000,
  secret,
  refusalCode: '401',
  wire: (clock, script) => fishLiveWire(clock, script, secret),
};
speechAdapterContract(test, subject);

interface ClientEvent {
  readonly event: 'start' | 'text' | 'flush' | 'stop';
  readonly text?: string;
}
type Answer = (message: ClientEvent, socket: WebSocket, cut: () => void) => void;

const answering = (answer: Answer) =>
  makeStage(
    {
      ...subject,
      wire: () =>
        webSocketAnswers(
          (message, socket, stream) =>
            answer(message as unknown as ClientEvent, socket, () => stream.destroy()),
          (data) => JSON.stringify(decode(data)),
        ),
    },
    {},
  );
const send = (socket: WebSocket, event: Readonly<Record<string, unknown>>): void =>
  socket.send(encode(event));
const audio = (socket: WebSocket, samples: readonly number[], more: object = {}): void =>
  send(socket, { event: 'audio', audio: new Uint8Array(pcmBytes(samples)), ...more });
const finish = (socket: WebSocket): void => send(socket, { event: 'finish', reason: 'stop' });
/** Says the samples at each flush, and `finish` at the end. */
const saying =
  (samples: readonly number[], end = finish): Answer =>
  ({ event }, socket) => {
    if (event === 'flush') audio(socket, samples);
    if (event === 'stop') end(socket);
  };

/** Bytes by hand: numbers are bytes, strings their Latin-1 characters. */
const hex = (...parts: (number | string)[]): string =>
  parts
    .map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part, 'latin1')))
    .map((part) => part.toString('hex'))
    .join('');

test('the address, the headers and the messages are those of the protocol', async (t) => {
  const stage = await makeStage(subject, {});
  const text = ['Hello there. ', 'Bye.'];
  const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/v1/tts/live');
  t.like(headers, {
    host: 'api.fish.audio',
    authorization: `Bearer ${secret}`,
    model: 's2-pro',
  });
  t.is(headers['sec-websocket-extensions'], undefined, 'no compression is offered');
  const sent = stage.observed.filter(({ direction }) => direction === 'sent');
  t.true(sent.every(({ kind }) => kind === 'ws-binary'));
  // Section 7.3 of the TTS provider protocol reference, in the MessagePack format by hand.
  t.deepEqual(
    sent.map(({ data }) => Buffer.from(data).toString('hex')),
    [
      hex(
        ...[0x82, 0xa5, 'event', 0xa5, 'start', 0xa7, 'request', 0x87, 0xa4, 'text', 0xa0],
        ...[0xa6, 'format', 0xa3, 'pcm', 0xab, 'sample_rate', 0xcd, 0x3e, 0x80],
        ...[0xac, 'reference_id', 0xa5, 'voice', 0xa7, 'latency', 0xa8, 'balanced'],
        ...[0xac, 'chunk_length', 0xcc, 200, 0xa9, 'normalize', 0xc3],
      ),
      hex(0x82, 0xa5, 'event', 0xa4, 'text', 0xa4, 'text', 0xad, 'Hello there. '),
      hex(0x81, 0xa5, 'event', 0xa5, 'flush'),
      hex(0x82, 0xa5, 'event', 0xa4, 'text', 0xa4, 'text', 0xa4, 'Bye.'),
      hex(0x81, 0xa5, 'event', 0xa5, 'flush'),
      hex(0x81, 0xa5, 'event', 0xa4, 'stop'),
    ],
  );
  t.like(events[0]!, { url: 'wss://api.fish.audio/v1/tts/live', characters: 13 });
  t.like(events[1]!, { type: 'responseHead', status: 101 });
  await stage.finish();
});

for (const [url, stream, host, path] of [
  ['http://127.0.0.1:7000/v1/tts', 'live', '127.0.0.1:7000', '/v1/tts/live'],
  ['http://127.0.0.1:7000/v1/tts/', 'live', '127.0.0.1:7000', '/v1/tts/live'],
  ['https://h/v1/tts/live', 'live', 'h', '/v1/tts/live'],
  ['wss://h/v1/tts/live', undefined, 'h', '/v1/tts/live'],
  ['ws://h:81/v1/tts', undefined, 'h:81', '/v1/tts/live'],
  ['wss://h/v1/tts/live?traced=1', 'pcm', 'h', '/v1/tts/live?traced=1'],
] as const) {
  test(`the address of the socket follows from ${url} and ${stream}`, async (t) => {
    const wire = fishLiveWire(
      { nowUs: () => 0, after: () => ({ cancel() {} }), sleep: async () => {} },
      { outcome: 'refuse', chunkBytes: 1, gapUs: 0, samplesPerCharacter: 1 },
      secret,
    );
    const { stream: _, ...rest } = subject.config;
    const config = { ...rest, url, ...(stream === undefined ? {} : { stream }) };
    const stage = await makeStage({ ...subject, config, wire: () => wire }, {});
    const { error } = await outcomeOf(stage, ['Hi.']);
    t.is(error.kind, 'auth');
    t.is(wire.log.requests[0]!.path, path);
    t.is(wire.log.requests[0]!.headers.host, host);
    await stage.finish();
  });
}

test('text is forwarded and flushed in the instant it is known', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  let seen: string[] = [];
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(700_000);
    seen = stage.wire.log.received.slice(1);
    yield 'Two. ';
    await stage.clock.sleep(700_000);
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.deepEqual(seen, ['{"event":"text","text":"One. "}', '{"event":"flush"}']);
  t.true(audioOf(events)[0]!.atUs < 700_000);
  await stage.finish();
});

test('events without audio and unknown ones are passed over, and keys more are accepted', async (t) => {
  const stage = await answering(({ event }, socket) => {
    if (event === 'start') send(socket, { event: 'log', message: 'warming up' });
    if (event === 'flush') {
      audio(socket, [1, 2], { time: 120 });
      send(socket, { event: 'something_new', audio: 7 });
      send(socket, { no: 'event' });
      send(socket, { event: 'audio' });
      send(socket, { event: 'audio', audio: null });
      send(socket, { event: 'audio', audio: '' });
      send(socket, { event: 'audio', audio: new Uint8Array(0) });
      audio(socket, [3]);
    }
    if (event === 'stop') finish(socket);
  });
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [1, 2, 3]);
  t.is(audioOf(events).length, 2);
  await stage.finish();
});

test('a service that closes after each answer is dialed anew for the next', async (t) => {
  const stage = await makeStage(
    { ...subject, wire: (clock, script) => fishLiveWire(clock, script, secret, true) },
    { samplesPerCharacter: 10 },
  );
  for (const text of ['One.', 'Two.']) {
    const events = await stage.clock.run(collect(stage.session.speak(said(text), never())));
    t.like(events[0]!, { reused: false });
    t.is(samplesOf(events).length, 40);
    await stage.clock.run(stage.clock.sleep(1_000_000));
    t.is(stage.wire.log.open, 0);
  }
  await stage.finish();
});

test('a service that closes late does not take the next answer with it', async (t) => {
  const stage = await answering(
    saying([1], (socket) => {
      finish(socket);
      stage.clock.after(100_000, () => socket.close(1000));
    }),
  );
  const speak = () => stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await speak();
  // The socket is open still, and nobody knows whether it will stay so.
  await stage.clock.run(stage.clock.sleep(50_000));
  const events = await speak();
  t.like(events[0]!, { reused: false });
  t.deepEqual(samplesOf(events), [1]);
  await stage.finish();
});

test('a socket that is left open serves the next answer from half a second to 30 s', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  const speakAfter = async (waitUs: number) => {
    await stage.clock.run(stage.clock.sleep(waitUs));
    const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
    return events[0]!;
  };
  t.like(await speakAfter(0), { reused: false });
  t.like(await speakAfter(500_000), { reused: true });
  t.like(await speakAfter(29_900_000), { reused: true });
  t.is(stage.wire.log.connections, 1);
  const answer = ['start', 'text', 'flush', 'stop'];
  t.deepEqual(
    stage.wire.log.received.map((line) => JSON.parse(line).event),
    [...answer, ...answer, ...answer],
  );
  await stage.clock.run(stage.clock.sleep(30_100_000));
  t.is(stage.wire.log.open, 0, 'an idle socket is ended');
  t.like(await speakAfter(0), { reused: false });
  await stage.finish();
});

test('a second finish changes nothing, whenever it comes', async (t) => {
  for (const afterUs of [0, 100_000, 800_000]) {
    const stage = await answering(
      saying([1], (socket) => {
        finish(socket);
        if (afterUs === 0) finish(socket);
        else stage.clock.after(afterUs, () => finish(socket));
      }),
    );
    await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
    await stage.clock.run(stage.clock.sleep(790_000));
    const text = (async function* () {
      yield 'One. ';
      await stage.clock.sleep(200_000);
      yield 'Two.';
    })();
    const events = await stage.clock.run(collect(stage.session.speak(text, never())));
    t.like(events[0]!, { reused: true }, `a second finish after ${afterUs} µs`);
    t.deepEqual(samplesOf(events), [1, 1]);
    await stage.finish();
  }
});

test('a socket on which audio comes between two answers is not used again', async (t) => {
  for (const late of [
    (socket: WebSocket) => audio(socket, [9, 9]),
    (socket: WebSocket) => socket.send('text'),
  ]) {
    const stage = await answering(
      saying([1], (socket) => {
        finish(socket);
        late(socket);
      }),
    );
    const speak = () => stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
    await speak();
    await stage.clock.run(stage.clock.sleep(2_000_000));
    const events = await speak();
    t.like(events[0]!, { reused: false });
    t.deepEqual(samplesOf(events), [1]);
    await stage.finish();
  }
});

test('an interrupted answer leaves nothing to the next one', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 2_000 });
  const stop = new AbortController();
  stage.clock.after(200_000, () => stop.abort(new Error('barge-in')));
  await stage.clock.run(failure(stage.session.speak(said('Old text. Old text.'), stop.signal)));
  t.true(stage.wire.log.chunks.length > 0);
  const events = await stage.clock.run(collect(stage.session.speak(said('New.'), never())));
  t.like(events[0]!, { reused: false });
  t.is(samplesOf(events).length, 'New.'.length * 2_000);
  await stage.finish();
});

/** Speaks one piece to a service that ends it in a way of its own, and returns the failure. */
async function ended(
  samples: readonly number[],
  end: (socket: WebSocket, cut: () => void) => void,
): Promise<SpeechError> {
  const stage = await answering(({ event }, socket, cut) => {
    if (event !== 'stop') return;
    if (samples.length > 0) audio(socket, samples);
    stage.clock.after(50_000, () => end(socket, cut));
  });
  const { error } = await outcomeOf(stage, ['Hello.']);
  await stage.clock.run(stage.clock.sleep(20_000));
  if (stage.wire.log.open !== 0) throw new Error('The socket outlived a failed answer.');
  return error;
}

for (const [reason, message, kind, retryable] of [
  ['error', 'Reference not found', 'bad-voice', false],
  ['error', 'Insufficient Balance', 'quota', false],
  ['error', 'Invalid Token', 'auth', false],
  ['error', 'Too many requests', 'rate-limit', true],
  ['error', 'Something broke', 'server', true],
  ['error', undefined, 'server', true],
  ['something new', 'Who knows', 'server', true],
] as const) {
  test(`finish with reason ${reason} is a failure: ${message}`, async (t) => {
    const error = await ended([1, 2], (socket) => {
      send(socket, { event: 'finish', reason, ...(message === undefined ? {} : { message }) });
      socket.close(1000);
    });
    t.like(error, { kind, retryable, providerCode: reason, deliveredSamples: 2 });
    t.true(error.message.includes(message ?? reason));
  });
}

test('an error finish is one even before stop on a socket that is used again', async (t) => {
  const stage = await answering(({ event, text }, socket) => {
    if (event === 'text' && text === 'Two.') {
      send(socket, { event: 'finish', reason: 'error', message: 'Overloaded' });
    } else saying([1])({ event }, socket, () => {});
  });
  await stage.clock.run(collect(stage.session.speak(said('One.'), never())));
  await stage.clock.run(stage.clock.sleep(1_000_000));
  const { error } = await outcomeOf(stage, ['Two.']);
  t.is(error.kind, 'server');
  t.true(error.message.includes('Overloaded'));
  await stage.finish();
});

for (const [name, samples, end, kind] of [
  ['a clean close with audio', [1], (s: WebSocket) => s.close(1000), 'truncated'],
  ['a clean close without audio', [], (s: WebSocket) => s.close(1000), 'truncated'],
  ['a server in trouble', [1], (s: WebSocket) => s.close(1011), 'server'],
  ['a key refused late', [], (s: WebSocket) => s.close(1008, 'Invalid Token'), 'auth'],
] as const) {
  test(`a close is classified: ${name}`, async (t) => {
    t.like(await ended(samples, end), { kind, deliveredSamples: samples.length });
  });
}

test('a connection that is torn down is truncated with audio and a network failure without', async (t) => {
  t.is((await ended([], (_socket, cut) => cut())).kind, 'network');
  t.is((await ended([1], (_socket, cut) => cut())).kind, 'truncated');
});

test('finish before the whole text was sent is truncated', async (t) => {
  const stage = await answering(({ event }, socket) => {
    if (event !== 'flush') return;
    audio(socket, [1]);
    finish(socket);
  });
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(500_000);
    yield 'Two.';
  })();
  const error = await stage.clock.run(failure(stage.session.speak(text, never())));
  t.true(error instanceof SpeechError && error.kind === 'truncated');
  await stage.finish();
});

test('messages that are none of the protocol are a protocol failure', async (t) => {
  for (const message of [
    encode({ event: 'audio', audio: 'AQA=' }),
    encode({ event: 'audio', audio: 7 }),
    encode([1]),
    encode('audio'),
    Buffer.from('{"event":"finish"}'),
    Buffer.from([0x82, 0xa5]),
  ]) {
    const error = await ended([], (socket) => socket.send(message, { binary: true }));
    t.is(error.kind, 'protocol', Buffer.from(message).toString('hex'));
  }
  t.is((await ended([], (socket) => socket.send('{"event":"finish"}'))).kind, 'protocol');
});

for (const [status, kind] of [
  [401, 'auth'],
  [402, 'quota'],
  [403, 'auth'],
  [429, 'rate-limit'],
  [503, 'server'],
] as const) {
  test(`a refused upgrade is classified: ${status}`, async (t) => {
    const stage = await makeStage(
      {
        ...subject,
        wire: () =>
          httpAnswers((response) => {
            response.writeHead(status, { 'retry-after': '2' });
            response.end(JSON.stringify({ message: `About ${status}`, status }));
          }),
      },
      {},
    );
    const { events, error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind, status, providerCode: String(status), retryAfterMs: 2_000 });
    t.is(events.length, 0);
    await stage.finish();
  });
}

test('a message that repeats the key is recorded without it, at the same length', async (t) => {
  const stage = await answering(({ event }, socket) => {
    if (event !== 'stop') return;
    send(socket, { event: 'log', message: `key ${secret}` });
    send(socket, { event: 'finish', reason: 'error', message: `Invalid Token ${secret}` });
  });
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.is(error.kind, 'auth');
  t.false(error.message.includes(secret));
  const received = stage.observed
    .filter(({ direction }) => direction === 'received')
    .map(({ data }) => decode(data));
  const hidden = '*'.repeat(secret.length);
  t.deepEqual(received, [
    { event: 'log', message: `key ${hidden}` },
    { event: 'finish', reason: 'error', message: `Invalid Token ${hidden}` },
  ]);
  await stage.finish();
});
