import test from 'ava';
import fc from 'fast-check';
import { parse, TomlDate } from 'smol-toml';
import { type KeyPath, lineColumn, SourceMap } from './source-position.ts';
import { parseToml, TomlSyntaxError } from './toml-document.ts';

const example = `title = "A question" # [turn] in a comment
[matrix]
providers = [
  "openai", # first
  "elevenlabs",
]

[[turn]]
say = """
[turn.expect]
reply = "not a key"
"""
reply_pace = { first_token_ms = 350, "tokens_per_second" = 45 }

[[turn.disturb]]
kind = 'stall'

[[turn]]
say = "Again"
[turn.expect]
underruns.count = 0
underruns . "longest.ms" = "<= 16"
[[turn.disturb]]
kind = "drop"
[[turn.disturb]]
kind = "stall"
after = { event = "StartAudio", delay_ms = 5 }
`;

function keyAt(source: SourceMap, path: KeyPath): string | undefined {
  const entry = source.find(path);
  if (!entry) return undefined;
  const { line, column } = source.lineColumn(entry.key.start);
  return `${line}:${column} ${source.text.slice(entry.key.start, entry.key.end)}`;
}

function valueAt(source: SourceMap, path: KeyPath): string | undefined {
  const entry = source.find(path);
  if (!entry) return undefined;
  const { line, column } = source.lineColumn(entry.value.start);
  return `${line}:${column} ${source.text.slice(entry.value.start, entry.value.end)}`;
}

test('keys of every kind of table are found on their line', (t) => {
  const source = new SourceMap(example);
  t.is(keyAt(source, ['title']), '1:1 title');
  t.is(keyAt(source, ['matrix']), '2:2 matrix');
  t.is(keyAt(source, ['matrix', 'providers', 1]), '5:3 "elevenlabs"');
  t.is(keyAt(source, ['turn']), '8:3 turn');
  t.is(keyAt(source, ['turn', 0]), '8:3 turn');
  t.is(keyAt(source, ['turn', 0, 'reply']), undefined);
  t.is(keyAt(source, ['turn', 0, 'reply_pace', 'tokens_per_second']), '13:38 "tokens_per_second"');
  t.is(keyAt(source, ['turn', 0, 'disturb', 0, 'kind']), '16:1 kind');
  t.is(keyAt(source, ['turn', 1, 'say']), '19:1 say');
  t.is(keyAt(source, ['turn', 1, 'expect', 'underruns', 'count']), '21:11 count');
  t.is(keyAt(source, ['turn', 1, 'expect', 'underruns', 'longest.ms']), '22:13 "longest.ms"');
  t.is(keyAt(source, ['turn', 1, 'disturb', 1, 'after', 'delay_ms']), '27:33 delay_ms');
});

test('values are found with their whole text', (t) => {
  const source = new SourceMap(example);
  t.is(valueAt(source, ['title']), '1:9 "A question"');
  t.is(valueAt(source, ['matrix']), '2:1 [matrix]');
  t.is(valueAt(source, ['turn', 1]), '18:1 [[turn]]');
  t.is(valueAt(source, ['turn', 1, 'disturb', 1]), '25:1 [[turn.disturb]]');
  t.is(valueAt(source, ['turn', 1, 'expect', 'underruns', 'longest.ms']), '22:28 "<= 16"');
  t.is(
    valueAt(source, ['turn', 1, 'disturb', 1, 'after']),
    '27:9 { event = "StartAudio", delay_ms = 5 }',
  );
});

test('the nearest enclosing table answers for a key that is not there', (t) => {
  const source = new SourceMap(example);
  const at = (path: KeyPath) => source.lineColumn(source.nearest(path).value.start);
  t.deepEqual(at(['turn', 1, 'reply']), { line: 18, column: 1 });
  t.deepEqual(at(['turn', 0, 'reply_pace', 'nothing']), { line: 13, column: 14 });
  t.deepEqual(at(['server', 'asr']), { line: 1, column: 1 });
});

test('inline arrays of tables, instants with a space and strings with quotes at the end', (t) => {
  const source = new SourceMap(
    'turn = [ { say = """a "quoted"""", at = 2026-01-02 03:04:05 },\r\n  { say = "b" } ]\r\nlast = 1\r\n',
  );
  t.is(valueAt(source, ['turn', 0, 'say']), '1:18 """a "quoted""""');
  t.is(valueAt(source, ['turn', 0, 'at']), '1:41 2026-01-02 03:04:05');
  t.is(keyAt(source, ['turn', 1, 'say']), '2:5 say');
  t.is(keyAt(source, ['last']), '3:1 last');
});

test('columns count UTF-16 code units and ignore a byte order mark', (t) => {
  t.deepEqual(lineColumn('\ufefftitle = 1', 1), { line: 1, column: 1 });
  t.deepEqual(lineColumn('a = "月"\r\nb = 1', 9), { line: 2, column: 1 });
  t.deepEqual(lineColumn('"😀" = 1', 5), { line: 1, column: 6 });
});

test('text that is not TOML ends the scan instead of hanging it', (t) => {
  for (const text of [
    '[',
    '[[',
    'a',
    'a =',
    'a = [',
    'a = [,',
    'a = {',
    'a = "',
    "a = '''",
    '=',
    ']',
    '\\',
  ]) {
    t.notThrows(() => new SourceMap(text), text);
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'[]{}="\'\\#,.a1 \n') }), (text) => {
      new SourceMap(text);
    }),
    { numRuns: 500, seed: 1 },
  );
});

// The parser is the second opinion: whatever it finds in a document must be found by the scanner,
// and the text at that place, parsed alone, must give the same key and the same value.

const names = fc.oneof(
  fc.constantFrom('say', 'reply', 'after', 'expect', 'a-b', '1', ''),
  fc.string({ maxLength: 6 }),
  fc.string({
    unit: fc.constantFrom('.', '"', "'", '\\', ' ', '#', '=', ']', '月', '😀', '\n'),
    maxLength: 5,
  }),
);

interface Style {
  next(limit: number): number;
}

const scalar = fc.oneof(
  fc.integer({ min: -1e9, max: 1e9 }).map(String),
  fc.constantFrom('true', 'false', '3.25', '1e3', '0xff', 'inf', '1_000', '2026-01-02', '07:32:00'),
  fc.constantFrom('2026-01-02 07:32:00', '2026-01-02T07:32:00.5Z'),
  fc.string({ maxLength: 12 }).map((text) => JSON.stringify(text).replaceAll('\x7f', '\\u007f')),
  fc.constantFrom("'[a] = #'", "''", '"""\n[[x]]\n"two"""""', "'''it's ''me'''", '"""\\\n  a"""'),
);

type Node =
  | { kind: 'scalar'; text: string }
  | { kind: 'array'; items: Node[] }
  | { kind: 'table'; entries: [string, Node][] };

const { table } = fc.letrec<{ node: Node; table: Node }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar.map((text): Node => ({ kind: 'scalar', text })),
    fc.array(tie('node'), { maxLength: 3 }).map((items): Node => ({ kind: 'array', items })),
    fc
      .array(tie('table'), { minLength: 1, maxLength: 3 })
      .map((items): Node => ({ kind: 'array', items })),
    tie('table'),
  ),
  table: fc
    .uniqueArray(fc.tuple(names, tie('node')), { selector: ([name]) => name, maxLength: 4 })
    .map((entries): Node => ({ kind: 'table', entries })),
}));

function writeKey(name: string, style: Style): string {
  if (/^[A-Za-z0-9_-]+$/.test(name) && style.next(3) > 0) return name;
  if (!/['\p{Cc}]/u.test(name) && style.next(2) === 0) return `'${name}'`;
  return JSON.stringify(name).replaceAll('\x7f', '\\u007f');
}

function writeInline(node: Node, style: Style): string {
  const gap = () => ['', ' ', '\n', ' # [x] = "\n'][style.next(4)] ?? '';
  if (node.kind === 'scalar') return node.text;
  const comma = style.next(2) === 0 ? ',' : '';
  if (node.kind === 'array') {
    const items = node.items.map((item) => `${gap()}${writeInline(item, style)}${gap()}`);
    return items.length === 0 ? `[${gap()}]` : `[${items.join(',')}${comma}${gap()}]`;
  }
  const entries = node.entries.map(
    ([name, child]) => ` ${writeKey(name, style)} = ${writeInline(child, style)} `,
  );
  return `{${entries.join(',')}}`;
}

/** Tables as headers, dotted keys or inline tables, as the style draws. */
function writeTable(node: Node, header: string, dotted: string, style: Style): string {
  if (node.kind !== 'table') return '';
  let own = '';
  let below = '';
  for (const [name, child] of node.entries) {
    const key = writeKey(name, style);
    const isArrayOfTables =
      child.kind === 'array' &&
      child.items.length > 0 &&
      child.items.every((i) => i.kind === 'table');
    if (dotted === '' && child.kind === 'table' && style.next(3) === 0) {
      const path = header === '' ? key : `${header} . ${key}`;
      below += `  [ ${path} ] # c\n${writeTable(child, path, '', style)}`;
    } else if (dotted === '' && isArrayOfTables && style.next(3) > 0) {
      const path = header === '' ? key : `${header}.${key}`;
      for (const item of child.items) below += `[[${path}]]\n${writeTable(item, path, '', style)}`;
    } else if (child.kind === 'table' && child.entries.length > 0 && style.next(2) === 0) {
      own += writeTable(child, header, `${dotted}${key}.`, style);
    } else {
      own += `${dotted}${key} = ${writeInline(child, style)}\n`;
    }
  }
  return own + below;
}

function checkValue(source: SourceMap, path: KeyPath, value: unknown): void {
  const entry = source.find(path);
  if (!entry) throw new Error(`no entry for ${JSON.stringify(path)}`);
  const keyText = source.text.slice(entry.key.start, entry.key.end);
  const valueText = source.text.slice(entry.value.start, entry.value.end);
  const last = path.at(-1);
  if (typeof last === 'string') {
    const parsed = Object.keys(parse(`${keyText} = 1`));
    if (parsed.length !== 1 || parsed[0] !== last) throw new Error(`${keyText} is not ${last}`);
  }
  const { key, value: range } = entry;
  const isHeader =
    (range.start < key.start && key.end < range.end) ||
    (typeof last === 'string' && range.start === key.start);
  const isTable = (v: unknown) => typeof v === 'object' && v !== null && !(v instanceof TomlDate);
  if (!isTable(value) || !isHeader) {
    const { x: alone } = parse(`x = ${valueText}`);
    if (JSON.stringify(alone) !== JSON.stringify(value)) {
      throw new Error(`${JSON.stringify(path)}: ${valueText} is not ${JSON.stringify(value)}`);
    }
  }
  if (isTable(value)) checkChildren(source, path, value as object);
}

function checkChildren(source: SourceMap, path: KeyPath, value: object): void {
  for (const [name, child] of Object.entries(value)) {
    checkValue(source, [...path, Array.isArray(value) ? Number(name) : name], child);
  }
}

test('in generated documents every key path points at its key and its value', (t) => {
  let paths = 0;
  fc.assert(
    fc.property(
      table,
      fc.array(fc.nat({ max: 11 }), { minLength: 40, maxLength: 40 }),
      (root, draws) => {
        let drawn = 0;
        const style: Style = { next: (limit) => (draws[drawn++ % draws.length] ?? 0) % limit };
        const text = writeTable(root, '', '', style);
        const value = parse(text);
        const source = new SourceMap(text);
        checkChildren(source, [], value);
        paths += source.paths().length;
      },
    ),
    { numRuns: 1500, seed: 42 },
  );
  t.true(paths > 3000, `the documents hold ${paths} paths`);
});

test('what is nested deeper than anybody writes is refused with its place, in time that does not grow with the square', (t) => {
  const dotted = (names: number): string => Array.from({ length: names }, () => 'a').join('.');
  const lists = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
  const refused = (text: string): TomlSyntaxError =>
    t.throws(() => parseToml(text), { instanceOf: TomlSyntaxError })!;
  t.deepEqual(parseToml(`b = ${lists(100)}`), { b: JSON.parse(lists(100)) });
  t.is(new SourceMap(`[${dotted(100)}]`).paths().length, 100);
  parseToml(`[${dotted(100)}]`);
  for (const [text, at] of [
    [`c = 1\nb = ${lists(101)}`, { line: 2, column: 105 }],
    [`c = 1\n[${dotted(101)}]`, { line: 2, column: 202 }],
    [`c = 1\n[[${dotted(101)}]]`, { line: 2, column: 203 }],
    [`${dotted(102)} = 1`, { line: 1, column: 201 }],
    [`${dotted(60)} = { ${dotted(60)} = 1 }`, undefined],
  ] as const) {
    const error = refused(text);
    t.is(error.message, 'more than 100 tables and lists within one another');
    if (at !== undefined) t.deepEqual(error.at, at, text);
  }
  const long = new SourceMap(`[${dotted(20_000)}]\n${dotted(20_000)} = 1`);
  t.true(long.paths().length < 400);
  t.is(refused(`[${dotted(20_000)}]`).at.line, 1);
});
