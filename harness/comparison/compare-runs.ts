import { type MetricFamily, metricDefinition, metricFamilies } from '../metrics/metric-catalog.ts';
import { createRandom, type Random } from '../random/random.ts';
import type { GateLimit, GateRule } from '../scenario/gate.ts';
import { answeredOf, isAnsweredEnough } from './answered.ts';
import { intervalLevel, unitsForInterval, usualResamples } from './bootstrap.ts';
import { changeIntervals, changeOf, exchangeTest, scenariosForOtherTexts } from './change.ts';
import {
  type ComparableConversation,
  type ComparableRun,
  type ConditionName,
  cellKey,
  grouped,
} from './comparable-run.ts';
import {
  type ComparedGroup,
  type ComparedSide,
  type Comparison,
  comparisonSchemaVersion,
  type FlakyCell,
  type GateReport,
  type MetricComparison,
} from './comparison.ts';
import { ComparisonError } from './comparison-error.ts';
import { checkDifferences, conditionDifferences } from './differences.ts';
import { cliffsDelta, effectWord } from './effect-size.ts';
import { holmAdjusted } from './exact-tests.ts';
import { flakinessOf, type HeldConversation } from './flaky.ts';
import { decideGates, falseAlarmShare, type GateCheck } from './gate-decision.ts';
import { gateRule, rulesInForce } from './gates.ts';
import {
  areRepeatable,
  type ComparedMetric,
  type ConversationPair,
  type Matched,
  matchedValues,
  pairsOf,
  pooled,
} from './matched-values.ts';
import { ranking } from './ranking.ts';
import type { Statistic } from './statistic.ts';

/** At which metrics are said to have moved, over all of a comparison together. */
const movedLevel = 0.05;

export interface CompareOptions {
  /** Beside the default ones, and before those of scenarios. */
  readonly gates?: readonly GateRule[];
  /** What may differ. */
  readonly allow?: ReadonlySet<ConditionName>;
  /** Of the draws of intervals. */
  readonly seed?: number;
  readonly resamples?: number;
  /** Compare each scenario by itself. */
  readonly byScenario?: boolean;
}

/**
 * Puts B beside A.
 *
 * @throws {ComparisonError} `COMPARISON_DIFFERENT`, `COMPARISON_NOTHING_IN_COMMON`
 */
export function compareRuns(
  a: ComparableRun,
  b: ComparableRun,
  options: CompareOptions = {},
): Comparison {
  const { gates = [], allow = new Set(), seed = 1, resamples = usualResamples } = options;
  const cells = {
    a: new Set(a.conversations.map(cellKey)),
    b: new Set(b.conversations.map(cellKey)),
  };
  const common = new Set([...cells.a].filter((cell) => cells.b.has(cell)));
  if (common.size === 0) throw nothingInCommon(a, b);
  const differences = conditionDifferences(a, b);
  checkDifferences(differences, allow);

  const random = createRandom(seed, 'comparison');
  const groups = matchedGroups(a, b, common, options.byScenario === true);
  const compared = groups.map((group) => comparedGroup(group, random, resamples));
  const gated = gateReports(groups, gates, random, resamples);
  const verdicts = gated.map(({ verdict }) => verdict);
  return {
    schemaVersion: comparisonSchemaVersion,
    a: sideOf(a, random.fork('a'), resamples),
    b: sideOf(b, random.fork('b'), resamples),
    verdict: verdicts.includes('regression')
      ? 'regression'
      : verdicts.includes('undecided')
        ? 'undecided'
        : 'pass',
    method: { seed, resamples, level: intervalLevel, falseAlarmShare },
    differences,
    onlyInA: [...cells.a].filter((cell) => !common.has(cell)),
    onlyInB: [...cells.b].filter((cell) => !common.has(cell)),
    notRepeatable: notRepeatable(a, b),
    groups: withAdjustedP(compared),
    gates: gated,
  };
}

function nothingInCommon(a: ComparableRun, b: ComparableRun): ComparisonError {
  const example = ({ conversations }: ComparableRun): string =>
    conversations[0] === undefined ? 'nothing' : cellKey(conversations[0]);
  return new ComparisonError(
    'COMPARISON_NOTHING_IN_COMMON',
    `${a.name} and ${b.name} have no cell in common: no scenario was run with the same provider, board, network and server on both sides.`,
    `A has ${example(a)}; B has ${example(b)}`,
  );
}

function sideOf(run: ComparableRun, random: Random, resamples: number): ComparedSide {
  const { name, facts, conversations } = run;
  return {
    name,
    facts,
    conversations: conversations.length,
    infra: conversations.filter(({ verdict }) => verdict === 'infra').length,
    flaky: flakyCells(conversations),
    ranking: ranking(run, random, resamples),
  };
}

/** Each once: repetitions have one mark in common. */
function flakyCells(conversations: readonly ComparableConversation[]): FlakyCell[] {
  const found = flakinessOf(conversations.map(heldConversation));
  const cells = found.flatMap((flaky, i): [string, FlakyCell][] => {
    const { [i]: one } = conversations;
    if (flaky === undefined || one === undefined) return [];
    const cell: FlakyCell = { cell: cellKey(one), time: one.conditions.time, ...flaky };
    return [[flaky.kind === 'retried' ? `${i}` : JSON.stringify(cell), cell]];
  });
  return [...new Map(cells).values()];
}

/** What the same program should have held in the same way on both sides. Of other programs nothing can be said. */
function notRepeatable(a: ComparableRun, b: ComparableRun): string[] {
  const program = a.facts['program'];
  const isOne = program !== undefined && !program.includes(', ') && b.facts['program'] === program;
  if (!isOne) return [];
  const all = [...a.conversations, ...b.conversations];
  const found = flakinessOf(all.map(heldConversation));
  const cells = all.filter((_, i) => found[i]?.kind === 'not-repeatable').map(cellKey);
  return [...new Set(cells)];
}

/** What was spoken is left out: where a turn failed it is not known. */
function heldConversation(one: ComparableConversation): HeldConversation {
  const { conditions, seed, verdict, earlierTries = 0 } = one;
  const { texts: _, ...inputs } = conditions;
  const { time, source, board } = conditions;
  return {
    inputs: JSON.stringify([cellKey(one), inputs]),
    seed,
    verdict,
    earlierTries,
    repeatable:
      time === 'virtual' && source === 'stand-in' && board?.startsWith('real board') !== true,
  };
}

/** Conversations that are compared together. */
export interface MatchedGroup {
  readonly name: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  readonly a: readonly ComparableConversation[];
  readonly b: readonly ComparableConversation[];
  readonly pairs: readonly ConversationPair[] | null;
}

function matchedGroups(
  a: ComparableRun,
  b: ComparableRun,
  common: ReadonlySet<string>,
  byScenario: boolean,
): MatchedGroup[] {
  const key = (one: ComparableConversation): string => {
    const { scenario, provider, device, network, server } = one;
    return [...(byScenario ? [scenario] : []), provider, device, network, server].join(' · ');
  };
  const inCommon = ({ conversations }: ComparableRun): Map<string, ComparableConversation[]> =>
    grouped(
      conversations.filter((one) => common.has(cellKey(one))),
      key,
    );
  const ofB = inCommon(b);
  return [...inCommon(a)].map(([name, conversations]) =>
    matchedGroup(name, conversations, ofB.get(name) ?? []),
  );
}

export function matchedGroup(
  name: string,
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
): MatchedGroup {
  const { provider, device, network, server } = (a[0] ?? b[0])!;
  return { name, provider, device, network, server, a, b, pairs: pairsOf(a, b) };
}

/** The metrics of a group: cold and warm requests apart where it is known of all of them. */
function metricsOf({ a, b }: Pick<MatchedGroup, 'a' | 'b'>): ComparedMetric[] {
  return metricFamilies.flatMap((family) => {
    if (family.kind === 'text' || family.per === 'chunk') return [];
    // The same name stands for its median.
    if (family.kind === 'number' && family.name === 'lead_silence_ms') return [];
    const statistics: Statistic[] =
      family.kind === 'number'
        ? [{ kind: 'mean' }]
        : [50, 95].map((percent) => ({ kind: 'percentile', percent }));
    return statistics.flatMap((statistic) =>
      byRequestKind({ path: pathOf(family, statistic), family, statistic }, a, b),
    );
  });
}

function pathOf({ kind, name }: MetricFamily, statistic: Statistic): string {
  if (kind === 'number') return name;
  return `${name}.${statistic.kind === 'mean' ? 'mean' : `p${statistic.percent}`}`;
}

/** The metric once for all, or once for cold and once for warm requests. */
export function byRequestKind(
  metric: ComparedMetric,
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
): ComparedMetric[] {
  const { family } = metric;
  if (family.kind !== 'distribution' || family.per !== 'request') return [metric];
  const kinds = new Set(
    [...a, ...b].flatMap(({ values }) => (values[family.name] ?? []).map(({ reused }) => reused)),
  );
  if (kinds.has(undefined)) return [metric];
  return ([false, true] as const)
    .filter((reused) => kinds.has(reused))
    .map((reused) => ({ ...metric, requests: reused ? 'warm' : 'cold' }));
}

/** Its metrics with probabilities as they are, not adjusted yet. */
function comparedGroup(group: MatchedGroup, random: Random, resamples: number): ComparedGroup {
  const { name, provider, device, network, server, a, b, pairs } = group;
  const repeatable = pairs !== null && areRepeatable(pairs);
  const scenarios = [...new Set(a.map(({ scenario }) => scenario))];
  return {
    provider,
    device,
    network,
    server,
    scenarios,
    answered: { a: answeredOf(a), b: answeredOf(b) },
    kind: pairs === null ? 'samples' : 'pairs',
    repeatable,
    holdsFor: scenarios.length >= scenariosForOtherTexts ? 'other-texts' : 'these-texts',
    metrics: metricsOf(group).flatMap((metric) => {
      const matched = matchedValues(a, b, pairs, metric);
      const label = `${name}/${metric.path}/${metric.requests ?? ''}`;
      return metricComparison(metric, matched, repeatable, random.fork(label), resamples);
    }),
  };
}

const unchanged = { by: 0, relative: false } as const;

function metricComparison(
  { path, family, statistic, requests }: ComparedMetric,
  matched: Matched,
  repeatable: boolean,
  random: Random,
  resamples: number,
): MetricComparison[] {
  const change = changeOf(matched, statistic);
  if (change === null) return [];
  const [a, b] = [pooled(matched, 'a'), pooled(matched, 'b')];
  const relative = a.every((value) => value > 0) && b.every((value) => value > 0);
  const [higher, lower] = (['higher', 'lower'] as const).map((direction) =>
    exchangeTest(matched, statistic, { ...unchanged, direction, relative }),
  );
  const units =
    matched.kind === 'pairs'
      ? { a: matched.units.length, b: matched.units.length }
      : { a: matched.a.length, b: matched.b.length };
  const enough = unitsForInterval(statistic);
  const delta = cliffsDelta(a, b)!;
  const pairs = matched.kind === 'pairs' ? pairCounts(a, b) : undefined;
  const same = pairs !== undefined ? pairs.same === a.length : change.absolute === 0 && delta === 0;
  return [
    {
      metric: path,
      unit: family.unit,
      ...(requests !== undefined && { requests }),
      worse: family.worse,
      change,
      intervals: changeIntervals(matched, statistic, random, resamples),
      n: { a: a.length, b: b.length, conversations: units },
      ...(Math.min(units.a, units.b) < enough && { tooFewBelow: enough }),
      ...(pairs !== undefined && { pairs }),
      cliffsDelta: delta,
      effect: effectWord(delta),
      // Of a repeatable comparison what differs has moved; of others it depends on all of them.
      moved: same ? 'same' : repeatable ? direction(change.absolute) : 'unclear',
      p: Math.min(1, 2 * Math.min(higher!.p, lower!.p)),
    },
  ];
}

function direction(absolute: number): MetricComparison['moved'] {
  return absolute === 0 ? 'unclear' : absolute > 0 ? 'higher' : 'lower';
}

function pairCounts(
  a: readonly number[],
  b: readonly number[],
): NonNullable<MetricComparison['pairs']> {
  const higher = b.filter((value, i) => value > a[i]!).length;
  const lower = b.filter((value, i) => value < a[i]!).length;
  return { higher, lower, same: a.length - higher - lower };
}

function withAdjustedP(groups: readonly ComparedGroup[]): ComparedGroup[] {
  const adjusted = holmAdjusted(groups.flatMap(({ metrics }) => metrics.map(({ p }) => p)));
  let at = 0;
  return groups.map((group) => ({
    ...group,
    metrics: group.metrics.map((metric): MetricComparison => {
      const p = adjusted[at++]!;
      const sure = metric.moved === 'unclear' && p <= movedLevel && metric.change.absolute !== 0;
      return { ...metric, p, ...(sure && { moved: direction(metric.change.absolute) }) };
    }),
  }));
}

/** One gate of one group, with what it needs to be decided and what it is called. */
interface NamedCheck {
  readonly check: GateCheck;
  readonly named: Omit<
    GateReport,
    'verdict' | 'change' | 'interval' | 'p' | 'conversations' | 'needs' | 'reason'
  >;
}

function gateReports(
  groups: readonly MatchedGroup[],
  gates: readonly GateRule[],
  random: Random,
  resamples: number,
): GateReport[] {
  const checks = groups.flatMap((group) => checksOf(group, gates));
  const decisions = decideGates(
    checks.map(({ check }) => check),
    { random: random.fork('gates'), resamples },
  );
  return checks.map(({ named }, i) => ({ ...named, ...decisions[i]! }));
}

/** Scenarios with rules of their own are gated by themselves, the others together. */
export function checksOf(group: MatchedGroup, gates: readonly GateRule[]): NamedCheck[] {
  const { provider, device, network, server, name } = group;
  const own = (one: ComparableConversation): string =>
    (one.gates ?? []).length === 0 ? '' : one.scenario;
  const ofA = grouped(group.a, ({ scenario }) => scenario);
  return [...grouped(group.b, own)].flatMap(([scenario, b]) => {
    const a = [...new Set(b.map((one) => one.scenario))].flatMap((one) => ofA.get(one) ?? []);
    const part = matchedGroup(name, a, b);
    const rules = rulesInForce(gates, ownRules(b[0]!));
    return rules.flatMap((rule) => {
      const metric = gatedMetric(rule);
      return byRequestKind(metric, a, b).flatMap((one) =>
        rule.limits.map(
          (limit): NamedCheck => ({
            check: checkOf(part, one, limit),
            named: {
              provider,
              device,
              network,
              server,
              ...(scenario !== '' && { scenario }),
              metric: one.path,
              unit: one.family.unit,
              ...(one.requests !== undefined && { requests: one.requests }),
              tolerance: rule.tolerance,
              direction: limit.direction,
            },
          }),
        ),
      );
    });
  });
}

function ownRules({ gates = [] }: ComparableConversation): GateRule[] {
  return gates.map(({ metric, tolerance }) => gateRule(metric, tolerance));
}

/** @throws {RangeError} for a metric that cannot be gated, which readers of gates refuse */
export function gatedMetric({ metric }: GateRule): ComparedMetric {
  const { family, statistic } = metricDefinition(metric)!;
  const percent = /^p(\d+)$/.exec(statistic ?? '')?.[1];
  return {
    path: metric,
    family,
    statistic:
      percent === undefined ? { kind: 'mean' } : { kind: 'percentile', percent: Number(percent) },
  };
}

function checkOf(group: MatchedGroup, metric: ComparedMetric, limit: GateLimit): GateCheck {
  const { a, b, pairs } = group;
  const answered = { A: answeredOf(a), B: answeredOf(b) };
  // Whether turns were answered is asked of all of them; how fast they were, only where enough are left.
  const survivors = metric.family.per !== 'cell' || metric.family.inTurn;
  const short = Object.entries(answered).find(([, side]) => survivors && !isAnsweredEnough(side));
  return {
    matched: matchedValues(a, b, pairs, metric),
    statistic: metric.statistic,
    limit,
    repeatable: pairs !== null && areRepeatable(pairs),
    ...(short !== undefined && {
      refused: `only ${short[1].ok} of ${short[1].turns} turns of ${short[0]} were answered, and those may have been the easy ones`,
    }),
  };
}
