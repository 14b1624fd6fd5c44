/** What the speaker played of each sentence, from the board's events and from the player formulas. */
import type { BoardSentence, Conversation, Sentence } from './conversation.ts';
import {
  chunkSamples,
  type PlayerMessage,
  type SentenceSchedule,
  schedulePlayer,
} from './player-schedule.ts';
import { type RecordedCell, samplesToUs } from './recorded-cell.ts';

export interface Playback {
  readonly sentence: Sentence;
  readonly board: BoardSentence;
  /** Samples of earlier audio at the front of the first chunk; null when the trace does not tell. */
  readonly restBefore: number | null;
  /** What the formulas say, from the instants at which messages were handled. */
  readonly schedule: SentenceSchedule | null;
  /** Index into `speaker` of the sentence's own first sample, the rest before it left out. */
  readonly startPosition: number | null;
  /** Index into `speaker` after its last played chunk. */
  readonly endPosition: number | null;
}

/** In the order in which the board began the sentences. */
export function readPlaybacks(conversation: Conversation, cell: RecordedCell): Playback[] {
  const spoken = conversation.sentences
    .filter((sentence) => sentence.board !== null)
    .map((sentence) => ({ sentence, board: sentence.board! }))
    .sort((a, b) => a.board.started.seq - b.board.started.seq);

  const playbacks: Playback[] = [];
  let previous: Playback | undefined;
  for (let i = 0; i < spoken.length; ) {
    // Sentences without an end marker may still be playing when the next begins, so they are
    // worked out together.
    let end = i + 1;
    while (
      end < spoken.length &&
      spoken[end - 1]!.board.ended === null &&
      spoken[end - 1]!.board.cleared === null &&
      spoken[end]!.board.boot === spoken[i]!.board.boot
    ) {
      end++;
    }
    const group = spoken.slice(i, end);
    const rest = restBefore(group[0]!.board, previous);
    const schedules = rest === null ? [] : scheduleGroup(group, rest, cell);
    for (const { sentence, board } of group) {
      const schedule = schedules.find((candidate) => candidate.sentence === board.number) ?? null;
      previous = playback(sentence, board, schedule);
      playbacks.push(previous);
    }
    i = end;
  }
  return playbacks;
}

/** Instant at which sample `position` of `speaker` leaves the player; rounded down to 1 µs. */
export function positionToUs(conversation: Conversation, position: number): number {
  return (conversation.boots[0]?.speakerStartUs ?? 0) + samplesToUs(position);
}

/** First sample of `speaker` that leaves the player at or after `atUs`. */
export function usToPosition(conversation: Conversation, atUs: number): number {
  const startUs = conversation.boots[0]?.speakerStartUs ?? 0;
  return Math.max(0, Math.ceil(((atUs - startUs) * 2) / 125));
}

/** Samples that this sentence handed to the player. */
export function pushedSamples(board: BoardSentence): number {
  return board.arrivals
    .filter(({ disposition }) => disposition === 'played' || disposition === null)
    .reduce((sum, { samples }) => sum + samples, board.releasedSamples);
}

function restBefore(board: BoardSentence, previous: Playback | undefined): number | null {
  if (board.restReported !== null) return board.restReported;
  // Interrupting clears the queue but not the rest.
  if (previous?.board.boot === board.boot && previous.schedule !== null) {
    return previous.schedule.restAfter;
  }
  // Nothing but whole chunks leaves the player, so the rest afterwards gives the rest before.
  if (board.drained !== null) {
    const rest = (board.drained.restSamples - pushedSamples(board)) % chunkSamples;
    return (rest + chunkSamples) % chunkSamples;
  }
  return null;
}

function scheduleGroup(
  group: readonly { board: BoardSentence }[],
  restSamples: number,
  cell: RecordedCell,
): SentenceSchedule[] {
  const { boot } = group[0]!.board;
  const cycles = Math.floor((cell.speaker.length - boot.speakerOffset) / chunkSamples);
  const messages = group.flatMap(({ board }) => playerMessages(board));
  return schedulePlayer(
    messages,
    boot.speakerStartUs,
    restSamples,
    cell.speaker.length === 0 ? Number.POSITIVE_INFINITY : cycles,
  );
}

function playerMessages(board: BoardSentence): PlayerMessage[] {
  const sentence = board.number;
  const marked: (PlayerMessage & { seq: number })[] = [];
  for (const mark of [board.started, ...board.otherMessages]) {
    marked.push({ ...at(mark), sentence, kind: 'other' });
  }
  for (const arrival of board.arrivals) {
    if (arrival.disposition === 'held' || arrival.disposition === 'dropped') continue;
    marked.push({ ...at(arrival), sentence, kind: 'samples', samples: arrival.samples });
  }
  if (board.ended !== null) {
    if (board.releasedSamples > 0) {
      const samples = board.releasedSamples;
      marked.push({ ...at(board.ended), sentence, kind: 'samples', samples });
    }
    marked.push({ ...at(board.ended), sentence, kind: 'end' });
  }
  if (board.cleared !== null) marked.push({ ...at(board.cleared), sentence, kind: 'clear' });
  // Stable: the held block stays in front of its end marker.
  return marked.sort((a, b) => a.seq - b.seq);
}

function at(mark: { readonly atUs: number; readonly seq: number }) {
  return { atUs: mark.atUs, seq: mark.seq };
}

function playback(
  sentence: Sentence,
  board: BoardSentence,
  schedule: SentenceSchedule | null,
): Playback {
  const start = board.playStart?.position ?? null;
  const rest = schedule?.restBefore ?? board.restReported;
  const scheduledEnd =
    schedule?.endCycle == null ? null : schedule.endCycle * chunkSamples + board.boot.speakerOffset;
  return {
    sentence,
    board,
    restBefore: rest,
    schedule,
    startPosition: start === null ? null : start + (rest ?? 0),
    endPosition: start === null ? null : (board.drained?.position ?? scheduledEnd),
  };
}
