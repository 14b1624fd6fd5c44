/** Finds and reads `echokit-harness.toml`, the defaults of a project. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { nearestName } from '../../adapters/nearest-name.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { type GateRule, readGateTable } from '../scenario/gate.ts';
import { ProblemList } from '../toml/problem-list.ts';
import { reportShapeIssues } from '../toml/shape-problems.ts';
import { sourceExcerpt } from '../toml/source-excerpt.ts';
import { type KeyPath, SourceMap } from '../toml/source-position.ts';
import { parseToml, readTextFile, TextFileError, TomlSyntaxError } from '../toml/toml-document.ts';
import { HarnessConfigError, type HarnessConfigErrorCode } from './harness-config-error.ts';
import {
  harnessConfigSchema,
  harnessConfigShape,
  type RunDefaults,
  type RunKey,
} from './schema.ts';
import { readWrittenOutput, standardOutput } from './written-output.ts';

export const harnessConfigName = 'echokit-harness.toml';

export interface HarnessConfig {
  /** Path as it is shown. */
  readonly file: string;
  /** As written; paths are relative to the folder of the file, see {@link besideConfig}. */
  readonly run: RunDefaults;
  /** How much worse than a baseline metrics may get. */
  readonly gates: readonly GateRule[];
  /** Without a byte order mark. */
  readonly text: string;
}

/**
 * The file that counts in `folder`: its own or that of the nearest folder above, up to the root of the repository (the folder
 * that has `.git`) or of the file system. Absolute when `folder` is.
 */
export function findHarnessConfig(folder: string): string | undefined {
  for (let here = folder; ; here = dirname(here)) {
    const file = join(here, harnessConfigName);
    if (existsSync(file)) return file;
    if (existsSync(join(here, '.git')) || dirname(here) === here) return undefined;
  }
}

/** @throws {HarnessConfigError} with every problem of the file */
export function readHarnessConfigFile(file: string): HarnessConfig {
  try {
    return loadHarnessConfig(readTextFile(file), file);
  } catch (cause) {
    if (!(cause instanceof TextFileError)) throw cause;
    const { fault } = cause;
    throw new HarnessConfigError(
      [
        fault === undefined
          ? { code: 'HARNESS_CONFIG_SYNTAX', file, message: 'the file is not UTF-8 text' }
          : { code: 'HARNESS_CONFIG_NOT_FOUND', file, message: `it cannot be read (${fault})` },
      ],
      { cause },
    );
  }
}

/**
 * @param text TOML @param file its path, for messages
 * @throws {HarnessConfigError} with every problem of the text
 */
export function loadHarnessConfig(text: string, file: string): HarnessConfig {
  const document = text.startsWith('\ufeff') ? text.slice(1) : text;
  const problems = new ProblemList<HarnessConfigErrorCode>(file, new SourceMap(document));
  let raw: unknown;
  try {
    raw = parseToml(document);
  } catch (cause) {
    if (!(cause instanceof TomlSyntaxError)) throw cause;
    const excerpt = sourceExcerpt(document, cause.range);
    const message = `this is not valid TOML: ${cause.message}`;
    const problem = { code: 'HARNESS_CONFIG_SYNTAX', file, ...cause.at, message, excerpt } as const;
    throw new HarnessConfigError([problem], { cause });
  }
  const parsed = harnessConfigSchema.safeParse(raw);
  if (!parsed.success) reportShapeIssues(parsed.error.issues, raw, harnessConfigShape, problems);
  const { gate } = raw as { readonly gate?: unknown };
  const gates = readGateTable(
    gate,
    ['gate'],
    metricCatalog,
    file,
    problems.source,
    (kind, range, message, hint) => problems.add(gateCodes[kind], range, message, hint),
  );
  refuse(problems);
  if (!parsed.success) throw new Error('A schema issue was not reported.', { cause: parsed.error });
  return { file, run: parsed.data.run ?? {}, gates, text: document };
}

const gateCodes = {
  'unknown-metric': 'HARNESS_CONFIG_BAD_VALUE',
  'bad-tolerance': 'HARNESS_CONFIG_BAD_VALUE',
  'wrong-type': 'HARNESS_CONFIG_WRONG_TYPE',
} as const;

/** Names that exist, by the key of `[run]` that lists such; `outputs` are the kinds of them. */
export type KnownNames = Partial<
  Readonly<Record<'providers' | 'devices' | 'networks' | 'outputs', readonly string[]>>
>;

/**
 * Whether what the file names is there: providers, boards, networks, kinds of outputs, and the paths of scenarios, configuration and
 * profiles.
 *
 * @param keys those of `[run]` that count in this run
 * @throws {HarnessConfigError} with every name that is not
 */
export function checkHarnessConfig(
  config: HarnessConfig,
  keys: ReadonlySet<RunKey>,
  known: KnownNames = {},
): void {
  const problems = new ProblemList<HarnessConfigErrorCode>(config.file, new SourceMap(config.text));
  const bad = (path: KeyPath, message: string, hint: string): void =>
    problems.add('HARNESS_CONFIG_BAD_VALUE', problems.source.nearest(path).value, message, hint);
  const isThere = (path: KeyPath, written: string): void => {
    if (existsSync(besideConfig(config, written))) return;
    const hint = `paths are relative to the folder of ${harnessConfigName}`;
    bad(path, `there is no ${besideConfig(config, written)}`, hint);
  };
  for (const key of ['providers', 'devices', 'networks'] as const) {
    if (!keys.has(key)) continue;
    config.run[key]?.forEach((name, index) => {
      const path = ['run', key, index];
      if (key === 'devices' && name.endsWith('.toml')) {
        isThere(path, name);
        return;
      }
      const valid = known[key];
      if (valid === undefined || valid.includes(name)) return;
      const meant = nearestName(name, valid);
      bad(
        path,
        `unknown ${key.slice(0, -1)} "${name}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
        `${key}: ${valid.join(', ')}`,
      );
    });
  }
  const { scenarios, config: echokit } = config.run;
  if (keys.has('scenarios')) {
    scenarios?.forEach((written, index) => {
      isThere(['run', 'scenarios', index], written);
    });
  }
  if (keys.has('config') && echokit !== undefined) isThere(['run', 'config'], echokit);
  if (keys.has('outputs') && known.outputs !== undefined) {
    checkOutputs(config.run.outputs ?? [], known.outputs, bad);
  }
  refuse(problems);
}

function checkOutputs(
  outputs: readonly string[],
  kinds: readonly string[],
  bad: (path: KeyPath, message: string, hint: string) => void,
): void {
  const taken = new Set<string>();
  for (const [index, written] of outputs.entries()) {
    const path = ['run', 'outputs', index];
    const read = readWrittenOutput(written, kinds);
    if ('message' in read) {
      bad(path, `"${written}": ${read.message}`, read.hint);
    } else if (taken.has(read.path)) {
      const where =
        read.path === standardOutput
          ? 'would be mixed on standard output'
          : `have the same file, ${read.path}`;
      bad(path, `two outputs ${where}`, 'give each a file of its own');
    } else taken.add(read.path);
  }
}

/** Where the file has it: `file:line:column`. */
export function placeOfKey({ file, text }: HarnessConfig, path: KeyPath): string {
  const source = new SourceMap(text);
  const { line, column } = source.lineColumn(source.nearest(path).value.start);
  return `${file}:${line}:${column}`;
}

/** Where a path of the file leads to. */
export function besideConfig({ file }: Pick<HarnessConfig, 'file'>, written: string): string {
  return isAbsolute(written) ? written : join(dirname(file), written);
}

function refuse({ problems }: ProblemList<HarnessConfigErrorCode>): void {
  const [first, ...others] = problems;
  if (first !== undefined) throw new HarnessConfigError([first, ...others]);
}
