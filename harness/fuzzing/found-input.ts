/** An input that has broken a rule once, as a file: small, readable, and a case of the tests ever after. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { joined, utf8 } from './draws.ts';
import type { RuleName } from './fuzz-target.ts';

/** One after the other; `times` is for what would be long otherwise. */
export type WrittenPiece =
  | { readonly text: string; readonly times?: number }
  | { readonly hex: string; readonly times?: number };

export interface FoundInput {
  readonly target: string;
  /** The rule that it broke when it was found. */
  readonly rule: RuleName;
  /** What was seen then. */
  readonly what: string;
  /** Of the run that has found it. */
  readonly seed: number;
  /** Repeats it. */
  readonly command: string;
  readonly input: readonly WrittenPiece[];
}

export const foundFolder: string = fileURLToPath(new URL('./found/', import.meta.url));

/** @returns the files by their names, in the order of these */
export function readFoundInputs(folder: string = foundFolder): Map<string, FoundInput> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return new Map(names.sort().map((name) => [name, readFoundInput(join(folder, name))]));
}

export function readFoundInput(path: string): FoundInput {
  return JSON.parse(readFileSync(path, 'utf8')) as FoundInput;
}

/** @returns the path of the file */
export function keepFoundInput(
  found: Omit<FoundInput, 'command' | 'input'>,
  bytes: Uint8Array,
  folder: string = foundFolder,
): string {
  const sum = createHash('sha256').update(found.target).update(bytes).digest('hex').slice(0, 8);
  const name = `${found.target}-${found.rule}-${sum}.json`;
  const command = `npm run fuzz -- --target ${found.target} --seed ${found.seed} --input harness/fuzzing/found/${name}`;
  const { target, rule, what, seed } = found;
  const kept: FoundInput = { target, rule, what, seed, command, input: written(bytes) };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), `${JSON.stringify(kept, null, 2)}\n`);
  return join(folder, name);
}

export function inputOf({ input }: Pick<FoundInput, 'input'>): Uint8Array {
  return joined(
    ...input.map((piece) => {
      const bytes = 'text' in piece ? utf8(piece.text) : Buffer.from(piece.hex, 'hex');
      const all = new Uint8Array(bytes.length * (piece.times ?? 1));
      for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
      return all;
    }),
  );
}

const longestPeriod = 64;
const leastRepeated = 48;

/** Long repetitions become one piece each. */
export function written(bytes: Uint8Array): WrittenPiece[] {
  const pieces: WrittenPiece[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length; ) {
    const { period, times } = repetitionAt(bytes, at);
    if (times * period < leastRepeated || times < 3) {
      at += 1;
      continue;
    }
    if (at > from) pieces.push(pieceOf(bytes.subarray(from, at)));
    pieces.push({ ...pieceOf(bytes.subarray(at, at + period)), times });
    at += times * period;
    from = at;
  }
  if (from < bytes.length) pieces.push(pieceOf(bytes.subarray(from)));
  return pieces;
}

function repetitionAt(bytes: Uint8Array, at: number): { period: number; times: number } {
  let best = { period: 1, times: 1 };
  for (let period = 1; period <= longestPeriod && at + 2 * period <= bytes.length; period++) {
    let end = at + period;
    while (end < bytes.length && bytes[end] === bytes[end - period]) end++;
    const times = Math.floor((end - at) / period);
    if (times * period > best.times * best.period) best = { period, times };
  }
  return best;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function pieceOf(bytes: Uint8Array): WrittenPiece {
  try {
    const text = strict.decode(bytes);
    if (!/[\p{Cc}\p{Cf}]/u.test(text.replaceAll(/[\t\r\n]/g, ''))) return { text };
  } catch {
    // No text: in hexadecimal digits.
  }
  return { hex: Buffer.from(bytes).toString('hex') };
}
