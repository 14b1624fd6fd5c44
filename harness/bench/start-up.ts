import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, repeated } from './figure.ts';

const quickRounds = 12;
const fullRounds = 40;
const helpGoalMs = 150;

/** Loaded before everything else by a program that is started; tells at its end how much processor time it took, in µs. */
const witnessOfItsEnd = `const { writeSync } = require('node:fs');
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  writeSync(3, String(user + system));
});
`;

/** One way to start something; its rounds alternate with those of the others. */
interface Start {
  readonly id: string;
  readonly label: string;
  readonly goal?: number;
  run(): Promise<Started>;
}

/** In µs. */
interface Started {
  readonly tookUs: number;
  /** Processor time; absent of a program that was ended. */
  readonly processorUs?: number;
}

/**
 * How long people wait for the program: its help, and the first event of its first conversation. Beside them Node with
 * nothing to do, because its own start is most of it and takes as much longer on a busy machine as theirs.
 */
export const startUp: BenchMeasurement = {
  async measure(means) {
    const main = compiledProgram(means);
    const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
    try {
      const witness = join(folder, 'witness.cjs');
      writeFileSync(witness, witnessOfItsEnd);
      return await measureStarts(starts(means, main, witness), means);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measureStarts(all: readonly Start[], means: BenchMeans): Promise<Figure[]> {
  const rounds: Started[][] = all.map(() => []);
  // The first round fills the caches of the system, and counts for nothing.
  for (let round = 0; round <= (means.full ? fullRounds : quickRounds); round++) {
    for (const [index, { run }] of all.entries()) {
      if (means.signal.aborted) return [];
      const started = await run();
      if (round > 0) rounds[index]!.push(started);
    }
  }
  const empty = rounds[0]!;
  return all.flatMap((start, index) => figuresOf(start, rounds[index]!, empty));
}

function figuresOf(
  { id, label, goal }: Start,
  started: readonly Started[],
  empty: readonly Started[],
): Figure[] {
  const here = { better: 'lower', kind: 'here', unit: 'ms' } as const;
  const times = started.map(({ tookUs }) => tookUs / 1000);
  const processor = started.flatMap(({ processorUs }) =>
    processorUs === undefined ? [] : [processorUs / 1000],
  );
  const least: Figure = {
    ...here,
    id: `startup.${id}_least`,
    label: `${label}, least`,
    value: Math.min(...times),
    n: times.length,
    ...(goal !== undefined && { goal }),
  };
  const ratios = started.map(({ tookUs }, round) => tookUs / empty[round]!.tookUs);
  const ratio = repeated(ratios, {
    id: `startup.${id}_ratio`,
    label: `${label}, in starts of an empty Node`,
    unit: '×',
    better: 'lower',
    kind: 'ratio',
  });
  return [
    least,
    repeated(times, { ...here, id: `startup.${id}`, label: `${label}, median` }),
    ...(processor.length === 0
      ? []
      : [
          repeated(processor, {
            ...here,
            id: `startup.${id}_processor`,
            label: `${label}, processor time`,
          }),
        ]),
    ...(started === empty ? [] : [ratio]),
  ];
}

function starts(means: BenchMeans, main: string, witness: string): Start[] {
  const { clock, packageFolder, program } = means;
  const timed = (args: readonly string[]) => async (): Promise<Started> => {
    const fromUs = clock.nowUs();
    const { status, error, output } = spawnSync(process.execPath, ['--require', witness, ...args], {
      cwd: packageFolder,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    const tookUs = clock.nowUs() - fromUs;
    if (status !== 0) throw error ?? new Error(`node ${args.join(' ')} ended with ${status}.`);
    return { tookUs, processorUs: Number(output[3]) };
  };
  const isCheckout = program.length > 1;
  return [
    { id: 'node', label: 'Node with nothing to do', run: timed(['-e', '0']) },
    {
      id: 'help',
      label: '--help, compiled',
      goal: helpGoalMs,
      run: timed([main, '--help']),
    },
    ...(isCheckout
      ? [{ id: 'help_tsx', label: '--help, from the sources', run: timed([...program, '--help']) }]
      : []),
    {
      id: 'first_event',
      label: '"run", compiled, to its first event',
      run: () => untilFirstEvent(main, means),
    },
  ];
}

/** A conversation in virtual time is over when its first event is read, so the program is ended then. */
async function untilFirstEvent(
  main: string,
  { clock, packageFolder }: BenchMeans,
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  const scenario = join(packageFolder, 'scenarios', 'one-question.toml');
  const args = [main, 'run', scenario, '--provider', 'elevenlabs', '--verbose'];
  const fromUs = clock.nowUs();
  const child = spawn(
    process.execPath,
    [...args, '--no-harness-config', '--no-html', '--no-github', '--out', folder],
    { cwd: packageFolder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const closed = once(child, 'close');
  try {
    let told = '';
    const heard = new Promise<number>((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        told += text;
        if (eventLine.test(told)) resolve(clock.nowUs());
      });
    });
    const atUs = await Promise.race([heard, closed.then(() => undefined)]);
    if (atUs === undefined) throw new Error(`The program ended without an event:\n${told}`);
    return { tookUs: atUs - fromUs };
  } finally {
    child.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What `--verbose` prints of an event: its instant, and who tells. */
const eventLine = /^\s*\d+\.\d{3}\b.*\b(device|server|user|provider|network)\b/m;

/**
 * The program as it is published and as its users start it: this one, or compiled here without a check of its types. What is compiled stays, so
 * that the next bench compiles only what has changed.
 */
function compiledProgram({ program, packageFolder, say }: BenchMeans): string {
  if (program.length === 1) return program[0]!;
  say('startup: compiling the program');
  // Laid out as a package, below the folder where its dependencies are found.
  const folder = join(packageFolder, '.cache', 'bench');
  mkdirSync(folder, { recursive: true });
  for (const name of ['harness', 'package.json']) {
    if (!existsSync(join(folder, name))) symlinkSync(join(packageFolder, name), join(folder, name));
  }
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const dist = join(folder, 'dist');
  const config = join(packageFolder, 'tsconfig.build.json');
  const args = ['-p', config, '--noCheck', '--outDir', dist, '--incremental'];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [compiler, ...args, '--tsBuildInfoFile', join(folder, 'tsbuildinfo')],
    { cwd: packageFolder, encoding: 'utf8' },
  );
  const cli = join(dist, 'harness', 'cli');
  const start = join(cli, 'start.js');
  if (!existsSync(start)) {
    throw new Error(`The program could not be compiled:\n${stdout}${stderr}`);
  }
  // What `npm run build` does behind the compiler.
  const bundle = join(packageFolder, 'harness', 'cli', 'build-help.ts');
  const built = spawnSync(process.execPath, ['--import=tsx', bundle, cli], {
    cwd: packageFolder,
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`The help could not be bundled:\n${built.stderr}`);
  return start;
}
