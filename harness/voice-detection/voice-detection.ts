/**
 * Voice detection at 16 kHz: the WebRTC detector (the one inside the firmware's audio front end)
 * compiled to WebAssembly, with an energy gate in front of its answer.
 *
 * The gate is there because the detector alone calls loud white noise voice and needs some frames
 * to notice that a signal has stopped; a frame below the gate is never voice.
 */
import type { FvadModule } from '@echogarden/fvad-wasm';

/** Samples of one frame of the detector: 10 ms. */
export const voiceFrameSamples = 160;

export interface VoiceDetection {
  /** Detectors share no state, however many are made. */
  create(options: VoiceDetectorOptions): VoiceDetector;
}

export interface VoiceDetectorOptions {
  /** Mode of the WebRTC detector: 0 finds voice easily, 3 is strictest. */
  readonly aggressiveness: 0 | 1 | 2 | 3;
  /** A frame whose RMS is below this is not voice. Full scale is 32 768. */
  readonly energyGateDbfs: number;
}

export interface VoiceDetector {
  /**
   * Listens to the next samples and says whether they are voice: more than half of the 10 ms frames
   * completed by this call are. State is kept from call to call. A multiple of 160 samples is
   * judged exactly by itself; with other lengths the remainder is carried into the next call, and a
   * call that completes no frame repeats the previous answer.
   *
   * @param samples 16 kHz mono; only read during the call.
   */
  process(samples: Int16Array): boolean;
  /** Forgets everything heard, the carried remainder included. */
  reset(): void;
}

let loading: Promise<VoiceDetection> | undefined;

/** Loads the WebAssembly module, once per process. */
export function loadVoiceDetection(): Promise<VoiceDetection> {
  loading ??= import('@echogarden/fvad-wasm').then(async ({ default: load }) =>
    createVoiceDetection(await load()),
  );
  return loading;
}

function createVoiceDetection(fvad: FvadModule): VoiceDetection {
  // One frame of scratch memory is enough: calls never overlap.
  const scratch = fvad._malloc(voiceFrameSamples * Int16Array.BYTES_PER_ELEMENT);
  const released = new FinalizationRegistry<number>((instance) => fvad._fvad_free(instance));

  return {
    create(options) {
      const detector = new WebRtcVoiceDetector(fvad, scratch, options);
      released.register(detector, detector.instance);
      return detector;
    },
  };
}

class WebRtcVoiceDetector implements VoiceDetector {
  readonly instance: number;
  readonly #fvad: FvadModule;
  readonly #scratch: number;
  readonly #aggressiveness: number;
  /** Smallest sum of squares of a frame that passes the gate. */
  readonly #energyGate: number;
  readonly #frame = new Int16Array(voiceFrameSamples);
  #filled = 0;
  #voice = false;

  constructor(fvad: FvadModule, scratch: number, options: VoiceDetectorOptions) {
    this.#fvad = fvad;
    this.#scratch = scratch;
    this.#aggressiveness = options.aggressiveness;
    this.#energyGate = voiceFrameSamples * (32_768 * 10 ** (options.energyGateDbfs / 20)) ** 2;
    this.instance = fvad._fvad_new();
    this.reset();
  }

  process(samples: Int16Array): boolean {
    let frames = 0;
    let voiced = 0;
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + voiceFrameSamples - this.#filled);
      this.#frame.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled < voiceFrameSamples) break;
      this.#filled = 0;
      frames += 1;
      if (this.#judgeFrame()) voiced += 1;
    }
    if (frames > 0) this.#voice = voiced * 2 > frames;
    return this.#voice;
  }

  reset(): void {
    // The reset of the library also forgets mode and rate.
    this.#fvad._fvad_reset(this.instance);
    this.#fvad._fvad_set_mode(this.instance, this.#aggressiveness);
    this.#fvad._fvad_set_sample_rate(this.instance, 16_000);
    this.#filled = 0;
    this.#voice = false;
  }

  #judgeFrame(): boolean {
    this.#fvad.HEAP16.set(this.#frame, this.#scratch >> 1);
    // The detector adapts to the background, so it hears quiet frames too.
    const voice = this.#fvad._fvad_process(this.instance, this.#scratch, voiceFrameSamples) === 1;
    let energy = 0;
    for (const sample of this.#frame) energy += sample * sample;
    return voice && energy >= this.#energyGate;
  }
}
