/** What is wrong with one sound, with nothing to compare it with. */
import { findByteOrder } from './byte-order.ts';
import type { Finding } from './defect.ts';
import { expectedSeconds, shortestShare, spokenSeconds } from './speaking-pace.ts';
import { findWrongRate } from './speech-rate.ts';
import {
  findClicks,
  findClipping,
  findHoles,
  findPauses,
  findRepetitions,
  rms,
} from './waveform-faults.ts';

export interface SingleSound {
  readonly samples: Int16Array;
  readonly rateHz: number;
  /** What is said; null: nobody knows. */
  readonly text: string | null;
  /** False: it was cut on purpose or broke off, which is told elsewhere. */
  readonly whole: boolean;
  /**
   * True: nobody says that it is one clip, so a long silence is no fault. A speaker that had nothing to play leaves one, and a
   * person who thinks.
   */
  readonly pauses?: boolean;
  /** Sounds before it, at the same rate, the latest first. */
  readonly earlier: readonly Int16Array[];
}

/**
 * The end of a sound that was not cut has faded to so much, RMS, in its last 4 ms: −30 dBFS; and of what is very loud to a
 * quarter of it.
 */
const loudEndRms = 1036;
const loudEndShare = 0.25;
const endMs = 4;
/** Findings so close to another one are a part of it. */
const neighborhoodMs = 10;

/** In the order of their places. */
export function findAlone(sound: SingleSound): Finding[] {
  const { samples, rateHz, text, whole, pauses = false, earlier } = sound;
  if (samples.length === 0) return [];
  const bytes = findByteOrder(samples, rateHz);
  const noisy = bytes.reduce((sum, finding) => sum + finding.samples, 0);
  const near = (rateHz * neighborhoodMs) / 1000;
  const silences = pauses ? findPauses(samples, rateHz) : [];
  // What the wrong order of bytes makes of a quiet place is no other fault.
  const inNoise = ({ at }: Finding): boolean =>
    bytes.some((other) => at >= other.at - near && at < other.at + other.samples + near);
  const holes = findHoles(samples, rateHz).filter(
    (hole) => !inNoise(hole) && !silences.some(({ at }) => at === hole.at),
  );
  const repetitions = findRepetitions(samples, rateHz).filter((finding) => !inNoise(finding));
  const first = [...bytes, ...repetitions, ...holes];
  const free = ({ at }: Finding): boolean =>
    ![...first, ...silences].some(
      (other) => at > other.at - near && at < other.at + other.samples + near,
    );
  const found = [...first, ...findClicks(samples, rateHz).filter(free)];
  // Noise of swapped bytes has its extremes everywhere.
  if (bytes.length === 0) found.push(...findClipping(samples));
  const leak = earlier
    .map((other) => leakOf(other, samples, rateHz))
    .find((piece) => piece !== null);
  if (leak != null) found.push(leak);
  // Of noise nobody can tell how fast it speaks.
  if (noisy < samples.length / 4) {
    const rate = findWrongRate(samples, rateHz, text);
    if (rate !== null) found.push(rate);
    else if (whole && text !== null) found.push(...missingWords(samples, rateHz, text));
  }
  return found.sort((a, b) => a.at - b.at);
}

function missingWords(samples: Int16Array, rateHz: number, text: string): Finding[] {
  const expected = expectedSeconds(text);
  if (expected === 0) return [];
  const spoken = spokenSeconds(samples, rateHz);
  const end = Math.round((rateHz * endMs) / 1000);
  const level = rms(samples, samples.length - end, samples.length);
  const broken = level > Math.max(loudEndRms, loudEndShare * rms(samples, 0, samples.length));
  const share = spoken / expected;
  if (share >= shortestShare(expected) && !broken) return [];
  const ending = broken
    ? `; it ends in the middle of a sound (${(20 * Math.log10(level / 32768)).toFixed(0)} dBFS)`
    : '';
  return [
    {
      kind: 'missing-words',
      at: broken ? samples.length - 1 : 0,
      samples: samples.length,
      evidence: `${spoken.toFixed(2)} s of speech where its text takes about ${expected.toFixed(2)} s${ending}`,
    },
  ];
}

/** A shorter piece of an earlier sound at the beginning is chance. */
const leakMsMin = 30;
/** Where a sound ends is not exact: behind this level, −40 dBFS, it does not count. */
const tailPeak = 328;
/** Samples by which the end of the earlier sound is looked for. */
const tailSamples = 64;

/** It begins with what an earlier sound ended with, sample for sample: the service had kept it back. */
function leakOf(earlier: Int16Array, samples: Int16Array, rateHz: number): Finding | null {
  let end = earlier.length;
  while (end > 0 && Math.abs(earlier[end - 1]!) < tailPeak) end--;
  const least = Math.round((rateHz * leakMsMin) / 1000);
  // An answer that is the same as one before has not leaked.
  const most = Math.min(end, Math.floor(0.8 * samples.length));
  for (let length = least; length <= most; length++) {
    // Most lengths fail at the first sample or two.
    let i = 1;
    while (i <= tailSamples && samples[length - i] === earlier[end - i]) i++;
    if (i <= tailSamples) continue;
    while (i <= length && samples[length - i] === earlier[end - i]) i++;
    if (i <= length) continue;
    const evidence = `it begins with the last ${((length * 1000) / rateHz).toFixed(0)} ms of an answer before`;
    return { kind: 'leak', at: 0, samples: length, evidence };
  }
  return null;
}
