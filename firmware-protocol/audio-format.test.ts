import test from 'ava';
import fc from 'fast-check';
import {
  bytesFromInt16,
  bytesFromSamples,
  int16FromBytes,
  msFromSamples,
  opusPacketSamples,
  playerChunkSamples,
  playerCyclesPerSecond,
  sampleRateHz,
  samplesFromBytes,
  samplesFromMs,
  samplesFromUs,
  uploadFrameSamples,
  usFromSamples,
} from './audio-format.ts';

test('durations of the reference', (t) => {
  // EchoKit device protocol reference, sections 3.3, 4.1, 4.3, 6.3 and 6.4.
  t.is(msFromSamples(opusPacketSamples), 120);
  t.is(usFromSamples(playerChunkSamples), 16_000);
  t.is(playerCyclesPerSecond * playerChunkSamples, sampleRateHz);
  t.is(bytesFromSamples(uploadFrameSamples), 16_384);
  t.is(msFromSamples(uploadFrameSamples), 512);
  t.is(samplesFromBytes(22_478), 11_239);
  t.is(samplesFromMs(1000), sampleRateHz);
});

test('half microseconds are rounded up, parts of samples down', (t) => {
  t.deepEqual([0, 1, 2, 3].map(usFromSamples), [0, 63, 125, 188]);
  t.deepEqual([0, 62, 63, 124, 125, 187, 188].map(samplesFromUs), [0, 0, 1, 1, 2, 2, 3]);
  t.deepEqual([0, 0.0624, 0.0625, 1].map(samplesFromMs), [0, 0, 1, 16]);
  t.deepEqual([0, 1, 2, 3].map(samplesFromBytes), [0, 0, 1, 1]);
});

test('samples survive the way through microseconds, milliseconds and bytes', (t) => {
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), (samples) => {
      const us = usFromSamples(samples);
      return (
        Number.isInteger(us) &&
        samplesFromUs(us) === samples &&
        (us === 0 || samplesFromUs(us - 1) === samples - 1) &&
        samplesFromMs(msFromSamples(samples)) === samples &&
        samplesFromBytes(bytesFromSamples(samples)) === samples
      );
    }),
    { seed: 4, numRuns: 2000 },
  );
  t.pass();
});

test('bytes are little-endian', (t) => {
  t.deepEqual(
    int16FromBytes(Uint8Array.of(0x34, 0x12, 0xff, 0xff, 0x00, 0x80)),
    Int16Array.of(0x1234, -1, -32_768),
  );
  t.deepEqual(bytesFromInt16(Int16Array.of(0x1234, -2)), Uint8Array.of(0x34, 0x12, 0xfe, 0xff));
});

test('samples are read at odd addresses and within the bounds of a view', (t) => {
  const pool = Uint8Array.of(9, 1, 0, 2, 0, 9);
  t.deepEqual(int16FromBytes(pool.subarray(1, 5)), Int16Array.of(1, 2));
  const samples = Int16Array.of(7, 1, 2, 7).subarray(1, 3);
  t.deepEqual(bytesFromInt16(samples), Uint8Array.of(1, 0, 2, 0));
});

test('samples and bytes are copies', (t) => {
  const bytes = Uint8Array.of(1, 0);
  const samples = int16FromBytes(bytes);
  bytes[0] = 5;
  t.is(samples[0], 1);
  const written = bytesFromInt16(samples);
  samples[0] = 9;
  t.is(written[0], 1);
});

test('every sample comes back', (t) => {
  const samples = Int16Array.from({ length: 65_536 }, (_, i) => i - 32_768);
  const back = int16FromBytes(bytesFromInt16(samples));
  t.true(back.every((s, i) => s === i - 32_768));
  // Buffer is the second implementation.
  t.is(Buffer.from(bytesFromInt16(samples)).readInt16LE(2 * 1000), samples[1000]!);
});

test('half a sample is refused', (t) => {
  t.throws(() => int16FromBytes(new Uint8Array(3)), { code: 'FP_ODD_BYTE_COUNT', message: /^3 / });
  t.is(int16FromBytes(new Uint8Array()).length, 0);
});
