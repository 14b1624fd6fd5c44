/**
 * The JSON Schemas of the recording format as they are shipped. `type-schema.contract.ts` makes them, with the compiler, which
 * takes a second to load: whoever only holds recordings against them does without.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type Schema = Readonly<Record<string, unknown>>;

const recordings = new URL('../../recordings/', import.meta.url);

export const schemaFiles = {
  trace: fileURLToPath(new URL('trace.schema.json', recordings)),
  manifest: fileURLToPath(new URL('manifest.schema.json', recordings)),
  report: fileURLToPath(new URL('report.schema.json', recordings)),
  load: fileURLToPath(new URL('load.schema.json', recordings)),
} as const;

export type SchemaName = keyof typeof schemaFiles;

/** As the files are written. */
export function schemaText(schema: Schema): string {
  return `${JSON.stringify(schema, null, 1)}\n`;
}

export function shippedSchema(name: SchemaName): Schema {
  return JSON.parse(readFileSync(schemaFiles[name], 'utf8')) as Schema;
}
