import type { CellMeasurement } from '../metrics/measure.ts';
import {
  type MetricDefinition,
  metricDefinition,
  restsOnServer,
} from '../metrics/metric-catalog.ts';
import type { Observation } from '../metrics/observations.ts';
import type { MetricValue } from '../metrics/summary.ts';
import type { Expectation } from '../scenario/scenario.ts';
import { describe, describeValue } from './evidence.ts';

export interface Verdict {
  /**
   * `infra`: nothing the harness tests has failed, but the run itself did (interrupted, cut short,
   * a budget used up, a live provider out of reach, out of credit or without a valid key, a real board that
   * crashed or could not be reached). Such a run may be repeated; a failed one not.
   */
  readonly outcome: 'pass' | 'fail' | 'infra';
  readonly expectations: readonly ExpectationVerdict[];
  /** What went wrong beside the expectations, the expected ones marked as such. */
  readonly failures: readonly VerdictFailure[];
}

export interface ExpectationVerdict {
  readonly expectation: Expectation;
  /** `unknown`: it rests on what an external server does not tell. Does not count. */
  readonly outcome: 'pass' | 'fail' | 'unknown';
  /** Null when it could not be measured. */
  readonly actual: MetricValue;
  /** One line: the value, how many it rests on, and where in the recording it shows. */
  readonly evidence: string;
  /** Lines of the trace that show it. */
  readonly seqs: readonly number[];
  /** It is a `[[check]]` of the scenario, which counts what happened. */
  readonly check?: true;
}

export interface VerdictFailure {
  /** `defect`: the numbers themselves cannot be trusted. */
  readonly class: 'turn' | 'defect' | 'infra';
  /** Failure class of the turn, `unexplained-samples`, `unverified-underruns`,
   * `missed-disturbance`, a code of `REPLAY_…` or the run's outcome. */
  readonly code: string;
  readonly message: string;
  readonly turn: number | null;
  /** An expectation says that this must happen. */
  readonly expected: boolean;
  readonly seqs: readonly number[];
}

export interface JudgeExtras {
  /** The provider was a live one, so its network and its quota are nobody's defect. */
  readonly live?: boolean;
  /** The server was not ours; nothing is known of it and its providers but what the board got. */
  readonly external?: boolean;
  /** What went wrong with a real board itself. A turn that it took part in says nothing then. */
  readonly boardFailures?: readonly BoardFailure[];
  /** What `judgeChecks` found; counts as the expectations do. */
  readonly checks?: readonly ExpectationVerdict[];
  /** Where a replay parted from its recording. */
  readonly replayDeviations?: readonly {
    readonly code: string;
    readonly message: string;
    readonly seq: number;
  }[];
  /** Disturbances that the scenario plans and the recording does not hold, one sentence each. */
  readonly missedDisturbances?: readonly {
    readonly turn: number | null;
    readonly message: string;
  }[];
}

export interface BoardFailure {
  readonly code: string;
  readonly message: string;
  /** What a person has to do next. */
  readonly hint: string;
  readonly seq: number;
}

/** Failure classes that say nothing about the product when the provider is live. */
const infraKinds: readonly string[] = ['network', 'auth', 'quota', 'rate-limit'];

/**
 * Judges one cell. Without any expectation a cell passes when every turn was answered, no sample is
 * unexplained and every underrun count was verified.
 */
export function judge(
  measurement: CellMeasurement,
  expectations: readonly Expectation[],
  extras: JudgeExtras = {},
): Verdict {
  const judged = [
    ...expectations.map((expectation) => judgeOne(measurement, expectation, extras)),
    ...(extras.checks ?? []),
  ];
  const failures = [
    ...boardFailures(extras),
    ...turnFailures(measurement, expectations, extras),
    // What a killed run has not written any more is missing everywhere, and no defect.
    ...(measurement.end === null ? [] : defects(measurement)),
    ...missedDisturbances(measurement, extras),
    ...replayDeviations(extras),
    ...runFailures(measurement),
  ];
  const counted = failures.filter(({ expected }) => !expected);
  const infra = counted.some((failure) => failure.class === 'infra');
  const failed = counted.some((failure) => failure.class !== 'infra');
  const missed = judged.some(({ outcome }) => outcome === 'fail');
  if ((extras.boardFailures ?? []).length > 0) {
    return { outcome: 'infra', expectations: judged, failures };
  }
  // A run that was cut short misses expectations for that reason; only a failure of its own counts.
  if (failed) return { outcome: 'fail', expectations: judged, failures };
  if (infra) return { outcome: 'infra', expectations: judged, failures };
  return { outcome: missed ? 'fail' : 'pass', expectations: judged, failures };
}

function judgeOne(
  measurement: CellMeasurement,
  expectation: Expectation,
  { external = false }: JudgeExtras,
): ExpectationVerdict {
  const { metric, operator, value, turn } = expectation;
  const wanted = `expected ${operator} ${describeValue(value)}`;
  const missing = (reason: string): ExpectationVerdict => ({
    expectation,
    outcome: 'fail',
    actual: null,
    evidence: `${metric} could not be measured, ${wanted}: ${reason}`,
    seqs: [],
  });

  const definition = metricDefinition(metric);
  if (definition === undefined) return missing('there is no metric of this name');
  if (external && restsOnServer(definition.family)) {
    const evidence = `${metric} is not known of an external server, ${wanted}`;
    return { expectation, outcome: 'unknown', actual: null, evidence, seqs: [] };
  }
  if (turn !== undefined && !definition.family.inTurn) {
    return missing('it is measured for the whole cell only');
  }
  const scope =
    turn === undefined ? measurement : measurement.turns.find((other) => other.turn === turn);
  if (scope === undefined) return missing(`turn ${turn} never began`);
  const actual = scope.metrics[metric] ?? null;
  if (actual === null) return missing(reasonForNull(measurement, definition, turn));

  const observations = observationsOf(measurement, definition, turn);
  const shown = relevant(observations, expectation, definition);
  const counted = definition.family.kind === 'distribution' ? ` (n = ${observations.length})` : '';
  const details = shown.length === 0 ? '' : `: ${describe(shown, definition)}`;
  return {
    expectation,
    outcome: holds(actual, operator, value) ? 'pass' : 'fail',
    actual,
    evidence: `${metric} = ${describeValue(actual)}${counted}, ${wanted}${details}`,
    seqs: shown.flatMap(({ seqs }) => seqs),
  };
}

function observationsOf(
  { observations }: CellMeasurement,
  { family }: MetricDefinition,
  turn: number | undefined,
): readonly Observation[] {
  const all = observations[family.evidence ?? family.name] ?? [];
  return turn === undefined ? all : all.filter((observation) => observation.turn === turn);
}

/** For a percentile the values that decide it: those at least, or at most, as large. */
function relevant(
  observations: readonly Observation[],
  { operator, value }: Expectation,
  { family }: MetricDefinition,
): readonly Observation[] {
  if (family.kind !== 'distribution' || typeof value !== 'number') return observations;
  if (operator === '==' || operator === '!=') return observations;
  const offending = observations.filter(
    (observation) => !holds(observation.value, operator, value),
  );
  const sign = operator.startsWith('<') ? -1 : 1;
  const list = offending.length > 0 ? offending : observations;
  return [...list].sort((a, b) => sign * (a.value - b.value));
}

/** Whether the comparison is true. */
export function holds(
  actual: number | string,
  operator: Expectation['operator'],
  value: Expectation['value'],
): boolean {
  switch (operator) {
    case '==':
      return actual === value;
    case '!=':
      return actual !== value;
    default:
      // An order between a number and a text would be JavaScript's, not the user's.
      if (typeof actual !== 'number' || typeof value !== 'number') return false;
      if (operator === '<=') return actual <= value;
      if (operator === '<') return actual < value;
      return operator === '>=' ? actual >= value : actual > value;
  }
}

function reasonForNull(
  { turns, observations }: CellMeasurement,
  { family }: MetricDefinition,
  turn: number | undefined,
): string {
  const asked = turns.filter((other) => turn === undefined || other.turn === turn);
  const failed = asked.filter(({ outcome }) => outcome === 'failed');
  if (failed.length > 0) {
    const kinds = [...new Set(failed.map(({ failure }) => failure!.kind))].join(', ');
    return `${failed.length} of ${asked.length} turns failed (${kinds})`;
  }
  if (asked.length === 0) return 'the recording holds no turn';
  if (turn !== undefined && (observations[family.name] ?? []).length > 0) {
    return `turn ${turn} has no value, other turns have`;
  }
  return 'the recording lacks the events or the audio for it';
}

function turnFailures(
  { turns }: CellMeasurement,
  expectations: readonly Expectation[],
  { live = false }: JudgeExtras,
): VerdictFailure[] {
  return turns.flatMap(({ turn, failure }): VerdictFailure[] => {
    if (failure === null) return [];
    const expected = expectations.some(
      (expectation) =>
        expectation.metric === 'failure.kind' &&
        expectation.operator === '==' &&
        expectation.value === failure.kind &&
        (expectation.turn === undefined || expectation.turn === turn),
    );
    const { kind, by, message, request, seqs } = failure;
    // A turn is unfinished, or was refused by our own budget, only because its run was.
    const isInfra =
      kind === 'unfinished' ||
      kind === 'budget' ||
      (live && by === 'provider' && infraKinds.includes(kind));
    const where = request === null ? '' : `, request ${request}`;
    return [
      {
        class: isInfra ? 'infra' : 'turn',
        code: kind,
        message: `turn ${turn} failed (${kind}${where}): ${message}`,
        turn,
        expected,
        seqs,
      },
    ];
  });
}

function defects({ conservation, underruns }: CellMeasurement): VerdictFailure[] {
  const found: VerdictFailure[] = [];
  if (conservation.unexplainedSamples !== 0) {
    const [first] = conservation.unexplained;
    const more = conservation.unexplained.length - 1;
    found.push({
      class: 'defect',
      code: 'unexplained-samples',
      message:
        `${conservation.unexplainedSamples} samples are unexplained on the way to ` +
        `"${first!.to}": ${first!.what}${more > 0 ? ` (and ${more} more)` : ''}`,
      turn: first!.turn,
      expected: false,
      seqs: conservation.unexplained.flatMap(({ seqs }) => seqs),
    });
  }
  for (const { turn, sentence, verified, disagreements, seqs } of underruns) {
    if (verified !== false) continue;
    found.push({
      class: 'defect',
      code: 'unverified-underruns',
      message: `the underruns of sentence ${sentence} do not agree with their recomputation: ${disagreements.join('; ')}`,
      turn,
      expected: false,
      seqs,
    });
  }
  return found;
}

function boardFailures({ boardFailures = [] }: JudgeExtras): VerdictFailure[] {
  return boardFailures.map(({ code, message, hint, seq }) => ({
    class: 'infra',
    code,
    message: `${message} ${hint}`,
    turn: null,
    expected: false,
    seqs: [seq],
  }));
}

function runFailures({ end }: CellMeasurement): VerdictFailure[] {
  if (end?.outcome === 'finished') return [];
  const detail = end?.detail === undefined ? '' : `: ${end.detail}`;
  return [
    {
      class: 'infra',
      code: end === null ? 'cut-short' : `run-${end.outcome}`,
      message:
        end === null
          ? 'the recording stops without an end: the run was killed'
          : `the run was ${end.outcome}${detail}`,
      turn: null,
      expected: false,
      seqs: end === null ? [] : [end.seq],
    },
  ];
}

/** What was measured is not the recorded conversation any more. */
function replayDeviations({ replayDeviations: deviations = [] }: JudgeExtras): VerdictFailure[] {
  return deviations.map(({ code, message, seq }) => ({
    class: 'defect',
    code,
    message,
    turn: null,
    expected: false,
    seqs: [seq],
  }));
}

/** A run that was spared its trouble says nothing about it, so its numbers must not pass for it. */
function missedDisturbances({ end }: CellMeasurement, extras: JudgeExtras): VerdictFailure[] {
  if (end?.outcome !== 'finished') return [];
  return (extras.missedDisturbances ?? []).map(({ turn, message }) => ({
    // When it comes depends on the provider, and a real one cannot be told to be in time.
    class: extras.live === true ? 'infra' : 'defect',
    code: 'missed-disturbance',
    message,
    turn,
    expected: false,
    seqs: [],
  }));
}
