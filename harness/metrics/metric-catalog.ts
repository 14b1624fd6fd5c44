/**
 * Every metric there is, as data: the scenario loader validates `[expect]` paths with it, reports
 * take their units from it and the documentation is generated from it. A distribution `x` has the
 * paths `x.p50`, `x.p95`, `x.max`, `x.min`, `x.mean` and `x.n`.
 */
import { distributionStatistics } from './distribution.ts';

export type MetricUnit = 'ms' | 's' | 'count' | 'samples' | 'ratio' | 'LUFS' | 'dBFS' | 'class';

export interface MetricFamily {
  readonly name: string;
  readonly kind: 'distribution' | 'number' | 'text';
  readonly unit: MetricUnit;
  /** One line: from what to what. */
  readonly definition: string;
  /** What one value of it stands for. */
  readonly per: 'turn' | 'sentence' | 'request' | 'seam' | 'chunk' | 'onset' | 'cell';
  /** Whether one turn alone has it, too. */
  readonly inTurn: boolean;
  /** List of observations that shows it, when that is another one than its own. */
  readonly evidence?: string;
  /** In which direction it gets worse: later, choppier, shorter. Null: in neither by itself, such as loudness. */
  readonly worse: 'higher' | 'lower' | null;
}

/**
 * Raise it when the same recording gives another number than before: a definition has changed. Numbers of different
 * versions are not compared without saying so.
 */
export const metricsVersion = 1;

/** Families, beside those of requests and their chunks, that an external server keeps to itself. */
const serverFamilies: ReadonlySet<string> = new Set([
  'end_of_turn_ms',
  'first_text_ms',
  'sentence_ready_ms',
  'handover_ms',
  'text_optimization_ms',
  'connect_ms',
  'server_hold_ms',
  'downlink_ms',
  'requests.count',
  'requests.failed',
  'requests.reused',
  'requests.not_streaming',
  'conservation.padded_samples',
  'conservation.lost_samples',
  'conservation.interrupted_samples',
  'conservation.in_flight_samples',
  'audio_seconds.provider',
  'audio_seconds.sent',
  'loudness_lufs',
  'peak_dbfs',
  'clipped_samples',
  'dc_offset',
  'clicks',
]);

/** Whether the family rests on what server or provider report, which an external server does not. */
export function restsOnServer({ name, per }: MetricFamily): boolean {
  return per === 'request' || per === 'chunk' || serverFamilies.has(name);
}

export interface MetricDefinition {
  /** As written in `[expect]`. */
  readonly path: string;
  readonly family: MetricFamily;
  readonly statistic: (typeof distributionStatistics)[number] | null;
  readonly unit: MetricUnit;
  readonly definition: string;
  readonly valueType: 'number' | 'text';
}

type UndirectedFamily = Omit<MetricFamily, 'worse'>;

function span(name: string, definition: string): UndirectedFamily {
  return { name, kind: 'distribution', unit: 'ms', definition, per: 'turn', inTurn: true };
}

function number(
  name: string,
  unit: MetricUnit,
  definition: string,
  more: Partial<UndirectedFamily> = {},
): UndirectedFamily {
  return { name, kind: 'number', unit, definition, per: 'cell', inTurn: true, ...more };
}

function spread(
  name: string,
  unit: MetricUnit,
  per: MetricFamily['per'],
  definition: string,
): UndirectedFamily {
  return { name, kind: 'distribution', unit, definition, per, inTurn: true };
}

const cellOnly = { inTurn: false } as const;

const lowerIsWorse: ReadonlySet<string> = new Set([
  'tail_margin_ms',
  'audio_seconds.provider',
  'audio_seconds.sent',
  'audio_seconds.played',
  'requests.reused',
  'turns.ok',
]);

const neitherIsWorse: ReadonlySet<string> = new Set([
  'unattributed_ms',
  'echo_correlation',
  'seam_ms',
  'pause_ms',
  'chunks',
  'burst_share',
  'requests.count',
  'loudness_lufs',
  'peak_dbfs',
  'dc_offset',
  'speaker_loudness_lufs',
  'speaker_peak_dbfs',
  'turns.total',
  'turns.interrupted',
  'failure.kind',
]);

const undirectedFamilies: readonly UndirectedFamily[] = [
  span(
    'audible_at_speaker_ms',
    'the user’s last voiced sample at the microphone → first audible sample leaves the player',
  ),
  span(
    'end_of_turn_ms',
    'the user’s last voiced sample → server decides that the user has finished',
  ),
  span('first_text_ms', 'end of turn → first character of the reply'),
  span('sentence_ready_ms', 'first character of the reply → sentence handed to the adapter'),
  span(
    'handover_ms',
    'sentence handed to the adapter → request bytes written, without text optimization and connecting',
  ),
  span(
    'text_optimization_ms',
    'rewriting the sentence by a chat model before it is spoken; 0 where none does',
  ),
  span(
    'connect_ms',
    'connecting, as far as the sentence waited for it; 0 when reused or opened ahead',
  ),
  spread(
    'ttfb_ms',
    'ms',
    'request',
    'request bytes written → first audio byte (headers do not count)',
  ),
  spread(
    'ttfa_ms',
    'ms',
    'request',
    'request bytes written → arrival of the chunk with the first audible sample',
  ),
  span('server_hold_ms', 'first audio byte → first audio frame written to the board'),
  span('downlink_ms', 'first audio frame written → handled by the board'),
  span('play_start_ms', 'first audio frame handled → first sample leaves the player'),
  span(
    'lead_silence_ms',
    'first sample leaves the player → first audible sample leaves the player',
  ),
  span('unattributed_ms', 'part of audible_at_speaker_ms that no span covers, for lack of marks'),
  number('lead_silence_ms', 'ms', 'the same as lead_silence_ms.p50', {
    evidence: 'lead_silence_ms',
  }),
  spread(
    'handshake_ms',
    'ms',
    'request',
    'request decided → connection usable, new connections only',
  ),
  span('tail_margin_ms', 'last sample of the answer → board leaves Speaking; negative: cut off'),
  span('stop_latency_ms', 'interrupt → last audible sample of the interrupted answer'),

  number('stale_samples', 'samples', 'audio of a given-up sentence played with a later one', {
    evidence: 'stale_samples',
  }),
  number('interrupts.unprovoked', 'count', 'interruptions by voice while no user spoke', {
    evidence: 'interrupts.unprovoked',
  }),
  spread(
    'echo_correlation',
    'ratio',
    'onset',
    'likeness of microphone and speaker when the board found speech while it played and no user spoke',
  ),

  number('underruns.count', 'count', 'runs of empty player cycles inside sentences', {
    evidence: 'underruns',
  }),
  number('underruns.total_ms', 'ms', 'total length of the underruns', { evidence: 'underruns' }),
  number('underruns.longest_ms', 'ms', 'length of the longest underrun; 0 without one', {
    evidence: 'underruns',
  }),
  number(
    'underruns.unverified',
    'count',
    'sentences whose underruns the recomputation contradicts',
    {
      evidence: 'underruns.unverified',
    },
  ),
  spread(
    'prebuffer_needed_ms',
    'ms',
    'sentence',
    'smallest start delay with which this arrival pattern has no underrun',
  ),
  spread(
    'seam_ms',
    'ms',
    'seam',
    'last chunk of a sentence → first chunk of the next, within a turn',
  ),
  spread('pause_ms', 'ms', 'seam', 'last audible sample of a sentence → first audible of the next'),

  spread('rtf', 'ratio', 'request', '(request written → last audio byte) / duration of its audio'),
  spread('chunks', 'count', 'request', 'chunks with audio per provider request'),
  spread('chunk_gap_ms', 'ms', 'chunk', 'time between consecutive chunks of one request'),
  spread(
    'burst_share',
    'ratio',
    'request',
    'share of the audio within the first tenth of its delivery time',
  ),
  spread('provider_lead_silence_ms', 'ms', 'request', 'silence in front of the provider’s clip'),
  spread('provider_tail_silence_ms', 'ms', 'request', 'silence at the end of the provider’s clip'),
  number('requests.count', 'count', 'provider requests', { evidence: 'requests' }),
  number('requests.failed', 'count', 'provider requests that failed', { evidence: 'failure' }),
  number('requests.reused', 'count', 'requests on a connection that was already open'),
  number(
    'requests.not_streaming',
    'count',
    'clips over 2 s with less than a tenth of the time between first and last byte',
    { evidence: 'requests.not_streaming' },
  ),

  number('conservation.unexplained_samples', 'samples', 'samples lost or gained without a cause', {
    ...cellOnly,
    evidence: 'conservation.unexplained_samples',
  }),
  ...(
    [
      ['padded_samples', 'zeros added to fill last frames'],
      ['lost_samples', 'dropped by the framer (lossy mode, cut sentences)'],
      ['interrupted_samples', 'taken from the provider but never framed'],
      ['in_flight_samples', 'written but never received'],
      ['dropped_samples', 'thrown away by the board because of its state, or not decodable'],
      ['cleared_samples', 'queued in the player and thrown away by an interruption'],
      ['rest_samples', 'left in the player because they fill no chunk'],
    ] as const
  ).map(([name, definition]) => number(`conservation.${name}`, 'samples', definition, cellOnly)),

  number('audio_seconds.provider', 's', 'audio the provider delivered'),
  number('audio_seconds.sent', 's', 'audio in the frames written, padding included'),
  number('audio_seconds.played', 's', 'audio of the answers that left the player, gaps left out'),
  number('audio_seconds.silence', 's', 'part of audio_seconds.played that is not audible'),

  number('loudness_lufs', 'LUFS', 'integrated loudness of the provider’s audio (EBU R128)'),
  number('peak_dbfs', 'dBFS', 'sample peak of the provider’s audio'),
  number('clipped_samples', 'samples', 'full-scale samples in the provider’s audio'),
  number('dc_offset', 'ratio', 'mean of the provider’s audio, full scale = 1'),
  number('clicks', 'count', 'isolated steps in the provider’s audio', { evidence: 'clicks' }),
  number('speaker_loudness_lufs', 'LUFS', 'integrated loudness of the answers as played'),
  number('speaker_peak_dbfs', 'dBFS', 'sample peak of the answers as played'),
  number('speaker_clipped_samples', 'samples', 'full-scale samples in the answers as played'),

  number(
    'host.lag_p99_ms',
    'ms',
    'how late this computer was for what was due, real time only',
    cellOnly,
  ),
  number('host.lag_max_ms', 'ms', 'the same, at most', cellOnly),

  number('turns.total', 'count', 'turns of the scenario that began', cellOnly),
  number('turns.ok', 'count', 'turns whose answer was heard to its end', cellOnly),
  number('turns.interrupted', 'count', 'turns whose answer the user cut off', cellOnly),
  number('turns.failed', 'count', 'turns that failed', { ...cellOnly, evidence: 'failure' }),
  number('failure.count', 'count', 'failed turns', { evidence: 'failure' }),
  {
    ...number('failure.kind', 'class', 'class of the first failure, or "none"', {
      evidence: 'failure',
    }),
    kind: 'text',
  },
];

export const metricFamilies: readonly MetricFamily[] = undirectedFamilies.map((family) => ({
  ...family,
  worse: neitherIsWorse.has(family.name)
    ? null
    : lowerIsWorse.has(family.name)
      ? 'lower'
      : 'higher',
}));

export const metricCatalog: readonly MetricDefinition[] = metricFamilies.flatMap(
  (family): MetricDefinition[] => {
    const { unit, definition } = family;
    if (family.kind !== 'distribution') {
      const valueType = family.kind;
      return [{ path: family.name, family, statistic: null, unit, definition, valueType }];
    }
    return distributionStatistics.map((statistic) => ({
      path: `${family.name}.${statistic}`,
      family,
      statistic,
      unit: statistic === 'n' ? 'count' : unit,
      definition,
      valueType: 'number',
    }));
  },
);

const byPath = new Map(metricCatalog.map((definition) => [definition.path, definition]));

/** Undefined when there is no such metric. */
export function metricDefinition(path: string): MetricDefinition | undefined {
  return byPath.get(path);
}
