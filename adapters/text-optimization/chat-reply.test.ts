import test from 'ava';
import { chatReply } from './chat-reply.ts';

const table = { codes: { insufficient_quota: 'quota' }, words: [] } as const;
const read = (body: string, type = 'text/event-stream; charset=utf-8') =>
  chatReply(type, body, table);

const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

test('the deltas of a streamed answer are its text', (t) => {
  const body =
    chunk({ role: 'assistant', content: '' }) +
    chunk({ content: 'Nine' }) +
    chunk({ content: ' o’clock.' }) +
    chunk({}, 'stop') +
    'data: {"choices":[],"usage":{"total_tokens":4}}\n\n' +
    'data: [DONE]\n\n';
  t.is(read(body), 'Nine o’clock.');
});

test('line ends, comments, event names and null contents of other services change nothing', (t) => {
  const body = `: keep-alive\r\n\r\nevent: message\r\ndata:{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\r\n\r\ndata: {"choices":[{"delta":{"content":null},"finish_reason":"stop"}]}\r\n\r\n`;
  t.is(read(body), 'Hi');
});

test('an end mark may be [DONE] or a finish reason; an answer without either is truncated', (t) => {
  t.is(read(`${chunk({ content: 'Hi.' })}data: [DONE]\n\n`), 'Hi.');
  t.is(read(chunk({ content: 'Hi.' }, 'stop')), 'Hi.');
  t.like(read(chunk({ content: 'Hi.' })), { kind: 'truncated' });
  t.like(read(''), { kind: 'truncated' });
  const cut = read(chunk({ content: 'Hi.' }, 'length'));
  t.like(cut, { kind: 'truncated' });
  t.regex((cut as { message: string }).message, /after 3 characters: .*limit of tokens/);
});

test('a service that does not stream answers with one document', (t) => {
  const message = { role: 'assistant', content: 'Seven.' };
  const body = JSON.stringify({ choices: [{ message, finish_reason: 'stop' }] });
  t.is(read(body, 'application/json'), 'Seven.');
});

test('an error within a successful answer keeps the words and the code of the service', (t) => {
  const error = { message: 'No credit is left', type: 'x', code: 'insufficient_quota' };
  const failure = read(`${chunk({ content: 'A' })}data: ${JSON.stringify({ error })}\n\n`);
  t.like(failure, { kind: 'quota', providerCode: 'insufficient_quota' });
  t.regex((failure as { message: string }).message, /No credit is left/);
  t.like(read('{"error":{"message":"overloaded"}}', 'application/json'), { kind: 'server' });
});

test('what is no chat answer is a protocol failure that shows what came', (t) => {
  for (const [body, type] of [
    ['<!doctype html><title>Sign in</title>', 'text/html'],
    ['', ''],
    ['data: {"choices":[\n\n', 'text/event-stream'],
    ['nonsense', 'application/json'],
  ] as const) {
    t.like(read(body, type), { kind: 'protocol' }, type);
  }
  t.regex((read('<title>Sign in</title>', 'text/html') as { message: string }).message, /Sign in/);
});
