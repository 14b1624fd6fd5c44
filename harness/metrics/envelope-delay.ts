/**
 * Finds a known sound in the recording of a room. The two differ in everything but their rise and fall: a loudspeaker, walls
 * and a microphone are between them. So not samples are compared but envelopes, in decibels, and of them what
 * changes.
 */

export type EnvelopeSearch = EnvelopeDelay | EnvelopeMiss;

export interface EnvelopeMiss {
  readonly found: false;
  /** `short`: too little sound to look for. `weak`: nothing is like it. `ambiguous`: two places are. */
  readonly reason: 'short' | 'weak' | 'ambiguous';
  /** The best there is, and what it takes; null when it was not looked for. */
  readonly correlation: number | null;
  readonly needed: number | null;
}

export interface EnvelopeDelay {
  readonly found: true;
  /** Index in the room at which the sound begins. */
  readonly samples: number;
  /** How far it may be from the truth either way, in samples. */
  readonly errorSamples: number;
  /** Correlation at that place, up to 1. */
  readonly correlation: number;
}

/** 2 ms at 16 kHz. */
const frameSamples = 32;
/** What the ear and a small room smear: the envelope is smoothed over so many frames. */
const smoothFrames = 8;
/** Below it the sound is not there, or not to be heard. */
const correlationMinimum = 0.5;
/**
 * Noise is like a short sound at some of thousands of places. The correlation of n independent values scatters by
 * 1/√n; what counts is beyond this many times that.
 */
const chanceFactor = 4.5;
/** Half a second. */
const soundMinimumFrames = 250;
/** Another place that fits nearly as well means that the place is not known. */
const rivalShare = 0.9;
/** Places closer than this are the same. */
const rivalDistanceFrames = 50;
/** Reflections pull the envelope behind the direct sound; a room of half a second by some milliseconds. */
const errorMs = 10;
/** Decibels below the loudest frame that count as silence. */
const rangeDb = 40;

/**
 * @param sound 16 kHz, at least half a second
 * @param room 16 kHz, longer than the sound
 */
export function findEnvelope(sound: Int16Array, room: Int16Array): EnvelopeSearch {
  const wanted = envelope(sound);
  const heard = envelope(room);
  const lags = heard.length - wanted.length + 1;
  if (lags < 1 || wanted.length < soundMinimumFrames) {
    return { found: false, reason: 'short', correlation: null, needed: null };
  }
  const needed = Math.max(
    correlationMinimum,
    chanceFactor / Math.sqrt(wanted.length / smoothFrames),
  );
  const energy = wanted.reduce((sum, value) => sum + value * value, 0);
  const scores = new Float64Array(lags);
  // Sums over the window of the room, for its mean and its energy.
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < wanted.length; i++) {
    sum += heard[i]!;
    squares += heard[i]! ** 2;
  }
  for (let lag = 0; lag < lags; lag++) {
    let product = 0;
    for (let i = 0; i < wanted.length; i++) product += wanted[i]! * heard[lag + i]!;
    const variance = squares - (sum * sum) / wanted.length;
    scores[lag] = variance <= 0 || energy <= 0 ? 0 : product / Math.sqrt(variance * energy);
    const [gone, come] = [heard[lag]!, heard[lag + wanted.length] ?? 0];
    sum += come - gone;
    squares += come ** 2 - gone ** 2;
  }
  const best = indexOfLargest(scores, () => true);
  const rival = indexOfLargest(scores, (lag) => Math.abs(lag - best) > rivalDistanceFrames);
  const correlation = scores[best]!;
  if (correlation < needed) return { found: false, reason: 'weak', correlation, needed };
  if (rival >= 0 && scores[rival]! > rivalShare * correlation) {
    return { found: false, reason: 'ambiguous', correlation, needed };
  }
  return {
    found: true,
    samples: Math.round((best + vertex(scores, best)) * frameSamples),
    errorSamples: errorMs * 16,
    correlation,
  };
}

/** Level per frame in decibels, smoothed, without its mean. */
function envelope(samples: Int16Array): Float64Array {
  const frames = Math.floor(samples.length / frameSamples);
  const power = new Float64Array(frames);
  for (let frame = 0; frame < frames; frame++) {
    let sum = 0;
    for (let i = 0; i < frameSamples; i++) sum += samples[frame * frameSamples + i]! ** 2;
    power[frame] = sum / frameSamples;
  }
  const smooth = new Float64Array(frames);
  let window = 0;
  for (let frame = 0; frame < frames + smoothFrames / 2; frame++) {
    window += power[frame] ?? 0;
    window -= power[frame - smoothFrames] ?? 0;
    const middle = frame - smoothFrames / 2;
    if (middle >= 0) smooth[middle] = Math.max(0, window) / smoothFrames;
  }
  const loudest = smooth.reduce((most, value) => Math.max(most, value), 1);
  const floor = loudest / 10 ** (rangeDb / 10);
  const levels = smooth.map((value) => 10 * Math.log10(Math.max(value, floor) / floor));
  const mean = levels.reduce((sum, value) => sum + value, 0) / Math.max(1, frames);
  return levels.map((value) => value - mean);
}

function indexOfLargest(values: Float64Array, allowed: (index: number) => boolean): number {
  let best = -1;
  for (let i = 0; i < values.length; i++) {
    if (allowed(i) && (best < 0 || values[i]! > values[best]!)) best = i;
  }
  return best;
}

/** Where between its neighbors the peak of a parabola through them is, from -0.5 to 0.5. */
function vertex(values: Float64Array, at: number): number {
  const [before, here, after] = [values[at - 1], values[at]!, values[at + 1]];
  if (before === undefined || after === undefined) return 0;
  const curve = before - 2 * here + after;
  return curve >= 0 ? 0 : Math.max(-0.5, Math.min(0.5, (before - after) / (2 * curve)));
}
