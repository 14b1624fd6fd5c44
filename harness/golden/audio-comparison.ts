/**
 * Whether two recordings of a sound are the same sound: by where it is (length, edges of what is audible), by its
 * envelope and by its spectrum, each within a stated tolerance. Pure.
 *
 * Samples are not compared: another build of a codec or of the voice may change every one of them by a little, and
 * nobody hears it. What somebody would hear lies far beyond these tolerances; what lies within them is inaudible.
 */
import { clipSilence } from '../metrics/audibility.ts';
import { samplesToMs } from '../metrics/recorded-cell.ts';
import { bandEdgesHz, bandLevelsDb, hopSamples } from './power-spectrum.ts';

export interface AudioTolerances {
  readonly lengthMs: number;
  /** Of the first and the last audible sample: where a sound that fades passes the threshold is a matter of chance. */
  readonly edgeMs: number;
  /** Of the level of each window of 20 ms, beyond what it is 5 ms earlier and later. */
  readonly envelopeDb: number;
  /** Of the level of each band in each stretch of about 100 ms. */
  readonly bandDb: number;
  /** Below this (dB of full scale) a window or a band is silence, and as such the same as any other silence. */
  readonly floorDb: number;
}

export const audioTolerances: AudioTolerances = {
  lengthMs: 2,
  edgeMs: 8,
  envelopeDb: 1.5,
  bandDb: 3,
  floorDb: -55,
};

export interface AudioDifference {
  readonly kind: 'length' | 'begins' | 'ends' | 'envelope' | 'spectrum';
  /** From the beginning of the file. */
  readonly atMs: number;
  /** How far apart, in the unit of its tolerance. */
  readonly amount: number;
  readonly limit: number;
  /** One line for a person. */
  readonly text: string;
}

const envelopeSamples = 320;
const levelHopSamples = 80;
/** About 100 ms. */
const stretchHops = 6;

/** @returns the worst of each kind; empty: it is the same sound */
export function compareAudio(
  golden: Int16Array,
  now: Int16Array,
  tolerances: AudioTolerances = audioTolerances,
): AudioDifference[] {
  return [
    ...compareEdges(golden, now, tolerances),
    ...compareEnvelope(golden, now, tolerances),
    ...compareSpectrum(golden, now, tolerances),
  ];
}

function compareEdges(
  golden: Int16Array,
  now: Int16Array,
  { lengthMs, edgeMs }: AudioTolerances,
): AudioDifference[] {
  const [before, after] = [edgesOf(golden), edgesOf(now)];
  const kinds = [
    ['length', 'the file is', lengthMs],
    ['begins', 'the first sound is at', edgeMs],
    ['ends', 'the last sound is at', edgeMs],
  ] as const;
  return kinds.flatMap(([kind, what, limit]): AudioDifference[] => {
    const [was, is] = [before[kind], after[kind]];
    const amount = Math.abs(is - was);
    if (amount <= limit) return [];
    const text = `${what} ${ms(is)} instead of ${ms(was)} (tolerance ${limit} ms)`;
    return [{ kind, atMs: Math.min(was, is), amount, limit, text }];
  });
}

/** A silent file has its edges at its end. */
function edgesOf(samples: Int16Array): Record<'length' | 'begins' | 'ends', number> {
  const silence = clipSilence(samples);
  const length = samplesToMs(samples.length);
  if (silence === null) return { length, begins: length, ends: length };
  return {
    length,
    begins: samplesToMs(silence.leadSamples),
    ends: samplesToMs(samples.length - silence.tailSamples),
  };
}

function compareEnvelope(
  golden: Int16Array,
  now: Int16Array,
  { envelopeDb, floorDb }: AudioTolerances,
): AudioDifference[] {
  const worst = new Worst();
  const [before, after] = [levelsOf(golden, floorDb), levelsOf(now, floorDb)];
  for (let i = 0; i < Math.min(before.length, after.length); i++) {
    const near = before.slice(Math.max(0, i - 1), i + 2);
    const is = after[i]!;
    const amount = Math.max(Math.min(...near) - is, is - Math.max(...near));
    const atMs = samplesToMs(i * levelHopSamples);
    worst.see(amount, envelopeDb, () => ({
      kind: 'envelope',
      atMs,
      text: `level ${is.toFixed(1)} dBFS instead of ${before[i]!.toFixed(1)} at ${ms(atMs)}`,
    }));
  }
  return worst.found(`(tolerance ${envelopeDb} dB in 20 ms)`);
}

function compareSpectrum(
  golden: Int16Array,
  now: Int16Array,
  { bandDb, floorDb }: AudioTolerances,
): AudioDifference[] {
  const worst = new Worst();
  const end = Math.min(golden.length, now.length);
  for (let at = 0; at < end; at += stretchHops * hopSamples) {
    const before = bandLevelsDb(golden, at, stretchHops);
    const after = bandLevelsDb(now, at, stretchHops);
    for (const [band, level] of before.entries()) {
      const was = Math.max(floorDb, level);
      const is = Math.max(floorDb, after[band]!);
      worst.see(Math.abs(is - was), bandDb, () => ({
        kind: 'spectrum',
        atMs: samplesToMs(at),
        text:
          `${bandEdgesHz[band]} to ${bandEdgesHz[band + 1]} Hz: ${is.toFixed(1)} dBFS instead of ` +
          `${was.toFixed(1)} at ${ms(samplesToMs(at))}`,
      }));
    }
  }
  return worst.found(`(tolerance ${bandDb} dB in 100 ms)`);
}

/** The largest difference, and how many there are. */
class Worst {
  #largest: AudioDifference | undefined;
  #count = 0;

  see(
    amount: number,
    limit: number,
    describe: () => Pick<AudioDifference, 'kind' | 'atMs' | 'text'>,
  ): void {
    if (amount <= limit) return;
    this.#count += 1;
    if (amount <= (this.#largest?.amount ?? 0)) return;
    this.#largest = { ...describe(), amount, limit };
  }

  found(tolerance: string): AudioDifference[] {
    if (this.#largest === undefined) return [];
    const more = this.#count === 1 ? '' : `, and ${this.#count - 1} more places`;
    return [{ ...this.#largest, text: `${this.#largest.text}${more} ${tolerance}` }];
  }
}

/** Of windows of 20 ms, every 5 ms. */
function levelsOf(samples: Int16Array, floorDb: number): number[] {
  const levels: number[] = [];
  for (let at = 0; at + envelopeSamples <= samples.length; at += levelHopSamples) {
    let sum = 0;
    for (let i = at; i < at + envelopeSamples; i++) sum += samples[i]! ** 2;
    levels.push(Math.max(floorDb, 10 * Math.log10(sum / envelopeSamples / 32_768 ** 2 + 1e-12)));
  }
  return levels;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
