/** Spans in which a board does nothing a user could see, and which quirk they are. */
import type { Entry } from './behaviour-player.contract.ts';
import { BoardHistory } from './board-history.contract.ts';
import type { DeviceProfile } from './device-profile.ts';
import type { QuirkId } from './quirk.ts';

export interface DeadLock {
  /** Absent: none explains it. */
  readonly quirk: QuirkId | undefined;
  readonly why: string;
  readonly fromUs: number;
  readonly untilUs: number;
}

const second = 1_000_000;
/** A wait for the handshake, or for the hello, that is longer is one of these. */
const patienceUs = 10 * second;
/** `Waiting` for longer, and the main loop in the middle of something. */
const waitingUs = 62 * second;

type Suspicion = Omit<DeadLock, 'untilUs'> & { readonly limitUs: number };

export function deadLocksOf(entries: readonly Entry[], profile: DeviceProfile): DeadLock[] {
  const history = new BoardHistory(profile);
  const found: DeadLock[] = [];
  let open: Suspicion | undefined;
  for (const entry of entries) {
    history.add(entry);
    const next = suspicion(history);
    if (open !== undefined && (next?.why !== open.why || next.fromUs !== open.fromUs)) {
      const { limitUs, ...lock } = open;
      if (entry.atUs - open.fromUs > limitUs) found.push({ ...lock, untilUs: entry.atUs });
    }
    open = next;
  }
  return found;
}

/** What the board is doing now that could last for ever. */
function suspicion(history: BoardHistory): Suspicion | undefined {
  const { wait, waitSinceUs, stalledSinceUs, state, stateSinceUs } = history;
  if (wait === 'handshake') {
    const why = 'the server does not answer the handshake';
    return { quirk: 'Q40', why, fromUs: waitSinceUs, limitUs: patienceUs };
  }
  if (!history.running) return undefined;
  if (wait === 'hello' && stalledSinceUs !== undefined) {
    const why = 'the player waits for the main loop, the main loop for the hello';
    return { quirk: 'Q20', why, fromUs: stalledSinceUs, limitUs: patienceUs };
  }
  if (wait === 'hello') {
    // Hello files have 24 kB at most here; what is queued before them is thrown away.
    const why = 'the hello does not end';
    return { quirk: undefined, why, fromUs: waitSinceUs, limitUs: 3 * patienceUs };
  }
  if (state === 'Waiting') {
    const why = 'the answer does not end';
    return { quirk: 'Q41', why, fromUs: stateSinceUs, limitUs: waitingUs };
  }
  if (state === 'Listening' && !history.linkUp) {
    const why = 'the board listens without a connection';
    const fromUs = Math.max(stateSinceUs, history.linkDownSinceUs, waitSinceUs);
    return { quirk: 'Q6', why, fromUs, limitUs: patienceUs };
  }
  return undefined;
}
