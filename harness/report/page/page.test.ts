import test from 'ava';
import fc from 'fast-check';
import { plantReportedCell, plantRunReport, plantTurn } from '../planted-report.contract.ts';
import { buildRunReport, type RunReport } from '../run-report.ts';
import { blindTrials } from './blind-trials.ts';
import { comparisonRows, filtered, rowColumns, sortedRows } from './comparison-rows.ts';
import { stutterWords } from './fault-words.ts';
import { histogram } from './histogram.ts';
import type { PageCell, PageSummary } from './page-data.ts';
import { cutText, htmlText, scriptJson } from './page-text.ts';
import { ReportPage } from './report-page.ts';
import { runAnswers } from './run-answers.ts';
import { decodeSound } from './sound-decoder.ts';
import { encodeSound } from './sound-encoder.ts';
import { SoundStore, soundLimits } from './sound-store.ts';

const program = { script: 'void 0;', styles: 'p{}' };

function htmlOf(report: RunReport): string {
  const pieces = new ReportPage().html(report, {
    program,
    folderOf: (recording) => recording,
    redact: (text) => text,
  });
  return [...pieces].join('');
}

function summaryOf(report: RunReport): PageSummary {
  const found = /<script type="application\/json" id="run-data">(.*)<\/script>/.exec(
    htmlOf(report),
  );
  return JSON.parse(found![1]!) as PageSummary;
}

/** Of three providers: `late` breaks off for 304 ms, `broken` fails every turn. */
const planted = plantRunReport([
  {
    provider: 'quick',
    turns: [plantTurn({ ttfbMs: 200 }), plantTurn({ ttfbMs: 300, startMs: 8000 })],
  },
  { provider: 'late', turns: [plantTurn({ ttfbMs: 900, lateMs: 500 })] },
  { provider: 'broken', turns: [plantTurn({ failure: 'timeout' })] },
]);

test('sound comes out of a page as it went in, or off by half a step at most', (t) => {
  const sound = fc.array(
    fc.oneof(
      fc.integer({ min: -32768, max: 32767 }),
      fc.integer({ min: -40, max: 40 }),
      fc.constantFrom(-32768, 0, 32767),
    ),
    { maxLength: 3000 },
  );
  const tones = fc
    .tuple(
      fc.integer({ min: 50, max: 7900 }),
      fc.integer({ min: 1, max: 32767 }),
      fc.integer({ min: 0, max: 5000 }),
    )
    .map(([hz, level, length]) =>
      Array.from({ length }, (_, i) =>
        Math.round(level * Math.sin((2 * Math.PI * hz * i) / 16_000)),
      ),
    );
  fc.assert(
    fc.property(fc.oneof(sound, tones), fc.constantFrom(0, 1, 3, 5), (samples, shift) => {
      const original = Int16Array.from(samples);
      const decoded = decodeSound(encodeSound(original, shift), original.length, shift);
      const most = shift === 0 ? 0 : 2 ** (shift - 1);
      return (
        decoded.length === original.length &&
        original.every((sample, i) => Math.abs(sample - decoded[i]!) <= most)
      );
    }),
    { seed: 7, numRuns: 300 },
  );
  t.pass();
});

test('a store keeps each sound once, between its pauses, and nothing when there is too much', (t) => {
  const store = new SoundStore();
  const word = [3, -2, 0, 5];
  const pause = new Array<number>(200).fill(0);
  const placed = store.keep(Int16Array.from([...pause, ...word, ...pause, 9, ...pause, ...word]));
  t.deepEqual(placed, [
    { at: 200, clip: 0 },
    { at: 404, clip: 1 },
    { at: 605, clip: 0 },
  ]);
  const { shift, clips } = store.encoded()!;
  t.is(shift, 0);
  t.deepEqual(
    clips.map(({ base64, samples }) => [...decodeSound(Buffer.from(base64, 'base64'), samples, 0)]),
    [word, [9]],
  );
  const minute = (value: number) => new Int16Array(60 * 16_000).fill(value);
  const minutes = Math.ceil(soundLimits.at(-1)!.seconds / 60) + 1;
  for (let i = 1; i <= minutes; i++) store.keep(minute(i));
  t.true(store.isFull);
  t.is(store.encoded(), null);
});

test('the page says who speaks first, who stutters, and who is not ranked', (t) => {
  const { cells } = summaryOf(planted);
  const { providers } = runAnswers(cells);
  t.deepEqual(
    providers.map(({ row, n, unranked }) => [row, n, unranked]),
    [
      ['quick', 2, null],
      ['late', 1, null],
      ['broken', 0, '1 of 1 turns failed'],
    ],
  );
  const html = htmlOf(planted);
  t.regex(html, /First to speak:<\/strong> <b><bdi>quick<\/bdi><\/b>/);
  t.regex(html, /Not ranked: <bdi>broken<\/bdi> \(1 of 1 turns failed\)/);
  t.regex(html, /<b><bdi>late<\/bdi><\/b> stuttered once, \d+ ms; cause not known/);
  t.regex(html, /Of 3 conversations, 1 failed, 2 passed/);
});

test('the page says what was tried again, what is flaky and why', (t) => {
  const report = plantRunReport(
    [
      { provider: 'late', turns: [plantTurn()], earlier: ['network'] },
      { provider: 'quick', turns: [plantTurn()] },
    ],
    { time: 'real' },
  );
  t.regex(htmlOf(report), /All 2 conversations passed\. 1 is flaky\./);
  const { cells } = summaryOf(report);
  t.deepEqual(
    cells.map(({ flaky }) => flaky),
    ['passed in try 2; 1 that could not be judged before it', undefined],
  );
  const rows = comparisonRows(cells, [0, 1], 'provider');
  const verdicts = rows.map(
    (row) => rowColumns.find(({ key }) => key === 'verdict')!.text(row).text,
  );
  t.deepEqual(verdicts, ['pass, flaky', 'pass']);
});

test('stutter is told with its causes, the longest first', (t) => {
  t.is(stutterWords([]), 'no stutter');
  t.is(
    stutterWords([{ fault: 'network', count: 3, ms: 240 }]),
    'stuttered 3 times, 240 ms; network',
  );
  t.is(
    stutterWords([
      { fault: 'provider', count: 1, ms: 304 },
      { fault: 'network and board', count: 1, ms: 16 },
    ]),
    'stuttered 2 times, 320 ms; provider 304 ms, network and board 16 ms',
  );
});

test('rows are sorted in both directions, and what has no value is last in both', (t) => {
  const { cells } = summaryOf(planted);
  const rows = comparisonRows(
    cells,
    filtered(cells, { scenario: null, board: null, network: null, row: null }),
    'provider',
  );
  const order = (key: string, direction: 'ascending' | 'descending') =>
    sortedRows(rows, key, direction).map(({ row }) => row);
  t.deepEqual(order('heard', 'ascending'), ['quick', 'late', 'broken']);
  t.deepEqual(order('heard', 'descending'), ['late', 'quick', 'broken']);
  t.deepEqual(order('verdict', 'ascending')[0], 'broken');
  t.deepEqual(order('row', 'ascending'), ['broken', 'late', 'quick']);
  const [quick] = rows;
  t.is(quick!.n.heard, 2);
  t.is(quick!.turnsFailed, 0);
  t.deepEqual(filtered(cells, { scenario: null, board: null, network: null, row: 'late' }), [1]);
});

test('blind pairs are of the same conversation, drawn from the seed, without who was not heard, each provider once', (t) => {
  const cell = (scenario: string, row: string, heard = 1): PageCell => ({
    ...summaryOf(planted).cells[0]!,
    scenario,
    row,
    values: { audible_at_speaker_ms: new Array<number>(heard).fill(1000) },
  });
  const cells = [
    cell('a', 'x'),
    cell('a', 'y'),
    cell('a', 'z'),
    cell('b', 'x'),
    cell('b', 'y'),
    cell('c', 'x'),
    cell('a', 'w', 0),
    cell('a', 'x'),
  ];
  const trials = blindTrials(cells, 3);
  t.deepEqual(trials, blindTrials(cells, 3));
  t.notDeepEqual(trials, blindTrials(cells, 4));
  const pairs = trials.map(({ a, b }) => [a, b].sort().join()).sort();
  t.deepEqual(pairs, ['0,1', '0,2', '1,2', '3,4']);
});

test('a histogram has every value in the bin that holds it', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 200 }),
      (values) => {
        const bins = histogram(values);
        const counted = bins.map(
          ({ fromMs, toMs }, i) =>
            values.filter(
              (value) =>
                value >= fromMs && (value < toMs || (i === bins.length - 1 && value === toMs)),
            ).length,
        );
        return (
          bins.length <= 26 &&
          bins.every(({ count }, i) => count === counted[i]) &&
          counted.reduce((a, b) => a + b) === values.length
        );
      },
    ),
    { seed: 7 },
  );
  t.pass();
});

test('whatever stands in a text ends no element and acts on nobody; long texts are cut', (t) => {
  const hostile = '</script><!-- <b onclick="x"> \u202e\u0007\ud800 \u2028';
  t.is(
    htmlText(hostile),
    '&lt;/script&gt;&lt;!-- &lt;b onclick=&quot;x&quot;&gt; &lt;U+202E&gt;␇\ufffd &lt;U+2028&gt;',
  );
  const json = scriptJson({ hostile });
  t.notRegex(json, /[<\u2028\ud800]/u);
  t.deepEqual(JSON.parse(json), { hostile });
  const long = `${'x'.repeat(1999)}\u{1f600}${'y'.repeat(1_000_000)}`;
  t.is(cutText(long), `${'x'.repeat(1999)}… (1002001 characters; the rest is in the recording)`);
});

test('hostile names and messages of a whole report leave the page what it is', (t) => {
  const evil = '"><script>alert(1)</script>\u202e';
  const cell = plantReportedCell({
    provider: evil,
    scenario: evil,
    title: evil,
    device: evil,
    network: evil,
    turns: [plantTurn()],
  });
  const report = buildRunReport({
    cells: [cell],
    run: { id: evil, seed: 1, time: 'virtual', live: false, startedAt: evil },
    environment: { [evil]: evil },
  });
  const html = htmlOf(report);
  t.is(html.match(/<script/g)?.length, 3, 'the data of the run, the program, one conversation');
  t.false(html.includes('\u202e'));
});

test('the same report gives the same bytes, and they name all that may run', (t) => {
  const html = htmlOf(planted);
  t.is(htmlOf(planted), html);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!;
  t.regex(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'/);
  t.notRegex(policy, /unsafe|https?:/);
  t.notRegex(html, /(src|href)="(https?:)?\/\//);
});
