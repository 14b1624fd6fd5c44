import { nearestName } from '../../adapters/nearest-name.ts';
import type { KeyPath } from '../toml/source-position.ts';
import { traceEventTypes, traceSources } from '../trace/trace-event.ts';
import { readComparison } from './expectation.ts';
import type { TraceCheck } from './scenario.ts';
import type { ScenarioProblemList } from './scenario-error.ts';
import { isTable, type WrittenTable } from './written-table.ts';

/**
 * Reads the tables of one `[[check]]` or `[[turn.check]]`. What has the wrong type was reported by the
 * schema and is left out.
 *
 * @param path of the list in the document; @param turn from 1, absent for the whole conversation.
 */
export function readTraceChecks(
  tables: unknown,
  path: KeyPath,
  turn: number | undefined,
  file: string,
  problems: ScenarioProblemList,
): TraceCheck[] {
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((table: unknown, index): TraceCheck[] =>
    isTable(table) ? readOne(table, [...path, index], turn, file, problems) : [],
  );
}

function readOne(
  table: WrittenTable,
  path: KeyPath,
  turn: number | undefined,
  file: string,
  problems: ScenarioProblemList,
): TraceCheck[] {
  const { source } = problems;
  const name = turn === undefined ? '[[check]]' : '[[turn.check]]';
  const needless = (key: keyof WrittenTable, message: string, hint: string): void => {
    if (table[key] === undefined) return;
    problems.add('SCENARIO_BAD_VALUE', source.nearest([...path, key]).key, message, hint);
  };
  if (turn === undefined) {
    const hint = 'write it as [[turn.check]] behind its turn';
    needless('after', '"after" refers to a turn, and [[check]] is about them all', hint);
    needless('within_ms', '"within_ms" refers to a turn, and [[check]] is about them all', hint);
  }
  if ((table.event === undefined) === (table.console === undefined)) {
    const message = `${name} needs one of "event" and "console"`;
    problems.add('SCENARIO_MISSING_KEY', source.nearest(path).value, message, 'event = "reboot"');
    return [];
  }
  const ofEvent = table.event !== undefined;
  for (const key of ofEvent ? (['level'] as const) : (['source', 'with'] as const)) {
    const other = ofEvent ? 'console' : 'event';
    needless(key, `"${key}" means nothing without "${other}"`, `${name} counts ${other}s with it`);
  }
  const of = ofEvent ? readEvent(table, path, problems) : readConsole(table);
  const counted = table.count ?? '>= 1';
  const range = source.nearest([...path, 'count']).value;
  const comparison = readComparison('count', counted, 'number', range, problems);
  if (of === undefined || comparison === undefined) return [];
  if (typeof comparison.value !== 'number') return [];
  const after = isTable(table.after) ? table.after : undefined;
  const delay = (after as { delay_ms?: unknown } | undefined)?.delay_ms ?? 0;
  const key = source.nearest([...path, ofEvent ? 'event' : 'console']).key;
  return [
    {
      of,
      operator: comparison.operator,
      value: comparison.value,
      ...(turn !== undefined && { turn }),
      ...(typeof after?.event === 'string' &&
        typeof delay === 'number' && { after: { event: after.event, delayMs: delay } }),
      ...(typeof table.within_ms === 'number' && { withinMs: table.within_ms }),
      at: { file, ...source.lineColumn(key.start) },
    },
  ];
}

function readConsole({ console: text, level }: WrittenTable): TraceCheck['of'] | undefined {
  if (typeof text !== 'string') return undefined;
  const known = level === 'E' || level === 'W' || level === 'I';
  return { kind: 'console', text, ...(known && { level }) };
}

function readEvent(
  table: WrittenTable,
  path: KeyPath,
  problems: ScenarioProblemList,
): TraceCheck['of'] | undefined {
  const source = traceSources.find((one) => one === (table.source ?? 'device'));
  const { event: type } = table;
  if (source === undefined || typeof type !== 'string') return undefined;
  const valid = traceEventTypes(source);
  if (!valid.includes(type)) {
    const meant = nearestName(type, valid);
    problems.add(
      'SCENARIO_UNKNOWN_NAME',
      problems.source.nearest([...path, 'event']).value,
      `unknown event "${type}" of source "${source}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
      `events of ${source}: ${valid.join(', ')}`,
    );
    return undefined;
  }
  const fields = isTable(table.with) ? table.with : {};
  return {
    kind: 'event',
    source,
    type,
    with: fields as Readonly<Record<string, string | number | boolean>>,
  };
}
