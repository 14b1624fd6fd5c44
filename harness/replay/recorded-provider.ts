/**
 * A recording in the place of a provider, on the wire: the same bytes, as long after the request as they were.
 *
 * An answer is found by what was asked, not by the order: each part of a request narrows down the recorded ones that
 * are still to be answered, and of several that are the same the first is taken. What comes back is counted from the
 * part of the request that it followed, so an adapter that asks later gets its answer later.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import { Links } from '../network/laboratory-network.ts';
import { createStreamPair } from '../network/memory-stream.ts';
import type { Dialer, DialTarget } from '../network/network.ts';
import { NetworkError, type NetworkErrorCode } from '../network/network-error.ts';
import { createRandom } from '../random/random.ts';
import { acceptOf, ClientBytes, recordedKey } from './client-bytes.ts';
import {
  type Answer,
  endpointOf,
  type ProviderAct,
  type RecordedDial,
  type RecordedExchange,
  type RecordedTraffic,
} from './recorded-exchange.ts';
import {
  compareParts,
  describePart,
  type RequestDifference,
  type RequestPart,
} from './request-part.ts';
import { type ExchangeKind, RequestReader, type RequestStep } from './request-reader.ts';
import { sharedBytes } from './shared-bytes.ts';

/** How a replay parts from its recording. */
export interface ReplayDeviation {
  readonly code: ReplayDeviationCode;
  /** What, with the recorded and the new value, and what to try next. */
  readonly message: string;
  /** Of the recorded request that came nearest, or that was not made; null when nothing is comparable. */
  readonly exchange: number | null;
  readonly differences: readonly RequestDifference[];
}

export type ReplayDeviationCode =
  /** A request differs from every recorded one. */
  | 'REPLAY_REQUEST_DIFFERS'
  /** It was recorded, but not so many times. */
  | 'REPLAY_REQUEST_REPEATED'
  /** Nothing was ever asked of this endpoint. */
  | 'REPLAY_ENDPOINT_UNKNOWN'
  /** A recorded request was not made. */
  | 'REPLAY_REQUEST_MISSING';

export interface RecordedProviderOptions {
  readonly traffic: RecordedTraffic;
  readonly clock: Clock;
  /** Of a clock in virtual time, which waits for what moves in memory. */
  readonly noteActivity?: () => void;
  onDeviation(deviation: ReplayDeviation): void;
  /** A piece of an answer was handed over, so much after it was due. */
  readonly onPiece?: (lateUs: number) => void;
}

/** The provider's end of a connection, whatever carries it. */
export interface ProviderEnd {
  /** Nothing reaches the client any more. */
  readonly closed: boolean;
  send(data: Buffer): void;
  end(): void;
  /** The client sees a broken connection, with the error of its socket. */
  breakOff(code: string, message: string): void;
}

/** A connection as it goes on: what its carrier tells of the client. */
export interface RecordedConnection {
  /** @param atUs when the client sent it */
  hear(chunk: Buffer, atUs: number): void;
  /** The client is gone. */
  close(): void;
}

export class RecordedProvider implements Dialer {
  readonly #options: RecordedProviderOptions;
  readonly #dials: RecordedDial[];
  readonly #open: RecordedExchange[];
  readonly #live = new Set<LiveExchange>();
  readonly #streams = new Set<Duplex>();
  /** Connect times of the endpoints, for connections beyond those that were recorded. */
  readonly #connectUs = new Map<string, number>();
  /** The time on the way is in the recording, so these have none. */
  readonly #links: Links;

  constructor(options: RecordedProviderOptions) {
    this.#options = options;
    this.#links = new Links(options.clock, createRandom(0, 'replay'));
    this.#dials = [...options.traffic.dials];
    this.#open = [...options.traffic.exchanges];
    for (const { endpoint, delayUs, outcome } of this.#dials) {
      if (outcome.kind === 'open') this.#connectUs.set(endpoint, delayUs);
    }
  }

  /**
   * Connections to one endpoint come about as they did, one after the other.
   *
   * @throws {NetworkError} where the recorded one was refused, or when nothing was recorded of this endpoint
   */
  async dial(target: DialTarget, signal?: AbortSignal): Promise<Duplex> {
    const { clock, noteActivity = () => {} } = this.#options;
    const accept = await this.answer(target, clock.nowUs(), signal);
    const { client, server } = createStreamPair(noteActivity);
    // Within one instant things happen in the order that they have over any other link.
    const stream = this.#links.dialed(target, client);
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    const connection = accept(memoryEnd(server, client));
    server.on('data', (chunk: Buffer) => connection.hear(chunk, clock.nowUs()));
    server.on('error', () => {});
    // A client that has closed gets nothing more.
    server.on('end', () => server.end());
    server.on('close', () => connection.close());
    return stream;
  }

  /**
   * Answers a call as the recorded one was answered, for whoever carries the connection.
   *
   * @param askedUs when the client called
   * @returns what the carrier gets its connection from, once the client can write to it
   * @throws {NetworkError} as {@link dial}
   */
  async answer(
    target: DialTarget,
    askedUs: number,
    signal?: AbortSignal,
  ): Promise<(end: ProviderEnd) => RecordedConnection> {
    const { clock } = this.#options;
    const endpoint = endpointOf(target);
    const { outcome, delayUs, opening } = this.#takeDial(endpoint);
    if (outcome.kind === 'abandoned') return await forever(signal);
    await clock.sleep(askedUs + delayUs - clock.nowUs(), signal);
    if (outcome.kind === 'refused') {
      throw new NetworkError(outcome.code as NetworkErrorCode, outcome.message, outcome.hint);
    }
    return (end) => {
      const connection = new LiveConnection({ ...this.#means(endpoint), end });
      connection.open(opening);
      return connection;
    };
  }

  /** Tells which recorded requests were not made. To be called when the conversation is over. */
  finish(): void {
    const claimed = new Set([...this.#live].map(({ claim }) => claim));
    for (const exchange of this.#open) {
      if (claimed.has(exchange)) continue;
      this.#options.onDeviation({
        code: 'REPLAY_REQUEST_MISSING',
        message: `Recorded request ${exchange.number} was not made: ${describeExchange(exchange)}. The conversation went another way than the recorded one.`,
        exchange: exchange.number,
        differences: [],
      });
    }
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  #takeDial(endpoint: string): RecordedDial {
    const at = this.#dials.findIndex((dial) => dial.endpoint === endpoint);
    if (at >= 0) return this.#dials.splice(at, 1)[0]!;
    const delayUs = this.#connectUs.get(endpoint);
    if (delayUs !== undefined) return { endpoint, delayUs, outcome: { kind: 'open' }, opening: [] };
    const known = [...new Set(this.#options.traffic.dials.map((dial) => dial.endpoint))];
    const message = `Nothing was recorded of ${endpoint}. The recording has: ${known.join(', ') || 'no connection at all'}.`;
    this.#options.onDeviation({
      code: 'REPLAY_ENDPOINT_UNKNOWN',
      message,
      exchange: null,
      differences: [],
    });
    const hint = 'Record again with this configuration.';
    const outcome = { kind: 'refused', code: 'NETWORK_REFUSED', message, hint } as const;
    return { endpoint, delayUs: 0, outcome, opening: [] };
  }

  #means(endpoint: string): Omit<LiveConnectionOptions, 'end'> {
    const { clock, onPiece = () => {} } = this.#options;
    return {
      clock,
      onPiece,
      begin: (kind, stream) => {
        const live = new LiveExchange(kind, endpoint, stream);
        this.#live.add(live);
        return live;
      },
      heard: (live, isWhole) => this.#heard(live, isWhole),
    };
  }

  /**
   * A part of a live request has come: is there still an answer for it?
   *
   * @param isWhole nothing more belongs to the request, or it is not known what does
   */
  #heard(live: LiveExchange, isWhole: boolean): boolean {
    if (live.claim !== undefined && live.fits(live.claim)) return true;
    const taken = new Map<RecordedExchange, LiveExchange>();
    for (const other of this.#live) {
      if (other !== live && other.claim !== undefined) taken.set(other.claim, other);
    }
    const fitting = this.#open.filter((exchange) => live.fits(exchange));
    const free = fitting.find((exchange) => !taken.has(exchange));
    if (free !== undefined) {
      live.take(free);
      return true;
    }
    // Two that began alike have taken each other's.
    for (const exchange of fitting) {
      const holder = taken.get(exchange)!;
      const instead = this.#open.find(
        (other) => (other === live.claim || !taken.has(other)) && holder.fits(other),
      );
      if (instead === undefined) continue;
      live.take(exchange);
      holder.take(instead);
      return true;
    }
    // What is said about a request is said when all of it is there.
    if (!isWhole) return true;
    this.#options.onDeviation(this.#deviation(live, fitting));
    this.#live.delete(live);
    return false;
  }

  #deviation(live: LiveExchange, fitting: readonly RecordedExchange[]): ReplayDeviation {
    const asked = live.parts.map(describePart).join(' ');
    const [same] = fitting;
    if (same !== undefined) {
      return {
        code: 'REPLAY_REQUEST_REPEATED',
        message: `A request was recorded ${times(fitting.length)} and is made once more: ${asked}. A retry, or a turn more than in the recording.`,
        exchange: same.number,
        differences: [],
      };
    }
    const claimed = new Set(
      [...this.#live].filter((other) => other !== live).map(({ claim }) => claim),
    );
    const nearest = this.#open
      .filter((exchange) => exchange.kind === live.kind)
      .map((exchange) => ({ exchange, differences: live.differences(exchange) }))
      // Of equally near ones the one that still waits for its request is meant.
      .sort(
        (a, b) =>
          a.differences.length - b.differences.length ||
          Number(claimed.has(a.exchange)) - Number(claimed.has(b.exchange)),
      )[0];
    if (nearest === undefined) {
      return {
        code: 'REPLAY_REQUEST_DIFFERS',
        message: `Nothing like this request was recorded: ${asked}.`,
        exchange: null,
        differences: [],
      };
    }
    const { exchange, differences } = nearest;
    const lines = differences.map(
      ({ where, recorded, now }) =>
        `${where}: recorded ${recorded ?? 'nothing'}, now ${now ?? 'nothing'}`,
    );
    return {
      code: 'REPLAY_REQUEST_DIFFERS',
      message: `A request differs from recorded request ${exchange.number}, the nearest. ${lines.join('; ')}. Record again when the change is meant.`,
      exchange: exchange.number,
      differences,
    };
  }
}

function memoryEnd(server: Duplex, client: Duplex): ProviderEnd {
  return {
    get closed() {
      return server.destroyed;
    },
    send: (data) => void server.write(data),
    end: () => void server.end(),
    breakOff: (code, message) => void client.destroy(Object.assign(new Error(message), { code })),
  };
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function describeExchange({ parts }: RecordedExchange): string {
  return parts.map(describePart).join(' ');
}

function forever(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

interface Due {
  readonly dueUs: number;
  readonly act: ProviderAct;
}

/** A request as it is being made, and the recorded one whose answer it gets. */
class LiveExchange {
  readonly kind: ExchangeKind;
  readonly endpoint: string;
  readonly #connection: LiveConnection;
  readonly parts: RequestPart[] = [];
  readonly #atUs: number[] = [];
  #closedUs: number | undefined;
  claim: RecordedExchange | undefined;
  /** Answers that have been handed to the connection. */
  #given = 0;

  constructor(kind: ExchangeKind, endpoint: string, connection: LiveConnection) {
    this.kind = kind;
    this.endpoint = endpoint;
    this.#connection = connection;
  }

  add(part: RequestPart, atUs: number): void {
    this.parts.push(part);
    this.#atUs.push(atUs);
  }

  close(atUs: number): void {
    this.#closedUs = atUs;
    this.advance();
  }

  /** Whether what has been asked so far is the beginning of a recorded request. */
  fits(exchange: RecordedExchange): boolean {
    return this.#comparable(exchange) && this.differences(exchange).length === 0;
  }

  differences(exchange: RecordedExchange): RequestDifference[] {
    const endpoint =
      exchange.endpoint === this.endpoint
        ? []
        : [{ where: 'endpoint', recorded: exchange.endpoint, now: this.endpoint }];
    const parts = this.parts.flatMap((part, index): readonly RequestDifference[] => {
      const recorded = exchange.parts[index];
      if (recorded !== undefined) return compareParts(recorded, part, index).differences;
      const now = describePart(part);
      return [{ where: `part ${index + 1}`, recorded: undefined, now }];
    });
    return [...endpoint, ...parts];
  }

  take(exchange: RecordedExchange): void {
    this.claim = exchange;
  }

  /** Hands the connection every answer whose part of the request has come. */
  advance(): void {
    const { claim } = this;
    if (claim === undefined) return;
    const answers = this.#inMyWords(claim);
    const due: Due[] = [];
    for (; this.#given < answers.length; this.#given++) {
      const { after, delayUs, act } = answers[this.#given]!;
      const fromUs = after === 'close' ? this.#closedUs : this.#atUs[after];
      if (fromUs === undefined) break;
      due.push({ dueUs: fromUs + delayUs, act });
    }
    this.#connection.owe(due);
  }

  /** The answers with the ids of this request in place of the recorded ones, where they are of one length. */
  #inMyWords(exchange: RecordedExchange): readonly Answer[] {
    const ids = this.parts.flatMap((part, index) => {
      const recorded = exchange.parts[index];
      return recorded === undefined ? [] : compareParts(recorded, part, index).ids;
    });
    const { key } = this.#connection;
    const accept =
      this.kind === 'handshake' && key !== undefined
        ? [[acceptOf(recordedKey), acceptOf(key)] as const]
        : [];
    const words = [...ids, ...accept].filter(([before, now]) => before.length === now.length);
    if (words.length === 0) return exchange.answers;
    return withWords(exchange.answers, words);
  }

  #comparable(exchange: RecordedExchange): boolean {
    return exchange.kind === this.kind && exchange.endpoint === this.endpoint;
  }
}

/**
 * Replaces words in the bytes of all answers together: one may be cut by the boundary of two pieces. In memory that a
 * thread can hand on without another copy, as that of a recording which was handed to it.
 */
function withWords(
  answers: readonly Answer[],
  words: readonly (readonly [string, string])[],
): readonly Answer[] {
  const recorded = answers.flatMap(({ act }) => (act.kind === 'bytes' ? [act.data] : []));
  const all = sharedBytes(recorded);
  for (const [before, now] of words) {
    const [find, put] = [Buffer.from(before), Buffer.from(now)];
    for (let at = all.indexOf(find); at >= 0; at = all.indexOf(find, at + find.length)) {
      put.copy(all, at);
    }
  }
  let offset = 0;
  return answers.map((answer) => {
    if (answer.act.kind !== 'bytes') return answer;
    const data = all.subarray(offset, offset + answer.act.data.length);
    offset += data.length;
    return { ...answer, act: { kind: 'bytes', data } };
  });
}

interface LiveConnectionOptions
  extends Required<Pick<RecordedProviderOptions, 'clock' | 'onPiece'>> {
  readonly end: ProviderEnd;
  begin(kind: ExchangeKind, connection: LiveConnection): LiveExchange;
  /** @returns false: there is no answer, and the connection is to be broken */
  heard(live: LiveExchange, isWhole: boolean): boolean;
}

/** What the provider does on one connection. */
class LiveConnection implements RecordedConnection {
  readonly #options: LiveConnectionOptions;
  readonly #bytes = new ClientBytes();
  readonly #requests = new RequestReader();
  readonly #due: Due[] = [];
  #current: LiveExchange | undefined;
  #key: string | undefined;
  #lastDueUs = 0;
  #waiting = false;

  constructor(options: LiveConnectionOptions) {
    this.#options = options;
  }

  /** Of the handshake, if there was one. */
  get key(): string | undefined {
    return this.#key;
  }

  open(opening: RecordedDial['opening']): void {
    const nowUs = this.#options.clock.nowUs();
    this.owe(opening.map(({ delayUs, act }) => ({ dueUs: nowUs + delayUs, act })));
  }

  /** Acts happen in the order in which they are owed. */
  owe(acts: readonly Due[]): void {
    for (const { dueUs, act } of acts) {
      this.#lastDueUs = Math.max(this.#lastDueUs, dueUs);
      this.#due.push({ dueUs: this.#lastDueUs, act });
    }
    this.#pay();
  }

  hear(chunk: Buffer, atUs: number): void {
    for (const part of this.#bytes.push(chunk)) {
      this.#key = this.#bytes.pendingKey ?? this.#key;
      for (const step of this.#requests.push(part)) this.#ask(step, part.last, atUs);
    }
  }

  close(): void {
    this.#due.splice(0);
  }

  #ask(step: RequestStep, isWhole: boolean, atUs: number): void {
    const { begin, heard, end } = this.#options;
    if (step.step === 'close') {
      this.#current?.close(atUs);
      return;
    }
    if (step.step === 'begin') {
      // That the provider closes an idle connection was not recorded of one that is used again.
      const last = this.#due.findIndex(({ act }) => act.kind !== 'bytes');
      if (last >= 0) this.#due.splice(last);
      this.#current = begin(step.kind, this);
    }
    const current = this.#current;
    if (current === undefined) return;
    current.add(step.part, atUs);
    if (heard(current, isWhole)) current.advance();
    else end.breakOff('ECONNRESET', 'read ECONNRESET');
  }

  /** What is due at once is done at once, so that it comes before what the client does next in this instant. */
  #pay(): void {
    const { clock, end } = this.#options;
    for (;;) {
      const next = this.#due[0];
      if (next === undefined || this.#waiting || end.closed) return;
      const waitUs = next.dueUs - clock.nowUs();
      if (waitUs > 0) {
        this.#wait(waitUs);
        return;
      }
      this.#due.shift();
      this.#act(next);
      // A second piece of one instant came by itself; an end belongs to what was written before it.
      if (this.#due[0]?.act.kind === 'bytes') this.#wait(0);
    }
  }

  #wait(delayUs: number): void {
    this.#waiting = true;
    this.#options.clock.after(delayUs, () => {
      this.#waiting = false;
      this.#pay();
    });
  }

  #act({ dueUs, act }: Due): void {
    const { clock, end, onPiece } = this.#options;
    if (act.kind === 'end') end.end();
    else if (act.kind === 'break') end.breakOff(act.code, act.message);
    else {
      end.send(act.data);
      onPiece(clock.nowUs() - dueUs);
      if (this.#bytes.pendingKey !== undefined) this.#answer(act.data);
    }
  }

  /** The answer to a handshake says how the client goes on. */
  #answer(data: Buffer): void {
    const status = Number(data.toString('latin1', 9, 12));
    const nowUs = this.#options.clock.nowUs();
    for (const part of this.#bytes.answered(status)) {
      for (const step of this.#requests.push(part)) this.#ask(step, part.last, nowUs);
    }
  }
}
