/**
 * Conversations taken from the TTS provider protocol reference, message by message, for the services that
 * no official npm client covers. For tests: the side of the client is played against the stand-in, and the
 * side of the service against the adapter.
 */
import { bytesOf, pcmBytes } from './audio/wav-fixture.contract.ts';

/** What the reference leaves open in a message: audio, and the times of characters. */
export class Open {
  /** Stands for it where this side is played. */
  readonly example: unknown;
  /** What another may say in its place. */
  readonly fits: (value: unknown) => boolean;

  constructor(example: unknown, fits: (value: unknown) => boolean) {
    this.example = example;
    this.fits = fits;
  }
}

/** One line of a conversation: what the client or the service says, or how the service closes. */
export interface GoldenLine {
  /** Since the client began to connect. */
  readonly ms: number;
  readonly client?: unknown;
  /** What our adapter says in place of `client`, where the protocol leaves it the choice; `[]`: nothing. */
  readonly adapter?: readonly unknown[];
  /** Bytes, or {@link Open} ones, are a binary frame of their own. */
  readonly service?: unknown;
  /** Samples in `service`, 16 kHz. */
  readonly samples?: readonly number[];
  /** Ends an answer. */
  readonly final?: true;
  readonly close?: number;
}

export interface GoldenConversation {
  readonly title: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly encoding: 'json' | 'msgpack';
  /** When the upgrade is answered with 101. */
  readonly acceptedMs: number;
  /** The `[tts]` table of EchoKit that means this service; absent: our adapter does not speak this protocol. */
  readonly tts?: Readonly<Record<string, string>>;
  /** The answers: when each piece of text becomes known, and when the text is complete. */
  readonly answers: readonly {
    readonly pieces: readonly (readonly [ms: number, text: string])[];
    readonly completeMs: number;
  }[];
  readonly lines: readonly GoldenLine[];
}

/** 16-bit samples that begin like no container. */
const first = [256, 11, 12, 13];
const second = [257, -21, -22];

const rawAudio = (samples: readonly number[]): Open =>
  new Open(
    bytesOf(pcmBytes(samples)),
    (value) => value instanceof Uint8Array && value.length > 0 && value.length % 2 === 0,
  );
const base64Audio = (samples: readonly number[]): Open =>
  new Open(
    Buffer.from(pcmBytes(samples)).toString('base64'),
    (value) =>
      typeof value === 'string' &&
      /^[A-Za-z0-9+/]+=*$/.test(value) &&
      Buffer.from(value, 'base64').length % 2 === 0,
  );

/** Rising times of as many characters as there are. */
const timesOf = (count: number): Open =>
  new Open(
    Array.from({ length: count }, (_, i) => i),
    (value) =>
      Array.isArray(value) &&
      value.length === count &&
      value.every((ms, i) => Number.isFinite(ms) && ms >= (value[i - 1] ?? 0)),
  );
const durationsOf = (count: number): Open =>
  new Open(
    Array.from({ length: count }, () => 1),
    (value) => Array.isArray(value) && value.length === count && value.every((ms) => ms >= 0),
  );
const alignment = (text: string) => ({
  chars: [...text],
  charStartTimesMs: timesOf(text.length),
  charDurationsMs: durationsOf(text.length),
});
/** As many characters in the first piece of audio as the speaker gets through. */
const snakeAlignment = new Open(
  { chars: ['H', 'e'], char_start_times_ms: [0, 0.0625], char_durations_ms: [0.0625, 0.0625] },
  (value) => {
    const { chars, char_start_times_ms, char_durations_ms, ...rest } = value as Record<
      string,
      unknown[]
    >;
    return (
      Object.keys(rest).length === 0 &&
      chars!.length > 0 &&
      timesOf(chars!.length).fits(char_start_times_ms) &&
      durationsOf(chars!.length).fits(char_durations_ms)
    );
  },
);

/** Empty, or the id of the request: both are in section 9.3. */
const attributes = new Open(
  {},
  (value) =>
    JSON.stringify(value) === '{}' ||
    typeof (value as { request_uuid?: unknown }).request_uuid === 'string',
);

/**
 * Section 6.9. Our adapter dials when the first text is there, sends no first message, as EchoKit
 * (section 3.2), and flushes each piece (section 6.2, buffering rule 3).
 */
const streamInput: GoldenConversation = {
  title: 'section 6.9, ElevenLabs stream-input',
  path: '/v1/text-to-speech/YOUR-VOICE-ID/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_16000',
  headers: { 'xi-api-key': 'key' },
  encoding: 'json',
  acceptedMs: 200,
  tts: { platform: 'elevenlabs', token: 'key', voice: 'YOUR-VOICE-ID' },
  answers: [
    {
      pieces: [
        [10, 'Hello there. '],
        [600, 'How can I help? '],
      ],
      completeMs: 900,
    },
  ],
  lines: [
    {
      ms: 201,
      client: {
        text: ' ',
        voice_settings: {
          stability: 0.5,
          similarity_boost: 0.75,
          style: 0,
          use_speaker_boost: true,
          speed: 1,
        },
      },
      adapter: [],
    },
    // 13 characters, below 120: nothing happens.
    {
      ms: 210,
      client: { text: 'Hello there. ' },
      adapter: [{ text: 'Hello there. ', flush: true }],
    },
    { ms: 600, client: { text: 'How can I help? ', flush: true } },
    {
      ms: 780,
      service: {
        audio: base64Audio(first),
        isFinal: null,
        normalizedAlignment: alignment(' Hello there. How can I help? '),
        alignment: alignment('Hello there. How can I help? '),
      },
      samples: first,
    },
    {
      ms: 860,
      service: {
        audio: base64Audio(second),
        isFinal: null,
        normalizedAlignment: null,
        alignment: null,
      },
      samples: second,
    },
    { ms: 900, client: { text: '' } },
    {
      ms: 960,
      service: { audio: null, isFinal: true, normalizedAlignment: null, alignment: null },
      final: true,
    },
    { ms: 961, close: 1000 },
  ],
};

/**
 * Section 6.3, which gives no instants: audio 180 ms after a flush, final messages and closes 60 ms and 1 ms
 * later, as in section 6.9. A flush brings no final message, the close of a context exactly one; an empty
 * text keeps a context alive.
 */
const multiStreamInput: GoldenConversation = {
  title: 'section 6.3, ElevenLabs multi-stream-input',
  path: '/v1/text-to-speech/YOUR-VOICE-ID/multi-stream-input?model_id=eleven_flash_v2_5&output_format=pcm_16000',
  headers: { 'xi-api-key': 'key' },
  encoding: 'json',
  acceptedMs: 200,
  answers: [],
  lines: [
    {
      ms: 201,
      client: { text: ' ', context_id: 'c1', voice_settings: { stability: 0.5 } },
    },
    { ms: 210, client: { text: 'Hello ', context_id: 'c1' } },
    { ms: 220, client: { context_id: 'c1', flush: true } },
    { ms: 400, service: multiAudio('c1', 'Hello '), samples: first },
    { ms: 500, client: { text: 'Bye. ', context_id: 'c2', flush: true } },
    { ms: 680, service: multiAudio('c2', 'Bye. '), samples: second },
    { ms: 1_200, client: { text: '', context_id: 'c2' } },
    { ms: 1_300, client: { context_id: 'c1', close_context: true } },
    { ms: 1_360, service: { isFinal: true, contextId: 'c1' } },
    { ms: 2_200, client: { close_socket: true } },
    { ms: 2_260, service: { isFinal: true, contextId: 'c2' } },
    { ms: 2_261, close: 1000 },
  ],
};

function multiAudio(contextId: string, text: string): object {
  return {
    audio: base64Audio(first),
    isFinal: null,
    normalizedAlignment: alignment(` ${text}`),
    alignment: alignment(text),
    contextId,
  };
}

/** Section 6.4: fields of its tables, and the pace that was measured: 240 ms, then 1.25 s. */
const dialogue: GoldenConversation = {
  title: 'section 6.4, ElevenLabs dialogue',
  path: '/v1/text-to-dialogue/stream-input?model_id=eleven_v4_turbo&output_format=pcm_16000&sync_alignment=true',
  headers: { 'xi-api-key': 'key' },
  encoding: 'json',
  acceptedMs: 200,
  tts: {
    platform: 'elevenlabs',
    token: 'key',
    voice: 'YOUR-VOICE-ID',
    model_id: 'eleven_v4_turbo',
  },
  answers: [{ pieces: [[0, 'Hello there. How can I help? ']], completeMs: 19_000 }],
  lines: [
    { ms: 200, client: { voices: ['YOUR-VOICE-ID'] } },
    {
      ms: 200,
      client: {
        inputs: [
          {
            text: 'Hello there. How can I help? ',
            voice_id: 'YOUR-VOICE-ID',
            new_turn: false,
          },
        ],
      },
    },
    { ms: 200, client: { flush: true } },
    {
      ms: 440,
      service: { audio: base64Audio(first), alignment: snakeAlignment },
      samples: first,
    },
    {
      ms: 1_690,
      service: { audio: base64Audio(second), alignment: snakeAlignment },
      samples: second,
    },
    // Before the 20 s after which the service closes.
    { ms: 15_200, client: { keep_alive: true } },
    { ms: 19_000, client: { close_socket: true } },
    { ms: 19_000, service: { is_final_audio_for_turn: true } },
    { ms: 19_060, service: { is_final: true }, final: true },
    { ms: 19_061, close: 1000 },
  ],
};

/** Section 7.8, with the `log` event and the `time` of section 7.3. */
const fishLive: GoldenConversation = {
  title: 'section 7.8, Fish Audio live',
  path: '/v1/tts/live',
  headers: { authorization: 'Bearer key', model: 's2-pro' },
  encoding: 'msgpack',
  acceptedMs: 330,
  tts: {
    platform: 'fish',
    api_key: 'key',
    speaker: 'YOUR-REFERENCE-ID',
    model: 's2-pro',
    stream: 'live',
  },
  answers: [{ pieces: [[0, 'Hello there. ']], completeMs: 900 }],
  lines: [
    {
      ms: 330,
      client: {
        event: 'start',
        request: {
          text: '',
          format: 'pcm',
          sample_rate: 16_000,
          reference_id: 'YOUR-REFERENCE-ID',
          latency: 'balanced',
          chunk_length: 200,
          normalize: true,
        },
      },
    },
    {
      ms: 330,
      service: {
        event: 'log',
        message: new Open('ready', (value) => typeof value === 'string' && value !== ''),
      },
    },
    { ms: 330, client: { event: 'text', text: 'Hello there. ' } },
    { ms: 330, client: { event: 'flush' } },
    { ms: 630, service: { event: 'audio', ...timedAudio(first) }, samples: first },
    { ms: 690, service: { event: 'audio', ...timedAudio(second) }, samples: second },
    { ms: 900, client: { event: 'stop' } },
    { ms: 900, service: { event: 'finish', reason: 'stop' }, final: true },
    { ms: 900, close: 1000 },
  ],
};

function timedAudio(samples: readonly number[]): object {
  return { audio: rawAudio(samples), time: new Open(300, (value) => Number(value) > 0) };
}

/**
 * Section 9.8 in the messages of sections 9.2 and 9.3, the second task played to its end. Audio comes 180 ms
 * behind the end of a sentence, the next piece 80 ms later; a socket without a task is closed after 60 s
 * (section 9.4).
 */
const dashScope: GoldenConversation = {
  title: 'sections 9.2, 9.3 and 9.8, DashScope',
  path: '/api-ws/v1/inference',
  headers: { authorization: 'Bearer key' },
  encoding: 'json',
  acceptedMs: 250,
  tts: { platform: 'cosyvoice', token: 'key' },
  answers: [
    {
      pieces: [
        [0, '你好，'],
        [750, '世界。'],
      ],
      completeMs: 3_000,
    },
    { pieces: [[50_000, '第一句。']], completeMs: 52_000 },
  ],
  lines: [
    { ms: 250, client: runTask('A') },
    { ms: 250, service: taskStarted('A') },
    { ms: 250, client: continueTask('A', '你好，') },
    // The sentence is incomplete: nothing yet.
    { ms: 750, client: continueTask('A', '世界。') },
    { ms: 930, service: sentence('A', 'begin', '你好，世界。') },
    { ms: 930, service: sentence('A', 'synthesis') },
    { ms: 930, service: rawAudio(first), samples: first },
    { ms: 1_010, service: sentence('A', 'synthesis') },
    { ms: 1_010, service: rawAudio(second), samples: second },
    // Four Han characters count twice, two marks once.
    { ms: 1_010, service: sentence('A', 'end', '你好，世界。', 10) },
    { ms: 3_000, client: finishTask('A') },
    { ms: 3_000, service: taskFinished('A', 10), final: true },
    { ms: 50_000, client: runTask('B') },
    { ms: 50_000, service: taskStarted('B') },
    { ms: 50_000, client: continueTask('B', '第一句。') },
    { ms: 50_180, service: sentence('B', 'begin', '第一句。') },
    { ms: 50_180, service: sentence('B', 'synthesis') },
    { ms: 50_180, service: rawAudio(first), samples: first },
    { ms: 50_260, service: sentence('B', 'synthesis') },
    { ms: 50_260, service: rawAudio(second), samples: second },
    { ms: 50_260, service: sentence('B', 'end', '第一句。', 7) },
    { ms: 52_000, client: finishTask('B') },
    { ms: 52_000, service: taskFinished('B', 7), final: true },
    { ms: 112_000, close: 1000 },
  ],
};

function action(name: string, task_id: string, payload: object): object {
  return { header: { action: name, task_id, streaming: 'duplex' }, payload };
}

function runTask(task_id: string): object {
  return action('run-task', task_id, {
    task_group: 'audio',
    task: 'tts',
    function: 'SpeechSynthesizer',
    model: 'cosyvoice-v2',
    parameters: {
      text_type: 'PlainText',
      voice: 'longwan_v2',
      format: 'pcm',
      sample_rate: 16_000,
    },
    input: {},
  });
}

function continueTask(task_id: string, text: string): object {
  return action('continue-task', task_id, { input: { text } });
}

function finishTask(task_id: string): object {
  return action('finish-task', task_id, { input: {} });
}

function taskStarted(task_id: string): object {
  return { header: { task_id, event: 'task-started', attributes: {} }, payload: {} };
}

function sentence(
  task_id: string,
  what: 'begin' | 'synthesis' | 'end',
  original_text?: string,
  characters?: number,
): object {
  return {
    header: { task_id, event: 'result-generated', attributes },
    payload: {
      output: {
        type: `sentence-${what}`,
        ...(original_text === undefined ? {} : { original_text }),
        sentence: { index: 0, words: [] },
      },
      ...(characters === undefined ? {} : { usage: { characters } }),
    },
  };
}

function taskFinished(task_id: string, characters: number): object {
  return {
    header: { task_id, event: 'task-finished', attributes },
    payload: { output: { sentence: { words: [] } }, usage: { characters } },
  };
}

export const goldenConversations: readonly GoldenConversation[] = [
  streamInput,
  multiStreamInput,
  dialogue,
  fishLive,
  dashScope,
];

/** A request over HTTP and its answer. */
export interface GoldenExchange {
  readonly title: string;
  readonly path: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Words in plain text, or `audio`. */
  readonly body: string;
  /** Seconds of audio in the chunks of a stream; the rest comes in the last one. */
  readonly chunkSeconds?: readonly number[];
  /** The platform whose adapter asks so, and what it makes of the answer; absent: none asks so. */
  readonly adapter?: { readonly platform: string; readonly outcome: 'audio' | 'empty' | 'server' };
}

const speechPath = '/v1/audio/speech';
const streamPath = '/v1/audio/stream_speech';
/** Two sentences' worth of one: its chunks climb the ladder of section 8.1. */
const gsvText =
  'Hello there, how can I help you on this fine and sunny day, my friend, or is it raining again?';
const asked = { speaker: 'texan', input: gsvText, sample_rate: 16_000 };
const plain = { 'content-type': 'text/plain; charset=utf-8' };
const raw = { 'content-type': 'audio/pcm;rate=32000', 'transfer-encoding': 'chunked' };
const badRate =
  'Unsupported sample rate: 44100, only 48000, 44000, 32000, 24000, 16000, 8000 are supported';

/** Section 8.1, each case of its table of responses that a client can bring about. */
export const gsvExchanges: readonly GoldenExchange[] = [
  {
    title: 'a complete WAV',
    path: speechPath,
    request: asked,
    status: 200,
    headers: { 'content-type': 'audio/wav' },
    body: 'audio',
    adapter: { platform: 'gsv', outcome: 'audio' },
  },
  {
    title: 'raw audio while it is made',
    path: streamPath,
    request: asked,
    status: 200,
    headers: raw,
    body: 'audio',
    chunkSeconds: [1, 1.3, 2.3],
    adapter: { platform: 'stream_gsv', outcome: 'audio' },
  },
  {
    title: 'an unknown speaker on the route of the WAV',
    path: speechPath,
    request: { ...asked, speaker: 'unknown-person' },
    status: 500,
    headers: plain,
    body: 'TTS service is not available',
    adapter: { platform: 'gsv', outcome: 'server' },
  },
  {
    title: 'an unknown speaker on the stream',
    path: streamPath,
    request: { ...asked, speaker: 'unknown-person' },
    status: 200,
    headers: raw,
    body: '',
    adapter: { platform: 'stream_gsv', outcome: 'empty' },
  },
  {
    title: 'an empty input on the stream',
    path: streamPath,
    request: { ...asked, input: '' },
    status: 200,
    headers: raw,
    body: '',
  },
  {
    title: 'a bad rate on the route of the WAV',
    path: speechPath,
    request: { ...asked, sample_rate: 44_100 },
    status: 400,
    headers: plain,
    body: badRate,
  },
  {
    title: 'a bad rate on the stream',
    path: streamPath,
    request: { ...asked, sample_rate: 44_100 },
    status: 400,
    headers: plain,
    body: badRate,
  },
];

/**
 * Where a message differs from the golden one: undefined when it fits, else the place and both values. Keys
 * count in any order.
 */
export function difference(
  actual: unknown,
  golden: unknown,
  place = 'message',
): string | undefined {
  const shown = (): string => JSON.stringify(actual)?.slice(0, 120) ?? 'nothing';
  if (golden instanceof Open) return golden.fits(actual) ? undefined : `${place}: ${shown()}`;
  if (typeof golden !== 'object' || golden === null) {
    return Object.is(actual, golden) ? undefined : `${place}: ${shown()}, not ${String(golden)}`;
  }
  if (typeof actual !== 'object' || actual === null) return `${place}: ${shown()}`;
  const keys = new Set([...Object.keys(golden), ...Object.keys(actual)]);
  for (const key of keys) {
    const [a, g] = [actual, golden].map((value) => (value as Record<string, unknown>)[key]);
    const found =
      key in golden
        ? difference(a, g, `${place}.${key}`)
        : `${place}.${key} is not in the reference`;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The golden message with the examples for what is open. */
export function exampleOf(golden: unknown): unknown {
  if (golden instanceof Open) return golden.example;
  if (Array.isArray(golden)) return golden.map(exampleOf);
  if (typeof golden !== 'object' || golden === null || golden instanceof Uint8Array) return golden;
  return Object.fromEntries(Object.entries(golden).map(([key, value]) => [key, exampleOf(value)]));
}
