/** A soak for a person. */

import type { LoadFigures } from './load-figures.ts';
import { percentilesMs } from './load-report.ts';
import { isFlat, type SoakSeries, type SoakVerdict, soakSeries } from './soak.ts';

const names: Readonly<Record<SoakSeries, string>> = {
  heapBytes: 'heap after collection',
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
    ...verdicts.flatMap(verdictLines),
  ].join('\n');
}

function verdictLines(verdict: SoakVerdict): string[] {
  const { process: name, series, left, samples } = verdict;
  const open = Object.entries(left).map(([kind, count]) => `${count} ${kind}`);
  return [
    '',
    `${name}: ${isFlat(verdict) ? 'flat' : 'NOT FLAT'} (${samples.length} samples)`,
    ...soakSeries.map((one) => {
      const { level, perHour, low, high, growth } = series[one];
      const shown = one.endsWith('Bytes') ? bytes : plain;
      return (
        `  ${names[one].padEnd(22)}${shown(level).padStart(10)}  ${shown(perHour)} per hour, ` +
        `95 % between ${shown(low)} and ${shown(high)}: ${growth}`
      );
    }),
    `  left open at the end  ${open.length === 0 ? 'nothing' : open.join(', ')}`,
  ];
}

function bytes(value: number): string {
  const size = Math.abs(value);
  if (size < 10 * 1024) return `${value.toFixed(0)} B`;
  if (size < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

const plain = (value: number): string => value.toFixed(2);

const ms = (value: number | null): string => (value === null ? '–' : `${value.toFixed(0)} ms`);

function span(durationMs: number): string {
  const minutes = durationMs / 60_000;
  if (minutes < 2) return `${(durationMs / 1000).toFixed(0)} s`;
  return minutes < 120 ? `${minutes.toFixed(1)} min` : `${(minutes / 60).toFixed(1)} h`;
}
