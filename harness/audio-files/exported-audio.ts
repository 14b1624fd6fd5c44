/** Audio of recordings in the formats that people exchange, made by ffmpeg. */
import type { Ffmpeg } from './ffmpeg.ts';

const rateHz = 16_000;

interface ExportFormat {
  /** Arguments behind the input, up to the output. */
  readonly encode: readonly string[];
  readonly lossless: boolean;
}

export const exportFormats = {
  wav: { encode: ['-c:a', 'pcm_s16le', '-f', 'wav'], lossless: true },
  flac: { encode: ['-c:a', 'flac', '-f', 'flac'], lossless: true },
  // Opus in Ogg. Music settings: this is for listening, and not what the board gets.
  ogg: { encode: ['-c:a', 'libopus', '-b:a', '48k', '-f', 'ogg'], lossless: false },
  mp3: { encode: ['-c:a', 'libmp3lame', '-q:a', '2', '-f', 'mp3'], lossless: false },
} as const satisfies Readonly<Record<string, ExportFormat>>;

export type ExportFormatName = keyof typeof exportFormats;

export class ExportError extends Error {
  override readonly name = 'ExportError';
  readonly code = 'EXPORT_CHANGED_SOUND';
  readonly hint = 'name another ffmpeg with FFMPEG_PATH, or export as wav';
}

/** MP3 puts up to two frames of silence around the sound, each of 72 ms at this rate. */
const lengthToleranceMs = 150;
const levelToleranceDb = 0.7;

/**
 * Encodes 16 kHz mono samples, and decodes the result once more: what comes out must be as long and as loud, and of a
 * lossless format the same.
 *
 * @throws {FfmpegError}
 * @throws {ExportError}
 */
export function exportAudio(ffmpeg: Ffmpeg, samples: Int16Array, format: ExportFormatName): Buffer {
  const pcm = Buffer.alloc(samples.length * 2);
  for (const [i, sample] of samples.entries()) pcm.writeInt16LE(sample, i * 2);
  const raw = ['-f', 's16le', '-ar', `${rateHz}`, '-ac', '1'];
  const { encode, lossless } = exportFormats[format];
  // The encoder's name and version would make the bytes depend on it even where the sound does not.
  const file = ffmpeg.run([...raw, '-i', 'pipe:0', '-bitexact', ...encode, 'pipe:1'], pcm);
  const back = ffmpeg.run(['-i', 'pipe:0', ...raw, 'pipe:1'], file);
  if (lossless) {
    if (!back.equals(pcm))
      throw new ExportError(`As ${format} the sound is not the same any more.`);
    return file;
  }
  const lengthMs = Math.abs(back.length - pcm.length) / 2 / (rateHz / 1000);
  const levelDb = Math.abs(levelOf(back) - levelOf(pcm));
  if (lengthMs > lengthToleranceMs || levelDb > levelToleranceDb) {
    throw new ExportError(
      `As ${format} the sound is ${lengthMs.toFixed(0)} ms longer or shorter and ${levelDb.toFixed(1)} dB louder or quieter ` +
        `(at most ${lengthToleranceMs} ms and ${levelToleranceDb} dB).`,
    );
  }
  return file;
}

/** Of everything that sounds, in dB: silence in front and behind does not count. */
function levelOf(pcm: Buffer): number {
  let energy = 0;
  for (let at = 0; at + 1 < pcm.length; at += 2) energy += pcm.readInt16LE(at) ** 2;
  return 10 * Math.log10(energy + 1);
}
