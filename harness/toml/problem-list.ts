import type { Problem } from './problem.ts';
import { sourceExcerpt } from './source-excerpt.ts';
import type { SourceMap, SourceRange } from './source-position.ts';

/** Collects what is wrong with one file, so that all of it is reported together. */
export class ProblemList<Code extends string> {
  readonly source: SourceMap;
  readonly #file: string;
  readonly #problems: Problem<Code>[] = [];

  constructor(file: string, source: SourceMap) {
    this.#file = file;
    this.source = source;
  }

  /** So far, in the order in which they were found. */
  get problems(): readonly Problem<Code>[] {
    return this.#problems;
  }

  add(code: Code, range: SourceRange, message: string, hint?: string): void {
    this.#problems.push({
      code,
      file: this.#file,
      message,
      ...(hint !== undefined && { hint }),
      ...placeOf(this.source, range),
    });
  }
}

/** @param shown the text for the excerpt, of the same length, when some of it must not be shown. */
export function placeOf(
  source: SourceMap,
  range: SourceRange,
  shown = source.text,
): Pick<Problem, 'line' | 'column' | 'excerpt'> {
  return { ...source.lineColumn(range.start), excerpt: sourceExcerpt(shown, range) };
}
