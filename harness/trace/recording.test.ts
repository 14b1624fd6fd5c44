import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'ava';
import wav from 'wav';
import { recordedFiles } from './recorded-files.ts';
import type { RecordingError } from './recording-error.ts';
import { parseTrace, readRecording } from './recording-reader.ts';
import { RecordingWriter } from './recording-writer.ts';
import type { TraceHeader } from './trace-event.ts';
import { encodeWav, readWav, WavWriter } from './wav-file.ts';
import { readWire } from './wire-traffic.ts';

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

/** A finished recording with a connection to a provider. */
function finished(): string {
  const path = folder();
  const writer = write(path);
  writer.wireEvent(1, { type: 'dial', atUs: 1, host: 'speech.test', port: 443, secure: true });
  writer.wireEvent(1, { type: 'open', atUs: 2 });
  writer.wireEvent(1, { type: 'received', atUs: 3, bytes: 4 }, Buffer.from('abcd'));
  writer.wireEvent(1, { type: 'closed', atUs: 4 });
  writer.close(ramp(40));
  writer.finish({ formatVersion: 1 });
  return path;
}

test('of a finished recording every file that is gone, cut or changed is damage, and named', (t) => {
  const path = finished();
  const names = recordedFiles(path).map(({ name }) => name);
  t.true(
    ['speaker.wav', 'trace.jsonl', 'provider/wire/1.received'].every((name) =>
      names.includes(name),
    ),
  );
  for (const name of names) {
    const file = join(path, name);
    const content = readFileSync(file);
    const damage: readonly (readonly [string, () => void])[] = [
      ['cut', () => writeFileSync(file, content.subarray(0, -1))],
      [
        'changed',
        () =>
          writeFileSync(
            file,
            content.map((byte, at) => (at === content.length - 1 ? byte ^ 1 : byte)),
          ),
      ],
      ['gone', () => rmSync(file)],
    ];
    for (const [what, plant] of content.length === 0 ? damage.slice(2) : damage) {
      plant();
      const error = t.throws(
        () => readRecording(path),
        { name: 'RecordingError' },
        `${name} ${what}`,
      );
      const isTrace = name === 'trace.jsonl' && what === 'gone';
      t.is((error as RecordingError).code, isTrace ? 'RECORDING_NOT_FOUND' : 'RECORDING_DAMAGED');
      t.true(error!.message.includes(isTrace ? 'trace.jsonl' : name), error!.message);
      writeFileSync(file, content);
    }
  }
  t.notThrows(() => readRecording(path));
  writeFileSync(join(path, 'manifest.toml'), 'formatVersion = ');
  t.throws(() => readRecording(path), { message: /manifest\.toml: it is not valid TOML/ });
});

test('a finished recording of an older version has no list, and must have its sounds and bytes', (t) => {
  const path = finished();
  writeFileSync(join(path, 'manifest.toml'), 'formatVersion = 1\n');
  t.notThrows(() => readRecording(path));
  t.is(readWire(path)[0]!.steps.length, 4);
  const received = join(path, 'provider/wire/1.received');
  truncateSync(received, 1);
  t.throws(() => readWire(path), { message: /1\.received: 3 bytes or more are missing/ });
  writeFileSync(received, 'abcd');
  const lines = join(path, 'provider/wire/1.jsonl');
  truncateSync(lines, statSync(lines).size - 5);
  t.throws(() => readWire(path), { message: /1\.jsonl:4: the last line is torn/ });
  rmSync(join(path, 'manifest.toml'));
  t.is(readWire(path)[0]!.steps.length, 3, 'of a partial one what is there');
  writeFileSync(join(path, 'manifest.toml'), 'formatVersion = 1\n');
  rmSync(join(path, 'speaker.wav'));
  t.throws(() => readRecording(path), { message: /speaker\.wav: it is missing/ });
});

test('what is no line of a trace is told with its number; a partial trace ends before it', (t) => {
  const line = (atUs: number): string =>
    JSON.stringify({ seq: 1, source: 'harness', type: 'turnStart', turn: 1, atUs });
  const head = Buffer.from(`${JSON.stringify(header)}\n${line(1)}\n`);
  for (const [bad, message] of [
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a]), /x\.jsonl:3: it is not UTF-8/],
    [Buffer.from('{"seq":\n'), /x\.jsonl:3: .*JSON/],
    [Buffer.from('null\n'), /x\.jsonl:3: it is not a JSON object/],
    [Buffer.from('[1]\n'), /x\.jsonl:3: it is not a JSON object/],
    [Buffer.alloc(64), /x\.jsonl:3: the last line is torn/],
    [Buffer.from(line(2)), /x\.jsonl:3: the last line is torn/],
    [Buffer.from('{"text":"\u20ac').subarray(0, -1), /x\.jsonl:3: the last line is torn/],
  ] as const) {
    const trace = Buffer.concat([head, bad]);
    const error = t.throws(() => parseTrace(trace, 'x.jsonl', false), { message });
    t.is((error as RecordingError).code, 'RECORDING_DAMAGED');
    t.is(parseTrace(trace, 'x.jsonl', true).events.length, 1);
  }
  t.throws(() => parseTrace(Buffer.from('{"type":"head'), 'x.jsonl', true), {
    message: /x\.jsonl:1/,
  });
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
