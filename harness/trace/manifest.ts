/**
 * The shape of `manifest.toml`. Facts of the wall clock (date, machine, versions) are here and nowhere else in a
 * recording.
 */
import type { ReplayKind } from './trace-event.ts';

// Type aliases, not interfaces: TOML takes any table, and only aliases fit `Record<string, unknown>`.

export type RecordingManifest = {
  /** Of trace and manifest: `traceFormatVersion`. */
  readonly formatVersion: number;
  readonly verdict: 'pass' | 'fail' | 'infra';
  readonly plan: ManifestPlan;
  /** Name of the file with what the microphone heard. Absent: nothing but the user. */
  readonly microphone?: string;
  /** Name of the file with the sound of the room. Absent: it was not captured. */
  readonly room?: string;
  /** Of the stand-in. Absent in live runs and with an external server. */
  readonly personality?: ManifestPersonality;
  /** Of a real board. Absent: it was emulated. */
  readonly board?: ManifestBoard;
  /** What went into the run. Absent in older recordings. */
  readonly inputs?: ManifestInputs;
  readonly environment: ManifestEnvironment;
  /** Every other file, when the recording was finished. Absent in older recordings. */
  readonly files?: readonly ManifestFile[];
};

export type ManifestFile = {
  /** Path within the recording, with `/`. */
  readonly name: string;
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
};

/**
 * Of everything that decides how a run goes, the first 16 hexadecimal digits of a SHA-256. The same inputs, seed and
 * environment give the same bytes; when they do not, these say which one is another.
 */
export type ManifestInputs = {
  /** Text and WAV files of the scenario. */
  readonly scenario: string;
  /** Configuration of the adapter, without credentials. Absent: the server was not ours. */
  readonly provider?: string;
  /** What its stand-in was. Absent: there was none. */
  readonly personality?: string;
  /** Constants and quirks of the board. */
  readonly board: string;
  /** The link between board and server. */
  readonly network: string;
};

export type ManifestPlan = {
  readonly scenario: string;
  readonly title: string;
  /** Path of the scenario as the user gave it. */
  readonly file: string;
  readonly provider: string;
  /** Absent with an external server, which has `serverUrl` instead. */
  readonly platform?: string;
  readonly serverUrl?: string;
  /** The emulated board; `board` for a real one, whose model is then in `model`. */
  readonly device: string;
  readonly model?: string;
  readonly network: string;
  /** Whose behavior the server had. Absent in the oldest recordings: its own. */
  readonly server?: string;
  /** Items in which the server behaves as the EchoKit server. Absent for `harness` and `external`. */
  readonly compat?: readonly string[];
  /** Of this conversation: derived from {@link runSeed} and the name of the scenario. */
  readonly seed: number;
  /** From 1, in a run that repeats its cells. Absent: it does not. */
  readonly repetition?: number;
  /** Of the run, as `--seed` has it. Absent in older recordings, and where there was none. */
  readonly runSeed?: number;
  readonly time: 'virtual' | 'real';
  /** Absent in the oldest recordings: a stand-in spoke. */
  readonly live?: boolean;
  /** Host and port of the real service that spoke. Absent: a stand-in did. */
  readonly host?: string;
  /** As `TraceHeader.replay`. */
  readonly replay?: ReplayKind;
  /** Length of the server's Opus packets. Absent in older recordings, and where the server was not ours. */
  readonly packetMs?: number;
  /** The recording that answered, or that this one was recorded anew for. Absent in older recordings, and where none was. */
  readonly recording?: ManifestSource;
  /** Ids of quirks that the board did not have. Absent: it had them all. */
  readonly quirksOff?: readonly string[];
  /** Absent: one cycle every 16 ms. */
  readonly playerRhythm?: string;
  /** RMS of the noise at the microphone. Absent: none. */
  readonly noiseDbfs?: number;
  /** Gain and acoustic delay of the speaker at the microphone. Absent: it is not heard. */
  readonly echoDb?: number;
  readonly echoDelayMs?: number;
};

export type ManifestSource = {
  /** Name of its folder. */
  readonly name: string;
  /** Of its `trace.jsonl`, as {@link ManifestInputs}. */
  readonly trace: string;
};

export type ManifestPersonality = {
  readonly name: string;
  readonly title: string;
  readonly evidence: string;
  readonly date: string;
  readonly sources: readonly string[];
};

export type ManifestBoard = {
  readonly name: string;
  readonly mac?: string;
  readonly firmware?: string;
  /** What left the player is an estimate: that of the model, which got the same messages. */
  readonly estimated: boolean;
  /** 95th percentile of the model's error against the board's own console. */
  readonly playoutErrorMs?: number;
  /** Largest error of the board's stamps on our clock. */
  readonly stampErrorUs?: number;
  /** Name of the file with what its own speaker has played. Absent: it was not handed out. */
  readonly speaker?: string;
};

/** Versions, operating system and the like; whatever the caller knows. */
export type ManifestEnvironment = {
  /** Of this program. */
  readonly version?: string;
  /** Of the code of this program that ran, as {@link ManifestInputs}. */
  readonly program?: string;
  /** Of Node. */
  readonly node?: string;
  /** Of the Opus codec, as {@link ManifestInputs}. */
  readonly opus?: string;
  readonly platform?: string;
  /** ISO 8601. */
  readonly startedAt?: string;
  /** Who spoke for the user and for the provider's stand-in. */
  readonly voice?: string;
};
