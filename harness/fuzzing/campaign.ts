/** Many inputs for one decoder, one after the other. */
import { createRandom, type Random } from '../random/random.ts';
import type { BlockCoverage } from './block-coverage.ts';
import { chance, oneOf } from './draws.ts';
import type { Decode, FuzzTarget } from './fuzz-target.ts';
import { mutated } from './mutation.ts';
import { shrunken } from './shrinking.ts';
import { tryInput, type Violation } from './trial.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly inputs: number;
  /** Absent: nothing is known of what the inputs reach. */
  readonly coverage?: BlockCoverage;
  /** Whether inputs that reach something new are kept and changed further; default: when `coverage` is there. */
  readonly feedback?: boolean;
  /** Called before each input, for a watch that must know what takes so long. */
  readonly onInput?: (input: Uint8Array) => void;
  /** Called now and then, with how many inputs are done, and how much the kept ones take. */
  readonly onProgress?: (inputs: number, corpusBytes: number) => void;
  /** After so many different violations it goes no further; default 10. */
  readonly violationsMax?: number;
}

export interface FoundViolation extends Violation {
  readonly input: Uint8Array;
  /** Which of the inputs it was, from 0. */
  readonly index: number;
}

export interface CampaignResult {
  readonly inputs: number;
  /** Inputs that were kept because they reached something new. */
  readonly corpus: number;
  readonly blocks: { readonly reached: number; readonly known: number } | undefined;
  /** The smallest of each kind. */
  readonly violations: readonly FoundViolation[];
}

/** Coverage is taken for so many inputs at once, because taking it costs as much as some of them. */
const batchInputs = 16;
const corpusMax = 400;
const progressEvery = 256;

export async function runCampaign(
  target: FuzzTarget,
  decode: Decode,
  options: CampaignOptions,
): Promise<CampaignResult> {
  const { seed, inputs, coverage, onInput, onProgress, violationsMax = 10 } = options;
  const feedback = options.feedback ?? coverage !== undefined;
  const corpus: Uint8Array[] = [];
  const violations = new Map<string, FoundViolation>();
  let batch: Uint8Array[] = [];
  let index = 0;
  for (; index < inputs && violations.size < violationsMax; index++) {
    if (index % progressEvery === 0) onProgress?.(index, bytesIn(corpus));
    const random = createRandom(seed, `fuzz/${target.name}/${index}`);
    const input = nextInput(target, corpus, random);
    onInput?.(input);
    const found = await tryInput(target, decode, input, random);
    if (found !== undefined && !violations.has(kindOf(found))) {
      const small = await shrunken(target, decode, input, found, seed, onInput);
      violations.set(kindOf(found), { ...small.violation, input: small.input, index });
    }
    if (coverage === undefined) continue;
    batch.push(input);
    if (batch.length < batchInputs && index + 1 < inputs) continue;
    const reached = coverage.take();
    if (reached !== undefined && feedback) {
      for (const one of batch) {
        if (reached.size === 0) break;
        onInput?.(one);
        await tryInput(target, decode, one, random);
        if (coverage.takeFrom(reached)) keep(corpus, one, random);
      }
    }
    batch = [];
  }
  return {
    inputs: index,
    corpus: corpus.length,
    blocks: coverage?.blocks,
    violations: [...violations.values()],
  };
}

/** Fresh from the grammar, or changed: the grammar's own, or one that has reached something. */
function nextInput(target: FuzzTarget, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  if (chance(random, 0.12)) return target.draw(random).subarray(0, target.longestBytes);
  const base = () =>
    corpus.length > 0 && chance(random, 0.6) ? oneOf(random, corpus) : target.draw(random);
  const { tokens, longestBytes } = target;
  const source = {
    tokens,
    longestBytes,
    partner: chance(random, 0.2) ? base() : target.draw(random),
  };
  return mutated(base(), random, source);
}

function keep(corpus: Uint8Array[], input: Uint8Array, random: Random): void {
  const kept = input.slice();
  if (corpus.length < corpusMax) corpus.push(kept);
  else corpus[random.integer(0, corpusMax - 1)] = kept;
}

function bytesIn(corpus: readonly Uint8Array[]): number {
  return corpus.reduce((sum, { length }) => sum + length, 0);
}

function kindOf({ rule, mark }: Violation): string {
  return `${rule} ${mark}`;
}
