import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import type { AdapterDeps } from '../speech-adapter.ts';
import { dial, targetOf } from './dial.ts';

/**
 * Idle time after which a connection is not used again, when the server names none. A server that
 * closes in the instant of a new request makes that request fail, and nothing is retried here.
 */
const reuseIdleMs = 30_000;

/** One connection that carries one request after the other. Own it from `acquire` to `free`. */
export interface HttpConnection {
  readonly stream: Duplex;
  /** Gives `http.request` this connection and keeps it afterwards when the protocol allows. */
  readonly agent: OneStreamAgent;
  readonly reused: boolean;
}

/** The connections of one session to its one server, kept open between requests. */
export class HttpConnections {
  readonly #url: URL;
  readonly #connectLimitMs: number;
  readonly #deps: AdapterDeps;
  readonly #open = new Set<Duplex>();
  readonly #idle: { stream: Duplex; agent: OneStreamAgent; untilUs: number }[] = [];

  constructor(url: URL, connectLimitMs: number, deps: AdapterDeps) {
    this.#url = url;
    this.#connectLimitMs = connectLimitMs;
    this.#deps = deps;
  }

  /**
   * An idle connection when there is one that is still good, else a new one.
   *
   * @throws {SpeechError} as {@link dial}
   */
  async acquire(stopped: AbortSignal): Promise<HttpConnection> {
    for (;;) {
      // The one used last is the least likely to have been given up by the server.
      const kept = this.#idle.pop();
      if (kept === undefined) break;
      if (
        !kept.stream.destroyed &&
        kept.stream.writable &&
        this.#deps.clock.nowUs() < kept.untilUs
      ) {
        return { stream: kept.stream, agent: kept.agent, reused: true };
      }
      kept.stream.destroy();
    }
    const stream = await dial(targetOf(this.#url), this.#connectLimitMs, this.#deps, stopped);
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    const agent = new OneStreamAgent(stream);
    // Emitted by http when an answer was read to its end and both sides keep the connection.
    agent.on('free', () => {
      if (stream.destroyed) return;
      const untilUs = this.#deps.clock.nowUs() + agent.reuseIdleMs * 1_000;
      this.#idle.push({ stream, agent, untilUs });
    });
    return { stream, agent, reused: false };
  }

  close(): void {
    for (const stream of this.#open) stream.destroy();
    this.#idle.length = 0;
  }
}

/**
 * An agent that knows a single, already open stream. It leaves to Node what a connection needs
 * between two requests, without Node's own pool, dialling and real-time time-outs.
 */
export class OneStreamAgent extends Agent {
  readonly #stream: Duplex;
  #reuseIdleMs = reuseIdleMs;

  constructor(stream: Duplex) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#stream = stream;
  }

  get reuseIdleMs(): number {
    return this.#reuseIdleMs;
  }

  /** Takes the server's `Keep-Alive: timeout=…`, less a second for the way. */
  heed(keepAlive: string | string[] | undefined): void {
    const seconds = /(?:^|,)\s*timeout=(\d+)/.exec(String(keepAlive))?.[1];
    if (seconds !== undefined) this.#reuseIdleMs = Math.max(0, Number(seconds) * 1_000 - 1_000);
  }

  override createConnection(): Duplex {
    return this.#stream;
  }
}
