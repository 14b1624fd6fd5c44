/** `completion`: the script for a shell, or one of the lists that it asks for. */
import { deviceProfiles } from '../device/device-profile.ts';
import { readEchoKitConfigFile } from '../echokit-config/echokit-config.ts';
import {
  besideConfig,
  findHarnessConfig,
  type HarnessConfig,
  readHarnessConfigFile,
} from '../harness-config/harness-config.ts';
import { networkNames } from '../network/network-profile.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import type { CompletionList } from './completion-script.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';

/** Names that can be completed here. What cannot be read of the project is left out: nobody could be told. */
export function completionValues(list: CompletionList, folder: string): readonly string[] {
  const config = orNothing(() => {
    const file = findHarnessConfig(folder);
    return file === undefined ? undefined : readHarnessConfigFile(file);
  });
  switch (list) {
    case 'providers':
      return providers(config);
    case 'devices':
      return Object.keys(deviceProfiles);
    case 'networks':
      return networkNames;
    case 'tags':
      return tags(config);
  }
}

function providers(config: HarnessConfig | undefined): readonly string[] {
  const builtIn = builtInProviders.map(({ name }) => name);
  const written = config?.run.config;
  if (config === undefined || written === undefined) return builtIn;
  const own = orNothing(() =>
    readEchoKitConfigFile(besideConfig(config, written), { environment: {}, missingSecret: '-' }),
  );
  return [...new Set([...(own?.providers.map(({ name }) => name) ?? []), ...builtIn])];
}

function tags(config: HarnessConfig | undefined): readonly string[] {
  const paths = config?.run.scenarios?.map((path) => besideConfig(config, path));
  const files = orNothing(() => findScenarioFiles(paths ?? [defaultScenarioFolder()])) ?? [];
  const catalog = scenarioCatalog(providers(config));
  const all = files.flatMap((file) => orNothing(() => loadScenarios([file], catalog)) ?? []);
  return [...new Set(all.flatMap((scenario) => scenario.tags))].sort();
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
