/**
 * What the gates are worth with the conversations of one run: how often they would blame a run in which nothing has
 * changed, and the smallest change they would find. Both by drawing again from the run itself, so no distribution is
 * assumed: conversations are drawn with replacement, within their scenario, for two sides.
 */
import { createRandom, type Random } from '../random/random.ts';
import type { GateLimit, GateRule } from '../scenario/gate.ts';
import { changeIntervals } from './change.ts';
import type { ComparableConversation, ComparableRun } from './comparable-run.ts';
import { grouped } from './comparable-run.ts';
import { checksOf, gatedMetric, matchedGroup } from './compare-runs.ts';
import {
  conversationsNeeded,
  decideGates,
  falseAlarmShare,
  type GateCheck,
} from './gate-decision.ts';
import { rulesInForce } from './gates.ts';
import {
  aligned,
  type ComparedMetric,
  type KeyedValues,
  type Matched,
  valuesOf,
} from './matched-values.ts';
import { wantedPower } from './sample-size.ts';

export interface SelfTestOptions {
  readonly gates?: readonly GateRule[];
  /** Of the draws. */
  readonly seed?: number;
  /** Runs without a change that are drawn. */
  readonly resamples?: number;
  /** Conversations that are drawn of each group. Default: as many as it has. */
  readonly conversations?: number;
  /** Runs with a change that are drawn for each size of it; 0: what is found is not asked. */
  readonly powerDraws?: number;
}

/** Raise it when a field changes its meaning or goes away. */
export const selfTestSchemaVersion = 1;

export interface SelfTest {
  readonly schemaVersion: typeof selfTestSchemaVersion;
  readonly name: string;
  readonly seed: number;
  /** Runs without a change that were drawn, and those of them that any gate blamed. */
  readonly resamples: number;
  readonly falseAlarms: number;
  /** What is allowed: `falseAlarms` must not be a larger share. */
  readonly allowedShare: number;
  readonly gates: readonly GateWorth[];
}

export interface GateWorth {
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  readonly scenario?: string;
  readonly metric: string;
  readonly requests?: 'cold' | 'warm';
  readonly tolerance: string;
  readonly direction: 'higher' | 'lower';
  /** Conversations on each side. */
  readonly conversations: number;
  /** Runs without a change that this gate blamed. */
  readonly falseAlarms: number;
  /**
   * The smallest change, in the scale of the tolerance, that is found in 95 of 100 runs, within a twentieth of its
   * size; null: none up to forty times the tolerance is. With draws of their own on both sides, as of live services;
   * and with the same draws, as in virtual time with the same seeds.
   */
  readonly found: { readonly ownDraws: number | null; readonly sameDraws: number | null };
  /** Conversations with which a change of twice the tolerance would be found in runs with draws of their own. */
  readonly needs: number;
}

/** A gate of a group, with the values that its conversations have for it. */
interface DrawnGate {
  readonly worth: Omit<GateWorth, 'falseAlarms' | 'found' | 'needs' | 'conversations'>;
  readonly check: Pick<GateCheck, 'statistic' | 'limit'>;
  readonly metric: ComparedMetric;
  /** By scenario. */
  readonly strata: readonly (readonly {
    readonly scenario: string;
    readonly kept: KeyedValues;
  }[])[];
  /** Gates of the same conversations have the same number, and share their draws. */
  readonly group: number;
}

/** Fewer draws than intervals that are shown have: what is asked for here is only on which side of a limit they lie. */
const quickResamples = 199;

/** A larger multiple of the tolerance is not looked for. */
const largestMultiple = 40;

export function gateSelfTest(run: ComparableRun, options: SelfTestOptions = {}): SelfTest {
  const { gates = [], seed = 1, resamples = 10_000, powerDraws = 200 } = options;
  const random = createRandom(seed, 'gate self-test');
  const drawn = drawnGates(run, gates);
  const sizes = sizesOf(drawn, options.conversations);
  const alarms = drawn.map(() => 0);
  let falseAlarms = 0;
  for (let k = 0; k < resamples; k++) {
    const checks = withDraws(drawn, sizes, random, 'own', () => unchangedValue);
    const decisions = decideGates(checks, {
      random: random.fork(`${k}`),
      resamples: quickResamples,
      onlyRegressions: true,
    });
    for (const [i, { verdict }] of decisions.entries()) if (verdict === 'regression') alarms[i]!++;
    if (decisions.some(({ verdict }) => verdict === 'regression')) falseAlarms++;
  }
  return {
    schemaVersion: selfTestSchemaVersion,
    name: run.name,
    seed,
    resamples,
    falseAlarms,
    allowedShare: falseAlarmShare,
    gates: drawn.map((one, i): GateWorth => {
      const power = {
        draws: powerDraws,
        among: drawn.length,
        sizes,
        random: random.fork(`gate ${i}`),
      };
      return {
        ...one.worth,
        conversations: sizes[one.group]!.reduce((sum, size) => sum + size, 0),
        falseAlarms: alarms[i]!,
        found:
          powerDraws === 0
            ? { ownDraws: null, sameDraws: null }
            : {
                ownDraws: smallestFound(one, 'own', power),
                sameDraws: smallestFound(one, 'same', power),
              },
        needs: needed(one, power),
      };
    }),
  };
}

/**
 * Of runs with so many conversations in which one gate's metric is worse by `change` (in the scale of its tolerance),
 * the share that this gate blames, among all gates of the run.
 */
export function shareFound(
  run: ComparableRun,
  {
    metric,
    requests,
    change,
    conversations,
    draws,
    count,
    gates = [],
    seed = 1,
  }: {
    readonly metric: string;
    readonly requests?: 'cold' | 'warm' | undefined;
    readonly change: number;
    readonly conversations: number;
    /** Whether B has the conversations of A, or conversations of its own. */
    readonly draws: 'own' | 'same';
    readonly count: number;
    readonly gates?: readonly GateRule[];
    readonly seed?: number;
  },
): number {
  const drawn = drawnGates(run, gates);
  const gate = drawn.find(({ worth }) => worth.metric === metric && worth.requests === requests);
  if (gate === undefined) throw new RangeError(`${run.name} has no gate on ${metric}.`);
  return foundShare(gate, draws, change, {
    draws: count,
    among: drawn.length,
    sizes: sizesOf(drawn, conversations),
    random: createRandom(seed, 'share found'),
  });
}

function drawnGates({ conversations }: ComparableRun, gates: readonly GateRule[]): DrawnGate[] {
  const judged = conversations.filter(({ verdict }) => verdict !== 'infra');
  const groups = grouped(judged, ({ provider, device, network, server }) =>
    [provider, device, network, server].join(' · '),
  );
  const places = new Map<string, number>();
  const placeOf = (name: string): number => {
    if (!places.has(name)) places.set(name, places.size);
    return places.get(name)!;
  };
  return [...groups].flatMap(([name, own]) =>
    checksOf(matchedGroup(name, own, own), gates).flatMap(({ check, named }): DrawnGate[] => {
      if (check.refused !== undefined) return [];
      const { unit: _, ...worth } = named;
      const rule = rulesInForce(gates, []).find(({ metric }) => metric === named.metric);
      const metric: ComparedMetric = {
        ...gatedMetric(rule ?? { metric: named.metric, tolerance: '', limits: [] }),
        ...(named.requests !== undefined && { requests: named.requests }),
      };
      const part =
        named.scenario === undefined
          ? own.filter((one) => (one.gates ?? []).length === 0)
          : own.filter(({ scenario }) => scenario === named.scenario);
      const strata = strataOf(part, metric);
      return strata.length === 0
        ? []
        : [{ worth, check, metric, strata, group: placeOf(`${name}/${named.scenario ?? ''}`) }];
    }),
  );
}

function strataOf(
  conversations: readonly ComparableConversation[],
  metric: ComparedMetric,
): DrawnGate['strata'] {
  const values = conversations.map((one) => ({
    scenario: one.scenario,
    kept: valuesOf(one, metric),
  }));
  const known = [...grouped(values, ({ scenario }) => scenario).values()];
  return known.some((stratum) => stratum.some(({ kept }) => kept.values.length > 0)) ? known : [];
}

/** Conversations to draw, by group and scenario. */
function sizesOf(drawn: readonly DrawnGate[], wanted: number | undefined): number[][] {
  const sizes: number[][] = [];
  for (const { strata, group } of drawn) {
    const all = strata.reduce((sum, { length }) => sum + length, 0);
    sizes[group] ??= strata.map(({ length }) =>
      wanted === undefined ? length : Math.max(1, Math.round((wanted * length) / all)),
    );
  }
  return sizes;
}

const unchangedValue = (value: number): number => value;

/** Both sides of every gate, drawn again. `same`: B has the conversations of A, changed. */
function withDraws(
  drawn: readonly DrawnGate[],
  sizes: readonly (readonly number[])[],
  random: Random,
  draws: 'own' | 'same',
  changeOf: (gate: DrawnGate) => (value: number) => number,
): GateCheck[] {
  const chosen = new Map<number, (readonly [number, number])[][]>();
  return drawn.map((gate): GateCheck => {
    const { group, strata, check } = gate;
    let places = chosen.get(group);
    if (places === undefined) {
      places = strata.map((stratum, s) =>
        Array.from({ length: sizes[group]![s] ?? stratum.length }, () => {
          const a = random.integer(0, stratum.length - 1);
          return [a, draws === 'same' ? a : random.integer(0, stratum.length - 1)] as const;
        }),
      );
      chosen.set(group, places);
    }
    const change = changeOf(gate);
    const units = places.flatMap((pairs, s) =>
      pairs.flatMap(([a, b]) => {
        const [one, other] = [strata[s]![a]!, strata[s]![b]!];
        const unit = aligned(one.kept, other.kept, one.scenario);
        if (unit.a.length === 0) return [];
        return [change === unchangedValue ? unit : { ...unit, b: unit.b.map(change) }];
      }),
    );
    const matched: Matched = { kind: 'pairs', units };
    return { ...check, matched, repeatable: false };
  });
}

/** From a draw so large that what it shows of the spread is no matter of chance. */
const largeDraw = 400;

function needed(gate: DrawnGate, { sizes, random, among }: PowerOptions): number {
  const own = sizes[gate.group]!;
  const factor = Math.ceil(largeDraw / own.reduce((sum, size) => sum + size, 0));
  const large = sizes.map((one) => one.map((size) => size * factor));
  const [check] = withDraws([gate], large, random.fork('needed'), 'own', () => unchangedValue);
  const { matched, statistic, limit } = check!;
  const intervals = changeIntervals(matched, statistic, random.fork('interval'), quickResamples);
  const interval = intervals[limit.relative ? 'relative' : 'absolute'];
  return conversationsNeeded(check!, interval, falseAlarmShare / among);
}

interface PowerOptions {
  readonly draws: number;
  readonly among: number;
  readonly sizes: readonly (readonly number[])[];
  readonly random: Random;
}

function smallestFound(
  gate: DrawnGate,
  draws: 'own' | 'same',
  options: PowerOptions,
): number | null {
  const { by, relative } = gate.check.limit;
  const scale = by > 0 ? by : relative ? 0.05 : typicalChange(gate);
  const isFound = (change: number): boolean =>
    foundShare(gate, draws, change, options) >= wantedPower;
  let high = scale * 1.05;
  let low = by;
  while (!isFound(high)) {
    low = high;
    high *= 1.5;
    if (high > scale * largestMultiple || !isPossible(high, gate.check.limit)) return null;
  }
  while (high / Math.max(low, scale / 1000) > 1.05) {
    const middle = Math.sqrt(high * Math.max(low, scale / 1000));
    if (isFound(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Nothing can lose more than all of it. */
function isPossible(change: number, { direction, relative }: GateLimit): boolean {
  return !(relative && direction === 'lower' && change >= 1);
}

/** With a tolerance of 0 there is no scale: the mean of the values, or 1. */
function typicalChange({ strata }: DrawnGate): number {
  const values = strata.flat().flatMap(({ kept }) => kept.values);
  const mean = values.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, values.length);
  return mean > 0 ? mean : 1;
}

/** Of runs in which every value is worse by `change`, the share that the gate blames. */
function foundShare(
  gate: DrawnGate,
  draws: 'own' | 'same',
  change: number,
  { draws: count, among, sizes, random }: PowerOptions,
): number {
  const { direction, relative } = gate.check.limit;
  const sign = direction === 'higher' ? 1 : -1;
  const worse = (value: number): number => value + sign * change * (relative ? Math.abs(value) : 1);
  const own = random.fork(`${draws} ${change}`);
  let found = 0;
  for (let k = 0; k < count; k++) {
    const checks = withDraws([gate], sizes, own, draws, () => worse);
    const [decision] = decideGates(checks, {
      random: own.fork(`${k}`),
      resamples: quickResamples,
      onlyRegressions: true,
      among,
    });
    if (decision!.verdict === 'regression') found++;
    // The rest cannot change the answer any more.
    if (k + 1 - found > (1 - wantedPower) * count) return found / count;
  }
  return found / count;
}
