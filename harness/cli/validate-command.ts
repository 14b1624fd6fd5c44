import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { formatConfigProblems } from '../echokit-config/config-problem.ts';
import {
  type EchoKitConfig,
  looksLikeEchoKitConfig,
  readEchoKitConfigFile,
} from '../echokit-config/echokit-config.ts';
import {
  checkHarnessConfig,
  harnessConfigName,
  readHarnessConfigFile,
} from '../harness-config/harness-config.ts';
import { runKeys } from '../harness-config/schema.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { ProblemsError } from '../toml/problem.ts';
import { renderConfig } from './config-report.ts';
import { describeError } from './error-message.ts';
import { exitCode } from './exit-code.ts';
import { missingProviders } from './provider-choice.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

export interface ValidateCommandOptions {
  readonly config?: string;
  readonly version: string;
}

/**
 * `validate`: says for each scenario, `echokit-harness.toml` and EchoKit configuration what it is, or for all what is wrong
 * with them. Returns the exit code.
 */
export async function validateCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: ValidateCommandOptions,
): Promise<number> {
  const named = options.config === undefined ? [] : [options.config];
  const own = paths.filter((path) => basename(path) === harnessConfigName);
  const others = paths.filter((path) => !own.includes(path));
  const configFiles = [...named, ...others.filter(isConfigFile)];
  const scenarioPaths = others.filter((path) => !configFiles.includes(path));
  let exit: number = exitCode.passed;
  for (const file of own) {
    try {
      const config = readHarnessConfigFile(file);
      checkHarnessConfig(config, new Set(runKeys));
      terminal.print(
        `${file}: ok, defaults of run: ${Object.keys(config.run).join(', ') || 'none'}`,
      );
    } catch (error) {
      if (!(error instanceof ProblemsError)) throw error;
      terminal.say(describeError(error, options.version).text);
      exit = exitCode.usage;
    }
  }
  const providers = builtInProviders.map(({ name }) => name);
  const platforms = new Map(builtInProviders.map(({ name, tts }) => [name, tts.platform]));
  for (const file of new Set(configFiles)) {
    try {
      const config = readEchoKitConfigFile(file, { environment: process.env });
      if (showConfig(terminal, config, options.version)) exit = exitCode.usage;
      providers.push(...config.providers.map(({ name }) => name));
      for (const { name, platform } of config.providers) {
        if (platform !== undefined) platforms.set(name, platform);
      }
    } catch (error) {
      if (!(error instanceof ProblemsError)) throw error;
      terminal.say(describeError(error, options.version).text);
      exit = exitCode.usage;
    }
  }
  if (scenarioPaths.length > 0 || configFiles.length + own.length === 0) {
    const folders = scenarioPaths.length === 0 ? [defaultScenarioFolder()] : scenarioPaths;
    const catalog = scenarioCatalog([...new Set(providers)], platforms);
    for (const scenario of loadScenarios(findScenarioFiles(folders), catalog)) {
      const turns = scenario.turns.length;
      terminal.print(
        `${scenario.file}: ok, ${turns} ${turns === 1 ? 'turn' : 'turns'} (${scenario.title})`,
      );
    }
  }
  return exit;
}

/** @returns whether there are errors. */
function showConfig(terminal: Terminal, config: EchoKitConfig, version: string): boolean {
  terminal.print(renderConfig(config));
  const missing = missingProviders(config);
  if (missing !== undefined) terminal.say(describeError(missing, version).text);
  if (config.problems.length > 0) terminal.say(`\n${formatConfigProblems(config.problems)}`);
  return missing !== undefined || config.problems.some(({ severity }) => severity === 'error');
}

function isConfigFile(path: string): boolean {
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return isFile && looksLikeEchoKitConfig(readFileSync(path, 'utf8'));
}
