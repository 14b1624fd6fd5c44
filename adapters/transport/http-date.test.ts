import test from 'ava';
import { httpDateSeconds } from './http-date.ts';

// Seconds computed with GNU date, for example `date -u -d '1994-11-06 08:49:37' +%s`.
test('dates are counted from 1970, over leap years and centuries', (t) => {
  for (const [text, seconds] of [
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 784_111_777],
    ['Tue, 29 Feb 2000 23:59:59 GMT', 951_868_799],
    ['Wed, 01 Mar 2000 00:00:00 GMT', 951_868_800],
    ['Sat, 31 Dec 2022 12:00:00 GMT', 1_672_488_000],
    ['Thu, 29 Feb 2024 00:00:01 GMT', 1_709_164_801],
    ['Mon, 01 Mar 2100 00:00:00 GMT', 4_107_542_400],
  ] as const) {
    t.is(httpDateSeconds(text), seconds, text);
  }
});

test('anything else is no date', (t) => {
  for (const text of [
    '',
    '120',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nox 1994 08:49:37 GMT',
    'Sun, 46 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 28:49:37 GMT',
  ]) {
    t.is(httpDateSeconds(text), undefined, text);
  }
});
