import { type AudibilitySettings, findAudible } from './audibility.ts';
import {
  type Conversation,
  type Mark,
  type ProviderChunk,
  type ProviderRequest,
  requestsFor,
  type Sentence,
  type Turn,
} from './conversation.ts';
import { type Playback, positionToUs } from './playback.ts';
import type { RecordedCell } from './recorded-cell.ts';

/** Instants of one turn on the way from the user's last word to the speaker; null: never happened. */
export interface TurnMarks {
  readonly userStop: Mark | null;
  readonly endOfTurn: Mark | null;
  readonly firstText: Mark | null;
  readonly sentenceReady: Mark | null;
  /** A chat model had rewritten the sentence; null without a text optimization. */
  readonly textOptimized: Mark | null;
  readonly requestDecided: Mark | null;
  readonly connected: Mark | null;
  readonly requestWritten: Mark | null;
  readonly firstAudioByte: Mark | null;
  readonly firstFrameWritten: Mark | null;
  readonly frameHandled: Mark | null;
  readonly firstSamplePlayed: Mark | null;
  readonly firstAudible: Mark | null;
}

export const spanNames = [
  'endOfTurn',
  'firstText',
  'sentenceReady',
  'handover',
  'textOptimization',
  'connect',
  'ttfb',
  'serverHold',
  'downlink',
  'playStart',
  'leadSilence',
] as const;
export type SpanName = (typeof spanNames)[number];

/** Microseconds, integers. A span is null when one of its two ends is. */
export type Spans = Readonly<Record<SpanName, number | null>>;

export interface TurnLatency {
  readonly marks: TurnMarks;
  readonly spans: Spans;
  /** `userStop` to the first audible sample leaving the player. */
  readonly audibleAtSpeakerUs: number | null;
  /**
   * What no span covers because a mark between is missing (an external server reports none): 0 for
   * a complete trace. Spans and this add up to `audibleAtSpeakerUs` exactly.
   */
  readonly unattributedUs: number | null;
  /** The sentence all marks from `sentenceReady` on belong to: the first of the turn that played. */
  readonly sentence: number | null;
}

/**
 * The marks and spans of one turn.
 *
 * From `sentenceReady` on everything belongs to the first sentence that the speaker played, or to
 * the first that was handed to the adapter when none was. Should that sentence be silent, the
 * leading silence reaches into the next one.
 */
export function measureLatency(
  turn: Turn,
  playbacks: readonly Playback[],
  conversation: Conversation,
  cell: RecordedCell,
  audibility: AudibilitySettings,
): TurnLatency {
  const played = playbacks.filter(
    (playback) => playback.sentence.turn === turn.number && playback.startPosition !== null,
  );
  const first = played[0];
  const sentence = first?.sentence ?? turn.sentences[0] ?? null;
  const request = sentence === null ? null : requestOf(turn, sentence);
  const frame = sentence?.frames[0] ?? null;

  const marks: TurnMarks = {
    userStop: turn.userStop,
    endOfTurn: turn.answer?.endOfTurn ?? null,
    firstText: turn.answer?.firstText ?? null,
    sentenceReady: sentence?.ready ?? null,
    textOptimized: sentence?.optimized ?? null,
    requestDecided: instant(request?.decidedUs, request?.written),
    connected: instant(request?.connectedUs, request?.written),
    requestWritten: request?.written ?? null,
    firstAudioByte: request === null ? null : (firstAudioChunk(request, sentence!.number!) ?? null),
    firstFrameWritten: frame,
    frameHandled: frame?.handled ?? first?.board.arrivals[0] ?? null,
    firstSamplePlayed:
      first === undefined
        ? null
        : {
            atUs: positionToUs(conversation, first.startPosition!),
            seq: first.board.playStart!.seq,
          },
    firstAudible: firstAudible(played, conversation, cell, audibility),
  };
  const plain = Object.fromEntries(
    Object.entries(marks).map(([name, mark]: [string, Mark | null]) => [
      name,
      mark === null ? null : { atUs: mark.atUs, seq: mark.seq },
    ]),
  ) as unknown as TurnMarks;
  const spans = spansOf(marks, sentence?.optimized?.startedUs ?? null);
  const audibleAtSpeakerUs = between(marks.userStop, marks.firstAudible);
  const covered = spanNames.reduce((sum, name) => sum + (spans[name] ?? 0), 0);
  return {
    marks: plain,
    spans,
    audibleAtSpeakerUs,
    unattributedUs: audibleAtSpeakerUs === null ? null : audibleAtSpeakerUs - covered,
    sentence: sentence?.number ?? first?.board.number ?? null,
  };
}

/** @param optimizingUs when the text optimization of the sentence was decided */
function spansOf(marks: TurnMarks, optimizingUs: number | null): Spans {
  const { sentenceReady: ready, requestDecided, connected, requestWritten, textOptimized } = marks;
  // One connection may serve a whole answer: the request was then written, or the connection
  // opened, before this sentence was ready. Only what came after that moment delayed it.
  const written =
    ready !== null && requestWritten !== null && requestWritten.atUs < ready.atUs
      ? ready
      : requestWritten;
  let textOptimization: number | null = null;
  let connect: number | null = null;
  let handover: number | null = null;
  if (ready !== null && written !== null && requestDecided !== null && connected !== null) {
    const optimizedUs = Math.min(textOptimized?.atUs ?? ready.atUs, written.atUs);
    textOptimization = Math.max(0, optimizedUs - Math.max(optimizingUs ?? ready.atUs, ready.atUs));
    const from = Math.max(requestDecided.atUs, ready.atUs, optimizedUs);
    const to = Math.min(connected.atUs, written.atUs);
    connect = Math.max(0, to - from);
    handover = written.atUs - ready.atUs - textOptimization - connect;
  }
  return {
    endOfTurn: between(marks.userStop, marks.endOfTurn),
    firstText: between(marks.endOfTurn, marks.firstText),
    sentenceReady: between(marks.firstText, ready),
    handover,
    textOptimization,
    connect,
    ttfb: between(written, marks.firstAudioByte),
    serverHold: between(marks.firstAudioByte, marks.firstFrameWritten),
    downlink: between(marks.firstFrameWritten, marks.frameHandled),
    playStart: between(marks.frameHandled, marks.firstSamplePlayed),
    leadSilence: between(marks.firstSamplePlayed, marks.firstAudible),
  };
}

function requestOf(turn: Turn, sentence: Sentence): ProviderRequest | null {
  const candidates = requestsFor(turn.requests, sentence);
  return (
    candidates.find((r) => firstAudioChunk(r, sentence.number!) !== undefined) ??
    candidates[0] ??
    null
  );
}

/** A chunk that reaches over several sentences is counted to the last of them. */
function firstAudioChunk({ chunks }: ProviderRequest, sentence: number): ProviderChunk | undefined {
  return chunks.find((chunk) => chunk.sourceBytes > 0 && chunk.sentence >= sentence);
}

function firstAudible(
  played: readonly Playback[],
  conversation: Conversation,
  cell: RecordedCell,
  audibility: AudibilitySettings,
): Mark | null {
  for (const { startPosition, endPosition, board } of played) {
    const range = findAudible(
      cell.speaker,
      startPosition!,
      endPosition ?? cell.speaker.length,
      audibility,
    );
    if (range !== null) {
      return { atUs: positionToUs(conversation, range.first), seq: board.playStart!.seq };
    }
  }
  return null;
}

function instant(atUs: number | null | undefined, mark: Mark | null | undefined): Mark | null {
  return atUs == null || mark == null ? null : { atUs, seq: mark.seq };
}

function between(from: Mark | null, to: Mark | null): number | null {
  return from === null || to === null ? null : to.atUs - from.atUs;
}
