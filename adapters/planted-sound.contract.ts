/**
 * A sound that is known at every instant, so it can be planted at any sampling rate and what comes
 * out at 16 kHz can be computed without any of the code under test. For tests.
 */

import fc from 'fast-check';

export interface PlantedSound {
  readonly rateHz: number;
  /** Sample frames at that rate; at least {@link leastFrames}. */
  readonly frames: number;
  /** As {@link tonesHz}. */
  readonly tonesHz: readonly number[];
}

/** Tones, in hertz, that every rate from 8 kHz up carries. */
export const tonesHz: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 100, max: 2_500 }), {
  minLength: 1,
  maxLength: 3,
});

/** What is shorter is a click that no other rate carries; at 16 kHz nothing is converted. */
export function leastFrames(rateHz: number): number {
  return rateHz === 16_000 ? 1 : 200;
}

/** Full scale is 32767; rounding and the resampler's own error stay far below this. */
const amplitude = 12_000;

/** The sound's samples at its own rate. */
export function plantedSamples(sound: PlantedSound): Int16Array {
  return Int16Array.from({ length: sound.frames }, (_, i) => valueAt(sound, i / sound.rateHz));
}

/** What must come out: `round(frames · 16000 / rate)` samples of the same sound. */
export function expectedSamples(sound: PlantedSound): Int16Array {
  const length = Math.round((sound.frames * 16_000) / sound.rateHz);
  return Int16Array.from({ length }, (_, i) => valueAt(sound, i / 16_000));
}

/** Swells and fades over its whole length, so it has no edges a filter could ring at. */
function valueAt({ rateHz, frames, tonesHz }: PlantedSound, seconds: number): number {
  const position = Math.min(1, (seconds * rateHz) / frames);
  const swell = Math.sin(Math.PI * position) ** 2;
  const tones = tonesHz.reduce(
    (sum, hz, i) => sum + Math.sin(2 * Math.PI * hz * seconds + i) / tonesHz.length,
    0,
  );
  return Math.round(amplitude * swell * tones);
}

/**
 * The first place where `samples` are not the sound, in words; undefined when they are. At 16 kHz
 * every bit counts; at other rates conversion and rounding may differ by `tolerance`.
 */
export function difference(
  sound: PlantedSound,
  samples: ArrayLike<number>,
  tolerance = 3,
): string | undefined {
  const wanted = expectedSamples(sound);
  if (samples.length !== wanted.length) {
    return `${samples.length} samples came out, not ${wanted.length}`;
  }
  const allowed = sound.rateHz === 16_000 ? 0 : tolerance;
  const at = wanted.findIndex((value, i) => Math.abs(value - samples[i]!) > allowed);
  if (at === -1) return undefined;
  return `sample ${at} of ${wanted.length} is ${samples[at]}, not ${wanted[at]} ± ${allowed}`;
}
