import test from 'ava';
import { speakableText, speechParts } from './speakable-text.ts';

const shown = (text: string, mandarin: boolean): string[] =>
  speechParts(speakableText(text), mandarin).map(({ kind, text }) => `${kind}: ${text}`);

test('text is brought to what the engines read', (t) => {
  const table: [string, string][] = [
    ['“Quoted” – it’s…', '"Quoted", it\'s...'],
    ['café naïve Ærø straße', 'cafe naive aero strasse'],
    ['384 400 km', '384 400 km'],
    ['ｆｕｌｌ　ｗｉｄｔｈ', 'full width'],
    ['a\n\tb  c', 'a b c'],
    ['한국어', '한국어'],
    ['水星最近，真的。那里呢？', '水星最近, 真的. 那里呢?'],
    ['hi 😀 there', 'hi there'],
  ];
  for (const [text, expected] of table) t.is(speakableText(text), expected);
});

test('Mandarin keeps its digits and marks, and leaves Latin words to the other voice', (t) => {
  t.deepEqual(shown('我买了3个。很好！', true), ['mandarin: 我买了3个. 很好!']);
  t.deepEqual(shown('3个苹果', true), ['mandarin: 3个苹果']);
  t.deepEqual(shown('我今天去了Walmart买了3个', true), [
    'mandarin: 我今天去了',
    'latin: Walmart',
    'mandarin: 买了3个',
  ]);
  t.deepEqual(shown('I said 你好 to him.', true), [
    'latin: I said ',
    'mandarin: 你好 ',
    'latin: to him.',
  ]);
});

test('Japanese, Korean and Greek are no Mandarin', (t) => {
  t.deepEqual(shown('明日は雨', true), ['other: 明日は雨']);
  t.deepEqual(shown('한국어', true), ['other: 한국어']);
  t.deepEqual(shown('α 2', true), ['other: α', 'latin:  2']);
});

test('without a reader of Han script its letters stand alone', (t) => {
  t.deepEqual(shown('我买了3个。', false), ['other: 我买了', 'latin: 3', 'other: 个', 'latin: .']);
});

test('no character is lost between the parts', (t) => {
  for (const text of ['a1你2b', '…你', '你好, hello 3 世界!', '明日は 12 cats', '']) {
    for (const mandarin of [true, false]) {
      const spoken = speakableText(text);
      const joined = speechParts(spoken, mandarin).map((part) => part.text);
      t.is(joined.join(''), spoken);
    }
  }
});
