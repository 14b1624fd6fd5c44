/** A soak for a person. */

import type { LoadFigures } from './load-figures.ts';
import { percentilesMs } from './load-report.ts';
import {
  isFlat,
  residentShare,
  type SoakSeries,
  type SoakVerdict,
  soakLimits,
  soakSeries,
} from './soak.ts';

const names: Readonly<Record<SoakSeries, string>> = {
  heapBytes: 'heap',
  externalBytes: 'outside of the heap',
  residentBytes: 'resident memory',
  handles: 'handles',
  listeners: 'listeners',
};

export function soakText(figures: LoadFigures, verdicts: readonly SoakVerdict[]): string {
  const { boards, devices, ranMs, wallMs, time } = figures;
  const { p50, p99 } = percentilesMs(boards.audible);
  const failures = Object.entries(boards.failures)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${kind} ${count}`);
  return [
    `${devices} boards, ${span(ranMs)} of ${time} time in ${span(wallMs)}: ${boards.conversations} conversations, ${boards.turns} turns, ` +
      `${boards.failed} failed${failures.length === 0 ? '' : ` (${failures.join(', ')})`}, ${boards.connections} connections, ${boards.restarts} restarts`,
    `first sound p50 ${ms(p50)}, p99 ${ms(p99)}; ${boards.voices.own} windows of a board's own voice, ${boards.voices.foreign} of another one's`,
    ...failedLines(figures),
    ...verdicts.flatMap(verdictLines),
  ].join('\n');
}

/** Boards with most failures: each has one scenario and one network, with which it can be held alone. */
const failedBoardsMax = 5;

function failedLines({ eachBoard }: LoadFigures): string[] {
  const failed = eachBoard
    .filter((one) => one.failed > 0)
    .sort((a, b) => b.failed - a.failed || a.board - b.board);
  const more = failed.length - failedBoardsMax;
  return [
    ...failed
      .slice(0, failedBoardsMax)
      .map(
        ({ board, scenario, device, network, turns, failed: count }) =>
          `  board ${board} (${scenario}, ${device}, ${network}): ${count} of ${turns} turns failed`,
      ),
    ...(more > 0 ? [`  and ${more} more boards`] : []),
  ];
}

function verdictLines(verdict: SoakVerdict): string[] {
  const { process: name, left, samples, series } = verdict;
  const open = Object.entries(left).map(([kind, count]) => `${count} ${kind}`);
  const counted = series.heapBytes.n;
  return [
    '',
    `${name}: ${isFlat(verdict) ? 'flat' : 'NOT FLAT'} (${counted} samples behind ${samples.length - counted} of warming up)`,
    ...soakSeries.map((one) => `  ${names[one].padEnd(21)}${seriesText(verdict, one)}`),
    `  left open at the end ${open.length === 0 ? 'nothing' : open.join(', ')}`,
  ];
}

function seriesText({ series, conversationsPerHour }: SoakVerdict, one: SoakSeries): string {
  const { level, hours, perHour, low, high, growth } = series[one];
  const shown = one.endsWith('Bytes') ? bytes : plain;
  const start = `${shown(level).padStart(10)}  ${growth.padEnd(9)}`;
  if (one === 'residentBytes') {
    return (
      `${start}  ${shown(perHour * hours)} in all, 95 % between ${shown(low * hours)} and ${shown(high * hours)}; ` +
      `limit ${shown(residentShare * level)}`
    );
  }
  const [middle, least, most] = [perHour, low, high].map((value) =>
    shown(value / conversationsPerHour),
  );
  return (
    `${start}  ${middle} per conversation, 95 % between ${least} and ${most}; limit ${shown(soakLimits[one])} ` +
    `(${shown(perHour)} per hour)`
  );
}

function bytes(value: number): string {
  const size = Math.abs(value);
  if (size < 10 * 1024) return `${value.toFixed(0)} B`;
  if (size < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

const plain = (value: number): string => value.toFixed(3);

const ms = (value: number | null): string => (value === null ? '–' : `${value.toFixed(0)} ms`);

function span(durationMs: number): string {
  const minutes = durationMs / 60_000;
  if (minutes < 2) return `${(durationMs / 1000).toFixed(0)} s`;
  return minutes < 120 ? `${minutes.toFixed(1)} min` : `${(minutes / 60).toFixed(1)} h`;
}
