/**
 * The soak: conversations for days, or for minutes in real time, while memory, handles and listeners are sampled. What grows
 * is told as a slope with its confidence interval, and what is still open at the end by its kind.
 */
import { getEventListeners } from 'node:events';
import type { Clock } from '../clock/clock.ts';
import { networkNames } from '../network/network-profile.ts';
import { createRandom } from '../random/random.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { LoadFigures } from './load-figures.ts';
import type { LoadPlan, LoadProgress } from './load-plan.ts';
import {
  activeResources,
  collectGarbage,
  processListeners,
  type Resources,
  settledLeftOver,
} from './resources.ts';
import { type Growth, growthOf, type Sample, type Slope, slopeOf } from './slope.ts';
import { soakScenario } from './soak-scenario.ts';
import { runVirtualLoad } from './virtual-load.ts';

/** One look at a process, behind a collection of garbage. */
export interface SoakSample {
  readonly atHours: number;
  readonly heapBytes: number;
  /** Buffers outside of the heap, WebAssembly included. */
  readonly externalBytes: number;
  readonly residentBytes: number;
  /** What keeps the process alive. */
  readonly handles: number;
  /** On the process and on the signal that ends the run. */
  readonly listeners: number;
}

export const soakSeries = [
  'heapBytes',
  'externalBytes',
  'residentBytes',
  'handles',
  'listeners',
] as const;
export type SoakSeries = (typeof soakSeries)[number];

/**
 * What may grow with each conversation and still counts as flat. A leak of what a conversation holds is greater by far: it has half a
 * megabyte of audio outside of the heap, and a connection with its buffers takes some twenty KiB of it.
 */
export const soakLimits: Readonly<Record<Exclude<SoakSeries, 'residentBytes'>, number>> = {
  heapBytes: 4096,
  externalBytes: 8192,
  handles: 0.05,
  listeners: 0.05,
};

/** Growth of resident memory over the time of the samples that counts as flat, as a share of its level. */
export const residentShare = 0.1;

/** Exchanges that the server of a soak remembers, so that this bound is reached before anything counts. */
const rememberedExchanges = 20;

export interface SeriesVerdict extends Slope {
  readonly growth: Growth;
}

/** What a soak says of one process. */
export interface SoakVerdict {
  readonly process: string;
  /** Of all processes together. */
  readonly conversationsPerHour: number;
  readonly samples: readonly SoakSample[];
  readonly series: Readonly<Record<SoakSeries, SeriesVerdict>>;
  /** Open at the end and not at the beginning. */
  readonly left: Resources;
}

/** The first samples are of a process that still fills its caches and compiles: so much of them do not count. */
const warmShare = 0.2;

/**
 * Makes a verdict of the samples of one process. Resident memory has no limit per conversation: allocator and garbage collector
 * keep what they once had, so it may grow by {@link residentShare} of its level.
 *
 * @param samples at least 7
 */
export function soakVerdict(
  name: string,
  samples: readonly SoakSample[],
  left: Resources,
  conversationsPerHour: number,
): SoakVerdict {
  const counted = samples.slice(Math.floor(warmShare * samples.length));
  const of = (series: SoakSeries): SeriesVerdict => {
    const slope = slopeOf(
      counted.map((sample): Sample => ({ atHours: sample.atHours, value: sample[series] })),
    );
    if (series === 'residentBytes') {
      return { ...slope, growth: growthOf(slope, residentShare * slope.level) };
    }
    const conversations = conversationsPerHour * slope.hours;
    return { ...slope, growth: growthOf(slope, soakLimits[series] * conversations) };
  };
  return {
    process: name,
    conversationsPerHour,
    samples,
    series: {
      heapBytes: of('heapBytes'),
      externalBytes: of('externalBytes'),
      residentBytes: of('residentBytes'),
      handles: of('handles'),
      listeners: of('listeners'),
    },
    left,
  };
}

/** Nothing grows, nothing is left. What is undecided is no leak that was found, and no proof that there is none. */
export function isFlat({ series, left }: SoakVerdict): boolean {
  const flat = Object.values(series).every(({ growth }) => growth === 'flat');
  return flat && Object.keys(left).length === 0;
}

export function takeSample(atHours: number, signal?: AbortSignal): SoakSample {
  collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  const handles = Object.values(activeResources()).reduce((sum, count) => sum + count, 0);
  const waiting = signal === undefined ? 0 : getEventListeners(signal, 'abort').length;
  return {
    atHours,
    heapBytes: heapUsed,
    externalBytes: external,
    residentBytes: rss,
    handles,
    listeners: processListeners() + waiting,
  };
}

export interface SoakPlanOptions {
  readonly seed: number;
  readonly devices: number;
  readonly provider: string;
  readonly holdMs: number;
  readonly pauseMs: number;
  readonly rampMs: number;
  /** Reads the text of a scenario file. */
  readonly load: (text: string, file: string) => Scenario;
}

/** As many conversations as boards, each drawn, on every board model and network in turn. */
export function soakPlan(options: SoakPlanOptions): LoadPlan {
  const { seed, devices, provider, holdMs, pauseMs, rampMs, load } = options;
  const random = createRandom(seed, 'soak');
  const models = ['diy', 'box', 'cube2'];
  const cells = Array.from({ length: devices }, (_, board): Cell => {
    const scenario = load(soakScenario(random.fork(`scenario ${board}`)), `soak-${board}.toml`);
    return {
      scenario,
      provider,
      device: models[board % models.length]!,
      network: networkNames[board % networkNames.length]!,
      server: 'harness',
      seed,
    };
  });
  return {
    devices,
    rampMs,
    holdMs,
    pauseMs,
    checksVoices: true,
    rememberedExchanges,
    seed,
    cells,
    profiles: new Map(),
  };
}

export interface VirtualSoakOptions {
  readonly plan: LoadPlan;
  readonly provider: ProviderEntry;
  readonly laboratory: Laboratory;
  /** How often memory is looked at, on the clock of the conversations. */
  readonly sampleEveryMs: number;
  readonly wallClock: Clock;
  readonly signal: AbortSignal;
  onProgress?(progress: LoadProgress): void;
}

export interface VirtualSoak {
  readonly figures: LoadFigures;
  readonly verdict: SoakVerdict;
}

export async function runVirtualSoak(options: VirtualSoakOptions): Promise<VirtualSoak> {
  const { plan, provider, laboratory, sampleEveryMs, wallClock, signal, onProgress } = options;
  const before = activeResources();
  const samples: SoakSample[] = [];
  const figures = await runVirtualLoad({
    plan,
    provider,
    laboratory,
    wallClock,
    signal,
    ...(onProgress !== undefined && { onProgress }),
    sample: {
      everyUs: sampleEveryMs * 1000,
      take: async (atUs, end) => {
        samples.push(takeSample(atUs / 3_600_000_000, end));
      },
    },
  });
  const left = await settledLeftOver(before, wallClock);
  const perHour = figures.boards.conversations / (figures.ranMs / 3_600_000);
  return { figures, verdict: soakVerdict('all in one', samples, left, perHour) };
}
