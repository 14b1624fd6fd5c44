import type http from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Alarm } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import { alignCharacters, type CharacterAlignment } from './character-alignment.ts';
import { type Delivery, deliver } from './delivery.ts';
import { drawGapMs, scheduleDelivery, truncateSchedule } from './delivery-schedule.ts';
import { fliteVoices } from './flite-engine.ts';
import { shareBytes } from './http-speech.ts';
import {
  bearerKey,
  type Exchange,
  type OpenRequest,
  ProviderServer,
  replyJson,
  type Upgrade,
  withoutKeys,
} from './provider-server.ts';
import { clipLeadMs, renderClip } from './rendered-clip.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';

/**
 * ElevenLabs' WebSocket `stream-input` (TTS provider protocol reference, sections 6.1, 6.2, 6.9) and
 * the HTTP paths used for health checks. Renders the `pcm_*` formats. Voices exist unless their id
 * starts with `unknown`.
 *
 * One WebSocket is one request for speech. Faults in mid audio strike its first generation.
 */
export function createElevenLabsStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'elevenlabs-flash-ws', (server) => {
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    const live = new Set<Conversation>();
    return {
      isCounted: (_method, path) => streamInputPath.test(path),
      answer: (exchange) => answerHttp(server, exchange),
      upgrade: (upgrade) => {
        const settings = shakeHands(server, upgrade);
        if (settings === undefined) return;
        const { incoming, stream, head, entry } = upgrade;
        sockets.handleUpgrade(incoming, stream, head, (socket) => {
          entry.status = 101;
          const conversation = new Conversation(server, socket, settings, upgrade);
          live.add(conversation);
          socket.once('close', () => live.delete(conversation));
        });
      },
      close: () => {
        for (const conversation of live) conversation.abandon();
      },
    };
  });
}

const streamInputPath = /^\/v1\/text-to-speech\/([^/]+)\/stream-input$/;
const httpSpeechPath = /^\/v1\/text-to-speech\/[^/]+(\/stream)?(\/with-timestamps)?$/;
/** Models that `stream-input` serves, and the characters one connection may send (section 6.7). */
const charactersMax: Readonly<Record<string, number>> = {
  eleven_flash_v2_5: 40_000,
  eleven_turbo_v2_5: 40_000,
  eleven_flash_v2: 30_000,
  eleven_turbo_v2: 30_000,
  eleven_multilingual_v2: 10_000,
};
const defaultModel = 'eleven_multilingual_v2';
const pcmRatesHz = [8000, 16_000, 22_050, 24_000, 44_100];
const otherFormats = /^(mp3_(22050_32|44100(_(32|64|96|128|192))?)|[ua]law_8000|opus_48000_\d+)$/;
const defaultSchedule = [120, 160, 250, 290];
const tryTriggerCharactersMin = 50;
const inactivitySeconds = { default: 20, max: 180 };
/** After the end of input, when nothing is left to say; and from there to the close (section 6.9). */
const finalMessageUs = 60_000;
const closeUs = 1000;
const closeReasonBytesMax = 123;

interface Settings {
  readonly voice: string;
  readonly model: string;
  readonly rateHz: number;
  readonly inactivityUs: number;
  readonly autoMode: boolean;
  readonly syncAlignment: boolean;
  /** Whether a key came with the handshake; else the first message must bring it. */
  readonly authenticated: boolean;
}

/** Reads the handshake; refuses it and returns `undefined` when it will not do. */
function shakeHands(server: ProviderServer, upgrade: Upgrade): Settings | undefined {
  const { url, entry, stream, incoming } = upgrade;
  const refuse = (status: number, code: string, message: string): undefined => {
    entry.error = code;
    server.refuseUpgrade(stream, entry, status, { detail: { status: code, message } });
  };
  const voice = voiceOf(url.pathname);
  if (voice === undefined) {
    server.refuseUpgrade(stream, entry, 404, { detail: 'Not Found' });
    return undefined;
  }
  const planted = server.strike(entry, 'auth', 'rate-limit');
  if (planted === 'rate-limit') {
    return refuse(429, 'too_many_concurrent_requests', 'Too many concurrent requests.');
  }
  const key = offeredKey(incoming, url);
  if (planted === 'auth' || (key !== undefined && !server.accepts(key))) {
    return refuse(401, 'invalid_api_key', 'Invalid API key');
  }
  const query = (name: string): string | undefined => {
    const value = url.searchParams.get(name);
    // What the Python SDK writes for an argument that was left out (section 6.8).
    return value === null || ['', 'None', 'Ellipsis'].includes(value) ? undefined : value;
  };
  const model = query('model_id') ?? defaultModel;
  if (charactersMax[model] === undefined) {
    const message = `Model ${model} is not supported on this endpoint.`;
    return refuse(400, 'unsupported_model', message);
  }
  const format = query('output_format') ?? 'mp3_44100_128';
  const rateHz = Number(/^pcm_(\d+)$/.exec(format)?.[1]);
  if (!pcmRatesHz.includes(rateHz)) {
    const known = otherFormats.test(format);
    const message = known
      ? `This stand-in renders pcm only, and ${format} was asked for` +
        `${query('output_format') === undefined ? ' (the default of the API)' : ''}. ` +
        `Set output_format to one of ${pcmRatesHz.map((rate) => `pcm_${rate}`).join(', ')}.`
      : `Output format ${format} is not known.`;
    return refuse(400, known ? 'stand_in_format' : 'invalid_output_format', message);
  }
  const inactivity = Number(query('inactivity_timeout') ?? inactivitySeconds.default);
  if (!(inactivity > 0 && inactivity <= inactivitySeconds.max)) {
    const message = `inactivity_timeout must be above 0 and at most ${inactivitySeconds.max}.`;
    return refuse(400, 'invalid_inactivity_timeout', message);
  }
  return {
    voice,
    model,
    rateHz,
    inactivityUs: inactivity * 1e6,
    autoMode: query('auto_mode') === 'true',
    syncAlignment: query('sync_alignment') === 'true',
    authenticated: key !== undefined,
  };
}

/** The voice id in the path; absent when the path is another one or not decodable. */
function voiceOf(path: string): string | undefined {
  const encoded = streamInputPath.exec(path)?.[1];
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

function offeredKey(incoming: http.IncomingMessage, url: URL): string | undefined {
  const header = incoming.headers['xi-api-key'];
  if (header !== undefined) return String(header);
  const { authorization } = incoming.headers;
  if (authorization !== undefined) return bearerKey(authorization) ?? '';
  const query = url.searchParams.get('authorization');
  if (query !== null) return bearerKey(query) ?? query;
  return url.searchParams.get('single_use_token') ?? undefined;
}

/** One `stream-input` socket. */
class Conversation {
  readonly #server: ProviderServer;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #settings: Settings;
  readonly #entry: OpenRequest;
  readonly #random: Random;
  #buffer = '';
  #schedule: readonly number[] = defaultSchedule;
  #characters = 0;
  #generations = 0;
  #messages = 0;
  #authenticated: boolean;
  /** The last planned chunk leaves here; the next generation queues behind it. */
  #engineFreeUs = 0;
  #inputEnded = false;
  #finalDue = false;
  /** Nothing more is sent, but the socket stays open. */
  #muted = false;
  #over = false;
  #idle: Alarm | undefined;
  #closing: Alarm | undefined;
  readonly #deliveries = new Set<Delivery>();

  constructor(
    server: ProviderServer,
    socket: WebSocket,
    settings: Settings,
    { stream, entry, random }: Upgrade,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#stream = stream;
    this.#settings = settings;
    this.#entry = entry;
    this.#random = random;
    this.#authenticated = settings.authenticated;
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on('error', () => {});
    socket.once('close', (code) => {
      entry.closeCode ??= code;
      this.#stop();
      server.conclude(entry, 'aborted');
    });
    this.#restartIdleTimer();
  }

  /** Breaks the connection at once. */
  abandon(): void {
    this.#stop();
    this.#socket.terminate();
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#over) return;
    const text = data.toString();
    const { clock } = this.#server.options;
    this.#entry.messages.push({ atUs: clock.nowUs(), text: withoutKeys(text) });
    if (this.#inputEnded || this.#muted) return;
    this.#restartIdleTimer();
    const message = isBinary ? undefined : parseMessage(text);
    if (message === undefined) {
      this.#fail('invalid_input_message', 'A message must be a JSON object with a text field.');
      return;
    }
    this.#messages++;
    if (this.#admit(message) && this.#configure(message)) this.#take(message);
  }

  /** Credentials may come with the first message. */
  #admit(message: InputMessage): boolean {
    if (this.#authenticated) return true;
    const offered = message['xi-api-key'] ?? message.xi_api_key;
    const bearer = message.authorization;
    const key = typeof offered === 'string' ? offered : bearerKey(String(bearer ?? ''));
    if (this.#messages === 1 && this.#server.accepts(key)) {
      this.#authenticated = true;
      return true;
    }
    if (key === undefined) this.#fail('authentication_required', 'Authentication is required.');
    else this.#fail('invalid_api_key', 'Invalid API key');
    return false;
  }

  #configure(message: InputMessage): boolean {
    const config = message.generation_config ?? message.generator_config;
    const schedule = (config as { chunk_length_schedule?: unknown } | null | undefined)
      ?.chunk_length_schedule;
    if (schedule === undefined || schedule === null) return true;
    const valid =
      Array.isArray(schedule) &&
      schedule.length > 0 &&
      schedule.every((entry) => typeof entry === 'number' && entry >= 50 && entry <= 500);
    if (valid) this.#schedule = schedule;
    else this.#fail('invalid_input_message', 'chunk_length_schedule: numbers from 50 to 500.');
    return valid;
  }

  #take(message: InputMessage): void {
    const { text } = message;
    this.#inputEnded = text === '';
    // A single space initializes or keeps alive; it is not part of what is spoken.
    if (text.trim() !== '') {
      if (!this.#acceptText(text)) return;
      this.#buffer += text;
    }
    const due = this.#schedule[Math.min(this.#generations, this.#schedule.length - 1)]!;
    const length = [...this.#buffer].length;
    const ready =
      message.flush === true ||
      this.#inputEnded ||
      this.#settings.autoMode ||
      length >= due ||
      (message.try_trigger_generation === true && length > tryTriggerCharactersMin);
    if (ready && this.#buffer !== '') this.#generate();
    if (this.#inputEnded) this.#finish();
  }

  /** False after the text has been answered with an error. */
  #acceptText(text: string): boolean {
    this.#characters += [...text].length;
    const { voice, model } = this.#settings;
    const planted = this.#server.strike(this.#entry, 'quota', 'bad-voice', 'server');
    if (planted === 'quota') {
      this.#fail('quota_exceeded', 'This request exceeds your quota.');
    } else if (planted === 'bad-voice' || voice.startsWith('unknown')) {
      this.#fail('voice_not_found', `A voice with the id ${voice} was not found.`);
    } else if (planted === 'server') {
      this.#fail('internal_server_error', 'An unexpected error occurred.', 1011);
    } else if (this.#characters > charactersMax[model]!) {
      const limit = charactersMax[model];
      const message = `${this.#characters} characters exceed the limit of ${limit} for ${model}.`;
      this.#fail('max_character_limit_exceeded', message);
    } else {
      return true;
    }
    return false;
  }

  /**
   * Speaks what is buffered. A generation pays its first-byte time from now on and, when another
   * one is still being delivered, waits for its end and one gap between chunks.
   */
  #generate(): void {
    const text = this.#buffer;
    this.#buffer = '';
    this.#generations++;
    const { options, profile } = this.#server;
    const { rateHz, voice } = this.#settings;
    const random = this.#random.fork(`generation/${this.#generations}`);
    const clip = renderClip(options.voice, text, voice, rateHz, profile);
    const drawn = scheduleDelivery(clip.length, rateHz, profile, random);
    const gapUs = Math.round(drawGapMs(profile, 'steady', random) * 1000);
    const nowUs = options.clock.nowUs();
    const queuedUs = this.#engineFreeUs > nowUs ? this.#engineFreeUs + gapUs : nowUs;
    const originUs = Math.max(nowUs, queuedUs - drawn.firstByteUs);
    const fault = this.#firstGenerationFault();
    const share = fault?.kind === 'empty' ? 0 : (fault?.afterFraction ?? 1);
    const schedule =
      fault === undefined ? drawn : truncateSchedule(drawn, shareBytes(clip.length, share));
    this.#engineFreeUs = originUs + schedule.endUs;

    const bytesPerMs = (rateHz * 2) / 1000;
    const alignment = alignCharacters(
      text,
      clipLeadMs(profile, voice),
      clip.length / bytesPerMs - profile.tailSilenceMs,
    );
    const normalized = normalizedAlignment(text, alignment);
    const delivery = deliver(options.clock, schedule, originUs, clip, {
      chunk: (audio, offset) => {
        this.#entry.audioBytes += audio.length;
        this.#entry.audioSeconds = this.#entry.audioBytes / (2 * rateHz);
        const after = offset + audio.length;
        // Without sync_alignment the first chunk carries the timing of the whole generation.
        const whole = !this.#settings.syncAlignment;
        const window = {
          fromMs: offset / bytesPerMs,
          toMs: whole || after === clip.length ? Number.POSITIVE_INFINITY : after / bytesPerMs,
        };
        const timed = !whole || offset === 0;
        this.#send({
          audio: audio.toString('base64'),
          isFinal: null,
          normalizedAlignment: timed ? alignmentMessage(normalized, window) : null,
          alignment: timed ? alignmentMessage(alignment, window) : null,
        });
      },
      end: () => {
        this.#deliveries.delete(delivery);
        if (fault !== undefined) this.#break(fault.kind);
        else this.#finalWhenDue();
      },
    });
    this.#deliveries.add(delivery);
  }

  /** The planted fault that shortens this generation. */
  #firstGenerationFault() {
    if (this.#generations !== 1) return undefined;
    const kind = this.#server.strike(this.#entry, 'cut', 'early-end', 'stall', 'empty');
    return kind === undefined ? undefined : this.#server.faultFor(this.#entry);
  }

  #break(kind: string): void {
    if (kind === 'stall') {
      this.#stop();
      this.#over = false;
      this.#muted = true;
    } else if (kind === 'cut') {
      this.#server.conclude(this.#entry, 'cut');
      this.#stop();
      // Frames written before arrive; a close frame never does.
      this.#stream.end(() => this.#socket.terminate());
    } else {
      this.#final();
    }
  }

  #finish(): void {
    this.#idle?.cancel();
    this.#closing = this.#server.options.clock.after(finalMessageUs, () => {
      this.#finalDue = true;
      this.#finalWhenDue();
    });
  }

  /** The final message follows the end of input and the last audio, whichever is later. */
  #finalWhenDue(): void {
    if (this.#finalDue && this.#deliveries.size === 0) this.#final();
  }

  #final(): void {
    this.#send({ audio: null, isFinal: true, normalizedAlignment: null, alignment: null });
    this.#stop();
    this.#server.conclude(this.#entry, 'answered');
    this.#closing = this.#server.options.clock.after(closeUs, () => this.#close(1000, ''));
  }

  #fail(error: string, message: string, code = 1008): void {
    this.#send({ message, error, code });
    this.#stop();
    this.#entry.error = error;
    this.#server.conclude(this.#entry, 'answered');
    this.#close(code, message);
  }

  #close(code: number, reason: string): void {
    this.#entry.closeCode = code;
    this.#socket.close(code, truncateUtf8(reason, closeReasonBytesMax));
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  #restartIdleTimer(): void {
    this.#idle?.cancel();
    const { inactivityUs } = this.#settings;
    this.#idle = this.#server.options.clock.after(inactivityUs, () => {
      const seconds = inactivityUs / 1e6;
      this.#fail(
        'input_timeout_exceeded',
        `Have not received a new text input within the timeout of ${seconds} seconds. ` +
          'Streaming input terminated. Please make sure to either send new text or the end of input.',
      );
    });
  }

  #stop(): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#closing?.cancel();
    for (const delivery of this.#deliveries) delivery.cancel();
  }
}

interface InputMessage {
  readonly text: string;
  readonly flush?: unknown;
  readonly try_trigger_generation?: unknown;
  readonly generation_config?: unknown;
  /** The SDK's name for it in later messages. */
  readonly generator_config?: unknown;
  readonly 'xi-api-key'?: unknown;
  readonly xi_api_key?: unknown;
  readonly authorization?: unknown;
}

function parseMessage(json: string): InputMessage | undefined {
  try {
    const value: unknown = JSON.parse(json);
    const isMessage = typeof value === 'object' && value !== null && 'text' in value;
    return isMessage && typeof value.text === 'string' ? (value as InputMessage) : undefined;
  } catch {
    return undefined;
  }
}

/** The text as the engine read it: a leading space, white space collapsed. */
function normalizedAlignment(text: string, { startMs }: CharacterAlignment): CharacterAlignment {
  const starts = [0];
  const characters = [' '];
  [...text].forEach((character, i) => {
    const space = /\s/.test(character);
    if (space && characters.at(-1) === ' ') return;
    characters.push(space ? ' ' : character);
    starts.push(startMs[i]!);
  });
  const durationMs = starts.map((start, i) => (starts[i + 1] ?? start) - start);
  return { characters, startMs: starts, durationMs };
}

/** The characters that start in a window, their times counted from its beginning. */
function alignmentMessage(
  { characters, startMs, durationMs }: CharacterAlignment,
  window: { readonly fromMs: number; readonly toMs: number },
): object | null {
  const inside = startMs.flatMap((start, i) =>
    start >= window.fromMs && start < window.toMs ? [i] : [],
  );
  if (inside.length === 0) return null;
  return {
    chars: inside.map((i) => characters[i]),
    charStartTimesMs: inside.map((i) => Math.round(startMs[i]! - window.fromMs)),
    charDurationsMs: inside.map((i) => durationMs[i]),
  };
}

function truncateUtf8(text: string, bytesMax: number): string {
  let out = text;
  while (Buffer.byteLength(out) > bytesMax) out = out.slice(0, -1);
  return out;
}

function answerHttp(server: ProviderServer, exchange: Exchange): void {
  const { url, entry, incoming, random } = exchange;
  const id = { 'request-id': random.fork('request-id').uuid().replaceAll('-', '') };
  const detail = (status: number, code: string, message: string): void => {
    entry.error = code;
    replyJson(exchange, status, { detail: { status: code, message } }, id);
  };
  const get = entry.method === 'GET' || entry.method === 'HEAD';
  const known = get ? healthAnswer(url.pathname) : undefined;
  const speech = entry.method === 'POST' && httpSpeechPath.test(url.pathname);
  if ((known !== undefined || speech) && !server.accepts(offeredKey(incoming, url))) {
    detail(401, 'invalid_api_key', 'Invalid API key');
  } else if (known !== undefined) {
    replyJson(exchange, 200, known, id);
  } else if (speech) {
    const message = 'This stand-in speaks over the WebSocket stream-input only.';
    detail(501, 'stand_in_not_covered', message);
  } else {
    entry.error = 'Not Found';
    replyJson(exchange, 404, { detail: 'Not Found' }, id);
  }
}

function healthAnswer(path: string): unknown {
  const voices = fliteVoices.map((name) => ({ voice_id: name, name, category: 'premade' }));
  switch (path) {
    case '/v1/voices':
      return { voices };
    case '/v2/voices':
      return { voices, has_more: false, total_count: voices.length, next_page_token: null };
    case '/v1/models':
      return Object.entries(charactersMax).map(([model_id, limit]) => ({
        model_id,
        name: model_id,
        can_do_text_to_speech: true,
        maximum_text_length_per_request: limit,
      }));
    case '/v1/user':
      return {
        user_id: 'stand-in',
        subscription: { tier: 'free', character_count: 0, character_limit: 10_000 },
      };
    default:
      return undefined;
  }
}
