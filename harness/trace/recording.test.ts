import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'ava';
import wav from 'wav';
import { readRecording } from './recording-reader.ts';
import { RecordingWriter } from './recording-writer.ts';
import type { TraceHeader } from './trace-event.ts';
import { encodeWav, readWav, WavWriter } from './wav-file.ts';

const header: TraceHeader = {
  type: 'header',
  formatVersion: 1,
  scenario: 's',
  provider: 'p',
  device: 'diy',
  network: 'ideal',
  seed: 1,
  time: 'virtual',
};

function folder(): string {
  return join(mkdtempSync(join(tmpdir(), 'recording-')), 'cell');
}

function ramp(count: number): Int16Array {
  return Int16Array.from({ length: count }, (_, i) => ((i * 977) % 65536) - 32768);
}

function write(path: string): RecordingWriter {
  const writer = new RecordingWriter(path, header);
  writer.event({ source: 'harness', type: 'turnStart', atUs: 0, turn: 1 });
  writer.event({ source: 'user', type: 'speechStop', atUs: 5, turn: 1 });
  writer.userAudio(ramp(10));
  writer.sentAudio(ramp(20));
  writer.providerAudio(2, ramp(30));
  writer.providerAudio(10, ramp(5));
  writer.wire({
    direction: 'received',
    request: 2,
    atUs: 3,
    kind: 'http-body',
    data: Buffer.from('abc'),
  });
  writer.wire({
    direction: 'received',
    request: 2,
    atUs: 4,
    kind: 'http-body',
    data: Buffer.from('de'),
  });
  return writer;
}

test('a finished recording reads back as it was written', (t) => {
  const path = folder();
  const writer = write(path);
  t.false(existsSync(path), 'the final name appears only when finished');
  writer.close(ramp(40));
  writer.finish({ seed: 1 });
  const cell = readRecording(path);
  t.false(cell.partial);
  t.deepEqual(cell.header, header);
  t.deepEqual(
    cell.events.map((event) => [event.seq, event.type]),
    [
      [1, 'turnStart'],
      [2, 'speechStop'],
    ],
  );
  t.deepEqual(cell.speaker, ramp(40));
  t.deepEqual(cell.user, ramp(10));
  t.deepEqual(cell.sent, ramp(20));
  t.deepEqual(
    [...cell.provider].map(([n, audio]) => [n, audio.length]),
    [
      [2, 30],
      [10, 5],
    ],
  );
  t.is(readFileSync(join(path, 'provider/2.received'), 'utf8'), 'abcde');
  t.is(
    readFileSync(join(path, 'provider/2.received.jsonl'), 'utf8'),
    '{"atUs":3,"kind":"http-body","offset":0,"bytes":3}\n{"atUs":4,"kind":"http-body","offset":3,"bytes":2}\n',
  );
});

test('a recording of a killed run opens, says it is partial and drops the torn line', (t) => {
  const path = folder();
  write(path);
  appendFileSync(`${path}.partial/trace.jsonl`, '{"seq":3,"source":"user","ty');
  const cell = readRecording(path);
  t.true(cell.partial);
  t.is(cell.events.length, 2);
  t.deepEqual(cell.sent, ramp(20), 'WAV files without final sizes are read to their end');
});

test('a newer trace format, a damaged line and a missing recording are named', (t) => {
  const path = folder();
  const writer = write(path);
  writer.close(ramp(1));
  writer.finish({});
  const trace = join(path, 'trace.jsonl');
  const text = readFileSync(trace, 'utf8');
  writeFileSync(trace, text.replace('"formatVersion":1', '"formatVersion":99'));
  t.throws(() => readRecording(path), { code: 'RECORDING_VERSION', message: /format 99/ } as never);
  writeFileSync(trace, text.replace('"type":"turnStart"', '"type:'));
  t.throws(() => readRecording(path), {
    code: 'RECORDING_DAMAGED',
    message: /trace\.jsonl:2/,
  } as never);
  t.throws(() => readRecording(`${path}-none`), { code: 'RECORDING_NOT_FOUND' } as never);
});

test('WAV files are read alike by the wav package', async (t) => {
  const samples = ramp(1000);
  const reader = new wav.Reader();
  let format: wav.Format | undefined;
  reader.on('format', (value: wav.Format) => {
    format = value;
  });
  const out = new PassThrough();
  reader.pipe(out);
  reader.end(encodeWav(samples));
  const bytes = Buffer.concat(await out.toArray());
  t.like(format, { audioFormat: 1, channels: 1, sampleRate: 16000, bitDepth: 16 });
  t.deepEqual(bytes, encodeWav(samples).subarray(44));
});

test('a WAV file grows piece by piece and equals one written whole', (t) => {
  const path = `${folder()}.wav`;
  const samples = ramp(500);
  const writer = new WavWriter(path);
  for (const [from, to] of [
    [0, 1],
    [1, 1],
    [1, 400],
    [400, 500],
  ])
    writer.write(samples.subarray(from, to));
  t.deepEqual(readWav(path), samples, 'readable before it is closed');
  writer.close();
  t.deepEqual(readFileSync(path), encodeWav(samples));
});

test('a secret that was echoed is in no file of a recording', (t) => {
  const path = folder();
  const secret = 'sk-canary-0815';
  const writer = new RecordingWriter(path, { ...header, live: `x?key=${secret}` }, [secret]);
  writer.event({
    source: 'provider',
    type: 'responseHead',
    atUs: 0,
    request: 1,
    status: 401,
    requestId: secret,
  });
  for (const piece of [`{"error": "${secret.slice(0, 5)}`, `${secret.slice(5)} is wrong"}`]) {
    writer.wire({
      direction: 'received',
      request: 1,
      atUs: 1,
      kind: 'http-body',
      data: Buffer.from(piece),
    });
  }
  writer.close(ramp(1));
  writer.finish({ plan: { file: secret } });
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  t.true(files.length >= 6);
  for (const { parentPath, name } of files) {
    t.false(readFileSync(join(parentPath, name)).includes(secret), name);
  }
  const received = readFileSync(join(path, 'provider', '1.received'), 'utf8');
  t.is(received, `{"error": "${'*'.repeat(secret.length)} is wrong"}`);
  t.is(readFileSync(join(path, 'provider', '1.received.jsonl'), 'utf8').split('\n').length, 3);
});
