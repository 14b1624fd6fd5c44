/** Speech to text by a service that listens while the user speaks, as the conversation needs it. */
import type { SpeechFailureKind } from '../../adapters/index.ts';
import type { RecognitionContext } from './recognizer.ts';

export interface LiveRecognizer {
  /**
   * Begins to listen. Resolves when the service takes audio.
   *
   * @param signal ends everything about it at once
   * @throws {RecognitionError}; the signal's reason
   */
  begin(
    context: RecognitionContext,
    options: LiveRecognitionOptions,
    signal: AbortSignal,
  ): Promise<LiveRecognition>;
}

export interface LiveRecognitionOptions {
  /** Whether the service ends a sentence by its meaning; otherwise by silence alone. */
  readonly semanticPunctuation: boolean;
  /** Something about the recognition has changed. */
  onChange(): void;
}

/** One utterance. It grows while its audio arrives. */
export interface LiveRecognition {
  /** What was understood so far: sentences that have ended, and the one that is spoken. */
  readonly text: string;
  /** Sentences that have ended. */
  readonly sentences: number;
  /** Results so far, of sentences that have ended and of others. */
  readonly results: number;
  /** Why nothing more will come. */
  readonly failure: RecognitionError | undefined;
  /** @param samples 16 kHz mono, owned by the caller again when this returns */
  push(samples: Int16Array): void;
  /**
   * No more audio will come. Resolves when the last result is there.
   *
   * @throws {RecognitionError}; the signal's reason
   */
  finish(signal: AbortSignal): Promise<void>;
  /** The rest of it is no longer needed; does nothing after a {@link finish} that has resolved. */
  cancel(): void;
}

/** A recognition that has failed. `kind` has the classes of a failed synthesis. */
export class RecognitionError extends Error {
  override readonly name = 'RecognitionError';
  readonly code = 'RECOGNITION_FAILED';
  readonly kind: SpeechFailureKind;

  constructor(kind: SpeechFailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}
