/** What is counted of boards, in bounded memory; figures of several boards and processes add up. */
import { Histogram, type HistogramData } from './histogram.ts';
import type { Stranger, VoiceFindings } from './voice-check.ts';

/** Why a turn failed; a fixed list, so that counts stay bounded. */
export const turnFailures = [
  /** No end of the answer, or the board never got ready to listen, within the limit of the turn. */
  'timeout',
  /** The board restarted. */
  'reboot',
  /** The answer ended, and nothing of it was played. */
  'silent',
] as const;

export type TurnFailure = (typeof turnFailures)[number];

/** Voices of boards as they were found at the speakers. */
export interface VoiceFigures {
  /** Windows of 64 ms: of the board itself, of nobody, with a gap or a jump in it, of somebody else. */
  own: number;
  quiet: number;
  damaged: number;
  foreign: number;
  /** The first sentences in which somebody else spoke. */
  readonly strangers: {
    readonly board: number;
    readonly atUs: number;
    readonly heard: Omit<Stranger, 'at'>;
  }[];
}

/** What is kept of mix-ups; the rest is only counted. */
const strangersMax = 20;

export interface BoardFiguresData {
  readonly boards: number;
  readonly connected: number;
  readonly connections: number;
  readonly restarts: number;
  readonly turns: number;
  readonly failed: number;
  readonly failures: Readonly<Record<TurnFailure, number>>;
  readonly unfinished: number;
  readonly conversations: number;
  readonly audible: HistogramData;
  readonly underruns: HistogramData;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly bytesReceived: number;
  readonly playedSeconds: number;
  readonly voices: VoiceFigures;
  /** Why boards could not connect: the first messages. */
  readonly refusals: readonly string[];
}

/** The counts of one board, of the boards of a process, or of all of them. */
export class BoardFigures {
  boards = 0;
  /** Boards that were connected at some time. */
  connected = 0;
  connections = 0;
  restarts = 0;
  /** Turns that have ended, well or not. */
  turns = 0;
  readonly failures: Record<TurnFailure, number> = { timeout: 0, reboot: 0, silent: 0 };
  /** Turns that were cut off by the end of the run. They count as neither. */
  unfinished = 0;
  conversations = 0;
  /** `audibleAtSpeaker`: last voiced sample of the user → first audible one of the answer at the speaker, µs. */
  readonly audible: Histogram;
  /** Lengths of underruns, µs. */
  readonly underruns: Histogram;
  messagesSent = 0;
  messagesReceived = 0;
  bytesReceived = 0;
  /** Sound of answers. */
  playedSeconds = 0;
  readonly voices: VoiceFigures = { own: 0, quiet: 0, damaged: 0, foreign: 0, strangers: [] };
  readonly refusals: string[] = [];

  constructor(precisionBits = 7) {
    this.audible = new Histogram(precisionBits);
    this.underruns = new Histogram(precisionBits);
  }

  get failed(): number {
    return Object.values(this.failures).reduce((sum, count) => sum + count, 0);
  }

  get messages(): number {
    return this.messagesSent + this.messagesReceived;
  }

  /** Notes what a sentence of a board sounded like. */
  hear(board: number, atUs: number, { stranger, ...windows }: VoiceFindings): void {
    for (const kind of ['own', 'quiet', 'damaged', 'foreign'] as const) {
      this.voices[kind] += windows[kind];
    }
    if (stranger === undefined || this.voices.strangers.length >= strangersMax) return;
    const { at, ...heard } = stranger;
    this.voices.strangers.push({ board, atUs: atUs + Math.round(at * 62.5), heard });
  }

  refuse(message: string): void {
    if (this.refusals.length < 3 && !this.refusals.includes(message)) this.refusals.push(message);
  }

  merge(other: BoardFigures | BoardFiguresData): void {
    const { audible, underruns } = other;
    for (const key of sums) this[key] += other[key];
    for (const failure of turnFailures) this.failures[failure] += other.failures[failure];
    this.audible.merge(audible instanceof Histogram ? audible : Histogram.fromData(audible));
    this.underruns.merge(
      underruns instanceof Histogram ? underruns : Histogram.fromData(underruns),
    );
    const { strangers, ...windows } = other.voices;
    for (const kind of ['own', 'quiet', 'damaged', 'foreign'] as const) {
      this.voices[kind] += windows[kind];
    }
    this.voices.strangers.push(...strangers.slice(0, strangersMax - this.voices.strangers.length));
    for (const message of other.refusals) this.refuse(message);
  }

  toData(): BoardFiguresData {
    return {
      ...(Object.fromEntries(sums.map((key) => [key, this[key]])) as Pick<
        BoardFigures,
        (typeof sums)[number]
      >),
      failed: this.failed,
      failures: { ...this.failures },
      audible: this.audible.toData(),
      underruns: this.underruns.toData(),
      voices: this.voices,
      refusals: this.refusals,
    };
  }
}

const sums = [
  'boards',
  'connected',
  'connections',
  'restarts',
  'turns',
  'unfinished',
  'conversations',
  'messagesSent',
  'messagesReceived',
  'bytesReceived',
  'playedSeconds',
] as const;
