import test from 'ava';
import { splitSentences } from './sentences.ts';

const cases: readonly (readonly [string, readonly string[]])[] = [
  ['One sentence.', ['One sentence.']],
  ['Hello there. How can I help?', ['Hello there.', 'How can I help?']],
  ['It is 3.14 metres. Really!', ['It is 3.14 metres.', 'Really!']],
  ['He said "no." Then he left', ['He said "no."', 'Then he left']],
  ['你好。我能帮你吗？可以', ['你好。', '我能帮你吗？', '可以']],
  ['A line\nand another\n\n', ['A line', 'and another']],
  ['  ', []],
];
for (const [text, sentences] of cases) {
  test(`${JSON.stringify(text)} has ${sentences.length} sentences`, (t) => {
    t.deepEqual(splitSentences(text), sentences);
  });
}
