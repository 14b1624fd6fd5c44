/**
 * Where a clip can be heard, by the definition the metrics use: the RMS of a 10 ms window is above
 * −50 dBFS; windows start every millisecond.
 */
const windowMs = 10;
const hopMs = 1;
const audibleDbfs = -50;

export interface AudibleRange {
  /** First sample of the first audible window. */
  readonly from: number;
  /** One past the last sample of the last audible window. `from === to`: nothing is audible. */
  readonly to: number;
  /** RMS level over all audible windows; `-Infinity` when there are none. */
  readonly activeDbfs: number;
  /** Audible windows between `from` and `to`, as a share. 0 when there are none. */
  readonly activeRatio: number;
}

export function audibleRange(samples: Int16Array, rateHz: number): AudibleRange {
  const window = Math.round((rateHz * windowMs) / 1000);
  const hop = Math.round((rateHz * hopMs) / 1000);
  const threshold = window * (32768 * 10 ** (audibleDbfs / 20)) ** 2;
  let first = -1;
  let last = -1;
  let count = 0;
  let total = 0;
  for (let start = 0; start + window <= samples.length; start += hop) {
    let energy = 0;
    for (let i = start; i < start + window; i++) energy += samples[i]! ** 2;
    if (energy <= threshold) continue;
    if (first < 0) first = start;
    last = start;
    count++;
    total += energy;
  }
  if (first < 0) return { from: 0, to: 0, activeDbfs: Number.NEGATIVE_INFINITY, activeRatio: 0 };
  return {
    from: first,
    to: last + window,
    activeDbfs: 10 * Math.log10(total / (count * window) / 32768 ** 2),
    activeRatio: count / ((last - first) / hop + 1),
  };
}
