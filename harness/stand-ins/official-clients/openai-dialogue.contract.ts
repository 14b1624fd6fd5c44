/**
 * The stand-ins for chat completions, responses and transcription as OpenAI's client sees them:
 * nothing but the base URL is changed.
 */
import test, { type ExecutionContext } from 'ava';
import OpenAI, {
  APIConnectionError,
  type APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  toFile,
} from 'openai';
import type {
  DialogueOptions,
  DialogueScript,
  DialogueService,
  ServiceStandIn,
} from '../stand-in.ts';
import { failureOf, type Served, serveDialogue } from './official-client.contract.ts';

const pace = { firstTokenMs: 0, tokensPerSecond: 1000 };
const script: DialogueScript = {
  recognitionMs: 0,
  turns: [
    { heard: 'How far is the moon?', reply: 'It is far away.', replyPace: pace },
    { heard: 'Thank you.', reply: 'You are welcome.', replyPace: pace },
  ],
};

interface Connected extends Served<ServiceStandIn> {
  readonly client: OpenAI;
}

async function connect(
  t: ExecutionContext,
  service: DialogueService,
  options: Partial<DialogueOptions> = {},
  settings: ConstructorParameters<typeof OpenAI>[0] = {},
): Promise<Connected> {
  const served = await serveDialogue(t, service, { script, ...options });
  const baseURL = `${served.url}/v1`;
  const client = new OpenAI({ apiKey: 'sk-test', baseURL, maxRetries: 0, ...settings });
  return { ...served, client };
}

const model = 'gpt-4o-mini';
const asking = (content: string) => [{ role: 'user' as const, content }];

/** Half a second of a mono WAV at 16 kHz. */
function recording(seconds = 0.5): Buffer {
  const samples = Buffer.alloc(seconds * 32_000, 1);
  const header = Buffer.from(
    '524946460000000057415645666d74201000000001000100803e0000007d0000020010006461746100000000',
    'hex',
  );
  header.writeUInt32LE(36 + samples.length, 4);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

test.serial('a completion is a document, and the next turn follows', async (t) => {
  const { client } = await connect(t, 'chat');
  for (const { heard, reply } of script.turns) {
    const answer = await client.chat.completions.create({ model, messages: asking(heard) });
    t.is(answer.object, 'chat.completion');
    t.is(answer.choices[0]?.message.content, reply);
    t.is(answer.choices[0]?.finish_reason, 'stop');
    const { usage } = answer;
    t.is(usage!.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
    t.regex(answer._request_id ?? '', /^req_/);
  }
});

test.serial('a streamed completion comes token by token, with the usage asked for', async (t) => {
  const { client, clock } = await connect(t, 'chat', {
    script: {
      ...script,
      turns: [{ ...script.turns[0]!, replyPace: { ...pace, tokensPerSecond: 50 } }],
    },
  });
  const stream = await client.chat.completions.create({
    model,
    messages: asking('How far is the moon?'),
    stream: true,
    stream_options: { include_usage: true },
  });
  const deltas: string[] = [];
  const atUs: number[] = [];
  let usage: unknown;
  for await (const chunk of stream) {
    const content = chunk.choices[0]?.delta.content ?? '';
    if (content !== '') {
      deltas.push(content);
      atUs.push(clock.nowUs());
    }
    usage = chunk.usage ?? usage;
  }
  t.deepEqual(deltas, ['It', ' is', ' far', ' away.']);
  // Three gaps of 20 ms; a busy machine may find two tokens waiting.
  t.true(atUs.at(-1)! - atUs[0]! > 30_000);
  t.like(usage, { completion_tokens: 4 });
});

test.serial("the client's own assembly of a stream gives the whole reply", async (t) => {
  const { client } = await connect(t, 'chat');
  const messages = asking('How far is the moon?');
  const runner = client.chat.completions.stream({ model, messages });
  const completion = await runner.finalChatCompletion();
  t.is(completion.choices[0]?.message.content, 'It is far away.');
});

test.serial('a response is a document that the next one can refer to', async (t) => {
  const { client } = await connect(t, 'chat');
  const first = await client.responses.create({ model, input: 'How far is the moon?' });
  t.is(first.status, 'completed');
  t.is(first.output_text, 'It is far away.');
  const second = await client.responses.create({
    model,
    input: 'Thank you.',
    previous_response_id: first.id,
  });
  t.is(second.output_text, 'You are welcome.');
  t.is(second.previous_response_id, first.id);
  const error = await failureOf(
    client.responses.create({ model, input: 'Hi.', previous_response_id: 'resp_none' }),
  );
  t.true(error instanceof BadRequestError || error instanceof NotFoundError, String(error));
});

test.serial("a streamed response passes the client's own assembly, event by event", async (t) => {
  const { client } = await connect(t, 'chat');
  const stream = client.responses.stream({ model, input: 'How far is the moon?' });
  const types: string[] = [];
  let said = '';
  for await (const event of stream) {
    types.push(event.type);
    if (event.type === 'response.output_text.delta') said += event.delta;
  }
  const final = await stream.finalResponse();
  t.is(said, 'It is far away.');
  t.is(final.output_text, said);
  t.is(types[0], 'response.created');
  t.is(types.at(-1), 'response.completed');
  t.is(types.filter((type) => type === 'response.output_text.delta').length, 4);
});

test.serial('a transcript is what the script understands, in each form', async (t) => {
  const { client, standIn } = await connect(t, 'transcription');
  const file = await toFile(recording(), 'question.wav', { type: 'audio/wav' });
  const plain = await client.audio.transcriptions.create({ model: 'whisper-1', file });
  t.is(plain.text, 'How far is the moon?');
  t.is(standIn.log[0]?.path, '/v1/audio/transcriptions');

  const other = await toFile(recording(0.75), 'thanks.wav');
  const verbose = await client.audio.transcriptions.create({
    model: 'whisper-1',
    file: other,
    language: 'en',
    response_format: 'verbose_json',
  });
  t.is(verbose.duration, 0.75);
  t.is(verbose.segments?.length, 1);
  const text = await client.audio.transcriptions.create({
    model: 'whisper-1',
    file,
    response_format: 'text',
  });
  t.is(typeof text, 'string');
});

interface Expected {
  readonly type: new (...args: never[]) => APIError;
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
}

type Call = (client: OpenAI) => PromiseLike<unknown>;

const chat =
  (more: object = {}): Call =>
  (client) =>
    client.chat.completions.create({ model, messages: asking('Hi.'), ...more } as never);
const respond =
  (more: object = {}): Call =>
  (client) =>
    client.responses.create({ model, input: 'Hi.', ...more } as never);
const transcribe =
  (more: object = {}, name = 'question.wav', bytes = recording()): Call =>
  async (client) =>
    client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await toFile(bytes, name),
      ...more,
    } as never);

const invalid = { type: BadRequestError, status: 400 };
const refusals: readonly (readonly [string, DialogueService, Call, Expected])[] = [
  [
    'a model that does not exist',
    'chat',
    chat({ model: 'unknown-1' }),
    { type: NotFoundError, status: 404, code: 'model_not_found', param: null },
  ],
  [
    'an empty list of messages',
    'chat',
    chat({ messages: [] }),
    { ...invalid, code: 'empty_array', param: 'messages' },
  ],
  [
    'a role that does not exist',
    'chat',
    chat({ messages: [{ role: 'nobody', content: 'Hi.' }] }),
    { ...invalid, code: 'invalid_value', param: 'messages[0].role' },
  ],
  [
    'a response without input',
    'chat',
    respond({ input: undefined }),
    { ...invalid, code: 'missing_required_parameter', param: 'input' },
  ],
  [
    'a file of another kind',
    'transcription',
    transcribe({}, 'question.txt', Buffer.from('text')),
    { ...invalid, code: null, param: 'file' },
  ],
  [
    'a recording that is too short',
    'transcription',
    transcribe({}, 'question.wav', recording(0.0625)),
    { ...invalid, code: 'audio_too_short', param: 'file' },
  ],
  [
    'a form that the model does not give',
    'transcription',
    transcribe({ model: 'gpt-4o-transcribe', response_format: 'verbose_json' }),
    { ...invalid, code: 'unsupported_value', param: 'response_format' },
  ],
];

for (const [what, service, call, is] of refusals) {
  test.serial(`${what} is a ${is.type.name}`, async (t) => {
    const { client, standIn } = await connect(t, service);
    const error = await failureOf(call(client));
    t.true(error instanceof is.type, String(error));
    const { status, code, param, requestID } = error as APIError;
    t.is(status, is.status);
    t.is(code, is.code);
    t.is(param, is.param);
    t.regex(requestID ?? '', /^req_/);
    t.is(standIn.log.length, 1);
  });
}

const planted = [
  ['auth', AuthenticationError, 'invalid_api_key'],
  ['quota', RateLimitError, 'insufficient_quota'],
  ['rate-limit', RateLimitError, 'rate_limit_exceeded'],
  ['server', InternalServerError, null],
] as const;
const calls: readonly (readonly [string, DialogueService, Call])[] = [
  ['chat', 'chat', chat()],
  ['responses', 'chat', respond({ stream: true })],
  ['transcription', 'transcription', transcribe()],
];

for (const [name, service, call] of calls) {
  test.serial(`${name}: planted refusals end in the types of the client`, async (t) => {
    for (const [kind, type, code] of planted) {
      const { client } = await connect(t, service, {
        changes: { fault: { kind, afterFraction: 0 } },
      });
      const error = await failureOf(call(client));
      t.true(error instanceof type, `${kind}: ${error}`);
      t.is((error as APIError).code, code, kind);
    }
  });
}

test.serial('a stream that breaks is an error with what was said before', async (t) => {
  const { client } = await connect(t, 'chat', {
    changes: { fault: { kind: 'cut', afterFraction: 0.5 } },
  });
  const stream = await client.chat.completions.create({
    model,
    messages: asking('How far is the moon?'),
    stream: true,
  });
  let said = '';
  const error = await failureOf(
    (async () => {
      for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? '';
    })(),
  );
  t.is(said, 'It is');
  t.true(error instanceof Error, String(error));
});

test.serial('a transcription whose connection breaks is an APIConnectionError', async (t) => {
  const { client } = await connect(t, 'transcription', {
    changes: { fault: { kind: 'cut', afterFraction: 0 } },
  });
  t.true((await failureOf(transcribe()(client))) instanceof APIConnectionError);
});

test.serial('the client waits as long as retry-after says, and counts its retries', async (t) => {
  const { client, standIn } = await connect(
    t,
    'chat',
    { changes: { fault: { kind: 'rate-limit', request: 1, afterFraction: 0 } } },
    { maxRetries: 2 },
  );
  await chat()(client);
  const [first, second] = standIn.log;
  t.deepEqual(
    standIn.log.map(({ status, headers }) => [status, headers['x-stainless-retry-count']]),
    [
      [429, '0'],
      [200, '1'],
    ],
  );
  const waitMs = (second!.atUs - first!.endedUs!) / 1000;
  t.true(waitMs > 980 && waitMs < 5000, `${waitMs} ms`);
});
