import type { Finding } from './defect.ts';

/** Both bytes of every sample in the other order. */
export function swapBytes(samples: Int16Array): Int16Array {
  return samples.map((sample) => ((sample & 0xff) << 8) | ((sample >> 8) & 0xff));
}

/** The samples that the bytes give when they are taken one byte earlier. The first one loses its low byte. */
export function shiftBytes(samples: Int16Array): Int16Array {
  return samples.map((sample, i) => ((sample & 0xff) << 8) | (((samples[i - 1] ?? 0) >> 8) & 0xff));
}

const frameMs = 20;
/** Frames in a row. */
const framesMin = 3;
/** What is not louder has no order of bytes that could be told. */
const quietPeak = 64;
/** How much smoother the sound must be the other way round. */
const smoother = 4;
/** Mean step against mean magnitude: speech stays below but for sharp sibilants, noise is at 4/3. */
const roughMin = 0.85;

/**
 * Sound whose bytes are in the wrong order is loud noise, and the right order makes speech of it: in frames of 20 ms
 * the steps between samples become less than a quarter.
 */
export function findByteOrder(samples: Int16Array, rateHz: number): Finding[] {
  const frame = Math.round((rateHz * frameMs) / 1000);
  const findings: Finding[] = [];
  const repairs = [
    ['swapped', swapBytes(samples)],
    ['one byte off', shiftBytes(samples)],
  ] as const;
  for (const [what, repaired] of repairs) {
    let run = 0;
    for (let start = 0; start <= samples.length; start += frame) {
      const wrong =
        start + frame <= samples.length &&
        isNoise(samples, start, frame) &&
        stepSum(repaired, start, frame) * smoother < stepSum(samples, start, frame);
      if (wrong) {
        run++;
        continue;
      }
      if (run >= framesMin) {
        const [from, to] = extended(samples, repaired, start - run * frame, start, frame / 4);
        const ms = Math.round(((to - from) * 1000) / rateHz);
        findings.push({
          kind: 'byte-swap',
          at: from,
          samples: to - from,
          evidence: `bytes are ${what}: noise becomes speech the other way round for ${ms} ms`,
        });
      }
      run = 0;
    }
  }
  return joined(
    findings.sort((a, b) => a.at - b.at),
    rateHz / 2,
  );
}

/** As far to both sides as the sound is smoother the other way round, which sibilants are, too, but not so much. */
function extended(
  samples: Int16Array,
  repaired: Int16Array,
  start: number,
  end: number,
  step: number,
): [number, number] {
  const size = Math.max(1, Math.round(step));
  const smoothed = (at: number): boolean =>
    stepSum(repaired, at, size) < 0.8 * stepSum(samples, at, size);
  let [from, to] = [start, end];
  while (from >= size && smoothed(from - size)) from -= size;
  while (to + size <= samples.length && smoothed(to)) to += size;
  return [from, to];
}

function isNoise(samples: Int16Array, start: number, length: number): boolean {
  let sum = 0;
  let peak = 0;
  for (let i = start; i < start + length; i++) {
    const magnitude = Math.abs(samples[i]!);
    sum += magnitude;
    peak = Math.max(peak, magnitude);
  }
  return peak > quietPeak && stepSum(samples, start, length) > roughMin * sum;
}

function stepSum(samples: Int16Array, start: number, length: number): number {
  let sum = 0;
  for (let i = Math.max(1, start); i < start + length; i++) {
    sum += Math.abs(samples[i]! - samples[i - 1]!);
  }
  return sum;
}

/** Findings that are less than `distance` apart are one: a pause in speech has no order of bytes. */
function joined(findings: readonly Finding[], distance: number): Finding[] {
  const result: Finding[] = [];
  for (const finding of findings) {
    const last = result.at(-1);
    if (last !== undefined && finding.at <= last.at + last.samples + distance) {
      const samples = Math.max(last.samples, finding.at + finding.samples - last.at);
      result[result.length - 1] = { ...last, samples };
    } else result.push(finding);
  }
  return result;
}
