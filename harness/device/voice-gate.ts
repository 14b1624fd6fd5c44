/**
 * Which microphone chunks leave the audio thread: the gate of the EchoKit device protocol reference,
 * section 6.2. Pure.
 */
export type GateOutput =
  | { readonly type: 'speechStarted' }
  /** "Mic end" for the main loop. */
  | { readonly type: 'speechEnded' }
  /** `speech`: it is itself speech, not silence nor audio from before the onset. */
  | { readonly type: 'chunk'; readonly samples: Int16Array; readonly speech: boolean };

export class VoiceGate {
  readonly #preRollChunks: number;
  readonly #streamsSilence: boolean;
  /** The newest chunks that were not sent, oldest first. */
  #cached: Int16Array[] = [];
  #open = false;
  #wasSpeech = false;

  /** @param streamsSilence false for firmware that ends an utterance where the speech ends */
  constructor(preRollChunks: number, streamsSilence = true) {
    this.#preRollChunks = preRollChunks;
    this.#streamsSilence = streamsSilence;
  }

  /** "Keep uploading": silence is streamed as well. */
  get open(): boolean {
    return this.#open;
  }

  /** Speech has started and its end was not announced. */
  get wasSpeech(): boolean {
    return this.#wasSpeech;
  }

  /** The main loop wants no more. Speech that goes on is still streamed, silence is not. */
  close(): void {
    this.#open = false;
  }

  /** Silence is to be streamed, too (quirk Q14 off). */
  reopen(): void {
    this.#open = true;
  }

  /** @param samples one chunk; kept, so the caller must not change it any more */
  chunk(samples: Int16Array, speech: boolean): GateOutput[] {
    if (speech && !this.#wasSpeech) {
      this.#open = true;
      this.#wasSpeech = true;
      const cached = this.#cached;
      this.#cached = [];
      return [
        { type: 'speechStarted' },
        ...cached.map((chunk) => ({ type: 'chunk' as const, samples: chunk, speech: false })),
        { type: 'chunk', samples, speech },
      ];
    }
    if (!this.#streamsSilence) this.#open = false;
    if (speech || this.#open) return [{ type: 'chunk', samples, speech }];
    this.#cached.push(samples);
    if (this.#cached.length > this.#preRollChunks) this.#cached.shift();
    if (!this.#wasSpeech) return [];
    this.#wasSpeech = false;
    return [{ type: 'speechEnded' }];
  }
}
