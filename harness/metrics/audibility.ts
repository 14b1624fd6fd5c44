/**
 * Where a clip can be heard. Audible = a window of 10 ms whose RMS is above -50 dBFS, moved in
 * steps of 1 ms. 0 dBFS is the RMS of a full-scale square wave (32768), so a full-scale sine has
 * -3.01 dBFS.
 *
 * The *first audible sample* is the first sample of the first audible window whose own magnitude is
 * above the threshold; the *last audible sample* mirrors it from the end. A window is loud on
 * average, so such a sample always exists. An onset out of silence is thereby found to the sample,
 * whereas the start of the window would be up to 10 ms early. With noise just below the threshold a
 * stray peak inside that window may be taken instead: the result is then early by less than one
 * window.
 */
export interface AudibilitySettings {
  readonly thresholdDbfs: number;
  readonly windowSamples: number;
  readonly hopSamples: number;
}

export const defaultAudibility: AudibilitySettings = {
  thresholdDbfs: -50,
  windowSamples: 160,
  hopSamples: 16,
};

/** Positions are indices into the array given; `last` is the last audible sample itself. */
export interface AudibleRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The audible part of `samples[start, end)`, or null when nothing in it is audible. No window
 * reaches outside the range; a range shorter than a window is judged as one window.
 */
export function findAudible(
  samples: Int16Array,
  start = 0,
  end = samples.length,
  settings: AudibilitySettings = defaultAudibility,
): AudibleRange | null {
  const from = Math.max(0, start);
  const to = Math.min(samples.length, end);
  const power = thresholdPower(settings);
  const part = samples.subarray(from, Math.max(from, to));
  const firstWindow = firstAudibleWindow(part, settings);
  if (firstWindow === null) return null;
  // The same scan over the reversed range, so that lead and tail follow one rule. A signal that is
  // audible from the front may fall between the windows anchored at the end; then the window found
  // from the front is all that is audible.
  const lastWindow = firstAudibleWindow(part.slice().reverse(), settings);

  let first = from + firstWindow;
  while (samples[first]! ** 2 <= power) first++;
  let last =
    lastWindow === null
      ? Math.min(to, from + firstWindow + settings.windowSamples) - 1
      : to - 1 - lastWindow;
  while (samples[last]! ** 2 <= power) last--;
  return { first, last };
}

/** Samples of silence before and after the audible part; null when nothing is audible. */
export function clipSilence(
  samples: Int16Array,
  settings: AudibilitySettings = defaultAudibility,
): { readonly leadSamples: number; readonly tailSamples: number } | null {
  const range = findAudible(samples, 0, samples.length, settings);
  if (range === null) return null;
  return { leadSamples: range.first, tailSamples: samples.length - 1 - range.last };
}

/** How many samples of `samples[start, end)` lie in at least one audible window. */
export function countAudible(
  samples: Int16Array,
  start = 0,
  end = samples.length,
  settings: AudibilitySettings = defaultAudibility,
): number {
  const from = Math.max(0, start);
  const part = samples.subarray(from, Math.max(from, end));
  let covered = 0;
  let coveredTo = 0;
  eachWindow(part, settings, (window, audible) => {
    if (!audible) return true;
    const windowEnd = Math.min(part.length, window + settings.windowSamples);
    covered += windowEnd - Math.max(coveredTo, window);
    coveredTo = windowEnd;
    return true;
  });
  return covered;
}

function thresholdPower(settings: AudibilitySettings): number {
  return 32768 ** 2 * 10 ** (settings.thresholdDbfs / 10);
}

function firstAudibleWindow(samples: Int16Array, settings: AudibilitySettings): number | null {
  let found: number | null = null;
  eachWindow(samples, settings, (window, audible) => {
    if (audible) found = window;
    return !audible;
  });
  return found;
}

/** Calls `visit` per window until it returns false. The sums are integers, hence exact. */
function eachWindow(
  samples: Int16Array,
  settings: AudibilitySettings,
  visit: (window: number, audible: boolean) => boolean,
): void {
  const { hopSamples } = settings;
  const { length } = samples;
  const windowSamples = Math.min(settings.windowSamples, length);
  if (windowSamples <= 0) return;
  const limit = thresholdPower(settings) * windowSamples;
  let sum = 0;
  for (let i = 0; i < windowSamples; i++) sum += samples[i]! ** 2;
  for (let window = 0; ; window += hopSamples) {
    if (!visit(window, sum > limit)) return;
    if (window + hopSamples + windowSamples > length) return;
    for (let i = window; i < window + hopSamples; i++) {
      sum += samples[i + windowSamples]! ** 2 - samples[i]! ** 2;
    }
  }
}
