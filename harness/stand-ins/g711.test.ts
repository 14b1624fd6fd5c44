import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { samplesOf } from './clip-cache.ts';
import { encodeALaw, encodeMuLaw } from './g711.ts';

const all = Int16Array.from({ length: 65_536 }, (_, i) => i - 32_768);

test('silence and full scale have the codes of G.711', (t) => {
  t.deepEqual([...encodeMuLaw(Int16Array.of(0, -1, 32_767, -32_768))], [0xff, 0x7f, 0x80, 0x00]);
  t.deepEqual([...encodeALaw(Int16Array.of(0, -1, 32_767, -32_768))], [0xd5, 0x55, 0xaa, 0x2a]);
});

for (const [law, format, encode] of [
  ['µ-law', 'mulaw', encodeMuLaw],
  ['A-law', 'alaw', encodeALaw],
] as const) {
  testWithFfmpeg(`${law} keeps order, repeats its own values, and errs by half a step`, (t) => {
    const decode = (codes: Buffer): Int16Array =>
      samplesOf(
        installed!.run(
          ['-f', format, '-ar', '8000', '-ac', '1', '-i', 'pipe:0', '-f', 's16le', 'pipe:1'],
          codes,
        ),
      );
    const values = decode(Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
    t.deepEqual(decode(encode(values)), values);
    const sorted = [...new Set(values)].sort((a, b) => a - b);
    const place = new Map(sorted.map((value, i) => [value, i]));
    const decoded = decode(encode(all));
    const wrong: string[] = [];
    for (const [i, sample] of all.entries()) {
      const value = decoded[i]!;
      const at = place.get(value)!;
      const above = (sorted[at + 1] ?? Number.POSITIVE_INFINITY) - value;
      const below = value - (sorted[at - 1] ?? Number.NEGATIVE_INFINITY);
      // The outermost codes take all that is beyond them. Between two segments the steps on both sides differ.
      const isFar = Math.abs(value - sample) > Math.max(above, below) / 2;
      if (isFar || value < decoded[Math.max(0, i - 1)]!) wrong.push(`${sample} → ${value}`);
    }
    t.deepEqual(wrong, []);
  });
}
