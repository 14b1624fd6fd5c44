import { type AudibilitySettings, findAudible } from './audibility.ts';
import type { Playback } from './playback.ts';
import type { RecordedCell } from './recorded-cell.ts';

/** The joint between two sentences of one turn. */
export interface Seam {
  readonly turn: number | null;
  /** The later sentence. */
  readonly sentence: number;
  /** Index into `speaker` where the earlier sentence's last chunk ends. */
  readonly position: number;
  /** Samples between the last chunk of one sentence and the first chunk of the next. */
  readonly gapSamples: number;
  /** Last audible sample of one to first audible sample of the other; null when one is silent. */
  readonly pauseSamples: number | null;
  readonly seqs: readonly number[];
}

/** A rest that comes out at the start of the later sentence is counted as part of that sentence. */
export function measureSeams(
  playbacks: readonly Playback[],
  cell: RecordedCell,
  audibility: AudibilitySettings,
): Seam[] {
  const seams: Seam[] = [];
  const played = playbacks.filter(
    (p) => p.startPosition !== null && p.endPosition !== null && p.sentence.turn !== null,
  );
  for (let i = 1; i < played.length; i++) {
    const [before, after] = [played[i - 1]!, played[i]!];
    if (before.sentence.turn !== after.sentence.turn) continue;
    const heard = (p: Playback) =>
      findAudible(cell.speaker, p.startPosition!, p.endPosition!, audibility);
    const [earlier, later] = [heard(before), heard(after)];
    seams.push({
      turn: after.sentence.turn,
      sentence: after.sentence.number ?? after.board.number,
      position: before.endPosition!,
      gapSamples: after.board.playStart!.position - before.endPosition!,
      pauseSamples: earlier === null || later === null ? null : later.first - earlier.last - 1,
      seqs: [(before.board.drained ?? before.board.playStart!).seq, after.board.playStart!.seq],
    });
  }
  return seams;
}
