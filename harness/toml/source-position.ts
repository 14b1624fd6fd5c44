/**
 * Where the keys and values of a TOML document stand in its text.
 *
 * The TOML parser in use keeps no positions, and a message about a scenario must point at a line.
 * This scanner reads text that the parser has already accepted, so it follows the grammar of
 * TOML 1.1 without checking it.
 *
 * A path is written as in the parsed value: table keys as strings, array elements as numbers, so
 * the reply of the second `[[turn]]` is `['turn', 1, 'reply']`.
 */
export type KeyPath = readonly (string | number)[];

/** Half-open range of UTF-16 code units. */
export interface SourceRange {
  readonly start: number;
  readonly end: number;
}

export interface SourceEntry {
  /**
   * The key as it is written, quotes included: in an assignment, or in the table header that
   * creates it. For an array element: the element itself.
   */
  readonly key: SourceRange;
  /**
   * The value as it is written. For a table: its header with brackets, or the inline table. For a
   * table that only exists because a dotted key or a header names it: the same as `key`.
   */
  readonly value: SourceRange;
}

export interface LineColumn {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number;
}

export class SourceMap {
  readonly text: string;
  readonly #entries = new Map<string, SourceEntry>();
  readonly #paths: KeyPath[] = [];

  constructor(text: string) {
    this.text = text;
    new Scanner(text, (path, entry, replace) => {
      const id = JSON.stringify(path);
      if (!this.#entries.has(id)) this.#paths.push(path);
      else if (!replace) return;
      this.#entries.set(id, entry);
    }).document();
  }

  /** Every path of the document, in the order of first mention. */
  paths(): readonly KeyPath[] {
    return this.#paths;
  }

  find(path: KeyPath): SourceEntry | undefined {
    return this.#entries.get(JSON.stringify(path));
  }

  /** The entry of `path`, or of the nearest enclosing table that has one; the start of the file at last. */
  nearest(path: KeyPath): SourceEntry {
    for (let length = path.length; length > 0; length--) {
      const entry = this.find(path.slice(0, length));
      if (entry) return entry;
    }
    return { key: { start: 0, end: 0 }, value: { start: 0, end: 0 } };
  }

  lineColumn(offset: number): LineColumn {
    return lineColumn(this.text, offset);
  }
}

/** Lines end with LF or CRLF; a byte order mark in front of the text has no column. */
export function lineColumn(text: string, offset: number): LineColumn {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const lineStart = before.lastIndexOf('\n') + 1;
  const mark = lineStart === 0 && text.startsWith('\ufeff') && offset > 0 ? 1 : 0;
  return { line, column: offset - lineStart - mark + 1 };
}

type Record = (path: KeyPath, entry: SourceEntry, replace: boolean) => void;

interface KeyToken {
  readonly name: string;
  readonly range: SourceRange;
}

/**
 * Tables and lists within one another: of nested values, and of the names of a dotted key. What a person writes has a
 * handful; places below it are not looked up, and `parseToml` refuses the text.
 */
export const depthMax = 100;

const bareKey = /[A-Za-z0-9_-]+/y;
/** Numbers, booleans and instants; an instant may have a space between date and time. */
const bareValue = /\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*|[^\s,\]}#]+/y;

class Scanner {
  readonly #text: string;
  readonly #record: Record;
  #position = 0;
  /** The table that assignments belong to. */
  #table: KeyPath = [];
  /** How many elements each array of tables has so far. */
  readonly #arraysOfTables = new Map<string, number>();

  constructor(text: string, record: Record) {
    this.#text = text;
    this.#record = record;
  }

  document(): void {
    if (this.#text.startsWith('\ufeff')) this.#position = 1;
    for (;;) {
      this.#skipSpace();
      const start = this.#position;
      if (start >= this.#text.length) return;
      if (this.#peek() === '[') this.#header();
      else this.#assignment(this.#table);
      // Text that was not accepted by a parser must not keep the scanner on one spot.
      if (this.#position === start) this.#position++;
    }
  }

  #header(): void {
    const start = this.#position;
    const isArray = this.#text.startsWith('[[', start);
    this.#position += isArray ? 2 : 1;
    const keys = this.#dottedKey();
    this.#position += isArray ? 2 : 1;
    const whole = { start, end: this.#position };

    let path: KeyPath = [];
    keys.forEach((key, index) => {
      path = [...path, key.name];
      const last = index === keys.length - 1;
      const id = JSON.stringify(path);
      if (!last) {
        this.#record(path, { key: key.range, value: key.range }, false);
        path = this.#lastElement(path);
      } else if (isArray) {
        const count = this.#arraysOfTables.get(id) ?? 0;
        this.#arraysOfTables.set(id, count + 1);
        this.#record(path, { key: key.range, value: whole }, false);
        path = [...path, count];
        this.#record(path, { key: key.range, value: whole }, true);
      } else {
        // The table's own header is the better place than an earlier mention as a parent.
        this.#record(path, { key: key.range, value: whole }, true);
      }
    });
    this.#table = path;
  }

  /** A header below an array of tables means the element that was opened last. */
  #lastElement(path: KeyPath): KeyPath {
    const count = this.#arraysOfTables.get(JSON.stringify(path));
    return count === undefined ? path : [...path, count - 1];
  }

  #assignment(table: KeyPath): void {
    const keys = this.#dottedKey();
    let path = table;
    for (const key of keys.slice(0, -1)) {
      path = [...path, key.name];
      this.#record(path, { key: key.range, value: key.range }, false);
    }
    const last = keys.at(-1);
    if (!last) return;
    path = [...path, last.name];
    this.#skipSpace();
    if (this.#peek() === '=') this.#position++;
    this.#skipSpace();
    // Recorded before its content, so that paths come in the order of the text.
    this.#record(path, { key: last.range, value: last.range }, true);
    const value = this.#value(path);
    this.#record(path, { key: last.range, value }, true);
  }

  /** At most one name more than there may be. */
  #dottedKey(): KeyToken[] {
    const keys: KeyToken[] = [];
    for (;;) {
      this.#skipSpace();
      const start = this.#position;
      const quote = this.#peek();
      let name: string;
      if (quote === '"' || quote === "'") {
        this.#string();
        const inner = this.#text.slice(start + 1, this.#position - 1);
        name = quote === '"' ? unescapeBasic(inner) : inner;
      } else {
        name = this.#match(bareKey);
        if (name === '') return keys;
      }
      if (keys.length <= depthMax) keys.push({ name, range: { start, end: this.#position } });
      this.#skipSpace();
      if (this.#peek() !== '.') return keys;
      this.#position++;
    }
  }

  #value(path: KeyPath): SourceRange {
    const start = this.#position;
    const first = this.#peek();
    if (first === '"' || first === "'") this.#string();
    else if (first === '[' || first === '{') {
      // A text that is so deep is none that was accepted: nothing of the rest can be told.
      if (path.length > depthMax) this.#position = this.#text.length;
      else if (first === '[') this.#array(path);
      else this.#inlineTable(path);
    } else this.#match(bareValue);
    return { start, end: this.#position };
  }

  #array(path: KeyPath): void {
    this.#position++;
    for (let index = 0; ; index++) {
      this.#skipSeparators();
      if (this.#position >= this.#text.length) return;
      if (this.#peek() === ']') break;
      const start = this.#position;
      const element = [...path, index];
      const placeholder = { start, end: start };
      this.#record(element, { key: placeholder, value: placeholder }, true);
      const range = this.#value(element);
      this.#record(element, { key: range, value: range }, true);
      if (this.#position === start) return;
    }
    this.#position++;
  }

  #inlineTable(path: KeyPath): void {
    this.#position++;
    for (;;) {
      this.#skipSeparators();
      if (this.#position >= this.#text.length) return;
      if (this.#peek() === '}') break;
      const start = this.#position;
      this.#assignment(path);
      if (this.#position === start) return;
    }
    this.#position++;
  }

  #string(): void {
    const text = this.#text;
    const quote = this.#peek();
    const isBasic = quote === '"';
    const triple = quote.repeat(3);
    const isMultiline = text.startsWith(triple, this.#position);
    this.#position += isMultiline ? 3 : 1;
    while (this.#position < text.length) {
      if (isBasic && this.#peek() === '\\') {
        this.#position += 2;
      } else if (!isMultiline && this.#peek() === quote) {
        this.#position++;
        return;
      } else if (isMultiline && text.startsWith(triple, this.#position)) {
        this.#position += 3;
        // One or two quotes may stand directly before the closing three.
        for (let i = 0; i < 2 && this.#peek() === quote; i++) this.#position++;
        return;
      } else {
        this.#position++;
      }
    }
  }

  /** White space, line ends and comments. */
  #skipSpace(): void {
    this.#match(/(?:[ \t\r\n]|#[^\n]*)*/y);
  }

  #skipSeparators(): void {
    this.#match(/(?:[ \t\r\n,]|#[^\n]*)*/y);
  }

  #peek(): string {
    return this.#text.charAt(this.#position);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#position += found.length;
    return found;
  }
}

const shortEscapes: { readonly [letter: string]: string } = {
  b: '\b',
  t: '\t',
  n: '\n',
  f: '\f',
  r: '\r',
  e: '\x1b',
};

function unescapeBasic(inner: string): string {
  return inner.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
    (_, x?: string, u?: string, long?: string, single?: string) => {
      const hex = x ?? u ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      return shortEscapes[single ?? ''] ?? single ?? '';
    },
  );
}
