/** What is fuzzed: a decoder, what it is fed with, and what it owes for anything it may be fed with. */
import type { Random } from '../random/random.ts';

/**
 * Decodes bytes that arrived in these pieces, and gives an account of what was found: plain data that can be
 * compared. What it throws must be a documented refusal (an error with a `code`); a {@link BrokenRule} says that the
 * decoder has broken a rule of its own, such as `decode(encode(x)) = x`.
 *
 * The pieces are only valid during the call, and belong to the caller.
 */
export type Decode = (pieces: readonly Uint8Array[]) => unknown;

export interface FuzzTarget {
  /** What `--target` names. */
  readonly name: string;
  /** What is decoded, for people. */
  readonly about: string;
  /** Of the inputs of a run, relative to those of the other targets: slow decoders get fewer. */
  readonly share: number;
  /** Inputs are never longer. */
  readonly longestBytes: number;
  /**
   * `stream`: the bytes may be cut anywhere, and the account must be the same. `whole`: they come in one piece.
   */
  readonly arrival: 'stream' | 'whole';
  /** The first so many bytes choose a variant of the decoder and are never cut off from it. */
  readonly headBytes?: number;
  /** The codes that a refusal may have; one that ends with `_` stands for all that begin with it. */
  readonly refusals: readonly string[];
  /** Something valid, or nearly so, from the grammar of what is decoded. */
  draw(random: Random): Uint8Array;
  /** What mutations put in: words of the grammar, beginnings of nested things. */
  readonly tokens: readonly (string | Uint8Array)[];
  /** Loads what the decoder needs; called once in a process. */
  open(): Promise<Decode> | Decode;
  /** What a call may allocate; absent: {@link usualMemory}. */
  readonly memory?: MemoryLimit;
  /** What a call may take of the processor; absent: {@link usualTime}. */
  readonly time?: TimeLimit;
}

/** In bytes, so that a small input that announces a huge one is found. */
export interface MemoryLimit {
  readonly base: number;
  readonly perByte: number;
}

/** Of the processor, so that work that grows with the square of an input is found. */
export interface TimeLimit {
  readonly baseUs: number;
  readonly perByteUs: number;
}

/** A byte may become an object or two, and a text is held more than once while it is worked on. */
export const usualMemory: MemoryLimit = { base: 4 << 20, perByte: 600 };
/** Some hundred times what the decoders take; what is quadratic is beyond it in a few tens of KiB. */
export const usualTime: TimeLimit = { baseUs: 60_000, perByteUs: 3 };

/** A rule that holds for every input, and did not. */
export class BrokenRule extends Error {
  override readonly name = 'BrokenRule';
  readonly rule: RuleName;

  constructor(rule: RuleName, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** Every rule, and what breaks it. */
export const rules = {
  'documented-errors': 'an error without a code, or with one that this decoder does not document',
  'no-hang': 'no answer within the time of the watch',
  'bounded-time': 'more time of the processor than the input can be worth',
  'bounded-memory': 'more memory than the input can be worth',
  'input-untouched': 'the bytes of the caller were changed',
  'pieces-agree': 'the same bytes in other pieces gave another account',
  'round-trip': 'what was decoded, encoded and decoded again is something else',
  'nothing-lost': 'bytes are neither in what was found nor counted as left out',
  'sound-account': 'what was found contradicts itself or the protocol',
} as const;

export type RuleName = keyof typeof rules;

/** @throws {BrokenRule} unless `held` */
export function must(held: boolean, rule: RuleName, message: () => string): void {
  if (!held) throw new BrokenRule(rule, message());
}
