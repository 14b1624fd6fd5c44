import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { SystemClock } from '../clock/system-clock.ts';
import { type Bell, createBell, ring } from '../clock/waiting-clock.ts';
import type { Dialer, DialTarget } from '../network/network.ts';
import { NetworkError } from '../network/network-error.ts';
import { SocketLikeStream } from '../network/socket-like-stream.ts';
import type {
  ClientMessage,
  ProviderMessage,
  ProviderThreadData,
  ReplayLag,
} from './provider-thread.ts';
import type { RecordedTraffic } from './recorded-exchange.ts';
import type { ReplayDeviation } from './recorded-provider.ts';
import { withSharedAnswers } from './shared-bytes.ts';

export interface ThreadedProviderOptions {
  readonly traffic: RecordedTraffic;
  readonly clock: SystemClock;
  onDeviation(deviation: ReplayDeviation): void;
}

/**
 * The recorded provider in real time: in a thread of its own, because server, board and encoder block an event loop for
 * milliseconds, and a provider on another machine does not wait for them. Answers are counted from the instant at which
 * the client wrote its request. Whatever the client makes of its bytes and when is its own affair, as it is with a socket.
 */
export class ThreadedProvider implements Dialer {
  readonly #options: ThreadedProviderOptions;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #bell: Bell;
  readonly #calls = new Map<number, Call>();
  #connections = 0;
  #failure: Error | undefined;
  #finished: { resolve(lag: ReplayLag | null): void; reject(error: Error): void } | undefined;

  private constructor(options: ThreadedProviderOptions, thread: Thread) {
    this.#options = options;
    this.#worker = thread.worker;
    this.#port = thread.port;
    this.#bell = thread.bell;
    this.#port.on('message', (message: ProviderMessage) => this.#take(message));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#port.unref();
    this.#worker.unref();
  }

  /** Resolves when the thread is there; what it then does keeps no program from ending. */
  static async open(options: ThreadedProviderOptions): Promise<ThreadedProvider> {
    const { traffic, clock } = options;
    const { port1: port, port2 } = new MessageChannel();
    const bell = createBell();
    const shared = withSharedAnswers(traffic);
    const worker = startThread({ traffic: shared, startNs: clock.startNs, port: port2, bell });
    const failed = once(worker, 'exit').then(() => {
      throw new Error('The thread of the replay ended before it began.');
    });
    await Promise.race([once(port, 'message'), failed]);
    failed.catch(() => {});
    return new ThreadedProvider(options, { worker, port, bell });
  }

  /** @throws {NetworkError} as `RecordedProvider.dial` */
  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const connection = ++this.#connections;
    const { host, port, secure } = target;
    const atUs = this.#options.clock.nowUs();
    this.#tell({ kind: 'dial', connection, target: { host, port, secure }, atUs });
    return await new Promise<Duplex>((resolve, reject) => {
      const giveUp = (): void => {
        this.#close(connection);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      const settled = (): void => signal?.removeEventListener('abort', giveUp);
      this.#calls.set(connection, {
        open: () => {
          settled();
          const stream = new ClientStream({
            send: (data) => {
              const sentUs = this.#options.clock.nowUs();
              this.#tell({ kind: 'bytes', connection, data, atUs: sentUs }, [data.buffer]);
            },
            close: () => this.#close(connection),
          });
          resolve(stream);
          return stream;
        },
        refuse: (error) => {
          settled();
          reject(error);
        },
      });
    });
  }

  /**
   * Tells which recorded requests were not made. To be called when the conversation is over.
   *
   * @returns how late pieces of answers left the provider; null when there were none
   */
  finish(): Promise<ReplayLag | null> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#finished = { resolve, reject };
      this.#worker.ref();
      this.#port.ref();
      this.#tell({ kind: 'finish' });
    });
  }

  /** Breaks all connections and ends the thread. */
  async close(): Promise<void> {
    this.#end(new Error('The replay is over.'));
    this.#port.close();
    await this.#worker.terminate();
  }

  #take(message: ProviderMessage): void {
    if (message.kind === 'ready') return;
    if (message.kind === 'deviation') {
      this.#options.onDeviation(message.deviation);
      return;
    }
    if (message.kind === 'finished') {
      this.#finished?.resolve(message.lag);
      return;
    }
    const call = this.#calls.get(message.connection);
    if (call === undefined) return;
    if (message.kind === 'open') call.stream = call.open();
    else if (message.kind === 'refused') {
      this.#calls.delete(message.connection);
      call.refuse(new NetworkError(message.code, message.message, message.hint));
    } else if (message.kind === 'bytes') call.stream?.push(Buffer.from(message.data));
    else if (message.kind === 'end') call.stream?.push(null);
    else call.stream?.destroy(Object.assign(new Error(message.message), { code: message.code }));
  }

  #close(connection: number): void {
    if (this.#calls.delete(connection)) this.#tell({ kind: 'close', connection });
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#finished?.reject(error);
    this.#end(error);
  }

  #end(error: Error): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { stream, refuse } of calls) {
      if (stream === undefined) refuse(error);
      else stream.destroy();
    }
  }

  #tell(message: ClientMessage, owned: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, owned);
    ring(this.#bell);
  }
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly bell: Bell;
}

/** A connection that was asked for. */
interface Call {
  /** Hands the stream to whoever asked. */
  open(): ClientStream;
  refuse(error: Error): void;
  stream?: ClientStream;
}

interface ClientStreamOptions {
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** The client's end. What the provider sends is there when the client reads, piece by piece. */
class ClientStream extends SocketLikeStream {
  readonly #options: ClientStreamOptions;

  constructor(options: ClientStreamOptions) {
    super({ allowHalfOpen: false });
    this.#options = options;
  }

  override _read(): void {}

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#options.send(new Uint8Array(chunk));
    done();
  }

  override _final(done: (error?: Error | null) => void): void {
    // A client that has closed gets nothing more.
    this.#options.close();
    if (!this.readableEnded) this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#options.close();
    done(error);
  }
}

function startThread(workerData: ProviderThreadData): Worker {
  const transferList = [workerData.port];
  if (import.meta.url.endsWith('.js')) {
    return new Worker(new URL('./provider-thread.js', import.meta.url), {
      workerData,
      transferList,
    });
  }
  // From a checkout: not every version of Node hands the loader for TypeScript on to its threads.
  const [loader, entry] = ['tsx/esm/api', './provider-thread.ts'].map((name) =>
    JSON.stringify(import.meta.resolve(name)),
  );
  const start = `import(${loader}).then(({ register }) => { register(); return import(${entry}); })`;
  return new Worker(start, { eval: true, execArgv: [], workerData, transferList });
}
