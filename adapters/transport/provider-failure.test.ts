import test from 'ava';
import { providerWords, publicUrl, redact, sentence, speechError } from './provider-failure.ts';

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
