/**
 * From a stream of text to what is spoken as one utterance each (EchoKit device protocol reference,
 * section 7.5).
 *
 * Two stages. A character machine cuts the stream into sentences; then sentences are regrouped so
 * that the first one is released as early as possible and later ones are not too short. Each
 * released text becomes one `StartAudio`.
 */
export interface SentenceSplitterOptions {
  /** A released text (not the first) joins sentences until it has this many UTF-8 bytes. */
  readonly groupBytes?: number;
}

const chineseEnds = '。！？；';
const englishEnds = '.!?;';

export class SentenceSplitter {
  readonly #groupBytes: number;
  readonly #cutter = new SentenceCutter();
  /** Complete sentences that have not been released. */
  #waiting: string[] = [];
  #releasedAny = false;

  constructor(options: SentenceSplitterOptions = {}) {
    this.#groupBytes = options.groupBytes ?? 50;
  }

  /**
   * Takes the text of one body chunk of the language model's answer. At most one text comes out:
   * the first ever is a single sentence, a later one a group.
   */
  push(text: string): string[] {
    this.#waiting.push(...this.#cutter.push(text));
    if (this.#waiting.length === 0) return [];
    const released = this.#releasedAny ? this.#takeGroup() : this.#waiting.shift()!;
    this.#releasedAny = true;
    return speakable([released]);
  }

  /** The answer is complete: releases what is left, in groups. */
  finish(): string[] {
    this.#waiting.push(...this.#cutter.finish());
    const released: string[] = [];
    while (this.#waiting.length > 0) released.push(this.#takeGroup());
    this.#releasedAny ||= released.length > 0;
    return speakable(released);
  }

  #takeGroup(): string {
    let group = '';
    while (this.#waiting.length > 0 && Buffer.byteLength(group) < this.#groupBytes) {
      group += this.#waiting.shift()!;
    }
    return group;
  }
}

function speakable(texts: string[]): string[] {
  return texts.map((text) => text.trim()).filter((text) => text !== '');
}

/**
 * The character machine. Gives sentences untrimmed, as they were in the stream, except that curly
 * double quotes become straight ones and blank starts are dropped.
 */
export class SentenceCutter {
  #buffer = '';
  #inQuotes = false;
  /** An English end of sentence was seen; the next character decides whether it was one. */
  #englishEnd = false;
  /** A Chinese end of sentence was seen inside quotes; the closing quote ends the sentence. */
  #chineseEnd = false;
  #previous = '';
  #cut: string[] = [];

  push(text: string): string[] {
    for (const character of text) {
      this.#take(character);
      this.#previous = character;
    }
    return this.#takeCut();
  }

  finish(): string[] {
    this.#emit();
    return this.#takeCut();
  }

  #take(original: string): void {
    if (this.#englishEnd) {
      if (original === ' ') {
        this.#buffer += original;
        if (!this.#inQuotes) this.#emit();
        return;
      }
      if (this.#previous === '.') {
        // `3.14`, `Hi.There`, `...`: a dot followed by anything but a space ends nothing.
        this.#englishEnd = false;
      } else if (!this.#inQuotes) {
        this.#emit();
        this.#englishEnd = false;
      }
    }
    if (this.#buffer === '' && (original === ' ' || original === '\t' || original === '\r')) return;

    const character = original === '“' || original === '”' ? '"' : original;
    let closesQuotes = false;
    if (character === '"') {
      closesQuotes = this.#inQuotes;
      this.#inQuotes = !this.#inQuotes;
    }
    this.#buffer += character;

    if (closesQuotes && (this.#englishEnd || this.#chineseEnd)) {
      this.#emit();
      if (this.#englishEnd) this.#englishEnd = false;
      else this.#chineseEnd = false;
    } else if (character === '\n') {
      this.#emit();
    } else if (chineseEnds.includes(character)) {
      if (this.#inQuotes) this.#chineseEnd = true;
      else this.#emit();
    } else if (englishEnds.includes(character)) {
      this.#englishEnd = true;
    }
  }

  #emit(): void {
    if (this.#buffer.trim() !== '') this.#cut.push(this.#buffer);
    this.#buffer = '';
  }

  #takeCut(): string[] {
    const cut = this.#cut;
    this.#cut = [];
    return cut;
  }
}
