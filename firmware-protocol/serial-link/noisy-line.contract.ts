import type { Random } from '../../harness/random/random.ts';

/** What befalls bytes on their way. `mean` figures are in bytes between two of them; infinite: never. */
export interface LineNoise {
  readonly meanBytesBetween: number;
  /** How often each kind is drawn. */
  readonly weights: Readonly<Record<LineFault, number>>;
}

export const lineFaults = ['bit', 'bits', 'burst', 'drop', 'insert', 'cut'] as const;
export type LineFault = (typeof lineFaults)[number];

export const everyFault: LineNoise['weights'] = {
  bit: 4, // one wrong bit
  bits: 2, // two to four
  burst: 2, // 2 to 40 bytes of noise
  drop: 3, // 1 to 40 bytes are lost
  insert: 2, // 1 to 40 bytes of noise in between
  cut: 1, // the rest of what is being written is lost
};

/**
 * One direction of a serial line: ten bits for each byte, in the order of writing, in pieces of any
 * size, with noise.
 */
export class NoisyLine {
  faults = 0;
  readonly faultsOf: Record<LineFault, number> = {
    bit: 0,
    bits: 0,
    burst: 0,
    drop: 0,
    insert: 0,
    cut: 0,
  };
  /** When the line is free of what was written. */
  freeUs = 0;
  readonly #byteUs: number;
  readonly #random: Random;
  readonly #noise: LineNoise;
  readonly #pieces: { readonly atUs: number; readonly bytes: Uint8Array }[] = [];
  #head = 0;
  #untilFault: number;

  constructor(baud: number, random: Random, noise: LineNoise) {
    this.#byteUs = 10_000_000 / baud;
    this.#random = random;
    this.#noise = noise;
    this.#untilFault = this.#gap();
  }

  /** Infinite: nothing is on its way. */
  get nextUs(): number {
    return this.#pieces[this.#head]?.atUs ?? Number.POSITIVE_INFINITY;
  }

  /** The piece that arrives next. */
  take(): Uint8Array {
    const piece = this.#pieces[this.#head]!;
    this.#head += 1;
    if (this.#head === this.#pieces.length) {
      this.#pieces.length = 0;
      this.#head = 0;
    }
    return piece.bytes;
  }

  /** @returns whether all bytes will arrive as they are */
  write(written: Uint8Array, nowUs: number): boolean {
    const bytes = this.#disturbed(written);
    const startUs = Math.max(this.freeUs, nowUs);
    this.freeUs = startUs + written.length * this.#byteUs;
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + this.#random.integer(1, 120));
      const atUs = Math.ceil(startUs + (Math.min(end, written.length) || 1) * this.#byteUs);
      this.#pieces.push({ atUs, bytes: bytes.subarray(at, end) });
      at = end;
    }
    return bytes === written;
  }

  #gap(): number {
    return -Math.log(1 - this.#random.next()) * this.#noise.meanBytesBetween;
  }

  #disturbed(written: Uint8Array): Uint8Array {
    let bytes = written;
    let at = 0;
    while (this.#untilFault < written.length - at) {
      at += Math.floor(this.#untilFault);
      if (at >= bytes.length) {
        // What would be struck is lost already.
        this.#untilFault = this.#gap();
        return bytes;
      }
      bytes = this.#struck(bytes, at);
      at += 1;
      this.#untilFault = this.#gap();
    }
    this.#untilFault -= Math.max(0, written.length - at);
    return bytes;
  }

  #struck(before: Uint8Array, at: number): Uint8Array {
    const random = this.#random;
    const fault = this.#draw();
    this.faults += 1;
    this.faultsOf[fault] += 1;
    switch (fault) {
      case 'bit':
      case 'bits': {
        const bytes = before.slice();
        const flips = fault === 'bit' ? 1 : random.integer(2, 4);
        for (let i = 0; i < flips; i++) {
          const place = i === 0 ? at : random.integer(at, Math.min(bytes.length - 1, at + 60));
          // Other bits of one byte each time, so that none is turned back.
          bytes[place]! ^= 1 << (2 * i + random.integer(0, 1));
        }
        return bytes;
      }
      case 'burst': {
        const bytes = before.slice();
        const length = Math.min(random.integer(2, 40), bytes.length - at);
        const noise = random.bytes(length);
        noise[0] = ~bytes[at]! & 0xff;
        bytes.set(noise, at);
        return bytes;
      }
      case 'drop':
        return joined(before.subarray(0, at), before.subarray(at + random.integer(1, 40)));
      case 'insert':
        return joined(
          before.subarray(0, at),
          random.bytes(random.integer(1, 40)),
          before.subarray(at),
        );
      case 'cut':
        return before.slice(0, at);
    }
  }

  #draw(): LineFault {
    const total = lineFaults.reduce((sum, fault) => sum + this.#noise.weights[fault], 0);
    let left = this.#random.next() * total;
    for (const fault of lineFaults) {
      left -= this.#noise.weights[fault];
      if (left < 0) return fault;
    }
    return 'bit';
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
