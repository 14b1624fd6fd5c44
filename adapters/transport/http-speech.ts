import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { SpeechSource } from '../audio/speech-normalizer.ts';
import { WavError } from '../audio/wav-stream.ts';
import type {
  AdapterDeps,
  SpeechAudioEvent,
  SpeechCapabilities,
  SpeechEndEvent,
  SpeechEvent,
  SpeechSession,
  SpeechUsage,
} from '../speech-adapter.ts';
import { SpeechError } from '../speech-error.ts';
import { type TextOptimizationConfig, TextOptimizer } from '../text-optimization/text-optimizer.ts';
import { AnswerAudio, type LastPart } from './answer-audio.ts';
import { type AnswerFraming, PlainAudio } from './answer-framing.ts';
import { type HttpConnection, HttpConnections } from './http-connections.ts';
import {
  classifyInBand,
  classifyRefusal,
  type Failure,
  type FailureTable,
  providerWords,
  publicUrl,
  redact,
  redactBytes,
  sentence,
  speechError,
  waitInWords,
} from './provider-failure.ts';
import { type SpeechDelivery, untilStopped } from './speech-delivery.ts';
import { textParts } from './text-parts.ts';
import { alarmAfter, TimeLimit, type TimeLimitsMs } from './time-limit.ts';
import { checkText, Utterances } from './utterances.ts';

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
  /** A chat model that rewrites each text first; absent: texts are spoken as they are. */
  readonly textOptimization?: TextOptimizationConfig | undefined;
  /** What the answer holds; `headers` only where they can be believed. */
  source(response: IncomingMessage): SpeechSource;
  /**
   * A new reader for a body of this content type (empty: none was named) that is more than the
   * audio itself; undefined for the others.
   */
  framing?(contentType: string): AnswerFraming | undefined;
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
/** Headers in which services name their own id of a request. */
const requestIdNames = ['x-request-id', 'request-id', 'x-generation-id'];
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
  readonly #optimizer: TextOptimizer | undefined;
  readonly #utterances: Utterances;
  #requests = 0;

  constructor(platform: HttpSpeechPlatform, deps: AdapterDeps) {
    this.capabilities = platform.capabilities;
    this.#platform = platform;
    this.#deps = deps;
    this.#utterances = new Utterances(platform.platform);
    this.#connections = new HttpConnections(platform.url, platform.timeoutMs.connect, deps);
    const { textOptimization } = platform;
    this.#optimizer = textOptimization && new TextOptimizer(textOptimization, deps);
  }

  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent> {
    return this.#utterances.begin(signal, (delivery) => this.#speak(text, delivery));
  }

  async close(): Promise<void> {
    this.#utterances.close();
    this.#connections.close();
    this.#optimizer?.close();
  }

  async #speak(text: AsyncIterable<string>, delivery: SpeechDelivery): Promise<void> {
    let input = '';
    for await (const piece of untilStopped(text, delivery.stopped)) input += piece;
    const { clock } = this.#deps;
    const { platform } = this.#platform;
    const { charactersMax } = this.capabilities;
    if (this.#optimizer !== undefined) {
      checkText(platform, input);
      const optimization = await this.#optimizer.optimize(input, delivery.stopped);
      delivery.push(optimization);
      input = optimization.text;
    }
    const parts = charactersMax === undefined ? [input] : textParts(input, charactersMax);
    // All are checked before the first is sent: a text that cannot be cut costs no request.
    const sized = parts.map((part) => ({
      part,
      characters: checkText(platform, part, charactersMax),
    }));
    const totals = new UtteranceTotals();
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
    delivery.push({ type: 'end', atUs: clock.nowUs(), request, ...totals.ledger() });
  }
}

/** What the answers to one utterance came to so far. */
class UtteranceTotals {
  #sourceFrames = 0;
  #samples = 0;
  #usage: SpeechUsage | undefined;

  add(answer: Pick<AnswerAudio, 'sourceFrames' | 'outputSamples'>, usage?: SpeechUsage): void {
    this.#sourceFrames += answer.sourceFrames;
    this.#samples += answer.outputSamples;
    if (usage !== undefined) this.#usage = sumOfUsage(this.#usage ?? {}, usage);
  }

  ledger(): Pick<SpeechEndEvent, 'sourceFrames' | 'samples' | 'usage'> {
    const usage = this.#usage;
    return {
      sourceFrames: this.#sourceFrames,
      samples: this.#samples,
      ...(usage === undefined ? {} : { usage }),
    };
  }
}

/** Some services count characters in a header of their answer (section 6.5). */
function usageOfHead({ headers }: IncomingMessage): SpeechUsage | undefined {
  const count = String(headers['character-cost'] ?? '');
  return /^\d{1,15}$/.test(count) ? { billedCharacters: Number(count) } : undefined;
}

function sumOfUsage(first: SpeechUsage, second: SpeechUsage): SpeechUsage {
  const sum: Partial<Record<keyof SpeechUsage, number>> = { ...first };
  for (const [name, count] of Object.entries(second) as [keyof SpeechUsage, number][]) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
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
  /** What the HTTP parser found in the body instead of a chunk. */
  #brokenFraming: Error | undefined;
  /** What came before the first audio: it may turn out to be words instead, with a key in them. */
  #head: { readonly atUs: number; readonly piece: Buffer }[] | undefined;

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
      this.#observeHead();
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
    const requestId = requestIdNames.map((name) => response.headers[name]).find(Boolean);
    this.#connection.agent.heed(response.headers['keep-alive']);
    this.#delivery.push({
      type: 'responseHead',
      atUs: this.#deps.clock.nowUs(),
      request: this.#facts.request,
      status,
      ...(contentType === undefined ? {} : { contentType }),
      ...(typeof requestId === 'string' ? { requestId } : {}),
    });
    const framing = this.#platform.framing?.(contentType ?? '');
    if (status !== 200) this.#readRefusal(response, (body) => this.#refusal(response, body));
    else if (framing === undefined && textTypes.test(contentType ?? '')) {
      this.#readRefusal(response, (body) => this.#wrongContent(contentType ?? '', body));
    } else if (/^(?!identity$)./i.test(response.headers['content-encoding'] ?? '')) {
      this.#fail({
        kind: 'protocol',
        message: `${this.#platform.platform} compressed the audio (${response.headers['content-encoding']}) though nobody asked for it. Switch compression off on the way.`,
      });
    } else this.#readAudio(response, framing);
  }

  #refusal(response: IncomingMessage, body: string): Failure {
    const { platform, failures } = this.#platform;
    const { statusCode: status = 0, headers } = response;
    return classifyRefusal({ platform, status, headers, body }, failures);
  }

  /** @param content what it is instead: a content type, or what it looks like */
  #wrongContent(content: string, body: string): Failure {
    const { platform, failures } = this.#platform;
    const words = providerWords(body);
    const kind = /json/i.test(content) ? classifyInBand(words, failures, 'protocol') : 'protocol';
    return {
      kind,
      status: 200,
      message: sentence(
        `${platform} answered 200 with ${content} instead of audio: ${words.message || 'an empty body'}`,
        failures.hints?.[kind] ?? 'Check that the URL is the one of its speech endpoint.',
      ),
      providerCode: words.code ?? words.type,
      retryAfterMs: waitInWords(words.message),
    };
  }

  /**
   * Reads a body that is no audio; what arrived is judged even when the rest never comes.
   *
   * @param pieces what has been read of it before
   */
  #readRefusal(
    response: IncomingMessage,
    judge: (body: string) => Failure,
    pieces: Buffer[] = [],
  ): void {
    let size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const finish = (complete: boolean): void => {
      if (this.#settle === undefined) return;
      const body = redact(Buffer.concat(pieces).toString('utf8'), this.#platform.secrets);
      if (size > 0) this.#observe('received', Buffer.from(body));
      this.#fail(judge(body), complete);
    };
    if (response.readableEnded) {
      finish(response.complete);
      return;
    }
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

  /** @param framing absent: the body is the audio, and its end is the end */
  #readAudio(response: IncomingMessage, framing: AnswerFraming | undefined): void {
    const { platform, timeoutMs, capabilities } = this.#platform;
    const whole = capabilities.audioOut === 'whole';
    const held: SpeechAudioEvent[] = [];
    const audio = new AnswerAudio(
      framing ?? new PlainAudio(),
      this.#platform.source(response),
      (chunk) => {
        const { request } = this.#facts;
        const event = { type: 'audio' as const, atUs: this.#deps.clock.nowUs(), request, ...chunk };
        this.#observeHead();
        if (whole) held.push(event);
        else this.#delivery.push(event);
      },
      this.#deps.conversion,
    );
    const conclude = (usage?: SpeechUsage): void => {
      if (audio.sourceFrames === 0) {
        this.#fail(this.#empty(), true);
      } else {
        for (const event of held) this.#delivery.push(event);
        this.#totals.add(audio, usage ?? usageOfHead(response));
        this.#settle?.();
      }
      if (!response.readableEnded) this.#drain(response);
    };
    /** False when there is nothing more to read here. */
    const read = (step: () => LastPart | undefined): boolean => {
      let last: LastPart | undefined;
      try {
        last = step();
      } catch (error) {
        if (!(error instanceof WavError)) this.#settle?.(error);
        else if (framing === undefined && (error.found === 'JSON' || error.found === 'HTML')) {
          const content = error.found;
          const pieces = this.#head?.map(({ piece }) => piece) ?? [];
          this.#head = undefined;
          response.off('data', onPiece).off('end', onEnd);
          this.#readRefusal(response, (body) => this.#wrongContent(content, body), pieces);
        } else this.#fail(wrongAudio(platform, error));
        return false;
      }
      if (last === undefined) return true;
      if (last.type === 'end') conclude(last.usage);
      else this.#fail(this.#troubleIn(last));
      return false;
    };
    let moving = false;
    const onPiece = (piece: Buffer): void => {
      if (this.#settle === undefined) return;
      this.#receivedBytes += piece.length;
      this.#observeAnswer(piece, framing !== undefined);
      const parts = audio.parts;
      if (!read(() => audio.push(piece))) return;
      if (whole && this.#receivedBytes > heldBytesMax) {
        this.#fail({
          kind: 'protocol',
          message: `${platform} sent more than ${heldBytesMax} bytes in one answer.`,
        });
        return;
      }
      if (audio.parts === parts && audio.idle) return;
      if (moving) {
        this.#limit.touch();
        return;
      }
      moving = true;
      this.#onLimit = (limitMs) => this.#stalled(limitMs);
      this.#limit.start(timeoutMs.idle);
    };
    const onEnd = (): void => {
      if (this.#settle === undefined) return;
      if (!response.complete) {
        this.#cut(new Error('the body ended early'));
        return;
      }
      if (!read(() => audio.finish())) return;
      this.#fail(audio.sourceFrames === 0 ? this.#empty() : this.#endless(), true);
    };
    this.#head = [];
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

  /**
   * An answer that said in its content that it is over still has to end for HTTP; then its connection
   * may serve the next request.
   */
  #drain(response: IncomingMessage): void {
    const { stream } = this.#connection;
    const { idle } = this.#platform.timeoutMs;
    const alarm = alarmAfter(this.#deps.clock, idle, () => stream.destroy());
    response.once('end', () => alarm.cancel());
    response.once('close', () => alarm.cancel());
    response.resume();
  }

  #troubleIn(part: Exclude<LastPart, { type: 'end' }>): Failure {
    const { platform, failures } = this.#platform;
    const delivered = `${this.#delivery.samples} samples had been delivered`;
    if (part.type === 'alien') {
      return {
        kind: 'protocol',
        status: 200,
        message: sentence(`${platform} ${part.what}`, `${delivered}.`),
      };
    }
    const { words } = part;
    const kind = classifyInBand(words, failures, 'server');
    return {
      kind,
      status: 200,
      message: sentence(
        `${platform} failed in its answer: ${words.message}; ${delivered}`,
        failures.hints?.[kind],
      ),
      providerCode: words.code ?? words.type,
      retryAfterMs: waitInWords(words.message),
    };
  }

  #endless(): Failure {
    return {
      kind: 'truncated',
      status: 200,
      message: `${this.#platform.platform}'s answer ended after ${this.#receivedBytes} bytes without the sign that it is complete; ${this.#delivery.samples} samples had been delivered.`,
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
    const alien = this.#brokenFraming;
    if (alien !== undefined) {
      this.#fail({
        kind: 'protocol',
        status: 200,
        message: `${this.#platform.platform}'s answer stopped being HTTP after ${this.#receivedBytes} bytes of its body (${alien.message}); ${delivered} samples had been delivered.`,
        cause: alien,
      });
      return;
    }
    this.#fail({
      kind: delivered > 0 ? 'truncated' : 'network',
      message: `${this.#platform.platform}'s answer was cut off after ${this.#receivedBytes} bytes (${cause.message}); ${delivered} samples had been delivered.`,
      cause,
    });
  }

  #onBroken(error: Error & { code?: unknown }): void {
    const { platform, url } = this.#platform;
    const code = typeof error.code === 'string' ? error.code : '';
    if (this.#responded) {
      // From then on the response tells, after the bytes that still arrived, of all but this.
      if (code.startsWith('HPE_')) this.#brokenFraming = error;
      return;
    }
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

  #observe(
    direction: 'sent' | 'received',
    data: Uint8Array,
    atUs = this.#deps.clock.nowUs(),
  ): void {
    const { request } = this.#facts;
    const { stream } = this.#connection;
    this.#deps.observe?.({ direction, atUs, request, kind: 'http-body', stream, data });
  }

  /** A piece of an answer that should be audio. */
  #observeAnswer(piece: Buffer, text: boolean): void {
    if (this.#head !== undefined) this.#head.push({ atUs: this.#deps.clock.nowUs(), piece });
    else this.#observe('received', text ? redactBytes(piece, this.#platform.secrets, true) : piece);
  }

  #observeHead(): void {
    const head = this.#head ?? [];
    this.#head = undefined;
    for (const { atUs, piece } of head) {
      this.#observe('received', redactBytes(piece, this.#platform.secrets, true), atUs);
    }
  }
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
