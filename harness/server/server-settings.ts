import type { IgnorableParameter, PacketLengthMs } from './deviation-items.ts';
import { type EndOfSpeechSettings, endOfSpeechDefaults } from './end-of-speech.ts';
import { type ServerLimits, serverLimits } from './server-limits.ts';
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
  /** Length of an Opus packet; a short last one is padded. */
  readonly packetMs: PacketLengthMs;
  /** Messages are compressed when the client offers it. Boards offer it and cannot decode it (section 1.4). */
  readonly compression: boolean;
  /** Parameters of the connect URL that are taken for false, whatever they say. */
  readonly ignoredParameters: readonly IgnorableParameter[];
  /** When `EndVad` is sent in stream mode: when speech has ended, or when it is recognised, too. */
  readonly endVad: 'endOfSpeech' | 'recognized';
  /** Whether the board is shown a text, or an empty one, before it loses patience (section 3.3). */
  readonly earlyText: boolean;
  /** Whether the last interim text is used when the final one is empty. */
  readonly interimFallback: boolean;
  /** Whether a `StartChat` in mid utterance begins a new one. */
  readonly restart: 'noticed' | 'ignored';
  /** What a `Submit` in stream mode ends: the turn, or everything but the socket. */
  readonly submitInStreamMode: 'endsTurn' | 'endsSession';
  /** Whether submit mode starts each turn afresh: without older audio, the detector at rest. */
  readonly submitStartsAfresh: boolean;
  /** Whether record mode has the faults of the EchoKit server (section 1.8). */
  readonly recordAsEchoKit: boolean;
  /** Speech requests of one answer that run at the same time. */
  readonly parallelRequests: number;
  /** Bytes waiting in a device's socket before the server stops writing to it; `Infinity`: never. */
  readonly downlinkBufferBytes: number;
  /** A recognition that takes longer has failed; `Infinity`: none has. */
  readonly recognitionTimeoutMs: number;
  /** A reply that is silent for longer, before or between its pieces, has failed; `Infinity`: none. */
  readonly replyTimeoutMs: number;
  /** Largest message taken from a device; a larger one closes the connection (`SERVER_MESSAGE_TOO_LARGE`). */
  readonly uplinkMessageBytes: number;
  /** What strangers can take of the server. */
  readonly limits: ServerLimits;
}

export const serverSettingsDefaults: ServerSettings = {
  endOfSpeech: endOfSpeechDefaults,
  aggressiveness: 2,
  energyGateDbfs: -50,
  groupBytes: 50,
  framing: { mode: 'carry' },
  packetMs: 120,
  compression: false,
  ignoredParameters: [],
  endVad: 'endOfSpeech',
  earlyText: true,
  interimFallback: true,
  restart: 'noticed',
  submitInStreamMode: 'endsTurn',
  submitStartsAfresh: true,
  recordAsEchoKit: false,
  parallelRequests: 4,
  downlinkBufferBytes: 32 * 1024,
  recognitionTimeoutMs: 30_000,
  replyTimeoutMs: 60_000,
  uplinkMessageBytes: 4 * 1024 * 1024,
  limits: serverLimits,
};
