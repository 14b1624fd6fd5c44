import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Upper-case names in quotes that are no codes of ours: the environment, Node and `ws`. */
const notOurs = new Set([
  'ECHOKIT_HARNESS_TOKEN',
  'HPE_HEADER_OVERFLOW',
  'NO_COLOR',
  'GITHUB_ACTIONS',
  'TTS_OPTIMIZATION_PROMPT_LANG',
  'EAI_AGAIN',
  'ERR_MODULE_NOT_FOUND',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
  'WS_ERR_UNEXPECTED_RSV_1',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'BLE_INIT',
]);

/** Files that speak a provider's protocol hold the provider's codes, too; ours begin like this. */
const providerFiles = /^(harness\/stand-ins|adapters\/(platforms|transport))\//;
const oursInProviderFiles = /^(STAND_IN|OFFLINE_VOICE|TTS|WAV|NETWORK)_/;

function sources(): { path: string; text: string }[] {
  return ['adapters', 'firmware-protocol', 'harness'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.includes('node_modules'))
      .filter((name) => name.endsWith('.ts') && !/\.(test|contract|d)\.ts$/.test(name))
      .map((name) => join(folder, name))
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  );
}

/** Codes in the sources, with the first file each was found in. */
function codesInSources(): Map<string, string> {
  const found = new Map<string, string>();
  const add = (code: string, path: string): void => {
    if (notOurs.has(code) || found.has(code)) return;
    if (providerFiles.test(path) && !oursInProviderFiles.test(code)) return;
    found.set(code, path);
  };
  for (const { path, text } of sources()) {
    for (const [, code] of text.matchAll(/'((?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)|USAGE)'/g)) {
      add(code!, path);
    }
    // Two classes build their code from words: libopus' reasons and the classes of a failed synthesis.
    for (const [, reason] of text.matchAll(/new OpusError\(\s*'\w+',\s*'([^']+)'/g)) {
      add(`OPUS_${upper(reason!)}`, path);
    }
    const [, kinds] = /type SpeechFailureKind =([^;]+);/.exec(text) ?? [];
    for (const [, kind] of (kinds ?? '').matchAll(/'([^']+)'/g)) add(`TTS_${upper(kind!)}`, path);
  }
  return found;
}

function upper(words: string): string {
  return words.toUpperCase().replaceAll(/[ -]/g, '_');
}

function codesInTable(): string[] {
  const text = readFileSync(join(root, 'harness/README.md'), 'utf8');
  return [...text.matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\|/gm)].map(([, code]) => code!);
}

test('every error code of the sources is in the table of harness/README.md', (t) => {
  const listed = new Set(codesInTable());
  const found = codesInSources();
  t.true(found.size > 50, 'the scan found the codes');
  t.deepEqual(
    [...found].filter(([code]) => !listed.has(code)).map(([code, path]) => `${code} in ${path}`),
    [],
    'add a row to "Error codes" in harness/README.md',
  );
});

test('every error code of the table is in the sources, once', (t) => {
  const found = codesInSources();
  const listed = codesInTable();
  t.deepEqual(
    listed.filter((code) => !found.has(code)),
    [],
    'remove the row from "Error codes" in harness/README.md',
  );
  t.deepEqual(
    listed.filter((code, i) => listed.indexOf(code) !== i),
    [],
  );
});
