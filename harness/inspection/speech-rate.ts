/**
 * Whether speech was recorded at the rate at which it is played. Faster playing moves every resonance of the mouth
 * up by the same factor; pitch alone tells nothing, since a man is not a woman played slowly.
 */
import type { Finding } from './defect.ts';
import { convertRate } from './rate-conversion.ts';
import { expectedSeconds, spokenSeconds } from './speaking-pace.ts';
import { PowerSpectrum } from './spectrum.ts';
import { shapeValues, speechShapes } from './speech-shapes.ts';

/** Played rate against the true one, as the usual rates of services can be mixed up. */
const rateRatios = [0.5, 2 / 3, 0.75, 4 / 3, 1.5, 2] as const;

const windowSamples = 1024;
/** Bands between these frequencies, equal on a scale of octaves. */
const bands = 22;
const lowestHz = 220;
const highestHz = 3700;
/** Frames that are so much quieter than the loud ones, in power, are left out. */
const loudShare = 0.01;
/** So far, squared, a frame may be from every shape; what is further away is none of the shapes. */
const farthest = 6;

/**
 * How much better the shapes must fit at the other rate, with a text to compare the duration with. No clean clip was seen to
 * fit better when it is played faster (at best 0.11 worse). A voice with a short mouth fits up to 0.08 better when it
 * is played slower, so for a sound that is too fast more is asked, and less of it when the duration is far off.
 */
const gainTooSlow = 0.02;
const gainTooFast = 0.18;
const gainTooFastMin = 0.12;
const gainForDuration = 0.5;
/** Without one. */
const gainAlone = 0.25;
/** What is further from every shape at its best rate is no speech: speech was seen at 0.3 to 0.65, a tone at 2. */
const speechDistance = 1.1;
/** The duration must agree with the other rate within this factor. */
const durationTolerance = Math.log(1.3);
/** And be so far from what is expected at the declared rate. */
const deviationTooSlow = Math.log(1.15);
const deviationTooFast = Math.log(1.2);

/**
 * Mean distance of the frames of a sound to the shapes of speech, if it is played `ratio` times as fast as it was
 * spoken. Frames are compared by the cepstrum of their bands, so level and fine structure do not count.
 */
export class SpeechColor {
  readonly #spectra: readonly Float64Array[];
  readonly #loud: number;

  /** @param samples 16 kHz */
  constructor(samples: Int16Array) {
    const spectrum = new PowerSpectrum(windowSamples);
    const spectra: Float64Array[] = [];
    for (let at = 0; at + windowSamples <= samples.length; at += windowSamples / 2) {
      const frame = new Float64Array(spectrum.bins);
      spectrum.measure(samples, at, frame);
      spectra.push(frame);
    }
    const levels = spectra.map((frame) => frame.subarray(4).reduce((sum, value) => sum + value, 0));
    const ordered = [...levels].sort((a, b) => b - a);
    this.#loud = ordered[Math.floor(ordered.length * 0.1)] ?? 0;
    this.#spectra = spectra.filter((_, i) => levels[i]! >= this.#loud * loudShare);
  }

  get frames(): number {
    return this.#spectra.length;
  }

  shapes(ratio: number): number[][] {
    return this.#spectra.map((frame) => this.#shape(frame, ratio));
  }

  distance(ratio: number): number {
    let sum = 0;
    for (const frame of this.#spectra) {
      const shape = this.#shape(frame, ratio);
      let least = farthest;
      for (const known of speechShapes) {
        let distance = 0;
        for (let i = 0; i < shapeValues; i++) distance += (shape[i]! - known[i]! / 100) ** 2;
        least = Math.min(least, distance);
      }
      sum += least;
    }
    return sum / Math.max(1, this.#spectra.length);
  }

  #shape(frame: Float64Array, ratio: number): number[] {
    const step = (highestHz / lowestHz) ** (1 / (bands - 1));
    const perHz = windowSamples / 16_000;
    const levels: number[] = [];
    for (let band = 0; band < bands; band++) {
      const center = lowestHz * step ** band * ratio;
      const from = Math.max(1, Math.ceil((center / step ** 0.9) * perHz));
      const to = Math.min(frame.length - 1, Math.floor(center * step ** 0.9 * perHz));
      let sum = 0;
      for (let bin = from; bin <= to; bin++) sum += frame[bin]!;
      const power = to >= from ? sum / (to - from + 1) : (frame[Math.round(center * perHz)] ?? 0);
      levels.push(Math.log(power + this.#loud * 1e-7 + 1e-20));
    }
    return Array.from({ length: shapeValues }, (_, i) => {
      let sum = 0;
      for (let band = 0; band < bands; band++) {
        sum += levels[band]! * Math.cos((Math.PI * (i + 1) * (band + 0.5)) / bands);
      }
      return sum / bands;
    });
  }
}

/** @param share logarithm of the duration against the expected one; null: not known */
function leastGain(share: number | null): number {
  if (share === null) return gainAlone;
  if (share > 0) return gainTooSlow;
  return Math.max(gainTooFastMin, gainTooFast - gainForDuration * (-share - deviationTooFast));
}

/**
 * @param text what is said; null when nobody knows
 * @returns null also where there is too little speech to tell
 */
export function findWrongRate(
  samples: Int16Array,
  rateHz: number,
  text: string | null,
): Finding | null {
  const expected = text === null ? 0 : expectedSeconds(text);
  const spoken = spokenSeconds(samples, rateHz);
  const share = expected === 0 ? null : Math.log(spoken / expected);
  if (share !== null && share > -deviationTooFast && share < deviationTooSlow) return null;
  const color = new SpeechColor(convertRate(samples, 16_000 / rateHz));
  if (color.frames < 8) return null;
  const usual = color.distance(1);
  let best: { readonly ratio: number; readonly distance: number } | null = null;
  for (const ratio of rateRatios) {
    if (share !== null && Math.abs(share + Math.log(ratio)) > durationTolerance) continue;
    const distance = color.distance(ratio);
    if (best === null || distance < best.distance) best = { ratio, distance };
  }
  if (best === null || best.distance > speechDistance) return null;
  if (usual - best.distance < leastGain(share)) return null;
  const { ratio } = best;
  const duration =
    share === null
      ? ''
      : `; ${spoken.toFixed(2)} s where its text takes about ${expected.toFixed(2)} s`;
  return {
    kind: 'wrong-rate',
    at: 0,
    samples: samples.length,
    evidence: `sounds like ${Math.round(rateHz / ratio)} Hz declared as ${rateHz} Hz, ${ratio.toFixed(2)} times as fast as spoken${duration}`,
  };
}
