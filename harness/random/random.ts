/**
 * The one source of chance. A generator is made from a seed and a label; two generators with
 * different labels are independent, so adding a draw in one part of the program never shifts the
 * draws of another.
 *
 * Algorithm: xoshiro128** (Blackman and Vigna, public domain) seeded by hashing `seed` and `label`
 * with FNV-1a and spreading with SplitMix32. Not for secrets.
 */
export interface Random {
  /** Uniform in [0, 1), 32 bits of resolution. */
  next(): number;
  /** Uniform integer in [minimum, maximum], both included. */
  integer(minimum: number, maximum: number): number;
  /** Uniform real in [minimum, maximum). */
  between(minimum: number, maximum: number): number;
  /** Normal with mean 0 and standard deviation 1. */
  normal(): number;
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A version-4 shaped UUID, from this generator. */
  uuid(): string;
  /** An independent generator, derived from this one's seed and the label, not from its position. */
  fork(label: string): Random;
}

/** @param seed any integer; @param label names the consumer, for example `"network/downlink"`. */
export function createRandom(seed: number, label = 'root'): Random {
  const path = `${seed}/${label}`;
  let spread = fnv1a(path);
  const split = (): number => {
    spread = (spread + 0x9e3779b9) | 0;
    let z = spread;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [split(), split(), split(), split()];
  if ((a | b | c | d) === 0) a = 1;

  const word = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotateLeft(d, 11);
    return result;
  };

  const next = (): number => word() / 0x1_0000_0000;
  const bytes = (count: number): Uint8Array => {
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i += 4) {
      const value = word();
      for (let k = 0; k < 4 && i + k < count; k++) out[i + k] = (value >>> (8 * k)) & 0xff;
    }
    return out;
  };

  return {
    next,
    integer: (minimum, maximum) => minimum + Math.floor(next() * (maximum - minimum + 1)),
    between: (minimum, maximum) => minimum + next() * (maximum - minimum),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    bytes,
    uuid: () => {
      const raw = bytes(16);
      raw[6] = (raw[6]! & 0x0f) | 0x40;
      raw[8] = (raw[8]! & 0x3f) | 0x80;
      const hex = Buffer.from(raw).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    },
    fork: (sub) => createRandom(seed, `${label}/${sub}`),
  };
}

function rotateLeft(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash | 0;
}
