import test from 'ava';
import { audibleRange } from './audible-range.ts';
import { bytesOf } from './clip-cache.ts';
import { digestOf, exactProfile, laboratory, samplesOf, sharedVoice } from './test-client.ts';

const streamPath = '/v1/audio/stream_speech';
const wholePath = '/v1/audio/speech';
const input = 'Hello there. How can I help?';
const good = { speaker: 'texan', input, sample_rate: 16_000 };

test('a stream is raw samples at the requested rate under a type that says 32000', async (t) => {
  const { clock, post, standIn } = await laboratory('stream_gsv');
  const answer = await clock.run(post(streamPath, good));
  t.is(answer.status, 200);
  t.is(answer.headers['content-type'], 'audio/pcm;rate=32000');
  t.is(answer.headers['transfer-encoding'], 'chunked');
  const speech = (await sharedVoice()).speak(input, 'texan').samples;
  const lead = Buffer.alloc(2 * 320);
  const tail = Buffer.alloc(2 * 4800);
  t.is(digestOf(answer.body), digestOf(Buffer.concat([lead, bytesOf(speech), tail])));
  const range = audibleRange(samplesOf(answer.body), 16_000);
  t.is(range.from, 320);
  t.is(range.to, answer.body.length / 2 - 4800);
  // The head comes when the request is accepted, long before the first audio.
  t.true(answer.headUs < answer.chunks[0]!.atUs - 100_000);
  t.is(answer.chunks[0]!.data.length, 32_000);
  t.is(standIn.log[0]!.audioSeconds, answer.body.length / 32_000);
});

test('the default rate is 32000 and OpenAI bodies work', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  const body = { model: 'x', voice: 'texan', input, response_format: 'mp3', speed: 1 };
  const answer = await clock.run(post(streamPath, body));
  const speech = (await sharedVoice()).speakAt(input, 'texan', 32_000).samples;
  t.is(answer.body.length, 2 * (640 + speech.length + 9600));
});

test('speech answers a complete WAV whose size is rounded up for an odd count', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  // A tone of 16 characters has 17 067 samples; speech is cut to whole milliseconds, so even.
  const requests = [
    { speaker: 'tone', input: 'x'.repeat(16), odd: 1 },
    { speaker: 'texan', input: 'One.', odd: 0 },
  ];
  for (const { odd, ...request } of requests) {
    const { body, headers, status } = await clock.run(post(wholePath, { ...good, ...request }));
    t.is(status, 200);
    t.is(headers['content-type'], 'audio/wav');
    t.is(headers['content-length'], String(body.length));
    t.is(((body.length - 44) / 2) % 2, odd);
    t.is(body.readUInt32LE(40), body.length - 44 + 2 * odd);
    t.is(body.readUInt32LE(4), body.readUInt32LE(40) + 36);
    t.is(body.readUInt32LE(24), 16_000);
  }
});

test('a whole WAV takes 0.3 s and 0.35 s per second of audio', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  const { chunks, body } = await clock.run(post(wholePath, good));
  const seconds = (body.length - 44) / 32_000;
  t.is(chunks[0]!.atUs, Math.round((300 + 350 * seconds) * 1000));
});

test('batch gives the utterance in one piece', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  const { body, headers } = await clock.run(post('/v1/audio/batch_speech', good));
  t.is(headers['content-type'], 'audio/pcm;rate=32000');
  const other = await laboratory('stream_gsv');
  const streamed = await other.clock.run(other.post(streamPath, good));
  t.is(digestOf(body), digestOf(streamed.body));
});

const refusals: [string, object | string, number, string][] = [
  [
    '44100 Hz',
    { ...good, sample_rate: 44_100 },
    400,
    'Unsupported sample rate: 44100, only 48000, 44000, 32000, 24000, 16000, 8000 are supported',
  ],
  ['broken JSON', '{', 400, 'Failed to parse the request body as JSON'],
  ['no speaker', { input }, 422, 'missing field `speaker`'],
  ['no input', { speaker: 'texan' }, 422, 'missing field `input`'],
  ['speaker and voice', { ...good, voice: 'texan' }, 422, 'duplicate field `speaker`'],
  ['a number as input', { ...good, input: 5 }, 422, 'input: invalid type'],
  ['a text as rate', { ...good, sample_rate: '16000' }, 422, 'sample_rate: invalid type'],
  ['an array', '[]', 422, 'invalid type'],
];
for (const [name, body, status, text] of refusals) {
  test(`${name} is refused with ${status} in plain text`, async (t) => {
    const { clock, post } = await laboratory('stream_gsv');
    for (const path of [streamPath, wholePath]) {
      const answer = await clock.run(post(path, body));
      t.is(answer.status, status);
      t.regex(String(answer.headers['content-type']), /^text\/plain/);
      t.true(answer.body.toString().includes(text), answer.body.toString());
    }
  });
}

test('another content type is refused with 415', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  const headers = { 'content-type': 'text/plain' };
  const answer = await clock.run(post(streamPath, good, { headers }));
  t.is(answer.status, 415);
  t.is(answer.body.toString(), 'Expected request with `Content-Type: application/json`');
});

test('an unknown speaker or empty input is success without audio on streams, 500 on speech', async (t) => {
  const { clock, post } = await laboratory('stream_gsv');
  for (const change of [{ speaker: 'unknown-person' }, { input: '' }]) {
    const stream = await clock.run(post(streamPath, { ...good, ...change }));
    t.deepEqual([stream.status, stream.body.length, stream.end], [200, 0, 'complete']);
    const whole = await clock.run(post(wholePath, { ...good, ...change }));
    t.is(whole.status, 500);
    t.is(whole.body.toString(), 'TTS service is not available');
  }
});

test('speakers are listed, other GETs are a page, other methods 405', async (t) => {
  const { clock, request } = await laboratory('stream_gsv');
  const speakers = await clock.run(request('GET', '/v1/audio/speakers'));
  t.deepEqual(JSON.parse(speakers.body.toString()), ['slt', 'rms', 'awb', 'kal16']);
  const page = await clock.run(request('GET', '/anything'));
  t.is(page.status, 200);
  t.regex(String(page.headers['content-type']), /^text\/html/);
  t.is((await clock.run(request('POST', '/anything'))).status, 405);
  const wrong = await clock.run(request('GET', streamPath));
  t.deepEqual([wrong.status, wrong.headers.allow], [405, 'POST']);
});

test('requests are served strictly one after the other', async (t) => {
  const profile = exactProfile();
  const { clock, post } = await laboratory('stream_gsv', { profile });
  const [first, second] = await clock.run(
    Promise.all([post(streamPath, good), post(streamPath, good)]),
  );
  t.is(first.chunks[0]!.atUs, 180_000);
  t.is(second.chunks[0]!.atUs, first.endUs + 180_000);
  // Both heads came at once.
  t.deepEqual([first.headUs, second.headUs], [0, 0]);
});

test('an abandoned stream frees the engine at its next chunk, a queued one is skipped', async (t) => {
  const profile = exactProfile();
  const { clock, post, standIn } = await laboratory('stream_gsv', { profile });
  const abandoned = post(streamPath, good, { abortAfterUs: 200_000 });
  const skipped = post(streamPath, good, { abortAfterUs: 100_000 });
  const third = post(streamPath, good);
  const results = await clock.run(Promise.allSettled([abandoned, skipped, third]));
  const answer = results[2]!;
  // The first chunk left at 180 ms, so the engine notices at the second, at 260 ms.
  t.is(answer.status === 'fulfilled' && answer.value.chunks[0]!.atUs, 260_000 + 180_000);
  t.deepEqual(
    standIn.log.map(({ outcome }) => outcome),
    ['aborted', 'aborted', 'answered'],
  );
});

const planted = [
  ['auth', 401, 'Unauthorized'],
  ['quota', 402, 'Payment Required'],
  ['rate-limit', 429, 'Too Many Requests'],
  ['server', 500, 'TTS service is not available'],
  ['bad-voice', 200, ''],
  ['empty', 200, ''],
] as const;
for (const [kind, status, text] of planted) {
  test(`the planted fault ${kind} is ${status} with "${text}" on the stream`, async (t) => {
    const { clock, post, standIn } = await laboratory('stream_gsv', {
      changes: { fault: { kind, request: 1, afterFraction: 0.5 } },
    });
    const answer = await clock.run(post(streamPath, good));
    t.deepEqual([answer.status, answer.body.toString()], [status, text]);
    t.is(standIn.log[0]!.fault, kind);
    t.true((await clock.run(post(streamPath, good))).body.length > 10_000);
  });
}

test('faults in mid audio strike streams and whole files', async (t) => {
  for (const path of [streamPath, wholePath]) {
    const header = path === wholePath ? 44 : 0;
    const plain = await laboratory('stream_gsv');
    const full = (await plain.clock.run(plain.post(path, good))).body;
    const half = Math.floor((full.length - header) / 4) * 2;
    for (const [kind, end] of [
      ['cut', 'broken'],
      ['early-end', 'complete'],
      ['stall', 'open'],
    ] as const) {
      const { clock, post } = await laboratory('stream_gsv', {
        changes: { fault: { kind, afterFraction: 0.5 } },
      });
      const answer = await clock.run(post(path, good, { waitUs: 30e6 }));
      t.is(answer.end, end, `${kind} ${path}`);
      const expected = digestOf(full.subarray(header, header + half));
      t.is(digestOf(answer.body.subarray(header)), expected, `${kind} ${path}`);
    }
  }
});

test('one seed gives one conversation', async (t) => {
  const converse = async (seed: number) => {
    const { clock, post, standIn } = await laboratory('stream_gsv', { seed });
    return JSON.stringify([await clock.run(post(streamPath, good)), standIn.log]);
  };
  t.is(await converse(4), await converse(4));
  t.not(await converse(4), await converse(5));
});
