import { type AudibilitySettings, findAudible } from './audibility.ts';
import { byTime, type Conversation, type Mark, type Turn } from './conversation.ts';
import { type Playback, positionToUs, usToPosition, wasCleared } from './playback.ts';
import type { RecordedCell } from './recorded-cell.ts';

export interface StopLatency {
  /** The user's act that interrupted: first word of the next utterance, or a key. */
  readonly interrupt: Mark;
  /** Interrupt to the last audible sample of the interrupted answer; 0 when it was silent already. */
  readonly durationUs: number;
}

/**
 * How long an interrupted answer went on sounding; null when the turn's answer was not interrupted.
 * Up to 255 samples stay in the player and come out with the next sound; they are not counted here.
 */
export function measureStopLatency(
  turn: Turn,
  playbacks: readonly Playback[],
  conversation: Conversation,
  cell: RecordedCell,
  audibility: AudibilitySettings,
): StopLatency | null {
  const own = playbacks.filter(({ sentence }) => sentence.turn === turn.number);
  const stopped = stoppedAt(turn, own);
  const began = own.find(({ board }) => board.playStart !== null)?.board.started;
  if (stopped === null || began === undefined) return null;
  const interrupt = conversation.turns
    .flatMap((other) => [...other.presses, ...(other === turn ? [] : optional(other.speechStart))])
    .filter(({ atUs }) => atUs >= began.atUs && atUs <= stopped.atUs)
    .sort(byTime)
    .at(-1);
  if (interrupt === undefined) return null;
  const from = usToPosition(conversation, interrupt.atUs);
  let durationUs = 0;
  for (const { startPosition, endPosition } of own) {
    if (startPosition === null) continue;
    const end = endPosition ?? cell.speaker.length;
    const range = findAudible(cell.speaker, Math.max(from, startPosition), end, audibility);
    if (range !== null) {
      durationUs = positionToUs(conversation, range.last + 1) - interrupt.atUs;
    }
  }
  return { interrupt: { atUs: interrupt.atUs, seq: interrupt.seq }, durationUs };
}

/** The moment at which board or server gave the answer up. */
function stoppedAt(turn: Turn, own: readonly Playback[]): Mark | null {
  const cleared = own.find(wasCleared)?.board.cleared;
  if (cleared != null) return cleared;
  if (turn.interrupted !== null) return turn.interrupted;
  return turn.serverTurns.find(({ ended }) => ended?.outcome === 'interrupted')?.ended ?? null;
}

function optional(mark: Mark | null): Mark[] {
  return mark === null ? [] : [mark];
}
