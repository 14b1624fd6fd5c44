/** The recording a metric is computed from, and its time base. */
export type { RecordedCell } from '../trace/recorded-cell.ts';

/** Rate of every array in a {@link RecordedCell}. One sample lasts 62.5 µs. */
export const recordedRateHz = 16_000;

/**
 * Duration of `samples` at 16 kHz in whole microseconds, rounded down: an odd count loses half a
 * microsecond, which is the resolution of every instant taken from a position in a WAV file.
 */
export function samplesToUs(samples: number): number {
  return Math.floor((samples * 125) / 2);
}

/** Duration of `samples` at 16 kHz in milliseconds, exact. */
export function samplesToMs(samples: number): number {
  return samples / 16;
}
