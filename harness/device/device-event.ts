/**
 * What the emulated board reports of itself. Recorded as it is under source `device`.
 *
 * Frames are counted per connection from 1 in the order in which WebSocket binary messages arrive,
 * so (`connection`, `frame`) names the same message here and in the server's observations.
 * Connections are counted from 1 in the order in which the board opened them. `position` is an
 * index into everything the speaker has played since `boot` (16 kHz samples, gaps included).
 */
import type { QuirkId } from './quirk.ts';

export type DeviceState = 'Idle' | 'Listening' | 'Waiting' | 'Speaking';

export type DeviceEvent = { readonly atUs: number } & (
  | {
      readonly type: 'boot';
      readonly profile: string;
      readonly firmware: string;
      readonly deviceId: string;
      /** Instant at which sample 0 of the speaker left the player. */
      readonly speakerStartUs: number;
      /** Ids of the quirks that this board does not have. Absent: it has them all. */
      readonly quirksOff?: readonly QuirkId[];
      /** Cycles of the player begin two at once, every 32 ms. Absent: one every 16 ms. */
      readonly playerRhythm?: 'pairs';
      /** So much of a sentence is queued before it is played, rounded up to cycles. Absent: nothing. */
      readonly prebufferMs?: number;
      /** RMS of the noise at the microphone. Absent: none. */
      readonly noiseDbfs?: number;
      /** Gain and acoustic delay of the speaker at the microphone. Absent: it is not heard. */
      readonly echoDb?: number;
      readonly echoDelayMs?: number;
    }
  /** After a restart with the wish to be set up: no connection, K0 restarts the board. */
  | { readonly type: 'setup' }
  | {
      readonly type: 'connecting';
      readonly attempt: number;
      readonly reconnect: boolean;
      readonly url: string;
    }
  | { readonly type: 'connected'; readonly connection: number; readonly reconnect: boolean }
  | { readonly type: 'connectFailed'; readonly attempt: number; readonly message: string }
  | { readonly type: 'disconnected'; readonly connection: number; readonly code: number }
  | {
      readonly type: 'state';
      readonly from: DeviceState;
      readonly to: DeviceState;
      readonly cause: string;
    }
  | { readonly type: 'display'; readonly text: string }
  | { readonly type: 'key'; readonly key: DeviceKey; readonly press: 'short' | 'long' }
  | { readonly type: 'volume'; readonly level: number; readonly gainShift: number }
  /** Local voice detection of the board switched. */
  | { readonly type: 'speech'; readonly active: boolean }
  /** `StartChat` was handed to the socket. */
  | { readonly type: 'startChat' }
  /** `Submit` was handed to the socket (firmware up to 0.3.0). */
  | { readonly type: 'submit' }
  /** One binary frame of microphone audio was handed to the socket. */
  | { readonly type: 'upload'; readonly samples: number; readonly capturedSamples: number }
  /** Captured audio that never left the board. */
  | { readonly type: 'uploadDiscarded'; readonly samples: number; readonly cause: string }
  /** A message arrived at the socket task and was decoded. */
  | {
      readonly type: 'frameReceived';
      readonly connection: number;
      readonly frame: number;
      readonly event: string;
      readonly bytes: number;
      /** Audio without a packet in it: the decoder made up so many samples. Absent: none. */
      readonly concealedSamples?: number;
    }
  /** The main loop took the message. */
  | {
      readonly type: 'frameHandled';
      readonly connection: number;
      readonly frame: number;
      readonly event: string;
      /** Decoded samples, for audio. */
      readonly samples?: number;
      /** What became of the samples: to the player, into the hold buffer, or dropped in this state. */
      readonly disposition?: 'played' | 'held' | 'dropped';
    }
  /** A message the board could not decode; logged and skipped. */
  | {
      readonly type: 'frameRejected';
      readonly connection: number;
      readonly frame: number;
      readonly bytes: number;
      readonly reason: string;
    }
  | { readonly type: 'downloadRatio'; readonly ratio: number; readonly buffered: boolean }
  /** The first chunk of a sentence (counted per boot from 1 by `StartAudio`) leaves the player. */
  | { readonly type: 'playStart'; readonly sentence: number; readonly position: number }
  /** The queue is empty in mid sentence: zeros are played from here. */
  | { readonly type: 'underrunStart'; readonly sentence: number; readonly position: number }
  | {
      readonly type: 'underrunEnd';
      readonly sentence: number;
      readonly position: number;
      /** Player cycles of 256 samples that were played as zeros. */
      readonly cycles: number;
    }
  /** The end marker of a sentence was popped: the board knows that it has played it. */
  | {
      readonly type: 'drained';
      readonly sentence: number;
      /** Samples of the last played chunk end here. */
      readonly position: number;
      /** Samples kept back because they do not fill a chunk. */
      readonly restSamples: number;
      /** Zeros behind the last samples, played instead of keeping these back (quirk Q2 off). */
      readonly paddedSamples?: number;
    }
  /**
   * The player found no room for a mouth shape in the event queue and stood still, playing zeros and
   * taking no message. Inside of a sentence these cycles are an underrun as well.
   */
  | { readonly type: 'playerStalled'; readonly position: number }
  | { readonly type: 'playerResumed'; readonly position: number; readonly cycles: number }
  /** Queued audio thrown away: by K0, barge-in, a restart, or `EndResponse` (what was held back). */
  | { readonly type: 'playerCleared'; readonly samples: number; readonly cause: string }
  /** Everything is lost; the board boots again after some seconds. */
  | {
      readonly type: 'reboot';
      readonly cause: string;
      /** It boots into set-up mode. Absent: it connects. */
      readonly into?: 'setup';
    }
  /** The ledger of the board when the run ended, all boots together. */
  | {
      readonly type: 'finished';
      /** Samples handed to the player, hello and beep included. */
      readonly pushedSamples: number;
      readonly playedSamples: number;
      readonly clearedSamples: number;
      readonly queuedSamples: number;
      readonly heldSamples: number;
      readonly restSamples: number;
    }
  /** A line as the real console prints it. */
  | {
      readonly type: 'log';
      readonly level: 'E' | 'W' | 'I';
      readonly tag: string;
      readonly message: string;
    }
);

export type DeviceKey = 'k0' | 'volume-up' | 'volume-down';
