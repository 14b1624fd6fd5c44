/** Sound for a page, see `sound-format.ts`. */
import {
  blockSamples,
  clamp16,
  coefficientBits,
  coefficientShift,
  escapeBits,
  escapeOnes,
  groupSamples,
  predict,
  predictorOrder,
} from './sound-format.ts';

/** Samples beside a block that its predictor is made from, too. */
const overlap = 128;
/** Like a Hann window, of a block and its surroundings. */
const blockWindow = Float64Array.from(
  { length: blockSamples + 2 * overlap },
  (_, i, length = blockSamples + 2 * overlap) => Math.sin((Math.PI * (i + 0.5)) / length) ** 2,
);

/**
 * @param shift 0: exact; else no sample is off by more than 2^(shift - 1)
 * @returns the clip; how many samples it has, and the shift, are not in it
 */
export function encodeSound(samples: Int16Array, shift: number): Uint8Array {
  const half = shift === 0 ? 0 : 1 << (shift - 1);
  const bits = new BitWriter(samples.length);
  // What the decoder will have, with silence in front.
  const history = new Int16Array(samples.length + predictorOrder);
  const codes = new Int32Array(groupSamples);
  for (let start = 0; start < samples.length; start += blockSamples) {
    const coefficients = predictorFor(samples, start);
    bits.write(coefficients === null ? 0 : 1, 1);
    for (const coefficient of coefficients ?? []) {
      bits.write(coefficient & ((1 << coefficientBits) - 1), coefficientBits);
    }
    const end = Math.min(start + blockSamples, samples.length);
    for (let group = start; group < end; group += groupSamples) {
      const count = Math.min(groupSamples, end - group);
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const at = group + i + predictorOrder;
        const expected = coefficients === null ? 0 : predict(history, at, coefficients);
        const quotient = (samples[group + i]! - expected + half) >> shift;
        history[at] = clamp16(expected + (quotient << shift));
        const code = quotient < 0 ? -2 * quotient - 1 : 2 * quotient;
        codes[i] = code;
        sum += code;
      }
      writeGroup(bits, codes, count, riceParameter(sum / count));
    }
  }
  return bits.finish();
}

function writeGroup(bits: BitWriter, codes: Int32Array, count: number, parameter: number): void {
  bits.write(parameter, 4);
  for (let i = 0; i < count; i++) {
    const ones = codes[i]! >> parameter;
    if (ones >= escapeOnes) {
      bits.write((1 << escapeOnes) - 1, escapeOnes);
      bits.write(codes[i]!, escapeBits);
    } else {
      bits.write((1 << (ones + 1)) - 2, ones + 1);
      bits.write(codes[i]! & ((1 << parameter) - 1), parameter);
    }
  }
}

/** The best for codes of this mean, when they are distributed geometrically. */
function riceParameter(mean: number): number {
  let parameter = 0;
  while (parameter < 15 && (1 << (parameter + 1)) * Math.LN2 < mean + 0.5) parameter++;
  return parameter;
}

/** Used again for each block. */
const windowed = new Float64Array(blockWindow.length);

/** By the autocorrelation method (Levinson and Durbin), rounded to what is written; null for silence. */
function predictorFor(samples: Int16Array, start: number): Int32Array | null {
  const length = blockWindow.length;
  const from = start - overlap;
  windowed.fill(0);
  for (let i = Math.max(0, -from); i < Math.min(length, samples.length - from); i++) {
    windowed[i] = samples[from + i]! * blockWindow[i]!;
  }
  const correlation = new Float64Array(predictorOrder + 1);
  for (let lag = 0; lag <= predictorOrder; lag++) {
    let sum = 0;
    for (let i = lag; i < length; i++) sum += windowed[i]! * windowed[i - lag]!;
    correlation[lag] = sum;
  }
  if (correlation[0]! <= 0) return null;
  // A little noise, so that a pure tone has a predictor, too.
  let error = correlation[0]! * (1 + 1e-9) + 1;
  const predictor = new Float64Array(predictorOrder);
  for (let order = 0; order < predictorOrder; order++) {
    let reflection = correlation[order + 1]!;
    for (let i = 0; i < order; i++) reflection -= predictor[i]! * correlation[order - i]!;
    reflection /= error;
    const before = predictor.slice(0, order);
    for (let i = 0; i < order; i++) predictor[i] = before[i]! - reflection * before[order - 1 - i]!;
    predictor[order] = reflection;
    error *= 1 - reflection * reflection;
    if (error <= 0) break;
  }
  const limit = 2 ** (coefficientBits - 1);
  return Int32Array.from(predictor, (coefficient) =>
    Math.max(-limit, Math.min(limit - 1, Math.round(coefficient * (1 << coefficientShift)))),
  );
}

class BitWriter {
  #bytes: Uint8Array;
  #length = 0;
  #pending = 0;
  #pendingBits = 0;

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes + 64);
  }

  /** @param count at most 24 */
  write(value: number, count: number): void {
    this.#pending = (this.#pending << count) | value;
    this.#pendingBits += count;
    while (this.#pendingBits >= 8) {
      this.#pendingBits -= 8;
      if (this.#length === this.#bytes.length) this.#grow();
      this.#bytes[this.#length++] = this.#pending >>> this.#pendingBits;
    }
    this.#pending &= (1 << this.#pendingBits) - 1;
  }

  finish(): Uint8Array {
    if (this.#pendingBits > 0) this.write(0, 8 - this.#pendingBits);
    return this.#bytes.slice(0, this.#length);
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
