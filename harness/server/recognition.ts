import type { Clock } from '../clock/clock.ts';
import type { RecognitionContext, Recognizer } from './recognizer.ts';
import { Watchdog } from './watchdog.ts';

/** One running recognition. */
export class Recognition {
  /** The text, once there is one. */
  text: string | undefined;
  failed = false;
  /** Resolves when the recognition is over, however it ended. */
  readonly over: Promise<void>;
  readonly #stop = new AbortController();

  constructor(options: {
    readonly clock: Clock;
    readonly recognizer: Recognizer;
    readonly samples: Int16Array;
    readonly context: RecognitionContext;
    readonly timeoutMs: number;
    /** Aborts with the turn. */
    readonly signal: AbortSignal;
  }) {
    const { clock, recognizer, timeoutMs } = options;
    const parent = AbortSignal.any([options.signal, this.#stop.signal]);
    const watchdog = new Watchdog(
      clock,
      timeoutMs,
      parent,
      () => new Error(`No recognition after ${timeoutMs} ms.`),
    );
    const recognizing = recognizer.recognize(options.samples, options.context, watchdog.signal);
    // A recognizer that does not heed its signal must not hold up the turn.
    this.over = Promise.race([recognizing, whenAborted(watchdog.signal)])
      .then(
        (text) => {
          this.text = text.trim();
        },
        () => {
          this.failed = !parent.aborted;
        },
      )
      .finally(() => watchdog.stop());
  }

  cancel(): void {
    this.#stop.abort(new Error('The recognition is no longer needed.'));
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
