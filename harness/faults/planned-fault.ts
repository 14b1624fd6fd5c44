/** From what a scenario says of a fault to the fault with its values. */
import { nearestName } from '../../adapters/nearest-name.ts';
import { faultNames, findFault } from './catalog.ts';
import type { Fault, FaultMoment, FaultParameter, ParameterValue, PlannedFault } from './fault.ts';

/** What is wrong with one key of the table of a fault. */
export interface FaultProblem {
  readonly code: 'SCENARIO_UNKNOWN_NAME' | 'SCENARIO_UNKNOWN_KEY' | 'SCENARIO_BAD_VALUE';
  readonly key: string;
  /** The value is wrong, and not the key. */
  readonly ofValue: boolean;
  readonly message: string;
  readonly hint: string;
}

/** From an event to the fault that waits for it: an hour, as of any time in a scenario. */
const delayMsMax = 3_600_000;

/** Keys that mean the same for every fault that has them. */
const requestParameter: FaultParameter = {
  kind: 'number',
  name: 'request',
  about: 'only this request for speech of its turn, from 1; default: every one',
  unit: '',
  from: 1,
  to: 1000,
  whole: true,
  fallback: 0,
};

/**
 * Reads `{ name = "cut-audio", after = "40%" }`. A moment is `after = { event, delay_ms }`.
 *
 * @param events names of moments
 */
export function readPlannedFault(
  table: Readonly<Record<string, unknown>>,
  events: readonly string[],
): PlannedFault | readonly FaultProblem[] {
  const given = table['name'];
  const fault = typeof given === 'string' ? findFault(given) : undefined;
  if (fault === undefined) {
    const meant = nearestName(String(given), faultNames);
    return [
      {
        code: 'SCENARIO_UNKNOWN_NAME',
        key: 'name',
        ofValue: true,
        message: `unknown fault "${String(given)}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
        hint: '"echokit-harness faults" lists all of them',
      },
    ];
  }
  const problems: FaultProblem[] = [];
  const known = parametersOf(fault);
  const values: Record<string, ParameterValue> = {};
  for (const parameter of fault.parameters) values[parameter.name] = parameter.fallback;
  let request: number | undefined;
  let moment = fault.moment;
  for (const [key, value] of Object.entries(table)) {
    if (key === 'name') continue;
    if (key === 'after' && fault.moment !== undefined) {
      const read = readMoment(value, events);
      if ('message' in read) problems.push(read);
      else moment = read;
      continue;
    }
    const parameter = known.find(({ name }) => name === key);
    if (parameter === undefined) {
      problems.push(unknownKey(fault, key, known));
      continue;
    }
    const read = readValue(parameter, value);
    if (read === undefined) problems.push(badValue(parameter, value));
    else if (parameter === requestParameter) request = Number(read);
    else values[key] = read;
  }
  if (problems.length > 0) return problems;
  return {
    name: fault.name,
    values,
    injection: fault.inject(values),
    ...(request !== undefined && { request }),
    ...(moment !== undefined && { moment }),
  };
}

/** The fault as it is when nothing but its name is said. */
export function usualFault({ name }: Fault): PlannedFault {
  return readPlannedFault({ name }, []) as PlannedFault;
}

/** All keys beside `name` and a moment. */
export function parametersOf({ parameters, perRequest }: Fault): readonly FaultParameter[] {
  return perRequest ? [...parameters, requestParameter] : parameters;
}

/** `0 to 100 %`, `whole, 1 to 1000`, `"a" or "b"`: what a parameter takes. */
export function describeRange(parameter: FaultParameter): string {
  switch (parameter.kind) {
    case 'share':
      return '"0%" to "100%", or 0 to 1';
    case 'choice':
      return parameter.choices.map((name) => `"${name}"`).join(', ');
    case 'number': {
      const { from, to, unit, whole } = parameter;
      return `${whole ? 'whole number, ' : ''}${from} to ${to}${unit === '' ? '' : ` ${unit}`}`;
    }
  }
}

export function describeValue(parameter: FaultParameter, value: ParameterValue): string {
  if (parameter.kind === 'share') return `${Math.round(Number(value) * 1000) / 10}%`;
  if (parameter.kind === 'choice') return String(value);
  return parameter.unit === '' ? `${value}` : `${value} ${parameter.unit}`;
}

function readValue(parameter: FaultParameter, value: unknown): ParameterValue | undefined {
  switch (parameter.kind) {
    case 'choice':
      return parameter.choices.find((name) => name === value);
    case 'share': {
      const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?) ?%$/.exec(value)?.[1] : null;
      if (percent === undefined) return undefined;
      const share = percent === null ? value : Number(percent) / 100;
      return typeof share === 'number' && share >= 0 && share <= 1 ? share : undefined;
    }
    case 'number': {
      const { from, to, whole } = parameter;
      if (typeof value !== 'number' || value < from || value > to) return undefined;
      return whole && !Number.isInteger(value) ? undefined : value;
    }
  }
}

function readMoment(value: unknown, events: readonly string[]): FaultMoment | FaultProblem {
  const problem = (message: string): FaultProblem => ({
    code: 'SCENARIO_BAD_VALUE',
    key: 'after',
    ofValue: true,
    message,
    hint: 'for example: after = { event = "StartAudio", delay_ms = 400 }',
  });
  if (typeof value !== 'object' || value === null) {
    return problem('"after" of this fault is a moment: a table with "event"');
  }
  const { event, delay_ms: delayMs = 0, ...rest } = value as Record<string, unknown>;
  const [other] = Object.keys(rest);
  if (other !== undefined) return problem(`unknown key "${other}" in "after"`);
  if (typeof event !== 'string' || (events.length > 0 && !events.includes(event))) {
    return problem(`unknown event "${String(event)}"; there are ${events.join(', ')}`);
  }
  if (typeof delayMs !== 'number' || delayMs < 0 || delayMs > delayMsMax) {
    return problem(`"delay_ms" is a number from 0 to ${delayMsMax}`);
  }
  return { event, delayMs };
}

function unknownKey(fault: Fault, key: string, known: readonly FaultParameter[]): FaultProblem {
  const names = [
    'name',
    ...known.map(({ name }) => name),
    ...(fault.moment === undefined ? [] : ['after']),
  ];
  const meant = nearestName(key, names);
  return {
    code: 'SCENARIO_UNKNOWN_KEY',
    key,
    ofValue: false,
    message: `the fault "${fault.name}" has no "${key}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
    hint: `its keys: ${names.join(', ')}`,
  };
}

function badValue(parameter: FaultParameter, value: unknown): FaultProblem {
  return {
    code: 'SCENARIO_BAD_VALUE',
    key: parameter.name,
    ofValue: true,
    message: `"${parameter.name}" cannot be ${JSON.stringify(value)}`,
    hint: `it is ${describeRange(parameter)}: ${parameter.about}`,
  };
}
