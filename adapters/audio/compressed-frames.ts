/**
 * Tells MP3 and AAC from raw samples. Both begin with a sync pattern that samples have by chance
 * once in a few thousand starts, so it takes a second frame where the first one says it ends.
 */

/**
 * `undefined`: neither. `wait`: the bytes begin like a frame, and the next one has not come yet;
 * that is never longer than 1,441 bytes for MP3 and 2,048 for AAC.
 */
export function compressedFrames(bytes: Uint8Array): 'MP3' | 'AAC' | 'wait' | undefined {
  if (bytes.length < headerBytes) {
    return (bytes[0] ?? 0xff) === 0xff && ((bytes[1] ?? 0xff) & 0xe0) === 0xe0 ? 'wait' : undefined;
  }
  for (const [name, sizeAt] of [
    ['MP3', mp3FrameBytes],
    ['AAC', aacFrameBytes],
  ] as const) {
    const size = sizeAt(bytes, 0);
    if (size === undefined) continue;
    if (bytes.length < size + headerBytes) return 'wait';
    const same = sizeAt(bytes, size) !== undefined && bytes[size + 1] === bytes[1];
    return same ? name : undefined;
  }
  return undefined;
}

/** Of an ADTS header, the longer of the two, as far as it is looked at. */
const headerBytes = 6;
/** More than any encoder puts into one frame of speech. */
const aacFrameBytesMax = 2_048;

const kilobits1 = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const kilobits2 = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const ratesHz1 = [44_100, 48_000, 32_000];

/** Length of the MPEG layer III frame whose header is at `at` (ISO/IEC 11172-3, 2.4.2.3). */
function mp3FrameBytes(bytes: Uint8Array, at: number): number | undefined {
  const [sync, kind, rates] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  if (sync !== 0xff || (kind & 0xe6) !== 0xe2) return undefined;
  const version = (kind >> 3) & 3;
  if (version === 1) return undefined;
  const first = version === 3;
  // 0 is "free" and 15 forbidden; neither is in either table.
  const kilobits = (first ? kilobits1 : kilobits2)[(rates >> 4) - 1];
  const fullRateHz = ratesHz1[(rates >> 2) & 3];
  if (kilobits === undefined || fullRateHz === undefined) return undefined;
  const rateHz = first ? fullRateHz : version === 2 ? fullRateHz / 2 : fullRateHz / 4;
  const padding = (rates >> 1) & 1;
  return Math.floor(((first ? 144 : 72) * kilobits * 1_000) / rateHz) + padding;
}

/** Length of the ADTS frame whose header is at `at` (ISO/IEC 13818-7, 6.2). */
function aacFrameBytes(bytes: Uint8Array, at: number): number | undefined {
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) return undefined;
  if (((bytes[at + 2]! >> 2) & 15) > 12) return undefined;
  const size = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5);
  return size > headerBytes && size <= aacFrameBytesMax ? size : undefined;
}
