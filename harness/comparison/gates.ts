/** The gates that are in force when nobody says otherwise, and how rules of different origin come together. */
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { type GateRule, readGate } from '../scenario/gate.ts';

/**
 * Later, choppier, shorter, and answers that are missing. Written as in a `[gate]` table. A cycle of the player, 16 ms,
 * is the least by which underruns can get longer.
 */
export const defaultGates: Readonly<Record<string, string>> = {
  'audible_at_speaker_ms.p50': '+5%',
  'ttfb_ms.p50': '+5%',
  'underruns.total_ms': '+16ms',
  'audio_seconds.played': '-1%',
  'turns.failed': '+0',
};

/** @throws {RangeError} for a rule that no reader of files has let through */
export function gateRule(metric: string, tolerance: string): GateRule {
  const rule = readGate(metric, tolerance, metricCatalog);
  if ('limits' in rule) return rule;
  throw new RangeError(`${rule.message}: ${rule.hint}`);
}

/** Later rules take the place of earlier ones about the same metric. */
export function rulesInForce(...sources: readonly (readonly GateRule[])[]): GateRule[] {
  const byMetric = new Map(
    [...defaultRules(), ...sources.flat()].map((rule) => [rule.metric, rule]),
  );
  return [...byMetric.values()].filter(({ limits }) => limits.length > 0);
}

function defaultRules(): GateRule[] {
  return Object.entries(defaultGates).map(([metric, tolerance]) => gateRule(metric, tolerance));
}
