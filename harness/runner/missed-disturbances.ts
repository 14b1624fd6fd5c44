import type { Scenario } from '../scenario/scenario.ts';
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
 * What the scenario plans and the trace does not show: a disturbance whose event never came, or
 * came so late that the turn was over before its delay had passed.
 */
export function missedDisturbances(
  scenario: Scenario,
  events: readonly TraceEvent[],
): MissedDisturbance[] {
  return scenario.turns.flatMap(({ number, disturbances }) =>
    (['stall', 'drop', 'change'] as const).flatMap((kind) => {
      const planned = disturbances.filter((disturbance) => disturbance.kind === kind);
      const happened = events.filter(
        (event) =>
          event.source === 'network' &&
          event.type === kind &&
          event.turn === number &&
          !(event.type === 'change' && event.back),
      ).length;
      if (happened >= planned.length) return [];
      const afters = planned.map(({ after }) => `${after.event} + ${after.delayMs} ms`).join(', ');
      const message =
        `${planned.length - happened} of ${planned.length} planned ${kind}s never happened in turn ${number} ` +
        `(after ${afters}): the event did not come, or the turn ended first`;
      return [{ turn: number, message }];
    }),
  );
}
