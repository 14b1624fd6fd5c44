/**
 * Writes the schemas of the recording format anew from the types: `npm run schemas`. With `--check` it only says
 * whether they are those of the types.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import {
  type SchemaName,
  schemaFiles,
  schemasOfTypes,
  schemaText,
} from '../trace/type-schema.contract.ts';
import { exitCode } from './exit-code.ts';
import { processTerminal } from './terminal.ts';

const terminal = processTerminal();
const check = process.argv.includes('--check');
for (const [name, schema] of Object.entries(schemasOfTypes())) {
  const path = schemaFiles[name as SchemaName];
  const text = schemaText(schema);
  if (!check) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    terminal.say(
      `${relative('.', path)} is not what the types say. Write it anew: npm run schemas`,
    );
    process.exitCode = exitCode.expectationFailed;
  }
}
