/** Runs random schedules against what must always hold, and cuts a failing one to the smallest that fails alike. */

import { shrunkenList } from '../random/shrunken-list.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import { type PassingRun, passRun } from '../runner/passing-run.ts';
import {
  builtInProviders,
  builtInTables,
  type ProviderEntry,
  providerEntry,
} from '../runner/provider-catalog.ts';
import {
  foundOutLast,
  heldUpLast,
  type InvariantName,
  type Violation,
  violationsOf,
} from './invariant.ts';
import {
  clearTurns,
  drawSchedule,
  type Schedule,
  type ScheduledFault,
  type ScheduledTurn,
  scenarioText,
} from './schedule.ts';

/** Stands where a key stands, so that it is found wherever it gets to. */
const canary = 'sk_canary_5f1d0c7e9b';

/** The built-in providers with a key that is looked for. */
export const exploredProviders: ReadonlyMap<string, ProviderEntry> = new Map(
  builtInProviders.map(({ name, personality }) => {
    const table = Object.entries(builtInTables[name]!).map(([key, value]): [string, unknown] => [
      key,
      value === 'sk_stand_in' || value === 'gsk_stand_in' ? canary : value,
    ]);
    const entry = providerEntry(name, Object.fromEntries(table));
    return [name, { ...entry, ...(personality !== undefined && { personality }) }];
  }),
);

export interface Explored {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Of the conversation, on its own clock. */
  readonly virtualMs: number;
  /** Names of the faults that struck, one for each time. */
  readonly struck: readonly string[];
  /** Turns without faults behind the others, where it took more than usual. */
  readonly clear?: number;
}

export interface Found {
  readonly seed: number;
  readonly violation: Violation;
  readonly smallest: Schedule;
  /** Faults, acts and turns before and behind. */
  readonly from: number;
  readonly to: number;
}

export class Explorer {
  readonly #laboratory: Laboratory;
  readonly #folder: string | undefined;
  #giveUp: ((error: unknown) => void) | undefined;

  /** @param folder for recordings, which are removed at once */
  constructor(laboratory: Laboratory, folder?: string) {
    this.#laboratory = laboratory;
    this.#folder = folder;
  }

  explore(seed: number): Promise<Explored> {
    return this.play(drawSchedule(seed, [...exploredProviders.keys()]));
  }

  /** A board that finds out with the last turn that its connection is lost, or whose network held it up, gets one more. */
  async play(schedule: Schedule): Promise<Explored> {
    const clear = schedule.clear ?? clearTurns;
    const { wantsMore, ...explored } = await this.#hold(schedule);
    if (!wantsMore || clear > clearTurns) return explored;
    const { wantsMore: _, ...again } = await this.#hold({ ...schedule, clear: clear + 1 });
    return { ...again, clear: clear + 1 };
  }

  async #hold(schedule: Schedule): Promise<Explored & { readonly wantsMore: boolean }> {
    const { seed } = schedule;
    try {
      const stray = new Promise<never>((_, reject) => {
        this.#giveUp = reject;
      });
      const played = passRun(this.#laboratory, this.#runOf(schedule), (run) => ({
        seed,
        violations: violationsOf(schedule, run, [canary]),
        virtualMs: run.result.durationUs / 1000,
        struck: run.recording.events.flatMap((event) =>
          event.source === 'harness' && event.type === 'faultStruck' && event.obstacle === undefined
            ? [event.name]
            : [],
        ),
        wantsMore: foundOutLast(schedule, run) || heldUpLast(schedule, run),
      }));
      return await Promise.race([played, stray]);
    } catch (error) {
      const { message, code = 'error' } = error as Error & { readonly code?: string };
      const what = `${code}: ${message}`;
      const violations = [{ rule: 'no-throw', what }] as const;
      return { seed, violations, virtualMs: 0, struck: [], wantsMore: false };
    }
  }

  /**
   * The smallest schedule that can be found that breaks the same rule.
   *
   * @param plays how many conversations may be held for it
   */
  async shrink(schedule: Schedule, violation: Violation, plays = 120): Promise<Found> {
    const { rule } = violation;
    let left = plays;
    const fails = async (candidate: Schedule): Promise<boolean> => {
      if (left <= 0) return false;
      left -= 1;
      return breaks(await this.play(candidate), rule);
    };
    const smallest = await smallestSchedule(schedule, fails);
    const { violations, clear } = await this.play(smallest);
    const shown = violations.find((one) => one.rule === rule);
    return {
      seed: schedule.seed,
      violation: shown ?? violation,
      smallest: { ...smallest, ...(clear !== undefined && { clear }) },
      from: sizeOf(schedule),
      to: sizeOf(smallest),
    };
  }

  /** An error that nobody has caught: it belongs to the conversation that is being held. */
  blame(error: unknown): void {
    this.#giveUp?.(error);
  }

  #runOf(schedule: Schedule): PassingRun {
    const { seed, provider, device, network, cable } = schedule;
    return {
      toml: scenarioText(schedule),
      name: scenarioName(seed),
      provider,
      device,
      network,
      seed,
      providers: exploredProviders,
      sound: false,
      ...(cable !== undefined && { cable }),
      ...(this.#folder !== undefined && { root: this.#folder }),
    };
  }
}

/** Under which a run with the same seed draws the same. */
export function scenarioName(seed: number): string {
  return `explore-${seed}`;
}

function breaks({ violations }: Explored, rule: InvariantName): boolean {
  return violations.some((violation) => violation.rule === rule);
}

/** Parts of a schedule that can be left out. */
export function sizeOf({ turns }: Schedule): number {
  return turns.reduce((sum, { acts, faults }) => sum + 1 + acts.length + faults.length, 0);
}

type Part =
  | { readonly kind: 'fault'; readonly turn: number; readonly index: number }
  | { readonly kind: 'act'; readonly turn: number; readonly index: number };

/** Leaves out turns, then faults and acts, then makes plain what is left. */
export async function smallestSchedule(
  schedule: Schedule,
  fails: (candidate: Schedule) => Promise<boolean>,
): Promise<Schedule> {
  const plenty = 1000;
  const turns = await shrunkenList(
    schedule.turns,
    (some) => fails({ ...schedule, turns: withoutOpening(some) }),
    plenty,
  );
  let smallest: Schedule = { ...schedule, turns: withoutOpening(turns) };
  const parts = smallest.turns.flatMap(({ faults, acts }, turn): Part[] => [
    ...faults.map((_, index) => ({ kind: 'fault', turn, index }) as const),
    ...acts.map((_, index) => ({ kind: 'act', turn, index }) as const),
  ]);
  const whole = smallest;
  const kept = await shrunkenList(parts, (some) => fails(withParts(whole, some)), plenty);
  smallest = withParts(whole, kept);
  for (let changed = true; changed; ) {
    changed = false;
    for (const plainer of plainerSchedules(smallest)) {
      if (!(await fails(plainer))) continue;
      smallest = plainer;
      changed = true;
      break;
    }
  }
  return smallest;
}

/** Nothing comes before the first turn that it could be spoken over. */
function withoutOpening(turns: readonly ScheduledTurn[]): readonly ScheduledTurn[] {
  return turns.map((turn, i) => {
    if (i > 0) return turn;
    const { after: _, ...rest } = turn;
    return rest;
  });
}

function withParts(schedule: Schedule, parts: readonly Part[]): Schedule {
  const has = (kind: Part['kind'], turn: number, index: number): boolean =>
    parts.some((part) => part.kind === kind && part.turn === turn && part.index === index);
  return {
    ...schedule,
    turns: schedule.turns.map((turn, t) => ({
      ...turn,
      faults: turn.faults.filter((_, i) => has('fault', t, i)),
      acts: turn.acts.filter((_, i) => has('act', t, i)),
    })),
  };
}

/** The schedule with one thing as usual that is not. */
function* plainerSchedules(schedule: Schedule): Generator<Schedule> {
  const { turns, cable, ...rest } = schedule;
  if (cable !== undefined) yield { ...rest, turns };
  if (schedule.device !== 'diy') yield { ...schedule, device: 'diy' };
  if (schedule.network !== 'good-wifi') yield { ...schedule, network: 'good-wifi' };
  if (schedule.provider !== 'openai-stream') yield { ...schedule, provider: 'openai-stream' };
  for (const [t, turn] of turns.entries()) {
    const withTurn = (other: ScheduledTurn): Schedule => ({
      ...schedule,
      turns: turns.with(t, other),
    });
    if (turn.say !== 'Go on.') yield withTurn({ ...turn, say: 'Go on.' });
    if (turn.reply !== 'No.') yield withTurn({ ...turn, reply: 'No.' });
    const { after, ...unforced } = turn;
    if (after !== undefined) yield withTurn(unforced);
    for (const [f, fault] of turn.faults.entries()) {
      for (const other of plainerFaults(fault)) {
        yield withTurn({ ...turn, faults: turn.faults.with(f, other) });
      }
    }
  }
}

function* plainerFaults(fault: ScheduledFault): Generator<ScheduledFault> {
  const { parameters, request, after, ...rest } = fault;
  for (const name of Object.keys(parameters)) {
    const { [name]: _, ...fewer } = parameters;
    yield { ...fault, parameters: fewer };
  }
  if (request !== undefined) yield { ...rest, parameters, ...(after !== undefined && { after }) };
  if (after !== undefined) yield { ...rest, parameters, ...(request !== undefined && { request }) };
}
