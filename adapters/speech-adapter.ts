/**
 * The port behind which every TTS platform is the same.
 *
 * An adapter is a factory with declared capabilities. It speaks the platform's real wire protocol
 * and yields 16 kHz mono Int16 audio, whatever arrived. It knows no device, no trace and no
 * scenario. Time and connections are given to it.
 */
import type { Duplex } from 'node:stream';
import type { AudioConversion } from './audio/audio-conversion.ts';
import type { SpeechError } from './speech-error.ts';

export interface SpeechAdapter<Config = unknown> {
  /** EchoKit's spelling of the platform, for example `stream_gsv`. */
  readonly platform: string;
  /** What this adapter can do with this configuration. */
  capabilities(config: Config): SpeechCapabilities;
  /** Opens nothing on the wire yet. The session MUST be closed by the caller. */
  open(config: Config, deps: AdapterDeps): SpeechSession;
}

export interface SpeechCapabilities {
  /** `whole`: one request per utterance. `pieces`: text is forwarded as it becomes known. */
  readonly textIn: 'whole' | 'pieces';
  /** `whole`: no audio before the provider has finished. `chunks`: audio arrives while it is made. */
  readonly audioOut: 'whole' | 'chunks';
  /** A connection may serve the next utterance. */
  readonly connectionReuse: boolean;
  /** The provider may say when each character, word or sentence is spoken (`mark` events). */
  readonly marks: boolean;
  /** Longest text of one request, in Unicode code points; absent when no limit is known. */
  readonly charactersMax?: number;
  /** Requests to other services before each text is spoken, for example to rewrite it; absent: none. */
  readonly requestsBefore?: number;
}

/** What an adapter needs from outside. Structural: `harness/clock` and `harness/network` fit. */
export interface AdapterDeps {
  readonly clock: AdapterClock;
  readonly dialer: AdapterDialer;
  /** Random bytes for WebSocket masks; deterministic in virtual time. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** How audio becomes 16 kHz mono; absent: mixed and filtered. */
  readonly conversion?: AudioConversion;
  /** Receives everything that crosses the wire, for the recording. MUST NOT throw. */
  readonly observe?: (event: WireObservation) => void;
}

export interface AdapterClock {
  /** Integer microseconds since the start of the run. */
  nowUs(): number;
  after(delayUs: number, callback: () => void): { cancel(): void };
  sleep(delayUs: number, signal?: AbortSignal): Promise<void>;
}

export interface AdapterDialer {
  dial(
    target: { readonly host: string; readonly port: number; readonly secure: boolean },
    signal?: AbortSignal,
  ): Promise<Duplex>;
}

/**
 * One piece of provider traffic as the adapter saw it. `data` is only valid during the call: copy
 * it to keep it. Credentials never appear here.
 */
export interface WireObservation {
  readonly direction: 'sent' | 'received';
  readonly atUs: number;
  /** The request it belongs to, as in {@link SpeechEvent}. */
  readonly request: number;
  readonly kind: 'http-body' | 'ws-text' | 'ws-binary';
  /** What the dialer handed out and it ran on; absent where only the answer is at hand. */
  readonly stream?: Duplex;
  readonly data: Uint8Array;
}

export interface SpeechSession {
  readonly capabilities: SpeechCapabilities;
  /**
   * Speaks one utterance.
   *
   * Obligations:
   * - Events come in order: `request`, `responseHead`, then `audio` and `mark` in wire order, `end`.
   *   With a text optimization `textOptimization` comes before them. A text that needs several requests repeats the group; exactly one `end` closes the utterance.
   * - A failure is thrown as a {@link SpeechError}; audio yielded before stays valid.
   * - An adapter whose `textIn` is `whole` collects the pieces first. One whose `textIn` is `pieces`
   *   forwards each piece when it comes and asks the provider to generate it: a piece is a sentence
   *   or a group of sentences, with its own spacing already in place.
   * - When `signal` aborts, the provider request MUST be stopped at once (request aborted or socket
   *   destroyed), nothing more may be yielded, and the iterator ends by throwing the signal's reason.
   * - Returning early from the iteration (`break`) does the same as aborting.
   * - Nothing is ever retried inside this call.
   * - The adapter reads ahead of the consumer by a bounded amount (4 MiB), then stops reading.
   * - Several calls may run at the same time.
   */
  speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncIterable<SpeechEvent>;
  /** Destroys pooled connections. Running calls fail with kind `network`. */
  close(): Promise<void>;
}

export type SpeechEvent =
  | SpeechTextOptimizationEvent
  | SpeechRequestEvent
  | SpeechResponseHeadEvent
  | SpeechAudioEvent
  | SpeechMarkEvent
  | SpeechEndEvent;

/** A chat model has rewritten the text that is going to be spoken. */
export interface SpeechTextOptimizationEvent {
  readonly type: 'textOptimization';
  /** It comes before the requests for speech and is none of them. */
  readonly request: 0;
  /** Instant at which the reply was complete. */
  readonly atUs: number;
  /** Instant at which the call was decided; connecting lies behind it. */
  readonly startedUs: number;
  /** Of the chat service, without credentials. */
  readonly url: string;
  /** What is spoken instead. */
  readonly text: string;
  /** Unicode code points of the text as it was. */
  readonly charactersIn: number;
  /** Unicode code points of what is spoken. */
  readonly charactersOut: number;
}

/** The request bytes (for a socket that streams text: the first text) have been written. */
export interface SpeechRequestEvent {
  readonly type: 'request';
  /** Instant at which the request bytes were written. */
  readonly atUs: number;
  /** Ordinal of the request within the session, from 1. */
  readonly request: number;
  /** Instant at which the adapter decided to make the request. */
  readonly decidedUs: number;
  /** Instant at which a usable connection was there; equals `decidedUs` when one was reused. */
  readonly connectedUs: number;
  readonly reused: boolean;
  /** Without credentials. */
  readonly url: string;
  /** Unicode code points of text in this request so far. */
  readonly characters: number;
}

export interface SpeechResponseHeadEvent {
  readonly type: 'responseHead';
  readonly atUs: number;
  readonly request: number;
  /** HTTP status, 101 for a WebSocket. */
  readonly status: number;
  readonly contentType?: string;
  /** The provider's own id of the request, for support questions. */
  readonly requestId?: string;
}

/** One chunk as it arrived: one event per network chunk or message, even when it completes no sample. */
export interface SpeechAudioEvent {
  readonly type: 'audio';
  readonly atUs: number;
  readonly request: number;
  /** 16 000 Hz, mono. Owned by the consumer. May be empty. */
  readonly samples: Int16Array;
  /** What arrived: payload bytes of audio (container headers and JSON excluded). */
  readonly sourceBytes: number;
  readonly sourceRateHz: number;
  readonly sourceChannels: number;
}

/**
 * Timing of characters; some providers only time words or sentences, which then stand as one entry.
 * Positions refer to the 16 kHz output of the whole utterance.
 */
export interface SpeechMarkEvent {
  readonly type: 'mark';
  readonly atUs: number;
  readonly request: number;
  readonly characters: readonly string[];
  /** First sample of each entry, counted from the start of the utterance. */
  readonly startSamples: readonly number[];
}

export interface SpeechEndEvent {
  readonly type: 'end';
  readonly atUs: number;
  /** The last request of the utterance. */
  readonly request: number;
  /** Sample frames decoded from the provider, at the provider's rate (one frame = all channels). */
  readonly sourceFrames: number;
  /** Samples yielded, 16 kHz mono. */
  readonly samples: number;
  /** What the provider says it counted for the utterance; absent when it says nothing. */
  readonly usage?: SpeechUsage;
}

/** Consumption as the provider counts it, which is what it bills by. */
export interface SpeechUsage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** Characters in the provider's own counting: CosyVoice counts a Han character as 2. */
  readonly billedCharacters?: number;
}
