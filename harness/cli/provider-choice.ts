import { nearestName } from '../../adapters/index.ts';
import {
  type ConfigFileProblem,
  type ConfigPart,
  formatConfigProblems,
} from '../echokit-config/config-problem.ts';
import {
  assertUsable,
  type EchoKitConfig,
  readEchoKitConfigFile,
} from '../echokit-config/echokit-config.ts';
import {
  builtInProviders,
  configuredProvider,
  type ProviderEntry,
} from '../runner/provider-catalog.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** A key that every stand-in accepts and that is never sent to a real service. */
const standInSecret = 'sk_stand_in';

/** The providers a command may name. */
export interface ProviderChoice {
  /** The built-in ones and those of `--config`; of two with one name that of `--config`. */
  readonly entries: ReadonlyMap<string, ProviderEntry>;
  /** Names of the providers of `--config`, in the order of the file; without one there are none. */
  readonly configured: readonly string[];
  /** What `--config` holds besides. */
  readonly config?: EchoKitConfig;
}

/**
 * The built-in providers, and those of an EchoKit configuration: `[tts]` by the name of its platform,
 * `[providers.<name>]` by their own. Warnings are printed, and so are errors in parts of the file that
 * the command does not use.
 *
 * @param parts what the command uses beside the providers
 * @param speaksWith stand-ins take any key, so one that is missing is no error for them
 * @throws {EchoKitConfigError} with every error in what is used
 * @throws {CommandError} `CONFIG_NO_TTS`
 */
export function chooseProviders(
  terminal: Terminal,
  configFile?: string,
  parts: readonly ConfigPart[] = [],
  speaksWith: 'stand-ins' | 'services' = 'stand-ins',
): ProviderChoice {
  const entries = new Map(builtInProviders.map((entry) => [entry.name, entry]));
  if (configFile === undefined) return { entries, configured: [] };
  const used: readonly ConfigPart[] = ['tts', 'providers', ...parts];
  const config = readEchoKitConfigFile(configFile, {
    environment: process.env,
    ...(speaksWith === 'stand-ins' && { missingSecret: standInSecret }),
  });
  assertUsable(config, used);
  const missing = missingProviders(config);
  if (missing !== undefined) throw missing;
  if (config.problems.length > 0) {
    const label = ({ severity }: ConfigFileProblem): string =>
      severity === 'error' ? 'error in what is not used here' : severity;
    terminal.say(formatConfigProblems(config.problems, label));
  }
  for (const { name, tts } of config.providers) entries.set(name, configuredProvider(name, tts!));
  return { entries, configured: config.providers.map(({ name }) => name), config };
}

/** Why no command can speak with this configuration; undefined: it has a provider. */
export function missingProviders({ file, providers }: EchoKitConfig): CommandError | undefined {
  if (providers.length > 0) return undefined;
  return new CommandError(
    'CONFIG_NO_TTS',
    exitCode.usage,
    `${file} has no [tts] section.`,
    'the EchoKit documentation page "Text to speech services" shows one for each platform',
  );
}

/**
 * What of the configuration has no effect, one line for each table.
 *
 * @param besides tables that are used in this case
 */
export function unusedSections(
  { file, sections }: EchoKitConfig,
  besides: readonly string[] = [],
): string[] {
  return sections
    .filter(({ used, name }) => !used && !besides.includes(name))
    .map(({ name, note }) => `${file}: ${name} is not used: ${note}.`);
}

export function findProvider(choice: ProviderChoice, name: string): ProviderEntry {
  const entry = choice.entries.get(name);
  if (entry !== undefined) return entry;
  const names = [...choice.entries.keys()];
  const nearest = nearestName(name, names);
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no provider "${name}".${nearest === undefined ? '' : ` Did you mean "${nearest}"?`}`,
    `providers: ${names.join(', ')}`,
  );
}
