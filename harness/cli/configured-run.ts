/** The defaults of `echokit-harness.toml` under the options of `run`. The command line goes before them. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { checkWritable, OutputError } from '../files/written-file.ts';
import {
  besideConfig,
  findHarnessConfig,
  type HarnessConfig,
  placeOfKey,
  readHarnessConfigFile,
} from '../harness-config/harness-config.ts';
import { type RunDefaults, type RunKey, runKeys } from '../harness-config/schema.ts';
import { standardOutput } from '../harness-config/written-output.ts';

/** The attribute of the options that each key is the default of; `scenarios` are the arguments. */
export const runOptionOf: Readonly<Record<Exclude<RunKey, 'scenarios'>, string>> = {
  providers: 'provider',
  devices: 'device',
  networks: 'network',
  server_models: 'serverModel',
  config: 'config',
  time: 'time',
  seed: 'seed',
  repeat: 'repeat',
  retries: 'retries',
  baseline: 'baseline',
  out: 'out',
  only: 'only',
  tags: 'tag',
  exclude_tags: 'excludeTag',
  outputs: 'output',
  github: 'github',
  html: 'html',
  ledger: 'ledger',
  blame: 'blame',
  max_requests: 'maxRequests',
  max_characters: 'maxCharacters',
};

/** Keys that mean nothing, or something else, beside an option of the command line. */
const withoutMeaning: Readonly<Record<string, readonly RunKey[]>> = {
  live: ['time'],
  server: ['providers', 'config', 'server_models', 'time'],
  board: ['networks', 'time'],
  // A load run counts and records nothing.
  devices: [
    'scenarios',
    'time',
    'repeat',
    'baseline',
    'only',
    'tags',
    'exclude_tags',
    'outputs',
    'ledger',
    'blame',
  ],
  // A recording is asked as it is: with its board, its network, its seed.
  replay: [
    'scenarios',
    'providers',
    'devices',
    'networks',
    'server_models',
    'config',
    'time',
    'seed',
    'repeat',
    'only',
    'tags',
    'exclude_tags',
  ],
};

export interface WrittenOptions {
  readonly harnessConfig?: string | boolean;
  readonly [attribute: string]: unknown;
}

/** What a configuration file has contributed to a run. */
export interface ConfiguredDefaults {
  readonly config: HarnessConfig;
  /** Keys of `[run]` that count. */
  readonly taken: ReadonlySet<RunKey>;
  /** Keys that do not count beside an option of the command line. */
  readonly leftOut: readonly { readonly key: RunKey; readonly beside: string }[];
}

export interface ConfiguredRun {
  readonly paths: readonly string[];
  readonly options: WrittenOptions;
  /** Absent: there is no file. */
  readonly defaults?: ConfiguredDefaults;
}

/**
 * @param isWritten whether the attribute was written on the command line
 * @param folder where the search for the file begins: the working folder
 * @throws {HarnessConfigError}
 */
export function configuredRun(
  paths: readonly string[],
  options: WrittenOptions,
  isWritten: (attribute: string) => boolean,
  folder: string,
): ConfiguredRun {
  const file = configFile(options.harnessConfig, folder);
  if (file === undefined) return { paths, options };
  const config = readHarnessConfigFile(file);
  const beside = Object.keys(withoutMeaning).filter(isWritten);
  const taken = new Set<RunKey>();
  const leftOut: { key: RunKey; beside: string }[] = [];
  const more: Record<string, unknown> = {};
  let scenarios = paths;
  for (const key of runKeys) {
    const value = configuredValue(config, key);
    if (value === undefined) continue;
    if (key === 'scenarios' ? paths.length > 0 : isWritten(runOptionOf[key])) continue;
    const other = beside.find((option) => withoutMeaning[option]!.includes(key));
    if (other !== undefined) {
      leftOut.push({ key, beside: `--${other}` });
      continue;
    }
    // A limit for real services is one only where they are asked.
    if ((key === 'max_requests' || key === 'max_characters') && !isWritten('live')) continue;
    taken.add(key);
    if (key === 'scenarios') scenarios = value as string[];
    else more[runOptionOf[key]] = value;
  }
  return {
    paths: scenarios,
    options: { ...options, ...more },
    defaults: { config, taken, leftOut },
  };
}

/** The file that counts; undefined: there is none, or none is wanted. */
export function configFile(
  named: string | boolean | undefined,
  folder: string,
): string | undefined {
  if (named === false) return undefined;
  if (typeof named === 'string') return named;
  const found = findHarnessConfig(folder);
  return found === undefined ? undefined : relative('.', found);
}

/**
 * Whether the files of `[run] outputs` can be written, before anything is run.
 *
 * @throws {OutputError} with the place in the configuration file
 */
export function checkConfiguredOutputs({ config, taken }: ConfiguredDefaults): void {
  if (!taken.has('outputs')) return;
  const outputs = configuredValue(config, 'outputs') as readonly string[];
  for (const [index, written] of outputs.entries()) {
    const [, file = ''] = written.split(/=(.*)/s);
    if (file === '' || file === standardOutput) continue;
    try {
      checkWritable(file);
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      throw error.namedAt(placeOfKey(config, ['run', 'outputs', index]));
    }
  }
}

/** What `[run] baseline` names, as seen from the working folder. */
export function configuredBaseline(config: HarnessConfig): string | undefined {
  return configuredValue(config, 'baseline') as string | undefined;
}

/** With paths as seen from the working folder. */
function configuredValue(config: HarnessConfig, key: RunKey): RunDefaults[RunKey] {
  const value = config.run[key];
  const beside = (written: string): string => join(besideConfig(config, written));
  switch (key) {
    case 'scenarios':
      return (value as string[] | undefined)?.map(beside);
    case 'devices':
      return (value as string[] | undefined)?.map((name) =>
        name.endsWith('.toml') ? beside(name) : name,
      );
    case 'outputs':
      return (value as string[] | undefined)?.map((output) => {
        const [kind, file] = output.split(/=(.*)/s);
        return file === undefined || file === standardOutput || file === ''
          ? output
          : `${kind}=${beside(file)}`;
      });
    case 'baseline': {
      if (value === undefined) return undefined;
      const file = beside(value as string);
      return existsSync(file) ? file : value;
    }
    case 'config':
    case 'out':
      return value === undefined ? undefined : beside(value as string);
    default:
      return value;
  }
}

/** One line: which file, and what of it counts. */
export function configuredLine({ config, taken, leftOut }: ConfiguredDefaults): string {
  const keys = taken.size === 0 ? 'nothing that counts here' : [...taken].join(', ');
  const rest = [...new Set(leftOut.map(({ beside }) => beside))].map((option) => {
    const left = leftOut.filter(({ beside }) => beside === option).map(({ key }) => key);
    return `${left.join(', ')} ${left.length === 1 ? 'does' : 'do'} not count beside ${option}`;
  });
  return `Defaults of ${config.file}: ${[keys, ...rest].join('; ')}`;
}
