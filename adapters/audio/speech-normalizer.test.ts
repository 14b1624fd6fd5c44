import test from 'ava';
import fc from 'fast-check';
import { createRandom } from '../../harness/random/random.ts';
import { PcmDecoder, pcm16, quantize } from './pcm-decoder.ts';
import { Resampler } from './resampler.ts';
import { SpeechNormalizer, type SpeechSource } from './speech-normalizer.ts';
import { bytesOf, cut, latin, pcmBytes, wavBytes } from './wav-fixture.contract.ts';
import { WavError } from './wav-stream.ts';

const ratesHz = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const random = createRandom(5, 'normalizer');
const noise = (count: number): Int16Array =>
  Int16Array.from({ length: count }, () => random.integer(-20_000, 20_000));

interface Result {
  readonly samples: Int16Array;
  readonly sourceFrames: number;
  readonly sourceBytes: number;
  readonly rateHz: number;
  readonly channels: number;
}

function normalize(source: SpeechSource, pieces: readonly Uint8Array[]): Result {
  const normalizer = new SpeechNormalizer(source);
  const parts: number[] = [];
  let sourceBytes = 0;
  for (const piece of pieces) {
    const mine = piece.slice();
    const out = normalizer.push(mine);
    mine.fill(0xee);
    parts.push(...out.samples);
    sourceBytes += out.sourceBytes;
  }
  const rest = normalizer.flush();
  parts.push(...rest.samples);
  sourceBytes += rest.sourceBytes;
  const samples = Int16Array.from(parts);
  if (samples.length !== normalizer.outputSamples) throw new Error('the ledger does not balance');
  const { sourceFrames, rateHz, channels } = normalizer;
  return { samples, sourceFrames, sourceBytes, rateHz, channels };
}

const single = (bytes: Uint8Array): Uint8Array[] => [...bytes].map((byte) => Uint8Array.of(byte));

for (const rateHz of ratesHz) {
  test(`${rateHz} Hz gives the same audio as WAV or PCM, mono or stereo, however it is cut`, (t) => {
    const mono = noise(1_500);
    const truth = quantize(resampled(Float64Array.from(mono), rateHz));
    const stereo = Int16Array.from({ length: 3_000 }, (_, i) => mono[i >> 1]!);
    const forms: [SpeechSource, Uint8Array, number][] = [
      [{ container: 'pcm', rateHz, channels: 1 }, pcmBytes(mono), 3_000],
      [{ container: 'pcm', rateHz, channels: 2 }, pcmBytes(stereo), 6_000],
      [{ container: 'wav' }, wavBytes(pcmBytes(mono), { rateHz }), 3_000],
      [
        { container: 'wav' },
        wavBytes(pcmBytes(stereo), { rateHz, channels: 2, dataSize: 0 }),
        6_000,
      ],
    ];
    for (const [source, bytes, audioBytes] of forms) {
      const whole = normalize(source, [bytes]);
      t.deepEqual(whole.samples, truth);
      t.is(whole.sourceFrames, 1_500);
      t.is(whole.sourceBytes, audioBytes);
      t.is(whole.rateHz, rateHz);
      t.is(whole.samples.length, Math.round((1_500 * 16_000) / rateHz));
      t.deepEqual(normalize(source, single(bytes)), whole);
      t.notThrows(() =>
        fc.assert(
          fc.property(fc.array(fc.nat(7_000), { maxLength: 10 }), (places) => {
            t.deepEqual(normalize(source, cut(bytes, places)), whole);
          }),
          { numRuns: 8, seed: 1 },
        ),
      );
    }
  });
}

function resampled(input: Float64Array, rateHz: number): Float64Array {
  const resampler = new Resampler(rateHz);
  const head = resampler.push(input);
  return Float64Array.of(...head, ...resampler.flush());
}

test('every encoding of one signal decodes to that signal', (t) => {
  const truth = [0, 1, -1, 1_234, -32_768, 32_767];
  const encode = (bytes: number, write: (view: DataView, at: number, value: number) => void) => {
    const view = new DataView(new ArrayBuffer(truth.length * bytes));
    for (const [i, value] of truth.entries()) write(view, i * bytes, value);
    return new Uint8Array(view.buffer);
  };
  const decode = (bits: number, encoding: 'integer' | 'float', bytes: Uint8Array): number[] => [
    ...quantize(new PcmDecoder({ encoding, bits, channels: 1, rateHz: 16_000 }).push(bytes)),
  ];
  t.deepEqual(
    decode(
      16,
      'integer',
      encode(2, (v, at, x) => v.setInt16(at, x, true)),
    ),
    truth,
  );
  t.deepEqual(
    decode(
      24,
      'integer',
      encode(3, (v, at, x) => {
        v.setUint16(at, (x << 8) & 0xffff, true);
        v.setInt8(at + 2, x >> 8);
      }),
    ),
    truth,
  );
  t.deepEqual(
    decode(
      32,
      'integer',
      encode(4, (v, at, x) => v.setInt32(at, x << 16, true)),
    ),
    truth,
  );
  t.deepEqual(
    decode(
      32,
      'float',
      encode(4, (v, at, x) => v.setFloat32(at, x / 32_768, true)),
    ),
    truth,
  );
  t.deepEqual(
    decode(
      64,
      'float',
      encode(8, (v, at, x) => v.setFloat64(at, x / 32_768, true)),
    ),
    truth,
  );
  t.deepEqual(
    decode(8, 'integer', Uint8Array.of(128, 129, 127, 0, 255)),
    [0, 256, -256, -32_768, 32_512],
  );
});

test('float samples beyond full scale saturate and broken ones are silent', (t) => {
  const bytes = new Uint8Array(Float32Array.of(2, -2, Number.NaN, Number.POSITIVE_INFINITY).buffer);
  const decoder = new PcmDecoder({ encoding: 'float', bits: 32, channels: 1, rateHz: 16_000 });
  t.deepEqual([...quantize(decoder.push(bytes))], [32_767, -32_768, 0, 0]);
});

test('stereo is mixed down to the mean', (t) => {
  const decoder = new PcmDecoder(pcm16(16_000, 2));
  t.deepEqual(
    [...decoder.push(pcmBytes([1_000, 3_000, -32_768, -32_768, 32_767, -32_767]))],
    [2_000, -32_768, 0],
  );
});

test('a last odd byte is dropped and counted', (t) => {
  const normalizer = new SpeechNormalizer({ container: 'pcm', rateHz: 16_000, channels: 1 });
  normalizer.push(bytesOf(pcmBytes(noise(100)), Uint8Array.of(7)));
  normalizer.flush();
  t.is(normalizer.sourceFrames, 100);
  t.is(normalizer.droppedBytes, 1);
});

test('an odd-sized WAV chunk before a repeated header does not shift what follows', (t) => {
  const first = pcmBytes(noise(50));
  const second = pcmBytes(noise(50));
  const bytes = bytesOf(
    wavBytes(bytesOf(first, Uint8Array.of(9)), { rateHz: 16_000, dataSize: 0xffff_ffff }),
    wavBytes(second, { rateHz: 16_000, dataSize: 0xffff_ffff }),
  );
  const { samples } = normalize({ container: 'wav' }, [bytes]);
  t.deepEqual(pcmBytes(samples), bytesOf(first, second));
});

test('a header that changes the rate in mid stream is followed', (t) => {
  const bytes = bytesOf(
    wavBytes(pcmBytes(noise(2_400)), { rateHz: 24_000 }),
    wavBytes(pcmBytes(noise(1_600)), { rateHz: 16_000 }),
  );
  const result = normalize({ container: 'wav' }, [bytes]);
  t.is(result.samples.length, 1_600 + 1_600);
  t.is(result.sourceFrames, 4_000);
  t.deepEqual(normalize({ container: 'wav' }, single(bytes)), result);
});

test('repeated headers of one rate leave no trace in the audio', (t) => {
  const samples = noise(3_000);
  const pieces = [0, 1_000, 2_000].map((at) =>
    wavBytes(pcmBytes(samples.subarray(at, at + 1_000)), { rateHz: 24_000, dataSize: 0xffff_ffff }),
  );
  t.deepEqual(
    normalize({ container: 'wav' }, [bytesOf(...pieces)]).samples,
    normalize({ container: 'pcm', rateHz: 24_000, channels: 1 }, [pcmBytes(samples)]).samples,
  );
});

test('a WAV where PCM was asked for is read as the WAV it is', (t) => {
  const samples = noise(500);
  const bytes = wavBytes(pcmBytes(samples), { rateHz: 16_000, dataSize: 0xffff_ffff });
  const source = { container: 'pcm', rateHz: 24_000, channels: 1 } as const;
  for (const pieces of [[bytes], single(bytes)]) {
    const result = normalize(source, pieces);
    t.deepEqual(result.samples, samples);
    t.is(result.rateHz, 16_000);
  }
});

test('text where PCM was asked for is refused, however it is cut', (t) => {
  const source = { container: 'pcm', rateHz: 24_000, channels: 1 } as const;
  const bytes = latin('{"error":{"message":"no credit left"}}');
  for (const pieces of [[bytes], single(bytes)]) {
    const error = t.throws(() => normalize(source, pieces), { instanceOf: WavError });
    t.is(error?.found, 'JSON');
  }
});

test('PCM that begins like a mark but is none loses nothing', (t) => {
  const source = { container: 'pcm', rateHz: 16_000, channels: 1 } as const;
  for (const start of ['R', 'RIFF', 'RIFFxxxxWAV', '{"er', 'OggX', '<', '{"ERRO']) {
    const bytes = bytesOf(latin(start), new Uint8Array(start.length % 2 === 0 ? 20 : 21));
    for (const input of [bytes, latin(start)]) {
      for (const pieces of [[input], single(input)]) {
        t.is(normalize(source, pieces).sourceBytes, input.length, start);
      }
    }
  }
});

test('nothing in gives nothing out', (t) => {
  const result = normalize({ container: 'pcm', rateHz: 24_000, channels: 1 }, [new Uint8Array(0)]);
  t.is(result.samples.length, 0);
  t.is(result.sourceFrames, 0);
});
