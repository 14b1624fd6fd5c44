/** Columns of text for a terminal; wide characters (Chinese, Japanese, Korean) take two columns. */
import { clipDisplay, displayWidth, padDisplay } from './terminal-text.ts';

export interface TableColumn {
  /** Two lines above the column. */
  readonly head: readonly [string, string];
  readonly align: 'left' | 'right';
}

/** Neutralized text, and how it is to be painted once it is padded. */
export interface TableCell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

const labelMinimum = 8;

/**
 * Lines of at most `width` columns. The first column is the label: it gives way when the others
 * need the room, first by narrower gaps, then by being cut to an ellipsis, but never below 8
 * columns; a terminal narrower than that lets the lines run over.
 */
export function renderTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly TableCell[])[],
  width: number,
  paintHead: (text: string) => string,
): string[] {
  const widths = columns.map(({ head }, i) =>
    Math.max(...[...head, ...rows.map((row) => row[i]?.text ?? '')].map(displayWidth)),
  );
  const total = (gap: number) => widths.reduce((sum, w) => sum + w + gap, -gap);
  const gap = total(2) <= width ? 2 : 1;
  const excess = total(gap) - width;
  if (excess > 0) {
    const label = widths[0] ?? 0;
    widths[0] = Math.min(label, Math.max(labelMinimum, label - excess));
  }
  const line = (cells: readonly TableCell[]): string => {
    const parts = columns.map(({ align }, i) => {
      const { text, paint } = cells[i] ?? { text: '' };
      const size = widths[i]!;
      const last = i === columns.length - 1 && align === 'left';
      const shown = i === 0 ? clipDisplay(text, size) : text;
      const padded = last ? shown : padDisplay(shown, size, align);
      return paint === undefined ? padded : paint(padded);
    });
    return parts.join(' '.repeat(gap)).trimEnd();
  };
  const heads = [0, 1].map((i) =>
    paintHead(line(columns.map(({ head }) => ({ text: head[i] ?? '' })))),
  );
  return [...heads, ...rows.map(line)];
}

/**
 * Broken between words into lines of at most `width` columns, where no single word is longer.
 *
 * @param indents of the first line and of all others.
 */
export function wrapText(
  text: string,
  width: number,
  indents: readonly [string, string] = ['', ''],
): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    const indent = indents[lines.length === 0 ? 0 : 1];
    if (line !== '' && displayWidth(indent + longer) > width) {
      lines.push(indent + line);
      line = word;
    } else line = longer;
  }
  lines.push(indents[lines.length === 0 ? 0 : 1] + line);
  return lines;
}
