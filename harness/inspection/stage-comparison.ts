/** What became of a sound on the way from one stage to the next. */
import { type Alignment, type Difference, differencesOf } from './alignment.ts';
import { findByteOrder, shiftBytes, swapBytes } from './byte-order.ts';
import type { Finding } from './defect.ts';
import { alignExactly } from './exact-alignment.ts';
import { convertRate } from './rate-conversion.ts';
import { alignByShape, isLike, isTelling } from './shape-alignment.ts';
import { type FlatTops, findClipping, findNewClicks, flatTops, rms } from './waveform-faults.ts';

export interface Comparison {
  /** The sound at the stage before, 16 kHz. */
  readonly before: Int16Array;
  readonly sound: Int16Array;
  /** `samples`: nothing on the way changes samples. `shape`: a codec or a rate conversion lies between. */
  readonly kept: 'samples' | 'shape';
  /** By how much a codec delays. */
  readonly delay?: number;
  /** False: the sound was cut on purpose, so its end may be missing. */
  readonly whole: boolean;
  /** Sounds of earlier answers, to know pieces of them. */
  readonly earlier: readonly Int16Array[];
}

const rateHz = 16_000;
/** −49 dBFS: what is quieter is not missed when a codec lies between. */
const audibleRms = 120;
/** Pieces of speech from here on are words. */
export const wordsSamples = 2400;
const clickSamples = 32;
const stumbleSamples = 48;
/** −3 dBFS. */
const overshootPeak = 23_197;
const overshootTops = 40;
/** Windows of a whole sound that agree about their place need not be alike in more than this. */
const transformedFit = 0.7;
/** What a codec leaves of the likeness of a piece that is heard twice. */
const echoFit = 0.75;
/** A shorter piece is like many others. */
const leakSamples = 960;
/** Changes of the lag up to here are made by codecs. */
const jitterSamples = 16;
/** How much may be unclear at both sides of a jump, when samples are kept and when not. */
const unclearSamples = { samples: 64, shape: 640 };
/** The rest in the player and the delay of a codec: so much of the end is never heard, and is silent. */
const tailSamples = 480;
/** Shares of the true rate that a wrong one can be, by the rates that services speak. */
const wrongRates = ratesBetween([8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]);

/** In the order of their places in the sound. */
export function compareSounds(comparison: Comparison): Finding[] {
  const { before, sound, kept, delay = 0 } = comparison;
  if (sound.length === 0 || before.length === 0) return emptiness(comparison);
  const alignment =
    kept === 'samples' ? alignExactly(before, sound) : alignByShape(before, sound, delay);
  if (sharedPart(alignment, sound) < 0.15) {
    const transformed = transformation(comparison);
    if (transformed !== null) return [transformed];
  }
  const differences = differencesOf(alignment, before, sound, comparison);
  const pieces = differences.map((difference) => ({
    difference,
    finding: judge(difference, comparison),
  }));
  const clipped = clippingOf(differences, comparison);
  const found = pieces.flatMap(({ difference, finding }): Finding[] =>
    finding === null || (clipped !== null && isAltered(difference)) ? [] : [finding],
  );
  if (clipped !== null) found.push(clipped);
  const all = kept === 'shape' ? withNewFaults(comparison, alignment, found) : found;
  return merged([...all].sort((a, b) => a.at - b.at));
}

/** Nothing where there was a sound, or a sound out of nothing. */
function emptiness({ before, sound, whole }: Comparison): Finding[] {
  if (sound.length > 0 && rms(sound, 0, sound.length) >= audibleRms) {
    const evidence = 'a sound, and none at the stage before';
    return [{ kind: 'inserted', at: 0, samples: sound.length, evidence }];
  }
  if (!whole || rms(before, 0, before.length) < audibleRms) return [];
  const evidence = `nothing is left of ${ms(before.length)}`;
  return [{ kind: 'missing-words', at: 0, samples: before.length, evidence }];
}

/** Share of the time with sound that has a counterpart. */
function sharedPart({ stretches }: Alignment, sound: Int16Array): number {
  const window = 160;
  let [loud, shared] = [0, 0];
  let next = 0;
  for (let at = 0; at + window <= sound.length; at += window) {
    if (rms(sound, at, at + window) < audibleRms) continue;
    loud++;
    while (next < stretches.length && stretches[next]!.end < at + window / 2) next++;
    if (next < stretches.length && stretches[next]!.at <= at + window / 2) shared++;
  }
  return loud === 0 ? 1 : shared / loud;
}

/** When the whole sound is another one: what was done to it? */
function transformation({ before, sound, earlier }: Comparison): Finding | null {
  const all = { at: 0, samples: sound.length };
  for (const [repaired, what] of repairs(sound)) {
    if (isLike(before, repaired, transformedFit)) {
      return { ...all, kind: 'byte-swap', evidence: `it is the sound before with bytes ${what}` };
    }
  }
  const clipped = clippedLouder(before, sound.subarray(0, before.length));
  if (clipped !== null) return { ...all, ...clipped };
  const ratio = before.length / sound.length;
  const likely = [...wrongRates].sort(
    (a, b) => Math.abs(Math.log(ratio / a)) - Math.abs(Math.log(ratio / b)),
  );
  for (const rate of likely.slice(0, 6)) {
    if (Math.abs(Math.log(ratio / rate)) > 0.3) continue;
    if (isLike(before, convertRate(sound, rate), transformedFit)) {
      const evidence = `it is the sound before, ${rate.toFixed(3)} times as fast: ${ms(before.length)} became ${ms(sound.length)}`;
      return { ...all, kind: 'wrong-rate', evidence };
    }
  }
  if (earlier.some((other) => isLike(other, sound))) {
    return { ...all, kind: 'leak', evidence: 'it is the sound of an earlier answer' };
  }
  return null;
}

/** The same wave, made louder or quieter, with its tops cut off. */
function clippedLouder(was: Int16Array, is: Int16Array): Pick<Finding, 'kind' | 'evidence'> | null {
  const { tops, high, low } = flatTops(is);
  if (tops.length < 3) return null;
  const limit = Math.max(high, -low);
  let [product, square] = [0, 1];
  for (const [i, sample] of is.entries()) {
    if (Math.abs(sample) > limit / 2) continue;
    product += sample * was[i]!;
    square += was[i]! ** 2;
  }
  const gain = product / square;
  const wrong = is.reduce((count, sample, i) => {
    const expected = Math.max(low, Math.min(high, gain * was[i]!));
    return count + (Math.abs(sample - expected) > 2 + 0.01 * Math.abs(expected) ? 1 : 0);
  }, 0);
  if (wrong > 0.01 * is.length) return null;
  const samples = tops.reduce((sum, top) => sum + top.samples, 0);
  const evidence = `${gain.toFixed(1)} times as loud, ${samples} samples in ${tops.length} flat tops at ${low} or ${high}`;
  return { kind: 'clipping', evidence };
}

function repairs(sound: Int16Array): readonly (readonly [Int16Array, string])[] {
  return [
    [swapBytes(sound), 'swapped'],
    [shiftBytes(sound), 'one off'],
  ];
}

function judge(difference: Difference, comparison: Comparison): Finding | null {
  const { before, sound, kept, whole, delay = 0 } = comparison;
  const { at, from, removed, added } = difference;
  const unclear = unclearSamples[kept];
  const atEnd = at + added >= sound.length && from + removed >= before.length - tailSamples;
  const net = added - removed;
  if (isAltered(difference)) return judgeAltered(difference, comparison);
  if (kept === 'shape' && Math.abs(net) <= jitterSamples && Math.max(added, removed) <= unclear)
    return null;
  if (removed > 0 && Math.min(added, removed) <= unclear && net < 0) {
    const missing = -net;
    const audible = rms(before, from, from + removed) >= audibleRms;
    if (kept === 'shape' && !audible) return null;
    if (!whole && from + removed >= before.length) return null;
    // A codec keeps the last samples to itself.
    if (atEnd && delay > 0 && missing <= delay + jitterSamples) return null;
    if (atEnd && kept === 'shape' && missing <= tailSamples) {
      // The end is cut by less than the player keeps: that is missed only when it was loud.
      if (rms(before, from, before.length) < 4 * audibleRms) return null;
    }
    const evidence = `${missing} samples (${ms(missing)}) of the stage before are missing`;
    const kind = missing >= wordsSamples && audible ? 'missing-words' : 'dropped';
    return { kind, at, samples: missing, evidence };
  }
  if (added > 0 && Math.min(added, removed) <= unclear && net > 0) {
    return judgeAdded({ ...difference, added: Math.min(added, Math.max(net, 1)) }, comparison);
  }
  if (!whole && from + removed >= before.length) return null;
  return judgeAltered(difference, comparison);
}

function judgeAdded({ at, from, added }: Difference, comparison: Comparison): Finding | null {
  const { before, sound, kept, earlier } = comparison;
  const place = { at, samples: added };
  const piece = sound.subarray(at, at + added);
  const silence = silenceAt(sound, at, added);
  if (silence !== null) {
    // Packets are filled up with silence at the end, and a codec fades out.
    if (at + added >= sound.length - 1) return null;
    if (kept === 'shape' && at <= tailSamples && added <= tailSamples) return null;
    const evidence = `${added} samples (${ms(added)}) of silence`;
    return { at: silence, samples: added, kind: 'inserted', evidence };
  }
  const again = echoAt(sound, at, added);
  if (again !== null) {
    const evidence = `${added} samples (${ms(added)}) are heard again`;
    return { at: again, samples: added, kind: 'repeated', evidence };
  }
  if (kept === 'shape' && at + added >= sound.length - 1 && added <= tailSamples) return null;
  if (isOf(earlier, piece, kept)) {
    const evidence = `${added} samples (${ms(added)}) of an earlier answer`;
    return { ...place, kind: 'leak', evidence };
  }
  if (contains(before.subarray(0, from), piece)) {
    const evidence = `${added} samples (${ms(added)}) are heard again`;
    return { ...place, kind: 'repeated', evidence };
  }
  return {
    ...place,
    kind: 'inserted',
    evidence: `${added} samples (${ms(added)}) of a strange sound`,
  };
}

/** As long as before, but another sound. */
function judgeAltered(
  { at, from, removed, added }: Difference,
  comparison: Comparison,
): Finding | null {
  const { before, sound, kept, earlier } = comparison;
  const was = before.subarray(from, from + removed);
  const is = sound.subarray(at, at + added);
  const place = { at, samples: added };
  if (kept === 'samples' && added <= clickSamples) {
    const step = was.reduce(
      (most, sample, i) => Math.max(most, Math.abs(sample - (is[i] ?? 0))),
      0,
    );
    return {
      ...place,
      kind: 'click',
      evidence: `${added} samples are other ones, by up to ${step}`,
    };
  }
  const [wasRms, isRms] = [rms(was, 0, was.length), rms(is, 0, is.length)];
  if (Math.max(wasRms, isRms) < audibleRms) return null;
  for (const [repaired, what] of repairs(is)) {
    if (added >= 160 && resembles(was, repaired)) {
      return { ...place, kind: 'byte-swap', evidence: `for ${ms(added)} the bytes are ${what}` };
    }
  }
  if (added >= 320) {
    const found = findByteOrder(is, rateHz)[0];
    if (found !== undefined && found.samples > added / 2) return { ...found, ...place };
  }
  if (isRms < 0.1 * wasRms) {
    // At the end there is less silence than there was sound.
    const evidence = `${removed} samples (${ms(removed)}) are replaced by silence`;
    const kind = removed >= wordsSamples ? 'missing-words' : 'dropped';
    return { at, samples: removed, kind, evidence };
  }
  // What a codec makes of a sibilant is another hiss of the same level.
  const ratio = isRms / Math.max(1, wasRms);
  const hiss = !isTelling(was, 0, was.length);
  if (kept === 'shape' && (hiss || added <= 4800) && ratio > 0.25 && ratio < 4) {
    if (!isOf(earlier, is, kept)) return null;
  }
  if (isOf(earlier, is, kept)) {
    return { ...place, kind: 'leak', evidence: `${ms(added)} are of an earlier answer` };
  }
  const clipped = clippedLouder(was, is);
  if (clipped !== null) return { ...place, ...clipped };
  const level = (20 * Math.log10(Math.max(isRms, 1) / Math.max(wasRms, 1))).toFixed(0);
  return {
    ...place,
    kind: 'altered',
    evidence: `for ${ms(added)} another sound, ${level} dB against before`,
  };
}

function isAltered({ removed, added }: Difference): boolean {
  return removed > 0 && removed === added;
}

/** Flat tops where there were higher ones: many small differences with one cause. */
function clippingOf(
  differences: readonly Difference[],
  { before, sound }: Comparison,
): Finding | null {
  const altered = differences.filter(isAltered);
  const samples = altered.reduce((sum, { added }) => sum + added, 0);
  if (samples < 3) return null;
  let limit = 0;
  for (const { at, added } of altered) {
    for (let i = at; i < at + added; i++) limit = Math.max(limit, Math.abs(sound[i]!));
  }
  let [changed, cut] = [0, 0];
  for (const { at, from, added } of altered) {
    for (let i = 0; i < added; i++) {
      const [was, is] = [before[from + i]!, sound[at + i]!];
      if (was === is) continue;
      changed++;
      const lower = Math.sign(was) === Math.sign(is) && Math.abs(was) > Math.abs(is);
      if (lower && Math.abs(is) >= limit - 1) cut++;
    }
  }
  if (cut < 0.95 * changed) return null;
  const [first, last] = [altered[0]!, altered.at(-1)!];
  return {
    kind: 'clipping',
    at: first.at,
    samples: last.at + last.added - first.at,
    evidence: `${changed} samples are cut off at ${limit}`,
  };
}

/** Also the clicks, flat tops and swapped bytes that the sound before did not have. */
function withNewFaults(
  { before, sound, delay = 0 }: Comparison,
  alignment: Alignment,
  differences: readonly Finding[],
): Finding[] {
  const clicks = findNewClicks(before, sound, rateHz, delay).filter(
    // The server's encoder begins anew with each sentence, the board's decoder does not, and stumbles.
    ({ at }) => delay === 0 || at >= delay + stumbleSamples,
  );
  const found = differences.map((finding) => onEdge(finding, clicks));
  const swapped = findByteOrder(sound, rateHz).filter(
    (noise) =>
      !found.some((other) => overlaps(other, noise)) &&
      !findByteOrder(before, rateHz).some((other) => overlaps(other, noise)),
  );
  found.push(...swapped.map((noise) => asFarAsRepaired(noise, before, sound, alignment)));
  const clipping = newClipping(before, sound, alignment, delay > 0);
  // The edges of flat tops are sharp, too.
  if (clipping.length > 0) return [...found, ...clipping];
  const shift = (at: number): number =>
    found.reduce((sum, other) => sum + (other.at < at ? lengthened(other) : 0), delay);
  const others = clicks.filter(
    ({ at }) =>
      !found.some((other) => isNear(other, at)) &&
      // Behind a piece that is missing or was added, the place before is another one.
      (shift(at) === delay ||
        findNewClicks(before, sound, rateHz, shift(at)).some((click) => click.at === at)),
  );
  return [...found, ...others];
}

/** 20 ms: so far a place may be off. */
const edgeSamples = 320;
/** 400 ms: as long as a vowel lasts, where samples are missing is not sure. */
const edgeReach = 6400;

const repairStep = 80;

/** To both sides as long as the bytes in the other order are the sound before, and as they stand are not. */
function asFarAsRepaired(
  noise: Finding,
  before: Int16Array,
  sound: Int16Array,
  { stretches }: Alignment,
): Finding {
  const lag = stretches.find(({ at, end }) => at <= noise.at && noise.at < end)?.lag;
  if (lag === undefined) return noise;
  const piece = (samples: Int16Array, at: number): Int16Array =>
    samples.subarray(Math.max(0, at), Math.max(0, at + repairStep));
  const fitOf = (samples: Int16Array, at: number): number =>
    likeness(piece(before, at - lag), piece(samples, at));
  const middle = noise.at + (noise.samples >> 1);
  const [repaired] = repairs(sound)
    .map(([samples]) => samples)
    .sort((a, b) => fitOf(b, middle) - fitOf(a, middle)) as [Int16Array];
  const isSwapped = (at: number): boolean =>
    fitOf(repaired, at) > 0.7 && fitOf(repaired, at) > fitOf(sound, at);
  // Silence is the same in any order.
  const isSilent = (at: number): boolean => piece(sound, at).every((sample) => sample === 0);
  const end = noise.at + noise.samples;
  let [from, to] = [noise.at, end];
  for (let at = from - repairStep; at >= 0 && (isSwapped(at) || isSilent(at)); at -= repairStep) {
    if (isSwapped(at)) from = at;
  }
  for (let at = end; at < sound.length && (isSwapped(at) || isSilent(at)); at += repairStep) {
    if (isSwapped(at)) to = Math.min(at + repairStep, sound.length);
  }
  return { ...noise, at: from, samples: to - from };
}

function overlaps(a: Finding, b: Finding): boolean {
  return a.at < b.at + b.samples && b.at < a.at + a.samples;
}

function isNear({ at, samples }: Finding, place: number): boolean {
  return place > at - edgeSamples && place < at + samples + edgeSamples;
}

/** Where samples are missing the wave has an edge. Of a finding without one, the nearest that belongs to nothing else is it. */
function onEdge(finding: Finding, edges: readonly Finding[]): Finding {
  const missing = finding.kind === 'dropped' || finding.kind === 'missing-words';
  if (!missing || edges.some(({ at }) => isNear(finding, at))) return finding;
  const distance = ({ at }: Finding): number => Math.abs(at - finding.at);
  const nearest = edges.reduce<Finding | null>(
    (best, edge) => (best === null || distance(edge) < distance(best) ? edge : best),
    null,
  );
  if (nearest === null || distance(nearest) > edgeReach) return finding;
  return { ...finding, at: nearest.at };
}

/** By how many samples the sound got longer at this place. */
function lengthened({ kind, samples }: Finding): number {
  if (kind === 'dropped' || kind === 'missing-words') return -samples;
  return kind === 'repeated' || kind === 'inserted' || kind === 'leak' ? samples : 0;
}

function newClipping(
  before: Int16Array,
  sound: Int16Array,
  alignment: Alignment,
  codec: boolean,
): Finding[] {
  const old = flatTops(before);
  if (old.tops.length > 2) return [];
  const { tops } = flatTops(sound);
  // What is loud already overshoots in a codec.
  const peak = Math.max(old.high, -old.low);
  if (codec && peak > overshootPeak && tops.length < overshootTops) return [];
  return isLimit(tops, before, alignment) ? findClipping(sound) : [];
}

/** A top is compared with the loudest sample of 10 ms around it. */
const topReach = 80;

/**
 * A limit cuts off whatever is louder than it. Where a codec overshoots, as it does when its encoder has begun anew, other
 * places that are as loud are whole.
 */
function isLimit(tops: FlatTops['tops'], before: Int16Array, { stretches }: Alignment): boolean {
  const peakAt = (center: number): number =>
    before
      .subarray(Math.max(0, center - topReach), center + topReach)
      .reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  const levels = tops.flatMap(({ at, samples }): number[] => {
    const stretch = stretches.find((other) => at >= other.at && at < other.end);
    return stretch === undefined ? [] : [peakAt(at + (samples >> 1) - stretch.lag)];
  });
  // Nothing to compare with.
  if (levels.length === 0) return true;
  const level = levels.sort((a, b) => a - b)[levels.length >> 1]!;
  let [loud, cut] = [0, 0];
  for (const { at, end, lag } of stretches) {
    for (let center = at + topReach; center + topReach <= end; center += 2 * topReach) {
      if (peakAt(center - lag) < level) continue;
      loud++;
      if (tops.some((top) => Math.abs(top.at - center) <= 2 * topReach)) cut++;
    }
  }
  return cut >= loud / 2;
}

/** Findings of one kind that are less than 20 ms apart are one. */
function merged(findings: readonly Finding[]): Finding[] {
  const result: Finding[] = [];
  for (const finding of findings) {
    const last = result.at(-1);
    const near = last !== undefined && finding.at <= last.at + last.samples + 320;
    const melts = finding.kind === 'altered' || finding.kind === 'byte-swap';
    if (near && melts && last.kind === finding.kind) {
      result[result.length - 1] = { ...last, samples: finding.at + finding.samples - last.at };
    } else result.push(finding);
  }
  return result;
}

/** The same sound, in any loudness. */
function resembles(a: Int16Array, b: Int16Array): boolean {
  return likeness(a, b) > 0.85;
}

/** Normalized correlation. */
function likeness(a: Int16Array, b: Int16Array): number {
  let [product, squareA, squareB] = [0, 1, 1];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    product += a[i]! * b[i]!;
    squareA += a[i]! ** 2;
    squareB += b[i]! ** 2;
  }
  return product / Math.sqrt(squareA * squareB);
}

/** How far from its place a piece that was added may be, when a codec lies between. */
const echoReach = 24;
const silenceReach = 64;

/** Where near `at`, the nearest first, a piece of this length is silent; null: nowhere. */
function silenceAt(sound: Int16Array, at: number, length: number): number | null {
  for (let step = 0; step <= 2 * silenceReach; step++) {
    const place = at + (step % 2 === 0 ? -step / 2 : (step + 1) / 2);
    if (place < 0 || place + length > sound.length) continue;
    if (rms(sound, place, place + length) < audibleRms / 2) return place;
  }
  return null;
}

/**
 * Where near `at` a piece of this length is like the one right before it; the latest such place, null: nowhere. Not far
 * from it: there one period of the voice is like the next anyway.
 */
function echoAt(sound: Int16Array, at: number, length: number): number | null {
  if (length < 32) return null;
  let best: { at: number; fit: number } | null = null;
  for (let place = Math.max(length, at - echoReach); place <= at + echoReach; place++) {
    if (place + length > sound.length) break;
    const first = sound.subarray(place - length, place);
    const fit = likeness(first, sound.subarray(place, place + length));
    if (best === null || fit >= best.fit) best = { at: place, fit };
  }
  return best !== null && best.fit >= echoFit ? best.at : null;
}

/** The piece is somewhere in `other`, in any loudness. */
function contains(other: Int16Array, piece: Int16Array): boolean {
  return piece.length >= 32 && isLike(other, piece, 0.8);
}

/** The piece is of one of the sounds: long and like enough that this is no chance. */
function isOf(sounds: readonly Int16Array[], piece: Int16Array, kept: Comparison['kept']): boolean {
  if (piece.length < leakSamples) return false;
  if (sounds.some((other) => occursIn(other, piece))) return true;
  return kept === 'shape' && sounds.some((other) => isLike(other, piece, 0.7));
}

/** The loudest 64 samples of the piece are in `other`, equal to the sample. */
function occursIn(other: Int16Array, piece: Int16Array): boolean {
  const length = Math.min(64, piece.length);
  let [best, loudest] = [0, -1];
  for (let at = 0; at + length <= piece.length; at += length / 2) {
    const level = rms(piece, at, at + length);
    if (level > loudest) [best, loudest] = [at, level];
  }
  for (let at = 0; at + length <= other.length; at++) {
    let i = 0;
    while (i < length && other[at + i] === piece[best + i]) i++;
    if (i === length) return true;
  }
  return false;
}

function ms(samples: number): string {
  return `${(samples / 16).toFixed(1)} ms`;
}

function ratesBetween(rates: readonly number[]): number[] {
  const ratios = rates.flatMap((a) => rates.map((b) => a / b));
  return [...new Set(ratios)].filter((ratio) => ratio !== 1 && ratio >= 0.25 && ratio <= 4);
}
