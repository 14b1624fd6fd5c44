import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { createRandom } from '../random/random.ts';

const own = fileURLToPath(new URL('load-compiled.test.ts', import.meta.url));

test('a test takes itself for its source: data and sources beside it are found there', (t) => {
  t.is(fileURLToPath(import.meta.url), own);
  t.is(import.meta.filename, own);
  t.is(import.meta.dirname, dirname(own));
  t.true(existsSync(own));
  t.is(
    import.meta.resolve('./load-compiled.js'),
    new URL('load-compiled.js', import.meta.url).href,
  );
  t.true(import.meta.resolve('typescript').endsWith('typescript.js'));
});

test('a stack names the line of the source', (t) => {
  const { stack = '' } = new Error('here');
  const line = readFileSync(own, 'utf8')
    .split('\n')
    .findIndex((text) => text.includes("Error('here')"));
  t.regex(stack, new RegExp(`load-compiled\\.test\\.ts:${line + 1}:`));
});

test('a source that is imported twice, also while the test runs, is one module', async (t) => {
  const again = await import('../random/random.ts');
  t.is(again.createRandom, createRandom);
});

test('functions and classes keep their names', (t) => {
  const inner = () => 0;
  class Named {
    static readonly first = new Named();
    readonly value = 0;
  }
  t.is(inner.name, 'inner');
  t.is(Named.name, 'Named');
  t.is(Named.first.constructor, Named);
  t.is(Named.first.value, 0);
});
