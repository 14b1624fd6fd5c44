/** What the speaker played of each sentence, from the board's events and from the player formulas. */
import { type BoardSentence, byTime, type Conversation, type Sentence } from './conversation.ts';
import {
  chunkSamples,
  cycleFrom,
  cycleUs,
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
  /** False: the rest is one of several that fit. */
  readonly restCertain: boolean;
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
    .sort((a, b) => byTime(a.board.started, b.board.started));

  const playbacks: Playback[] = [];
  let previous: Playback | undefined;
  // Interrupting clears the queue but not the rest, so what was computed stays true.
  let restCertain = false;
  for (let i = 0; i < spoken.length; ) {
    // Sentences that may still be playing when the next begins are worked out together.
    let end = i + 1;
    while (
      end < spoken.length &&
      mayOverlap(spoken.slice(i, end), spoken[end]!.board) &&
      !spoken[end]!.board.helloBefore &&
      spoken[end]!.board.boot === spoken[i]!.board.boot
    ) {
      end++;
    }
    const group = spoken.slice(i, end);
    const first = group[0]!.board;
    const chained: number | null =
      !first.helloBefore && restCertain ? (previous?.schedule?.restAfter ?? null) : null;
    const rest: number | null =
      first.restReported ?? chained ?? inferRest(spoken.slice(i), conversation);
    restCertain = rest !== null;
    const schedules =
      rest === null ? fittingSchedule(group, cell) : scheduleGroup(group, rest, cell);
    for (const { sentence, board } of group) {
      const schedule = schedules.find((candidate) => candidate.sentence === board.number) ?? null;
      previous = playback(sentence, board, schedule, restCertain);
      playbacks.push(previous);
    }
    i = end;
  }
  return playbacks;
}

/**
 * The next sentence reached the player before it was done with these. Clearing the queue does not make it
 * free: it is one of the messages, and waits for those before it, one for each cycle.
 */
function mayOverlap(group: readonly { board: BoardSentence }[], next: BoardSentence): boolean {
  const { ended, drained, cleared } = group.at(-1)!.board;
  if (cleared !== null) {
    const messages = group.reduce((sum, { board }) => sum + playerMessages(board).length, 0);
    return cleared.atUs + messages * cycleUs > next.started.atUs;
  }
  return ended === null || drained === null || drained.atUs > next.started.atUs;
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

/** The user cut the sentence off: its queue was thrown away before all of it was played. */
export function wasCleared({ board, schedule }: Playback): boolean {
  if (board.cleared === null) return false;
  return board.abandoned === null || (schedule?.clearedSamples ?? 0) > 0;
}

/** Samples that this sentence handed to the player. */
export function pushedSamples(board: BoardSentence): number {
  return board.arrivals
    .filter(({ disposition }) => disposition === 'played' || disposition === null)
    .reduce((sum, { samples }) => sum + samples, board.releasedSamples);
}

/**
 * The rest before the first of `spoken`, from a rest reported later: nothing but whole chunks
 * leaves the player. Null when a hello sound or the end of the recording comes before.
 */
function inferRest(
  spoken: readonly { readonly board: BoardSentence }[],
  { ledger, helloAtEnd }: Conversation,
): number | null {
  if (spoken[0]?.board.boot.rules.keepsRest === false) return 0;
  let pushed = 0;
  const before = (restAfter: number) =>
    (((restAfter - pushed) % chunkSamples) + chunkSamples) % chunkSamples;
  for (const [i, { board }] of spoken.entries()) {
    if (i > 0 && board.restReported !== null) return before(board.restReported);
    if (i > 0 && (board.helloBefore || board.boot !== spoken[0]!.board.boot)) return null;
    pushed += pushedSamples(board);
    if (board.drained !== null) return before(board.drained.restSamples);
  }
  if (ledger === null || helloAtEnd || ledger.queuedSamples > 0) return null;
  return before(ledger.restSamples);
}

/**
 * When nothing tells the rest (a hello sound came before and the sentence was cut), any rest that
 * explains the first chunk and the underruns will do.
 */
function fittingSchedule(
  group: readonly { board: BoardSentence }[],
  cell: RecordedCell,
): SentenceSchedule[] {
  for (let rest = 0; rest < chunkSamples; rest++) {
    const schedules = scheduleGroup(group, rest, cell);
    if (group.every(({ board }) => fits(board, schedules))) return schedules;
  }
  return scheduleGroup(group, 0, cell);
}

function fits(board: BoardSentence, schedules: readonly SentenceSchedule[]): boolean {
  const own = schedules.find(({ sentence }) => sentence === board.number);
  const position = (cycle: number) => cycle * chunkSamples + board.boot.speakerOffset;
  const first = own?.firstCycle == null ? undefined : position(own.firstCycle);
  const runs = own?.emptyRuns.map(({ cycle }) => position(cycle)) ?? [];
  return (
    first === board.playStart?.position &&
    runs.join() === board.underruns.map((run) => run.position).join()
  );
}

function scheduleGroup(
  group: readonly { board: BoardSentence }[],
  restSamples: number,
  cell: RecordedCell,
): SentenceSchedule[] {
  const { boot } = group[0]!.board;
  const recorded = Math.floor((cell.speaker.length - boot.speakerOffset) / chunkSamples);
  const ran =
    boot.endedUs === null
      ? Number.POSITIVE_INFINITY
      : cycleFrom(boot.endedUs, boot.speakerStartUs, boot.rules);
  const messages = group.flatMap(({ board }) => playerMessages(board));
  return schedulePlayer(
    messages,
    boot.speakerStartUs,
    restSamples,
    Math.min(ran, cell.speaker.length === 0 ? Number.POSITIVE_INFINITY : recorded),
    boot.rules,
    boot.stalls,
  );
}

function playerMessages(board: BoardSentence): PlayerMessage[] {
  const sentence = board.number;
  const marked: (PlayerMessage & { seq: number })[] = [];
  for (const mark of [board.startPosted, ...board.otherMessages]) {
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
  if (board.abandoned !== null) marked.push({ ...at(board.abandoned), sentence, kind: 'abandon' });
  // Stable: the held block stays in front of its end marker.
  return marked.sort(byTime);
}

function at(mark: { readonly atUs: number; readonly seq: number }) {
  return { atUs: mark.atUs, seq: mark.seq };
}

function playback(
  sentence: Sentence,
  board: BoardSentence,
  schedule: SentenceSchedule | null,
  restCertain: boolean,
): Playback {
  const start = board.playStart?.position ?? null;
  const rest = schedule?.restBefore ?? board.restReported;
  const scheduledEnd =
    schedule?.endCycle == null ? null : schedule.endCycle * chunkSamples + board.boot.speakerOffset;
  return {
    sentence,
    board,
    restBefore: rest,
    restCertain,
    schedule,
    startPosition: start === null ? null : start + (rest ?? 0),
    endPosition: start === null ? null : (board.drained?.position ?? scheduledEnd),
  };
}
