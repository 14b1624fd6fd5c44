import { readFileSync } from 'node:fs';
import test from 'ava';
import { metricCatalog, metricDefinition, metricFamilies } from './metric-catalog.ts';

test('the documentation names every metric and no other', (t) => {
  const text = readFileSync(new URL('../../docs/methods.md', import.meta.url), 'utf8');
  const named = new Set<string>();
  for (const line of text.split('\n').filter((candidate) => candidate.startsWith('| `'))) {
    for (const [, name] of line.split('|')[1]!.matchAll(/`([^`]+)`/g)) named.add(name!);
  }
  t.deepEqual([...named].sort(), [...new Set(metricFamilies.map(({ name }) => name))].sort());
});

test('the documentation has the unit of every metric', (t) => {
  const text = readFileSync(new URL('../../docs/methods.md', import.meta.url), 'utf8');
  for (const { name, unit } of metricFamilies) {
    const row = text
      .split('\n')
      .find((line) => line.startsWith('| `') && line.split('|')[1]!.includes(`\`${name}\``));
    t.true(row?.split('|')[2]?.includes(unit), `${name}: ${unit}`);
  }
});

test('a distribution has six paths, any other metric one', (t) => {
  const paths = metricCatalog.map(({ path }) => path);
  for (const path of ['ttfa_ms.p50', 'ttfa_ms.p95', 'ttfa_ms.max', 'ttfa_ms.min', 'ttfa_ms.mean']) {
    t.is(metricDefinition(path)?.unit, 'ms');
  }
  t.is(metricDefinition('ttfa_ms.n')?.unit, 'count');
  t.is(metricDefinition('ttfa_ms'), undefined);
  t.is(metricDefinition('underruns.count')?.statistic, null);
  t.is(metricDefinition('failure.kind')?.valueType, 'text');
  t.true(paths.every((path) => /^[a-z0-9_.]+$/.test(path)));
});
