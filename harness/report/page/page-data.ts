/** What a page holds as data: written by the program, read by the part that runs in the browser. */
import type { ComparedCell } from '../cell-comparison.ts';
import type {
  CellReport,
  ExpectationReport,
  NotRunReport,
  TurnReport,
  UnderrunReport,
} from '../run-report.ts';

/** Of the whole run; small, and read at once. */
export interface PageSummary {
  /** Name of the run: votes are kept under it. */
  readonly id: string;
  readonly seed: number;
  /** In the order of the report. */
  readonly cells: readonly PageCell[];
  readonly notRun: readonly NotRunReport[];
  readonly sound: PageSound;
  /** RMS of 10 ms from which a sound counts as audible. */
  readonly audibleDbfs: number | null;
}

/** How the page has its sound. */
export type PageSound =
  /** In itself, as `sound-format.ts` has it; clip 0 is that of the element `sound-0`. */
  | { readonly kind: 'kept'; readonly shift: number; readonly samples: readonly number[] }
  /** In files beside it. */
  | { readonly kind: 'linked' }
  | { readonly kind: 'none'; readonly why: string };

/** One conversation in tables and lists. */
export interface PageCell extends ComparedCell {
  readonly scenario: string;
  readonly title: string;
  readonly provider: string;
  /** As it is called in a row: with a `*` when the server behaves as another one. */
  readonly row: string;
  readonly board: string;
  readonly network: string;
  readonly server: string;
  /** From 1, in a run that repeats its conversations. */
  readonly repetition?: number;
  readonly verdict: CellReport['verdict'];
  /** In a word or two, or empty. */
  readonly reason: string;
  /** Why it is flaky, in a sentence. Absent: nothing shows that it is. */
  readonly flaky?: string;
  readonly stutter: readonly Stutter[];
}

/** Underruns with one cause. */
export interface Stutter {
  /** `provider`, `server`, `network`, `board`, several of them with " and " between, or `cause not known`. */
  readonly fault: string;
  readonly count: number;
  readonly ms: number;
}

/** Everything that is shown of one conversation. Times in ms from its beginning. */
export interface PageConversation {
  readonly cell: ConversationFacts;
  /** Null: its recording could not be read. */
  readonly timeline: Timeline | null;
}

/** Of the report. */
export interface ConversationFacts
  extends Pick<CellReport, 'failures' | 'ledger' | 'recording' | 'seed' | 'host'> {
  readonly turns: readonly Pick<
    TurnReport,
    'turn' | 'verdict' | 'failure' | 'audible_at_speaker_ms' | 'spans' | 'ledger'
  >[];
  readonly expectations: readonly ExpectationReport[];
  readonly seams: readonly number[];
  /** What must be known of its figures: a real board, a captured room. */
  readonly remarks: readonly string[];
  /** URL of the recording's folder, relative to the page. Null: the page cannot know where it is. */
  readonly folder: string | null;
}

export interface Timeline {
  readonly endMs: number;
  /** The recording ends before the conversation did. */
  readonly partial: boolean;
  readonly turns: readonly {
    readonly turn: number;
    readonly startMs: number;
    readonly userStopMs: number | null;
    readonly firstSoundMs: number | null;
  }[];
  readonly user: readonly {
    readonly atMs: number;
    readonly ms: number;
    readonly text: string;
  }[];
  /** What the server did, in words. */
  readonly server: readonly {
    readonly atMs: number;
    readonly what: string;
    readonly text?: string;
  }[];
  /** Pieces of the reply, as the language model gave them. */
  readonly reply: readonly number[];
  readonly requests: readonly RequestLine[];
  /** Four numbers each: written, then received and handled (ms later; -1: never), ms of audio. */
  readonly frames: readonly number[];
  readonly states: readonly { readonly atMs: number; readonly state: string }[];
  readonly network: readonly {
    readonly atMs: number;
    readonly ms: number;
    readonly what: string;
  }[];
  readonly sentences: readonly SentenceLine[];
  readonly gaps: readonly GapLine[];
  readonly console: readonly {
    readonly atMs: number;
    readonly level: string;
    readonly text: string;
  }[];
  /** Gaps between the arrivals of the provider's audio within a request, ms. */
  readonly arrivalGaps: readonly number[];
  /** Null: there was no underrun, or nothing to compute it from. */
  readonly prebuffer: PrebufferLine | null;
  readonly tracks: Readonly<Record<TrackName, Track>>;
}

export interface RequestLine {
  readonly request: number;
  readonly fromMs: number;
  readonly writtenMs: number;
  readonly endMs: number;
  readonly outcome: 'complete' | 'failed' | 'cancelled' | 'unfinished';
  readonly message?: string;
  /** Two numbers each: when it came, ms of audio. */
  readonly chunks: readonly number[];
}

export interface SentenceLine {
  readonly turn: number | null;
  readonly sentence: number | null;
  readonly text: string | null;
  /** Null: it was not played. */
  readonly heard: { readonly atMs: number; readonly ms: number } | null;
  /** Two numbers each, from `heard.atMs` on: when, ms of audio that the board had and had not played. */
  readonly buffer: readonly number[];
}

/** An underrun, explained. */
export interface GapLine
  extends Pick<UnderrunReport, 'sentence' | 'atMs' | 'durationMs' | 'trailing'> {
  readonly turn: number | null;
  readonly fault: string;
  /** What was late, by how much. */
  readonly evidence: readonly { readonly text: string; readonly seqs: readonly number[] }[];
  /** ms by which the stage held it up more than when the sentence began; ms less without it. */
  readonly stages: readonly {
    readonly stage: string;
    readonly delayMs: number;
    readonly savedMs: number;
  }[];
}

export interface PrebufferLine {
  readonly kneeMs: number | null;
  readonly enoughMs: number | null;
  /** Four numbers each: prebuffer, how much later it begins, underruns, ms of them. */
  readonly points: readonly number[];
}

export const trackNames = ['heard', 'sent', 'given', 'said'] as const;
export type TrackName = (typeof trackNames)[number];

/** Sound on the time axis of the conversation. */
export interface Track {
  /** Two numbers each: sample (16 kHz) of the conversation at which it begins, and the number of the clip. */
  readonly clips: readonly number[];
  /** Where it is in files: three numbers each, begin on the time axis, begin in the file and length, in ms. */
  readonly files: readonly { readonly file: string; readonly parts: readonly number[] }[];
  /** Loudest sample of each 20 ms, 0 to 255, in Base64. Absent: the page has the sound itself. */
  readonly peaks?: string;
}

/** Names of elements of the page. */
export const summaryId = 'run-data';
export const conversationId = (index: number): string => `conversation-data-${index}`;
export const soundId = (clip: number): string => `sound-${clip}`;
