/**
 * What a comparison needs of a run, and no more: the single values with their places, what became of the turns, and
 * everything that must be the same on both sides for a difference to mean anything. A baseline is this in a file.
 */

export interface ComparableRun {
  /** As the user named it. */
  readonly name: string;
  /** By what definitions its numbers were measured: `metricsVersion` of the catalog. */
  readonly metricsVersion: number;
  /** What to know beside: version of the program, date. Not compared. */
  readonly facts: Readonly<Record<string, string>>;
  readonly conversations: readonly ComparableConversation[];
}

export interface ComparableConversation {
  readonly scenario: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  /** From 1: conversations of the same cell are told apart by it. */
  readonly repetition: number;
  readonly seed: number;
  /** `infra`: it says nothing about what is compared, and only counts as not answered. */
  readonly verdict: 'pass' | 'fail' | 'infra';
  /** Tries before it, none of which could be judged. Absent: none. */
  readonly earlierTries?: number;
  /** Whether each turn was answered, in order. */
  readonly turns: readonly ('ok' | 'interrupted' | 'failed')[];
  readonly conditions: Conditions;
  /** By name of a family with several values; what was measured per chunk is left out. */
  readonly values: Readonly<Record<string, readonly MeasuredValue[]>>;
  /** By path of a metric with one value for the whole conversation. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Of the scenario. Absent: it has none. */
  readonly gates?: readonly KeptGate[];
}

/** A `[gate]` line of a scenario: metric, tolerance as written. */
export interface KeptGate {
  readonly metric: string;
  readonly tolerance: string;
}

export interface MeasuredValue {
  readonly value: number;
  /** Absent: it belongs to no turn, or that is not known. */
  readonly turn?: number;
  /** Of a request: whether its connection was open before. Absent: no request, or not known. */
  readonly reused?: boolean;
}

/**
 * In words or digests. Two that are both known and not equal are a difference; null is not known.
 */
export interface Conditions {
  /** Digest of the file and its sounds. */
  readonly scenario: string | null;
  /** Digest of what was spoken. */
  readonly texts: string | null;
  /** Where the service is; for real time also on what kind of machine this program ran. */
  readonly place: string | null;
  readonly time: string;
  /** Who spoke: `stand-in`, `live`, `recording`, `external`. */
  readonly source: string;
  /** Digest of the provider's configuration. */
  readonly provider: string | null;
  /** Digest of the stand-in's personality. */
  readonly personality: string | null;
  /** Digest of the board's profile, or the name of a real one. */
  readonly board: string | null;
  /** Digest of the link. */
  readonly network: string | null;
  /** Thresholds with which it was measured. */
  readonly method: string;
}

/** What `--allow-different` takes. */
export const conditionNames = [
  'method',
  'scenario',
  'texts',
  'place',
  'time',
  'source',
  'provider',
  'personality',
  'board',
  'network',
] as const satisfies readonly (keyof Conditions)[];

export type ConditionName = (typeof conditionNames)[number];

/** What two conversations have in common that are compared. */
export function cellKey({
  scenario,
  provider,
  device,
  network,
  server,
}: Pick<
  ComparableConversation,
  'scenario' | 'provider' | 'device' | 'network' | 'server'
>): string {
  return [scenario, provider, device, network, server].join(' · ');
}

export function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}
