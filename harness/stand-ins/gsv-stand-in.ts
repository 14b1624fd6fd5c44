import type { Alarm } from '../clock/clock.ts';
import { type DeliverySchedule, scheduleDelivery } from './delivery-schedule.ts';
import { fliteVoices } from './flite-engine.ts';
import { sendSpeech, shareBytes } from './http-speech.ts';
import { chunkedFaults, type FaultTable, fileFaults } from './planted-fault.ts';
import { type Exchange, ProviderServer, reply, replyJson } from './provider-server.ts';
import { renderClip, wavHeader } from './rendered-clip.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import type { TimingProfile } from './timing-profile.ts';
import { strikeAnswer } from './wordless-faults.ts';

/**
 * The self-hosted gsv_tts server (TTS provider protocol reference, section 8.1): plain-text errors,
 * success without audio for an unknown speaker, a content type that names the wrong rate, one
 * request after the other. Speakers exist unless their name starts with `unknown`.
 *
 * @param defaultPersonality what it is when the options name none
 */
export function createGsvStandIn(
  options: StandInOptions,
  defaultPersonality = 'gsv-stream-gpu',
): StandIn {
  return new ProviderServer(options, defaultPersonality, (server) => {
    const engine = new SerialEngine(server);
    return {
      isCounted: (method, path) => method === 'POST' && speechRoutes.has(path),
      answer: (exchange) => answer(server, engine, exchange),
      close: () => engine.close(),
    };
  });
}

type Route = 'speech' | 'stream_speech' | 'batch_speech';
const speechRoutes = new Map<string, Route>([
  ['/v1/audio/speech', 'speech'],
  ['/v1/audio/stream_speech', 'stream_speech'],
  ['/v1/audio/batch_speech', 'batch_speech'],
]);
/** 44000 is the server's own: it does not know 44100. */
const rates = [48_000, 44_000, 32_000, 24_000, 16_000, 8000];
const defaultRateHz = 32_000;
const plainText = 'text/plain; charset=utf-8';
const unavailable = 'TTS service is not available';

/** The server itself knows neither keys nor limits; the first three come from a proxy before it. */
const plantedAnswers = {
  auth: [401, 'Unauthorized'],
  quota: [402, 'Payment Required'],
  'rate-limit': [429, 'Too Many Requests'],
  'too-long': [413, 'Failed to buffer the request body: length limit exceeded'],
  server: [500, unavailable],
} as const;
const refusals = ['auth', 'quota', 'rate-limit', 'too-long', 'server'] as const;

/** A stream has begun before its speaker is looked for. */
export const streamFaults: FaultTable = { ...chunkedFaults, 'bad-voice': ['first-audio'] };

function answer(server: ProviderServer, engine: SerialEngine, exchange: Exchange): void {
  const { url, entry } = exchange;
  const get = entry.method === 'GET' || entry.method === 'HEAD';
  const route = speechRoutes.get(url.pathname);
  if (url.pathname === '/v1/audio/speakers') {
    if (get) replyJson(exchange, 200, fliteVoices);
    else reply(exchange, 405, plainText, '', { allow: 'GET,HEAD' });
  } else if (route !== undefined) {
    if (entry.method === 'POST') speak(server, engine, exchange, route);
    else reply(exchange, 405, plainText, '', { allow: 'POST' });
  } else if (get) {
    const page = '<!doctype html><title>gsv_tts stand-in</title><p>gsv_tts stand-in</p>';
    reply(exchange, 200, 'text/html; charset=utf-8', page);
  } else {
    reply(exchange, 405, plainText, '', { allow: 'GET,HEAD' });
  }
}

function speak(
  server: ProviderServer,
  engine: SerialEngine,
  exchange: Exchange,
  route: Route,
): void {
  const { entry } = exchange;
  server.expose(entry, route === 'speech' ? fileFaults : streamFaults);
  if (strikeAnswer(server, exchange)) return;
  const planted = server.strike(entry, 'answer', ...refusals);
  if (planted !== undefined) {
    const [status, text] = plantedAnswers[planted];
    fail(exchange, status, text, planted === 'rate-limit' ? { 'retry-after': '1' } : {});
    return;
  }
  const request = parse(exchange);
  if (request === undefined) return;

  const moment = route === 'speech' ? 'answer' : 'first-audio';
  const refused = server.strike(entry, moment, 'bad-voice') !== undefined;
  const silent = request.input === '' || request.speaker.startsWith('unknown') || refused;
  const profile = routeProfile(server, route);
  const { rateHz } = request;
  const clip = silent
    ? Buffer.alloc(0)
    : renderClip(server.options.voice, request.input, request.speaker, rateHz, profile);
  const random = exchange.random.fork('delivery');
  const schedule = silent
    ? { firstByteUs: 0, chunks: [], endUs: 0 }
    : scheduleDelivery(clip.length, rateHz, profile, random);
  if (route === 'speech') speakWhole(server, engine, exchange, { clip, rateHz, schedule, silent });
  else speakStream(server, engine, exchange, { clip, rateHz, schedule });
}

/** The routes that finish clips first have a timing of their own. */
function routeProfile(server: ProviderServer, route: Route): TimingProfile {
  if (route === 'stream_speech') return server.profile;
  return { ...server.timingOf('whole-clip'), firstChunkSeconds: Number.POSITIVE_INFINITY };
}

interface Job {
  readonly clip: Buffer;
  readonly rateHz: number;
  readonly schedule: DeliverySchedule;
}

/** The response head goes out when the request is accepted, the audio when the engine gets to it. */
function speakStream(
  server: ProviderServer,
  engine: SerialEngine,
  exchange: Exchange,
  job: Job,
): void {
  const { response, entry } = exchange;
  entry.status = 200;
  response.writeHead(200, { 'content-type': `audio/pcm;rate=${defaultRateHz}` });
  response.flushHeaders();
  engine.run(exchange, job.schedule, true, (originUs) => {
    const bytesPerSecond = 2 * job.rateHz;
    sendSpeech(server, exchange, { ...job, bytesPerSecond, originUs, begin: () => {} });
  });
}

/** The whole WAV is made first, so faults in mid audio shorten what is sent of the finished file. */
function speakWhole(
  server: ProviderServer,
  engine: SerialEngine,
  exchange: Exchange,
  job: Job & { readonly silent: boolean },
): void {
  const { response, entry } = exchange;
  engine.run(exchange, job.schedule, false, (originUs) => {
    if (job.silent) {
      fail(exchange, 500, unavailable);
      return;
    }
    const fault = server.faultOf(entry);
    // A file that ends early is a shorter file with true sizes.
    const shorter = fault?.kind === 'empty' || fault?.kind === 'early-end';
    const declared = shorter ? shareBytes(job.clip.length, fault.share) : job.clip.length;
    // The server's WAV writer rounds an odd sample count up in the size and writes no pad.
    const dataBytes = declared + (declared % 4);
    sendSpeech(server, exchange, {
      ...job,
      bytesPerSecond: 2 * job.rateHz,
      originUs,
      begin: () => {
        entry.status = 200;
        response.writeHead(200, {
          'content-type': 'audio/wav',
          'content-length': 44 + declared,
        });
      },
      header: wavHeader(job.rateHz, 36 + dataBytes, dataBytes),
    });
  });
}

interface GsvRequest {
  readonly input: string;
  readonly speaker: string;
  readonly rateHz: number;
}

interface RawRequest {
  readonly input?: unknown;
  readonly speaker?: unknown;
  readonly voice?: unknown;
  readonly sample_rate?: unknown;
}

/** The request, or `undefined` after it has been refused as axum and serde do. */
function parse(exchange: Exchange): GsvRequest | undefined {
  const type = String(exchange.incoming.headers['content-type'] ?? '');
  if (!/^application\/([\w.-]+\+)?json(\s*;|$)/i.test(type)) {
    fail(exchange, 415, 'Expected request with `Content-Type: application/json`');
    return undefined;
  }
  const text = exchange.body.toString();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    fail(exchange, 400, 'Failed to parse the request body as JSON: expected value at line 1');
    return undefined;
  }
  const reason = mismatch(body, text);
  if (reason !== undefined) {
    const message = `Failed to deserialize the JSON body into the target type: ${reason}`;
    fail(exchange, 422, message);
    return undefined;
  }
  const fields = body as RawRequest;
  const rateHz = (fields.sample_rate ?? defaultRateHz) as number;
  if (!rates.includes(rateHz)) {
    const list = rates.join(', ');
    fail(exchange, 400, `Unsupported sample rate: ${rateHz}, only ${list} are supported`);
    return undefined;
  }
  const speaker = (fields.speaker ?? fields.voice) as string;
  return { input: fields.input as string, speaker, rateHz };
}

function mismatch(body: unknown, text: string): string | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return 'invalid type, expected struct TTSRequest at line 1 column 1';
  }
  const where = `at line 1 column ${text.length}`;
  const fields = body as RawRequest;
  if (fields.speaker !== undefined && fields.voice !== undefined) {
    return `duplicate field \`speaker\` ${where}`;
  }
  const values = { input: fields.input, speaker: fields.speaker ?? fields.voice };
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) return `missing field \`${name}\` ${where}`;
    if (typeof value !== 'string') return `${name}: invalid type, expected a string ${where}`;
  }
  const rate = fields.sample_rate;
  if (rate !== undefined && rate !== null && !(Number.isInteger(rate) && Number(rate) >= 0)) {
    return `sample_rate: invalid type, expected u32 ${where}`;
  }
  return undefined;
}

function fail(
  exchange: Exchange,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  exchange.entry.error = text;
  reply(exchange, status, plainText, text, headers);
}

interface QueuedJob {
  gone: boolean;
  readonly start: () => void;
}

/** The one worker thread: jobs run strictly one after the other. */
class SerialEngine {
  readonly #server: ProviderServer;
  readonly #queue: QueuedJob[] = [];
  #freeUs = 0;
  #alarm: Alarm | undefined;

  constructor(server: ProviderServer) {
    this.#server = server;
  }

  /**
   * Calls `start` with the instant at which the engine begins. A queued job whose client has gone is
   * skipped; one in progress keeps the engine until its next chunk (`stoppable`) or its end. Whether
   * a stalled answer keeps it is not known; here it does not.
   */
  run(
    exchange: Exchange,
    schedule: DeliverySchedule,
    stoppable: boolean,
    start: (originUs: number) => void,
  ): void {
    const { clock } = this.#server.options;
    let started = false;
    const job: QueuedJob = {
      gone: false,
      start: () => {
        started = true;
        const originUs = clock.nowUs();
        this.#freeUs = originUs + schedule.endUs;
        exchange.response.once('close', () => {
          const nowUs = clock.nowUs();
          if (!stoppable || nowUs >= this.#freeUs) return;
          const next = schedule.chunks.find(({ atUs }) => originUs + atUs >= nowUs);
          const ended = exchange.response.writableFinished || next === undefined;
          this.#freeUs = ended ? nowUs : originUs + next.atUs;
          this.#schedule();
        });
        start(originUs);
      },
    };
    exchange.response.once('close', () => {
      job.gone = !started;
    });
    this.#queue.push(job);
    this.#schedule();
  }

  close(): void {
    this.#queue.length = 0;
    this.#alarm?.cancel();
  }

  #schedule(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const { clock } = this.#server.options;
    while (this.#queue.length > 0) {
      const waitUs = this.#freeUs - clock.nowUs();
      if (waitUs > 0) {
        this.#alarm = clock.after(waitUs, () => this.#schedule());
        return;
      }
      const job = this.#queue.shift()!;
      if (!job.gone) job.start();
    }
  }
}
