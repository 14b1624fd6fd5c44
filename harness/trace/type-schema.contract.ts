/**
 * The JSON Schemas of recordings and of the report, read off the TypeScript declarations: what the compiler says about
 * an event is what the schema says. For the script that writes them and for tests; the program does not need it.
 */
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { loadSchemaVersion } from '../load/load-report.ts';
import { reportSchemaVersion } from '../report/run-report.ts';
import type { Schema, SchemaName } from './shipped-schema.contract.ts';
import { traceFormatVersion } from './trace-event.ts';

const dialect = 'https://json-schema.org/draft/2020-12/schema';
const traceFile = fileURLToPath(new URL('trace-event.ts', import.meta.url));
const manifestFile = fileURLToPath(new URL('manifest.ts', import.meta.url));
const reportFile = fileURLToPath(new URL('../report/run-report.ts', import.meta.url));
const loadFile = fileURLToPath(new URL('../load/load-report.ts', import.meta.url));

/** Units and counters that are whole numbers everywhere in a recording; other numbers may have a fraction. */
const wholeUnits = /(?:^|[a-z0-9])(?:Us|Samples|Bytes|Tokens|Characters|Hz|Frames|Channels|Shift)$/;
const wholeNames: ReadonlySet<string> = new Set(
  (
    'seq turn sentence frame frames connection request attempt position samples bytes cycles characters charactersIn ' +
    'charactersOut samplesIn samplesOut userOffset seed runSeed packetMs formatVersion n status code level ms exchange'
  ).split(' '),
);
/** The same in a report, where milliseconds are those of samples. */
const wholeReportNames: ReadonlySet<string> = new Set(
  (
    'seq seqs turn line column sentence request position samples unexplained frames seed n requests maxRequests ' +
    'characters index of places cells metricsVersion repetition matched onlyBoard onlyModel gaps'
  ).split(' '),
);

/** The same in the report of a load run. */
const wholeLoadNames: ReadonlySet<string> = new Set(
  (
    'n seed devices asked connected refused connections restarts failed unfinished conversations requests count own quiet ' +
    'damaged foreign late board turns underruns foreign_windows broken heard'
  ).split(' '),
);

/** Reads the schemas off the declarations. Takes some seconds: the compiler reads the types. */
export function schemasOfTypes(): Readonly<Record<SchemaName, Schema>> {
  const program = ts.createProgram([traceFile, manifestFile, reportFile, loadFile], {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
    exactOptionalPropertyTypes: true,
    strict: true,
    noEmit: true,
    types: [],
  });
  const reader = new TypeReader(program.getTypeChecker());
  return {
    trace: traceSchema(reader, (name) => declared(program, traceFile, name)),
    manifest: {
      $schema: dialect,
      $id: `urn:echokit-harness:manifest:${traceFormatVersion}`,
      title: 'manifest.toml of a recording, as JSON',
      ...reader.schema(declared(program, manifestFile, 'RecordingManifest'), 'RecordingManifest'),
    },
    report: reportSchema(
      new TypeReader(program.getTypeChecker(), wholeReportNames),
      declared(program, reportFile, 'RunReport'),
      'RunReport',
      `urn:echokit-harness:report:${reportSchemaVersion}`,
      'report.json of a run, and what --json prints',
    ),
    load: reportSchema(
      new TypeReader(program.getTypeChecker(), wholeLoadNames),
      declared(program, loadFile, 'LoadReport'),
      'LoadReport',
      `urn:echokit-harness:load:${loadSchemaVersion}`,
      'load.json of a load run, and what run --devices --json prints',
    ),
  };
}

/**
 * A line is a header or an event; an event is looked up by its source, then by its type, so that a validator speaks of
 * the one event that was meant.
 */
function traceSchema(reader: TypeReader, type: (name: string) => ts.Type): Schema {
  const variants = new Map<string, Map<string, Schema>>();
  for (const variant of reader.membersOf(type('TraceEvent'))) {
    const source = reader.literalOf(variant, 'source');
    const name = reader.literalOf(variant, 'type');
    const ofSource = variants.get(source) ?? new Map<string, Schema>();
    if (ofSource.has(name)) throw new Error(`Two events are called ${source} ${name}.`);
    variants.set(source, ofSource.set(name, reader.schema(variant, `${source} ${name}`)));
  }
  const choice = (key: string, values: readonly string[], prefix: string): Schema => ({
    type: 'object',
    required: [key],
    properties: { [key]: { enum: values } },
    allOf: values.map((value) => ({
      if: { properties: { [key]: { const: value } } },
      // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
      then: { $ref: `#/$defs/${prefix}${value}` },
    })),
  });
  const definitions: Record<string, Schema> = {
    header: reader.schema(type('TraceHeader'), 'header'),
    event: choice('source', [...variants.keys()], ''),
  };
  for (const [source, types] of variants) {
    definitions[source] = choice('type', [...types.keys()], `${source}.`);
    for (const [name, schema] of types) definitions[`${source}.${name}`] = schema;
  }
  return {
    $schema: dialect,
    $id: `urn:echokit-harness:trace:${traceFormatVersion}`,
    title: 'One line of trace.jsonl',
    description:
      'What this version writes, to the field. A reader that wants to live longer skips events and fields that it does not know.',
    type: 'object',
    if: { required: ['type'], properties: { type: { const: 'header' } } },
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
    then: { $ref: '#/$defs/header' },
    else: { $ref: '#/$defs/event' },
    $defs: definitions,
  };
}

function reportSchema(
  reader: TypeReader,
  type: ts.Type,
  name: string,
  id: string,
  title: string,
): Schema {
  const schema = inOneOrder(reader.schema(type, name)) as Schema;
  return {
    $schema: dialect,
    $id: id,
    title,
    description:
      'What this version writes, to the field. A reader that wants to live longer skips fields that it does not know.',
    ...schema,
    $defs: reader.definitions(),
  };
}

/** In which order the compiler has the members of a union depends on everything that it has read before. */
function inOneOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOneOrder);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const ordered = inOneOrder(member);
      if (!Array.isArray(ordered) || (name !== 'enum' && name !== 'anyOf')) return [name, ordered];
      const texts = ordered.map((one) => JSON.stringify(one)).sort();
      return [name, texts.map((text) => JSON.parse(text) as unknown)];
    }),
  );
}

function declared(program: ts.Program, file: string, name: string): ts.Type {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
  const found = checker.getExportsOfModule(module).find((symbol) => symbol.name === name);
  if (found === undefined) throw new Error(`${file} exports no type ${name}.`);
  return checker.getDeclaredTypeOfSymbol(found);
}

class TypeReader {
  readonly #checker: ts.TypeChecker;
  readonly #wholeNames: ReadonlySet<string>;
  /** Types that are being read. */
  readonly #open = new Set<ts.Type>();
  /** Types that hold themselves, by name. */
  readonly #recursive = new Map<ts.Type, Schema | undefined>();

  /** @param whole names of fields that hold whole numbers, beside those with a whole unit */
  constructor(checker: ts.TypeChecker, whole: ReadonlySet<string> = wholeNames) {
    this.#checker = checker;
    this.#wholeNames = whole;
  }

  membersOf(type: ts.Type): readonly ts.Type[] {
    return type.isUnion() ? type.types : [type];
  }

  literalOf(type: ts.Type, name: string): string {
    const property = this.#checker.getPropertyOfType(type, name);
    const value = property && this.#checker.getTypeOfSymbol(property);
    if (value?.isStringLiteral()) return value.value;
    throw new Error(`${this.#checker.typeToString(type)} does not say its ${name}.`);
  }

  /** What schemas refer to: types that hold themselves. */
  definitions(): Readonly<Record<string, Schema>> {
    return Object.fromEntries(
      [...this.#recursive].map(([type, schema]) => [type.symbol.name, schema!]),
    );
  }

  /** @param path for messages; its last word is the name of the field, which tells whole numbers */
  schema(type: ts.Type, path: string): Schema {
    const members = this.membersOf(type).filter(({ flags }) => !(flags & ts.TypeFlags.Undefined));
    const others = members.filter(({ flags }) => !(flags & ts.TypeFlags.Null));
    if (others.length < members.length) return orNull(this.#schemaOf(others, path));
    return this.#schemaOf(members, path);
  }

  #schemaOf(members: readonly ts.Type[], path: string): Schema {
    const literals = members.map((member) => this.#literal(member));
    if (literals.every((literal) => literal !== undefined)) {
      if (
        members.every(({ flags }) => flags & ts.TypeFlags.BooleanLiteral) &&
        members.length === 2
      ) {
        return { type: 'boolean' };
      }
      return literals.length === 1 ? { const: literals[0] } : { enum: literals };
    }
    if (members.length > 1) {
      return { anyOf: unionOf(members.map((member) => this.schema(member, path))) };
    }
    const [single] = members;
    if (single!.flags & ts.TypeFlags.String) return { type: 'string' };
    if (single!.flags & ts.TypeFlags.Number) {
      const name = path.split(' ').at(-1)!;
      const whole = wholeUnits.test(name) || this.#wholeNames.has(name);
      return { type: whole ? 'integer' : 'number' };
    }
    if (this.#checker.isArrayType(single!)) {
      const [item] = this.#checker.getTypeArguments(single as ts.TypeReference);
      return { type: 'array', items: this.schema(item!, path) };
    }
    return this.#named(single!, path);
  }

  /** A type that holds itself is written once, and referred to. */
  #named(type: ts.Type, path: string): Schema {
    const reference = { $ref: `#/$defs/${type.symbol?.name}` };
    if (this.#recursive.has(type)) return reference;
    if (this.#open.has(type)) {
      this.#recursive.set(type, undefined);
      return reference;
    }
    this.#open.add(type);
    const schema = this.#object(type, path);
    this.#open.delete(type);
    if (!this.#recursive.has(type)) return schema;
    this.#recursive.set(type, schema);
    return reference;
  }

  #literal(type: ts.Type): string | number | boolean | undefined {
    if (type.isStringLiteral() || type.isNumberLiteral()) return type.value;
    if (!(type.flags & ts.TypeFlags.BooleanLiteral)) return undefined;
    return this.#checker.typeToString(type) === 'true';
  }

  #object(type: ts.Type, path: string): Schema {
    const properties = this.#checker.getPropertiesOfType(type);
    const index = this.#checker.getIndexInfoOfType(type, ts.IndexKind.String);
    if (index !== undefined && properties.length === 0) {
      return { type: 'object', additionalProperties: this.schema(index.type, path) };
    }
    if (properties.length === 0) {
      throw new Error(`${path}: no schema is known for ${this.#checker.typeToString(type)}.`);
    }
    const isOptional = ({ flags }: ts.Symbol): boolean => (flags & ts.SymbolFlags.Optional) !== 0;
    return {
      type: 'object',
      additionalProperties: false,
      required: properties.filter((property) => !isOptional(property)).map(({ name }) => name),
      properties: Object.fromEntries(
        properties.map((property) => {
          const { name } = property;
          const schema = this.schema(this.#checker.getTypeOfSymbol(property), `${path} ${name}`);
          const words = property.getDocumentationComment(this.#checker).map(({ text }) => text);
          const description = words.join('').replaceAll(/\s+/g, ' ').trim();
          return [name, description === '' ? schema : { description, ...schema }];
        }),
      ),
    };
  }
}

function orNull(schema: Schema): Schema {
  if (typeof schema['type'] === 'string' && Object.keys(schema).length === 1) {
    return { type: [schema['type'], 'null'] };
  }
  if (Array.isArray(schema['enum'])) return { ...schema, enum: [...schema['enum'], null] };
  const { anyOf = [schema] } = schema as { anyOf?: readonly Schema[] };
  return { anyOf: [...anyOf, { type: 'null' }] };
}

/** Each once, literals of one union together. */
function unionOf(schemas: readonly Schema[]): Schema[] {
  const literals = schemas.flatMap((schema) => ('const' in schema ? [schema['const']] : []));
  const others = schemas.filter((schema) => !('const' in schema));
  const distinct = [...new Map(others.map((schema) => [JSON.stringify(schema), schema])).values()];
  return [...(literals.length === 0 ? [] : [{ enum: literals }]), ...distinct];
}
