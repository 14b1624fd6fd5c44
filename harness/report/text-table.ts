/** Columns of text for a terminal; wide characters (Chinese, Japanese, Korean) take two columns. */
import { clipDisplay, clipText, displayWidth, padDisplay } from './terminal-text.ts';

/** Longer texts are cut: nobody reads a megabyte on a terminal. */
const textCharacters = 2000;
const cellCharacters = 400;

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
 * columns. Where that is not enough the columns are stacked: as many as fit, and below them the
 * others, each part with the labels in front. Two empty lines above a table of columns are left out.
 */
export function renderTable(
  columns: readonly TableColumn[],
  table: readonly (readonly TableCell[])[],
  width: number,
  paintHead: (text: string) => string,
): string[] {
  const rows = table.map((cells) =>
    cells.map((cell) => ({ ...cell, text: clipText(cell.text, cellCharacters) })),
  );
  const widths = columns.map(({ head }, i) =>
    Math.max(...[...head, ...rows.map((row) => row[i]?.text ?? '')].map(displayWidth)),
  );
  const label = widths[0] ?? 0;
  const total = (gap: number) => widths.reduce((sum, w) => sum + w + gap, -gap);
  const gap = total(2) <= width ? 2 : 1;
  const room = width - (total(gap) - label);
  if (room < Math.min(label, labelMinimum)) {
    return stackedParts(widths, width).flatMap((part) =>
      renderPart(columns, rows, part, 2, paintHead),
    );
  }
  const shown = widths.map((size, i) => ({
    column: i,
    size: i === 0 ? Math.min(size, room) : size,
  }));
  return renderPart(columns, rows, shown, gap, paintHead);
}

interface SizedColumn {
  readonly column: number;
  readonly size: number;
}

/** Columns that fit beside each other, the label in front of each part. */
function stackedParts(widths: readonly number[], width: number): SizedColumn[][] {
  const third = Math.max(labelMinimum, Math.floor(width / 3));
  const label = { column: 0, size: Math.min(widths[0] ?? 0, third) };
  const parts: SizedColumn[][] = [];
  let left = 0;
  for (const [column, natural] of widths.entries()) {
    if (column === 0) continue;
    const size = Math.max(1, Math.min(natural, width - label.size - 2));
    if (size + 2 > left) {
      parts.push([label]);
      left = width - label.size;
    }
    parts.at(-1)!.push({ column, size });
    left -= size + 2;
  }
  return parts;
}

function renderPart(
  columns: readonly TableColumn[],
  rows: readonly (readonly TableCell[])[],
  part: readonly SizedColumn[],
  gap: number,
  paintHead: (text: string) => string,
): string[] {
  const line = (cells: readonly TableCell[]): string => {
    const parts = part.map(({ column, size }, i) => {
      const { align } = columns[column]!;
      const { text, paint } = cells[column] ?? { text: '' };
      const last = i === part.length - 1 && align === 'left';
      const shown = clipDisplay(text, size);
      const padded = last ? shown : padDisplay(shown, size, align);
      return paint === undefined ? padded : paint(padded);
    });
    return parts.join(' '.repeat(gap)).trimEnd();
  };
  const heads = [0, 1]
    .map((i) => line(columns.map(({ head }) => ({ text: head[i] ?? '' }))))
    .filter((head, i) => i === 1 || head !== '');
  return [...heads.map(paintHead), ...rows.map(line)];
}

/**
 * Broken between words into lines of at most `width` columns, where no single word is longer. What is longer than a
 * screen is cut, and says how long it is.
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
  for (const word of clipText(text, textCharacters).split(' ')) {
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
