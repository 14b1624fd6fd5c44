/** A server in virtual time with a fake recognizer, model and provider. For tests. */
import type { ExecutionContext } from 'ava';
import type { SpeechCapabilities, SpeechSession } from '../../adapters/speech-adapter.ts';
import type { Clock } from '../clock/clock.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { loadOpus, type Opus } from '../opus/opus-codec.ts';
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
} from './planted-speech.contract.ts';
import { scriptedRecognizer } from './recognizer.ts';
import { scriptedReply } from './reply-source.ts';
import { ScriptedBoard } from './scripted-board.contract.ts';

export const opus = await loadOpus();
export const voiceDetection = await loadVoiceDetection();

/** Speech of 1.5 s and silence enough for the server to find its end. */
export const utterance = new Int16Array(8192 * 6);
utterance.set(speechLike(1.5));

export interface Laboratory {
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly server: AdapterServer;
  readonly speech: PlantedSpeech;
  readonly events: ServerObservation[];
  readonly audio: AudioObservation[];
  board(deviceId?: string, query?: string): Promise<ScriptedBoard>;
}

export interface LaboratoryOptions {
  readonly heard?: AdapterServerOptions['recognizer'] | string;
  readonly reply?: AdapterServerOptions['replies'] | string;
  readonly clip?: (text: string) => PlantedClip;
  readonly capabilities?: Partial<SpeechCapabilities>;
  readonly hello?: Uint8Array;
  readonly settings?: AdapterServerOptions['settings'];
  readonly records?: AdapterServerOptions['records'];
  readonly recordCallback?: AdapterServerOptions['recordCallback'];
  /** Puts something between the server and the planted speech. */
  readonly wrap?: (speech: SpeechSession) => SpeechSession;
  readonly onDefect?: (error: unknown) => void;
  /** Encoding a packet takes so long, in which nobody can do anything, as on a real processor. */
  readonly encodingUs?: number;
}

/** Of a server over real sockets that hears "heard" and says "Yes." in half a second of a tone, without waiting for anything. */
export function promptServer(clock: Clock): AdapterServerOptions {
  return {
    clock,
    opus,
    voiceDetection,
    speech: plantedSpeech(clock, () => ({ samples: tone(440, 8_000) })),
    platform: 'planted',
    recognizer: scriptedRecognizer(() => 'heard', { clock, durationMs: 1 }),
    replies: scriptedReply(() => ({ text: 'Yes.', firstTokenMs: 1, tokensPerSecond: 1000 }), {
      clock,
    }),
    observe: () => {},
  };
}

function slowOpus(clock: SimulatedClock, encodingUs: number): Opus {
  return {
    ...opus,
    createEncoder: (options) => {
      const encoder = opus.createEncoder(options);
      return {
        frameSamples: encoder.frameSamples,
        reset: () => encoder.reset(),
        encode: (samples) => {
          clock.skip(encodingUs);
          return encoder.encode(samples);
        },
      };
    },
  };
}

/** Runs a script in virtual time against a server with a fake recognizer, model and provider. */
export async function simulate<T>(
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
    opus: options.encodingUs === undefined ? opus : slowOpus(clock, options.encodingUs),
    voiceDetection,
    speech: options.wrap?.(speech) ?? speech,
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
    ...(options.records === undefined ? {} : { records: options.records }),
    ...(options.recordCallback === undefined ? {} : { recordCallback: options.recordCallback }),
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

export const streamQuery = 'reconnect=true&opus=true&vowel=true&stream_asr=true';
export const submitQuery = 'reconnect=true&opus=true&vowel=true';
export const rawQuery = 'reconnect=true';

export function ofType<Type extends ServerObservation['type']>(
  events: ServerObservation[],
  type: Type,
): (ServerObservation & { type: Type })[] {
  return events.filter((event): event is ServerObservation & { type: Type } => event.type === type);
}

/** Every sentence is explained to the sample, and what the board got is what was reported. */
export function conserved(t: ExecutionContext, events: ServerObservation[]): void {
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
export async function ask(device: ScriptedBoard, turn = 1): Promise<void> {
  device.command('Text', { input: 'What is that?' });
  await device.until('EndResponse', turn);
}

/** Released as three texts. */
export const threeSentences =
  'One. The second sentence is long enough to stand alone, so it does. The third sentence is long enough to stand alone, so it does.';
