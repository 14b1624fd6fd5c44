/** Fish Audio's stand-in as the official client sees it: nothing but the base URL is changed. */
import test, { type ExecutionContext } from 'ava';
import {
  FishAudioClient,
  FishAudioError,
  type RealtimeConnection,
  RealtimeEvents,
  UnprocessableEntityError,
} from 'fish-audio';
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
  readonly client: FishAudioClient;
}

async function connect(
  t: ExecutionContext,
  options: Partial<StandInOptions> = {},
  apiKey = 'key',
): Promise<Connected> {
  const served = await serve(t, 'fish', options);
  return { ...served, client: new FishAudioClient({ apiKey, baseUrl: served.url }) };
}

const voice = 'narrator';
const text = 'The moon has no air.';
const good = {
  text,
  reference_id: voice,
  format: 'pcm',
  sample_rate: 16_000,
  latency: 'balanced',
} as const;
const once = { maxRetries: 0 };

type Body = AsyncIterable<Uint8Array>;

test.serial('convert gives the clip, and the request is the documented one', async (t) => {
  const { client, clock, standIn } = await connect(t);
  const body = await client.textToSpeech.convert(good, undefined, once);
  const { bytes } = await readPieces(clock, body as unknown as Body);
  t.true(bytes.equals(await spoken(text, voice, 16_000)));
  const [request] = standIn.log;
  t.is(request?.path, '/v1/tts');
  t.is(request?.headers['content-type'], 'application/msgpack');
  t.is(request?.headers['model'], 's1');
  t.is(request?.headers['authorization'], '***');
  t.like(JSON.parse(request!.body), good);

  const wav = await client.textToSpeech.convert({ ...good, format: 'wav' }, 's1', once);
  const whole = (await readPieces(clock, wav as unknown as Body)).bytes;
  // Section 2.2 of the TTS provider protocol reference.
  t.is(whole.readUInt32LE(4), 0xffff_ff24);
  t.is(whole.readUInt32LE(40), 0xffff_ff00);
  t.true(whole.subarray(44).equals(bytes));
});

test.serial('chunks are read while later ones are made', async (t) => {
  const truth = await spoken(text, voice, 16_000);
  const { client, clock } = await connect(t, { profile: piecemeal });
  const body = await client.textToSpeech.convert({ ...good, latency: 'low' } as never, 's1', once);
  const { bytes, atUs } = await readPieces(clock, body as unknown as Body);
  t.true(bytes.equals(truth));
  const chunks = bytes.length / 3200;
  t.true(atUs.length > chunks / 2, `${atUs.length} of ${chunks}`);
  t.true(atUs.at(-1)! - atUs[0]! > (chunks / 2) * 30_000);
});

test.serial('a voice that comes with the request is taken', async (t) => {
  const { client, clock } = await connect(t);
  const audio = new File([new Uint8Array(100)], 'me.wav');
  const request = { ...good, references: [{ audio, text: 'Hello.' }] };
  const body = await client.textToSpeech.convert(request as never, 's1', once);
  t.true((await readPieces(clock, body as unknown as Body)).bytes.length > 0);
});

interface Expected {
  readonly status: number;
  readonly message: RegExp;
}

/** Section 7.4 of the TTS provider protocol reference. */
const refusals: Readonly<
  Record<string, { change?: object; fault?: string; key?: string; is: Expected }>
> = {
  'a wrong key': { key: 'invalid', is: { status: 401, message: /^Invalid Token$/ } },
  'no credit left': { fault: 'quota', is: { status: 402, message: /Balance/ } },
  'too many requests': { fault: 'rate-limit', is: { status: 429, message: /concurrent/ } },
  'a failure inside': { fault: 'server', is: { status: 503, message: /Unavailable/ } },
  'an unknown voice': {
    change: { reference_id: 'unknown' },
    is: { status: 400, message: /Reference not found: unknown/ },
  },
  'a rate that is not offered': {
    change: { sample_rate: 22_050 },
    is: { status: 400, message: /22050 is not supported for pcm/ },
  },
  'a field of another type': {
    change: { text: 12 },
    is: { status: 422, message: /^text: Input should be a valid string$/ },
  },
};

for (const [what, { change, fault, key, is }] of Object.entries(refusals)) {
  test.serial(`${what} is a FishAudioError with status ${is.status}`, async (t) => {
    const changes = fault === undefined ? {} : { fault: { kind: fault, afterFraction: 0 } };
    const options = { changes: changes as StandInOptions['changes'] & object };
    const { client, standIn } = await connect(t, options, key);
    const request = { ...good, ...change } as typeof good;
    const error = await failureOf(client.textToSpeech.convert(request, 's1', once));
    t.true(error instanceof FishAudioError, String(error));
    t.is(error instanceof UnprocessableEntityError, is.status === 422);
    const { statusCode, body } = error as FishAudioError;
    t.is(statusCode, is.status);
    t.like(body, { status: is.status });
    t.regex((body as { message: string }).message, is.message);
    t.is(standIn.log.length, 1);
  });
}

test.serial(
  'a body that breaks is an error of the reader; one that ends early is none',
  async (t) => {
    const truth = await spoken(text, voice, 16_000);
    for (const [kind, breaks] of [
      ['cut', true],
      ['early-end', false],
    ] as const) {
      const { client } = await connect(t, { changes: { fault: { kind, afterFraction: 0.5 } } });
      const body = await client.textToSpeech.convert(good, 's1', once);
      const pieces: Uint8Array[] = [];
      let failure: unknown;
      try {
        for await (const piece of body as unknown as Body) pieces.push(piece);
      } catch (error) {
        failure = error;
      }
      if (breaks) t.like(failure, { name: 'TypeError', message: 'terminated' });
      else t.is(failure, undefined);
      t.is(Buffer.concat(pieces).length, Math.floor(truth.length / 4) * 2, kind);
    }
  },
);

test.serial('the client waits as long as retry-after says', async (t) => {
  const { client, clock, standIn } = await connect(t, {
    changes: { fault: { kind: 'rate-limit', request: 1, afterFraction: 0 } },
  });
  const body = await client.textToSpeech.convert(good);
  await readPieces(clock, body as unknown as Body);
  const [first, second] = standIn.log;
  t.deepEqual(
    standIn.log.map(({ status }) => status),
    [429, 200],
  );
  const waitMs = (second!.atUs - first!.endedUs!) / 1000;
  t.true(waitMs > 980 && waitMs < 5000, `${waitMs} ms`);
});

interface Heard {
  readonly audio: Buffer;
  readonly chunks: number;
  readonly errors: Error[];
  readonly closes: number;
}

/** Listens until the connection has closed. The client says so on `finish` and on the close. */
function listen(connection: RealtimeConnection, closes: number): Promise<Heard> {
  return new Promise((resolve) => {
    const pieces: Uint8Array[] = [];
    const errors: Error[] = [];
    let seen = 0;
    connection.on(RealtimeEvents.AUDIO_CHUNK, (piece) => pieces.push(piece as Uint8Array));
    connection.on(RealtimeEvents.ERROR, (error) => errors.push(error as Error));
    connection.on(RealtimeEvents.CLOSE, () => {
      seen++;
      if (seen < closes) return;
      resolve({ audio: Buffer.concat(pieces), chunks: pieces.length, errors, closes: seen });
    });
  });
}

async function* words(): AsyncGenerator<string> {
  yield 'The moon ';
  yield 'has no air.';
}

const live = { ...good, text: '' } as const;

test.serial('the live socket takes text bit by bit and gives the clip', async (t) => {
  const { client, standIn } = await connect(t);
  const connection = await client.textToSpeech.convertRealtime(live, words());
  const heard = await listen(connection, 2);
  t.deepEqual(heard.errors, []);
  t.true(heard.audio.equals(await spoken(text, voice, 16_000)));
  t.true(heard.chunks > 1);
  t.is(heard.closes, 2);
  const session = standIn.log.find(({ request }) => request === 1);
  const events = session!.messages.map((message) => JSON.parse(message.text).event);
  t.is(events[0], 'start');
  t.is(events.filter((event) => event === 'text').length, 2);
  t.is(events.at(-1), 'stop');
  t.is(session!.outcome, 'answered');
});

test.serial('errors of a live session arrive as the ERROR event of the client', async (t) => {
  for (const [options, request, message] of [
    [{}, { ...live, reference_id: 'unknown' }, /Reference not found/],
    [{}, { ...live, sample_rate: 22_050 }, /22050 is not supported/],
    [{ changes: { fault: { kind: 'server', afterFraction: 0 } } }, live, /Unavailable/],
  ] as const) {
    const { client } = await connect(t, options);
    const connection = await client.textToSpeech.convertRealtime(request as never, words());
    const heard = await listen(connection, 1);
    t.regex(heard.errors[0]?.message ?? '', message);
    t.is(heard.audio.length, 0);
  }
});

test.serial('a refused upgrade is the ERROR event with the status', async (t) => {
  for (const [kind, status] of [
    ['auth', 401],
    ['quota', 402],
    ['rate-limit', 429],
  ] as const) {
    const { client } = await connect(t, { changes: { fault: { kind, afterFraction: 0 } } });
    const connection = await client.textToSpeech.convertRealtime(live, words());
    const heard = await listen(connection, 1);
    t.true(
      heard.errors.some(({ message }) => message === `Unexpected server response: ${status}`),
      heard.errors.map(String).join(),
    );
  }
});
