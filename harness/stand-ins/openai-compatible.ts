/**
 * What the many copies of OpenAI's speech endpoint share: one text in, one clip out, in one of six
 * formats, as bytes, as server-sent events or as a finished file. In what they differ (paths, keys,
 * defaults, errors, headers, events) is a {@link SpeechDialect} each.
 */
import type { CompressedFormat } from './clip-encoder.ts';
import { type DeliverySchedule, encodedSchedule, scheduleDelivery } from './delivery-schedule.ts';
import type { Fields } from './field-check.ts';
import { sendSpeech, shareBytes } from './http-speech.ts';
import { chunkedFaults, eventFaults, type FaultTable, fileFaults } from './planted-fault.ts';
import type { Exchange, OpenRequest, ProviderServer, ProviderService } from './provider-server.ts';
import { renderClip, wavHeader } from './rendered-clip.ts';
import { splitSentences } from './sentences.ts';
import type { TimingProfile } from './timing-profile.ts';
import { withoutLead } from './voice-name.ts';
import { strayPage, strikeAnswer } from './wordless-faults.ts';

/** What all of them speak at, unless they stand for another model. */
const rateHz = 24_000;
const unknownSize = 0xffff_ffff;

export const speechFormats = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const;
export type SpeechFormat = (typeof speechFormats)[number];

/** The content types that most of them use. */
export const audioTypes: Readonly<Record<SpeechFormat, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
};

/** A request for speech that has been understood. */
export interface SpeechRequest {
  readonly input: string;
  readonly voice: string;
  readonly format: SpeechFormat;
  /**
   * `stream`: bytes while they are made. `events`: the same in server-sent events. `whole`: a
   * finished file with its length.
   */
  readonly delivery: 'stream' | 'events' | 'whole';
}

/** What is known of the clip when the head of its answer is written. */
export interface SpokenClip {
  readonly request: SpeechRequest;
  readonly processingMs: number;
  readonly audioSeconds: number;
}

export interface SpeechDialect {
  /** A `POST` to it is a request for speech. */
  readonly speechPath: string;
  /** Checks the key, calls `speak` for a request for speech, and answers everything else. */
  answer(server: ProviderServer, exchange: Exchange, speak: () => void): void;
  /** Answers with a planted `quota`, `rate-limit` or `server` fault; false when none struck. */
  refusePlanted(server: ProviderServer, exchange: Exchange): boolean;
  /**
   * The request, or `undefined` after it has been refused.
   *
   * @param planted what is wrong with it, whatever it says
   */
  read(
    server: ProviderServer,
    exchange: Exchange,
    planted: PlantedRefusal | undefined,
  ): SpeechRequest | undefined;
  /** How the answer to these fields comes; default: as a stream. */
  deliveryOf?(fields: Fields): SpeechRequest['delivery'];
  contentType(format: SpeechFormat): string;
  /** Beside the content type. */
  headers(exchange: Exchange, clip: SpokenClip): Record<string, string>;
  /** Absent: there are no server-sent events. */
  readonly events?: {
    /** @param audio base64 */
    delta(audio: string, request: SpeechRequest): string;
    done(clip: SpokenClip): string;
    /** Something inside has failed. */
    failed(): string;
  };
  /** Instead of what is usual for HTTP of that kind. */
  readonly faults?: Partial<Record<SpeechRequest['delivery'], FaultTable>>;
}

/** What a service finds wrong with the content of a request. */
export type PlantedRefusal = 'bad-voice' | 'too-long';

const usualFaults: Readonly<Record<SpeechRequest['delivery'], FaultTable>> = {
  stream: chunkedFaults,
  events: eventFaults,
  whole: fileFaults,
};

/** The service that speaks a dialect. */
export function compatibleService(server: ProviderServer, dialect: SpeechDialect): ProviderService {
  return {
    isCounted: (method, path) => method === 'POST' && path === dialect.speechPath,
    answer: (exchange) => {
      const delivery = dialect.deliveryOf?.(jsonFields(exchange) ?? {}) ?? 'stream';
      server.expose(exchange.entry, dialect.faults?.[delivery] ?? usualFaults[delivery]);
      if (strikeAnswer(server, exchange)) return;
      dialect.answer(server, exchange, () => speak(server, exchange, dialect));
    },
  };
}

function speak(server: ProviderServer, exchange: Exchange, dialect: SpeechDialect): void {
  if (dialect.refusePlanted(server, exchange)) return;
  const planted = server.strike(exchange.entry, 'answer', 'bad-voice', 'too-long');
  const request = dialect.read(server, exchange, planted);
  if (request !== undefined) sendClip(server, exchange, dialect, request);
}

/** The fields of the body; `undefined` when it is no JSON object. */
export function jsonFields(exchange: Exchange): Fields | undefined {
  try {
    const body: unknown = JSON.parse(exchange.body.toString());
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    return isObject ? (body as Fields) : undefined;
  } catch {
    return undefined;
  }
}

/** At 24 kHz. Bitrates are ours: nobody publishes them. */
const compressed: Readonly<Record<Exclude<SpeechFormat, 'wav' | 'pcm'>, CompressedFormat>> = {
  mp3: { codec: 'mp3', bitrateKbps: 128 },
  opus: { codec: 'opus', bitrateKbps: 64 },
  aac: { codec: 'aac', bitrateKbps: 64 },
  flac: { codec: 'flac' },
};

/**
 * Why this stand-in cannot render a format, as a message; undefined when it can. Never a reason of
 * the provider's: mp3 and its like need ffmpeg, and there is none.
 *
 * @param isDefault the request did not name the format
 */
export function formatObstacle(
  server: ProviderServer,
  format: SpeechFormat,
  isDefault: boolean,
): string | undefined {
  if (format === 'wav' || format === 'pcm') return undefined;
  const { encoder } = server.options;
  const obstacle = encoder === undefined ? 'It was made without an encoder.' : encoder.obstacle;
  if (obstacle === undefined) return undefined;
  return (
    `This stand-in renders wav and pcm only, and "${format}" was asked for` +
    `${isDefault ? ' (the default of the API)' : ''}. ${obstacle} ` +
    'Or set response_format to "wav" or "pcm".'
  );
}

/** Code of an answer that says {@link formatObstacle}. */
export const formatObstacleCode = 'stand_in_format';

function sendClip(
  server: ProviderServer,
  exchange: Exchange,
  dialect: SpeechDialect,
  request: SpeechRequest,
): void {
  const { response, entry } = exchange;
  const { format, delivery } = request;
  const events = delivery === 'events' ? dialect.events : undefined;
  const { audio, schedule, audioSeconds } = produce(server, exchange, request);
  const processingMs = Math.round(schedule.firstByteUs / 1000);
  const clip = { request, processingMs, audioSeconds };
  const size = delivery === 'whole' ? declaredBytes(server, entry, audio) : undefined;
  const header = format === 'wav' ? containerHeader(size) : Buffer.alloc(0);
  const frame = (bytes: Buffer): Buffer | string =>
    events === undefined ? bytes : events.delta(bytes.toString('base64'), request);
  sendSpeech(server, exchange, {
    clip: audio,
    bytesPerSecond: audioSeconds > 0 ? audio.length / audioSeconds : 1,
    schedule,
    originUs: entry.atUs,
    begin: () => {
      entry.status = 200;
      response.writeHead(200, {
        'content-type': events === undefined ? dialect.contentType(format) : 'text/event-stream',
        ...(size !== undefined && { 'content-length': header.length + size }),
        ...dialect.headers(exchange, clip),
      });
      response.flushHeaders();
    },
    header,
    frame,
    ...(events !== undefined && {
      trailer: () => events.done(clip),
      events: {
        garbage: (moment) =>
          moment === 'first-audio'
            ? `data: ${strayPage}\n\n`
            : events.delta('This is no base64.', request),
        failure: () => {
          entry.error = 'speech.audio.error';
          return events.failed();
        },
      },
    }),
  });
}

/** A file that ends early is a shorter file; one that breaks or stalls has been announced whole. */
function declaredBytes(server: ProviderServer, entry: OpenRequest, audio: Buffer): number {
  const fault = server.faultOf(entry);
  const shorter = fault?.kind === 'empty' || fault?.kind === 'early-end';
  return shorter ? shareBytes(audio.length, fault.share) : audio.length;
}

function containerHeader(audioBytes: number | undefined): Buffer {
  return audioBytes === undefined
    ? wavHeader(rateHz, unknownSize, unknownSize)
    : wavHeader(rateHz, audioBytes + 36, audioBytes);
}

interface Production {
  /** In the format that was asked for. */
  readonly audio: Buffer;
  readonly schedule: DeliverySchedule;
  readonly audioSeconds: number;
}

function produce(server: ProviderServer, exchange: Exchange, request: SpeechRequest): Production {
  const { options, personality } = server;
  const { input, voice, format, delivery } = request;
  const profile = delivery === 'whole' ? finishedFirst(server.profile) : server.profile;
  const apart = personality.behavior.chunkPerSentence;
  // The silence in front of the clip is said once, not before every sentence.
  const pieces = (apart ? splitSentences(input) : [input]).map((sentence, index) =>
    renderClip(options.voice, sentence, index === 0 ? voice : withoutLead(voice), rateHz, {
      ...profile,
      ...(index > 0 && { leadSilenceMs: 0 }),
    }),
  );
  const pcm = Buffer.concat(pieces);
  const sizes =
    apart && delivery !== 'whole'
      ? pieces.map(({ length }) => length).filter((length) => length > 0)
      : undefined;
  const random = exchange.random.fork('delivery');
  const schedule = scheduleDelivery(pcm.length, rateHz, profile, random, { chunkBytes: sizes });
  const audioSeconds = pcm.length / 2 / rateHz;
  if (format === 'wav' || format === 'pcm') return { audio: pcm, schedule, audioSeconds };
  // A dialect has refused by now what cannot be encoded.
  const audio = options.encoder!.encode(pcm, rateHz, compressed[format]);
  return { audio, schedule: encodedSchedule(schedule, pcm.length, audio.length), audioSeconds };
}

/** The timing of an answer that is finished before it is sent. */
function finishedFirst(profile: TimingProfile): TimingProfile {
  return {
    ...profile,
    firstByteMsPerSecond: 1000 / profile.speed,
    firstChunkSeconds: Number.POSITIVE_INFINITY,
  };
}

/** Token counts are plausible, not those of the service's own tokenizer. */
export function speechUsage({ request, audioSeconds }: SpokenClip): {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens: number;
} {
  const inputTokens = textTokens(request.input);
  const outputTokens = Math.ceil(audioSeconds * 20);
  return {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

/**
 * About as many tokens as a tokenizer would make of a text: one for every character of scripts
 * without spaces, one for every four other characters that stand together.
 */
export function textTokens(text: string): number {
  const dense = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu;
  const denseCount = text.match(dense)?.length ?? 0;
  const rest = [...text.replaceAll(dense, '')].length;
  return denseCount + Math.ceil(rest / 4);
}
