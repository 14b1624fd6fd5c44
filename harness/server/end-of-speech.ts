/**
 * When has the user finished? Stream mode: rounds of listening that a hang-over of silence ends
 * (EchoKit device protocol reference, section 7.3). Submit mode: speech is only noted, the board
 * says `Submit` (section 7.2). Pure: pieces in, decisions out.
 */

/** Samples of one piece: 32 ms. */
export const pieceSamples = 512;
const pieceMs = 32;

/** `[asr.vad]` of the EchoKit server's configuration. */
export interface EndOfSpeechSettings {
  /** A piece with a greater probability is speech. At most 0.95 counts. */
  readonly threshold: number;
  /** A piece with a smaller one is silence; in between nothing changes. Default: threshold − 0.15. */
  readonly negThreshold?: number;
  /** Silence after which the detector leaves speech. */
  readonly maxSilenceDurationMs: number;
  /** A round with more speech than this is an utterance. */
  readonly minSpeechDurationMs: number;
  /** Silence longer than this ends the turn. */
  readonly hangoverMs: number;
}

export const endOfSpeechDefaults: EndOfSpeechSettings = {
  threshold: 0.5,
  maxSilenceDurationMs: 200,
  minSpeechDurationMs: 400,
  hangoverMs: 500,
};

/** Speech or not, with hysteresis: leaving speech takes some silent pieces in a row. */
class SpeechState {
  readonly #threshold: number;
  readonly #negThreshold: number;
  readonly #silentPieces: number;
  #silence = 0;
  #inSpeech = false;

  constructor(settings: EndOfSpeechSettings) {
    this.#threshold = Math.min(settings.threshold, 0.95);
    this.#negThreshold = Math.max(settings.negThreshold ?? this.#threshold - 0.15, 0.05);
    this.#silentPieces = Math.floor((settings.maxSilenceDurationMs * 16) / pieceSamples);
  }

  /** @returns whether this piece counts as speech. */
  piece(probability: number): boolean {
    if (probability > this.#threshold) {
      this.#inSpeech = true;
      this.#silence = 0;
    } else if (this.#inSpeech && probability < this.#negThreshold) {
      this.#silence += 1;
      if (this.#silence >= this.#silentPieces) {
        this.#inSpeech = false;
        this.#silence = 0;
      }
    }
    return this.#inSpeech;
  }
}

/**
 * - `listening`: go on.
 * - `pause`: enough was said and the user pauses; recognise everything so far. Another round begins.
 * - `end`: the user has finished. Nothing more may be fed.
 */
export type ListeningStep = 'listening' | 'pause' | 'end';

/** One utterance in stream mode. */
export class EndOfSpeech {
  readonly #settings: EndOfSpeechSettings;
  readonly #state: SpeechState;
  #speechMs = 0;
  #silenceMs = 0;
  #pauses = 0;

  constructor(settings: Partial<EndOfSpeechSettings> = {}) {
    this.#settings = { ...endOfSpeechDefaults, ...settings };
    this.#state = new SpeechState(this.#settings);
  }

  /** Whether an utterance long enough to be recognised was heard. */
  get speech(): boolean {
    return this.#pauses > 0;
  }

  /** @param probability of speech in the next 512 samples, 0 to 1. */
  piece(probability: number): ListeningStep {
    if (this.#state.piece(probability)) {
      this.#speechMs += pieceMs;
      this.#silenceMs = 0;
      return 'listening';
    }
    this.#silenceMs += pieceMs;
    const { minSpeechDurationMs, hangoverMs } = this.#settings;
    if (this.#speechMs < minSpeechDurationMs && this.#silenceMs <= hangoverMs) return 'listening';
    // Speech of exactly the minimum stops the round like an utterance but does not count as one.
    if (this.#speechMs <= minSpeechDurationMs) return 'end';
    this.#pauses += 1;
    this.#speechMs = 0;
    this.#silenceMs = 0;
    return 'pause';
  }
}

/** One utterance in submit mode: speech once heard stays heard. */
export class SpeechLatch {
  readonly #state: SpeechState;
  #speech = false;

  constructor(settings: Partial<EndOfSpeechSettings> = {}) {
    this.#state = new SpeechState({ ...endOfSpeechDefaults, ...settings });
  }

  get speech(): boolean {
    return this.#speech;
  }

  /** Another utterance begins; whether the last piece was speech is remembered. */
  release(): void {
    this.#speech = false;
  }

  /** @param probability of speech in the next 512 samples, 0 to 1. */
  piece(probability: number): void {
    if (this.#state.piece(probability)) this.#speech = true;
  }
}
