/** What a process holds open, so that what is left over at the end shows. */
import v8 from 'node:v8';
import vm from 'node:vm';
import type { Clock } from '../clock/clock.ts';

/** Kinds of what keeps a process alive, and how many of each there are: sockets, servers, timers, requests. */
export type Resources = Readonly<Record<string, number>>;

export function activeResources(): Resources {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    // It is over with this turn of the event loop.
    if (kind !== 'Immediate') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** What `now` has more of than `before`. */
export function leftOver(before: Resources, now: Resources): Resources {
  return Object.fromEntries(
    Object.entries(now)
      .map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const)
      .filter(([, more]) => more > 0),
  );
}

/**
 * The end of a connection travels behind what was sent before it, and that is held up by stalls and by retransmissions, whose
 * distance doubles. So a socket of a board that was switched off may stay, with the alarm at which it ends: of lost segments on
 * `weak-wifi` one in 729 waits for 63 s, one in 6561 for 255 s.
 */
const settleLimitUs = 240_000_000;
/** Between two looks at what is left. */
const lookAgainUs = 50_000;

/** As {@link leftOver}, once what is being closed is closed, or at the limit. */
export async function settledLeftOver(
  before: Resources,
  clock: Clock,
  limitUs = settleLimitUs,
): Promise<Resources> {
  const untilUs = clock.nowUs() + limitUs;
  for (;;) {
    // A look while this wait is set up would count the timer of the wait.
    await clock.sleep(lookAgainUs);
    const left = leftOver(before, activeResources());
    if (Object.keys(left).length === 0 || clock.nowUs() >= untilUs) return left;
  }
}

let collect: (() => void) | undefined;

/** Collects all garbage now, which stops the process for a moment. */
export function collectGarbage(): void {
  if (collect === undefined) {
    // The function appears in contexts that are made behind this.
    v8.setFlagsFromString('--expose-gc');
    collect = vm.runInNewContext('gc') as () => void;
  }
  collect();
}

/** Listeners of the process itself: every signal, exit and error handler. */
export function processListeners(): number {
  return process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
}
