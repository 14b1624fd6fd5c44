/**
 * The chat-completions call that rewrites a text before it is spoken (EchoKit device protocol
 * reference, sections 7.6 and 9.3), with the request EchoKit sends.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AdapterDeps, SpeechTextOptimizationEvent } from '../speech-adapter.ts';
import { SpeechError } from '../speech-error.ts';
import { type HttpConnection, HttpConnections } from '../transport/http-connections.ts';
import {
  classifyRefusal,
  type Failure,
  type FailureTable,
  publicUrl,
  redact,
  speechError,
} from '../transport/provider-failure.ts';
import { TimeLimit, type TimeLimitsMs } from '../transport/time-limit.ts';
import { chatReply } from './chat-reply.ts';

export interface TextOptimizationConfig {
  /** A chat-completions endpoint. */
  readonly url: string;
  /** Sent as a bearer token unless it is empty. */
  readonly apiKey: string;
  /** Not sent when empty. */
  readonly model: string;
  /** Stand before the text, which is the last message of the user. */
  readonly prompts: readonly ChatMessage[];
  readonly timeoutMs: TimeLimitsMs;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A rewritten sentence is far below this. */
const replyBytesMax = 1024 * 1024;

/** Codes of OpenAI-compatible services (TTS provider protocol reference, section 4.5). */
const failures: FailureTable = {
  codes: {
    invalid_api_key: 'auth',
    insufficient_quota: 'quota',
    rate_limit_exceeded: 'rate-limit',
    context_length_exceeded: 'too-long',
    server_error: 'server',
  },
  words: [],
  hints: {
    auth: 'Check "api_key" of [tts.text_optimization].',
    'bad-request': 'Check "url" and "model" of [tts.text_optimization].',
  },
};

/** Rewrites texts for one session; several at the same time are possible. */
export class TextOptimizer {
  readonly #config: TextOptimizationConfig;
  readonly #url: URL;
  readonly #deps: AdapterDeps;
  readonly #connections: HttpConnections;

  constructor(config: TextOptimizationConfig, deps: AdapterDeps) {
    this.#config = config;
    this.#url = new URL(config.url);
    this.#deps = deps;
    this.#connections = new HttpConnections(this.#url, config.timeoutMs.connect, deps);
  }

  /**
   * @param stopped ends the call in the same instant; the promise then rejects with its reason
   * @throws {SpeechError} whose message says that the optimization failed; nothing was spoken
   */
  async optimize(text: string, stopped: AbortSignal): Promise<SpeechTextOptimizationEvent> {
    const { clock } = this.#deps;
    const startedUs = clock.nowUs();
    try {
      const connection = await this.#connections.acquire(stopped);
      const reply = await new ChatCall(this.#config, this.#url, this.#deps, connection).run(
        text,
        stopped,
      );
      if (typeof reply !== 'string') throw speechError(reply, 0);
      // The model's own spacing around the reply is no part of what is to be said.
      const optimized = reply.trim();
      if (optimized === '') {
        throw speechError({ kind: 'empty', message: 'it replied without any text.' }, 0);
      }
      return {
        type: 'textOptimization',
        request: 0,
        startedUs,
        atUs: clock.nowUs(),
        url: publicUrl(this.#url),
        text: optimized,
        charactersIn: [...text].length,
        charactersOut: [...optimized].length,
      };
    } catch (error) {
      throw stopped.aborted ? stopped.reason : this.#named(error);
    }
  }

  close(): void {
    this.#connections.close();
  }

  #named(error: unknown): unknown {
    if (!(error instanceof SpeechError)) return error;
    const { kind, message, retryable, providerCode, status, retryAfterMs, cause } = error;
    const named = `The text optimization at ${this.#url.host} failed, so nothing was spoken: ${message}`;
    return speechError(
      {
        kind,
        message: redact(named, [this.#config.apiKey]),
        retryable,
        providerCode,
        status,
        retryAfterMs,
        cause,
      },
      0,
    );
  }
}

/** One request and its whole answer. */
class ChatCall {
  readonly #config: TextOptimizationConfig;
  readonly #url: URL;
  readonly #connection: HttpConnection;
  readonly #limit: TimeLimit;
  #waitsFor = 'byte of a reply';
  #settle: ((outcome: Outcome) => void) | undefined;
  #request: ClientRequest | undefined;
  #responded = false;

  constructor(
    config: TextOptimizationConfig,
    url: URL,
    deps: AdapterDeps,
    connection: HttpConnection,
  ) {
    this.#config = config;
    this.#url = url;
    this.#connection = connection;
    this.#limit = new TimeLimit(deps.clock, (limitMs) =>
      this.#fail({
        kind: 'timeout',
        message: `it sent no ${this.#waitsFor} within ${limitMs} ms.`,
      }),
    );
  }

  /** The connection is kept when the answer was read to its end, and destroyed otherwise. */
  run(text: string, stopped: AbortSignal): Promise<string | Failure> {
    const { stream } = this.#connection;
    return new Promise((resolve, reject) => {
      const onStop = (): void => this.#settle?.({ keep: false, error: stopped.reason });
      const onClose = (): void => {
        // An answer that has begun tells of its own end, after the bytes that still arrived.
        if (!this.#responded) this.#broken(new Error('the connection closed'));
      };
      this.#settle = (outcome) => {
        this.#settle = undefined;
        this.#limit.stop();
        stopped.removeEventListener('abort', onStop);
        stream.off('close', onClose);
        if (!outcome.keep) {
          stream.destroy();
          this.#request?.destroy();
        }
        if ('error' in outcome) reject(outcome.error);
        else resolve(outcome.reply);
      };
      if (stopped.aborted) onStop();
      else if (stream.destroyed) onClose();
      else {
        stopped.addEventListener('abort', onStop);
        stream.once('close', onClose);
        this.#send(text);
      }
    });
  }

  #send(text: string): void {
    const { apiKey, model, prompts, timeoutMs } = this.#config;
    const messages = [...prompts, { role: 'user', content: text }];
    const body = Buffer.from(
      JSON.stringify({ stream: true, messages, ...(model === '' ? {} : { model }) }),
    );
    const request = httpRequest({
      agent: this.#connection.agent,
      method: 'POST',
      path: this.#url.pathname + this.#url.search,
      headers: {
        Host: this.#url.host,
        ...(apiKey === '' ? {} : { Authorization: `Bearer ${apiKey}` }),
        // EchoKit's own; some services answer other clients differently.
        'User-Agent': 'curl/7.81.0',
        Accept: '*/*',
        'Content-Type': 'application/json',
        'Content-Length': body.length,
      },
    });
    request.on('response', (response) => this.#read(response));
    request.on('error', (error) => this.#broken(error));
    this.#request = request;
    this.#limit.start(timeoutMs.firstByte);
    request.end(body);
  }

  #read(response: IncomingMessage): void {
    const pieces: Buffer[] = [];
    let size = 0;
    this.#responded = true;
    this.#connection.agent.heed(response.headers['keep-alive']);
    response.on('data', (piece: Buffer) => {
      if (this.#settle === undefined) return;
      if (size === 0) {
        this.#waitsFor = 'further byte of its reply';
        this.#limit.start(this.#config.timeoutMs.idle);
      } else this.#limit.touch();
      pieces.push(piece);
      size += piece.length;
      if (size > replyBytesMax) {
        this.#fail({ kind: 'protocol', message: `it sent more than ${replyBytesMax} bytes.` });
      }
    });
    response.on('end', () => {
      if (!response.complete) this.#broken(new Error(`the body ended early, after ${size} bytes`));
      else this.#judge(response, Buffer.concat(pieces).toString('utf8'));
    });
    response.on('error', (error) => this.#broken(error));
    response.on('close', () =>
      this.#broken(new Error(`the connection closed after ${size} bytes`)),
    );
  }

  #judge(response: IncomingMessage, body: string): void {
    const { statusCode: status = 0, headers } = response;
    const reply =
      status >= 200 && status < 300
        ? chatReply(headers['content-type'] ?? '', body, failures)
        : classifyRefusal({ platform: 'it', status, headers, body }, failures);
    this.#settle?.({ keep: true, reply });
  }

  #broken(cause: Error): void {
    const code = String((cause as { code?: unknown }).code ?? '');
    const message = code.startsWith('HPE_')
      ? `it did not answer in HTTP (${cause.message}).`
      : `the connection broke before its reply was complete (${cause.message}).`;
    this.#fail({ kind: code.startsWith('HPE_') ? 'protocol' : 'network', message, cause });
  }

  #fail(reply: Failure): void {
    this.#settle?.({ keep: false, reply });
  }
}

type Outcome =
  | { readonly keep: boolean; readonly reply: string | Failure }
  | { readonly keep: false; readonly error: unknown };
