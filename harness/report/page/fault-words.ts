/** What is called whose fault. */
import type { UnderrunBlame } from '../../metrics/blame.ts';
import type { GapLine, Stutter } from './page-data.ts';

/** The stage as a person calls it. */
export function stageWord(stage: string): string {
  return stage === 'device' ? 'board' : stage;
}

export function faultWords({ cause, together }: Pick<UnderrunBlame, 'cause' | 'together'>): string {
  if (cause === 'unknown') return 'cause not known';
  return together.map(stageWord).join(' and ');
}

/** By cause, the longest first. */
export function stutterOf(gaps: readonly Pick<GapLine, 'fault' | 'durationMs'>[]): Stutter[] {
  return addStutters(gaps.map(({ fault, durationMs }) => ({ fault, count: 1, ms: durationMs })));
}

export function addStutters(stutters: readonly Stutter[]): Stutter[] {
  const sums = new Map<string, Stutter>();
  for (const { fault, count, ms } of stutters) {
    const sum = sums.get(fault) ?? { fault, count: 0, ms: 0 };
    sums.set(fault, { fault, count: sum.count + count, ms: sum.ms + ms });
  }
  return [...sums.values()].sort((a, b) => b.ms - a.ms);
}

/** "stuttered 3 times, 240 ms; network"; with several causes how much of it each has. */
export function stutterWords(stutters: readonly Stutter[]): string {
  const count = stutters.reduce((sum, one) => sum + one.count, 0);
  if (count === 0) return 'no stutter';
  const ms = Math.round(stutters.reduce((sum, one) => sum + one.ms, 0));
  const [first] = stutters;
  const whose =
    stutters.length === 1
      ? first!.fault
      : stutters.map((one) => `${one.fault} ${Math.round(one.ms)} ms`).join(', ');
  return `stuttered ${count === 1 ? 'once' : `${count} times`}, ${ms} ms; ${whose}`;
}
