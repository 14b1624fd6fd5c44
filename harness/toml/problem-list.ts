import type { Problem } from './problem.ts';
import { sourceExcerpt } from './source-excerpt.ts';
import type { SourceMap, SourceRange } from './source-position.ts';

/** Collects what is wrong with one file, so that all of it is reported together. */
export class ProblemList<Code extends string> {
  readonly source: SourceMap;
  readonly #file: string;
  readonly #shown: string;
  readonly #problems: Problem<Code>[] = [];

  /** @param shown the text for excerpts, of the same length, when some of it must not be shown. */
  constructor(file: string, source: SourceMap, shown = source.text) {
    this.#file = file;
    this.source = source;
    this.#shown = shown;
  }

  /** So far, in the order in which they were found. */
  get problems(): readonly Problem<Code>[] {
    return this.#problems;
  }

  add(code: Code, range: SourceRange, message: string, hint?: string): void {
    this.#problems.push({
      code,
      file: this.#file,
      ...this.source.lineColumn(range.start),
      message,
      ...(hint !== undefined && { hint }),
      excerpt: sourceExcerpt(this.#shown, range),
    });
  }
}
