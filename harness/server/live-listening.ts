/**
 * One utterance that a service recognises while it is spoken: when the user has finished, and what is to be
 * shown meanwhile (EchoKit device protocol reference, section 7.4).
 */
import type { VoiceDetector } from '../voice-detection/voice-detection.ts';
import { SpeechLatch } from './end-of-speech.ts';
import { type LiveRecognition, RecognitionError } from './live-recognizer.ts';
import type { ServerSettings } from './server-settings.ts';
import { Utterance } from './utterance.ts';

/** 160 000 bytes without a result: nothing is coming any more (quirk Q30: the log says 10 s). */
const patienceSamples = 80_000;

export class LiveListening {
  readonly #recognition: LiveRecognition;
  readonly #utterance: Utterance;
  readonly #latch: SpeechLatch;
  #shown = '';
  #results = 0;
  #samplesAtResult = 0;

  constructor(
    recognition: LiveRecognition,
    detector: VoiceDetector,
    settings: ServerSettings['endOfSpeech'],
  ) {
    this.#recognition = recognition;
    this.#utterance = new Utterance(detector);
    this.#latch = new SpeechLatch(settings);
  }

  get receivedSamples(): number {
    return this.#utterance.receivedSamples;
  }

  /** Whether our own detector heard somebody. */
  get speech(): boolean {
    return this.#latch.speech;
  }

  /** The last text that was shown. */
  get interimText(): string {
    return this.#shown;
  }

  push(samples: Int16Array): void {
    this.#recognition.push(samples);
    this.#utterance.push(samples);
    for (let p = this.#utterance.nextPiece(); p !== undefined; p = this.#utterance.nextPiece()) {
      this.#latch.piece(p);
    }
    if (this.#results === this.#recognition.results) return;
    this.#results = this.#recognition.results;
    this.#samplesAtResult = this.receivedSamples;
  }

  /** A text that the board has not been shown yet; undefined: there is none. */
  news(): string | undefined {
    const { text } = this.#recognition;
    if (text === '' || text === this.#shown) return undefined;
    this.#shown = text;
    return text;
  }

  /** The user has finished, or nothing will be understood any more. */
  get isOver(): boolean {
    const { sentences, failure } = this.#recognition;
    return sentences > 0 || failure !== undefined || this.#isSilent;
  }

  /** Why nothing was understood although somebody spoke; undefined: nobody did, or it was. */
  get failure(): RecognitionError | undefined {
    const { failure } = this.#recognition;
    if (failure !== undefined || !this.#isSilent || !this.speech) return failure;
    const seconds = patienceSamples / 16_000;
    return new RecognitionError(
      'timeout',
      `The recognition was silent for ${seconds} s of audio in which somebody spoke.`,
    );
  }

  get #isSilent(): boolean {
    return this.receivedSamples - this.#samplesAtResult >= patienceSamples;
  }
}
