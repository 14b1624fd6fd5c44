import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { AdapterDeps } from '../speech-adapter.ts';
import { openWebSocket, type UpgradeRefusal } from './websocket.ts';

/** When a socket whose utterance ended in order may speak the next one. */
export interface WebSocketReuse {
  /** Idle time after which it is ended here, before the service would. */
  readonly idleMs: number;
  /** It must have stayed open this long first, where a service may also close it. */
  readonly settleMs?: number;
  /**
   * Whether a message may come between two utterances. Absent, none may. A socket on which anything
   * else comes is not used again: what carries no id of its utterance could be taken for the next.
   */
  harmless?(data: Buffer, binary: boolean): boolean;
}

/** An open socket without listeners that carries one utterance. */
export interface SpeechSocket {
  readonly socket: WebSocket;
  /** What it runs on. */
  readonly stream: Duplex;
  /** Of the answer to the upgrade; empty for a socket that is used again. */
  readonly headers: IncomingHttpHeaders;
  readonly reused: boolean;
}

/** A service that closes by itself after the final message gets this long to do so. */
const lingerMs = 1_000;

interface IdleSocket {
  readonly stream: Duplex;
  readonly usableFromUs: number;
  /** Hands the socket over, without listeners. */
  take(): void;
  end(): void;
}

/** The sockets of one session between two utterances. */
export class WebSocketConnections {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #connectLimitMs: number;
  readonly #reuse: WebSocketReuse | undefined;
  readonly #deps: AdapterDeps;
  readonly #idle = new Map<WebSocket, IdleSocket>();
  #closed = false;

  /** @param reuse absent: each utterance has a socket of its own, which the service closes */
  constructor(
    url: URL,
    headers: Readonly<Record<string, string>>,
    connectLimitMs: number,
    reuse: WebSocketReuse | undefined,
    deps: AdapterDeps,
  ) {
    this.#url = url;
    this.#headers = headers;
    this.#connectLimitMs = connectLimitMs;
    this.#reuse = reuse;
    this.#deps = deps;
  }

  /**
   * An idle socket when there is one that is still good, else a new one.
   *
   * @throws {SpeechError} as {@link openWebSocket}
   */
  async acquire(
    stopped: AbortSignal,
    onRefusal: (refusal: UpgradeRefusal) => Error,
  ): Promise<SpeechSocket> {
    const nowUs = this.#deps.clock.nowUs();
    // The one used last is the least likely to be closed in the instant of the next utterance.
    const kept = [...this.#idle].findLast(
      ([socket, idle]) => socket.readyState === socket.OPEN && nowUs >= idle.usableFromUs,
    );
    if (kept !== undefined && this.#reuse !== undefined) {
      const [socket, idle] = kept;
      idle.take();
      return { socket, stream: idle.stream, headers: {}, reused: true };
    }
    const { socket, stream, headers } = await openWebSocket(
      this.#url,
      this.#headers,
      this.#connectLimitMs,
      this.#deps,
      stopped,
      onRefusal,
    );
    return { socket, stream, headers, reused: false };
  }

  /** Takes back a socket without listeners whose utterance ended in order. */
  keep({ socket, stream }: Pick<SpeechSocket, 'socket' | 'stream'>): void {
    const { clock } = this.#deps;
    const { idleMs = lingerMs, settleMs = 0, harmless } = this.#reuse ?? {};
    const alarm = clock.after(idleMs * 1_000, () => idle.end());
    const idle: IdleSocket = {
      stream,
      usableFromUs: clock.nowUs() + settleMs * 1_000,
      take: () => {
        alarm.cancel();
        this.#idle.delete(socket);
        socket.removeAllListeners();
        socket.on('error', () => {});
      },
      end: () => {
        idle.take();
        discard(socket);
      },
    };
    this.#idle.set(socket, idle);
    socket.on('close', idle.end);
    socket.on('error', idle.end);
    if (this.#reuse !== undefined) {
      socket.on('message', (data, binary) => {
        if (harmless?.(bytesOf(data), binary) !== true) idle.end();
      });
    }
    if (this.#closed || socket.readyState === socket.CLOSED) idle.end();
  }

  close(): void {
    this.#closed = true;
    for (const idle of [...this.#idle.values()]) idle.end();
  }
}

/** Ends a socket at once, whatever it is doing. */
export function discard(socket: WebSocket): void {
  socket.removeAllListeners();
  // A socket that is being torn down still reports errors; nobody needs them.
  socket.on('error', () => {});
  socket.terminate();
}

export function bytesOf(data: RawData): Buffer {
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Uint8Array);
}
