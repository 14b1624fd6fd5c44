import http from 'node:http';
import test from 'ava';
import { type WebSocket, WebSocketServer } from 'ws';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { type LiveRecognition, RecognitionError } from './live-recognizer.ts';
import {
  finishTask,
  goldenHeaders,
  goldenPath,
  result,
  runTask,
  taskFailed,
  taskFinished,
  taskStarted,
} from './paraformer-conversation.contract.ts';
import { paraformerRecognizer } from './paraformer-recognizer.ts';

/** What a client has sent on a socket. */
interface Seen {
  readonly headers: http.IncomingHttpHeaders;
  readonly url: string;
  readonly messages: (object | Buffer)[];
}

type Service = (socket: WebSocket, message: Message | Buffer, seen: Seen) => void;

interface Message {
  readonly header: { readonly action: string; readonly task_id: string };
}

interface Laboratory {
  readonly clock: SimulatedClock;
  readonly sockets: Seen[];
  begin(semantic?: boolean): Promise<LiveRecognition>;
  readonly signal: AbortSignal;
  stop(): void;
  readonly changes: () => number;
}

/** @param refuse status with which the first upgrades are refused */
async function laboratory<T>(
  service: Service,
  script: (lab: Laboratory) => Promise<T>,
  refuse: readonly number[] = [],
): Promise<T> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const random = createRandom(2);
  const sockets: Seen[] = [];
  const accepting = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = http.createServer();
  let upgrades = 0;
  server.on('upgrade', (incoming, stream, head) => {
    const status = refuse[upgrades++];
    if (status !== undefined) {
      const body = '{"code":"InvalidApiKey","message":"Invalid API-key provided."}';
      stream.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    accepting.handleUpgrade(incoming, stream, head, (socket) => {
      const { headers, url = '' } = incoming;
      const seen: Seen = { headers, url, messages: [] };
      sockets.push(seen);
      socket.on('error', () => {});
      socket.on('message', (data: Buffer, isBinary) => {
        const message = isBinary ? data : (JSON.parse(data.toString()) as Message);
        seen.messages.push(message);
        service(socket, message, seen);
      });
    });
  });
  await network.listen({ host: 'asr', port: 80 }, (stream) => {
    stream.on('error', () => {});
    server.emit('connection', stream);
  });
  const recognizer = paraformerRecognizer(
    { url: `ws://asr${goldenPath}`, token: 'sk_golden' },
    { clock, dialer: network, randomBytes: (count) => random.bytes(count) },
  );
  const stop = new AbortController();
  let changes = 0;
  const onChange = (): void => {
    changes += 1;
  };
  const running = script({
    clock,
    sockets,
    signal: stop.signal,
    stop: () => stop.abort(new Error('enough')),
    changes: () => changes,
    begin: (semanticPunctuation = true) =>
      recognizer.begin({ deviceId: 'a', turn: 1 }, { semanticPunctuation, onChange }, stop.signal),
  });
  try {
    return await clock.run(running, 600_000_000);
  } finally {
    recognizer.close();
  }
}

const say = (socket: WebSocket, message: object): void => socket.send(JSON.stringify(message));

/** Answers as documented; `onFinish` says what comes behind `finish-task`. */
function polite(onAudio: Service, onFinish?: Service): Service {
  return (socket, message, seen) => {
    if (Buffer.isBuffer(message)) return onAudio(socket, message, seen);
    const { action, task_id: id } = message.header;
    if (action === 'run-task') say(socket, taskStarted(id));
    else if (onFinish !== undefined) onFinish(socket, message, seen);
    else say(socket, taskFinished(id));
  };
}

const idOf = ({ messages }: Seen): string => (messages.at(0) as Message).header.task_id;
const samples = Int16Array.from([1, -2, 300]);

test('the conversation is the documented one, word for word', async (t) => {
  const service = polite(
    (socket, _, seen) => say(socket, result(idOf(seen), '好，我', false)),
    (socket, message) => {
      const { task_id: id } = (message as Message).header;
      say(socket, result(id, '好，我知道了', true));
      say(socket, taskFinished(id));
    },
  );
  await laboratory(service, async ({ begin, clock, sockets, signal, changes }) => {
    const recognition = await begin();
    recognition.push(samples);
    await clock.sleep(1_000_000);
    t.is(recognition.text, '好，我');
    t.is(recognition.sentences, 0);
    t.true(changes() > 0);
    await recognition.finish(signal);
    t.is(recognition.text, '好，我知道了');
    t.is(recognition.sentences, 1);
    const [seen] = sockets;
    t.is(seen!.url, goldenPath);
    t.like(seen!.headers, goldenHeaders);
    const id = idOf(seen!);
    t.regex(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    // Origin of the bytes: 1, -2 and 300 as 16-bit little-endian integers.
    const audio = Buffer.from('0100feff2c01', 'hex');
    t.deepEqual(seen!.messages, [runTask(id, true), audio, finishTask(id)]);
  });
});

test('the socket is used again within its minute, with a task of its own, and not after a cancel', async (t) => {
  await laboratory(
    polite(() => {}),
    async ({ begin, clock, sockets, signal }) => {
      await (await begin()).finish(signal);
      await clock.sleep(58_000_000);
      const second = await begin(false);
      t.is(sockets.length, 1);
      const runs = sockets[0]!.messages.filter(
        (message) => 'header' in message && (message as Message).header.action === 'run-task',
      ) as Message[];
      t.not(runs[0]!.header.task_id, runs[1]!.header.task_id);
      t.deepEqual(runs[1], runTask(runs[1]!.header.task_id, false) as Message);
      second.cancel();
      await (await begin()).finish(signal);
      t.is(sockets.length, 2);
      await clock.sleep(60_000_000);
      await begin();
      t.is(sockets.length, 3);
    },
  );
});

test('sentences behind the first are appended, what is no result is passed over', async (t) => {
  const service = polite(
    (socket, _, seen) => {
      const id = idOf(seen);
      const beat = result(id, '', false) as { payload: { output: { sentence: object } } };
      beat.payload.output.sentence = { text: 'noise', heartbeat: true, sentence_end: false };
      say(socket, beat);
      say(socket, result('another-task', 'Not mine.', true));
      say(socket, { header: { task_id: id, event: 'something-new' }, payload: {} });
      say(socket, result(id, 'How far?', true));
    },
    (socket, message) => {
      const { task_id: id } = (message as Message).header;
      say(socket, result(id, 'To the moon', false));
      say(socket, taskFinished(id));
    },
  );
  await laboratory(service, async ({ begin, clock, signal }) => {
    const recognition = await begin();
    recognition.push(samples);
    await clock.sleep(100_000);
    t.is(recognition.text, 'How far?');
    t.is(recognition.results, 1);
    await recognition.finish(signal);
    t.is(recognition.text, 'How far? To the moon');
  });
});

test('a start that fails is tried three times, and the last reason is told', async (t) => {
  const fine = polite(() => {});
  await laboratory(
    fine,
    async ({ begin, sockets }) => {
      await begin();
      t.is(sockets.length, 1);
    },
    [503, 503],
  );
  await laboratory(
    fine,
    async ({ begin }) => {
      const error = await t.throwsAsync<RecognitionError>(begin(), {
        instanceOf: RecognitionError,
      });
      t.is(error.kind, 'auth');
      t.is(error.code, 'RECOGNITION_FAILED');
      t.regex(error.message, /3 tries \(auth\): DashScope answered 401: Invalid API-key provided/);
      t.false(error.message.includes('sk_golden'));
    },
    [401, 401, 401],
  );
  // A service that takes the connection and says nothing.
  await laboratory(
    () => {},
    async ({ begin, clock, sockets }) => {
      const error = await t.throwsAsync<RecognitionError>(begin());
      t.is(error.kind, 'timeout');
      t.is(sockets.length, 3);
      t.true(clock.nowUs() >= 30_000_000 && clock.nowUs() < 31_000_000);
    },
  );
});

const failures: [string, Service, RecognitionError['kind'], RegExp][] = [
  [
    'a task that fails for too many requests',
    (socket, _, seen) =>
      say(socket, taskFailed(idOf(seen), 'Throttling.RateQuota', 'Requests rate limit exceeded')),
    'rate-limit',
    /Throttling\.RateQuota: Requests rate limit exceeded/,
  ],
  [
    'a task without audio for 23 s',
    (socket, _, seen) =>
      say(socket, taskFailed(idOf(seen), 'CLIENT_ERROR', 'request timeout after 23 seconds.')),
    'timeout',
    /23 seconds/,
  ],
  ['a connection that breaks', (socket) => socket.terminate(), 'network', /closed \(1006\)/],
  [
    'a task that ends too early',
    (socket, _, seen) => say(socket, taskFinished(idOf(seen))),
    'truncated',
    /still coming/,
  ],
  ['an answer that is none', (socket) => socket.send('<html>'), 'protocol', /<html>/],
];
for (const [what, onAudio, kind, words] of failures) {
  test(`${what} is a failure of class ${kind}`, async (t) => {
    await laboratory(polite(onAudio), async ({ begin, clock, signal }) => {
      const recognition = await begin();
      recognition.push(samples);
      await clock.sleep(1_000_000);
      t.is(recognition.failure!.kind, kind);
      t.regex(recognition.failure!.message, words);
      await t.throwsAsync(recognition.finish(signal), { message: recognition.failure!.message });
    });
  });
}

test('an abort ends the wait for the last result at once, and the socket is not used again', async (t) => {
  const silent = polite(
    () => {},
    () => {},
  );
  await laboratory(silent, async ({ begin, clock, signal, stop }) => {
    const recognition = await begin();
    clock.after(2_000_000, stop);
    const beganUs = clock.nowUs();
    await t.throwsAsync(recognition.finish(signal), { message: 'enough' });
    t.is(clock.nowUs() - beganUs, 2_000_000);
  });
});
