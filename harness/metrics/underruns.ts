import type { Conversation } from './conversation.ts';
import { type Playback, positionToUs, pushedSamples } from './playback.ts';
import { chunkSamples, cycleUs } from './player-schedule.ts';
import type { RecordedCell } from './recorded-cell.ts';

/** A run of player cycles with an empty queue between a sentence's first chunk and its end marker. */
export interface Underrun {
  readonly turn: number | null;
  /** The server's number, or the board's own when the server's is unknown. */
  readonly sentence: number;
  /** Index into `speaker` of its first zero. */
  readonly position: number;
  readonly atUs: number;
  readonly cycles: number;
  readonly durationUs: number;
  /** Nothing of the sentence follows: the player waited for the end marker only. */
  readonly trailing: boolean;
  readonly seqs: readonly number[];
}

export interface SentenceUnderruns {
  readonly turn: number | null;
  readonly sentence: number;
  readonly underruns: readonly Underrun[];
  /**
   * Whether the board's account agrees with the recomputation; null when there is nothing to
   * recompute from (no player events, or the rest before the sentence is unknown).
   */
  readonly verified: boolean | null;
  /** What does not agree, in words with both numbers. */
  readonly disagreements: readonly string[];
  readonly seqs: readonly number[];
}

/**
 * The board's underruns per sentence, each checked in three ways that do not use the board's
 * player: the closed formulas applied to the instants at which messages were handled; the balance
 * "positions passed = chunks + empty cycles"; and the zeros in `speaker` itself.
 */
export function measureUnderruns(
  conversation: Conversation,
  playbacks: readonly Playback[],
  cell: RecordedCell,
): SentenceUnderruns[] {
  return playbacks.map((playback) => {
    const { sentence, board } = playback;
    const number = sentence.number ?? board.number;
    const underruns = board.underruns.map((run): Underrun => {
      const recordedEnd = board.cleared === null ? cell.speaker.length : playerEnd(playback);
      const cycles =
        run.cycles ?? Math.max(0, Math.floor((recordedEnd - run.position) / chunkSamples));
      return {
        turn: sentence.turn,
        sentence: number,
        position: run.position,
        atUs: positionToUs(conversation, run.position),
        cycles,
        durationUs: cycles * cycleUs,
        trailing: playback.endPosition !== null && run.position >= playback.endPosition,
        seqs: run.ended === null ? [run.started.seq] : [run.started.seq, run.ended.seq],
      };
    });
    const disagreements = disagreementsOf(playback, underruns, cell);
    const seqs = [board.started, board.playStart, board.drained].flatMap((mark) =>
      mark === null ? [] : [mark.seq],
    );
    return {
      turn: sentence.turn,
      sentence: number,
      underruns,
      verified:
        playback.schedule === null && !isEmpty(playback) ? null : disagreements.length === 0,
      disagreements,
      seqs,
    };
  });
}

/** Where an open underrun ends when the queue was cleared in it. */
function playerEnd(playback: Playback): number {
  const last = playback.schedule?.emptyRuns.at(-1);
  if (last === undefined) return 0;
  return (last.cycle + last.cycles) * chunkSamples + playback.board.boot.speakerOffset;
}

function isEmpty({ board }: Playback): boolean {
  return pushedSamples(board) === 0 && board.playStart === null && board.underruns.length === 0;
}

function disagreementsOf(
  { board, schedule }: Playback,
  underruns: readonly Underrun[],
  cell: RecordedCell,
): string[] {
  const found: string[] = [];
  const check = (what: string, reported: number | null, recomputed: number | null) => {
    if (reported === recomputed) return;
    found.push(`${what}: the board reports ${reported}, recomputed ${recomputed}`);
  };
  const toPosition = (cycle: number) => cycle * chunkSamples + board.boot.speakerOffset;

  if (schedule !== null) {
    const { firstCycle, endCycle, emptyRuns } = schedule;
    const first = firstCycle === null ? null : toPosition(firstCycle);
    check('first chunk at position', board.playStart?.position ?? null, first);
    check('number of underruns', underruns.length, emptyRuns.length);
    for (let i = 0; i < Math.min(underruns.length, emptyRuns.length); i++) {
      const [reported, recomputed] = [underruns[i]!, emptyRuns[i]!];
      check(`underrun ${i + 1} at position`, reported.position, toPosition(recomputed.cycle));
      check(`cycles of underrun ${i + 1}`, reported.cycles, recomputed.cycles);
    }
    if (board.drained !== null) {
      if (endCycle !== null) {
        check('end of the last chunk at position', board.drained.position, toPosition(endCycle));
      }
      check('rest in samples', board.drained.restSamples, schedule.restAfter);
    }
  }
  if (board.drained !== null && board.playStart !== null) {
    const inside = underruns.filter((run) => !run.trailing);
    const empty = inside.reduce((sum, run) => sum + run.cycles, 0);
    const passed = (board.drained.position - board.playStart.position) / chunkSamples;
    const rest = schedule?.restBefore ?? board.restReported;
    if (rest !== null) {
      const round = board.boot.rules.keepsRest ? Math.floor : Math.ceil;
      const chunks = round((rest + pushedSamples(board)) / chunkSamples);
      check('chunks played', passed - empty, chunks);
    }
  }
  for (const run of underruns) {
    const gap = cell.speaker.subarray(run.position, run.position + run.cycles * chunkSamples);
    if (gap.some((sample) => sample !== 0)) {
      found.push(`samples other than zero in the underrun at position ${run.position}`);
    }
  }
  return found;
}
