import { WavFileError } from '../trace/wav-file.ts';
import type { ProviderSound } from './provider-sound.ts';

interface WavParts {
  readonly format: number;
  readonly channels: number;
  readonly rateHz: number;
  readonly bits: number;
  readonly data: Buffer;
}

/**
 * The format and the samples of a WAV file, wherever its chunks are. Who does not know the size yet writes a number that is
 * too large, or 0: then the samples reach to the end. Null: it is none.
 */
export function wavParts(bytes: Buffer): WavParts | null {
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE')
    return null;
  let head: Omit<WavParts, 'data'> | null = null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = bytes.toString('latin1', at, at + 4);
    const size = bytes.readUInt32LE(at + 4);
    const start = at + 8;
    if (name === 'fmt ' && start + 16 <= bytes.length) {
      const written = bytes.readUInt16LE(start);
      head = {
        // The extensible form has the real one further behind.
        format: written === 0xfffe && size >= 26 ? bytes.readUInt16LE(start + 24) : written,
        channels: bytes.readUInt16LE(start + 2),
        rateHz: bytes.readUInt32LE(start + 4),
        bits: bytes.readUInt16LE(start + 14),
      };
    }
    if (name === 'data' && head !== null) {
      const rest = bytes.length - start;
      return {
        ...head,
        data: bytes.subarray(start, start + (size === 0 || size > rest ? rest : size)),
      };
    }
    at = start + size + (size % 2);
  }
  return null;
}

/**
 * A WAV file of any rate: its first channel.
 *
 * @throws {WavFileError} `WAV_FORMAT` when it is anything else than 16-bit PCM
 */
export function readWavSound(bytes: Buffer, path: string): ProviderSound {
  const parts = wavParts(bytes);
  if (
    parts === null ||
    parts.format !== 1 ||
    parts.bits !== 16 ||
    parts.channels < 1 ||
    parts.rateHz < 1
  ) {
    throw new WavFileError(
      `${path} is no 16-bit PCM WAV file. Convert it: ffmpeg -i <file> -c:a pcm_s16le <file>.wav`,
    );
  }
  return { samples: firstChannel(parts.data, parts.channels), rateHz: parts.rateHz };
}

/** @param data 16-bit little-endian frames */
export function firstChannel(data: Buffer, channels: number): Int16Array {
  const count = Math.floor(data.length / (2 * channels));
  return Int16Array.from({ length: count }, (_, i) => data.readInt16LE(2 * channels * i));
}
