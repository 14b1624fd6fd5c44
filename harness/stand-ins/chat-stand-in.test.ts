import test from 'ava';
import type { DialogueScript } from './dialogue-script.ts';
import type { ServiceStandIn } from './stand-in.ts';
import type { StandInFaultKind } from './stand-in-changes.ts';
import { type Answer, dialogueLaboratory, type Laboratory } from './test-client.ts';

const chatPath = '/v1/chat/completions';
const responsesPath = '/v1/responses';
const pace = { firstTokenMs: 400, tokensPerSecond: 50 };
const script: DialogueScript = {
  recognitionMs: 200,
  turns: [
    { heard: 'How far is the moon?', reply: 'It is far away.', replyPace: pace },
    { heard: 'Thank you.', reply: 'You are welcome.', replyPace: pace },
    { heard: '再见', reply: '再见！明天见。', replyPace: pace },
  ],
};
type Chat = Laboratory<ServiceStandIn>;

const asking = (words: string, more: object = {}): object => ({
  model: 'gpt-4o-mini',
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: words },
  ],
  ...more,
});

interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly choices: {
    readonly delta: { readonly role?: string; readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

/** One entry per event with the instant of its arrival; `[DONE]` is text. */
function events(answer: Answer): { atUs: number; data: Chunk | string }[] {
  return answer.chunks.map(({ atUs, data }) => {
    const [, text] = /^data: (.*)\n\n$/.exec(data.toString())!;
    return { atUs, data: text === '[DONE]' ? text : (JSON.parse(text!) as Chunk) };
  });
}

const saidIn = (answer: Answer): string =>
  events(answer)
    .map(({ data }) => (typeof data === 'string' ? '' : (data.choices[0]?.delta.content ?? '')))
    .join('');

async function ask({ clock, post }: Chat, words: string): Promise<string> {
  const body = (await clock.run(post(chatPath, asking(words)))).body.toString();
  return (JSON.parse(body) as { choices: [{ message: { content: string } }] }).choices[0].message
    .content;
}

test('a streamed reply is a role chunk, its tokens, a finish reason and [DONE]', async (t) => {
  const { clock, post, standIn } = await dialogueLaboratory('chat', { script });
  const answer = await clock.run(post(chatPath, asking('How far is the moon?', { stream: true })));
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
  t.is(answer.headers.date, undefined);
  t.regex(String(answer.headers['x-request-id']), /^req_[0-9a-f]{32}$/);
  const all = events(answer);
  t.is(all.at(-1)!.data, '[DONE]');
  const chunks = all.slice(0, -1).map(({ data }) => data as Chunk);
  t.deepEqual(chunks[0]!.choices[0], {
    index: 0,
    delta: { role: 'assistant', content: '', refusal: null },
    logprobs: null,
    finish_reason: null,
  } as never);
  t.deepEqual(
    chunks.map(({ choices }) => choices[0]!.delta.content),
    ['', 'It', ' is', ' far', ' away.', undefined],
  );
  t.deepEqual(
    chunks.map(({ choices }) => choices[0]!.finish_reason),
    [null, null, null, null, null, 'stop'],
  );
  t.is(new Set(chunks.map(({ id }) => id)).size, 1);
  t.regex(chunks[0]!.id, /^chatcmpl-/);
  t.true(chunks.every(({ object }) => object === 'chat.completion.chunk'));
  t.false(chunks.some((chunk) => 'usage' in chunk));
  t.like(standIn.log[0], { request: 1, text: 'It is far away.', outcome: 'answered', status: 200 });
});

test('tokens come at the pace of the script, each a little late and none early', async (t) => {
  const laboratory = await dialogueLaboratory('chat', { script });
  const body = asking('How far is the moon?', { stream: true });
  const answer = await laboratory.clock.run(laboratory.post(chatPath, body));
  const sentUs = laboratory.standIn.log[0]!.atUs;
  const [first, ...later] = events(answer)
    .slice(1, 5)
    .map(({ atUs }) => atUs - sentUs);
  t.is(first, 400_000);
  for (const [i, atUs] of later.entries()) {
    const dueUs = 400_000 + (i + 1) * 20_000;
    t.true(atUs >= dueUs && atUs < dueUs + 25_000, `token ${i + 2} after ${atUs} µs`);
  }
  t.true(later.some((atUs, i) => atUs !== 400_000 + (i + 1) * 20_000));
  const again = await dialogueLaboratory('chat', { script });
  const repeated = await again.clock.run(again.post(chatPath, body));
  t.deepEqual(repeated.chunks, answer.chunks, 'one seed, one answer');
  const other = await dialogueLaboratory('chat', { script, seed: 2 });
  const different = await other.clock.run(other.post(chatPath, body));
  t.notDeepEqual(different.chunks, answer.chunks);
});

test('usage comes in a last chunk without choices, and null before, when it was asked for', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  const options = { stream: true, stream_options: { include_usage: true } };
  const all = events(await clock.run(post(chatPath, asking('Thank you.', options))));
  const chunks = all.slice(0, -1).map(({ data }) => data as Chunk);
  t.true(chunks.slice(0, -1).every(({ usage }) => usage === null));
  const { choices, usage } = chunks.at(-1)!;
  t.deepEqual(choices, []);
  // A quarter of 9 and of 10 characters, rounded up; the reply is three tokens and a short rest.
  t.is(usage!.prompt_tokens, 3 + 3);
  t.is(usage!.completion_tokens, chunks.length - 3);
});

test('without stream the answer is one document, when the last token would have come', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  const answer = await clock.run(post(chatPath, asking('How far is the moon?')));
  t.is(answer.headers['content-type'], 'application/json');
  t.true(answer.headUs >= 400_000 + 3 * 20_000 && answer.headUs < 400_000 + 4 * 20_000 + 25_000);
  t.like(JSON.parse(answer.body.toString()), {
    object: 'chat.completion',
    model: 'gpt-4o-mini',
  });
  const { choices } = JSON.parse(answer.body.toString()) as { choices: unknown[] };
  t.deepEqual(choices, [
    {
      index: 0,
      message: { role: 'assistant', content: 'It is far away.', refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: 'stop',
    },
  ]);
});

test('turns follow the script and begin again; known words go before the order', async (t) => {
  const chat = await dialogueLaboratory('chat', { script });
  t.is(await ask(chat, 'Anything'), 'It is far away.');
  t.is(await ask(chat, 'else'), 'You are welcome.');
  t.is(await ask(chat, '再见'), '再见！明天见。');
  t.is(await ask(chat, 'Hello?'), 'It is far away.');
  t.is(await ask(chat, ' how far is the moon '), 'It is far away.', 'asked again');
  t.is(await ask(chat, 'And now?'), 'You are welcome.', 'the order goes on from there');
});

test('a limit of tokens cuts the reply and says so', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  for (const limit of ['max_tokens', 'max_completion_tokens']) {
    const body = asking('How far is the moon?', { stream: true, [limit]: 2 });
    const answer = await clock.run(post(chatPath, body));
    t.is(saidIn(answer), 'It is');
    t.regex(answer.body.toString(), /"finish_reason":"length"/);
  }
});

test('what EchoKit sends is accepted: no model, tools, merged extras, a list of contents', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  const tool = { type: 'function', function: { name: 'look', description: '', parameters: {} } };
  const body = {
    stream: true,
    chat_id: 'x',
    tools: [tool],
    tool_choice: 'auto',
    messages: [
      { role: 'assistant', content: '', tool_calls: [] },
      { role: 'tool', content: 'ok', tool_call_id: 'call_1' },
      { role: 'user', content: [{ type: 'text', text: 'Thank you.' }] },
    ],
  };
  const answer = await clock.run(
    post(chatPath, body, { headers: { 'user-agent': 'curl/7.81.0' } }),
  );
  t.is(saidIn(answer), 'You are welcome.');
});

for (const [what, path, body, status, param, code] of [
  ['no JSON', chatPath, 'hello', 400, null, null],
  ['no messages', chatPath, { model: 'm' }, 400, 'messages', 'missing_required_parameter'],
  ['no message', chatPath, { model: 'm', messages: [] }, 400, 'messages', 'empty_array'],
  [
    'an unknown role',
    chatPath,
    { model: 'm', messages: [{ role: 'boss', content: 'x' }] },
    400,
    'messages[0].role',
    'invalid_value',
  ],
  [
    'a content of another type',
    chatPath,
    { model: 'm', messages: [{ role: 'user', content: 3 }] },
    400,
    'messages[0].content',
    'invalid_type',
  ],
  ['an unknown model', chatPath, asking('x', { model: 'unknown-1' }), 404, null, 'model_not_found'],
  [
    'options of a stream without one',
    chatPath,
    asking('x', { stream_options: {} }),
    400,
    'stream_options',
    null,
  ],
  ['several choices', chatPath, asking('x', { n: 2 }), 400, 'n', 'stand_in_choices'],
  ['no input', responsesPath, { model: 'm' }, 400, 'input', 'missing_required_parameter'],
  ['an input of another type', responsesPath, { input: 3 }, 400, 'input', 'invalid_type'],
  [
    'an unknown earlier response',
    responsesPath,
    { input: 'x', previous_response_id: 'resp_1' },
    400,
    'previous_response_id',
    'previous_response_not_found',
  ],
] as const) {
  test(`${what} is refused in OpenAI's envelope`, async (t) => {
    const { clock, post, standIn } = await dialogueLaboratory('chat', { script });
    const answer = await clock.run(post(path, body));
    t.is(answer.status, status);
    const { error } = JSON.parse(answer.body.toString()) as { error: Record<string, unknown> };
    t.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
    t.like(error, { type: 'invalid_request_error', param, code });
    t.is(standIn.log[0]!.error, code ?? 'invalid_request_error');
  });
}

test('keys are checked, other paths are unknown, models are listed', async (t) => {
  const { clock, post, request, standIn } = await dialogueLaboratory('chat', { script });
  const headers = { authorization: 'Bearer invalid-key' };
  t.is((await clock.run(post(chatPath, asking('x'), { headers }))).status, 401);
  t.is((await clock.run(request('POST', responsesPath))).status, 401);
  t.is((await clock.run(post('/v1/completions', {}))).status, 404);
  const key = { headers: { authorization: 'Bearer sk' } };
  t.is((await clock.run(request('GET', chatPath, key))).status, 405);
  const models = await clock.run(request('GET', '/v1/models', key));
  t.like(JSON.parse(models.body.toString()), { object: 'list' });
  t.false(JSON.stringify(standIn.log).includes('invalid-key'));
});

const refusals: readonly (readonly [StandInFaultKind, number, string])[] = [
  ['auth', 401, 'invalid_api_key'],
  ['quota', 429, 'insufficient_quota'],
  ['rate-limit', 429, 'rate_limit_exceeded'],
  ['server', 500, 'server_error'],
];
for (const path of [chatPath, responsesPath]) {
  const body = { ...asking('x', { stream: true }), input: 'x' };
  for (const [kind, status, error] of refusals) {
    test(`${path}: the planted fault ${kind} strikes the chosen request only`, async (t) => {
      const fault = { kind, request: 2, afterFraction: 0 };
      const { clock, post, standIn } = await dialogueLaboratory('chat', { changes: { fault } });
      const statuses: number[] = [];
      for (let i = 0; i < 3; i++) statuses.push((await clock.run(post(path, body))).status);
      t.deepEqual(statuses, [200, status, 200]);
      t.like(standIn.log[1], { error, fault: kind });
    });
  }

  test(`${path}: cut breaks, early-end ends, stall waits, empty says nothing`, async (t) => {
    const outcomes: unknown[] = [];
    for (const kind of ['cut', 'early-end', 'stall', 'empty'] as const) {
      const changes = { fault: { kind, afterFraction: 0.5 } };
      const { clock, post, standIn } = await dialogueLaboratory('chat', { script, changes });
      const answer = await clock.run(post(path, body, { waitUs: 5_000_000 }));
      const ended = /\[DONE\]|response\.completed/.test(answer.body.toString());
      outcomes.push([kind, answer.end, standIn.log[0]!.text, ended]);
    }
    t.deepEqual(outcomes, [
      ['cut', 'broken', 'It is', false],
      ['early-end', 'complete', 'It is', false],
      ['stall', 'open', 'It is', false],
      ['empty', 'complete', '', true],
    ]);
  });
}

test('a client that goes away stops the reply', async (t) => {
  const { clock, post, standIn } = await dialogueLaboratory('chat', { script });
  const body = asking('How far is the moon?', { stream: true });
  const answer = clock.run(post(chatPath, body, { abortAfterUs: 439_000 }));
  await answer.catch(() => undefined);
  await clock.run(clock.sleep(1_000_000));
  t.like(standIn.log[0], { outcome: 'aborted', text: 'It is' });
});

interface ResponseEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly delta?: string;
  readonly text?: string;
  readonly response?: {
    readonly id: string;
    readonly status: string;
    readonly output: { readonly content: { readonly text: string }[] }[];
  };
}

/** Named events, as EchoKit and the official clients take them apart. */
function responseEvents(answer: Answer): ResponseEvent[] {
  return answer.body
    .toString()
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => {
      const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(block)!;
      const event = JSON.parse(data!) as ResponseEvent;
      if (event.type !== name) throw new Error(`${name} holds ${event.type}`);
      return event;
    });
}

test('a streamed response is created, delivers its text and is completed', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  const body = { model: 'gpt-4.1', instructions: 'Be brief.', input: 'Thank you.', stream: true };
  const all = responseEvents(await clock.run(post(responsesPath, body)));
  t.deepEqual(
    all.map(({ type }) => type).filter((type) => type !== 'response.output_text.delta'),
    [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ],
  );
  t.deepEqual(
    all.map(({ sequence_number: number }) => number),
    all.map((_, i) => i),
  );
  t.is(all.map(({ delta = '' }) => delta).join(''), 'You are welcome.');
  t.is(all.find(({ type }) => type === 'response.output_text.done')!.text, 'You are welcome.');
  const { response } = all.at(-1)!;
  t.is(response!.id, all[0]!.response!.id);
  t.is(response!.status, 'completed');
  t.is(response!.output[0]!.content[0]!.text, 'You are welcome.');
});

test('a response is one document without stream, and the next one may refer to it', async (t) => {
  const { clock, post } = await dialogueLaboratory('chat', { script });
  const read = async (body: object): Promise<{ id: string; [key: string]: unknown }> =>
    JSON.parse((await clock.run(post(responsesPath, body))).body.toString());
  const first = await read({ model: 'gpt-4.1', input: 'Hello.' });
  t.regex(first.id, /^resp_/);
  t.like(first, { object: 'response', status: 'completed', model: 'gpt-4.1' });
  const items = [{ role: 'user', content: [{ type: 'input_text', text: '再见' }] }];
  const second = await read({ input: items, previous_response_id: first.id });
  t.is(second['previous_response_id'], first.id);
  t.regex(JSON.stringify(second['output']), /再见！明天见。/);
  const cut = await read({ input: 'How far is the moon?', max_output_tokens: 1 });
  t.like(cut, { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
});

test('a model that rewrites texts says them again, without marks and with single spaces', async (t) => {
  const optimizer = await dialogueLaboratory('text-optimization');
  t.is(await ask(optimizer, ' It *opens*  at `nine`.\nCome _in_. '), 'It opens at nine. Come in.');
  t.is(await ask(optimizer, '列车七点出发。'), '列车七点出发。');
});
