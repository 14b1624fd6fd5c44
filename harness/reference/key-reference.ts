/** `docs/scenario-reference.md`: every key of every table of a file, from its JSON Schema. */
import type { MetricFamily } from '../metrics/metric-catalog.ts';
import type { JsonSchema } from './json-schema.ts';

interface DescribedTable {
  /** As it is written: `[[turn.act]]`; `"after"` for one in a line. */
  readonly name: string;
  readonly schema: JsonSchema;
}

/** Tables that are written in one line, by their key. */
export interface KeyReferenceStyle {
  readonly inline: ReadonlySet<string>;
  /** Tables with these keys have a part of their own elsewhere and are not listed. */
  readonly elsewhere: ReadonlySet<string>;
}

/** One heading and one table of keys for each table of the file, the top level first. Without a heading for the whole. */
export function keyReference(schema: JsonSchema, style: KeyReferenceStyle): string {
  const tables = [{ name: 'Top level', schema }, ...tablesBelow(schema, [], style)];
  const seen = new Set<string>();
  const parts = tables.flatMap((table) => {
    // "after" has the same keys wherever it stands.
    const id = table.name.startsWith('"') ? table.name : '';
    if (id !== '' && seen.has(id)) return [];
    seen.add(id);
    return [tablePart(table, style)];
  });
  return parts.join('\n');
}

function tablesBelow(
  schema: JsonSchema,
  path: readonly string[],
  style: KeyReferenceStyle,
): DescribedTable[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const table = value.items?.properties === undefined ? value : value.items;
    if (table.properties === undefined || style.elsewhere.has(key)) return [];
    const here = [...path, key];
    const name = tableName(here, value, style);
    const description = value.description;
    const described = { ...table, ...(description !== undefined && { description }) };
    return [{ name, schema: described }, ...tablesBelow(table, here, style)];
  });
}

function tableName(path: readonly string[], schema: JsonSchema, style: KeyReferenceStyle): string {
  const key = path.at(-1) ?? '';
  const name = path.join('.');
  if (schema.type === 'array') return `[[${name}]]`;
  return style.inline.has(key) ? `"${key}"` : `[${name}]`;
}

function tablePart({ name, schema }: DescribedTable, style: KeyReferenceStyle): string {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => [
    `\`${key}\``,
    typeWords(key, value, style),
    required.has(key) ? 'required' : defaultWords(value),
    valuesIn(key, value),
  ]);
  const title = name === 'Top level' ? name : `\`${name.replaceAll('"', '')}\``;
  const intro =
    name === 'Top level' || schema.description === undefined ? [] : [schema.description, ''];
  return [
    `## ${title}`,
    '',
    ...intro,
    ...markdownTable(['key', 'type', 'default', 'meaning'], rows),
    '',
  ].join('\n');
}

function typeWords(
  key: string,
  schema: JsonSchema,
  { inline, elsewhere }: KeyReferenceStyle,
): string {
  if (schema.type === 'array') {
    const { items = {} } = schema;
    if (items.properties !== undefined) return 'tables';
    return 'list of text';
  }
  if (elsewhere.has(key)) return 'table';
  if (schema.properties !== undefined) return inline.has(key) ? 'table in one line' : 'table';
  if (schema.anyOf !== undefined || schema['allOf'] !== undefined) return 'number or text';
  switch (schema.type) {
    case 'object':
      return 'table in one line';
    case 'integer':
      return 'whole number';
    case 'boolean':
      return 'true or false';
    case 'number':
      return 'number';
    default:
      return 'text';
  }
}

function defaultWords({ default: usual }: JsonSchema): string {
  return usual === undefined ? '' : `\`${JSON.stringify(usual)}\``;
}

/** The meaning, with the values that are possible behind it. */
function valuesIn(key: string, schema: JsonSchema): string {
  const values = schema.enum ?? schema.items?.enum ?? schema.items?.anyOf?.[0]?.enum;
  const more = schema.items?.anyOf === undefined ? '' : ', and others';
  const words = [schema.description ?? ''];
  if (values !== undefined) {
    words.push(`Values: ${values.map((value) => `\`${String(value)}\``).join(', ')}${more}.`);
  }
  // The range of times is told once, above.
  if (key.endsWith('_ms') && schema['maximum'] === 3_600_000) return words.join(' ');
  const { minimum, maximum, exclusiveMinimum } = schema as { readonly [bound: string]: unknown };
  const low = minimum === undefined ? exclusiveMinimum : minimum;
  if (typeof low === 'number' && typeof maximum === 'number') {
    words.push(
      `${minimum === undefined ? `Above ${low}, at` : `From ${low} to`} ${minimum === undefined ? 'most ' : ''}${maximum}.`,
    );
  } else if (typeof low === 'number') words.push(`At least ${low}.`);
  return words.filter((part) => part !== '').join(' ');
}

/** The metrics that an expectation can name. */
export function metricReference(families: readonly MetricFamily[]): string {
  const rows = families.map(({ name, unit, per, kind, inTurn }) => [
    `\`${name}\``,
    unit,
    `${kind === 'distribution' ? 'per ' : 'of the '}${per}`,
    kind === 'distribution' ? 'yes' : '',
    inTurn ? 'yes' : '',
  ]);
  return markdownTable(['metric', 'unit', 'value', 'has `p50` …', 'in `[turn.expect]`'], rows).join(
    '\n',
  );
}

/** Aligned, as the other tables of the repository are. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const safe = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, i) => Math.max(3, ...safe.map((row) => [...(row[i] ?? '')].length)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (row[i] ?? '') + ' '.repeat(width - [...(row[i] ?? '')].length)).join(' | ')} |`;
  const [first = [], ...others] = safe;
  return [
    line(first),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...others.map(line),
  ];
}
