/** The library as a page: the table of harness/faults/README.md, and what `faults <name>` prints. */
import { faults } from './catalog.ts';
import { type Fault, type FaultLevel, faultLevels } from './fault.ts';
import { describeRange, describeValue, parametersOf } from './planned-fault.ts';

export const levelNames: Readonly<Record<FaultLevel, string>> = {
  provider: 'Provider: its answers',
  server: 'Server: what it says to the board',
  network: 'Network: to the provider, and to the board',
  device: 'Board: its chip',
  serial: 'Serial: port and line of a board on a cable',
  host: 'Host: the computer that all of it runs on',
};

/** Tables in Markdown, one for each level. */
export function faultTables(): string {
  return faultLevels
    .map((level) => {
      const own = faults.filter((fault) => fault.level === level);
      const rows = own.map((fault) => [
        `\`${fault.name}\``,
        fault.about,
        parameterCell(fault),
        fault.imitates.join(', '),
        signCell(fault),
      ]);
      const head = ['name', 'what happens', 'parameters', 'imitates', 'how it shows'];
      return `### ${levelNames[level]}\n\n${markdownTable([head, ...rows])}`;
    })
    .join('\n\n');
}

/** `message` 3, `ms` 2000: with what stands there when nothing is said. */
function parameterCell({ parameters, moment }: Fault): string {
  const own = parameters.map(
    (parameter) => `\`${parameter.name}\` ${describeValue(parameter, parameter.fallback)}`,
  );
  const when = moment === undefined ? [] : [`\`after\` ${moment.event} + ${moment.delayMs} ms`];
  return [...own, ...when].join(', ');
}

function signCell({ sign: { classes, events, metric } }: Fault): string {
  const outcomes = classes.map((name) => (name === 'ok' ? 'turn goes on' : `\`${name}\``));
  return [outcomes.join(' or '), ...events, `\`${metric}\``].join('; ');
}

export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => [...(row[column] ?? '')].length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell + ' '.repeat(widths[i]! - [...cell].length)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [
    line(head),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...body.map(line),
  ].join('\n');
}

/** All that is known of one fault, for a terminal. */
export function describeFault(fault: Fault): string {
  const { name, level, about, imitates, sign, moment } = fault;
  const known = parametersOf(fault);
  const classes = sign.classes.map((one) => (one === 'ok' ? 'the turn goes on' : one));
  return [
    `${name} (${level})`,
    `  ${about}.`,
    '',
    'Parameters:',
    ...(known.length === 0 && moment === undefined ? ['  none'] : []),
    ...known.map((parameter) => {
      const usual =
        parameter.name === 'request'
          ? ''
          : `; default: ${describeValue(parameter, parameter.fallback)}`;
      return `  ${parameter.name}: ${parameter.about} (${describeRange(parameter)}${usual})`;
    }),
    ...(moment === undefined
      ? []
      : [
          `  after: when it happens (default: { event = "${moment.event}", delay_ms = ${moment.delayMs} })`,
        ]),
    '',
    `Told as:   ${classes.join(' or ')}`,
    `Events:    ${['harness `faultStruck`', ...sign.events].join(', ').replaceAll('`', '')}`,
    `Metric:    ${sign.metric}`,
    `Imitates:  ${imitates.length === 0 ? 'nothing in the pitfalls catalogue' : `pitfalls catalogue, ${imitates.join(', ')}`}`,
    '',
    'In a scenario:',
    ...exampleOf(fault).map((line) => `  ${line}`),
  ].join('\n');
}

/** How a scenario plants it, with its first parameter. */
export function exampleOf({ name, parameters, moment }: Fault): readonly string[] {
  const [first] = parameters;
  const value =
    first === undefined
      ? []
      : [
          `${first.name} = ${first.kind === 'number' ? first.fallback : `"${describeValue(first, first.fallback)}"`}`,
        ];
  const when =
    moment === undefined
      ? []
      : [`after = { event = "${moment.event}", delay_ms = ${moment.delayMs} }`];
  return ['[[turn.fault]]', `name = "${name}"`, ...value, ...when];
}
