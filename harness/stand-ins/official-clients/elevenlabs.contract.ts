/**
 * ElevenLabs' stand-in over HTTP as the official client sees it: nothing but the base URL is
 * changed. The client has no text-to-speech over WebSocket.
 */
import { ElevenLabsClient, ElevenLabsError } from '@elevenlabs/elevenlabs-js';
import test, { type ExecutionContext } from 'ava';
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
  readonly client: ElevenLabsClient;
}

async function connect(
  t: ExecutionContext,
  options: Partial<StandInOptions> = {},
  settings: ElevenLabsClient.Options = {},
): Promise<Connected> {
  const served = await serve(t, 'elevenlabs', options);
  const client = new ElevenLabsClient({
    apiKey: 'key',
    baseUrl: served.url,
    maxRetries: 0,
    ...settings,
  });
  return { ...served, client };
}

const voice = 'YOUR-VOICE-ID';
const text = 'The moon has no air.';
const good = { text, modelId: 'eleven_flash_v2_5', outputFormat: 'pcm_16000' } as const;

test.serial(
  'stream and convert give the clip, and the request is the documented one',
  async (t) => {
    const { client, clock, standIn } = await connect(t);
    const truth = await spoken(text, voice, 16_000);
    for (const call of ['stream', 'convert'] as const) {
      const body = await client.textToSpeech[call](voice, good);
      const { bytes } = await readPieces(clock, body as unknown as AsyncIterable<Uint8Array>);
      t.true(bytes.equals(truth), call);
    }
    t.deepEqual(
      standIn.log.map(({ path }) => path),
      [
        `/v1/text-to-speech/${voice}/stream?output_format=pcm_16000`,
        `/v1/text-to-speech/${voice}?output_format=pcm_16000`,
      ],
    );
    t.deepEqual(JSON.parse(standIn.log[0]!.body), { text, model_id: good.modelId });
    t.is(standIn.log[0]!.headers['xi-api-key'], '***');
    t.is(standIn.log[0]!.headers['accept'], '*/*');
  },
);

test.serial('chunks are read while later ones are made', async (t) => {
  const truth = await spoken(text, voice, 16_000);
  const { client, clock } = await connect(t, { profile: piecemeal });
  const body = await client.textToSpeech.stream(voice, good);
  const { bytes, atUs } = await readPieces(clock, body as unknown as AsyncIterable<Uint8Array>);
  t.true(bytes.equals(truth));
  const chunks = bytes.length / 3200;
  t.true(atUs.length > chunks / 2, `${atUs.length} of ${chunks}`);
  t.true(atUs.at(-1)! - atUs[0]! > (chunks / 2) * 30_000);
});

test.serial(
  'both forms with timestamps pass the checks of the client, and time every character',
  async (t) => {
    const { client } = await connect(t);
    const truth = await spoken(text, voice, 16_000);
    const whole = await client.textToSpeech.convertWithTimestamps(voice, good);
    t.true(Buffer.from(whole.audioBase64, 'base64').equals(truth));
    t.is(whole.alignment?.characters.join(''), text);

    const audio: Buffer[] = [];
    let said = '';
    for await (const piece of await client.textToSpeech.streamWithTimestamps(voice, good)) {
      audio.push(Buffer.from(piece.audioBase64, 'base64'));
      const times = piece.alignment?.characterStartTimesSeconds ?? [];
      t.true(times.every((time, i) => time >= (times[i - 1] ?? 0)));
      said += piece.alignment?.characters.join('') ?? '';
    }
    t.true(Buffer.concat(audio).equals(truth));
    t.is(said, text);
    t.true(audio.length > 1);
  },
);

test.serial('an answer has an id and states its cost', async (t) => {
  const { client } = await connect(t);
  const { rawResponse } = await client.textToSpeech.stream(voice, good).withRawResponse();
  t.regex(rawResponse.headers.get('request-id') ?? '', /^[0-9a-f]{32}$/);
  t.is(rawResponse.headers.get('character-cost'), String(text.length));
});

test.serial('voices, models and the user pass the checks of the client', async (t) => {
  const { client } = await connect(t);
  const { voices } = await client.voices.getAll();
  t.true(voices.some(({ voiceId }) => voiceId === 'slt'));
  const models = await client.models.list();
  t.true(models.some(({ modelId }) => modelId === good.modelId));
  const found = await client.voices.search();
  t.is(found.voices.length, voices.length);
  const user = await client.user.get();
  t.is(typeof user.subscription.characterLimit, 'number');
});

interface Expected {
  readonly status: number;
  /** `detail.status`, or the kinds of validation errors. */
  readonly detail: string | readonly string[];
}

/** Section 6.5 of the TTS provider protocol reference: by status and detail, never by class. */
const refusals: Readonly<
  Record<string, { change?: object; voice?: string; fault?: string; key?: string; is: Expected }>
> = {
  'a wrong key': { key: 'invalid', is: { status: 401, detail: 'invalid_api_key' } },
  'no credit left': { fault: 'quota', is: { status: 401, detail: 'quota_exceeded' } },
  'too many requests': {
    fault: 'rate-limit',
    is: { status: 429, detail: 'too_many_concurrent_requests' },
  },
  'an unknown voice': { voice: 'unknown', is: { status: 400, detail: 'voice_not_found' } },
  'too long a text': {
    change: { text: 'a'.repeat(10_001), modelId: 'eleven_multilingual_v2' },
    is: { status: 400, detail: 'max_character_limit_exceeded' },
  },
  'a failure inside': { fault: 'server', is: { status: 500, detail: 'internal_server_error' } },
  'a setting out of range': {
    change: { voiceSettings: { speed: 3 } },
    is: { status: 422, detail: ['less_than_equal'] },
  },
};

for (const [what, { change, voice: name = voice, fault, key, is }] of Object.entries(refusals)) {
  test.serial(`${what} is an ElevenLabsError with status ${is.status}`, async (t) => {
    const changes = fault === undefined ? {} : { fault: { kind: fault, afterFraction: 0 } };
    const { client, standIn } = await connect(
      t,
      { changes: changes as StandInOptions['changes'] & object },
      key === undefined ? {} : { apiKey: key },
    );
    const call = client.textToSpeech.stream(name, { ...good, ...change });
    const error = await failureOf(call);
    t.true(error instanceof ElevenLabsError, String(error));
    const { statusCode, body } = error as ElevenLabsError;
    t.is(statusCode, is.status);
    const { detail } = body as { detail: { status: string } | { type: string }[] };
    const found = Array.isArray(detail) ? detail.map(({ type }) => type) : detail.status;
    t.deepEqual(found, is.detail);
    t.is(standIn.log.length, 1);
  });
}

test.serial('a first byte that comes too late is an ElevenLabsError that says so', async (t) => {
  const { client } = await connect(t, { changes: { firstByteMs: 60_000 } });
  const error = await failureOf(client.textToSpeech.stream(voice, good, { timeoutInSeconds: 0.2 }));
  t.true(error instanceof ElevenLabsError, String(error));
  t.regex((error as Error).message, /timeout/i);
});

test.serial(
  'a body that breaks is an error of the reader; one that ends early is none',
  async (t) => {
    const truth = await spoken(text, voice, 16_000);
    for (const [kind, breaks] of [
      ['cut', true],
      ['early-end', false],
    ] as const) {
      const { client } = await connect(t, { changes: { fault: { kind, afterFraction: 0.5 } } });
      const body = await client.textToSpeech.stream(voice, good);
      const pieces: Uint8Array[] = [];
      let failure: unknown;
      try {
        for await (const piece of body as unknown as AsyncIterable<Uint8Array>) pieces.push(piece);
      } catch (error) {
        failure = error;
      }
      if (breaks) t.like(failure, { name: 'TypeError', message: 'terminated' });
      else t.is(failure, undefined);
      const got = Buffer.concat(pieces);
      t.is(got.length, Math.floor(truth.length / 4) * 2, kind);
    }
  },
);

test.serial('a limit without retry-after is tried again after about a second', async (t) => {
  const { client, standIn, clock } = await connect(
    t,
    { changes: { fault: { kind: 'rate-limit', request: 1, afterFraction: 0 } } },
    { maxRetries: 2 },
  );
  const body = await client.textToSpeech.stream(voice, good);
  await readPieces(clock, body as unknown as AsyncIterable<Uint8Array>);
  const [first, second] = standIn.log;
  t.deepEqual(
    standIn.log.map(({ status }) => status),
    [429, 200],
  );
  const waitMs = (second!.atUs - first!.endedUs!) / 1000;
  t.true(waitMs > 880 && waitMs < 5000, `${waitMs} ms`);
});
