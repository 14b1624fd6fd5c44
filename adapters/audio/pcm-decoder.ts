import type { PcmFormat } from './wav-stream.ts';

/** Headerless PCM as the providers send it: signed 16-bit little-endian. */
export function pcm16(rateHz: number, channels = 1): PcmFormat {
  return { encoding: 'integer', bits: 16, channels, rateHz };
}

/**
 * Turns bytes of linear PCM into mono samples on the scale of 16-bit integers (−32768…32767, with
 * fractions where the source is finer). Bytes that end inside a frame are carried over to the next
 * call, so the result does not depend on how the bytes are cut.
 */
export class PcmDecoder {
  readonly format: PcmFormat;
  readonly #frameBytes: number;
  readonly #carry: Uint8Array;
  #carried = 0;
  #frames = 0;

  constructor(format: PcmFormat) {
    this.format = format;
    this.#frameBytes = (format.bits / 8) * format.channels;
    this.#carry = new Uint8Array(this.#frameBytes);
  }

  /** Complete frames decoded so far. */
  get frames(): number {
    return this.#frames;
  }

  /** Bytes of an incomplete frame; at the end of a stream they are lost. */
  get pendingBytes(): number {
    return this.#carried;
  }

  /** Channels are mixed down to their mean. The result is owned by the caller. */
  push(bytes: Uint8Array): Float64Array {
    const size = this.#frameBytes;
    const count = Math.floor((this.#carried + bytes.length) / size);
    const samples = new Float64Array(count);
    let at = 0;
    let index = 0;
    if (this.#carried > 0) {
      const wanted = Math.min(size - this.#carried, bytes.length);
      this.#carry.set(bytes.subarray(0, wanted), this.#carried);
      this.#carried += wanted;
      at = wanted;
      if (this.#carried < size) return samples;
      this.#decode(this.#carry, samples, 0, 1);
      this.#carried = 0;
      index = 1;
    }
    this.#decode(bytes.subarray(at), samples, index, count - index);
    at += (count - index) * size;
    this.#carry.set(bytes.subarray(at));
    this.#carried = bytes.length - at;
    this.#frames += count;
    return samples;
  }

  #decode(bytes: Uint8Array, samples: Float64Array, from: number, count: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const read = sampleReader(this.format, view);
    const { channels } = this.format;
    const step = this.format.bits / 8;
    let at = 0;
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += read(at);
        at += step;
      }
      samples[from + i] = sum / channels;
    }
  }
}

/** Rounds to 16-bit integers and saturates. The result is owned by the caller. */
export function quantize(samples: Float64Array): Int16Array {
  const out = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const rounded = Math.round(samples[i]!);
    out[i] = Math.max(-32768, Math.min(32767, rounded));
  }
  return out;
}

function sampleReader(format: PcmFormat, view: DataView): (at: number) => number {
  switch (`${format.encoding} ${format.bits}`) {
    case 'integer 8':
      return (at) => (view.getUint8(at) - 128) * 256;
    case 'integer 16':
      return (at) => view.getInt16(at, true);
    case 'integer 24':
      return (at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 256;
    case 'integer 32':
      return (at) => view.getInt32(at, true) / 65_536;
    case 'float 32':
      return (at) => finite(view.getFloat32(at, true)) * 32_768;
    case 'float 64':
      return (at) => finite(view.getFloat64(at, true)) * 32_768;
    default:
      throw new RangeError(`No decoder for ${format.bits}-bit ${format.encoding} samples.`);
  }
}

/** One broken float would spread over the whole length of the resampling filter. */
function finite(value: number): number {
  return Number.isFinite(value) ? Math.max(-16, Math.min(16, value)) : 0;
}
