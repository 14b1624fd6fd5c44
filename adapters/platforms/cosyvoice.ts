/**
 * Alibaba CosyVoice (DashScope, Model Studio): one task per utterance over a WebSocket that may serve
 * the next one, text in and audio out while both become known (TTS provider protocol reference,
 * sections 3.2, 3.3, 9).
 */
import type { RawData, WebSocket } from 'ws';
import { SpeechNormalizer } from '../audio/speech-normalizer.ts';
import type { Platform } from '../platform.ts';
import type {
  AdapterDeps,
  SpeechAdapter,
  SpeechCapabilities,
  SpeechEvent,
  SpeechSession,
} from '../speech-adapter.ts';
import type { SpeechFailureKind } from '../speech-error.ts';
import { checkText, closedError } from '../transport/http-speech.ts';
import {
  classifyRefusal,
  classifyWords,
  type Failure,
  type FailureTable,
  publicUrl,
  redact,
  sentence,
  speechError,
} from '../transport/provider-failure.ts';
import { SpeechDelivery, untilStopped } from '../transport/speech-delivery.ts';
import { defaultTimeLimitsMs, TimeLimit, type TimeLimitsMs } from '../transport/time-limit.ts';
import { openWebSocket } from '../transport/websocket.ts';

export interface CosyVoiceConfig {
  readonly url: string;
  readonly token: string;
  readonly model: string;
  /** Voice of the model's own generation; others are refused as 418. */
  readonly speaker: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

const rateHz = 16_000;
/** The service closes a socket after 60 s between tasks (section 9.4); a second is for the way. */
const reuseIdleMs = 59_000;
/** Section 9.4. */
const charactersMax = { piece: 20_000, task: 200_000 };

const failures: FailureTable = {
  codes: {
    InvalidApiKey: 'auth',
    AccessDenied: 'auth',
    Arrearage: 'quota',
    DataInspectionFailed: 'bad-request',
  },
  words: [
    [/\brequest timeout after\b/i, 'timeout'],
    [/\bengine return error code: (?:418|431)\b/i, 'bad-voice'],
    [/\bvoice is invalid\b/i, 'bad-voice'],
    [/\brate limit exceeded\b/i, 'rate-limit'],
    [/\bapi[ _-]?key\b/i, 'auth'],
  ],
  hints: {
    auth: 'Check "token", and that it belongs to the region of "url".',
    quota: 'Check the balance of the account.',
    'bad-voice':
      'Check "speaker" and "version" (or "model"): voice and model must be of the same generation.',
    'rate-limit': 'The account limits how many tasks are started per second.',
    timeout:
      'The service ends a task after 23 s without text and audio, and nothing but text keeps it alive.',
  },
};

/** Codes with a reason behind a dot, or too general for the table; the words are asked before. */
const codeFamilies: readonly (readonly [RegExp, SpeechFailureKind])[] = [
  [/^Throttling\b/, 'rate-limit'],
  [/\bAccessDenied$/, 'auth'],
  [/^(?:Invalid|CLIENT_ERROR$|ModelNot)/, 'bad-request'],
];

/** Close codes by which a server says that it is the one in trouble. */
const serverTrouble: ReadonlySet<number> = new Set([1011, 1012, 1013, 1014]);

const capabilities: SpeechCapabilities = {
  textIn: 'pieces',
  audioOut: 'chunks',
  connectionReuse: true,
  marks: false,
  charactersMax: charactersMax.task,
};

export const cosyVoiceAdapter: SpeechAdapter<CosyVoiceConfig> = {
  platform: 'cosyvoice',
  capabilities: () => capabilities,
  open: (config, deps) => new CosyVoiceSession(config, deps),
};

interface IdleSocket {
  /** Hands the socket over, without listeners. */
  take(): void;
  end(): void;
}

class CosyVoiceSession implements SpeechSession {
  readonly capabilities = capabilities;
  readonly #config: CosyVoiceConfig;
  readonly #deps: AdapterDeps;
  readonly #limits: TimeLimitsMs;
  readonly #url: URL;
  readonly #running = new Set<SpeechDelivery>();
  /** Sockets whose last task was finished in order. */
  readonly #idle = new Map<WebSocket, IdleSocket>();
  #requests = 0;
  #closed = false;

  constructor(config: CosyVoiceConfig, deps: AdapterDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#limits = { ...defaultTimeLimitsMs, ...config.timeoutMs };
    this.#url = new URL(config.url);
  }

  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent> {
    return new SpeechDelivery(signal, async (delivery) => {
      this.#running.add(delivery);
      try {
        if (this.#closed) throw closedError('cosyvoice', delivery);
        await this.#speak(text, delivery);
      } finally {
        this.#running.delete(delivery);
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const delivery of this.#running) delivery.fail(closedError('cosyvoice', delivery));
    for (const idle of [...this.#idle.values()]) idle.end();
  }

  async #speak(text: AsyncIterable<string>, delivery: SpeechDelivery): Promise<void> {
    const pieces = spoken(untilStopped(text, delivery.stopped))[Symbol.asyncIterator]();
    // Nothing is opened for a text that turns out to be empty or never comes.
    const first = await pieces.next();
    if (first.done === true) checkText('cosyvoice', '');
    const request = ++this.#requests;
    const decidedUs = this.#deps.clock.nowUs();
    try {
      const kept = this.#takeIdle();
      const socket = kept ?? (await this.#connect(request, delivery.stopped));
      const facts = {
        request,
        decidedUs,
        connectedUs: this.#deps.clock.nowUs(),
        reused: kept !== undefined,
        url: publicUrl(this.#url),
      };
      const task = new CosyVoiceTask(this.#config, this.#limits, this.#deps, delivery, socket);
      await task.run(facts, first.value ?? '', pieces);
      this.#keep(socket);
    } finally {
      pieces.return?.().catch(() => {});
    }
  }

  async #connect(request: number, stopped: AbortSignal): Promise<WebSocket> {
    const headers = {
      authorization: `Bearer ${this.#config.token}`,
      'x-dashscope-datainspection': 'enable',
    };
    const { socket } = await openWebSocket(
      this.#url,
      headers,
      this.#limits.connect,
      this.#deps,
      stopped,
      (refusal) => {
        const body = redact(refusal.body, [this.#config.token]);
        const { observe, clock } = this.#deps;
        const data = Buffer.from(body);
        const atUs = clock.nowUs();
        if (body !== '')
          observe?.({ direction: 'received', atUs, request, kind: 'http-body', data });
        return speechError(
          classifyRefusal({ platform: 'cosyvoice', ...refusal, body }, failures),
          0,
        );
      },
    );
    return socket;
  }

  /** The socket used last: the least likely to be closed in the instant of the new task. */
  #takeIdle(): WebSocket | undefined {
    const last = [...this.#idle].at(-1);
    last?.[1].take();
    return last?.[0];
  }

  /**
   * Only called after `task-finished`. Audio carries no task id, so a socket on which anything comes
   * between two tasks is not trusted with the next one.
   */
  #keep(socket: WebSocket): void {
    const alarm = this.#deps.clock.after(reuseIdleMs * 1_000, () => idle.end());
    const idle: IdleSocket = {
      take: () => {
        alarm.cancel();
        this.#idle.delete(socket);
        socket.removeAllListeners();
      },
      end: () => {
        idle.take();
        socket.on('error', () => {});
        socket.terminate();
      },
    };
    this.#idle.set(socket, idle);
    socket.on('message', idle.end);
    socket.on('close', idle.end);
    socket.on('error', idle.end);
    if (this.#closed || socket.readyState !== socket.OPEN) idle.end();
  }
}

interface RequestFacts {
  readonly request: number;
  readonly decidedUs: number;
  readonly connectedUs: number;
  readonly reused: boolean;
  readonly url: string;
}

/** One utterance on an open socket that no other task uses. */
class CosyVoiceTask {
  readonly #config: CosyVoiceConfig;
  readonly #limits: TimeLimitsMs;
  readonly #deps: AdapterDeps;
  readonly #delivery: SpeechDelivery;
  readonly #socket: WebSocket;
  readonly #taskId: string;
  readonly #normalizer = new SpeechNormalizer({ container: 'pcm', rateHz, channels: 1 });
  readonly #limit: TimeLimit;
  #request = 0;
  #settle: ((error?: unknown) => void) | undefined;
  #onStarted: ((requestId: unknown) => void) | undefined;
  #characters = 0;
  #textEnded = false;

  constructor(
    config: CosyVoiceConfig,
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
    this.#taskId = uuid(deps.randomBytes(16));
    this.#limit = new TimeLimit(deps.clock, (limitMs) => this.#stalled(limitMs));
  }

  /** Resolves at `task-finished` with the socket open and without listeners; else it is destroyed. */
  run(facts: RequestFacts, first: string, pieces: AsyncIterator<string>): Promise<void> {
    const { stopped } = this.#delivery;
    this.#request = facts.request;
    return new Promise((resolve, reject) => {
      const onStop = (): void => this.#settle?.(stopped.reason);
      this.#settle = (error) => {
        this.#settle = undefined;
        this.#limit.stop();
        this.#delivery.onFlow(undefined);
        stopped.removeEventListener('abort', onStop);
        this.#socket.removeAllListeners();
        if (error === undefined) {
          this.#socket.resume();
          resolve();
        } else {
          // A socket that is being torn down still reports errors; nobody needs them.
          this.#socket.on('error', () => {});
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
      this.#onStarted = (requestId) => {
        this.#onStarted = undefined;
        this.#speakPiece(first);
        if (this.#settle === undefined) return;
        const { request } = facts;
        const atUs = this.#deps.clock.nowUs();
        this.#delivery.push({ type: 'request', atUs, ...facts, characters: this.#characters });
        this.#delivery.push({
          type: 'responseHead',
          atUs,
          request,
          status: 101,
          requestId: typeof requestId === 'string' ? requestId : this.#taskId,
        });
        this.#limit.start(this.#limits.firstByte);
        this.#speakRest(pieces).catch((error: unknown) => this.#settle?.(error));
      };
      this.#send('run-task', {
        task_group: 'audio',
        task: 'tts',
        function: 'SpeechSynthesizer',
        model: this.#config.model,
        parameters: {
          text_type: 'PlainText',
          voice: this.#config.speaker,
          format: 'pcm',
          sample_rate: rateHz,
        },
        input: {},
      });
      this.#limit.start(this.#limits.firstByte);
      // What had come before the listeners were there says that the socket is gone.
      if (this.#socket.readyState !== this.#socket.OPEN) this.#onClose(1006, '');
    });
  }

  async #speakRest(pieces: AsyncIterator<string>): Promise<void> {
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
      if (this.#settle === undefined) return;
      this.#speakPiece(next.value);
    }
    if (this.#settle === undefined) return;
    this.#textEnded = true;
    this.#send('finish-task', { input: {} });
    // From here on the service owes either audio or the end of the task.
    if (this.#normalizer.sourceFrames > 0) this.#limit.start(this.#limits.idle);
  }

  /** The service speaks what it has as soon as a sentence is complete (section 9.4). */
  #speakPiece(piece: string): void {
    const characters = checkText('cosyvoice', piece);
    this.#characters += characters;
    if (characters > charactersMax.piece || this.#characters > charactersMax.task) {
      this.#fail({
        kind: 'too-long',
        message: `A piece has ${characters} characters and the text ${this.#characters} so far; cosyvoice takes ${charactersMax.piece} at once and ${charactersMax.task} in one task. Speak it in shorter answers.`,
      });
      return;
    }
    this.#send('continue-task', { input: { text: piece } });
  }

  #send(action: 'run-task' | 'continue-task' | 'finish-task', payload: object): void {
    if (this.#settle === undefined || this.#socket.readyState !== this.#socket.OPEN) return;
    const header = { action, task_id: this.#taskId, streaming: 'duplex' };
    const text = JSON.stringify({ header, payload });
    this.#observe('sent', Buffer.from(text));
    // A failed write is followed by `close`, which tells.
    this.#socket.send(text, () => {});
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#settle === undefined) return;
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Uint8Array);
    if (isBinary) {
      this.#observe('received', bytes, true);
      this.#takeAudio(bytes);
      return;
    }
    const text = this.#clean(bytes.toString('utf8'));
    this.#observe('received', Buffer.from(text));
    const header = headerOf(text);
    if (header === undefined) {
      this.#fail({
        kind: 'protocol',
        message: `cosyvoice sent a text message of ${bytes.length} bytes that has no "header".`,
      });
      return;
    }
    if (header.task_id !== undefined && header.task_id !== this.#taskId) return;
    if (this.#normalizer.sourceFrames > 0) this.#limit.touch();
    // Other events time the sentences, or are new: neither carries audio (section 9.3).
    if (header.event === 'task-started') this.#onStarted?.(header.attributes?.request_uuid);
    else if (header.event === 'task-failed') this.#refused(header);
    else if (header.event === 'task-finished') this.#finish();
  }

  #takeAudio(bytes: Buffer): void {
    if (this.#onStarted !== undefined) {
      this.#fail({
        kind: 'protocol',
        message: `cosyvoice sent ${bytes.length} bytes of audio before it had started the task.`,
      });
      return;
    }
    if (bytes.length === 0) return;
    if (this.#normalizer.sourceFrames === 0) {
      if (this.#textEnded) this.#limit.start(this.#limits.idle);
      else this.#limit.stop();
    }
    this.#limit.touch();
    try {
      const { samples, sourceBytes } = this.#normalizer.push(bytes);
      if (sourceBytes > 0) this.#pushAudio(samples, sourceBytes);
    } catch (error) {
      this.#fail({
        kind: 'protocol',
        message: `cosyvoice did not send the pcm that was asked for. ${(error as Error).message}`,
        cause: error,
      });
    }
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

  #finish(): void {
    const rest = this.#normalizer.flush();
    if (rest.sourceBytes > 0) this.#pushAudio(rest.samples, rest.sourceBytes);
    if (this.#normalizer.sourceFrames === 0) {
      this.#fail({ kind: 'empty', message: 'cosyvoice finished the task without any audio.' });
      return;
    }
    if (!this.#textEnded) {
      this.#fail({
        kind: 'truncated',
        message: `cosyvoice finished the task after ${this.#normalizer.outputSamples} samples, before all of the text had been sent.`,
      });
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

  /** `task-failed`: the service closes, and the socket must not be used again (section 9.4). */
  #refused({ error_code, error_message }: Header): void {
    const code = typeof error_code === 'string' ? error_code : undefined;
    const message = typeof error_message === 'string' ? error_message : '';
    const words = { message, ...(code === undefined ? {} : { code }) };
    const kind =
      classifyWords(words, failures) ??
      codeFamilies.find(([pattern]) => pattern.test(code ?? ''))?.[1] ??
      'server';
    const said = [code, message].filter(Boolean).join(': ') || 'no explanation';
    this.#fail({
      kind,
      message: sentence(`cosyvoice failed the task: ${said}`, failures.hints?.[kind]),
      providerCode: code,
    });
  }

  #onClose(code: number, reason: string): void {
    if (this.#settle === undefined) return;
    const delivered = this.#delivery.samples;
    const said = reason === '' ? `code ${code}` : `code ${code}: ${this.#clean(reason)}`;
    const clean = code === 1000 || code === 1005;
    const named = clean || reason === '' ? undefined : classifyWords({ message: reason }, failures);
    const kind =
      named ??
      (serverTrouble.has(code)
        ? 'server'
        : code === 1007 || code === 1008
          ? 'bad-request'
          : delivered > 0
            ? 'truncated'
            : clean
              ? 'empty'
              : 'network');
    this.#fail({
      kind,
      message: sentence(
        `cosyvoice closed the connection (${said}); ${delivered} samples had been delivered, task-finished was missing.`,
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
      message: `The connection to cosyvoice broke (${error.message}); ${delivered} samples had been delivered.`,
      cause: error,
    });
  }

  #stalled(limitMs: number): void {
    const frames = this.#normalizer.sourceFrames;
    this.#fail({
      kind: 'timeout',
      message:
        this.#onStarted !== undefined
          ? `cosyvoice did not start the task within ${limitMs} ms.`
          : frames === 0
            ? `cosyvoice sent no audio within ${limitMs} ms of the first text.`
            : `cosyvoice sent nothing more for ${limitMs} ms after ${frames} samples; task-finished was missing.`,
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

interface Header {
  readonly event?: unknown;
  readonly task_id?: unknown;
  readonly attributes?: { readonly request_uuid?: unknown } | null;
  readonly error_code?: unknown;
  readonly error_message?: unknown;
}

function headerOf(text: string): Header | undefined {
  try {
    const { header } = JSON.parse(text) as { header?: unknown };
    return typeof header === 'object' && header !== null ? header : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 9562, version 4. */
function uuid(random: Uint8Array): string {
  const bytes = Buffer.from(random);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A task of blank text alone is refused as invalid, so blank pieces are left out. */
async function* spoken(text: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  for await (const piece of text) if (piece.trim() !== '') yield piece;
}

/** A stock voice of the model's generation (section 9.6). */
function defaultSpeaker(model: string): string {
  if (/^cosyvoice-v1\b/.test(model)) return 'longwan';
  return /^cosyvoice-v2\b/.test(model) ? 'longwan_v2' : 'longanyang';
}

export const cosyVoice: Platform<CosyVoiceConfig> = {
  names: ['cosyvoice', 'CosyVoice'],
  keys: {
    token: {
      kind: 'text',
      about: 'API key.',
      required: true,
      secret: true,
      environment: ['DASHSCOPE_API_KEY'],
    },
    url: {
      kind: 'url',
      about: 'Address of the inference WebSocket; one per region.',
      default: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
      schemes: ['wss', 'ws'],
    },
    speaker: { kind: 'text', about: 'Voice; must belong to the model.' },
    version: { kind: 'text', about: 'Generation of the model.', choices: ['V1', 'V2'] },
    model: { kind: 'text', about: 'Model by name, for newer ones; goes before "version".' },
  },
  configFrom: ({ url, token, speaker, version, model: named }) => {
    const model = named || `cosyvoice-${version === 'V1' ? 'v1' : 'v2'}`;
    return { url: url!, token: token!, model, speaker: speaker || defaultSpeaker(model) };
  },
  adapter: cosyVoiceAdapter,
};
