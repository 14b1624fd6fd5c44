import { execFileSync } from 'node:child_process';
import ffmpeg from '@ffmpeg-installer/ffmpeg';
import test from 'ava';
import { createRandom } from '../../harness/random/random.ts';
import { compressedFrames } from './compressed-frames.ts';
import { SpeechNormalizer } from './speech-normalizer.ts';
import { pcmBytes } from './wav-fixture.contract.ts';
import { WavError } from './wav-stream.ts';

/** A second of a tone as ffmpeg writes it, without any tag in front. */
function encoded(format: 'mp3' | 'adts', rateHz: number, kilobits: number): Uint8Array {
  const tone = ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${rateHz}:duration=1`];
  const plain = format === 'mp3' ? ['-id3v2_version', '0', '-write_xing', '0'] : [];
  return execFileSync(
    ffmpeg.path,
    ['-v', 'error', ...tone, '-b:a', `${kilobits}k`, ...plain, '-f', format, '-'],
    { maxBuffer: 1 << 24 },
  );
}

for (const [format, name, streams] of [
  [
    'mp3',
    'MP3',
    [
      [44_100, 128],
      [44_100, 320],
      [48_000, 64],
      [32_000, 320],
      [24_000, 160],
      [22_050, 64],
      [16_000, 32],
      [8_000, 16],
    ],
  ],
  [
    'adts',
    'AAC',
    [
      [44_100, 128],
      [24_000, 64],
    ],
  ],
] as const) {
  test(`${name} of ffmpeg is known by its second frame, and never taken for samples before`, (t) => {
    for (const [rateHz, kilobits] of streams) {
      const bytes = encoded(format, rateHz, kilobits);
      const label = `${rateHz} Hz, ${kilobits} kbit/s`;
      let known = 0;
      while (compressedFrames(bytes.subarray(0, known)) === 'wait') known++;
      t.is(compressedFrames(bytes.subarray(0, known)), name, label);
      t.true(known < 2_100, `${label}: after ${known} bytes`);
      t.is(compressedFrames(bytes), name, label);

      for (const chunkBytes of [1, 1_000, bytes.length]) {
        const normalizer = new SpeechNormalizer({ container: 'pcm', rateHz: 24_000, channels: 1 });
        const error = t.throws<WavError>(() => {
          for (let at = 0; at < bytes.length; at += chunkBytes) {
            normalizer.push(bytes.subarray(at, at + chunkBytes));
          }
        });
        t.true(error instanceof WavError);
        t.is(error.found, name, label);
        t.is(normalizer.sourceFrames, 0, 'nothing of it was played');
      }
    }
  });
}

test('samples that begin like a frame are played once no second frame follows', (t) => {
  // 0xFB 0xFF begins an MP3 frame of 417 bytes (128 kbit/s, 44100 Hz).
  const bytes = pcmBytes(Array.from({ length: 600 }, (_, i) => (i === 0 ? -1_025 : 0x4490)));
  t.is(compressedFrames(bytes), undefined);
  t.is(compressedFrames(bytes.subarray(0, 400)), 'wait');
  for (const length of [1, 2, 5, 6, 400, 1_200]) {
    const normalizer = new SpeechNormalizer({ container: 'pcm', rateHz: 16_000, channels: 1 });
    const samples: number[] = [];
    for (const byte of bytes.subarray(0, length)) {
      samples.push(...normalizer.push(Uint8Array.of(byte)).samples);
    }
    samples.push(...normalizer.flush().samples);
    t.deepEqual(pcmBytes(samples), bytes.slice(0, length - (length % 2)), `${length} bytes`);
  }
});

test('silence is played at once, also with its last bit flickering', (t) => {
  for (const sample of [0, 1, -1, -2, 255, -256]) {
    t.is(compressedFrames(pcmBytes([sample, sample, sample])), undefined, `${sample}`);
  }
});

test('noise is never taken for compressed audio', (t) => {
  const random = createRandom(3, 'frames');
  let waits = 0;
  for (let run = 0; run < 20_000; run++) {
    const bytes = random.bytes(2_100);
    // The sync pattern itself in every second one, so that the second frame decides.
    if (run % 2 === 0) bytes.set([0xff, run % 4 === 0 ? 0xfb : 0xf1]);
    if (compressedFrames(bytes.subarray(0, 8)) === 'wait') waits++;
    t.is(compressedFrames(bytes), undefined);
  }
  t.true(waits > 2_000, `${waits} looked like a frame at first`);
});
