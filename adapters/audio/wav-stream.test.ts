import test from 'ava';
import fc from 'fast-check';
import {
  bytesOf,
  chunk,
  cut,
  latin,
  pcmBytes,
  wavBytes,
  wavHeader,
} from './wav-fixture.contract.ts';
import { type PcmFormat, sniffContent, WavError, WavStream } from './wav-stream.ts';

interface Reading {
  readonly data: Buffer;
  readonly restarts: number;
  readonly format: PcmFormat | undefined;
  readonly ignored: number;
}

function read(pieces: readonly Uint8Array[]): Reading {
  const wav = new WavStream();
  const parts: Uint8Array[] = [];
  let restarts = 0;
  for (const bytes of [...pieces, undefined]) {
    // The reader may not keep the caller's buffer: it is overwritten at once.
    const mine = bytes?.slice();
    for (const piece of mine === undefined ? wav.end() : wav.push(mine)) {
      parts.push(piece.data.slice());
      if (piece.restart) restarts++;
    }
    mine?.fill(0xee);
  }
  return { data: Buffer.concat(parts), restarts, format: wav.format, ignored: wav.ignoredBytes };
}

const single = (bytes: Uint8Array): Uint8Array[] => [...bytes].map((byte) => Uint8Array.of(byte));
const data = Uint8Array.from({ length: 400 }, (_, i) => (i * 37 + 11) & 0xff);
const mono24k = { rateHz: 24_000 };

/** Name, bytes, and the sample data that must come out. Sizes are those of section 2.2. */
const variants: readonly (readonly [string, Uint8Array, Uint8Array])[] = [
  ['honest sizes', wavBytes(data, mono24k), data],
  ['OpenAI, Kokoro: both sizes 0xFFFFFFFF', placeholder(0xffff_ffff, 0xffff_ffff), data],
  ['ElevenLabs: 0x7FFFFFFF', placeholder(0x7fff_ffff, 0x7fff_ffff), data],
  ['Fish: 0xFFFFFF24 and 0xFFFFFF00', placeholder(0xffff_ff24, 0xffff_ff00), data],
  ['GPT-SoVITS: 36 and 0', placeholder(36, 0), data],
  ['Azure: 0 and 0', placeholder(0, 0), data],
  ['pocket-tts: 2000000000', placeholder(2_000_000_036, 2_000_000_000), data],
  ['gsv_tts: two bytes too large', placeholder(438, 402), data],
  ['much larger than the body, below every placeholder', placeholder(1_000_036, 1_000_000), data],
  [
    'a LIST chunk before the data',
    wavBytes(data, { ...mono24k, before: chunk('LIST', latin('INFOISFT\x04\0\0\0Lavf')) }),
    data,
  ],
  [
    'an odd chunk with its padding before the data',
    wavBytes(data, { ...mono24k, before: chunk('junk', Uint8Array.of(1, 2, 3)) }),
    data,
  ],
  [
    'a LIST chunk after data of honest size',
    wavBytes(data, { ...mono24k, after: chunk('LIST', latin('INFOICMTclick!!')) }),
    data,
  ],
  [
    'junk that is no chunk after data of honest size',
    wavBytes(data, { ...mono24k, after: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) }),
    data,
  ],
  [
    'an odd count, padded, with a chunk behind it',
    wavBytes(data.subarray(0, 399), {
      ...mono24k,
      after: bytesOf(Uint8Array.of(0), chunk('LIST', latin('INFO'))),
    }),
    data.subarray(0, 399),
  ],
  [
    'an odd count without the padding, with a chunk behind it',
    wavBytes(data.subarray(0, 399), { ...mono24k, after: chunk('LIST', latin('INFO')) }),
    data.subarray(0, 399),
  ],
  [
    'Inworld: a whole WAV per chunk, honest sizes',
    bytesOf(wavBytes(data.subarray(0, 100), mono24k), wavBytes(data.subarray(100), mono24k)),
    data,
  ],
  [
    'old Kokoro: a header with placeholder sizes per chunk',
    bytesOf(
      ...[0, 100, 200, 300].flatMap((at) => [
        wavHeader(0, { ...mono24k, dataSize: 0xffff_ffff, riffSize: 0xffff_ffff }),
        data.subarray(at, at + 100),
      ]),
    ),
    data,
  ],
  [
    'a stream that ends in the first bytes of a repeated header',
    bytesOf(placeholder(0, 0), latin('RIFF\x01\x02\x03\x04WA')),
    bytesOf(data, latin('RIFF\x01\x02\x03\x04WA')),
  ],
  [
    'sample data that holds the letters RIFF',
    wavBytes(bytesOf(data, latin('RIFFRIFFRRIFF WAVE')), mono24k),
    bytesOf(data, latin('RIFFRIFFRRIFF WAVE')),
  ],
  ['no samples at all', wavBytes(new Uint8Array(0), mono24k), new Uint8Array(0)],
];

function placeholder(riffSize: number, dataSize: number): Uint8Array {
  return wavBytes(data, { ...mono24k, riffSize, dataSize });
}

for (const [name, bytes, truth] of variants) {
  test(`reads ${name}, in one piece, byte by byte and cut anywhere`, (t) => {
    const whole = read([bytes]);
    t.deepEqual(whole.data, Buffer.from(truth));
    t.deepEqual(whole.format, { encoding: 'integer', bits: 16, channels: 1, rateHz: 24_000 });
    t.deepEqual(read(single(bytes)), whole);
    t.notThrows(() =>
      fc.assert(
        fc.property(fc.array(fc.nat(1_000), { maxLength: 8 }), (places) => {
          t.deepEqual(read(cut(bytes, places)), whole);
        }),
        { numRuns: 30, seed: 1 },
      ),
    );
  });
}

test('a header in mid stream marks where frames start anew', (t) => {
  const half = wavBytes(data, mono24k);
  t.is(read([bytesOf(half, half)]).restarts, 2);
});

test('what was ignored behind the data is counted', (t) => {
  const after = chunk('LIST', latin('INFOabcd'));
  t.is(read([wavBytes(data, { ...mono24k, after })]).ignored, after.length);
});

test('the format is taken from the header, in its plain and its extensible form', (t) => {
  for (const [encoding, bits] of [
    ['integer', 8],
    ['integer', 16],
    ['integer', 24],
    ['integer', 32],
    ['float', 32],
    ['float', 64],
  ] as const) {
    for (const extensible of [false, true]) {
      const bytes = wavBytes(new Uint8Array(48), {
        rateHz: 44_100,
        channels: 2,
        bits,
        float: encoding === 'float',
        extensible,
      });
      t.deepEqual(read([bytes]).format, { encoding, bits, channels: 2, rateHz: 44_100 });
    }
  }
});

test('another content is named, whatever the size of the first read', (t) => {
  const contents: [string, Uint8Array][] = [
    ['MP3', Uint8Array.of(0xff, 0xfb, 0x90, 0xc4, ...new Uint8Array(60))],
    ['MP3', bytesOf(latin('ID3\x04\0\0'), new Uint8Array(60))],
    ['Ogg', bytesOf(latin('OggS\0\x02'), new Uint8Array(60))],
    ['FLAC', bytesOf(latin('fLaC'), new Uint8Array(60))],
    ['JSON', latin('{"error":{"message":"The model is overloaded."}}')],
    ['HTML', latin('<!DOCTYPE html><html><body>Bad gateway</body></html>')],
    ['JSON', latin('{"a":1}')],
  ];
  for (const [found, bytes] of contents) {
    for (const pieces of [[bytes], single(bytes)]) {
      const error = t.throws(() => read(pieces), { instanceOf: WavError });
      t.is(error?.code, 'WAV_NOT_WAV');
      t.is(error?.found, found);
    }
  }
  t.regex(
    t.throws(() => read([latin('{"error":{"message":"The model is overloaded."}}')])).message,
    /The model is overloaded/,
  );
  t.is(t.throws<WavError>(() => read([new Uint8Array(100)])).code, 'WAV_NOT_WAV');
});

test('a stream that ends inside its header is an error with the count', (t) => {
  const header = wavHeader(10, mono24k);
  for (const length of [0, 1, 4, 11, 12, 30, 43]) {
    const error = t.throws<WavError>(() => read([header.subarray(0, length)]));
    t.is(error.code, 'WAV_ENDED_IN_HEADER');
    t.true(error.message.includes(`${length} bytes`));
  }
});

test('encodings that are not linear PCM are refused by name', (t) => {
  const header = wavHeader(10, { ...mono24k, bits: 8 });
  header[20] = 7;
  const error = t.throws<WavError>(() => read([header]));
  t.is(error.code, 'WAV_UNSUPPORTED_FORMAT');
  t.true(error.message.includes('µ-law'));
});

test('a header that cannot be right is refused', (t) => {
  const bad = (change: (header: Uint8Array) => void): WavError => {
    const header = wavHeader(10, mono24k);
    change(header);
    return t.throws<WavError>(() => read([header]));
  };
  t.is(bad((header) => header.fill(0, 24, 28)).code, 'WAV_BAD_HEADER', 'rate 0');
  t.is(bad((header) => header.fill(0, 22, 24)).code, 'WAV_BAD_HEADER', 'no channel');
  t.is(bad((header) => header.set(latin('data'), 12)).code, 'WAV_BAD_HEADER', 'data before fmt');
  t.is(bad((header) => header.set([0, 1, 2, 3], 36)).code, 'WAV_BAD_HEADER', 'no chunk id');
});

test('a header without end is given up', (t) => {
  const bytes = wavBytes(new Uint8Array(2), {
    ...mono24k,
    before: chunk('junk', new Uint8Array((1 << 20) + 10)),
  });
  t.is(t.throws<WavError>(() => read([bytes])).code, 'WAV_HEADER_TOO_LONG');
});

test('random bytes never do anything but be read or be refused', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(43), (junk, keep) => {
        try {
          read([bytesOf(wavHeader(10, mono24k).subarray(0, keep), junk)]);
        } catch (error) {
          if (!(error instanceof WavError)) throw error;
        }
      }),
      { numRuns: 300, seed: 1 },
    ),
  );
});

test('nothing is sniffed in silence or in ordinary samples', (t) => {
  t.is(sniffContent(new Uint8Array(64)), undefined);
  t.is(sniffContent(Uint8Array.of(1, 0, 254, 255, 3, 0)), undefined);
});

test('a long header costs no more when it comes byte by byte', (t) => {
  // 512 KiB of the smallest chunks there are; what was looked at is not looked at again.
  const chunks = new Uint8Array(512 * 1024);
  for (let at = 0; at < chunks.length; at += 8) chunks.set([0x6a, 0x75, 0x6e, 0x6b], at);
  const head = Buffer.from(wavBytes(pcmBytes([1, 2, 3]), { rateHz: 16_000 }));
  const wav = Buffer.concat([head.subarray(0, 12), chunks, head.subarray(12)]);
  const stream = new WavStream();
  const before = process.cpuUsage();
  const pieces = [...wav].flatMap((byte) =>
    stream.push(Uint8Array.of(byte)).map(({ data }) => [...data]),
  );
  const { user, system } = process.cpuUsage(before);
  pieces.push(...stream.end().map(({ data: rest }) => [...rest]));
  t.deepEqual(pieces.flat(), [1, 0, 2, 0, 3, 0]);
  // Copying what is held at every byte would move 137 thousand million bytes.
  t.true(user + system < 3_000_000, `${user + system} µs`);
});
