export interface UploadedWav {
  readonly seconds: number;
  /** The bytes of its samples. */
  readonly audio: Buffer;
}

/**
 * Length and samples of a WAV that a client sent. Sizes of 0 and above the file mean "until the
 * end". Undefined when it is no WAV with a format of its own.
 */
export function readUploadedWav(file: Buffer): UploadedWav | undefined {
  if (file.length < 12) return undefined;
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') {
    return undefined;
  }
  let bytesPerSecond = 0;
  for (let at = 12; at + 8 <= file.length; ) {
    const name = file.toString('latin1', at, at + 4);
    const size = file.readUInt32LE(at + 4);
    const start = at + 8;
    if (name === 'fmt ' && start + 12 <= file.length) bytesPerSecond = file.readUInt32LE(start + 8);
    if (name === 'data') {
      if (bytesPerSecond === 0) return undefined;
      const audio = file.subarray(start, size === 0 ? file.length : start + size);
      return { seconds: audio.length / bytesPerSecond, audio };
    }
    at = start + size + (size % 2);
  }
  return undefined;
}
