import { FourierTransform } from './spectrum.ts';

const size = 1024;
/** Places that one block gives for every window that is not longer than {@link windowMax}. */
const hop = 624;
const windowMax = size - hop + 1;
const transform = new FourierTransform(size);

/**
 * The product sums of a window with a signal at every place in it, by spectra of blocks of the signal: six times as fast as
 * adding up the products.
 */
export class CrossCorrelation {
  readonly #signal: Float64Array;
  /** Two blocks each: one is the real, the other the imaginary part. */
  #blocks: { readonly real: Float64Array; readonly imaginary: Float64Array }[] | undefined;

  constructor(signal: Float64Array) {
    this.#signal = signal;
  }

  /**
   * @param window of at most 401 values
   * @returns for each place at which all of the window is within the signal
   */
  with(window: Float64Array): Float64Array {
    if (window.length > windowMax)
      throw new RangeError(`A window of ${window.length} is longer than ${windowMax}.`);
    const sums = new Float64Array(Math.max(0, this.#signal.length - window.length + 1));
    const wantedReal = new Float64Array(size);
    const wantedImaginary = new Float64Array(size);
    wantedReal.set(window);
    transform.forward(wantedReal, wantedImaginary);
    this.#blocks ??= blocksOf(this.#signal);
    const real = new Float64Array(size);
    const imaginary = new Float64Array(size);
    for (const [pair, block] of this.#blocks.entries()) {
      for (let k = 0; k < size; k++) {
        const [re, im] = [block.real[k]!, block.imaginary[k]!];
        const [wre, wim] = [wantedReal[k]! / size, wantedImaginary[k]! / size];
        real[k] = re * wre + im * wim;
        imaginary[k] = im * wre - re * wim;
      }
      transform.backward(real, imaginary);
      const at = 2 * pair * hop;
      sums.set(
        real.subarray(0, Math.max(0, Math.min(hop, sums.length - at))),
        Math.min(at, sums.length),
      );
      const next = at + hop;
      if (next < sums.length)
        sums.set(imaginary.subarray(0, Math.min(hop, sums.length - next)), next);
    }
    return sums;
  }
}

function blocksOf(signal: Float64Array): { real: Float64Array; imaginary: Float64Array }[] {
  const count = Math.ceil(signal.length / (2 * hop));
  return Array.from({ length: count }, (_, pair) => {
    const real = new Float64Array(size);
    const imaginary = new Float64Array(size);
    const at = 2 * pair * hop;
    real.set(signal.subarray(at, at + size));
    imaginary.set(signal.subarray(at + hop, at + hop + size));
    transform.forward(real, imaginary);
    return { real, imaginary };
  });
}
