import type { RawData } from 'ws';
import { outputRateHz } from '../audio/resampler.ts';
import { SpeechNormalizer } from '../audio/speech-normalizer.ts';
import type {
  AdapterDeps,
  SpeechCapabilities,
  SpeechEvent,
  SpeechSession,
  SpeechUsage,
} from '../speech-adapter.ts';
import {
  classifyRefusal,
  classifyWords,
  type Failure,
  type FailureTable,
  type ProviderWords,
  publicUrl,
  redact,
  redactBytes,
  sentence,
  shortWords,
  speechError,
  waitInWords,
} from './provider-failure.ts';
import { type SpeechDelivery, untilStopped } from './speech-delivery.ts';
import { TimeLimit, type TimeLimitsMs } from './time-limit.ts';
import { checkText, Utterances } from './utterances.ts';
import {
  bytesOf,
  discard,
  type SpeechSocket,
  WebSocketConnections,
  type WebSocketReuse,
} from './websocket-connections.ts';

/** What distinguishes one platform that takes text and answers with audio over a WebSocket. */
export interface WebSocketSpeechPlatform {
  readonly platform: string;
  readonly url: URL;
  readonly capabilities: SpeechCapabilities;
  /** Of the upgrade. May carry credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** Values that must never appear in an error or an observation. */
  readonly secrets: readonly string[];
  readonly timeoutMs: TimeLimitsMs;
  readonly failures: FailureTable;
  /** Rate of the mono PCM that was asked for; a WAV in its place is read by its header. */
  readonly rateHz: number;
  /** What the service calls the message that ends an utterance, for errors. */
  readonly finalMessage: string;
  /** Longest single piece of text, in Unicode code points. */
  readonly pieceCharactersMax?: number;
  /** What a clean close before the final message means when no audio had come. */
  readonly silentClose: 'truncated' | 'empty';
  /** Absent: the service closes after each utterance. */
  readonly reuse?: WebSocketReuse;
  /** The messages of one utterance; called once for each. */
  converse(socket: { readonly reused: boolean }): WebSocketDialect;
}

/** A message to the service: a string goes as text, bytes as binary. */
export type WireMessage = string | Uint8Array;

/**
 * One utterance in the messages of one platform. It sends nothing and keeps no time: it is asked what
 * to say and what was said.
 */
export interface WebSocketDialect {
  /** Before the first text. */
  readonly opening?: readonly WireMessage[];
  /** The first text waits until a message is read as {@link ServerMessage.accepted}. */
  readonly awaitsAcceptance?: boolean;
  /** Sent when no text has been sent for `afterMs` and more may come. */
  readonly keepAlive?: { readonly afterMs: number; readonly message: WireMessage };
  /** A piece of text and what makes the service speak it at once. */
  say(piece: string): readonly WireMessage[];
  /** The end of the text. It goes out once, after every piece, and nothing follows it. */
  end(): readonly WireMessage[];
  /** Undefined: not of this protocol. A message without meaning here is `{}`. */
  read(data: Buffer, binary: boolean): ServerMessage | undefined;
}

/** What a message of a service means, in terms that all platforms share. */
export interface ServerMessage {
  /** The service takes text from now on. */
  readonly accepted?: { readonly requestId?: string };
  /** May be empty. */
  readonly audio?: Uint8Array;
  readonly alignment?: Alignment;
  /** What has been counted of the utterance so far. */
  readonly usage?: SpeechUsage;
  /** Everything has been said. */
  readonly final?: boolean;
  /** The service has stopped; a close may follow. */
  readonly refusal?: ProviderWords & { readonly status?: number };
  /** An explanation that is to be believed when a close follows. */
  readonly remark?: ProviderWords;
}

/** When each character is spoken, counted from the first sample of its own message. */
export interface Alignment {
  readonly characters: readonly string[];
  readonly startsMs: readonly number[];
}

/** Close codes by which a server says that it is the one in trouble. */
const serverTrouble: ReadonlySet<number> = new Set([1011, 1012, 1013, 1014]);
/** Close codes by which a server says that it did not like what it got. */
const clientTrouble: ReadonlySet<number> = new Set([1007, 1008]);

export function openWebSocketSpeech(
  platform: WebSocketSpeechPlatform,
  deps: AdapterDeps,
): SpeechSession {
  return new WebSocketSpeechSession(platform, deps);
}

class WebSocketSpeechSession implements SpeechSession {
  readonly capabilities: SpeechCapabilities;
  readonly #platform: WebSocketSpeechPlatform;
  readonly #deps: AdapterDeps;
  readonly #connections: WebSocketConnections;
  readonly #utterances: Utterances;
  #requests = 0;

  constructor(platform: WebSocketSpeechPlatform, deps: AdapterDeps) {
    const { url, headers, timeoutMs, reuse } = platform;
    this.capabilities = platform.capabilities;
    this.#platform = platform;
    this.#deps = deps;
    this.#utterances = new Utterances(platform.platform);
    this.#connections = new WebSocketConnections(url, headers, timeoutMs.connect, reuse, deps);
  }

  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent> {
    return this.#utterances.begin(signal, (delivery) => this.#speak(text, delivery));
  }

  async close(): Promise<void> {
    this.#utterances.close();
    this.#connections.close();
  }

  async #speak(text: AsyncIterable<string>, delivery: SpeechDelivery): Promise<void> {
    const pieces = sayable(untilStopped(text, delivery.stopped));
    // Nothing is opened for a text that turns out to be empty or never comes.
    const first = await pieces.next();
    if (first.done === true) checkText(this.#platform.platform, '');
    const request = ++this.#requests;
    const decidedUs = this.#deps.clock.nowUs();
    try {
      const connection = await this.#connections.acquire(delivery.stopped, (refusal) => {
        const { platform, failures, secrets } = this.#platform;
        const body = redact(refusal.body, secrets);
        if (body !== '') this.#observeRefusal(request, body);
        return speechError(classifyRefusal({ platform, ...refusal, body }, failures), 0);
      });
      const utterance = new Utterance(this.#platform, this.#deps, delivery, connection, {
        request,
        decidedUs,
        connectedUs: connection.reused ? decidedUs : this.#deps.clock.nowUs(),
        reused: connection.reused,
        url: publicUrl(this.#platform.url),
      });
      await utterance.run(first.value ?? '', pieces, () => {
        this.#connections.keep(connection);
      });
    } finally {
      pieces.return().catch(() => {});
    }
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

/** One utterance on an open socket that no other one uses. */
class Utterance {
  readonly #platform: WebSocketSpeechPlatform;
  readonly #deps: AdapterDeps;
  readonly #delivery: SpeechDelivery;
  readonly #connection: SpeechSocket;
  readonly #facts: RequestFacts;
  readonly #dialect: WebSocketDialect;
  readonly #normalizer: SpeechNormalizer;
  readonly #limit: TimeLimit;
  readonly #keepAlive: TimeLimit;
  #settle: ((error?: unknown) => void) | undefined;
  /** Starts the text; undefined once it has been called. */
  #startText: ((requestId?: string) => void) | undefined;
  #characters = 0;
  #textEnded = false;
  #remark: ProviderWords | undefined;
  #usage: SpeechUsage | undefined;

  constructor(
    platform: WebSocketSpeechPlatform,
    deps: AdapterDeps,
    delivery: SpeechDelivery,
    connection: SpeechSocket,
    facts: RequestFacts,
  ) {
    const { rateHz } = platform;
    this.#platform = platform;
    this.#deps = deps;
    this.#delivery = delivery;
    this.#connection = connection;
    this.#facts = facts;
    this.#dialect = platform.converse({ reused: connection.reused });
    this.#normalizer = new SpeechNormalizer(
      { container: 'pcm', rateHz, channels: 1 },
      deps.conversion,
    );
    this.#limit = new TimeLimit(deps.clock, (limitMs) => this.#stalled(limitMs));
    this.#keepAlive = new TimeLimit(deps.clock, (afterMs) => {
      this.#send([this.#dialect.keepAlive!.message]);
      this.#keepAlive.start(afterMs);
    });
  }

  /**
   * Resolves at the final message; otherwise the socket is destroyed.
   *
   * @param onEnd is called in the instant of the final message with the socket free of listeners:
   *   what comes right behind it must find its next owner
   */
  run(first: string, pieces: AsyncIterator<string>, onEnd: () => void): Promise<void> {
    const { stopped } = this.#delivery;
    const { socket } = this.#connection;
    return new Promise((resolve, reject) => {
      const onStop = (): void => this.#settle?.(stopped.reason);
      this.#settle = (error) => {
        this.#settle = undefined;
        this.#limit.stop();
        this.#keepAlive.stop();
        this.#delivery.onFlow(undefined);
        stopped.removeEventListener('abort', onStop);
        if (error === undefined) {
          socket.removeAllListeners();
          socket.resume();
          onEnd();
          resolve();
        } else {
          discard(socket);
          reject(error);
        }
      };
      if (stopped.aborted) {
        onStop();
        return;
      }
      stopped.addEventListener('abort', onStop);
      socket.on('message', (data, binary) => this.#onMessage(data, binary));
      socket.on('error', (error) => this.#onError(error));
      socket.on('close', (code, reason) => this.#onClose(code, reason.toString('utf8')));
      this.#delivery.onFlow((paused) => {
        this.#limit.hold(paused);
        if (paused) socket.pause();
        else socket.resume();
      });
      this.#startText = (requestId) => {
        this.#startText = undefined;
        this.#say(first);
        if (this.#settle === undefined) return;
        this.#announce(requestId);
        this.#limit.start(this.#platform.timeoutMs.firstByte);
        this.#sayRest(pieces).catch((error: unknown) => this.#settle?.(error));
      };
      this.#send(this.#dialect.opening ?? []);
      this.#limit.start(this.#platform.timeoutMs.firstByte);
      // What had come before the listeners were there says that the socket is gone.
      if (socket.readyState !== socket.OPEN) this.#onClose(1006, '');
      else if (this.#dialect.awaitsAcceptance !== true) this.#startText();
    });
  }

  #announce(requestId: string | undefined): void {
    const { headers } = this.#connection;
    const { request } = this.#facts;
    const id = requestId ?? headers['request-id'] ?? headers['x-trace-id'];
    const atUs = this.#deps.clock.nowUs();
    this.#delivery.push({ type: 'request', atUs, ...this.#facts, characters: this.#characters });
    this.#delivery.push({
      type: 'responseHead',
      atUs,
      request,
      status: 101,
      ...(typeof id === 'string' ? { requestId: id } : {}),
    });
  }

  async #sayRest(pieces: AsyncIterator<string>): Promise<void> {
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
      if (this.#settle === undefined) return;
      this.#say(next.value);
    }
    if (this.#settle === undefined) return;
    this.#keepAlive.stop();
    this.#textEnded = true;
    this.#send(this.#dialect.end());
    // From here on the service owes either audio or the final message.
    if (this.#normalizer.sourceFrames > 0) this.#limit.start(this.#platform.timeoutMs.idle);
  }

  #say(piece: string): void {
    const {
      platform,
      capabilities,
      pieceCharactersMax = Number.POSITIVE_INFINITY,
    } = this.#platform;
    const { charactersMax = Number.POSITIVE_INFINITY } = capabilities;
    const characters = checkText(platform, piece);
    this.#characters += characters;
    if (characters > pieceCharactersMax) {
      this.#fail({
        kind: 'too-long',
        message: `A piece of the text has ${characters} characters, ${platform} takes ${pieceCharactersMax} at once. Speak it in shorter pieces.`,
      });
      return;
    }
    if (this.#characters > charactersMax) {
      this.#fail({
        kind: 'too-long',
        message: `The text has ${this.#characters} characters so far, ${platform} takes ${charactersMax} in one request. Speak it in shorter answers.`,
      });
      return;
    }
    this.#send(this.#dialect.say(piece));
    const { keepAlive } = this.#dialect;
    if (keepAlive !== undefined) this.#keepAlive.start(keepAlive.afterMs);
  }

  #send(messages: readonly WireMessage[]): void {
    const { socket } = this.#connection;
    for (const message of messages) {
      if (this.#settle === undefined || socket.readyState !== socket.OPEN) return;
      const binary = typeof message !== 'string';
      this.#observe('sent', binary ? message : Buffer.from(message), binary);
      // A failed write is followed by `close`, which tells.
      socket.send(message, () => {});
    }
  }

  #onMessage(data: RawData, binary: boolean): void {
    if (this.#settle === undefined) return;
    const bytes = bytesOf(data);
    const message = this.#dialect.read(bytes, binary);
    // Nothing is searched for in audio: a short key would be found there by chance.
    const quotes = message === undefined || message.audio === undefined;
    const recorded = quotes ? redactBytes(bytes, this.#platform.secrets, binary) : bytes;
    this.#observe('received', recorded, binary);
    if (message === undefined) {
      this.#fail({
        kind: 'protocol',
        message: `${this.#platform.platform} sent a ${binary ? 'binary' : 'text'} message of ${bytes.length} bytes that is none of its protocol.`,
      });
      return;
    }
    if (message.refusal !== undefined) {
      this.#refused(message.refusal, message.refusal.status);
      return;
    }
    this.#remark = message.remark ?? this.#remark;
    this.#usage = message.usage ?? this.#usage;
    if (this.#normalizer.sourceFrames > 0) this.#limit.touch();
    if (message.accepted !== undefined) this.#startText?.(message.accepted.requestId);
    this.#takeAudio(message);
    if (message.final === true) this.#finish();
  }

  #takeAudio({ audio, alignment }: ServerMessage): void {
    if (this.#settle === undefined) return;
    const firstSample = this.#normalizer.outputSamples;
    if (audio !== undefined && audio.length > 0) {
      if (this.#startText !== undefined) {
        this.#fail({
          kind: 'protocol',
          message: `${this.#platform.platform} sent ${audio.length} bytes of audio before it had started the task.`,
        });
        return;
      }
      if (this.#normalizer.sourceFrames === 0) {
        if (this.#textEnded) this.#limit.start(this.#platform.timeoutMs.idle);
        else this.#limit.stop();
      }
      if (!this.#normalize(() => this.#normalizer.push(audio))) return;
    }
    if (alignment === undefined) return;
    this.#delivery.push({
      type: 'mark',
      atUs: this.#deps.clock.nowUs(),
      request: this.#facts.request,
      characters: alignment.characters,
      startSamples: alignment.startsMs.map(
        (startMs) => firstSample + Math.round((startMs * outputRateHz) / 1_000),
      ),
    });
  }

  /** @returns false when it was no audio and the utterance has failed */
  #normalize(read: () => { samples: Int16Array; sourceBytes: number }): boolean {
    try {
      const { samples, sourceBytes } = read();
      if (sourceBytes === 0 && samples.length === 0) return true;
      this.#delivery.push({
        type: 'audio',
        atUs: this.#deps.clock.nowUs(),
        request: this.#facts.request,
        samples,
        sourceBytes,
        sourceRateHz: this.#normalizer.rateHz,
        sourceChannels: this.#normalizer.channels,
      });
      return true;
    } catch (error) {
      this.#fail({
        kind: 'protocol',
        message: `${this.#platform.platform} did not send the raw audio that was asked for. ${(error as Error).message}`,
        cause: error,
      });
      return false;
    }
  }

  #finish(): void {
    if (this.#settle === undefined) return;
    const { platform, finalMessage } = this.#platform;
    if (!this.#normalize(() => this.#normalizer.flush())) return;
    const { sourceFrames, outputSamples: samples } = this.#normalizer;
    if (!this.#textEnded) {
      this.#fail({
        kind: 'truncated',
        message: `${platform} sent ${finalMessage} after ${samples} samples, before all of the text had been sent.`,
      });
      return;
    }
    if (sourceFrames === 0) {
      this.#fail({ kind: 'empty', message: `${platform} sent ${finalMessage} without any audio.` });
      return;
    }
    const { request } = this.#facts;
    const atUs = this.#deps.clock.nowUs();
    const usage = this.#usage === undefined ? {} : { usage: this.#usage };
    this.#delivery.push({ type: 'end', atUs, request, sourceFrames, samples, ...usage });
    this.#settle();
  }

  /** The service said why it stops, in a message of its own or in one before a close. */
  #refused(said: ProviderWords, status: number | undefined): void {
    const { platform, failures } = this.#platform;
    const words = shortWords(said);
    const kind =
      classifyWords(words, failures) ??
      (status !== undefined && clientTrouble.has(status) ? 'bad-request' : 'server');
    const code = words.code ?? words.type;
    const why = [code, words.message].filter(Boolean).join(': ') || 'no explanation';
    this.#fail({
      kind,
      message: sentence(`${platform} stopped: ${why}`, failures.hints?.[kind]),
      providerCode: code,
      status,
      retryAfterMs: waitInWords(words.message),
    });
  }

  #onClose(code: number, reason: string): void {
    if (this.#settle === undefined) return;
    if (this.#remark !== undefined) {
      this.#refused(this.#remark, code);
      return;
    }
    const { platform, failures, finalMessage, silentClose } = this.#platform;
    const delivered = this.#delivery.samples;
    const clean = code === 1000 || code === 1005;
    // The reason is cut at 123 bytes and is all there is without a message before it.
    const named = clean || reason === '' ? undefined : classifyWords({ message: reason }, failures);
    const kind = named ?? kindOfClose(code, delivered > 0, silentClose);
    const said = reason === '' ? `code ${code}` : `code ${code}: ${reason}`;
    this.#fail({
      kind,
      message: sentence(
        `${platform} closed the connection (${said}); ${delivered} samples had been delivered, ${finalMessage} was missing.`,
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
      message: `The connection to ${this.#platform.platform} broke (${error.message}); ${delivered} samples had been delivered.`,
      cause: error,
    });
  }

  #stalled(limitMs: number): void {
    const { platform, finalMessage } = this.#platform;
    const frames = this.#normalizer.sourceFrames;
    this.#fail({
      kind: 'timeout',
      message:
        this.#startText !== undefined
          ? `${platform} did not start the task within ${limitMs} ms.`
          : frames === 0
            ? `${platform} sent no audio within ${limitMs} ms of the first text.`
            : `${platform} sent nothing more for ${limitMs} ms after ${frames} samples; ${finalMessage} was missing.`,
    });
  }

  #fail(failure: Failure): void {
    const { secrets } = this.#platform;
    const { message, providerCode } = failure;
    this.#settle?.(
      speechError(
        {
          ...failure,
          message: redact(message, secrets),
          providerCode: providerCode === undefined ? undefined : redact(providerCode, secrets),
        },
        this.#delivery.samples,
      ),
    );
  }

  #observe(direction: 'sent' | 'received', data: Uint8Array, binary: boolean): void {
    const { observe, clock } = this.#deps;
    const { stream } = this.#connection;
    const kind = binary ? 'ws-binary' : 'ws-text';
    const { request } = this.#facts;
    observe?.({ direction, atUs: clock.nowUs(), request, kind, stream, data });
  }
}

function kindOfClose(
  code: number,
  delivered: boolean,
  silentClose: 'truncated' | 'empty',
): Failure['kind'] {
  if (serverTrouble.has(code)) return 'server';
  if (clientTrouble.has(code)) return 'bad-request';
  if (delivered) return 'truncated';
  return code === 1000 || code === 1005 ? silentClose : 'network';
}

/** Blank pieces say nothing, and to some services they mean the end of the text. */
async function* sayable(text: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  for await (const piece of text) if (piece.trim() !== '') yield piece;
}
