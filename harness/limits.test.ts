/** Every bound of the program has a name and a row in docs/limits.md, and every row has its bound. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { serverLimits } from './server/server-limits.ts';
import { serverSettingsDefaults } from './server/server-settings.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Where every number that has a name is a limit, or is said not to be one. */
const areas = [
  'adapters',
  'harness/server',
  'harness/network',
  'harness/device',
  'harness/trace',
  'harness/scenario',
  'harness/replay',
  'harness/toml',
];

/** Named numbers that bound nothing that comes from outside: sizes of formats, rates, what an estimate is made of. */
const noLimits: Readonly<Record<string, readonly string[]>> = {
  'adapters/platform.ts': ['echoKitBlockSamples'],
  'adapters/secret-spellings.ts': [
    'base64CharactersMin',
    'secretCharactersMin',
    'tellingCharacters',
  ],
  'adapters/audio/compressed-frames.ts': ['headerBytes'],
  'adapters/audio/resampler.ts': ['outputRateHz', 'stopBandDb', 'passBandPart'],
  'adapters/audio/wav-stream.ts': ['repeatedHeaderBytes'],
  'adapters/platforms/cosyvoice.ts': ['rateHz'],
  'adapters/platforms/fish.ts': ['rateHz', 'chunkLength'],
  'adapters/platforms/gsv-server.ts': ['gsvRateHz'],
  'adapters/platforms/openai.ts': ['pcmRateHz'],
  'harness/server/end-of-speech.ts': ['pieceSamples', 'pieceMs'],
  'harness/server/paraformer-recognizer.ts': ['sampleRateHz'],
  'harness/server/record-store.ts': ['headerBytes'],
  'harness/server/reply-source.ts': ['tokenCharacters'],
  'harness/server/service-call.ts': ['neverMs'],
  'harness/server/speech-framer.ts': ['packetSamples', 'rawPieceSamples'],
  'harness/server/vowel.ts': [
    'windowSamples',
    'sampleRateHz',
    'predictionOrder',
    'preEmphasis',
    'binsMax',
  ],
  'harness/device/acoustics.ts': ['samplesPerMs', 'speakerDelayMs'],
  'harness/device/device-machine.ts': ['bytesPerSecond', 'fullVolume'],
  'harness/device/emulated-device.ts': ['abnormalClosure', 'speakerGridUs'],
  'harness/device/microphone.ts': ['sampleRateHz'],
  'harness/device/player.ts': ['cycleUs', 'chunkSamples', 'noSentence'],
  'harness/replay/rehearsal.ts': ['rounds'],
  'harness/trace/secret-mask.ts': ['tellingBytes'],
  'harness/trace/trace-event.ts': ['traceFormatVersion'],
  'harness/trace/wav-file.ts': ['sampleRateHz', 'headerBytes', 'dataSizeOffset'],
  'harness/scenario/conversation-length.ts': ['lettersPerSecond', 'overheadMs'],
  'harness/scenario/user-wav.ts': ['sampleRateHz'],
};

const expression = String.raw`[\d_.e* +/()-]+|Number\.POSITIVE_INFINITY`;
const constant = new RegExp(
  String.raw`^(?:export )?const (\w+)(?:: number)? =\s+(${expression});`,
  'gm',
);

/** A product of numbers as it is written. */
function numberIn(text: string): number {
  if (text.startsWith('Number.')) return Number.POSITIVE_INFINITY;
  return text
    .split('*')
    .map((factor) =>
      factor
        .split('/')
        .map((part) => Number(part.replaceAll('_', '')))
        .reduce((a, b) => a / b),
    )
    .reduce((a, b) => a * b);
}

/** `file name` → value, of all named numbers of the areas and of the tables of settings. */
function limitsInSources(): Map<string, number> {
  const found = new Map<string, number>();
  for (const area of areas) {
    for (const name of readdirSync(join(root, area), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || /\.(test|contract|d)\.ts$/.test(name)) continue;
      const path = `${area}/${name}`;
      for (const [, constantName, text] of read(path).matchAll(constant)) {
        if (noLimits[path]?.includes(constantName!)) continue;
        found.set(`${path} ${constantName}`, numberIn(text!.trim()));
      }
    }
  }
  const tables: [path: string, values: Readonly<Record<string, unknown>>][] = [
    ['harness/server/server-limits.ts', { ...serverLimits }],
    [
      'harness/server/server-settings.ts',
      Object.fromEntries(
        Object.entries(serverSettingsDefaults).filter(
          ([name]) => /Ms$|Bytes$|^parallel/.test(name) && !/^(group|packet)/.test(name),
        ),
      ),
    ],
  ];
  for (const [path, values] of tables) {
    for (const [name, value] of Object.entries(values)) found.set(`${path} ${name}`, Number(value));
  }
  return found;
}

interface Row {
  readonly key: string;
  readonly value: number;
  readonly unit: string;
  readonly reached: string;
}

function rows(): Row[] {
  return [...read('docs/limits.md').matchAll(/^\| `(\w+)`[^\n]*\|$/gm)].map(([row]) => {
    const [name = '', value = '', unit = '', file = '', reached = ''] = row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    const path = file.replaceAll('`', '');
    const isAdapter = !/^(server|network|device|trace|scenario|replay|toml|stand-ins)\//.test(path);
    return {
      key: `${isAdapter ? 'adapters' : 'harness'}/${path} ${name.replaceAll('`', '')}`,
      value: Number(value.replaceAll(',', '')),
      unit,
      reached,
    };
  });
}

test('every named bound of the sources is in docs/limits.md with its value', (t) => {
  const listed = new Map(rows().map(({ key, value }) => [key, value]));
  const found = limitsInSources();
  t.true(found.size > 60, 'the scan found the limits');
  t.deepEqual(
    [...found].filter(([key, value]) => listed.get(key) !== value).map((pair) => pair.join(' = ')),
    [],
    'give it a row in docs/limits.md, or, when it bounds nothing, a place in `noLimits`',
  );
});

test('every row of docs/limits.md is a bound of the sources, once, with a unit', (t) => {
  const found = limitsInSources();
  const listed = rows();
  for (const { key, value, unit } of listed) {
    const [path = '', name = ''] = key.split(' ');
    t.true(unit.length > 3, key);
    if (found.has(key)) continue;
    // A field of a table, in a file that has others: the line says the same.
    const [, text] =
      new RegExp(String.raw`\b${name}(?::| =) (${expression})[,;]`).exec(read(path)) ?? [];
    t.is(numberIn(text ?? 'absent'), value, `${key} is not in the sources with this value`);
  }
  t.deepEqual(
    listed.map(({ key }) => key).filter((key, i, all) => all.indexOf(key) !== i),
    [],
  );
});

test('what happens at a limit is an error code of harness/README.md, or has a reason why nothing has to be told', (t) => {
  const codes = new Set(
    [...read('harness/README.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\|/gm)].map(
      ([, code]) => code!,
    ),
  );
  for (const { key, reached } of rows()) {
    const named = [...reached.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code]) => code!);
    for (const code of named.filter((name) => name.includes('_') || name === 'USAGE')) {
      t.true(codes.has(code), `${key}: ${code} is no error code`);
    }
    const isExplained = reached.startsWith('— ') ? reached.length > 12 : reached.length > 20;
    t.true(named.length > 0 || isExplained, `${key}: what happens?`);
  }
});

test('what is said not to be a limit is in the sources', (t) => {
  for (const [path, names] of Object.entries(noLimits)) {
    const there = [...read(path).matchAll(constant)].map(([, name]) => name);
    t.deepEqual(
      names.filter((name) => !there.includes(name)),
      [],
      path,
    );
  }
});
