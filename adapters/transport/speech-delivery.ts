import type { SpeechEvent } from '../speech-adapter.ts';

/** Audio read ahead of the consumer before the adapter stops reading (the port's obligation). */
export const readAheadBytesMax = 4 * 1024 * 1024;

type Outcome = { readonly error: unknown } | 'finished';
type Next = IteratorResult<SpeechEvent, undefined>;

/**
 * The way from an adapter to the consumer of one utterance. It keeps the obligations of the port
 * that are the same for every platform: order, bounded reading ahead, and an end at once, with
 * nothing behind it, when the consumer aborts or leaves.
 *
 * It starts when it is first asked for an event.
 */
export class SpeechDelivery implements AsyncIterableIterator<SpeechEvent> {
  readonly #signal: AbortSignal;
  readonly #produce: (delivery: SpeechDelivery) => Promise<void>;
  readonly #stop = new AbortController();
  readonly #queue: SpeechEvent[] = [];
  readonly #waiting: { resolve(next: Next): void; reject(error: unknown): void }[] = [];
  readonly #onAbort = (): void => this.#cancel(this.#signal.reason);
  #started = false;
  #over = false;
  #outcome: Outcome | undefined;
  #waitingBytes = 0;
  #paused = false;
  #samples = 0;
  #onFlow: ((paused: boolean) => void) | undefined;

  /**
   * @param produce pushes the events; the utterance ends when it resolves and fails with what it
   *   rejects with, after everything pushed before has been taken
   */
  constructor(signal: AbortSignal, produce: (delivery: SpeechDelivery) => Promise<void>) {
    this.#signal = signal;
    this.#produce = produce;
  }

  /** Aborts when nobody wants more of this utterance: everything open for it must be destroyed. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  /** 16 kHz samples pushed so far. A failure comes after them, so they are the delivered ones. */
  get samples(): number {
    return this.#samples;
  }

  /** Names the callback that stops and resumes reading from the provider. */
  onFlow(callback: ((paused: boolean) => void) | undefined): void {
    this.#onFlow = callback;
    if (this.#paused) callback?.(true);
  }

  push(event: SpeechEvent): void {
    if (this.#outcome !== undefined) return;
    if (event.type === 'audio') this.#samples += event.samples.length;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: event });
      return;
    }
    this.#queue.push(event);
    this.#account(weight(event));
  }

  /** Ends the utterance with `error` after what was pushed before, and stops its production. */
  fail(error: unknown): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = { error };
    this.#stop.abort(error);
    this.#settle();
  }

  next(): Promise<Next> {
    this.#start();
    const event = this.#queue.shift();
    if (event !== undefined) {
      this.#account(-weight(event));
      return Promise.resolve({ done: false, value: event });
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#settle();
    });
  }

  /** Called by `break`: as aborting, without an error. */
  return(): Promise<Next> {
    this.#started = true;
    this.#over = true;
    this.#cancel(new DOMException('The consumer left the iteration.', 'AbortError'));
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#signal.aborted) {
      this.#cancel(this.#signal.reason);
      return;
    }
    this.#signal.addEventListener('abort', this.#onAbort);
    this.#produce(this).then(
      () => {
        this.#outcome ??= 'finished';
        this.#settle();
      },
      (error: unknown) => this.fail(error),
    );
  }

  #cancel(reason: unknown): void {
    // What was finished and fully taken can no longer be cancelled; everything else can.
    this.#queue.length = 0;
    this.#outcome = { error: reason };
    if (!this.#stop.signal.aborted) this.#stop.abort(reason);
    this.#settle();
  }

  /** Tells the consumer how it ended, once; every later call is told that it is over. */
  #settle(): void {
    if (this.#queue.length > 0 || this.#outcome === undefined) return;
    this.#signal.removeEventListener('abort', this.#onAbort);
    for (const waiting of this.#waiting.splice(0)) {
      if (this.#over || this.#outcome === 'finished') {
        waiting.resolve({ done: true, value: undefined });
      } else {
        waiting.reject(this.#outcome.error);
      }
      this.#over = true;
    }
  }

  #account(bytes: number): void {
    this.#waitingBytes += bytes;
    const paused = this.#waitingBytes >= (this.#paused ? readAheadBytesMax / 2 : readAheadBytesMax);
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.#onFlow?.(paused);
  }
}

function weight(event: SpeechEvent): number {
  return event.type === 'audio' ? Math.max(event.sourceBytes, event.samples.byteLength) : 0;
}

/**
 * The items of `source` until `stopped` aborts; then it throws the signal's reason at once, even
 * while the source keeps it waiting, and tells the source to stop.
 */
export async function* untilStopped<T>(
  source: AsyncIterable<T>,
  stopped: AbortSignal,
): AsyncGenerator<T, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  let exhausted = false;
  let onStop = (): void => {};
  const stop = new Promise<never>((_resolve, reject) => {
    onStop = () => reject(stopped.reason);
    if (stopped.aborted) onStop();
    else stopped.addEventListener('abort', onStop, { once: true });
  });
  stop.catch(() => {});
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), stop]).catch((error: unknown) => {
        exhausted = !stopped.aborted;
        throw error;
      });
      exhausted = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    stopped.removeEventListener('abort', onStop);
    // Not awaited: a source that hangs in next() hangs in return() as well.
    if (!exhausted) iterator.return?.()?.catch(() => {});
  }
}
