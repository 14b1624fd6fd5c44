/** The files of `harness/reference` as they have to be, from the names that this program knows. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricFamilies } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { errorReference } from '../reference/error-reference.ts';
import {
  harnessConfigJsonSchema,
  jsonSchemaText,
  type OfferedNames,
  scenarioJsonSchema,
} from '../reference/json-schema.ts';
import { keyReference, metricReference } from '../reference/key-reference.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { serverEventNames, userMoments } from '../scenario/scenario.ts';
import { scenarioShape } from '../scenario/schema.ts';

export interface KeptFile {
  readonly path: string;
  readonly text: string;
}

/** What stands above it is written by hand. */
const generatedLine = '<!-- Below this line everything is made by "npm run schemas". -->';

const root = new URL('../../', import.meta.url);

export function offeredNames(): OfferedNames {
  return {
    providers: builtInProviders.map(({ name }) => name),
    devices: Object.keys(deviceProfiles),
    networks: networkNames,
    quirks: quirkIds,
    moments: [...serverEventNames, ...userMoments],
  };
}

export function keptReferences(): KeptFile[] {
  const names = offeredNames();
  const scenario = scenarioJsonSchema(names);
  const reference = [
    keyReference(scenario, {
      inline: scenarioShape.inline,
      elsewhere: new Set(['expect', 'gate']),
    }),
    '## `[expect]` and `[turn.expect]`',
    '',
    'A metric and a value, or a comparison (`==`, `!=`, `<`, `<=`, `>`, `>=`) with one: `underruns.count = 0`, `ttfb_ms.p95 = "<= 800"`.',
    'Dotted keys and nested tables mean the same. A distribution has the values `p50`, `p95`, `max`, `min`, `mean` and `n`. A metric that',
    'could not be measured fulfils no expectation. What each of them is: [methods.md](methods.md).',
    '',
    metricReference(metricFamilies),
    '',
    '## `[gate]`',
    '',
    'A metric and how much worse it may get, for `compare`: `ttfb_ms.p50 = "+10%"`, `audio_seconds.played = "-1%"`, `underruns.total_ms = "off"`. Of a',
    'distribution `p50` (also without a name), `p95` and `mean`. [harness/comparison/README.md](../harness/comparison/README.md#gates) says how it is decided.',
    '',
  ].join('\n');
  return [
    { path: pathOf('schemas/scenario.schema.json'), text: jsonSchemaText(scenario) },
    {
      path: pathOf('schemas/echokit-harness.schema.json'),
      text: jsonSchemaText(harnessConfigJsonSchema(names)),
    },
    withGenerated(pathOf('docs/scenario-reference.md'), reference),
    withGenerated(
      pathOf('docs/troubleshooting.md'),
      errorReference(readFileSync(pathOf('harness/README.md'), 'utf8'), '../harness'),
    ),
    translated(pathOf('README.zh-CN.md'), readFileSync(pathOf('README.md'), 'utf8')),
  ];
}

/** A translation with the examples of the original: blocks of output and of TOML, in their order. */
function translated(path: string, original: string): KeptFile {
  const example = /^```(?:text|toml)\n.*?^```$/gms;
  const examples = [...original.matchAll(example)].map(([block]) => block);
  const text = readFileSync(path, 'utf8').replaceAll(example, (block) => examples.shift() ?? block);
  return { path, text };
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, root));
}

function withGenerated(path: string, generated: string): KeptFile {
  const [written = ''] = readFileSync(path, 'utf8').split(generatedLine);
  return { path, text: `${written.trimEnd()}\n\n${generatedLine}\n\n${generated}` };
}
