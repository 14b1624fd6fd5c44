import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { SpeechNormalizer, type SpeechSource } from '../audio/speech-normalizer.ts';
import { WavError } from '../audio/wav-stream.ts';
import type {
  AdapterDeps,
  SpeechAudioEvent,
  SpeechCapabilities,
  SpeechEvent,
  SpeechSession,
} from '../speech-adapter.ts';
import { SpeechError } from '../speech-error.ts';
import { type HttpConnection, HttpConnections } from './http-connections.ts';
import {
  classifyRefusal,
  type Failure,
  type FailureTable,
  providerWords,
  publicUrl,
  redact,
  sentence,
  speechError,
} from './provider-failure.ts';
import { SpeechDelivery, untilStopped } from './speech-delivery.ts';
import { textParts } from './text-parts.ts';
import { TimeLimit, type TimeLimitsMs } from './time-limit.ts';

/** What distinguishes one platform that takes a text by POST and answers with audio. */
export interface HttpSpeechPlatform {
  readonly platform: string;
  readonly url: URL;
  readonly capabilities: SpeechCapabilities;
  /** Beside `Content-Type`. May carry credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** Values that must never appear in an error or an observation. */
  readonly secrets: readonly string[];
  readonly timeoutMs: TimeLimitsMs;
  readonly failures: FailureTable;
  /**
   * The body of the request. Its order of keys is what goes over the wire. A text above
   * `capabilities.charactersMax` comes in parts, one request each.
   */
  body(text: string): Readonly<Record<string, unknown>>;
  /** How the body becomes bytes; JSON when absent. */
  readonly encoding?: BodyEncoding;
  /** What the answer holds; `headers` only where they can be believed. */
  source(response: IncomingMessage): SpeechSource;
}

/** What a request's body is written in. */
export interface BodyEncoding {
  readonly contentType: string;
  /** Keeps the order of the keys. */
  encode(body: Readonly<Record<string, unknown>>): Uint8Array;
}

const json: BodyEncoding = {
  contentType: 'application/json',
  encode: (body) => Buffer.from(JSON.stringify(body)),
};

/** Bodies of refusals are read this far. */
const refusalBytesMax = 64 * 1024;
/** A buffered answer is held in memory; this is 20 minutes at 24 kHz. */
const heldBytesMax = 64 * 1024 * 1024;
/** Content types that are never audio, whatever the status says. */
const textTypes = /^(?:application\/(?:problem\+)?json|text\/html|text\/event-stream)\b/i;

export function openHttpSpeech(platform: HttpSpeechPlatform, deps: AdapterDeps): SpeechSession {
  return new HttpSpeechSession(platform, deps);
}

class HttpSpeechSession implements SpeechSession {
  readonly capabilities: SpeechCapabilities;
  readonly #platform: HttpSpeechPlatform;
  readonly #deps: AdapterDeps;
  readonly #connections: HttpConnections;
  readonly #running = new Set<SpeechDelivery>();
  #requests = 0;
  #closed = false;

  constructor(platform: HttpSpeechPlatform, deps: AdapterDeps) {
    this.capabilities = platform.capabilities;
    this.#platform = platform;
    this.#deps = deps;
    this.#connections = new HttpConnections(platform.url, platform.timeoutMs.connect, deps);
  }

  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent> {
    return new SpeechDelivery(signal, async (delivery) => {
      this.#running.add(delivery);
      try {
        if (this.#closed) throw closedError(this.#platform.platform, delivery);
        await this.#speak(text, delivery);
      } finally {
        this.#running.delete(delivery);
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const delivery of this.#running) {
      delivery.fail(closedError(this.#platform.platform, delivery));
    }
    this.#connections.close();
  }

  async #speak(text: AsyncIterable<string>, delivery: SpeechDelivery): Promise<void> {
    let input = '';
    for await (const piece of untilStopped(text, delivery.stopped)) input += piece;
    const { clock } = this.#deps;
    const { platform } = this.#platform;
    const { charactersMax } = this.capabilities;
    const parts = charactersMax === undefined ? [input] : textParts(input, charactersMax);
    // All are checked before the first is sent: a text that cannot be cut costs no request.
    const sized = parts.map((part) => ({
      part,
      characters: checkText(platform, part, charactersMax),
    }));
    const totals: UtteranceTotals = { sourceFrames: 0, samples: 0 };
    let request = 0;
    for (const { part, characters } of sized) {
      const decidedUs = clock.nowUs();
      const connection = await this.#connections
        .acquire(delivery.stopped)
        .catch((error: unknown) => {
          throw withDelivered(error, delivery.samples);
        });
      request = ++this.#requests;
      await new HttpExchange(this.#platform, this.#deps, delivery, connection, totals, {
        request,
        decidedUs,
        connectedUs: connection.reused ? decidedUs : clock.nowUs(),
        reused: connection.reused,
        url: publicUrl(this.#platform.url),
        characters,
      }).run(part);
      // A refusal that was read to its end leaves the connection alive, but not the utterance.
      delivery.stopped.throwIfAborted();
    }
    delivery.push({ type: 'end', atUs: clock.nowUs(), request, ...totals });
  }
}

/** What the answers to one utterance came to so far. */
interface UtteranceTotals {
  sourceFrames: number;
  samples: number;
}

interface RequestFacts {
  readonly request: number;
  readonly decidedUs: number;
  readonly connectedUs: number;
  readonly reused: boolean;
  readonly url: string;
  readonly characters: number;
}

/** One request and its answer. */
class HttpExchange {
  readonly #platform: HttpSpeechPlatform;
  readonly #deps: AdapterDeps;
  readonly #delivery: SpeechDelivery;
  readonly #connection: HttpConnection;
  readonly #totals: UtteranceTotals;
  readonly #facts: RequestFacts;
  readonly #limit: TimeLimit;
  #settle: ((error?: unknown) => void) | undefined;
  #onLimit: (limitMs: number) => void;
  #request: ClientRequest | undefined;
  #announced = false;
  #responded = false;
  #receivedBytes = 0;

  constructor(
    platform: HttpSpeechPlatform,
    deps: AdapterDeps,
    delivery: SpeechDelivery,
    connection: HttpConnection,
    totals: UtteranceTotals,
    facts: RequestFacts,
  ) {
    this.#platform = platform;
    this.#deps = deps;
    this.#delivery = delivery;
    this.#connection = connection;
    this.#totals = totals;
    this.#facts = facts;
    this.#limit = new TimeLimit(deps.clock, (limitMs) => this.#onLimit(limitMs));
    this.#onLimit = (limitMs) =>
      this.#fail({
        kind: 'timeout',
        message: `${platform.platform} sent no byte of audio within ${limitMs} ms of the request.`,
      });
  }

  /** Resolves when the answer was delivered to its end; otherwise the connection is destroyed. */
  run(input: string): Promise<void> {
    const { promise, resolve, reject } = deferred();
    const { stopped } = this.#delivery;
    const { stream } = this.#connection;
    const onStop = (): void => this.#settle?.(stopped.reason);
    // Node does not notice a stream that closed before the request was given to it.
    const onClose = (): void => this.#onBroken(new Error('the connection closed'));
    this.#settle = (error) => {
      this.#settle = undefined;
      this.#limit.stop();
      this.#delivery.onFlow(undefined);
      stopped.removeEventListener('abort', onStop);
      stream.off('close', onClose);
      if (error === undefined) resolve();
      else {
        stream.destroy();
        this.#request?.destroy();
        reject(error);
      }
    };
    if (stopped.aborted) onStop();
    else if (stream.destroyed) onClose();
    else {
      stopped.addEventListener('abort', onStop);
      stream.once('close', onClose);
      this.#send(input);
    }
    return promise;
  }

  #send(input: string): void {
    const { url, headers, timeoutMs, body, encoding = json } = this.#platform;
    const bytes = encoding.encode(body(input));
    const request = httpRequest({
      agent: this.#connection.agent,
      method: 'POST',
      path: url.pathname + url.search,
      headers: {
        Host: url.host,
        ...headers,
        'Content-Type': encoding.contentType,
        'Content-Length': bytes.length,
      },
    });
    request.on('finish', () => this.#announce(bytes));
    request.on('response', (response) => {
      // An answer may overtake the confirmation that the request left.
      this.#announce(bytes);
      this.#onResponse(response);
    });
    request.on('error', (error) => this.#onBroken(error));
    this.#request = request;
    this.#limit.start(timeoutMs.firstByte);
    request.end(bytes);
  }

  #announce(bytes: Uint8Array): void {
    if (this.#announced || this.#settle === undefined) return;
    this.#announced = true;
    const atUs = this.#deps.clock.nowUs();
    this.#observe('sent', bytes);
    this.#delivery.push({ type: 'request', atUs, ...this.#facts });
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#settle === undefined) return;
    this.#responded = true;
    const status = response.statusCode ?? 0;
    const contentType = response.headers['content-type'];
    const requestId = response.headers['x-request-id'] ?? response.headers['request-id'];
    this.#connection.agent.heed(response.headers['keep-alive']);
    this.#delivery.push({
      type: 'responseHead',
      atUs: this.#deps.clock.nowUs(),
      request: this.#facts.request,
      status,
      ...(contentType === undefined ? {} : { contentType }),
      ...(typeof requestId === 'string' ? { requestId } : {}),
    });
    if (status !== 200) this.#readRefusal(response, (body) => this.#refusal(response, body));
    else if (textTypes.test(contentType ?? '')) {
      this.#readRefusal(response, (body) => this.#wrongContent(contentType ?? '', body));
    } else if (/^(?!identity$)./i.test(response.headers['content-encoding'] ?? '')) {
      this.#fail({
        kind: 'protocol',
        message: `${this.#platform.platform} compressed the audio (${response.headers['content-encoding']}) though nobody asked for it. Switch compression off on the way.`,
      });
    } else this.#readAudio(response);
  }

  #refusal(response: IncomingMessage, body: string): Failure {
    const { platform, failures } = this.#platform;
    const { statusCode: status = 0, headers } = response;
    return classifyRefusal({ platform, status, headers, body }, failures);
  }

  #wrongContent(contentType: string, body: string): Failure {
    const words = providerWords(body);
    return {
      kind: 'protocol',
      status: 200,
      message: sentence(
        `${this.#platform.platform} answered 200 with ${contentType} instead of audio: ${words.message || 'an empty body'}`,
        'Check that the URL is the one of its speech endpoint.',
      ),
      providerCode: words.code ?? words.type,
    };
  }

  /** Reads a body that is no audio; what arrived is judged even when the rest never comes. */
  #readRefusal(response: IncomingMessage, judge: (body: string) => Failure): void {
    const pieces: Buffer[] = [];
    let size = 0;
    const finish = (complete: boolean): void => {
      if (this.#settle === undefined) return;
      const body = redact(Buffer.concat(pieces).toString('utf8'), this.#platform.secrets);
      if (size > 0) this.#observe('received', Buffer.from(body));
      this.#fail(judge(body), complete);
    };
    this.#limit.start(this.#platform.timeoutMs.idle);
    this.#onLimit = () => finish(false);
    response.on('data', (piece: Buffer) => {
      this.#limit.touch();
      pieces.push(piece);
      size += piece.length;
      if (size > refusalBytesMax) finish(false);
    });
    response.on('end', () => finish(response.complete));
    response.on('error', () => finish(false));
    response.on('close', () => finish(false));
  }

  #readAudio(response: IncomingMessage): void {
    const { platform, timeoutMs, capabilities } = this.#platform;
    const normalizer = new SpeechNormalizer(this.#platform.source(response));
    const whole = capabilities.audioOut === 'whole';
    const held: SpeechAudioEvent[] = [];
    const take = (
      read: () => { samples: Int16Array; sourceBytes: number },
      tail = false,
    ): boolean => {
      try {
        const { samples, sourceBytes } = read();
        // Nothing of a container header or of what lies behind the data is audio.
        if (sourceBytes === 0 && (!tail || samples.length === 0)) return true;
        const event = this.#audioEvent(normalizer, samples, sourceBytes);
        if (whole) held.push(event);
        else this.#delivery.push(event);
        return true;
      } catch (error) {
        if (error instanceof WavError) this.#fail(wrongAudio(platform, error));
        else this.#settle?.(error);
        return false;
      }
    };
    const onPiece = (piece: Buffer): void => {
      if (this.#settle === undefined) return;
      if (this.#receivedBytes === 0) {
        this.#onLimit = (limitMs) => this.#stalled(limitMs);
        this.#limit.start(timeoutMs.idle);
      } else this.#limit.touch();
      this.#receivedBytes += piece.length;
      this.#observe('received', piece);
      if (!take(() => normalizer.push(piece))) return;
      if (whole && this.#receivedBytes > heldBytesMax) {
        this.#fail({
          kind: 'protocol',
          message: `${platform} sent more than ${heldBytesMax} bytes in one answer.`,
        });
      }
    };
    const onEnd = (): void => {
      if (this.#settle === undefined) return;
      if (!response.complete) {
        this.#cut(new Error('the body ended early'));
        return;
      }
      if (this.#receivedBytes > 0 && !take(() => normalizer.flush(), true)) return;
      if (normalizer.sourceFrames === 0) {
        this.#fail(this.#empty(), true);
        return;
      }
      for (const event of held) this.#delivery.push(event);
      this.#totals.sourceFrames += normalizer.sourceFrames;
      this.#totals.samples += normalizer.outputSamples;
      this.#settle?.();
    };
    this.#delivery.onFlow((paused) => {
      this.#limit.hold(paused);
      if (paused) response.pause();
      else response.resume();
    });
    response.on('data', onPiece);
    response.on('end', onEnd);
    response.on('error', (error) => this.#cut(error));
    response.on('close', () => this.#cut(new Error('the connection closed')));
  }

  #audioEvent(
    normalizer: SpeechNormalizer,
    samples: Int16Array,
    sourceBytes: number,
  ): SpeechAudioEvent {
    return {
      type: 'audio',
      atUs: this.#deps.clock.nowUs(),
      request: this.#facts.request,
      samples,
      sourceBytes,
      sourceRateHz: normalizer.rateHz,
      sourceChannels: normalizer.channels,
    };
  }

  #empty(): Failure {
    const { platform, failures } = this.#platform;
    return {
      kind: 'empty',
      status: 200,
      message: sentence(`${platform} answered 200 without any audio`, failures.hints?.empty),
    };
  }

  #stalled(limitMs: number): void {
    this.#fail({
      kind: 'timeout',
      message: `${this.#platform.platform} sent nothing more for ${limitMs} ms after ${this.#receivedBytes} bytes of its answer.`,
    });
  }

  #cut(cause: Error): void {
    const delivered = this.#delivery.samples;
    this.#fail({
      kind: delivered > 0 ? 'truncated' : 'network',
      message: `${this.#platform.platform}'s answer was cut off after ${this.#receivedBytes} bytes (${cause.message}); ${delivered} samples had been delivered.`,
      cause,
    });
  }

  #onBroken(error: Error & { code?: unknown }): void {
    // From then on the response tells, after the bytes that still arrived.
    if (this.#responded) return;
    const { platform, url } = this.#platform;
    const code = typeof error.code === 'string' ? error.code : '';
    if (code.startsWith('HPE_')) {
      this.#fail({
        kind: 'protocol',
        message: `${platform} at ${url.host} did not answer in HTTP (${code}: ${error.message}).`,
        cause: error,
      });
      return;
    }
    const reused = this.#facts.reused ? ' The connection had served an earlier request.' : '';
    this.#fail({
      kind: 'network',
      message: `The connection to ${url.host} broke before an answer came (${error.message}).${reused}`,
      cause: error,
    });
  }

  /** @param keep the answer was read to its end, so the connection may serve the next request */
  #fail(failure: Failure, keep = false): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    const error = speechError(
      { ...failure, message: redact(failure.message, this.#platform.secrets) },
      this.#delivery.samples,
    );
    if (!keep) {
      settle(error);
      return;
    }
    settle();
    this.#delivery.fail(error);
  }

  #observe(direction: 'sent' | 'received', data: Uint8Array): void {
    const { observe, clock } = this.#deps;
    const { request } = this.#facts;
    observe?.({ direction, atUs: clock.nowUs(), request, kind: 'http-body', data });
  }
}

/**
 * Counts the Unicode code points of a text.
 *
 * @throws {SpeechError} `bad-request` for nothing to say, `too-long` above the limit
 */
export function checkText(platform: string, text: string, charactersMax?: number): number {
  if (text.trim() === '') {
    throw speechError(
      { kind: 'bad-request', message: 'The text is empty: nothing was sent to the provider.' },
      0,
    );
  }
  let characters = 0;
  for (const _ of text) characters++;
  if (charactersMax !== undefined && characters > charactersMax) {
    throw speechError(
      {
        kind: 'too-long',
        message: `The text has ${characters} characters, ${platform} takes ${charactersMax} in one request; nothing was sent. Speak it in shorter pieces.`,
      },
      0,
    );
  }
  return characters;
}

export function closedError(platform: string, delivery: SpeechDelivery): Error {
  return speechError(
    { kind: 'network', message: `The ${platform} session was closed.`, retryable: false },
    delivery.samples,
  );
}

/** A failure to connect does not know what earlier requests of the utterance have delivered. */
function withDelivered(error: unknown, samples: number): unknown {
  if (!(error instanceof SpeechError)) return error;
  const { kind, message, retryable, cause } = error;
  return speechError({ kind, message, retryable, cause }, samples);
}

function wrongAudio(platform: string, error: WavError): Failure {
  const ended = error.code === 'WAV_ENDED_IN_HEADER';
  return {
    kind: 'protocol',
    status: 200,
    message: `${platform} did not send the audio that was asked for. ${error.message}${ended ? '' : ' Check that the service supports this format.'}`,
    cause: error,
  };
}

function deferred(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
} {
  let resolve = (): void => {};
  let reject = (_error: unknown): void => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
