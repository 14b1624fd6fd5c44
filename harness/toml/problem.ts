import { visible } from './source-excerpt.ts';

/** One thing that is wrong with a file, and where. */
export interface Problem<Code extends string = string> {
  readonly code: Code;
  /** The file as the user gave it. */
  readonly file: string;
  /** From 1; absent when the problem is not in the text of a file. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  /** What is wrong, as one clause without a period at its end. */
  readonly message: string;
  /** What to write instead. */
  readonly hint?: string;
  /** The line in question with its neighbor above, numbered, and a caret below. Several lines. */
  readonly excerpt?: string;
}

/** What is wrong with one or several files, all of it. */
export class ProblemsError<Code extends string = string> extends Error {
  /** Code of the first problem. */
  readonly code: Code;
  /** At least one: file by file in the order given, in each from its top. */
  readonly problems: readonly Problem<Code>[];

  constructor(problems: readonly [Problem<Code>, ...Problem<Code>[]], options?: ErrorOptions) {
    const sorted = inReadingOrder(problems);
    super(sorted.map((problem) => formatProblem(problem)).join('\n\n'), options);
    this.code = (sorted[0] ?? problems[0]).code;
    this.problems = sorted;
  }
}

export function inReadingOrder<Kind extends Problem>(problems: readonly Kind[]): Kind[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  return problems.toSorted(
    (a, b) =>
      files.indexOf(a.file) - files.indexOf(b.file) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0),
  );
}

/**
 * As a person reads it: place and message, the lines of the file, what to write instead.
 *
 * @param label stands between place and message, for example `warning`.
 */
export function formatProblem(problem: Problem, label?: string): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined);
  const words = [place.join(':'), ...(label === undefined ? [] : [label]), problem.message];
  const rows = [visible(words.join(': '))];
  if (problem.excerpt !== undefined) rows.push(problem.excerpt);
  if (problem.hint !== undefined) rows.push(`  ${visible(problem.hint)}`);
  return rows.join('\n');
}
