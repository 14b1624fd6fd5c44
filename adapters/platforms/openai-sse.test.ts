import test from 'ava';
import { pcmBytes, wavBytes } from '../audio/wav-fixture.contract.ts';
import { httpAnswers, httpWire } from '../scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
  speechAdapterContract,
} from '../speech-adapter.contract.ts';
import type { SpeechEvent } from '../speech-adapter.ts';
import { readTtsConfig } from '../tts-config.ts';
import { type OpenAiConfig, openAiAdapter } from './openai.ts';

const secret = 'sk_very_secret';
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
/** Written as in section 4.3: `data:` lines only, a blank line after each. */
const sse = (event: object): string => `data: ${JSON.stringify(event)}\n\n`;
const delta = (bytes: Uint8Array): string =>
  sse({ type: 'speech.audio.delta', audio: base64(bytes) });
const done = sse({
  type: 'speech.audio.done',
  usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 },
});
const usage = { inputTokens: 14, outputTokens: 101 };

const subject: ContractSubject<OpenAiConfig> = {
  adapter: openAiAdapter,
  config: {
    url: 'https://api.openai.com/v1/audio/speech',
    apiKey: secret,
    model: 'gpt-4o-mini-tts',
    voice: 'ash',
    stream: 'sse',
  },
  rateHz: 24_000,
  secret,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      contentType: 'text/event-stream',
      framing: { frame: delta, trailer: done },
      refusal: {
        status: 401,
        body: `{"error":{"message":"Incorrect API key provided: ${secret}.","code":"invalid_api_key"}}`,
      },
    }),
};
speechAdapterContract(test, subject);

/** A service on a host of nobody's, with an answer of the given pieces; `cut`: without a proper end. */
const answering = (
  pieces: readonly (string | Uint8Array)[],
  options: { type?: string; cut?: boolean; headers?: Record<string, string> } = {},
) => {
  const { type = 'text/event-stream; charset=utf-8', cut = false, headers = {} } = options;
  const config = { ...subject.config, url: 'http://box.lan:8880/v1/audio/speech' };
  return makeStage(
    {
      ...subject,
      config,
      wire: (clock) =>
        httpAnswers((response) => {
          response.writeHead(200, { 'content-type': type, ...headers });
          response.flushHeaders();
          const step = (index: number): void => {
            if (index < pieces.length) {
              response.write(pieces[index], () => clock.after(20_000, () => step(index + 1)));
            } else if (cut) response.socket?.destroy();
            else response.end();
          };
          step(0);
        }),
    },
    {},
  );
};

async function spoken(stage: Awaited<ReturnType<typeof answering>>): Promise<SpeechEvent[]> {
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await stage.finish();
  return events;
}

// At 16 kHz nothing is converted, so the samples come out as they were planted.
const planted = [1, -2, 3, -4, 5_000, -6_000, 7, -8, 9];
const planted16k = wavBytes(pcmBytes(planted), { rateHz: 16_000, dataSize: 0xffff_ffff });

test('the request names the stream format, the configuration the way', async (t) => {
  const { config } = readTtsConfig({ platform: 'openai', api_key: secret, stream: 'sse' });
  const stage = await makeStage({ ...subject, config: config as OpenAiConfig }, {});
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.deepEqual(stage.wire.log.received, [
    '{"model":"gpt-4o-tts","voice":"alloy","input":"Hi.","response_format":"pcm","stream_format":"sse"}',
  ]);
  t.like(events[1]!, { status: 200, contentType: 'text/event-stream' });
  t.is(stage.session.capabilities.audioOut, 'chunks');
  await stage.finish();
});

test('the usage of the last event is kept', async (t) => {
  t.like((await spoken(await answering([delta(planted16k), done]))).at(-1)!, {
    type: 'end',
    samples: planted.length,
    usage,
  });
  for (const [event, kept] of [
    [{ type: 'speech.audio.done' }, undefined],
    [{ type: 'speech.audio.done', usage: null }, undefined],
    [{ type: 'speech.audio.done', usage: { total_tokens: 9 } }, undefined],
    [{ type: 'speech.audio.done', usage: { input_tokens: '9', output_tokens: -1 } }, undefined],
    // As vLLM-Omni writes it (section 5.4).
    [
      {
        type: 'speech.audio.done',
        usage: { input_tokens: 9, output_tokens: 3, input_token_details: { text_tokens: 9 } },
      },
      { inputTokens: 9, outputTokens: 3 },
    ],
  ] as const) {
    const end = (await spoken(await answering([delta(planted16k), sse(event)]))).at(-1)!;
    t.true(end.type === 'end');
    if (end.type === 'end') t.deepEqual(end.usage, kept, JSON.stringify(event));
  }
});

test('the usage of several requests for one text is added up', async (t) => {
  const config = { ...subject.config, url: 'https://api.openai.com/v1/audio/speech' };
  const wire = () =>
    httpAnswers((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(delta(planted16k) + done);
    });
  const stage = await makeStage({ ...subject, config, wire }, {});
  const text = 'The moon is far away. '.repeat(400);
  const events = await stage.clock.run(collect(stage.session.speak(said(text), never())));
  t.is(stage.wire.log.requests.length, 3);
  t.is(stage.wire.log.connections, 1, 'the end of the body is taken in before the next request');
  t.like(events.at(-1)!, {
    samples: 3 * planted.length,
    usage: { inputTokens: 3 * 14, outputTokens: 3 * 101 },
  });
  await stage.finish();
});

// Sections 4.3 and 5.4: what compatible services do differently.
const accents: readonly (readonly [string, readonly string[], object | undefined])[] = [
  ['[DONE] behind the last event', [delta(planted16k), done, 'data: [DONE]\n\n'], usage],
  ['[DONE] and no last event', [delta(planted16k), 'data: [DONE]\n\n'], undefined],
  [
    'the field named "delta"',
    [sse({ type: 'speech.audio.delta', delta: base64(planted16k) }), done],
    usage,
  ],
  [
    'event lines and a format, as vLLM-Omni writes them',
    [
      `event: speech.audio.delta\ndata: ${JSON.stringify({ type: 'speech.audio.delta', audio: base64(planted16k), response_format: 'pcm' })}\n\n`,
      `event: speech.audio.done\n${done}`,
    ],
    usage,
  ],
  [
    'the type in the event line alone',
    [
      `event: speech.audio.delta\ndata: ${JSON.stringify({ audio: base64(planted16k) })}\n\n`,
      'event: speech.audio.done\ndata: {}\n\n',
    ],
    undefined,
  ],
  [
    'comments, ids, CRLF and data over several lines',
    [
      ': keep-alive\r\n\r\n',
      `id: 1\r\nretry: 3000\r\ndata: {"type":"speech.audio.delta",\r\ndata: "audio":"${base64(planted16k)}"}\r\n\r\n`,
      done.replaceAll('\n', '\r\n'),
    ],
    usage,
  ],
  [
    'events of other types, and others that are no JSON',
    [
      sse({ type: 'speech.session.created', error: null }),
      'event: heartbeat\ndata: tick\n\n',
      delta(planted16k),
      sse({ type: 'speech.audio.transcript.delta', delta: 'Hi' }),
      done,
    ],
    usage,
  ],
  ['no blank line behind the last event', [delta(planted16k), done.trimEnd()], usage],
  [
    'deltas without padding, in the alphabet of URLs',
    [
      sse({
        type: 'speech.audio.delta',
        audio: Buffer.from(planted16k).toString('base64url'),
      }),
      done,
    ],
    usage,
  ],
  [
    'an empty delta',
    [sse({ type: 'speech.audio.delta', audio: '' }), delta(planted16k), done],
    usage,
  ],
];
for (const [name, pieces, counted] of accents) {
  test(`understood: ${name}`, async (t) => {
    const events = await spoken(await answering(pieces));
    t.deepEqual(samplesOf(events), planted);
    const end = events.at(-1)!;
    t.true(end.type === 'end');
    if (end.type === 'end') t.deepEqual(end.usage, counted);
  });
}

test('each delta is one event, at the instant its last byte came', async (t) => {
  const halves = [planted16k.subarray(0, 47), planted16k.subarray(47)].map(delta);
  const [first, second] = halves as [string, string];
  const pieces = [first.slice(0, 9), first.slice(9) + second.slice(0, 30), second.slice(30), done];
  const stage = await answering(pieces);
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  const audio = audioOf(events);
  // 44 bytes of the first 47 are the header; the odd byte waits for its other half.
  t.deepEqual(
    audio.map(({ sourceBytes, samples }) => [sourceBytes, samples.length]),
    [
      [3, 1],
      [15, 8],
    ],
  );
  t.is(audio[1]!.atUs - audio[0]!.atUs, 20_000);
  t.is(events.at(-1)!.atUs - audio[1]!.atUs, 20_000);
  await stage.finish();
});

test('the answer is over at its last event, whatever the connection does then', async (t) => {
  const afterwards = [delta(pcmBytes([9, 9, 9])), 'data: nonsense\n\n'];
  const events = await spoken(await answering([delta(planted16k), done, ...afterwards]));
  t.deepEqual(samplesOf(events), planted);
  const cutStage = await answering([delta(planted16k), done], { cut: true });
  t.like((await spoken(cutStage)).at(-1)!, { type: 'end', usage });
});

test('a body that goes on behind its last event holds up nothing, and is given up in the end', async (t) => {
  const config = { ...subject.config, url: 'http://box.lan:8880/v1/audio/speech' };
  const wire = () =>
    httpAnswers((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(delta(planted16k) + done);
    });
  const stage = await makeStage({ ...subject, config, wire }, {});
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  t.is(events.at(-1)!.type, 'end');
  t.is(events.at(-1)!.atUs, stage.clock.nowUs());
  t.is(stage.wire.log.open, 1);
  await stage.clock.run(stage.clock.sleep(14_000_000));
  t.is(stage.wire.log.open, 1);
  await stage.clock.run(stage.clock.sleep(1_100_000));
  t.is(stage.wire.log.open, 0, 'given up after the idle limit');
});

test('an answer that ends without its last event is truncated, and empty without audio', async (t) => {
  const half = delta(planted16k).slice(0, 60);
  for (const [pieces, kind] of [
    [[delta(planted16k)], 'truncated'],
    [[delta(planted16k), half], 'truncated'],
    [[delta(planted16k), done.slice(0, 30)], 'truncated'],
    [[half], 'empty'],
    [[': nothing\n\n'], 'empty'],
    [[], 'empty'],
    [[done], 'empty'],
    [['data: [DONE]\n\n'], 'empty'],
  ] as const) {
    const stage = await answering(pieces);
    const { events, error } = await outcomeOf(stage, ['Hi.']);
    t.is(error.kind, kind, JSON.stringify(pieces));
    t.is(error.deliveredSamples, samplesOf(events).length);
    if (kind === 'truncated') t.deepEqual(samplesOf(events), planted);
    await stage.finish();
  }
});

test('a failure in the stream is classified, and what came before it is kept', async (t) => {
  const before = [delta(planted16k)];
  for (const [event, kind, providerCode, words] of [
    // Section 5.4.
    [
      {
        type: 'speech.audio.error',
        error: { message: 'Engine died', type: 'server_error', param: null, code: 500 },
      },
      'server',
      '500',
      'Engine died',
    ],
    [
      { type: 'speech.audio.error', error: { message: 'Too busy', code: 429 } },
      'rate-limit',
      '429',
      'Too busy',
    ],
    [
      { type: 'speech.audio.error', error: { message: "Voice 'x' not found.", code: 400 } },
      'bad-voice',
      '400',
      'not found',
    ],
    [
      { type: 'error', code: 'insufficient_quota', message: 'No credit' },
      'quota',
      'insufficient_quota',
      'No credit',
    ],
    [{ error: { message: 'Something broke' } }, 'server', undefined, 'Something broke'],
    [{ type: 'speech.audio.error' }, 'server', undefined, 'speech.audio.error'],
  ] as const) {
    const stage = await answering([...before, sse(event), done]);
    const { events, error } = await outcomeOf(stage, ['Hi.']);
    t.like(error, { kind, providerCode, status: 200, deliveredSamples: planted.length });
    t.true(error.message.includes(words), error.message);
    t.deepEqual(samplesOf(events), planted);
    t.false(events.some(({ type }) => type === 'end'));
    await stage.finish();
  }
});

test('a key that a service repeats in its stream is recorded nowhere', async (t) => {
  const echo = sse({
    type: 'speech.audio.error',
    error: { message: `Bad key ${secret}`, code: 401 },
  });
  for (const pieces of [[echo], [delta(planted16k), echo]]) {
    const stage = await answering(pieces);
    const { error } = await outcomeOf(stage, ['Hi.']);
    t.is(error.kind, 'auth');
    t.false(error.message.includes(secret));
    t.true(stage.observed.some(({ data }) => Buffer.from(data).includes('Bad key ****')));
    t.false(stage.observed.some(({ data }) => Buffer.from(data).includes(secret)));
    await stage.finish();
  }
});

test('what is no event of this protocol is a protocol failure that says what it is', async (t) => {
  for (const [piece, words] of [
    // Section 5.4: Mistral's floats under a name of their own.
    [sse({ type: 'speech.audio.delta', audio_data: 'AAAA' }), 'type, audio_data'],
    [sse({ type: 'speech.audio.delta', audio: null }), 'type, audio'],
    [sse({ type: 'speech.audio.delta', audio: 'no base64!' }), 'no base64!'],
    [sse({ type: 'speech.audio.delta', audio: 'AAAAA' }), 'base64'],
    ['data: Internal Server Error\n\n', 'Internal Server Error'],
    ['event: speech.audio.delta\ndata: {"audio":\n\n', '{"audio":'],
    [sse(['speech.audio.delta']), 'no JSON object'],
    [`data: ${'A'.repeat(17 * 1024 * 1024)}`, '16777216'],
    // The delta holds an MP3 by its tag, whatever was asked for.
    [delta(Buffer.from('ID3\x04\0\0\0\0\0\0\0\0\0\0', 'latin1')), 'MP3'],
  ] as const) {
    const stage = await answering([piece, done]);
    const { error } = await outcomeOf(stage, ['Hi.']);
    t.is(error.kind, 'protocol', piece.slice(0, 80));
    t.false(error.retryable);
    t.true(error.message.includes(words), error.message);
    await stage.finish();
  }
});

test('comments keep the connection alive but are no audio', async (t) => {
  const beat = ': keep-alive\n\n';
  // 20 ms apart: 29 s of heartbeats, then audio within the limit of the first byte.
  const beats = Array.from({ length: 1_450 }, () => beat);
  const events = await spoken(await answering([...beats, delta(planted16k), done]));
  t.deepEqual(samplesOf(events), planted);

  const silent = await answering([...beats, ...beats, delta(planted16k), done]);
  const { events: taken, error } = await outcomeOf(silent, ['Hi.']);
  t.is(error.kind, 'timeout');
  t.is(silent.clock.nowUs(), taken[0]!.atUs + 30_000_000);
  await silent.finish();

  const stuck = await answering([delta(planted16k), ...beats, done]);
  const { events: some, error: later } = await outcomeOf(stuck, ['Hi.']);
  t.is(later.kind, 'timeout');
  t.is(stuck.clock.nowUs(), audioOf(some)[0]!.atUs + 15_000_000);
  await stuck.finish();
});
