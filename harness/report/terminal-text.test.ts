import test from 'ava';
import fc from 'fast-check';
import { clipDisplay, displayWidth, neutralize, padDisplay } from './terminal-text.ts';

test('control characters become visible and lose their effect', (t) => {
  t.is(neutralize('a\x1b[31mred\x07\r\n\tb\x7f'), 'a␛[31mred␇␍␊␉b␡');
  t.is(neutralize('\x9b31m \u202eevil\u2066 \ud800x'), '<U+009B>31m <U+202E>evil<U+2066> �x');
  t.is(neutralize('\0\ufffe\u{1ffff}\ufdd0'), '␀<U+FFFE><U+1FFFF><U+FDD0>');
  t.is(neutralize('plain, 月亮, é, 😀'), 'plain, 月亮, é, 😀');
});

test('no control character survives, whatever the text', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const out = neutralize(text);
      t.notRegex(out, /[\p{Cc}\p{Noncharacter_Code_Point}\u202a-\u202e\u2066-\u2069]/u);
      t.is(neutralize(out), out);
    }),
    { numRuns: 300, seed: 3 },
  );
});

test('widths of wide, combined and joined characters', (t) => {
  const widths: [string, number][] = [
    ['elevenlabs', 10],
    ['月亮 moon', 9],
    ['「ア」', 6],
    ['한국', 4],
    ['e\u0301', 1],
    ['ｆｕｌｌ', 8],
    ['ﾊﾝｶｸ', 4],
    ['😀', 2],
    ['👩‍👩‍👧', 2],
    ['✔', 1],
    ['✔\ufe0f', 2],
    ['a\u200bb', 2],
    ['', 0],
  ];
  for (const [text, width] of widths) t.is(displayWidth(text), width, JSON.stringify(text));
});

test('padding and clipping count columns', (t) => {
  t.is(padDisplay('月', 4), '月  ');
  t.is(padDisplay('12', 4, 'right'), '  12');
  t.is(padDisplay('longer', 4), 'longer');
  t.is(clipDisplay('月亮很远', 6), '月亮…');
  t.is(clipDisplay('月亮很远', 8), '月亮很远');
  t.is(clipDisplay('elevenlabs', 5), 'elev…');
  t.is(clipDisplay('elevenlabs', 0), '');
});
