import { outputRateHz } from './resampler.ts';

/**
 * Linear interpolation to 16 kHz, as the EchoKit server does it (EchoKit device protocol reference,
 * section 7.6). There is no filter: what lies above 8 kHz comes out as another tone. Only for
 * comparison with that server.
 */
export class LinearResampler {
  readonly rateHz: number;
  /** Input from index `#first` on, as far as it is still needed. */
  #held = new Float64Array(0);
  #first = 0;
  /** Next output sample. */
  #index = 0;

  /** @param rateHz sampling rate of the input: any positive integer. */
  constructor(rateHz: number) {
    if (!Number.isInteger(rateHz) || rateHz < 1) {
      throw new RangeError(`A sampling rate is a positive integer, not ${rateHz}.`);
    }
    this.rateHz = rateHz;
  }

  /** The values do not depend on how the input is cut. */
  push(samples: Float64Array): Float64Array {
    const input = new Float64Array(this.#held.length + samples.length);
    input.set(this.#held);
    input.set(samples, this.#held.length);
    this.#held = input;
    // An output sample between two inputs has to wait for the later one.
    return this.#produce(this.#first + input.length - 1);
  }

  /** What stands behind the last input sample has its value. */
  flush(): Float64Array {
    return this.#produce(this.#first + this.#held.length);
  }

  /** All output samples that stand before input position `end`. */
  #produce(end: number): Float64Array {
    const count = Math.max(0, Math.ceil((end * outputRateHz) / this.rateHz) - this.#index);
    const out = new Float64Array(count);
    const last = this.#held.length - 1;
    for (let n = 0; n < count; n++, this.#index++) {
      const at = (this.#index * this.rateHz) / outputRateHz;
      const whole = Math.floor(at);
      const before = this.#held[whole - this.#first]!;
      const after = this.#held[Math.min(whole - this.#first + 1, last)]!;
      out[n] = before + (at - whole) * (after - before);
    }
    const needed = Math.min(
      this.#first + this.#held.length,
      Math.floor((this.#index * this.rateHz) / outputRateHz),
    );
    this.#held = this.#held.slice(needed - this.#first);
    this.#first = needed;
    return out;
  }
}
