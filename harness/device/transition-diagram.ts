/** The transition table drawn for the documentation. A test compares it with the README. */
import {
  deviceStates,
  machineEvents,
  rareEvents,
  type Transition,
  type TransitionTable,
} from './transition-table.ts';

/** Mermaid: what leads from one state to another, on the board as it is. */
export function stateDiagram(table: TransitionTable): string {
  const arrows = deviceStates.flatMap((from) =>
    deviceStates.flatMap((to) => {
      const events = machineEvents.filter(
        (event) => from !== to && rareEvents[event] === undefined && table[event][from].to === to,
      );
      if (events.length === 0) return [];
      const names = events.map((event) => (table[event][from].conditional ? `${event}?` : event));
      return [`    ${from} --> ${to}: ${names.join(', ')}`];
    }),
  );
  return ['stateDiagram-v2', '    [*] --> Idle', ...arrows].join('\n');
}

/** Markdown: what every event does in every state, and the state afterwards. */
export function transitionRows(table: TransitionTable): string {
  const cell = ({ action, to, conditional }: Transition): string => {
    if (to === undefined) return action;
    return `${action} → ${conditional === true ? `${to}?` : to}`;
  };
  const rows = machineEvents.map((event) => {
    const mark = rareEvents[event] === undefined ? '' : ' *';
    return `| ${event}${mark} | ${deviceStates.map((state) => cell(table[event][state])).join(' | ')} |`;
  });
  const head = `| event | ${deviceStates.join(' | ')} |`;
  return [head, `| ${Array(5).fill('---').join(' | ')} |`, ...rows].join('\n');
}
