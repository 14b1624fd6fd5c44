import type { SpeechAdapter } from './speech-adapter.ts';
import type { SpeechFailureKind } from './speech-error.ts';

/**
 * Everything the program knows of one TTS platform: how EchoKit's `[tts]` table names and
 * configures it, and its adapter. One file in `platforms/` exports one of these, and one line in
 * `platforms.ts` lists it.
 */
export interface Platform<Config = never> {
  /** Accepted spellings of `platform` in the configuration; the first is the canonical one. */
  readonly names: readonly [string, ...string[]];
  /** Keys of the `[tts]` table beside `platform`. */
  readonly keys: Readonly<Record<string, ConfigKey>>;
  /** Makes the adapter's configuration of the table's values, with the defaults filled in. */
  configFrom(values: ConfigValues, tables: ConfigTable['tables']): Config;
  /**
   * Keys that have no effect in this configuration, with the reason: a clause that follows the key's
   * name, as {@link ConfigKey.warning}.
   */
  remarks?(config: Config): Readonly<Record<string, string>>;
  /** Services beside the platform's own that the adapter calls with it; absent: none. */
  otherServices?(config: Config): readonly OtherService[];
  readonly adapter: SpeechAdapter<Config>;
  /** How the EchoKit server itself speaks with the platform. */
  readonly echoKit: EchoKitClient<Config>;
}

/**
 * How the EchoKit server speaks with a platform, as far as the adapter does not (EchoKit device
 * protocol reference, section 7.6; TTS provider protocol reference, section 3.2). For runs that
 * compare with that server.
 */
export interface EchoKitClient<Config = never> {
  /** The configuration with which the adapter asks and waits as that server does. */
  configure(config: Config): Config;
  /** Samples of the blocks in which it hands audio on; absent: as they were received. */
  readonly blockSamples?: number;
  /** How it repeats what failed; absent: it does not. */
  tries?(config: Config): EchoKitTries;
}

export interface EchoKitTries {
  /** The first one included. */
  readonly count: number;
  /** Longest duration of one, answer included; absent: none. */
  readonly timeoutMs?: number;
  /** Only failures of this kind are tried again; absent: all. */
  readonly only?: SpeechFailureKind;
}

/** What most platforms have in common: whole answers without a time limit, in blocks of 0.5 s. */
export const echoKitBlockSamples = 8_000;

export interface ConfigKey {
  /**
   * `count`: a whole number above 0, `whole`: from 0, `number`: any; all handed on in decimal digits.
   * `table` and `tables` (a list of them) hold the keys of `keys`; without `keys` anything is accepted
   * and nothing handed on.
   */
  readonly kind: 'text' | 'url' | 'count' | 'whole' | 'number' | 'table' | 'tables';
  /** One line for `--help` and the README. */
  readonly about: string;
  readonly required?: boolean;
  readonly default?: string;
  /** Other names of the key. */
  readonly aliases?: readonly string[];
  /** Never shown or recorded. */
  readonly secret?: boolean;
  /**
   * Environment variables that hold the value when the table does not have the key. They are taken
   * only for a `url` of the service itself or of this machine, so that no key is sent to a stranger.
   */
  readonly environment?: readonly string[];
  /** For `text`: the only values allowed. */
  readonly choices?: readonly string[];
  /** For `count` and `whole`: the least and the greatest value allowed. */
  readonly between?: readonly [least: number, greatest: number];
  /** For `url`: the schemes allowed, without the colon. */
  readonly schemes?: readonly string[];
  /** For `table` and `tables`. */
  readonly keys?: Readonly<Record<string, ConfigKey>>;
  /** Why the key has no effect; said when it is used. A clause that follows the key's name. */
  readonly warning?: string;
  /** Values that are possible, given or by default, but hardly meant. */
  readonly doubts?: readonly ConfigDoubt[];
  /** What the absence of the key means, when that is hardly meant. Follows the key's name. */
  readonly absent?: string;
}

export interface ConfigDoubt {
  readonly when: RegExp;
  /** A clause that follows the key's name, or its default. */
  readonly says: string;
  readonly hint?: string;
}

/** Values by key; absent where the table has none and the key has no default. */
export type ConfigValues = Readonly<Record<string, string | undefined>>;

/** A table whose values have the right types. */
export interface ConfigTable {
  readonly values: ConfigValues;
  /** Nested tables by key: one for kind `table`, any number for `tables`. */
  readonly tables: Readonly<Record<string, readonly ConfigTable[]>>;
}

/** A service that an adapter calls beside the platform's own. */
export interface OtherService {
  /** What it is called for. */
  readonly purpose: 'text-optimization';
  readonly url: string;
}
