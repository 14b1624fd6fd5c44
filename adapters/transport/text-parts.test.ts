import test from 'ava';
import fc from 'fast-check';
import { textParts } from './text-parts.ts';

test('a text within the limit stays in one piece', (t) => {
  t.deepEqual(textParts('One. Two.', 9), ['One. Two.']);
  t.deepEqual(textParts('', 9), ['']);
});

test('sentences come before clauses, clauses before words', (t) => {
  t.deepEqual(textParts('One two. Three four, five six seven.', 30), [
    'One two.',
    'Three four, five six seven.',
  ]);
  t.deepEqual(textParts('Three four, five six seven eight.', 25), [
    'Three four,',
    'five six seven eight.',
  ]);
  t.deepEqual(textParts('three four five six seven', 12), ['three four', 'five six', 'seven']);
});

test('as many sentences go together as fit', (t) => {
  t.deepEqual(textParts('A b. C d. E f. G h.', 9), ['A b. C d.', 'E f. G h.']);
});

test('points inside numbers and names of hosts are no ends', (t) => {
  t.deepEqual(textParts('It is 3.5 m at a.example now', 16), ['It is 3.5 m at', 'a.example now']);
});

test('closing quotes stay with their sentence', (t) => {
  t.deepEqual(textParts('He said "no." She left the room.', 24), [
    'He said "no."',
    'She left the room.',
  ]);
});

test('Chinese is cut at its own marks, counted in characters', (t) => {
  t.deepEqual(textParts('月亮很远。没有空气，也没有水。', 8), [
    '月亮很远。',
    '没有空气，',
    '也没有水。',
  ]);
});

test('Arabic is cut at its own marks', (t) => {
  t.deepEqual(textParts('كيف حالك؟ أنا بخير، شكرا', 15), ['كيف حالك؟', 'أنا بخير، شكرا']);
});

test('a direction in brackets is never cut', (t) => {
  t.deepEqual(textParts('Well now [very cheerful indeed] yes', 22), [
    'Well now',
    '[very cheerful indeed]',
    'yes',
  ]);
});

test('marks alone are no part of their own', (t) => {
  t.deepEqual(textParts('... ... one two. – – –', 16), ['... ... one', 'two. – – –']);
  t.deepEqual(textParts('... ... one. – – – – –', 16), ['... ... one. – – – – –']);
});

test('a word longer than the limit stays whole', (t) => {
  t.deepEqual(textParts(`Say ${'a'.repeat(30)} now.`, 20), ['Say', `${'a'.repeat(30)} now.`]);
});

test('parts are within the limit and give the words of the text in order', (t) => {
  const word = fc.stringMatching(/^[a-z]{1,9}[,.!?;]?$/);
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 60 }), (words) => {
      const parts = textParts(words.join(' '), 40);
      t.deepEqual(parts.join(' ').split(' '), words);
      t.true(parts.every((part) => part.length > 0 && part.length <= 40));
    }),
    { seed: 1, numRuns: 200 },
  );
});
