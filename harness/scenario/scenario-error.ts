import { lineColumn, type SourceRange } from './source-position.ts';

export const scenarioErrorCodes = [
  'SCENARIO_SYNTAX', // the file is not TOML, or not text
  'SCENARIO_UNKNOWN_KEY', // a key that no scenario has
  'SCENARIO_WRONG_TYPE', // text where a number belongs, and the like
  'SCENARIO_MISSING_KEY', // something a scenario cannot do without
  'SCENARIO_BAD_VALUE', // the right type, but not possible
  'SCENARIO_UNKNOWN_NAME', // provider, device, network, event or metric that does not exist
  'SCENARIO_MISSING_FILE', // the scenario itself, or a file that it names
  'SCENARIO_BAD_WAV', // a WAV file that cannot be played at the microphone
  'SCENARIO_DUPLICATE', // two scenarios with one name: their recordings would collide
] as const;
export type ScenarioErrorCode = (typeof scenarioErrorCodes)[number];

/** One thing that is wrong, and where. */
export interface ScenarioProblem {
  readonly code: ScenarioErrorCode;
  /** The scenario file as the user gave it, or `command line`. */
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

/** A scenario that cannot be run. Holds every problem found, file by file in their order. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  /** Code of the first problem. */
  readonly code: ScenarioErrorCode;
  /** At least one. */
  readonly problems: readonly ScenarioProblem[];

  constructor(problems: readonly [ScenarioProblem, ...ScenarioProblem[]], options?: ErrorOptions) {
    const files = [...new Set(problems.map(({ file }) => file))];
    const sorted = problems.toSorted(
      (a, b) =>
        files.indexOf(a.file) - files.indexOf(b.file) ||
        (a.line ?? 0) - (b.line ?? 0) ||
        (a.column ?? 0) - (b.column ?? 0),
    );
    super(sorted.map(formatProblem).join('\n\n'), options);
    this.code = (sorted[0] ?? problems[0]).code;
    this.problems = sorted;
  }
}

/** As a person reads it: place and message, the lines of the file, what to write instead. */
export function formatProblem(problem: ScenarioProblem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined);
  const rows = [visible(`${place.join(':')}: ${problem.message}`)];
  if (problem.excerpt !== undefined) rows.push(problem.excerpt);
  if (problem.hint !== undefined) rows.push(`  ${visible(problem.hint)}`);
  return rows.join('\n');
}

/**
 * The line of `range` below its predecessor, with carets under the range (up to the end of its
 * first line). Tabs are shown as two spaces; the carets keep their place below wide characters.
 */
export function sourceExcerpt(text: string, range: SourceRange): string {
  const lines = text.split(/\r?\n/);
  const { line, column } = lineColumn(text, range.start);
  const code = lines[line - 1] ?? '';
  const marked = code.slice(column - 1, column - 1 + Math.max(1, range.end - range.start));
  const gutter = String(line).length;
  const show = (part: string) => visible(part.replaceAll('\t', '  '));
  const numbered = (number: number) =>
    `  ${String(number).padStart(gutter)} | ${show(lines[number - 1] ?? '')}`;
  const indent = ' '.repeat(columns(show(code.slice(0, column - 1))));
  const carets = '^'.repeat(Math.max(1, columns(show(marked))));
  const rows = [numbered(line), `  ${' '.repeat(gutter)} | ${indent}${carets}`];
  if (line > 1) rows.unshift(numbered(line - 1));
  return rows.map((row) => row.trimEnd()).join('\n');
}

/** A scenario file comes from outside: nothing in it may be obeyed by the terminal it is shown on. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : '\ufffd';
  });
}

/** Columns on a terminal: Chinese, Japanese, Korean and emoji take two. */
function columns(text: string): number {
  const wide =
    /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60]|\p{Emoji_Presentation}/u;
  let count = 0;
  for (const character of text) count += wide.test(character) ? 2 : 1;
  return count;
}
