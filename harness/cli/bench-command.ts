import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearestName } from '../../adapters/nearest-name.ts';
import type { BenchMeans, BenchPart } from '../bench/bench-part.ts';
import { benchParts } from '../bench/bench-parts.ts';
import {
  type BenchResult,
  benchResultProblem,
  benchSchemaVersion,
  listOfParts,
  loadNow,
  machineFacts,
  movedFigures,
  type PartResult,
} from '../bench/bench-result.ts';
import { benchText, historyRow, listText, movedText } from '../bench/bench-text.ts';
import { SystemClock, wallClockIso } from '../clock/system-clock.ts';
import { writeWhole } from '../files/written-file.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import { BenchProcess } from './bench-processes.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { harnessVersion } from './harness-version.ts';
import { chooseProviders } from './provider-choice.ts';
import { reportCommand } from './report-command.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface BenchOptions {
  /** A file, or true: standard output in place of the text. */
  readonly json?: string | true;
  /** Default: all that this machine can. */
  readonly only?: readonly string[];
  readonly full?: boolean;
  readonly list?: boolean;
  /** JSON of an earlier bench. */
  readonly against?: string;
  /** A line more in the history of the checkout. */
  readonly keep?: boolean;
}

/** `bench`: how fast the program is; ratios within one run wherever they mean more than milliseconds. */
export async function benchCommand(terminal: Terminal, options: BenchOptions): Promise<number> {
  if (options.list === true) {
    terminal.print(listText(benchParts));
    return exitCode.passed;
  }
  const parts = options.only?.map(partOf) ?? benchParts.filter(({ always }) => always !== false);
  const full = options.full === true;
  const before = options.against === undefined ? undefined : earlier(options.against, full);
  const history = options.keep === true ? historyFolder() : undefined;
  const signal = interruptSignal(terminal, 'the benchmark is given up.');
  const means = meansOf(terminal, full, signal);
  const at = wallClockIso();
  const loadBefore = loadNow();
  const results: PartResult[] = [];
  for (const part of parts) {
    if (signal.aborted) break;
    terminal.say(`${part.name}: ${part.about}; about ${part.seconds} s`);
    results.push(await resultOf(part, means));
  }
  if (signal.aborted) return exitCode.interrupted;
  const commit = commitOf(means.packageFolder);
  const machine = machineFacts({ at, loadBefore, commit, version: harnessVersion() });
  const result: BenchResult = { schemaVersion: benchSchemaVersion, machine, full, parts: results };
  const document = JSON.stringify(result, null, 2);
  if (options.json === true) terminal.print(document);
  else terminal.print(benchText(result));
  if (typeof options.json === 'string') writeWhole(options.json, `${document}\n`);
  if (before !== undefined) {
    const text = movedText(movedFigures(before, result), options.against!);
    if (options.json === true) terminal.say(text);
    else terminal.print(`\n${text}`);
  }
  if (history !== undefined) {
    appendFileSync(join(history, 'bench-history.md'), `${historyRow(result)}\n`);
    appendFileSync(join(history, 'bench-history.jsonl'), `${JSON.stringify(result)}\n`);
  }
  const wanted = options.only !== undefined && results.some(({ missing }) => missing !== undefined);
  return wanted ? exitCode.environment : exitCode.passed;
}

async function resultOf(part: BenchPart, means: BenchMeans): Promise<PartResult> {
  const { name, about } = part;
  const measurement = await part.load();
  const missing = await measurement.missing?.(means);
  if (missing !== undefined) {
    means.say(`${name}: left out, ${missing}`);
    return { name, about, figures: [], missing };
  }
  return { name, about, figures: await measurement.measure(means) };
}

function meansOf(terminal: Terminal, full: boolean, signal: AbortSignal): BenchMeans {
  const { entries } = chooseProviders(terminal);
  const catalog = scenarioCatalog([...entries.keys()]);
  let laboratory: Promise<Laboratory> | undefined;
  const main = fileURLToPath(import.meta.url).replace('bench-command', 'main');
  const clock = new SystemClock();
  return {
    clock,
    full,
    signal,
    providers: entries,
    catalog,
    scenarios: (...names) => {
      const files = names.map((name) => `${defaultScenarioFolder()}/${name}.toml`);
      return loadScenarios(findScenarioFiles(files), catalog);
    },
    laboratory: () => {
      laboratory ??= openCommandLaboratory(terminal);
      return laboratory;
    },
    program: main.endsWith('.ts') ? ['--import=tsx', main] : [main],
    packageFolder: packageFolder(),
    writeReport: async (run, { json, html }) => {
      const silent = { ...terminal, print: () => {}, say: () => {} };
      const output = [`json=${json}`];
      await reportCommand(silent, [run], {
        output,
        github: false,
        ...(html !== undefined && { html }),
      });
    },
    openProcess: () => new BenchProcess(clock.startNs),
    say: (text) => terminal.say(text),
  };
}

function partOf(name: string): BenchPart {
  const part = benchParts.find((one) => one.name === name);
  if (part !== undefined) return part;
  const meant = nearestName(
    name,
    benchParts.map((one) => one.name),
  );
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no part "${name}"${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
    `parts: ${listOfParts(benchParts)}`,
  );
}

/** @throws {CommandError} when the file is no bench, or one of the other length: its figures are of other work */
function earlier(file: string, full: boolean): BenchResult {
  let document: unknown;
  let problem: string | undefined;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
    problem = benchResultProblem(document);
  } catch (error) {
    problem = (error as Error).message;
  }
  if (problem !== undefined) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--against ${file} is no bench that can be compared: ${problem}.`,
      'bench --json <file> writes one',
    );
  }
  const result = document as BenchResult;
  if (result.full === full) return result;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `${file} was measured ${result.full ? 'with' : 'without'} --full, which is other work.`,
    `measure ${full ? 'without' : 'with'} --full, too`,
  );
}

function packageFolder(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const folders = ['../..', '../../..'].map((up) => join(here, up));
  return folders.find((folder) => existsSync(join(folder, 'package.json'))) ?? folders[0]!;
}

/** The history belongs to a checkout; an installed package has none. */
function historyFolder(): string {
  const folder = join(packageFolder(), 'docs');
  if (existsSync(join(folder, 'bench-history.md'))) return folder;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `--keep adds to docs/bench-history.md, and ${folder} has none.`,
    'use it in a checkout; --json <file> keeps the figures anywhere',
  );
}

function commitOf(folder: string): string | null {
  const how = { cwd: folder, encoding: 'utf8' } as const;
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], how);
  return status === 0 ? stdout.trim() : null;
}
