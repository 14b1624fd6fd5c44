/**
 * The thread of a {@link ThreadedProvider}: the recorded provider with an event loop of its own, in which nothing else
 * happens, so that what it does is done when it is due. Its clock has the instants of the clock of the thread that
 * started it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type ClockLag, clockLag } from '../clock/lag-watch.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { DialTarget } from '../network/network.ts';
import { NetworkError } from '../network/network-error.ts';
import type { ProviderAct, RecordedTraffic } from './recorded-exchange.ts';
import {
  type RecordedConnection,
  RecordedProvider,
  type ReplayDeviation,
} from './recorded-provider.ts';

/** What the thread is started with. */
export interface ProviderThreadData {
  readonly traffic: RecordedTraffic;
  readonly startNs: bigint;
}

/** What the clients do. Connections are numbered by who dials; instants are those of both clocks. */
export type ClientMessage =
  | {
      readonly kind: 'dial';
      readonly connection: number;
      readonly target: DialTarget;
      readonly atUs: number;
    }
  | {
      readonly kind: 'bytes';
      readonly connection: number;
      readonly data: Uint8Array;
      readonly atUs: number;
    }
  /** Nothing more is sent, or wanted. */
  | { readonly kind: 'close'; readonly connection: number }
  /** The conversation is over. Answered with `finished`. */
  | { readonly kind: 'finish' };

/** What the provider does. */
export type ProviderMessage =
  /** The first one: the thread hears what it is told. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'open'; readonly connection: number }
  | {
      readonly kind: 'refused';
      readonly connection: number;
      readonly code: NetworkError['code'];
      readonly message: string;
      readonly hint: string;
    }
  | { readonly kind: 'bytes'; readonly connection: number; readonly data: Uint8Array }
  | { readonly kind: 'end'; readonly connection: number }
  | {
      readonly kind: 'break';
      readonly connection: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'deviation'; readonly deviation: ReplayDeviation }
  /** How late pieces of answers were handed over; null when there were none. */
  | { readonly kind: 'finished'; readonly lag: ClockLag | null };

interface Call {
  readonly stop: AbortController;
  connection?: RecordedConnection;
}

const port = parentPort!;
const { traffic, startNs } = workerData as ProviderThreadData;
const clock = new SystemClock(startNs);
const latenessesUs: number[] = [];
const calls = new Map<number, Call>();
const provider = new RecordedProvider({
  traffic: withBuffers(traffic),
  clock,
  onDeviation: (deviation) => tell({ kind: 'deviation', deviation }),
  onPiece: (lateUs) => latenessesUs.push(lateUs),
});

port.on('message', (message: ClientMessage) => {
  if (message.kind === 'dial') {
    void answer(message);
  } else if (message.kind === 'bytes') {
    calls.get(message.connection)?.connection?.hear(bufferOf(message.data), message.atUs);
  } else if (message.kind === 'close') {
    const call = calls.get(message.connection);
    calls.delete(message.connection);
    call?.stop.abort();
    call?.connection?.close();
  } else {
    provider.finish();
    tell({ kind: 'finished', lag: clockLag(latenessesUs) });
  }
});

tell({ kind: 'ready' });

async function answer({
  connection,
  target,
  atUs,
}: ClientMessage & { kind: 'dial' }): Promise<void> {
  const call: Call = { stop: new AbortController() };
  calls.set(connection, call);
  try {
    const accept = await provider.answer(target, atUs, call.stop.signal);
    tell({ kind: 'open', connection });
    call.connection = accept({
      get closed() {
        return !calls.has(connection);
      },
      send: (bytes) => {
        // A message takes all of the memory that its bytes are a part of, so they get memory of their own.
        const data = new Uint8Array(bytes);
        tell({ kind: 'bytes', connection, data }, [data.buffer]);
      },
      end: () => tell({ kind: 'end', connection }),
      breakOff: (code, message) => tell({ kind: 'break', connection, code, message }),
    });
  } catch (error) {
    if (call.stop.signal.aborted) return;
    if (!(error instanceof NetworkError)) throw error;
    const { code, message, hint } = error;
    tell({ kind: 'refused', connection, code, message, hint });
  }
}

function tell(message: ProviderMessage, owned: ArrayBuffer[] = []): void {
  port.postMessage(message, owned);
}

/** Buffers come over as plain bytes. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function withBuffers({ dials, exchanges }: RecordedTraffic): RecordedTraffic {
  const act = (done: ProviderAct): ProviderAct =>
    done.kind === 'bytes' ? { kind: 'bytes', data: bufferOf(done.data) } : done;
  return {
    dials: dials.map((dial) => ({
      ...dial,
      opening: dial.opening.map((one) => ({ ...one, act: act(one.act) })),
    })),
    exchanges: exchanges.map((exchange) => ({
      ...exchange,
      parts: exchange.parts.map((part) => ({ ...part, bytes: bufferOf(part.bytes) })),
      answers: exchange.answers.map((one) => ({ ...one, act: act(one.act) })),
    })),
  };
}
