import { type EndOfSpeechSettings, endOfSpeechDefaults } from './end-of-speech.ts';
import type { Framing } from './speech-framer.ts';

/** What can be changed about the adapter server. Defaults in {@link serverSettingsDefaults}. */
export interface ServerSettings {
  /** `[asr.vad]`: when the user has finished. */
  readonly endOfSpeech: EndOfSpeechSettings;
  /** Voice detection of the uplink, see `VoiceDetectorOptions`. */
  readonly aggressiveness: 0 | 1 | 2 | 3;
  readonly energyGateDbfs: number;
  /** A spoken text (not the first of an answer) has at least this many UTF-8 bytes. */
  readonly groupBytes: number;
  /** What becomes of samples that do not fill an opus packet. */
  readonly framing: Framing;
  /** Speech requests of one answer that run at the same time. */
  readonly parallelRequests: number;
  /** Bytes waiting in a device's socket before the server stops writing to it. */
  readonly downlinkBufferBytes: number;
  /** A recognition that takes longer has failed. */
  readonly recognitionTimeoutMs: number;
  /** A reply that is silent for longer, before or between its pieces, has failed. */
  readonly replyTimeoutMs: number;
  /** Largest message taken from a device. */
  readonly uplinkMessageBytes: number;
}

export const serverSettingsDefaults: ServerSettings = {
  endOfSpeech: endOfSpeechDefaults,
  aggressiveness: 2,
  energyGateDbfs: -50,
  groupBytes: 50,
  framing: { mode: 'carry' },
  parallelRequests: 4,
  downlinkBufferBytes: 32 * 1024,
  recognitionTimeoutMs: 30_000,
  replyTimeoutMs: 60_000,
  uplinkMessageBytes: 16 * 1024 * 1024,
};
