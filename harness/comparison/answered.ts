/** How many turns were answered. */
import type { ComparableConversation } from './comparable-run.ts';
import type { Answered } from './comparison.ts';

/** Under this share of answered turns a provider's latencies are those of the turns that were easy. */
export const answeredShare = 0.9;

export function answeredOf(conversations: readonly ComparableConversation[]): Answered {
  // A conversation without a turn was not answered either.
  const turns = conversations.flatMap(({ turns: all, verdict }) =>
    all.length > 0
      ? all.map((outcome) => (verdict === 'infra' ? 'failed' : outcome))
      : (['failed'] as const),
  );
  const ok = turns.filter((outcome) => outcome !== 'failed').length;
  return { conversations: conversations.length, turns: turns.length, ok };
}

export function isAnsweredEnough({ turns, ok }: Answered): boolean {
  return turns > 0 && ok >= answeredShare * turns;
}
