import { join } from 'node:path';
import test from 'ava';
import { namedAsStarted, programName } from './program-name.ts';

const folder = join('/', 'home', 'lee', 'checkout');

test('the program is named as it was started', (t) => {
  const main = join(folder, 'harness', 'cli', 'main.ts');
  const name = (script: string, environment = {}) => programName({ script, environment, folder });
  t.is(name(main), `npx tsx ${join('harness', 'cli', 'main.ts')}`);
  t.is(
    name(main, { npm_lifecycle_event: 'harness', npm_command: 'run-script' }),
    'npm run -s harness --',
  );
  t.is(name(main, { npm_lifecycle_event: 'start', npm_command: 'start' }), 'npm run -s harness --');
  // A test that starts the program is not how it is called.
  t.is(name(main, { npm_lifecycle_event: 'test' }), `npx tsx ${join('harness', 'cli', 'main.ts')}`);
  t.is(name('/usr/local/bin/echokit-harness'), 'echokit-harness');
  const bin = join(folder, 'node_modules', '.bin', 'echokit-harness');
  t.is(name(bin, { npm_command: 'exec' }), 'npx echokit-harness');
  t.is(name(join(folder, 'node_modules', 'echokit-harness', 'dist', 'main.js')), 'echokit-harness');
  t.is(name(join(folder, 'dist', 'main.js')), `node ${join('dist', 'main.js')}`);
});

test('only what can be typed gets the name: commands and usage', (t) => {
  const named = (text: string) => namedAsStarted(text, 'npm run -s harness --', ['boards', 'run']);
  t.is(
    named('  echokit-harness boards add lab\n  KEY=x echokit-harness run --live'),
    '  npm run -s harness -- boards add lab\n  KEY=x npm run -s harness -- run --live',
  );
  t.is(named('Usage: echokit-harness [options]'), 'Usage: npm run -s harness -- [options]');
  for (const text of [
    'a defect of echokit-harness 0.1.0',
    'the version of echokit-harness that the manifest names',
    '~/.config/echokit-harness/boards.toml',
    'echokit-harness runs',
  ]) {
    t.is(named(text), text);
  }
});
