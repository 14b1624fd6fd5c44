/**
 * Faults that show in the waveform alone, without another sound to compare with: clicks, flat tops, holes and
 * repetitions. All sizes are in ms or relative, so that any sampling rate will do.
 */
import type { Finding } from './defect.ts';

const clickNeighborhoodMs = 15;
/** Around the click itself. */
const clickWidthMs = 0.6;
/** How much sharper than everything around it. Speech was seen to reach 7.4, where a synthesizer joins two pieces. */
const clickRatio = 10;
/** Against the same place in the sound before, which has the same pulses. */
const newClickRatio = 3.5;
/** Fourth difference of a spike of 1000. */
const clickSharpnessMin = 6000;

/**
 * A click is a sample at which the waveform is far sharper (fourth difference, which is 6 times the height of a spike and 3
 * times that of a step) than anywhere in the 15 ms around. The pulses of a voice are sharp, too, but one follows the
 * other within 15 ms; sibilants are sharp all over, and hide a click.
 */
export function findClicks(samples: Int16Array, rateHz: number): Finding[] {
  return clicksIn(sharpness(samples), rateHz, clickRatio);
}

/**
 * The clicks that a sound before did not have: there the same place is less sharp, so less will do than for
 * {@link findClicks}.
 *
 * @param delay by how much the sound is later
 */
export function findNewClicks(
  before: Int16Array,
  samples: Int16Array,
  rateHz: number,
  delay: number,
): Finding[] {
  const was = sharpness(before);
  const is = sharpness(samples);
  const reach = Math.round((rateHz * clickNeighborhoodMs) / 1000);
  return clicksIn(is, rateHz, newClickRatio).filter(
    ({ at }) => !exceeds(was, at - delay - reach, at - delay + reach, is[at]! / newClickRatio),
  );
}

/** Fourth difference of each sample. */
function sharpness(samples: Int16Array): Float64Array {
  const sharp = new Float64Array(samples.length);
  for (let i = 2; i < samples.length - 2; i++) {
    const [a, b, c] = [samples[i - 2]!, samples[i - 1]!, samples[i]!];
    sharp[i] = Math.abs(a - 4 * b + 6 * c - 4 * samples[i + 1]! + samples[i + 2]!);
  }
  return sharp;
}

function clicksIn(sharp: Float64Array, rateHz: number, ratio: number): Finding[] {
  const clicks: Finding[] = [];
  const reach = Math.round((rateHz * clickNeighborhoodMs) / 1000);
  const width = Math.round((rateHz * clickWidthMs) / 1000);
  for (let i = 2; i < sharp.length - 2; i++) {
    const here = sharp[i]!;
    if (here < clickSharpnessMin || here < sharp[i - 1]! || here < sharp[i + 1]!) continue;
    const limit = here / ratio;
    if (
      exceeds(sharp, i - reach, i - width, limit) ||
      exceeds(sharp, i + width + 1, i + reach + 1, limit)
    ) {
      continue;
    }
    const last = clicks.at(-1);
    if (last !== undefined && i - last.at <= width) continue;
    clicks.push({
      kind: 'click',
      at: i,
      samples: 1,
      evidence: `more than ${ratio} times as sharp as the 15 ms around (fourth difference ${Math.round(here)})`,
    });
  }
  return clicks;
}

function exceeds(values: Float64Array, from: number, to: number, limit: number): boolean {
  for (let i = Math.max(0, from); i < Math.min(values.length, to); i++) {
    if (values[i]! > limit) return true;
  }
  return false;
}

/** Samples in a row with one and the same extreme value. */
const flatRunMin = 3;
/** Flat tops of the clip. One alone may be chance. */
const flatTopsMin = 3;
/** Below this, flat tops are quiet noise of few bits, full scale = 32768. */
const flatLevelMin = 1500;

/**
 * Flat tops: several runs of samples with the largest or the smallest value of the clip. Speech that is only loud touches
 * its extreme value in one sample or two.
 */
export function findClipping(samples: Int16Array): Finding[] {
  const { tops, lower, high, low } = flatTops(samples);
  // With few bits, as µ-law has, every top is flat.
  if (tops.length < flatTopsMin || lower >= tops.length) return [];
  const count = tops.reduce((sum, top) => sum + top.samples, 0);
  const last = tops.at(-1)!;
  return [
    {
      kind: 'clipping',
      at: tops[0]!.at,
      samples: last.at + last.samples - tops[0]!.at,
      evidence: `${tops.length} flat tops, ${count} samples at ${low} or ${high}`,
    },
  ];
}

export interface FlatTops {
  readonly tops: readonly { readonly at: number; readonly samples: number }[];
  /** Flat tops of at least half that height, at other values. */
  readonly lower: number;
  /** Largest and smallest value of the sound. */
  readonly high: number;
  readonly low: number;
}

export function flatTops(samples: Int16Array): FlatTops {
  const [high, low] = extremes(samples);
  const tops: { at: number; samples: number }[] = [];
  let lower = 0;
  for (let i = 0; i < samples.length; ) {
    let end = i + 1;
    while (end < samples.length && samples[end] === samples[i]) end++;
    const value = samples[i]!;
    if (end - i >= flatRunMin && Math.abs(value) >= flatLevelMin) {
      if (value === high || value === low) tops.push({ at: i, samples: end - i });
      else if (value >= high / 2 || value <= low / 2) lower++;
    }
    i = end;
  }
  return { tops, lower, high, low };
}

const holeMsMin = 2;
/** On both sides of a hole the voice goes on: so loud within 2.5 ms, RMS, full scale = 32768. */
const holeEdgeRms = 300;
const holeEdgeMs = 2.5;
/** The jumps into the hole and out of it against the mean step of the sound around it. A voice that stops was seen at 0.2. */
const holeJump = 0.35;
/** When it stands still at another value than 0, as a synthesizer may at the top of a wave. */
const heldJump = 1.5;
/** A voice is quiet for a moment in each period. There the jumps must stand out, and the voice be heard within 20 ms. */
const quietEdgeRms = 50;
const quietJump = 4;
const voiceMs = 20;
const voiceRms = 150;
/** A sound of so few values, as µ-law has, stands still at any of them: only zeros that stand out as much are holes. */
const fewValues = 256;

/** Holes: one value for 2 ms or more between loud samples, with an edge. A voice that pauses gets there in steps. */
export function findHoles(samples: Int16Array, rateHz: number): Finding[] {
  const holes: Finding[] = [];
  const least = Math.round((rateHz * holeMsMin) / 1000);
  const edge = Math.round((rateHz * holeEdgeMs) / 1000);
  const voice = Math.round((rateHz * voiceMs) / 1000);
  // Flat tops are another fault.
  const [high, low] = extremes(samples);
  const coarse = new Set(samples).size <= fewValues;
  for (let i = 0; i < samples.length; ) {
    let end = i + 1;
    while (end < samples.length && samples[end] === samples[i]) end++;
    const value = samples[i]!;
    const inside = i >= edge && end + edge <= samples.length;
    const flat = coarse ? value !== 0 : value === high || value === low;
    if (end - i >= least && inside && !flat) {
      const around = (length: number): number =>
        Math.min(
          rms(samples, Math.max(0, i - length), i),
          rms(samples, end, Math.min(samples.length, end + length)),
        );
      const jump = Math.abs(samples[i - 1]! - value) + Math.abs(samples[end]! - value);
      const step = (meanStep(samples, i - edge, i) + meanStep(samples, end, end + edge)) / 2;
      const edgy = coarse ? quietJump : value === 0 ? holeJump : heldJump;
      const loud = around(edge) >= holeEdgeRms && jump >= edgy * step;
      const quiet =
        around(edge) >= quietEdgeRms && around(voice) >= voiceRms && jump >= quietJump * step;
      if (loud || quiet) {
        const ms = ((end - i) * 1000) / rateHz;
        holes.push({
          kind: 'inserted',
          at: i,
          samples: end - i,
          evidence: `${ms.toFixed(1)} ms of nothing but ${value} between loud samples`,
        });
      }
    }
    i = end;
  }
  return holes;
}

const pauseMsMin = 150;

/** A stretch of digital silence within a sound. Indices in samples. */
export interface Pause {
  readonly at: number;
  readonly samples: number;
  /** It begins or ends in the middle of a loud sound, where a voice does not stop. */
  readonly abrupt: boolean;
}

/** Zeros for 150 ms or more, but not those before and behind the whole sound. */
export function findPauses(samples: Int16Array, rateHz: number): Pause[] {
  const least = Math.round((rateHz * pauseMsMin) / 1000);
  const holes = new Set(findHoles(samples, rateHz).map(({ at }) => at));
  const pauses: Pause[] = [];
  let i = samples.findIndex((sample) => sample !== 0);
  while (i >= 0 && i < samples.length) {
    let end = i + 1;
    while (end < samples.length && samples[end] === samples[i]) end++;
    if (samples[i] === 0 && end - i >= least && end < samples.length)
      pauses.push({ at: i, samples: end - i, abrupt: holes.has(i) });
    i = end;
  }
  return pauses;
}

function extremes(samples: Int16Array): [number, number] {
  let [high, low] = [0, 0];
  for (const sample of samples) {
    high = Math.max(high, sample);
    low = Math.min(low, sample);
  }
  return [high, low];
}

function meanStep(samples: Int16Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from + 1; i < to; i++) sum += Math.abs(samples[i]! - samples[i - 1]!);
  return sum / Math.max(1, to - from - 1);
}

/** Shorter ones are periods of a low voice, which a synthesizer may repeat to the sample. */
const repetitionMsMin = 26;
const repetitionMsMax = 2000;
/** Samples of a fingerprint. */
const printSamples = 48;
/** Every so many samples a fingerprint is kept; all of them are looked up. */
const printStride = 8;
/** Below this a piece is too quiet to say whether it is the same, RMS, full scale = 32768. */
const repetitionRms = 150;

/**
 * A piece that is heard a second time at once, equal to the sample. A signal that is periodic, such as a test tone, repeats
 * itself much longer than one piece, and is none.
 */
export function findRepetitions(samples: Int16Array, rateHz: number): Finding[] {
  const least = Math.round((rateHz * repetitionMsMin) / 1000);
  const most = Math.round((rateHz * repetitionMsMax) / 1000);
  const seen = new Map<number, number>();
  const found: Finding[] = [];
  let hash = 0;
  let power = 1;
  for (let i = 1; i < printSamples; i++) power = Math.imul(power, 31);
  let end = 0;
  for (let i = 0; i < samples.length; i++) {
    if (i >= printSamples) hash = (hash - Math.imul(samples[i - printSamples]!, power)) | 0;
    hash = (Math.imul(hash, 31) + samples[i]!) | 0;
    if (i + 1 < printSamples) continue;
    const start = i + 1 - printSamples;
    const earlier = seen.get(hash);
    if (start % printStride === 0) seen.set(hash, start);
    if (earlier === undefined || start < end) continue;
    const lag = start - earlier;
    if (lag < least || lag > most || rms(samples, start, start + printSamples) < repetitionRms)
      continue;
    let [from, to] = [start, start];
    while (to < samples.length && samples[to] === samples[to - lag]) to++;
    while (from > lag && samples[from - 1] === samples[from - 1 - lag]) from--;
    if (to - start < printSamples) continue;
    // The piece has the length of the lag, give or take what is equal by chance.
    if (to - from < lag - 2 || to - from > 1.5 * lag) continue;
    end = to;
    found.push({
      kind: 'repeated',
      at: from,
      samples: lag,
      evidence: `the ${((lag * 1000) / rateHz).toFixed(1)} ms before are heard again, equal to the sample`,
    });
  }
  return found;
}

export function rms(samples: Int16Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += samples[i]! ** 2;
  return Math.sqrt(sum / Math.max(1, to - from));
}
