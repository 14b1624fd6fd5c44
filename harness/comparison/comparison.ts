/**
 * Two runs beside each other, as one JSON document: what moved, by how much, how sure; what the gates say. Everything
 * that shows a comparison is drawn from it.
 */
import type { MetricUnit } from '../metrics/metric-catalog.ts';
import type { Interval } from './bootstrap.ts';
import type { Change } from './change.ts';
import type { ConditionDifference } from './differences.ts';
import type { EffectWord } from './effect-size.ts';
import type { Flakiness } from './flaky.ts';

/** Raise it when a field changes its meaning or goes away; new fields do not change it. */
export const comparisonSchemaVersion = 1;

/** Holds only what JSON can say; null: not to be had. Negative changes: B has less. */
export interface Comparison {
  readonly schemaVersion: typeof comparisonSchemaVersion;
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  /** `regression`: a gate was passed. `undecided`: none was, and at least one could not be decided. */
  readonly verdict: 'pass' | 'regression' | 'undecided';
  readonly method: ComparisonMethod;
  /** What differs beside the program; somebody has allowed it. */
  readonly differences: readonly ConditionDifference[];
  /** Cells that only one side has: `scenario · provider · board · network · server`. */
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
  /**
   * Cells that passed and failed with the same draws in virtual time, by the same program: a defect of this program. Nothing that is
   * said of them holds.
   */
  readonly notRepeatable: readonly string[];
  readonly groups: readonly ComparedGroup[];
  readonly gates: readonly GateReport[];
}

export interface ComparedSide {
  readonly name: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly conversations: number;
  /** Of them could not be judged, and are left out. */
  readonly infra: number;
  /** What did not come out the same each time that it was held. It is compared as it came out. */
  readonly flaky: readonly FlakyCell[];
  /** Its providers on the same scenarios, the quickest first. */
  readonly ranking: readonly RankedPlace[];
}

export interface FlakyCell extends Flakiness {
  /** `scenario · provider · board · network · server`. */
  readonly cell: string;
  readonly time: string;
}

export interface ComparisonMethod {
  readonly seed: number;
  readonly resamples: number;
  /** Of the intervals. */
  readonly level: number;
  /** Of runs without any change, the share that may be blamed by any gate. */
  readonly falseAlarmShare: number;
}

/** Conversations that are compared together: one provider, board, network and server. */
export interface ComparedGroup {
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  readonly scenarios: readonly string[];
  readonly answered: { readonly a: Answered; readonly b: Answered };
  /** `pairs`: the same conversations are on both sides. `samples`: they are not. */
  readonly kind: 'pairs' | 'samples';
  /** The same inputs and draws on both sides, in virtual time: no chance is involved. */
  readonly repeatable: boolean;
  /** What the intervals hold for: also for other texts, or for those that were spoken. */
  readonly holdsFor: 'other-texts' | 'these-texts';
  readonly metrics: readonly MetricComparison[];
}

export interface Answered {
  readonly conversations: number;
  readonly turns: number;
  /** Answered to the end, or until the user cut them off. */
  readonly ok: number;
}

export interface MetricComparison {
  /** Path in the metric catalog. A number of a whole conversation is compared by its mean. */
  readonly metric: string;
  readonly unit: MetricUnit;
  /** Only requests that had to connect, or only those on an open connection. Absent: no request, or all. */
  readonly requests?: 'cold' | 'warm';
  readonly worse: 'higher' | 'lower' | null;
  readonly change: Change;
  readonly intervals: {
    readonly a: Interval | null;
    readonly b: Interval | null;
    readonly absolute: Interval | null;
    readonly relative: Interval | null;
  };
  /** Values, and conversations with a value, on each side. */
  readonly n: {
    readonly a: number;
    readonly b: number;
    readonly conversations: { readonly a: number; readonly b: number };
  };
  /** Conversations with which there would be an interval. Absent: there are enough. */
  readonly tooFewBelow?: number;
  /** Of values that belong together, in how many B has the larger one, and so on. Absent: samples. */
  readonly pairs?: { readonly higher: number; readonly lower: number; readonly same: number };
  readonly cliffsDelta: number;
  readonly effect: EffectWord;
  /** `unclear`: chance could have done it. `same`: no difference at all. */
  readonly moved: 'higher' | 'lower' | 'same' | 'unclear';
  /** Two-sided, by exchange, adjusted for all metrics of the comparison. */
  readonly p: number;
}

export interface GateReport {
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  /** The scenario whose own gate it is. Absent: all scenarios without one. */
  readonly scenario?: string;
  readonly metric: string;
  readonly unit: MetricUnit;
  readonly requests?: 'cold' | 'warm';
  readonly tolerance: string;
  readonly direction: 'higher' | 'lower';
  readonly verdict: 'pass' | 'regression' | 'undecided';
  readonly change: Change | null;
  /** In the scale of the tolerance: a share when it is one, else the unit of the metric. */
  readonly interval: Interval | null;
  readonly p: number | null;
  readonly conversations: number;
  /** Conversations on each side with which an undecided gate could decide. */
  readonly needs: number | null;
  readonly reason: string;
}

/** Providers under the same conditions. */
export interface RankedPlace {
  readonly device: string;
  readonly network: string;
  readonly server: string;
  readonly scenarios: readonly string[];
  readonly providers: readonly RankedProvider[];
  /** Providers of which too few turns were answered: who only answers the easy ones must not lead. */
  readonly refused: readonly { readonly provider: string; readonly answered: Answered }[];
}

export interface RankedProvider {
  readonly provider: string;
  /** Median of `audible_at_speaker_ms`, and its interval. */
  readonly audibleMs: number;
  readonly interval: Interval | null;
  readonly conversations: number;
  /** Slower than the one before it, and not by chance. Absent on the first. */
  readonly apart?: boolean;
}
