import test from 'ava';
import { type GateOutput, VoiceGate } from './voice-gate.ts';

/** A chunk that can be told from the others. */
function chunk(number: number): Int16Array {
  return new Int16Array(512).fill(number);
}

function names(outputs: readonly GateOutput[]): string {
  return outputs.map((o) => (o.type === 'chunk' ? `${o.samples[0]}` : o.type)).join(' ');
}

test('the onset sends the sixteen newest chunks and then itself', (t) => {
  const gate = new VoiceGate(16);
  for (let i = 1; i <= 20; i++) t.is(names(gate.chunk(chunk(i), false)), '');
  t.is(
    names(gate.chunk(chunk(21), true)),
    `speechStarted ${Array.from({ length: 17 }, (_, i) => i + 5).join(' ')}`,
  );
});

test('a cache that is not full is sent as it is, once', (t) => {
  const gate = new VoiceGate(16);
  gate.chunk(chunk(1), false);
  t.is(names(gate.chunk(chunk(2), true)), 'speechStarted 1 2');
  gate.close();
  t.is(names(gate.chunk(chunk(3), false)), 'speechEnded');
  t.is(names(gate.chunk(chunk(4), true)), 'speechStarted 3 4');
});

test('firmware that ends an utterance itself sends no silence after the speech', (t) => {
  const gate = new VoiceGate(16, false);
  gate.chunk(chunk(1), false);
  t.is(names(gate.chunk(chunk(2), true)), 'speechStarted 1 2');
  t.is(names(gate.chunk(chunk(3), true)), '3');
  t.is(names(gate.chunk(chunk(4), false)), 'speechEnded');
  t.is(names(gate.chunk(chunk(5), false)), '');
  t.is(names(gate.chunk(chunk(6), true)), 'speechStarted 4 5 6');
});

// EchoKit device protocol reference, section 6.2: S, W, G before the chunk, what leaves, W and G after.
const rows: [
  speech: boolean,
  was: boolean,
  open: boolean,
  out: string,
  was: boolean,
  open: boolean,
][] = [
  [true, false, false, 'speechStarted 7 9', true, true],
  [true, true, true, '9', true, true],
  [true, true, false, '9', true, false],
  [false, true, true, '9', true, true],
  [false, true, false, 'speechEnded', false, false],
  [false, false, false, '', false, false],
];

for (const [speech, was, open, out, wasAfter, openAfter] of rows) {
  test(`gate table: speech ${speech}, was speech ${was}, gate ${open}`, (t) => {
    const gate = new VoiceGate(16);
    if (was) {
      gate.chunk(chunk(1), true);
      if (!open) gate.close();
    } else gate.chunk(chunk(7), false);
    t.deepEqual([gate.wasSpeech, gate.open], [was, open]);
    t.is(names(gate.chunk(chunk(9), speech)), out);
    t.deepEqual([gate.wasSpeech, gate.open], [wasAfter, openAfter]);
  });
}

test('silence is streamed until the gate is closed, then the end is announced once', (t) => {
  const gate = new VoiceGate(16);
  gate.chunk(chunk(1), true);
  t.is(names(gate.chunk(chunk(2), false)), '2');
  t.is(names(gate.chunk(chunk(3), false)), '3');
  gate.close();
  t.is(names(gate.chunk(chunk(4), false)), 'speechEnded');
  t.is(names(gate.chunk(chunk(5), false)), '');
});

test('speech that outlasts the closing of the gate is streamed and stops without silence', (t) => {
  const gate = new VoiceGate(16);
  gate.chunk(chunk(1), true);
  gate.close();
  t.is(names(gate.chunk(chunk(2), true)), '2');
  t.is(names(gate.chunk(chunk(3), false)), 'speechEnded');
});
