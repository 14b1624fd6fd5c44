import {
  ScenarioError,
  type ScenarioErrorCode,
  type ScenarioProblem,
  sourceExcerpt,
} from './scenario-error.ts';
import type { SourceMap, SourceRange } from './source-position.ts';

/** Collects what is wrong with one file, so that all of it is reported together. */
export class ProblemList {
  readonly source: SourceMap;
  readonly #file: string;
  readonly #problems: ScenarioProblem[] = [];

  constructor(file: string, source: SourceMap) {
    this.#file = file;
    this.source = source;
  }

  add(code: ScenarioErrorCode, range: SourceRange, message: string, hint?: string): void {
    this.#problems.push({
      code,
      file: this.#file,
      ...this.source.lineColumn(range.start),
      message,
      ...(hint !== undefined && { hint }),
      excerpt: sourceExcerpt(this.source.text, range),
    });
  }

  /** @throws {ScenarioError} when anything was added. */
  throwIfAny(): void {
    const [first, ...others] = this.#problems;
    if (first) throw new ScenarioError([first, ...others]);
  }
}
