/** Samples in order, taken out in other portions than they came in. Keeps the blocks, copies on take. */
export class SampleQueue {
  readonly #blocks: Int16Array[] = [];
  /** Samples of the first block that are already taken. */
  #offset = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** @param block is kept until it has been taken; the caller gives it away. */
  push(block: Int16Array): void {
    if (block.length === 0) return;
    this.#blocks.push(block);
    this.#length += block.length;
  }

  /** @returns a fresh array of at most `count` samples. */
  take(count: number): Int16Array {
    const taken = new Int16Array(Math.min(count, this.#length));
    for (let filled = 0; filled < taken.length; ) {
      const block = this.#blocks[0]!;
      const piece = block.subarray(this.#offset, this.#offset + taken.length - filled);
      taken.set(piece, filled);
      filled += piece.length;
      this.#offset += piece.length;
      if (this.#offset === block.length) {
        this.#blocks.shift();
        this.#offset = 0;
      }
    }
    this.#length -= taken.length;
    return taken;
  }

  /** Throws away what is left and says how much it was. */
  clear(): number {
    const cleared = this.#length;
    this.#blocks.length = 0;
    this.#offset = 0;
    this.#length = 0;
    return cleared;
  }
}
