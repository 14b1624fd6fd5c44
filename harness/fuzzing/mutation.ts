/** What is done to an input to make another of it. */
import type { Random } from '../random/random.ts';
import { boundaryNumbers, boundaryTexts, chance, joined, length, oneOf, utf8 } from './draws.ts';

export interface MutationSource {
  /** Words of the grammar. */
  readonly tokens: readonly (string | Uint8Array)[];
  /** Another input, to splice with. */
  readonly partner: Uint8Array;
  readonly longestBytes: number;
}

type Mutation = (input: Uint8Array, random: Random, source: MutationSource) => Uint8Array;

const bitFlip: Mutation = (input, random) => {
  const out = input.slice();
  if (out.length > 0) out[random.integer(0, out.length - 1)]! ^= 1 << random.integer(0, 7);
  return out;
};

const byteSet: Mutation = (input, random) => {
  const out = input.slice();
  const value = oneOf(random, [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x7f, 0x80, 0xc1, 0xfe, 0xff]);
  if (out.length > 0) out[random.integer(0, out.length - 1)] = value;
  return out;
};

/** A size, an offset or a count that says something else than what is there. */
const numberLie: Mutation = (input, random) => {
  const bytes = oneOf(random, [1, 2, 4]);
  if (input.length < bytes) return input.slice();
  const out = input.slice();
  const at = random.integer(0, out.length - bytes);
  const value = oneOf(random, boundaryNumbers);
  const view = new DataView(out.buffer, out.byteOffset);
  const little = chance(random, 0.5);
  if (bytes === 1) view.setUint8(at, value & 0xff);
  else if (bytes === 2) view.setUint16(at, value & 0xffff, little);
  else view.setUint32(at, value, little);
  return out;
};

/** The same of a number that is written in digits. */
const digitLie: Mutation = (input, random) => {
  const starts: number[] = [];
  for (let at = 0; at < input.length && starts.length < 64; at++) {
    if (isDigit(input[at]) && !isDigit(input[at - 1])) starts.push(at);
  }
  if (starts.length === 0) return input.slice();
  const start = oneOf(random, starts);
  let end = start;
  while (isDigit(input[end])) end++;
  return spliced(input, start, end, utf8(oneOf(random, boundaryTexts)));
};

const cutOut: Mutation = (input, random) => {
  const [start, end] = range(input, random);
  return spliced(input, start, end, new Uint8Array(0));
};

const truncation: Mutation = (input, random) => input.slice(0, random.integer(0, input.length));

const noise: Mutation = (input, random) => {
  const at = random.integer(0, input.length);
  return spliced(input, at, at, random.bytes(1 + length(random, 32)));
};

const duplication: Mutation = (input, random) => {
  const [start, end] = range(input, random);
  const at = random.integer(0, input.length);
  return spliced(input, at, at, input.slice(start, end));
};

const swap: Mutation = (input, random) => {
  const [start, end] = range(input, random);
  const rest = spliced(input, start, end, new Uint8Array(0));
  const at = random.integer(0, rest.length);
  return spliced(rest, at, at, input.slice(start, end));
};

const splice: Mutation = (input, random, { partner }) =>
  joined(
    input.subarray(0, random.integer(0, input.length)),
    partner.subarray(random.integer(0, partner.length)),
  );

const token: Mutation = (input, random, { tokens }) => {
  if (tokens.length === 0) return input.slice();
  const at = random.integer(0, input.length);
  const end = chance(random, 0.3) ? Math.min(input.length, at + length(random, 8)) : at;
  return spliced(input, at, end, tokenBytes(oneOf(random, tokens)));
};

/** A piece of the input or a word of the grammar, over and over: nesting, and what grows with the square. */
const repetition: Mutation = (input, random, { tokens, longestBytes }) => {
  const [start, end] = range(input, random, 24);
  const piece =
    tokens.length > 0 && chance(random, 0.6)
      ? joined(
          tokenBytes(oneOf(random, tokens)),
          chance(random, 0.3) ? tokenBytes(oneOf(random, tokens)) : new Uint8Array(0),
        )
      : input.slice(start, end);
  const room = longestBytes - input.length;
  if (piece.length === 0 || room < piece.length) return input.slice();
  const most = Math.floor(room / piece.length);
  const times = chance(random, 0.15) ? most : 1 + length(random, Math.min(most - 1, 2000));
  const all = new Uint8Array(times * piece.length);
  for (let i = 0; i < times; i++) all.set(piece, i * piece.length);
  const at = random.integer(0, input.length);
  return spliced(input, at, at, all);
};

/** Each as often as it stands here. */
const mutations: readonly Mutation[] = [
  bitFlip,
  bitFlip,
  byteSet,
  byteSet,
  numberLie,
  numberLie,
  digitLie,
  cutOut,
  cutOut,
  truncation,
  noise,
  duplication,
  swap,
  splice,
  splice,
  token,
  token,
  token,
  repetition,
];

/** Another input, made of this one by one mutation or several. */
export function mutated(input: Uint8Array, random: Random, source: MutationSource): Uint8Array {
  let out = input;
  for (let left = 1 + length(random, 5); left > 0; left--) {
    out = oneOf(random, mutations)(out, random, source);
  }
  return out.subarray(0, source.longestBytes);
}

function tokenBytes(token: string | Uint8Array): Uint8Array {
  return typeof token === 'string' ? utf8(token) : token;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function range(input: Uint8Array, random: Random, most = 64): [start: number, end: number] {
  const start = random.integer(0, Math.max(0, input.length - 1));
  return [start, Math.min(input.length, start + 1 + length(random, most))];
}

function spliced(input: Uint8Array, start: number, end: number, middle: Uint8Array): Uint8Array {
  return joined(input.subarray(0, start), middle, input.subarray(end));
}
