/**
 * JSON Schemas of the files that people write, for editors: scenarios and `echokit-harness.toml`. Draft 7, which every
 * editor for TOML understands. What joins several keys, and names that only exist once an EchoKit configuration is read, a
 * schema cannot say: the program checks them.
 */
import { z } from 'zod';
import { harnessConfigSchema } from '../harness-config/schema.ts';
import { distributionStatistics } from '../metrics/distribution.ts';
import type { MetricFamily } from '../metrics/metric-catalog.ts';
import { metricFamilies } from '../metrics/metric-catalog.ts';
import { scenarioSchema } from '../scenario/schema.ts';

export interface JsonSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly [keyword: string]: unknown;
}

/** Names that editors offer. What else may be written is said per list. */
export interface OfferedNames {
  readonly providers: readonly string[];
  readonly devices: readonly string[];
  readonly networks: readonly string[];
  readonly quirks: readonly string[];
  /** Moments that `after` can name. */
  readonly moments: readonly string[];
}

export function scenarioJsonSchema(offered: OfferedNames): JsonSchema {
  const schema = draft7(scenarioSchema, 'A scripted conversation for echokit-harness');
  const whole = rewrite(schema, [], (path, at) => {
    const key = path.at(-1);
    if (key === 'expect') {
      const inTurn = path.includes('turn');
      return described(
        metricTables(expectable, (family) => !inTurn || family.inTurn),
        at,
      );
    }
    if (key === 'gate') return described(gateTable, at);
    if (key === 'count') return described(numberOrComparison, at);
    if (path.join('.') === 'device.quirks_off') return listOf(at, { enum: offered.quirks });
    if (path.at(-2) === 'after' && key === 'event') return { ...at, enum: offered.moments };
    if (path[0] === 'matrix') return withNames(key, at, offered);
    if (key === 'to' && path.at(-2) === 'disturb') return { ...at, enum: offered.networks };
    return at;
  });
  return { ...whole, definitions: { numberOrComparison: eitherForm, distribution, tolerance } };
}

function described(schema: JsonSchema, { description }: JsonSchema): JsonSchema {
  return description === undefined ? schema : { description, ...schema };
}

export function harnessConfigJsonSchema(offered: OfferedNames): JsonSchema {
  const schema = draft7(harnessConfigSchema, 'Defaults of echokit-harness for a project');
  const whole = rewrite(schema, [], (path, at) => {
    if (path.join() === 'gate') return described(gateTable, at);
    return path[0] === 'run' ? withNames(path.at(-1), at, offered) : at;
  });
  return { ...whole, definitions: { tolerance } };
}

function draft7(schema: z.ZodType, title: string): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
  return { $schema, title, ...rest } as JsonSchema;
}

type Rule = (path: readonly string[], schema: JsonSchema) => JsonSchema;

/** Applies the rule to the schema of every key below; the keys of the tables in a list have the path of the list in front. */
function rewrite(schema: JsonSchema, path: readonly string[], rule: Rule): JsonSchema {
  const { properties, items, maximum, default: usual, ...rest } = schema;
  const empty = typeof usual === 'object' && usual !== null && Object.keys(usual).length === 0;
  return {
    ...rest,
    ...(maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER && { maximum }),
    // An empty table or list says nothing to somebody who has written none.
    ...(usual !== undefined && !empty && { default: usual }),
    ...(items !== undefined && { items: rewrite(items, path, rule) }),
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, value]) => {
          const here = [...path, key];
          return [key, rule(here, rewrite(value, here, rule))];
        }),
      ),
    }),
  };
}

/** Known names are offered; others may exist: providers of a configuration, boards with a firmware, profiles. */
function withNames(key: string | undefined, at: JsonSchema, offered: OfferedNames): JsonSchema {
  if (key === 'networks') return listOf(at, { enum: offered.networks });
  if (key !== 'providers' && key !== 'devices') return at;
  return listOf(at, { anyOf: [{ enum: offered[key] }, { type: 'string', pattern: '\\S' }] });
}

function listOf(list: JsonSchema, items: JsonSchema): JsonSchema {
  return { ...list, items };
}

const number = '[+-]?(\\d+(\\.\\d*)?|\\.\\d+)([eE][+-]?\\d+)?';
const comparison = {
  type: 'string',
  pattern: `^\\s*(==|!=|<=|>=|<|>)\\s*${number}\\s*$`,
} as const;
const eitherForm: JsonSchema = { anyOf: [{ type: 'number' }, comparison] };
// Beside a reference editors overlook the description; around one they show it.
const numberOrComparison: JsonSchema = { allOf: [{ $ref: '#/definitions/numberOrComparison' }] };
const distribution: JsonSchema = {
  type: 'object',
  properties: Object.fromEntries(distributionStatistics.map((name) => [name, numberOrComparison])),
  additionalProperties: false,
};

/** `+10%`, `-1%`, `±2LU`, `off`. */
const tolerance: JsonSchema = {
  type: 'string',
  pattern: '^\\s*(off|[+\\-\u2212\u00b1]\\s*(\\d+(\\.\\d*)?|\\.\\d+)\\s*(%|[a-zA-Z]*))\\s*$',
};

/** Metrics as nested tables: `underruns.count` is a key of the table `underruns`. */
function metricTables(
  leaf: (family: MetricFamily) => JsonSchema,
  isWanted: (family: MetricFamily) => boolean,
): JsonSchema {
  const root: Tree = {};
  for (const family of metricFamilies.filter(isWanted)) {
    let table = root;
    const parts = family.name.split('.');
    for (const part of parts.slice(0, -1)) {
      const next = table[part] ?? {};
      table[part] = next;
      table = next as Tree;
    }
    const name = parts.at(-1)!;
    const metric = leaf(family);
    const other = (table[name] as { metric?: JsonSchema } | undefined)?.metric;
    // The bare name of one distribution is a metric of its own: its median.
    table[name] = { metric: other === undefined ? metric : { anyOf: [other, metric] } };
  }
  return tableSchema(root);
}

interface Tree {
  [key: string]: Tree | { metric: JsonSchema };
}

function tableSchema(tree: Tree): JsonSchema {
  const properties = Object.entries(tree).map(([key, value]): [string, JsonSchema] => {
    const { metric } = value as { metric?: JsonSchema };
    return [key, metric ?? tableSchema(value as Tree)];
  });
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

function expectable(family: MetricFamily): JsonSchema {
  const description = meaning(family);
  if (family.kind === 'text') return { type: 'string', description };
  if (family.kind === 'number') return { description, ...numberOrComparison };
  return { description, allOf: [{ $ref: '#/definitions/distribution' }] };
}

/** A distribution without a statistic means its median. */
function gateable(family: MetricFamily): JsonSchema {
  const description = meaning(family);
  const one = { $ref: '#/definitions/tolerance' };
  if (family.kind === 'number') return { description, allOf: [one] };
  const properties = { p50: one, p95: one, mean: one };
  return { description, anyOf: [one, { type: 'object', properties, additionalProperties: false }] };
}

const gateTable = metricTables(gateable, ({ kind }) => kind !== 'text');

function meaning({ unit, definition, per }: MetricFamily): string {
  return `${definition} (${unit}, per ${per})`;
}

/** As the files are written. */
export function jsonSchemaText(schema: JsonSchema): string {
  return `${JSON.stringify(schema, null, 1)}\n`;
}
