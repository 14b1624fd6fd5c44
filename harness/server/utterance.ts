import type { VoiceDetector } from '../voice-detection/voice-detection.ts';
import { pieceSamples } from './end-of-speech.ts';

/** What the user has said since `StartChat`: a growing recording, judged in pieces of 32 ms. */
export class Utterance {
  readonly #detector: VoiceDetector;
  #buffer = new Int16Array(16_000);
  #received = 0;
  #judged = 0;

  /** @param afresh whether the detector forgets what it heard before */
  constructor(detector: VoiceDetector, afresh = true) {
    this.#detector = detector;
    if (afresh) detector.reset();
  }

  get receivedSamples(): number {
    return this.#received;
  }

  push(samples: Int16Array): void {
    const received = this.#received + samples.length;
    if (received > this.#buffer.length) {
      const grown = new Int16Array(Math.max(received, this.#buffer.length * 2));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    this.#buffer.set(samples, this.#received);
    this.#received = received;
  }

  /** Listens to the next piece: its probability of speech, or `undefined` when none is complete. */
  nextPiece(): number | undefined {
    if (this.#received - this.#judged < pieceSamples) return undefined;
    const piece = this.#buffer.subarray(this.#judged, this.#judged + pieceSamples);
    this.#judged += pieceSamples;
    return this.#detector.process(piece) ? 1 : 0;
  }

  /** A copy of everything received. */
  recording(): Int16Array {
    return this.#buffer.slice(0, this.#received);
  }
}
