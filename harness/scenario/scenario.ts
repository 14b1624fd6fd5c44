import type { CompatId, ServerModel } from '../server/compat-items.ts';
import type { StandInChanges } from '../stand-ins/stand-in-changes.ts';

/**
 * A scripted conversation as data: what a scenario file says, defaults filled in, units in names.
 * `scenarios/README.md` describes the file format.
 */
export interface Scenario {
  /** File name without folder and extension; names the cell and the recording folder. */
  readonly name: string;
  /** Path as the user gave it, for messages. */
  readonly file: string;
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
  /** Judged for every cell. */
  readonly expect: readonly Expectation[];
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
}

export interface Turn {
  /** From 1. */
  readonly number: number;
  /** Text for the offline voice. Exactly one of `say` and `wav`. */
  readonly say?: string;
  /** WAV file to play at the microphone; resolved against the scenario's folder. */
  readonly wav?: string;
  /** What the scripted recogniser understands; default: `say`, or the name of the WAV file. */
  readonly heard: string;
  readonly reply: string;
  readonly replyPace: { readonly firstTokenMs: number; readonly tokensPerSecond: number };
  /**
   * When the user starts: `delayMs` after the first such server event of the turn before. Default:
   * as soon as the board listens, after `pauseMs`.
   */
  readonly after?: { readonly event: string; readonly delayMs: number };
  /** Quiet between "the board listens" and the user's first sample. */
  readonly pauseMs: number;
  /** The turn has failed when it has not ended by then. */
  readonly timeoutMs: number;
  /** Trouble on the link between board and server. */
  readonly disturbances: readonly Disturbance[];
  readonly expect: readonly Expectation[];
}

export type Disturbance = {
  /** Server event (first of its name in the turn) that starts it, plus a delay. */
  readonly after: { readonly event: string; readonly delayMs: number };
} & (
  | /** Nothing arrives for a while, then all of it. */ {
      readonly kind: 'stall';
      readonly direction: 'down' | 'up' | 'both';
      readonly durationMs: number;
    }
  /** The connection breaks, for both ends. */
  | { readonly kind: 'drop' }
  /** The link is another named one from then on, or for `durationMs`. */
  | { readonly kind: 'change'; readonly to: string; readonly durationMs?: number }
);

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
