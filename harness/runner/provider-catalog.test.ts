import { readFileSync } from 'node:fs';
import test from 'ava';
import { platforms } from '../../adapters/platforms.ts';
import { builtInTables } from './provider-catalog.ts';

test('the page of commands lists every platform with its built-in providers', (t) => {
  const page = readFileSync(new URL('../../docs/usage.md', import.meta.url), 'utf8');
  const [, section] = /^## Providers\n(.*?)^## /ms.exec(page)!;
  const listed = [...section!.matchAll(/^\| `(\w+)` +\| (.*)\|$/gm)].map(([, platform, cell]) => {
    // A note in brackets names no provider.
    const names = cell!.replace(/\([^)]*\)/g, '').matchAll(/`([^`]+)`/g);
    return [platform!, [...names].map(([, name]) => name!).sort()] as const;
  });
  const expected = platforms.map(({ names: [platform] }) => {
    const tables = Object.entries(builtInTables);
    const own = tables.filter(([, table]) => table['platform'] === platform);
    return [platform!, own.map(([name]) => name).sort()] as const;
  });
  t.deepEqual(
    Object.fromEntries(listed),
    Object.fromEntries(expected),
    'bring "Providers" in docs/usage.md up to date',
  );
});
