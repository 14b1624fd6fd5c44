import type { TraceEvent, TraceHeader } from '../trace/trace-event.ts';

/**
 * One recorded conversation, read back from disk: everything a metric may look at.
 * The arrays are owned by the caller and never written to.
 */
export interface RecordedCell {
  readonly header: TraceHeader;
  /** Sorted by `atUs`, then `seq`. */
  readonly events: readonly TraceEvent[];
  /**
   * Everything the speaker played, 16 kHz mono, gaps as zeros. Sample 0 left the player at
   * `speakerStartUs` of the first `boot` event.
   */
  readonly speaker: Int16Array;
  /** What was said to the microphone; `speechStart.userOffset` is an index into it. */
  readonly user: Int16Array;
  /** What the server framed, padding included: all audio frames in order of the `frame` events. */
  readonly sent: Int16Array;
  /** 16 kHz mono audio per provider request number: the concatenation of its `chunk` events. */
  readonly provider: ReadonlyMap<number, Int16Array>;
}

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
