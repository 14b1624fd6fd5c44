import { encodeClip } from './audio-format.ts';
import { alignCharacters } from './character-alignment.ts';
import type { ClipWindow } from './delivery.ts';
import { encodedSchedule, scheduleDelivery, segmentedSchedule } from './delivery-schedule.ts';
import type { Fields } from './field-check.ts';
import {
  fieldsOf,
  fishObstacle,
  fishRefusals,
  fishRetryAfter,
  fishWavHeader,
  loggedFields,
  unpacked,
} from './fish-protocol.ts';
import { type FishRequest, fishModel, readFishRequest, unknownReference } from './fish-request.ts';
import { sendSpeech } from './http-speech.ts';
import { chunkedFaults } from './planted-fault.ts';
import {
  bearerKey,
  type Exchange,
  type ProviderServer,
  reply,
  replyJson,
} from './provider-server.ts';
import { clipLeadMs, renderClip } from './rendered-clip.ts';
import { textSegments } from './text-segments.ts';
import { withoutLead } from './voice-name.ts';
import { replyAsGateway, strikeAnswer } from './wordless-faults.ts';

export const fishSpeechPath = '/v1/tts';
export const fishTimedPath = '/v1/tts/stream/with-timestamp';

/**
 * Fish Audio over HTTP (TTS provider protocol reference, section 7.2): JSON or MessagePack in, bytes
 * or server-sent events with the times of the words out.
 */
export function answerFish(server: ProviderServer, exchange: Exchange): void {
  const { url, entry, incoming } = exchange;
  const { pathname } = url;
  const speech = pathname === fishSpeechPath || pathname === fishTimedPath;
  if (!speech) {
    fail(exchange, 404, 'Not Found');
  } else if (entry.method !== 'POST') {
    fail(exchange, 405, 'Method Not Allowed');
  } else {
    server.expose(entry, chunkedFaults);
    if (strikeAnswer(server, exchange)) return;
    const planted = server.strike(entry, 'answer', 'auth', 'quota', 'rate-limit', 'server');
    const key = bearerKey(incoming.headers.authorization);
    if (planted === 'auth' || !server.accepts(key)) {
      fail(exchange, fishRefusals.auth.status, fishRefusals.auth.message);
    } else if (planted !== undefined) {
      const { status, message } = fishRefusals[planted];
      fail(exchange, status, message, planted === 'rate-limit' ? fishRetryAfter : {});
    } else {
      const request = read(server, exchange);
      if (request !== undefined) speak(server, exchange, request);
    }
  }
}

/** The request, or `undefined` after it has been refused. */
function read(server: ProviderServer, exchange: Exchange): FishRequest | undefined {
  const { incoming, entry } = exchange;
  const type = (incoming.headers['content-type'] ?? 'application/json').split(';')[0]!.trim();
  if (type !== 'application/json' && type !== 'application/msgpack') {
    fail(exchange, 415, 'Unsupported Media Type');
    return undefined;
  }
  const isJson = type === 'application/json';
  const fields = isJson ? jsonFields(exchange.body) : unpacked(exchange.body);
  if (fields === undefined) {
    entry.error = 'parse error';
    const language = isJson ? 'JSON' : 'MessagePack';
    reply(exchange, 400, 'text/plain', `Failed to parse the request body as ${language}`);
    return undefined;
  }
  entry.body = loggedFields(fields);
  const request = readFishRequest(fields, fishModel(incoming.headers['model']), true);
  if (server.strike(entry, 'answer', 'too-long') !== undefined) {
    // The service names no limit; a proxy before it has one.
    replyAsGateway(exchange, 413);
    return undefined;
  }
  const struck = server.strike(entry, 'answer', 'bad-voice') !== undefined;
  const problem =
    'message' in request
      ? request
      : struck
        ? unknownReference(request.voice)
        : fishObstacle(server, request, fields);
  if (problem !== undefined) fail(exchange, problem.status, problem.message);
  return 'message' in request || problem !== undefined ? undefined : request;
}

function jsonFields(body: Buffer): Fields | undefined {
  try {
    return fieldsOf(JSON.parse(body.toString()));
  } catch {
    return undefined;
  }
}

/** A part of the text that is made for itself, with its place in the clip. */
interface Segment {
  readonly text: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Silence in front of its speech. */
  readonly leadMs: number;
}

const contentTypes = {
  pcm: 'audio/pcm',
  mp3: 'audio/mpeg',
  opus: 'audio/ogg',
  ulaw: 'audio/basic',
  alaw: 'audio/basic',
  aac: 'audio/aac',
  flac: 'audio/flac',
} as const;

function speak(server: ProviderServer, exchange: Exchange, request: FishRequest): void {
  const { response, entry, random, url } = exchange;
  const { audio, container, latency } = request;
  const { rateHz } = audio;
  const profile = latency === 'normal' ? server.profile : server.timingOf('balanced');
  const segments: Segment[] = [];
  const pieces: Buffer[] = [];
  let bytes = 0;
  for (const [index, text] of textSegments(request.text, request.chunkLength).entries()) {
    // The silence in front of the clip is said once, not before every segment.
    const begins = index === 0;
    const voice = begins ? request.voice : withoutLead(request.voice);
    const timing = begins ? profile : { ...profile, leadSilenceMs: 0 };
    const clip = renderClip(server.options.voice, text, voice, rateHz, timing);
    const fromMs = (bytes * 500) / rateHz;
    bytes += clip.length;
    pieces.push(clip);
    const toMs = (bytes * 500) / rateHz;
    segments.push({ text, fromMs, toMs, leadMs: clipLeadMs(timing, voice) });
  }
  const pcm = Buffer.concat(pieces);
  const ends = segments.map(({ toMs }) => Math.round((toMs * rateHz) / 500));
  const drawn = scheduleDelivery(pcm.length, rateHz, profile, random.fork('delivery'));
  const schedule = segmentedSchedule(drawn, ends, latency === 'normal');
  const clip = encodeClip(server, pcm, audio);
  const size = server.personality.behavior.honestWavSizes ? pcm.length : undefined;
  const header = container === 'wav' ? fishWavHeader(rateHz, size) : Buffer.alloc(0);
  const timed = url.pathname === fishTimedPath;
  const type = container === 'wav' ? 'audio/wav' : contentTypes[audio.codec];
  sendSpeech(server, exchange, {
    clip,
    bytesPerSecond: clip.length / (pcm.length / 2 / rateHz),
    schedule: encodedSchedule(schedule, pcm.length, clip.length),
    originUs: entry.atUs,
    begin: () => {
      entry.status = 200;
      response.writeHead(200, { 'content-type': timed ? 'text/event-stream' : type });
      response.flushHeaders();
    },
    ...(!timed && { header }),
    ...(timed && { frame: (chunk, window) => event(chunk, window, segments, header) }),
  });
}

/**
 * One event of the timed form: a piece of audio, and of its segment the text and the words heard so
 * far. Times count from the beginning of the segment.
 */
function event(
  chunk: Buffer,
  window: ClipWindow,
  segments: readonly Segment[],
  header: Buffer,
): string {
  // Encoded audio is cut where bytes are, so its middle says to which segment it belongs.
  const middleMs = Number.isFinite(window.toMs) ? (window.fromMs + window.toMs) / 2 : window.fromMs;
  const found = segments.findLastIndex(({ fromMs, toMs }) => fromMs <= middleMs && toMs > fromMs);
  const index = Math.max(0, found);
  const segment = segments[index]!;
  const heardMs = Math.min(window.toMs, segment.toMs) - segment.fromMs;
  const words = wordsOf(segment).filter(({ end }) => end * 1000 <= heardMs + 1);
  const bytes = window.fromMs === 0 ? Buffer.concat([header, chunk]) : chunk;
  const payload = {
    audio_base64: bytes.toString('base64'),
    content: segment.text,
    alignment: words.length === 0 ? null : { segments: words, audio_duration: seconds(heardMs) },
    chunk_seq: index,
    chunk_audio_offset_sec: seconds(segment.fromMs),
  };
  return `data: ${JSON.stringify(payload)}\n\n`;
}

function wordsOf({ text, fromMs, toMs, leadMs }: Segment): {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}[] {
  const { startMs, durationMs } = alignCharacters(text, leadMs, toMs - fromMs);
  return [...text.matchAll(/\S+/g)].map((match) => {
    const first = [...text.slice(0, match.index)].length;
    const last = first + [...match[0]].length - 1;
    const end = startMs[last]! + durationMs[last]!;
    return { text: match[0], start: seconds(startMs[first]!), end: seconds(end) };
  });
}

/** With the milliseconds that a time is known to. */
function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}

function fail(
  exchange: Exchange,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  exchange.entry.error = message;
  replyJson(exchange, status, { message, status }, headers);
}
