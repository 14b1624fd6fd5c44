/** How a sound lies on the sound of the stage before. */

/** A part of the sound that is the one before, moved: `sound[i]` was `before[i - lag]`. */
export interface Stretch {
  /** Index of its first sample in the sound, and of the one after its last. */
  readonly at: number;
  readonly end: number;
  readonly lag: number;
}

export interface Alignment {
  /** In order, without overlap; what lies between them is in `sound` only. */
  readonly stretches: readonly Stretch[];
}

/** Where the two part. All indices in samples. */
export interface Difference {
  /** In the sound. */
  readonly at: number;
  /** In the sound before. */
  readonly from: number;
  /** Samples before that are missing now. */
  readonly removed: number;
  /** Samples now that were not there. */
  readonly added: number;
}

/** Where two stretches meet may be off by so much. */
const seamSamples = 48;

/**
 * Without the stretches that run ahead of the sound before and are followed, at once or by a longer one later, by what was
 * skipped: they were in the wrong place, whatever they are like.
 */
export function withoutIntruders(stretches: readonly Stretch[]): Stretch[] {
  const kept: Stretch[] = [];
  let from = 0;
  for (const [i, stretch] of stretches.entries()) {
    const start = stretch.at - stretch.lag;
    const back = stretches
      .slice(i + 1)
      .some(
        (later, distance) =>
          later.at - later.lag <= from + seamSamples &&
          (distance === 0 || later.end - later.at > stretch.end - stretch.at),
      );
    if (start > from + seamSamples && back) continue;
    kept.push(stretch);
    from = stretch.end - stretch.lag;
  }
  return kept;
}

/**
 * The differences, in order. Where the thread goes back in the sound before, samples are heard again: they count as added.
 *
 * @param delay lag that a codec makes, and no difference
 * @param whole false: the sound may end early, because it was cut on purpose
 */
export function differencesOf(
  { stretches }: Alignment,
  before: Int16Array,
  sound: Int16Array,
  { delay = 0, whole = true }: { readonly delay?: number; readonly whole?: boolean } = {},
): Difference[] {
  const found: Difference[] = [];
  let [at, from] = [delay, 0];
  if (delay > 0 && (stretches[0]?.at ?? 0) < delay) at = stretches[0]?.at ?? 0;
  let lag = delay;
  for (const stretch of stretches) {
    const start = stretch.at - stretch.lag;
    const jump = stretch.lag - lag;
    if (stretch.at > at || jump !== 0) {
      const added = stretch.at - at;
      const removed = start - from;
      // Going back: what is heard again was added behind the place where the thread ended.
      if (removed < 0) found.push({ at, from, removed: 0, added: added - removed });
      else if (added > 0 || removed > 0) found.push({ at, from, removed, added });
    }
    at = stretch.end;
    from = stretch.end - stretch.lag;
    lag = stretch.lag;
  }
  const added = sound.length - at;
  const removed = whole ? Math.max(0, before.length - from) : 0;
  if (added > 0 || removed > 0) found.push({ at, from, removed, added });
  return found;
}
