/**
 * Where each piece of text begins in the audio of one utterance.
 *
 * A provider that takes text piece by piece gives one stream of audio. Its `mark` events say at
 * which sample each character is spoken. Characters are counted without white space, because
 * providers add and drop spaces: when the count reaches the first character of a piece, the audio
 * is cut at that character's first sample.
 */
export interface PieceAudio {
  /** Piece the samples belong to, from 0. */
  readonly piece: number;
  readonly samples: Int16Array;
}

export class PieceBoundaries {
  /** For each piece but the first: how many characters come before it. */
  readonly #firstCharacters: number[] = [];
  #characters = 0;
  #marked = 0;
  /** Sample at which each piece but the first begins, as far as the marks have said. */
  readonly #cuts: number[] = [];
  #position = 0;
  #piece = 0;

  /** The next piece of text. Must be added before its characters are marked. */
  add(text: string): void {
    if (this.#characters > 0) this.#firstCharacters.push(this.#characters);
    this.#characters += countCharacters(text);
  }

  /** Takes one `mark` event. */
  mark(characters: readonly string[], startSamples: readonly number[]): void {
    for (const [index, text] of characters.entries()) {
      const count = countCharacters(text);
      if (count === 0) continue;
      while (
        this.#marked >= (this.#firstCharacters[this.#cuts.length] ?? Number.POSITIVE_INFINITY)
      ) {
        this.#cuts.push(startSamples[index] ?? this.#position);
      }
      this.#marked += count;
    }
  }

  /** Cuts the next samples of the stream. An empty list for no samples. */
  split(samples: Int16Array): PieceAudio[] {
    const parts: PieceAudio[] = [];
    let rest = samples;
    while (rest.length > 0) {
      const cut = this.#cuts[this.#piece];
      if (cut !== undefined && cut <= this.#position) {
        this.#piece += 1;
        continue;
      }
      const count = cut === undefined ? rest.length : Math.min(rest.length, cut - this.#position);
      parts.push({ piece: this.#piece, samples: rest.subarray(0, count) });
      rest = rest.subarray(count);
      this.#position += count;
    }
    return parts;
  }
}

function countCharacters(text: string): number {
  let count = 0;
  for (const character of text) if (character.trim() !== '') count += 1;
  return count;
}
