/**
 * The sound of the room during a conversation, as a microphone of this machine hears it. How long a sound is on its way
 * from the air to us nobody knows, so the instants of arrival are bounds, and what is measured in it are distances.
 */
import type { Clock } from '../clock/clock.ts';
import type { RecordingWriter, UnnumberedEvent } from '../trace/recording-writer.ts';

/** Records the room from its start to its stop. */
export interface RoomRecorder {
  /** For the user. */
  readonly name: string;
  start(listener: RoomListener, clock: Clock): RunningRecorder;
}

export interface RoomListener {
  /** 16 kHz mono, each piece behind the one before. The samples belong to the listener. */
  sound(samples: Int16Array): void;
  /** It has ended although nobody stopped it. Nothing follows. */
  ended(problem: string): void;
}

export interface RunningRecorder {
  /** Resolves when nothing comes any more. Harmless when repeated. */
  stop(): Promise<void>;
}

export interface RoomCaptureOptions {
  readonly recorder: RoomRecorder;
  readonly clock: Clock;
  readonly writer: Pick<RecordingWriter, 'roomAudio'>;
  record(event: UnnumberedEvent): void;
}

/** How often the trace says how much has come. */
const markStepUs = 500_000;

/** Writes what a recorder hears into the recording. @returns what stops it */
export function captureRoom(options: RoomCaptureOptions): RunningRecorder {
  const { recorder, clock, writer, record } = options;
  let samples = 0;
  let markedUs = Number.NEGATIVE_INFINITY;
  const listener: RoomListener = {
    sound: (piece) => {
      writer.roomAudio(piece);
      samples += piece.length;
      const atUs = clock.nowUs();
      if (atUs - markedUs < markStepUs) return;
      markedUs = atUs;
      record({ source: 'harness', type: 'room', atUs, samples });
    },
    ended: (message) =>
      record({ source: 'harness', type: 'roomEnd', atUs: clock.nowUs(), message }),
  };
  return recorder.start(listener, clock);
}
