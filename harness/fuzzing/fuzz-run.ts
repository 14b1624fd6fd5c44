/** One part of a run: so many inputs of one target in this process, with its figures. */
import { createRandom } from '../random/random.ts';
import { BlockCoverage } from './block-coverage.ts';
import { type CampaignResult, runCampaign } from './campaign.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { HangWatch } from './hang-watch.ts';
import { LastInput } from './last-input.ts';
import { tryInput, type Violation } from './trial.ts';

export interface FuzzPart {
  readonly target: string;
  readonly seed: number;
  readonly inputs: number;
  readonly coverage: boolean;
  /** Whether inputs that reach something new are kept and changed further. */
  readonly feedback: boolean;
  /** Where an input is written that hangs. */
  readonly hangFile: string;
  /** Where each input is written before it is decoded, for `readLastInput` when it ends the process. */
  readonly lastFile: string;
}

export interface FuzzPartResult extends CampaignResult {
  readonly cpuMs: number;
  /** What stays in memory for each further input, in the second half of the part; undefined when it was too short. */
  readonly bytesPerInput: number | undefined;
}

export const hangLimitMs = 30_000;
/** Less is noise of the collector. */
const leastSamples = 8;

/** @param collect runs the garbage collector; absent: the memory is not measured */
export async function runPart(
  target: FuzzTarget,
  part: FuzzPart,
  collect: (() => void) | undefined,
): Promise<FuzzPartResult> {
  const decode = await target.open();
  const { longestBytes } = target;
  const watch = new HangWatch({ limitMs: hangLimitMs, file: part.hangFile, longestBytes });
  const last = new LastInput(part.lastFile, longestBytes);
  const coverage = part.coverage ? new BlockCoverage() : undefined;
  const memory: (readonly [inputs: number, bytes: number])[] = [];
  const every = Math.max(256, Math.floor(part.inputs / 40));
  let next = Math.floor(part.inputs / 2);
  const before = process.cpuUsage();
  try {
    const result = await runCampaign(target, decode, {
      seed: part.seed,
      inputs: part.inputs,
      feedback: part.feedback,
      ...(coverage !== undefined && { coverage }),
      onInput: (input) => {
        last.note(input);
        watch.note(input);
      },
      onProgress: (inputs, corpusBytes) => {
        if (collect === undefined || inputs < next) return;
        next += every;
        collect();
        const { heapUsed, external } = process.memoryUsage();
        memory.push([inputs, heapUsed + external - corpusBytes]);
      },
    });
    const { user, system } = process.cpuUsage(before);
    const bytesPerInput = memory.length < leastSamples ? undefined : slope(memory);
    return { ...result, cpuMs: Math.round((user + system) / 1000), bytesPerInput };
  } finally {
    coverage?.stop();
    last.close();
    await watch.stop();
  }
}

/** One input, as often as the places at which it can be cut deserve. */
export async function repeatInput(
  target: FuzzTarget,
  input: Uint8Array,
  seed: number,
  tries = 20,
): Promise<Violation | undefined> {
  const decode = await target.open();
  // The draws with which a smallest input was found come first.
  for (let i = 0; i < tries; i++) {
    const random = createRandom(seed, i === 0 ? 'shrinking' : `shrinking/${i}`);
    const found = await tryInput(target, decode, input, random);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of the line that lies nearest to the points, by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let above = 0;
  let below = 0;
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
