/** The schemas that editors use, and the pages that are made of them, against the program that reads the files. */
import { readdirSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import test from 'ava';
import { parse } from 'smol-toml';
import { keptReferences, offeredNames } from '../cli/kept-references.ts';
import { harnessConfigSchema, runKeys } from '../harness-config/schema.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { loadScenario, type ScenarioCatalog } from '../scenario/load.ts';
import { defaultMatrix } from '../scenario/plan.ts';
import { scenarioSchema, scenarioShape } from '../scenario/schema.ts';
import { keysOfTable, schemaAt, tableName, tablesOfFile } from '../toml/file-shape.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = (path: string): string => readFileSync(root + path, 'utf8');

const ajv = new Ajv({ allowUnionTypes: true });
const isScenario = ajv.compile(JSON.parse(text('schemas/scenario.schema.json')));
const isConfig = ajv.compile(JSON.parse(text('schemas/echokit-harness.schema.json')));

const names = offeredNames();
const catalog: ScenarioCatalog = { ...names, metrics: metricCatalog };

test('the shipped schemas and pages are what the sources say', (t) => {
  const kept = keptReferences();
  t.is(kept.length, 5);
  for (const { path, text: made } of kept) {
    t.true(readFileSync(path, 'utf8') === made, `${relative(root, path)}: npm run schemas`);
  }
});

test('every shipped scenario is valid for editors', (t) => {
  const files = readdirSync(`${root}scenarios`, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.toml'),
  );
  t.true(files.length > 50);
  for (const name of files) {
    t.true(
      isScenario(parse(text(`scenarios/${name}`))),
      `${name}: ${ajv.errorsText(isScenario.errors)}`,
    );
  }
});

const usual = 'title = "T"\n[[turn]]\nsay = "Hi."\nreply = "R."\n';

test('what an editor marks as wrong is refused by the program, too', (t) => {
  const mistakes = [
    'titel = "T"\n',
    `${usual}pause_ms = -1\n`,
    `${usual}pause_ms = "3"\n`,
    `${usual}pauze_ms = 3\n`,
    `${usual}[[turn.act]]\nkey = "k1"\nafter = { event = "StartAudio" }\n`,
    `${usual}[[turn.disturb]]\nkind = "stall"\nduration_ms = 5\nafter = { event = "StartSound" }\n`,
    `${usual}[turn.expect]\nturns.ok = 1\n`,
    `${usual}[expect]\nunderrun.count = 0\n`,
    `${usual}[expect]\nttfb_ms = "<= 3"\n`,
    `${usual}[expect]\nttfb_ms.p99 = "<= 3"\n`,
    `${usual}[expect]\nttfb_ms.p95 = "<= x"\n`,
    `${usual}[expect]\nunderruns.count = "0"\n`,
    `${usual}[[check]]\nevent = "reboot"\ncount = "=> 1"\n`,
    `${usual}[matrix]\nnetworks = ["good-wify"]\n`,
    `${usual}[device]\nquirks_off = ["Q99"]\n`,
    `${usual}[stand_in]\nfault = { kind = "auht" }\n`,
    `${usual}[server]\npacket_ms = 50\n`,
    `${usual}[gate]\nttfb_ms.p50 = "10%"\n`,
    `${usual}[gate]\nttfb_ms.max = "+10%"\n`,
    `${usual}[gate]\nfailure.kind = "off"\n`,
  ];
  for (const mistake of mistakes) {
    t.false(isScenario(parse(mistake)), mistake);
    t.throws(() => loadScenario(mistake, 'x.toml', catalog), undefined, mistake);
  }
});

test('what the program takes is not marked by an editor', (t) => {
  const right = [
    usual,
    `${usual}[expect]\nttfb_ms = { p50 = "<= 800", p95 = "< 1.5e3" }\nfailure.kind = "none"\nrequests.count = "!= 0"\nrtf.max = "<=1"\n`,
    `${usual}[turn.expect]\nunderruns.count = 0\nlead_silence_ms.p50 = ">= -1"\n`,
    `${usual}[[check]]\nevent = "reboot"\nwith = { level = 4 }\ncount = ">= 0"\n`,
    `${usual}[matrix]\ndevices = ["diy@0.2.2"]\n`,
    `${usual}[gate]\nttfb_ms = "+50ms"\naudible_at_speaker_ms.p95 = "+10%"\naudio_seconds.played = "-1%"\nunderruns.total_ms = "off"\n`,
    `${usual}[stand_in]\npersonality = { openai = "openai-tts-1-hd" }\nspeed = 0.5\n`,
  ];
  for (const good of right) {
    t.notThrows(() => loadScenario(good, 'x.toml', catalog), good);
    t.true(isScenario(parse(good)), `${good}${ajv.errorsText(isScenario.errors)}`);
  }
});

test('echokit-harness.toml of its README is valid, with a misspelled key it is not', (t) => {
  const [example = ''] =
    /```toml\n(.*?)```/s.exec(text('harness/harness-config/README.md'))?.slice(1) ?? [];
  t.true(isConfig(parse(example)), ajv.errorsText(isConfig.errors));
  t.true(isConfig(parse('[run]\nproviders = ["my-own"]\ndevices = ["board.toml"]\n')));
  for (const mistake of ['[run]\nprovider = ["openai"]\n', '[run]\nseed = -1\n', '[runs]\n']) {
    t.false(isConfig(parse(mistake)), mistake);
  }
});

test('every key has a description that stands in the schema', (t) => {
  for (const schema of [scenarioSchema, harnessConfigSchema]) {
    for (const table of tablesOfFile({ schema })) {
      for (const key of keysOfTable({ schema }, table) ?? []) {
        const description = schemaAt({ schema }, [...table, key])?.description ?? '';
        t.regex(description, /\w.*\.$/s, [...table, key].join('.'));
      }
    }
  }
});

test('the reference has every table, every key, every metric', (t) => {
  const page = text('docs/scenario-reference.md');
  for (const table of tablesOfFile(scenarioShape)) {
    const name =
      table.length === 0
        ? 'Top level'
        : `\`${tableName(scenarioShape, table).replaceAll('"', '')}\``;
    const part = page.split(`## ${name}\n`)[1]?.split('\n## ')[0] ?? '';
    for (const key of keysOfTable(scenarioShape, table) ?? []) {
      t.true(part.includes(`| \`${key}\``), `${name} ${key}`);
    }
  }
  for (const { family } of metricCatalog)
    t.true(page.includes(`| \`${family.name}\``), family.name);
});

test('every error code of the table has a heading with what it means and what to do', (t) => {
  const table = text('harness/README.md').split('\n## Error codes\n')[1] ?? '';
  const codes = [...table.matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\|/gm)].map(([, code]) => code!);
  t.true(codes.length > 120);
  const page = text('docs/troubleshooting.md');
  const headings = [...page.matchAll(/^### ([A-Z][A-Z0-9_]+)\n\n\S.*\S \*\*What to do:\*\* \S/gm)];
  t.deepEqual(
    headings.map(([, code]) => code!),
    codes,
  );
});

test('the README of echokit-harness.toml has a row for every key and for no other', (t) => {
  const rows = [...text('harness/harness-config/README.md').matchAll(/^\| `([a-z_]+)` +\|/gm)];
  t.deepEqual(rows.map(([, key]) => key!).sort(), [...runKeys].sort());
});

test('descriptions tell the defaults that apply', (t) => {
  const { server, turns, device } = loadScenario(usual, 'x.toml', catalog);
  const said = (...path: string[]) => schemaAt({ schema: scenarioSchema }, path)?.description ?? '';
  const page = text('docs/scenario-reference.md');
  const shown = (key: string) =>
    new RegExp(`^\\| \`${key}\` *\\| [^|]*\\| ([^|]*?) *\\|`, 'm').exec(page)?.[1];
  t.is(shown('recognition_ms'), `\`${server.recognitionMs}\``);
  t.is(shown('asr'), `\`"${server.asr}"\``);
  t.is(shown('pause_ms'), `\`${turns[0]?.pauseMs}\``);
  t.is(shown('timeout_ms'), `\`${turns[0]?.timeoutMs}\``);
  t.is(shown('first_token_ms'), `\`${turns[0]?.replyPace.firstTokenMs}\``);
  t.is(shown('tokens_per_second'), `\`${turns[0]?.replyPace.tokensPerSecond}\``);
  t.is(shown('packet_ms'), `\`${server.packetMs}\``);
  t.is(shown('player_rhythm'), `\`"${device.playerRhythm}"\``);
  for (const key of ['devices', 'networks', 'servers'] as const) {
    t.true(said('matrix', key).endsWith(`Empty: "${defaultMatrix[key][0]}".`), key);
  }
  t.is(defaultMatrix.providers.length, 8);
  t.true(said('matrix', 'providers').includes('the eight built-in ones'));
});
