/**
 * The connections of the server before they belong to a board: how many there are, how long they may take to say what they want, and
 * who was not let in.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { ServerEvent } from './server-event.ts';
import type { RefusalCode, ServerLimits } from './server-limits.ts';

export interface Refusal {
  readonly status: number;
  readonly reason: string;
  /** Of a limit or a rule of this server; absent: a request that no server understands. */
  readonly code?: RefusalCode;
}

/** Refusals of one kind are told once in this time, with how many there were. */
const refusalReportUs = 1_000_000;

/** A refused client has this long to read why. */
const refusalReadUs = 1_000_000;

export class FrontDoor {
  readonly #clock: Clock;
  readonly #limits: ServerLimits;
  readonly #report: (event: ServerEvent) => void;
  readonly #streams = new Set<Duplex>();
  /** Those that have not said what they want, oldest first. */
  readonly #waiting = new Map<Duplex, Alarm>();
  readonly #told = new Map<RefusalCode, { atUs: number; untold: number }>();

  constructor(clock: Clock, limits: ServerLimits, report: (event: ServerEvent) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#report = report;
  }

  /** @returns whether the connection is taken; otherwise it has been refused */
  enter(stream: Duplex): boolean {
    const { connections, handshakes, handshakeMs } = this.#limits;
    if (this.#streams.size >= connections) {
      stream.on('error', () => {});
      this.refuse(stream, {
        status: 503,
        code: 'SERVER_CONNECTIONS',
        reason: `This server has ${connections} connections and takes no more.`,
      });
      return false;
    }
    this.#streams.add(stream);
    stream.once('close', () => {
      this.#streams.delete(stream);
      this.settle(stream);
    });
    this.#waiting.set(stream, this.#expectation(stream, handshakeMs));
    if (this.#waiting.size > handshakes) {
      const [oldest] = this.#waiting.keys();
      this.#giveUp(oldest!, `${handshakes} connections have asked for nothing; it was the oldest.`);
    }
    return true;
  }

  /** The client has said what it wants. */
  settle(stream: Duplex): void {
    this.#waiting.get(stream)?.cancel();
    this.#waiting.delete(stream);
  }

  /** It is being answered, and has to read the answer in time. */
  answer(stream: Duplex): void {
    this.settle(stream);
    this.#endWithin(stream, this.#limits.answerMs * 1000);
  }

  refuse(stream: Duplex, refusal: Refusal): void {
    this.settle(stream);
    this.tell(refusal);
    const body = `${refusal.reason}\n`;
    stream.once('finish', () => stream.destroy());
    stream.end(
      [
        `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
        ...(refusal.status === 401 ? ['WWW-Authenticate: Bearer'] : []),
        'Connection: close',
        'Content-Type: text/plain; charset=utf-8',
        `Content-Length: ${Buffer.byteLength(body)}`,
        '',
        body,
      ].join('\r\n'),
    );
    this.#endWithin(stream, refusalReadUs);
  }

  /** Reports a refusal that has a code; many within a second are one report. */
  tell({ status, code, reason }: Refusal): void {
    if (code === undefined) return;
    const atUs = this.#clock.nowUs();
    const told = this.#told.get(code);
    if (told !== undefined && atUs - told.atUs < refusalReportUs) {
      told.untold += 1;
      return;
    }
    const more = told?.untold ?? 0;
    this.#told.set(code, { atUs, untold: 0 });
    this.#report({
      type: 'refused',
      atUs,
      status,
      code,
      message:
        more === 0 ? reason : `${reason} Since the last report, ${more} more were refused so.`,
    });
  }

  /** Ends everything. */
  close(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  #expectation(stream: Duplex, handshakeMs: number): Alarm {
    return this.#clock.after(handshakeMs * 1000, () =>
      this.#giveUp(stream, `It sent no complete request in ${handshakeMs} ms.`),
    );
  }

  #giveUp(stream: Duplex, reason: string): void {
    this.settle(stream);
    this.tell({ status: 408, code: 'SERVER_HANDSHAKE_TIMEOUT', reason });
    stream.destroy();
  }

  #endWithin(stream: Duplex, limitUs: number): void {
    if (stream.destroyed) return;
    const alarm = this.#clock.after(limitUs, () => stream.destroy());
    stream.once('close', () => alarm.cancel());
  }
}

/**
 * Whether a page of another site asks: browsers let every page open WebSockets to this machine, and say where it is from.
 * Boards send no `Origin` (section 1.4).
 */
export function isForeignPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return false;
  if (!URL.canParse(origin)) return true;
  const page = new URL(origin);
  return page.host !== host && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(page.hostname);
}
