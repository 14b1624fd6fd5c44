/**
 * Speech to text by Paraformer on DashScope's inference WebSocket, asked as the EchoKit server asks it
 * (EchoKit device protocol reference, sections 7.4 and 9.2): one task per utterance, audio in binary
 * frames as it comes, results while the user speaks. The socket is kept for the next utterance.
 */

import type { WebSocket } from 'ws';
import { type AdapterDeps, SpeechError } from '../../adapters/index.ts';
import { dashScopeFailures } from '../../adapters/platforms/cosyvoice.ts';
import { classifyInBand, classifyRefusal } from '../../adapters/transport/provider-failure.ts';
import { openWebSocket } from '../../adapters/transport/websocket.ts';
import { FollowingController } from '../clock/following-controller.ts';
import {
  type LiveRecognition,
  type LiveRecognitionOptions,
  type LiveRecognizer,
  RecognitionError,
} from './live-recognizer.ts';
import type { ServiceDeps } from './service-call.ts';

export interface ParaformerConfig {
  readonly url: string;
  readonly token: string;
}

export const paraformerUrl = 'wss://dashscope.aliyuncs.com/api-ws/v1/inference';

const model = 'paraformer-realtime-v2';
const sampleRateHz = 16_000;
/** Of a message that cannot be read, in the failure. */
const excerptCharactersMax = 120;
/** A start that fails is tried again on a new connection. */
const startTries = 3;
const startLimitMs = 10_000;
/** The service closes a socket that has no task for 60 s; a second is for the way. */
const idleLimitUs = 59_000_000;

type Deps = ServiceDeps & Pick<AdapterDeps, 'randomBytes'>;

/** @returns a recognizer that MUST be closed */
export function paraformerRecognizer(
  config: ParaformerConfig,
  deps: Deps,
): LiveRecognizer & { close(): void } {
  const pool = new SocketPool(config, deps);
  return {
    async begin(_context, options, signal) {
      let last: unknown;
      for (let attempt = 1; attempt <= startTries; attempt++) {
        deps.admit?.();
        try {
          return await start(pool, deps, options, signal);
        } catch (error) {
          signal.throwIfAborted();
          last = error;
        }
      }
      const { kind, message } = asRecognitionError(last);
      throw new RecognitionError(
        kind,
        `The recognition could not begin in ${startTries} tries (${kind}): ${message}`,
        last,
      );
    },
    close: () => pool.close(),
  };
}

async function start(
  pool: SocketPool,
  deps: Deps,
  options: LiveRecognitionOptions,
  signal: AbortSignal,
): Promise<LiveRecognition> {
  const stop = new FollowingController(signal);
  const late = (): RecognitionError =>
    new RecognitionError('timeout', `the task was not started within ${startLimitMs} ms.`);
  const alarm = deps.clock.after(startLimitMs * 1000, () => stop.abort(late()));
  try {
    const socket = await pool.take(stop.signal);
    const task = new ParaformerTask(pool, socket, uuid(deps.randomBytes(16)), options);
    await task.started(stop.signal);
    return task;
  } finally {
    alarm.cancel();
    stop.release();
  }
}

/** Open sockets without a task. */
class SocketPool {
  readonly #config: ParaformerConfig;
  readonly #deps: Deps;
  readonly #idle = new Map<WebSocket, number>();
  readonly #open = new Set<WebSocket>();

  constructor(config: ParaformerConfig, deps: Deps) {
    this.#config = config;
    this.#deps = deps;
  }

  /** @throws {RecognitionError}; {@link SpeechError} when there is no connection; the signal's reason */
  async take(signal: AbortSignal): Promise<WebSocket> {
    for (const [socket, sinceUs] of this.#idle) {
      this.#idle.delete(socket);
      if (this.#deps.clock.nowUs() - sinceUs < idleLimitUs) return socket;
      socket.terminate();
    }
    const { socket } = await openWebSocket(
      new URL(this.#config.url),
      {
        Authorization: `Bearer ${this.#config.token}`,
        'X-DashScope-DataInspection': 'enable',
      },
      startLimitMs,
      this.#deps,
      signal,
      ({ status, headers, body }) => {
        const refusal = { platform: 'DashScope', status, headers, body };
        const { kind, message, cause } = classifyRefusal(refusal, dashScopeFailures);
        return new RecognitionError(kind, message, cause);
      },
    );
    this.#open.add(socket);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#idle.delete(socket);
    });
    return socket;
  }

  give(socket: WebSocket): void {
    if (this.#open.has(socket)) this.#idle.set(socket, this.#deps.clock.nowUs());
  }

  close(): void {
    for (const socket of this.#open) socket.terminate();
  }
}

/** One `run-task`, from there to `task-finished`. */
class ParaformerTask implements LiveRecognition {
  readonly #pool: SocketPool;
  readonly #socket: WebSocket;
  readonly #id: string;
  readonly #options: LiveRecognitionOptions;
  readonly #ended: string[] = [];
  #current = '';
  #results = 0;
  #failure: RecognitionError | undefined;
  #finishing = false;
  #state: 'starting' | 'started' | 'finished' | 'over' = 'starting';
  /** Whoever waits for the next state. */
  #waiting: (() => void) | undefined;
  readonly #onMessage = (data: Buffer, isBinary: boolean): void => {
    if (!isBinary) this.#read(data.toString());
  };
  readonly #onClose = (code: number): void =>
    this.#fail('network', `the connection closed (${code}) before the result was complete.`);

  constructor(pool: SocketPool, socket: WebSocket, id: string, options: LiveRecognitionOptions) {
    this.#pool = pool;
    this.#socket = socket;
    this.#id = id;
    this.#options = options;
    socket.on('message', this.#onMessage);
    socket.once('close', this.#onClose);
  }

  get text(): string {
    return [...this.#ended, this.#current].filter((text) => text !== '').reduce(joined, '');
  }

  get sentences(): number {
    return this.#ended.length;
  }

  get results(): number {
    return this.#results;
  }

  get failure(): RecognitionError | undefined {
    return this.#failure;
  }

  async started(signal: AbortSignal): Promise<void> {
    this.#send('run-task', {
      task_group: 'audio',
      task: 'asr',
      function: 'recognition',
      model,
      parameters: {
        format: 'pcm',
        sample_rate: sampleRateHz,
        semantic_punctuation_enabled: this.#options.semanticPunctuation,
      },
      input: {},
    });
    await this.#until('started', signal);
  }

  push(samples: Int16Array): void {
    if (this.#state !== 'started' || this.#failure !== undefined) return;
    const bytes = Buffer.alloc(2 * samples.length);
    for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
    this.#socket.send(bytes);
  }

  async finish(signal: AbortSignal): Promise<void> {
    if (this.#failure === undefined && this.#state === 'started') {
      this.#finishing = true;
      this.#send('finish-task', { input: {} });
    }
    await this.#until('finished', signal);
    this.#leave();
    this.#pool.give(this.#socket);
  }

  cancel(): void {
    if (this.#state === 'over') return;
    this.#leave();
    // Results of a task that is not wanted would come on; the next one gets a socket of its own.
    this.#socket.terminate();
  }

  /** @throws the failure, or the signal's reason; the task is over then */
  #until(state: 'started' | 'finished', signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const give = (error: unknown): void => {
        signal.removeEventListener('abort', check);
        this.#waiting = undefined;
        this.cancel();
        reject(error);
      };
      const check = (): void => {
        if (this.#failure !== undefined) give(this.#failure);
        else if (signal.aborted) give(signal.reason);
        else if (this.#state === state) {
          signal.removeEventListener('abort', check);
          this.#waiting = undefined;
          resolve();
        }
      };
      signal.addEventListener('abort', check);
      this.#waiting = check;
      check();
    });
  }

  #read(text: string): void {
    const message = membersOf(text);
    if (message === undefined) {
      this.#fail(
        'protocol',
        `the answer is no message of DashScope: ${text.slice(0, excerptCharactersMax)}`,
      );
      return;
    }
    const { header, sentence } = message;
    // Late words about a task that is over.
    if (header.task_id !== undefined && header.task_id !== this.#id) return;
    switch (header.event) {
      case 'task-started':
        if (this.#state === 'starting') this.#state = 'started';
        break;
      case 'task-finished':
        if (!this.#finishing) {
          this.#fail('truncated', 'the task ended while audio was still coming.');
          return;
        }
        this.#state = 'finished';
        break;
      case 'task-failed': {
        const { error_code: code, error_message: said } = header;
        const words = {
          message: typeof said === 'string' ? said : '',
          ...(typeof code === 'string' ? { code } : {}),
        };
        const kind = classifyInBand(words, dashScopeFailures, 'server');
        this.#fail(kind, `DashScope says ${words.code ?? 'no code'}: ${words.message}`);
        return;
      }
      case 'result-generated':
        if (sentence !== undefined) this.#take(sentence);
        break;
      default:
        return;
    }
    this.#changed();
  }

  #take({ text, sentence_end: isEnd, heartbeat }: Sentence): void {
    if (heartbeat === true || typeof text !== 'string') return;
    this.#results += 1;
    this.#current = isEnd === true ? '' : text;
    if (isEnd === true) this.#ended.push(text);
  }

  #fail(kind: RecognitionError['kind'], message: string): void {
    this.#failure ??= new RecognitionError(kind, message);
    this.#changed();
  }

  #changed(): void {
    this.#waiting?.();
    if (this.#state !== 'over') this.#options.onChange();
  }

  #leave(): void {
    this.#state = 'over';
    this.#socket.off('message', this.#onMessage);
    this.#socket.off('close', this.#onClose);
  }

  #send(action: 'run-task' | 'finish-task', payload: object): void {
    const header = { action, task_id: this.#id, streaming: 'duplex' };
    this.#socket.send(JSON.stringify({ header, payload }));
  }
}

interface Sentence {
  readonly text?: unknown;
  readonly sentence_end?: unknown;
  readonly heartbeat?: unknown;
}

interface Header {
  readonly event?: unknown;
  readonly task_id?: unknown;
  readonly error_code?: unknown;
  readonly error_message?: unknown;
}

function membersOf(text: string): { header: Header; sentence: Sentence | undefined } | undefined {
  try {
    const { header, payload } = JSON.parse(text) as {
      header?: Header | null;
      payload?: { output?: { sentence?: Sentence | null } | null } | null;
    };
    if (typeof header !== 'object' || header === null) return undefined;
    return { header, sentence: payload?.output?.sentence ?? undefined };
  } catch {
    return undefined;
  }
}

/** Sentences follow each other with a space, but not where characters stand without any. */
function joined(before: string, text: string): string {
  if (before === '') return text;
  const tight = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uffef]/u;
  const isTight = tight.test([...before].at(-1)!) || tight.test([...text][0]!);
  return `${before}${isTight ? '' : ' '}${text}`;
}

function asRecognitionError(error: unknown): { kind: RecognitionError['kind']; message: string } {
  if (error instanceof RecognitionError || error instanceof SpeechError) return error;
  return { kind: 'network', message: error instanceof Error ? error.message : String(error) };
}

/** @param bytes 16 random ones */
function uuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes);
  hex[6] = (hex[6]! & 0x0f) | 0x40;
  hex[8] = (hex[8]! & 0x3f) | 0x80;
  return hex.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
