/** Sound of a page, see `sound-format.ts`. Runs in the browser. */
import {
  blockSamples,
  clamp16,
  coefficientBits,
  escapeBits,
  escapeOnes,
  groupSamples,
  predict,
  predictorOrder,
} from './sound-format.ts';

/**
 * @param samples how many there are in the clip
 * @param shift with which it was encoded
 */
export function decodeSound(clip: Uint8Array, samples: number, shift: number): Int16Array {
  const bits = new BitReader(clip);
  const history = new Int16Array(samples + predictorOrder);
  const coefficients = new Int32Array(predictorOrder);
  for (let start = 0; start < samples; start += blockSamples) {
    const predicted = bits.read(1) === 1;
    for (let i = 0; predicted && i < predictorOrder; i++) {
      const unused = 32 - coefficientBits;
      coefficients[i] = (bits.read(coefficientBits) << unused) >> unused;
    }
    const end = Math.min(start + blockSamples, samples);
    for (let group = start; group < end; group += groupSamples) {
      const parameter = bits.read(4);
      for (let i = group; i < Math.min(group + groupSamples, end); i++) {
        const ones = bits.ones();
        const code =
          ones === escapeOnes ? bits.read(escapeBits) : (ones << parameter) | bits.read(parameter);
        const quotient = code & 1 ? -(code + 1) / 2 : code / 2;
        const at = i + predictorOrder;
        const expected = predicted ? predict(history, at, coefficients) : 0;
        history[at] = clamp16(expected + (quotient << shift));
      }
    }
  }
  return history.subarray(predictorOrder);
}

class BitReader {
  readonly #bytes: Uint8Array;
  /** In bits. */
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param count at most 17 */
  read(count: number): number {
    const byte = this.#at >> 3;
    const bytes = this.#bytes;
    // Behind the end there are zeros.
    const word =
      ((bytes[byte] ?? 0) << 16) | ((bytes[byte + 1] ?? 0) << 8) | (bytes[byte + 2] ?? 0);
    const value = (word >> (24 - (this.#at & 7) - count)) & ((1 << count) - 1);
    this.#at += count;
    return value;
  }

  /** How many ones come before a zero, which is read, too; at most {@link escapeOnes}, and then there is none. */
  ones(): number {
    let count = 0;
    while (count < escapeOnes) {
      const bit = ((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1;
      this.#at++;
      if (bit === 0) break;
      count++;
    }
    return count;
  }
}
