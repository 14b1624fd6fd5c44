/** Runs made by hand, whose truth is known: so many conversations, each with the values that were planted. */
import type { ComparableConversation, ComparableRun, Conditions } from './comparable-run.ts';

export interface PlantedConversation {
  readonly scenario?: string;
  readonly provider?: string;
  readonly repetition?: number;
  readonly seed?: number;
  readonly verdict?: ComparableConversation['verdict'];
  readonly turns?: ComparableConversation['turns'];
  readonly audibleMs?: number;
  readonly ttfbMs?: number;
  /** Of a second request, on the connection of the first. */
  readonly warmTtfbMs?: number;
  readonly underrunMs?: number;
  readonly playedSeconds?: number;
  readonly gates?: ComparableConversation['gates'];
  readonly conditions?: Partial<Conditions>;
}

const conditions: Conditions = {
  scenario: 'aaaa',
  texts: 'bbbb',
  place: 'gggg',
  time: 'virtual',
  source: 'stand-in',
  provider: 'cccc',
  personality: 'dddd',
  board: 'eeee',
  network: 'ffff',
  method: 'audible above -50 dBFS',
};

export function plantRun(
  name: string,
  conversations: readonly PlantedConversation[],
): ComparableRun {
  const counts = new Map<string, number>();
  return {
    name,
    metricsVersion: 1,
    facts: { version: '0.1.0' },
    conversations: conversations.map((planted) => {
      const { scenario = 'one-question', provider = 'openai', turns = ['ok'] } = planted;
      const count = (counts.get(`${scenario}/${provider}`) ?? 0) + 1;
      counts.set(`${scenario}/${provider}`, count);
      const { audibleMs = 2000, ttfbMs = 500, warmTtfbMs, underrunMs = 0 } = planted;
      const { playedSeconds = 4, verdict = 'pass', repetition = count, gates } = planted;
      return {
        scenario,
        provider,
        device: 'diy',
        network: 'good-wifi',
        server: 'harness',
        repetition,
        // Of each repetition another one, so that nothing here is repeatable unless it is wanted.
        seed: planted.seed ?? (name === 'A' ? 100 : 200) + repetition,
        verdict,
        turns,
        conditions: { ...conditions, ...planted.conditions },
        values: {
          audible_at_speaker_ms: [{ value: audibleMs, turn: 1 }],
          ttfb_ms: [
            { value: ttfbMs, turn: 1, reused: false },
            ...(warmTtfbMs === undefined ? [] : [{ value: warmTtfbMs, turn: 1, reused: true }]),
          ],
        },
        numbers: {
          'underruns.total_ms': underrunMs,
          'audio_seconds.played': playedSeconds,
          'turns.failed': turns.filter((outcome) => outcome === 'failed').length,
        },
        ...(gates !== undefined && { gates }),
      };
    }),
  };
}
