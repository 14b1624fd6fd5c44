/**
 * Checks one table of an EchoKit `config.toml` against the keys it may have. Nothing is thrown:
 * everything that is wrong comes back as a list, so that all of it can be shown together, and whoever
 * has the text of the file adds the positions.
 */
import { nearestName } from './nearest-name.ts';
import type { ConfigKey, ConfigTable } from './platform.ts';
import { publicUrl, redact, urlCredentials } from './transport/provider-failure.ts';

/** Listed with what to do in `harness/README.md`. */
export type ConfigErrorCode =
  | 'CONFIG_UNKNOWN_PLATFORM'
  | 'CONFIG_MISSING_KEY'
  | 'CONFIG_WRONG_TYPE'
  | 'CONFIG_BAD_VALUE'
  | 'CONFIG_VARIABLE_UNSET';

/** What EchoKit takes without a word though it hardly does what was meant. */
export type ConfigWarningCode =
  | 'CONFIG_UNKNOWN_KEY'
  | 'CONFIG_NO_EFFECT'
  | 'CONFIG_NO_SECRET'
  | 'CONFIG_DOUBTFUL_VALUE'
  | 'CONFIG_DOUBTFUL_DEFAULT'
  | 'CONFIG_BEARER'
  | 'CONFIG_VARIABLE';

/** One thing that is wrong with a table. Secrets never occur in it. */
export interface ConfigProblem<Code = ConfigErrorCode | ConfigWarningCode> {
  readonly code: Code;
  /** The key in question, from the table that was checked: `['prompts', 0, 'role']`. */
  readonly path: readonly (string | number)[];
  /** The same as a person writes it: `tts.text_optimization.prompts[0].role`. */
  readonly keyPath: string;
  /** What is wrong, as one clause without a period at its end. */
  readonly message: string;
  /** What to write instead, in the same form. */
  readonly hint?: string;
  /** What is valid there; absent when anything of the right type is. */
  readonly validNames?: readonly string[];
  /** Of an error: EchoKit's own reader does not mind; it is what comes after that cannot work. */
  readonly echoKitReads?: true;
}

/** What became of one key, for people. */
export interface ConfigSetting {
  readonly keyPath: string;
  /** The value as it may be shown; secrets and tables have none, nor have keys that are not set. */
  readonly shown: string | undefined;
  readonly secret: boolean;
  readonly required: boolean;
  readonly from: 'file' | 'default' | 'environment' | 'nowhere';
  /** From `environment`: the variable's name. */
  readonly variable?: string;
  /** There is a value, and it cannot be used. Absent: it can. */
  readonly refused?: true;
}

export interface CheckedTable {
  readonly table: ConfigTable;
  readonly errors: readonly ConfigProblem<ConfigErrorCode>[];
  readonly warnings: readonly ConfigProblem<ConfigWarningCode>[];
  /** The keys of the table itself, in the order of the rules. */
  readonly settings: readonly ConfigSetting[];
  /** Values that must be kept out of everything written or shown. */
  readonly secrets: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigContext {
  /** How the table is called in messages, for example `tts`. */
  readonly name: string;
  /** Whose keys these are, for example `platform "openai"`. */
  readonly owner: string;
  /**
   * Where `${NAME}` in a value and missing keys are looked up. Without one, `${NAME}` is taken
   * literally, as EchoKit does.
   */
  readonly environment?: Environment | undefined;
  /**
   * What a required secret is when it is given nowhere, with a warning: where only stand-ins will
   * see it. Absent: that is an error.
   */
  readonly missingSecret?: string | undefined;
  /** Keys of the table that are checked elsewhere, for example the one that has chosen the rules. */
  readonly elsewhere?: readonly string[];
  /** The text of a value as it stands in the file, for what a parsed number does not tell. */
  readonly written?: ((path: readonly (string | number)[]) => string | undefined) | undefined;
}

/** A platform's keys under its names, as `[tts]`, `[asr]` and `[llm]` have them. */
export interface ConfigVariant {
  readonly names: readonly [string, ...string[]];
}

export function checkTable(
  given: Readonly<Record<string, unknown>>,
  keys: Readonly<Record<string, ConfigKey>>,
  context: ConfigContext,
): CheckedTable {
  const check = new TableCheck(context);
  const { table, settings } = check.table(given, keys, []);
  const { errors, warnings } = check;
  return { table, settings, errors, warnings, secrets: [...new Set(check.secrets)] };
}

/** The variant that `platform` names, or what is wrong with it. */
export function chooseVariant<Variant extends ConfigVariant>(
  given: Readonly<Record<string, unknown>>,
  variants: readonly Variant[],
  context: Pick<ConfigContext, 'name'>,
): Variant | ConfigProblem<ConfigErrorCode> {
  const platform = Object.hasOwn(given, 'platform') ? given['platform'] : undefined;
  const validNames = variants.map(({ names }) => names[0]);
  const path = ['platform'];
  const keyPath = keyPathOf(context.name, path);
  const hint = `valid are: ${validNames.join(', ')}`;
  if (platform === undefined) {
    const near = nearestName('platform', Object.keys(given));
    const message =
      near === undefined
        ? `${keyPath} is missing`
        : `${keyPath} is missing: there is "${near}"; did you mean that?`;
    return { code: 'CONFIG_MISSING_KEY', path, keyPath, message, hint, validNames };
  }
  if (typeof platform !== 'string') {
    const message = `${keyPath} must be a string, not ${typeOf(platform)}`;
    return { code: 'CONFIG_WRONG_TYPE', path, keyPath, message, hint, validNames };
  }
  const variant = variants.find(({ names }) => names.includes(platform));
  if (variant !== undefined) return variant;
  const nearest = nearestName(
    platform,
    variants.flatMap(({ names }) => names),
  );
  const message = `${keyPath} is "${platform}", which EchoKit does not know${meant(nearest)}`;
  return { code: 'CONFIG_UNKNOWN_PLATFORM', path, keyPath, message, hint, validNames };
}

/** Replaces each `${NAME}`. `unset` are the names that the environment does not have or has empty. */
export function expandVariables(
  text: string,
  environment: Environment,
): { readonly text: string; readonly names: readonly string[]; readonly unset: readonly string[] } {
  const names = [...new Set([...text.matchAll(variable)].map(([, name]) => name!))];
  return {
    text: text.replaceAll(variable, (_, name: string) => variableValue(environment, name) ?? ''),
    names,
    unset: names.filter((name) => variableValue(environment, name) === undefined),
  };
}

const variable = /\$\{(\w+)\}/g;
/** Variables with such names hold what must not be shown, wherever they are used. */
export const secretName = /key|token|secret|passw|auth/i;

function variableValue(environment: Environment, name: string): string | undefined {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  return value === '' ? undefined : value;
}

type Path = readonly (string | number)[];

class TableCheck {
  readonly errors: ConfigProblem<ConfigErrorCode>[] = [];
  readonly warnings: ConfigProblem<ConfigWarningCode>[] = [];
  readonly secrets: string[] = [];
  readonly #context: ConfigContext;

  constructor(context: ConfigContext) {
    this.#context = context;
  }

  table(
    given: Readonly<Record<string, unknown>>,
    keys: Readonly<Record<string, ConfigKey>>,
    path: Path,
  ): { table: ConfigTable; settings: ConfigSetting[] } {
    const values: Record<string, string | undefined> = {};
    const tables: Record<string, readonly ConfigTable[]> = {};
    const settings = new Map<string, ConfigSetting>();
    const missing: [string, ConfigKey][] = [];
    const known = knownKeys(keys);
    const { elsewhere = [] } = this.#context;
    const strangers = Object.keys(given).filter(
      (key) => !known.includes(key) && !(path.length === 0 && elsewhere.includes(key)),
    );
    for (const [key, rule] of Object.entries(keys)) {
      const spellings = [key, ...(rule.aliases ?? [])].filter((name) => Object.hasOwn(given, name));
      const [spelling, second] = spellings;
      if (spelling === undefined) {
        missing.push([key, rule]);
        continue;
      }
      const at = [...path, spelling];
      if (second !== undefined) {
        const name = this.#name([...path, second]);
        const message = `${name} and ${this.#name(at)} are two names of one key`;
        this.#error('CONFIG_BAD_VALUE', [...path, second], message, 'keep one of them');
      }
      if (rule.warning !== undefined) {
        this.#warn('CONFIG_NO_EFFECT', at, `${this.#name(at)} ${rule.warning}`);
      }
      if (rule.kind === 'table' || rule.kind === 'tables') {
        tables[key] = this.#tables(at, given[spelling], rule);
      } else {
        values[key] = this.#value(at, given[spelling], rule);
      }
      settings.set(key, this.#setting(at, rule, values[key], 'file'));
    }
    // Whose misspelled key is named as the missing one need not be told that it is unknown, too.
    const explained = new Set<string>();
    for (const [key, rule] of missing) {
      settings.set(key, this.#absent(key, rule, { strangers, explained, keys, path, values }));
    }
    for (const key of strangers) {
      if (!explained.has(key)) this.#unknown(key, known, path);
    }
    return { table: { values, tables }, settings: Object.keys(keys).map((k) => settings.get(k)!) };
  }

  #tables(path: Path, value: unknown, rule: ConfigKey): ConfigTable[] {
    const several = rule.kind === 'tables';
    const elements: unknown[] = several && Array.isArray(value) ? value : [value];
    const result: ConfigTable[] = [];
    for (const [index, element] of elements.entries()) {
      if (!isTable(element) || (several && !Array.isArray(value))) {
        const at = several && Array.isArray(value) ? [...path, index] : path;
        this.#wrongType(at, element, several && at === path ? 'a list of tables' : 'a table');
      } else if (rule.keys !== undefined) {
        result.push(this.table(element, rule.keys, several ? [...path, index] : path).table);
      }
    }
    return result;
  }

  /** A key that the table does not have: from the environment, its default, or an error. */
  #absent(
    key: string,
    rule: ConfigKey,
    table: {
      /** Keys of the table that no rule is about, and those of them that a message names already. */
      readonly strangers: readonly string[];
      readonly explained: Set<string>;
      readonly keys: Readonly<Record<string, ConfigKey>>;
      readonly path: Path;
      readonly values: Record<string, string | undefined>;
    },
  ): ConfigSetting {
    const path = [...table.path, key];
    const name = this.#name(path);
    const environment = this.#context.environment ?? {};
    const names = rule.environment ?? [];
    const variable = names.find((candidate) => variableValue(environment, candidate) !== undefined);
    const stranger = foreignHost(table.values['url'], table.keys['url']?.default);
    if (variable !== undefined && stranger === undefined) {
      const text = this.#value(path, variableValue(environment, variable), rule, variable);
      table.values[key] = text;
      return this.#setting(path, rule, text, 'environment', variable);
    }
    const near = nearestName(key, table.strangers);
    const { missingSecret } = this.#context;
    if (rule.required === true && rule.secret === true && !near && missingSecret !== undefined) {
      const message = `${name} is missing: a stand-in takes any, but EchoKit and a real service need it`;
      this.#warn('CONFIG_NO_SECRET', path, message);
      table.values[key] = missingSecret;
      return this.#setting(path, rule, missingSecret, 'default');
    }
    if (rule.required === true) {
      if (near !== undefined) table.explained.add(near);
      const hints = [
        near === undefined
          ? `write ${key} = … in ${this.#name(table.path)}: ${rule.about.replace(/\.$/, '')}`
          : `there is "${near}": did you mean that?`,
      ];
      if (variable !== undefined) {
        hints.push(
          `${variable} is set, but is not sent to ${stranger} unasked: ` +
            `write ${key} = "\${${variable}}" if it belongs there`,
        );
      } else if (names.length > 0 && this.#context.environment !== undefined) {
        hints.push(`or set the environment variable ${names.join(' or ')}`);
      }
      const message = `${name} is missing: ${this.#owner(table.path)} needs it`;
      this.#error('CONFIG_MISSING_KEY', path, message, hints.join('; '));
    }
    if (rule.absent !== undefined) {
      this.#warn('CONFIG_DOUBTFUL_DEFAULT', path, `${name} ${rule.absent}`);
    }
    for (const { when, says, hint } of rule.doubts ?? []) {
      if (rule.default === undefined || !when.test(rule.default)) continue;
      const message = `${name} is not given, and EchoKit's default "${rule.default}" ${says}`;
      this.#warn('CONFIG_DOUBTFUL_DEFAULT', path, message, hint);
    }
    table.values[key] = rule.default;
    return this.#setting(
      path,
      rule,
      rule.default,
      rule.default === undefined ? 'nowhere' : 'default',
    );
  }

  /** @param variable where the value is from, when it is not from the table. */
  #value(path: Path, value: unknown, rule: ConfigKey, variable?: string): string | undefined {
    if (rule.kind === 'count' || rule.kind === 'whole' || rule.kind === 'number') {
      const digits = this.#number(path, value, rule);
      if (digits !== undefined) this.#doubts(path, digits, rule);
      return digits;
    }
    if (typeof value !== 'string') return this.#wrongType(path, value, 'a string');
    const text = variable === undefined ? this.#expanded(path, value) : value;
    if (text === undefined) return undefined;
    const name = variable ?? this.#name(path);
    if (rule.secret === true && text !== '') this.secrets.push(text);
    if (rule.kind === 'url' && URL.canParse(text)) {
      this.secrets.push(...urlCredentials(new URL(text)));
    }
    if (rule.required === true && rule.secret !== true && text === '') {
      return this.#unusable(
        'CONFIG_BAD_VALUE',
        path,
        `${name} is empty`,
        rule.about.replace(/\.$/, ''),
      );
    }
    if (rule.secret === true && !/^[\x20-\x7e]*$/.test(text)) {
      const message = `${name} holds a character that no HTTP header can carry`;
      return this.#unusable('CONFIG_BAD_VALUE', path, message, 'was a line break copied with it?');
    }
    if (rule.choices !== undefined && !rule.choices.includes(text)) {
      const nearest = nearestName(text, rule.choices);
      const message = `${name} is "${value}"${meant(nearest)}`;
      const hint = `valid are: ${rule.choices.join(', ')}`;
      return this.#error('CONFIG_BAD_VALUE', path, message, hint, rule.choices);
    }
    if (rule.kind === 'url' && !this.#url(path, value, text, rule.schemes ?? [])) return undefined;
    if (rule.secret === true && /^bearer\s/i.test(text)) {
      const message = `${name} begins with "Bearer", so that word is sent twice`;
      this.#warn('CONFIG_BEARER', path, message, 'leave the word out');
    }
    this.#doubts(path, text, rule);
    return text;
  }

  #doubts(path: Path, text: string, rule: ConfigKey): void {
    const name = this.#name(path);
    for (const { when, says, hint } of rule.doubts ?? []) {
      if (when.test(text)) this.#warn('CONFIG_DOUBTFUL_VALUE', path, `${name} ${says}`, hint);
    }
  }

  #expanded(path: Path, written: string): string | undefined {
    const environment = this.#context.environment;
    const { text, names, unset } = expandVariables(written, environment ?? {});
    if (names.length === 0) return written;
    const name = this.#name(path);
    const shown = names.map((each) => `\${${each}}`).join(' and ');
    if (environment === undefined) {
      const message = `${name} holds ${shown}, but EchoKit does not expand environment variables`;
      this.#warn('CONFIG_VARIABLE', path, message);
      return written;
    }
    for (const each of unset) {
      const message = `${name} holds \${${each}}, and the environment variable ${each} is not set`;
      this.#unusable('CONFIG_VARIABLE_UNSET', path, message, `set ${each}, or write the value`);
    }
    if (unset.length > 0) return undefined;
    for (const each of names) {
      if (secretName.test(each)) this.secrets.push(environment[each]!);
    }
    const message = `${name} holds ${shown}: it is expanded here, but EchoKit takes it literally`;
    this.#warn('CONFIG_VARIABLE', path, message);
    return text;
  }

  #number(
    path: Path,
    value: unknown,
    { kind, between }: Pick<ConfigKey, 'kind' | 'between'>,
  ): string | undefined {
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    if (!isNumber) return this.#wrongType(path, value, 'a number');
    const name = this.#name(path);
    if (kind === 'number') {
      if (Number.isFinite(Number(value))) return String(value);
      return this.#error('CONFIG_BAD_VALUE', path, `${name} is ${value}`, 'write a finite number');
    }
    // 15.0 is no whole number for EchoKit, and a parser of TOML may not tell it from 15.
    const written = this.#context.written?.(path);
    const whole = written === undefined || /^[+-]?(\d[\d_]*|0[xob][\da-f_]+)$/i.test(written);
    const [least, greatest] = between ?? [kind === 'count' ? 1 : 0, Number.MAX_SAFE_INTEGER];
    const count = Number(value);
    if (whole && Number.isSafeInteger(count) && count >= least && count <= greatest) {
      return String(value);
    }
    const range = between === undefined ? undefined : `between ${least} and ${greatest}`;
    const hint = `it must be a whole number ${range ?? (kind === 'count' ? 'above 0' : 'from 0')}`;
    return this.#error('CONFIG_BAD_VALUE', path, `${name} is ${written ?? value}`, hint);
  }

  #url(path: Path, written: string, text: string, schemes: readonly string[]): boolean {
    const hint = `it must begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
    const name = this.#name(path);
    const fail = (what: string): false => {
      this.#unusable('CONFIG_BAD_VALUE', path, `${name} ${what}`, hint, schemes);
      return false;
    };
    if (!URL.canParse(text)) return fail(`is "${withoutCredentials(written)}", which is no URL`);
    const { protocol, hostname } = new URL(text);
    if (!schemes.includes(protocol.slice(0, -1))) return fail(`begins with ${protocol}`);
    return hostname !== '' || fail('names no host');
  }

  #unknown(key: string, known: readonly string[], path: Path): void {
    const at = [...path, key];
    const nearest = nearestName(key, known);
    const message = `${this.#name(at)} is no key of ${this.#owner(path)} and is ignored${meant(nearest)}`;
    this.#warn('CONFIG_UNKNOWN_KEY', at, message, `keys: ${known.join(', ')}`);
  }

  #setting(
    path: Path,
    rule: ConfigKey,
    text: string | undefined,
    from: ConfigSetting['from'],
    variable?: string,
  ): ConfigSetting {
    const secret = rule.secret === true;
    const shown = rule.kind === 'url' && text !== undefined ? publicUrl(new URL(text)) : text;
    return {
      keyPath: this.#name(path),
      // A variable with a key may be a part of any value.
      shown: secret || shown === undefined ? undefined : redact(shown, this.secrets),
      secret,
      required: rule.required === true,
      from,
      ...(variable !== undefined && { variable }),
    };
  }

  #wrongType(path: Path, value: unknown, wanted: string): undefined {
    const message = `${this.#name(path)} must be ${wanted}, not ${typeOf(value)}`;
    return this.#error('CONFIG_WRONG_TYPE', path, message);
  }

  #error(
    code: ConfigErrorCode,
    path: Path,
    message: string,
    hint?: string,
    validNames?: readonly string[],
  ): undefined {
    this.errors.push({
      ...{ code, path, keyPath: this.#name(path), message },
      ...(hint !== undefined && { hint }),
      ...(validNames !== undefined && { validNames }),
    });
  }

  /** An error of a value that EchoKit's reader takes. */
  #unusable(
    code: ConfigErrorCode,
    path: Path,
    message: string,
    hint: string,
    validNames?: readonly string[],
  ): undefined {
    this.#error(code, path, message, hint, validNames);
    this.errors.push({ ...this.errors.pop()!, echoKitReads: true });
  }

  #warn(code: ConfigWarningCode, path: Path, message: string, hint?: string): void {
    const problem = { code, path, keyPath: this.#name(path), message };
    this.warnings.push({ ...problem, ...(hint !== undefined && { hint }) });
  }

  #owner(path: Path): string {
    return path.length === 0 ? this.#context.owner : this.#name(path);
  }

  #name(path: Path): string {
    return keyPathOf(this.#context.name, path);
  }
}

/** `tts.prompts[0].role`; the top level of a file has no name. */
export function keyPathOf(name: string, path: Path): string {
  return [...(name === '' ? [] : [name]), ...path]
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${part}`,
    )
    .join('');
}

/** Dates are objects, too, but of a class of the parser. */
export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function knownKeys(keys: Readonly<Record<string, ConfigKey>>): string[] {
  return Object.entries(keys).flatMap(([key, { aliases = [] }]) => [key, ...aliases]);
}

/** The host of `url` when it belongs to somebody else than the default's. This machine is nobody else. */
function foreignHost(url: string | undefined, standard: string | undefined): string | undefined {
  if (url === undefined || standard === undefined || !URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  if (/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) return undefined;
  const owner = (host: string): string => host.split('.').slice(-2).join('.');
  return owner(hostname) === owner(new URL(standard).hostname) ? undefined : hostname;
}

/** What was meant as a URL, without what may be a key: the user in front and the query behind. */
function withoutCredentials(written: string): string {
  return written.replace(/\?.*$/s, '?…').replace(/[^/]*@/, '…@');
}

function meant(name: string | undefined): string {
  return name === undefined ? '' : `: did you mean "${name}"?`;
}

/** Without the value: it may be a secret. */
function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isTable(value)) return 'a table';
  if (typeof value === 'object' && value !== null) return 'a date';
  return value === null ? 'null' : `a ${typeof value === 'bigint' ? 'number' : typeof value}`;
}
