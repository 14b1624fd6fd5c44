import type { SpeechUsage } from '../speech-adapter.ts';
import type { ProviderWords } from './provider-failure.ts';

/**
 * How audio lies in the body of an answer. One object reads one body. What it returns may be views
 * of the bytes it was given, valid until the next call.
 */
export interface AnswerFraming {
  /** True between two parts: filler that came then is no sign of progress. */
  readonly idle: boolean;
  /** The next bytes of the body, cut anywhere. */
  push(bytes: Uint8Array): AnswerPart[];
  /** The body ended as HTTP says. An answer that never came to its `end` part is cut off. */
  finish(): AnswerPart[];
}

export type AnswerPart =
  /** Bytes of audio, which may begin and end inside a sample. */
  | { readonly type: 'audio'; readonly bytes: Uint8Array }
  /** The sign that everything has been said; nothing behind it is looked at. */
  | { readonly type: 'end'; readonly usage?: SpeechUsage }
  /** The service says that it failed, behind a status of success. */
  | { readonly type: 'failure'; readonly words: ProviderWords }
  /** Not what the protocol says; a sentence without its subject, for example `sent …`. */
  | { readonly type: 'alien'; readonly what: string };

/** The body is the audio, and its end is the end. */
export class PlainAudio implements AnswerFraming {
  readonly idle = false;

  push(bytes: Uint8Array): AnswerPart[] {
    return [{ type: 'audio', bytes }];
  }

  finish(): AnswerPart[] {
    return [{ type: 'end' }];
  }
}
