/**
 * Reads a whole EchoKit `config.toml` as EchoKit does, says what of it this program uses, and names
 * with line and column what is wrong, doubtful or without effect (EchoKit device protocol
 * reference, section 9). Beside EchoKit's own tables it knows `[providers.<name>]`: more tables like
 * `[tts]`, which EchoKit ignores.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type CheckedTable,
  type ConfigProblem,
  checkTable,
  chooseVariant,
  type Environment,
  isTable,
} from '../../adapters/config-table.ts';
import {
  type CheckedTtsConfig,
  type ConfigSetting,
  type ConfigTable,
  checkTtsConfig,
} from '../../adapters/index.ts';
import { redact } from '../../adapters/transport/provider-failure.ts';
import { decodeUserWav, UserWavError } from '../scenario/user-wav.ts';
import type { EndOfSpeechSettings } from '../server/end-of-speech.ts';
import type { ChatConfig, PromptMessage, ResponsesConfig } from '../server/model-replies.ts';
import type { ParaformerConfig } from '../server/paraformer-recognizer.ts';
import type { WhisperConfig } from '../server/whisper-recognizer.ts';
import { placeOf } from '../toml/problem-list.ts';
import { sourceExcerpt } from '../toml/source-excerpt.ts';
import { type KeyPath, SourceMap, type SourceRange } from '../toml/source-position.ts';
import {
  parseToml,
  readTextFile,
  TextFileError,
  TomlSyntaxError,
  type TomlTable,
} from '../toml/toml-document.ts';
import {
  type Backend,
  type BackendSection,
  backendSections,
  chooseBackend,
  type SectionState,
  sectionList,
} from './backend.ts';
import { type ConfigFileProblem, type ConfigPart, EchoKitConfigError } from './config-problem.ts';
import { hideSecrets, secretValues } from './secret-text.ts';
import {
  asrPlatforms,
  claudeKeys,
  fetchedPrompt,
  fileKeys,
  geminiKeys,
  type Keys,
  llmPlatforms,
  recordKeys,
  type SectionName,
  type SectionPlatform,
} from './section-keys.ts';

export interface EchoKitConfig {
  /** As the user gave it. */
  readonly file: string;
  /** Errors and warnings, in the order of the file. No secret occurs in them. */
  readonly problems: readonly ConfigFileProblem[];
  /** What the file holds and whether this program uses it. */
  readonly sections: readonly ConfigSection[];
  /** `[tts]` and `[providers.<name>]`, in the order of the file. */
  readonly providers: readonly ConfiguredProvider[];
  readonly addr?: { readonly host: string; readonly port: number };
  /** Path that can be opened from here. */
  readonly helloWav?: string;
  /** `[asr]`; exactly one of the two: asked with whole recordings, or listening while the user speaks. */
  readonly recognition?:
    | { readonly whisper: WhisperConfig }
    | { readonly paraformer: ParaformerConfig };
  /** `[llm]`; exactly one of the two. */
  readonly model?: { readonly chat: ChatConfig } | { readonly responses: ResponsesConfig };
  /** `[record] callback_url`: whom `serve --record` tells of recordings. */
  readonly recordCallback?: string;
  /** `[asr.vad]`, what of it is written. */
  readonly endOfSpeech?: Partial<EndOfSpeechSettings>;
  /** What EchoKit itself would make of the file, as one sentence. */
  readonly backend: string;
  /** Every key, token and password of the file, used or not: what nothing may show. */
  readonly secrets: readonly string[];
}

export interface ConfigSection {
  /** As in the file: `addr`, `[asr]`. */
  readonly name: string;
  readonly used: boolean;
  /** For what, or why not: `replies are scripted`. */
  readonly note: string;
}

export interface ConfiguredProvider {
  /** By which a run names it. */
  readonly name: string;
  /** `tts` or `providers.<name>`. */
  readonly table: string;
  /** Absent when the table names none that can be used. */
  readonly platform?: string;
  /** Absent when the table has errors. */
  readonly tts: CheckedTtsConfig['tts'];
  readonly settings: readonly ConfigSetting[];
}

export interface EchoKitConfigOptions {
  /** Where keys that are missing and `${NAME}` are looked up. */
  readonly environment: Environment;
  /** What a provider's key is when it is given nowhere; see {@link checkTtsConfig}. */
  readonly missingSecret?: string;
}

/** @throws {EchoKitConfigError} `CONFIG_NOT_FOUND`, `CONFIG_SYNTAX`; the rest is in `problems`. */
export function readEchoKitConfigFile(path: string, options: EchoKitConfigOptions): EchoKitConfig {
  try {
    return readEchoKitConfig(readTextFile(path), path, options);
  } catch (cause) {
    if (!(cause instanceof TextFileError)) throw cause;
    const { fault } = cause;
    const code = fault === undefined ? 'CONFIG_SYNTAX' : 'CONFIG_NOT_FOUND';
    const reasons: Readonly<Record<string, string>> = { ENOENT: 'there is no such file' };
    const message =
      fault === undefined
        ? 'the file is not UTF-8 text'
        : (reasons[fault] ?? `the configuration cannot be read (${fault})`);
    const hint = 'name an EchoKit config.toml with a [tts] section';
    throw new EchoKitConfigError([{ code, file: path, message, hint }], { cause });
  }
}

/**
 * @param file its path: named in messages; a hello is looked up beside it, too.
 * @throws {EchoKitConfigError} `CONFIG_SYNTAX`
 */
export function readEchoKitConfig(
  given: string,
  file: string,
  options: EchoKitConfigOptions,
): EchoKitConfig {
  const text = given.startsWith('\ufeff') ? given.slice(1) : given;
  const source = new SourceMap(text);
  try {
    return new ConfigReading(source, file, parseToml(text), options).read();
  } catch (cause) {
    if (!(cause instanceof TomlSyntaxError)) throw cause;
    const message = `this is not valid TOML: ${cause.message}`;
    const excerpt = sourceExcerpt(hideSecrets(source), cause.range);
    throw new EchoKitConfigError([{ code: 'CONFIG_SYNTAX', file, ...cause.at, message, excerpt }], {
      cause,
    });
  }
}

/** Whether a file is meant as a configuration and not as a scenario, by what stands at its top level. */
export function looksLikeEchoKitConfig(text: string): boolean {
  try {
    const keys = Object.keys(parseToml(text.replace(/^\ufeff/, '')));
    return !keys.includes('turn') && keys.some((key) => Object.hasOwn(fileKeys, key));
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    return /^\s*\[\s*(?:tts|asr|llm|gemini|claude|providers)\b/m.test(text);
  }
}

/** @throws {EchoKitConfigError} with the errors in these parts, if there are any. */
export function assertUsable(config: EchoKitConfig, parts: readonly ConfigPart[]): void {
  const isFatal = ({ severity, part }: ConfigFileProblem): boolean =>
    severity === 'error' && parts.includes(part);
  const [first, ...others] = config.problems.filter(isFatal);
  if (first !== undefined) throw new EchoKitConfigError([first, ...others]);
}

class ConfigReading {
  readonly #source: SourceMap;
  readonly #file: string;
  readonly #raw: TomlTable;
  readonly #environment: Environment;
  readonly #missingSecret: string | undefined;
  /** The text for excerpts. */
  readonly #shown: string;
  readonly #secrets: string[];
  readonly #problems: ConfigFileProblem[] = [];
  readonly #sections: ConfigSection[] = [];
  readonly #states: Partial<Record<BackendSection, SectionState>> = {};
  readonly #providers: ConfiguredProvider[] = [];

  constructor(source: SourceMap, file: string, raw: TomlTable, options: EchoKitConfigOptions) {
    this.#source = source;
    this.#file = file;
    this.#raw = raw;
    this.#environment = options.environment;
    this.#missingSecret = options.missingSecret;
    this.#shown = hideSecrets(source);
    this.#secrets = secretValues(raw);
  }

  read(): EchoKitConfig {
    const top = this.#check([], fileKeys, 'an EchoKit configuration', true);
    const { addr, hello_wav: hello } = top.table.values;
    const address = addr === undefined ? undefined : this.#address(addr);
    const helloWav = hello === undefined ? undefined : this.#hello(hello);
    const recordCallback = this.#record();
    const { endOfSpeech, recognition } = this.#recognition();
    this.#speech();
    const model = this.#replies();
    const backend = this.#backend(top);
    return {
      file: this.#file,
      problems: this.#problems.map((problem) => this.#withoutSecrets(problem)),
      sections: this.#sections,
      providers: this.#providers,
      ...(address !== undefined && { addr: address }),
      ...(helloWav !== undefined && { helloWav }),
      ...(endOfSpeech !== undefined && { endOfSpeech }),
      ...(recognition !== undefined && { recognition }),
      ...(model !== undefined && { model }),
      ...(recordCallback !== undefined && { recordCallback }),
      backend,
      secrets: [...new Set(this.#secrets)],
    };
  }

  #address(addr: string): EchoKitConfig['addr'] {
    this.#sections.push({ name: 'addr', used: true, note: 'where serve listens' });
    const [, host, port] = /^(\[[^\]]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(addr) ?? [];
    if (host !== undefined && Number(port) <= 65_535) {
      return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
    }
    const message = 'addr must be a host and a port';
    this.#add('error', 'addr', 'CONFIG_BAD_VALUE', ['addr'], message, 'for example "0.0.0.0:8080"');
    return undefined;
  }

  /** EchoKit looks in its working directory and goes on in silence when nothing is there. */
  #hello(written: string): string | undefined {
    const note = 'the hello of serve, unless the scenario has one';
    this.#sections.push({ name: 'hello_wav', used: true, note });
    const places = [written, join(dirname(this.#file), written)];
    const path = places.find((each) => existsSync(each)) ?? written;
    const { fault, usable } = inspectHello(path);
    if (fault !== undefined) {
      const hint =
        'a board plays it as 16-bit mono at 16000 Hz; without one it has a beep of its own';
      const message = `hello_wav: ${fault}`;
      this.#add('warning', 'hello_wav', 'CONFIG_HELLO_WAV', ['hello_wav'], message, hint);
    }
    return usable ? path : undefined;
  }

  #record(): string | undefined {
    if (!isTable(this.#raw['record'])) return undefined;
    const checked = this.#check(['record'], recordKeys, '[record]', true);
    const note = 'whom serve --record tells of recordings';
    this.#sections.push({ name: '[record]', used: true, note });
    return checked.table.values['callback_url'];
  }

  /** `[asr]`: what of it is not about the end of speech is for real services only. */
  #recognition(): Pick<EchoKitConfig, 'endOfSpeech' | 'recognition'> {
    const checked = this.#unusedPlatform(
      'asr',
      `what the user says is known from the scenario${butLive}`,
      asrPlatforms,
    );
    const recognition = checked && recognitionConfig(checked.table.values);
    if (recognition !== undefined && 'paraformer' in recognition) {
      const at = this.#sections.findIndex(({ name }) => name === '[asr]');
      const note =
        'recognition while the user speaks, by a stand-in; only serve --live asks the service';
      this.#sections[at] = { name: '[asr]', used: true, note };
    }
    const endOfSpeech = checked && this.#endOfSpeech(checked);
    return {
      ...(recognition !== undefined && { recognition }),
      ...(endOfSpeech !== undefined && { endOfSpeech }),
    };
  }

  #endOfSpeech(checked: CheckedTable): Partial<EndOfSpeechSettings> | undefined {
    const [vad] = checked.table.tables['vad'] ?? [];
    if (vad === undefined) return undefined;
    this.#sections.push({ name: '[asr.vad]', used: true, note: 'when serve ends a turn' });
    const written = (key: string): number | undefined => {
      const given = vad.values[key];
      const isWritten = this.#source.find(['asr', 'vad', key]) !== undefined;
      return given === undefined || !isWritten ? undefined : Number(given);
    };
    const doubt = (key: string, message: string): void =>
      this.#add('warning', 'asr.vad', 'CONFIG_DOUBTFUL_VALUE', ['asr', 'vad', key], message);
    const threshold = written('threshold');
    const negThreshold = written('neg_threshold');
    if (threshold !== undefined && (threshold <= 0 || threshold > 0.95)) {
      doubt('threshold', `asr.vad.threshold is ${threshold}; a probability up to 0.95 counts`);
    }
    if (negThreshold !== undefined && negThreshold >= (threshold ?? 0.5)) {
      doubt('neg_threshold', `asr.vad.neg_threshold is ${negThreshold}, not below threshold`);
    }
    return withoutAbsent({
      threshold,
      negThreshold,
      minSpeechDurationMs: written('min_speech_duration_ms'),
      maxSilenceDurationMs: written('max_silence_duration_ms'),
      hangoverMs: written('hangover_ms'),
    });
  }

  /** `[tts]` and `[providers.<name>]`, in the order of the file. */
  #speech(): void {
    const { tts, providers } = this.#raw;
    const others = isTable(providers) ? Object.entries(providers) : [];
    const taken = new Set(others.map(([name]) => name));
    const tables = others.map(([name, table]) => ({ name, path: ['providers', name], table }));
    if (tts !== undefined) tables.push({ name: 'tts', path: ['tts'], table: tts });
    const start = ({ path }: { readonly path: KeyPath }) => this.#source.nearest(path).key.start;
    for (const { name, path, table } of tables.toSorted((a, b) => start(a) - start(b))) {
      if (path[0] === 'tts') this.#tts(table, taken);
      else this.#otherProvider(name, path, table);
    }
  }

  #tts(table: unknown, taken: ReadonlySet<string>): void {
    this.#states.tts = 'unreadable';
    if (!isTable(table)) return;
    const checked = this.#provider('tts', ['tts'], table);
    const lacking = checked.settings.some((each) => each.from === 'environment' && each.required);
    const readable = checked.errors.every(({ echoKitReads }) => echoKitReads);
    if (readable && !lacking) this.#states.tts = 'readable';
    const name = this.#ttsName(checked.platform, taken);
    this.#sections.push({ name: '[tts]', used: true, note: `provider ${name}` });
    this.#providers.push(configuredProvider(name, 'tts', checked));
  }

  #otherProvider(name: string, path: KeyPath, table: unknown): void {
    const written = `providers.${name}`;
    if (!isTable(table)) {
      const message = `${written} must be a table like [tts]`;
      this.#add('error', 'providers', 'CONFIG_WRONG_TYPE', path, message);
      return;
    }
    // The name becomes part of a folder's name, and on the command line names are separated by commas.
    if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]*$/u.test(name)) {
      const message = `"${name}" cannot name a provider`;
      const hint = 'use letters, digits, ".", "_" and "-", for example [providers.my-voice]';
      this.#add('error', 'providers', 'CONFIG_BAD_VALUE', path, message, hint);
    }
    const checked = this.#provider(written, path, table);
    const note = `provider ${name}; EchoKit ignores it`;
    this.#sections.push({ name: `[${written}]`, used: true, note });
    this.#providers.push(configuredProvider(name, written, checked));
  }

  #provider(name: string, path: KeyPath, table: TomlTable): CheckedTtsConfig {
    const environment = this.#environment;
    const written = (below: KeyPath) => this.#written([...path, ...below]);
    const missingSecret = this.#missingSecret;
    const checked = checkTtsConfig(table, { name, environment, written, missingSecret });
    this.#take(checked, path, path[0] === 'tts' ? 'tts' : 'providers');
    return checked;
  }

  /** `[tts]` goes by its platform's name, unless another table has taken it. */
  #ttsName(platform: string | undefined, taken: ReadonlySet<string>): string {
    const wanted = platform ?? 'tts';
    if (!taken.has(wanted)) return wanted;
    const free = ['tts', 'config'].find((name) => !taken.has(name)) ?? `${wanted}-of-tts`;
    const message = `[providers.${wanted}] has the name of the platform of [tts], so [tts] is provider "${free}"`;
    this.#add('warning', 'providers', 'CONFIG_PROVIDER_NAME', ['providers', wanted], message);
    return free;
  }

  /** `[llm]`, `[gemini]`, `[claude]`: where replies come from; the first is for real services only. */
  #replies(): EchoKitConfig['model'] {
    const note = 'replies are scripted';
    const llm = this.#unusedPlatform('llm', `replies are scripted${butLive}`, llmPlatforms);
    const [first] = llm?.table.tables['sys_prompts'] ?? [];
    if (first !== undefined && /\{\{\s*https?:/.test(first.values['content'] ?? '')) {
      const path = ['llm', 'sys_prompts', 0, 'content'];
      const message = `llm.sys_prompts[0].content names an address that ${fetchedPrompt}`;
      this.#add('warning', 'llm', 'CONFIG_DOUBTFUL_VALUE', path, message);
    }
    this.#unused('claude', note, claudeKeys);
    const prompts = this.#unused('gemini', note, geminiKeys)?.table.tables['sys_prompts'] ?? [];
    if (prompts.length > 1) {
      const message = 'gemini.sys_prompts has more than one entry, and only the first is used';
      this.#add('warning', 'gemini', 'CONFIG_NO_EFFECT', ['gemini', 'sys_prompts', 1], message);
    }
    const { extra } = (this.#raw['llm'] ?? {}) as { readonly extra?: unknown };
    return llm && modelConfig(llm.table, isTable(extra) ? extra : {});
  }

  /** What EchoKit makes of the file. A file with nothing but providers is meant for this program. */
  #backend(top: CheckedTable): string {
    const has = (key: string): boolean => Object.hasOwn(this.#raw, key);
    if (!has('addr') && !backendSections.some((section) => section !== 'tts' && has(section))) {
      return 'EchoKit needs addr, [llm] and [asr] besides [tts]; this is a part of a configuration';
    }
    if (!has('addr')) {
      const message = 'addr is missing: EchoKit needs an address to listen on';
      this.#add('error', 'file', 'CONFIG_MISSING_KEY', [], message, 'addr = "0.0.0.0:8080"');
    }
    const backend = chooseBackend(this.#states);
    const verdict = backend.taken === undefined ? this.#noBackend(backend) : this.#taken(backend);
    const isRefused = !has('addr') || top.errors.some(({ echoKitReads }) => !echoKitReads);
    return isRefused && backend.taken !== undefined
      ? `EchoKit refuses the file; without the mistakes at its top level, ${verdict}`
      : verdict;
  }

  #noBackend({ lacking }: Backend): string {
    const { sections, absent, unreadable } = lacking!;
    const be = (of: readonly string[]): string => (of.length === 1 ? 'is' : 'are');
    const reasons = [
      ...(absent.length === 0 ? [] : [`${sectionList(absent)} ${be(absent)} missing`]),
      ...(unreadable.length === 0 ? [] : [`${sectionList(unreadable)} cannot be read`]),
    ].join(', ');
    const hint = 'it says only that no variant matched the whole file';
    if (absent.length > 0) {
      const there = sections.filter((section) => !absent.includes(section));
      const message = `EchoKit refuses this file: ${sectionList(sections)} belong together, and ${reasons}`;
      this.#add('error', 'backend', 'CONFIG_NO_BACKEND', there.slice(0, 1), message, hint);
    } else if (!this.#problems.some(({ severity }) => severity === 'error')) {
      // The only thing that can be read here and not there is a key from the environment.
      const message =
        'EchoKit itself refuses this file: a key is in the environment, not in the file';
      this.#add('warning', 'backend', 'CONFIG_BACKEND', ['tts'], message, hint);
    }
    return `EchoKit refuses the file: ${reasons}`;
  }

  #taken({ taken, passedOver, ignored }: Backend): string {
    const verdict = `EchoKit takes ${sectionList(taken!)}`;
    const why =
      passedOver === undefined
        ? `it takes ${sectionList(taken!)} and looks no further`
        : `it cannot read ${sectionList(passedOver.unreadable)}, so it passes over ` +
          `${sectionList(passedOver.sections)} without a word and takes ${sectionList(taken!)}`;
    for (const section of ignored) {
      const message = `EchoKit ignores [${section}]: ${why}`;
      this.#add('warning', 'backend', 'CONFIG_BACKEND', [section], message);
    }
    if (taken!.includes('gemini')) {
      const message =
        'Gemini ignores stream_asr: a board must say Submit when the user has finished';
      this.#add('warning', 'gemini', 'CONFIG_GEMINI_SUBMIT', ['gemini'], message);
    }
    return ignored.length === 0 ? verdict : `${verdict} and ignores ${sectionList(ignored)}`;
  }

  #unusedPlatform(
    section: 'asr' | 'llm',
    note: string,
    platforms: readonly SectionPlatform[],
  ): CheckedTable | undefined {
    const table = this.#raw[section];
    if (!isTable(table)) return this.#unused(section, note, {});
    const platform = chooseVariant(table, platforms, { name: section });
    if (!('code' in platform)) return this.#unused(section, note, platform.keys, platform.names[0]);
    this.#take({ errors: [platform], warnings: [] }, [section], section);
    this.#states[section] = 'unreadable';
    this.#sections.push({ name: `[${section}]`, used: false, note });
    return undefined;
  }

  #unused(
    section: Exclude<SectionName, 'tts' | 'providers'>,
    note: string,
    keys: Keys,
    platform?: string,
  ): CheckedTable | undefined {
    if (!Object.hasOwn(this.#raw, section)) return undefined;
    this.#sections.push({ name: `[${section}]`, used: false, note });
    const isBackend = backendSections.some((each) => each === section);
    const isReadable = isTable(this.#raw[section]);
    const owner = platform === undefined ? `[${section}]` : `platform "${platform}"`;
    const checked = isReadable ? this.#check([section], keys, owner, false) : undefined;
    const readable = checked?.errors.every(({ echoKitReads }) => echoKitReads) ?? false;
    if (isBackend) this.#states[section as BackendSection] = readable ? 'readable' : 'unreadable';
    return checked;
  }

  /** Variables are expanded only in what is used. */
  #check(path: readonly SectionName[], keys: Keys, owner: string, used: boolean): CheckedTable {
    const table = path.reduce<unknown>((below, key) => (below as TomlTable)[key], this.#raw);
    const checked = checkTable(table as TomlTable, keys, {
      name: path.join('.'),
      owner,
      elsewhere: ['platform'].filter(() => path.length > 0),
      ...(used && { environment: this.#environment }),
      written: (below) => this.#written([...path, ...below]),
    });
    this.#secrets.push(...checked.secrets);
    this.#take(checked, path);
    return checked;
  }

  #take(
    { errors, warnings }: Pick<CheckedTable, 'errors' | 'warnings'>,
    prefix: KeyPath,
    part?: ConfigPart,
  ): void {
    for (const [severity, problems] of [
      ['error', errors],
      ['warning', warnings],
    ] as const) {
      for (const { code, path, message, hint } of problems as readonly ConfigProblem[]) {
        const full = [...prefix, ...path];
        this.#add(severity, part ?? partOf(full), code, full, message, hint);
      }
    }
  }

  #add(
    severity: ConfigFileProblem['severity'],
    part: ConfigPart,
    code: ConfigFileProblem['code'],
    path: KeyPath,
    message: string,
    hint?: string,
  ): void {
    const { key, value } = this.#source.nearest(path);
    const range: SourceRange =
      code === 'CONFIG_UNKNOWN_KEY' || code === 'CONFIG_NO_EFFECT' ? key : value;
    this.#problems.push({
      ...{ severity, part, code, file: this.#file, message },
      ...(hint !== undefined && { hint }),
      // What is missing at the top level has no place.
      ...(range.end > 0 && placeOf(this.#source, range, this.#shown)),
    });
  }

  #withoutSecrets(problem: ConfigFileProblem): ConfigFileProblem {
    const { message, hint } = problem;
    return {
      ...problem,
      message: redact(message, this.#secrets),
      ...(hint !== undefined && { hint: redact(hint, this.#secrets) }),
    };
  }

  #written(path: KeyPath): string | undefined {
    const entry = this.#source.find(path);
    return entry && this.#source.text.slice(entry.value.start, entry.value.end);
  }
}

function configuredProvider(
  name: string,
  table: string,
  { platform, tts, settings, errors }: CheckedTtsConfig,
): ConfiguredProvider {
  const refused = new Set(errors.map(({ keyPath }) => keyPath));
  return {
    name,
    table,
    ...(platform !== undefined && { platform }),
    tts,
    settings: settings.map((setting) =>
      refused.has(setting.keyPath) && setting.from !== 'nowhere'
        ? { ...setting, refused: true }
        : setting,
    ),
  };
}

const butLive = '; only serve --live asks';

function recognitionConfig(values: ConfigTable['values']): EchoKitConfig['recognition'] {
  const { url, api_key: apiKey, lang: language, model, prompt, paraformer_token: token } = values;
  if (url === undefined) return undefined;
  if (token !== undefined) return /^wss?:/i.test(url) ? { paraformer: { url, token } } : undefined;
  if (!/^https?:/i.test(url)) return undefined;
  return { whisper: { url, ...withoutAbsent({ apiKey, language, model, prompt }) } };
}

function modelConfig(
  { values, tables }: ConfigTable,
  extra: TomlTable,
): EchoKitConfig['model'] | undefined {
  const prompts = (key: string): PromptMessage[] =>
    (tables[key] ?? []).map(({ values: { role = 'assistant', content = '' } }) => ({
      role,
      content,
    }));
  const { api_key: apiKey, model, instructions, history } = values;
  const chatUrl = values['llm_chat_url'];
  const responsesUrl = values['llm_responses_url'];
  const common = { ...withoutAbsent({ apiKey, model }), extra, sysPrompts: prompts('sys_prompts') };
  if (chatUrl !== undefined && history !== undefined) {
    const dynamicPrompts = prompts('dynamic_prompts');
    return { chat: { ...common, url: chatUrl, history: Number(history), dynamicPrompts } };
  }
  if (responsesUrl === undefined) return undefined;
  return { responses: { ...common, url: responsesUrl, ...withoutAbsent({ instructions }) } };
}

function partOf([first, second]: KeyPath): ConfigPart {
  if (first === 'asr' && second === 'vad') return 'asr.vad';
  const known = Object.keys(fileKeys).find((key) => key === first);
  return known === undefined ? 'file' : (known as keyof typeof fileKeys);
}

/** Whether there is something to play, and why it will not sound as it is meant. */
function inspectHello(path: string): { readonly fault?: string; readonly usable: boolean } {
  try {
    decodeUserWav(readFileSync(path));
    return { usable: true };
  } catch (error) {
    if (error instanceof UserWavError) return { fault: error.message, usable: true };
    const { code } = error as NodeJS.ErrnoException;
    const fault = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    return { fault, usable: false };
  }
}

/** Without the properties that are undefined. */
function withoutAbsent<Key extends string, Value>(
  value: Readonly<Record<Key, Value | undefined>>,
): Partial<Record<Key, Value>> {
  const present = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(present) as Partial<Record<Key, Value>>;
}
