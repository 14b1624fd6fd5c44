import { chunkSamples, cycleFrom, cycleUs, firmwareRules } from './player-schedule.ts';

/** Samples of one sentence that reached the board, with the instant at which they were handled. */
export interface Arrival {
  readonly atUs: number;
  readonly samples: number;
}

/**
 * The smallest start delay with which the sentence would have played without an underrun, in
 * microseconds: how much longer than until its first complete chunk the player would have had to
 * wait. A multiple of 16 ms, because the player works in such cycles; 0 when nothing was missing.
 *
 * Chunk c can be played from cycle a(c) on. Started at cycle a(0) + d and never empty, it is played
 * in cycle a(0) + d + c, so d is the maximum of a(c) - c - a(0). The end marker is treated as one
 * more chunk, because an underrun is defined up to the end marker.
 *
 * @param arrivals in order, whether the board played them at once or held them back.
 * @param endUs instant of the end marker; null when the sentence had none.
 * @param startUs instant of player cycle 0, @param restSamples left over from before.
 * @returns null when the sentence never filled a chunk.
 */
export function prebufferNeededUs(
  arrivals: readonly Arrival[],
  endUs: number | null,
  startUs: number,
  restSamples = 0,
  rules = firmwareRules,
): number | null {
  let intake = -1;
  const take = (atUs: number): number => {
    const earliest = rules.oneMessagePerCycle ? intake + 1 : intake;
    intake = Math.max(cycleFrom(atUs, startUs, rules), earliest);
    return intake;
  };
  let total = restSamples;
  let chunks = 0;
  let firstCycle: number | null = null;
  let late = 0;
  for (const { atUs, samples } of arrivals) {
    const cycle = take(atUs);
    total += samples;
    const complete = Math.floor(total / chunkSamples);
    if (complete === chunks) continue;
    firstCycle ??= cycle;
    // Of the chunks that one message completes the first is the one most at risk.
    late = Math.max(late, cycle - chunks - firstCycle);
    chunks = complete;
  }
  if (firstCycle === null) return null;
  if (endUs !== null) late = Math.max(late, take(endUs) - chunks - firstCycle);
  return late * cycleUs;
}
