/**
 * A fixed piece of work that has nothing to do with this program: what it takes says how fast this machine is at this
 * moment, so that what was measured beside it can be told in yardsticks.
 */

const samples = 16_384;
const taps = 64;
const rounds = 12;

/** Processor time that the whole process has used, all its threads together, in µs. */
export function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Products of floats, sums of integers and short-lived objects, as in any program that handles sound: some 50 ms.
 *
 * @returns what it took in processor time, in µs
 */
export function yardstickUs(): number {
  const fromUs = processorUs();
  if (work() === 0) throw new Error('The yardstick did nothing.');
  return processorUs() - fromUs;
}

/** Processor time of `measured` in yardsticks; one lies before it and one behind. */
export async function inYardsticks(
  measured: () => Promise<void> | void,
): Promise<{ readonly us: number; readonly yardsticks: number }> {
  const before = yardstickUs();
  const fromUs = processorUs();
  await measured();
  const us = processorUs() - fromUs;
  return { us, yardsticks: us / ((before + yardstickUs()) / 2) };
}

function work(): number {
  const sound = Float32Array.from({ length: samples }, (_, at) => ((at * 7919) % 2003) / 1001 - 1);
  const filter = Float32Array.from({ length: taps }, (_, at) => 1 / (1 + at));
  let digest = 1;
  let energy = 0;
  for (let round = 0; round < rounds; round++) {
    const pieces: { readonly at: number; readonly sum: number }[] = [];
    for (let at = taps; at < samples; at++) {
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += sound[at - tap]! * filter[tap]!;
      energy += sum * sum;
      digest = (Math.imul(digest, 31) + Math.round(sum * 1000)) | 0;
      if (at % 8 === 0) pieces.push({ at, sum });
    }
    digest ^= pieces.filter(({ sum }) => sum > 0).length;
  }
  return digest + energy;
}
