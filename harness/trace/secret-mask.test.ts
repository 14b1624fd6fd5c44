import test from 'ava';
import fc from 'fast-check';
import { SecretMask } from './secret-mask.ts';

const secret = 'sk-live-"4711"/x';

function masked(secrets: readonly string[], pieces: readonly Uint8Array[]): Buffer {
  const written: Buffer[] = [];
  const stream = new SecretMask(secrets).stream((bytes) => written.push(Buffer.from(bytes)));
  for (const piece of pieces) stream.push(piece);
  stream.end();
  return Buffer.concat(written);
}

test('a secret is found as it is, in JSON, in JSON within JSON, percent-encoded and as Base64', (t) => {
  const mask = new SecretMask([secret]);
  const json = JSON.stringify({ key: secret });
  for (const text of [
    secret,
    json,
    JSON.stringify({ message: `it said ${json}` }),
    `https://x/?key=${encodeURIComponent(secret)}`,
    `Basic ${Buffer.from(secret).toString('base64')}`,
  ]) {
    t.regex(mask.text(text), /\[redacted\]/);
    t.notRegex(mask.text(text), /4711|NDcxMS/, text);
  }
});

test('what is too short to be a secret is left alone', (t) => {
  t.is(new SecretMask(['abc', '']).text('abcdef'), 'abcdef');
});

test('a secret within another one leaves nothing of the longer one', (t) => {
  t.is(new SecretMask(['abcd', 'xxabcdyy']).text('-xxabcdyy-abcd-'), '-[redacted]-[redacted]-');
});

test('a stream keeps its length and every other byte, however it is cut', (t) => {
  const before = Buffer.from('{"error":"the key ');
  const after = Buffer.from(' is wrong, s, sk, sk-live"}');
  const whole = Buffer.concat([before, Buffer.from(secret), after]);
  const wanted = Buffer.concat([before, Buffer.alloc(secret.length, '*'), after]);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 80 }),
      (sizes) => {
        const pieces: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(whole.subarray(at, at + size));
          at += size;
        }
        pieces.push(whole.subarray(at));
        t.is(masked([secret], pieces).toString(), wanted.toString());
      },
    ),
    { numRuns: 200, seed: 1 },
  );
});

test('nothing that may become a secret is written before that is known', (t) => {
  const written: string[] = [];
  const stream = new SecretMask([secret]).stream((bytes) => written.push(String(bytes)));
  stream.push(Buffer.from('abc sk-l'));
  t.deepEqual(written, ['abc ']);
  stream.push(Buffer.from('emon'));
  t.deepEqual(written, ['abc ', 'sk-lemon']);
});

test('an answer that breaks off within a secret does not show its beginning', (t) => {
  t.is(
    String(masked([secret], [Buffer.from(`key: ${secret.slice(0, -1)}`)])),
    `key: ${'*'.repeat(15)}`,
  );
});

test('without secrets bytes pass as they are', (t) => {
  const bytes = Buffer.from([0, 255, 42, 7]);
  t.deepEqual(masked([], [bytes.subarray(0, 1), bytes.subarray(1)]), bytes);
});
