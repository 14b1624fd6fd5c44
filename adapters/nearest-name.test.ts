import test from 'ava';
import { editDistance, nearestName } from './nearest-name.ts';

test('distances of known pairs', (t) => {
  const pairs: [string, string, number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['flaw', 'lawn', 2],
    ['replay', 'reply', 1],
    ['ca', 'ac', 1],
    ['ca', 'abc', 3],
  ];
  for (const [a, b, distance] of pairs) {
    t.is(editDistance(a, b), distance, `${a} ${b}`);
    t.is(editDistance(b, a), distance, `${b} ${a}`);
  }
});

test('a slip of the finger finds its name, a different word does not', (t) => {
  const keys = ['say', 'wav', 'heard', 'reply', 'reply_pace', 'after', 'pause_ms', 'timeout_ms'];
  t.is(nearestName('reply_pase', keys), 'reply_pace');
  t.is(nearestName('replyPace', keys), 'reply_pace');
  t.is(nearestName('timeuot_ms', keys), 'timeout_ms');
  t.is(nearestName('Say', keys), 'say');
  t.is(nearestName('answer', keys), undefined);
  t.is(nearestName('x', keys), undefined);
  t.is(nearestName('streamgsv', ['openai', 'stream_gsv']), 'stream_gsv');
  t.is(nearestName('', keys), undefined);
  t.is(nearestName('openai', []), undefined);
});
