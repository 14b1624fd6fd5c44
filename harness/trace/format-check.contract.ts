/** For tests: whether what a test has recorded is what the shipped schemas say. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'smol-toml';
import { type SchemaName, shippedSchema } from './shipped-schema.contract.ts';

const validators = new Map<SchemaName, ValidateFunction>();

/** What is wrong with a line of a trace, or with a manifest; undefined: nothing. */
export function formatProblem(name: SchemaName, value: unknown): string | undefined {
  let validate = validators.get(name);
  if (validate === undefined) {
    // Making the code smaller takes longer than what it then does.
    validate = new Ajv2020({
      strict: true,
      allowUnionTypes: true,
      code: { optimize: false },
    }).compile(shippedSchema(name));
    validators.set(name, validate);
  }
  if (validate(value)) return undefined;
  const problems = (validate.errors ?? []).filter(({ keyword }) => keyword !== 'if');
  return problems
    .map(({ instancePath, message, params }) => {
      return `${instancePath || '(whole)'} ${message} ${JSON.stringify(params)}`;
    })
    .join('; ');
}

/**
 * Holds a report against its schema; returns it.
 *
 * @throws {Error} with what does not fit
 */
export function checkReportFormat<T extends object>(report: T): T {
  // As it is written: what is undefined is not there.
  const problem = formatProblem('report', JSON.parse(JSON.stringify(report)));
  if (problem === undefined) return report;
  throw new Error(
    `The report is not what recordings/report.schema.json says. When a type has changed: npm run schemas\n${problem}`,
  );
}

/**
 * Holds a recording against the schemas, line by line.
 *
 * @throws {Error} with the lines that do not fit
 */
export function checkRecordingFormat(folder: string): void {
  const lines = readFileSync(join(folder, 'trace.jsonl'), 'utf8').trimEnd().split('\n');
  const wrong = lines.flatMap((line, index) => {
    const problem = formatProblem('trace', JSON.parse(line));
    return problem === undefined ? [] : [`trace.jsonl:${index + 1}: ${problem}: ${line}`];
  });
  const manifest = join(folder, 'manifest.toml');
  if (existsSync(manifest)) {
    // A table of TOML has no prototype.
    const table: unknown = JSON.parse(JSON.stringify(parse(readFileSync(manifest, 'utf8'))));
    const problem = formatProblem('manifest', table);
    if (problem !== undefined) wrong.push(`manifest.toml: ${problem}`);
  }
  if (wrong.length === 0) return;
  throw new Error(
    `${folder} is not what recordings/*.schema.json say. When a type has changed: npm run schemas\n` +
      wrong.slice(0, 10).join('\n'),
  );
}
