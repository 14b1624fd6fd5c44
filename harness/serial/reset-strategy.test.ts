import test from 'ava';
import fc from 'fast-check';
import { findResetStrategy, parseResetStrategy, resetStrategies } from './reset-strategy.ts';
import { SerialError } from './serial-error.ts';

test('a strategy is read step by step', (t) => {
  t.deepEqual(parseResetStrategy('D0|R1| W0.1 |U1,0|W.05|W2.').steps, [
    { kind: 'lines', text: 'D0', lines: { dtr: false } },
    { kind: 'lines', text: 'R1', lines: { rts: true } },
    { kind: 'wait', text: 'W0.1', durationUs: 100_000 },
    { kind: 'lines', text: 'U1,0', lines: { dtr: true, rts: false } },
    { kind: 'wait', text: 'W.05', durationUs: 50_000 },
    { kind: 'wait', text: 'W2.', durationUs: 2_000_000 },
  ]);
});

for (const [text, column, words] of [
  ['', 1, 'a step is missing'],
  ['D0||R1', 4, 'a step is missing'],
  ['D0|R2', 4, '"R2" must be R0 (off) or R1 (on)'],
  ['D0|  X1', 6, '"X1" is no step'],
  ['d0', 1, '"d0" is no step'],
  ['U01', 1, '"U01" must be U and two digits, DTR and RTS, such as U0,1'],
  ['R1|W-1', 4, '"W-1" must be W and seconds, such as W0.1'],
  ['R1|W1e3', 4, '"W1e3" must be W and seconds, such as W0.1'],
  ['R1|W100|R0', 4, '"W100" waits for 100 s; at most 60 s are possible'],
] as const) {
  test(`"${text}" is refused with the column and the reason`, (t) => {
    const error = t.throws<SerialError>(() => parseResetStrategy(text), {
      instanceOf: SerialError,
    });
    t.is(error?.code, 'SERIAL_RESET_STRATEGY');
    t.is(error?.message, `Reset strategy "${text}", column ${column}: ${words}.`);
  });
}

test('any text is either steps or an error of its own, and steps written again are the same', (t) => {
  const step = fc.constantFrom('D0', 'D1', 'R0', 'R1', 'U0,1', 'W0.1', 'W3', '', 'Z', 'D', 'U1');
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (parts) => {
      const text = parts.join('|');
      const whole = parts.every((part) => /^([DR][01]|U0,1|W0\.1|W3)$/.test(part));
      try {
        const { steps } = parseResetStrategy(text);
        return whole && steps.map((each) => each.text).join('|') === text;
      } catch (error) {
        return !whole && error instanceof SerialError;
      }
    }),
    { seed: 1, numRuns: 500 },
  );
  t.pass();
});

test('a built-in strategy is found by its name, any other text is read', (t) => {
  t.is(findResetStrategy('run-bridge'), resetStrategies['run-bridge']);
  t.is(findResetStrategy('R1|W0.2|R0').steps.length, 3);
  t.throws(() => findResetStrategy('toString'), { code: 'SERIAL_RESET_STRATEGY' });
});
