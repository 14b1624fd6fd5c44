import { readFileSync, statSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import {
  depthMax,
  type KeyPath,
  type LineColumn,
  SourceMap,
  type SourceRange,
} from './source-position.ts';

/** A table as it was written, of which nothing is known. */
export type TomlTable = Readonly<Record<string, unknown>>;

/** No list and no date. */
export function isTomlTable(value: unknown): value is TomlTable {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** A file that a person writes is far below it. */
export const textFileBytesMax = 16 * 1024 * 1024;

class TextTooLong extends Error {
  readonly bytes: number;

  constructor(bytes: number) {
    super(`${bytes} bytes`);
    this.bytes = bytes;
  }
}

/** A file that cannot be read as text. */
export class TextFileError extends Error {
  override readonly name = 'TextFileError';
  /** Node's code, for example `ENOENT`; absent when the file was read and is no UTF-8 text. */
  readonly fault: string | undefined;

  constructor(path: string, options: { readonly cause: unknown }) {
    const fault = isFileError(options.cause) ? options.cause.code : undefined;
    const what =
      options.cause instanceof TextTooLong
        ? `${path} has ${options.cause.bytes} bytes, more than the ${textFileBytesMax} that are read`
        : `${path} is not UTF-8 text`;
    super(fault === undefined ? what : `${path}: ${fault}`, options);
    this.fault = fault;
  }
}

/**
 * The text of a file, without a byte order mark.
 *
 * @throws {TextFileError}
 */
export function readTextFile(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > textFileBytesMax) throw new TextTooLong(size);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    throw new TextFileError(path, { cause });
  }
}

/** Text that is not TOML. The message is the parser's reason, as a clause. */
export class TomlSyntaxError extends Error {
  override readonly name = 'TomlSyntaxError';
  readonly at: LineColumn;
  readonly range: SourceRange;

  constructor(
    reason: string,
    options: { readonly at: LineColumn; readonly range: SourceRange; readonly cause?: unknown },
  ) {
    super(reason, options);
    this.at = options.at;
    this.range = options.range;
  }
}

/**
 * @param text without a byte order mark
 * @throws {TomlSyntaxError}
 */
export function parseToml(text: string): TomlTable {
  const table = parsed(text);
  const deep = tooDeep(table);
  if (deep === undefined) return table;
  const source = new SourceMap(text);
  const range = source.nearest(deep).key;
  const reason = `more than ${depthMax} tables and lists within one another`;
  throw new TomlSyntaxError(reason, { at: source.lineColumn(range.start), range });
}

/** The place of a value deeper than there may be, if there is one. */
function tooDeep(table: TomlTable): KeyPath | undefined {
  const waiting: { readonly path: KeyPath; readonly value: object }[] = [
    { path: [], value: table },
  ];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { path, value } = next;
    if (path.length > depthMax) return path;
    for (const [key, inner] of Object.entries(value)) {
      if (!Array.isArray(inner) && !isTomlTable(inner)) continue;
      waiting.push({ path: [...path, Array.isArray(value) ? Number(key) : key], value: inner });
    }
  }
  return undefined;
}

function parsed(text: string): TomlTable {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const { line, column } = cause;
    const reason = cause.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') ?? '';
    const lineStart = text.split('\n', line - 1).join('\n').length + (line > 1 ? 1 : 0);
    const start = lineStart + column - 1;
    const range = { start, end: start + 1 };
    throw new TomlSyntaxError(reason, { at: { line, column }, range, cause });
  }
}

export function isFileError(
  error: unknown,
): error is NodeJS.ErrnoException & { readonly code: string } {
  return (
    error instanceof Error &&
    typeof (error as NodeJS.ErrnoException).code === 'string' &&
    'syscall' in error
  );
}
