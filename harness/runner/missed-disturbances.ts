import type { Act, Disturbance, Scenario } from '../scenario/scenario.ts';
import type { TraceEvent } from '../trace/trace-event.ts';

export interface MissedDisturbance {
  /** Null: of the whole conversation. */
  readonly turn: number | null;
  readonly message: string;
}

/**
 * The fault that the scenario plants in the provider's stand-in, when the trace shows that it struck
 * no request: the protocol has no way to express it at that moment, or there was no such request.
 */
export function missedFaults(
  { standIn: { fault } }: Scenario,
  events: readonly TraceEvent[],
): MissedDisturbance[] {
  if (fault === undefined) return [];
  const reports = events.flatMap((event) =>
    event.source === 'harness' && event.type === 'fault' ? [event] : [],
  );
  if (reports.some(({ moment }) => moment !== undefined)) return [];
  const obstacle = reports.find((report) => report.obstacle !== undefined)?.obstacle;
  const { kind, request, moment } = fault;
  const which = request === undefined ? 'any request' : `request ${request}`;
  const where = moment === undefined ? '' : ` at "${moment}"`;
  const why = obstacle ?? 'there was no such request, or it ended first';
  const message = `the planned fault ${kind}${where} of ${which} for speech never happened: ${why}`;
  return [{ turn: null, message }];
}

/**
 * What the scenario plans and the trace does not show: a disturbance, or an act of the user, whose
 * event never came, or came so late that the turn was over before its delay had passed.
 */
export function missedDisturbances(
  scenario: Scenario,
  events: readonly TraceEvent[],
): MissedDisturbance[] {
  return scenario.turns.flatMap(({ number, disturbances, acts }) =>
    plannedKinds.flatMap((kind) => {
      const planned = [...disturbances, ...acts].filter((one) => one.kind === kind);
      const happened = events.filter((event) => happenedIn(event, number) === kind).length;
      if (happened >= planned.length) return [];
      const afters = planned.map(({ after }) => `${after.event} + ${after.delayMs} ms`).join(', ');
      const message =
        `${planned.length - happened} of ${planned.length} planned ${plural[kind]} never happened in turn ${number} ` +
        `(after ${afters}): the event did not come, or the turn ended first`;
      return [{ turn: number, message }];
    }),
  );
}

/** Named faults that the trace shows nothing of but, perhaps, why they could not happen. */
export function missedNamedFaults(
  { turns }: Scenario,
  events: readonly TraceEvent[],
): MissedDisturbance[] {
  const reports = events.flatMap((event) =>
    event.source === 'harness' && event.type === 'faultStruck' ? [event] : [],
  );
  return turns.flatMap(({ number, faults }) =>
    faults.flatMap(({ name }, at) => {
      const own = reports.filter(({ turn, index }) => turn === number && index === at + 1);
      if (own.some(({ obstacle }) => obstacle === undefined)) return [];
      const why = own[0]?.obstacle ?? 'what it happens to did not come before the turn ended';
      const message = `the planned fault "${name}" never happened in turn ${number}: ${why}`;
      return [{ turn: number, message }];
    }),
  );
}

type PlannedKind = Disturbance['kind'] | Act['kind'];

const plural: Readonly<Record<PlannedKind, string>> = {
  stall: 'stalls',
  drop: 'drops',
  away: 'absences of the server',
  change: 'changes',
  ping: 'pings',
  message: 'messages',
  key: 'presses of a key',
  say: 'sounds',
};
const plannedKinds = Object.keys(plural) as PlannedKind[];

/** What of the plan the event is, if it is something of this turn. */
function happenedIn(event: TraceEvent, turn: number): PlannedKind | undefined {
  if (!('turn' in event) || event.turn !== turn) return undefined;
  if (event.source === 'network') {
    return event.type === 'change' && event.back ? undefined : event.type;
  }
  if (event.source === 'harness' && event.type === 'intervention') return event.kind;
  if (event.source !== 'user') return undefined;
  if (event.type === 'press') return 'key';
  return event.type === 'sound' ? 'say' : undefined;
}
