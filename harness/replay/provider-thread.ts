/**
 * The thread of a {@link ThreadedProvider}: the recorded provider with a thread of its own, in which nothing else
 * happens, so that what it does is done when it is due. It blocks until then, or until the bell tells of a message. Its
 * clock has the instants of the clock of the thread that started it.
 */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { eventLoopTurn } from '../clock/event-loop.ts';
import { type ClockLag, clockLag } from '../clock/lag-watch.ts';
import { ProcessorWait } from '../clock/processor-wait.ts';
import { type Bell, WaitingClock } from '../clock/waiting-clock.ts';
import type { DialTarget } from '../network/network.ts';
import { NetworkError } from '../network/network-error.ts';
import type { ProviderAct, RecordedTraffic } from './recorded-exchange.ts';
import {
  type RecordedConnection,
  RecordedProvider,
  type ReplayDeviation,
} from './recorded-provider.ts';
import { rehearse } from './rehearsal.ts';

/** How late pieces of answers were handed over. */
export interface ReplayLag extends ClockLag {
  /**
   * p99 without the time in which the thread waited for a processor since it last lay down to wait: what is left is its
   * own. Absent where the system does not tell.
   */
  readonly ownP99Us?: number;
}

/** What the thread is started with. */
export interface ProviderThreadData {
  readonly traffic: RecordedTraffic;
  readonly startNs: bigint;
  /** Carries messages both ways. */
  readonly port: MessagePort;
  /** Rung behind every {@link ClientMessage}. */
  readonly bell: Bell;
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
  /** `lag`: null when there were no pieces. */
  | { readonly kind: 'finished'; readonly lag: ReplayLag | null };

interface Call {
  readonly stop: AbortController;
  connection?: RecordedConnection;
}

const { traffic, startNs, port, bell } = workerData as ProviderThreadData;
const clock = new WaitingClock(startNs);
const processorWait = ProcessorWait.ofThisThread();
/** What it was when the thread last lay down to wait. */
let waitedUs = 0;
const latenessesUs: number[] = [];
const ownUs: number[] = [];
const calls = new Map<number, Call>();
const recorded = withBuffers(traffic);
const provider = new RecordedProvider({
  traffic: recorded,
  clock,
  onDeviation: (deviation) => tell({ kind: 'deviation', deviation }),
  onPiece: (lateUs) => {
    latenessesUs.push(lateUs);
    if (processorWait === undefined) return;
    ownUs.push(Math.max(0, Math.floor(lateUs - (processorWait.waitedUs() - waitedUs))));
  },
});

// To a port that nobody has the other end of.
const nowhere = new MessageChannel();
nowhere.port2.close();
await rehearse(recorded, clock, (data) => nowhere.port1.postMessage({ kind: 'bytes', data }));
tell({ kind: 'ready' });
for (;;) {
  const heard = Atomics.load(bell, 0);
  const wasTold = hearAll();
  // Promises go on in a turn of the event loop, and only then is it known how long there is nothing to do.
  if (clock.fireDue() || wasTold) {
    await eventLoopTurn();
    continue;
  }
  waitedUs = processorWait?.waitedUs() ?? 0;
  clock.wait(bell, heard);
}

/** @returns whether there was anything */
function hearAll(): boolean {
  for (let wasTold = false; ; wasTold = true) {
    const received = receiveMessageOnPort(port) as { readonly message: ClientMessage } | undefined;
    if (received === undefined) return wasTold;
    hear(received.message);
  }
}

function hear(message: ClientMessage): void {
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
    const lag = clockLag(latenessesUs);
    const own = clockLag(ownUs);
    tell({
      kind: 'finished',
      lag: lag === null ? null : { ...lag, ...(own !== null && { ownP99Us: own.p99Us }) },
    });
  }
}

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
      // Answers lie in shared memory, so the message has none of it.
      send: (data) => tell({ kind: 'bytes', connection, data }),
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

function tell(message: ProviderMessage): void {
  port.postMessage(message);
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
