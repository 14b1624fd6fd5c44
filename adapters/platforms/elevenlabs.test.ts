import test from 'ava';
import type { WebSocket } from 'ws';
import { pcmBytes } from '../audio/wav-fixture.contract.ts';
import { elevenLabsWire, httpAnswers, webSocketAnswers } from '../scripted-wire.contract.ts';
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
import type { SpeechEvent, SpeechMarkEvent } from '../speech-adapter.ts';
import { SpeechError } from '../speech-error.ts';
import { type ElevenLabsConfig, elevenLabsAdapter } from './elevenlabs.ts';

const secret = 'sk_very_secret';
const subject: ContractSubject<ElevenLabsConfig> = {
  adapter: elevenLabsAdapter,
  config: {
    url: 'wss://api.elevenlabs.io/v1/text-to-speech/',
    token: secret,
    voice: 'pNInz6obpgDQGcFmaJgB',
    modelId: 'eleven_flash_v2_5',
  },
  rateHz: 16_000,
  secret,
  wire: (clock, script) => elevenLabsWire(clock, script, secret),
};
speechAdapterContract(test, subject);

type OnMessage = Parameters<typeof webSocketAnswers>[0];

const answering = (onMessage: OnMessage, config: Partial<ElevenLabsConfig> = {}) =>
  makeStage(
    {
      ...subject,
      config: { ...subject.config, ...config },
      wire: () => webSocketAnswers(onMessage),
    },
    {},
  );

/** Answers every piece of text with `messages`, and the end with `final`. */
const saying =
  (messages: readonly unknown[], final = (socket: WebSocket): void => finish(socket)): OnMessage =>
  ({ text }, socket) => {
    if (text === '') final(socket);
    else if (text !== ' ') for (const message of messages) send(socket, message);
  };
const send = (socket: WebSocket, message: unknown): void =>
  socket.send(typeof message === 'string' ? message : JSON.stringify(message));
const finish = (socket: WebSocket): void => {
  send(socket, { audio: null, isFinal: true, normalizedAlignment: null, alignment: null });
  socket.close(1000);
};
const base64 = (samples: readonly number[]): string =>
  Buffer.from(pcmBytes(samples)).toString('base64');
const marksOf = (events: readonly SpeechEvent[]): SpeechMarkEvent[] =>
  events.filter((event) => event.type === 'mark');

async function spoken(
  messages: readonly unknown[],
  text: readonly string[] = ['Hi. '],
): Promise<SpeechEvent[]> {
  const stage = await answering(saying(messages));
  const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
  await stage.finish();
  return events;
}

test('the address, the key and the messages are those of the protocol', async (t) => {
  const stage = await makeStage(subject, {});
  const text = ['Hello there. ', 'How can I help?'];
  const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(
    path,
    '/v1/text-to-speech/pNInz6obpgDQGcFmaJgB/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_16000&sync_alignment=true',
  );
  t.is(headers.host, 'api.elevenlabs.io');
  t.is(headers['xi-api-key'], secret);
  t.is(headers['sec-websocket-extensions'], undefined, 'no compression is offered');
  t.deepEqual(stage.wire.log.received, [
    '{"text":"Hello there. ","flush":true}',
    '{"text":"How can I help?","flush":true}',
    '{"text":""}',
  ]);
  t.like(events[0]!, { url: `wss://api.elevenlabs.io${path}`, characters: 13 });
  t.like(events[1]!, { type: 'responseHead', status: 101 });
  await stage.finish();
});

test('language, port and odd voice names find their place in the address', async (t) => {
  const stage = await answering(saying([{ audio: base64([1]) }]), {
    url: 'ws://127.0.0.1:7000/v1/text-to-speech',
    voice: 'a/b c',
    languageCode: 'de',
    modelId: 'm',
  });
  await stage.clock.run(collect(stage.session.speak(said('Hallo.'), never())));
  t.is(
    stage.wire.log.requests[0]!.path,
    '/v1/text-to-speech/a%2Fb%20c/stream-input?model_id=m&output_format=pcm_16000&language_code=de&sync_alignment=true',
  );
  t.is(stage.wire.log.requests[0]!.headers.host, '127.0.0.1:7000');
  await stage.finish();
});

test('each piece is forwarded in the instant it is known, not when the text is complete', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  const seen: string[] = [];
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(700_000);
    seen.push(...stage.wire.log.received);
    yield 'Two. ';
    await stage.clock.sleep(700_000);
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.deepEqual(seen, ['{"text":"One. ","flush":true}']);
  t.true(audioOf(events)[0]!.atUs < 700_000, 'the first piece is heard before the second is known');
  t.is(events.at(-1)!.type, 'end');
  await stage.finish();
});

test('empty and blank pieces are not forwarded: one would end the stream', async (t) => {
  const stage = await makeStage(subject, {});
  await stage.clock.run(collect(stage.session.speak(said('', 'Hi. ', '', '\n', 'Ho.'), never())));
  t.deepEqual(
    stage.wire.log.received.map((text) => JSON.parse(text).text),
    ['Hi. ', 'Ho.', ''],
  );
  await stage.finish();
});

test('a text that pauses for a minute keeps the connection alive with single spaces', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(50_000_000);
    yield 'Two.';
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.deepEqual(
    stage.wire.log.received.map((line) => JSON.parse(line).text),
    ['One. ', ' ', ' ', ' ', 'Two.', ''],
  );
  t.is(events.at(-1)!.type, 'end', 'a thinking language model is no silent provider');
  await stage.finish();
});

test('character times become positions in the whole utterance', async (t) => {
  const message = (chars: string[], starts: number[], samples: number): unknown => ({
    audio: base64(new Array(samples).fill(1)),
    isFinal: null,
    alignment: { chars, charStartTimesMs: starts, charDurationsMs: starts.map(() => 50) },
  });
  const events = await spoken([
    message(['H', 'i'], [0, 70], 1_600),
    { audio: base64(new Array(800).fill(1)), alignment: null },
    message(['!', ' '], [10, 25.5], 400),
  ]);
  t.deepEqual(
    marksOf(events).map(({ characters, startSamples }) => ({ characters, startSamples })),
    [
      { characters: ['H', 'i'], startSamples: [0, 1_120] },
      // 1600 + 800 samples came before; 10 ms are 160 samples and 25.5 ms are 408.
      { characters: ['!', ' '], startSamples: [2_560, 2_808] },
    ],
  );
  t.deepEqual(
    events.map((event) => event.type),
    ['request', 'responseHead', 'audio', 'mark', 'audio', 'audio', 'mark', 'end'],
  );
});

test('odd forms of a message are tolerated', async (t) => {
  const odd = [
    {},
    { audio: null },
    { audio: '', isFinal: null },
    { audio: base64([1]), isFinal: false },
    { audio: base64([2]), alignment: {} },
    { audio: base64([3]), alignment: { chars: ['a'], charStartTimesMs: [] } },
    { audio: base64([4]), alignment: { chars: ['a'], charStartTimesMs: ['x'] } },
    { audio: base64([5]), alignment: { chars: ['a'], charStartTimesMs: [-3] } },
    { audio: base64([6]), normalizedAlignment: { chars: ['a'] }, error: null },
    { audio: base64([7]).replace(/=+$/, ''), alignment: { chars: ['a'], charsDurationsMs: [1] } },
    { type: 'something new', payload: { audio: 7 } },
  ];
  const events = await spoken(odd);
  t.deepEqual(samplesOf(events), [1, 2, 3, 4, 5, 6, 7]);
  t.is(marksOf(events).length, 0);
});

test('the final message may be spelled is_final and may carry the last audio', async (t) => {
  const stage = await answering(
    saying([], (socket) => {
      send(socket, { audio: base64([8, 9]), is_final: true });
      socket.close(1000);
    }),
  );
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [8, 9]);
  await stage.finish();
});

test('audio that is cut inside a sample is put together again', async (t) => {
  const bytes = Buffer.from(pcmBytes([1_000, -1_000, 500, -500, 250]));
  const messages = [
    bytes.subarray(0, 3),
    bytes.subarray(3, 4),
    bytes.subarray(4, 9),
    bytes.subarray(9),
  ];
  const events = await spoken(messages.map((part) => ({ audio: part.toString('base64') })));
  t.deepEqual(samplesOf(events), [1_000, -1_000, 500, -500, 250]);
  t.deepEqual(
    audioOf(events).map((event) => event.sourceBytes),
    [3, 1, 5, 1],
  );
});

test('the end does not wait for the close, and a socket left open is ended after a second', async (t) => {
  const stage = await answering(
    saying([{ audio: base64([1]) }], (socket) => send(socket, { isFinal: true })),
  );
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  const endUs = events.at(-1)!.atUs;
  t.is(stage.clock.nowUs(), endUs);
  t.is(stage.wire.log.open, 1);
  await stage.clock.run(stage.clock.sleep(1_100_000));
  t.is(stage.wire.log.open, 0);
});

/** Speaks one piece to a server that ends the conversation itself, and returns the failure. */
async function ended(
  messages: readonly unknown[],
  end: (socket: WebSocket, terminate: () => void) => void,
): Promise<SpeechError> {
  const stage = await answering(({ text }, socket, stream) => {
    if (text === '') return;
    for (const message of messages) send(socket, message);
    end(socket, () => stream.destroy());
  });
  const { error } = await outcomeOf(stage, ['Hello.']);
  await stage.finish();
  return error;
}

// Error values of section 6.2, "Errors" and "Idle rule".
for (const [name, code, kind, retryable] of [
  ['input_timeout_exceeded', 1008, 'timeout', true],
  ['quota_exceeded', 1008, 'quota', false],
  ['invalid_api_key', 1008, 'auth', false],
  ['authentication_required', 1008, 'auth', false],
  ['detected_unusual_activity', 1008, 'auth', false],
  ['voice_not_found', 1008, 'bad-voice', false],
  ['invalid_input_message', 1008, 'bad-request', false],
  ['max_active_conversations', 1008, 'rate-limit', true],
  ['unheard_of', 1008, 'bad-request', false],
  ['unheard_of', 1011, 'server', true],
] as const) {
  test(`an error message before close ${code} is classified: ${name}`, async (t) => {
    const message = { message: 'What the service says.', error: name, code };
    const error = await ended([{ audio: base64([1, 2]) }, message], (socket) => socket.close(code));
    t.like(error, { kind, retryable, providerCode: name, status: code, deliveredSamples: 2 });
    t.true(error.message.includes('What the service says.'));
  });
}

test('a message without an error value counts when the close follows', async (t) => {
  const error = await ended([{ message: 'You ran out of credits.' }], (socket) =>
    socket.close(1008),
  );
  t.is(error.kind, 'quota');
});

for (const [name, audio, end, kind, status] of [
  [
    'a clean close before the final message',
    true,
    (s: WebSocket) => s.close(1000),
    'truncated',
    1000,
  ],
  ['a clean close without any audio', false, (s: WebSocket) => s.close(1000), 'truncated', 1000],
  ['a close without a code', true, (s: WebSocket) => s.close(), 'truncated', 1005],
  ['a server in trouble', true, (s: WebSocket) => s.close(1011), 'server', 1011],
  ['a server that restarts', false, (s: WebSocket) => s.close(1012), 'server', 1012],
  [
    'a key that is refused late',
    false,
    (s: WebSocket) => s.close(1008, 'Invalid API key'),
    'auth',
    1008,
  ],
  [
    'a reason cut at 123 bytes',
    false,
    (s: WebSocket) =>
      s.close(
        1008,
        'Have not received a new text input within the timeout of 20 seconds. Streaming input terminated. Please make sure to eit',
      ),
    'timeout',
    1008,
  ],
] as const) {
  test(`a close is classified: ${name}`, async (t) => {
    const error = await ended(audio ? [{ audio: base64([1]) }] : [], end);
    t.like(error, { kind, status, deliveredSamples: audio ? 1 : 0 });
  });
}

test('a connection that is torn down is truncated with audio and a network failure without', async (t) => {
  const without = await ended([], (_socket, terminate) => terminate());
  t.is(without.kind, 'network');
  const stage = await answering(({ text }, socket, stream) => {
    if (text === '') return;
    send(socket, { audio: base64([1]) });
    stage.clock.after(50_000, () => stream.destroy());
  });
  t.is((await outcomeOf(stage, ['Hello.'])).error.kind, 'truncated');
  await stage.finish();
});

test('a final message before the whole text was sent is truncated', async (t) => {
  const stage = await answering(({ text }, socket) => {
    if (text === ' ') return;
    send(socket, { audio: base64([1]) });
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
  const binary = await ended([], (socket) => socket.send(new Uint8Array(4), { binary: true }));
  t.is(binary.kind, 'protocol');
  for (const message of ['no JSON', '[1]', '{"audio":7}', '{"audio":"***"}']) {
    t.is((await ended([message], () => {})).kind, 'protocol', message);
  }
  const mp3 = Buffer.from('ID3\x04\0\0\0\0\0\0\0\0\0\0', 'latin1').toString('base64');
  t.is((await ended([{ audio: mp3 }], () => {})).kind, 'protocol');
});

// Section 6.5, "Errors", as answers to the upgrade.
for (const [status, code, kind] of [
  [401, 'quota_exceeded', 'quota'],
  [401, 'invalid_api_key', 'auth'],
  [401, 'detected_unusual_activity', 'auth'],
  [403, 'only_for_creator+', 'auth'],
  [400, 'voice_not_found', 'bad-voice'],
  [400, 'unsupported_model', 'bad-request'],
  [429, 'too_many_concurrent_requests', 'rate-limit'],
  [429, 'system_busy', 'rate-limit'],
  [503, 'down', 'server'],
] as const) {
  test(`a refused upgrade is classified: ${status} ${code}`, async (t) => {
    const stage = await makeStage(
      {
        ...subject,
        wire: () =>
          httpAnswers((response) => {
            response.writeHead(status, { 'retry-after': '3' });
            response.end(JSON.stringify({ detail: { status: code, message: `About ${code}` } }));
          }),
      },
      {},
    );
    const { events, error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind, status, providerCode: code, retryAfterMs: 3_000 });
    t.is(events.length, 0);
    await stage.finish();
  });
}

test('an ordinary web server at the address is told from a refusal', async (t) => {
  const stage = await makeStage(
    { ...subject, wire: () => httpAnswers((response) => response.end('<html>Hello</html>')) },
    {},
  );
  t.is((await outcomeOf(stage, ['Hello.'])).error.kind, 'protocol');
});

test('a text above the limit of the model is refused', async (t) => {
  const config = { ...subject.config, modelId: 'eleven_multilingual_v2' };
  t.is(elevenLabsAdapter.capabilities(config).charactersMax, 10_000);
  t.is(elevenLabsAdapter.capabilities({ ...config, modelId: 'new' }).charactersMax, undefined);
  const stage = await makeStage({ ...subject, config }, {});
  const { error } = await outcomeOf(stage, ['One. ', 'x'.repeat(10_000)]);
  t.is(error.kind, 'too-long');
  t.is(stage.observed.length, 1, 'only the first piece was sent');
  await stage.finish();
});

test('the messages of the wire are observed as they are, without the key', async (t) => {
  const stage = await answering(
    saying([{ audio: base64([1]) }], (socket) =>
      send(socket, { error: 'invalid_api_key', message: `bad ${secret}` }),
    ),
  );
  await outcomeOf(stage, ['Hi.']);
  t.deepEqual(
    stage.observed.map(({ direction, kind, data }) => [
      direction,
      kind,
      Buffer.from(data).toString(),
    ]),
    [
      ['sent', 'ws-text', '{"text":"Hi.","flush":true}'],
      ['sent', 'ws-text', '{"text":""}'],
      ['received', 'ws-text', '{"audio":"AQA="}'],
      ['received', 'ws-text', '{"error":"invalid_api_key","message":"bad [redacted]"}'],
    ],
  );
});
