/** What many runs have reached: how often each event met each state, restarts, dead-locks, and more. */
import type { Account } from './behaviour-player.contract.ts';
import { deadLocksOf } from './dead-lock.contract.ts';
import { deviceStates, machineEvents } from './transition-table.ts';

/** Cells of the transition table that no behaviour can reach, and why. */
export const unreachableCells: Readonly<Record<string, string>> = {
  'newServerUrl Idle': 'a build with NFC, which is not modelled',
  'newServerUrl Listening': 'a build with NFC, which is not modelled',
  'newServerUrl Waiting': 'a build with NFC, which is not modelled',
  'newServerUrl Speaking': 'a build with NFC, which is not modelled',
  'answerTimer Idle': 'the timer runs in Waiting only',
  'answerTimer Listening': 'the timer runs in Waiting only',
  'answerTimer Speaking': 'the timer runs in Waiting only',
};

/** Causes of section 5.7 that the emulated board can have. */
export const rebootCauses: readonly string[] = [
  'All reconnect attempts failed',
  'Failed to send message',
  'Timeout sending message',
  'K0 while the server cannot be reached: setup mode',
  'K0 in setup mode',
];

export class BehaviourCoverage {
  #runs = 0;
  readonly #cells = new Map<string, number>();
  readonly #transitions = new Map<string, number>();
  readonly #reboots = new Map<string, number>();
  readonly #locks = new Map<string, number>();
  readonly #actions = new Map<string, number>();
  readonly #longest = { server: 0, local: 0, socket: 0 };
  readonly #reports = new Map<string, number>();

  add({ entries, behaviour }: Account): void {
    this.#runs++;
    for (const entry of entries) {
      count(this.#reports, entry.type);
      if (entry.type === 'taken') {
        count(this.#cells, `${entry.event} ${entry.state}`);
        const { server, local, socket } = entry.waiting;
        // Without quirk Q8 the queue of the server has no limit.
        if (!behaviour.profile.quirksOff.includes('Q8')) {
          this.#longest.server = Math.max(this.#longest.server, server);
        }
        this.#longest.local = Math.max(this.#longest.local, local);
        this.#longest.socket = Math.max(this.#longest.socket, socket);
      }
      if (entry.type === 'state') {
        count(this.#transitions, `${entry.from} → ${entry.to} (${entry.cause})`);
      }
      if (entry.type === 'reboot') count(this.#reboots, entry.cause);
    }
    for (const { quirk, why } of deadLocksOf(entries, behaviour.profile)) {
      count(this.#locks, `${quirk ?? 'no quirk'}: ${why}`);
    }
    for (const action of behaviour.actions) {
      count(this.#actions, action.kind === 'send' ? `send ${action.label}` : action.kind);
    }
  }

  /** Cells that could be reached and were not. */
  missingCells(): string[] {
    const all = machineEvents.flatMap((event) => deviceStates.map((state) => `${event} ${state}`));
    return all.filter((cell) => !this.#cells.has(cell) && unreachableCells[cell] === undefined);
  }

  /** Cells that were reached although they cannot be. */
  impossibleCells(): string[] {
    return Object.keys(unreachableCells).filter((cell) => this.#cells.has(cell));
  }

  missingReboots(): string[] {
    return rebootCauses.filter((cause) => !this.#reboots.has(cause));
  }

  /** The queues were filled to their limits: 32, 64 and 32. */
  get longest(): { readonly server: number; readonly local: number; readonly socket: number } {
    return this.#longest;
  }

  lockedBy(quirk: string): number {
    let sum = 0;
    for (const [name, times] of this.#locks) if (name.startsWith(`${quirk}:`)) sum += times;
    return sum;
  }

  lines(): string[] {
    const cell = (event: string, state: string) =>
      String(this.#cells.get(`${event} ${state}`) ?? 0).padStart(9);
    const { server, local, socket } = this.#longest;
    return [
      `${this.#runs} boards, 30 minutes each`,
      `${'event'.padEnd(14)}${deviceStates.map((state) => state.padStart(9)).join(' ')}`,
      ...machineEvents.map(
        (event) => event.padEnd(14) + deviceStates.map((state) => cell(event, state)).join(' '),
      ),
      ...listed('transitions', this.#transitions),
      ...listed('restarts', this.#reboots),
      ...listed('dead-locks and freezes', this.#locks),
      `longest queues: ${server} from the server, ${local} local, ${socket} to the socket`,
      ...listed('actions', this.#actions),
      ...listed('reports', this.#reports),
    ];
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function listed(title: string, counts: ReadonlyMap<string, number>): string[] {
  const rows = [...counts].sort((a, b) => b[1] - a[1]);
  return [`${title}:`, ...rows.map(([name, times]) => `${String(times).padStart(9)}  ${name}`)];
}
