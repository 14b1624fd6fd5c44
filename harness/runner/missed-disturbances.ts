import type { Scenario } from '../scenario/scenario.ts';
import type { TraceEvent } from '../trace/trace-event.ts';

/**
 * What the scenario plans and the trace does not show: a disturbance whose event never came, or
 * came so late that the turn was over before its delay had passed.
 */
export function missedDisturbances(
  scenario: Scenario,
  events: readonly TraceEvent[],
): { readonly turn: number; readonly message: string }[] {
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
