/** A conversation whose recording is looked at and thrown away. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { loadScenario, type ScenarioCatalog } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { boardInMemory } from './board-in-memory.ts';
import type { Laboratory } from './laboratory.ts';
import { builtInProviders, type ProviderEntry } from './provider-catalog.ts';
import { type CellResult, runPlan } from './run-plan.ts';

export interface PassingRun {
  /** A scenario file. */
  readonly toml: string;
  /** Names the scenario. */
  readonly name: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly seed: number;
  /** Default: the built-in ones. */
  readonly providers?: ReadonlyMap<string, ProviderEntry>;
  /** Folder for the recording; default: that of the system for what is passing. */
  readonly root?: string;
  /** A virtual board on a cable in place of the emulated one: its console over it, or a link at this rate. */
  readonly cable?: 'console' | number;
  /** As for `runPlan`. */
  readonly sound?: boolean;
}

export interface PassedRun {
  readonly result: CellResult;
  readonly recording: Recording;
  /** Of the recording; there until the run has been looked at. */
  readonly folder: string;
}

const builtIn = new Map(builtInProviders.map((entry) => [entry.name, entry]));

export const passingCatalog: ScenarioCatalog = {
  metrics: metricCatalog,
  providers: [...builtIn.keys()],
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

/**
 * Holds a conversation in virtual time with a built-in provider.
 *
 * @param look is called before the recording is removed
 * @throws what the conversation throws: `ClockError` when nothing could end it
 */
export async function passRun<T>(
  laboratory: Laboratory,
  {
    toml,
    name,
    provider,
    device,
    network,
    seed,
    cable,
    providers = builtIn,
    root = tmpdir(),
    sound = true,
  }: PassingRun,
  look: (run: PassedRun) => T,
): Promise<T> {
  const scenario = loadScenario(toml, `${name}.toml`, passingCatalog);
  const folder = mkdtempSync(join(root, 'echokit-passing-'));
  const board =
    cable === undefined
      ? undefined
      : boardInMemory({
          laboratory,
          seed,
          ...(cable !== 'console' && { linkBaud: cable }),
          ...(deviceProfiles[device] && { profile: deviceProfiles[device] }),
        });
  try {
    const plan = planRun([scenario], {
      providers: [provider],
      devices: [device],
      networks: [cable === undefined ? network : 'ideal'],
      seed,
      time: 'virtual',
      catalog: passingCatalog,
    });
    const [result] = await runPlan({
      plan,
      providers,
      laboratory,
      folder,
      signal: new AbortController().signal,
      environment: {},
      retries: 1,
      sound,
      ...(board !== undefined && { board: { name: 'virtual board', source: board.source } }),
    });
    const path = join(folder, result!.recording);
    return look({ result: result!, recording: readRecording(path), folder: path });
  } finally {
    await board?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
