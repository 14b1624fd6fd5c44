/**
 * IMA ADPCM (IMA Digital Audio Focus, 1992): four bits for each sample. A block stands for itself, so
 * one that is lost spoils no other, and is a block of a mono WAV file of this kind (format 0x0011)
 * but for one bit: first sample (int16 LE), step index, padding (1: the last four bits are none), then two
 * samples in each byte, the low half first.
 */

const steps = [
  7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73,
  80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494,
  544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499,
  2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487,
  12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
] as const;
const indexChanges = [-1, -1, -1, -1, 2, 4, 6, 8] as const;

const headBytes = 4;

/** Bytes of a block of so many samples; 0 for none. */
export function adpcmBytes(samples: number): number {
  return samples === 0 ? 0 : headBytes + Math.ceil((samples - 1) / 2);
}

/** Carries the step size from one block to the next. One for each stream. */
export class AdpcmEncoder {
  #index = 0;

  /** One block, in a buffer of its own; no sample gives no byte. */
  encode(samples: Int16Array): Uint8Array {
    const block = new Uint8Array(adpcmBytes(samples.length));
    if (samples.length === 0) return block;
    let predicted = samples[0]!;
    new DataView(block.buffer).setInt16(0, predicted, true);
    block[2] = this.#index;
    block[3] = samples.length % 2 === 0 ? 1 : 0;
    for (let i = 1; i < samples.length; i++) {
      const step = steps[this.#index]!;
      const difference = samples[i]! - predicted;
      let nibble = difference < 0 ? 8 : 0;
      let left = Math.abs(difference);
      if (left >= step) {
        nibble |= 4;
        left -= step;
      }
      if (left >= step >> 1) {
        nibble |= 2;
        left -= step >> 1;
      }
      if (left >= step >> 2) nibble |= 1;
      predicted = follow(predicted, step, nibble);
      this.#index = nextIndex(this.#index, nibble);
      block[headBytes + ((i - 1) >> 1)]! |= i % 2 === 1 ? nibble : nibble << 4;
    }
    return block;
  }
}

/** The samples of a block, in a buffer of their own; null for bytes that are no block. */
export function decodeAdpcm(block: Uint8Array): Int16Array | null {
  if (block.length === 0) return new Int16Array(0);
  const [, , firstIndex, padding] = block;
  if (firstIndex === undefined || padding === undefined) return null;
  const isPadded = (padding & 1) === 1;
  if (firstIndex >= steps.length || (isPadded && block.length === headBytes)) return null;
  const samples = new Int16Array(1 + 2 * (block.length - headBytes) - (isPadded ? 1 : 0));
  let predicted = new DataView(block.buffer, block.byteOffset).getInt16(0, true);
  let index = firstIndex;
  samples[0] = predicted;
  for (let i = 1; i < samples.length; i++) {
    const byte = block[headBytes + ((i - 1) >> 1)]!;
    const nibble = i % 2 === 1 ? byte & 15 : byte >> 4;
    predicted = follow(predicted, steps[index]!, nibble);
    index = nextIndex(index, nibble);
    samples[i] = predicted;
  }
  return samples;
}

function follow(predicted: number, step: number, nibble: number): number {
  let difference = step >> 3;
  if (nibble & 4) difference += step;
  if (nibble & 2) difference += step >> 1;
  if (nibble & 1) difference += step >> 2;
  const next = nibble & 8 ? predicted - difference : predicted + difference;
  return Math.max(-32_768, Math.min(32_767, next));
}

function nextIndex(index: number, nibble: number): number {
  return Math.max(0, Math.min(steps.length - 1, index + indexChanges[nibble & 7]!));
}
