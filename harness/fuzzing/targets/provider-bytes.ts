/** What speech services answer with, below any connection: audio, events, messages, refusals. */
import { SpeechNormalizer, type SpeechSource } from '../../../adapters/audio/speech-normalizer.ts';
import { WavStream } from '../../../adapters/audio/wav-stream.ts';
import { dashScopeFailures } from '../../../adapters/platforms/cosyvoice.ts';
import {
  elevenLabsFailures,
  readElevenLabs,
} from '../../../adapters/platforms/elevenlabs-socket.ts';
import { fishLiveDialect } from '../../../adapters/platforms/fish-live.ts';
import { openAiFailures } from '../../../adapters/platforms/openai.ts';
import { OpenAiSpeechEvents } from '../../../adapters/platforms/openai-speech-events.ts';
import type { SpeechError } from '../../../adapters/speech-error.ts';
import { chatReply } from '../../../adapters/text-optimization/chat-reply.ts';
import { AnswerAudio } from '../../../adapters/transport/answer-audio.ts';
import { PlainAudio } from '../../../adapters/transport/answer-framing.ts';
import { EventStreamReader } from '../../../adapters/transport/event-stream.ts';
import { packMap, unpackMap } from '../../../adapters/transport/message-pack.ts';
import {
  classifyInBand,
  classifyRefusal,
  providerWords,
  redact,
  shortWords,
  speechError,
} from '../../../adapters/transport/provider-failure.ts';
import type { ServerMessage } from '../../../adapters/transport/websocket-speech.ts';
import type { Random } from '../../random/random.ts';
import {
  boundaryNumbers,
  boundaryTexts,
  chance,
  joined,
  json,
  length,
  list,
  messagePackHeads,
  oneOf,
  text,
  textOf,
  utf8,
  word,
} from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';

const wavCodes = [
  'WAV_NOT_WAV',
  'WAV_UNSUPPORTED_FORMAT',
  'WAV_BAD_HEADER',
  'WAV_HEADER_TOO_LONG',
  'WAV_ENDED_IN_HEADER',
];

/** A WAV as services write it, with extra chunks, any sizes, and more than one header. */
export function drawnWav(random: Random): Uint8Array {
  const parts = chance(random, 0.25) ? random.integer(2, 4) : 1;
  return joined(...Array.from({ length: parts }, () => drawnWavPart(random)));
}

function drawnWavPart(random: Random): Uint8Array {
  const float = chance(random, 0.15);
  const bits = float ? oneOf(random, [32, 64]) : oneOf(random, [8, 16, 16, 16, 24, 32]);
  const channels = oneOf(random, [1, 1, 1, 2, 6]);
  const rateHz = oneOf(random, [8000, 16_000, 22_050, 24_000, 44_100, 48_000]);
  const extensible = chance(random, 0.15);
  const format = Buffer.alloc(extensible ? 40 : oneOf(random, [16, 16, 18]));
  format.writeUInt16LE(extensible ? 0xfffe : float ? 3 : 1, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(rateHz, 4);
  format.writeUInt32LE((rateHz * channels * bits) / 8, 8);
  format.writeUInt16LE((channels * bits) / 8, 12);
  format.writeUInt16LE(bits, 14);
  if (extensible) format.writeUInt16LE(float ? 3 : 1, 24);
  const data = random.bytes(length(random, 600));
  const extra = () =>
    list(random, 2, () =>
      chunk(
        oneOf(random, ['LIST', 'fact', 'junk', 'id3 ', 'C2PA']),
        random.bytes(length(random, 30)),
      ),
    );
  const size = chance(random, 0.5)
    ? data.length
    : oneOf(random, [0, 0xffff_ffff, 0x7fff_ffff, data.length + 2, ...boundaryNumbers]);
  const sized = chunk('data', data);
  new DataView(sized.buffer, sized.byteOffset).setUint32(4, size >>> 0, true);
  const body = joined(chunk('fmt ', format), ...extra(), sized, ...extra());
  const head = Buffer.from('RIFF\0\0\0\0WAVE', 'latin1');
  head.writeUInt32LE(chance(random, 0.5) ? body.length + 4 : 0xffff_ffff, 4);
  return joined(chance(random, 0.1) ? chunk('fmt ', format) : head, body);
}

function chunk(id: string, content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return joined(head, content, new Uint8Array(content.length % 2));
}

const wavTokens = [
  'RIFF',
  'WAVEfmt ',
  'data',
  'LIST',
  'fmt ',
  'RIFF\0\0\0\0WAVEfmt ',
  '{"error":',
  '<html',
  'OggS',
  'ID3',
];

export const wavStreams: FuzzTarget = {
  name: 'wav',
  about: 'WAV as it streams in: headers, sizes that lie, extra chunks, headers in mid stream',
  share: 90,
  longestBytes: 64 << 10,
  arrival: 'stream',
  refusals: wavCodes,
  tokens: wavTokens,
  draw: drawnWav,
  open: () => {
    return (pieces) => {
      const stream = new WavStream();
      const sounds: { format: unknown; parts: Uint8Array[] }[] = [];
      let given = 0;
      const take = (found: ReturnType<WavStream['push']>): void => {
        for (const { format, data, restart } of found) {
          must(restart || sounds.length > 0, 'sound-account', () => 'samples before a header');
          if (restart) sounds.push({ format, parts: [] });
          sounds.at(-1)!.parts.push(data.slice());
          must(data.length > 0, 'sound-account', () => 'a piece without samples');
        }
      };
      for (const piece of pieces) {
        given += piece.length;
        take(stream.push(piece));
      }
      take(stream.end());
      const account = sounds.map(({ format, parts }) => ({ format, data: joined(...parts) }));
      const bytes = account.reduce((sum, { data }) => sum + data.length, 0);
      // What is neither is the headers: 44 bytes at least for each sound, 8 for what is skipped.
      const isWithin = bytes + stream.ignoredBytes + 44 * sounds.length <= given;
      must(
        isWithin,
        'nothing-lost',
        () => `${bytes} bytes of ${given}, ${stream.ignoredBytes} ignored`,
      );
      return [account, stream.ignoredBytes];
    };
  },
};

function drawnSpeechEvents(random: Random): Uint8Array {
  const events = list(random, 6, () => {
    const audio = Buffer.from(random.bytes(length(random, 90))).toString('base64');
    const data = oneOf(random, [
      () => ({ type: 'speech.audio.delta', [oneOf(random, ['audio', 'delta'])]: audio }),
      () => ({ type: 'speech.audio.delta', audio }),
      () => ({ type: 'speech.audio.done', usage: { input_tokens: random.integer(0, 99) } }),
      () => ({ type: 'error', error: json(random) }),
      () => ({ type: word(random), ...(json(random) as object) }),
    ])();
    const end = oneOf(random, ['\n', '\r\n', '\r']);
    const name = chance(random, 0.2) ? `event: ${word(random)}${end}` : '';
    const comment = chance(random, 0.2) ? `: ${text(random)}${end}` : '';
    return `${comment}${name}data: ${JSON.stringify(data)}${end}${end}`;
  });
  return utf8(`${events.join('')}${chance(random, 0.3) ? 'data: [DONE]\n\n' : ''}`);
}

export const eventStreams: FuzzTarget = {
  name: 'event-streams',
  about: 'server-sent events',
  share: 60,
  longestBytes: 64 << 10,
  arrival: 'stream',
  refusals: [],
  tokens: [
    '\n',
    '\r\n',
    '\r',
    '\n\n',
    'data:',
    'data: ',
    'event: ',
    ':',
    'id: 1',
    '\ufeff',
    'data\n',
  ],
  draw: drawnSpeechEvents,
  open: () => {
    return (pieces) => {
      const reader = new EventStreamReader();
      const events = pieces.flatMap((piece) => reader.push(piece));
      const held = reader.unfinished;
      const last = reader.end();
      must(
        reader.unfinished === 0,
        'sound-account',
        () => 'something is unfinished behind the end',
      );
      must(last.length === 0 || held > 0, 'sound-account', () => 'an event from nothing');
      return [events, last];
    };
  },
};

const sources: readonly SpeechSource[] = [
  { container: 'wav' },
  { container: 'pcm', rateHz: 16_000, channels: 1 },
  { container: 'pcm', rateHz: 24_000, channels: 1 },
  { container: 'pcm', rateHz: 44_100, channels: 2 },
];

function drawnBody(random: Random): Uint8Array {
  return oneOf(random, [
    () => drawnWav(random),
    () => drawnWav(random),
    () => random.bytes(length(random, 2000)),
    () => drawnSpeechEvents(random),
    () => drawnSpeechEvents(random),
    () => utf8(drawnRefusal(random)),
    () =>
      joined(utf8(oneOf(random, ['ID3\u0004\0', 'OggS\0', 'fLaC\0', '\u001f'])), random.bytes(60)),
    () => joined(Uint8Array.of(0xff, 0xfb, 0x90, 0x64), random.bytes(length(random, 500))),
  ])();
}

export const answerBodies: FuzzTarget = {
  name: 'answer-bodies',
  about:
    'bodies of speech answers to 16 kHz audio: raw PCM, WAV, server-sent events, and what came instead',
  share: 70,
  longestBytes: 32 << 10,
  arrival: 'stream',
  headBytes: 1,
  refusals: wavCodes,
  tokens: [
    ...wavTokens,
    'data: {"type":"speech.audio.delta","audio":"',
    '"}\n\n',
    'data: [DONE]\n\n',
    '[',
    '{"error":',
  ],
  draw: (random) => joined(Uint8Array.of(random.integer(0, 7)), drawnBody(random)),
  // A second of 8 kHz becomes two of 16 kHz, in floating point on the way.
  memory: { base: 8 << 20, perByte: 1200 },
  time: { baseUs: 80_000, perByteUs: 8 },
  open: () => {
    return (pieces) => {
      const variant = pieces[0]?.[0] ?? 0;
      const samples: Int16Array[] = [];
      let sourceBytes = 0;
      let given = -1;
      const framing = variant & 4 ? new OpenAiSpeechEvents() : new PlainAudio();
      const audio = new AnswerAudio(framing, sources[variant & 3]!, (chunk) => {
        samples.push(chunk.samples);
        sourceBytes += chunk.sourceBytes;
      });
      let last: ReturnType<AnswerAudio['push']>;
      for (const [i, piece] of pieces.entries()) {
        given += piece.length;
        last = audio.push(i === 0 ? piece.subarray(1) : piece);
        if (last !== undefined) break;
      }
      last ??= audio.finish();
      const all = samples.reduce((sum, { length }) => sum + length, 0);
      must(
        all === audio.outputSamples,
        'nothing-lost',
        () => `${audio.outputSamples} samples, ${all} came`,
      );
      must(
        sourceBytes <= given,
        'sound-account',
        () => `${sourceBytes} bytes of audio in ${given}`,
      );
      if (last?.type === 'failure') {
        const kind = classifyInBand(last.words, openAiFailures, 'server');
        checkFailure(speechError({ kind, message: last.words.message }, 0));
      }
      const said = last?.type === 'alien' ? 'alien' : last;
      return [Int16Array.from(samples.flatMap((part) => [...part])), sourceBytes, said];
    };
  },
};

const kinds = new Set([
  ...['auth', 'quota', 'rate-limit', 'bad-voice', 'bad-request', 'too-long', 'timeout'],
  ...['truncated', 'empty', 'protocol', 'network', 'server', 'budget'],
]);

function checkFailure(error: SpeechError): void {
  must(
    kinds.has(error.kind),
    'sound-account',
    () => `the class of the failure is ${String(error.kind)}`,
  );
  must(
    error.message.length <= 4096,
    'sound-account',
    () => `a message of ${error.message.length} characters`,
  );
  const { retryAfterMs, providerCode } = error;
  const isWait =
    retryAfterMs === undefined || (Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0);
  must(isWait, 'sound-account', () => `a wait of ${retryAfterMs} ms`);
  const isCode =
    providerCode === undefined || (typeof providerCode === 'string' && providerCode.length <= 4096);
  must(isCode, 'sound-account', () => `a code of ${String(providerCode).length} characters`);
}

function drawnRefusal(random: Random): string {
  const code = oneOf(random, [
    'invalid_api_key',
    'quota_exceeded',
    'Throttling.User',
    '__proto__',
    'constructor',
    word(random),
    '429',
  ]);
  const message = oneOf(random, [
    text(random),
    'Rate limit reached. Please try again in 1m2.5s.',
    'voice not found',
    `retry after ${oneOf(random, boundaryTexts)} seconds`,
  ]);
  return oneOf(random, [
    () => JSON.stringify({ error: { message, type: word(random), code, param: 'voice' } }),
    () => JSON.stringify({ detail: { status: code, message } }),
    () => JSON.stringify({ detail: [{ loc: ['body', word(random)], msg: message, type: code }] }),
    () => JSON.stringify({ message, status: random.integer(100, 599), reason: null }),
    () => JSON.stringify({ code, message, request_id: word(random) }),
    () => `<html><head><title>${message}</title></head><body>${text(random)}</body></html>`,
    () => JSON.stringify(json(random)),
    () => text(random, 300),
  ])();
}

const tables = [openAiFailures, elevenLabsFailures, dashScopeFailures];
const secret = 'sk_fuzz_4f1c9a7d2e';

export const refusals: FuzzTarget = {
  name: 'refusals',
  about: 'bodies and headers with which services refuse, and what they are told as',
  share: 70,
  longestBytes: 64 << 10,
  arrival: 'whole',
  headBytes: 2,
  refusals: [],
  tokens: [
    ...[
      '<',
      '<html',
      '<title',
      '</title>',
      '[',
      '{"error":',
      '{"detail":[',
      '"code":"constructor"',
      secret,
    ],
    ...[
      'try again in ',
      '1s',
      '59m',
      'retry after 1e9 seconds',
      '\\',
      ' ',
      '\n',
      'voice ',
      '=',
      ...boundaryTexts,
    ],
  ],
  draw: (random) => {
    const status = random.integer(0, 255);
    const wait = oneOf(random, [
      '',
      '1',
      '20.5',
      'Wed, 21 Oct 2026 07:28:00 GMT',
      ...boundaryTexts,
      text(random),
    ]);
    return joined(
      Uint8Array.of(status, random.integer(0, 255)),
      utf8(`${wait}\n${drawnRefusal(random)}`),
    );
  },
  open: () => {
    return ([input]) => {
      const [first = 0, second = 0] = input!;
      const [wait = '', ...lines] = textOf(input!.subarray(2)).split('\n');
      const body = redact(lines.join('\n'), [secret]);
      must(!body.includes(secret), 'sound-account', () => 'a secret was left in the body');
      const status = [400, 401, 403, 404, 422, 429, 500, 503, 302, 204][first % 10]!;
      const headers = second & 1 ? { 'retry-after': wait } : { 'retry-after-ms': wait };
      const found = tables.map((table) => {
        const failure = classifyRefusal({ platform: 'fuzz', status, headers, body }, table);
        checkFailure(speechError(failure, 0));
        const inBand = classifyInBand(providerWords(body), table, 'protocol');
        must(
          kinds.has(inBand),
          'sound-account',
          () => `the class of the failure is ${String(inBand)}`,
        );
        return [failure.kind, failure.message, inBand];
      });
      const type = second & 2 ? 'text/event-stream' : 'application/json';
      const reply = chatReply(type, body, openAiFailures);
      if (typeof reply !== 'string') checkFailure(speechError(reply, 0));
      return [found, reply];
    };
  },
};

export const socketMessages: FuzzTarget = {
  name: 'socket-messages',
  about: "messages of the services' sockets: JSON with base64 audio, MessagePack",
  share: 70,
  longestBytes: 48 << 10,
  arrival: 'whole',
  headBytes: 1,
  refusals: [],
  tokens: [
    ...[
      '{"audio":"',
      '"isFinal":true',
      '"error":',
      '"alignment":{"chars":[',
      '[',
      '{"a":',
      '=',
      'AAAA',
    ],
    ...messagePackHeads,
    ...['finish', 'reason', ...boundaryTexts],
  ],
  draw: (random) => {
    const audio = random.bytes(length(random, 200));
    const alignment = chance(random, 0.4)
      ? {
          chars: list(random, 5, () => text(random, 2)),
          charStartTimesMs: list(random, 5, () => random.integer(0, 99)),
        }
      : json(random);
    const elevenLabs = {
      audio: chance(random, 0.7) ? Buffer.from(audio).toString('base64') : json(random),
      isFinal: json(random, 0),
      alignment,
      ...(chance(random, 0.2) ? { error: json(random), code: json(random, 0) } : {}),
      ...(chance(random, 0.2) ? { message: text(random) } : {}),
    };
    const fish = {
      event: oneOf(random, ['audio', 'finish', 'log', word(random)]),
      ...(chance(random, 0.7) ? { audio } : {}),
      ...(chance(random, 0.3) ? { reason: json(random, 0), message: json(random) } : {}),
    };
    return chance(random, 0.5)
      ? joined(Uint8Array.of(0), utf8(JSON.stringify(elevenLabs)))
      : joined(Uint8Array.of(1), packMap(fish));
  },
  open: () => {
    const live = fishLiveDialect({}, false);
    return ([input]) => {
      const bytes = Buffer.from(input!.subarray(1));
      if ((input![0] ?? 0) % 2 === 0)
        return checkMessage(readElevenLabs(bytes, false), bytes.length);
      const map = unpackMap(bytes);
      if (map !== undefined) {
        const again = unpackMap(packMap(map));
        must(again !== undefined, 'round-trip', () => 'a map that was read cannot be written');
      }
      return checkMessage(live.read(bytes, true), bytes.length);
    };
  },
};

/** What the socket's reader goes on with. */
function checkMessage(message: ServerMessage | undefined, given: number): unknown {
  if (message === undefined) return 'none of the protocol';
  const { audio, alignment, refusal } = message;
  must(
    (audio?.length ?? 0) <= given,
    'sound-account',
    () => `${audio?.length} bytes of audio in ${given}`,
  );
  if (alignment !== undefined) {
    const fits = alignment.characters.length === alignment.startsMs.length;
    must(fits, 'sound-account', () => 'characters without an instant');
  }
  if (refusal !== undefined) {
    const words = shortWords(refusal);
    const kind = classifyInBand(words, elevenLabsFailures, 'server');
    checkFailure(speechError({ kind, message: words.message, providerCode: words.code }, 0));
  }
  return { ...message, ...(audio === undefined ? {} : { audio: Uint8Array.from(audio) }) };
}

export const normalizedAudio: FuzzTarget = {
  name: 'normalized-audio',
  about: 'audio of a socket, which is raw PCM or a WAV in its place',
  share: 40,
  longestBytes: 16 << 10,
  arrival: 'stream',
  refusals: wavCodes,
  tokens: wavTokens,
  draw: (random) => (chance(random, 0.5) ? drawnWav(random) : random.bytes(length(random, 900))),
  memory: { base: 8 << 20, perByte: 1200 },
  time: { baseUs: 80_000, perByteUs: 8 },
  open: () => {
    return (pieces) => {
      const normalizer = new SpeechNormalizer({ container: 'pcm', rateHz: 16_000, channels: 1 });
      const samples: number[] = [];
      let taken = 0;
      for (const chunk of [...pieces.map((piece) => normalizer.push(piece)), normalizer.flush()]) {
        for (const sample of chunk.samples) samples.push(sample);
        taken += chunk.sourceBytes;
      }
      must(
        samples.length === normalizer.outputSamples,
        'nothing-lost',
        () => `${samples.length} samples`,
      );
      return [samples, taken, normalizer.sourceFrames, normalizer.droppedBytes];
    };
  },
};
