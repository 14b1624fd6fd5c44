/**
 * Alignment of sounds whose samples are not kept: a codec or a rate conversion lies between them. Where
 * the waveforms have the same shape decides; how loud they are does not.
 */
import { type Alignment, type Stretch, withoutIntruders } from './alignment.ts';
import { CrossCorrelation } from './cross-correlation.ts';

/** 5 ms at 16 kHz: places are decided for each, and refined to the sample afterwards. */
const hop = 80;
/** A lag is judged by 20 ms around each hop. */
const reach = 160;
/** A lag is searched with 30 ms of sound. */
const searchSamples = 480;
/** What fits as well as this was not met by chance. */
const searchFit = 0.85;
/** Windows in a row that are found nowhere, until only one of as many is searched. */
const missesMax = 16;
/** Windows as well as this need no search. */
const goodFit = 0.82;
/** Below this, RMS, a place says nothing about lags. */
const audibleRms = 120;
/** Square of the noise that is added to both sides of a comparison, so that silence is alike. */
const floorSquare = 40 ** 2;
/** Cost of 5 ms without a counterpart. Unrelated sounds cost 1, equal ones 0. */
const nothingCost = 0.7;
/** Cost of a change, in hops. */
const changeCost = 6;
const sameFit = 0.95;
/** 60 ms of sound, every 250 ms, in which no lag fits nearly, are searched for one that was overlooked. */
const anchorSamples = 960;
const anchorStep = 4000;
/** Half a second at the coarse rate. */
const nearPlaces = 2000;
/** Lags are searched at a quarter of the rate first. */
const coarse = 4;

/**
 * @param before the sound of the stage before, 16 kHz
 * @param delay the lag to begin with
 */
export function alignByShape(was: Int16Array, is: Int16Array, delay: number): Alignment {
  const [before, sound] = [withoutLows(was), withoutLows(is)];
  const lags = candidateLags(before, sound, delay);
  const gain = gainOf(before, sound, lags);
  const path = cheapestPath(before, sound, gain, lags);
  return { stretches: refined(path, before, sound, gain) };
}

/** Windows of a sound that are looked for in another one. */
const probes = 7;
/** 100 ms: of a shorter piece of voice there are others that are as much alike. */
const probeSamples = 1600;
/** 8 ms: one period of a voice is like the next. */
const periodSamples = 128;

/**
 * Whether the sound, or what of it is most telling, is in `other`: most of its windows are found there with one lag.
 *
 * @param least correlation of a window that is found
 */
export function isLike(was: Int16Array, is: Int16Array, least = searchFit): boolean {
  const length = Math.min(probeSamples, is.length);
  if (was.length < length) return false;
  const [other, sound] = [withoutLows(was), withoutLows(is)];
  const windows: number[] = [];
  for (let at = 0; at + length <= sound.length; at += length) {
    if (power(sound, at, at + length) >= audibleRms ** 2) windows.push(at);
  }
  // A short piece has sound in its middle, or is quiet as a whole.
  if (windows.length === 0) return false;
  const telling = windows.filter((at) => isTelling(sound, at, length));
  const chosen = telling.length > 0 ? telling : windows;
  const step = Math.max(1, chosen.length / probes);
  const search = new LagSearch(other, sound);
  const lags: number[] = [];
  let count = 0;
  for (let i = 0; i < chosen.length; i += step) {
    count++;
    const lag = search.find(chosen[Math.floor(i)]!, lags.at(-1) ?? 0, length, least);
    if (lag !== null) lags.push(lag);
  }
  const agreeing = lags.map(
    (lag) => lags.filter((other) => Math.abs(other - lag) <= periodSamples).length,
  );
  return Math.max(0, ...agreeing) >= Math.max(Math.min(2, count), 0.6 * count);
}

/** Share of a step that is left after a sample: a high-pass of the first order at 200 Hz. */
const lowsKept = 0.925;

/**
 * The sound without what lies below the voice: codecs for speech have a high-pass of their own, which moves the lowest tones
 * against the others (libopus: at 60 to 100 Hz).
 */
function withoutLows(samples: Int16Array): Int16Array {
  const high = new Int16Array(samples.length);
  let [value, last] = [0, 0];
  for (let i = 0; i < samples.length; i++) {
    value = lowsKept * (value + samples[i]! - last);
    last = samples[i]!;
    high[i] = Math.max(-32_768, Math.min(32_767, Math.round(value)));
  }
  return high;
}

/** How much louder the sound is, by the pieces that are surely the same. */
function gainOf(before: Int16Array, sound: Int16Array, lags: readonly number[]): number {
  const gains: number[] = [];
  for (let at = 0; at + searchSamples <= sound.length; at += searchSamples) {
    if (!isTelling(sound, at, searchSamples)) continue;
    for (const lag of lags) {
      if (correlation(before, sound, at, searchSamples, lag) < goodFit) continue;
      const was = squareSum(before, at - lag, at - lag + searchSamples);
      gains.push(productSum(before, sound, at, searchSamples, lag) / was);
      break;
    }
  }
  gains.sort((a, b) => a - b);
  // The board's gain is a power of two; what is near 1 is not a gain.
  const exponent = Math.log2(gains[Math.floor(gains.length / 2)] ?? 1);
  return Math.abs(exponent) < 0.5 ? 1 : 2 ** Math.round(exponent);
}

/** Lags at which any part of the sound was found. */
function candidateLags(before: Int16Array, sound: Int16Array, delay: number): number[] {
  const lags = [delay];
  const votes = new Set<number>();
  let misses = 0;
  const search = new LagSearch(before, sound);
  let current = delay;
  for (let at = 0; at + searchSamples <= sound.length; at += searchSamples / 2) {
    if (!isTelling(sound, at, searchSamples)) continue;
    if (correlation(before, sound, at, searchSamples, current) >= goodFit) continue;
    const known = lags.find((lag) => correlation(before, sound, at, searchSamples, lag) >= goodFit);
    if (known !== undefined) {
      current = known;
      continue;
    }
    // In a long piece of another sound a few windows will do.
    if (misses >= missesMax && (at / (searchSamples / 2)) % missesMax !== 0) continue;
    const lag = search.find(at, current);
    if (lag === null) {
      misses++;
      continue;
    }
    misses = 0;
    // Next to a lag that is known already, the shape was only bent.
    if (lags.some((other) => Math.abs(other - lag) <= 2)) continue;
    // What only one window shows may be chance.
    const seen = [...votes].find((other) => Math.abs(other - lag) <= 2);
    if (seen === undefined) {
      votes.add(lag);
      continue;
    }
    lags.push(lag);
    current = lag;
  }
  // A lag that is off by a period of the voice fits well for a while; more of the sound tells it from the right one.
  for (let at = 0; at + anchorSamples <= sound.length; at += anchorStep) {
    if (!isTelling(sound, at, anchorSamples)) continue;
    const fits = (lag: number): boolean =>
      correlation(before, sound, at, anchorSamples, lag) >= sameFit;
    if (lags.some(fits)) continue;
    const lag = search.find(at, current, anchorSamples);
    if (lag !== null && !lags.some((other) => Math.abs(other - lag) <= 2)) lags.push(lag);
  }
  return sharpened(lags, before, sound);
}

/**
 * Of each lag but the first and those next to it the one at which most is alike that is not at another lag: voices hardly
 * tell one sample from the next, sibilants do.
 */
function sharpened(lags: readonly number[], before: Int16Array, sound: Int16Array): number[] {
  const places = Array.from({ length: Math.ceil(sound.length / reach) }, (_, i) => i * reach);
  const costsAt = (lag: number): number[] =>
    places.map((at) => unlikeness(before, sound, 1, at, lag));
  const known = lags.map(costsAt);
  return lags.map((lag, own) => {
    if (own === 0) return lag;
    const without = places.map((_, i) =>
      Math.min(nothingCost, ...known.flatMap((costs, other) => (other === own ? [] : [costs[i]!]))),
    );
    let [best, least] = [lag, Number.POSITIVE_INFINITY];
    for (const near of [lag, lag - 1, lag + 1, lag - 2, lag + 2]) {
      const costs = near === lag ? known[own]! : costsAt(near);
      const cost = costs.reduce((sum, value, i) => sum + Math.min(value, without[i]!), 0);
      if (cost < least) [best, least] = [near, cost];
    }
    return best;
  });
}

/** Loud enough, and not the hiss of a sibilant, which codecs replace by another one. */
export function isTelling(samples: Int16Array, at: number, length: number): boolean {
  if (power(samples, at, at + length) < audibleRms ** 2) return false;
  let crossings = 0;
  for (let i = at + 1; i < at + length; i++) {
    if (samples[i]! < 0 !== samples[i - 1]! < 0) crossings++;
  }
  return crossings < 0.25 * length;
}

/** Normalized correlation at one lag, from -1 to 1; what lies outside of `before` is silence. */
function correlation(
  before: Int16Array,
  sound: Int16Array,
  at: number,
  length: number,
  lag: number,
): number {
  const is = squareSum(sound, at, at + length);
  const was = squareSum(before, at - lag, at + length - lag);
  if (was === 0 || is === 0) return 0;
  return productSum(before, sound, at, length, lag) / Math.sqrt(was * is);
}

/** Of what lies in both; no index is ever outside, which would make it ten times as slow. */
function productSum(
  before: Int16Array,
  sound: Int16Array,
  at: number,
  length: number,
  lag: number,
): number {
  const end = Math.min(at + length, sound.length, before.length + lag);
  let sum = 0;
  for (let i = Math.max(at, lag, 0); i < end; i++) sum += before[i - lag]! * sound[i]!;
  return sum;
}

function squareSum(samples: Int16Array | Float64Array, from: number, to: number): number {
  const end = Math.min(to, samples.length);
  let sum = 0;
  for (let i = Math.max(from, 0); i < end; i++) {
    const sample = samples[i]!;
    sum += sample * sample;
  }
  return sum;
}

class LagSearch {
  readonly #before: Int16Array;
  readonly #sound: Int16Array;
  readonly #products: CrossCorrelation;
  readonly #coarseSound: Float64Array;
  readonly #squares: Float64Array;
  /** Of `before`, summed up to each sample. */
  readonly #fineSquares: Float64Array;

  constructor(before: Int16Array, sound: Int16Array) {
    this.#before = before;
    this.#sound = sound;
    const coarseBefore = decimated(before);
    this.#products = new CrossCorrelation(coarseBefore);
    this.#coarseSound = decimated(sound);
    this.#squares = summedSquares(coarseBefore);
    this.#fineSquares = summedSquares(before);
  }

  /** The lag at which the window is found, of several the nearest to `near`; null when nowhere. */
  find(at: number, near: number, samples = searchSamples, least = searchFit): number | null {
    const start = Math.floor(at / coarse);
    const wanted = this.#coarseSound.subarray(start, start + Math.floor(samples / coarse));
    const is = squareSum(this.#sound, at, at + samples);
    const peaks = this.#peaks(wanted);
    const expected = (at - near) / coarse;
    // Of a long vowel there is something like it nearby; only what is nearly the same is the place itself.
    const nearby = peaks.filter(({ place }) => Math.abs(place - expected) <= nearPlaces);
    const best = this.#best(nearby, at, samples, near, is);
    if (best !== null && best.fit >= Math.max(least, sameFit)) return best.lag;
    const anywhere = this.#best(peaks, at, samples, near, is);
    return anywhere !== null && anywhere.fit >= least ? anywhere.lag : null;
  }

  /** Of the highest peaks the best fit to the sample. */
  #best(
    peaks: readonly Peak[],
    at: number,
    samples: number,
    near: number,
    is: number,
  ): { lag: number; fit: number } | null {
    let best: { lag: number; fit: number } | null = null;
    for (const { place } of peaks.slice(0, peaksMax)) {
      for (let fine = -coarse; fine <= coarse; fine++) {
        const lag = at - (place * coarse + (at % coarse)) + fine;
        const fit = this.#fit(at, samples, lag, is) - Math.abs(lag - near) * 1e-6;
        if (best === null || fit > best.fit) best = { lag, fit };
      }
    }
    return best;
  }

  /** The correlation of the window, whose squares are known to be `is`. */
  #fit(at: number, length: number, lag: number, is: number): number {
    const last = this.#before.length;
    const from = Math.max(0, Math.min(last, at - lag));
    const to = Math.max(0, Math.min(last, at - lag + length));
    const was = this.#fineSquares[to]! - this.#fineSquares[from]!;
    if (was === 0 || is === 0) return 0;
    return productSum(this.#before, this.#sound, at, length, lag) / Math.sqrt(was * is);
  }

  /** The places with a high correlation at the coarse rate, the best first. */
  #peaks(wanted: Float64Array): Peak[] {
    const scores = this.#products.with(wanted);
    const energy = squareSum(wanted, 0, wanted.length);
    for (let place = 0; place < scores.length; place++) {
      const square = this.#squares[place + wanted.length]! - this.#squares[place]!;
      // Where the sound before is far too quiet, it is not there.
      scores[place] = square < energy / 64 ? 0 : scores[place]! / Math.sqrt(square * energy);
    }
    const peaks: Peak[] = [];
    // Of each peak the top: otherwise those of one vowel would be all there are.
    for (let place = 0; place < scores.length; place++) {
      const score = scores[place]!;
      const top = score >= (scores[place - 1] ?? 0) && score >= (scores[place + 1] ?? 0);
      if (score > peakFit && top) peaks.push({ place, score });
    }
    return peaks.sort((a, b) => b.score - a.score);
  }
}

interface Peak {
  /** At the coarse rate. */
  readonly place: number;
  readonly score: number;
}

/** Correlation at the coarse rate from which on a place is looked at to the sample. */
const peakFit = 0.6;
/** So many of them. */
const peaksMax = 12;

/** The sum of the squares before each sample, and of all. */
function summedSquares(samples: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(samples.length + 1);
  for (let i = 0; i < samples.length; i++) sums[i + 1] = sums[i]! + samples[i]! ** 2;
  return sums;
}

/**
 * A quarter of the rate. The window is a triangle of two steps to each side: what is above 1 kHz would make
 * places that are off by half a step look different.
 */
function decimated(samples: Int16Array): Float64Array {
  const all = new Float64Array(Math.floor(samples.length / coarse));
  for (let i = 0; i < all.length; i++) {
    const center = i * coarse;
    let sum = 0;
    for (let k = 1 - coarse; k < coarse; k++) {
      if (center + k < 0 || center + k >= samples.length) continue;
      sum += (coarse - Math.abs(k)) * samples[center + k]!;
    }
    all[i] = sum / coarse ** 2;
  }
  return all;
}

/** Per hop the index into `lags`, or -1 for nothing: the sequence with the least cost in all. */
function cheapestPath(
  before: Int16Array,
  sound: Int16Array,
  gain: number,
  lags: readonly number[],
): (number | null)[] {
  const hops = Math.ceil(sound.length / hop);
  const states = lags.length + 1;
  let costs = new Float64Array(states).fill(changeCost);
  costs[0] = 0;
  const came: Int32Array[] = [];
  for (let h = 0; h < hops; h++) {
    let cheapest = 0;
    for (let s = 1; s < states; s++) if (costs[s]! < costs[cheapest]!) cheapest = s;
    const from = new Int32Array(states);
    const now = new Float64Array(states);
    for (let s = 0; s < states; s++) {
      const jump = costs[cheapest]! + changeCost;
      from[s] = costs[s]! <= jump ? s : cheapest;
      const own =
        s === lags.length ? nothingCost : unlikeness(before, sound, gain, h * hop, lags[s]!);
      now[s] = Math.min(costs[s]!, jump) + own;
    }
    came.push(from);
    costs = now;
  }
  let state = costs.indexOf(Math.min(...costs));
  const path: (number | null)[] = new Array(hops);
  for (let h = hops - 1; h >= 0; h--) {
    path[h] = state === lags.length ? null : lags[state]!;
    state = came[h]![state]!;
  }
  return path;
}

/** 0 for the same, about 1 for sounds that have nothing to do with each other. */
function unlikeness(
  before: Int16Array,
  sound: Int16Array,
  gain: number,
  at: number,
  lag: number,
): number {
  const from = at + hop / 2 - reach / 2;
  let [error, square] = [0, 2 * reach * floorSquare];
  for (let i = from; i < from + reach; i++) {
    const b = sound[i] ?? 0;
    const a = gain * (before[i - lag] ?? 0);
    error += (b - a) ** 2;
    square += b * b + a * a;
  }
  return error / square;
}

/** Stretches with ends to the sample. */
function refined(
  path: readonly (number | null)[],
  before: Int16Array,
  sound: Int16Array,
  gain: number,
): Stretch[] {
  const runs: { at: number; end: number; lag: number | null }[] = [];
  for (const [h, lag] of path.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && last.lag === lag) last.end = (h + 1) * hop;
    else runs.push({ at: h * hop, end: (h + 1) * hop, lag });
  }
  const last = runs.at(-1);
  if (last !== undefined) last.end = sound.length;
  const errorAt = (i: number, lag: number | null): number => {
    const b = sound[i] ?? 0;
    if (lag === null) return nothingCost * 0.5 * (b * b + floorSquare);
    const a = gain * (before[i - lag] ?? 0);
    return (b - a) ** 2;
  };
  for (let r = 1; r < runs.length; r++) {
    const [left, right] = [runs[r - 1]!, runs[r]!];
    // Where nothing was there before, the path knows the edge; where it jumps, the voice may be alike for long.
    const range = left.lag === null || right.lag === null ? 3 * hop : seamReach;
    const from = Math.max(left.at + 1, left.end - range);
    const to = Math.min(right.end - 1, left.end + range);
    let sum = 0;
    for (let i = from; i < to; i++) sum += errorAt(i, right.lag);
    let [best, least] = [from, sum];
    for (let i = from; i < to; i++) {
      sum += errorAt(i, left.lag) - errorAt(i, right.lag);
      if (sum < least) [best, least] = [i + 1, sum];
    }
    left.end = best;
    right.at = best;
  }
  const all = runs.flatMap(({ at, end, lag }): Stretch[] =>
    lag === null || end <= at ? [] : [{ at, end, lag }],
  );
  const trusted = all.filter(
    (stretch) =>
      stretch.end - stretch.at >= trustedSamples ||
      (power(sound, stretch.at, stretch.end) >= audibleRms ** 2 &&
        likenessOf(stretch, before, sound, gain) >= shortFit),
  );
  const stretches = straightened(withoutDetours(withoutIntruders(trusted), errorAt));
  for (let i = 1; i < stretches.length; i++) {
    const [left, right] = [stretches[i - 1]!, stretches[i]!];
    const piece = addedPiece(left, right, errorAt);
    if (piece === null) continue;
    stretches[i - 1] = { ...left, end: piece.at };
    stretches[i] = { ...right, at: piece.end };
  }
  return stretches;
}

/** A stretch of 100 ms is no chance. */
const trustedSamples = 1600;
/** A shorter one must be heard, and so much alike, from 0 to 1. */
const shortFit = 0.7;

function likenessOf(
  { at, end, lag }: Stretch,
  before: Int16Array,
  sound: Int16Array,
  gain: number,
): number {
  let [error, square] = [0, 2 * (end - at) * floorSquare];
  for (let i = at; i < end; i++) {
    const b = sound[i] ?? 0;
    const a = gain * (before[i - lag] ?? 0);
    error += (b - a) ** 2;
    square += b * b + a * a;
  }
  return 1 - error / square;
}

/** How much worse the straight way may be than a way there and back. */
const detourGain = 4;

/**
 * One period of a voice is like the next, so a badly coded piece may seem to be a period off. A lag that is left and
 * returned to was the right one all the time, unless the piece between fits far better elsewhere.
 */
function withoutDetours(
  stretches: readonly Stretch[],
  errorAt: (i: number, lag: number | null) => number,
): Stretch[] {
  const straight: Stretch[] = [];
  for (let i = 0; i < stretches.length; i++) {
    const here = stretches[i]!;
    const last = straight.at(-1);
    const isHome = ({ lag }: Stretch): boolean =>
      last !== undefined && Math.abs(lag - last.lag) <= 2;
    const back = stretches.slice(i + 1, i + 5).findIndex(isHome);
    if (last === undefined || back < 0 || isHome(here)) {
      straight.push(here);
      continue;
    }
    const detour = stretches.slice(i, i + 1 + back);
    const home = stretches[i + 1 + back]!;
    let [away, direct] = [0, 0];
    for (const { at, end, lag } of detour) {
      for (let k = at; k < end; k++) {
        away += errorAt(k, lag);
        direct += errorAt(k, last.lag);
      }
    }
    if (direct > detourGain * away) {
      straight.push(here);
      continue;
    }
    const same = home.lag === last.lag;
    straight[straight.length - 1] = { ...last, end: same ? home.end : home.at };
    if (!same) straight.push(home);
    i += 1 + back;
  }
  return straight;
}

/** Neighbors whose lags are so near are one piece that a codec has bent: it has the lag of the longest. */
const bendSamples = 16;

function straightened(stretches: readonly Stretch[]): Stretch[] {
  const straight: { stretch: Stretch; longest: number }[] = [];
  for (const stretch of stretches) {
    const last = straight.at(-1);
    const length = stretch.end - stretch.at;
    const bent =
      last !== undefined &&
      stretch.at === last.stretch.end &&
      Math.abs(stretch.lag - last.stretch.lag) <= bendSamples;
    if (!bent) {
      straight.push({ stretch, longest: length });
      continue;
    }
    const lag = length > last.longest ? stretch.lag : last.stretch.lag;
    last.stretch = { at: last.stretch.at, end: stretch.end, lag };
    last.longest = Math.max(last.longest, length);
  }
  return straight.map(({ stretch }) => stretch);
}

/** 100 ms: so far from where the path jumps the seam is looked for. */
const seamReach = 1600;
/** How much worse a place may be and still count as good: of two copies the second is the one that was added. */
const tieShare = 0.1;

/**
 * Where the sound got longer, any samples between two stretches may be the ones that were added: those, without
 * which everything else fits best.
 */
function addedPiece(
  left: Stretch,
  right: Stretch,
  errorAt: (i: number, lag: number | null) => number,
): { at: number; end: number } | null {
  const length = right.lag - left.lag;
  if (length < hop / 2) return null;
  const lowest = Math.max(left.at, left.end - seamReach, right.at - length - seamReach);
  const highest = Math.min(right.end - length, right.at + seamReach, left.end + seamReach);
  if (highest <= lowest) return null;
  let sum = 0;
  for (let i = lowest + length; i < highest + length; i++) sum += errorAt(i, right.lag);
  const costs = [sum];
  for (let at = lowest; at < highest; at++) {
    sum += errorAt(at, left.lag) - errorAt(at + length, right.lag);
    costs.push(sum);
  }
  const least = costs.reduce((low, cost) => Math.min(low, cost), Number.POSITIVE_INFINITY);
  const mean = least / (highest - lowest);
  const tie = tieShare * 2 * length * mean + hop * floorSquare;
  const at = lowest + costs.findLastIndex((cost) => cost <= least + tie);
  return { at, end: at + length };
}

function power(samples: Int16Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (samples[i] ?? 0) ** 2;
  return sum / Math.max(1, to - from);
}
