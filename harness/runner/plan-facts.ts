/** By what two parts of one plan know each other. */
import { createHash } from 'node:crypto';
import type { DeviceProfile } from '../device/device-profile.ts';
import { cellName, type Plan } from '../scenario/plan.ts';
import { scenarioDigest } from './input-digests.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { keptProvider } from './run-inputs.ts';

export interface PlanFacts {
  /** How many there are in all parts together. */
  readonly cells: number;
  /** Of everything that decides how they go, beside the program: scenarios, order, seeds, providers, boards. */
  readonly digest: string;
  /** Digest of each scenario, by its name. */
  readonly scenarios: Readonly<Record<string, string>>;
}

/** What decides how a plan goes, beside the plan. */
export interface PlanMeans {
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  readonly devices: ReadonlyMap<string, DeviceProfile>;
  /** URL of a server that is not ours. */
  readonly server?: string | undefined;
  readonly blame: boolean;
}

export function planFacts(plan: Plan, { providers, devices, server, blame }: PlanMeans): PlanFacts {
  const { seed, time, live, cells } = plan;
  const scenarios = new Map(cells.map(({ scenario }) => [scenario.name, scenario] as const));
  const digests = Object.fromEntries(
    [...scenarios].map(([name, scenario]) => [name, scenarioDigest(scenario)]),
  );
  const used = new Set(cells.map(({ provider }) => provider));
  const whole = {
    seed,
    time,
    live,
    server,
    blame,
    cells: cells.map((cell) => [cellName(cell), cell.seed]),
    scenarios: digests,
    providers: [...providers]
      .filter(([name]) => used.has(name))
      .map(([name, entry]) => [name, keptProvider(entry)])
      .sort(),
    devices: [...devices].sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  const digest = createHash('sha256').update(JSON.stringify(whole)).digest('hex').slice(0, 16);
  return { cells: cells.length, digest, scenarios: digests };
}
