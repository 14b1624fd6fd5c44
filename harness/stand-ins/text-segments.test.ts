import test from 'ava';
import fc from 'fast-check';
import { firstSegment, textSegments } from './text-segments.ts';

const cuts: readonly (readonly [string, string, number, string[]])[] = [
  ['a short text is one segment', 'Hello there.', 20, ['Hello there.']],
  ['sentences go together', 'One. Two. Three. Four.', 12, ['One. Two. ', 'Three. Four.']],
  [
    'a long sentence is cut at a clause',
    'one two, three four five',
    14,
    ['one two, ', 'three four five'.slice(0, 11), 'five'],
  ],
  ['else between words', 'one two three', 9, ['one two ', 'three']],
  ['else anywhere', 'abcdefgh', 3, ['abc', 'def', 'gh']],
  ['wide marks end sentences', '月亮很远。没有空气。', 5, ['月亮很远。', '没有空气。']],
  ['characters are code points', '🌙🌙🌙', 2, ['🌙🌙', '🌙']],
  [
    'a stop inside a number ends nothing',
    'It is 3.14159 or so',
    12,
    ['It is ', '3.14159 or ', 'so'],
  ],
];
for (const [name, text, most, expected] of cuts) {
  test(`segments: ${name}`, (t) => {
    t.deepEqual(textSegments(text, most), expected);
    t.is(firstSegment(text, most), expected[0]!);
  });
}

test('segments are the text, and none is too long or empty', (t) => {
  const piece = fc.constantFrom(
    'word ',
    'a, ',
    'End. ',
    '月亮',
    '。',
    '🌙',
    '\n',
    '  ',
    '3.14',
    '"Hi!" ',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      (parts, most) => {
        const text = parts.join('');
        const segments = textSegments(text, most);
        return (
          segments.join('') === text &&
          segments.every((segment) => segment !== '' && [...segment].length <= most)
        );
      },
    ),
    { numRuns: 500, seed: 1 },
  );
  t.pass();
});
