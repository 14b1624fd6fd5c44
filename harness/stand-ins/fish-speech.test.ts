import { encode } from '@msgpack/msgpack';
import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { bytesOf } from './clip-cache.ts';
import { ClipEncoder } from './clip-encoder.ts';
import { digestOf, exactProfile, type Laboratory, laboratory, sharedVoice } from './test-client.ts';

const voiceId = 'YOUR-REFERENCE-ID';
const text = 'The moon has no air.';
const path = '/v1/tts';
const timedPath = '/v1/tts/stream/with-timestamp';
const pcm = { text, reference_id: voiceId, format: 'pcm', sample_rate: 16_000 };
const json = ({ body }: { readonly body: Buffer }) => JSON.parse(body.toString());
const packed = { 'content-type': 'application/msgpack' };

test('JSON and MessagePack ask for the same', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile() });
  const speech = bytesOf((await sharedVoice()).speak(text, voiceId).samples);
  const plain = await lab.clock.run(lab.post(path, pcm));
  // As the npm client writes it: nil for what was left out.
  const body = encode({ ...pcm, temperature: undefined, references: null, prosody: undefined });
  const binary = await lab.clock.run(lab.post(path, body, { headers: packed }));
  for (const answer of [plain, binary]) {
    t.is(answer.status, 200);
    t.is(answer.headers['content-type'], 'audio/pcm');
    t.is(answer.headers['transfer-encoding'], 'chunked');
    t.is(digestOf(answer.body), digestOf(speech));
  }
  const [, logged] = lab.standIn.log;
  t.deepEqual(JSON.parse(logged!.body), {
    ...pcm,
    temperature: null,
    references: null,
    prosody: null,
  });
});

test('what EchoKit sends gets a WAV with the placeholder sizes of the service', async (t) => {
  // TTS provider protocol reference, sections 2.2 and 3.2.
  const lab = await laboratory('fish', { profile: exactProfile() });
  const echoKit = {
    text,
    chunk_length: 200,
    format: 'wav',
    mp3_bitrate: 128,
    reference_id: voiceId,
    normalize: true,
    latency: 'normal',
  };
  const headers = { ...packed, model: 's1' };
  const answer = await lab.clock.run(lab.post(path, encode(echoKit), { headers }));
  t.is(answer.headers['content-type'], 'audio/wav');
  t.is(answer.body.toString('latin1', 0, 4), 'RIFF');
  t.is(answer.body.readUInt32LE(4), 0xffff_ff24);
  t.is(answer.body.readUInt32LE(24), 44_100);
  t.is(answer.body.readUInt32LE(40), 0xffff_ff00);
  const { samples } = (await sharedVoice()).speakAt(text, voiceId, 44_100);
  t.is(digestOf(answer.body.subarray(44)), digestOf(bytesOf(samples)));
  t.is(lab.standIn.log[0]!.audioBytes, samples.length * 2);
});

test('a personality states true sizes, for readers that believe them', async (t) => {
  const lab = await laboratory('fish', { personality: 'fish-honest-wav' });
  const { body } = await lab.clock.run(lab.post(path, { ...pcm, format: 'wav' }));
  t.is(body.readUInt32LE(4), body.length - 8);
  t.is(body.readUInt32LE(40), body.length - 44);
});

test('every rate of pcm and wav gives the clip at that rate, 44100 when none is named', async (t) => {
  const voice = await sharedVoice();
  for (const rate of [8000, 16_000, 24_000, 32_000, 44_100, undefined]) {
    const lab = await laboratory('fish', { profile: exactProfile() });
    const request = { text: 'Hi there.', reference_id: voiceId, sample_rate: rate ?? null };
    const speech = bytesOf(voice.speakAt('Hi there.', voiceId, rate ?? 44_100).samples);
    for (const format of ['pcm', 'wav']) {
      const answer = await lab.clock.run(lab.post(path, { ...request, format }));
      const audio = answer.body.subarray(format === 'wav' ? 44 : 0);
      t.is(digestOf(audio), digestOf(speech), `${format} ${rate}`);
    }
  }
});

const three = 'The first sentence is here. The second one is here. And the third one is here. ';

test('normal latency sends whole segments, balanced and low stream', async (t) => {
  const course = async (latency: string | undefined) => {
    const lab = await laboratory('fish', { profile: exactProfile({ speed: 4 }) });
    // Segments of at most 100 characters: the text has two.
    const request = { ...pcm, text: three + three, chunk_length: 100, latency };
    const answer = await lab.clock.run(lab.post(path, request));
    return answer.chunks.map(({ atUs }) => atUs);
  };
  const normal = await course('normal');
  t.is(new Set(normal).size, 2);
  t.true(normal[0]! > 1_000_000, `${normal[0]}`);
  t.deepEqual(await course(undefined), normal);
  for (const latency of ['balanced', 'low']) {
    const streamed = await course(latency);
    t.is(streamed[0], 180_000);
    t.true(new Set(streamed).size > 10);
    t.is(streamed.at(-1), normal.at(-1));
  }
});

test('each latency has the timing of its own personality', async (t) => {
  const first = async (latency: string, seed: number) => {
    const lab = await laboratory('fish', { seed });
    const answer = await lab.clock.run(lab.post(path, { ...pcm, text: 'Hi.', latency }));
    return answer.headUs / 1000;
  };
  const median = async (latency: string) => {
    const all: number[] = [];
    for (let seed = 1; seed <= 41; seed++) all.push(await first(latency, seed));
    return all.sort((a, b) => a - b)[20]!;
  };
  // Section 11.2; a short text is one chunk, which normal latency does not hold back.
  t.true(Math.abs((await median('normal')) / 500 - 1) < 0.25);
  t.true(Math.abs((await median('balanced')) / 300 - 1) < 0.25);
});

test('the timed form is events with the segment, its words and its place', async (t) => {
  const lab = await laboratory('fish', { profile: exactProfile({ leadSilenceMs: 50 }) });
  const request = { ...pcm, text: three + three, chunk_length: 100, latency: 'balanced' };
  const answer = await lab.clock.run(lab.post(timedPath, request));
  t.is(answer.headers['content-type'], 'text/event-stream');
  const events = answer.body
    .toString()
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => JSON.parse(block.replace(/^data: /, '')));
  t.true(events.length > 5);
  const plain = await lab.clock.run(lab.post(path, request));
  const audio = Buffer.concat(events.map((e) => Buffer.from(e.audio_base64, 'base64')));
  t.is(digestOf(audio), digestOf(plain.body));
  let bytes = 0;
  const last = new Map<number, Record<string, unknown>>();
  for (const event of events) {
    t.deepEqual(Object.keys(event), [
      'audio_base64',
      'content',
      'alignment',
      'chunk_seq',
      'chunk_audio_offset_sec',
    ]);
    bytes += Buffer.from(event.audio_base64, 'base64').length;
    const words = event.alignment?.segments ?? [];
    const heard = bytes / 32_000 - event.chunk_audio_offset_sec;
    for (const { start, end } of words) t.true(start < end && end <= heard + 0.002);
    last.set(event.chunk_seq, event);
  }
  t.deepEqual([...last.keys()], [0, 1]);
  t.is([...last.values()].map(({ content }) => content).join(''), three + three);
  for (const { content, alignment } of last.values()) {
    const words = (alignment as { segments: { text: string }[] }).segments;
    t.deepEqual(
      words.map((word) => word.text),
      String(content).trim().split(' '),
    );
  }
  t.is(events[0].alignment?.segments[0]?.start ?? 0.05, 0.05);
});

const problems: [string, object, number, RegExp][] = [
  ['no text', { text: undefined }, 422, /text: Field required/],
  ['a text that is a number', { text: 5 }, 422, /text: .*string/],
  ['a text that is null', { text: null }, 422, /text: .*string/],
  ['an empty text', { text: '' }, 400, /text: /],
  ['an unknown reference_id', { reference_id: 'unknown1' }, 400, /Reference not found: unknown1/],
  ['one unknown of several', { reference_id: ['slt', 'unknown2'] }, 400, /unknown2/],
  ['a reference_id that is a number', { reference_id: 5 }, 422, /reference_id: /],
  ['an unknown format', { format: 'flac' }, 400, /format: /],
  ['22050 Hz', { sample_rate: 22_050 }, 400, /sample_rate: 22050 is not supported for pcm/],
  ['48000 Hz of pcm', { sample_rate: 48_000 }, 400, /sample_rate: 48000/],
  ['16000 Hz of mp3', { format: 'mp3', sample_rate: 16_000 }, 400, /for mp3, only 32000, 44100/],
  ['44100 Hz of opus', { format: 'opus', sample_rate: 44_100 }, 400, /for opus, only 48000/],
  ['a rate that is a text', { sample_rate: '16000' }, 422, /sample_rate: /],
  ['an mp3 bitrate of 96', { mp3_bitrate: 96 }, 400, /mp3_bitrate: /],
  ['an opus bitrate of 96', { opus_bitrate: 96 }, 400, /opus_bitrate: /],
  ['an unknown latency', { latency: 'fast' }, 400, /latency: /],
  ['a chunk_length of 99', { chunk_length: 99 }, 400, /chunk_length: .*100/],
  ['a chunk_length of 301', { chunk_length: 301 }, 400, /chunk_length: .*300/],
  ['a chunk_length with a fraction', { chunk_length: 150.5 }, 422, /chunk_length: .*integer/],
  ['a speed of 2.1', { prosody: { speed: 2.1 } }, 400, /prosody.speed: /],
  ['a volume of -21', { prosody: { volume: -21 } }, 400, /prosody.volume: /],
  ['a prosody that is a text', { prosody: 'fast' }, 422, /prosody: /],
  ['a normalize that is a text', { normalize: 'yes' }, 422, /normalize: /],
  ['a temperature of 2', { temperature: 2 }, 400, /temperature: /],
  ['references that are no list', { references: 'x' }, 422, /references: /],
  ['a reference without audio', { references: [{ text: 'x' }] }, 422, /references.0.audio: /],
  ['audio that is no bytes', { references: [{ text: 'x', audio: 'AAAA' }] }, 422, /bytes/],
];
for (const [name, changes, status, message] of problems) {
  test(`${name} is a ${status}`, async (t) => {
    const lab = await laboratory('fish');
    const answer = await lab.clock.run(lab.post(path, { ...pcm, ...changes }));
    t.is(answer.status, status);
    t.deepEqual(Object.keys(json(answer)), ['message', 'status']);
    t.is(json(answer).status, status);
    t.regex(json(answer).message, message);
    t.is(lab.standIn.log[0]!.error, json(answer).message);
  });
}

test('everything the table of the reference allows is accepted', async (t) => {
  const lab = await laboratory('fish');
  const audio = new Uint8Array([1, 2, 3]);
  const request = {
    ...pcm,
    reference_id: [voiceId, 'slt'],
    references: [{ audio, text: 'Sample.' }],
    mp3_bitrate: 192,
    opus_bitrate: -1000,
    chunk_length: 100,
    min_chunk_length: 50,
    normalize: false,
    temperature: 0.7,
    top_p: 0.7,
    repetition_penalty: 1.2,
    max_new_tokens: 1024,
    prosody: { speed: 0.5, volume: 20, normalize_loudness: true },
    condition_on_previous_chunks: true,
    early_stop_threshold: 1,
    features: ['quality-guard'],
    something_new: 5,
  };
  const answer = await lab.clock.run(lab.post(path, encode(request), { headers: packed }));
  t.is(answer.status, 200);
  t.regex(lab.standIn.log[0]!.body, /"audio":"<3 bytes>"/);
});

test('a body that cannot be parsed is refused in plain text, another type with 415', async (t) => {
  const lab = await laboratory('fish');
  for (const [body, type] of [
    ['{"text":', 'application/json'],
    ['[]', 'application/json'],
    [Buffer.from([0xc1]), 'application/msgpack'],
    [encode('hello'), 'application/msgpack'],
  ] as const) {
    const answer = await lab.clock.run(lab.post(path, body, { headers: { 'content-type': type } }));
    t.is(answer.status, 400);
    t.is(answer.headers['content-type'], 'text/plain');
    t.regex(answer.body.toString(), /parse/);
  }
  const other = await lab.clock.run(
    lab.post(path, 'x', { headers: { 'content-type': 'text/plain' } }),
  );
  t.is(other.status, 415);
});

test('unknown paths are 404, other methods 405, wrong keys 401', async (t) => {
  const lab = await laboratory('fish', { credentials: 'good' });
  const headers = { authorization: 'Bearer good' };
  const at = (method: string, where: string) =>
    lab.clock.run(lab.request(method, where, { headers }));
  t.deepEqual(json(await at('POST', '/v1/nothing')), { message: 'Not Found', status: 404 });
  t.is((await at('GET', path)).status, 405);
  for (const authorization of ['Bearer bad', 'Bearer', '']) {
    const answer = await lab.clock.run(lab.post(path, pcm, { headers: { authorization } }));
    t.is(answer.status, 401);
    t.deepEqual(json(answer), { message: 'Invalid Token', status: 401 });
  }
  t.false(JSON.stringify(lab.standIn.log).includes('bad'));
});

for (const [kind, status, retryAfter] of [
  ['auth', 401, undefined],
  ['quota', 402, undefined],
  ['rate-limit', 429, '1'],
  ['bad-voice', 400, undefined],
  ['server', 503, undefined],
] as const) {
  test(`the planted fault ${kind} is a ${status}, for its request only`, async (t) => {
    const lab = await laboratory('fish', {
      changes: { fault: { kind, request: 2, afterFraction: 0 } },
    });
    const ask = () => lab.clock.run(lab.post(path, { ...pcm, text: 'Hi.' }));
    t.is((await ask()).status, 200);
    const answer = await ask();
    t.is(answer.status, status);
    t.is(json(answer).status, status);
    t.is(answer.headers['retry-after'], retryAfter);
    t.is(lab.standIn.log[1]!.fault, kind);
    t.is((await ask()).status, 200);
  });
}

test('faults in mid audio: cut, early-end, empty and stall', async (t) => {
  const request = { ...pcm, latency: 'balanced' };
  const plain = await laboratory('fish');
  const full = (await plain.clock.run(plain.post(path, request))).body;
  const half = Math.floor(full.length / 4) * 2;
  for (const [kind, bytes, end] of [
    ['cut', half, 'broken'],
    ['early-end', half, 'complete'],
    ['empty', 0, 'complete'],
    ['stall', half, 'open'],
  ] as const) {
    const lab = await laboratory('fish', { changes: { fault: { kind, afterFraction: 0.5 } } });
    const answer = await lab.clock.run(
      lab.post(path, request, kind === 'stall' ? { waitUs: 60e6 } : {}),
    );
    t.is(digestOf(answer.body), digestOf(full.subarray(0, bytes)), kind);
    t.is(answer.end, end, kind);
    await lab.standIn.close();
  }
});

test('without an encoder mp3, the default, is refused with the way out', async (t) => {
  const lab = await laboratory('fish');
  const answer = await lab.clock.run(lab.post(path, { text }));
  t.is(answer.status, 400);
  t.regex(json(answer).message, /mp3 \(the default of the API\).*Or set format to wav or pcm/);
});

for (const [name, changes, kbps, type] of [
  ['mp3 by default', {}, 128, 'audio/mpeg'],
  [
    'mp3 at 64 kb/s and 32000 Hz',
    { format: 'mp3', sample_rate: 32_000, mp3_bitrate: 64 },
    64,
    'audio/mpeg',
  ],
  ['opus', { format: 'opus' }, 32, 'audio/ogg'],
  ['opus at 64000', { format: 'opus', opus_bitrate: 64_000 }, 64, 'audio/ogg'],
  ['opus at 24, the unit of the SDK', { format: 'opus', opus_bitrate: 24 }, 24, 'audio/ogg'],
] as const) {
  testWithFfmpeg(`${name} sounds as long as the clip`, async (t) => {
    const lab = await laboratory('fish', { encoder: new ClipEncoder(), profile: exactProfile() });
    const request = { text: three, reference_id: voiceId, ...changes };
    const answer = await lab.clock.run(lab.post(path, request));
    t.is(answer.headers['content-type'], type);
    const decode = ['-i', 'pipe:0', '-f', 's16le', '-ac', '1', '-ar', '16000', 'pipe:1'];
    const seconds = installed!.run(decode, answer.body).length / 32_000;
    const spoken = lab.standIn.log[0]!.audioSeconds;
    t.true(Math.abs(seconds - spoken) < 0.15, `${seconds} of ${spoken}`);
    const rate = (answer.body.length * 8) / seconds / 1000;
    t.true(Math.abs(rate / kbps - 1) < 0.15, `${rate} kb/s`);
  });
}

test('one seed gives one answer', async (t) => {
  const run = async (seed: number) => {
    const lab: Laboratory = await laboratory('fish', { seed });
    const answer = await lab.clock.run(lab.post(timedPath, { ...pcm, latency: 'balanced' }));
    return JSON.stringify([answer, lab.standIn.log]);
  };
  t.is(await run(4), await run(4));
  t.not(await run(4), await run(5));
});
