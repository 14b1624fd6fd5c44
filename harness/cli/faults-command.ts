import { faults, findFault, nearestFault } from '../faults/catalog.ts';
import { type Fault, faultLevels } from '../faults/fault.ts';
import { describeFault, exampleOf, levelNames } from '../faults/fault-table.ts';
import { parametersOf } from '../faults/planned-fault.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export interface FaultsCommandOptions {
  readonly json?: boolean;
}

/**
 * `faults`: lists the library, or explains some of it.
 *
 * @throws {CommandError} `USAGE` for a name that there is not
 */
export function faultsCommand(
  terminal: Terminal,
  names: readonly string[],
  { json = false }: FaultsCommandOptions,
): number {
  const chosen = names.map(named);
  if (json) {
    const shown = (chosen.length === 0 ? faults : chosen).map(faultDocument);
    terminal.print(JSON.stringify({ schemaVersion: 1, faults: shown }, null, 2));
  } else if (chosen.length > 0) {
    terminal.print(chosen.map(describeFault).join('\n\n'));
  } else {
    terminal.print(list());
  }
  return exitCode.passed;
}

function named(name: string): Fault {
  const fault = findFault(name);
  if (fault !== undefined) return fault;
  const meant = nearestFault(name);
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no fault "${name}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
    '"faults" lists all of them',
  );
}

function list(): string {
  const width = Math.max(...faults.map(({ name }) => name.length));
  const parts = faultLevels.map((level) => {
    const own = faults.filter((fault) => fault.level === level);
    return [
      levelNames[level],
      ...own.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`),
    ].join('\n');
  });
  return [
    ...parts,
    [
      `${faults.length} faults. "echokit-harness faults <name>" explains one: its parameters, how it is told, and how a`,
      'scenario plants it. Several of them may happen in one turn.',
    ].join('\n'),
  ].join('\n\n');
}

/** As JSON, for programs that make scenarios. */
function faultDocument(fault: Fault): object {
  const { name, level, about, imitates, sign, moment } = fault;
  return {
    name,
    level,
    about,
    parameters: parametersOf(fault).map((parameter) =>
      // Its fallback is no ordinal but "every request".
      parameter.name === 'request' ? { ...parameter, fallback: null } : parameter,
    ),
    ...(moment !== undefined && {
      after: { event: moment.event, delay_ms: moment.delayMs },
    }),
    imitates,
    toldAs: sign.classes,
    events: ['harness `faultStruck`', ...sign.events],
    metric: sign.metric,
    example: exampleOf(fault).join('\n'),
  };
}
