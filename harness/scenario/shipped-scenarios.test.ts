import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { deviceProfiles } from '../device/device-profile.ts';
import { absentQuirks, quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { ignorableParameters, insertableMessages } from '../server/deviation-items.ts';
import { faultMoments, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import { keysOfTable, tableName, tablesOfFile } from '../toml/file-shape.ts';
import { loadScenario, loadScenarioFile, type ScenarioCatalog } from './load.ts';
import { defaultMatrix, planRun } from './plan.ts';
import { serverEventNames, userMoments } from './scenario.ts';
import { scenarioErrorCodes } from './scenario-error.ts';
import { disturbanceKinds, scenarioShape } from './schema.ts';

const folder = fileURLToPath(new URL('../../scenarios/', import.meta.url));
const readme = readFileSync(`${folder}README.md`, 'utf8');
const catalog: ScenarioCatalog = {
  metrics: metricCatalog,
  providers: defaultMatrix.providers,
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

const scenarioFiles = (sub: string) =>
  readdirSync(folder + sub)
    .filter((name) => name.endsWith('.toml'))
    .map((name) => folder + sub + name);

test('every shipped scenario loads, and expects what the metrics can tell', (t) => {
  const passing = scenarioFiles('').map((file) => loadScenarioFile(file, catalog));
  const failing = scenarioFiles('failures/').map((file) => loadScenarioFile(file, catalog));
  const quirky = scenarioFiles('quirks/').map((file) => loadScenarioFile(file, catalog));
  const pitfalls = scenarioFiles('pitfalls/').map((file) => loadScenarioFile(file, catalog));
  t.is(passing.length, 6);
  t.is(failing.length, 3);
  t.is(quirky.length, 27);
  t.true(pitfalls.length >= 17);
  const known = [...quirkIds, ...absentQuirks.map(({ id }) => id)];
  for (const { name } of quirky)
    t.true(
      known.some((id) => name.startsWith(`${id}-`)),
      name,
    );
  for (const { name, expect, turns } of [...passing, ...failing, ...quirky, ...pitfalls]) {
    t.true(expect.length > 0, name);
    t.true(
      turns.every(({ reply }) => !reply.includes('\n')),
      `${name}: a reply has a line break`,
    );
  }
  for (const { name, expect } of passing) {
    const zero = (metric: string) =>
      expect.some((one) => one.metric === metric && one.operator === '==' && one.value === 0);
    t.true(zero('turns.failed'), name);
    t.true(zero('conservation.unexplained_samples'), name);
  }
  for (const { name, expect } of failing) {
    t.true(
      expect.some(({ metric, operator }) => metric === 'failure.kind' && operator === '=='),
      name,
    );
  }
  const cells = (of: typeof passing) =>
    planRun(of, { seed: 1, time: 'virtual', catalog }).cells.length;
  t.is(cells(passing), 6 * 8);
  // One way to break a connection has two outcomes, so two scenarios share the eight providers.
  t.is(cells(failing), 2 * 8);
});

test('the README names every key of every table', (t) => {
  const tables = tablesOfFile(scenarioShape);
  t.true(tables.length >= 10);
  for (const table of tables) {
    const keys = keysOfTable(scenarioShape, table) ?? [];
    // "after" is described once, for turns and for disturbances.
    for (const key of keys) {
      t.regex(
        readme,
        new RegExp(`^\\| \`${key}\``, 'm'),
        `${tableName(scenarioShape, table)} ${key}`,
      );
    }
  }
});

test('the README has a row for every network', (t) => {
  for (const name of networkNames) t.regex(readme, new RegExp(`^\\| \`${name}\``, 'm'));
});

test('the README names no key that does not exist', (t) => {
  const known = new Set<string>([
    ...tablesOfFile(scenarioShape).flatMap((table) => keysOfTable(scenarioShape, table) ?? []),
    ...standInFaultKinds,
    ...faultMoments,
    ...networkNames,
    ...disturbanceKinds,
    ...scenarioErrorCodes,
  ]);
  const named = [...readme.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? '');
  t.true(named.length > 40);
  t.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});

test('the README lists the shipped scenarios', (t) => {
  for (const sub of ['', 'failures/', 'quirks/']) {
    for (const file of scenarioFiles(sub)) {
      t.true(readme.includes(`| ${sub}${basename(file, '.toml')} `), file);
    }
  }
});

test('the README names every fault, event and error code', (t) => {
  for (const name of [
    ...standInFaultKinds,
    ...faultMoments,
    ...serverEventNames,
    ...userMoments,
    ...disturbanceKinds,
    ...insertableMessages,
    ...ignorableParameters,
    ...scenarioErrorCodes,
  ]) {
    t.true(readme.includes(`\`${name}\``), name);
  }
});

test('the README states the defaults that apply', (t) => {
  const text = 'title = "T"\n[[turn]]\nsay = "Hi."\nreply = "R."\n';
  const { server, turns } = loadScenario(text, 'x.toml', catalog);
  const [turn] = turns;
  const stated = (key: string) =>
    new RegExp(`^\\| \`${key}\` *\\|[^|]*\\| *([^|]*?) *\\|`, 'm').exec(readme)?.[1];
  t.is(stated('recognition_ms'), String(server.recognitionMs));
  t.is(stated('asr'), `\`"${server.asr}"\``);
  t.is(stated('pause_ms'), String(turn?.pauseMs));
  t.is(stated('timeout_ms'), String(turn?.timeoutMs));
  t.is(stated('first_token_ms'), String(turn?.replyPace.firstTokenMs));
  t.is(stated('tokens_per_second'), String(turn?.replyPace.tokensPerSecond));
  for (const key of ['providers', 'devices', 'networks', 'servers'] as const) {
    t.is(stated(key), defaultMatrix[key].map((name) => `\`${name}\``).join(', '));
  }
});

test('the examples of the README load', (t) => {
  const [whole, personality, both, expectations, checks] = [
    ...readme.matchAll(/```toml\n(.*?)```/gs),
  ].map((match) => match[1]);
  t.is(loadScenario(whole ?? '', 'example.toml', catalog).turns.length, 2);
  const load = (example: string | undefined) =>
    loadScenario(`title = "T"\n[[turn]]\nsay = "Hi."\nreply = "R."\n${example}`, 'x.toml', catalog);
  t.is(load(personality).personalities.size, 2);
  t.deepEqual(load(both).matrix.servers, ['harness', 'echokit-server']);
  t.is(load(checks).checks.length, 2);
  t.is(load(expectations).expect.length, 5);
});
