/** Sessions over real sockets, between three processes, and what is found out about each answer. */
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import type { BoardArrival } from './listening-board.ts';
import type {
  FirstFrame,
  ProviderWrite,
  SessionAnswer,
  SessionRequest,
  Talk,
  WaitLog,
} from './session-roles.ts';

/** A process that has a role. Asked one thing at a time. */
export interface SessionProcess {
  ask(request: SessionRequest): Promise<SessionAnswer>;
  /** Ends it at once. */
  stop(): void;
}

/** The way of the first frame of one answer, in µs. */
export interface AddedLatency {
  /** From the provider's byte that completed the frame, handed to its socket, to the frame at the board. */
  readonly wholeUs: number;
  /** The same without what its thread may have waited for a processor meanwhile: at least so much; undefined: the system does not tell. */
  readonly ownUs: number | undefined;
  /** Provider's socket → read by the server. */
  readonly toServerUs: number;
  /** Read by the server → frame written. */
  readonly inServerUs: number;
  /** Frame written → read by the board. */
  readonly toBoardUs: number;
}

/** Three processes with one provider, until they are stopped. */
export class Sessions {
  readonly #provider: SessionProcess;
  readonly #server: SessionProcess;
  readonly #boards: SessionProcess;

  private constructor(open: () => SessionProcess) {
    this.#provider = open();
    this.#server = open();
    this.#boards = open();
  }

  static async open(
    open: () => SessionProcess,
    entry: ProviderEntry,
    boards: number,
  ): Promise<Sessions> {
    const sessions = new Sessions(open);
    try {
      const provider = { kind: 'provider', entry } as const;
      const { at, mute } = expected(await sessions.#provider.ask(provider), 'provider');
      const server = expected(
        await sessions.#server.ask({ kind: 'server', entry, at, mute }),
        'server',
      );
      await sessions.#boards.ask({ kind: 'boards', server: server.at, boards });
      // Clips are spoken and the program is compiled in the first answers.
      await sessions.talk({ sessions: Math.min(8, boards), everyMs: 0, forMs: 1_500 });
      return sessions;
    } catch (error) {
      sessions.stop();
      throw error;
    }
  }

  /** One value for each answer whose first frame was followed all the way. */
  async talk(talk: Talk): Promise<AddedLatency[]> {
    const { arrivals } = expected(await this.#boards.ask({ kind: 'talk', talk }), 'talked');
    const { frames, waits } = expected(await this.#server.ask({ kind: 'take' }), 'frames');
    const { writes } = expected(await this.#provider.ask({ kind: 'take' }), 'writes');
    const boardWaits = expected(await this.#boards.ask({ kind: 'take' }), 'waits').waits;
    return addedLatencies({ arrivals, frames, writes, waits: [waits, boardWaits] });
  }

  stop(): void {
    for (const one of [this.#provider, this.#server, this.#boards]) one.stop();
  }
}

/** What the three processes saw. */
export interface SeenSessions {
  readonly arrivals: readonly BoardArrival[];
  readonly frames: readonly FirstFrame[];
  readonly writes: readonly ProviderWrite[];
  /** Of the server and of the boards. */
  readonly waits: readonly [WaitLog, WaitLog];
}

/**
 * Counted from the earliest write that has anything to do with the read that completed the frame, so that a server that is late,
 * and reads two pieces at once, is later for it and not sooner. Until the frame is written the server may wait for a processor, and
 * from then on the boards.
 */
export function addedLatencies({ arrivals, frames, writes, waits }: SeenSessions): AddedLatency[] {
  const arrived = new Map(arrivals.map((one) => [`${one.board}/${one.turn}`, one.atUs]));
  const written = new Map<number, ProviderWrite[]>();
  for (const write of writes) {
    const before = written.get(write.connection);
    if (before === undefined) written.set(write.connection, [write]);
    else before.push(write);
  }
  return frames.flatMap(({ board, turn, connection, behindBytes, arrivedUs, framedUs }) => {
    const atUs = arrived.get(`${board}/${turn}`);
    const write = written.get(connection)?.find(({ toBytes }) => toBytes > behindBytes);
    if (atUs === undefined || Number.isNaN(atUs) || write === undefined) return [];
    const wholeUs = atUs - write.atUs;
    const ownUs = ownPart(waits[0]!, write.atUs, framedUs) + ownPart(waits[1]!, framedUs, atUs);
    return [
      {
        wholeUs,
        ownUs: Number.isNaN(ownUs) ? undefined : ownUs,
        toServerUs: arrivedUs - write.atUs,
        inServerUs: framedUs - arrivedUs,
        toBoardUs: atUs - framedUs,
      },
    ];
  });
}

/** A span less what its thread waited in it; NaN: nobody looked. What was waited between two looks counts where it may have been. */
function ownPart(log: WaitLog, fromUs: number, toUs: number): number {
  if (log.length === 0) return Number.NaN;
  const before = lookBefore(log, fromUs);
  const last = log[lookBefore(log, toUs)];
  const next = log[before + 1];
  if (last === undefined || next === undefined || next[0] > toUs) return toUs - fromUs;
  const head = before < 0 ? 0 : Math.min(next[1] - log[before]![1], next[0] - fromUs);
  return Math.max(0, toUs - fromUs - head - (last[1] - next[1]));
}

/** Index of the last look not behind an instant; -1: there is none. */
function lookBefore(log: WaitLog, atUs: number): number {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (log[middle]![0] <= atUs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function expected<Kind extends SessionAnswer['kind']>(
  answer: SessionAnswer,
  kind: Kind,
): Extract<SessionAnswer, { kind: Kind }> {
  if (answer.kind !== kind) throw new Error(`A process of the bench answered ${answer.kind}.`);
  return answer as Extract<SessionAnswer, { kind: Kind }>;
}
