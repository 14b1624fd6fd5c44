/** What passes through a bridge, counted: messages and bytes of content, and what the line cost. */
import type { SerialLinkEndpoint } from '../../firmware-protocol/index.ts';
import type { BridgeEvent } from './serial-link-bridge.ts';

export interface Flow {
  readonly messages: number;
  /** Of content, as the server sends and gets it. */
  readonly bytes: number;
}

export interface BridgeTraffic {
  readonly atUs: number;
  readonly seconds: number;
  readonly toServer: Flow;
  /** What has arrived at the board, as far as it has acknowledged. */
  readonly toBoard: Flow;
  /** Messages that could not be relayed. */
  readonly notRelayed: number;
  /** Frames to the board that were sent once more. */
  readonly repeated: number;
  /** Frames from the board that were damaged, or that it sent once more. */
  readonly damaged: number;
  readonly sentAgain: number;
}

type Counts = Omit<BridgeTraffic, 'atUs' | 'seconds'>;

const nothing: Counts = {
  toServer: { messages: 0, bytes: 0 },
  toBoard: { messages: 0, bytes: 0 },
  notRelayed: 0,
  repeated: 0,
  damaged: 0,
  sentAgain: 0,
};

export class BridgeMeter {
  readonly #startUs: number;
  #relayed: Counts = nothing;
  /** Of links whose port is gone. */
  #before = { repeated: 0, damaged: 0, sentAgain: 0 };
  #endpoint: SerialLinkEndpoint | undefined;
  #last: Counts = nothing;
  #lastUs: number;

  constructor(startUs: number) {
    this.#startUs = startUs;
    this.#lastUs = startUs;
  }

  /** The link from now on. */
  follow(endpoint: SerialLinkEndpoint): void {
    this.#before = this.#line();
    this.#endpoint = endpoint;
  }

  hear(event: BridgeEvent): void {
    const counts = this.#relayed;
    if (event.kind === 'relayed' && event.to === 'server') {
      this.#relayed = { ...counts, toServer: plus(counts.toServer, event.bytes) };
    } else if (event.kind === 'delivered') {
      this.#relayed = { ...counts, toBoard: plus(counts.toBoard, event.event.length) };
    } else if (event.kind === 'not-relayed') {
      this.#relayed = { ...counts, notRelayed: counts.notRelayed + 1 };
    }
  }

  /** Since the beginning. */
  total(atUs: number): BridgeTraffic {
    return { atUs, seconds: (atUs - this.#startUs) / 1_000_000, ...this.#counts() };
  }

  /** Since the last time; undefined when nothing has passed, and then the time goes on. */
  since(atUs: number): BridgeTraffic | undefined {
    const now = this.#counts();
    const last = this.#last;
    const flow = (key: 'toServer' | 'toBoard'): Flow => ({
      messages: now[key].messages - last[key].messages,
      bytes: now[key].bytes - last[key].bytes,
    });
    const traffic = {
      atUs,
      seconds: (atUs - this.#lastUs) / 1_000_000,
      toServer: flow('toServer'),
      toBoard: flow('toBoard'),
      notRelayed: now.notRelayed - last.notRelayed,
      repeated: now.repeated - last.repeated,
      damaged: now.damaged - last.damaged,
      sentAgain: now.sentAgain - last.sentAgain,
    };
    this.#lastUs = atUs;
    this.#last = now;
    const { toServer, toBoard, notRelayed } = traffic;
    return toServer.messages + toBoard.messages + notRelayed === 0 ? undefined : traffic;
  }

  #counts(): Counts {
    return { ...this.#relayed, ...this.#line() };
  }

  #line(): Pick<Counts, 'repeated' | 'damaged' | 'sentAgain'> {
    const { repeated, damaged, sentAgain } = this.#before;
    if (this.#endpoint === undefined) return this.#before;
    const { statistics, counts } = this.#endpoint;
    return {
      repeated: repeated + statistics.framesRepeated,
      damaged: damaged + Object.values(counts.damaged).reduce((sum, count) => sum + count, 0),
      sentAgain: sentAgain + statistics.duplicates,
    };
  }
}

function plus({ messages, bytes }: Flow, more: number): Flow {
  return { messages: messages + 1, bytes: bytes + more };
}
