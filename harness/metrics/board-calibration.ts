/**
 * What the recordings of a real board tell of its constants. Everything here is a difference of the board's own
 * stamps within one boot, so neither our clock nor the way of the bytes is in it. Pure.
 */
import type { TraceEvent } from '../trace/trace-event.ts';
import { measureBoard } from './board-measurement.ts';
import { nearestRank } from './distribution.ts';
import type { RecordedCell } from './recorded-cell.ts';
import type { TwinPair } from './twin-comparison.ts';

export interface Calibration {
  /**
   * The main loop stands still for a redraw between `Start submitting audio` and `Submitted StartChat command`,
   * and does nothing else (EchoKit device protocol reference, sections 3.3 and 6.5).
   */
  readonly redrawUs: LearnedConstant | null;
  /** From the reset to the connection, whose handshake is in it: the stamp of the line that the audio worker starts (section 8.4). */
  readonly bootUs: LearnedConstant | null;
  /**
   * From `Received audio start` to `Received notify event`, what the board takes longer than the model; with the
   * board's own redraw in the model it is what playing costs beside the samples (section 8.5).
   */
  readonly sentenceOverheadUs: LearnedConstant | null;
  /** How much later than the model the board has a message: the way over the air, and our clock of the board. */
  readonly deliveryUs: LearnedConstant | null;
}

export interface LearnedConstant {
  readonly valueUs: number;
  /** Half the width of the interval that holds the value at about 95 %. */
  readonly errorUs: number;
  readonly n: number;
  /** 5th and 95th percentile of the single values. */
  readonly p5Us: number;
  readonly p95Us: number;
}

type Line = Extract<TraceEvent, { readonly source: 'serial'; readonly type: 'line' }>;

/** A stamp is rounded down, so a difference of two is wrong by up to this either way. */
const stampStepUs = 1000;

/**
 * @param cells recordings of one board
 * @param modelRedrawUs what the model of their shadow took for a redraw
 */
export function calibrate(cells: readonly RecordedCell[], modelRedrawUs: number): Calibration {
  const boots = cells.flatMap(({ events }) => bootsOf(events));
  const redraws = boots.flatMap((lines) =>
    differences(lines, 'Start submitting audio', 'Submitted StartChat command'),
  );
  const redrawUs = learned(redraws);
  const pairs = cells.map((cell) => measureBoard(cell)?.twin.pairs ?? []);
  // The model has drawn its own redraw before the sentence.
  const extraUs = (redrawUs?.valueUs ?? modelRedrawUs) - modelRedrawUs;
  return {
    redrawUs,
    bootUs: learned(boots.flatMap(connectStamps)),
    sentenceOverheadUs: learned(pairs.flatMap(sentenceOverheads).map((us) => us - extraUs)),
    deliveryUs: learned(
      pairs
        .flat()
        .flatMap(({ line, board, model }) =>
          line === 'Received StartAudio event' ? [board.atUs - model.atUs] : [],
        ),
    ),
  };
}

function bootsOf(events: readonly TraceEvent[]): Line[][] {
  const boots: Line[][] = [[]];
  for (const event of events) {
    if (event.source !== 'serial') continue;
    if (event.type === 'reset') boots.push([]);
    if (event.type === 'line' && event.ms !== undefined) boots.at(-1)!.push(event);
  }
  return boots;
}

/** From each line of the first kind to the next one of the second, when no other first one comes between. */
function differences(lines: readonly Line[], from: string, to: string): number[] {
  const found: number[] = [];
  let sinceMs: number | undefined;
  for (const { message, ms } of lines) {
    if (message === from) sinceMs = ms;
    if (message !== to || sinceMs === undefined) continue;
    found.push((ms! - sinceMs) * 1000);
    sinceMs = undefined;
  }
  return found;
}

function connectStamps(lines: readonly Line[]): number[] {
  const line = lines.find(({ message }) => message?.startsWith('Starting audio worker thread'));
  return line === undefined ? [] : [line.ms! * 1000];
}

function sentenceOverheads(pairs: readonly TwinPair[]): number[] {
  const found: number[] = [];
  let start: TwinPair | undefined;
  for (const pair of pairs) {
    if (pair.line === 'Received audio start') start = pair;
    if (pair.line !== 'Received notify event' || start === undefined) continue;
    const board = pair.board.atUs - start.board.atUs;
    const model = pair.model.atUs - start.model.atUs;
    found.push(board - model);
    start = undefined;
  }
  return found;
}

function learned(valuesUs: readonly number[]): LearnedConstant | null {
  const n = valuesUs.length;
  if (n === 0) return null;
  const sorted = [...valuesUs].sort((a, b) => a - b);
  const mean = valuesUs.reduce((sum, value) => sum + value, 0) / n;
  const variance =
    n < 2 ? 0 : valuesUs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return {
    valueUs: Math.round(mean),
    errorUs: Math.round((2 * Math.sqrt(variance) + stampStepUs) / Math.sqrt(n)),
    n,
    p5Us: nearestRank(sorted, 5),
    p95Us: nearestRank(sorted, 95),
  };
}
