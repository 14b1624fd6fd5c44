import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../clock/system-clock.ts';
import { type Explored, type Found, scenarioName } from '../exploration/explorer.ts';
import { invariants, type Violation } from '../exploration/invariant.ts';
import { scenarioText } from '../exploration/schedule.ts';
import { writeWhole } from '../files/written-file.ts';
import { exitCode } from './exit-code.ts';
import { ExploreProcess } from './explore-processes.ts';
import { ExploreTally, megabytes, warmSeeds } from './explore-tally.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ExploreCommandOptions {
  /** How many seeds. */
  readonly seeds: number;
  /** The first of them. */
  readonly seed: number;
  /** Processes; default: one for each core. */
  readonly jobs?: number;
  /** Stops after so many minutes. */
  readonly minutes?: number;
  /** Where smallest schedules are kept as scenarios. */
  readonly save: string;
  readonly json?: boolean;
}

/** A defect that fails a thousand seeds is not cut a thousand times. */
const shrunkPerRule = 3;

/** Seeds after which a line says how far it is, where no line can be rewritten. */
const seedsPerLine = 250;

/** `explore`: random faults over seeds against what must always hold. Returns the exit code. */
export async function exploreCommand(
  terminal: Terminal,
  { seeds, seed: first, jobs, minutes, save, json = false }: ExploreCommandOptions,
): Promise<number> {
  const clock = new SystemClock();
  const signal = interruptSignal(terminal, 'the seeds in progress are being finished.');
  const root = mkdtempSync(join(memoryFolder(), 'echokit-explore-'));
  const endUs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * 60_000_000;
  const processes = Array.from(
    { length: Math.min(jobs ?? availableParallelism(), seeds) },
    () => new ExploreProcess(root),
  );
  const failing: { readonly explored: Explored; readonly violation: Violation }[] = [];
  const tally = new ExploreTally();
  let next = first;
  const progress = (): void => {
    if (json) return;
    const perSecond = tally.seeds / (clock.nowUs() / 1e6);
    const line = `${tally.seeds} of ${seeds} seeds, ${failing.length} failing, ${perSecond.toFixed(1)} per second`;
    terminal.status?.(line);
    if (terminal.status !== undefined || tally.seeds % seedsPerLine !== 0) return;
    const { cpuMs, memoryBytes } = tally;
    const memory = memoryBytes === null ? '' : `, ${megabytes(memoryBytes)} needed by a process`;
    terminal.say(`${line}, ${Math.round(cpuMs / 1000)} s of CPU${memory}; next seed ${next}`);
  };
  try {
    await Promise.all(
      processes.map(async (one) => {
        await one.ready();
        const own = tally.addProcess();
        while (next < first + seeds && !signal.aborted && clock.nowUs() < endUs) {
          const answer = await one.ask({ kind: 'explore', seed: next++ });
          if (answer.kind !== 'explored') continue;
          const leak = tally.add(own, answer.explored, answer.usage);
          const violations = [...answer.explored.violations, ...leak];
          const [violation] = violations;
          if (violation !== undefined) {
            failing.push({ explored: answer.explored, violation });
            const { rule, what } = violation;
            if (!json) terminal.say(`seed ${answer.explored.seed}: ${rule}: ${what}`);
          }
          progress();
        }
      }),
    );
    terminal.status?.('');
    const tookS = clock.nowUs() / 1e6;
    failing.sort((a, b) => a.explored.seed - b.explored.seed);
    const found = await shrinkAll(terminal, processes[0]!, failing, signal);
    terminal.status?.('');
    const files = found.map((one) => keep(one, save));
    report(terminal, { json, first, tookS, tally, failing, found, files });
    if (signal.aborted) return exitCode.interrupted;
    return failing.length === 0 ? exitCode.passed : exitCode.expectationFailed;
  } finally {
    for (const one of processes) one.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Memory of the machine where it can be written as a folder: recordings live for less than a second. */
function memoryFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

async function shrinkAll(
  terminal: Terminal,
  process: ExploreProcess,
  failing: readonly { readonly explored: Explored; readonly violation: Violation }[],
  signal: AbortSignal,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const { explored, violation } of failing) {
    if (signal.aborted) break;
    const { rule } = violation;
    // One seed cannot show a leak again.
    if (rule === 'bounded-memory') continue;
    if (found.filter((one) => one.violation.rule === rule).length >= shrunkPerRule) continue;
    terminal.status?.(`seed ${explored.seed} breaks ${rule}: looking for the smallest schedule`);
    const answer = await process.ask({ kind: 'shrink', seed: explored.seed, violation });
    if (answer.kind === 'shrunk') found.push(answer.found);
  }
  return found;
}

/** @returns the file */
function keep({ seed, violation, smallest, from, to }: Found, folder: string): string {
  const { cable } = smallest;
  const file = join(folder, `${scenarioName(seed)}.toml`);
  // A scenario file does not say what board it is for.
  const again =
    cable === undefined
      ? `echokit-harness run ${file} --seed ${seed}`
      : `echokit-harness explore --seed ${seed}`;
  const text = scenarioText(smallest, [
    `${violation.rule}: ${invariants[violation.rule]}.`,
    `Seen: ${violation.what.replaceAll('\n', ' ')}`,
    `Cut from ${from} turns, faults and acts to ${to}. Again: ${again}`,
    ...(cable === undefined ? [] : [`Cable: ${cable}`]),
  ]);
  mkdirSync(folder, { recursive: true });
  writeWhole(file, text);
  return file;
}

interface Outcome {
  readonly json: boolean;
  readonly first: number;
  readonly tookS: number;
  readonly tally: ExploreTally;
  readonly failing: readonly { readonly explored: Explored; readonly violation: Violation }[];
  readonly found: readonly Found[];
  readonly files: readonly string[];
}

function report(terminal: Terminal, outcome: Outcome): void {
  const { json, first, tookS, tally, failing, found, files } = outcome;
  const { seeds, cpuMs, processes, residentBytes, struck, missing } = tally;
  const perSecond = seeds / Math.max(tookS, 0.001);
  const virtualHours = tally.virtualMs / 3_600_000;
  const faultsStruck = [...struck.values()].reduce((sum, count) => sum + count, 0);
  if (json) {
    terminal.print(
      JSON.stringify(
        {
          schemaVersion: 1,
          seeds,
          firstSeed: first,
          seconds: tookS,
          seedsPerSecond: perSecond,
          cpuSeconds: cpuMs / 1000,
          virtualHours,
          processes,
          residentBytes,
          memoryBytes: tally.memoryBytes,
          memoryBytesPerThousandSeeds: tally.bytesPerThousandSeeds,
          faultsStruck: Object.fromEntries([...struck].sort()),
          failing: failing.map(({ explored: { seed, violations } }) => ({
            seed,
            violations,
            command: `echokit-harness explore --seed ${seed}`,
          })),
          smallest: found.map(({ seed, violation, from, to }, i) => ({
            seed,
            ...violation,
            from,
            to,
            file: files[i],
          })),
        },
        null,
        2,
      ),
    );
    return;
  }
  const slope = tally.bytesPerThousandSeeds;
  terminal.print(
    `${seeds} seeds from ${first}: ${failing.length === 0 ? 'everything held' : `${failing.length} failing`}. ` +
      `${perSecond.toFixed(1)} seeds per second in ${processes} ${processes === 1 ? 'process' : 'processes'}, ` +
      `${virtualHours.toFixed(1)} hours of virtual time in ${Math.round(tookS)} s and ${Math.round(cpuMs / 1000)} s of CPU; ` +
      `a process had at most ${megabytes(residentBytes)}` +
      `${slope === null ? '' : `, and what it needs changed by ${(slope / 1024).toFixed(0)} KB for 1,000 seeds behind its first ${warmSeeds}`}.`,
  );
  terminal.print(
    `${faultsStruck} faults struck, of ${struck.size} kinds` +
      `${missing.length === 0 || missing.length > 20 ? '' : `; never: ${missing.join(', ')}`}.`,
  );
  for (const { explored, violation } of failing.slice(0, 20)) {
    terminal.print(`  seed ${explored.seed}: ${violation.rule}: ${violation.what}`);
  }
  if (failing.length > 20) terminal.print(`  and ${failing.length - 20} more`);
  for (const [i, { seed, from, to }] of found.entries()) {
    terminal.print(
      `seed ${seed}: cut from ${from} turns, faults and acts to ${to}: ${files[i]}\n  again: echokit-harness explore --seed ${seed}`,
    );
  }
}
