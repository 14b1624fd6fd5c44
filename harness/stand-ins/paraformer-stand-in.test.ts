import test from 'ava';
import { openWebSocket } from '../../adapters/transport/websocket.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import {
  finishTask,
  goldenHeaders,
  goldenPath,
  runTask,
  taskFailed,
  taskFinished,
  taskStarted,
} from '../server/paraformer-conversation.contract.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { defaultReplyPace } from './dialogue-script.ts';
import { recognitionFaults } from './paraformer-stand-in.ts';
import { createDialogueStandIn } from './stand-in.ts';
import type { StandInChanges } from './stand-in-changes.ts';

const script = {
  turns: ['How far is the moon from here?', '月亮有多远？'].map((heard) => ({
    heard,
    reply: 'Far.',
    replyPace: defaultReplyPace,
  })),
  recognitionMs: 200,
};

interface Sentence {
  readonly text: string;
  readonly sentence_end: boolean;
  readonly begin_time: number;
  readonly end_time: number | null;
  readonly words: readonly { readonly text: string; readonly punctuation: string }[];
}

interface Said {
  readonly header: { readonly event: string; readonly task_id: string };
  readonly payload: {
    readonly output?: { readonly sentence?: Sentence };
    readonly usage?: unknown;
  };
}

interface Client {
  readonly clock: SimulatedClock;
  readonly said: { readonly atUs: number; readonly message: Said }[];
  readonly closed: () => number | undefined;
  send(message: object): void;
  /** In pieces of 100 ms, in their own time. */
  speak(samples: Int16Array): Promise<void>;
  sentences(): Sentence[];
}

/** What is none of the protocol is an event of its own. */
function read(text: string): Said {
  if (!text.startsWith('{')) return { header: { event: 'page', task_id: '' }, payload: {} };
  return JSON.parse(text) as Said;
}

async function converse<T>(
  use: (client: Client) => Promise<T>,
  changes?: StandInChanges,
  headers: Record<string, string> = goldenHeaders,
): Promise<T> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const standIn = createDialogueStandIn('paraformer', {
    clock,
    random: createRandom(2),
    script,
    ...(changes && { changes }),
  });
  await network.listen({ host: 'asr', port: 80 }, (stream) => standIn.accept(stream));
  const random = createRandom(3);
  const said: Client['said'] = [];
  const run = async (): Promise<T> => {
    const { socket } = await openWebSocket(
      new URL(`ws://asr${goldenPath}`),
      headers,
      10_000,
      { clock, dialer: network, randomBytes: (count) => random.bytes(count) },
      new AbortController().signal,
      ({ status, body }) => new Error(`${status} ${body}`),
    );
    let closed: number | undefined;
    socket.once('close', (code) => {
      closed = code;
    });
    socket.on('message', (data: Buffer) =>
      said.push({ atUs: clock.nowUs(), message: read(data.toString()) }),
    );
    try {
      return await use({
        clock,
        said,
        closed: () => closed,
        send: (message) => socket.send(JSON.stringify(message)),
        async speak(samples) {
          for (let at = 0; at < samples.length; at += 1600) {
            const piece = samples.slice(at, at + 1600);
            socket.send(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
            await clock.sleep(100_000);
          }
        },
        sentences: () => said.flatMap(({ message }) => message.payload.output?.sentence ?? []),
      });
    } finally {
      socket.terminate();
    }
  };
  try {
    return await clock.run(run(), 600_000_000);
  } finally {
    await standIn.close();
  }
}

const silence = (seconds: number): Int16Array => new Int16Array(16_000 * seconds);

test('the documented conversation: growing results, the end of the sentence, the end of the task', async (t) => {
  await converse(async ({ clock, said, send, speak, sentences }) => {
    send(runTask('t1', true));
    await clock.sleep(10_000);
    t.deepEqual(said[0]!.message, taskStarted('t1') as Said);
    await speak(speechLike(2.5));
    const interim = sentences();
    t.true(interim.length >= 3);
    for (const { text, sentence_end: isEnd, end_time: end } of interim) {
      t.false(isEnd);
      t.is(end, null);
      t.true('How far is the moon from here?'.startsWith(text) && text.length < 30, text);
    }
    const lengths = interim.map(({ text }) => text.length);
    t.deepEqual(
      lengths,
      [...lengths].sort((a, b) => a - b),
    );

    const stoppedUs = clock.nowUs();
    await speak(silence(1.5));
    const last = sentences().at(-1)!;
    t.like(last, { text: 'How far is the moon from here?', sentence_end: true });
    // 0.8 s of silence and the 0.2 s of the script, in windows of 20 ms and pieces of 100 ms.
    const toldUs = said.at(-1)!.atUs - stoppedUs;
    t.true(toldUs >= 900_000 && toldUs <= 1_150_000, `${toldUs}`);
    t.is(last.words.map(({ text, punctuation }) => text + punctuation).join(' '), last.text);
    t.true(last.end_time! > last.begin_time && last.end_time! <= 2_500);
    t.deepEqual(said.at(-1)!.message.payload.usage, { duration: 4 });

    send(finishTask('t1'));
    await clock.sleep(10_000);
    t.deepEqual(said.at(-1)!.message, taskFinished('t1') as Said);
  });
});

test('finish-task ends a sentence that is spoken, and the next task gets the next turn', async (t) => {
  await converse(async ({ clock, said, send, speak, sentences }) => {
    send(runTask('t1', false));
    await speak(speechLike(1));
    send(finishTask('t1'));
    await clock.sleep(500_000);
    t.like(sentences().at(-1), { text: 'How far is the moon from here?', sentence_end: true });
    t.is(said.at(-1)!.message.header.event, 'task-finished');
    send(runTask('t2', false));
    await speak(speechLike(1));
    send(finishTask('t2'));
    await clock.sleep(500_000);
    t.like(sentences().at(-1), { text: '月亮有多远？', sentence_end: true });
  });
});

test('silence is understood as nothing, and 23 s without audio end the task', async (t) => {
  await converse(async ({ clock, said, closed, send, speak, sentences }) => {
    send(runTask('t1', true));
    await speak(silence(3));
    t.is(sentences().length, 0);
    await clock.sleep(23_000_000);
    const failed = taskFailed('t1', 'CLIENT_ERROR', 'request timeout after 23 seconds.');
    t.deepEqual(said.at(-1)!.message, failed as Said);
    t.is(closed(), 1000);
  });
});

test('what is no task for recognition is refused in words', async (t) => {
  const refused = async (change: object): Promise<unknown> =>
    converse(async ({ clock, said, send }) => {
      const task = runTask('t1', true) as { header: object; payload: object };
      send({ ...task, payload: { ...task.payload, ...change } });
      await clock.sleep(10_000);
      return (said.at(-1)!.message.header as { error_message?: string }).error_message;
    });
  t.regex(String(await refused({ model: '' })), /Missing required parameter 'payload.model'!/);
  t.regex(String(await refused({ model: 'paraformer-v2' })), /Model not exist: paraformer-v2/);
  t.regex(String(await refused({ parameters: { format: 'opus', sample_rate: 16_000 } })), /pcm/);
  t.regex(String(await refused({ parameters: { format: 'pcm' } })), /sample_rate/);
  await t.throwsAsync(
    converse(async () => {}, undefined, { authorization: 'Bearer invalid' }),
    { message: /^401 .*InvalidApiKey/ },
  );
});

test('every fault strikes at every moment of its table, and is told as its kind', async (t) => {
  for (const [kind, moments] of Object.entries(recognitionFaults)) {
    for (const moment of moments) {
      const fault = { kind, moment } as NonNullable<StandInChanges['fault']>;
      const name = `${kind} at ${moment}`;
      const happened = async ({ clock, said, closed, send, speak }: Client) => {
        send(runTask('t1', true));
        await speak(speechLike(2));
        await speak(silence(1.2));
        send(finishTask('t1'));
        await clock.sleep(1_000_000);
        const events = said.map(({ message }) => message.header.event);
        return { events, closed: closed() };
      };
      let outcome: { events: string[]; closed: number | undefined } | undefined;
      try {
        outcome = await converse(happened, { fault });
      } catch {
        // The handshake carries it.
        t.is(moment, 'answer', name);
      }
      if (outcome === undefined) continue;
      const { events, closed } = outcome;
      const last = events.at(-1);
      if (kind === 'cut') t.is(closed, 1006, name);
      else if (kind === 'stall') t.true(last !== 'task-finished' && closed === undefined, name);
      else if (kind === 'empty') t.deepEqual(events, ['task-started', 'task-finished'], name);
      else if (kind === 'early-end' && moment === 'mid-audio') t.is(last, 'task-finished', name);
      else if (kind === 'early-end') t.is(closed, 1000, name);
      else t.is(last, kind === 'protocol' ? 'page' : 'task-failed', name);
    }
  }
});
