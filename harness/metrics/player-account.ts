/**
 * The last part of the ledger: from what the board accepted to what left its player, for the whole
 * recording from the board's own ledger, and for each turn from the player formulas.
 */
import { byTime, type Conversation, type HandledAudio, type Mark } from './conversation.ts';
import { type Playback, pushedSamples } from './playback.ts';
import { chunkSamples } from './player-schedule.ts';
import type { LedgerTurn, SampleBook } from './sample-ledger.ts';

/**
 * @param turnOf the turn a piece of audio belongs to
 * @returns whether the board left a ledger: without one nothing is known of its player
 */
export function accountPlayer(
  conversation: Conversation,
  playbacks: readonly Playback[],
  turnOf: (audio: HandledAudio) => LedgerTurn,
  book: SampleBook,
): boolean {
  const { ledger, heldAtEnd, discardedHold, handledAudio } = conversation;
  const seqs = ledger === null ? [] : [ledger.seq];
  const dropped = handledAudio.filter(({ disposition }) => disposition === 'dropped');
  const discarded = sumOf(discardedHold, ({ samples }) => samples);
  const decoded = sumOf(handledAudio, ({ samples }) => samples);
  const answers = sumOf(playbacks, ({ board }) => pushedSamples(board));
  for (const audio of dropped) book.explain('dropped', -audio.samples, turnOf(audio));
  const accepted = answers + discarded + heldAtEnd;
  const wanted = decoded - sumOf(dropped, ({ samples }) => samples);
  book.expect('pushed', 'samples of answers', accepted, wanted, { seqs });
  if (ledger === null) return false;

  for (const audio of handledAudio) {
    if (audio.disposition !== 'dropped') book.count('pushed', audio.samples, turnOf(audio));
  }
  accountHold(conversation, playbacks, turnOf, book);
  for (const [i, playback] of playbacks.entries()) {
    accountSentence(playback, ledger.queuedSamples > 0, book);
    const { boot } = playback.board;
    if (boot.endedUs === null || playbacks[i + 1]?.board.boot === boot) continue;
    // A restart takes the rest with it.
    const rest = playback.schedule?.restAfter ?? 0;
    book.explain('rest', rest, playback.sentence.turn);
    book.explain('cleared', -rest, playback.sentence.turn);
  }

  const hello = ledger.pushedSamples - accepted;
  if (hello >= 0) book.explain('hello', hello, null);
  else book.expect('pushed', 'samples in the ledger', ledger.pushedSamples, accepted, { seqs });
  book.expect('pushed', 'samples held at the end', ledger.heldSamples, heldAtEnd, { seqs });
  const last = playbacks.at(-1);
  const lasts = last?.board.boot.endedUs === null && !conversation.helloAtEnd;
  if (last?.schedule != null && last.restCertain && lasts) {
    const { restAfter } = last.schedule;
    book.expect('played', 'rest in the player', ledger.restSamples, restAfter, { seqs });
  }
  const cleared = sumOf(conversation.cleared, ({ samples }) => samples);
  book.expect('played', 'samples cleared', ledger.clearedSamples, cleared, { seqs });
  // What the turns do not account for is the hello sound's.
  for (const stage of ['pushed', 'played'] as const) {
    book.count(stage, ledger[`${stage}Samples`] - book.counted(stage), null);
  }
  const lost = {
    cleared: ledger.clearedSamples - discarded,
    holdDiscarded: discarded,
    queued: ledger.queuedSamples,
    held: ledger.heldSamples,
    rest: ledger.restSamples,
  };
  for (const cause of Object.keys(lost) as (keyof typeof lost)[]) {
    book.explain(cause, -lost[cause] - book.explained(cause), null);
  }
  const { pushedSamples: pushed, clearedSamples, queuedSamples, heldSamples, restSamples } = ledger;
  const owed = pushed - clearedSamples - queuedSamples - heldSamples - restSamples;
  book.expect('played', 'samples the player played', ledger.playedSamples, owed, { seqs });
  return true;
}

/**
 * Audio held back is handed over or thrown away as a whole, and not always in the turn it came in
 * (quirk Q21).
 */
function accountHold(
  { handledAudio, discardedHold, heldAtEnd }: Conversation,
  playbacks: readonly Playback[],
  turnOf: (audio: HandledAudio) => LedgerTurn,
  book: SampleBook,
): void {
  type Happening = Mark &
    (
      | { readonly what: 'held'; readonly turn: LedgerTurn; readonly samples: number }
      | { readonly what: 'released'; readonly turn: LedgerTurn }
      | { readonly what: 'discarded' }
    );
  const happenings: Happening[] = [
    ...handledAudio
      .filter(({ disposition }) => disposition === 'held')
      .map((audio) => ({ ...audio, what: 'held' as const, turn: turnOf(audio) })),
    ...playbacks
      .filter(({ board }) => board.ended !== null && board.releasedSamples > 0)
      .map(({ sentence, board }) => ({
        ...board.ended!,
        what: 'released' as const,
        turn: sentence.turn,
      })),
    ...discardedHold.map((mark) => ({ ...mark, what: 'discarded' as const })),
  ];
  let hold: { readonly turn: LedgerTurn; readonly samples: number }[] = [];
  for (const happening of happenings.sort(byTime)) {
    if (happening.what === 'held') {
      hold.push(happening);
      continue;
    }
    for (const { turn, samples } of hold) {
      if (happening.what === 'discarded') book.explain('holdDiscarded', -samples, turn);
      else if (turn !== happening.turn) {
        book.explain('heldOver', -samples, turn);
        book.explain('heldOver', samples, happening.turn);
      }
    }
    hold = [];
  }
  if (heldAtEnd > 0) for (const { turn, samples } of hold) book.explain('held', -samples, turn);
}

/** What a sentence handed to the player, and the rest in front of it, is played, cleared, or a rest. */
function accountSentence(
  { sentence, board, schedule }: Playback,
  queuedAtEnd: boolean,
  book: SampleBook,
): void {
  const { turn } = sentence;
  const pushed = pushedSamples(board);
  if (schedule === null) {
    if (queuedAtEnd) book.explain('queued', -pushed, turn);
    return;
  }
  const { restBefore, restAfter, clearedSamples, chunks, paddedSamples } = schedule;
  const played = chunks * chunkSamples - paddedSamples;
  const left = restBefore + pushed - restAfter - clearedSamples - played;
  book.count('played', played, turn);
  book.explain('rest', restBefore - restAfter, turn);
  book.explain('cleared', -clearedSamples, turn);
  const restart = board.boot.endedUs !== null;
  const restCleared = board.cleared !== null && !board.boot.rules.clearKeepsRest;
  if (restart || restCleared) book.explain('cleared', -left, turn);
  else if (queuedAtEnd) book.explain('queued', -left, turn);
}

function sumOf<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
