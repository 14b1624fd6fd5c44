import test, { type ExecutionContext } from 'ava';
import type { SpeechCapabilities } from '../../adapters/speech-adapter.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { loadOpus } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { loadVoiceDetection } from '../voice-detection/voice-detection.ts';
import {
  type AdapterServer,
  type AdapterServerOptions,
  createAdapterServer,
} from './adapter-server.ts';
import type { AudioObservation, ServerObservation } from './conversation.ts';
import {
  type PlantedClip,
  type PlantedSpeech,
  plantedSpeech,
  tone,
  toneShare,
} from './planted-speech.contract.ts';
import { scriptedRecognizer } from './recognizer.ts';
import { scriptedReply } from './reply-source.ts';
import { ScriptedBoard } from './scripted-board.contract.ts';

const opus = await loadOpus();
const voiceDetection = await loadVoiceDetection();

/** Speech of 1.5 s and silence enough for the server to find its end. */
const utterance = new Int16Array(8192 * 6);
utterance.set(speechLike(1.5));

interface Laboratory {
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly server: AdapterServer;
  readonly speech: PlantedSpeech;
  readonly events: ServerObservation[];
  readonly audio: AudioObservation[];
  board(deviceId?: string, query?: string): Promise<ScriptedBoard>;
}

interface LaboratoryOptions {
  readonly heard?: AdapterServerOptions['recognizer'] | string;
  readonly reply?: AdapterServerOptions['replies'] | string;
  readonly clip?: (text: string) => PlantedClip;
  readonly capabilities?: Partial<SpeechCapabilities>;
  readonly hello?: Uint8Array;
  readonly settings?: AdapterServerOptions['settings'];
  readonly onDefect?: (error: unknown) => void;
}

/** Runs a script in virtual time against a server with a fake recognizer, model and provider. */
async function simulate<T>(
  options: LaboratoryOptions,
  script: (laboratory: Laboratory) => Promise<T>,
): Promise<T> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const { heard = 'What is that?', reply = 'First one. Second one.' } = options;
  const clip = options.clip ?? (() => ({ samples: tone(440, 4000), firstByteMs: 200 }));
  const speech = plantedSpeech(clock, clip, options.capabilities);
  const events: ServerObservation[] = [];
  const audio: AudioObservation[] = [];
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech,
    platform: 'planted',
    recognizer:
      typeof heard === 'string'
        ? scriptedRecognizer(() => heard, { clock, durationMs: 300 })
        : heard,
    replies:
      typeof reply === 'string'
        ? scriptedReply(() => ({ text: reply, firstTokenMs: 350, tokensPerSecond: 50 }), { clock })
        : reply,
    ...(options.hello === undefined ? {} : { hello: options.hello }),
    ...(options.settings === undefined ? {} : { settings: options.settings }),
    ...(options.onDefect === undefined ? {} : { onDefect: options.onDefect }),
    observe: (event) => events.push(event),
    observeAudio: (piece) => audio.push({ ...piece, samples: piece.samples.slice() }),
  });
  await network.listen({ host: 'server', port: 80 }, (stream) => server.accept(stream));
  const boards: ScriptedBoard[] = [];
  const running = script({
    clock,
    network,
    server,
    speech,
    events,
    audio,
    board: async (deviceId = 'a1b2c3d4e5f6', query?: string) => {
      const board = await ScriptedBoard.connect(network, clock, deviceId, query);
      boards.push(board);
      return board;
    },
  });
  try {
    return await clock.run(running, 600_000_000);
  } finally {
    await server.close();
    for (const board of boards) board.socket.terminate();
  }
}

const streamQuery = 'reconnect=true&opus=true&vowel=true&stream_asr=true';
const submitQuery = 'reconnect=true&opus=true&vowel=true';
const rawQuery = 'reconnect=true';

function ofType<Type extends ServerObservation['type']>(
  events: ServerObservation[],
  type: Type,
): (ServerObservation & { type: Type })[] {
  return events.filter((event): event is ServerObservation & { type: Type } => event.type === type);
}

/** Every sentence is explained to the sample, and what the board got is what was reported. */
function conserved(t: ExecutionContext, events: ServerObservation[]): void {
  const ledgers = ofType(events, 'framed');
  for (const ledger of ledgers) {
    t.is(ledger.samplesIn + ledger.paddedSamples, ledger.samplesOut + ledger.lostSamples);
  }
  const provided = ofType(events, 'chunk').reduce((sum, chunk) => sum + chunk.samples, 0);
  t.is(
    ledgers.reduce((sum, ledger) => sum + ledger.samplesIn, 0),
    provided,
  );
}

/** One turn by text, for everything behind the recognition. */
async function ask(device: ScriptedBoard, turn = 1): Promise<void> {
  device.command('Text', { input: 'What is that?' });
  await device.until('EndResponse', turn);
}

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

test('frames are numbered and measured as the board receives them', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    const frames = ofType(events, 'frame');
    t.deepEqual(
      frames.map((frame) => frame.event),
      device.received.map((message) => message.event),
    );
    t.deepEqual(
      frames.map((frame) => frame.frame),
      frames.map((_, index) => index + 1),
    );
    t.true(frames.every((frame) => frame.connection === 1 && frame.turn === 1));
    t.deepEqual(
      frames.filter((frame) => frame.event === 'StartAudio').map((frame) => frame.sentence),
      [1, 2],
    );
    // 4000 samples are two packets and 160 samples, padded to a third.
    t.deepEqual(
      frames.filter((frame) => frame.samples !== undefined).map((frame) => frame.samples),
      [1920, 1920, 1920, 1920, 1920, 1920],
    );
    t.like(ofType(events, 'framed')[1], {
      sentence: 2,
      samplesIn: 4000,
      samplesOut: 5760,
      paddedSamples: 1760,
      lostSamples: 0,
      frames: 3,
    });
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

const threeSentences =
  'One. The second sentence is long enough to stand alone, so it does. The third sentence is long enough to stand alone, so it does.';

test('a failed sentence has no chunk or the part that came, and the turn goes on', async (t) => {
  const clip = (text: string): PlantedClip =>
    text.startsWith('One')
      ? { samples: new Int16Array(0), failure: 'auth' }
      : text.startsWith('The second')
        ? { samples: tone(440, 2000), failure: 'truncated' }
        : { samples: tone(440, 4000) };
  await simulate({ clip, reply: threeSentences }, async ({ board, events }) => {
    const device = await board();
    await ask(device);
    t.is(
      device.order,
      'ASR StartAudio EndAudio StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'auth' });
    t.deepEqual(
      ofType(events, 'failure').map((e) => [
        e.request,
        e.sentence,
        e.kind,
        e.code,
        e.deliveredSamples,
      ]),
      [
        [1, 1, 'auth', 'TTS_AUTH', 0],
        [2, 2, 'truncated', 'TTS_TRUNCATED', 2000],
      ],
    );
    t.deepEqual(
      ofType(events, 'framed').map((ledger) => [ledger.samplesIn, ledger.paddedSamples]),
      [
        [0, 0],
        [2000, 1840],
        [4000, 1760],
      ],
    );
    conserved(t, events);
  });
});

test('StartAudio does not wait for audio; the next sentences are synthesised meanwhile', async (t) => {
  // Sentence 2 would be ready long before sentence 1.
  const clip = (text: string): PlantedClip => ({
    samples: tone(440, 4000),
    firstByteMs: text.startsWith('One') ? 3000 : 100,
  });
  await simulate({ clip, reply: threeSentences }, async ({ board, speech, events }) => {
    const device = await board();
    await ask(device);
    const at = (event: string, index = 0): number =>
      device.received.filter((message) => message.event === event)[index]!.atUs;
    t.true(at('AudioChunkWithVowel') - at('StartAudio') >= 2_900_000);
    t.is(at('StartAudio', 1), at('EndAudio'));
    t.is(at('EndAudio', 2), at('StartAudio', 1));
    t.is(speech.runningMax, 2);
    t.deepEqual(
      device.fieldsOf('StartAudio').map((text) => String(text).slice(0, 7)),
      ['One.', 'The sec', 'The thi'],
    );
    conserved(t, events);
  });
});

test('at most four sentences are synthesised at a time', async (t) => {
  const reply = Array.from(
    { length: 9 },
    (_, i) => `Sentence number ${i} is exactly long enough to stand by itself. `,
  ).join('');
  const clip = (): PlantedClip => ({ samples: tone(440, 4000), firstByteMs: 5000 });
  await simulate({ clip, reply }, async ({ board, speech }) => {
    const device = await board();
    await ask(device);
    t.is(speech.runningMax, 4);
    t.is(device.fieldsOf('StartAudio').length, 9);
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

test('hello comes first and only without reconnect, in pieces of 2048 bytes', async (t) => {
  const hello = Uint8Array.from({ length: 16_524 }, (_, i) => i & 0xff);
  await simulate({ hello }, async ({ board, clock, events }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await device.until('EndResponse');
    t.is(device.received[0]!.event, 'HelloStart');
    const chunks = device.fieldsOf('HelloChunk') as number[][];
    t.deepEqual(
      chunks.map((chunk) => chunk.length),
      [...Array(8).fill(2048), 140],
    );
    t.deepEqual(Uint8Array.from(chunks.flat()), hello);
    t.is(device.received[10]!.event, 'HelloEnd');
    t.is(device.received[11]!.event, 'ASR');
    t.is(ofType(events, 'frame')[0]!.turn, 0);
    const again = await board(undefined, streamQuery);
    await clock.sleep(1_000_000);
    t.deepEqual(again.received, []);
  });
});

test('several boards at once hear their own answer only', async (t) => {
  const tones = [400, 700, 1100, 1600, 2300];
  const reply = scriptedReplyFor((deviceId) => `Tone ${deviceId}. Again, tone ${deviceId}.`);
  const clip = (text: string): PlantedClip => ({
    samples: tone(Number(/\d+/.exec(text)?.[0]), 16_000),
    firstByteMs: 150,
    chunkEveryMs: 60,
  });
  await simulate({ reply, clip }, async ({ board, audio }) => {
    await Promise.all(
      tones.map(async (frequencyHz) => {
        const device = await board(String(frequencyHz));
        await device.speak(utterance);
        await device.until('EndResponse');
        t.deepEqual(device.fieldsOf('StartAudio'), [
          `Tone ${frequencyHz}.`,
          `Again, tone ${frequencyHz}.`,
        ]);
        const decoder = opus.createDecoder();
        const packets = device.fieldsOf('AudioChunkWithVowel') as number[][];
        t.is(packets.length, 18);
        const heard = packets.flatMap((data) => [...decoder.decode(Uint8Array.from(data))]);
        t.true(toneShare(Int16Array.from(heard), frequencyHz) > 0.8);
        const sent = audio.filter((a) => a.kind === 'sent' && a.deviceId === String(frequencyHz));
        t.true(toneShare(Int16Array.from(sent.flatMap((a) => [...a.samples])), frequencyHz) > 0.9);
      }),
    );
  });
});

test('packets are what a fresh encoder makes of each sentence', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(440, 5000), chunkSamples: 700 });
  await simulate({ clip }, async ({ board }) => {
    const device = await board();
    await ask(device);
    const padded = new Int16Array(5760);
    padded.set(tone(440, 5000));
    const encoder = opus.createEncoder();
    const expected = [0, 1, 2].map((i) => [
      ...encoder.encode(padded.subarray(i * 1920, (i + 1) * 1920)),
    ]);
    t.deepEqual(device.fieldsOf('AudioChunkWithVowel'), [...expected, ...expected]);
  });
});

test('a board without opus gets every sample as it was, whatever the blocks', async (t) => {
  const samples = Int16Array.from({ length: 21_000 }, (_, i) => ((i * 7919) % 65_536) - 32_768);
  for (const chunkSamples of [160, 777, 1919, 1920, 4096, 8000, 21_000]) {
    await simulate(
      { clip: () => ({ samples, chunkSamples }), reply: 'Yes.' },
      async (laboratory) => {
        const device = await laboratory.board(undefined, rawQuery);
        await ask(device);
        t.is(device.order, 'ASR StartAudio AudioChunk* EndAudio EndResponse');
        const bytes = Buffer.from((device.fieldsOf('AudioChunk') as number[][]).flat());
        t.true(bytes.equals(Buffer.from(samples.buffer)), `blocks of ${chunkSamples}`);
        t.like(ofType(laboratory.events, 'framed')[0], { samplesIn: 21_000, samplesOut: 21_000 });
        conserved(t, laboratory.events);
      },
    );
  }
});

test('the recording hears what the provider gave and what was sent', async (t) => {
  const samples = Int16Array.from({ length: 5000 }, (_, i) => i);
  await simulate({ clip: () => ({ samples }), reply: 'Yes.' }, async ({ board, audio }) => {
    await ask(await board());
    const joined = (kind: string): number[] =>
      audio.filter((piece) => piece.kind === kind).flatMap((piece) => [...piece.samples]);
    t.deepEqual(joined('provider'), [...samples]);
    t.deepEqual(joined('sent'), [...samples, ...Array(760).fill(0)]);
  });
});

test('lossy framing loses the remainder of every block and says so', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(440, 16_000), chunkSamples: 3000 });
  const settings = { framing: { mode: 'lossy', blockSamples: 8000 } } as const;
  await simulate({ clip, settings, reply: 'Yes.' }, async ({ board, events }) => {
    await ask(await board());
    t.like(ofType(events, 'framed')[0], { frames: 8, lostSamples: 640, paddedSamples: 0 });
    conserved(t, events);
  });
});

test('pieces with marks become one sentence each, cut where the provider says', async (t) => {
  const counting = (text: string): Int16Array =>
    new Int16Array(text.length * 500).fill(
      text.startsWith('One') ? 1 : text.startsWith('The s') ? 2 : 3,
    );
  const clip = (text: string): PlantedClip => ({
    samples: counting(text),
    firstByteMs: 200,
    chunkEveryMs: 40,
    chunkSamples: 1111,
  });
  const capabilities = { textIn: 'pieces', marks: true } as const;
  await simulate(
    { clip, capabilities, reply: threeSentences },
    async ({ board, events, speech }) => {
      const device = await board(undefined, rawQuery);
      await ask(device);
      t.is(speech.texts.length, 1);
      t.deepEqual(
        speech.texts[0]?.map((text) => text.at(-1)),
        [' ', ' ', ' '],
      );
      t.is(
        device.order,
        'ASR StartAudio AudioChunk* EndAudio StartAudio AudioChunk* EndAudio StartAudio AudioChunk* EndAudio EndResponse',
      );
      t.deepEqual(
        device.fieldsOf('StartAudio'),
        speech.texts[0]?.map((text) => text.trim()),
      );
      // Every sentence got exactly its own samples.
      let sentence = 0;
      const got: number[][] = [];
      for (const { event, fields } of device.received) {
        if (event === 'StartAudio') got.push([]);
        if (event === 'EndAudio') sentence += 1;
        if (event === 'AudioChunk') got[sentence]!.push(...(fields[0] as number[]));
      }
      for (const [index, bytes] of got.entries()) {
        const expected = counting(speech.texts[0]![index]!);
        t.true(Buffer.from(bytes).equals(Buffer.from(expected.buffer)), `sentence ${index + 1}`);
      }
      t.deepEqual(
        ofType(events, 'sentence').map((event) => event.sentence),
        [1, 2, 3],
      );
      conserved(t, events);
    },
  );
});

test('pieces without marks stay one sentence under the text of the first', async (t) => {
  const capabilities = { textIn: 'pieces' } as const;
  await simulate({ capabilities, reply: threeSentences }, async ({ board, events, speech }) => {
    const device = await board();
    await ask(device);
    t.is(device.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(device.fieldsOf('StartAudio'), ['One.']);
    t.is(speech.texts[0]?.length, 3);
    t.like(ofType(events, 'framed')[0], { sentence: 1, samplesIn: 12_000 });
    conserved(t, events);
  });
});

test('a stream of pieces that breaks keeps what came and ends the turn', async (t) => {
  const clip = (text: string): PlantedClip =>
    text.startsWith('One')
      ? { samples: tone(440, 4000) }
      : { samples: tone(440, 2500), failure: 'network' };
  const capabilities = { textIn: 'pieces', marks: true } as const;
  await simulate({ clip, capabilities, reply: threeSentences }, async ({ board, events }) => {
    const device = await board();
    await ask(device);
    t.is(
      device.order,
      'ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.like(ofType(events, 'failure')[0], { sentence: 2, kind: 'network', deliveredSamples: 6500 });
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'network' });
    conserved(t, events);
  });
});

/** As a board's TCP: little under way at a time. */
const windowed = { latencyUs: 1000, jitterUs: 0, windowBytes: 5760 };

test('a board that does not read is waited for, alone', async (t) => {
  const clip = (): PlantedClip => ({
    samples: new Int16Array(16_000 * 20).fill(0x7f7f),
    chunkSamples: 8000,
  });
  await simulate({ clip, reply: 'Yes.' }, async ({ board, events, clock, network }) => {
    network.setLink({ host: 'server', port: 80 }, windowed);
    const slow = await board('slow', rawQuery);
    slow.socket.pause();
    slow.command('Text', { input: 'go' });
    await clock.sleep(10_000_000);
    const written = ofType(events, 'frame').reduce((sum, frame) => sum + frame.bytes, 0);
    // 32 KiB here, the message that crossed the line, and what the peer's socket holds.
    t.true(written > 32 * 1024 && written < 192 * 1024, `${written} bytes`);

    const other = await board('other', rawQuery);
    const askedUs = clock.nowUs();
    await ask(other);
    t.true(clock.nowUs() - askedUs < 1_000_000);

    slow.socket.resume();
    await slow.until('EndResponse');
    t.is((slow.fieldsOf('AudioChunk') as number[][]).flat().length, 16_000 * 20 * 2);
  });
});

test('an interrupted board that does not read does not hold up its successor', async (t) => {
  const clip = (): PlantedClip => ({ samples: new Int16Array(16_000 * 20), chunkSamples: 8000 });
  await simulate({ clip, reply: 'Yes.' }, async ({ board, events, clock, network }) => {
    network.setLink({ host: 'server', port: 80 }, windowed);
    const slow = await board(undefined, rawQuery);
    slow.socket.pause();
    slow.command('Text', { input: 'go' });
    await clock.sleep(10_000_000);
    await ask(await board(undefined, rawQuery));
    t.deepEqual(
      ofType(events, 'turnEnd').map((end) => end.outcome),
      ['interrupted', 'spoken'],
    );
    conserved(t, events);
  });
});

test('what is no command is ignored with a reason', async (t) => {
  await simulate({ reply: 'Yes.' }, async ({ board, events }) => {
    const device = await board();
    device.socket.send('hello');
    device.command('Dance');
    device.command('StartRecord');
    device.command('StartChat');
    device.socket.send(Buffer.alloc(3));
    device.command('Text', { input: 'x' });
    await device.until('EndResponse');
    t.is(ofType(events, 'commandIgnored').length, 3);
    t.is(ofType(events, 'endOfTurn')[0]!.uplinkSamples, 1);
  });
});

test('compression is offered and not taken', async (t) => {
  await simulate({}, async ({ board }) => {
    const device = await board();
    t.is(device.socket.extensions, '');
  });
});

test('two runs report the same to the microsecond', async (t) => {
  const run = (): Promise<string> =>
    simulate({ reply: threeSentences }, async ({ board, events }) => {
      const device = await board();
      await device.speak(utterance);
      await device.until('EndResponse');
      return JSON.stringify(events);
    });
  t.is(await run(), await run());
});

test('closing the server ends turns, connections and requests', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(500, 32_000), chunkEveryMs: 100 });
  await simulate({ clip }, async ({ board, server, speech, events, clock }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await device.until('AudioChunkWithVowel', 4);
    await server.close();
    t.is(speech.running, 0);
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'interrupted' });
    await clock.sleep(1000);
    t.not(device.closeCode, undefined);
    await t.throwsAsync(board());
  });
});

function scriptedReplyFor(text: (deviceId: string) => string): AdapterServerOptions['replies'] {
  return {
    async *reply(_heard, { deviceId }) {
      yield text(deviceId);
    },
  };
}

async function request(network: MemoryNetwork, lines: string[]): Promise<string> {
  const stream = await network.dial({ host: 'server', port: 80, secure: false });
  stream.write(`${lines.join('\r\n')}\r\n\r\n`);
  let answer = '';
  for await (const chunk of stream) answer += chunk;
  return answer;
}

const upgrade = [
  'Host: server',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

test('HTTP answers: version, unknown paths, refused upgrades, never a date', async (t) => {
  const cases: [lines: string[], status: number][] = [
    [['GET /version HTTP/1.1', 'Host: server'], 200],
    [['POST /version HTTP/1.1', 'Host: server', 'Content-Length: 0'], 405],
    [['GET / HTTP/1.1', 'Host: server'], 404],
    [['GET /v1/chat/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 404],
    [['GET /ws/abc HTTP/1.1', 'Host: server'], 400],
    [['GET /ws/abc HTTP/1.0', 'Host: server'], 426],
    [['POST /ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 405],
    [['GET /ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 8'], 400],
    [['GET /ws/abc HTTP/1.1', ...upgrade.slice(0, 3), 'Sec-WebSocket-Version: 13'], 400],
    [['GET /ws/abc?opus=1 HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 400],
    [['GET /ws/abc?record=true HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 501],
  ];
  await simulate({}, async ({ network, events }) => {
    for (const [lines, status] of cases) {
      const answer = await request(network, lines);
      t.true(answer.startsWith(`HTTP/1.1 ${status} `), `${lines[0]}: ${answer.split('\r\n')[0]}`);
      t.notRegex(answer, /^date:/im);
    }
    t.true((await request(network, cases[0]![0])).endsWith('{"version":"0.3.2"}'));
    t.deepEqual(events, []);
  });
});

test('the accepted handshake is the one of RFC 6455 and has no date', async (t) => {
  await simulate({}, async ({ network, server }) => {
    const stream = await network.dial({ host: 'server', port: 80, secure: false });
    stream.write(
      ['GET /v2/stable_ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13', '', ''].join(
        '\r\n',
      ),
    );
    const answer = String(await new Promise((resolve) => stream.once('data', resolve)));
    t.true(answer.startsWith('HTTP/1.1 101 '));
    // Origin: RFC 6455, section 1.3.
    t.regex(answer, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
    t.notRegex(answer, /^date:/im);
    await server.close();
    stream.destroy();
  });
});
