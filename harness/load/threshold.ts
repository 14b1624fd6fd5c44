/** What a load run is held to: `late_cycles<1%`, `audible_at_speaker_ms.p99<=2500`. */
import { nearestName } from '../../adapters/nearest-name.ts';
import type { LoadMetrics } from './load-report.ts';

export interface Threshold {
  /** As written. */
  readonly rule: string;
  readonly metric: ThresholdMetric;
  readonly operator: '<' | '<=' | '>' | '>=';
  /** Of shares: 0.01 for 1 %. */
  readonly limit: number;
}

export interface ThresholdResult {
  readonly rule: string;
  /** What was measured; null: there was nothing to measure, and the threshold is broken. */
  readonly value: number | null;
  readonly passed: boolean;
}

type Percentile = 'p50' | 'p90' | 'p99' | 'max';
export type ThresholdMetric =
  | 'late_cycles'
  | 'failed'
  | 'refused'
  | 'foreign_voices'
  | 'underruns_per_turn'
  | 'messages_per_second'
  | 'speed'
  | `${'audible_at_speaker_ms' | 'ttfb_ms'}.${Percentile}`;

const readers: Readonly<Record<ThresholdMetric, (metrics: LoadMetrics) => number | null>> = {
  late_cycles: ({ late_cycles: { share } }) => share,
  failed: ({ turns: { failed_share: share } }) => share,
  refused: ({ boards: { refused } }) => refused,
  foreign_voices: ({ voices }) => voices?.foreign ?? null,
  underruns_per_turn: ({ underruns: { per_turn: value } }) => value,
  messages_per_second: (metrics) => metrics.messages_per_second,
  speed: ({ speed }) => speed,
  'audible_at_speaker_ms.p50': ({ audible_at_speaker_ms: { p50 } }) => p50,
  'audible_at_speaker_ms.p90': ({ audible_at_speaker_ms: { p90 } }) => p90,
  'audible_at_speaker_ms.p99': ({ audible_at_speaker_ms: { p99 } }) => p99,
  'audible_at_speaker_ms.max': ({ audible_at_speaker_ms: { max } }) => max,
  'ttfb_ms.p50': ({ ttfb_ms: { p50 } }) => p50,
  'ttfb_ms.p90': ({ ttfb_ms: { p90 } }) => p90,
  'ttfb_ms.p99': ({ ttfb_ms: { p99 } }) => p99,
  'ttfb_ms.max': ({ ttfb_ms: { max } }) => max,
};

export const thresholdMetrics = Object.keys(readers) as readonly ThresholdMetric[];
const shares: readonly ThresholdMetric[] = ['late_cycles', 'failed'];

/**
 * Reads a rule.
 *
 * @returns what is wrong with it, as a sentence and what to try, when something is
 */
export function readThreshold(
  rule: string,
): Threshold | { readonly problem: string; readonly hint: string } {
  const parts = /^\s*([\w.]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(%)?\s*$/.exec(rule);
  if (parts === null) {
    return {
      problem: `"${rule}" is no threshold.`,
      hint: 'a threshold is a metric, <, <=, > or >=, and a number: late_cycles<1%, audible_at_speaker_ms.p99<=2500',
    };
  }
  const [, name = '', operator, digits, percent] = parts;
  const metric = thresholdMetrics.find((known) => known === name);
  if (metric === undefined) {
    const meant = nearestName(name, thresholdMetrics);
    return {
      problem: `A load run has no metric "${name}"${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
      hint: `metrics: ${thresholdMetrics.join(', ')}`,
    };
  }
  const isShare = shares.includes(metric);
  if (percent !== undefined && !isShare) {
    return {
      problem: `${metric} is no share: "${rule}" has a %.`,
      hint: `shares: ${shares.join(', ')}`,
    };
  }
  if (percent === undefined && isShare && Number(digits) > 1) {
    return {
      problem: `${metric} is a share, and ${digits} of it is more than all.`,
      hint: `with a %: ${metric}${operator}${digits}%`,
    };
  }
  const limit = Number(digits) / (percent === undefined ? 1 : 100);
  return { rule: rule.trim(), metric, operator: operator as Threshold['operator'], limit };
}

/** What a run is held to when nothing else is said. */
export function defaultThresholds(time: 'virtual' | 'real', checksVoices: boolean): string[] {
  return [
    ...(time === 'real' ? ['late_cycles<1%'] : []),
    'failed<1%',
    'refused<=0',
    ...(checksVoices ? ['foreign_voices<=0'] : []),
  ];
}

export function judge(thresholds: readonly Threshold[], metrics: LoadMetrics): ThresholdResult[] {
  return thresholds.map(({ rule, metric, operator, limit }) => {
    const value = readers[metric](metrics);
    const passed =
      value !== null &&
      { '<': value < limit, '<=': value <= limit, '>': value > limit, '>=': value >= limit }[
        operator
      ];
    return { rule, value, passed };
  });
}
