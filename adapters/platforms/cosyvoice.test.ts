import test from 'ava';
import type { WebSocket } from 'ws';
import { pcmBytes } from '../audio/wav-fixture.contract.ts';
import { cosyVoiceWire, httpAnswers, webSocketAnswers } from '../scripted-wire.contract.ts';
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
import { readTtsConfig } from '../tts-config.ts';
import { type CosyVoiceConfig, cosyVoiceAdapter } from './cosyvoice.ts';

const secret = 'sk-very-secret';
const subject: ContractSubject<CosyVoiceConfig> = {
  adapter: cosyVoiceAdapter,
  config: {
    url: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
    token: secret,
    model: 'cosyvoice-v2',
    speaker: 'longwan_v2',
  },
  rateHz: 16_000,
  secret,
  wire: (clock, script) => cosyVoiceWire(clock, script, secret),
};
speechAdapterContract(test, subject);

interface ClientMessage {
  readonly header: { readonly action: string; readonly task_id: string };
  readonly payload: { readonly input: { readonly text?: string } };
}
type Answer = (message: ClientMessage, socket: WebSocket, cut: () => void) => void;

const answering = (answer: Answer) =>
  makeStage(
    {
      ...subject,
      wire: () =>
        webSocketAnswers((message, socket, stream) =>
          answer(message as unknown as ClientMessage, socket, () => stream.destroy()),
        ),
    },
    {},
  );

/** Starts and finishes tasks in order and says `parts` for every text. */
const saying =
  (parts: readonly (readonly number[] | string)[]): Answer =>
  ({ header }, socket) => {
    if (header.action === 'run-task') event(socket, header.task_id, 'task-started');
    if (header.action === 'finish-task') event(socket, header.task_id, 'task-finished');
    if (header.action !== 'continue-task') return;
    for (const part of parts) {
      if (typeof part === 'string') socket.send(part.replaceAll('<id>', header.task_id));
      else audio(socket, part);
    }
  };
const event = (socket: WebSocket, taskId: string, name: string, more: object = {}): void =>
  socket.send(
    JSON.stringify({
      header: { task_id: taskId, event: name, attributes: {}, ...more },
      payload: {},
    }),
  );
const audio = (socket: WebSocket, samples: readonly number[]): void =>
  socket.send(Buffer.from(pcmBytes(samples)), { binary: true });
const messagesOf = (lines: readonly string[]): ClientMessage[] =>
  lines.map((line) => JSON.parse(line));

test('the address, the headers and the messages are those of the protocol', async (t) => {
  const stage = await makeStage(subject, {});
  const text = ['你好，', '世界。'];
  const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(path, '/api-ws/v1/inference');
  t.is(headers.host, 'dashscope.aliyuncs.com');
  t.is(headers.authorization, `Bearer ${secret}`);
  t.is(headers['x-dashscope-datainspection'], 'enable');
  t.is(headers['sec-websocket-extensions'], undefined, 'no compression is offered');
  const taskId = messagesOf(stage.wire.log.received)[0]!.header.task_id;
  t.regex(taskId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  // TTS provider protocol reference, section 9.2, with the parameters of section 3.2.
  t.deepEqual(stage.wire.log.received, [
    `{"header":{"action":"run-task","task_id":"${taskId}","streaming":"duplex"},"payload":{"task_group":"audio","task":"tts","function":"SpeechSynthesizer","model":"cosyvoice-v2","parameters":{"text_type":"PlainText","voice":"longwan_v2","format":"pcm","sample_rate":16000},"input":{}}}`,
    `{"header":{"action":"continue-task","task_id":"${taskId}","streaming":"duplex"},"payload":{"input":{"text":"你好，"}}}`,
    `{"header":{"action":"continue-task","task_id":"${taskId}","streaming":"duplex"},"payload":{"input":{"text":"世界。"}}}`,
    `{"header":{"action":"finish-task","task_id":"${taskId}","streaming":"duplex"},"payload":{"input":{}}}`,
  ]);
  t.like(events[0]!, { url: subject.config.url, characters: 3 });
  t.like(events[1]!, { type: 'responseHead', status: 101, requestId: taskId });
  await stage.finish();
});

test('text waits for task-started and is then forwarded in the instant it is known', async (t) => {
  let startUs = 0;
  const heard: { atUs: number; action: string }[] = [];
  const stage = await answering((message, socket) => {
    heard.push({ atUs: stage.clock.nowUs(), action: message.header.action });
    if (message.header.action === 'run-task') {
      startUs = stage.clock.nowUs() + 200_000;
      stage.clock.after(200_000, () => event(socket, message.header.task_id, 'task-started'));
    } else saying([[1, 2]])(message, socket, () => {});
  });
  let saidUs = 0;
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(900_000);
    saidUs = stage.clock.nowUs();
    yield 'Two. ';
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.deepEqual(
    heard.slice(1).map(({ atUs, action }) => [atUs, action]),
    [
      [startUs + 10_000, 'continue-task'],
      [saidUs + 5_000, 'continue-task'],
      [saidUs + 5_000, 'finish-task'],
    ],
  );
  t.is(events[0]!.atUs, startUs + 5_000, 'the request is the first text, not run-task');
  t.true(audioOf(events)[0]!.atUs < saidUs);
  await stage.finish();
});

test('a socket serves the next task until 59 s have passed, with a task id of its own', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  const speak = () => stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await speak();
  await stage.clock.run(stage.clock.sleep(58_900_000));
  t.like((await speak())[0]!, { reused: true });
  t.is(stage.wire.log.connections, 1);
  await stage.clock.run(stage.clock.sleep(59_100_000));
  t.is(stage.wire.log.open, 0, 'closed before the service would');
  t.like((await speak())[0]!, { reused: false });
  const ids = messagesOf(stage.wire.log.received).map(({ header }) => header.task_id);
  t.is(new Set(ids).size, 3);
  await stage.finish();
});

test('an interrupted task leaves nothing to the next one', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 2_000 });
  const stop = new AbortController();
  stage.clock.after(200_000, () => stop.abort(new Error('barge-in')));
  await stage.clock.run(failure(stage.session.speak(said('Old text. Old text.'), stop.signal)));
  const old = stage.wire.log.chunks.length;
  t.true(old > 0);
  const events = await stage.clock.run(collect(stage.session.speak(said('New.'), never())));
  t.like(events[0]!, { reused: false });
  t.is(samplesOf(events).length, 'New.'.length * 2_000);
  await stage.finish();
});

test('a socket that speaks between two tasks is not used again', async (t) => {
  const stage = await answering((message, socket) => {
    saying([[1]])(message, socket, () => {});
    if (message.header.action === 'finish-task') {
      stage.clock.after(1_000, () => audio(socket, [9, 9, 9]));
    }
  });
  const speak = () => stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await speak();
  await stage.clock.run(stage.clock.sleep(100_000));
  const events = await speak();
  t.like(events[0]!, { reused: false });
  t.deepEqual(samplesOf(events), [1]);
  await stage.finish();
});

test('audio before task-started is no audio of this task', async (t) => {
  const stage = await answering(({ header }, socket) => {
    audio(socket, [7]);
    event(socket, header.task_id, 'task-started');
  });
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.like(error, { kind: 'protocol', deliveredSamples: 0 });
  await stage.finish();
});

test('a socket that the service closed while idle is not used again', async (t) => {
  const stage = await answering((message, socket) => {
    saying([[1]])(message, socket, () => {});
    if (message.header.action === 'finish-task') stage.clock.after(1_000, () => socket.close(1000));
  });
  const speak = () => stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await speak();
  await stage.clock.run(stage.clock.sleep(100_000));
  t.like((await speak())[0]!, { reused: false });
  await stage.finish();
});

test('a sentence that begins is a mark at the sample that follows', async (t) => {
  const begin = (text: string): string =>
    `{"header":{"task_id":"<id>","event":"result-generated","attributes":{}},"payload":{"output":{"type":"sentence-begin","original_text":"${text}","sentence":{"index":0,"words":[]}}}}`;
  const stage = await answering(saying([begin('One.'), [1, 2, 3], begin('二。'), [4, 5]]));
  const events = await stage.clock.run(collect(stage.session.speak(said('One. 二。'), never())));
  t.deepEqual(
    events.flatMap((e) => (e.type === 'mark' ? [[e.characters, e.startSamples]] : [])),
    [
      [['One.'], [0]],
      [['二。'], [3]],
    ],
  );
  await stage.finish();
});

test('only models with typed events promise marks', (t) => {
  const marks = (model: string): boolean =>
    cosyVoiceAdapter.capabilities({ ...subject.config, model }).marks;
  t.deepEqual(['cosyvoice-v1', 'cosyvoice-v2', 'cosyvoice-v3-flash'].map(marks), [
    false,
    true,
    true,
  ]);
});

test('events without audio, unknown events and those of another task are passed over', async (t) => {
  const stage = await answering(
    saying([
      '{"header":{"task_id":"<id>","event":"result-generated","attributes":{}},"payload":{"output":{"type":"sentence-begin","original_text":"Hi.","sentence":{"index":0,"words":[]}}}}',
      '{"header":{"task_id":"<id>","event":"result-generated"},"payload":{"output":{"sentence":{"words":[]}}}}',
      [1, 2],
      '{"header":{"task_id":"<id>","event":"something-new"}}',
      '{"header":{"task_id":"another","event":"task-finished"}}',
      '{"header":{"task_id":"another","event":"task-failed"}}',
      '{"header":{"event":"task-started"}}',
      [],
      [3],
    ]),
  );
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(samplesOf(events), [1, 2, 3]);
  t.is(audioOf(events).length, 2);
  await stage.finish();
});

test('the characters that the service counted are kept: the last count, none of another task', async (t) => {
  const counting = (task: string, name: string, characters: unknown): string =>
    JSON.stringify({
      header: { task_id: task, event: name, attributes: {} },
      payload: { output: null, usage: { characters } },
    });
  for (const [last, billed] of [
    [16, { billedCharacters: 16 }],
    // A message without a count does not take the count of the one before away.
    [undefined, { billedCharacters: 8 }],
  ] as const) {
    const stage = await answering(({ header }, socket) => {
      const { action, task_id } = header;
      if (action === 'run-task') event(socket, task_id, 'task-started');
      if (action === 'continue-task') {
        audio(socket, [1, 2]);
        socket.send(counting(task_id, 'result-generated', 8));
        socket.send(counting('another', 'result-generated', 99));
      }
      if (action === 'finish-task') socket.send(counting(task_id, 'task-finished', last));
    });
    const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
    t.like(events.at(-1)!, { type: 'end', usage: billed });
    await stage.finish();
  }
});

/** Speaks one piece to a server that ends the conversation itself, and returns the failure. */
async function ended(
  samples: readonly number[],
  end: (socket: WebSocket, taskId: string, cut: () => void) => void,
): Promise<SpeechError> {
  const stage = await answering(({ header }, socket, cut) => {
    if (header.action === 'run-task') event(socket, header.task_id, 'task-started');
    if (header.action !== 'continue-task') return;
    if (samples.length > 0) audio(socket, samples);
    stage.clock.after(50_000, () => end(socket, header.task_id, cut));
  });
  const { error } = await outcomeOf(stage, ['Hello.']);
  await stage.clock.run(stage.clock.sleep(20_000));
  if (stage.wire.log.open !== 0) throw new Error('The socket outlived a failed task.');
  return error;
}

// Section 9.5.
for (const [code, message, kind, retryable] of [
  ['CLIENT_ERROR', 'request timeout after 23 seconds.', 'timeout', true],
  ['InvalidParameter', '[tts:]Engine return error code: 418', 'bad-voice', false],
  ['InvalidParameter', '[cosyvoice:]Engine return error code: 418', 'bad-voice', false],
  ['InvalidParameter', '[cosyvoice:]Engine return error code: 431', 'bad-voice', false],
  ['InvalidParameter', 'Request voice is invalid!', 'bad-voice', false],
  ['InvalidParameter', '[tts:]Engine return error code: 411', 'bad-request', false],
  ['InvalidParameter', '[tts:]Engine return error code: 428', 'bad-request', false],
  ['InvalidParameter', 'Please ensure input text is valid.', 'bad-request', false],
  [
    'Throttling.RateQuota',
    'Requests rate limit exceeded, please try again later.',
    'rate-limit',
    true,
  ],
  ['Throttling', 'Slow down', 'rate-limit', true],
  [
    'Arrearage',
    'Access denied, please make sure your account is in good standing.',
    'quota',
    false,
  ],
  ['DataInspectionFailed', 'Input data may contain inappropriate content.', 'bad-request', false],
  ['Model.AccessDenied', 'Model access denied.', 'auth', false],
  ['InternalError.Algo', 'Something broke', 'server', true],
] as const) {
  test(`task-failed is classified: ${code}, ${message}`, async (t) => {
    const error = await ended([1, 2], (socket, taskId) =>
      event(socket, taskId, 'task-failed', { error_code: code, error_message: message }),
    );
    t.like(error, { kind, retryable, providerCode: code, deliveredSamples: 2 });
    t.true(error.message.includes(`${code}: ${message}`));
  });
}

test('a task may fail before it has started', async (t) => {
  const stage = await answering(({ header }, socket) => {
    event(socket, header.task_id, 'task-failed', { error_code: 'Arrearage', error_message: '' });
    socket.close(1000);
  });
  const { events, error } = await outcomeOf(stage, ['Hi.']);
  t.like(error, { kind: 'quota', providerCode: 'Arrearage' });
  t.is(events.length, 0, 'no text had been sent');
  await stage.finish();
});

test('a task that does not start is given up', async (t) => {
  const stage = await answering(() => {});
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.is(error.kind, 'timeout');
  t.regex(error.message, /did not start the task within 30000 ms/);
  await stage.finish();
});

for (const [name, samples, end, kind] of [
  ['a clean close with audio', [1], (s: WebSocket) => s.close(1000), 'truncated'],
  ['a clean close without audio', [], (s: WebSocket) => s.close(1000), 'empty'],
  ['a close without a code', [1], (s: WebSocket) => s.close(), 'truncated'],
  ['a server in trouble', [1], (s: WebSocket) => s.close(1011), 'server'],
  ['a key refused late', [], (s: WebSocket) => s.close(1007, 'Invalid API-key'), 'auth'],
  ['a message refused', [], (s: WebSocket) => s.close(1007, 'Bad message'), 'bad-request'],
] as const) {
  test(`a close is classified: ${name}`, async (t) => {
    t.like(await ended(samples, end), { kind, deliveredSamples: samples.length });
  });
}

test('a connection that is torn down is truncated with audio and a network failure without', async (t) => {
  t.is((await ended([], (_socket, _id, cut) => cut())).kind, 'network');
  t.is((await ended([1], (_socket, _id, cut) => cut())).kind, 'truncated');
});

test('task-finished before the whole text was sent is truncated', async (t) => {
  const stage = await answering(({ header }, socket) => {
    event(socket, header.task_id, 'task-started');
    if (header.action !== 'continue-task') return;
    audio(socket, [1]);
    event(socket, header.task_id, 'task-finished');
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
  for (const message of ['no JSON', '[1]', '{}', '{"header":7}', 'null']) {
    t.is((await ended([], (socket) => socket.send(message))).kind, 'protocol', message);
  }
  const mp3 = Buffer.from('ID3\x04\0\0\0\0\0\0\0\0\0\0', 'latin1');
  t.is((await ended([], (socket) => socket.send(mp3, { binary: true }))).kind, 'protocol');
});

test('a piece above the limit of the service is too long', async (t) => {
  const stage = await makeStage(subject, {});
  const { error } = await outcomeOf(stage, ['字'.repeat(20_001)]);
  t.is(error.kind, 'too-long');
  t.is(stage.wire.log.received.length, 1, 'only run-task was sent');
  await stage.finish();
});

for (const [status, code, kind] of [
  [401, 'InvalidApiKey', 'auth'],
  [403, 'AccessDenied', 'auth'],
  [400, 'Arrearage', 'quota'],
  [429, 'Throttling.RateQuota', 'rate-limit'],
  [503, 'ServiceUnavailable', 'server'],
] as const) {
  test(`a refused upgrade is classified: ${status} ${code}`, async (t) => {
    const stage = await makeStage(
      {
        ...subject,
        wire: () =>
          httpAnswers((response) => {
            response.writeHead(status);
            response.end(JSON.stringify({ code, message: `About ${code}`, request_id: 'r' }));
          }),
      },
      {},
    );
    const { events, error } = await outcomeOf(stage, ['Hello.']);
    t.like(error, { kind, status, providerCode: code });
    t.is(events.length, 0);
    await stage.finish();
  });
}

// EchoKit device protocol reference, section 9.3; "model" is our own.
for (const [keys, model, speaker] of [
  [{}, 'cosyvoice-v2', 'longwan_v2'],
  [{ version: 'V2' }, 'cosyvoice-v2', 'longwan_v2'],
  [{ version: 'V1' }, 'cosyvoice-v1', 'longwan'],
  [{ speaker: 'longhua_v2' }, 'cosyvoice-v2', 'longhua_v2'],
  [{ model: 'cosyvoice-v3-flash' }, 'cosyvoice-v3-flash', 'longanyang'],
  [{ model: 'cosyvoice-v1', version: 'V2' }, 'cosyvoice-v1', 'longwan'],
] as const) {
  test(`the configuration ${JSON.stringify(keys)} means ${model} and ${speaker}`, (t) => {
    t.deepEqual(readTtsConfig({ platform: 'cosyvoice', token: 'k', ...keys }).config, {
      url: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
      token: 'k',
      model,
      speaker,
    });
  });
}
