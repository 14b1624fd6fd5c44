/** What failed as annotations of GitHub Actions: workflow commands that show it on the line of the scenario. */
import { toldFailures } from './cell-failure.ts';
import { titleInScenario } from './cell-groups.ts';
import { flakyGroups, flakyTitle, flakyWords } from './flaky-report.ts';
import type { CellReport, ReportedRun } from './run-report.ts';
import { clipText, neutralize } from './terminal-text.ts';

/** So many of each kind GitHub shows of a step. */
export const annotationsPerStep = 10;

const titleCharacters = 200;
const messageCharacters = 2000;

export interface AnnotationSettings {
  /** The file as GitHub knows it: relative to the root of the repository. */
  shownFile?(file: string): string;
}

interface Annotation {
  readonly kind: 'error' | 'warning' | 'notice';
  readonly file: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly title: string;
  /** What was found, by cell; of many cells those of the first ones. */
  readonly messages: string[];
  cells: number;
}

/** So many cells are told one by one. */
const toldCells = 5;

/**
 * One command for each reason at each place, whatever the number of cells; at most ten errors (verdict `fail`) and ten
 * warnings (`infra`), then a notice for what is flaky, and one that says how many more there are. No text of the report can be taken for a
 * command: it is one line, and what the runner would decode is escaped.
 */
export function* githubAnnotations(
  report: ReportedRun,
  { shownFile = (file) => file }: AnnotationSettings = {},
): Iterable<string> {
  const found = new Map<string, Annotation>();
  for (const cell of report.cells) {
    for (const one of annotationsOf(cell)) {
      const key = [one.kind, one.file, one.line, one.title].join('\0');
      const same = found.get(key);
      if (same === undefined) found.set(key, one);
      else if (++same.cells <= toldCells) same.messages.push(...one.messages);
    }
  }
  const all = [...found.values()];
  const left: string[] = [];
  for (const kind of ['error', 'warning'] as const) {
    const own = all.filter((one) => one.kind === kind);
    for (const one of own.slice(0, annotationsPerStep)) yield command(one, shownFile);
    const more = own.length - annotationsPerStep;
    if (more > 0) left.push(`${more} more ${kind}${more === 1 ? '' : 's'}`);
  }
  const flaky = flakyGroups(report.cells);
  for (const group of flaky.slice(0, annotationsPerStep - 1)) {
    yield command(
      {
        kind: 'notice',
        file: group.cells[0]!.file,
        line: undefined,
        column: undefined,
        title: `${group.cells[0]!.scenario}: flaky`,
        messages: [`${flakyTitle(group)}: ${flakyWords(group.flaky, report.run.time)}`].map(
          (text) => neutralize(clipText(text, messageCharacters)),
        ),
        cells: 1,
      },
      shownFile,
    );
  }
  if (flaky.length >= annotationsPerStep) {
    left.push(`${flaky.length - annotationsPerStep + 1} more that are flaky`);
  }
  if (left.length > 0) {
    const message = `GitHub shows ${annotationsPerStep} of a kind; not shown: ${left.join(', ')}. The report has all.`;
    yield `::notice title=${property('echokit-harness')}::${data(message)}\n`;
  }
}

function annotationsOf(cell: CellReport): Annotation[] {
  const { verdict, scenario, file, turns } = cell;
  if (verdict === 'pass') return [];
  const kind = verdict === 'fail' ? 'error' : 'warning';
  const { failures, told, implied } = toldFailures(cell);
  const common = { kind, cells: 1 } as const;
  const said = (message: string): string[] => [
    neutralize(`${titleInScenario(cell)}: ${clipText(message, messageCharacters)}`),
  ];
  const found = [
    ...failures.map(
      ({ code, message, turn }): Annotation => ({
        ...common,
        file,
        line: turns.find((one) => one.turn === turn)?.line,
        column: undefined,
        title: `${scenario}: ${code}`,
        messages: said(message),
      }),
    ),
    ...told.map(
      ({ metric, evidence, at }): Annotation => ({
        ...common,
        file: at.file,
        line: at.line,
        column: at.column,
        title: `${scenario}: ${metric}`,
        messages: said(evidence),
      }),
    ),
  ];
  if (found.length > 0) return found;
  const message = implied.map(({ evidence }) => evidence).join('; ') || `the verdict is ${verdict}`;
  return [
    {
      ...common,
      file,
      line: undefined,
      column: undefined,
      title: scenario,
      messages: said(message),
    },
  ];
}

function command(
  { kind, file, line, column, title, messages, cells }: Annotation,
  shownFile: (file: string) => string,
): string {
  const properties = {
    file: neutralize(shownFile(file)),
    line: String(line ?? 1),
    ...(column !== undefined && { col: String(column) }),
    title: neutralize(clipText(title, titleCharacters)),
  };
  const list = Object.entries(properties).map(([name, value]) => `${name}=${property(value)}`);
  const more = cells > toldCells ? [`and in ${cells - toldCells} more cells`] : [];
  return `::${kind} ${list.join(',')}::${data([...messages, ...more].join('\n'))}\n`;
}

/** As the runner decodes the message of a command. The only line feeds are those between the cells. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** As the runner decodes a property of a command. */
function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
