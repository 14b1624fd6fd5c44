import test from 'ava';
import fc from 'fast-check';
import { displayWidth } from './terminal-text.ts';
import { renderTable, type TableColumn, wrapText } from './text-table.ts';

const columns: TableColumn[] = [
  { head: ['', 'provider'], align: 'left' },
  { head: ['ttfb', 'p50'], align: 'right' },
  { head: ['', 'verdict'], align: 'left' },
];
const rows = [
  [{ text: '云声合成' }, { text: '7' }, { text: 'pass' }],
  [{ text: 'elevenlabs-stream' }, { text: '1200' }, { text: 'fail auth' }],
];
const same = (text: string) => text;

test('columns are aligned where characters are two columns wide', (t) => {
  t.deepEqual(renderTable(columns, rows, 60, same), [
    '                   ttfb',
    'provider            p50  verdict',
    '云声合成              7  pass',
    'elevenlabs-stream  1200  fail auth',
  ]);
});

test('gaps give way first, then the label', (t) => {
  t.is(renderTable(columns, rows, 33, same)[3], 'elevenlabs-stream 1200 fail auth');
  t.deepEqual(renderTable(columns, rows, 24, same), [
    '          ttfb',
    'provider   p50 verdict',
    '云声合成     7 pass',
    'elevenla… 1200 fail auth',
  ]);
  t.is(renderTable(columns, rows, 23, same)[3], 'elevenl… 1200 fail auth');
});

test('where the columns do not fit beside each other, they stand below each other', (t) => {
  t.deepEqual(renderTable(columns, rows, 22, same), [
    '          ttfb',
    'provider   p50',
    '云声合成     7',
    'elevenl…  1200',
    'provider  verdict',
    '云声合成  pass',
    'elevenl…  fail auth',
  ]);
});

test('no line is longer than the width, and every number is shown once', (t) => {
  const cell = fc.record({ text: fc.stringMatching(/^[0-9]{1,7}$/) });
  fc.assert(
    fc.property(
      fc.array(fc.array(cell, { minLength: 12, maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 20, max: 110 }),
      (numbers, width) => {
        const heads = Array.from({ length: 13 }, (_, i): TableColumn => {
          return { head: ['', `h${i}`], align: i === 0 ? 'left' : 'right' };
        });
        const labeled = numbers.map((row, i) => [
          { text: `elevenlabs-stream-${'abcd'[i]}` },
          ...row,
        ]);
        const lines = renderTable(heads, labeled, width, same);
        t.true(lines.every((line) => displayWidth(line) <= width));
        const shown = lines.join(' ').match(/(?<![\w-])\d+(?!\w)/g) ?? [];
        const planted = numbers.flat().map(({ text }) => text);
        t.deepEqual([...shown].sort(), planted.sort());
      },
    ),
    { numRuns: 200, seed: 5 },
  );
});

test('paint is put on the padded text, so that it moves nothing', (t) => {
  const paint = (text: string) => `<${text}>`;
  const painted = [[{ text: 'openai' }, { text: '7', paint }, { text: 'pass', paint }]];
  t.is(renderTable(columns, painted, 60, same)[2], 'openai    <   7>  <pass>');
});

test('wrapped lines keep within the width and lose no word', (t) => {
  t.deepEqual(wrapText('one two three 四 五', 9, ['  ', '    ']), [
    '  one two',
    '    three',
    '    四 五',
  ]);
  const word = fc.string({ unit: fc.constantFrom('a', '月', '-'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1 }),
      fc.integer({ min: 20, max: 40 }),
      (words, width) => {
        const lines = wrapText(words.join(' '), width, ['  ', '    ']);
        t.true(lines.every((line) => displayWidth(line) <= width));
        t.deepEqual(
          lines.flatMap((line) => line.trim().split(' ')),
          words,
        );
      },
    ),
    { numRuns: 100, seed: 2 },
  );
});
