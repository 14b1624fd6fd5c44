/** A bench as a document: what was measured, where, and how it stands beside an earlier one. */
import { cpus, loadavg, totalmem } from 'node:os';
import type { BenchPart } from './bench-part.ts';
import type { Figure } from './figure.ts';

export const benchSchemaVersion = 2;

export interface BenchResult {
  readonly schemaVersion: typeof benchSchemaVersion;
  readonly machine: BenchMachine;
  /** `--full`. */
  readonly full: boolean;
  readonly parts: readonly PartResult[];
}

export interface BenchMachine {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly commit: string | null;
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  /** Processes that wanted a processor, on average over a minute, before and after. */
  readonly loadBefore: number;
  readonly loadAfter: number;
}

export interface PartResult {
  readonly name: string;
  readonly about: string;
  readonly figures: readonly Figure[];
  /** Why there are none. */
  readonly missing?: string;
}

/** @param facts what the machine cannot say of itself */
export function machineFacts(
  facts: Pick<BenchMachine, 'at' | 'commit' | 'version' | 'loadBefore'>,
): BenchMachine {
  const [first, ...others] = cpus();
  return {
    ...facts,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: first?.model.trim() ?? 'unknown',
    cores: others.length + 1,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    loadAfter: loadNow(),
  };
}

export function loadNow(): number {
  return Math.round(loadavg()[0]! * 100) / 100;
}

/** How a figure stands beside the same one of an earlier run. */
export interface Moved {
  readonly before: Figure;
  readonly now: Figure;
  /** `same`: their spreads have something in common. Exact figures are the same only when they are equal. */
  readonly verdict: 'same' | 'better' | 'worse';
}

/** Figures that both have and that do not depend on the machine; those of this machine are left out. */
export function movedFigures(before: BenchResult, now: BenchResult): Moved[] {
  const old = new Map(figuresOf(before).map((figure) => [figure.id, figure]));
  return figuresOf(now).flatMap((figure) => {
    const was = old.get(figure.id);
    if (was === undefined || figure.kind === 'here' || was.kind === 'here') return [];
    return [{ before: was, now: figure, verdict: verdictOf(was, figure) }];
  });
}

function verdictOf(before: Figure, now: Figure): Moved['verdict'] {
  const [a, b] = [rangeOf(before), rangeOf(now)];
  if (a.low <= b.high && b.low <= a.high) return 'same';
  return now.value > before.value === (now.better === 'higher') ? 'better' : 'worse';
}

function rangeOf({ value, spread }: Figure): { readonly low: number; readonly high: number } {
  return spread ?? { low: value, high: value };
}

export function figuresOf({ parts }: BenchResult): Figure[] {
  return parts.flatMap(({ figures }) => figures);
}

/** Whether a figure is what it should be; undefined: there is no goal. */
export function meetsGoal({ value, goal, better }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  return better === 'lower' ? value <= goal : value >= goal;
}

/** What is wrong with a file that should be a {@link BenchResult}; undefined: nothing. */
export function benchResultProblem(document: unknown): string | undefined {
  const { schemaVersion, parts } = (document ?? {}) as Partial<BenchResult>;
  if (schemaVersion !== benchSchemaVersion) {
    return `its schemaVersion is ${JSON.stringify(schemaVersion)}; this program reads ${benchSchemaVersion}`;
  }
  return Array.isArray(parts) ? undefined : 'it has no parts';
}

/** Part names as people list them. */
export function listOfParts(parts: readonly BenchPart[]): string {
  return parts.map(({ name }) => name).join(', ');
}
