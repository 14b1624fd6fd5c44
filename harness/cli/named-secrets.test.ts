import test from 'ava';
import { namedSecrets } from './named-secrets.ts';

test('secrets are named as they are, by a variable, and by the token of serve', (t) => {
  const environment = {
    BOARD_KEY: 'sk-live-1',
    EMPTY: '',
    SHORT: 'abc',
    ECHOKIT_HARNESS_TOKEN: 'a1b2c3d4e5f6a7b8',
  };
  t.deepEqual(namedSecrets(['tulip', `\${BOARD_KEY}`, `x\${BOARD_KEY}`], environment), [
    'tulip',
    'sk-live-1',
    `x\${BOARD_KEY}`,
    'a1b2c3d4e5f6a7b8',
  ]);
  t.deepEqual(namedSecrets([], { ECHOKIT_HARNESS_TOKEN: '' }), []);
  for (const [option, message] of [
    [`\${UNKNOWN}`, /variable UNKNOWN, and it is not set or empty/],
    [`\${toString}`, /variable toString, and it is not set/],
    [`\${EMPTY}`, /variable EMPTY, and it is not set or empty/],
    [`\${SHORT}`, /--secret \(SHORT\) has 3 characters, and less than 4/],
    ['xyz', /--secret has 3 characters, and less than 4/],
    ['', /--secret has 0 characters/],
  ] as const) {
    const error = t.throws(() => namedSecrets([option], environment), { code: 'USAGE', message });
    t.false(/abc|xyz/.test(`${error.message}`));
  }
});
