import { type Alignment, type Stretch, withoutIntruders } from './alignment.ts';

/** Samples that must be equal to take up the thread again. */
const threadSamples = 32;
/** Different values among them: silence and test tones are equal everywhere. */
const valuesMin = 12;
/** A shorter difference at the same place is taken before any jump. */
const patienceSamples = 64;

/**
 * Follows `sound` through `before` sample by sample. Where they differ, the thread is taken up at the nearest
 * place at which 32 samples are equal again.
 */
export function alignExactly(before: Int16Array, sound: Int16Array): Alignment {
  const stretches: Stretch[] = [];
  let index: Map<number, number[]> | undefined;
  let [from, at] = [0, 0];
  while (at < sound.length) {
    const start = at;
    const lag = at - from;
    while (at < sound.length && from < before.length && sound[at] === before[from]) {
      at++;
      from++;
    }
    if (at > start) stretches.push({ at: start, end: at, lag });
    if (at >= sound.length) break;
    const same = sameAgain(before, sound, from, at);
    if (same !== null) {
      at += same;
      from += same;
      continue;
    }
    index ??= fingerprints(before);
    const next = takeUp(before, sound, from, at, index);
    if (next === null) break;
    [from, at] = next;
  }
  return { stretches: withoutIntruders(joined(stretches)) };
}

/** After how many samples both go on alike without a jump. */
function sameAgain(before: Int16Array, sound: Int16Array, from: number, at: number): number | null {
  const limit = Math.min(patienceSamples, sound.length - at, before.length - from);
  for (let skip = 1; skip < limit; skip++) {
    const length = Math.min(threadSamples, sound.length - at - skip, before.length - from - skip);
    if (length >= 4 && equal(before, from + skip, sound, at + skip, length)) return skip;
  }
  return null;
}

function takeUp(
  before: Int16Array,
  sound: Int16Array,
  from: number,
  at: number,
  index: ReadonlyMap<number, readonly number[]>,
): [number, number] | null {
  let hash = 0;
  for (let i = at; i < Math.min(at + threadSamples, sound.length); i++)
    hash = next(hash, sound[i]!);
  for (let start = at; start + threadSamples <= sound.length; start++) {
    if (start > at) {
      hash = next(
        (hash - Math.imul(sound[start - 1]!, power)) | 0,
        sound[start + threadSamples - 1]!,
      );
    }
    let best: number | null = null;
    for (const place of index.get(hash) ?? []) {
      if (!equal(before, place, sound, start, threadSamples)) continue;
      const jump = Math.abs(place - from - (start - at));
      if (best === null || jump < Math.abs(best - from - (start - at))) best = place;
    }
    if (best !== null && isDistinct(sound, start)) return [best, start];
  }
  return null;
}

const power = Array.from({ length: threadSamples - 1 }).reduce<number>((p) => Math.imul(p, 31), 1);

function next(hash: number, sample: number): number {
  return (Math.imul(hash, 31) + sample) | 0;
}

function fingerprints(samples: Int16Array): Map<number, number[]> {
  const index = new Map<number, number[]>();
  let hash = 0;
  for (let i = 0; i < samples.length; i++) {
    if (i >= threadSamples) hash = (hash - Math.imul(samples[i - threadSamples]!, power)) | 0;
    hash = next(hash, samples[i]!);
    if (i + 1 < threadSamples) continue;
    const start = i + 1 - threadSamples;
    const places = index.get(hash);
    if (places === undefined) index.set(hash, [start]);
    // Of silence there is plenty.
    else if (places.length < 16) places.push(start);
  }
  return index;
}

function isDistinct(samples: Int16Array, start: number): boolean {
  return new Set(samples.subarray(start, start + threadSamples)).size >= valuesMin;
}

function equal(a: Int16Array, from: number, b: Int16Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[from + i] !== b[at + i]) return false;
  return true;
}

/** Chance makes single samples equal inside of what differs; they are no thread. */
function joined(stretches: readonly Stretch[]): Stretch[] {
  return stretches.filter(
    ({ at, end }, i) => end - at >= 4 || i === 0 || i === stretches.length - 1,
  );
}
