/** `npm run fuzz`: a great many hostile inputs for every decoder, in processes side by side. */
import { fork } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { SystemClock } from '../clock/system-clock.ts';
import { inputOf, keepFoundInput, readFoundInput } from '../fuzzing/found-input.ts';
import {
  type FuzzPart,
  type FuzzPartResult,
  hangLimitMs,
  repeatInput,
} from '../fuzzing/fuzz-run.ts';
import type { FuzzTarget, RuleName } from '../fuzzing/fuzz-target.ts';
import { readLastInput } from '../fuzzing/last-input.ts';
import { fuzzTargets, sharedInputs } from '../fuzzing/targets.ts';
import { renderTable } from '../report/text-table.ts';
import { checkoutCommand, namesOf, wholeWithin } from './checkout-command.ts';

interface FuzzOptions {
  readonly inputs: number;
  readonly target?: readonly string[];
  readonly seed: number;
  readonly processes: number;
  readonly coverage: boolean;
  readonly feedback: boolean;
  readonly input?: string;
  readonly json?: boolean;
  readonly list?: boolean;
}

const names = fuzzTargets.map(({ name }) => name);
const options = checkoutCommand(
  'fuzz',
  'Feeds every decoder with hostile input and checks the rules of harness/fuzzing/README.md. What breaks one is cut to the smallest input and kept in harness/fuzzing/found.',
)
  .option(
    '--inputs <count>',
    'inputs over all targets, shared by what they cost',
    wholeWithin(1, 1e9),
    100_000,
  )
  .option(
    '--target <name>',
    'only this one; may be repeated',
    (name: string, before: readonly string[] = []) => [...before, ...namesOf(names)(name)],
  )
  .option('--seed <number>', 'another one gives other inputs', wholeWithin(0, 1e9), 1)
  .addOption(
    new Option('--processes <count>', 'side by side')
      .argParser(wholeWithin(1, 1000))
      .default(cpus().length, 'one for each processor'),
  )
  .option('--no-coverage', 'do not look at which blocks of the code are reached: a little faster')
  .option('--no-feedback', 'look, but do not keep inputs that reach something new')
  .option('--input <file>', 'only this input: a file of found/, or any file, as it is')
  .option('--json', 'the figures as JSON')
  .option('--list', 'the targets')
  .parse()
  .opts<FuzzOptions>();

/** Of one target, over its parts. */
interface TargetFigures {
  readonly target: string;
  inputs: number;
  cpuMs: number;
  blocks: { reached: number; known: number } | undefined;
  corpus: number;
  bytesPerInput: number | undefined;
  readonly failures: { readonly rule: RuleName; readonly what: string; readonly file: string }[];
}

/** A process stays short enough for its memory to be looked at, and long enough for its corpus to be worth something. */
const partInputs = 50_000;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

process.exitCode = await main();

async function main(): Promise<number> {
  if (options.list) {
    print(
      textTable(
        ['', 'what is decoded'],
        fuzzTargets.map(({ name, about }) => [name, about]),
      ),
    );
    return 0;
  }
  const { inputs, seed, processes, target: wanted = names } = options;
  const targets = wanted.map((name) => fuzzTargets.find((one) => one.name === name)!);
  if (options.input !== undefined) return repeat(targets, options.input, seed);
  const clock = new SystemClock();
  const figures = await runAll(targets, inputs, seed, processes);
  const seconds = clock.nowUs() / 1e6;
  if (options.json) print(JSON.stringify({ seed, seconds, targets: figures }, null, 2));
  else show(figures, seconds);
  return figures.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

/** @returns 1 when the input still breaks a rule */
async function repeat(targets: readonly FuzzTarget[], path: string, seed: number): Promise<number> {
  const bytes = readFileSync(path);
  const found = path.endsWith('.json') && existsSync(path) ? readFoundInput(path) : undefined;
  const input = found?.input === undefined ? bytes : inputOf(found);
  const tried =
    found?.target === undefined ? targets : targets.filter(({ name }) => name === found.target);
  let status = 0;
  for (const target of tried) {
    const violation = await repeatInput(target, input, seed);
    print(
      `${target.name}: ${violation === undefined ? 'holds' : `${violation.rule}: ${violation.what}`}`,
    );
    if (violation !== undefined) status = 1;
  }
  return status;
}

async function runAll(
  targets: readonly FuzzTarget[],
  inputs: number,
  seed: number,
  processes: number,
): Promise<TargetFigures[]> {
  const figures = new Map<string, TargetFigures>();
  const parts: FuzzPart[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  for (const [target, count] of sharedInputs(targets, inputs)) {
    figures.set(target.name, {
      target: target.name,
      inputs: 0,
      cpuMs: 0,
      blocks: undefined,
      corpus: 0,
      bytesPerInput: undefined,
      failures: [],
    });
    const many = Math.ceil(count / partInputs);
    for (let i = 0; i < many; i++) {
      parts.push({
        target: target.name,
        // Every part draws other inputs.
        seed: seed + 1000 * i,
        inputs: Math.floor((count * (i + 1)) / many) - Math.floor((count * i) / many),
        coverage: options.coverage,
        feedback: options.feedback && options.coverage,
        hangFile: join(folder, `${target.name}-${i}`),
        lastFile: join(folder, `${target.name}-${i}-last`),
      });
    }
  }
  // The longest first, so that no process is alone with one at the end.
  const waiting = parts.sort((a, b) => b.inputs - a.inputs);
  const work = async (): Promise<void> => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      add(figures.get(part.target)!, part, await runInProcess(part));
    }
  };
  try {
    await Promise.all(Array.from({ length: processes }, work));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return [...figures.values()];
}

type Told = Omit<FuzzPartResult, 'violations'> & {
  readonly violations: readonly { rule: RuleName; mark: string; what: string; input: string }[];
};

/** @returns undefined: the process has ended without a word, because its watch or the system has ended it */
function runInProcess(part: FuzzPart): Promise<Told | undefined> {
  const worker = fileURLToPath(new URL('./fuzz-worker.ts', import.meta.url));
  return new Promise((resolve) => {
    const child = fork(worker, [JSON.stringify(part)], {
      execArgv: [...process.execArgv, '--expose-gc', '--max-old-space-size=2048'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let told: Told | undefined;
    child.on('message', (message) => {
      told = message as Told;
    });
    child.once('exit', () => resolve(told));
  });
}

function add(figures: TargetFigures, part: FuzzPart, told: Told | undefined): void {
  if (told === undefined) {
    const isHang = existsSync(part.hangFile);
    const rule = isHang ? 'no-hang' : 'bounded-memory';
    const what = isHang
      ? `no answer within ${hangLimitMs} ms`
      : `the process of seed ${part.seed} has ended in the middle of its ${part.inputs} inputs`;
    fail(
      figures,
      part.seed,
      { rule, what },
      isHang ? readFileSync(part.hangFile) : lastInput(part),
    );
    return;
  }
  figures.inputs += told.inputs;
  figures.cpuMs += told.cpuMs;
  figures.corpus += told.corpus;
  if (told.blocks !== undefined && told.blocks.reached >= (figures.blocks?.reached ?? 0)) {
    figures.blocks = told.blocks;
  }
  if (told.bytesPerInput !== undefined) {
    figures.bytesPerInput = Math.max(told.bytesPerInput, figures.bytesPerInput ?? -Infinity);
  }
  for (const violation of told.violations) {
    fail(figures, part.seed, violation, Buffer.from(violation.input, 'base64'));
  }
  say(`${part.target}: ${told.inputs} inputs, ${told.violations.length} failures`);
}

/** @returns undefined: the process has ended before its first input */
function lastInput({ lastFile }: FuzzPart): Uint8Array | undefined {
  return existsSync(lastFile) ? readLastInput(lastFile) : undefined;
}

function fail(
  { target, failures }: TargetFigures,
  seed: number,
  { rule, what }: { readonly rule: RuleName; readonly what: string },
  input: Uint8Array | undefined,
): void {
  const file =
    input === undefined
      ? ''
      : relative(process.cwd(), keepFoundInput({ target, rule, what, seed }, input));
  failures.push({ rule, what, file });
  say(`${target}: ${rule}: ${what}\n  ${file}`);
}

function show(figures: readonly TargetFigures[], seconds: number): void {
  const row = (name: string, of: readonly TargetFigures[]): string[] => {
    const inputs = of.reduce((sum, one) => sum + one.inputs, 0);
    const cpuMs = of.reduce((sum, one) => sum + one.cpuMs, 0);
    const [only] = of.length === 1 ? of : [];
    const blocks =
      only?.blocks === undefined ? '' : `${only.blocks.reached} of ${only.blocks.known}`;
    return [
      name,
      String(inputs),
      cpuMs === 0 ? '' : String(Math.round((inputs * 1000) / cpuMs)),
      blocks,
      only?.bytesPerInput === undefined ? '' : only.bytesPerInput.toFixed(1),
      String(of.reduce((sum, one) => sum + one.failures.length, 0)),
    ];
  };
  const head = ['', 'inputs', 'per CPU s', 'blocks reached', 'B kept/input', 'failures'];
  print(textTable(head, [...figures.map((one) => row(one.target, [one])), row('all', figures)]));
  print(`${seconds.toFixed(0)} s`);
  for (const { target, failures } of figures) {
    for (const { rule, what, file } of failures) print(`${target}: ${rule}: ${what}\n  ${file}`);
  }
}

function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = head.map((title, i) => ({
    head: ['', title] as const,
    align: i > 0 && head.length > 2 ? ('right' as const) : ('left' as const),
  }));
  const cells = rows.map((row) => row.map((text) => ({ text })));
  return renderTable(columns, cells, 140, (text) => text).join('\n');
}
