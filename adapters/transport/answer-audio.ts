import type { AudioConversion } from '../audio/audio-conversion.ts';
import {
  type NormalizedChunk,
  SpeechNormalizer,
  type SpeechSource,
} from '../audio/speech-normalizer.ts';
import type { AnswerFraming, AnswerPart } from './answer-framing.ts';

/** A chunk of audio and what the source was when it came. */
export interface AnswerChunk extends NormalizedChunk {
  readonly sourceRateHz: number;
  readonly sourceChannels: number;
}

/** What a reading comes to: the end of the answer, or a reason to go no further. */
export type LastPart = Exclude<AnswerPart, { type: 'audio' }>;

/** From the bytes of one answer to 16 kHz audio. Knows no time and no network. */
export class AnswerAudio {
  readonly #framing: AnswerFraming;
  readonly #normalizer: SpeechNormalizer;
  readonly #take: (chunk: AnswerChunk) => void;
  #parts = 0;
  #begun = false;

  /**
   * @param take receives the chunks in order, one for each piece of audio on the wire
   * @param conversion absent: the clean one
   */
  constructor(
    framing: AnswerFraming,
    source: SpeechSource,
    take: (chunk: AnswerChunk) => void,
    conversion?: AudioConversion,
  ) {
    this.#framing = framing;
    this.#normalizer = new SpeechNormalizer(source, conversion);
    this.#take = take;
  }

  get sourceFrames(): number {
    return this.#normalizer.sourceFrames;
  }

  get outputSamples(): number {
    return this.#normalizer.outputSamples;
  }

  /**
   * Grows, or `idle` is false, when the last bytes were more than filler (comments that keep a
   * connection alive).
   */
  get parts(): number {
    return this.#parts;
  }

  get idle(): boolean {
    return this.#framing.idle;
  }

  /** @throws {WavError} when the audio is not what was expected */
  push(bytes: Uint8Array): LastPart | undefined {
    return this.#read(this.#framing.push(bytes));
  }

  /**
   * The body ended properly.
   *
   * @returns undefined when the end that the framing promises has not come
   * @throws {WavError} when the audio is not what was expected
   */
  finish(): LastPart | undefined {
    return this.#read(this.#framing.finish());
  }

  #read(parts: readonly AnswerPart[]): LastPart | undefined {
    for (const part of parts) {
      this.#parts += 1;
      if (part.type === 'audio') {
        this.#begun = true;
        const chunk = this.#normalizer.push(part.bytes);
        // Nothing of a container header or of what lies behind the data is audio.
        if (chunk.sourceBytes > 0) this.#hand(chunk);
        continue;
      }
      if (part.type === 'end' && this.#begun) {
        const rest = this.#normalizer.flush();
        if (rest.sourceBytes > 0 || rest.samples.length > 0) this.#hand(rest);
      }
      return part;
    }
    return undefined;
  }

  #hand(chunk: NormalizedChunk): void {
    const { rateHz, channels } = this.#normalizer;
    this.#take({ ...chunk, sourceRateHz: rateHz, sourceChannels: channels });
  }
}
