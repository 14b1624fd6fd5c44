import { type AudibilitySettings, countAudible } from './audibility.ts';
import { distribution, distributionStatistics } from './distribution.ts';
import { integratedLoudnessLufs } from './loudness.ts';
import { metricFamilies, restsOnServer } from './metric-catalog.ts';
import { type Findings, type Observations, turnOfRequest } from './observations.ts';
import { chunkSamples } from './player-schedule.ts';
import type { DifferenceCause } from './sample-ledger.ts';
import { measureLevel } from './signal-level.ts';

/** A metric that could not be measured is null, never 0. */
export type MetricValue = number | string | null;
/** Keyed by the paths of `metricCatalog`, in its order. */
export type MetricSummary = Readonly<Record<string, MetricValue>>;

/**
 * @param turn the turn to sum up; null: the whole cell
 * @param sound as for `measureCell`
 */
export function summarize(
  findings: Findings,
  observations: Observations,
  turn: number | null,
  audibility: AudibilitySettings,
  sound: boolean,
): MetricSummary {
  const values = (family: string): number[] =>
    (observations[family] ?? [])
      .filter((observation) => turn === null || observation.turn === turn)
      .map(({ value }) => value);
  const scalars = new Map<string, MetricValue>([
    ['lead_silence_ms', distribution(values('lead_silence_ms'))?.p50 ?? null],
    ...underrunMetrics(findings, values, turn),
    ...requestMetrics(values),
    ...audioMetrics(findings, turn, audibility, sound, values('clicks').length),
    // Without the events of a board nobody knows.
    [
      'interrupts.unprovoked',
      findings.conversation.boots.length > 0 ? values('interrupts.unprovoked').length : null,
    ],
    [
      'stale_samples',
      findings.conversation.boots.length > 0
        ? values('stale_samples').reduce((sum, samples) => sum + samples, 0)
        : null,
    ],
    ...failureMetrics(findings, turn),
    ...(turn === null ? cellMetrics(findings) : []),
  ]);

  const external = findings.cell.header.server === 'external';
  const summary: Record<string, MetricValue> = {};
  for (const family of metricFamilies) {
    const unknown = external && restsOnServer(family);
    if (family.kind !== 'distribution') {
      if (turn === null || family.inTurn) {
        summary[family.name] = unknown ? null : (scalars.get(family.name) ?? null);
      }
      continue;
    }
    const measured = distribution(values(family.name));
    for (const statistic of distributionStatistics) {
      const empty = statistic === 'n' ? 0 : null;
      summary[`${family.name}.${statistic}`] = unknown ? null : (measured?.[statistic] ?? empty);
    }
  }
  return summary;
}

type Scalars = [string, MetricValue][];

function underrunMetrics(
  { underruns, playbacks }: Findings,
  values: (family: string) => number[],
  turn: number | null,
): Scalars {
  // Where nothing was played, "no underruns" would be a praise without a reason.
  const played = playbacks.some(
    ({ sentence, startPosition }) =>
      startPosition !== null && (turn === null || sentence.turn === turn),
  );
  const runs = values('underruns');
  const unverified = underruns.filter(
    (sentence) => sentence.verified === false && (turn === null || sentence.turn === turn),
  );
  return [
    ['underruns.count', played ? runs.length : null],
    ['underruns.total_ms', played ? runs.reduce((sum, value) => sum + value, 0) : null],
    ['underruns.longest_ms', played ? Math.max(0, ...runs) : null],
    ['underruns.unverified', played || unverified.length > 0 ? unverified.length : null],
  ];
}

function requestMetrics(values: (family: string) => number[]): Scalars {
  return [
    ['requests.count', values('requests').length],
    ['requests.reused', values('requests.reused').length],
    ['requests.not_streaming', values('requests.not_streaming').length],
  ];
}

function audioMetrics(
  { cell, conversation, playbacks }: Findings,
  turn: number | null,
  audibility: AudibilitySettings,
  sound: boolean,
  clicks: number,
): Scalars {
  const requests = conversation.requests.filter(
    (request) => turn === null || turnOfRequest(conversation, request) === turn,
  );
  const delivered = join(
    requests.flatMap(({ request }) => {
      const audio = cell.provider.get(request);
      return audio === undefined ? [] : [audio];
    }),
  );
  const heard = playbacks.filter(
    ({ sentence, startPosition, endPosition }) =>
      startPosition !== null && endPosition !== null && (turn === null || sentence.turn === turn),
  );
  let played = 0;
  let audible = 0;
  for (const { board, startPosition, endPosition } of heard) {
    const gaps = board.underruns.filter(({ position }) => position < endPosition!);
    played += endPosition! - startPosition!;
    played -= gaps.reduce((sum, { cycles }) => sum + (cycles ?? 0) * chunkSamples, 0);
    if (sound) audible += countAudible(cell.speaker, startPosition!, endPosition!, audibility);
  }
  const sent = conversation.sentences
    .filter((sentence) => turn === null || sentence.turn === turn)
    .flatMap(({ frames }) => frames)
    .reduce((sum, { samples }) => sum + samples, 0);
  const knowsBoard = conversation.boots.length > 0;
  const lengths: Scalars = [
    ['audio_seconds.provider', delivered.length / 16_000],
    ['audio_seconds.sent', (turn === null ? cell.sent.length : sent) / 16_000],
    ['audio_seconds.played', knowsBoard ? played / 16_000 : null],
  ];
  if (!sound) return lengths;
  const output = join(heard.map((p) => cell.speaker.subarray(p.startPosition!, p.endPosition!)));
  const level = measureLevel(delivered);
  const outputLevel = measureLevel(output);
  return [
    ...lengths,
    ['audio_seconds.silence', knowsBoard ? Math.max(0, played - audible) / 16_000 : null],
    ['loudness_lufs', integratedLoudnessLufs(delivered)],
    ['peak_dbfs', level?.peakDbfs ?? null],
    ['clipped_samples', level?.clippedSamples ?? null],
    ['dc_offset', level?.dcOffset ?? null],
    ['clicks', level === null ? null : clicks],
    ['speaker_loudness_lufs', integratedLoudnessLufs(output)],
    ['speaker_peak_dbfs', outputLevel?.peakDbfs ?? null],
    ['speaker_clipped_samples', outputLevel?.clippedSamples ?? null],
  ];
}

function failureMetrics({ turns, conversation }: Findings, turn: number | null): Scalars {
  const own = turns.filter((candidate) => turn === null || candidate.turn === turn);
  const failures = own.flatMap(({ failure }) => (failure === null ? [] : [failure]));
  const failedRequests = conversation.requests.filter(
    (request) =>
      request.failure !== null && (turn === null || turnOfRequest(conversation, request) === turn),
  );
  return [
    ['requests.failed', failedRequests.length],
    ['failure.count', failures.length],
    ['failure.kind', failures[0]?.kind ?? 'none'],
  ];
}

function cellMetrics({ turns, conservation, conversation }: Findings): Scalars {
  const outcomes = (outcome: string) => turns.filter((turn) => turn.outcome === outcome).length;
  const known = Object.values(conservation.stages).some((samples) => samples !== null);
  const lost = (...causes: DifferenceCause[]): number | null =>
    known
      ? conservation.differences
          .filter(({ cause }) => causes.includes(cause))
          .reduce((sum, { samples }) => sum + Math.abs(samples), 0)
      : null;
  return [
    ['conservation.unexplained_samples', known ? conservation.unexplainedSamples : null],
    ['conservation.padded_samples', lost('padding')],
    ['conservation.lost_samples', lost('lost', 'remainder', 'tail')],
    ['conservation.interrupted_samples', lost('interrupted')],
    ['conservation.in_flight_samples', lost('inFlight', 'unread')],
    ['conservation.dropped_samples', lost('dropped', 'rejected', 'holdDiscarded')],
    ['conservation.cleared_samples', lost('cleared')],
    ['conservation.rest_samples', lost('rest')],
    ['host.lag_p99_ms', conversation.lag === null ? null : conversation.lag.p99Us / 1000],
    ['host.lag_max_ms', conversation.lag === null ? null : conversation.lag.maxUs / 1000],
    ['turns.total', turns.length],
    ['turns.ok', outcomes('ok')],
    ['turns.interrupted', outcomes('interrupted')],
    ['turns.failed', outcomes('failed')],
  ];
}

function join(parts: readonly Int16Array[]): Int16Array {
  const joined = new Int16Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
