import { existsSync, readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { nearestName, problemSentence } from '../../adapters/index.ts';
import { builtInProviders, type ProviderEntry, providerEntry } from '../runner/provider-catalog.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** The providers a command may name. */
export interface ProviderChoice {
  readonly entries: ReadonlyMap<string, ProviderEntry>;
  /** Names of the providers of `--config`, in the order of the file; without one there are none. */
  readonly configured: readonly string[];
}

/**
 * The built-in providers and the `[tts]` section of an EchoKit configuration, which goes by the name
 * of its platform. Its warnings are printed.
 *
 * @throws {CommandError} `CONFIG_NOT_FOUND`, `CONFIG_SYNTAX`, `CONFIG_NO_TTS`
 * @throws {ConfigError}
 */
export function chooseProviders(terminal: Terminal, configFile?: string): ProviderChoice {
  const entries = new Map(builtInProviders.map((entry) => [entry.name, entry]));
  if (configFile === undefined) return { entries, configured: [] };
  const table = ttsTable(configFile);
  const { platform } = providerEntry('config', table).tts;
  const entry = providerEntry(platform, table);
  for (const warning of entry.tts.warnings) {
    terminal.say(`${configFile}: warning: ${problemSentence(warning)}  [${warning.code}]`);
  }
  entries.set(platform, entry);
  return { entries, configured: [platform] };
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

function ttsTable(file: string): Record<string, unknown> {
  if (!existsSync(file)) {
    throw new CommandError(
      'CONFIG_NOT_FOUND',
      exitCode.usage,
      `${file}: there is no such file.`,
      'name an EchoKit config.toml with a [tts] section',
    );
  }
  const tts = parseToml(file)['tts'];
  if (typeof tts === 'object' && tts !== null && !Array.isArray(tts)) {
    return tts as Record<string, unknown>;
  }
  throw new CommandError(
    'CONFIG_NO_TTS',
    exitCode.usage,
    `${file} has no [tts] section.`,
    'the EchoKit documentation page "Text to speech services" shows one for each platform',
  );
}

function parseToml(file: string): Record<string, unknown> {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw error instanceof TomlError ? syntaxError(file, error) : error;
  }
}

function syntaxError(file: string, cause: TomlError): CommandError {
  const [message = ''] = cause.message.split('\n');
  const place = `${file}:${cause.line}:${cause.column}`;
  const hint = cause.codeblock.trimEnd();
  return new CommandError('CONFIG_SYNTAX', exitCode.usage, `${place}: ${message}`, hint, { cause });
}
