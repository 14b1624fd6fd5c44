import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Comparison } from '../comparison/comparison.ts';
import { plantRunReport, plantTurn } from '../report/planted-report.contract.ts';
import type { RunReport } from '../report/run-report.ts';
import { displayWidth } from '../report/terminal-text.ts';
import { openComparable } from './comparable-source.ts';
import { compareCommand } from './compare-command.ts';
import { describeError } from './error-message.ts';
import { exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-compare-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const inputs = { scenario: 'aaaa', provider: 'bbbb', board: 'cccc', network: 'dddd' };

/** A report with repetitions of one conversation, whose first bytes are as given. */
function reportOf(ttfbMs: readonly number[]): RunReport {
  const report = plantRunReport(
    ttfbMs.map((ms) => ({ provider: 'openai', turns: [plantTurn({ ttfbMs: ms })] })),
  );
  return changed(report, (cell, i) => ({ ...cell, repetition: i + 1, inputs }));
}

type Cell = RunReport['cells'][number];

function changed(report: RunReport, change: (cell: Cell, index: number) => Cell): RunReport {
  return { ...report, cells: report.cells.map(change) };
}

/** The same figures from other draws, so that they are not taken for repeatable. */
function redrawn(report: RunReport): RunReport {
  return changed(report, (cell, i) => ({ ...cell, seed: 1000 + i }));
}

function save(name: string, report: RunReport): string {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, 'report.json'), JSON.stringify(report));
  return join(folder, name);
}

function run(a: string, b: string, options: object = {}): { code: number; text: string } {
  const lines: string[] = [];
  const terminal: Terminal = {
    print: (text) => void lines.push(text),
    say: (text) => void lines.push(text),
    color: false,
    width: 100,
  };
  const code = compareCommand(terminal, a, b, { seed: 1, ...options });
  return { code, text: lines.join('\n') };
}

const before = Array.from({ length: 16 }, (_, i) => 400 + 7 * i);
const usual = reportOf(before);
const a = save('before', usual);
const later = save('after', redrawn(reportOf(before.map((ms) => ms + 100))));

test('a run that got later is a regression, exit code 3, and the table says by how much', (t) => {
  const { code, text } = run(a, later);
  t.is(code, exitCode.regression);
  t.regex(text, /Comparison: REGRESSION/);
  t.regex(text, /ttfb_ms\.p50 cold +449\.0 +549\.0 +\+22\.3 % .* \+5% +16 REGRESSION/);
  t.regex(text, /ttfb_ms\.p50 cold .* 16\/0\/0 +worse, large effect/);
  for (const line of text.split('\n')) t.true(displayWidth(line) <= 100, line);
});

test('the same run twice is no regression, and a run can be named in every form', (t) => {
  const runs = join(folder, 'runs');
  save('runs/one', { ...usual, cells: usual.cells.slice(0, 8) });
  save('runs/two', { ...usual, cells: usual.cells.slice(8) });
  for (const other of [a, join(a, 'report.json'), runs]) {
    const { code, text } = run(a, other);
    t.is(code, exitCode.passed, text);
    t.regex(text, /16 conversations/);
  }
  const repetitions = openComparable(runs).run.conversations.map(({ repetition }) => repetition);
  t.deepEqual(
    repetitions,
    Array.from({ length: 16 }, (_, i) => i + 1),
  );
});

test('--json prints the comparison as one document', (t) => {
  const { code, text } = run(a, later, { json: true });
  const comparison = JSON.parse(text) as Comparison;
  t.is(code, exitCode.regression);
  t.is(comparison.schemaVersion, 1);
  t.is(comparison.verdict, 'regression');
  t.deepEqual(comparison.gates.map(({ metric, verdict }) => [metric, verdict]).slice(0, 2), [
    ['audible_at_speaker_ms.p50', 'regression'],
    ['ttfb_ms.p50', 'regression'],
  ]);
  t.false(/NaN|Infinity/.test(text));
});

test('gates of the command line take the place of the usual ones', (t) => {
  const gate = ['ttfb_ms=+150ms', 'audible_at_speaker_ms.p50=+200ms'];
  t.is(run(a, later, { gate }).code, exitCode.passed);
  for (const [wrong, message] of [
    ['ttfb_ms', /must be a metric and how much worse/],
    ['ttfb_ms=-5%', /an improvement/],
  ] as const) {
    const error = t.throws(() => run(a, later, { gate: [wrong] }));
    t.regex(error.message, message);
    t.is(describeError(error, '0').exit, exitCode.usage);
  }
});

test('what differs beside the program is refused with what to do, exit code 2', (t) => {
  const other = save(
    'other-text',
    changed(redrawn(usual), (cell) => ({ ...cell, inputs: { ...inputs, scenario: 'zzzz' } })),
  );
  const error = t.throws(() => run(a, other));
  const { text, exit } = describeError(error, '0');
  t.is(exit, exitCode.usage);
  t.regex(text, /scenario: the scenario file or its sounds \(aaaa \/ zzzz\)/);
  t.regex(text, /hint: .*--allow-different scenario/);
  const allowed = run(a, other, { allowDifferent: ['scenario'] });
  t.is(allowed.code, exitCode.passed);
  t.regex(allowed.text, /differs, as allowed: scenario/);
});

test('two runs without a common cell have exit code 5, and what is not there is named', (t) => {
  const other = save(
    'other-provider',
    changed(usual, (cell) => ({ ...cell, provider: 'groq' })),
  );
  const nothing = t.throws(() => run(a, other));
  t.is(describeError(nothing, '0').exit, exitCode.nothingMatched);
  const missing = t.throws(() => run(a, join(folder, 'nowhere')), { code: 'BASELINE_NOT_FOUND' });
  t.is(describeError(missing, '0').exit, exitCode.usage);
});

test('what is flaky on a side stands below the figures, and so does what was not repeatable', (t) => {
  const steady = redrawn(reportOf(before));
  const environment = { ...steady.environment, program: 'aaaa' };
  const flaky = changed(steady, (cell, i) => (i === 0 ? { ...cell, verdict: 'fail' } : cell));
  const [one, other] = [flaky, steady].map((report, i) =>
    save(`flaky-${i}`, { ...report, environment }),
  );
  const { text } = run(one!, other!);
  const joined = text.replaceAll(/\n {2}(?=\S)/g, ' ');
  t.regex(
    joined,
    /^Flaky in A: one-question · openai .*: passed 15 and failed 1 of 16 times: it dep/m,
  );
  t.regex(joined, /^Not repeatable: one-question · openai .* a defect of echokit-harness/m);
  t.false(run(other!, other!).text.includes('Flaky'));
});
