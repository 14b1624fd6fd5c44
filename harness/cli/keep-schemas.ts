/**
 * Writes what is made from the sources anew: the schemas of the recording format from the types, those of the files that people
 * write and the reference pages from the zod schemas (`npm run schemas`). With `--check` it only says whether they are up to date.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type SchemaName, schemaFiles, schemaText } from '../trace/shipped-schema.contract.ts';
import { schemasOfTypes } from '../trace/type-schema.contract.ts';
import { exitCode } from './exit-code.ts';
import { keptReferences } from './kept-references.ts';
import { processTerminal } from './terminal.ts';

const terminal = processTerminal();
const check = process.argv.includes('--check');
const files = [
  ...Object.entries(schemasOfTypes()).map(([name, schema]) => ({
    path: schemaFiles[name as SchemaName],
    text: schemaText(schema),
  })),
  ...keptReferences(),
];
for (const { path, text } of files) {
  if (!check) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
    terminal.say(
      `${relative('.', path)} is not what the sources say. Write it anew: npm run schemas`,
    );
    process.exitCode = exitCode.expectationFailed;
  }
}
