import type { MetricDefinition, MetricUnit } from '../metrics/metric-catalog.ts';
import type { Observation } from '../metrics/observations.ts';

const shownMax = 5;

/**
 * Observations in one line, for example
 * `sentence 3 at 4.312 s of speaker.wav (48 ms, seq 512, 514); sentence 4 …`. After five of them
 * only their number is given.
 */
export function describe(
  observations: readonly Observation[],
  definition: MetricDefinition,
): string {
  const unit = unitOf(definition);
  const shown = observations
    .slice(0, shownMax)
    .map((observation) => describeOne(observation, unit));
  const more = observations.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

/** Numbers with at most three decimals, text in quotes. */
export function describeValue(value: number | string | boolean): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000);
  return typeof value === 'string' ? `"${value}"` : String(value);
}

/** Lists that stand behind counts hold lengths, or a note each. */
function unitOf({ unit, family }: MetricDefinition): MetricUnit | null {
  if (family.evidence === undefined) return unit === 'count' ? family.unit : unit;
  if (family.evidence === 'underruns' || family.evidence === 'lead_silence_ms') return 'ms';
  return family.evidence === 'conservation.unexplained_samples' ? 'samples' : null;
}

function describeOne(observation: Observation, unit: MetricUnit | null): string {
  const { turn, sentence, request, position, note, seqs } = observation;
  const place = [
    ...(turn === null ? [] : [`turn ${turn}`]),
    ...(sentence === undefined ? [] : [`sentence ${sentence}`]),
    ...(request === undefined ? [] : [`request ${request}`]),
  ].join(' ');
  const heard =
    position === undefined ? '' : ` at ${(position / 16_000).toFixed(3)} s of speaker.wav`;
  const plain = unit === 'count' || unit === 'ratio' || unit === null;
  const amount = `${describeValue(observation.value)}${plain ? '' : ` ${unit}`}`;
  const details = [
    ...(unit === null ? [] : [amount]),
    ...(note === undefined ? [] : [note]),
    ...(seqs.length === 0 ? [] : [`seq ${seqs.join(', ')}`]),
  ].join(', ');
  return `${place}${heard} (${details})`.trim();
}
