/**
 * Text on its way to a terminal, a page or another program: how many columns it takes, and nothing in it that anybody
 * would obey. Scenario files, provider messages and file names come from outside.
 */

/**
 * The same text with everything a reader could act on made visible: control characters as their
 * pictures (ESC becomes ␛), the C1 range, the marks that reorder text and what is no character in Unicode as `<U+202E>`,
 * lone surrogates as U+FFFD. Line ends and tabs count as control characters. What is left may stand in XML. Idempotent.
 *
 * Every output that people or programs read goes through this; JSON keeps the text as it is, see `json-text.ts`.
 */
export function neutralize(text: string): string {
  return text.replaceAll(active, (character) => {
    const code = character.codePointAt(0)!;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return '\u2421';
    if (code >= 0xd800 && code <= 0xdfff) return '\ufffd';
    return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
  });
}

/** Control characters, lone surrogates, no characters, line separators, marks that reorder text, byte order mark. */
const active =
  /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Columns of neutralized text: wide characters (Chinese, Japanese, Korean, emoji) take two, marks none. */
export function displayWidth(text: string): number {
  // Plain ASCII needs no segmentation.
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemesOf(text)) width += graphemeWidth(segment);
  return width;
}

/** Filled with spaces to `width` columns; longer text is returned as it is. */
export function padDisplay(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** At most `width` columns, the cut marked by an ellipsis. Never cuts a character in half. */
export function clipDisplay(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let out = '';
  let used = 0;
  for (const { segment } of graphemesOf(text)) {
    const next = graphemeWidth(segment);
    if (used + next > width - 1) break;
    out += segment;
    used += next;
  }
  return width > 0 ? `${out}…` : '';
}

/** Made when it is needed: to load it takes longer than all else that `--help` does. */
let segmenter: Intl.Segmenter | undefined;

function graphemesOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return segmenter.segment(text);
}

const invisible = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const emoji = /^\p{Emoji_Presentation}$/u;

function graphemeWidth(grapheme: string): number {
  // U+FE0F asks for the picture form of a character that also has a text form.
  if (grapheme.includes('\ufe0f')) return 2;
  let width = 0;
  for (const character of grapheme) {
    const code = character.codePointAt(0) ?? 0;
    if (isWide(code) || emoji.test(character)) width += 2;
    else if (!invisible.test(character)) width += 1;
  }
  return Math.min(width, 2);
}

/** Ranges with East_Asian_Width W or F (Unicode 15.1), without the emoji, which have a property of their own. */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x20000, 0x3fffd],
];

function isWide(code: number): boolean {
  return wideRanges.some(([first, last]) => code >= first && code <= last);
}

/** At most so many characters; a longer text says how long it is. */
export function clipText(text: string, characters: number): string {
  if (text.length <= characters) return text;
  // Not between the two halves of a character.
  const cut = /[\ud800-\udbff]$/.test(text.slice(0, characters)) ? characters - 1 : characters;
  return `${text.slice(0, cut)}… (${text.length} characters)`;
}
