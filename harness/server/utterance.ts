import type { VoiceDetector } from '../voice-detection/voice-detection.ts';
import { pieceSamples } from './end-of-speech.ts';
import { SampleQueue } from './sample-queue.ts';

/** What the user has said since `StartChat`: a growing recording, judged in pieces of 32 ms. */
export class Utterance {
  readonly #detector: VoiceDetector;
  readonly #pending = new SampleQueue();
  #recording = new Int16Array(16_000);
  #judged = 0;
  #received = 0;

  constructor(detector: VoiceDetector) {
    this.#detector = detector;
    detector.reset();
  }

  /** Samples received, judged or not. */
  get receivedSamples(): number {
    return this.#received;
  }

  push(samples: Int16Array): void {
    this.#received += samples.length;
    this.#pending.push(samples);
  }

  /** Listens to the next piece: its probability of speech, or `undefined` when none is complete. */
  nextPiece(): number | undefined {
    if (this.#pending.length < pieceSamples) return undefined;
    const piece = this.#pending.take(pieceSamples);
    this.#append(piece);
    return this.#detector.process(piece) ? 1 : 0;
  }

  /** A copy of everything listened to so far. */
  recording(): Int16Array {
    return this.#recording.slice(0, this.#judged);
  }

  #append(piece: Int16Array): void {
    if (this.#judged + piece.length > this.#recording.length) {
      const grown = new Int16Array(this.#recording.length * 2);
      grown.set(this.#recording);
      this.#recording = grown;
    }
    this.#recording.set(piece, this.#judged);
    this.#judged += piece.length;
  }
}
