import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { namesOf, numberWithin, wholeWithin } from './checkout-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('numbers are checked against their bounds, and words, blanks and fractions are none', (t) => {
  const minutes = numberWithin(0, 15);
  t.is(minutes('0'), 0);
  t.is(minutes('2.5'), 2.5);
  for (const written of ['', ' ', 'abc', '-1', '15.1', 'Infinity']) {
    t.throws(() => minutes(written), { message: 'It must be a number from 0 to 15.' }, written);
  }
  const count = wholeWithin(1, 50);
  t.is(count('50'), 50);
  for (const written of ['', '0', '51', '1.5', '1e1', '0x2', ' 3']) {
    t.throws(() => count(written), { message: 'It must be a whole number from 1 to 50.' }, written);
  }
});

test('an unknown name is told with the nearest one, or with all', (t) => {
  const names = namesOf(['wav', 'opus']);
  t.deepEqual(names('wav, opus'), ['wav', 'opus']);
  t.throws(() => names('wav,opsu'), { message: 'There is no "opsu"; did you mean "opus"?' });
  t.throws(() => names('console'), { message: 'There is no "console"; known: wav, opus' });
});

function start(script: string, option: string): ReturnType<typeof spawnSync> {
  return spawnSync(
    process.execPath,
    ['--import', 'tsx', join('harness', 'cli', `${script}.ts`), option],
    { cwd: root, encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL' },
  );
}

for (const script of ['soak', 'fuzz-decoders', 'replay-hash', 'keep-fault-matrix']) {
  test(`${script} begins nothing with an option that it does not know`, (t) => {
    const { status, stdout, stderr } = start(script, '--nonsense');
    t.is(stderr, "error: unknown option '--nonsense'\n");
    t.is(stdout, '');
    t.is(status, 2);
  });
}

test('--help of a program of the checkout names it as it is started', (t) => {
  const { status, stdout } = start('soak', '--help');
  t.regex(`${stdout}`, /^Usage: npm run soak -- \[options\]/);
  t.is(status, 0);
});
