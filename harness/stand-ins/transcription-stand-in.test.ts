import test from 'ava';
import fc from 'fast-check';
import type { DialogueScript } from './dialogue-script.ts';
import { parseForm } from './multipart-form.ts';
import { wavHeader } from './rendered-clip.ts';
import type { ServiceStandIn } from './stand-in.ts';
import { type Answer, dialogueLaboratory, type Laboratory } from './test-client.ts';

const path = '/v1/audio/transcriptions';
const replyPace = { firstTokenMs: 100, tokensPerSecond: 100 };
const script: DialogueScript = {
  recognitionMs: 250,
  turns: ['How far is the moon?', 'Thank you.', 'Good night.'].map((heard) => ({
    heard,
    reply: 'Yes.',
    replyPace,
  })),
};
const boundary = 'X-reqwest-4bc2';

/** 16 kHz mono; the samples count up from `first`, so recordings are alike where they overlap. */
function wav(seconds: number, first = 0): Buffer {
  const samples = Int16Array.from({ length: seconds * 16_000 }, (_, i) => first + (i % 1000));
  const data = Buffer.from(samples.buffer);
  return Buffer.concat([wavHeader(16_000, 36 + data.length, data.length), data]);
}

function form(file: Buffer | undefined, fields: Record<string, string> = {}): Buffer {
  const part = (head: string, content: Buffer | string): Buffer[] => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ];
  return Buffer.concat([
    ...(file === undefined ? [] : part('name="file"; filename="audio.wav"', file)),
    ...Object.entries(fields).flatMap(([name, value]) => part(`name="${name}"`, value)),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
}

type Ears = Pick<Laboratory<ServiceStandIn>, 'clock' | 'request'>;

function send({ clock, request }: Ears, body: Buffer): Promise<Answer> {
  const type = `multipart/form-data; boundary=${boundary}`;
  const headers = { 'content-type': type, authorization: 'Bearer sk' };
  return clock.run(request('POST', path, { headers, body }));
}

async function hear(ears: Ears, file: Buffer): Promise<string> {
  return (JSON.parse((await send(ears, form(file))).body.toString()) as { text: string }).text;
}

test('a recording is answered with the words of the script after the time of recognition', async (t) => {
  const ears = await dialogueLaboratory('transcription', { script });
  const fields = { model: 'whisper-1', language: 'en', prompt: 'The moon.' };
  const answer = await send(ears, form(wav(1.5), fields));
  t.is(answer.status, 200);
  t.is(answer.headUs, ears.standIn.log[0]!.atUs + 250_000);
  t.deepEqual(JSON.parse(answer.body.toString()), {
    text: 'How far is the moon?',
    usage: { type: 'duration', seconds: 2 },
  });
  t.like(ears.standIn.log[0], {
    request: 1,
    heardSeconds: 1.5,
    text: 'How far is the moon?',
    body: '{"file":"audio.wav, 48044 bytes","model":"whisper-1","language":"en","prompt":"The moon."}',
  });
});

test('the formats text and verbose_json have the words, and the length of the recording', async (t) => {
  const ears = await dialogueLaboratory('transcription', { script });
  const text = await send(ears, form(wav(1), { response_format: 'text' }));
  t.is(text.headers['content-type'], 'text/plain; charset=utf-8');
  t.is(text.body.toString(), 'How far is the moon?\n');
  const options = { response_format: 'verbose_json', language: 'en', model: 'whisper-1' };
  const verbose = JSON.parse((await send(ears, form(wav(1, 7), options))).body.toString());
  t.like(verbose, { task: 'transcribe', language: 'en', duration: 1, text: 'Thank you.' });
  t.like(verbose.segments[0], { start: 0, end: 1, text: 'Thank you.' });
});

test('a recording that grows, and one that is sent again, are the same turn', async (t) => {
  const ears = await dialogueLaboratory('transcription', { script });
  t.is(await hear(ears, wav(0.5)), 'How far is the moon?');
  t.is(await hear(ears, wav(0.9)), 'How far is the moon?', 'EchoKit sends the longer one whole');
  t.is(await hear(ears, wav(0.9)), 'How far is the moon?', 'a retry');
  t.is(await hear(ears, wav(0.5, 3)), 'Thank you.');
  t.is(await hear(ears, wav(0.5, 4)), 'Good night.');
  t.is(await hear(ears, wav(0.5, 5)), 'How far is the moon?', 'from the beginning');
});

test('WAV headers with sizes of 0 and 0xFFFFFFFF and chunks before the data are measured right', async (t) => {
  const ears = await dialogueLaboratory('transcription', { script });
  for (const size of [0, 0xffff_ffff]) {
    const file = Buffer.concat([wavHeader(16_000, size, size), Buffer.alloc(16_000)]);
    await send(ears, form(file));
  }
  const plain = wav(0.25);
  const list = Buffer.from('LIST\x03\x00\x00\x00abc\x00', 'latin1');
  await send(ears, form(Buffer.concat([plain.subarray(0, 36), list, plain.subarray(36)])));
  t.deepEqual(
    ears.standIn.log.map(({ heardSeconds }) => heardSeconds),
    [0.5, 0.5, 0.25],
  );
});

for (const [what, body, param, code] of [
  ['no form', Buffer.from('{}'), null, null],
  ['a form that is cut off', form(wav(1)).subarray(0, 9000), null, null],
  ['no file', form(undefined, { model: 'whisper-1' }), 'file', 'missing_required_parameter'],
  ['a file that is no sound', form(Buffer.from('hello')), 'file', null],
  ['a recording of 50 ms', form(wav(0.05)), 'file', 'audio_too_short'],
  [
    'a format of another model',
    form(wav(1), { model: 'gpt-4o-transcribe', response_format: 'verbose_json' }),
    'response_format',
    'unsupported_value',
  ],
  ['subtitles', form(wav(1), { response_format: 'srt' }), 'response_format', 'stand_in_format'],
] as const) {
  test(`${what}: refused with a JSON that has no text`, async (t) => {
    const ears = await dialogueLaboratory('transcription', { script });
    const answer = await send(ears, body);
    t.is(answer.status, 400);
    const refusal = JSON.parse(answer.body.toString()) as Record<string, object>;
    t.deepEqual(Object.keys(refusal), ['error']);
    t.like(refusal['error'], { type: 'invalid_request_error', param, code });
  });
}

test('faults: refusals, a cut, half of the words, none, no answer', async (t) => {
  const outcomes: unknown[] = [];
  for (const kind of [
    'auth',
    'quota',
    'rate-limit',
    'server',
    'cut',
    'early-end',
    'empty',
  ] as const) {
    const changes = { fault: { kind, afterFraction: 0.5 } };
    const ears = await dialogueLaboratory('transcription', { script, changes });
    const answer = await send(ears, form(wav(1))).catch(() => undefined);
    const { fault, text } = ears.standIn.log[0]!;
    outcomes.push([fault, answer?.status, text]);
  }
  t.deepEqual(outcomes, [
    ['auth', 401, undefined],
    ['quota', 429, undefined],
    ['rate-limit', 429, undefined],
    ['server', 500, undefined],
    ['cut', undefined, undefined],
    ['early-end', 200, 'How far'],
    ['empty', 200, ''],
  ]);
  const changes = { fault: { kind: 'stall', afterFraction: 0 } } as const;
  const ears = await dialogueLaboratory('transcription', { script, changes });
  const { clock, request, standIn } = ears;
  const type = `multipart/form-data; boundary=${boundary}`;
  const headers = { 'content-type': type, authorization: 'Bearer sk' };
  const waiting = request('POST', path, { headers, body: form(wav(1)), abortAfterUs: 10_000_000 });
  await clock.run(waiting.catch(() => undefined));
  await clock.run(clock.sleep(1_000));
  t.like(standIn.log[0], { fault: 'stall', status: 0, outcome: 'aborted' });
});

test('a form gives back its parts, whatever bytes they hold', (t) => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  // Bytes of a file may look like a line break, dashes and a part of the delimiter.
  const nasty = fc.array(fc.constantFrom('\r\n', '--', '--X', boundary.slice(0, -1), 'a', '\n'));
  const content = fc.oneof(
    bytes,
    nasty.map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(content, (file) => {
      const body = form(Buffer.from(file), { model: 'm' });
      const parts = parseForm(`multipart/form-data; charset=x; boundary="${boundary}"`, body)!;
      t.deepEqual([...parts.keys()], ['file', 'model']);
      t.is(parts.get('file')!.filename, 'audio.wav');
      t.deepEqual(Buffer.from(parts.get('file')!.bytes), Buffer.from(file));
      t.is(parts.get('model')!.bytes.toString(), 'm');
      t.is(parseForm(`multipart/form-data; boundary=${boundary}`, body.subarray(0, -6)), undefined);
    }),
    { seed: 1, numRuns: 200 },
  );
});
