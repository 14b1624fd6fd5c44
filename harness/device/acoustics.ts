/**
 * What the microphone hears beside the user: noise, and the board's own speaker. Pure.
 *
 * Levels are in dB relative to full scale, 32 768: a full-scale square wave has 0 dBFS.
 */
import type { Random } from '../random/random.ts';

const samplesPerMs = 16;
/**
 * From the instant at which the player hands a sample over until it leaves the speaker: both DMA buffers of
 * 512 samples, full (EchoKit device protocol reference, section 6.5, which calls it an upper bound).
 */
export const speakerDelayMs = 64;

/** Where the board stands. Nothing set: a silent room in which the microphone does not hear the speaker. */
export interface Acoustics {
  /** RMS of the noise at the microphone. */
  readonly noiseDbfs?: number;
  readonly echo?: SpeakerEcho;
}

export interface SpeakerEcho {
  /**
   * Gain from samples of the speaker to samples of the microphone: room, both transducers, and what the
   * echo canceller takes away.
   */
  readonly db: number;
  /** From speaker to microphone, beside {@link speakerDelayMs}; rounded to a whole sample. */
  readonly delayMs: number;
}

/** A sound at the microphone that is there without the user. Positions are those of the microphone's samples. */
export interface AmbientSound {
  /**
   * Adds the samples from position `from` on. Positions never go back, and what is left out between two calls
   * does not change what comes later.
   */
  addTo(sum: Float64Array, from: number): void;
  /**
   * The first position from `from` on at which it may be heard, as far as it is known now; infinite when there
   * is none. What becomes known later is never before the present.
   */
  nextSoundAt(from: number): number;
}

/** White noise with a normal distribution: sample n is draw n of its generator, however it is asked for. */
export class MicrophoneNoise implements AmbientSound {
  readonly #random: Random;
  readonly #rms: number;
  #position = 0;

  /** @param random for nothing else */
  constructor(random: Random, dbfs: number) {
    this.#random = random;
    this.#rms = 32_768 * 10 ** (dbfs / 20);
  }

  addTo(sum: Float64Array, from: number): void {
    while (this.#position < from) this.#draw();
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + this.#draw();
  }

  nextSoundAt(from: number): number {
    return from;
  }

  #draw(): number {
    this.#position += 1;
    return this.#rms * this.#random.normal();
  }
}

/** What has been played. Position 0 of speaker and microphone are the same instant. */
export interface PlayedSound {
  /** Copies what was played from position `from` on; silence before 0. */
  copyPlayed(from: number, into: Int16Array): void;
  /** As {@link AmbientSound.nextSoundAt}. */
  nextSoundAt(from: number): number;
}

/** The speaker at the microphone, later and at another level. */
export class EchoPath implements AmbientSound {
  readonly delaySamples: number;
  readonly #speaker: PlayedSound;
  readonly #gain: number;

  constructor(speaker: PlayedSound, { db, delayMs }: SpeakerEcho) {
    this.#speaker = speaker;
    this.#gain = 10 ** (db / 20);
    this.delaySamples = samplesPerMs * speakerDelayMs + Math.round(samplesPerMs * delayMs);
  }

  addTo(sum: Float64Array, from: number): void {
    const played = new Int16Array(sum.length);
    this.#speaker.copyPlayed(from - this.delaySamples, played);
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + this.#gain * played[i]!;
  }

  nextSoundAt(from: number): number {
    return this.#speaker.nextSoundAt(from - this.delaySamples) + this.delaySamples;
  }
}
