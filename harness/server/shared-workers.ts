/**
 * Synthesis workers that all boards of a server share, as the EchoKit server has them (EchoKit device
 * protocol reference, section 7.6; pitfalls catalogue, S09).
 *
 * A call waits until a worker is free, in the order of the calls. Its worker belongs to it until the
 * provider has finished: that nobody listens any more is only noticed when there is audio to hand
 * over. So an interrupted answer goes on at the provider, also for sentences whose turn has not come,
 * and a provider that hangs takes its worker with it.
 */
import type { SpeechEvent, SpeechSession } from '../../adapters/speech-adapter.ts';
import { FollowingController } from '../clock/following-controller.ts';
import { AsyncQueue } from './async-queue.ts';

/** Workers of the EchoKit server. */
export const echoKitWorkers = 4;
/** Sentences that wait for a worker at most. */
export const echoKitWorkerQueue = 128;

/** Bytes of audio that may wait for the consumer (the port's obligation). */
const waitingBytesMax = 4 * 1024 * 1024;

export function sharedWorkers(session: SpeechSession, workers = echoKitWorkers): SpeechSession {
  const pool = new WorkerPool(workers);
  const jobs = new Set<Promise<void>>();

  async function* speak(
    text: AsyncIterable<string>,
    signal: AbortSignal,
  ): AsyncGenerator<SpeechEvent, void> {
    const left = new FollowingController(signal);
    const abandoned = left.signal;
    const events = new AsyncQueue<SpeechEvent>(abandoned, weight);
    let failure: { readonly error: unknown } | undefined;
    const job = pool
      .run(() => work(session.speak(text, new AbortController().signal), events, abandoned))
      .catch((error: unknown) => {
        failure = { error };
      })
      .finally(() => {
        events.close();
        jobs.delete(job);
      });
    jobs.add(job);
    try {
      yield* events;
      if (failure !== undefined) throw failure.error;
    } finally {
      left.abort(new Error('The consumer left the iteration.'));
    }
  }

  return {
    capabilities: session.capabilities,
    speak,
    async close() {
      pool.close();
      await session.close();
      await Promise.all(jobs);
    },
  };
}

/** Hands the events on until there is audio that nobody wants. */
async function work(
  speech: AsyncIterable<SpeechEvent>,
  events: AsyncQueue<SpeechEvent>,
  abandoned: AbortSignal,
): Promise<void> {
  for await (const event of speech) {
    if (abandoned.aborted) {
      if (event.type === 'audio') return;
      continue;
    }
    events.push(event);
    await events.room(waitingBytesMax).catch(() => {});
  }
}

function weight(event: SpeechEvent): number {
  return event.type === 'audio' ? event.samples.byteLength : 0;
}

/** Runs a number of jobs at a time, the others in the order in which they came. */
class WorkerPool {
  readonly #waiting: { begin(): void; refuse(): void }[] = [];
  #free: number;
  #closed = false;

  constructor(workers: number) {
    this.#free = workers;
  }

  async run(job: () => Promise<void>): Promise<void> {
    if (this.#closed) throw closedError();
    if (this.#free > 0) this.#free -= 1;
    else
      await new Promise<void>((begin, refuse) => {
        this.#waiting.push({ begin, refuse: () => refuse(closedError()) });
      });
    try {
      await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next.begin();
    }
  }

  close(): void {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse();
  }
}

function closedError(): Error {
  return new Error('The synthesis workers were closed.');
}
