/** Short-time spectra: what pictures, and everything that listens for pitch or color, are made from. */

/** Discrete Fourier transform of complex values, in place. */
export class FourierTransform {
  readonly size: number;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #order: Uint32Array;

  /** @param size a power of two */
  constructor(size: number) {
    const bits = Math.log2(size);
    if (!Number.isInteger(bits)) throw new RangeError(`A window of ${size} is no power of two.`);
    this.size = size;
    this.#cos = Float64Array.from({ length: size / 2 }, (_, i) =>
      Math.cos((2 * Math.PI * i) / size),
    );
    this.#sin = Float64Array.from({ length: size / 2 }, (_, i) =>
      Math.sin((2 * Math.PI * i) / size),
    );
    this.#order = Uint32Array.from({ length: size }, (_, i) => reversedBits(i, bits));
  }

  forward(real: Float64Array, imaginary: Float64Array): void {
    const { size } = this;
    const order = this.#order;
    for (let i = 0; i < size; i++) {
      const other = order[i]!;
      if (other <= i) continue;
      [real[i], real[other]] = [real[other]!, real[i]!];
      [imaginary[i], imaginary[other]] = [imaginary[other]!, imaginary[i]!];
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let block = 0; block < size; block += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [cos, sin] = [this.#cos[k * step]!, this.#sin[k * step]!];
          const [even, odd] = [block + k, block + k + half];
          const re = real[odd]! * cos + imaginary[odd]! * sin;
          const im = imaginary[odd]! * cos - real[odd]! * sin;
          real[odd] = real[even]! - re;
          imaginary[odd] = imaginary[even]! - im;
          real[even] = real[even]! + re;
          imaginary[even] = imaginary[even]! + im;
        }
      }
    }
  }

  /** The values are {@link size} times as large as they were before {@link forward}. */
  backward(real: Float64Array, imaginary: Float64Array): void {
    this.forward(imaginary, real);
  }
}

/** Power per bin from 0 Hz to half the sampling rate, Hann window, full scale = 1. */
export class PowerSpectrum {
  readonly size: number;
  readonly bins: number;
  readonly #transform: FourierTransform;
  readonly #window: Float64Array;
  readonly #scale: number;
  readonly #real: Float64Array;
  readonly #imaginary: Float64Array;

  /** @param size samples of a window: a power of two */
  constructor(size: number) {
    this.#transform = new FourierTransform(size);
    this.size = size;
    this.bins = size / 2 + 1;
    this.#window = Float64Array.from(
      { length: size },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size),
    );
    const sum = this.#window.reduce((all, value) => all + value, 0);
    this.#scale = 2 / (sum * 32768) ** 2;
    this.#real = new Float64Array(size);
    this.#imaginary = new Float64Array(size);
  }

  /**
   * @param start index of the first sample; what lies outside of `samples` is silence
   * @param into receives {@link bins} values
   */
  measure(samples: ArrayLike<number>, start: number, into: Float64Array): void {
    const real = this.#real;
    const imaginary = this.#imaginary;
    for (let i = 0; i < this.size; i++) real[i] = (samples[start + i] ?? 0) * this.#window[i]!;
    imaginary.fill(0);
    this.#transform.forward(real, imaginary);
    for (let bin = 0; bin < this.bins; bin++) {
      into[bin] = (real[bin]! ** 2 + imaginary[bin]! ** 2) * this.#scale;
    }
  }
}

function reversedBits(value: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) if ((value >> bit) & 1) reversed |= 1 << (bits - 1 - bit);
  return reversed;
}
