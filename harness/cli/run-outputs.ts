/** `--output`: what a run came to, for other programs, and what GitHub Actions is shown by itself. */
import { appendFileSync, statSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import { checkWritable, type FileContent, writeWhole } from '../files/written-file.ts';
import {
  readWrittenOutput,
  standardOutput,
  type WrittenOutput,
} from '../harness-config/written-output.ts';
import { chromeTrace, type TracedCell } from '../report/chrome-trace.ts';
import { csvReport } from '../report/csv-report.ts';
import { ctrfReport } from '../report/ctrf-report.ts';
import { githubAnnotations } from '../report/github-annotations.ts';
import { jsonReport } from '../report/json-report.ts';
import { junitReport } from '../report/junit-report.ts';
import { markdownReport, stepSummaryBytes } from '../report/markdown-report.ts';
import type { ReportedRun, RunReport } from '../report/run-report.ts';
import type { SecretMask } from '../trace/secret-mask.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { type OutputKind, outputKinds } from './output-kinds.ts';
import type { Terminal } from './terminal.ts';

export type RunOutput = WrittenOutput<OutputKind>;

/** How a command was asked for outputs. */
export interface OutputOptions {
  /** `<kind>=<file>`, as written. */
  readonly output?: readonly string[];
  readonly json?: boolean;
  /** False: nothing is shown on GitHub Actions by itself. */
  readonly github?: boolean;
}

/** A run that is over. */
export interface FinishedRun {
  readonly report: ReportedRun;
  /** Its recordings, opened one after the other. */
  recordings(): Iterable<TracedCell>;
}

/**
 * Reads the outputs that are wanted, and finds out before anything is run whether they can be written.
 *
 * @throws {CommandError} `USAGE`
 * @throws {OutputError}
 */
export function wantedOutputs({ output = [], json = false }: OutputOptions): RunOutput[] {
  const outputs = [
    ...output.map(readOutput),
    ...(json ? [{ kind: 'json', path: standardOutput } as const] : []),
  ];
  const onStandardOutput = outputs.filter(({ path }) => path === standardOutput);
  if (onStandardOutput.length > 1) {
    const kinds = onStandardOutput.map(({ kind }) => kind).join(' and ');
    throw usage(
      `${kinds} would be mixed on standard output.`,
      'give all but one a file: --output junit=results.xml',
    );
  }
  const files = outputs.filter(({ path }) => path !== standardOutput);
  const taken = new Set<string>();
  for (const { path } of files) {
    if (taken.has(resolve(path))) {
      throw usage(`Two outputs have the same file, ${path}.`, 'give each a file of its own');
    }
    taken.add(resolve(path));
    checkWritable(path);
  }
  return outputs;
}

function readOutput(written: string): RunOutput {
  const read = readWrittenOutput(written, outputKinds);
  if ('kind' in read) return read;
  const end = read.message.endsWith('?') ? '' : '.';
  throw usage(`--output ${written}: ${read.message}${end}`, read.hint);
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}

/** Whether standard output has another use than tables for a person. */
export function takesStandardOutput(outputs: readonly RunOutput[]): boolean {
  return outputs.some(({ path }) => path === standardOutput);
}

/**
 * Makes all outputs; one that cannot be written keeps none of the others from being written.
 *
 * @throws {OutputError} the first, when all others are there
 */
export function writeOutputs(
  terminal: Terminal,
  outputs: readonly RunOutput[],
  run: FinishedRun,
): void {
  const failures: unknown[] = [];
  for (const { kind, path } of outputs) {
    try {
      const content = contentOf(kind, run);
      const { command } = terminal;
      if (path !== standardOutput) writeWhole(path, content);
      else {
        for (const lines of linesOf(content)) {
          if (kind === 'github' && command !== undefined) command(lines, 'stdout');
          else terminal.print(lines);
        }
      }
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0) return;
  for (const error of failures.slice(1)) terminal.say((error as Error).message);
  throw failures[0];
}

function contentOf(kind: OutputKind, { report, recordings }: FinishedRun): FileContent {
  switch (kind) {
    case 'json':
      return jsonReport(report);
    case 'junit':
      return junitReport(report);
    case 'ctrf':
      return ctrfReport(report);
    case 'markdown':
      return markdownReport(report);
    case 'csv':
      return csvReport(report);
    case 'trace':
      return chromeTrace(recordings());
    case 'github':
      return orLine(githubAnnotations(report), '::debug::echokit-harness: nothing failed\n');
  }
}

/** A file is never empty. */
function* orLine(pieces: Iterable<string>, line: string): Iterable<string> {
  let count = 0;
  for (const piece of pieces) {
    count++;
    yield piece;
  }
  if (count === 0) yield line;
}

/** Whole lines without their ends; a terminal puts them behind each. */
function* linesOf(content: FileContent): Iterable<string> {
  const pieces = typeof content === 'string' ? [content] : (content as Iterable<string>);
  let rest = '';
  for (const piece of pieces) {
    const text = rest + piece;
    const end = text.lastIndexOf('\n');
    if (end > 0) yield text.slice(0, end);
    rest = text.slice(end + 1);
  }
  if (rest !== '') yield rest;
}

/** The same report; secrets are replaced in all of its texts. */
export function maskedReport(report: RunReport, mask: SecretMask): RunReport {
  return masked(report, mask);
}

function masked<T>(value: T, mask: SecretMask): T {
  if (typeof value === 'string') return mask.text(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => masked(one, mask)) as T;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, masked(member, mask)]),
  ) as T;
}

/** Less room than this is not worth a summary. */
const smallestSummaryBytes = 2000;

/**
 * On GitHub Actions, where the terminal takes commands: what failed as annotations on the lines of the scenarios, and the tables in the summary of the step.
 * On stderr, so that nothing is mixed with data; the runner reads both.
 */
export function showOnGithub(
  terminal: Terminal,
  report: ReportedRun,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  const { command } = terminal;
  if (command === undefined) return;
  const { GITHUB_WORKSPACE: workspace, GITHUB_STEP_SUMMARY: summary = '' } = environment;
  const shownFile = (file: string): string => {
    if (workspace === undefined || workspace === '') return file;
    const inside = relative(workspace, resolve(file));
    return inside.startsWith('..') ? file : inside.split(sep).join('/');
  };
  for (const line of githubAnnotations(report, { shownFile })) {
    command(line.trimEnd(), 'stderr');
  }
  if (summary === '') return;
  const before = statSync(summary, { throwIfNoEntry: false })?.size ?? 0;
  const room = stepSummaryBytes - before;
  if (room < smallestSummaryBytes) {
    terminal.say('The summary of this step is full: the tables of this run are not in it.');
    return;
  }
  try {
    appendFileSync(summary, markdownReport(report, room));
  } catch (error) {
    // It is shown in the log as well; a job must not fail for it.
    terminal.say(`The summary of this step cannot be written: ${(error as Error).message}`);
  }
}
