import test from 'ava';
import fc from 'fast-check';
import { SentenceCutter, SentenceSplitter } from './sentence-splitter.ts';

/** The character machine alone, whole text at once. */
function sentences(...pushes: string[]): string[] {
  const cutter = new SentenceCutter();
  return [...pushes.flatMap((text) => cutter.push(text)), ...cutter.finish()];
}

function released(pushes: string[], groupBytes?: number): string[] {
  const splitter = new SentenceSplitter(groupBytes === undefined ? {} : { groupBytes });
  return [...pushes.flatMap((text) => splitter.push(text)), ...splitter.finish()];
}

// Origin: the worked examples of EchoKit device protocol reference, section 7.5.
const workedExamples: [pushes: string[], results: string[]][] = [
  [["Hello world. How are you? I'm fine."], ['Hello world. ', 'How are you? ', "I'm fine."]],
  [[`He said "I'm fine. And you?" Yes.`], [`He said "I'm fine. And you?"`, 'Yes.']],
  [
    ['Pi is 3.14. Wow!Great...really? e.g. this. v1.2.3 ok.'],
    ['Pi is 3.14. ', 'Wow!', 'Great...really? ', 'e.g. ', 'this. ', 'v1.2.3 ok.'],
  ],
  [['Wait... what? No.'], ['Wait... ', 'what? ', 'No.']],
  [['你好世界。你好吗？'], ['你好世界。', '你好吗？']],
  [
    [`He said "She's fine. Really?" I asked 'Are you sure?' He nodded.`],
    [`He said "She's fine. Really?"`, `I asked 'Are you sure?`, `' He nodded.`],
  ],
  [
    ['First. Second', ' Third.'],
    ['First. ', 'Second Third.'],
  ],
];

for (const [pushes, results] of workedExamples) {
  test(`cuts ${JSON.stringify(pushes)} as the reference server does`, (t) => {
    t.deepEqual(sentences(...pushes), results);
  });
}

test('gives the same sentences character by character', (t) => {
  for (const [pushes, results] of workedExamples) {
    t.deepEqual(sentences(...pushes.flatMap((text) => [...text])), results);
  }
});

test('curly quotes become straight ones and hold a sentence together', (t) => {
  t.deepEqual(sentences('She said “One. Two!” Three.'), ['She said "One. Two!"', 'Three.']);
});

test('a dot right before the closing quote does not end the sentence', (t) => {
  // The rules taken literally: any character but a space after a dot takes the end back.
  t.deepEqual(sentences('She said "One. Two." Three.'), ['She said "One. Two." Three.']);
});

test('a Chinese sentence inside quotes ends at the closing quote', (t) => {
  t.deepEqual(sentences('他说“你好。再见。”然后走了。'), ['他说"你好。再见。"', '然后走了。']);
});

test('quotes without a sentence end inside do not cut', (t) => {
  t.deepEqual(sentences('The "moon" is far. Yes.'), ['The "moon" is far. ', 'Yes.']);
});

test('a newline ends a sentence and blank lines are none', (t) => {
  t.deepEqual(sentences('One\n\n \nTwo'), ['One\n', 'Two']);
});

test('semicolons end a sentence in both scripts', (t) => {
  t.deepEqual(sentences('a; b；c'), ['a; ', 'b；', 'c']);
});

test('a decimal number stays whole when the stream is cut inside it', (t) => {
  t.deepEqual(sentences('It is 3.', '14 m. Far.'), ['It is 3.14 m. ', 'Far.']);
});

test('the first text is a single sentence, the leftover is grouped to 50 bytes', (t) => {
  t.deepEqual(released(["Hello world. How are you? I'm fine."]), [
    'Hello world.',
    "How are you? I'm fine.",
  ]);
  t.deepEqual(released(['A. B. This sentence has just enough text to reach fifty. C. D.']), [
    'A.',
    'B. This sentence has just enough text to reach fifty.',
    'C. D.',
  ]);
});

test('one push releases at most one text', (t) => {
  const splitter = new SentenceSplitter();
  t.deepEqual(splitter.push('One. Two. Three. Four. '), ['One.']);
  t.deepEqual(splitter.push('F'), ['Two. Three. Four.']);
  t.deepEqual(splitter.push('ive'), []);
  t.deepEqual(splitter.finish(), ['Five']);
});

test('bytes are counted, not characters', (t) => {
  // 16 Chinese characters and a full stop are 51 bytes: enough for a group.
  const long = `${'好'.repeat(16)}。`;
  t.is(Buffer.byteLength(long), 51);
  t.deepEqual(released([`一。${long}二。`]), ['一。', long, '二。']);
  t.deepEqual(released([`一。${'好'.repeat(15)}。二。`]), ['一。', `${'好'.repeat(15)}。二。`]);
});

test('groupBytes sets the size of a group', (t) => {
  t.deepEqual(released(['A. B. C. D.'], 1), ['A.', 'B.', 'C.', 'D.']);
  t.deepEqual(released(['A. B. C. D.'], 5), ['A.', 'B. C.', 'D.']);
});

test('nothing speakable releases nothing', (t) => {
  t.deepEqual(released(['', ' ', '\n\t\r', '  ']), []);
  t.deepEqual(released([]), []);
});

test('no character of the answer is lost, whatever the pushes', (t) => {
  const alphabet = fc.constantFrom(...'ab1 .!?;"\n。！\t', '“', '”', '好');
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: alphabet, maxLength: 12 }), { maxLength: 12 }),
      (pushes) => {
        const squeeze = (text: string): string => text.replace(/[“”]/g, '"').replace(/\s/g, '');
        t.is(squeeze(released(pushes).join('')), squeeze(pushes.join('')));
      },
    ),
    { seed: 7, numRuns: 300 },
  );
});
