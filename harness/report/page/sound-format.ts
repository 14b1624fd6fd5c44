/**
 * How sound is kept in a page: predicted linearly from what came before, the difference divided by a step, 2^`shift`, and written in
 * Rice codes. Shift 0 loses nothing; with a larger one no sample is off by more than half a step, whatever the sound.
 *
 * A clip is a sequence of blocks of {@link blockSamples}: one bit that says whether there is a predictor, its
 * {@link predictorOrder} coefficients, then for each {@link groupSamples} samples a Rice parameter of four bits and a code
 * for each sample. Bits are written from the highest of a byte on. All is counted in whole numbers of 32 bits, so
 * that every decoder gives the same samples.
 */
export const blockSamples = 1024;
export const groupSamples = 128;
export const predictorOrder = 8;
/** A coefficient is a signed number of so many bits, … */
export const coefficientBits = 12;
/** … in units of 2^-9: from -4 to 4. */
export const coefficientShift = 9;
/** A quotient of so many ones is no quotient: the whole value follows in {@link escapeBits}. */
export const escapeOnes = 20;
export const escapeBits = 17;

/**
 * What is expected of the sample at `at`, between the limits of 16 bits. Unrolled: pages with an hour of sound are made
 * and opened with it.
 */
export function predict(history: Int16Array, at: number, coefficients: Int32Array): number {
  const sum =
    coefficients[0]! * history[at - 1]! +
    coefficients[1]! * history[at - 2]! +
    coefficients[2]! * history[at - 3]! +
    coefficients[3]! * history[at - 4]! +
    coefficients[4]! * history[at - 5]! +
    coefficients[5]! * history[at - 6]! +
    coefficients[6]! * history[at - 7]! +
    coefficients[7]! * history[at - 8]!;
  return clamp16((sum + (1 << (coefficientShift - 1))) >> coefficientShift);
}

export function clamp16(value: number): number {
  return Math.max(-32768, Math.min(32767, value));
}
