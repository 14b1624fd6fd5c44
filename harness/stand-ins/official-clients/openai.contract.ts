/** OpenAI's stand-in as the official client sees it: nothing but the base URL is changed. */
import test, { type ExecutionContext } from 'ava';
import OpenAI, {
  APIConnectionError,
  APIConnectionTimeoutError,
  type APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import type { StandInOptions } from '../stand-in.ts';
import {
  failureOf,
  piecemeal,
  readPieces,
  type Served,
  serve,
  spoken,
} from './official-client.contract.ts';

interface Connected extends Served {
  readonly client: OpenAI;
}

async function connect(
  t: ExecutionContext,
  options: Partial<StandInOptions> = {},
  settings: ConstructorParameters<typeof OpenAI>[0] = {},
): Promise<Connected> {
  const served = await serve(t, 'openai', options);
  const baseURL = `${served.url}/v1`;
  const client = new OpenAI({ apiKey: 'sk-test', baseURL, maxRetries: 0, ...settings });
  return { ...served, client };
}

const good = { model: 'gpt-4o-mini-tts', voice: 'ash', input: 'The moon has no air.' } as const;

test.serial('speech arrives in every format, and the request is the documented one', async (t) => {
  const { client, standIn } = await connect(t);
  const pcm = await client.audio.speech.create({ ...good, response_format: 'pcm' });
  t.is(pcm.headers.get('content-type'), 'audio/pcm');
  const truth = await spoken(good.input, good.voice, 24_000);
  t.true(Buffer.from(await pcm.arrayBuffer()).equals(truth));

  const [request] = standIn.log;
  t.is(request?.path, '/v1/audio/speech');
  t.deepEqual(JSON.parse(request!.body), { ...good, response_format: 'pcm' });
  t.is(request?.headers['accept'], 'application/octet-stream');
  t.regex(request?.headers['user-agent'] ?? '', /^OpenAI\/JS 6\./);
  t.is(request?.headers['authorization'], '***');

  const starts = {
    mp3: /^(\xff[\xe2-\xff]|ID3)/,
    opus: /^OggS/,
    aac: /^\xff[\xf0-\xf9]/,
    flac: /^fLaC/,
    wav: /^RIFF\xff\xff\xff\xffWAVEfmt /,
  } as const;
  for (const [format, start] of Object.entries(starts)) {
    const answer = await client.audio.speech.create({
      ...good,
      response_format: format as keyof typeof starts,
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    t.regex(bytes.toString('latin1', 0, 16), start, format);
    if (format === 'wav') t.true(bytes.subarray(44).equals(truth));
  }
  const untold = await client.audio.speech.create(good);
  t.is(untold.headers.get('content-type'), 'audio/mpeg', 'the default is mp3');
  await untold.arrayBuffer();
});

test.serial(
  'create resolves with the head, and chunks are read while later ones are made',
  async (t) => {
    const truth = await spoken(good.input, good.voice, 24_000);
    const { client, clock, standIn } = await connect(t, { profile: piecemeal });
    const answer = await client.audio.speech.create({ ...good, response_format: 'pcm' });
    t.is(standIn.log[0]?.outcome, 'open', 'the body is still being made');
    const { bytes, atUs } = await readPieces(clock, answer.body);
    t.true(bytes.equals(truth));
    // 0.1 s of audio each; a busy machine may find two of them waiting.
    const chunks = bytes.length / 4800;
    t.true(atUs.length > chunks / 2 && atUs.length <= chunks + 1, `${atUs.length} of ${chunks}`);
    t.true(atUs.at(-1)! - atUs[0]! > (chunks / 2) * 30_000);
  },
);

test.serial(
  'server-sent events come as raw bytes, as documented, and carry the same audio',
  async (t) => {
    const { client } = await connect(t);
    const answer = await client.audio.speech.create({
      ...good,
      response_format: 'pcm',
      stream_format: 'sse',
    });
    t.is(answer.headers.get('content-type'), 'text/event-stream');
    const events = (await answer.text())
      .split('\n\n')
      .filter((event) => event !== '')
      .map((event) => JSON.parse(event.replace(/^data: /, '')));
    const audio = events
      .filter(({ type }) => type === 'speech.audio.delta')
      .map((event) => Buffer.from(event.audio, 'base64'));
    t.true(Buffer.concat(audio).equals(await spoken(good.input, good.voice, 24_000)));
    const { type, usage } = events.at(-1);
    t.is(type, 'speech.audio.done');
    t.is(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  },
);

test.serial('the list of models can be walked, and a request has an id', async (t) => {
  const { client } = await connect(t);
  const ids: string[] = [];
  for await (const { id } of client.models.list()) ids.push(id);
  t.true(ids.includes('gpt-4o-mini-tts') && ids.includes('tts-1'));
  const { request_id } = await client.models.list().withResponse();
  t.regex(request_id ?? '', /^req_[0-9a-f]{32}$/);
});

interface Expected {
  readonly type: new (...args: never[]) => APIError;
  readonly status: number;
  readonly code: string | null;
  readonly kind: string;
  readonly message: RegExp;
}

/** Section 4.5 of the TTS provider protocol reference. */
const refusals: Readonly<
  Record<string, { change?: object; fault?: string; key?: string; is: Expected }>
> = {
  'an unknown voice': {
    change: { voice: 'nobody' },
    is: {
      type: BadRequestError,
      status: 400,
      code: null,
      kind: 'invalid_request_error',
      message:
        /^400 \[\{'type': 'enum', 'loc': \('body', 'voice'\), 'msg': "Input should be 'nova'/,
    },
  },
  'a voice of another model': {
    change: { model: 'tts-1', voice: 'ballad' },
    is: {
      type: BadRequestError,
      status: 400,
      code: null,
      kind: 'invalid_request_error',
      message: /'input': 'ballad'/,
    },
  },
  'a speed out of range': {
    change: { speed: 5 },
    is: {
      type: BadRequestError,
      status: 400,
      code: null,
      kind: 'invalid_request_error',
      message: /'loc': \('body', 'speed'\)/,
    },
  },
  'a field that does not exist': {
    change: { pitch: 1 },
    is: {
      type: BadRequestError,
      status: 400,
      code: null,
      kind: 'invalid_request_error',
      message: /'loc': \('body', 'pitch'\), 'msg': 'Extra inputs are not permitted'/,
    },
  },
  'more than 4096 characters': {
    change: { input: 'a'.repeat(4097) },
    is: {
      type: BadRequestError,
      status: 400,
      code: null,
      kind: 'invalid_request_error',
      message: /at most 4096 characters/,
    },
  },
  'more than 2000 tokens': {
    change: { input: '月'.repeat(2132) },
    is: {
      type: BadRequestError,
      status: 400,
      code: 'invalid_value',
      kind: 'invalid_request_error',
      message: /^400 Input of 2132 tokens is over the maximum input limit of 2000 tokens\./,
    },
  },
  'a wrong key': {
    key: 'sk-invalid',
    is: {
      type: AuthenticationError,
      status: 401,
      code: 'invalid_api_key',
      kind: 'invalid_request_error',
      message: /^401 Incorrect API key provided: sk-…/,
    },
  },
  'an unknown model': {
    change: { model: 'tts-9' },
    is: {
      type: NotFoundError,
      status: 404,
      code: 'model_not_found',
      kind: 'invalid_request_error',
      message: /`tts-9` does not exist/,
    },
  },
  'too many requests': {
    fault: 'rate-limit',
    is: {
      type: RateLimitError,
      status: 429,
      code: 'rate_limit_exceeded',
      kind: 'requests',
      message: /^429 Rate limit/,
    },
  },
  'no credit left': {
    fault: 'quota',
    is: {
      type: RateLimitError,
      status: 429,
      code: 'insufficient_quota',
      kind: 'insufficient_quota',
      message: /^429 You exceeded your current quota/,
    },
  },
  'a failure inside': {
    fault: 'server',
    is: {
      type: InternalServerError,
      status: 500,
      code: null,
      kind: 'server_error',
      message: /^500 The server had an error/,
    },
  },
};

for (const [what, { change, fault, key, is }] of Object.entries(refusals)) {
  test.serial(`${what} is a ${is.type.name}`, async (t) => {
    const changes = fault === undefined ? {} : { fault: { kind: fault, afterFraction: 0 } };
    const { client, standIn } = await connect(
      t,
      { changes: changes as StandInOptions['changes'] & object },
      key === undefined ? {} : { apiKey: key },
    );
    const request = { ...good, response_format: 'pcm', ...change } as typeof good;
    const error = await failureOf(client.audio.speech.create(request));
    t.true(error instanceof is.type, String(error));
    const { status, code, type, param, message, requestID } = error as APIError;
    t.is(status, is.status);
    t.is(code, is.code);
    t.is(type, is.kind);
    t.is(param, null);
    t.regex(message, is.message);
    t.regex(requestID ?? '', /^req_/);
    t.is(standIn.log.length, 1);
  });
}

test.serial('a connection that nobody takes is an APIConnectionError', async (t) => {
  const { client, close } = await connect(t);
  await close();
  const error = await failureOf(client.audio.speech.create(good));
  t.true(error instanceof APIConnectionError, String(error));
});

test.serial('a first byte that comes too late is an APIConnectionTimeoutError', async (t) => {
  const { client, standIn } = await connect(
    t,
    { changes: { firstByteMs: 60_000 } },
    { timeout: 200 },
  );
  const error = await failureOf(client.audio.speech.create({ ...good, response_format: 'pcm' }));
  t.true(error instanceof APIConnectionTimeoutError, String(error));
  t.is(standIn.log.length, 1);
});

test.serial('a call that is given up is an APIUserAbortError', async (t) => {
  const { client, clock } = await connect(t, { changes: { firstByteMs: 60_000 } });
  const control = new AbortController();
  clock.after(20_000, () => control.abort());
  const { signal } = control;
  const error = await failureOf(
    client.audio.speech.create({ ...good, response_format: 'pcm' }, { signal }),
  );
  t.true(error instanceof APIUserAbortError, String(error));
});

test.serial(
  'a body that breaks is an error of the reader with what came before; one that ends early is none',
  async (t) => {
    const truth = await spoken(good.input, good.voice, 24_000);
    for (const [kind, breaks] of [
      ['cut', true],
      ['early-end', false],
    ] as const) {
      const { client } = await connect(t, { changes: { fault: { kind, afterFraction: 0.5 } } });
      const answer = await client.audio.speech.create({ ...good, response_format: 'pcm' });
      const pieces: Uint8Array[] = [];
      let failure: unknown;
      try {
        for await (const piece of answer.body ?? []) pieces.push(piece as Uint8Array);
      } catch (error) {
        failure = error;
      }
      // Node's fetch words it so (reference, section 2.3).
      if (breaks) t.like(failure, { name: 'TypeError', message: 'terminated' });
      else t.is(failure, undefined);
      const got = Buffer.concat(pieces);
      t.is(got.length, Math.floor(truth.length / 4) * 2, kind);
      t.true(got.equals(truth.subarray(0, got.length)));
    }
  },
);

test.serial('the client waits as long as retry-after says, and counts its retries', async (t) => {
  const { client, standIn } = await connect(
    t,
    { changes: { fault: { kind: 'rate-limit', request: 1, afterFraction: 0 } } },
    { maxRetries: 2 },
  );
  const answer = await client.audio.speech.create({ ...good, response_format: 'pcm' });
  t.is(answer.status, 200);
  await answer.arrayBuffer();
  const [first, second] = standIn.log;
  t.deepEqual(
    standIn.log.map(({ status }) => status),
    [429, 200],
  );
  t.deepEqual(
    standIn.log.map(({ headers }) => headers['x-stainless-retry-count']),
    ['0', '1'],
  );
  const waitMs = (second!.atUs - first!.endedUs!) / 1000;
  t.true(waitMs > 980 && waitMs < 5000, `${waitMs} ms`);
});

test.serial(
  'an empty account is asked three times, since the client cannot tell it from a limit',
  async (t) => {
    const { client, standIn } = await connect(
      t,
      // The client's own word for a wait of next to nothing.
      {
        changes: { fault: { kind: 'quota', afterFraction: 0 } },
        headers: { 'retry-after-ms': '1' },
      },
      { maxRetries: 2 },
    );
    const error = await failureOf(client.audio.speech.create(good));
    t.true(error instanceof RateLimitError, String(error));
    t.deepEqual(
      standIn.log.map(({ headers }) => headers['x-stainless-retry-count']),
      ['0', '1', '2'],
    );
  },
);

test.serial('x-should-retry overrides the rule of the status, both ways', async (t) => {
  const wait = { 'retry-after-ms': '1' };
  const never = await connect(
    t,
    {
      changes: { fault: { kind: 'server', afterFraction: 0 } },
      headers: { ...wait, 'x-should-retry': 'false' },
    },
    { maxRetries: 2 },
  );
  t.true((await failureOf(never.client.audio.speech.create(good))) instanceof InternalServerError);
  t.is(never.standIn.log.length, 1);

  const always = await connect(
    t,
    { headers: { ...wait, 'x-should-retry': 'true' } },
    { maxRetries: 2 },
  );
  const request = { ...good, voice: 'nobody' };
  t.true((await failureOf(always.client.audio.speech.create(request))) instanceof BadRequestError);
  t.is(always.standIn.log.length, 3);
});

for (const [personality, { path, model, voice, wrong }] of Object.entries({
  openrouter: {
    path: '/api/v1',
    model: 'openai/gpt-4o-mini-tts-2025-12-15',
    voice: 'alloy',
    wrong: 'unknown',
  },
  'kokoro-gpu': { path: '/v1', model: 'kokoro', voice: 'af_heart', wrong: 'nobody' },
  'vllm-omni': {
    path: '/v1',
    model: 'Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice',
    voice: 'vivian',
    wrong: 'nobody',
  },
})) {
  test.serial(`the client speaks with ${personality}, too`, async (t) => {
    const { url } = await serve(t, 'openai', { personality });
    const client = new OpenAI({ apiKey: 'sk-test', baseURL: url + path, maxRetries: 0 });
    const { input } = good;
    const answer = await client.audio.speech.create({
      model,
      voice,
      input,
      response_format: 'pcm',
    });
    const audio = Buffer.from(await answer.arrayBuffer());
    t.true(audio.equals(await spoken(input, voice, 24_000)));
    const error = await failureOf(
      client.audio.speech.create({ model, voice: wrong, input, response_format: 'pcm' }),
    );
    t.true(error instanceof BadRequestError, String(error));
  });
}
