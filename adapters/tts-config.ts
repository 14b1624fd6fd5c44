/**
 * Reads the `[tts]` table of an EchoKit `config.toml` (EchoKit device protocol reference, sections
 * 9.3 and 9.6): the same spellings, keys and defaults, but with mistakes named.
 */
import {
  type CheckedTable,
  type ConfigContext,
  type ConfigErrorCode,
  type ConfigProblem,
  type ConfigSetting,
  type ConfigWarningCode,
  checkTable,
  chooseVariant,
  keyPathOf,
} from './config-table.ts';
import type { OtherService } from './platform.ts';
import { type AnyPlatform, platforms } from './platforms.ts';
import { sentence } from './transport/provider-failure.ts';

export interface TtsConfig {
  /** The canonical name, for example `stream_gsv`. */
  readonly platform: string;
  /** What the platform's adapter takes. */
  readonly config: unknown;
  /** What the adapter calls beside the platform's own service. */
  readonly otherServices: readonly OtherService[];
  /** Things that EchoKit passes over in silence. */
  readonly warnings: readonly ConfigProblem<ConfigWarningCode>[];
  /** Values that must be kept out of everything written or shown. */
  readonly secrets: readonly string[];
  /** Every key of the platform and what it is set to, for people. */
  readonly settings: readonly ConfigSetting[];
}

/** A `[tts]` table, complete or not, and everything that is wrong with it. */
export interface CheckedTtsConfig {
  /** Absent when there are errors. */
  readonly tts: TtsConfig | undefined;
  /** The canonical name; absent when `platform` cannot be used. */
  readonly platform?: string;
  /** What was read, complete or not; without a platform there is none. */
  readonly settings: readonly ConfigSetting[];
  readonly errors: readonly ConfigProblem<ConfigErrorCode>[];
  readonly warnings: readonly ConfigProblem<ConfigWarningCode>[];
  readonly secrets: readonly string[];
}

/** `name` (default `tts`): how the table is called in messages. */
export type TtsConfigOptions = Partial<
  Pick<ConfigContext, 'name' | 'environment' | 'written' | 'missingSecret'>
>;

/** A `[tts]` table that cannot be used. The codes are listed in `adapters/README.md`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** Code, place and valid values of the first problem. */
  readonly code: ConfigErrorCode;
  /** Where, for example `tts.api_key`. */
  readonly keyPath: string;
  /** What is valid there; empty when anything of the right type is. */
  readonly validNames: readonly string[];
  /** Everything that is wrong with the table; at least one. */
  readonly problems: readonly ConfigProblem<ConfigErrorCode>[];

  constructor(
    problems: readonly [ConfigProblem<ConfigErrorCode>, ...ConfigProblem<ConfigErrorCode>[]],
  ) {
    super(problems.map(problemSentence).join(' '));
    const [{ code, keyPath, validNames = [] }] = problems;
    this.code = code;
    this.keyPath = keyPath;
    this.validNames = validNames;
    this.problems = problems;
  }
}

/** A problem as one or two sentences, for where no file can be shown. */
export function problemSentence({ message, hint }: ConfigProblem): string {
  if (hint === undefined) return sentence(message);
  return sentence(message, sentence(hint.charAt(0).toUpperCase() + hint.slice(1)));
}

/**
 * @param table the `[tts]` table as a TOML parser returns it
 * @throws {ConfigError}
 */
export function readTtsConfig(
  table: Readonly<Record<string, unknown>>,
  options: TtsConfigOptions = {},
): TtsConfig {
  const { tts, errors } = checkTtsConfig(table, options);
  const [first, ...rest] = errors;
  if (first !== undefined) throw new ConfigError([first, ...rest]);
  return tts!;
}

/** The same without throwing, for who wants to show everything that is wrong together. */
export function checkTtsConfig(
  table: Readonly<Record<string, unknown>>,
  options: TtsConfigOptions = {},
): CheckedTtsConfig {
  const context = { name: 'tts', ...options };
  const platform = chooseVariant(table, platforms, context);
  if ('code' in platform) {
    return { tts: undefined, settings: [], errors: [platform], warnings: [], secrets: [] };
  }
  const owner = `platform "${platform.names[0]}"`;
  const checked = checkTable(table, platform.keys, {
    ...context,
    owner,
    elsewhere: ['platform'],
  });
  const { errors, warnings, secrets, settings } = checked;
  const tts = errors.length === 0 ? ttsConfig(platform, checked, context.name) : undefined;
  const name = platform.names[0];
  return {
    tts,
    platform: name,
    settings,
    errors,
    warnings: tts?.warnings ?? warnings,
    secrets,
  };
}

function ttsConfig(platform: AnyPlatform, checked: CheckedTable, name: string): TtsConfig {
  const { table, secrets, settings } = checked;
  const config = platform.configFrom(table.values, table.tables);
  const remarks = Object.entries(platform.remarks?.(config) ?? {}).map(([key, remark]) => {
    const keyPath = keyPathOf(name, [key]);
    return {
      code: 'CONFIG_NO_EFFECT' as const,
      path: [key],
      keyPath,
      message: `${keyPath} ${remark}`,
    };
  });
  const warnings = [...checked.warnings, ...remarks];
  const otherServices = platform.otherServices?.(config) ?? [];
  return { platform: platform.names[0], config, otherServices, warnings, secrets, settings };
}
