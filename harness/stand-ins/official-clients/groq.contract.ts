/** Groq's stand-in as the official client sees it: nothing but the base URL is changed. */
import test, { type ExecutionContext } from 'ava';
import Groq, {
  type APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'groq-sdk';
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
  readonly client: Groq;
}

async function connect(
  t: ExecutionContext,
  options: Partial<StandInOptions> = {},
  settings: ConstructorParameters<typeof Groq>[0] = {},
): Promise<Connected> {
  const served = await serve(t, 'groq', options);
  const client = new Groq({ apiKey: 'gsk-test', baseURL: served.url, maxRetries: 0, ...settings });
  return { ...served, client };
}

const good = {
  model: 'canopylabs/orpheus-v1-english',
  voice: 'hannah',
  input: 'The moon has no air.',
  response_format: 'wav',
} as const;

test.serial('speech arrives as WAV, and the request is the documented one', async (t) => {
  const { client, standIn } = await connect(t);
  const answer = await client.audio.speech.create(good);
  const wav = Buffer.from(await answer.arrayBuffer());
  t.is(answer.headers.get('content-type'), 'audio/wav');
  t.is(wav.readUInt32LE(24), 24_000);
  t.is(wav.readUInt32LE(40), 0xffff_ffff);
  t.true(wav.subarray(44).equals(await spoken(good.input, good.voice, 24_000)));
  t.is(answer.headers.get('x-ratelimit-limit-requests'), '100');
  const [request] = standIn.log;
  t.is(request?.path, '/openai/v1/audio/speech');
  t.is(request?.headers['accept'], 'audio/wav');
  t.deepEqual(JSON.parse(request!.body), good);
});

test.serial('chunks are read while later ones are made', async (t) => {
  const truth = await spoken(good.input, good.voice, 24_000);
  const { client, clock } = await connect(t, { profile: piecemeal });
  const answer = await client.audio.speech.create(good);
  const { bytes, atUs } = await readPieces(clock, answer.body);
  t.true(bytes.subarray(44).equals(truth));
  const chunks = truth.length / 4800;
  t.true(atUs.length > chunks / 2, `${atUs.length} of ${chunks}`);
  t.true(atUs.at(-1)! - atUs[0]! > (chunks / 2) * 30_000);
});

test.serial('the list of models arrives', async (t) => {
  const { client } = await connect(t);
  const { data } = await client.models.list();
  t.true(data.some(({ id }) => id === good.model));
});

interface Expected {
  readonly type: new (...args: never[]) => APIError;
  readonly status: number;
  /** What the body's `error` holds beside the message. */
  readonly error: { readonly type: string; readonly code?: string };
  readonly message: RegExp;
}

const invalid = { type: 'invalid_request_error' };

/** Section 5.1 of the TTS provider protocol reference: no `param`, and mostly no `code`. */
const refusals: Readonly<
  Record<string, { change?: object; fault?: string; key?: string; is: Expected }>
> = {
  'another format than wav': {
    change: { response_format: 'mp3' },
    is: {
      type: BadRequestError,
      status: 400,
      error: invalid,
      message: /response_format must be one of \[wav\]/,
    },
  },
  'more than 200 characters': {
    change: { input: 'a'.repeat(201) },
    is: { type: BadRequestError, status: 400, error: invalid, message: /at most 200 characters/ },
  },
  'an unknown voice': {
    change: { voice: 'nobody' },
    is: {
      type: BadRequestError,
      status: 400,
      error: invalid,
      message: /voice must be one of \[autumn diana/,
    },
  },
  'a model of the past': {
    change: { model: 'playai-tts' },
    is: {
      type: BadRequestError,
      status: 400,
      error: { ...invalid, code: 'model_decommissioned' },
      message: /decommissioned/,
    },
  },
  'an unknown model': {
    change: { model: 'orpheus-9' },
    is: {
      type: NotFoundError,
      status: 404,
      error: { ...invalid, code: 'model_not_found' },
      message: /does not exist/,
    },
  },
  'a wrong key': {
    key: 'gsk-invalid',
    is: {
      type: AuthenticationError,
      status: 401,
      error: { ...invalid, code: 'invalid_api_key' },
      message: /Invalid API Key/,
    },
  },
  'too many requests': {
    fault: 'rate-limit',
    is: {
      type: RateLimitError,
      status: 429,
      error: { type: 'requests', code: 'rate_limit_exceeded' },
      message: /on requests per minute \(RPM\)/,
    },
  },
  'the tokens of the day used up': {
    fault: 'quota',
    is: {
      type: RateLimitError,
      status: 429,
      error: { type: 'tokens', code: 'rate_limit_exceeded' },
      message: /on tokens per day \(TPD\): Limit 3600/,
    },
  },
  'a failure inside': {
    fault: 'server',
    is: {
      type: InternalServerError,
      status: 500,
      error: { type: 'internal_server_error' },
      message: /Internal Server Error/,
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
    const failure = await failureOf(
      client.audio.speech.create({ ...good, ...change } as typeof good),
    );
    t.true(failure instanceof is.type, String(failure));
    const { status, message, error } = failure as APIError;
    t.is(status, is.status);
    t.regex(message, is.message);
    const { message: _, ...rest } = (error as { error: { message: string } }).error;
    t.deepEqual<object, object>(rest, is.error);
    t.is(standIn.log.length, 1);
  });
}

test.serial('the client waits as long as retry-after says, and counts its retries', async (t) => {
  const { client, standIn } = await connect(
    t,
    { changes: { fault: { kind: 'rate-limit', request: 1, afterFraction: 0 } } },
    { maxRetries: 2 },
  );
  const answer = await client.audio.speech.create(good);
  await answer.arrayBuffer();
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

test.serial('a wait in milliseconds goes before the 870 s of a used-up quota', async (t) => {
  const { client, standIn } = await connect(
    t,
    {
      changes: { fault: { kind: 'quota', request: 1, afterFraction: 0 } },
      headers: { 'retry-after-ms': '1' },
    },
    { maxRetries: 1 },
  );
  const answer = await client.audio.speech.create(good);
  await answer.arrayBuffer();
  t.deepEqual(
    standIn.log.map(({ status, error }) => [status, error]),
    [
      [429, 'rate_limit_exceeded'],
      [200, undefined],
    ],
  );
});
