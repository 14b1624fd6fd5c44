import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { chatMessages, chatReplies, responsesReplies } from './model-replies.ts';
import type { Exchange, ReplySource } from './reply-source.ts';

const history: Exchange[] = [
  { user: 'u1', assistant: 'a1' },
  { user: 'u2', assistant: 'a2' },
];

/** The conversation in short: roles are seen in the text. */
function shown(limit: number, past = history, dynamicPrompts: string[] = []): string {
  const prompts = dynamicPrompts.map((content) => ({ role: 'assistant', content }));
  return chatMessages({ history: limit, dynamicPrompts: prompts }, past, 'u3')
    .map(({ content }) => content)
    .join(' ');
}

test('one message is dropped from the front when the words of the user are one too many', (t) => {
  // Section 7.7, worked by hand: with 2 kept turns the fifth message pushes the first one out.
  t.is(shown(10), 'u1 a1 u2 a2 u3');
  t.is(shown(2), 'a1 u2 a2 u3');
  t.is(shown(1), 'u2 a2 u3');
  t.is(shown(2, [], ['p']), 'p u3');
  // Section 9.6: with 0 the words of the user are dropped at once, the answers are not.
  t.is(shown(0, []), '');
});

/** Answers with the pieces, 100 ms apart, and ends the body; `cut` breaks the connection instead. */
async function replies(
  make: (deps: { clock: SimulatedClock; dialer: MemoryNetwork }) => ReplySource & { close(): void },
  pieces: readonly string[],
  { status = 200, cut = false } = {},
) {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  let request = '';
  await network.listen({ host: 'model', port: 80 }, (stream) => {
    stream.on('error', () => {});
    stream.on('data', (data: Buffer) => {
      request += data;
      if (!request.endsWith('}')) return;
      const chunk = (text: string): string =>
        `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
      stream.write(`HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`);
      for (const [i, piece] of pieces.entries()) {
        clock.after(100_000 * (i + 1), () => stream.write(chunk(piece)));
      }
      clock.after(100_000 * (pieces.length + 1), () => {
        if (cut) stream.destroy();
        else stream.write('0\r\n\r\n');
      });
    });
  });
  const source = make({ clock, dialer: network });
  const said: [string, number][] = [];
  let error: Error | undefined;
  const run = async (): Promise<void> => {
    const context = { deviceId: 'd', turn: 3, history };
    try {
      for await (const text of source.reply('u3', context, new AbortController().signal)) {
        said.push([text, clock.nowUs()]);
      }
    } catch (caught) {
      error = caught as Error;
    }
  };
  await clock.run(run());
  source.close();
  const [head = '', body = ''] = request.split('\r\n\r\n');
  return { said, error, head, body: JSON.parse(body) };
}

const delta = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
const chat = { url: 'http://model/v1/chat/completions', apiKey: 'key', history: 10 };

test('chat: the request of EchoKit, and a piece of the reply for each piece of the body', async (t) => {
  const config = {
    ...chat,
    model: 'm',
    sysPrompts: [{ role: 'system', content: 'Be short.' }],
    extra: { temperature: 0.2, stream: true },
  };
  const half = delta(' Two.');
  const pieces = [delta('One') + delta('.'), half.slice(0, 20), half.slice(20), 'data: [DONE]\n\n'];
  const { said, error, head, body } = await replies((deps) => chatReplies(config, deps), pieces);
  t.is(error, undefined);
  t.deepEqual(said, [
    ['One.', 100_000],
    [' Two.', 300_000],
  ]);
  t.regex(head, /^POST \/v1\/chat\/completions HTTP\/1\.1\r\n/);
  t.regex(head, /^Authorization: Bearer key\r$/m);
  t.regex(head, /^User-Agent: curl\/7\.81\.0\r$/m);
  t.deepEqual(body, {
    stream: true,
    messages: [
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'u1' },
      { role: 'assistant', content: 'a1' },
      { role: 'user', content: 'u2' },
      { role: 'assistant', content: 'a2' },
      { role: 'user', content: 'u3' },
    ],
    model: 'm',
    temperature: 0.2,
  });
});

test('chat: no key and no model are not sent', async (t) => {
  const { head, body } = await replies(
    (deps) => chatReplies({ url: chat.url, history: 1 }, deps),
    [delta('Yes.')],
  );
  t.notRegex(head, /authorization/i);
  t.false('model' in body);
});

test('responses: instructions, the conversation as input, text deltas', async (t) => {
  const event = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  const pieces = [
    event('response.created', {}),
    event('response.output_text.delta', { delta: 'One. ' }),
    event('response.output_text.delta', { delta: 'Two.' }) + event('response.completed', {}),
  ];
  const config = {
    url: 'http://model/v1/responses',
    instructions: 'not used',
    sysPrompts: [{ role: 'system', content: 'Be short.' }],
  };
  const { said, body } = await replies((deps) => responsesReplies(config, deps), pieces);
  t.deepEqual(said, [
    ['One. ', 200_000],
    ['Two.', 300_000],
  ]);
  t.like(body, { stream: true, model: 'gpt-4.1', instructions: 'Be short.' });
  t.is(body.input.length, 5);
  t.deepEqual(body.input.at(-1), { role: 'user', content: 'u3' });
});

test('a refusal, an error in the stream and a break are failures with what was said before', async (t) => {
  const make = (deps: Parameters<typeof chatReplies>[1]) => chatReplies(chat, deps);
  const refused = await replies(make, ['{"error":{"message":"no credit"}}'], { status: 429 });
  t.regex(refused.error!.message, /The model at model answered 429: .*no credit/);
  const failed = await replies(make, [
    delta('One.'),
    'data: {"error":{"message":"overloaded"}}\n\n',
  ]);
  t.regex(failed.error!.message, /failed: overloaded/);
  t.deepEqual(failed.said, [['One.', 100_000]]);
  const cut = await replies(make, [delta('One.')], { cut: true });
  t.regex(cut.error!.message, /broke before the answer was complete/);
  t.deepEqual(cut.said, [['One.', 100_000]]);
  const noise = await replies(make, ['data: <html>\n\n']);
  t.regex(noise.error!.message, /no JSON: "<html>"/);
});
