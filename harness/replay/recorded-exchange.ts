/** The traffic of a recording as questions and answers, whatever connection they ran on. */
import type { WireConnection, WireStep } from '../trace/wire-traffic.ts';
import type { RequestPart } from './request-part.ts';
import { type ExchangeKind, RequestReader, type RequestStep } from './request-reader.ts';

/** What a provider did. */
export type ProviderAct =
  | { readonly kind: 'bytes'; readonly data: Buffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'break'; readonly code: string; readonly message: string };

/** An act, so long after a part of the request. */
export interface Answer {
  /** Index of the part of the request after which it came; `close`: the client's close frame. */
  readonly after: number | 'close';
  readonly delayUs: number;
  readonly act: ProviderAct;
}

export interface RecordedExchange {
  /** From 1, in the order in which the requests began. */
  readonly number: number;
  readonly beganUs: number;
  readonly endpoint: string;
  readonly kind: ExchangeKind;
  readonly parts: readonly RequestPart[];
  /** In the order in which they came. */
  readonly answers: readonly Answer[];
}

/** How a connection came about. */
export interface RecordedDial {
  readonly endpoint: string;
  readonly delayUs: number;
  readonly outcome:
    | { readonly kind: 'open' }
    /** Nobody answered until the client gave up. */
    | { readonly kind: 'abandoned' }
    | {
        readonly kind: 'refused';
        readonly code: string;
        readonly message: string;
        readonly hint: string;
      };
  /** What the provider did before it was asked for anything, from the instant at which the connection was there. */
  readonly opening: readonly { readonly delayUs: number; readonly act: ProviderAct }[];
}

export interface RecordedTraffic {
  /** In the order in which they were asked for. */
  readonly dials: readonly RecordedDial[];
  /** In the order of their numbers. */
  readonly exchanges: readonly RecordedExchange[];
}

export function recordedTraffic(connections: readonly WireConnection[]): RecordedTraffic {
  const read = connections.map((connection) => new ConnectionReader(connection));
  const exchanges = read
    .flatMap((reader) => reader.exchanges)
    .sort((a, b) => a.beganUs - b.beganUs)
    .map((exchange, index) => ({ ...exchange, number: index + 1 }));
  return { dials: read.map((reader) => reader.dial()), exchanges };
}

type Draft = Omit<RecordedExchange, 'number' | 'parts' | 'answers'> & {
  readonly parts: RequestPart[];
  readonly answers: Answer[];
};

/** Goes through one connection from its first line to its last. */
class ConnectionReader {
  readonly exchanges: Draft[] = [];
  readonly #opening: { delayUs: number; act: ProviderAct }[] = [];
  readonly #requests = new RequestReader();
  readonly #dialedUs: number;
  #endpoint = '';
  #outcome: RecordedDial['outcome'] = { kind: 'abandoned' };
  #settledUs: number;
  /** What answers are counted from: the part of the request that came last. */
  #anchor: { readonly atUs: number; readonly after: Answer['after'] } | undefined;

  constructor({ steps }: WireConnection) {
    this.#dialedUs = steps[0]?.atUs ?? 0;
    this.#settledUs = this.#dialedUs;
    for (const step of steps) this.#take(step);
  }

  dial(): RecordedDial {
    return {
      endpoint: this.#endpoint,
      delayUs: this.#settledUs - this.#dialedUs,
      outcome: this.#outcome,
      opening: this.#opening,
    };
  }

  #take(step: WireStep): void {
    const { atUs } = step;
    switch (step.type) {
      case 'dial':
        this.#endpoint = endpointOf(step);
        return;
      case 'open':
      case 'abandoned':
        this.#settle(atUs, { kind: step.type });
        return;
      case 'refused': {
        const { code, message, hint } = step;
        this.#settle(atUs, { kind: 'refused', code, message, hint });
        return;
      }
      case 'sent': {
        const { kind, last, data = Buffer.alloc(0) } = step;
        for (const request of this.#requests.push({ kind, last, bytes: data })) {
          this.#sent(atUs, request);
        }
        return;
      }
      case 'received':
        this.#answer(atUs, { kind: 'bytes', data: step.data ?? Buffer.alloc(0) });
        return;
      case 'end':
        this.#answer(atUs, { kind: 'end' });
        return;
      case 'broken':
        this.#answer(atUs, { kind: 'break', code: step.code, message: step.message });
        return;
      case 'closed':
    }
  }

  #settle(atUs: number, outcome: RecordedDial['outcome']): void {
    this.#settledUs = atUs;
    this.#outcome = outcome;
  }

  #sent(atUs: number, request: RequestStep): void {
    if (request.step === 'close') {
      this.#anchor = { atUs, after: 'close' };
      return;
    }
    if (request.step === 'begin') {
      const { kind } = request;
      const endpoint = this.#endpoint;
      this.exchanges.push({ beganUs: atUs, endpoint, kind, parts: [], answers: [] });
    }
    const { parts } = this.exchanges.at(-1)!;
    parts.push(request.part);
    this.#anchor = { atUs, after: parts.length - 1 };
  }

  #answer(atUs: number, act: ProviderAct): void {
    const exchange = this.exchanges.at(-1);
    if (exchange === undefined || this.#anchor === undefined) {
      this.#opening.push({ delayUs: atUs - this.#settledUs, act });
      return;
    }
    const { after, atUs: fromUs } = this.#anchor;
    exchange.answers.push({ after, delayUs: atUs - fromUs, act });
  }
}

export function endpointOf({
  host,
  port,
  secure,
}: {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
}): string {
  return `${secure ? 'tls' : 'tcp'}://${host}:${port}`;
}
