import type { Clock } from '../clock/clock.ts';
import { FollowingController } from '../clock/following-controller.ts';
import type { RecognitionContext, Recognizer } from './recognizer.ts';
import { Watchdog } from './watchdog.ts';

/** One running recognition. */
export class Recognition {
  /** The text, once there is one. */
  text: string | undefined;
  /** Why there is no text, unless it was cancelled. */
  failure: { readonly error: unknown } | undefined;
  /** Resolves when the recognition is over, however it ended. */
  readonly over: Promise<void>;
  readonly #stop: FollowingController;

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
    this.#stop = new FollowingController(options.signal);
    const parent = this.#stop.signal;
    const watchdog = new Watchdog(
      clock,
      timeoutMs,
      parent,
      () => new Error(`There was no recognition after ${timeoutMs} ms; the server gave up on it.`),
    );
    this.over = watchdog
      .guard(recognizer.recognize(options.samples, options.context, watchdog.signal))
      .then(
        (text) => {
          this.text = text.trim();
        },
        (error: unknown) => {
          if (!parent.aborted) this.failure = { error };
        },
      )
      .finally(() => {
        watchdog.stop();
        this.#stop.release();
      });
  }

  cancel(): void {
    this.#stop.abort(new Error('The recognition is no longer needed.'));
  }
}
