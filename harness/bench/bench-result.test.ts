import { readFileSync } from 'node:fs';
import test from 'ava';
import { benchCommand } from '../cli/bench-command.ts';
import { createRandom } from '../random/random.ts';
import { benchParts } from './bench-parts.ts';
import {
  type BenchResult,
  benchResultProblem,
  benchSchemaVersion,
  movedFigures,
} from './bench-result.ts';
import { benchText, historyRow, movedText } from './bench-text.ts';
import { type Figure, middleOf, percentile, repeated } from './figure.ts';

const figure = (changes: Partial<Figure> = {}): Figure => ({
  id: 'speed.warm_over_cold',
  label: 'warm over cold',
  value: 3,
  unit: '×',
  better: 'higher',
  kind: 'ratio',
  spread: { low: 2.8, high: 3.2 },
  n: 9,
  ...changes,
});

const result = (...figures: Figure[]): BenchResult => ({
  schemaVersion: benchSchemaVersion,
  machine: {
    at: '2026-11-27T08:00:00.000Z',
    commit: 'abc1234',
    version: '0.1.0',
    node: 'v20.0.0',
    platform: 'linux x64',
    cpu: 'A processor',
    cores: 2,
    memoryMb: 4096,
    loadBefore: 1,
    loadAfter: 2,
  },
  full: false,
  parts: [{ name: 'speed', about: 'how fast virtual time runs', figures }],
});

test('the interval of a median leaves out as many values as the binomial table of the sign test says', (t) => {
  // Two-sided 5 %: with n values the k-th from each end (Dixon and Mood, 1946).
  const table: readonly (readonly [number, number])[] = [
    [6, 1],
    [8, 1],
    [9, 2],
    [12, 3],
    [20, 6],
    [25, 8],
  ];
  for (const [n, k] of table) {
    const values = Array.from({ length: n }, (_, at) => at + 1).reverse();
    const { low, high, median } = middleOf(values);
    t.deepEqual([n, low, high], [n, k, n + 1 - k]);
    t.is(median, (n + 1) / 2);
  }
  t.deepEqual(middleOf([4, 2]), { median: 3, low: 2, high: 4, n: 2 });
  t.throws(() => middleOf([]), { instanceOf: RangeError });
});

test('the interval holds the true median in about 95 of 100 draws from a lopsided distribution', (t) => {
  const random = createRandom(1, 'intervals');
  const draws = 2_000;
  let held = 0;
  for (let draw = 0; draw < draws; draw++) {
    // Exponential with the median ln 2.
    const { low, high } = middleOf(Array.from({ length: 15 }, () => -Math.log(1 - random.next())));
    if (low <= Math.LN2 && Math.LN2 <= high) held += 1;
  }
  t.true(held / draws > 0.94 && held / draws < 0.98, `${held / draws}`);
});

test('a percentile is a value that occurred', (t) => {
  const values = [5, 1, 4, 2, 3];
  t.deepEqual(
    [0, 0.2, 0.5, 0.99, 1].map((share) => percentile(values, share)),
    [1, 1, 3, 5, 5],
  );
});

test('a figure has moved when its spread and that of before have nothing in common', (t) => {
  const verdict = (before: Partial<Figure>, now: Partial<Figure>): string | undefined =>
    movedFigures(result(figure(before)), result(figure(now)))[0]?.verdict;
  t.is(verdict({}, { value: 3.3, spread: { low: 3.1, high: 3.5 } }), 'same');
  t.is(verdict({}, { value: 3.5, spread: { low: 3.3, high: 3.7 } }), 'better');
  t.is(verdict({}, { value: 2.5, spread: { low: 2.4, high: 2.6 } }), 'worse');
  t.is(
    verdict({ better: 'lower' }, { better: 'lower', value: 9, spread: { low: 8, high: 10 } }),
    'worse',
  );
  // The milliseconds of a machine say nothing about those of another.
  t.is(verdict({ kind: 'here' }, { kind: 'here', value: 9 }), undefined);
  t.is(verdict({ id: 'speed.gone' }, {}), undefined);
});

test('two runs that differ by what a run has of its own are the same; one that takes a quarter more has moved', (t) => {
  const random = createRandom(1, 'runs');
  // Sum of twelve: nearly a normal distribution, standard deviation 1.
  const draw = (): number =>
    Array.from({ length: 12 }, () => random.next()).reduce((sum, one) => sum + one, -6);
  const run = (truth: number): BenchResult => {
    const ofThisRun = truth * (1 + 0.04 * draw());
    const rounds = Array.from({ length: 9 }, () => ofThisRun * (1 + 0.06 * draw()));
    const { value: _, spread: __, n: ___, ...of } = figure({ better: 'lower' });
    return result(repeated(rounds, of));
  };
  const runs = 500;
  const told = { same: 0, slower: 0 };
  for (let at = 0; at < runs; at++) {
    const verdict = (truth: number): string => movedFigures(run(1), run(truth))[0]!.verdict;
    if (verdict(1) === 'same') told.same += 1;
    if (verdict(1.25) === 'worse') told.slower += 1;
  }
  t.true(told.same > 0.99 * runs, `${told.same} of ${runs}`);
  t.true(told.slower > 0.5 * runs, `${told.slower} of ${runs}`);
});

test('the history in the documents has a column for each figure of a row', (t) => {
  const history = readFileSync(new URL('../../docs/bench-history.md', import.meta.url), 'utf8');
  const rows = history.split('\n').filter((line) => line.startsWith('|'));
  const columns = (row: string): number => row.split('|').length;
  for (const row of rows) t.is(columns(row), columns(historyRow(result(figure()))), row);
});

test('the text says what a goal came to, and which figures are of this machine only', (t) => {
  const text = benchText(
    result(
      figure({ id: 'a', label: 'first', goal: 2 }),
      figure({ id: 'b', label: 'second', goal: 4, kind: 'here' }),
    ),
  );
  t.regex(text, /^ {2}first {3}3\.00× \[2\.80 to 3\.20×\] {2}\(at least 2\.00×: yes\)$/m);
  t.regex(text, /^ {2}second {2}3\.00× \* \[2\.80 to 3\.20×\] {2}\(at least 4\.00×: NO\)$/m);
  const moved = movedFigures(
    result(figure()),
    result(figure({ value: 6, spread: { low: 5, high: 7 } })),
  );
  t.regex(
    movedText(moved, 'before.json'),
    /1 of 1 figures moved[\s\S]*\(\+100 %\) {2}moved, better/,
  );
});

test('what is no bench of this version is told so', (t) => {
  t.is(benchResultProblem(result(figure())), undefined);
  t.regex(
    benchResultProblem({ schemaVersion: 1 }) ?? '',
    /schemaVersion is 1; this program reads 2/,
  );
  t.regex(benchResultProblem(null) ?? '', /schemaVersion/);
});

test('every part has a name of its own and can be loaded, and --list shows them all', async (t) => {
  const printed: string[] = [];
  const terminal = {
    print: (text: string) => void printed.push(text),
    say: () => {},
    color: false,
    width: 100,
  };
  t.is(await benchCommand(terminal, { list: true }), 0);
  const names = benchParts.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  for (const { name, load } of benchParts) {
    t.regex(printed.join('\n'), new RegExp(`^${name} `, 'm'));
    t.is(typeof (await load()).measure, 'function');
  }
  await t.throwsAsync(benchCommand(terminal, { only: ['spead'] }), {
    message: /did you mean speed/,
  });
  await t.throwsAsync(benchCommand(terminal, { against: 'package.json' }), {
    message: /schemaVersion/,
  });
});
