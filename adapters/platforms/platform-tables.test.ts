/** `README.md` beside this file is complete, and every test that it names exists. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { platforms } from '../platforms.ts';

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

interface Row {
  readonly section: string;
  readonly table: string;
  readonly fact: string;
  readonly cells: readonly string[];
}

/** Rows under `## section`, `### table`. */
function rowsOf(markdown: string): Row[] {
  const rows: Row[] = [];
  let section = '';
  let table = '';
  for (const line of markdown.split('\n')) {
    if (line.startsWith('## ')) [section, table] = [line.slice(3), ''];
    else if (line.startsWith('### ')) table = line.slice(4);
    else if (line.startsWith('| ') && !/^\| (?:-+|fact|class) /.test(line)) {
      const cells = line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.trim());
      rows.push({ section, table, fact: cells[0]!, cells });
    }
  }
  return rows;
}

const rows = rowsOf(read('README.md'));
const failures = rows.filter(({ table }) => table.startsWith('Failures of '));
const facts = rows.filter((row) => !failures.includes(row));

/** Each distinct value once, in order. */
const distinct = (values: readonly string[]): string[] => [...new Set(values)];

test('every platform has its tables, and so has the text optimization', (t) => {
  t.deepEqual(
    distinct(rows.map(({ section }) => section)).sort(),
    [...platforms.map(({ names }) => names[0]!), 'text_optimization'].sort(),
  );
  // The ways of one platform differ on the wire.
  t.deepEqual(distinct(facts.map(({ table }) => table)), [
    '`openai`: a WAV, as EchoKit asks for it',
    '`openai` with `stream = "pcm"`',
    '`openai` with `stream = "sse"`',
    'Services that copy OpenAI',
    '`groq`',
    '`elevenlabs` on `stream-input`',
    '`elevenlabs` on the dialogue socket (v3 and v4 models)',
    '`fish` over HTTP',
    '`fish` with `stream = "live"`',
    '`gsv`',
    '`stream_gsv`',
    '`cosyvoice`',
    '`text_optimization`',
  ]);
});

test('every table has every fact, once', (t) => {
  const needed = [
    'text in',
    'request',
    'audio out',
    'end signal',
    'connection',
    'cancel',
    'limits',
    'not covered',
  ];
  for (const table of distinct(facts.map((row) => row.table))) {
    const names = facts.filter((row) => row.table === table).map(({ fact }) => fact);
    t.deepEqual(
      needed.filter((fact) => !names.includes(fact)),
      [],
      table,
    );
    t.deepEqual(names, distinct(names), table);
    t.deepEqual(
      names.filter((name) => ![...needed, 'usage'].includes(name) && !name.startsWith('quirk: ')),
      [],
      table,
    );
  }
});

test('every platform has every class of failure, once', (t) => {
  const [, kinds] = /type SpeechFailureKind =([^;]+);/.exec(read('../speech-error.ts'))!;
  // A limit of the caller is no failure of a platform.
  const classes = [...kinds!.matchAll(/'([^']+)'/g)]
    .map(([, kind]) => kind!)
    .filter((kind) => kind !== 'budget');
  t.true(classes.length >= 12);
  for (const section of distinct(rows.map((row) => row.section))) {
    const named = failures.filter((row) => row.section === section).map(({ fact }) => fact);
    const expected =
      section === 'text_optimization'
        ? classes.filter((kind) => kind !== 'bad-voice' && kind !== 'too-long')
        : classes;
    t.deepEqual(named.sort(), expected.map((kind) => `\`${kind}\``).sort(), section);
  }
});

test('every row says what happens, where it is written and which test shows it', (t) => {
  for (const { table, fact, cells } of rows) {
    const [, happens, section, tests] = cells;
    const row = `${table}, ${fact}`;
    t.is(cells.length, 4, row);
    t.true(happens!.trim() !== '', row);
    t.regex(section!, /^\d+(?:\.\d+)?(?:(?:, | to )\d+(?:\.\d+)?)*$/, row);
    t.regex(tests!, /^`[^`]+ › [^`]+`(?:<br>`[^`]+ › [^`]+`)*$/, row);
  }
});

test('every test that is named is one of its file', (t) => {
  const named = rows.flatMap(({ cells }) => cells[3]!.split('<br>').map((id) => id.slice(1, -1)));
  t.true(named.length > rows.length);
  const files = new Map<string, TestFile>();
  const missing = distinct(named).filter((id) => {
    const at = id.indexOf(' › ');
    const name = `${id.slice(0, at)}.test.ts`;
    const file = files.get(name) ?? new TestFile(name);
    files.set(name, file);
    return !file.has(id.slice(at + 3));
  });
  t.deepEqual(missing, []);
});

test('a title is told from one that only looks like it', (t) => {
  const file = new TestFile('openai.test.ts');
  t.true(file.has('the request is the one EchoKit sends'));
  t.true(file.has('a refusal is classified: no credit'));
  t.true(file.has('an orderly answer without audio is empty'), 'of the contract suite');
  for (const title of [
    'the request is the one EchoKit send',
    'a refusal is classified: no such case',
    'a refusal is classified: ',
    'text waits for task-started and is then forwarded in the instant it is known',
  ]) {
    t.false(file.has(title), title);
  }
});

/** The titles of one test file, and of the suites that it runs. */
class TestFile {
  readonly #source: string;
  readonly #titles: readonly string[];
  /** Texts with `${…}` in them, as what stands around it. */
  readonly #templates: readonly (readonly string[])[];

  constructor(name: string) {
    const own = read(name);
    const shared = [...own.matchAll(/from '([^']+\.contract\.ts)'/g)].map(([, path]) =>
      readFileSync(new URL(path!, new URL(name, import.meta.url)), 'utf8'),
    );
    const suites = shared.filter((source) => /\btest: TestFn\b/.test(source));
    this.#source = [own, ...shared].join('\n').replace(/(?<=\d)_(?=\d{3})/g, '');
    this.#titles = [own, ...suites].flatMap(titlesOf);
    this.#templates = [...this.#source.matchAll(/`([^`\n]*\$\{[^`\n]*)`/g)]
      .map(([, text]) => literalsOf(text!))
      .filter((literals) => literals.join('').trim() !== '');
  }

  has(title: string): boolean {
    return this.#titles.some((pattern) => this.#makes(literalsOf(pattern), title));
  }

  /** Whether the text is these literals with values of the source between them. */
  #makes([first, ...rest]: readonly string[], text: string): boolean {
    if (first === undefined || !text.startsWith(first)) return false;
    const left = text.slice(first.length);
    if (rest.length === 0) return left === '';
    for (let end = 1; end <= left.length; end++) {
      if (this.#makes(rest, left.slice(end)) && this.#holds(left.slice(0, end))) return true;
    }
    return false;
  }

  #holds(value: string): boolean {
    if (/^\d+$/.test(value)) return new RegExp(`\\b${value}\\b`).test(this.#source);
    if (new RegExp(`(['"\`])${escaped(value)}\\1`).test(this.#source)) return true;
    return this.#templates.some((literals) => this.#makes(literals, value));
  }
}

const literalsOf = (pattern: string): string[] => pattern.split(/\$\{[^}]*\}/);
const escaped = (text: string): string => text.replace(/[^\w\s]/g, '\\$&');

function titlesOf(source: string): string[] {
  const calls = source.matchAll(
    /\btest\(\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/g,
  );
  return [...calls].map(([, single, double, template]) =>
    (single ?? double ?? template)!.replace(/\\(.)/g, '$1'),
  );
}
