/** Files that people, other programs and older versions write: TOML, traces, bundles, baselines, WAVs. */
import { isDeepStrictEqual } from 'node:util';
import { bundleIndex, packBundle, unpackBundle } from '../../bundle/bundle-file.ts';
import { readBaseline } from '../../comparison/baseline.ts';
import { readEchoKitConfig } from '../../echokit-config/echokit-config.ts';
import { loadHarnessConfig } from '../../harness-config/harness-config.ts';
import type { Random } from '../../random/random.ts';
import { parseBoardProfile } from '../../runner/board-profile-file.ts';
import { passingCatalog } from '../../runner/passing-run.ts';
import { loadScenario } from '../../scenario/load.ts';
import { decodeUserWav } from '../../scenario/user-wav.ts';
import { parseRegistry } from '../../serial/board-registry.ts';
import { readUploadedWav } from '../../stand-ins/uploaded-wav.ts';
import { SourceMap } from '../../toml/source-position.ts';
import { isTomlTable, parseToml, TomlSyntaxError } from '../../toml/toml-document.ts';
import { parseTrace } from '../../trace/recording-reader.ts';
import {
  boundaryTexts,
  chance,
  joined,
  json,
  list,
  oneOf,
  text,
  textOf,
  utf8,
  word,
} from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';
import { drawnWav } from './provider-bytes.ts';

const tomlTokens: readonly string[] = [
  ...[
    '[',
    '[[',
    ']',
    '{',
    '}',
    '=',
    '.',
    '"',
    "'",
    '"""',
    "'''",
    '\\',
    '#',
    '\n',
    '\r\n',
    ',',
    '\ufeff',
  ],
  ...[
    '[[turn]]',
    '[tts]',
    '[run]',
    '[boards.a]',
    '[constants]',
    'a = ',
    'a.',
    '"\\u0041" = 1',
    '1979-05-27',
    '0x',
  ],
  ...boundaryTexts,
];

const templates: readonly string[] = [
  'title = "T"\n\n[[turn]]\nsay = "Hello."\nreply = "Hi there."\n\n[turn.expect]\n"ttfb_ms.p50" = { below = 900 }\n',
  'title = "T"\ntags = ["a", "b"]\n\n[matrix]\nnetworks = ["good-wifi"]\n\n[[turn]]\nsay = "One."\nreply = "Two."\n[[turn.fault]]\nname = "cut-audio"\n',
  'addr = "0.0.0.0:8080"\n\n[tts]\nplatform = "openai"\nurl = "http://localhost:1/v1"\napi_key = "k"\nvoice = "alloy"\nmodel = "m"\n\n[llm]\nllm_chat_url = "http://localhost:2"\n',
  '[run]\nproviders = ["openai"]\nseed = 7\n\n[gate]\n"ttfb_ms" = "10 %"\n',
  'format_version = 1\nname = "mine"\nbase = "diy"\n\n[constants]\nredraw_us = 1000\n',
  '[boards.desk]\nmac = "AA:BB:CC:DD:EE:FF"\naddress = "socket://localhost:4000"\n',
];

function drawnToml(random: Random): string {
  if (chance(random, 0.6)) return oneOf(random, templates);
  const key = () => (chance(random, 0.3) ? JSON.stringify(text(random, 6)) : word(random));
  const value = (): string =>
    oneOf(random, [
      () => JSON.stringify(text(random)),
      () => `'${word(random)}'`,
      () => `"""\n${word(random)}\n"""`,
      () => String(random.integer(-99, 99)),
      () => oneOf(random, ['true', '1.5', 'inf', '1979-05-27T07:32:00Z', '07:32:00', '0xff']),
      () => `[${list(random, 3, () => String(random.integer(0, 9))).join(', ')}]`,
      () => `{ ${word(random)} = ${random.integer(0, 9)} }`,
    ])();
  return list(random, 8, () =>
    oneOf(random, [
      () => `${key()} = ${value()}`,
      () => `${key()}.${key()} = ${value()}`,
      () => `[${key()}]`,
      () => `[[${key()}.${key()}]]`,
      () => `# ${word(random)}`,
    ])(),
  ).join(oneOf(random, ['\n', '\r\n']));
}

export const tomlPositions: FuzzTarget = {
  name: 'toml',
  about: 'TOML, and where what stands in it',
  share: 40,
  longestBytes: 12 << 10,
  arrival: 'whole',
  refusals: [],
  tokens: tomlTokens,
  draw: (random) => utf8(drawnToml(random)),
  time: { baseUs: 120_000, perByteUs: 60 },
  memory: { base: 16 << 20, perByte: 20_000 },
  open: () => {
    return ([input]) => {
      const document = textOf(input!).replace(/^\ufeff/, '');
      const source = new SourceMap(document);
      let table: unknown;
      try {
        table = parseToml(document);
      } catch (error) {
        if (!(error instanceof TomlSyntaxError)) throw error;
        must(
          error.at.line >= 1 && error.at.column >= 1,
          'sound-account',
          () => 'a place before the text',
        );
        return [error.message, error.at];
      }
      checkPlaces(table, [], source);
      return source.paths().length;
    };
  },
};

/** Every value that the parser has read is found in the text. */
function checkPlaces(value: unknown, path: readonly (string | number)[], source: SourceMap): void {
  if (path.length > 0) {
    const entry = source.find(path);
    must(entry !== undefined, 'nothing-lost', () => `no place for ${JSON.stringify(path)}`);
    const { start, end } = entry!.value;
    const isWithin = 0 <= start && start <= end && end <= source.text.length;
    must(isWithin, 'sound-account', () => `${JSON.stringify(path)} at ${start} to ${end}`);
  }
  if (Array.isArray(value)) {
    for (const [i, one] of value.entries()) checkPlaces(one, [...path, i], source);
  } else if (isTomlTable(value)) {
    for (const [key, one] of Object.entries(value)) checkPlaces(one, [...path, key], source);
  }
}

export const writtenFiles: FuzzTarget = {
  name: 'written-files',
  about: 'scenarios, config.toml, echokit-harness.toml, board profiles, the list of boards',
  share: 40,
  longestBytes: 8 << 10,
  arrival: 'whole',
  headBytes: 1,
  refusals: ['SCENARIO_', 'CONFIG_', 'HARNESS_CONFIG_', 'BOARD_'],
  tokens: tomlTokens,
  draw: (random) => joined(Uint8Array.of(random.integer(0, 4)), utf8(drawnToml(random))),
  time: { baseUs: 200_000, perByteUs: 100 },
  memory: { base: 24 << 20, perByte: 40_000 },
  open: () => {
    const readers: readonly ((text: string) => unknown)[] = [
      (text) => loadScenario(text, 'fuzz.toml', passingCatalog).title,
      (text) => readEchoKitConfig(text, 'config.toml', { environment: {} }).problems.length,
      (text) => loadHarnessConfig(text, 'echokit-harness.toml').gates,
      (text) => {
        const { name, constants } = parseBoardProfile(text, 'profile.toml');
        const isKnown = Number.isFinite(constants?.redrawUs);
        must(isKnown, 'sound-account', () => `the profile ${name} has no constants`);
        return name;
      },
      (text) => parseRegistry(text, 'boards.toml').length,
    ];
    return ([input]) => readers[(input![0] ?? 0) % readers.length]!(textOf(input!.subarray(1)));
  },
};

export const traces: FuzzTarget = {
  name: 'traces',
  about: 'trace.jsonl of a recording, finished or torn',
  share: 40,
  longestBytes: 32 << 10,
  arrival: 'whole',
  headBytes: 1,
  refusals: ['RECORDING_DAMAGED', 'RECORDING_VERSION'],
  tokens: [
    '\n',
    '{',
    '[',
    '{"a":',
    '"atUs":',
    '"type":"header"',
    '"formatVersion":',
    'null',
    ...boundaryTexts,
  ],
  draw: (random) => {
    const header = {
      type: 'header',
      formatVersion: chance(random, 0.9) ? 1 : json(random, 0),
      seed: 1,
    };
    const events = list(random, 8, () => ({
      atUs: random.integer(0, 9e6),
      seq: random.integer(0, 99),
      source: 'device',
      type: word(random),
      ...(chance(random, 0.2) ? { [word(random)]: json(random) } : {}),
    }));
    const lines = [header, ...events].map((one) => JSON.stringify(one)).join('\n');
    return joined(
      Uint8Array.of(random.integer(0, 1)),
      utf8(`${lines}${chance(random, 0.8) ? '\n' : ''}`),
    );
  },
  open: () => {
    return ([input]) => {
      const { header, events } = parseTrace(input!.subarray(1), 'trace.jsonl', input![0] === 1);
      const isInOrder = events.every(({ atUs }, i) => i === 0 || events[i - 1]!.atUs <= atUs);
      must(isInOrder, 'sound-account', () => 'the events are not in the order of their instants');
      return [header, events.length];
    };
  },
};

const limits = { packedBytes: 1 << 20, unpackedBytes: 4 << 20, files: 100 };

export const bundles: FuzzTarget = {
  name: 'bundles',
  about: 'a run in one file',
  share: 12,
  longestBytes: 16 << 10,
  arrival: 'whole',
  refusals: ['BUNDLE_'],
  tokens: ['PK\u0003\u0004', 'PK\u0001\u0002', '../', 'bundle.json', '{"files":['],
  draw: (random) => {
    const files = list(random, 4, (): [string, Uint8Array] => [
      `${word(random)}.txt`,
      chance(random, 0.2)
        ? new Uint8Array(random.integer(0, 200_000))
        : random.bytes(random.integer(0, 200)),
    ]);
    return packBundle(new Map(files));
  },
  time: { baseUs: 200_000, perByteUs: 40 },
  // What is unpacked may be a thousand times as long; its limit counts.
  memory: { base: 32 << 20, perByte: 4096 },
  open: () => {
    return ([input]) => {
      const { files } = unpackBundle(input!, 'fuzz.zip', limits);
      const plain = new Map([...files].map(([path, content]) => [path, Uint8Array.from(content)]));
      const again = unpackBundle(packBundle(plain), 'again.zip', limits);
      const back = new Map(
        [...again.files].map(([path, content]) => [path, Uint8Array.from(content)]),
      );
      must(
        !back.has(bundleIndex) && isDeepStrictEqual(back, plain),
        'round-trip',
        () => `${files.size} files`,
      );
      return [...plain];
    };
  },
};

export const baselines: FuzzTarget = {
  name: 'baselines',
  about: 'baselines, which runs are compared with',
  share: 20,
  longestBytes: 16 << 10,
  arrival: 'whole',
  refusals: ['BASELINE_INVALID'],
  tokens: [
    '{',
    '[',
    'null',
    '"conditions":',
    '"conversations":[',
    '"families":',
    '"metrics":',
    ...boundaryTexts,
  ],
  draw: (random) =>
    utf8(
      JSON.stringify({
        baselineFormatVersion: 1,
        metricsVersion: 1,
        facts: {},
        families: ['ttfb_ms'],
        metrics: ['turns.failed'],
        conditions: [{ scenario: word(random) }],
        conversations: list(random, 3, () => ({
          conditions: random.integer(0, 1),
          values: [chance(random, 0.8) ? [[1, random.integer(0, 900)]] : json(random)],
          numbers: [chance(random, 0.8) ? random.integer(0, 3) : json(random)],
        })),
        ...(chance(random, 0.2) ? { [word(random)]: json(random) } : {}),
      }),
    ),
  open: () => {
    return ([input]) => readBaseline(textOf(input!), 'fuzz').conversations.length;
  },
};

export const wavFiles: FuzzTarget = {
  name: 'wav-files',
  about: 'whole WAV files: of a scenario, and as uploaded to a stand-in',
  share: 40,
  longestBytes: 32 << 10,
  arrival: 'whole',
  refusals: ['SCENARIO_BAD_WAV'],
  tokens: ['RIFF', 'WAVE', 'fmt ', 'data'],
  draw: drawnWav,
  open: () => {
    return ([input]) => {
      const file = Buffer.from(input!);
      const uploaded = readUploadedWav(file);
      const samples = decodeUserWav(file);
      must(samples.length > 0, 'sound-account', () => 'no samples');
      return [samples, uploaded === undefined];
    };
  },
};
