import { lineColumn, type SourceRange } from './source-position.ts';

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

/** A file comes from outside: nothing in it may be obeyed by the terminal it is shown on. */
export function visible(text: string): string {
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
