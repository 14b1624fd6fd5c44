import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, percentile } from './figure.ts';
import { type AddedLatency, Sessions } from './session-process.ts';
import { WaitingThread } from './waiting-thread.ts';

/** Plain HTTP, a streamed WAV, and a socket; `--full`: all wires. */
const quickProviders = ['openai-stream', 'stream_gsv', 'cosyvoice'];
const fullProviders = [...quickProviders, 'openai', 'groq', 'gsv', 'elevenlabs', 'fish'];

/**
 * A board hears an answer of two seconds every eight: a conversation without a pause, its questions included. Few boards ask more
 * often, one alone again at once.
 */
const levels = [
  { sessions: 1, everyMs: 0, forMs: 3_000 },
  { sessions: 20, everyMs: 2_500, forMs: 5_000 },
  { sessions: 100, everyMs: 8_000, forMs: 8_000 },
];
const most = 100;
const goalMs = 1;

/**
 * What the server adds to the first sound, over real sockets: from the provider's byte that completes the first frame, handed to
 * its socket in one process, to that frame read from its socket in another one. Filling the frame is the provider's time and not
 * in it; both ways through the system, the adapter, resampling, encoding 120 ms of Opus and waiting for other sessions are.
 */
export const addedLatency: BenchMeasurement = {
  async measure(means) {
    const figures: Figure[] = [];
    const thread = new WaitingThread();
    for (const provider of means.full ? fullProviders : quickProviders) {
      if (means.signal.aborted) break;
      figures.push(...(await ofProvider(provider, means)));
    }
    for (const { p99Us, maxUs, n } of await thread.stop()) {
      figures.push(
        row('added.machine_p99', 'the machine itself: a thread that only waits, p99', p99Us, n),
        row('added.machine_max', 'the machine itself: a thread that only waits, max', maxUs, n),
      );
    }
    return figures;
  },
};

async function ofProvider(provider: string, means: BenchMeans): Promise<Figure[]> {
  const sessions = await Sessions.open(
    () => means.openProcess(),
    means.providers.get(provider)!,
    most,
  );
  const stop = (): void => sessions.stop();
  means.signal.addEventListener('abort', stop, { once: true });
  try {
    const figures: Figure[] = [];
    for (const { forMs, ...level } of levels) {
      const added = await sessions.talk({ ...level, forMs: means.full ? 4 * forMs : forMs });
      figures.push(...figuresOf(provider, level.sessions, added));
    }
    return figures;
  } finally {
    means.signal.removeEventListener('abort', stop);
    stop();
  }
}

function figuresOf(provider: string, sessions: number, added: readonly AddedLatency[]): Figure[] {
  const n = added.length;
  if (n === 0) return [];
  const id = `added.${provider}_${sessions}`;
  const label = `${provider}, ${sessions} session${sessions === 1 ? '' : 's'}`;
  const whole = added.map(({ wholeUs }) => wholeUs);
  const own = added.flatMap(({ ownUs }) => (ownUs === undefined ? [] : [ownUs]));
  const leg = (of: (one: AddedLatency) => number): string =>
    (percentile(added.map(of), 0.99) / 1000).toFixed(2);
  const legs = `to the server ${leg((one) => one.toServerUs)}, in it ${leg((one) => one.inServerUs)}, to the board ${leg((one) => one.toBoardUs)} ms`;
  const goal = sessions === most ? { goal: goalMs } : {};
  return [
    row(
      `${id}_p50`,
      `${label}: completing byte → frame at the board, p50`,
      percentile(whole, 0.5),
      n,
    ),
    {
      ...row(`${id}_p99`, `  p99 (p99 of its parts: ${legs})`, percentile(whole, 0.99), n),
      ...goal,
    },
    row(`${id}_max`, '  max', percentile(whole, 1), n),
    ...(own.length === 0
      ? []
      : [
          {
            ...row(
              `${id}_own_p99`,
              '  without waiting for a processor at least, p99',
              percentile(own, 0.99),
              n,
            ),
          },
        ]),
  ];
}

function row(id: string, label: string, us: number, n: number): Figure {
  return { id, label, value: us / 1000, unit: 'ms', better: 'lower', kind: 'here', n };
}
