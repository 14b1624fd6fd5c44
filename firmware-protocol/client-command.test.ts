import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { type ClientCommand, decodeClientCommand, encodeClientCommand } from './client-command.ts';

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly text: string;
  readonly form?: 'canonical';
  readonly accepted: boolean;
  readonly command?: ClientCommand;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('vectors/client-commands.json', import.meta.url), 'utf8'),
).vectors;

for (const { name, hex, text, form, accepted, command } of vectors) {
  test(`the vector is ${accepted ? 'understood' : 'refused'}: ${name}`, (t) => {
    t.is(Buffer.from(hex, 'hex').toString(), text);
    const result = decodeClientCommand(text);
    if (accepted) t.deepEqual(result, { ok: true, command: command! });
    else t.true(!result.ok && result.reason.length > 0);
    if (form !== undefined) t.is(encodeClientCommand(command!), text);
  });
}

test('StartChat has the 21 bytes of the reference', (t) => {
  // EchoKit device protocol reference, section 3.1.
  const hex = '7b226576656e74223a22537461727443686174227d';
  t.is(Buffer.from(encodeClientCommand({ event: 'StartChat' })).toString('hex'), hex);
  t.is(hex.length / 2, 21);
});

test('refusals say what is wrong', (t) => {
  const reason = (text: string) => {
    const result = decodeClientCommand(text);
    return result.ok ? '' : result.reason;
  };
  t.is(
    reason('{"event":"Cancel"}'),
    'unknown variant `Cancel`, expected one of `StartRecord`, `StartChat`, `Submit`, `Text`, `Select`',
  );
  t.is(reason('{"event":"Text"}'), 'Text: missing field `input`');
  t.is(reason('{"event":["StartChat"]}'), '`event` is an array instead of a string');
  t.is(
    reason('{"event":"Select","index":-1}'),
    'Select: `index` is -1 instead of an integer from 0 up',
  );
  t.is(reason('[]'), 'an array instead of an object with the field `event`');
  t.regex(reason('{"event"'), /^not JSON: /);
});

test('names of object methods are no events and no fields', (t) => {
  t.false(decodeClientCommand('{"event":"constructor"}').ok);
  t.false(decodeClientCommand('{"__proto__":{"event":"StartChat"}}').ok);
});

test('a command cut at any length is refused', (t) => {
  for (const { text, form } of vectors) {
    if (form === undefined) continue;
    for (let length = 0; length < text.length; length++) {
      t.false(decodeClientCommand(text.slice(0, length)).ok);
    }
  }
});

test('every command comes back', (t) => {
  const command: fc.Arbitrary<ClientCommand> = fc.oneof(
    fc.record({
      event: fc.constantFrom('StartChat' as const, 'Submit' as const, 'StartRecord' as const),
    }),
    fc.record({ event: fc.constant('Text' as const), input: fc.string({ unit: 'binary' }) }),
    fc.record({ event: fc.constant('Select' as const), index: fc.maxSafeNat() }),
  );
  fc.assert(
    fc.property(command, (given) => {
      t.deepEqual(decodeClientCommand(encodeClientCommand(given)), { ok: true, command: given });
    }),
    { seed: 31, numRuns: 500 },
  );
});

test('any text gives a result, never an exception', (t) => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.jsonValue().map((event) => JSON.stringify({ event, input: event, index: event })),
  );
  fc.assert(
    fc.property(anyText, (text) => typeof decodeClientCommand(text).ok === 'boolean'),
    { seed: 32, numRuns: 2000 },
  );
  t.pass();
});

test('an index that is no place in a list is a mistake of the caller', (t) => {
  for (const index of [-1, 0.5, Number.NaN, -0, 2 ** 53]) {
    t.throws(() => encodeClientCommand({ event: 'Select', index }), {
      code: 'FP_CHOICE_INDEX_OUT_OF_RANGE',
    });
  }
});

test('half a surrogate pair becomes U+FFFD', (t) => {
  t.is(
    encodeClientCommand({ event: 'Text', input: '\udc00a\ud800' }),
    '{"event":"Text","input":"\ufffda\ufffd"}',
  );
});
