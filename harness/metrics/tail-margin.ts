import { byTime, type Conversation, type Turn } from './conversation.ts';
import { type Playback, positionToUs, wasCleared } from './playback.ts';

export interface TailMargin {
  /** End of playout to the board leaving Speaking; negative: the state changed over the voice. */
  readonly marginUs: number;
  readonly seqs: readonly number[];
}

/** Null when nothing was played, the board never left Speaking, or the answer was interrupted. */
export function measureTailMargin(
  turn: Turn,
  playbacks: readonly Playback[],
  conversation: Conversation,
): TailMargin | null {
  const own = playbacks.filter(({ sentence }) => sentence.turn === turn.number);
  if (own.some(wasCleared)) return null;
  const last = own.filter(({ endPosition }) => endPosition !== null).at(-1);
  const lastStarted = own.at(-1)?.board.started;
  if (last === undefined || lastStarted === undefined) return null;
  const left = conversation.stateChanges.find(
    (change) =>
      change.from === 'Speaking' && change.to !== 'Speaking' && byTime(change, lastStarted) > 0,
  );
  if (left === undefined) return null;
  return {
    marginUs: left.atUs - positionToUs(conversation, last.endPosition!),
    seqs: [(last.board.drained ?? last.board.playStart!).seq, left.seq],
  };
}
