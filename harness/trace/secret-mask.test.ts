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

/** Written without the code under test: what other programs make of the secret. */
test('a secret is found in hexadecimal, in forms, with escaped slashes and anywhere within Base64', (t) => {
  const mask = new SecretMask([secret]);
  for (const text of [
    '736b2d6c6976652d2234373131222f78',
    '736B2D6C6976652D2234373131222F78',
    'key=sk-live-%224711%22%2Fx&more=1',
    'key=sk-live-%224711%22%2fx',
    String.raw`{"it":"sk-live-\"4711\"\/x"}`,
    String.raw`{"it":"{\"key\":\"sk-live-\\\"4711\\\"/x\"}"}`,
  ]) {
    t.regex(mask.text(text), /\[redacted\]/, text);
    t.notRegex(mask.text(text), /4711|34373131/, text);
  }
  const middle = secret.slice(4, -4);
  for (const before of ['', 'a', 'ab', 'user:', 'user: ']) {
    for (const after of ['', '.', '..', '...', ' and more']) {
      const whole = Buffer.from(before + secret + after);
      for (const encoding of ['base64', 'base64url'] as const) {
        const left = mask.text(`x ${whole.toString(encoding)} y`).replaceAll('[redacted]', '!');
        t.regex(left, /^x .*!.* y$/);
        for (const piece of left.slice(2, -2).split('!')) {
          t.false(Buffer.from(piece, encoding).includes(middle), `${before}|${after}`);
          t.true(piece.length <= Math.ceil(((before.length + after.length + 4) * 4) / 3), piece);
        }
      }
    }
  }
});

/** The value in each has been written by hand; nobody knows it. */
const fields = [
  ['{"api_key":"VALUE","model":"a"}', 'nobody-knows-4711'],
  ['{"api_key" : "VALUE", "x": 1}', String.raw`no\"body\\`],
  [String.raw`{"m":"{\"password\":\"VALUE\",\"x\":\"y\"}"}`, 'nobody-knows'],
  [String.raw`{"m":"{\"password\": \"VALUE\"}"}`, String.raw`no\\\"body`],
  ['POST / HTTP/1.1\r\nAuthorization: Bearer VALUE\r\nHost: x\r\n\r\n', 'nobody.knows-4711'],
  ['xi-api-key: VALUE\r\nHost: x\r\n', 'nobody knows'],
  ['GET /v1?model=a&xi-api-key=VALUE&voice=b HTTP/1.1', 'nobody%20knows'],
  ['wss://x/y?token=VALUE', 'nobody'],
  ['[tts]\napi_key = "VALUE"\nvoice = "ash"\n', 'nobody'],
  ["[llm]\ntoken='VALUE'\n", 'nobody'],
  ['ws://lab:8080/token/VALUE/ws/02ec?opus=true', 'a1b2c3d4e5f6a7b8'],
  [String.raw`{"m":"ws:\/\/lab\/token\/VALUE\/ws\/"}`, 'nobody-knows.this_~4711'],
] as const;

test('what stands in a field for credentials is replaced, whatever it is', (t) => {
  const mask = new SecretMask([]);
  for (const [form, value] of fields) {
    t.is(mask.text(form.replace('VALUE', value)), form.replace('VALUE', '[redacted]'));
    t.is(mask.text(mask.text(form.replace('VALUE', value))), form.replace('VALUE', '[redacted]'));
  }
});

test('a token in the path of a URL is replaced up to where the text was cut off', (t) => {
  const mask = new SecretMask([]);
  for (const end of ['', '…', '/ws/']) {
    t.is(mask.text(`ws://lab/token/a1b2c3d4e5f6a7b8${end}`), `ws://lab/token/[redacted]${end}`);
  }
});

test('fields of other names, and empty ones, are left alone', (t) => {
  const mask = new SecretMask([]);
  for (const text of [
    '{"token":"Hello","key":"k0","keys":["a"]}',
    'the password: is a word, api_key: too',
    'monkey=4&tokens=3',
    '{"api_key":""}',
    'x-authorization-hint: ask',
    'a cookie: sweet',
    'GET /token/short/ws/',
    '/home/me/token/a folder of other things/x',
  ]) {
    t.is(mask.text(text), text);
    t.is(String(masked([], [Buffer.from(text)])), text);
  }
});

test('a stream with fields is masked alike however it is cut, and keeps its length', (t) => {
  const audio = Buffer.from([0, 255, 34, 0, 1]);
  const joined = fields.map(([form, value]) => form.replace('VALUE', value)).join('\n');
  const whole = Buffer.concat([
    Buffer.from(joined),
    audio,
    Buffer.from('\n{"cookie":"[redacted]"} cookie: [redacte'),
  ]);
  const stars = fields.map(([form, value]) => form.replace('VALUE', '*'.repeat(value.length)));
  const wanted = Buffer.concat([
    Buffer.from(stars.join('\n')),
    audio,
    Buffer.from('\n{"cookie":"[redacted]"} cookie: [redacte'),
  ]);
  /** The scheme of a header that was cut counts as its value. */
  const scheme = (bytes: Buffer): string =>
    bytes.toString('latin1').replace(/(?<=: )[Bear*]{6}[ *]/, '');
  const same = (pieces: readonly Buffer[]): void => {
    t.is(scheme(masked([], pieces)), scheme(wanted));
  };
  same([whole]);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 300 }),
      (sizes) => {
        const pieces: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(Buffer.from(whole.subarray(at, at + size)));
          at += size;
        }
        pieces.push(Buffer.from(whole.subarray(at)));
        same(pieces);
      },
    ),
    { numRuns: 300, seed: 2 },
  );
});

test('a secret is found on the wire wherever chunks of HTTP and pieces cut it', (t) => {
  const head = 'HTTP/1.1 401 No\r\nSet-Cookie: nobody-knows\r\nTransfer-Encoding: chunked\r\n\r\n';
  const audio = Buffer.from([13, 10, 255, 0, 13, 10, 13]);
  const body = (value: string, unknown: string): string =>
    `{"m":"${value}","api_key":"${unknown}","x":"a\\r\\nb"} \r\nabc\r\n end`;
  const chunked = (text: string, sizes: readonly number[]): string => {
    let at = 0;
    const chunks = [...sizes, text.length].flatMap((size) => {
      const chunk = text.slice(at, at + size);
      at += size;
      return chunk === '' ? [] : [`${chunk.length.toString(16)}\r\n${chunk}\r\n`];
    });
    return `${chunks.join('')}0\r\n\r\n`;
  };
  const stars = (text: string): string => '*'.repeat(text.length);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 60 }),
      (chunkSizes, pieceSizes) => {
        const bytesOf = (cookie: string, value: string, unknown: string): Buffer =>
          Buffer.concat([
            Buffer.from(head.replace('nobody-knows', cookie)),
            Buffer.from(chunked(body(value, unknown), chunkSizes)),
            audio,
          ]);
        const plain = 'sk-live-4711-x';
        const whole = bytesOf('nobody-knows', plain, 'nobody');
        const written: Buffer[] = [];
        const wire = new SecretMask([plain]).wire((bytes) => written.push(Buffer.from(bytes)));
        let at = 0;
        for (const size of [...pieceSizes, whole.length]) {
          wire.push(Buffer.from(whole.subarray(at, at + size)));
          at += size;
        }
        wire.end();
        t.is(
          Buffer.concat(written).toString('latin1'),
          bytesOf(stars('nobody-knows'), stars(plain), stars('nobody')).toString('latin1'),
        );
      },
    ),
    { numRuns: 200, seed: 7 },
  );
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
  stream.push(Buffer.from('(abc) sk-l'));
  t.deepEqual(written, ['(abc) ']);
  stream.push(Buffer.from('emon'));
  t.deepEqual(written, ['(abc) ', 'sk-lemon']);
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

test('a long secret of quotes and signs is masked, and a run of backslashes in one takes no time', (t) => {
  for (const signs of ['"\\/\n<', 'äöü€']) {
    const secret = `key-${signs.repeat(9_000 / signs.length)}`;
    const mask = new SecretMask([secret]);
    for (const text of [secret, JSON.stringify(secret), encodeURIComponent(secret)]) {
      t.notRegex(mask.text(`no ${text.slice(0, 600)}…`), /key-/);
      t.notRegex(mask.text(`no ${text}`), /key-/);
    }
  }
  const secret = `ab${'\\'.repeat(9)}"yz`;
  const mask = new SecretMask([secret]);
  const before = process.cpuUsage();
  const other = `ab${'\\'.repeat(40)} `;
  t.is(mask.text(other), other);
  t.true(process.cpuUsage(before).user < 500_000);
  const inJson = JSON.stringify(JSON.stringify(secret));
  t.notRegex(mask.text(`${secret} ${JSON.stringify(secret)} ${inJson}`), /ab|yz/);
  t.notRegex(mask.text(`${JSON.stringify(secret).slice(1, 9)}…`), /ab/);
});

test('a key of several lines, or of words, is found whole and cut off, also in JSON', (t) => {
  const line = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj';
  const pem = `-----BEGIN PRIVATE KEY-----\n${`${line}\n`.repeat(26)}-----END PRIVATE KEY-----\n`;
  for (const key of [
    pem,
    JSON.stringify({ key: pem }, null, 2),
    'some battery staple '.repeat(8),
  ]) {
    const mask = new SecretMask([key]);
    for (const written of [key, JSON.stringify(key), JSON.stringify(JSON.stringify(key))]) {
      for (const cut of [60, 69, 110, 150, 600, 1_700].filter((at) => at < written.length)) {
        t.notRegex(mask.text(`Bad: ${written.slice(0, cut)}… sorry`), /PRIVATE|MII|staple/);
      }
      t.regex(mask.text(`Bad: ${written} sorry`), /^Bad: ["\\]*\[redacted\]["\\]* sorry$/);
    }
  }
});

test('a token of any length is found whole and cut off, and its pattern does not end the process', (t) => {
  // Letters that say where they are, so that what is left of a cut one can be told.
  const token = (length: number): string => {
    const words = Array.from({ length: Math.ceil(length / 6) }, (_, i) => `t${10_000 + i}`);
    return words.join('').slice(0, length);
  };
  for (const length of [40, 69, 70, 300, 4_000, 8_192, 8_193, 100_000]) {
    const long = token(length);
    const mask = new SecretMask([long]);
    const cuts = [5, 39, 68, 69, 150, 3_999, 99_999].filter((at) => at < length);
    for (const at of [...cuts, length]) {
      const cut = at < length ? `${long.slice(0, at)}…` : long;
      const text = mask.text(`Bad key: ${cut} (of the account)`);
      t.notRegex(text, /t1/, `${at} of ${length}`);
      t.regex(text, /^Bad key: .*\(of the account\)$/);
    }
    t.is(mask.text('Bad key: t2… (of the account)'), 'Bad key: t2… (of the account)');
  }
});
