/**
 * ElevenLabs, WebSocket `stream-input`: text goes in piece by piece, one connection per utterance
 * (TTS provider protocol reference, sections 3.2, 6.1, 6.2, 6.9, 6.10).
 */
import type { RawData, WebSocket } from 'ws';
import { SpeechNormalizer } from '../audio/speech-normalizer.ts';
import type { Platform } from '../platform.ts';
import type {
  AdapterDeps,
  SpeechAdapter,
  SpeechCapabilities,
  SpeechEvent,
  SpeechResponseHeadEvent,
  SpeechSession,
} from '../speech-adapter.ts';
import { checkText, closedError } from '../transport/http-speech.ts';
import {
  classifyRefusal,
  classifyWords,
  type Failure,
  type FailureTable,
  providerWords,
  publicUrl,
  redact,
  sentence,
  speechError,
} from '../transport/provider-failure.ts';
import { SpeechDelivery, untilStopped } from '../transport/speech-delivery.ts';
import { defaultTimeLimitsMs, TimeLimit, type TimeLimitsMs } from '../transport/time-limit.ts';
import { openWebSocket } from '../transport/websocket.ts';

export interface ElevenLabsConfig {
  /** Base of the voices, with or without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly voice: string;
  readonly modelId: string;
  readonly languageCode?: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

const rateHz = 16_000;
/** The service closes after 20 s without text (section 6.2, idle rule); a single space counts. */
const keepAliveMs = 15_000;
/** After the final message the service closes by itself; it gets this long to do so. */
const lingerMs = 1_000;

/** Section 6.7. */
const charactersMaxByModel: Readonly<Record<string, number>> = {
  eleven_flash_v2_5: 40_000,
  eleven_turbo_v2_5: 40_000,
  eleven_flash_v2: 30_000,
  eleven_turbo_v2: 30_000,
  eleven_multilingual_v2: 10_000,
};

const failures: FailureTable = {
  codes: {
    input_timeout_exceeded: 'timeout',
    invalid_input_message: 'bad-request',
    invalid_api_key: 'auth',
    missing_permissions: 'auth',
    authentication_required: 'auth',
    needs_authorization: 'auth',
    detected_unusual_activity: 'auth',
    'only_for_creator+': 'auth',
    quota_exceeded: 'quota',
    voice_not_found: 'bad-voice',
    invalid_voice_id: 'bad-voice',
    invalid_uid: 'bad-voice',
    max_character_limit_exceeded: 'too-long',
    max_active_conversations: 'rate-limit',
    too_many_concurrent_requests: 'rate-limit',
    system_busy: 'rate-limit',
    unsupported_model: 'bad-request',
    model_not_found: 'bad-request',
  },
  words: [
    [/\bapi[ _-]?key\b|\bauthori[sz]/i, 'auth'],
    [/\bquota\b|\bcredits?\b/i, 'quota'],
    [/\bvoice\b.*\b(?:not found|does not exist|invalid|unknown)\b/i, 'bad-voice'],
    [/\btext input within the timeout\b/i, 'timeout'],
    [/\btoo many\b|\bconcurrent\b/i, 'rate-limit'],
  ],
  hints: {
    auth: 'Check "token" and what it may do.',
    quota: 'Check the credits of the account; this service reports a quota as 401.',
    'bad-voice': 'Check "voice": it is the id of a voice, not its name.',
    'rate-limit': 'The plan limits how many answers are spoken at once.',
    'bad-request': 'Check "model_id"; v3 models are refused on this endpoint.',
  },
};

/** Close codes by which a server says that it is the one in trouble. */
const serverTrouble: ReadonlySet<number> = new Set([1011, 1012, 1013, 1014]);

export const elevenLabsAdapter: SpeechAdapter<ElevenLabsConfig> = {
  platform: 'elevenlabs',
  capabilities,
  open: (config, deps) => new ElevenLabsSession(config, deps),
};

function capabilities(config: ElevenLabsConfig): SpeechCapabilities {
  const charactersMax = charactersMaxByModel[config.modelId];
  return {
    textIn: 'pieces',
    audioOut: 'chunks',
    connectionReuse: false,
    marks: true,
    ...(charactersMax === undefined ? {} : { charactersMax }),
  };
}

class ElevenLabsSession implements SpeechSession {
  readonly capabilities: SpeechCapabilities;
  readonly #config: ElevenLabsConfig;
  readonly #deps: AdapterDeps;
  readonly #running = new Set<SpeechDelivery>();
  /** Sockets whose utterance is over and that the service is expected to close. */
  readonly #lingering = new Set<() => void>();
  #requests = 0;
  #closed = false;

  constructor(config: ElevenLabsConfig, deps: AdapterDeps) {
    this.capabilities = capabilities(config);
    this.#config = config;
    this.#deps = deps;
  }

  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent> {
    return new SpeechDelivery(signal, async (delivery) => {
      this.#running.add(delivery);
      try {
        if (this.#closed) throw closedError('elevenlabs', delivery);
        await this.#speak(text, delivery);
      } finally {
        this.#running.delete(delivery);
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const delivery of this.#running) delivery.fail(closedError('elevenlabs', delivery));
    for (const end of this.#lingering) end();
  }

  async #speak(text: AsyncIterable<string>, delivery: SpeechDelivery): Promise<void> {
    const pieces = spoken(untilStopped(text, delivery.stopped))[Symbol.asyncIterator]();
    // Nothing is opened for a text that turns out to be empty or never comes.
    const first = await pieces.next();
    if (first.done === true) checkText('elevenlabs', '');
    const { clock } = this.#deps;
    const limits = { ...defaultTimeLimitsMs, ...this.#config.timeoutMs };
    const url = requestUrl(this.#config);
    const request = ++this.#requests;
    const decidedUs = clock.nowUs();
    try {
      const { socket, headers } = await openWebSocket(
        url,
        { 'xi-api-key': this.#config.token },
        limits.connect,
        this.#deps,
        delivery.stopped,
        (refusal) => {
          const body = redact(refusal.body, [this.#config.token]);
          if (body !== '') this.#observeRefusal(request, body);
          const failure = classifyRefusal({ platform: 'elevenlabs', ...refusal, body }, failures);
          return speechError(failure, 0);
        },
      );
      const connectedUs = clock.nowUs();
      const requestId = headers['request-id'] ?? headers['x-trace-id'];
      const head: SpeechResponseHeadEvent = {
        type: 'responseHead',
        atUs: connectedUs,
        request,
        status: 101,
        ...(typeof requestId === 'string' ? { requestId } : {}),
      };
      const facts = { request, decidedUs, connectedUs, reused: false, url: publicUrl(url) };
      const exchange = new ElevenLabsExchange(this.#config, limits, this.#deps, delivery, socket);
      await exchange.run(facts, head, first.value ?? '', pieces);
      this.#linger(socket);
    } finally {
      pieces.return?.().catch(() => {});
    }
  }

  /** Lets the service close, which is the orderly end, but not for ever. */
  #linger(socket: WebSocket): void {
    const end = (): void => {
      alarm.cancel();
      this.#lingering.delete(end);
      socket.terminate();
    };
    const alarm = this.#deps.clock.after(lingerMs * 1_000, end);
    this.#lingering.add(end);
    socket.on('close', end);
    if (this.#closed || socket.readyState === socket.CLOSED) end();
  }

  #observeRefusal(request: number, body: string): void {
    this.#deps.observe?.({
      direction: 'received',
      atUs: this.#deps.clock.nowUs(),
      request,
      kind: 'http-body',
      data: Buffer.from(body),
    });
  }
}

interface RequestFacts {
  readonly request: number;
  readonly decidedUs: number;
  readonly connectedUs: number;
  readonly reused: boolean;
  readonly url: string;
}

/** One open socket and the utterance it speaks. */
class ElevenLabsExchange {
  readonly #config: ElevenLabsConfig;
  readonly #limits: TimeLimitsMs;
  readonly #deps: AdapterDeps;
  readonly #delivery: SpeechDelivery;
  readonly #socket: WebSocket;
  readonly #normalizer = new SpeechNormalizer({ container: 'pcm', rateHz, channels: 1 });
  readonly #limit: TimeLimit;
  readonly #keepAlive: TimeLimit;
  #request = 0;
  #settle: ((error?: unknown) => void) | undefined;
  #characters = 0;
  /** The last message that explained something; the reason to believe if a close follows. */
  #lastWords: string | undefined;
  #textEnded = false;

  constructor(
    config: ElevenLabsConfig,
    limits: TimeLimitsMs,
    deps: AdapterDeps,
    delivery: SpeechDelivery,
    socket: WebSocket,
  ) {
    this.#config = config;
    this.#limits = limits;
    this.#deps = deps;
    this.#delivery = delivery;
    this.#socket = socket;
    this.#limit = new TimeLimit(deps.clock, (limitMs) => this.#stalled(limitMs));
    this.#keepAlive = new TimeLimit(deps.clock, () => {
      this.#send({ text: ' ' });
      this.#keepAlive.start(keepAliveMs);
    });
  }

  /** Resolves at the final message; the socket is then still open. Otherwise it is destroyed. */
  run(
    facts: RequestFacts,
    head: SpeechResponseHeadEvent,
    first: string,
    pieces: AsyncIterator<string>,
  ): Promise<void> {
    const { stopped } = this.#delivery;
    this.#request = facts.request;
    return new Promise((resolve, reject) => {
      const onStop = (): void => this.#settle?.(stopped.reason);
      this.#settle = (error) => {
        this.#settle = undefined;
        this.#limit.stop();
        this.#keepAlive.stop();
        this.#delivery.onFlow(undefined);
        stopped.removeEventListener('abort', onStop);
        if (error === undefined) {
          this.#socket.resume();
          resolve();
        } else {
          this.#socket.terminate();
          reject(error);
        }
      };
      if (stopped.aborted) {
        onStop();
        return;
      }
      stopped.addEventListener('abort', onStop);
      this.#socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
      this.#socket.on('error', (error) => this.#onError(error));
      this.#socket.on('close', (code, reason) => this.#onClose(code, reason.toString('utf8')));
      this.#delivery.onFlow((paused) => {
        this.#limit.hold(paused);
        if (paused) this.#socket.pause();
        else this.#socket.resume();
      });
      this.#speakPiece(first);
      if (this.#settle === undefined) return;
      const atUs = this.#deps.clock.nowUs();
      this.#delivery.push({ type: 'request', atUs, ...facts, characters: this.#characters });
      this.#delivery.push(head);
      this.#limit.start(this.#limits.firstByte);
      this.#speakRest(pieces).catch((error: unknown) => this.#settle?.(error));
    });
  }

  async #speakRest(pieces: AsyncIterator<string>): Promise<void> {
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
      if (this.#settle === undefined) return;
      this.#speakPiece(next.value);
    }
    if (this.#settle === undefined) return;
    this.#keepAlive.stop();
    this.#textEnded = true;
    this.#send({ text: '' });
    // From here on the service owes either audio or the final message.
    if (this.#normalizer.sourceFrames > 0) this.#limit.start(this.#limits.idle);
  }

  /** A piece is spoken at once: `flush` generates what is buffered (section 6.2, rule 3). */
  #speakPiece(piece: string): void {
    this.#characters += checkText('elevenlabs', piece);
    const limit = charactersMaxByModel[this.#config.modelId];
    if (limit !== undefined && this.#characters > limit) {
      this.#fail({
        kind: 'too-long',
        message: `The text has ${this.#characters} characters so far, ${this.#config.modelId} takes ${limit} in one request. Speak it in shorter answers.`,
      });
      return;
    }
    this.#send({ text: piece, flush: true });
    this.#keepAlive.start(keepAliveMs);
  }

  #send(message: Readonly<Record<string, unknown>>): void {
    if (this.#settle === undefined || this.#socket.readyState !== this.#socket.OPEN) return;
    const text = JSON.stringify(message);
    this.#observe('sent', Buffer.from(text));
    // A failed write is followed by `close`, which tells.
    this.#socket.send(text, () => {});
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#settle === undefined) return;
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Uint8Array);
    const message = isBinary ? undefined : parseMessage(bytes.toString('utf8'));
    if (message === undefined) {
      this.#observe('received', bytes, isBinary);
      this.#fail({
        kind: 'protocol',
        message: `elevenlabs sent a ${isBinary ? 'binary message' : 'text message that is no JSON object'} of ${bytes.length} bytes.`,
      });
      return;
    }
    const refused = Boolean(message.error);
    this.#observe('received', refused ? Buffer.from(this.#clean(bytes.toString('utf8'))) : bytes);
    if (refused) {
      this.#refused(bytes.toString('utf8'), message.code);
      return;
    }
    if (typeof message.message === 'string') this.#lastWords = bytes.toString('utf8');
    if (this.#normalizer.sourceFrames > 0) this.#limit.touch();
    if (!this.#takeAudio(message)) return;
    if (message.isFinal === true || message.is_final === true) this.#finish();
  }

  /** @returns false when the message could not be used and the utterance has failed */
  #takeAudio(message: ServerMessage): boolean {
    const { audio } = message;
    if (audio === undefined || audio === null || audio === '') {
      this.#mark(message);
      return true;
    }
    if (typeof audio !== 'string' || !/^[\w+/-]*={0,2}$/.test(audio)) {
      this.#fail({ kind: 'protocol', message: 'elevenlabs sent audio that is not base64.' });
      return false;
    }
    const bytes = Buffer.from(audio, 'base64');
    if (this.#normalizer.sourceFrames === 0) {
      if (this.#textEnded) this.#limit.start(this.#limits.idle);
      else this.#limit.stop();
    }
    const firstSample = this.#normalizer.outputSamples;
    try {
      const { samples, sourceBytes } = this.#normalizer.push(bytes);
      if (sourceBytes > 0) this.#pushAudio(samples, sourceBytes);
    } catch (error) {
      this.#fail({
        kind: 'protocol',
        message: `elevenlabs did not send pcm_16000. ${(error as Error).message}`,
        cause: error,
      });
      return false;
    }
    this.#mark(message, firstSample);
    return true;
  }

  #pushAudio(samples: Int16Array, sourceBytes: number): void {
    this.#delivery.push({
      type: 'audio',
      atUs: this.#deps.clock.nowUs(),
      request: this.#request,
      samples,
      sourceBytes,
      sourceRateHz: rateHz,
      sourceChannels: 1,
    });
  }

  /** Times of an alignment count from the first sample of their own message (section 6.2). */
  #mark(message: ServerMessage, firstSample = this.#normalizer.outputSamples): void {
    const alignment = alignmentOf(message.alignment);
    if (alignment === undefined) return;
    this.#delivery.push({
      type: 'mark',
      atUs: this.#deps.clock.nowUs(),
      request: this.#request,
      characters: alignment.characters,
      startSamples: alignment.startsMs.map(
        (startMs) => firstSample + Math.round((startMs * rateHz) / 1_000),
      ),
    });
  }

  #finish(): void {
    const rest = this.#normalizer.flush();
    if (rest.sourceBytes > 0) this.#pushAudio(rest.samples, rest.sourceBytes);
    if (!this.#textEnded) {
      this.#fail({
        kind: 'truncated',
        message: `elevenlabs ended after ${this.#normalizer.outputSamples} samples, before all of the text had been sent.`,
      });
      return;
    }
    if (this.#normalizer.sourceFrames === 0) {
      this.#fail({ kind: 'empty', message: 'elevenlabs ended without any audio.' });
      return;
    }
    this.#delivery.push({
      type: 'end',
      atUs: this.#deps.clock.nowUs(),
      request: this.#request,
      sourceFrames: this.#normalizer.sourceFrames,
      samples: this.#normalizer.outputSamples,
    });
    this.#settle?.();
  }

  /** An error message, in its own frame before the close or as the only thing that comes. */
  #refused(text: string, code: unknown): void {
    const words = providerWords(this.#clean(text));
    const kind = classifyWords(words, failures) ?? (code === 1008 ? 'bad-request' : 'server');
    this.#fail({
      kind,
      message: sentence(
        `elevenlabs stopped: ${words.message || 'no explanation'}`,
        failures.hints?.[kind],
      ),
      providerCode: words.code ?? words.type,
      status: typeof code === 'number' ? code : undefined,
    });
  }

  #onClose(code: number, reason: string): void {
    if (this.#settle === undefined) return;
    if (this.#lastWords !== undefined) {
      this.#refused(this.#lastWords, code);
      return;
    }
    const delivered = this.#delivery.samples;
    const said = reason === '' ? `code ${code}` : `code ${code}: ${this.#clean(reason)}`;
    const about = `${delivered} samples had been delivered, the final message was missing.`;
    const clean = code === 1000 || code === 1005;
    // The reason is cut at 123 bytes and is all there is without an error message before it.
    const named = clean || reason === '' ? undefined : classifyWords({ message: reason }, failures);
    const kind = clean
      ? 'truncated'
      : (named ??
        (serverTrouble.has(code)
          ? 'server'
          : code === 1008
            ? 'bad-request'
            : delivered > 0
              ? 'truncated'
              : 'network'));
    this.#fail({
      kind,
      message: sentence(
        `elevenlabs closed the connection (${said}); ${about}`,
        failures.hints?.[kind],
      ),
      status: code,
    });
  }

  #onError(error: Error & { code?: string }): void {
    const protocol = error.code?.startsWith('WS_') ?? false;
    const delivered = this.#delivery.samples;
    this.#fail({
      kind: protocol ? 'protocol' : delivered > 0 ? 'truncated' : 'network',
      message: `The connection to elevenlabs broke (${error.message}); ${delivered} samples had been delivered.`,
      cause: error,
    });
  }

  #stalled(limitMs: number): void {
    const frames = this.#normalizer.sourceFrames;
    this.#fail({
      kind: 'timeout',
      message:
        frames === 0
          ? `elevenlabs sent no audio within ${limitMs} ms of the first text.`
          : `elevenlabs sent nothing more for ${limitMs} ms after ${frames} samples; the final message was missing.`,
    });
  }

  #fail(failure: Failure): void {
    this.#settle?.(
      speechError({ ...failure, message: this.#clean(failure.message) }, this.#delivery.samples),
    );
  }

  #clean(text: string): string {
    return redact(text, [this.#config.token]);
  }

  #observe(direction: 'sent' | 'received', data: Uint8Array, binary = false): void {
    const { observe, clock } = this.#deps;
    const kind = binary ? 'ws-binary' : 'ws-text';
    observe?.({ direction, atUs: clock.nowUs(), request: this.#request, kind, data });
  }
}

/** What the service sends; every field may be missing or null (section 6.10). */
interface ServerMessage {
  readonly audio?: unknown;
  readonly isFinal?: unknown;
  readonly is_final?: unknown;
  readonly alignment?: unknown;
  readonly error?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
}

function parseMessage(text: string): ServerMessage | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function alignmentOf(
  value: unknown,
): { characters: readonly string[]; startsMs: readonly number[] } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const {
    chars,
    characters = chars,
    charStartTimesMs,
    char_start_times_ms,
  } = value as {
    chars?: unknown;
    characters?: unknown;
    charStartTimesMs?: unknown;
    char_start_times_ms?: unknown;
  };
  const starts = charStartTimesMs ?? char_start_times_ms;
  if (!Array.isArray(characters) || !Array.isArray(starts)) return undefined;
  if (characters.length === 0 || characters.length !== starts.length) return undefined;
  if (!characters.every((character) => typeof character === 'string')) return undefined;
  if (!starts.every((start) => Number.isFinite(start) && start >= 0)) return undefined;
  return { characters, startsMs: starts };
}

/** An empty text would end the stream and a blank one only keeps it open: neither is a piece. */
async function* spoken(text: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  for await (const piece of text) if (piece.trim() !== '') yield piece;
}

function requestUrl(config: ElevenLabsConfig): URL {
  const url = new URL(config.url);
  const base = url.pathname.replace(/\/+$/, '');
  url.pathname = `${base}/${encodeURIComponent(config.voice)}/stream-input`;
  url.searchParams.set('model_id', config.modelId);
  url.searchParams.set('output_format', 'pcm_16000');
  if (config.languageCode !== undefined) url.searchParams.set('language_code', config.languageCode);
  url.searchParams.set('sync_alignment', 'true');
  return url;
}

export const elevenLabs: Platform<ElevenLabsConfig> = {
  names: ['elevenlabs', 'Elevenlabs'],
  keys: {
    token: {
      kind: 'text',
      about: 'API key.',
      required: true,
      secret: true,
      environment: ['ELEVENLABS_API_KEY'],
    },
    voice: { kind: 'text', about: 'Voice id.', required: true },
    url: {
      kind: 'url',
      about: 'Base address of the voices.',
      default: 'wss://api.elevenlabs.io/v1/text-to-speech',
      schemes: ['wss', 'ws'],
    },
    model_id: { kind: 'text', about: 'Model; empty means eleven_flash_v2_5.' },
    language_code: { kind: 'text', about: 'ISO 639-1 code, for models that take one.' },
  },
  configFrom: ({ url, token, voice, model_id, language_code }) => ({
    url: url!,
    token: token!,
    voice: voice!,
    modelId: model_id || 'eleven_flash_v2_5',
    ...(language_code ? { languageCode: language_code.toLowerCase() } : {}),
  }),
  adapter: elevenLabsAdapter,
};
