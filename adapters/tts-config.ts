/**
 * Reads the `[tts]` table of an EchoKit `config.toml` (EchoKit device protocol reference, sections
 * 9.3 and 9.6): the same spellings, keys and defaults, but with mistakes named.
 */
import { nearestName } from './nearest-name.ts';
import type { ConfigKey } from './platform.ts';
import { platformNamed, platforms, platformsNotSupported } from './platforms.ts';

export interface TtsConfig {
  /** The canonical name, for example `stream_gsv`. */
  readonly platform: string;
  /** What the platform's adapter takes. */
  readonly config: unknown;
  /** Things that EchoKit passes over in silence, as sentences. */
  readonly warnings: readonly string[];
  /** Values that must be kept out of everything written or shown. */
  readonly secrets: readonly string[];
}

export type ConfigErrorCode =
  | 'TTS_CONFIG_UNKNOWN_PLATFORM'
  | 'TTS_CONFIG_UNSUPPORTED_PLATFORM'
  | 'TTS_CONFIG_MISSING_KEY'
  | 'TTS_CONFIG_WRONG_TYPE'
  | 'TTS_CONFIG_BAD_VALUE';

/** A `[tts]` table that cannot be used. The codes are listed in `adapters/README.md`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigErrorCode;
  /** Where, for example `tts.api_key`. */
  readonly keyPath: string;
  /** What is valid there; empty when anything of the right type is. */
  readonly validNames: readonly string[];

  constructor(
    code: ConfigErrorCode,
    keyPath: string,
    message: string,
    validNames: readonly string[] = [],
  ) {
    super(message);
    this.code = code;
    this.keyPath = keyPath;
    this.validNames = validNames;
  }
}

/**
 * @param table the `[tts]` table as a TOML parser returns it
 * @throws {ConfigError}
 */
export function readTtsConfig(table: Readonly<Record<string, unknown>>): TtsConfig {
  const { platform: given, ...rest } = table;
  const platform = findPlatform(given);
  const name = platform.names[0];
  const warnings: string[] = [];
  const secrets: string[] = [];
  const values: Record<string, string | undefined> = {};

  for (const [key, rule] of Object.entries(platform.keys)) {
    const value = rest[key];
    if (value === undefined) {
      if (rule.required === true) throw missing(name, key, rule, Object.keys(rest));
      values[key] = rule.default;
      continue;
    }
    const text = check(key, value, rule);
    values[key] = text;
    if (rule.secret === true && text !== undefined && text !== '') secrets.push(text);
    if (rule.warning !== undefined) warnings.push(`tts.${key} ${rule.warning}`);
    if (text !== undefined) warnings.push(...suspicions(key, text, rule));
  }
  const known = Object.keys(platform.keys);
  for (const key of Object.keys(rest).filter((candidate) => !known.includes(candidate))) {
    const nearest = nearestName(key, known);
    const advice =
      nearest === undefined ? `Known are: ${known.join(', ')}.` : `Did you mean "${nearest}"?`;
    warnings.push(`tts.${key} is no key of platform "${name}" and is ignored. ${advice}`);
  }
  return { platform: name, config: platform.configFrom(values), warnings, secrets };
}

function findPlatform(given: unknown): NonNullable<ReturnType<typeof platformNamed>> {
  const supported = platforms.map((platform) => platform.names[0]);
  if (given === undefined) {
    throw new ConfigError(
      'TTS_CONFIG_MISSING_KEY',
      'tts.platform',
      `tts.platform is missing. Valid are: ${supported.join(', ')}.`,
      supported,
    );
  }
  if (typeof given !== 'string') throw wrongType('platform', given, 'a string');
  const platform = platformNamed(given);
  if (platform !== undefined) return platform;
  const later = platformsNotSupported.find((names) => names.includes(given));
  if (later !== undefined) {
    throw new ConfigError(
      'TTS_CONFIG_UNSUPPORTED_PLATFORM',
      'tts.platform',
      `EchoKit's platform "${later[0]}" is not supported yet by this version. Supported are: ${supported.join(', ')}.`,
      supported,
    );
  }
  const spellings = [...platforms.map((p) => p.names), ...platformsNotSupported].flat();
  const nearest = nearestName(given, spellings);
  throw new ConfigError(
    'TTS_CONFIG_UNKNOWN_PLATFORM',
    'tts.platform',
    `tts.platform is "${given}", which EchoKit does not know.${nearest === undefined ? '' : ` Did you mean "${nearest}"?`} Valid are: ${supported.join(', ')}.`,
    supported,
  );
}

function missing(
  platform: string,
  key: string,
  rule: ConfigKey,
  present: readonly string[],
): ConfigError {
  const meant = nearestName(key, present);
  const advice = meant === undefined ? '' : ` There is "${meant}"; did you mean that?`;
  return new ConfigError(
    'TTS_CONFIG_MISSING_KEY',
    `tts.${key}`,
    `tts.${key} is missing: platform "${platform}" needs it. ${rule.about}${advice}`,
  );
}

/** The text of a value; undefined for a table. */
function check(key: string, value: unknown, rule: ConfigKey): string | undefined {
  if (rule.kind === 'table') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw wrongType(key, value, 'a table');
    }
    return undefined;
  }
  if (rule.kind === 'count') return checkCount(key, value);
  if (typeof value !== 'string') throw wrongType(key, value, 'a string');
  if (rule.required === true && rule.secret !== true && value === '') {
    throw new ConfigError(
      'TTS_CONFIG_BAD_VALUE',
      `tts.${key}`,
      `tts.${key} is empty. ${rule.about}`,
    );
  }
  if (rule.secret === true && !/^[\x20-\x7e]*$/.test(value)) {
    throw new ConfigError(
      'TTS_CONFIG_BAD_VALUE',
      `tts.${key}`,
      `tts.${key} holds a character that no HTTP header can carry. Was a line break copied with it?`,
    );
  }
  if (rule.choices !== undefined && !rule.choices.includes(value)) {
    const nearest = nearestName(value, rule.choices);
    throw new ConfigError(
      'TTS_CONFIG_BAD_VALUE',
      `tts.${key}`,
      `tts.${key} is "${value}".${nearest === undefined ? '' : ` Did you mean "${nearest}"?`} Valid are: ${rule.choices.join(', ')}.`,
      rule.choices,
    );
  }
  if (rule.kind === 'url') checkUrl(key, value, rule.schemes ?? []);
  return value;
}

function checkCount(key: string, value: unknown): string {
  if (typeof value !== 'number') throw wrongType(key, value, 'a number');
  if (Number.isSafeInteger(value) && value > 0) return String(value);
  throw new ConfigError(
    'TTS_CONFIG_BAD_VALUE',
    `tts.${key}`,
    `tts.${key} is ${value}. It should be a whole number above 0.`,
  );
}

function checkUrl(key: string, value: string, schemes: readonly string[]): void {
  const example = `It should begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}.`;
  const fail = (what: string): ConfigError =>
    new ConfigError(
      'TTS_CONFIG_BAD_VALUE',
      `tts.${key}`,
      `tts.${key} ${what}. ${example}`,
      schemes,
    );
  if (!URL.canParse(value)) throw fail(`is "${value}", which is no URL`);
  const scheme = new URL(value).protocol.slice(0, -1);
  if (!schemes.includes(scheme)) throw fail(`begins with ${scheme}:`);
}

/** Values that EchoKit takes literally though the writer hardly meant them so (section 9.6). */
function suspicions(key: string, text: string, rule: ConfigKey): string[] {
  const found: string[] = [];
  if (/\$\{\w+\}/.test(text)) {
    found.push(`tts.${key} holds a \${NAME}: EchoKit does not expand environment variables.`);
  }
  if (rule.secret === true && /^bearer\s/i.test(text)) {
    found.push(`tts.${key} begins with "Bearer", so that word is sent twice. Leave it out.`);
  }
  return found;
}

function wrongType(key: string, value: unknown, wanted: string): ConfigError {
  const found = Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`;
  return new ConfigError(
    'TTS_CONFIG_WRONG_TYPE',
    `tts.${key}`,
    `tts.${key} must be ${wanted}, not ${found.replace(/^a object$/, 'a table')}.`,
  );
}
