import type { TraceEvent, TraceHeader } from './trace-event.ts';

/**
 * A recording in memory: all that metrics, verdicts and reports may look at. All audio is Int16,
 * mono, 16 kHz (one sample = 62.5 µs).
 */
export interface RecordedCell {
  readonly header: TraceHeader;
  /** In order of `atUs`, then `seq`. */
  readonly events: readonly TraceEvent[];
  /** Everything the speaker played; sample 0 left at `speakerStartUs` of the `boot` event. Gaps are zeros. */
  readonly speaker: Int16Array;
  /** What was said to the microphone; `userOffset` of a `speechStart` event is an index into it. */
  readonly user: Int16Array;
  /**
   * What the board's microphone heard, on the time axis of {@link speaker}. Absent: it was not recorded, because
   * nothing but the user could be heard.
   */
  readonly microphone?: Int16Array;
  /**
   * What a microphone of the host heard of the room; the `room` events say how much of it had come when. Absent: the
   * room was not captured.
   */
  readonly room?: Int16Array;
  /** What the server framed, padding included: the audio of the `frame` events, one after the other. */
  readonly sent: Int16Array;
  /** Per provider request: the audio of its `chunk` events, one after the other. */
  readonly provider: ReadonlyMap<number, Int16Array>;
}

/** A recording as it was found on disk. */
export interface Recording extends RecordedCell {
  /** The run was stopped before its end: the last line or file may be missing. */
  readonly partial: boolean;
}
