import test from 'ava';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { type PlantedClip, tone, toneShare } from './planted-speech.contract.ts';
import {
  ask,
  conserved,
  ofType,
  opus,
  simulate,
  streamQuery,
  submitQuery,
  threeSentences,
  utterance,
} from './server-laboratory.contract.ts';

test('stream mode: end of speech, text, sentences, end', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(
      device.order,
      'EndVad ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.deepEqual(device.fieldsOf('ASR'), ['What is that?']);
    t.deepEqual(device.fieldsOf('StartAudio'), ['First one.', 'Second one.']);
    const quiet = ['frame', 'uplink', 'replyText'];
    t.deepEqual(
      events.filter((e) => e.source === 'server' && !quiet.includes(e.type)).map((e) => e.type),
      [
        'connected',
        'turnStart',
        'endOfTurn',
        'asr',
        'sentence',
        'sentence',
        'framed',
        'framed',
        'turnEnd',
      ],
    );
    t.like(ofType(events, 'turnStart')[0], { connection: 1, turn: 1, mode: 'stream' });
    t.like(ofType(events, 'turnEnd')[0], { turn: 1, outcome: 'spoken', failure: undefined });
    conserved(t, events);
  });
});

test('the end of speech is found 704 ms after it, at the next upload', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    // Speech ends at 1.5 s, so the decision needs audio up to 2.204 s: the fifth frame, at 2.56 s.
    t.like(ofType(events, 'endOfTurn')[0], {
      atUs: 2_560_000,
      by: 'EndVad',
      speech: true,
      uplinkSamples: 5 * 8192,
    });
    t.is(device.received.find((message) => message.event === 'EndVad')?.atUs, 2_560_000);
  });
});

test('submit mode: the board says when it is complete, and stale audio is not part of it', async (t) => {
  const recorded: number[] = [];
  const heard = {
    recognize: async (samples: Int16Array) => {
      recorded.push(samples.length);
      return 'What is that?';
    },
  };
  await simulate({ heard }, async ({ board, events, clock }) => {
    const device = await board(undefined, submitQuery);
    device.audio(utterance);
    device.command('StartChat');
    device.audio(utterance.subarray(0, 16_384));
    await clock.sleep(1_000_000);
    t.deepEqual(device.received, []);
    device.command('Submit');
    await device.until('EndResponse');
    t.is(
      device.order,
      'ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.deepEqual(recorded, [16_384]);
    t.like(ofType(events, 'endOfTurn')[0], { by: 'Submit', speech: true, uplinkSamples: 16_384 });
    t.like(ofType(events, 'uplink')[1], {
      samples: 16_384,
      totalSamples: utterance.length + 16_384,
    });
  });
});

test('nothing said: EndVad and EndResponse, in submit mode EndResponse only', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    await device.speak(new Int16Array(16_384));
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    const old = await board('b', submitQuery);
    old.command('StartChat');
    old.audio(new Int16Array(16_384));
    old.command('Submit');
    await old.until('EndResponse');
    t.is(old.order, 'EndResponse');
    t.deepEqual(
      ofType(events, 'turnEnd').map((end) => end.outcome),
      ['empty', 'empty'],
    );
    t.false(ofType(events, 'endOfTurn')[0]!.speech);
  });
});

test('speech that the recognizer understands as nothing ends the turn', async (t) => {
  await simulate({ heard: '  ' }, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    t.like(ofType(events, 'endOfTurn')[0], { speech: true });
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'empty' });
  });
});

test('Text is answered without EndVad, and with it when it completes an utterance', async (t) => {
  await simulate({ reply: 'Yes.' }, async ({ board, events }) => {
    const device = await board();
    device.command('Text', { input: 'typed' });
    await device.until('EndResponse');
    t.is(device.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(device.fieldsOf('ASR'), ['typed']);

    device.received.length = 0;
    device.command('StartChat');
    device.command('Text', { input: 'typed' });
    await device.until('EndResponse');
    t.is(device.order, 'EndVad ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(
      ofType(events, 'turnStart').map((start) => [start.turn, start.mode]),
      [
        [1, 'text'],
        [2, 'stream'],
      ],
    );
    t.deepEqual(
      ofType(events, 'endOfTurn').map((end) => end.by),
      ['Text', 'Text'],
    );
  });
});

test('Submit in stream mode ends the utterance unheard, and the connection lives on', async (t) => {
  await simulate({ reply: 'Yes.' }, async ({ board }) => {
    const device = await board();
    device.command('Submit');
    await device.until('EndResponse');
    t.is(device.order, 'EndResponse');
    device.command('StartChat');
    device.audio(utterance.subarray(0, 8192));
    device.command('Submit');
    await device.until('EndResponse', 2);
    t.is(device.order, 'EndResponse EndVad EndResponse');
    await ask(device, 3);
    t.true(device.order.endsWith('ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse'));
  });
});

test('talking again within the hang-over shows an interim text first', async (t) => {
  let asked = 0;
  const heard = {
    recognize: async () => {
      asked += 1;
      return `text ${asked}`;
    },
  };
  const twice = new Int16Array(8192 * 10);
  twice.set(speechLike(1));
  twice.set(speechLike(1), 16_000 + 8000); // 0.5 s of silence between.
  await simulate({ heard, reply: 'Yes.' }, async ({ board, events }) => {
    const device = await board();
    await device.speak(twice);
    await device.until('EndResponse');
    t.is(device.order, 'ASR EndVad ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(device.fieldsOf('ASR'), ['text 1', 'text 2']);
    t.deepEqual(
      ofType(events, 'asr').map((asr) => asr.final),
      [false, true],
    );
  });
});

test('an interim text is used when the final recognition finds nothing', async (t) => {
  let asked = 0;
  const heard = {
    recognize: async () => {
      asked += 1;
      return asked === 1 ? 'good' : '';
    },
  };
  const twice = new Int16Array(8192 * 10);
  twice.set(speechLike(1));
  twice.set(speechLike(1), 16_000 + 8000);
  await simulate({ heard, reply: 'Yes.' }, async ({ board }) => {
    const device = await board();
    await device.speak(twice);
    await device.until('EndResponse');
    t.deepEqual(device.fieldsOf('ASR'), ['good', 'good']);
  });
});

test('speech without a pause shows a text before the board loses patience at 10 s', async (t) => {
  const long = new Int16Array(8192 * 30);
  long.set(speechLike(13));
  await simulate({ reply: 'Yes.' }, async ({ board }) => {
    const device = await board();
    await device.speak(long);
    await device.until('EndResponse');
    t.is(device.order, 'ASR EndVad ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.true(device.received[0]!.atUs < 6_000_000);
  });
  const deaf = { recognize: () => new Promise<string>(() => {}) };
  await simulate({ heard: deaf }, async ({ board, events }) => {
    const device = await board();
    await device.speak(long);
    await device.until('EndResponse');
    t.is(device.order, 'ASR EndVad EndResponse');
    t.deepEqual(device.fieldsOf('ASR'), ['']);
    t.true(device.received[0]!.atUs < 9_500_000);
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'recognition' });
  });
});

test('another StartChat begins another utterance and sends nothing', async (t) => {
  await simulate({ reply: 'Yes.' }, async ({ board, events }) => {
    const device = await board();
    device.command('StartChat');
    await device.upload(utterance.subarray(0, 8192));
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndVad ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(
      ofType(events, 'turnEnd').map((end) => [end.turn, end.outcome]),
      [
        [1, 'interrupted'],
        [2, 'spoken'],
      ],
    );
    t.is(ofType(events, 'endOfTurn')[0]!.uplinkSamples, 5 * 8192);
  });
});

test('a failing recognizer ends the turn', async (t) => {
  const heard = { recognize: () => Promise.reject(new Error('no service')) };
  await simulate({ heard }, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'recognition' });
  });
});

test('a defect in a part of the turn releases the board and is reported', async (t) => {
  const defects: unknown[] = [];
  const heard = {
    recognize: () => {
      throw new TypeError('a mistake');
    },
  };
  const onDefect = (error: unknown): number => defects.push(error);
  await simulate({ heard, onDefect }, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'internal' });
  });
  t.regex(String(defects), /a mistake/);
});

for (const [title, pieces, order] of [
  ['before the first word', [], 'ASR EndResponse'],
  [
    'in mid answer',
    ['Said. ', 'And half a'],
    'ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
  ],
] as const) {
  test(`a reply that fails ${title}: what was said is spoken, then the turn ends`, async (t) => {
    const reply = {
      async *reply() {
        yield* pieces;
        throw new Error('the model is gone');
      },
    };
    await simulate({ reply }, async ({ board, events }) => {
      const device = await board();
      await ask(device);
      t.is(device.order, order);
      t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'reply' });
    });
  });
}

test('a model that never answers does not hold the board for ever', async (t) => {
  const reply = {
    async *reply(_text: string, _context: unknown, signal: AbortSignal) {
      yield 'Well. ';
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    },
  };
  await simulate({ reply }, async ({ board, events, clock }) => {
    const device = await board();
    await ask(device);
    t.is(device.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.is(clock.nowUs(), 60_000_000);
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'reply' });
  });
});

test('an empty reply is ASR and EndResponse', async (t) => {
  await simulate({ reply: ' \n' }, async ({ board, events, speech }) => {
    const device = await board();
    await ask(device);
    t.is(device.order, 'ASR EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'empty' });
    t.deepEqual(speech.texts, []);
  });
});

test('a new connection of the same id stops the old turn and hears nothing of it', async (t) => {
  const clip = (text: string): PlantedClip => ({
    samples: tone(text.startsWith('One') ? 500 : 1500, 32_000),
    chunkEveryMs: 100,
  });
  let asked = 0;
  const reply = {
    async *reply(_text: string, context: { history: readonly unknown[] }) {
      asked += 1;
      t.is(context.history.length, asked === 1 ? 0 : 1);
      yield asked === 1 ? threeSentences : 'New. ';
    },
  };
  await simulate({ clip, reply }, async ({ board, speech, events, clock }) => {
    const old = await board();
    old.command('Text', { input: 'first' });
    await old.until('AudioChunkWithVowel', 4);
    t.is(speech.running, 3);
    const interruptedUs = clock.nowUs();

    const fresh = await board(undefined, streamQuery);
    await old.until('EndResponse');
    t.is(clock.nowUs(), interruptedUs);
    t.is(speech.running, 0);
    t.is(speech.cancelled, 3);
    t.is(old.order, 'ASR StartAudio AudioChunkWithVowel* EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { turn: 1, outcome: 'interrupted' });
    t.is(ofType(events, 'cancelled').length, 3);
    conserved(t, events);

    old.command('StartChat');
    await clock.sleep(5_000_000);
    t.deepEqual(fresh.received, []);
    t.is(ofType(events, 'commandIgnored').length, 1);
    await ask(fresh);
    t.is(fresh.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    const decoder = opus.createDecoder();
    const heard = fresh
      .fieldsOf('AudioChunkWithVowel')
      .flatMap((data) => [...decoder.decode(Uint8Array.from(data as number[]))]);
    t.true(toneShare(Int16Array.from(heard), 1500) > 0.9);
    // One sentence was begun before, so this is the second StartAudio of the device.
    t.deepEqual(
      ofType(events, 'framed')
        .filter((ledger) => ledger.turn === 2)
        .map((ledger) => ledger.sentence),
      [2],
    );
  });
});

test('a connection without reconnect forgets what was said', async (t) => {
  const lengths: number[] = [];
  const reply = {
    async *reply(_text: string, context: { history: readonly unknown[] }) {
      lengths.push(context.history.length);
      yield 'Yes.';
    },
  };
  await simulate({ reply }, async ({ board, events }) => {
    const first = await board();
    await ask(first);
    await ask(first, 2);
    await ask(await board(undefined, streamQuery));
    await ask(await board());
    t.deepEqual(lengths, [0, 1, 2, 0]);
    t.deepEqual(
      ofType(events, 'turnStart').map((start) => [start.connection, start.turn]),
      [
        [1, 1],
        [1, 2],
        [2, 3],
        [3, 4],
      ],
    );
  });
});

test('a connection that breaks stops its turn', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(500, 32_000), chunkEveryMs: 100 });
  await simulate({ clip }, async ({ board, speech, events, clock }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await device.until('AudioChunkWithVowel', 4);
    device.socket.terminate();
    await clock.sleep(1000);
    t.is(speech.running, 0);
    t.like(ofType(events, 'disconnected')[0], { connection: 1, code: 1006 });
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'interrupted' });
    conserved(t, events);
  });
});
