import type { IncomingHttpHeaders } from 'node:http';
import test from 'ava';
import {
  classifyRefusal,
  classifyWords,
  providerWords,
  publicUrl,
  redact,
  redactBytes,
  sentence,
  speechError,
  waitInWords,
} from './provider-failure.ts';

// Shapes of TTS provider protocol reference, sections 4.5, 5.1, 5.3, 5.5, 5.6, 6.2, 6.5, 8.1, 8.2.
test("the provider's words are found in every envelope", (t) => {
  for (const [body, words] of [
    [
      '{"error":{"message":"m","type":"ty","param":null,"code":null}}',
      { message: 'm', type: 'ty' },
    ],
    [
      '{"error":{"message":"m","type":"ty","param":"voice","code":"c"}}',
      { message: 'm', type: 'ty', param: 'voice', code: 'c' },
    ],
    ['{"error":{"code":400,"message":"m"}}', { message: 'm', code: '400' }],
    ['{"error":"m"}', { message: 'm' }],
    [
      '{"detail":{"error":"validation_error","message":"m","type":"ty"}}',
      { message: 'm', code: 'validation_error', type: 'ty' },
    ],
    [
      '{"detail":{"status":"quota_exceeded","message":"m"}}',
      { message: 'm', code: 'quota_exceeded' },
    ],
    [
      '{"detail":[{"loc":["body","text"],"msg":"m","type":"missing"}]}',
      { message: 'm', param: 'text', type: 'missing' },
    ],
    ['{"detail":"m"}', { message: 'm' }],
    ['{"errors":[{"code":"90103","title":"t","detail":"m"}]}', { message: 'm', code: '90103' }],
    [
      '{"message":"m","error":"input_timeout_exceeded","code":1008}',
      { message: 'm', code: 'input_timeout_exceeded' },
    ],
    ['{"message":"m"}', { message: 'm' }],
    [' plain\n text ', { message: 'plain text' }],
    ['<html><head><title>Bad gateway</title></head></html>', { message: 'Bad gateway' }],
    ['{"error":{"mess', { message: '{"error":{"mess' }],
    ['{"unknown":1}', { message: '{"unknown":1}' }],
    ['[]', { message: '[]' }],
    ['null', { message: 'null' }],
    ['', { message: '' }],
  ] as const) {
    t.deepEqual(providerWords(body), words, body);
  }
});

test('long words are shortened', (t) => {
  t.is(providerWords('x'.repeat(5_000)).message.length, 601);
});

test('a wait in words counts when no header names one', (t) => {
  for (const [words, ms] of [
    [
      'Rate limit reached … on tokens per day (TPD): Limit 3600. Please try again in 14m3.2s. Visit …',
      843_200,
    ],
    ['Please try again in 1h2m3s.', 3_723_000],
    ['Please try again in 6ms.', 6],
    ['Try again in 20 seconds', 20_000],
    ['Retry after 2 minutes 30 seconds, please', 150_000],
    ['Please try again in 1.5 s', 1_500],
    ['Please try again later.', undefined],
    ['Tokens of 14m3.2s are used up.', undefined],
  ] as const) {
    t.is(waitInWords(words), ms, words);
  }
  const table = { codes: { rate_limit_exceeded: 'rate-limit' }, words: [] } as const;
  const body = JSON.stringify({ error: { message: 'Please try again in 2s.', code: 'x' } });
  const wait = (headers: IncomingHttpHeaders) =>
    classifyRefusal({ platform: 'p', status: 429, headers, body }, table).retryAfterMs;
  t.is(wait({}), 2_000);
  t.is(wait({ 'retry-after': '7' }), 7_000);
});

test('a status that says that something took too long is a time-out', (t) => {
  const kind = (status: number, body = '') =>
    classifyRefusal({ platform: 'p', status, headers: {}, body }, { codes: {}, words: [] }).kind;
  t.deepEqual(
    [408, 504].map((status) => kind(status)),
    ['timeout', 'timeout'],
  );
  t.deepEqual(
    [500, 502, 503].map((status) => kind(status)),
    ['server', 'server', 'server'],
  );
});

test('credentials are taken out of texts and addresses', (t) => {
  t.is(redact('key sk_1 and sk_1', ['sk_1', '']), 'key [redacted] and [redacted]');
  const url = new URL('wss://user:pw@h/x?model_id=m&authorization=Bearer%20k&xi-api-key=k&token=k');
  const shown = publicUrl(url);
  t.false(/pw|Bearer|=k\b/.test(shown), shown);
  t.true(shown.includes('model_id=m'));
});

test('what may pass by itself is retryable', (t) => {
  const retryable = (kind: Parameters<typeof speechError>[0]['kind']): boolean =>
    speechError({ kind, message: '' }, 0).retryable;
  t.deepEqual(
    (['rate-limit', 'timeout', 'truncated', 'network', 'server'] as const).map(retryable),
    [true, true, true, true, true],
  );
  t.deepEqual(
    (['auth', 'quota', 'bad-voice', 'bad-request', 'too-long', 'empty', 'protocol'] as const).map(
      retryable,
    ),
    [false, false, false, false, false, false, false],
  );
  const error = speechError({ kind: 'rate-limit', message: 'm', status: 429 }, 7);
  t.is(error.code, 'TTS_RATE_LIMIT');
  t.is(error.deliveredSamples, 7);
});

test('a hint follows as its own sentence', (t) => {
  t.is(sentence('It failed', 'Try this.'), 'It failed. Try this.');
  t.is(sentence('It failed!'), 'It failed!');
});

test('a code goes before the words, and the words before the family of the code', (t) => {
  const table = {
    codes: { Known: 'quota' },
    words: [[/slow down/i, 'rate-limit']],
    codeFamilies: [[/^Bad/, 'bad-request']],
  } as const;
  const kind = (code: string, message: string) => classifyWords({ code, message }, table);
  t.is(kind('Known', 'slow down'), 'quota');
  t.is(kind('BadThing', 'Slow down.'), 'rate-limit');
  t.is(kind('BadThing', 'Who knows.'), 'bad-request');
  t.is(kind('Other', 'Who knows.'), undefined);
});

test('secrets are taken out of a recorded message, and a binary one keeps its length', (t) => {
  const message = Buffer.from('a sk_secret and sk_secret, ok', 'latin1');
  const recorded = (secret: string, binary: boolean): string =>
    Buffer.from(redactBytes(message, [secret], binary)).toString('latin1');
  t.is(recorded('sk_secret', false), 'a [redacted] and [redacted], ok');
  t.is(recorded('sk_secret', true), 'a ********* and *********, ok');
  t.is(redactBytes(message, ['nothing of it', 'ok'], true), message, 'short ones keep no secret');
  t.is(message.toString('latin1'), 'a sk_secret and sk_secret, ok', 'the message is not touched');
});
