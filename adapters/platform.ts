import type { SpeechAdapter } from './speech-adapter.ts';

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
  configFrom(values: ConfigValues): Config;
  readonly adapter: SpeechAdapter<Config>;
}

export interface ConfigKey {
  /**
   * `count`: a whole number above 0, handed on in decimal digits. `table`: accepted as EchoKit
   * does, without effect here.
   */
  readonly kind: 'text' | 'url' | 'count' | 'table';
  /** One line for `--help` and the README. */
  readonly about: string;
  readonly required?: boolean;
  readonly default?: string;
  /** Never shown or recorded. */
  readonly secret?: boolean;
  /** For `text`: the only values allowed. */
  readonly choices?: readonly string[];
  /** For `url`: the schemes allowed, without the colon. */
  readonly schemes?: readonly string[];
  /** Said when the key is used. */
  readonly warning?: string;
}

/** Values by key; absent where the table has none and the key has no default. */
export type ConfigValues = Readonly<Record<string, string | undefined>>;
