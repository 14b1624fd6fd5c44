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

/** More of it in a process than when it had warmed up is a leak. */
const heapGrowthLimitBytes = 400 * 1024 * 1024;
/** Seeds after which a process has filled its caches. */
const warmSeeds = 100;
/** A defect that fails a thousand seeds is not cut a thousand times. */
const shrunkPerRule = 3;

interface Memory {
  warmHeapBytes: number;
  heapBytes: number;
  residentBytes: number;
  seeds: number;
}

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
  const memories: Memory[] = [];
  let next = first;
  let done = 0;
  let virtualMs = 0;
  const progress = (): void => {
    if (json) return;
    const perSecond = done / (clock.nowUs() / 1e6);
    terminal.status?.(
      `${done} of ${seeds} seeds, ${failing.length} failing, ${perSecond.toFixed(1)} per second`,
    );
  };
  try {
    await Promise.all(
      processes.map(async (one) => {
        await one.ready();
        const memory: Memory = { warmHeapBytes: 0, heapBytes: 0, residentBytes: 0, seeds: 0 };
        memories.push(memory);
        while (next < first + seeds && !signal.aborted && clock.nowUs() < endUs) {
          const answer = await one.ask({ kind: 'explore', seed: next++ });
          if (answer.kind !== 'explored') continue;
          done += 1;
          virtualMs += answer.explored.virtualMs;
          memory.seeds += 1;
          memory.heapBytes = answer.heapBytes;
          memory.residentBytes = Math.max(memory.residentBytes, answer.residentBytes);
          if (memory.seeds === warmSeeds) memory.warmHeapBytes = answer.heapBytes;
          const violations = [...answer.explored.violations, ...leak(memory)];
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
    report(terminal, { json, done, first, tookS, virtualMs, failing, found, files, memories });
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

function leak({ seeds, warmHeapBytes, heapBytes }: Memory): Violation[] {
  const grownBytes = heapBytes - warmHeapBytes;
  if (seeds <= warmSeeds || grownBytes < heapGrowthLimitBytes) return [];
  const what = `${megabytes(grownBytes)} more heap than ${seeds - warmSeeds} seeds before`;
  return [{ rule: 'bounded-memory', what }];
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
  const text = scenarioText(smallest, [
    `${violation.rule}: ${invariants[violation.rule]}.`,
    `Seen: ${violation.what.replaceAll('\n', ' ')}`,
    `Cut from ${from} turns, faults and acts to ${to}. Again: echokit-harness run ${file} --seed ${seed}`,
    ...(cable === undefined
      ? []
      : [`With a virtual board: echokit-harness explore --seed ${seed}`]),
  ]);
  mkdirSync(folder, { recursive: true });
  writeWhole(file, text);
  return file;
}

interface Outcome {
  readonly json: boolean;
  readonly done: number;
  readonly first: number;
  readonly tookS: number;
  readonly virtualMs: number;
  readonly failing: readonly { readonly explored: Explored; readonly violation: Violation }[];
  readonly found: readonly Found[];
  readonly files: readonly string[];
  readonly memories: readonly Memory[];
}

function report(terminal: Terminal, outcome: Outcome): void {
  const { json, done, first, tookS, virtualMs, failing, found, files, memories } = outcome;
  const residentBytes = Math.max(0, ...memories.map((memory) => memory.residentBytes));
  const heapGrowthBytes = Math.max(
    0,
    ...memories.map(({ seeds, heapBytes, warmHeapBytes }) =>
      seeds > warmSeeds ? heapBytes - warmHeapBytes : 0,
    ),
  );
  const perSecond = done / Math.max(tookS, 0.001);
  if (json) {
    terminal.print(
      JSON.stringify(
        {
          schemaVersion: 1,
          seeds: done,
          firstSeed: first,
          seconds: tookS,
          seedsPerSecond: perSecond,
          virtualHours: virtualMs / 3_600_000,
          processes: memories.length,
          residentBytes,
          heapGrowthBytes,
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
  terminal.print(
    `${done} seeds from ${first}: ${failing.length === 0 ? 'everything held' : `${failing.length} failing`}. ` +
      `${perSecond.toFixed(1)} seeds per second in ${memories.length} processes, ${(virtualMs / 3_600_000).toFixed(1)} hours of ` +
      `virtual time in ${Math.round(tookS)} s; a process had at most ${megabytes(residentBytes)}, its heap grew by ${megabytes(heapGrowthBytes)} ` +
      `behind its first ${warmSeeds} seeds.`,
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

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}
