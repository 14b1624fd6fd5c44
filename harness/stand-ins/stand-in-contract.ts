import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import type { ClipEncoder } from './clip-encoder.ts';
import type { OfflineVoice } from './offline-voice.ts';
import type { Personality } from './personality.ts';
import type { FaultReport } from './planted-fault.ts';
import type { StandInChanges, StandInFault, StandInFaultKind } from './stand-in-changes.ts';
import type { TimingProfile } from './timing-profile.ts';

/**
 * A local server that speaks the wire protocol of a service. It never listens: whoever owns the
 * network hands it the connections made to the service's endpoint.
 */
export interface ServiceStandIn {
  /** Its name among the stand-ins: for speech EchoKit's spelling of the platform. */
  readonly service: string;
  /** How long a connection to this service takes to be usable. For the link of its endpoint. */
  readonly connectMs: number;
  /**
   * What clients sent and got, in order of arrival: the newest {@link ServiceOptions.logEntries}. Entries change until they
   * have ended.
   */
  readonly log: readonly StandInRequest[];
  /** Serves a new connection and owns it from now on. */
  accept(stream: Duplex): void;
  /** Destroys all connections and forgets everything planned. */
  close(): Promise<void>;
}

/** The stand-in of a provider of speech. */
export interface StandIn extends ServiceStandIn {
  /** EchoKit's spelling of the platform. */
  readonly platform: string;
  /** Timing and behaviour it has, before the changes of a scenario. */
  readonly personality: Personality;
}

export interface ServiceOptions {
  /** The only source of time; the stand-in sets no timer of its own. */
  readonly clock: Clock;
  /** Each request draws from its own fork, so one request never shifts the draws of another. */
  readonly random: Random;
  readonly changes?: StandInChanges;
  /** For formats other than WAV and PCM, which are refused without it. */
  readonly encoder?: ClipEncoder;
  /** Beside those of the service in every HTTP answer, as a proxy before it would add them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The one accepted key. Default: any that is not empty and does not contain `invalid`. */
  readonly credentials?: string;
  /** The log keeps the newest entries, so many. Default: `logEntriesMax`. */
  readonly logEntries?: number;
  /** Called once for each entry of the log, when it has ended. */
  readonly onRequest?: (request: StandInRequest) => void;
  /** The fault that is planned for a request with this ordinal; goes before that of `changes`. */
  readonly plannedFault?: (request: number) => StandInFault | undefined;
  /** Called when the fault of `changes`, or a planned one, happens to a request, or turns out to be impossible for it. */
  readonly onFault?: (report: FaultReport) => void;
}

export interface StandInOptions extends ServiceOptions {
  readonly platform: string;
  readonly voice: OfflineVoice;
  /** Name of one of the platform's personalities. Default: the first of the platform's. */
  readonly personality?: string;
  /** Timing instead of the personality's. */
  readonly profile?: TimingProfile;
}

/** One HTTP request or one WebSocket connection. Credentials are replaced by `***` everywhere. */
export interface StandInRequest {
  /**
   * Ordinal among the requests for what the service is there for (speech, a reply, a transcript),
   * from 1; absent for all others. Faults count by it.
   */
  readonly request?: number;
  readonly atUs: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** HTTP body as text, cut (…) behind `entryCharactersMax`. */
  readonly body: string;
  /** WebSocket messages from the client, up to `entryCharactersMax` together; the last one may be cut (…). */
  readonly messages: readonly { readonly atUs: number; readonly text: string }[];
  /** Further messages, which the entry does not keep. */
  readonly messagesLeftOut?: number;
  /** HTTP status of the answer; 101 for a WebSocket; 0 before there is one. */
  readonly status: number;
  /** Code with which the stand-in closed the WebSocket, or the client did. */
  readonly closeCode?: number;
  /** Audio payload handed to the connection, containers and encodings excluded. */
  readonly audioBytes: number;
  readonly audioSeconds: number;
  /** Seconds of audio that the client sent. */
  readonly heardSeconds?: number;
  /** Reply or transcript that the answer holds, as far as it was sent. */
  readonly text?: string;
  /** The provider's error code that was sent. */
  readonly error?: string;
  /** The planted fault that struck. */
  readonly fault?: StandInFaultKind;
  /** `answered`: to the end. `aborted`: the client went away. `cut`: the stand-in broke it off. */
  readonly outcome: 'open' | 'answered' | 'aborted' | 'cut';
  readonly endedUs?: number;
}
