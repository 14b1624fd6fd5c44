/** What a search has come to so far: seeds, faults that struck, and what its processes needed. */
import type { Explored } from '../exploration/explorer.ts';
import type { Violation } from '../exploration/invariant.ts';
import { faults } from '../faults/catalog.ts';
import type { ProcessUsage } from './explore-processes.ts';

/** Seeds after which a process has filled its caches. */
export const warmSeeds = 500;
/** More of it in a process than when it had warmed up is a leak. */
const growthLimitBytes = 200 * 1024 * 1024;

/** Of one process, measured behind a collection of garbage. */
interface MemorySample {
  readonly seeds: number;
  readonly bytes: number;
}

interface ProcessTally {
  seeds: number;
  cpuMs: number;
  residentBytes: number;
  readonly memory: MemorySample[];
}

export class ExploreTally {
  seeds = 0;
  virtualMs = 0;
  /** How many times each fault struck. */
  readonly struck = new Map<string, number>();
  readonly #processes: ProcessTally[] = [];

  /** @returns what to {@link add} its answers to */
  addProcess(): ProcessTally {
    const tally: ProcessTally = { seeds: 0, cpuMs: 0, residentBytes: 0, memory: [] };
    this.#processes.push(tally);
    return tally;
  }

  /** @returns whether the process needs ever more memory */
  add(own: ProcessTally, explored: Explored, usage: ProcessUsage): Violation[] {
    this.seeds += 1;
    this.virtualMs += explored.virtualMs;
    for (const name of explored.struck) this.struck.set(name, (this.struck.get(name) ?? 0) + 1);
    own.seeds += 1;
    own.cpuMs = usage.cpuMs;
    own.residentBytes = Math.max(own.residentBytes, usage.residentBytes);
    if (usage.memoryBytes === undefined) return [];
    own.memory.push({ seeds: own.seeds, bytes: usage.memoryBytes });
    const [warm] = warmSamples(own);
    if (warm === undefined || usage.memoryBytes - warm.bytes < growthLimitBytes) return [];
    const more = `${megabytes(usage.memoryBytes - warm.bytes)} more memory`;
    return [
      { rule: 'bounded-memory', what: `${more} than ${own.seeds - warm.seeds} seeds before` },
    ];
  }

  get processes(): number {
    return this.#processes.length;
  }

  /** Of all processes, with their start. */
  get cpuMs(): number {
    return this.#processes.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  }

  /** The most that a process had. */
  get residentBytes(): number {
    return Math.max(0, ...this.#processes.map(({ residentBytes }) => residentBytes));
  }

  /** The last measured memory of a process, the largest of all. Null: nothing measured. */
  get memoryBytes(): number | null {
    const last = this.#processes.flatMap(({ memory }) => memory.at(-1)?.bytes ?? []);
    return last.length === 0 ? null : Math.max(...last);
  }

  /** By a straight line through the memory of a warm process, the steepest of all. Null: too few seeds. */
  get bytesPerThousandSeeds(): number | null {
    const slopes = this.#processes.flatMap((own) => {
      const samples = warmSamples(own);
      return samples.length < 3 ? [] : [1000 * slopeOf(samples)];
    });
    return slopes.length === 0 ? null : Math.max(...slopes);
  }

  /** Faults that never struck. */
  get missing(): string[] {
    return faults.map(({ name }) => name).filter((name) => !this.struck.has(name));
  }
}

function warmSamples({ memory }: ProcessTally): MemorySample[] {
  return memory.filter(({ seeds }) => seeds >= warmSeeds);
}

/** Least squares. */
function slopeOf(samples: readonly MemorySample[]): number {
  const mean = (of: (sample: MemorySample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const seeds = mean((sample) => sample.seeds);
  const bytes = mean((sample) => sample.bytes);
  const covariance = mean((sample) => (sample.seeds - seeds) * (sample.bytes - bytes));
  return covariance / mean((sample) => (sample.seeds - seeds) ** 2);
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}
