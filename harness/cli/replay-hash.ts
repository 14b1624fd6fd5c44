/**
 * Replays recordings of every provider again and again and prints one hash: the same for every repetition, whatever
 * else the computer does, and for every version of Node.
 * The repetitions are spread over four loads: none, and 1, 2 and 4 processes that take what they get.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import { runPlan } from '../runner/run-plan.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import { checkoutCommand, namesOf, wholeWithin } from './checkout-command.ts';
import { exitCode } from './exit-code.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { processTerminal } from './terminal.ts';

const terminal = processTerminal();
const known = builtInProviders.map(({ name }) => name);
const { repetitions, providers } = checkoutCommand(
  'test:replay-hash',
  'Replays a recording of every provider again and again beside 0, 1, 2 and 4 busy processes and prints one hash.',
)
  .option('--repetitions <count>', 'over all loads', wholeWithin(1, 1e6), 100)
  .addOption(
    new Option('--providers <names>', 'separated by commas')
      .argParser(namesOf(known))
      .default(known, 'all'),
  )
  .parse()
  .opts<{ readonly repetitions: number; readonly providers: readonly string[] }>();
/** Busy until whoever started it is gone, however that ended. */
const busyProgram = `
process.stdin.on('end', () => process.exit()).resume();
const work = () => { for (let i = 0; i < 1e7; i++); setImmediate(work); };
work();`;
/** Busy processes beside this one. */
const loads = [0, 1, 2, 4];

const catalog = scenarioCatalog(providers);
const scenario = loadScenario(
  `title = "Replayed"
[[turn]]
say = "Go on."
reply = "At ten. At two."
`,
  'replayed.toml',
  catalog,
);
const laboratory = await openLaboratory();
const signal = new AbortController().signal;
const busy: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'echokit-replay-hash-'));
process.on('exit', () => {
  for (const child of busy) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Every file of the recordings but their manifests. */
function hashOf(run: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(join(run, 'cells'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'manifest.toml')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of files) hash.update(file.slice(run.length)).update(readFileSync(file));
  return hash.digest('hex');
}

const recorded = join(folder, 'recorded');
await runPlan({
  plan: planRun([scenario], { providers, seed: 1, time: 'virtual', catalog }),
  providers: new Map(builtInProviders.map((entry) => [entry.name, entry])),
  laboratory,
  folder: recorded,
  signal,
  environment: {},
});
terminal.say(
  `Node ${process.version}: recorded ${providers.length} conversations, ${hashOf(recorded)}`,
);
const conversations = openReplayables(recorded, catalog);
const hashes = new Map<string, number>();
const before = process.cpuUsage();
for (let repetition = 0; repetition < repetitions; repetition++) {
  const load = loads[Math.floor((repetition * loads.length) / repetitions)]!;
  while (busy.length < load) busy.push(spawn(process.execPath, ['-e', busyProgram]));
  const run = join(folder, 'replayed');
  const results = await runPlan({
    plan: replayPlan(conversations, 'virtual'),
    ...recordedMeans(conversations),
    laboratory,
    folder: run,
    signal,
    environment: {},
  });
  const failed = results.find(({ verdict }) => verdict.outcome !== 'pass');
  if (failed !== undefined) {
    terminal.say(failed.verdict.failures.map(({ message }) => message).join('\n'));
    process.exit(exitCode.expectationFailed);
  }
  const hash = hashOf(run);
  if (!hashes.has(hash)) terminal.say(`${load} busy processes: ${hash}`);
  hashes.set(hash, (hashes.get(hash) ?? 0) + 1);
  rmSync(run, { recursive: true });
}
const { user, system } = process.cpuUsage(before);
terminal.say(`${((user + system) / 1e6 / repetitions).toFixed(2)} s of processor time each`);
terminal.print(
  `Node ${process.version}, ${providers.length} providers, ${repetitions} repetitions, loads ${loads.join(', ')}: ` +
    `${hashes.size === 1 ? 'one hash' : `${hashes.size} hashes`}, ${[...hashes.keys()].join(' ')}`,
);
process.exit(hashes.size === 1 ? exitCode.passed : exitCode.expectationFailed);
