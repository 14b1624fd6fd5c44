/** The table of pitfalls R: complete, and true of the faults, events, codes, words and tests that it names. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { standingFaults, suddenFaults } from './fault.ts';

const here = new URL('./', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, here), 'utf8');

const document = text('pitfalls.md');
const codes = new Set(
  [...text('../README.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)`/gm)].map(([, code]) => code!),
);
const serial = readdirSync(new URL('../serial/', here)).filter((file) => /^[^.]+\.ts$/.test(file));
/** What is told, and the names of what is told, in the code. */
const sources = [
  ...serial.map((file) => text(`../serial/${file}`)),
  text('../report/console-text.ts'),
].join('\n');
const events = new Set(
  [...sources.matchAll(/readonly type: '([a-z-]+)'/g)].map(([, name]) => name!),
);

const rows = [
  ...document.matchAll(
    /^\| (R\d\d) +\| ([^|]+?) +\| ([^|]+?) +\| ([^|]+?) +\| ([^|]+?) +\| ([^|]+?) +\|$/gm,
  ),
].map(([, id, what, injected, recognized, told, next]) => ({
  ...{ id: id!, what: what!, injected: injected!, recognized: recognized! },
  ...{ told: told!, next: next! },
}));
const named = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);

test('every pitfall of group R has a row, in its order', (t) => {
  const ids = Array.from({ length: 11 }, (_, i) => `R${String(i + 1).padStart(2, '0')}`);
  t.deepEqual(
    rows.map(({ id }) => id),
    ids,
  );
  t.true(document.includes(`Each of the ${rows.length} rows`));
});

test('what injects it is a fault of the virtual board, or said in words', (t) => {
  const faults = { ...standingFaults, ...suddenFaults };
  for (const { id, injected } of rows) {
    for (const name of named(injected)) t.true(Object.hasOwn(faults, name), `${id}: ${name}`);
  }
  // The other way round: a fault that names a pitfall stands in its row.
  for (const [name, fault] of Object.entries(faults)) {
    const about = typeof fault === 'string' ? fault : fault.about;
    for (const [id] of about.matchAll(/R\d\d/g)) {
      const row = rows.find((candidate) => candidate.id === id);
      t.true(named(row?.injected ?? '').includes(name), `${name} is a fault of ${id}`);
    }
  }
});

test('what it is recognized by is an event or a code that exists, and so are the codes of runs', (t) => {
  for (const { id, recognized, next } of rows) {
    for (const name of named(recognized)) {
      const isKind = sources.includes(`| '${name}'`);
      t.true(events.has(name) || codes.has(name) || isKind, `${id}: ${name}`);
    }
    for (const code of named(next)) t.true(codes.has(code), `${id}: ${code}`);
  }
});

test('what a person reads stands in the code, word for word', (t) => {
  for (const { id, told } of rows) {
    const quotes = [...told.matchAll(/"([^"]+)"/g)].map(([, words]) => words!);
    t.true(quotes.length > 0, id);
    for (const words of quotes) t.true(sources.includes(words), `${id}: ${words}`);
  }
});

test('the list of tests has every one whose title begins with a number, and every row has one', (t) => {
  const shown: string[] = [];
  const virtual = new Set<string>();
  for (const folder of ['./', '../serial/']) {
    for (const file of readdirSync(new URL(folder, here))) {
      if (!file.endsWith('.test.ts')) continue;
      const source = text(folder + file);
      for (const [, , id, title] of source.matchAll(/(?:^|[( ])(['"])(R\d\d): (.*?)\1/gm)) {
        shown.push(`- ${id}, \`${file.replace('.test.ts', '')}\`: ${title}`);
        // With a virtual board or a terminal of this machine behind the port.
        if (/BoardBench|PtyLink/.test(source)) virtual.add(id!);
      }
    }
  }
  const listed = document.split('\n').filter((line) => /^- R\d\d, /.test(line));
  t.deepEqual(listed.toSorted(), shown.toSorted());
  // Which port is meant is decided before any is opened.
  t.deepEqual(
    rows.map(({ id }) => id).filter((id) => !virtual.has(id)),
    ['R08'],
  );
  t.true(listed.some((line) => line.startsWith('- R08, ')));
});
