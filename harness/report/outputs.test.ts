/** What other programs are given of a run, read back by readers of their own. */
import test from 'ava';
import fc from 'fast-check';
import { readConversation } from '../metrics/conversation.ts';
import { plantCell } from '../metrics/planted-cell.contract.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { chromeTrace } from './chrome-trace.ts';
import { csvReport } from './csv-report.ts';
import { ctrfReport, epochMs } from './ctrf-report.ts';
import { flakyGroups, flakyWords } from './flaky-report.ts';
import { githubAnnotations } from './github-annotations.ts';
import { jsonReport } from './json-report.ts';
import { jsonText } from './json-text.ts';
import { junitReport } from './junit-report.ts';
import { markdownReport } from './markdown-report.ts';
import {
  junitProblem,
  type ReadCase,
  readChromeTrace,
  readCsv,
  readCtrf,
  readJunit,
  readMarkdownTables,
  readWorkflowCommands,
  shownText,
  textOf,
} from './output-readers.contract.ts';
import { plantExpectation, plantRunReport, plantTurn } from './planted-report.contract.ts';
import type { CellReport, RunReport } from './run-report.ts';
import { renderTerminalReport } from './terminal-report.ts';
import { neutralize } from './terminal-text.ts';

const twoTurns = [plantTurn(), plantTurn({ startMs: 10_000, ttfbMs: 651, lateMs: 300 })];
const tooSlow = plantExpectation('ttfb_ms.p95', '<=', 500);

/** Two scenarios: what passes, what misses an expectation, what fails in a turn, what cannot be judged, what was not run. */
const planted = ((): RunReport => {
  const report = plantRunReport(
    [
      { provider: 'openai', turns: [plantTurn()], expect: [tooSlow] },
      { provider: 'gsv', turns: twoTurns, expect: [tooSlow] },
      { scenario: 'other', provider: 'openai', turns: [plantTurn({ failure: 'auth' })] },
      { scenario: 'other', provider: 'fish', turns: [plantTurn()] },
    ],
    { startedAt: '2026-02-28T23:59:58.250Z', durationMs: 1500 },
  );
  const cells = report.cells.map((cell, i): CellReport => {
    const turns = cell.turns.map((turn) => ({ ...turn, line: 3 + turn.turn }));
    if (i !== 3) return { ...cell, turns };
    const failure = {
      class: 'infra',
      code: 'cut-short',
      message: 'the recording stops without an end',
      turn: null,
      expected: false,
      seqs: [],
    } as const;
    return { ...cell, turns, verdict: 'infra', failure, failures: [failure] };
  });
  const place = { device: 'diy', network: 'good-wifi', server: 'harness' };
  const reason = 'the limit of the run was reached before';
  return { ...report, cells, notRun: [{ scenario: 'other', provider: 'groq', ...place, reason }] };
})();

test('JSON in pieces is the document, byte for byte', (t) => {
  t.is(textOf(jsonReport(planted)), `${JSON.stringify(planted, null, 2)}\n`);
  const none = plantRunReport([]);
  t.is(textOf(jsonReport(none)), `${JSON.stringify(none, null, 2)}\n`);
});

test('JUnit has a suite for each scenario, and failures, errors and what was not run apart', (t) => {
  const xml = textOf(junitReport(planted));
  const problem = junitProblem(xml);
  if (problem === null) t.log('xmllint is not here: not held against junit.xsd');
  t.true(problem === undefined || problem === null, problem ?? '');
  const suites = readJunit(xml);
  t.deepEqual(
    suites.map(({ name, tests, failures, errors, skipped, timestamp }) =>
      [name, tests, failures, errors, skipped, timestamp].join(' '),
    ),
    ['one-question 2 1 0 0 2026-02-28T23:59:58', 'other 3 1 1 1 2026-02-28T23:59:58'],
  );
  const cases = suites.flatMap(({ testcase }) => testcase);
  t.deepEqual(
    cases.map(({ classname, name, file, line, failure, error, skipped }) => [
      `${classname} ${name}`,
      `${file}:${line}`,
      failure?.type ?? error?.type ?? skipped?.message,
    ]),
    [
      ['one-question openai · diy · good-wifi', 'scenarios/one-question.toml:undefined', undefined],
      // The expectation that was missed.
      ['one-question gsv · diy · good-wifi', 'scenarios/planted.toml:12', 'expectation'],
      // The turn that failed.
      ['other openai · diy · good-wifi', 'scenarios/other.toml:4', 'auth'],
      ['other fish · diy · good-wifi', 'scenarios/other.toml:undefined', 'cut-short'],
      ['other groq · diy · good-wifi', 'undefined:undefined', planted.notRun[0]!.reason],
    ],
  );
  const seconds = planted.cells.map(({ durationMs }) => (durationMs / 1000).toFixed(3));
  t.deepEqual(
    cases.map(({ time }) => time),
    [...seconds, '0.000'],
  );
  t.regex(cases[1]!.failure!['#text'], /ttfb_ms\.p95 = 651 \(n = 2\), expected <= 500/);
  t.regex(cases[1]!['system-out']!, /^turn 2: ok, heard after \d+ ms$/m);
  t.regex(cases[0]!['system-out']!, /^pass: ttfb_ms\.p95 = 400/m);
  t.true(
    cases[1]!.properties!.property.some(
      ({ name, value }) => name === 'ttfb_ms.p50' && value === '400',
    ),
  );
});

test('CTRF counts what is in it, and says when the run was', (t) => {
  const { results } = readCtrf(textOf(ctrfReport(planted)));
  t.deepEqual(
    results.tests.map(({ status }) => status),
    ['passed', 'failed', 'failed', 'other', 'skipped'],
  );
  // `date -u -d 2026-02-28T23:59:58 +%s`
  const start = 1_772_323_198_250;
  t.like(results.summary, { tests: 5, passed: 1, failed: 2, skipped: 1, other: 1, suites: 2 });
  t.like(results.summary, { start, stop: start + 1500 });
  t.like(results.tests[2], { suite: ['other'], line: 4 });
});

/** Passed in its third try; not judged in either of two; passed and failed in its repetitions; passed at once. */
const triedAgain = ((): RunReport => {
  const report = plantRunReport(
    [
      { provider: 'openai', turns: [plantTurn()], earlier: ['network', 'rate-limit'] },
      { provider: 'groq', turns: [plantTurn()], earlier: ['auth'] },
      { provider: 'gsv', turns: [plantTurn()], expect: [tooSlow], repetition: 1, seed: 1 },
      {
        provider: 'gsv',
        turns: [plantTurn({ ttfbMs: 900 })],
        expect: [tooSlow],
        repetition: 2,
        seed: 2,
      },
      { provider: 'fish', turns: [plantTurn()] },
    ],
    { time: 'real' },
  );
  const cells = report.cells.map((cell, i): CellReport => {
    if (i !== 1) return cell;
    const { flaky: _, ...rest } = cell;
    return { ...rest, verdict: 'infra', failures: cell.earlierTries![0]!.failures };
  });
  return { ...report, cells };
})();

test('every output names tries that could not be judged, and what is flaky', (t) => {
  const kinds = triedAgain.cells.map(({ flaky }) => flaky?.kind);
  t.deepEqual(kinds, ['retried', undefined, 'repetitions', 'repetitions', undefined]);

  const xml = textOf(junitReport(triedAgain));
  t.true([undefined, null].includes(junitProblem(xml) as undefined), junitProblem(xml) ?? '');
  const cases = readJunit(xml).flatMap(({ testcase }) => testcase);
  const types = (tries: ReadCase['flakyError']) => [tries ?? []].flat().map(({ type }) => type);
  t.deepEqual(
    cases.map(({ flakyError, rerunError, error, failure }) => [
      types(flakyError),
      types(rerunError),
      error?.type ?? failure?.type,
    ]),
    [
      [['network', 'rate-limit'], [], undefined],
      [[], ['auth'], 'infra'],
      [[], [], undefined],
      [[], [], 'expectation'],
      [[], [], undefined],
    ],
  );
  const stack = ([cases[0]!.flakyError!].flat()[0] as { stackTrace: string }).stackTrace;
  t.regex(stack, /^infra: it was the network\nrecording: cells\/one-question--openai\S+--try-1$/);
  t.regex(
    cases[2]!['system-out']!,
    /^flaky: passed 1 and failed 1 of 2 times with the same inputs$/m,
  );

  const { summary, tests } = readCtrf(textOf(ctrfReport(triedAgain))).results;
  t.like(summary, { passed: 3, failed: 1, other: 1, flaky: 3 });
  t.deepEqual(
    tests.map(({ retries, flaky, retryAttempts = [] }) => [
      retries,
      flaky,
      retryAttempts.map(({ attempt, status }) => `${attempt} ${status}`),
    ]),
    [
      [2, true, ['1 other', '2 other']],
      [1, undefined, ['1 other']],
      [undefined, true, []],
      [undefined, true, []],
      [undefined, undefined, []],
    ],
  );

  const [head, ...rows] = readCsv(textOf(csvReport(triedAgain)));
  const [tries, flaky] = ['tries', 'flaky'].map((name) => head!.indexOf(name)) as [number, number];
  t.deepEqual(
    rows.map((row) => `${row[tries]} ${row[flaky]}`),
    ['3 retried', '2 ', '1 repetitions', '1 repetitions', '1 '],
  );

  const page = markdownReport(triedAgain);
  t.regex(page, /1 failed, ⚠️ 1 could not be judged, ✅ 3 passed, 🔁 2 flaky$/m);
  const told = readMarkdownTables(page).find(({ heads }) => heads.includes('what'))!;
  t.deepEqual(
    told.rows.map((row) => row.map(shownText).slice(0, 2)),
    [
      [
        'one-question · openai · diy · good-wifi',
        'passed in try 3; 2 that could not be judged before it',
      ],
      [
        'one-question · gsv · diy · good-wifi',
        'passed 1 and failed 1 of 2 times with the same inputs',
      ],
    ],
  );

  const settings = { color: false, width: 200, recordingsFolder: 'runs', nextSteps: [] };
  const terminal = renderTerminalReport(triedAgain, settings);
  t.regex(terminal, /: 3 passed, 1 failed, 1 could not be judged, 2 flaky — 5 cells/);
  t.regex(terminal, / {4}try 1: infra, auth: it was the auth — recording: cells\/\S+--try-1\n/);
  const list = terminal.slice(terminal.indexOf('\nFlaky\n')).split('\n').slice(2, 8);
  t.deepEqual(
    list.map((line) => line.trim().replace(/ — recording: .*/, '')),
    [
      'one-question · openai · diy · good-wifi: passed in try 3; 2 that could not be judged before it',
      'try 1: infra, network: it was the network',
      'try 2: infra, rate-limit: it was the rate-limit',
      'one-question · gsv · diy · good-wifi: passed 1 and failed 1 of 2 times with the same inputs',
      'pass: cells/one-question--gsv--diy--good-wifi--r001',
      'fail: cells/one-question--gsv--diy--good-wifi--r002',
    ],
  );
  t.regex(terminal, / pass, flaky\n/);
  t.regex(terminal, / fail 1\/2: 1 missed, flaky\n/);

  const notices = readWorkflowCommands(textOf(githubAnnotations(triedAgain))).filter(
    ({ name }) => name === 'notice',
  );
  t.deepEqual(
    notices.map(({ properties, message }) => [properties['title'], message.split(': ')[0]]),
    [
      ['one-question: flaky', 'one-question · openai · diy · good-wifi'],
      ['one-question: flaky', 'one-question · gsv · diy · good-wifi'],
    ],
  );
});

test('in virtual time draws explain a flaky cell; with equal draws the program is to blame', (t) => {
  const repetitions = (seeds: readonly [number, number]): string => {
    const report = plantRunReport(
      [400, 900].map((ttfbMs, i) => ({
        provider: 'gsv',
        turns: [plantTurn({ ttfbMs })],
        expect: [tooSlow],
        repetition: i + 1,
        seed: seeds[i]!,
      })),
    );
    const [group, ...others] = flakyGroups(report.cells);
    t.deepEqual(others, []);
    return flakyWords(group!.flaky, report.run.time);
  };
  t.regex(repetitions([1, 2]), /1 and failed 1 of 2 times: it depends on the draws, and each seed/);
  t.regex(repetitions([3, 3]), /same seed in virtual time.*a defect of echokit-harness/);
});

test('instants are counted as the calendar has them', (t) => {
  // From `date -u -d … +%s`.
  for (const [text, epoch] of [
    ['1970-01-01T00:00:00Z', 0],
    ['2000-02-29T12:00:00.007Z', 951_825_600_007],
    ['2026-12-31T23:59:59.999Z', 1_798_761_599_999],
    ['2100-03-01T00:00:00Z', 4_107_542_400_000],
  ] as const) {
    t.is(epochMs(text), epoch);
  }
  t.is(epochMs('yesterday'), 0);
});

test('CSV has a row for each turn, units in its head, and the numbers of the report', (t) => {
  const [head, ...rows] = readCsv(textOf(csvReport(planted)));
  t.is(rows.length, 5);
  t.true(rows.every((row) => row.length === head!.length));
  t.is(new Set(head).size, head!.length);
  const column = (name: string) => head!.indexOf(name);
  t.deepEqual(
    rows.map((row) => row[column('ttfb_ms.p50 (ms)')]),
    ['400', '400', '651', '', '400'],
  );
  t.deepEqual(
    rows.map((row) => row[column('failure')]),
    ['', '', '', 'auth', ''],
  );
  for (const name of head!.slice(17)) t.regex(name, / \((ms|s|count|samples|ratio|LUFS|dBFS)\)$/);
  t.true(column('loudness_lufs (LUFS)') > 0 && column('underruns.count (count)') > 0);
});

test('Markdown tells failures first, then compares, and tells what was not run', (t) => {
  const page = markdownReport(planted);
  t.regex(page, /^### EchoKit: ❌ 2 failed, ⚠️ 1 could not be judged, ✅ 1 passed$/m);
  const [failed, one, other, notRun] = readMarkdownTables(page);
  t.deepEqual(
    failed!.rows.map((row) => shownText(row[1]!)),
    ['❌ fail', '❌ fail', '⚠️ infra'],
  );
  t.regex(shownText(failed!.rows[0]![2]!), /ttfb_ms\.p95 = 651 \(n = 2\), expected <= 500/);
  const ttfb = one!.heads.indexOf('ttfb');
  t.deepEqual(
    one!.rows.map((row) => [shownText(row[0]!), row[ttfb]]),
    [
      ['openai', '400'],
      ['gsv', '400'],
    ],
  );
  t.is(other!.rows.length, 2);
  t.regex(shownText(notRun!.rows[0]![1]!), /limit of the run/);
});

test('a summary stays below its limit, its tables whole, and says what was left out', (t) => {
  const [, cell] = planted.cells;
  const cells = Array.from({ length: 300 }, (_, i) => ({
    ...cell!,
    scenario: `scenario-${i % 10}`,
    provider: `provider-${i}`,
  }));
  const many = { ...planted, cells };
  const whole = markdownReport(many);
  t.false(whole.includes('Left out'));
  for (const limit of [3000, 20_000, 60_000]) {
    const page = markdownReport(many, limit);
    t.true(Buffer.byteLength(page) <= limit, `${Buffer.byteLength(page)} of ${limit}`);
    const shown = readMarkdownTables(page).reduce((sum, { rows }) => sum + rows.length, 0);
    const [, failures = '0'] = /(\d+) × failure/.exec(page) ?? [];
    const [, rows = '0'] = /(\d+) × row/.exec(page) ?? [];
    const [, notRun = '0'] = /(\d+) × cell that was not run/.exec(page) ?? [];
    const all = readMarkdownTables(whole).reduce((sum, table) => sum + table.rows.length, 0);
    t.is(shown + Number(failures) + Number(rows) + Number(notRun), all, `limit ${limit}`);
  }
});

test('an annotation stands on the line of the scenario; many cells make one', (t) => {
  const [missed, failed, infra, ...others] = readWorkflowCommands(
    textOf(githubAnnotations(planted, { shownFile: (file) => `repository/${file}` })),
  );
  t.deepEqual(others, []);
  t.like(missed, {
    name: 'error',
    properties: {
      file: 'repository/scenarios/planted.toml',
      line: '12',
      col: '1',
      title: 'one-question: ttfb_ms.p95',
    },
  });
  t.regex(missed!.message, /^gsv · diy · good-wifi: ttfb_ms\.p95 = 651/);
  t.like(failed, { name: 'error', properties: { line: '4', title: 'other: auth' } });
  t.like(infra, { name: 'warning', properties: { line: '1' } });

  const [, cell] = planted.cells;
  const cells = (count: number, line: (i: number) => number): CellReport[] =>
    Array.from({ length: count }, (_, i) => ({
      ...cell!,
      provider: `provider-${i}`,
      expectations: cell!.expectations.map((one) => ({ ...one, at: { ...one.at, line: line(i) } })),
    }));
  const same = readWorkflowCommands(
    textOf(githubAnnotations({ ...planted, cells: cells(8, () => 12) })),
  );
  t.is(same.length, 1);
  t.is(same[0]!.message.split('\n').length, 6);
  t.regex(same[0]!.message, /and in 3 more cells$/);
  const many = readWorkflowCommands(
    textOf(githubAnnotations({ ...planted, cells: cells(25, (i) => i + 1) })),
  );
  t.deepEqual(
    many.map(({ name }) => name),
    [...Array.from({ length: 10 }, () => 'error'), 'notice'],
  );
  t.regex(many.at(-1)!.message, /15 more errors/);
});

/** With a console, a screen and a network that stalls. */
function recordedCell(consoleLine = 'playing'): { cell: RecordedCell; emptyCycles: number } {
  const { cell, truth } = plantCell({
    speakerStartUs: 0,
    restSamples: 0,
    speakerSamples: 16 * 30_000,
    turns: twoTurns,
  });
  const seq = cell.events.length;
  const more: RecordedCell['events'] = [
    {
      seq: seq + 1,
      source: 'device',
      type: 'log',
      atUs: 3_000_000,
      level: 'I',
      tag: 'x',
      message: consoleLine,
    },
    { seq: seq + 2, source: 'device', type: 'display', atUs: 3_000_001, text: consoleLine },
    {
      seq: seq + 3,
      source: 'network',
      type: 'stall',
      atUs: 3_000_002,
      turn: 1,
      direction: 'down',
      durationUs: 400_000,
    },
    { seq: seq + 4, source: 'serial', type: 'line', atUs: 3_000_003, text: consoleLine },
  ];
  const events = [...cell.events, ...more].sort((a, b) => a.atUs - b.atUs || a.seq - b.seq);
  const emptyCycles = truth.sentences.reduce((sum, one) => sum + one.emptyCycles.length, 0);
  return { cell: { ...cell, events }, emptyCycles };
}

test('a trace for Perfetto has every event at its instant, and spans that nest', (t) => {
  const { cell, emptyCycles } = recordedCell();
  const json = textOf(
    chromeTrace([
      { name: 'first', recording: cell },
      { name: 'second', recording: cell },
    ]),
  );
  const all = readChromeTrace(json);
  const events = all.filter(({ pid }) => pid < 10);
  t.is(all.length, 2 * events.length, 'the same once more, in other processes');
  const bySeq = new Map(cell.events.map((event) => [event.seq, event]));
  let checked = 0;
  for (const { ph, ts, name, args } of events) {
    const seq = args?.['seq'] as number | undefined;
    // A request begins when it is decided, before it is written.
    if (seq === undefined || /^request /.test(name)) continue;
    t.is(ts, bySeq.get(seq)!.atUs, `${ph} ${name}`);
    checked++;
  }
  t.true(checked > 20, `${checked} events`);
  const named = (pattern: RegExp) => events.filter(({ name }) => pattern.test(name));
  const requests = cell.events.filter(
    ({ source, type }) => source === 'provider' && type === 'request',
  );
  t.deepEqual(
    named(/^request /).map(({ ts }) => ts),
    requests.map((event) => ('decidedUs' in event ? (event.decidedUs ?? -1) : -1)),
  );
  const chunks = cell.events.filter(
    ({ source, type }) => source === 'provider' && type === 'chunk',
  );
  t.deepEqual(
    named(/ms of audio$/).map(({ ts }) => ts),
    chunks.map(({ atUs }) => atUs),
  );
  const underruns = named(/^underrun of/);
  t.is(
    underruns.reduce((sum, { args }) => sum + (args!['durationUs'] as number), 0),
    emptyCycles * 16_000,
  );
  t.true(underruns.length > 0);
  t.is(named(/^I x: playing$/).length, 1);
  t.like(named(/^stall, down$/)[0], { ph: 'X', ts: 3_000_002, dur: 400_000 });
});

test('the wait for an answer is drawn in parts that fill it, and the buffer is empty in an underrun', (t) => {
  const { cell } = recordedCell();
  const events = readChromeTrace(textOf(chromeTrace([{ name: 'one', recording: cell }])));
  const waits = events.filter(({ name }) => name.startsWith('heard after'));
  t.is(waits.length, 2);
  for (const wait of waits) {
    const parts = events.filter(
      (one) =>
        one !== wait &&
        one.ph === 'X' &&
        one.tid === wait.tid &&
        one.pid === wait.pid &&
        one.ts! >= wait.ts! &&
        one.ts! < wait.ts! + wait.dur!,
    );
    t.is(
      parts.reduce((sum, { dur }) => sum + dur!, 0),
      wait.dur!,
    );
    t.true(parts.some(({ name }) => name === 'ttfb'));
  }
  const levels = events.filter(({ ph }) => ph === 'C');
  t.true(levels.every(({ args }) => (args!['ms'] as number) >= 0));
  const underrun = events.find(({ name }) => name.startsWith('underrun of'))!;
  const inside = levels.filter(
    ({ ts }) =>
      ts! > underrun.ts! + 16_000 &&
      ts! < underrun.ts! + (underrun.args!['durationUs'] as number) - 32_000,
  );
  t.true(inside.every(({ args }) => (args!['ms'] as number) < 16));
  t.true(levels.some(({ args }) => (args!['ms'] as number) > 100));
  const { lastUs } = readConversation(cell);
  t.true(levels.every(({ ts }) => ts! <= lastUs + 3_000_000));
});

/** Each does something to somebody who reads it as what it looks like. */
const hostile = [
  '<img src=x onerror=alert(1)></code><script>alert(2)</script>',
  ']]><x/><!-- & &amp; &#0; &lt;',
  '\u001b[2J\u001b]0;title\u0007\u009b31m\b\b\u007f',
  '\u202ereversed\u2066 \u200f\u061c\ufeff',
  '\ud800 lone \udfff',
  'NUL \0, no character \ufffe \uffff \u{1fffe} \ufdd0',
  '\n::set-output name=a::b\r\n::error::x\r::add-mask::y\u2028::stop-commands::z',
  '##[set-env name=a]b %0A::warning::c %0D%25',
  '| a | b |\n|---|---|\n\\| `c` ``d`` ***e*** [f](javascript:g) @h #1 ~~i~~ $j$ :k: https://l',
  '=HYPERLINK("http://x";"y")',
  "+1+cmd|' /C calc'!A0",
  '@SUM(1)\t-2',
  '"quoted", and, commas\r\nand lines',
  `long ${'<&\ud800\u001b"'.repeat(2000)}`,
] as const;

/** The same text in every place that comes from outside. */
function hostileReport(text: string): RunReport {
  const at = { file: text, line: 7, column: 2 };
  const failure = {
    class: 'turn',
    code: text,
    message: text,
    turn: 1,
    expected: false,
    seqs: [1],
  } as const;
  return {
    ...planted,
    run: { ...planted.run, id: text },
    cells: planted.cells.map((cell) => ({
      ...cell,
      scenario: text,
      title: text,
      file: text,
      provider: text,
      device: text,
      network: text,
      server: text,
      host: text,
      recording: text,
      ...(cell.verdict !== 'pass' && { failure, failures: [failure] }),
      earlierTries: [{ verdict: 'infra', failures: [failure], durationMs: 1, recording: text }],
      ...(cell.verdict === 'pass' && {
        flaky: { kind: 'retried', passed: 1, failed: 0, infra: 1 },
      }),
      turns: cell.turns.map((turn) => ({
        ...turn,
        sentences: [{ sentence: 1, text }],
        ...(cell.verdict !== 'pass' && {
          failure: {
            kind: text,
            by: 'provider' as const,
            message: text,
            sentence: 1,
            request: 1,
            seqs: [],
          },
        }),
      })),
      expectations: cell.expectations.map((one) => ({ ...one, metric: text, evidence: text, at })),
    })),
    notRun: planted.notRun.map((cell) => ({
      ...cell,
      scenario: text,
      provider: text,
      device: text,
      network: text,
      server: text,
      reason: text,
    })),
    environment: { version: text, node: text },
  };
}

/** Control characters, marks that reorder text, halves of characters: nobody may get one of them. */
const active =
  /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/u;
/** What is left of a text when its lines are taken apart. */
const ofLines = (output: string): string => output.replaceAll(/\r?\n/g, '');

test('hostile text shows as text in XML, which stays valid', (t) => {
  for (const text of hostile) {
    const xml = textOf(junitReport(hostileReport(text)));
    t.false(active.test(ofLines(xml)));
    const problem = junitProblem(xml);
    t.true(problem === undefined || problem === null, problem ?? '');
    const [suite] = readJunit(xml);
    t.true(
      suite!.name === neutralize(text),
      `${text.slice(0, 40)} became ${suite!.name.slice(0, 40)}`,
    );
    const { failure, file } = suite!.testcase[1]!;
    t.true(file === neutralize(text));
    t.true(failure!['#text'].includes(neutralize(text)));
  }
});

test('any text comes back from XML as it is shown', (t) => {
  const [cell] = planted.cells;
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const report = { ...planted, cells: [{ ...cell!, scenario: text, title: text }], notRun: [] };
      const [suite] = readJunit(textOf(junitReport(report)));
      t.is(suite!.name, neutralize(text));
    }),
    { numRuns: 60, seed: 5 },
  );
});

test('hostile text comes back from JSON as it is, and does nothing to who looks at the JSON', (t) => {
  for (const text of hostile) {
    const report = hostileReport(text);
    const json = textOf(jsonReport(report));
    const bytes = Buffer.from(json);
    t.true(new TextDecoder('utf-8', { fatal: true }).decode(bytes) === json, 'valid UTF-8');
    t.false(active.test(ofLines(json)));
    t.deepEqual(readWorkflowCommands(json), []);
    t.true((JSON.parse(json) as RunReport).cells[0]!.title === text);
    const ctrf = textOf(ctrfReport(report));
    t.false(active.test(ofLines(ctrf)));
    t.deepEqual(readWorkflowCommands(ctrf), []);
    const [read] = readCtrf(ctrf).results.tests;
    t.true(read!.suite[0] === neutralize(text) && read!.extra!.title === text);
  }
  t.is(JSON.parse(jsonText(hostile)).length, hostile.length);
});

test('hostile text breaks no row of CSV and is no formula', (t) => {
  for (const text of hostile) {
    const csv = textOf(csvReport(hostileReport(text)));
    t.false(active.test(ofLines(csv)));
    const [head, ...rows] = readCsv(csv);
    t.is(rows.length, 5);
    for (const row of rows) {
      t.is(row.length, head!.length);
      const title = row[head!.indexOf('title')]!;
      t.notRegex(title, /^[=+\-@\t\r]/);
      t.true(title.replace(/^'(?=[=+\-@])/, '') === neutralize(text));
    }
  }
});

test('hostile text breaks no table of Markdown, and a megabyte of it no limit', (t) => {
  for (const text of hostile) {
    const page = markdownReport(hostileReport(text));
    t.false(active.test(ofLines(page)));
    t.true(Buffer.byteLength(page) < 1_048_576);
    t.deepEqual(readWorkflowCommands(page), []);
    const tables = readMarkdownTables(page);
    // Every cell has the same conditions now, so there is one table to compare.
    t.deepEqual(
      tables.map(({ rows }) => rows.length),
      [1, 1, 4, 1].map((rows, i) => (i === 0 ? tables[0]!.rows.length : rows)),
    );
    const shown = shownText(tables.at(-1)!.rows[0]![1]!);
    t.true(
      text.length > 600
        ? shown.startsWith(neutralize(text.slice(0, 500)))
        : shown === neutralize(text),
    );
    // Nothing that Markdown or GitHub would make something of is left in what comes from outside.
    for (const [, code] of page.matchAll(/<code>(.*?)<\/code>/g))
      t.notRegex(code!, /[<>|`*_\\[\]@~$:!{}"'=]/);
  }
});

test('hostile text injects no workflow command, into annotations or into what is shown', (t) => {
  for (const text of hostile) {
    const report = hostileReport(text);
    const lines = textOf(githubAnnotations(report));
    t.false(active.test(ofLines(lines)));
    const commands = readWorkflowCommands(lines);
    t.true(commands.length >= 2);
    t.true(commands.every(({ name }) => ['error', 'warning', 'notice'].includes(name)));
    t.is(lines.trimEnd().split('\n').length, commands.length);
    for (const { properties, message } of commands) {
      t.deepEqual(
        Object.keys(properties).filter((name) => !['file', 'line', 'col', 'title'].includes(name)),
        [],
      );
      t.true(properties['file'] === neutralize(text));
      const start = neutralize(text).slice(0, 100);
      t.true(message.includes(start), message.slice(0, 200));
    }
  }
});

test('hostile text in a recording shows as text in a trace and nests nothing wrongly', (t) => {
  for (const text of hostile) {
    const { cell } = recordedCell(text);
    const json = textOf(chromeTrace([{ name: text, recording: cell }]));
    t.false(active.test(ofLines(json)));
    t.deepEqual(readWorkflowCommands(json), []);
    const events = readChromeTrace(json);
    const start = neutralize(text.slice(0, 100));
    t.true(events.some(({ ph, name }) => ph === 'i' && name.startsWith(start)));
  }
});

test('hostile text does nothing to a terminal', (t) => {
  for (const text of hostile) {
    const out = renderTerminalReport(hostileReport(text), {
      color: false,
      width: 100,
      recordingsFolder: text,
      nextSteps: [text],
    });
    t.false(active.test(ofLines(out)));
    t.true(out.split('\n').every((line) => !/^::/.test(line)));
  }
});

test('a megabyte of hostile text takes no time that anybody would notice', (t) => {
  const text = '<&\u001b"\u202e |'.repeat(150_000);
  t.true(text.length > 1_000_000);
  const [, cell] = planted.cells;
  const report = {
    ...planted,
    notRun: [],
    cells: [
      {
        ...cell!,
        title: text,
        expectations: cell!.expectations.map((one) => ({
          ...one,
          evidence: text.slice(0, 50_000),
        })),
      },
    ],
  };
  const { cell: recording } = recordedCell(text);
  const settings = { color: false, width: 100, recordingsFolder: '.', nextSteps: [] };
  const sizes = {
    terminal: renderTerminalReport(report, settings),
    json: textOf(jsonReport(report)),
    junit: textOf(junitReport(report)),
    ctrf: textOf(ctrfReport(report)),
    csv: textOf(csvReport(report)),
    markdown: markdownReport(report),
    annotations: textOf(githubAnnotations(report)),
    trace: textOf(chromeTrace([{ name: text, recording }])),
  };
  t.true((junitProblem(sizes.junit) ?? undefined) === undefined);
  // What people look at is cut and says so; what programs read is whole.
  t.true((JSON.parse(sizes.json) as RunReport).cells[0]!.title === text);
  t.true(readCsv(sizes.csv)[1]![2] === neutralize(text));
  for (const name of ['terminal', 'markdown', 'annotations', 'trace'] as const) {
    t.true(sizes[name].length < 200_000, `${name}: ${sizes[name].length}`);
    t.regex(sizes[name], /… \(\d+ characters\)/);
  }
});
