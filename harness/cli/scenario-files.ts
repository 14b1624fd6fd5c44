import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { harnessConfigName } from '../harness-config/harness-config.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { loadScenarioFile, type ScenarioCatalog } from '../scenario/load.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { ScenarioError, type ScenarioProblem } from '../scenario/scenario-error.ts';
import { CommandError, exitCode } from './exit-code.ts';

/** The scenarios of this folder are used when a command names none: here, or those of the package. */
export function defaultScenarioFolder(): string {
  if (existsSync('scenarios')) return 'scenarios';
  const candidates = ['../../scenarios', '../../../scenarios'];
  const folders = candidates.map((up) => fileURLToPath(new URL(up, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? 'scenarios';
}

/** Scenario files as named, and the `*.toml` directly in folders, in order of their names. */
export function findScenarioFiles(paths: readonly string[]): string[] {
  const files = paths.flatMap((path) => {
    if (!existsSync(path)) {
      throw new CommandError(
        'SCENARIO_MISSING_FILE',
        exitCode.usage,
        `${path}: there is no such file or folder.`,
        `the shipped scenarios are in ${defaultScenarioFolder()}`,
      );
    }
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => name.endsWith('.toml') && name !== harnessConfigName)
      .sort()
      .map((name) => join(path, name));
  });
  if (files.length === 0) {
    throw new CommandError(
      'NOTHING_MATCHED',
      exitCode.nothingMatched,
      `No scenario (*.toml) was found in ${paths.join(', ')}.`,
    );
  }
  return files;
}

/**
 * The names a scenario may use.
 *
 * @param platforms of the providers, for what their stand-ins can express
 */
export function scenarioCatalog(
  providers: readonly string[],
  platforms?: ReadonlyMap<string, string>,
): ScenarioCatalog {
  return {
    ...(platforms && { platforms }),
    metrics: metricCatalog,
    providers,
    devices: Object.keys(deviceProfiles),
    networks: networkNames,
    quirks: quirkIds,
  };
}

/** @throws {ScenarioError} with the problems of all files together. */
export function loadScenarios(files: readonly string[], catalog: ScenarioCatalog): Scenario[] {
  const problems: ScenarioProblem[] = [];
  const scenarios: Scenario[] = [];
  for (const file of files) {
    try {
      scenarios.push(loadScenarioFile(file, catalog));
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      problems.push(...error.problems);
    }
  }
  const [first, ...rest] = problems;
  if (first === undefined) return scenarios;
  throw new ScenarioError([first, ...rest]);
}

/** The scenario that a command answers from. Default: the shipped one with two turns. */
export function loadScript(file: string | undefined, providers: readonly string[]): Scenario {
  const path = file ?? `${defaultScenarioFolder()}/two-turns.toml`;
  const [scenario] = loadScenarios(findScenarioFiles([path]), scenarioCatalog(providers));
  return scenario!;
}
