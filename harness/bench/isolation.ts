import { createRandom } from '../random/random.ts';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, percentile, ratioSpread } from './figure.ts';
import { ratioOfPercentiles } from './resampled-ratio.ts';
import { Sessions } from './session-process.ts';

/** Of those that answer several at a time; gsv_tts answers one after the other, and nobody would be beside anybody. */
const provider = 'openai-stream';
const talk = { sessions: 20, everyMs: 1_000, forMs: 1_500 };
const rounds = { quick: 6, full: 20 };
const kinds = ['alone', 'reading-board', 'deaf-board', 'mute-provider'] as const;
type Kind = (typeof kinds)[number];

/** What is held against what. A board that never pauses is work for the server, read or not; its deafness is what it costs beyond. */
const comparisons: readonly { readonly of: Kind; readonly to: Kind; readonly label: string }[] = [
  {
    of: 'reading-board',
    to: 'alone',
    label: 'beside a board that asks without a pause and reads, over alone',
  },
  {
    of: 'deaf-board',
    to: 'reading-board',
    label: 'beside one that asks as much and reads nothing, over one that reads',
  },
  {
    of: 'mute-provider',
    to: 'alone',
    label: 'beside a board whose provider never answers, over alone',
  },
];

/** How late first frames were, in µs. */
type Round = Readonly<Record<Kind, readonly number[]>>;

/**
 * Whether one slow provider, or one board that reads nothing, delays the others: twenty boards over real sockets, alone and beside
 * one of each kind in turn, and how late their first frames are as a ratio. That nothing is delayed by the rules of the
 * server is tested in virtual time to the microsecond (`harness/server/isolation.test.ts`); this is about its event loop.
 */
export const isolation: BenchMeasurement = {
  async measure(means) {
    const measured = await measureRounds(means);
    if (measured.length === 0) return [];
    const random = createRandom(1, 'bench/isolation');
    const ratios = comparisons.flatMap(({ of, to, label }) =>
      [0.5, 0.99].map((share): Figure => {
        const pairs = measured.map((round) => ({ of: round[of], to: round[to] }));
        const { median, low, high, n } = ratioOfPercentiles(pairs, share, random);
        const rank = `p${share * 100}`;
        return {
          id: `isolation.${of}_${rank}`,
          label: `${label}, ${rank}`,
          value: median,
          spread: ratioSpread({ low, high }),
          unit: '×',
          better: 'lower',
          kind: 'ratio',
          n,
        };
      }),
    );
    return [...aloneFigures(measured), ...ratios];
  },
};

async function measureRounds(means: BenchMeans): Promise<Round[]> {
  const { signal } = means;
  const open = () => means.openProcess();
  const sessions = await Sessions.open(open, means.providers.get(provider)!, talk.sessions);
  const stop = (): void => sessions.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const measured: Round[] = [];
    for (let round = 0; round < (means.full ? rounds.full : rounds.quick); round++) {
      if (signal.aborted) break;
      const found = new Map<string, number[]>();
      // Another one is the first in every round.
      for (let turn = 0; turn < kinds.length; turn++) {
        const kind = kinds[(round + turn) % kinds.length]!;
        const beside = kind === 'alone' ? {} : { beside: kind };
        const added = await sessions.talk({ ...talk, ...beside });
        found.set(
          kind,
          added.map(({ wholeUs }) => wholeUs),
        );
      }
      measured.push(Object.fromEntries(found) as unknown as Round);
    }
    return measured;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

function aloneFigures(measured: readonly Round[]): Figure[] {
  const alone = measured.flatMap((round) => round.alone);
  return [0.5, 0.99].map((share) => ({
    id: `isolation.alone_p${share * 100}`,
    label: `${talk.sessions} boards alone: completing byte → frame at the board, p${share * 100}`,
    value: percentile(alone, share) / 1000,
    unit: 'ms',
    better: 'lower',
    kind: 'here',
    n: alone.length,
  }));
}
