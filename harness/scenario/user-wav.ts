import { readFileSync, statSync } from 'node:fs';

/** What the board's microphone delivers, and what its speaker plays. */
const sampleRateHz = 16_000;

/** An hour of speech; what follows takes several times as much memory. */
const wavBytesMax = 128 * 1024 * 1024;

/** Why the bytes of a WAV file cannot be used: one clause. */
export class UserWavError extends Error {
  override readonly name = 'UserWavError';
  readonly code = 'SCENARIO_BAD_WAV';
}

/**
 * Reads a WAV file that a scenario names. The format and data chunks may stand anywhere; a data
 * chunk that claims more than there is ends with the file.
 *
 * @returns 16 kHz mono samples, owned by the caller, at least one.
 * @throws {UserWavError} when it is not 16-bit mono PCM at 16 kHz. Errors of the file system as
 * they are.
 */
export function readUserWav(path: string): Int16Array {
  const { size } = statSync(path);
  if (size > wavBytesMax) {
    throw new UserWavError(`it has ${size} bytes, more than the ${wavBytesMax} that are read`);
  }
  return decodeUserWav(readFileSync(path));
}

export function decodeUserWav(bytes: Buffer): Int16Array {
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE') {
    throw new UserWavError('it is not a WAV file');
  }
  let hasFormat = false;
  for (let offset = 12; offset + 8 <= bytes.length; ) {
    const id = bytes.toString('latin1', offset, offset + 4);
    const size = bytes.readUInt32LE(offset + 4);
    const chunk = bytes.subarray(offset + 8, offset + 8 + size);
    if (id === 'fmt ') {
      checkFormat(chunk);
      hasFormat = true;
    } else if (id === 'data') {
      if (!hasFormat) throw new UserWavError('its format chunk is missing');
      if (chunk.length < 2) throw new UserWavError('it has no samples');
      return Int16Array.from({ length: chunk.length >> 1 }, (_, i) => chunk.readInt16LE(2 * i));
    }
    // Chunks are padded to an even length.
    offset += 8 + size + (size & 1);
  }
  throw new UserWavError(hasFormat ? 'it has no samples' : 'its format chunk is missing');
}

function checkFormat(chunk: Buffer): void {
  if (chunk.length < 16) throw new UserWavError('its format chunk is cut short');
  const tag = chunk.readUInt16LE(0);
  // The extensible form repeats the tag at the start of its sub-format.
  const encoding = tag === 0xfffe && chunk.length >= 26 ? chunk.readUInt16LE(24) : tag;
  const channels = chunk.readUInt16LE(2);
  const rateHz = chunk.readUInt32LE(4);
  const bits = chunk.readUInt16LE(14);
  if (encoding === 1 && channels === 1 && rateHz === sampleRateHz && bits === 16) return;
  const format = encoding === 1 ? `${bits}-bit PCM` : `${bits}-bit audio of format ${encoding}`;
  throw new UserWavError(
    `it is ${format}, ${rateHz} Hz, ${channels} ${channels === 1 ? 'channel' : 'channels'}`,
  );
}
