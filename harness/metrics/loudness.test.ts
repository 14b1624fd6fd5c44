import { spawnSync } from 'node:child_process';
import installer from '@ffmpeg-installer/ffmpeg';
import test from 'ava';
import { createRandom } from '../random/random.ts';
import { integratedLoudnessLufs, kWeighting } from './loudness.ts';

function sine(frequencyHz: number, peak: number, seconds: number): Int16Array {
  return Int16Array.from({ length: seconds * 16_000 }, (_, i) =>
    Math.round(32767 * peak * Math.sin((2 * Math.PI * frequencyHz * i) / 16_000)),
  );
}

/** Gain of the weighting at one frequency, in dB, from the transfer function itself. */
function weightingDb(rateHz: number, frequencyHz: number): number {
  const w = (2 * Math.PI * frequencyHz) / rateHz;
  const power = (c: readonly number[]) => {
    const re = c.reduce((sum, value, k) => sum + value * Math.cos(w * k), 0);
    const im = c.reduce((sum, value, k) => sum - value * Math.sin(w * k), 0);
    return re * re + im * im;
  };
  return kWeighting(rateHz)
    .map(({ b, a }) => 10 * Math.log10(power(b) / power([1, ...a])))
    .reduce((sum, db) => sum + db, 0);
}

/** Speech-like: bursts of low-passed noise with pauses, the last burst much quieter. */
function syllables(seed: number): Int16Array {
  const random = createRandom(seed, 'syllables');
  const samples = new Int16Array(8 * 16_000);
  let low = 0;
  for (let i = 0; i < samples.length; i++) {
    const envelope =
      Math.max(0, Math.sin((2 * Math.PI * 3 * i) / 16_000)) * (i < 90_000 ? 1 : 0.05);
    low += 0.4 * (random.normal() - low);
    samples[i] = Math.max(-32768, Math.min(32767, Math.round(9000 * envelope * low)));
  }
  return samples;
}

function ffmpegLoudness(samples: Int16Array): number {
  const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const format = ['-f', 's16le', '-ar', '16000', '-ac', '1', '-i', 'pipe:0'];
  const { stderr } = spawnSync(
    installer.path,
    ['-hide_banner', '-nostats', ...format, '-filter_complex', 'ebur128', '-f', 'null', '-'],
    { input: bytes, encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  const summary = stderr.slice(stderr.lastIndexOf('Integrated loudness'));
  return Number(/I:\s*(-?[\d.]+) LUFS/.exec(summary)![1]);
}

test('the weighting rebuilt for 48 kHz is the one printed in ITU-R BS.1770-4, tables 1 and 2', (t) => {
  const [shelf, pass] = kWeighting(48_000);
  const close = (actual: readonly number[], printed: readonly number[]) =>
    actual.forEach((value, i) => {
      t.true(Math.abs(value - printed[i]!) < 1e-10, `${value} for ${printed[i]}`);
    });
  close(shelf.b, [1.53512485958697, -2.69169618940638, 1.19839281085285]);
  close(shelf.a, [-1.69065929318241, 0.73248077421585]);
  close(pass.b, [1, -2, 1]);
  close(pass.a, [-1.99004745483398, 0.99007225036621]);
});

test('the weighting at 16 kHz follows that at 48 kHz over the band of speech', (t) => {
  for (const frequencyHz of [60, 100, 300, 1000, 2000, 3000, 5000]) {
    const difference = weightingDb(16_000, frequencyHz) - weightingDb(48_000, frequencyHz);
    t.true(Math.abs(difference) < 0.15, `${frequencyHz} Hz: ${difference}`);
  }
});

test('a sine has the loudness that its level and the weighting at its frequency give', (t) => {
  for (const [frequencyHz, peak] of [
    [997, 1],
    [997, 0.1],
    [250, 0.5],
    [3000, 0.25],
  ] as const) {
    const expected = -0.691 + 20 * Math.log10(peak / Math.SQRT2) + weightingDb(16_000, frequencyHz);
    const actual = integratedLoudnessLufs(sine(frequencyHz, peak, 5))!;
    t.true(Math.abs(actual - expected) < 0.01, `${frequencyHz} Hz: ${actual} for ${expected}`);
  }
  // BS.1770-4, annex 1: 0 dBFS at 997 Hz in one channel indicates -3.01 LKFS.
  t.true(Math.abs(integratedLoudnessLufs(sine(997, 1, 5))! + 3.01) < 0.05);
});

test('the integrated loudness agrees with the ebur128 filter of ffmpeg within 0.2 LU', (t) => {
  for (const samples of [syllables(1), syllables(2), sine(440, 0.3, 4)]) {
    const reference = ffmpegLoudness(samples);
    const actual = integratedLoudnessLufs(samples)!;
    t.true(Math.abs(actual - reference) <= 0.2, `${actual} against ${reference}`);
  }
});

test('silence around a clip does not change its loudness much, and silence alone has none', (t) => {
  const voice = syllables(3);
  const padded = new Int16Array(voice.length + 160_000);
  padded.set(voice, 80_000);
  t.true(Math.abs(integratedLoudnessLufs(padded)! - integratedLoudnessLufs(voice)!) < 0.3);
  t.is(integratedLoudnessLufs(new Int16Array(160_000)), null);
  t.is(integratedLoudnessLufs(sine(997, 1, 1).subarray(0, 6399)), null);
  t.not(integratedLoudnessLufs(sine(997, 1, 1).subarray(0, 6400)), null);
});
