/** Peak, clipping, offset and clicks of 16 kHz mono audio. */
export interface SignalLevel {
  /** Largest magnitude against 32768, in dBFS; null for digital silence. Not a true peak. */
  readonly peakDbfs: number | null;
  /** Samples at 32767 or -32768. */
  readonly clippedSamples: number;
  /** Mean of all samples, full scale = 1. */
  readonly dcOffset: number;
  /** Indices of the samples after a step that speech does not make; see {@link findClicks}. */
  readonly clicks: readonly number[];
}

/** Null for an empty array. */
export function measureLevel(samples: Int16Array): SignalLevel | null {
  if (samples.length === 0) return null;
  let peak = 0;
  let clippedSamples = 0;
  let sum = 0;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    if (sample > peak) peak = sample;
    else if (-sample > peak) peak = -sample;
    if (sample === 32767 || sample === -32768) clippedSamples++;
    sum += sample;
  }
  return {
    peakDbfs: peak === 0 ? null : 20 * Math.log10(peak / 32768),
    clippedSamples,
    dcOffset: sum / samples.length / 32768,
    clicks: findClicks(samples),
  };
}

const clickStep = Math.round(0.2 * 32768);
const clickNeighborhoodSamples = 80; // 5 ms on each side
const clickRatio = 8;

/**
 * A click is a step between two samples of more than 0.2 full scale that is at least 8 times the
 * mean step of the 5 ms before and after it. The second condition keeps loud sibilants out, whose
 * steps are all large. Clicks less than 5 ms apart count once.
 */
export function findClicks(samples: Int16Array): number[] {
  const clicks: number[] = [];
  for (let i = 1; i < samples.length; i++) {
    const step = Math.abs(samples[i]! - samples[i - 1]!);
    if (step <= clickStep) continue;
    const from = Math.max(1, i - clickNeighborhoodSamples);
    const to = Math.min(samples.length - 1, i + clickNeighborhoodSamples);
    let sum = 0;
    for (let k = from; k <= to; k++) {
      if (k !== i) sum += Math.abs(samples[k]! - samples[k - 1]!);
    }
    if (step < (clickRatio * sum) / Math.max(1, to - from)) continue;
    clicks.push(i);
    i += clickNeighborhoodSamples;
  }
  return clicks;
}
