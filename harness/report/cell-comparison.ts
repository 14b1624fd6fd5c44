/** The numbers of the comparison tables: of one cell, or of several cells taken together. */
import { distribution, nearestRank } from '../metrics/distribution.ts';
import type { CellReport, MetricTree, TurnReport } from './run-report.ts';
import { spanMetricNames } from './run-report.ts';

/** What a comparison looks at of a cell. */
export interface ComparedCell extends Pick<CellReport, 'metrics' | 'values'> {
  readonly turns: readonly Pick<TurnReport, 'verdict'>[];
}

/** One row. Null: nothing was measured. */
export interface Comparison {
  readonly turnsAnswered: number;
  readonly turnsFailed: number;
  readonly audibleP50Ms: number | null;
  readonly audibleP95Ms: number | null;
  readonly ttfbP50Ms: number | null;
  readonly ttfaP50Ms: number | null;
  readonly underrunCount: number | null;
  readonly underrunTotalMs: number | null;
  readonly seamP50Ms: number | null;
  /** The largest: with it no sentence would have had an underrun. */
  readonly prebufferNeededMs: number | null;
  /** Audio that the provider delivered. */
  readonly providerSeconds: number | null;
  /** Of it, what the server dropped instead of sending it. */
  readonly lostMs: number | null;
  /** Zeros that the server added to fill packets. */
  readonly paddedMs: number | null;
  readonly playedSeconds: number | null;
  /** Of several cells the median. */
  readonly loudnessLufs: number | null;
}

/**
 * Percentiles are taken over the single values of all cells, never over percentiles; counts and
 * durations are added up. Cells that have no value are left out, which `turnsFailed` accounts for.
 */
export function compareCells(cells: readonly ComparedCell[]): Comparison {
  const values = (name: string) => distribution(cells.flatMap((cell) => cell.values[name] ?? []));
  const numbers = (path: string) => cells.flatMap((cell) => numberAt(cell.metrics, path) ?? []);
  const total = (path: string) => {
    const found = numbers(path);
    return found.length === 0 ? null : found.reduce((sum, value) => sum + value, 0);
  };
  const turns = cells.flatMap((cell) => cell.turns);
  const turnsFailed = turns.filter(({ verdict }) => verdict === 'failed').length;
  const loudness = numbers('loudness_lufs').sort((a, b) => a - b);
  const audible = values('audible_at_speaker_ms');
  return {
    turnsAnswered: turns.length - turnsFailed,
    turnsFailed,
    audibleP50Ms: audible?.p50 ?? null,
    audibleP95Ms: audible?.p95 ?? null,
    ttfbP50Ms: values('ttfb_ms')?.p50 ?? null,
    ttfaP50Ms: values('ttfa_ms')?.p50 ?? null,
    underrunCount: total('underruns.count'),
    underrunTotalMs: total('underruns.total_ms'),
    seamP50Ms: values('seam_ms')?.p50 ?? null,
    prebufferNeededMs: values('prebuffer_needed_ms')?.max ?? null,
    providerSeconds: total('audio_seconds.provider'),
    lostMs: milliseconds(total('conservation.lost_samples')),
    paddedMs: milliseconds(total('conservation.padded_samples')),
    playedSeconds: total('audio_seconds.played'),
    loudnessLufs: loudness.length === 0 ? null : nearestRank(loudness, 50),
  };
}

function milliseconds(samples: number | null): number | null {
  return samples === null ? null : samples / 16;
}

/** Null when the metric was not measured, or is a text or a whole distribution. */
export function numberAt(metrics: MetricTree, path: string): number | null {
  let found: MetricTree[string] | undefined = metrics;
  for (const name of path.split('.')) {
    found = typeof found === 'object' && found !== null ? found[name] : undefined;
  }
  return typeof found === 'number' ? found : null;
}

/** Where the time until the first audible sample went, on average over the turns that have one. */
export interface MeanSpans {
  readonly n: number;
  /** Whole milliseconds. */
  readonly audibleMs: number;
  /**
   * Whole milliseconds in the order of `spanMetricNames`; they add up to `audibleMs`. Null: no turn has
   * the span, which an external server does not tell.
   */
  readonly spansMs: readonly (number | null)[];
}

/** Null when no turn was heard. */
export function meanSpans(cells: readonly CellReport[]): MeanSpans | null {
  const turns = cells
    .flatMap((cell) => cell.turns)
    .filter(({ audible_at_speaker_ms }) => audible_at_speaker_ms !== null);
  if (turns.length === 0) return null;
  const exact = spanMetricNames.map(
    (name) => turns.reduce((sum, { spans }) => sum + (spans[name] ?? 0), 0) / turns.length,
  );
  const audibleMs = Math.round(
    turns.reduce((sum, turn) => sum + turn.audible_at_speaker_ms!, 0) / turns.length,
  );
  const known = spanMetricNames.map((name) => turns.some(({ spans }) => spans[name] !== null));
  const spansMs = roundTo(audibleMs, exact).map((value, i) => (known[i] ? value : null));
  return { n: turns.length, audibleMs, spansMs };
}

/** Rounded so that the sum is kept: what is missing goes to the largest remainders. */
export function roundTo(sum: number, values: readonly number[]): number[] {
  const rounded = values.map(Math.floor);
  const order = values
    .map((value, i) => ({ i, remainder: value - rounded[i]! }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  let missing = sum - rounded.reduce((a, b) => a + b, 0);
  for (const { i } of order) {
    if (missing <= 0) break;
    rounded[i]!++;
    missing--;
  }
  return rounded;
}
