import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { deviceProfiles } from '../device/device-profile.ts';
import { absentQuirks, quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { insertableMessages } from '../server/deviation-items.ts';
import { faultMoments, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import { loadScenario, loadScenarioFile, type ScenarioCatalog } from './load.ts';
import { defaultMatrix, planRun } from './plan.ts';
import { serverEventNames, userMoments } from './scenario.ts';
import { disturbanceKinds } from './schema.ts';

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

test('the README has a row for every network', (t) => {
  for (const name of networkNames) t.regex(readme, new RegExp(`^\\| \`${name}\``, 'm'));
});

test('the README explains no name that does not exist', (t) => {
  const known = new Set<string>([
    ...standInFaultKinds,
    ...faultMoments,
    'moment',
    'kind',
    ...networkNames,
    ...disturbanceKinds,
  ]);
  const named = [...readme.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? '');
  t.true(named.length > 25);
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

test('the README names every fault, event and message', (t) => {
  for (const name of [
    ...standInFaultKinds,
    ...faultMoments,
    ...serverEventNames,
    ...userMoments,
    ...disturbanceKinds,
    ...insertableMessages,
  ]) {
    t.true(readme.includes(`\`${name}\``), name);
  }
});

test('the examples of the README load', (t) => {
  const [whole, personality, both, expectations, gates, checks] = [
    ...readme.matchAll(/```toml\n(.*?)```/gs),
  ].map((match) => match[1]);
  t.is(loadScenario(whole ?? '', 'example.toml', catalog).turns.length, 2);
  const load = (example: string | undefined) =>
    loadScenario(`title = "T"\n[[turn]]\nsay = "Hi."\nreply = "R."\n${example}`, 'x.toml', catalog);
  t.is(load(personality).personalities.size, 2);
  t.deepEqual(load(both).matrix.servers, ['harness', 'echokit-server']);
  t.is(load(checks).checks.length, 2);
  t.is(load(expectations).expect.length, 5);
  t.is(load(gates).gates?.length, 4);
});
