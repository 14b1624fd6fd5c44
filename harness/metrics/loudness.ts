/**
 * Integrated loudness of mono audio, ITU-R BS.1770-4 and EBU R128.
 *
 * The K-weighting is designed for the rate at hand: the standard only prints the coefficients for
 * 48 kHz, so both filters are rebuilt by the bilinear transform (with pre-warping) from the analog
 * parameters those coefficients come from. At 48 kHz that gives the printed numbers back, which a
 * test checks.
 */

interface Biquad {
  readonly b: readonly [number, number, number];
  /** a0 is 1. */
  readonly a: readonly [number, number];
}

/** The two filters of the K-weighting: the shelf of the head, then the high-pass. */
export function kWeighting(rateHz: number): readonly [Biquad, Biquad] {
  return [highShelf(rateHz), highPass(rateHz)];
}

function highShelf(rateHz: number): Biquad {
  const frequencyHz = 1681.974450955533;
  const q = 0.7071752369554196;
  const gain = 10 ** (3.999843853973347 / 20);
  const bandGain = gain ** 0.4996667741545416;
  const k = Math.tan((Math.PI * frequencyHz) / rateHz);
  const a0 = 1 + k / q + k * k;
  return {
    b: [
      (gain + (bandGain * k) / q + k * k) / a0,
      (2 * (k * k - gain)) / a0,
      (gain - (bandGain * k) / q + k * k) / a0,
    ],
    a: [(2 * (k * k - 1)) / a0, (1 - k / q + k * k) / a0],
  };
}

function highPass(rateHz: number): Biquad {
  const frequencyHz = 38.13547087602444;
  const q = 0.5003270373238773;
  const k = Math.tan((Math.PI * frequencyHz) / rateHz);
  const a0 = 1 + k / q + k * k;
  // The standard leaves the numerator at 1, -2, 1, without dividing it by a0.
  return { b: [1, -2, 1], a: [(2 * (k * k - 1)) / a0, (1 - k / q + k * k) / a0] };
}

/**
 * Integrated loudness in LUFS: blocks of 400 ms, 75 % overlap, absolute gate at -70 LUFS, relative
 * gate at -10 LU. Null when the clip is shorter than one block or entirely below the gate.
 */
export function integratedLoudnessLufs(samples: Int16Array, rateHz = 16_000): number | null {
  const hop = Math.round(rateHz / 10);
  const steps = Math.floor(samples.length / hop);
  if (steps < 4) return null;
  const stepPower = weightedStepPower(samples, rateHz, hop, steps);
  const blocks: number[] = [];
  for (let i = 0; i + 4 <= steps; i++) {
    blocks.push((stepPower[i]! + stepPower[i + 1]! + stepPower[i + 2]! + stepPower[i + 3]!) / 4);
  }
  const aboveAbsolute = blocks.filter((power) => loudness(power) > -70);
  if (aboveAbsolute.length === 0) return null;
  const relativeGate = loudness(mean(aboveAbsolute)) - 10;
  return loudness(mean(aboveAbsolute.filter((power) => loudness(power) > relativeGate)));
}

/** Mean square of the K-weighted signal per step of 100 ms, full scale = 1. */
function weightedStepPower(
  samples: Int16Array,
  rateHz: number,
  hop: number,
  steps: number,
): Float64Array {
  const [shelf, pass] = kWeighting(rateHz);
  const power = new Float64Array(steps);
  let [s1, s2, p1, p2] = [0, 0, 0, 0];
  for (let step = 0; step < steps; step++) {
    let sum = 0;
    for (let i = step * hop; i < (step + 1) * hop; i++) {
      // Transposed direct form II, twice.
      const x = samples[i]! / 32768;
      const y = shelf.b[0] * x + s1;
      s1 = shelf.b[1] * x - shelf.a[0] * y + s2;
      s2 = shelf.b[2] * x - shelf.a[1] * y;
      const z = pass.b[0] * y + p1;
      p1 = pass.b[1] * y - pass.a[0] * z + p2;
      p2 = pass.b[2] * y - pass.a[1] * z;
      sum += z * z;
    }
    power[step] = sum / hop;
  }
  return power;
}

function loudness(power: number): number {
  return -0.691 + 10 * Math.log10(power);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
