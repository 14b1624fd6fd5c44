/** Zero crossings of the sinc on each side. */
const crossings = 16;
/** Steps between two input samples at which the kernel is tabulated. */
const steps = 256;

/**
 * The sound as it would be with `ratio` times as many samples: windowed sinc, without delay, rounded
 * to 16 bits. Good to about −60 dB, which is less than a defect makes. The conversions of adapters and stand-ins are
 * others, so that none of them is compared with itself.
 */
export function convertRate(samples: Int16Array, ratio: number): Int16Array {
  if (ratio === 1) return samples;
  // Below the lower of the two Nyquist frequencies.
  const cutoff = Math.min(1, ratio) * 0.94;
  const half = Math.ceil(crossings / cutoff);
  const kernel = kernelFor(cutoff, half);
  const out = new Int16Array(Math.round(samples.length * ratio));
  for (let n = 0; n < out.length; n++) {
    const position = n / ratio;
    const base = Math.floor(position);
    const phase = Math.round((position - base) * steps);
    let sum = 0;
    const first = Math.max(0, base - half + 1);
    const last = Math.min(samples.length - 1, base + half);
    for (let i = first; i <= last; i++) {
      sum += samples[i]! * kernel[Math.abs((i - base) * steps - phase)]!;
    }
    out[n] = Math.max(-32768, Math.min(32767, Math.round(sum)));
  }
  return out;
}

const kernels = new Map<number, Float64Array>();

/** One side of the kernel, {@link steps} values for each input sample. */
function kernelFor(cutoff: number, half: number): Float64Array {
  let kernel = kernels.get(cutoff);
  if (kernel === undefined) {
    kernel = Float64Array.from({ length: (half + 1) * steps + 1 }, (_, i) => {
      const x = i / steps;
      if (x >= half) return 0;
      const window =
        0.42 + 0.5 * Math.cos((Math.PI * x) / half) + 0.08 * Math.cos((2 * Math.PI * x) / half);
      const angle = Math.PI * cutoff * x;
      return cutoff * window * (angle === 0 ? 1 : Math.sin(angle) / angle);
    });
    kernels.set(cutoff, kernel);
  }
  return kernel;
}
