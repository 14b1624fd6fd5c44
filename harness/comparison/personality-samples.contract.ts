/** Conversations that were really held with every personality of the stand-ins (`fixtures/README.md`). */
import { readFileSync } from 'node:fs';
import type { ComparableRun } from './comparable-run.ts';
import { plantRun } from './planted-run.contract.ts';

interface SampledConversation {
  readonly ttfb: readonly (readonly [number, number, number])[];
  readonly audible: readonly (readonly [number, number])[];
  readonly underrunMs: number;
  readonly playedSeconds: number;
  readonly failed: number;
}

/** By name of the personality. */
export function personalitySamples(): ReadonlyMap<string, ComparableRun> {
  const file = new URL('fixtures/personalities.json', import.meta.url);
  const all = JSON.parse(readFileSync(file, 'utf8')) as Record<string, SampledConversation[]>;
  return new Map(
    Object.entries(all).map(([name, sampled]) => [name, runOf(name, sampled)] as const),
  );
}

function runOf(name: string, sampled: readonly SampledConversation[]): ComparableRun {
  const planted = plantRun(
    name,
    sampled.map(() => ({ provider: name, turns: ['ok', 'ok'] })),
  );
  return {
    ...planted,
    conversations: planted.conversations.map((one, i) => {
      const { ttfb, audible, underrunMs, playedSeconds, failed } = sampled[i]!;
      return {
        ...one,
        values: {
          audible_at_speaker_ms: audible.map(([turn, value]) => ({ turn, value })),
          ttfb_ms: ttfb.map(([turn, value, open]) => ({ turn, value, reused: open === 1 })),
        },
        numbers: {
          'underruns.total_ms': underrunMs,
          'audio_seconds.played': playedSeconds,
          'turns.failed': failed,
        },
      };
    }),
  };
}
