import { type VoiceDetector, voiceFrameSamples } from '../voice-detection/voice-detection.ts';
import type { AmbientSound } from './acoustics.ts';
import { type GateOutput, VoiceGate } from './voice-gate.ts';

const sampleRateHz = 16_000;
/**
 * Digital silence after which one more chunk of it changes nothing: the detector's filters have run
 * out, its hangover is over and the cache of the gate holds nothing else.
 */
const settledSamples = sampleRateHz;

export interface MicrophoneOptions {
  /** Instant of sample 0; chunk k is complete at the end of its last sample. */
  readonly startUs: number;
  readonly chunkSamples: number;
  readonly preRollChunks: number;
  /** See {@link VoiceGate}. Default: true. */
  readonly streamsSilence?: boolean;
  readonly speechMinimumMs: number;
  readonly noiseMinimumMs: number;
  readonly detector: VoiceDetector;
  /** What is heard beside the sounds that are played to it. Default: nothing. */
  readonly ambience?: readonly AmbientSound[];
  /**
   * Receives every chunk that is processed, with the position of its first sample; what is left out was digital
   * silence. MUST NOT change the samples.
   */
  readonly observe?: (from: number, samples: Int16Array) => void;
  /** Processes every chunk even when nothing can change. For tests. */
  readonly eager?: boolean;
}

interface PlayedSound {
  /** Position of its first sample. */
  readonly start: number;
  readonly samples: Int16Array;
}

/**
 * Microphone, audio front end and gate of the board (EchoKit device protocol reference, section
 * 6.2): hears the sum of what is played to it and of its ambience, limited to 16 bits, cuts it into
 * chunks, decides per chunk whether it is speech and what leaves the audio thread.
 *
 * Echo cancellation, noise suppression, gain control and the time the front end takes are not modelled:
 * chunks carry what was heard, at the instant at which their last sample was there. Pure; it
 * is told the time. While nothing can change it announces no deadline and costs nothing, and
 * everything later is as if every chunk had been processed.
 */
export class Microphone {
  readonly #options: MicrophoneOptions;
  readonly #gate: VoiceGate;
  readonly #speech: SpeechSwitch;
  /** Sounds that are not over, with the position of their first sample. */
  #sounds: PlayedSound[] = [];
  /** The next chunk to process. */
  #chunk = 0;
  /** Digital silence that went into the cache of the gate. */
  #restingSamples = 0;

  constructor(options: MicrophoneOptions) {
    this.#options = options;
    this.#gate = new VoiceGate(options.preRollChunks, options.streamsSilence);
    this.#speech = new SpeechSwitch(options);
  }

  /** Plays a sound to the microphone, from `atUs` on, mixed with what is there. Copies it. */
  play(samples: Int16Array, atUs: number): void {
    const { startUs } = this.#options;
    const start = Math.ceil(((atUs - startUs) * sampleRateHz) / 1_000_000);
    this.#sounds.push({ start, samples: samples.slice() });
  }

  /** The main loop switches the gate off. */
  closeGate(): void {
    this.#gate.close();
  }

  /** The main loop switches the gate on again. */
  openGate(): void {
    this.#gate.reopen();
  }

  /** When the next chunk is complete; undefined when it cannot make a difference. */
  nextDeadlineUs(): number | undefined {
    if (!this.#idle()) return this.#chunkEndUs(this.#chunk);
    const next = this.#nextSoundAt(this.#chunk * this.#options.chunkSamples);
    if (next === Number.POSITIVE_INFINITY) return undefined;
    return this.#chunkEndUs(Math.floor(next / this.#options.chunkSamples));
  }

  /** Processes every chunk that is complete at `atUs`; returns what left the audio thread, in order. */
  advanceTo(atUs: number): GateOutput[] {
    const output: GateOutput[] = [];
    const { chunkSamples, startUs } = this.#options;
    const complete = Math.floor(((atUs - startUs) * sampleRateHz) / 1_000_000 / chunkSamples);
    while (this.#chunk < complete) {
      if (this.#idle()) this.#skipTo(complete);
      else output.push(...this.#processChunk());
    }
    return output;
  }

  #processChunk(): GateOutput[] {
    const samples = this.#hear();
    this.#chunk += 1;
    const output = this.#gate.chunk(samples, this.#speech.process(samples));
    const atRest = !this.#gate.open && !this.#gate.wasSpeech && samples.every((s) => s === 0);
    this.#restingSamples = atRest ? this.#restingSamples + samples.length : 0;
    return output;
  }

  #skipTo(chunk: number): void {
    // A sound at the microphone ends the skipped stretch.
    const { chunkSamples } = this.#options;
    const sound = this.#nextSoundAt(this.#chunk * chunkSamples);
    const next = Math.min(chunk, Math.floor(sound / chunkSamples));
    this.#speech.skipSilence((next - this.#chunk) * chunkSamples);
    this.#chunk = next;
  }

  #idle(): boolean {
    if (this.#options.eager === true) return false;
    if (this.#gate.open || this.#gate.wasSpeech || this.#speech.active) return false;
    if (this.#restingSamples < settledSamples) return false;
    const { chunkSamples } = this.#options;
    const from = this.#chunk * chunkSamples;
    return this.#nextSoundAt(from) >= from + chunkSamples;
  }

  /** The first position from `from` on at which there may be a sound; infinite when none is known. */
  #nextSoundAt(from: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { start } of this.#sounds) next = Math.min(next, Math.max(from, start));
    for (const sound of this.#options.ambience ?? [])
      next = Math.min(next, sound.nextSoundAt(from));
    return next;
  }

  #chunkEndUs(chunk: number): number {
    const { startUs, chunkSamples } = this.#options;
    return startUs + Math.round(((chunk + 1) * chunkSamples * 1_000_000) / sampleRateHz);
  }

  /** The next chunk as the microphone hears it; forgets sounds that are over. */
  #hear(): Int16Array {
    const { chunkSamples, ambience = [], observe } = this.#options;
    const from = this.#chunk * chunkSamples;
    const end = from + chunkSamples;
    const sounding = this.#sounds.filter(({ start }) => start < end);
    const heard =
      sounding.length <= 1 && ambience.length === 0
        ? this.#hearAlone(sounding[0], from)
        : this.#hearSum(sounding, ambience, from);
    observe?.(from, heard);
    this.#sounds = this.#sounds.filter(({ start, samples }) => start + samples.length > end);
    return heard;
  }

  /** Nearly always there is silence, or the user and nobody else: nothing to add, round or limit. */
  #hearAlone(sound: PlayedSound | undefined, from: number): Int16Array {
    const heard = new Int16Array(this.#options.chunkSamples);
    if (sound === undefined) return heard;
    const { start, samples } = sound;
    const part = samples.subarray(Math.max(0, from - start), from + heard.length - start);
    heard.set(part, Math.max(0, start - from));
    return heard;
  }

  #hearSum(
    sounds: readonly PlayedSound[],
    ambience: readonly AmbientSound[],
    from: number,
  ): Int16Array {
    const { chunkSamples } = this.#options;
    const sum = new Float64Array(chunkSamples);
    for (const { start, samples } of sounds) {
      const first = Math.max(0, start - from);
      const last = Math.min(chunkSamples, start + samples.length - from);
      for (let i = first; i < last; i++) sum[i] = sum[i]! + samples[from + i - start]!;
    }
    for (const sound of ambience) sound.addTo(sum, from);
    const heard = new Int16Array(chunkSamples);
    for (let i = 0; i < chunkSamples; i++) {
      heard[i] = Math.max(-32_768, Math.min(32_767, Math.round(sum[i]!)));
    }
    return heard;
  }
}

/** The detector's answers per 10 ms, held until speech or quiet has lasted long enough. */
class SpeechSwitch {
  readonly #detector: VoiceDetector;
  readonly #speechMinimumFrames: number;
  readonly #noiseMinimumFrames: number;
  readonly #frame = new Int16Array(voiceFrameSamples);
  #filled = 0;
  #voiceFrames = 0;
  #noiseFrames = 0;
  active = false;

  constructor(options: MicrophoneOptions) {
    this.#detector = options.detector;
    this.#speechMinimumFrames = Math.ceil(options.speechMinimumMs / 10);
    this.#noiseMinimumFrames = Math.ceil(options.noiseMinimumMs / 10);
  }

  /** The next samples; true when it is speech at their end. */
  process(samples: Int16Array): boolean {
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + voiceFrameSamples - this.#filled);
      this.#frame.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled < voiceFrameSamples) break;
      this.#filled = 0;
      this.#count(this.#detector.process(this.#frame));
    }
    return this.active;
  }

  /** Silence that is known to change nothing but the position within the frame. */
  skipSilence(samples: number): void {
    this.#frame.fill(0);
    this.#filled = (this.#filled + samples) % voiceFrameSamples;
  }

  #count(voice: boolean): void {
    if (voice) {
      this.#voiceFrames += 1;
      this.#noiseFrames = 0;
      if (this.#voiceFrames >= this.#speechMinimumFrames) this.active = true;
    } else {
      this.#noiseFrames += 1;
      this.#voiceFrames = 0;
      if (this.#noiseFrames >= this.#noiseMinimumFrames) this.active = false;
    }
  }
}
