/** For tests: conversations in temporary folders, read back as any reader of a recording would. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { loadScenario, type ScenarioCatalog } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { checkRecordingFormat } from '../trace/format-check.contract.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { type Laboratory, openLaboratory } from './laboratory.ts';
import { builtInProviders, type ProviderEntry } from './provider-catalog.ts';
import {
  openReplayables,
  type ReplayableConversation,
  recordedMeans,
  replayPlan,
} from './recorded-run.ts';
import type { RequestBudget } from './request-budget.ts';
import { type CellResult, runPlan } from './run-plan.ts';
import { ownCacheFolder } from './test-cache.contract.ts';

export const providerNames: readonly string[] = builtInProviders.map(({ name }) => name);

const providers: ReadonlyMap<string, ProviderEntry> = new Map(
  builtInProviders.map((entry) => [entry.name, entry]),
);

const catalog: ScenarioCatalog = {
  metrics: metricCatalog,
  providers: providerNames,
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

export interface RecordedConversation extends CellResult {
  readonly recorded: Recording;
  /** Folder of the recording. */
  readonly path: string;
}

export interface RunOptions {
  readonly providers?: readonly string[];
  readonly devices?: readonly string[];
  readonly networks?: readonly string[];
  readonly servers?: readonly string[];
  readonly seed?: number;
  readonly time?: 'virtual' | 'real';
  readonly live?: boolean;
  readonly budget?: RequestBudget;
  readonly retries?: number;
  /** Beside the built-in ones; goes before one of the same name. */
  readonly entries?: readonly ProviderEntry[];
  /** Boards beside the built-in ones; they go before those of the same name. */
  readonly profiles?: readonly DeviceProfile[];
  readonly signal?: AbortSignal;
}

/** @param name names the cell. @param toml text of a scenario file without its title. */
export function scenarioOf(name: string, toml: string): Scenario {
  return scenarioAt(name, toml);
}

/** @param path of the file without its ending: names the cell, and WAV files are found beside it. */
export function scenarioAt(path: string, toml: string): Scenario {
  return loadScenario(`title = "${basename(path)}"\n${toml}`, `${path}.toml`, catalog);
}

export interface ReplayOptions {
  readonly time?: 'virtual' | 'real';
  readonly change?: (entry: ProviderEntry) => ProviderEntry;
  /** Changes what is held again. */
  readonly conversation?: (recorded: ReplayableConversation) => ReplayableConversation;
}

function opened(results: readonly CellResult[], folder: string): RecordedConversation[] {
  return results.map((result) => {
    const path = join(folder, result.recording);
    checkRecordingFormat(path);
    return { ...result, path, recorded: readRecording(path) };
  });
}

/** Runs scenarios into temporary folders, which `remove` deletes. */
export class ConversationRunner {
  readonly #folder = mkdtempSync(join(tmpdir(), 'echokit-conversations-'));
  readonly laboratory: Laboratory;
  #runs = 0;

  private constructor(laboratory: Laboratory) {
    this.laboratory = laboratory;
  }

  /** @param cacheFolder default: that of the test file */
  static async open(cacheFolder?: string): Promise<ConversationRunner> {
    return new ConversationRunner(await openLaboratory(cacheFolder ?? (await ownCacheFolder())));
  }

  async run(scenario: Scenario, options: RunOptions = {}): Promise<RecordedConversation[]> {
    const folder = join(this.#folder, `${++this.#runs}`);
    const { seed = 1, time = 'virtual', live = false, entries = [] } = options;
    const { signal = new AbortController().signal, budget, profiles = [], retries } = options;
    const own = new Map(profiles.map((profile) => [profile.name, profile]));
    const all = new Map([...providers, ...entries.map((entry) => [entry.name, entry] as const)]);
    const plan = planRun([scenario], {
      providers: options.providers,
      devices: options.devices,
      networks: options.networks,
      servers: options.servers,
      seed,
      time,
      live,
      catalog: {
        ...catalog,
        providers: [...all.keys()],
        devices: [...catalog.devices, ...own.keys()],
      },
    });
    const results = await runPlan({
      plan,
      providers: all,
      devices: own,
      laboratory: this.laboratory,
      folder,
      signal,
      ...(budget === undefined ? {} : { budget }),
      ...(retries === undefined ? {} : { retries }),
      environment: {},
    });
    return opened(results, folder);
  }

  /**
   * Holds a recorded conversation again, with nothing but what its folder has.
   *
   * @param change of the provider that asks; what answers is the recording
   */
  async replay(
    path: string,
    {
      time = 'virtual',
      change = (entry) => entry,
      conversation = (recorded) => recorded,
    }: ReplayOptions = {},
  ): Promise<RecordedConversation> {
    const folder = join(this.#folder, `${++this.#runs}`);
    const conversations = openReplayables(path, catalog).map(conversation);
    const means = recordedMeans(conversations);
    const results = await runPlan({
      plan: replayPlan(conversations, time),
      ...means,
      providers: new Map([...means.providers].map(([name, entry]) => [name, change(entry)])),
      laboratory: this.laboratory,
      folder,
      signal: new AbortController().signal,
      environment: {},
    });
    return opened(results, folder)[0]!;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
