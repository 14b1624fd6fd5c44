import type { PlannedFault } from '../faults/fault.ts';
import type { CompatId, ServerModel } from '../server/compat-items.ts';
import type {
  IgnorableParameter,
  InsertableMessage,
  PacketLengthMs,
} from '../server/deviation-items.ts';
import type { StandInChanges } from '../stand-ins/stand-in-changes.ts';
import type { TraceSource } from '../trace/trace-event.ts';
import type { GateRule } from './gate.ts';

/**
 * A scripted conversation as data: what a scenario file says, defaults filled in, units in names.
 * `scenarios/README.md` describes the file format.
 */
export interface Scenario {
  /** File name without folder and extension; names the cell and the recording folder. */
  readonly name: string;
  /** Path as the user gave it, for messages. */
  readonly file: string;
  /** What it was read from, for whoever wants to keep it. */
  readonly source: ScenarioSource;
  readonly title: string;
  readonly description?: string;
  readonly tags: readonly string[];
  /** Empty list: the command line or the default decides. */
  readonly matrix: {
    readonly providers: readonly string[];
    readonly devices: readonly string[];
    readonly networks: readonly string[];
    readonly servers: readonly ServerModel[];
  };
  /** Personalities of stand-ins by name of a provider or a platform. */
  readonly personalities: ReadonlyMap<string, string>;
  /** Changes to the stand-in's personality for this scenario. */
  readonly standIn: StandInChanges;
  readonly device: DeviceSettings;
  readonly server: ServerSettings;
  readonly turns: readonly Turn[];
  /** What the recording must and must not hold. */
  readonly checks: readonly TraceCheck[];
  /** Judged for every cell. */
  readonly expect: readonly Expectation[];
  /** How much worse than a baseline it may get; in the place of the rules of the run. Absent: those are in force. */
  readonly gates?: readonly GateRule[];
}

export interface ScenarioSource {
  /** The TOML text. */
  readonly text: string;
  /** WAV files that it names: as written there, and where they were found. */
  readonly files: readonly { readonly written: string; readonly path: string }[];
}

/** Events that a server sends to a board (EchoKit device protocol reference, section 2.3). */
export const serverEventNames = [
  'HelloStart',
  'HelloChunk',
  'HelloEnd',
  'ASR',
  'EndVad',
  'StartAudio',
  'AudioChunk',
  'AudioChunkWithVowel',
  'EndAudio',
  'EndResponse',
] as const;

/** Moments of the user, beside the events of the server: the first sample, the first press of K0. */
export const userMoments = ['Speech', 'K0'] as const;

/** A moment of a turn: `delayMs` after the first event of this name in it. */
export interface Moment {
  /** One of {@link serverEventNames} or {@link userMoments}. */
  readonly event: string;
  readonly delayMs: number;
}

export interface DeviceSettings {
  /** Ids of quirks that the boards of this scenario do not have, as written. */
  readonly quirksOff: readonly string[];
  /** When the cycles of the player begin: every 16 ms, or two at once every 32 ms. */
  readonly playerRhythm: 'even' | 'pairs';
  /**
   * The user allows it to be interrupted before the first turn. Absent: when a turn of the scenario begins while the
   * answer before it is spoken.
   */
  readonly allowInterrupt?: boolean;
  /** RMS of the noise at its microphone. Absent: none. */
  readonly noiseDbfs?: number;
  /** The speaker at its microphone: gain, and delay beside that of the board. Absent: it is not heard. */
  readonly echo?: { readonly db: number; readonly delayMs: number };
  /** Scheme of the server's address as it is stored on the board. */
  readonly scheme: 'ws' | 'wss';
}

/** From and to which values noise and echo may be set, both included. */
export const acousticLimits = {
  noiseDbfs: { from: -80, to: -12 },
  echoDb: { from: -80, to: 20 },
  echoDelayMs: { from: 0, to: 500 },
} as const;

export interface ServerSettings {
  /** `stream`: the server finds the end of speech. `submit`: the board's `Submit` does (old firmware). */
  readonly asr: 'stream' | 'submit';
  /** How long the scripted recogniser takes. */
  readonly recognitionMs: number;
  /** How speech is understood: by the script itself, or through a service that knows the script. */
  readonly asrService: 'script' | 'whisper' | 'paraformer';
  /** Where replies come from, in the same way. */
  readonly llmService: 'script' | 'chat' | 'responses';
  /** WAV file sent as hello on the first connection. */
  readonly helloWav?: string;
  /** When the user has finished; what is absent is the server's default. */
  readonly vad: {
    readonly threshold?: number;
    readonly negThreshold?: number;
    readonly minSpeechDurationMs?: number;
    readonly maxSilenceDurationMs?: number;
    readonly hangoverMs?: number;
  };
  /** Whose behavior the server has unless the matrix or the command line says so. */
  readonly model: ServerModel;
  /** What it does in its own way nevertheless when it behaves as the EchoKit server. */
  readonly compatExcept: readonly CompatId[];
  /** Length of its Opus packets. */
  readonly packetMs: PacketLengthMs;
  /** It accepts the compression that boards offer. */
  readonly compression: boolean;
  /** Parameters of the connect URL that it overlooks. */
  readonly ignoredParameters: readonly IgnorableParameter[];
}

export interface Turn {
  /** From 1. */
  readonly number: number;
  /** Of its `[[turn]]` in the file, from 1. */
  readonly line: number;
  /** Text for the offline voice. Exactly one of `say` and `wav`. */
  readonly say?: string;
  /** WAV file to play at the microphone; resolved against the scenario's folder. */
  readonly wav?: string;
  /** What the scripted recogniser understands; default: `say`, or the name of the WAV file. */
  readonly heard: string;
  readonly reply: string;
  readonly replyPace: { readonly firstTokenMs: number; readonly tokensPerSecond: number };
  /**
   * When the user starts: a moment of the turn before. Before the first turn there is only the press
   * of K0. Default: as soon as the board listens, after `pauseMs`.
   */
  readonly after?: Moment;
  /** Quiet between "the board listens" and the user's first sample. */
  readonly pauseMs: number;
  /** The turn has failed when it has not ended by then. */
  readonly timeoutMs: number;
  /** What the user does beside speaking. The turn is not over before the last of it. */
  readonly acts: readonly Act[];
  /** Trouble on the link between board and server. */
  readonly disturbances: readonly Disturbance[];
  /** Named faults, those of the whole conversation included. */
  readonly faults: readonly PlannedFault[];
  /** The user presses K0 first when the board does not listen by then. */
  readonly recover: boolean;
  readonly expect: readonly Expectation[];
}

export type Act = { readonly after: Moment } & (
  | {
      readonly kind: 'key';
      readonly key: 'k0' | 'volume-up' | 'volume-down';
      readonly press: 'short' | 'long';
    }
  /** Said to the microphone, in no turn of its own. */
  | { readonly kind: 'say'; readonly text: string }
);

export type Disturbance = {
  readonly after: Moment;
} & (
  | /** Nothing arrives for a while, then all of it. */ {
      readonly kind: 'stall';
      readonly direction: 'down' | 'up' | 'both';
      readonly durationMs: number;
    }
  /** The connection breaks, for both ends. */
  | { readonly kind: 'drop' }
  /** The connection breaks, and for `durationMs`, or for ever, none can be made. */
  | { readonly kind: 'away'; readonly durationMs?: number }
  /** The server sends a ping. */
  | { readonly kind: 'ping' }
  /** The server sends a message in between. */
  | { readonly kind: 'message'; readonly message: InsertableMessage }
  /** The link is another named one from then on, or for `durationMs`. */
  | { readonly kind: 'change'; readonly to: string; readonly durationMs?: number }
);

/** A number of events in the trace, or of lines on the console of the board. */
export interface TraceCheck {
  readonly of:
    | {
        readonly kind: 'event';
        readonly source: TraceSource;
        readonly type: string;
        /** Fields it must have, with these values. */
        readonly with: Readonly<Record<string, string | number | boolean>>;
      }
    | { readonly kind: 'console'; readonly text: string; readonly level?: 'E' | 'W' | 'I' };
  readonly operator: Expectation['operator'];
  readonly value: number;
  /** Turn it is about; absent: the whole recording. */
  readonly turn?: number;
  /** Counting begins here. Default: with the turn. */
  readonly after?: Moment;
  /** Counting ends this long after it began. Default: with the turn. */
  readonly withinMs?: number;
  readonly at: SourcePosition;
}

/** One line of an `[expect]` table. */
export interface Expectation {
  /** Dotted path into the metrics, for example `underruns.count` or `ttfa_ms.p95`. */
  readonly metric: string;
  readonly operator: '==' | '!=' | '<=' | '<' | '>=' | '>';
  readonly value: number | string | boolean;
  /** Turn it is about; absent: the whole cell. */
  readonly turn?: number;
  readonly at: SourcePosition;
}

export interface SourcePosition {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}
