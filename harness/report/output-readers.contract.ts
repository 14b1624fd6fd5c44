/** For tests: what other programs make of the outputs. Written from their formats, and not from what writes them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Ajv, type ValidateFunction } from 'ajv';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { ChromeEvent } from './chrome-trace.ts';

export function textOf(pieces: Iterable<string>): string {
  return [...pieces].join('');
}

const xsd = fileURLToPath(new URL('junit.xsd', import.meta.url));

/** What is wrong with it by the XSD; undefined: nothing. Null: there is no xmllint here. */
export function junitProblem(xml: string): string | undefined | null {
  const { status, stderr, error } = spawnSync(
    'xmllint',
    ['--noout', '--huge', '--schema', xsd, '-'],
    { input: xml, encoding: 'utf8', timeout: 60_000 },
  );
  if (error !== undefined) return null;
  return status === 0 ? undefined : stderr;
}

export interface ReadCase {
  readonly classname: string;
  readonly name: string;
  readonly time: string;
  readonly file?: string;
  readonly line?: string;
  readonly properties?: { readonly property: readonly { name: string; value: string }[] };
  readonly failure?: { readonly message: string; readonly type: string; readonly '#text': string };
  readonly error?: { readonly message: string; readonly type: string; readonly '#text': string };
  readonly skipped?: { readonly message: string };
  readonly flakyError?: ReadTry | readonly ReadTry[];
  readonly rerunError?: ReadTry | readonly ReadTry[];
  readonly 'system-out'?: string;
}

/** Of a case that was tried again. */
export interface ReadTry {
  readonly message: string;
  readonly type: string;
  readonly stackTrace: string;
}

export interface ReadSuite {
  readonly name: string;
  readonly tests: string;
  readonly failures: string;
  readonly errors: string;
  readonly skipped: string;
  readonly time: string;
  readonly timestamp?: string;
  readonly testcase: readonly ReadCase[];
}

/** @throws {Error} for what is no XML */
export function readJunit(xml: string): ReadSuite[] {
  const valid = XMLValidator.validate(xml);
  if (valid !== true) throw new Error(JSON.stringify(valid.err));
  const lists = ['testsuite', 'testcase', 'property'];
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: false,
    // Numeric references; a report may hold as many as it likes.
    htmlEntities: true,
    processEntities: { enabled: true, maxTotalExpansions: 1e9, maxExpandedLength: 1e9 },
    isArray: (name) => lists.includes(name),
  });
  const { testsuites } = parser.parse(xml) as { testsuites: { testsuite?: ReadSuite[] } };
  return testsuites.testsuite ?? [];
}

const text = { type: 'string' } as const;
const whole = { type: 'integer', minimum: 0 } as const;
const object = (required: string, properties: object) => ({
  type: 'object',
  additionalProperties: false,
  required: required.split(' '),
  properties,
});

/** The part of https://ctrf.io's schema that a runner without attachments uses, as strict. */
const ctrfSchema = object('reportFormat specVersion results', {
  reportFormat: { const: 'CTRF' },
  specVersion: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+$' },
  timestamp: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$' },
  generatedBy: text,
  results: object('tool summary tests', {
    tool: object('name', { name: { type: 'string', minLength: 1 }, version: text }),
    summary: object('tests passed failed skipped pending other start stop', {
      tests: whole,
      passed: whole,
      failed: whole,
      skipped: whole,
      pending: whole,
      other: whole,
      flaky: whole,
      suites: whole,
      start: whole,
      stop: whole,
      duration: whole,
    }),
    tests: {
      type: 'array',
      items: object('name status duration', {
        name: { type: 'string', minLength: 1 },
        status: { enum: ['passed', 'failed', 'skipped', 'pending', 'other'] },
        duration: whole,
        suite: { type: 'array', minItems: 1, items: text },
        message: text,
        trace: text,
        line: whole,
        rawStatus: text,
        type: text,
        filePath: text,
        retries: whole,
        retryAttempts: {
          type: 'array',
          items: object('attempt status', {
            attempt: { type: 'integer', minimum: 1 },
            status: { enum: ['passed', 'failed', 'skipped', 'pending', 'other'] },
            duration: whole,
            message: text,
            trace: text,
            extra: { type: 'object' },
          }),
        },
        flaky: { type: 'boolean' },
        device: text,
        parameters: { type: 'object' },
        extra: { type: 'object' },
      }),
    },
    environment: object('reportName', { reportName: text, extra: { type: 'object' } }),
    extra: { type: 'object' },
  }),
});

let ctrfValidator: ValidateFunction | undefined;

export interface ReadCtrf {
  readonly results: {
    readonly summary: Readonly<Record<string, number>>;
    readonly tests: readonly {
      readonly name: string;
      readonly status: string;
      readonly duration: number;
      readonly suite: readonly string[];
      readonly message?: string;
      readonly line?: number;
      readonly retries?: number;
      readonly flaky?: boolean;
      readonly retryAttempts?: readonly { readonly attempt: number; readonly status: string }[];
      readonly extra?: { readonly title: string };
    }[];
  };
}

/** @throws {Error} with what does not fit the schema */
export function readCtrf(json: string): ReadCtrf {
  ctrfValidator ??= new Ajv({ strict: true }).compile(ctrfSchema);
  const value: unknown = JSON.parse(json);
  if (!ctrfValidator(value)) throw new Error(JSON.stringify(ctrfValidator.errors));
  return value as ReadCtrf;
}

/** Records of RFC 4180, section 2, character by character. */
export function readCsv(csv: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < csv.length; i++) {
    const character = csv[i]!;
    if (quoted) {
      if (character !== '"') field += character;
      else if (csv[i + 1] === '"') field += csv[++i];
      else quoted = false;
    } else if (character === '"' && field === '') quoted = true;
    else if (character === ',') {
      record.push(field);
      field = '';
    } else if (character === '\r' && csv[i + 1] === '\n') {
      i++;
      records.push([...record, field]);
      record = [];
      field = '';
    } else if (character === '"' || character === '\r' || character === '\n') {
      throw new Error(`A bare ${JSON.stringify(character)} at ${i}.`);
    } else field += character;
  }
  if (quoted || field !== '' || record.length > 0) throw new Error('The last record has no end.');
  return records;
}

export interface ReadTable {
  readonly title: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/**
 * Tables of GitHub Flavored Markdown with the heading above each: a row ends where its line does, and a cell at a pipe
 * without a backslash.
 *
 * @throws {Error} for a row with more or fewer cells than its head
 */
export function readMarkdownTables(markdown: string): ReadTable[] {
  const tables: { title: string; heads: string[]; rows: string[][] }[] = [];
  let title = '';
  const lines = markdown.split('\n');
  for (const [i, line] of lines.entries()) {
    if (line.startsWith('#')) title = line.replace(/^#+ /, '');
    if (!line.startsWith('|')) continue;
    const cells = line
      .replace(/^\|/, '')
      .replace(/\|$/, '')
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim());
    if (/^\|( ---:? \|)+$/.test(lines[i + 1] ?? '')) tables.push({ title, heads: cells, rows: [] });
    else if (!/^\|( ---:? \|)+$/.test(line)) tables.at(-1)!.rows.push(cells);
    if (cells.length !== tables.at(-1)!.heads.length) throw new Error(`Not a row: ${line}`);
  }
  return tables;
}

/** What HTML shows of text within a cell; other elements than those that the report draws itself are an error. */
export function shownText(html: string): string {
  const words = html.replaceAll(/<\/?code>|<br>/g, '');
  if (/[<>]/.test(words)) throw new Error(`Not text: ${words}`);
  return words.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
}

export interface ReadCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly message: string;
}

/** The commands that GitHub's runner finds in what a step prints: lines that begin with `::`, and `##[` anywhere. */
export function readWorkflowCommands(output: string): ReadCommand[] {
  const decode = (value: string, list: readonly (readonly [string, string])[]): string =>
    list.reduce((decoded, [from, to]) => decoded.replaceAll(from, to), value);
  const ofData = [
    ['%0D', '\r'],
    ['%0A', '\n'],
    ['%25', '%'],
  ] as const;
  const ofProperty = [
    ['%0D', '\r'],
    ['%0A', '\n'],
    ['%3A', ':'],
    ['%2C', ','],
    ['%25', '%'],
  ] as const;
  return output.split(/\r\n|\r|\n/).flatMap((line): ReadCommand[] => {
    const match = /^\s*::([a-z-]+)(?: (.*?))?::(.*)$/i.exec(line);
    if (match === null) {
      // The older form is looked for where there is none of the newer one.
      const older = /##\[([^\] ]+)/.exec(line);
      return older === null ? [] : [{ name: older[1]!, properties: {}, message: line }];
    }
    const [, name, list = '', message] = match;
    const properties = Object.fromEntries(
      list.split(',').flatMap((pair) => {
        const at = pair.indexOf('=');
        return at < 0 ? [] : [[pair.slice(0, at).trim(), decode(pair.slice(at + 1), ofProperty)]];
      }),
    );
    return [{ name: name!, properties, message: decode(message!, ofData) }];
  });
}

/**
 * A trace as Perfetto takes it.
 *
 * @throws {Error} when two spans of a thread overlap and neither holds the other, or a thread or process has no name
 */
export function readChromeTrace(json: string): ChromeEvent[] {
  const { traceEvents } = JSON.parse(json) as { traceEvents: ChromeEvent[] };
  const named = new Set(
    traceEvents.flatMap(({ ph, name, pid, tid }) =>
      ph !== 'M' ? [] : name === 'thread_name' ? [`${pid}/${tid}`] : [`${pid}`],
    ),
  );
  const threads = new Map<string, ChromeEvent[]>();
  for (const event of traceEvents) {
    if (event.ph === 'M') continue;
    const thread = `${event.pid}/${event.tid}`;
    if (!named.has(event.ph === 'C' ? `${event.pid}` : thread)) {
      throw new Error(`${thread} has no name.`);
    }
    for (const us of [event.ts, event.dur ?? 0]) {
      if (!Number.isInteger(us) || us! < 0) throw new Error(`${us} µs in ${JSON.stringify(event)}`);
    }
    if (event.ph === 'X') threads.set(thread, [...(threads.get(thread) ?? []), event]);
  }
  for (const [thread, spans] of threads) {
    for (const [i, one] of spans.entries()) {
      for (const other of spans.slice(i + 1)) {
        const [a, b] = one.ts! <= other.ts! ? [one, other] : [other, one];
        const [aEnd, bEnd] = [a.ts! + a.dur!, b.ts! + b.dur!];
        const apart = b.ts! >= aEnd;
        const within = bEnd <= aEnd || (a.ts === b.ts && aEnd <= bEnd);
        if (!apart && !within) {
          throw new Error(`${thread}: ${a.name} and ${b.name} overlap.`);
        }
      }
    }
  }
  return traceEvents;
}
