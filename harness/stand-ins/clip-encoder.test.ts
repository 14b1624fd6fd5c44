import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { bytesOf, samplesOf } from './clip-cache.ts';
import { ClipEncoder, type CompressedFormat } from './clip-encoder.ts';
import { digestOf, sharedVoice } from './test-client.ts';

/** The formats of section 6.6 and those of OpenAI, each at a rate it is used with. */
const formats: readonly (readonly [number, CompressedFormat])[] = [
  [24_000, { codec: 'mp3', bitrateKbps: 128 }],
  [24_000, { codec: 'opus', bitrateKbps: 64 }],
  [24_000, { codec: 'aac', bitrateKbps: 64 }],
  [24_000, { codec: 'flac' }],
  [22_050, { codec: 'mp3', bitrateKbps: 32 }],
  [44_100, { codec: 'mp3', bitrateKbps: 32 }],
  [44_100, { codec: 'mp3', bitrateKbps: 192 }],
  [48_000, { codec: 'opus', bitrateKbps: 32 }],
  [48_000, { codec: 'opus', bitrateKbps: 192 }],
];
const magic: Readonly<Record<CompressedFormat['codec'], RegExp>> = {
  mp3: /^fff/,
  opus: /^4f676753/, // OggS
  aac: /^fff/,
  flac: /^664c6143/, // fLaC
};

for (const [rateHz, format] of formats) {
  const name = `${format.codec} at ${rateHz} Hz and ${format.bitrateKbps ?? 'any'} kb/s`;
  testWithFfmpeg(`${name} sounds like the clip, is as long, and has its bitrate`, async (t) => {
    const { samples } = (await sharedVoice()).speakAt('How far away is the moon?', 'ash', rateHz);
    const encoded = new ClipEncoder().encode(bytesOf(samples), rateHz, format);
    t.regex(encoded.toString('hex', 0, 4), magic[format.codec]);
    const decoded = samplesOf(
      installed!.run(
        ['-i', 'pipe:0', '-f', 's16le', '-ac', '1', '-ar', String(rateHz), 'pipe:1'],
        encoded,
      ),
    );
    // Encoders add their delay in front and fill the last frame, each less than 60 ms.
    const extraMs = ((decoded.length - samples.length) / rateHz) * 1000;
    t.true(extraMs >= 0 && extraMs < 120, `${extraMs} ms longer`);
    const { correlation, lagMs } = bestCorrelation(samples, decoded, rateHz);
    t.true(correlation > (format.bitrateKbps === 32 ? 0.95 : 0.98), `${correlation}`);
    t.true(lagMs >= 0 && lagMs < 60, `${lagMs} ms late`);
    if (format.bitrateKbps === undefined) return;
    const kbps = (encoded.length * 8) / (decoded.length / rateHz) / 1000;
    t.true(Math.abs(kbps / format.bitrateKbps - 1) < 0.16, `${kbps} kb/s`);
  });
}

testWithFfmpeg(
  'the same samples give the same bytes, from ffmpeg, from memory and from disk',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'clip-encoder-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const { samples } = (await sharedVoice()).speakAt('The same.', 'ash', 24_000);
    const pcm = bytesOf(samples);
    for (const codec of ['mp3', 'opus', 'aac', 'flac'] as const) {
      const first = new ClipEncoder({ cacheFolder: folder });
      const made = first.encode(pcm, 24_000, { codec });
      t.is(first.encode(pcm, 24_000, { codec }), made);
      const second = new ClipEncoder({ cacheFolder: folder });
      t.is(digestOf(second.encode(pcm, 24_000, { codec })), digestOf(made));
      t.is(digestOf(new ClipEncoder().encode(pcm, 24_000, { codec })), digestOf(made), codec);
    }
    t.is(readdirSync(folder).length, 4);
    // A file that was damaged is not believed.
    for (const file of readdirSync(folder)) writeFileSync(join(folder, file), 'damaged');
    const third = new ClipEncoder({ cacheFolder: folder });
    const again = third.encode(pcm, 24_000, { codec: 'flac' });
    t.is(again.toString('latin1', 0, 4), 'fLaC');
  },
);

testWithFfmpeg('no sound gives no bytes', (t) => {
  t.is(new ClipEncoder().encode(Buffer.alloc(0), 24_000, { codec: 'mp3' }).length, 0);
});

test('an encoder without ffmpeg says so before it is asked to encode, and when it is', (t) => {
  const encoder = new ClipEncoder({ ffmpegPath: '/nowhere/ffmpeg' });
  t.regex(encoder.obstacle!, /"\/nowhere\/ffmpeg" is no ffmpeg that runs here/);
  t.throws(() => encoder.encode(Buffer.alloc(2), 24_000, { codec: 'mp3' }), {
    code: 'FFMPEG_MISSING',
  });
});

/** The lag at which `decoded` is most like `clip`, and how like it is there (1: the same). */
function bestCorrelation(
  clip: Int16Array,
  decoded: Int16Array,
  rateHz: number,
): { correlation: number; lagMs: number } {
  let best = { correlation: 0, lagMs: 0 };
  for (let lag = 0; lag < 0.06 * rateHz && lag + clip.length <= decoded.length; lag++) {
    let product = 0;
    let clipEnergy = 0;
    let decodedEnergy = 0;
    for (let i = 0; i < clip.length; i++) {
      const a = clip[i]!;
      const b = decoded[i + lag]!;
      product += a * b;
      clipEnergy += a * a;
      decodedEnergy += b * b;
    }
    const correlation = product / Math.sqrt(clipEnergy * decodedEnergy);
    if (correlation > best.correlation) best = { correlation, lagMs: (lag / rateHz) * 1000 };
  }
  return best;
}
