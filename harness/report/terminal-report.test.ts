import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import {
  plantExpectation,
  plantReportedCell,
  plantRunReport,
  plantTurn,
} from './planted-report.contract.ts';
import { buildRunReport, type RunReport } from './run-report.ts';
import { renderTerminalReport, type TerminalReportSettings } from './terminal-report.ts';
import { displayWidth } from './terminal-text.ts';

function render(report: RunReport, change: Partial<TerminalReportSettings> = {}): string {
  return renderTerminalReport(report, {
    color: false,
    width: 100,
    recordingsFolder: 'recordings/runs/planted-run',
    nextSteps: ['echokit-harness compare planted-run'],
    ...change,
  });
}

const comparison = plantRunReport(
  [
    { provider: 'openai', turns: [plantTurn(), plantTurn({ startMs: 10_000, ttfbMs: 651 })] },
    {
      provider: 'elevenlabs-stream',
      turns: [
        plantTurn({ ttfbMs: 120, lateMs: 300 }),
        plantTurn({ startMs: 10_000, failure: 'rate-limit' }),
      ],
    },
    {
      provider: '云声',
      turns: [plantTurn({ failure: 'auth' })],
      expect: [plantExpectation('failure.kind', '==', 'auth')],
    },
    {
      scenario: 'moon',
      title: '月亮有多远',
      provider: 'openai',
      turns: [plantTurn()],
      expect: [
        plantExpectation('underruns.count', '==', 3),
        plantExpectation('ttfb_ms.p95', '<=', 100),
      ],
    },
  ],
  { durationMs: 1234 },
);

test('the whole report, to the character', (t) => {
  // The spans are the planted ones; 1084 is their sum, and 484 the mean of 400, 651 and 400.
  const expected = `Run planted-run: 2 passed, 2 failed — 4 cells, seed 7, virtual time, stand-ins, 1.2 s

Providers, over 2 scenarios, 1 board, 1 network
                    turns heard heard ttfb ttfa  under- seam pre- audio loud
provider          ok/fail   p50   p95  p50  p50 runs/ms  p50 buf.     s LUFS verdict
openai                3/0   996  1260  400  400     0/0    —    0   3.9 -8.9 fail 1/2: 2 missed
elevenlabs-stream     1/1   724   724  120  120   1/160    —  160   1.3 -8.8 fail rate-limit
云声                  0/1     —     —    —    —       —    —    —   0.0    — pass (auth)

one-question · diy · good-wifi — One question, one answer
                    turns heard heard ttfb ttfa  under- seam pre- audio loud
provider          ok/fail   p50   p95  p50  p50 runs/ms  p50 buf.     s LUFS verdict
openai                2/0   996  1260  400  400     0/0    —    0   2.6 -8.9 pass
elevenlabs-stream     1/1   724   724  120  120   1/160    —  160   1.3 -8.8 fail rate-limit
云声                  0/1     —     —    —    —       —    —    —   0.0    — pass (auth)

moon · diy · good-wifi — 月亮有多远
            turns  heard  heard  ttfb  ttfa   under-  seam  pre-  audio  loud
provider  ok/fail    p50    p95   p50   p50  runs/ms   p50  buf.      s  LUFS  verdict
openai        1/0    996    996   400   400      0/0     —     0    1.3  -8.8  fail 2 missed

Where did the time go (mean ms per answered turn)
                   end of  first  sent.  hand-  con-        server  down-   play  lead
provider             turn   text  ready   over  nect  ttfb    hold   link  start  sil.  = heard  n
openai                300    140     60      2    30   484       2     40      6    20     1084  3
elevenlabs-stream     300    140     60      2    30   120       2     40     10    20      724  1
云声                    —      —      —      —     —     —       —      —      —     —        —  0

What failed
  one-question · elevenlabs-stream · diy · good-wifi
    turn: turn 2 failed (rate-limit, request 2): the provider refused (seq 78)
    recording: recordings/runs/planted-run/cells/one-question--elevenlabs-stream--diy--good-wifi
  moon · openai · diy · good-wifi
    expectation: underruns.count = 0, expected == 3 — scenarios/planted.toml:12
    expectation: ttfb_ms.p95 = 400 (n = 1), expected <= 100: turn 1 sentence 1 request 1 (400 ms,
      seq 11, 16, 24) — scenarios/planted.toml:12
    recording: recordings/runs/planted-run/cells/moon--openai--diy--good-wifi

Times in ms. heard = last voiced sample of the user → first audible sample at the speaker; pre-buf.
= largest start delay, from playing at once, that a sentence needed to have no underrun; audible =
RMS of 10 ms above -50 dBFS; — = not measured
Recordings: recordings/runs/planted-run
Next:
  echokit-harness compare planted-run
`;
  t.is(render(comparison), expected);
});

test('color is paint only: without it the same text is left', (t) => {
  const painted = render(comparison, { color: true });
  t.true(painted.includes('\x1b['));
  t.is(stripVTControlCharacters(painted), render(comparison));
});

test('a failure is shown with its class and never as a latency', (t) => {
  const report = plantRunReport([
    { provider: 'openai', turns: [plantTurn({ failure: 'quota' })] },
    { provider: 'fish', turns: [plantTurn()] },
  ]);
  const rows = render(report)
    .split('\n')
    .filter((line) => line.startsWith('openai'));
  t.is(rows.length, 2);
  t.regex(rows[0]!, /^openai +0\/1 +— +— +— +— +— +— +— +0\.0 +— +fail quota$/);
  t.regex(rows[1]!, /^openai( +—){11} +0$/);
});

test('what no span covers gets a column where there is any', (t) => {
  const [planted] = comparison.cells;
  const turn = { ...planted!.turns[0]! };
  const spans = { ...turn.spans, first_text_ms: null, unattributed_ms: 140 };
  const cell = { ...planted!, turns: [{ ...turn, spans }] };
  const lines = render({ ...comparison, cells: [cell] }).split('\n');
  const heads = lines.findIndex((line) => line.startsWith('Where did the time go'));
  t.regex(lines[heads + 1]!, /lead +not$/);
  t.regex(lines[heads + 2]!, /sil\. +known +\S* ?heard +n$/);
  // The span without a mark is not known, and not 0.
  t.regex(lines[heads + 3]!, / — /);
  const shown = lines[heads + 3]!.replace(' — ', ' 0 ');
  const numbers = shown.trim().split(/ +/).slice(1).map(Number);
  const [count, heard, ...rest] = numbers.reverse();
  t.is(count, 1);
  t.is(
    heard,
    rest.reduce((a, b) => a + b, 0),
  );
  t.is(rest[0], 140);
});

test('a text optimization gets a column where some provider has one', (t) => {
  const [first, second] = comparison.cells;
  const turn = { ...first!.turns[0]! };
  const spans = { ...turn.spans, first_text_ms: 100, text_optimization_ms: 40 };
  const cells = [{ ...first!, turns: [{ ...turn, spans }] }, second!];
  const shown = (report: typeof comparison): string[] => {
    const lines = render(report).split('\n');
    return lines.slice(lines.findIndex((line) => line.startsWith('Where did the time go')) + 1);
  };
  t.regex(shown({ ...comparison, cells })[0]!, /hand- +text +con-/);
  t.false(shown(comparison)[0]!.includes('text con'));
  t.false(shown(comparison)[1]!.includes('optim.'));
});

test('the printed spans of every provider add up to the printed mean', (t) => {
  const lines = render(comparison).split('\n');
  const start = lines.findIndex((line) => line.startsWith('Where did the time go'));
  for (const line of lines.slice(start + 3, start + 5)) {
    const [, heard, ...spans] = line.trim().split(/ +/).slice(1).map(Number).reverse();
    t.is(spans.length, 10);
    t.is(
      heard,
      spans.reduce((a, b) => a + b, 0),
    );
  }
});

test('text from outside cannot act on the terminal', (t) => {
  const evil = '\x1b[2J\r\n\x07\u202e\x9b31m';
  const planted = plantRunReport(
    [
      {
        scenario: `s${evil}`,
        title: `t${evil}`,
        provider: `p${evil}`,
        device: `d${evil}`,
        network: `n${evil}`,
        turns: [plantTurn({ failure: `f${evil}` })],
        expect: [
          { ...plantExpectation('ttfb_ms.p50', '<', 1), at: { file: evil, line: 1, column: 1 } },
        ],
      },
    ],
    { id: evil },
  );
  const text = render(planted, { recordingsFolder: evil, nextSteps: [evil] });
  t.notRegex(text.replaceAll('\n', ''), /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
  t.true(text.includes('p␛[2J␍␊␇<U+202E><U+009B>31m'));
});

test('every line but paths fits 100 columns, with long names and large numbers', (t) => {
  const name = '一个名字很长的语音合成服务提供商'.repeat(2);
  const report = plantRunReport([
    {
      scenario: 'a',
      provider: name,
      turns: [plantTurn({ ttfbMs: 25_000, lateMs: 12_000, startMs: 0 })],
    },
    { scenario: 'a', provider: 'elevenlabs-stream', turns: [plantTurn({ failure: 'rate-limit' })] },
    { scenario: 'b', provider: name, turns: [plantTurn({ ttfbMs: 25_000 })] },
    {
      scenario: 'b',
      provider: 'elevenlabs-stream',
      turns: [plantTurn({ failure: 'bad-request' })],
    },
  ]);
  const text = render(report);
  t.true(text.includes('…'));
  // Paths stay whole, so that they can be copied.
  const lines = text.split('\n').filter((line) => !line.includes('recordings/runs'));
  t.true(lines.length > 20);
  for (const line of lines) t.true(displayWidth(line) <= 100, line);
});

test('a run that could not be judged is neither passed nor failed', (t) => {
  const [planted] = comparison.cells;
  const failure = {
    class: 'infra',
    code: 'run-interrupted',
    message: 'the run was interrupted',
    turn: null,
    expected: false,
    seqs: [1, 2, 3, 4, 5, 6],
  } as const;
  const cell = { ...planted!, verdict: 'infra', failure, failures: [failure] } as const;
  const text = render({ ...comparison, cells: [cell] });
  t.regex(text, /^Run planted-run: 1 could not be judged — 1 cell, seed 7/);
  t.regex(text, / infra run-interrupted\n/);
  t.true(text.includes('infra: the run was interrupted (seq 1, 2, 3, 4, 5, …)'));
});

test('numbers that cannot be trusted are called a defect in the table', (t) => {
  const [planted] = comparison.cells;
  const failure = {
    class: 'defect',
    code: 'unexplained-samples',
    message: '256 samples are unexplained',
    turn: 1,
    expected: false,
    seqs: [],
  } as const;
  const cell = { ...planted!, verdict: 'fail', failure, failures: [failure] } as const;
  const text = render({ ...comparison, cells: [cell] });
  t.regex(text, / fail defect\n/);
  t.true(text.includes('\n    defect: 256 samples are unexplained\n'));
});

test('cells that failed for the same reason are one entry with their number', (t) => {
  const turns = [plantTurn({ failure: 'auth' })];
  const report = plantRunReport([
    { provider: 'openai', turns },
    { provider: 'groq', turns },
    { provider: 'fish', turns: [plantTurn({ failure: 'quota' })] },
  ]);
  const text = render(report);
  const list = text.slice(text.indexOf('What failed'));
  t.true(list.includes('  one-question · openai, groq · diy · good-wifi: 2 cells\n'), list);
  t.is(list.match(/failed \(auth/g)?.length, 1);
  t.is(list.match(/failed \(quota/g)?.length, 1);
  t.regex(list, /--openai--diy--good-wifi\s+\(and 1 more\)/);
});

test('what a failure breaks is not told again; what it does not break is', (t) => {
  const expect = [
    plantExpectation('turns.ok', '==', 3),
    plantExpectation('underruns.count', '==', 3),
  ];
  const [planted] = plantRunReport([{ provider: 'openai', turns: [plantTurn()], expect }]).cells;
  const withFailure = (kind: 'turn' | 'defect' | 'infra', code: string): string => {
    const failure = { class: kind, code, message: 'it broke', turn: 1, expected: false, seqs: [] };
    const verdict = kind === 'infra' ? 'infra' : 'fail';
    return render({
      ...comparison,
      cells: [{ ...planted!, verdict, failure, failures: [failure] }],
    });
  };
  const turn = withFailure('turn', 'auth');
  t.true(
    turn.includes('not met because of it: turns.ok\n') && turn.includes('expectation: underruns'),
  );
  const defect = withFailure('defect', 'unexplained-samples');
  t.false(defect.includes('because of it'));
  t.true(defect.includes('expectation: turns.ok') && defect.includes('expectation: underruns'));
  const infra = withFailure('infra', 'run-interrupted');
  t.true(infra.includes('not judged: turns.ok, underruns.count\n'));
  t.false(infra.includes('because of it'));
  const missed = withFailure('defect', 'missed-disturbance');
  t.regex(missed, / fail missed-disturbance\n/);
  t.true(missed.includes('    missed-disturbance: it broke\n'));
});

test('at 50 columns every line but paths and commands fits', (t) => {
  const lines = render(comparison, { width: 50 }).split('\n');
  for (const line of lines) {
    if (/recordings\/|echokit-harness|scenarios\/planted/.test(line)) continue;
    t.true(displayWidth(line) <= 50, line);
  }
});

test('a run without failures lists none, and one of a single scenario has a single table', (t) => {
  const text = render(plantRunReport([{ provider: 'openai', turns: [plantTurn()] }]));
  t.false(text.includes('What failed'));
  t.false(text.includes('Providers, over'));
  t.is(text.match(/verdict/g)?.length, 1);
});

test('a run without cells says so', (t) => {
  t.is(
    render(plantRunReport([]), { nextSteps: [] }),
    'Run planted-run: 0 cells, seed 7, virtual time, stand-ins\n\nNo cell was run.\n\nRecordings: recordings/runs/planted-run\n',
  );
});

test('a live run says so, where, and what of its budget was used', (t) => {
  const budget = { maxRequests: 20, maxCharacters: 2000, requests: 1, characters: 31 };
  const host = 'api.openai.com:443';
  const live = plantRunReport([{ provider: 'openai', host, turns: [plantTurn()] }], {
    time: 'real',
    live: true,
    budget,
  });
  t.is(live.cells[0]?.host, host);
  t.deepEqual(render(live).split('\n').slice(0, 3), [
    'Run planted-run: 1 passed — 1 cell, seed 7, real time, live',
    'LIVE: openai at api.openai.com:443; 1 of 20 requests and 31 of 2000 characters used',
    '',
  ]);
  t.is(comparison.cells[0]?.host, null);
  t.notRegex(render(comparison), /LIVE/);
});

test('cells that were not run are listed with the reason, once per reason', (t) => {
  const of = (name: string, provider: string) =>
    plantReportedCell({ scenario: name, provider, turns: [plantTurn()] }).cell;
  const report = buildRunReport({
    cells: [plantReportedCell({ provider: 'openai', turns: [plantTurn()] })],
    notRun: [
      { cell: of('moon', 'openai'), reason: 'the budget is used up' },
      { cell: of('moon', 'groq'), reason: 'the budget is used up' },
      { cell: of('slow', 'openai'), reason: 'it changes the stand-in' },
    ],
    run: { id: 'planted-run', seed: 7, time: 'real', live: true },
    environment: {},
  });
  t.deepEqual(report.notRun[2], {
    scenario: 'slow',
    provider: 'openai',
    device: 'diy',
    network: 'good-wifi',
    server: 'harness',
    reason: 'it changes the stand-in',
  });
  const text = render(report);
  t.true(
    text.includes(
      'Not run: 3 cells\n' +
        '  moon × openai, moon × groq: the budget is used up\n' +
        '  slow × openai: it changes the stand-in\n',
    ),
    text,
  );
});

test('a server that behaves as the original is marked, and a table shows what it dropped', (t) => {
  const report = plantRunReport([
    { provider: 'openai', turns: [plantTurn()] },
    { provider: 'openai', server: 'echokit-server', turns: [plantTurn()] },
  ]);
  t.deepEqual(
    report.cells.map(({ server }) => server),
    ['harness', 'echokit-server'],
  );
  // The planted sentence is 20000 samples from the provider, 1.25 s, and the framer lost none of them.
  const lost = (samples: number): RunReport => ({
    ...report,
    cells: report.cells.map((cell, i) => ({
      ...cell,
      metrics:
        i === 0 ? cell.metrics : { ...cell.metrics, conservation: { lost_samples: samples } },
    })),
  });
  const text = render(lost(2000));
  t.regex(text, /^openai +1\.25 +0 +0\.0 /m);
  // 2000 samples are 125 ms, a tenth of 1.25 s.
  t.regex(text, /^openai\* +1\.25 +125 +10\.0 /m);
  t.true(text.includes('* behaves as the EchoKit server'));
  const usual = render(plantRunReport([{ provider: 'openai', turns: [plantTurn()] }]));
  t.false(usual.includes('dropped'));
});

test('one provider in several places stands side by side, and the places are named in words', (t) => {
  const report = plantRunReport(
    ['diy', 'box'].flatMap((device) =>
      ['good-wifi', 'far-server'].map((network) => ({
        provider: 'openai',
        device,
        network,
        turns: [plantTurn(network === 'far-server' ? { ttfbMs: 900 } : {})],
      })),
    ),
  );
  const text = render(report);
  const table = text.split('\n\n').find((part) => part.startsWith('Boards and networks'))!;
  t.regex(table, /^Boards and networks side by side, over 1 scenario\n/);
  const rows = table.split('\n').slice(3);
  t.deepEqual(
    rows.map((row) => /^openai · (\S+) · (\S+) +1\/0 +\d+ +\d+ +(\d+)/.exec(row)?.slice(1)),
    [
      ['diy', 'good-wifi', '400'],
      ['diy', 'far-server', '900'],
      ['box', 'good-wifi', '400'],
      ['box', 'far-server', '900'],
    ],
    table,
  );
  t.false(render(comparison).includes('side by side'));
});

test('what the checks of a scenario found stands below its table', (t) => {
  const check = (outcome: 'pass' | 'fail', actual: number) => ({
    expectation: plantExpectation('device reboot', '==', 1),
    outcome,
    actual,
    evidence: `device reboot = ${actual}, expected == 1: at 7.250 s`,
    seqs: [],
    check: true as const,
  });
  const cell = (provider: string, found: ReturnType<typeof check>) => {
    const planted = plantReportedCell({ provider, turns: [plantTurn()] });
    return { ...planted, verdict: { ...planted.verdict, expectations: [found] } };
  };
  const run = { id: 'r', seed: 7, time: 'virtual', live: false } as const;
  const one = buildRunReport({ cells: [cell('openai', check('pass', 1))], run, environment: {} });
  t.regex(render(one), /^ {2}found: device reboot = 1, expected == 1: at 7\.250 s$/m);
  const two = buildRunReport({
    cells: [cell('openai', check('pass', 1)), cell('fish', check('fail', 3))],
    run,
    environment: {},
  });
  t.regex(render(two), /^ {2}found: device reboot = 1 or 3, expected == 1; not in fish$/m);
});
