import test from 'ava';
import fc from 'fast-check';
import { alignCharacters } from './character-alignment.ts';

test('characters are the text, times never fall and stay within the clip', (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.nat(500),
      fc.nat(20_000),
      (text, from, length) => {
        const { characters, startMs, durationMs } = alignCharacters(text, from, from + length);
        if (characters.join('') !== text) return false;
        return startMs.every((start, i) => {
          const next = startMs[i + 1] ?? from + length;
          return start >= from && start <= next && durationMs[i] === next - start;
        });
      },
    ),
    { seed: 1 },
  );
  t.pass();
});

test('letters share the time equally', (t) => {
  t.deepEqual(alignCharacters('abcd', 100, 500), {
    characters: ['a', 'b', 'c', 'd'],
    startMs: [100, 200, 300, 400],
    durationMs: [100, 100, 100, 100],
  });
});

test('closing punctuation takes no time, a pause inside does', (t) => {
  t.deepEqual(alignCharacters('Hi. ', 0, 100).startMs, [0, 50, 100, 100]);
  // a . space b weigh 1, 4, 0.5 and 1.
  t.deepEqual(alignCharacters('a. b', 0, 650).startMs, [0, 100, 500, 550]);
});
