/** Pieces of what a board's speaker has played, with their positions, as one sound. */
export class SpeakerTap {
  readonly #pieces: { readonly from: number; readonly samples: Int16Array }[] = [];
  /** Where the current boot begins. */
  #bootFrom = 0;
  #end = 0;

  /** @param position samples that were played before since the boot; one that goes back is of another boot */
  push(position: number, samples: Int16Array): void {
    if (this.#bootFrom + position < this.#end) this.#bootFrom = this.#end;
    const from = this.#bootFrom + position;
    this.#pieces.push({ from, samples });
    this.#end = from + samples.length;
  }

  /** Zeros where nothing came. A fresh array. */
  joined(): Int16Array {
    const joined = new Int16Array(this.#end);
    for (const { from, samples } of this.#pieces) joined.set(samples, from);
    return joined;
  }
}
