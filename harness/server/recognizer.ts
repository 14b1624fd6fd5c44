/** Speech to text, as the conversation needs it. */
import type { Clock } from '../clock/clock.ts';

export interface Recognizer {
  /**
   * Recognises one recording. May be asked several times in a turn, for growing recordings.
   *
   * @param samples 16 kHz mono, owned by the recognizer.
   * @param signal stops the work; the promise then rejects with the signal's reason.
   * @returns the text; empty when nothing was said.
   */
  recognize(samples: Int16Array, context: RecognitionContext, signal: AbortSignal): Promise<string>;
}

export interface RecognitionContext {
  readonly deviceId: string;
  readonly turn: number;
}

/**
 * A recognizer that understands what the script says, whatever was recorded.
 *
 * @param lookup text of the turn; `undefined` is understood as nothing.
 */
export function scriptedRecognizer(
  lookup: (context: RecognitionContext) => string | undefined,
  options: { readonly clock: Clock; readonly durationMs: number },
): Recognizer {
  return {
    async recognize(_samples, context, signal) {
      await options.clock.sleep(options.durationMs * 1000, signal);
      return lookup(context) ?? '';
    },
  };
}
