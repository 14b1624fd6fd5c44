/** Small draws that grammars and mutations share. */
import type { Random } from '../random/random.ts';

export function oneOf<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(0, items.length - 1)]!;
}

/** @param often from 0 to 1 */
export function chance(random: Random, often: number): boolean {
  return random.next() < often;
}

/** A length from 0 to `most`; small ones are as likely as large ones. */
export function length(random: Random, most: number): number {
  return Math.min(most, Math.floor(2 ** random.between(0, Math.log2(most + 2))) - 1);
}

export function list<T>(random: Random, most: number, draw: () => T): T[] {
  return Array.from({ length: length(random, most) }, draw);
}

/** Where decoders go wrong: around powers of two, signs, and what floating point can hold. */
export const boundaryNumbers: readonly number[] = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 129, 255, 256, 257, 1023, 1024, 4095, 4096,
  32_767, 32_768, 65_535, 65_536, 0xff_ffff, 0x100_0000, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000,
  0xffff_fffe, 0xffff_ffff,
];

/** The same as people and programs write them, and what is beyond them. */
export const boundaryTexts: readonly string[] = [
  ...boundaryNumbers.map(String),
  '-1',
  '-0',
  '0.5',
  '1e308',
  '1e999',
  '-9007199254740993',
  '18446744073709551616',
  'NaN',
  'inf',
];

const alphabets = [
  'abcdefghijklmnopqrstuvwxyz',
  'ABC abc 0123456789 .,:;-_/\\',
  '你好，世界。今天',
  'éßñçœ\u0301',
  '😀🇨🇳👩‍💻',
  '\u0000\u0001\t\n\r\u001b\u007f\u0085\u2028\ufeff\ufffd',
  '"\'`<>&%$#{}[]()=\\',
] as const;

/** Text of one or several kinds of characters. */
export function text(random: Random, most = 24): string {
  let out = '';
  let characters = [...oneOf(random, alphabets)];
  for (let left = length(random, most); left > 0; left--) {
    if (chance(random, 0.1)) characters = [...oneOf(random, alphabets)];
    out += oneOf(random, characters);
  }
  return out;
}

/** A name as programs have them, seldom one that every object of JavaScript has. */
export function word(random: Random): string {
  if (chance(random, 0.06))
    return oneOf(random, ['__proto__', 'constructor', 'toString', 'valueOf']);
  return Array.from({ length: random.integer(1, 8) }, () => oneOf(random, [...alphabets[0]])).join(
    '',
  );
}

/** Any JSON value; the deeper the smaller. */
export function json(random: Random, depth = 3): unknown {
  switch (random.integer(0, depth > 0 ? 7 : 5)) {
    case 0:
      return null;
    case 1:
      return chance(random, 0.5);
    case 2:
      return oneOf(random, boundaryNumbers) * oneOf(random, [1, -1, 0.5]);
    case 3:
      return word(random);
    case 4:
      return random.integer(-1000, 1000);
    case 5:
      return text(random);
    case 6:
      return list(random, 4, () => json(random, depth - 1));
    default:
      return Object.fromEntries(list(random, 4, () => [word(random), json(random, depth - 1)]));
  }
}

const encoder = new TextEncoder();

export function utf8(written: string): Uint8Array {
  return encoder.encode(written);
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** What is no UTF-8 becomes U+FFFD. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Heads of MessagePack that announce much: arrays, maps, texts, binaries and extensions. */
export const messagePackHeads: readonly Uint8Array[] = [
  ...['91', '81', 'dd01ffffff', 'ddffffffff', 'dcffff', 'df01ffffff', 'dfffffffff', 'deffff'],
  ...['dbffffffff', 'c6ffffffff', 'c9ffffffff01', 'c7ff01', 'd8ff', 'c1', 'cb7ff8000000000000'],
].map((hex) => Buffer.from(hex, 'hex'));
