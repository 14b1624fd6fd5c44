import { createRequire } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import { openFfmpeg } from '../../harness/audio-files/ffmpeg.ts';
import { createRandom } from '../../harness/random/random.ts';
import { encodeServerEvent } from '../server-event.ts';
import { AdpcmEncoder, adpcmBytes, decodeAdpcm } from './adpcm.ts';
import { cobsDecode, cobsEncode, cobsMaximumBytes } from './cobs.ts';
import { SerialLinkEndpoint, type SerialLinkEvent, type SerialLinkSettings } from './endpoint.ts';
import { encodeSerialLinkFrame, SerialLinkDecoder, serialLinkWireBytes } from './frame.ts';
import {
  decodeSerialLinkAudio,
  encodeSerialLinkAudio,
  type SerialLinkCoding,
  type SerialLinkMessage,
} from './message.ts';
import { everyFault, joined, NoisyLine } from './noisy-line.contract.ts';
import { bytesOf, hexOf, vectorItems } from './serial-link-vectors.contract.ts';

/** Two ends and the lines between them, in virtual time. */
class Pair {
  nowUs = 0;
  readonly lines: Record<'toBoard' | 'toHost', NoisyLine>;
  readonly events: Record<'host' | 'board', SerialLinkEvent[]> = { host: [], board: [] };
  readonly host: SerialLinkEndpoint;
  readonly board: SerialLinkEndpoint;
  readonly #numbers = createRandom(1, 'sessions');
  readonly #bytesPerSecond: number;

  constructor(
    options: {
      readonly host?: Partial<SerialLinkSettings>;
      readonly board?: Partial<SerialLinkSettings>;
      readonly meanBytesBetween?: number;
      readonly baud?: number;
    } = {},
  ) {
    const { meanBytesBetween = Number.POSITIVE_INFINITY, baud = 115_200 } = options;
    const line = (label: string): NoisyLine =>
      new NoisyLine(baud, createRandom(2, label), { meanBytesBetween, weights: everyFault });
    this.#bytesPerSecond = baud / 10;
    this.lines = { toBoard: line('to board'), toHost: line('to host') };
    this.host = this.make('host', options.host);
    this.board = this.make('board', {
      capabilities: ['inject-microphone', 'tap-speaker', 'keys', 'log-level'],
      ...options.board,
    });
    this.host.start(0);
    this.board.start(0);
  }

  make(role: 'host' | 'board', settings: Partial<SerialLinkSettings> = {}): SerialLinkEndpoint {
    const line = this.lines[role === 'host' ? 'toBoard' : 'toHost'];
    return new SerialLinkEndpoint({
      role,
      bytesPerSecond: this.#bytesPerSecond,
      newSession: () => this.#numbers.integer(1, 0xffff_ffff),
      output: (bytes) => line.write(bytes, this.nowUs),
      onEvent: (event) => this.events[role].push(event),
      ...settings,
    });
  }

  /** Up to this instant, or until nothing more is said. */
  run(untilUs: number): void {
    for (;;) {
      const { host, board } = this;
      const { toHost, toBoard } = this.lines;
      const nextUs = Math.min(
        host.nextDeadlineUs(),
        board.nextDeadlineUs(),
        toHost.nextUs,
        toBoard.nextUs,
      );
      if (nextUs > untilUs) break;
      this.nowUs = Math.max(this.nowUs, nextUs);
      while (toBoard.nextUs <= this.nowUs) board.receive(toBoard.take(), this.nowUs);
      while (toHost.nextUs <= this.nowUs) host.receive(toHost.take(), this.nowUs);
      if (host.nextDeadlineUs() <= this.nowUs) host.due(this.nowUs);
      if (board.nextDeadlineUs() <= this.nowUs) board.due(this.nowUs);
    }
    this.nowUs = untilUs;
  }

  kinds(role: 'host' | 'board'): string[] {
    return this.events[role].map(({ kind }) => kind);
  }
}

const event = (length: number) =>
  ({ type: 'server-event', bytes: new Uint8Array(length).fill(7) }) as const;
const key = { type: 'key', key: 'k0', action: 'tap', durationMs: 200 } as const;

test('two ends that start at once are connected and know each other', (t) => {
  const pair = new Pair({
    host: { name: 'harness' },
    board: { name: 'box 0.3.2 你好', window: 4 },
  });
  pair.run(100_000);
  t.deepEqual(pair.kinds('host'), ['connected']);
  t.deepEqual(pair.kinds('board'), ['connected']);
  t.like(pair.host.peer, { role: 'board', name: 'box 0.3.2 你好', window: 4, version: 1 });
  t.deepEqual(pair.host.peer?.capabilities, [
    'inject-microphone',
    'tap-speaker',
    'keys',
    'log-level',
  ]);
  t.like(pair.board.peer, { role: 'host', name: 'harness', frameMaximumBytes: 360 });
});

test('an urgent message overtakes what waits', (t) => {
  const pair = new Pair();
  pair.run(100_000);
  for (let i = 0; i < 20; i++) pair.host.send(event(1000), pair.nowUs);
  pair.host.send(key, pair.nowUs);
  pair.run(3_000_000);
  const types = pair.events.board.flatMap((e) => (e.kind === 'message' ? e.message.type : []));
  t.is(types.length, 21);
  // Within the window of frames that are on their way.
  t.true(types.indexOf('key') <= 2, `${types.indexOf('key')} came before it`);
});

test('a receiver with room for two messages gets two, and one more for each it grants', (t) => {
  const pair = new Pair({ board: { room: 2 } });
  pair.run(100_000);
  for (let i = 0; i < 6; i++) pair.host.send(event(900), pair.nowUs);
  const received = () => pair.events.board.filter(({ kind }) => kind === 'message').length;
  pair.run(4_000_000);
  t.is(received(), 2);
  t.is(pair.host.waitingBytes, 3600);
  for (let i = 3; i <= 6; i++) {
    pair.board.grant(1, pair.nowUs);
    pair.run(pair.nowUs + 2_000_000);
    t.is(received(), i);
  }
  t.is(pair.host.waitingBytes, 0);
  t.is(pair.host.statistics.framesRepeated, 0);
  t.deepEqual(pair.kinds('host').includes('disconnected'), false);
});

test('the clock of the other end is read between ping and pong', (t) => {
  const pair = new Pair();
  pair.run(100_000);
  pair.host.ping(pair.nowUs);
  pair.run(200_000);
  const pong = pair.events.host.find((e) => e.kind === 'pong');
  t.true(pong!.peerClockUs > 100_000 && pong!.peerClockUs < 100_000 + pong!.roundTripUs);
});

test('when a side restarts at any moment on a bad line, each message is told as delivered or not, once', (t) => {
  const random = createRandom(17, 'restarts');
  let undelivered = 0;
  for (let round = 0; round < 40; round++) {
    const pair = new Pair({ meanBytesBetween: 3000 });
    const numbers: number[] = [];
    const speak = (): void => {
      if (pair.host.state === 'connected') {
        numbers.push(pair.host.send(event(random.integer(1, 1500)), pair.nowUs));
      }
    };
    pair.run(random.integer(0, 400_000));
    for (let i = 0; i < 10; i++) speak();
    pair.run(pair.nowUs + random.integer(0, 500_000));
    const restarted = random.next() < 0.5 ? pair.board : pair.host;
    restarted.start(pair.nowUs);
    pair.run(pair.nowUs + random.integer(0, 400_000));
    for (let i = 0; i < 3; i++) speak();
    pair.run(pair.nowUs + 12_000_000);
    t.is(pair.host.state, 'connected');
    t.is(pair.board.state, 'connected');
    const told = pair.events.host.flatMap((e) =>
      e.kind === 'delivered' ? [e.number] : e.kind === 'disconnected' ? e.undelivered : [],
    );
    t.deepEqual(
      [...told].sort((a, b) => a - b),
      numbers,
    );
    const delivered = pair.events.host.filter(({ kind }) => kind === 'delivered').length;
    const received = pair.events.board.filter(({ kind }) => kind === 'message').length;
    t.true(received >= delivered && received <= numbers.length);
    undelivered += numbers.length - delivered;
  }
  t.true(undelivered > 20, 'the restarts struck messages on their way');
});

test('a board that never answers is asked again and again, and nothing is kept', (t) => {
  let hellos = 0;
  const host = new SerialLinkEndpoint({
    role: 'host',
    newSession: () => 1,
    output: () => hellos++,
    onEvent: () => t.fail(),
  });
  host.start(0);
  while (host.nextDeadlineUs() < 60_000_000) host.due(host.nextDeadlineUs());
  t.is(hellos, 1 + 3 + 30 - 1);
  t.throws(() => host.send(event(1), 0), { code: 'FP_SERIAL_LINK_NOT_CONNECTED' });
  t.throws(() => host.ping(0), { code: 'FP_SERIAL_LINK_NOT_CONNECTED' });
});

test('what the other end cannot take is refused before it is sent', (t) => {
  const pair = new Pair({ board: { capabilities: [], messageMaximumBytes: 500 } });
  pair.run(100_000);
  const audio = encodeSerialLinkAudio(new Int16Array(300), new AdpcmEncoder());
  const cases = [
    [event(501), 'FP_SERIAL_LINK_TOO_LONG'],
    [key, 'FP_SERIAL_LINK_NOT_OFFERED'],
    [
      { type: 'microphone', start: true, end: true, position: 0, audio },
      'FP_SERIAL_LINK_NOT_OFFERED',
    ],
    [{ type: 'client-command', text: '{}' }, 'FP_SERIAL_LINK_DIRECTION'],
  ] as const;
  for (const [message, code] of cases) {
    t.throws(() => pair.host.send(message, pair.nowUs), { code });
  }
  t.throws(() => pair.host.send(event(1), pair.nowUs, { loose: true }), {
    code: 'FP_SERIAL_LINK_DIRECTION',
  });
  const tap = { type: 'speaker', position: 0, audio: { coding: 's16le' } } as const;
  const long = { ...tap, audio: { ...tap.audio, bytes: new Uint8Array(354) } };
  t.throws(() => pair.board.send(long, pair.nowUs, { loose: true }), {
    code: 'FP_SERIAL_LINK_TOO_LONG',
  });
  t.throws(() => pair.board.send({ ...tap, position: -1, audio: long.audio }, pair.nowUs), {
    code: 'FP_SERIAL_LINK_FIELD',
  });
  // To a host, which has no microphone to offer, the board reports its keys freely.
  t.notThrows(() => pair.board.send(key, pair.nowUs));
  t.notThrows(() => pair.host.send(event(500), pair.nowUs));
});

test('limits out of their range are refused', (t) => {
  const make = (settings: Partial<SerialLinkSettings>) => () => new Pair({ host: settings });
  for (const settings of [
    { frameMaximumBytes: 95 },
    { frameMaximumBytes: 4097 },
    { window: 0 },
    { window: 65 },
    { messageMaximumBytes: 1.5 },
  ]) {
    t.throws(make(settings), { code: 'FP_SERIAL_LINK_SETTING' });
  }
});

test('the smallest frames and the largest carry the same messages', (t) => {
  for (const frameMaximumBytes of [96, 4096]) {
    const pair = new Pair({ host: { frameMaximumBytes }, board: { frameMaximumBytes: 4096 } });
    pair.run(500_000);
    for (const length of [0, 1, 89, 90, 91, 4089, 4090, 4091, 10_000]) {
      pair.host.send(event(length), pair.nowUs);
    }
    pair.run(20_000_000);
    const lengths = pair.events.board.flatMap((e) =>
      e.kind === 'message' && e.message.type === 'server-event' ? e.message.bytes.length : [],
    );
    t.deepEqual(lengths, [0, 1, 89, 90, 91, 4089, 4090, 4091, 10_000]);
  }
});

test('loose messages that the line cannot carry are dropped, the oldest first', (t) => {
  const pair = new Pair();
  pair.run(100_000);
  for (let position = 0; position < 50; position++) {
    const audio = { coding: 's16le', bytes: new Uint8Array(300) } as const;
    pair.board.send({ type: 'speaker', position, audio }, pair.nowUs, { loose: true });
  }
  pair.run(1_000_000);
  const positions = pair.events.host.flatMap((e) =>
    e.kind === 'message' && e.loose && e.message.type === 'speaker' ? e.message.position : [],
  );
  t.is(positions.at(-1), 49);
  t.is(positions.length + pair.board.statistics.looseDropped, 50);
});

// What SL says under "What fits": what, on the side of whom, so many times in 6 s, bytes per second.
const loads: readonly (readonly [
  string,
  'host' | 'board',
  number,
  (index: number) => SerialLinkMessage,
  number,
])[] = [
  ['opus as array', 'host', 50, () => chunk(360, 'canonical'), 4900],
  ['opus as bin', 'host', 50, () => chunk(360, 'bin'), 3300],
  ['PCM as array', 'host', 12, () => chunk(16_000, 'canonical'), 50_600],
  ['PCM upload', 'board', 12, () => upload(bytes(16_000), 's16le'), 34_000],
  ['ADPCM upload', 'board', 12, () => upload(adpcm(8000), 'ima-adpcm'), 8600],
  ['PCM tap', 'board', 60, (i) => tap(i * 1600, bytes(3200), 's16le'), 34_000],
];
const noise = createRandom(3, 'loads');
const bytes = (count: number): Uint8Array => noise.bytes(count);
const adpcm = (samples: number): Uint8Array => new AdpcmEncoder().encode(new Int16Array(samples));
const chunk = (count: number, form: 'canonical' | 'bin'): SerialLinkMessage => ({
  type: 'server-event',
  bytes: encodeServerEvent({ type: 'AudioChunk', data: bytes(count) }, { form }),
});
const upload = (audio: Uint8Array, coding: SerialLinkCoding): SerialLinkMessage => ({
  type: 'upload-audio',
  audio: { coding, bytes: audio },
});
const tap = (position: number, audio: Uint8Array, coding: SerialLinkCoding): SerialLinkMessage => ({
  type: 'speaker',
  position,
  audio: { coding, bytes: audio },
});

for (const [what, from, times, make, bytesPerSecond] of loads) {
  test(`${what} takes the bytes of the line that the specification says`, (t) => {
    const pair = new Pair({ baud: 921_600, host: { capabilities: ['ima-adpcm'] } });
    pair.run(100_000);
    const end = pair[from];
    const before = end.statistics.bytesSent;
    for (let i = 0; i < times; i++) {
      end.send(make(i), pair.nowUs);
      pair.run(pair.nowUs + 6_000_000 / times);
    }
    t.is(end.waitingBytes, 0);
    const found = (end.statistics.bytesSent - before) / 6;
    t.true(Math.abs(found / bytesPerSecond - 1) < 0.03, `${found.toFixed(0)} bytes/s`);
  });
}

// ---- properties ----

const streams = fc.array(
  fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }).map((body) => encodeSerialLinkFrame(body)),
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    fc.string({ unit: 'binary', maxLength: 40 }).map((text) => new TextEncoder().encode(text)),
    fc.constant(Uint8Array.of(0, 0xc1)),
  ),
  { maxLength: 12 },
);

test('however bytes are cut, the same is found in them', (t) => {
  fc.assert(
    fc.property(streams, fc.array(fc.integer({ min: 1, max: 50 })), (parts, sizes) => {
      const bytes = joined(...parts);
      const whole = new SerialLinkDecoder();
      const cut = new SerialLinkDecoder();
      const found = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const end = at + (sizes[i % sizes.length] ?? 1);
        found.push(...cut.push(bytes.subarray(at, end)));
        at = end;
      }
      const expected = [...whole.push(bytes), ...whole.giveUp()];
      t.deepEqual(vectorItems([...found, ...cut.giveUp()]), vectorItems(expected));
      t.deepEqual(cut.counts, whole.counts);
    }),
    { seed: 5, numRuns: 1000 },
  );
});

test('frames among any text are all found, with the text between them as it was', (t) => {
  const printable = fc
    .string({ unit: 'grapheme', maxLength: 60 })
    .map((text) => new TextEncoder().encode(text.replaceAll('\0', '')));
  const body = fc.uint8Array({ minLength: 1, maxLength: 360 });
  fc.assert(
    fc.property(fc.array(fc.tuple(printable, body), { maxLength: 8 }), (parts) => {
      const decoder = new SerialLinkDecoder();
      const expected = parts.flatMap(([text, frame]) => [
        ...(text.length > 0 ? [{ text: hexOf(text) }] : []),
        { frame: hexOf(frame) },
      ]);
      const wire = joined(
        ...parts.flatMap(([text, frame]) => [text, encodeSerialLinkFrame(frame)]),
      );
      t.deepEqual(vectorItems(decoder.push(wire)), expected);
    }),
    { seed: 6, numRuns: 500 },
  );
});

test('stuffed bytes have no zero, are no longer than announced, and give the bytes back', (t) => {
  const bytes = fc.array(fc.oneof({ weight: 3, arbitrary: fc.nat(255) }, fc.constant(0)), {
    maxLength: 1200,
    size: 'max',
  });
  fc.assert(
    fc.property(bytes, (values) => {
      const plain = Uint8Array.from(values);
      const stuffed = cobsEncode(plain);
      t.false(stuffed.includes(0));
      t.true(stuffed.length <= cobsMaximumBytes(plain.length));
      t.true(encodeSerialLinkFrame(plain).length <= serialLinkWireBytes(plain.length));
      t.deepEqual(cobsDecode(stuffed), plain);
    }),
    { seed: 7, numRuns: 500 },
  );
});

test('any one to four wrong bits in a frame of the recommended size are found', (t) => {
  const random = createRandom(23, 'bits');
  const frame = encodeSerialLinkFrame(random.bytes(360));
  for (let round = 0; round < 4000; round++) {
    const bytes = frame.slice();
    const flips = 1 + (round % 4);
    for (let i = 0; i < flips; i++) {
      bytes[random.integer(1, bytes.length - 2)]! ^= 1 << random.integer(0, 7);
    }
    if (Buffer.compare(bytes, frame) === 0) continue;
    const decoder = new SerialLinkDecoder();
    decoder.push(bytes);
    t.is(decoder.counts.frames, 0);
  }
});

test('random bytes are no frame, and whatever comes is text, damage or a frame', (t) => {
  const random = createRandom(29, 'garbage');
  const decoder = new SerialLinkDecoder();
  const endpoint = new SerialLinkEndpoint({
    role: 'host',
    newSession: () => 1,
    output: () => {},
    onEvent: () => {},
  });
  endpoint.start(0);
  for (let i = 0; i < 2000; i++) {
    const bytes = random.bytes(random.integer(1, 600));
    for (let k = 0; k + 1 < bytes.length; k += 90) bytes.set([0, 0xc1], k);
    decoder.push(bytes);
    endpoint.receive(bytes, i * 1000);
  }
  t.is(decoder.counts.frames, 0);
  t.true(decoder.counts.damaged.check > 1000);
});

test('nothing that was handed in is kept, and nothing handed out is shared', (t) => {
  const piece = Buffer.from(
    joined(bytesOf('616263'), encodeSerialLinkFrame(Uint8Array.of(1, 2, 3))),
  );
  const decoder = new SerialLinkDecoder();
  const items = decoder.push(piece);
  piece.fill(0xee);
  t.deepEqual(vectorItems(items), [{ text: '616263' }, { frame: '010203' }]);
  const pair = new Pair();
  pair.run(100_000);
  const message = { type: 'server-event', bytes: Buffer.from([1, 2, 3]) } as const;
  pair.host.send(message, pair.nowUs);
  for (let i = 0; i < 40; i++) pair.host.send(event(1000), pair.nowUs);
  const last = { type: 'server-event', bytes: Buffer.from([4, 5]) } as const;
  pair.host.send(last, pair.nowUs);
  message.bytes.fill(0);
  last.bytes.fill(0);
  pair.run(10_000_000);
  const received = pair.events.board.flatMap((e) =>
    e.kind === 'message' && e.message.type === 'server-event' ? [e.message.bytes] : [],
  );
  t.is(hexOf(received[0]!), '010203');
  t.is(hexOf(received.at(-1)!), '0405');
});

test('ADPCM keeps the number of samples and stays near a voice', (t) => {
  const encoder = new AdpcmEncoder();
  let power = 0;
  let error = 0;
  for (let block = 0; block < 50; block++) {
    const samples = Int16Array.from({ length: 160 + (block % 3) }, (_, i) =>
      Math.round(6000 * Math.sin(i * 0.11) + 2500 * Math.sin(i * 0.31 + block)),
    );
    const audio = encodeSerialLinkAudio(samples, encoder);
    t.is(audio.bytes.length, adpcmBytes(samples.length));
    const back = decodeSerialLinkAudio(audio)!;
    t.is(back.length, samples.length);
    t.is(back[0], samples[0]);
    for (const [i, sample] of samples.entries()) {
      power += sample ** 2;
      error += (sample - back[i]!) ** 2;
    }
  }
  t.true(10 * Math.log10(power / error) > 20);
  t.is(decodeAdpcm(new Uint8Array(0))!.length, 0);
});

test('ffmpeg plays a block of ADPCM nearly as it is decoded here', (t) => {
  const { path } = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string };
  const samples = Int16Array.from({ length: 1017 }, (_, i) => Math.round(9000 * Math.sin(i * 0.2)));
  const block = new AdpcmEncoder().encode(samples);
  t.is(block.length, 512);
  const head = Buffer.alloc(60);
  head.write('RIFF', 0);
  head.writeUInt32LE(52 + block.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(20, 16);
  for (const [at, value] of [
    [20, 0x11],
    [22, 1],
    [32, block.length],
    [34, 4],
    [36, 2],
    [38, samples.length],
  ] as const) {
    head.writeUInt16LE(value, at);
  }
  head.writeUInt32LE(16_000, 24);
  head.writeUInt32LE(8000, 28);
  head.write('fact', 40);
  head.writeUInt32LE(4, 44);
  head.writeUInt32LE(samples.length, 48);
  head.write('data', 52);
  head.writeUInt32LE(block.length, 56);
  const played = openFfmpeg(path).run(
    ['-v', 'error', '-f', 'wav', '-i', 'pipe:0', '-f', 's16le', 'pipe:1'],
    joined(head, block),
  );
  const expected = decodeAdpcm(block)!;
  t.is(played.length, 2 * expected.length);
  // ffmpeg multiplies where the standard adds shifted steps, so its last bits differ; those of the vectors do not.
  const apart = Array.from(expected, (sample, i) => Math.abs(sample - played.readInt16LE(2 * i)));
  t.true(Math.max(...apart) < 50, `${Math.max(...apart)}`);
});
