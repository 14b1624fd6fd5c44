/**
 * The shape of a TOML file, read off its zod schema: which tables there are, which keys each of them has, and how a table
 * is written. Messages about a file, its JSON Schema and its reference pages all come from it.
 */
import { z } from 'zod';

/** Keys from the top level down, without the numbers of array elements. */
export type TablePath = readonly string[];

/** Codes of what can be wrong with the shape of a file. */
export interface ShapeCodes<Code extends string> {
  readonly unknownKey: Code;
  readonly wrongType: Code;
  readonly missingKey: Code;
  readonly badValue: Code;
}

export interface FileShape<Code extends string = string> {
  readonly schema: z.ZodType;
  readonly codes: ShapeCodes<Code>;
  /** Tables that people write in one line, by their key. */
  readonly inline: ReadonlySet<string>;
  /** What to write for a key that is missing. */
  readonly examples: Readonly<Record<string, string>>;
  /** What to say of a missing key instead of the usual words, by its path with dots. */
  readonly missing?: Readonly<Record<string, string>>;
}

/** The schema behind optional, default and the like. */
export function bareSchema(schema: z.ZodType): z.ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return bareSchema(schema.unwrap() as z.ZodType);
  }
  return schema;
}

/** The keys of a table, or of the tables in a list, in the order of the schema; undefined when it is neither. */
export function tableKeys(schema: z.ZodType): Readonly<Record<string, z.ZodType>> | undefined {
  const bare = bareSchema(schema);
  if (bare instanceof z.ZodObject) return bare.shape;
  if (bare instanceof z.ZodArray) return tableKeys(bare.element as z.ZodType);
  return undefined;
}

/** What stands at `path`; undefined when the file has no such key. */
export function schemaAt({ schema }: Pick<FileShape, 'schema'>, path: TablePath) {
  let found: z.ZodType | undefined = schema;
  for (const key of path) found = found && tableKeys(found)?.[key];
  return found;
}

/** Keys that the table at `path` may have; undefined when there is no such table. */
export function keysOfTable(
  shape: Pick<FileShape, 'schema'>,
  path: TablePath,
): readonly string[] | undefined {
  const found = schemaAt(shape, path);
  const keys = found && tableKeys(found);
  return keys && Object.keys(keys);
}

/** Every table of the file, the top level first. */
export function tablesOfFile(shape: Pick<FileShape, 'schema'>): readonly TablePath[] {
  const found: TablePath[] = [];
  const visit = (path: TablePath): void => {
    const keys = keysOfTable(shape, path);
    if (!keys) return;
    found.push(path);
    for (const key of keys) visit([...path, key]);
  };
  visit([]);
  return found;
}

/** Whether the value at `path` is a list of tables. */
export function isTableList(shape: Pick<FileShape, 'schema'>, path: TablePath): boolean {
  const found = schemaAt(shape, path);
  return found !== undefined && bareSchema(found) instanceof z.ZodArray && !!tableKeys(found);
}

/** `[[turn]]`, `[matrix]`, `[[turn.disturb]]`; tables that are written in one line by their key. */
export function tableName(shape: FileShape, path: TablePath): string {
  if (path.length === 0) return 'the top level';
  const last = path.at(-1) ?? '';
  if (isTableList(shape, path)) return `[[${path.join('.')}]]`;
  if (shape.inline.has(last)) return `"${last}"`;
  return `[${path.join('.')}]`;
}
