import test from 'ava';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { plantCell } from '../metrics/planted-cell.contract.ts';
import {
  plantExpectation,
  plantReportedCell,
  plantRunReport,
  plantTurn,
} from './planted-report.contract.ts';
import { buildRunReport, type MetricTree, reportData, spanMetricNames } from './run-report.ts';

const turns = [
  plantTurn(),
  plantTurn({ startMs: 10_000, ttfbMs: 651, lateMs: 300 }),
  plantTurn({ startMs: 20_000, failure: 'rate-limit' }),
];
const report = plantRunReport([{ provider: 'openai', turns }]);
const cell = report.cells[0]!;

function at(tree: MetricTree, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((found, name) => (found as Record<string, unknown>)[name], tree);
}

test('every metric of the catalog is found by following its path', (t) => {
  const { measurement } = plantReportedCell({ provider: 'openai', turns });
  for (const { path } of metricCatalog) {
    if (path === 'lead_silence_ms') continue;
    t.is(at(cell.metrics, path), measurement.metrics[path], path);
  }
  t.is(at(cell.metrics, 'ttfa_ms.n'), 2);
});

test('the one name that is a number and a distribution is its median', (t) => {
  const { measurement } = plantReportedCell({ provider: 'openai', turns });
  t.is(at(cell.metrics, 'lead_silence_ms.p50'), at(measurement.metrics, 'lead_silence_ms'));
  const paths = metricCatalog.map(({ path }) => path);
  const both = paths.filter((path) => paths.some((other) => other.startsWith(`${path}.`)));
  t.deepEqual(both, ['lead_silence_ms']);
});

test('a distribution without a value has n = 0 and nothing else', (t) => {
  const empty = { p50: null, p95: null, max: null, min: null, mean: null, n: 0 };
  t.deepEqual(at(cell.metrics, 'stop_latency_ms'), empty);
});

test('the spans of an answered turn are the planted ones and add up to the microsecond', (t) => {
  const [first, second] = cell.turns;
  t.like(first!.spans, {
    end_of_turn_ms: 300,
    first_text_ms: 140,
    sentence_ready_ms: 60,
    handover_ms: 2,
    connect_ms: 30,
    ttfb_ms: 400,
    server_hold_ms: 2,
    downlink_ms: 40,
    lead_silence_ms: 20,
    unattributed_ms: 0,
  });
  t.is(at(second!.spans, 'ttfb_ms'), 651);
  for (const { spans, audible_at_speaker_ms } of [first!, second!]) {
    t.deepEqual(Object.keys(spans), [...spanMetricNames]);
    const sumUs = Object.values(spans).reduce<number>(
      (sum, ms) => sum + Math.round((ms ?? 0) * 1000),
      0,
    );
    t.is(sumUs, Math.round(audible_at_speaker_ms! * 1000));
  }
});

test('a failed turn has its class and no latency', (t) => {
  const failed = cell.turns[2]!;
  t.is(failed.verdict, 'failed');
  t.like(failed.failure, { kind: 'rate-limit', by: 'provider' });
  t.is(failed.audible_at_speaker_ms, null);
  t.true(Object.values(failed.spans).every((ms) => ms === null));
  t.is(cell.verdict, 'fail');
  t.like(cell.failure, { class: 'turn', code: 'rate-limit', turn: 3 });
  t.is(at(cell.metrics, 'audible_at_speaker_ms.n'), 2);
});

test('an underrun stands in its turn, with its planted length', (t) => {
  const { truth } = plantCell({
    speakerStartUs: 0,
    restSamples: 0,
    speakerSamples: 16 * 30_000,
    turns,
  });
  const empty = truth.sentences[1]!.emptyCycles;
  t.true(empty.length > 0);
  t.is(cell.turns[0]!.underruns.length, 0);
  const [run, ...others] = cell.turns[1]!.underruns;
  t.is(others.length, 0);
  t.is(run!.durationMs, empty.length * 16);
  t.is(run!.position, empty[0]! * 256);
  t.is(run!.atMs, empty[0]! * 16);
});

test('an expected failure is listed but is not the failure of the cell', (t) => {
  const expected = plantRunReport([
    {
      provider: 'openai',
      turns: [plantTurn({ failure: 'auth' })],
      expect: [plantExpectation('failure.kind', '==', 'auth')],
    },
  ]).cells[0]!;
  t.is(expected.verdict, 'pass');
  t.false('failure' in expected);
  t.like(expected.failures[0], { code: 'auth', expected: true });
  t.like(expected.expectations[0], {
    metric: 'failure.kind',
    operator: '==',
    value: 'auth',
    outcome: 'pass',
    actual: 'auth',
    at: { file: 'scenarios/planted.toml', line: 12, column: 1 },
  });
});

test('single values are those that the percentiles were taken from', (t) => {
  t.like(cell.values, { ttfb_ms: [400, 651] });
  t.is(at(cell.metrics, 'ttfb_ms.max'), 651);
  t.false('chunk_gap_ms' in cell.values);
});

test('two runs with one seed have the same data, whenever and wherever they ran', (t) => {
  const plans = [{ provider: 'openai', turns }];
  const early = plantRunReport(plans, { id: 'a', startedAt: '2026-01-01T00:00:00Z' });
  const late = plantRunReport(plans, {
    id: 'b',
    startedAt: '2027-08-09T10:11:12Z',
    durationMs: 512,
  });
  t.not(JSON.stringify(early), JSON.stringify(late));
  t.is(JSON.stringify(reportData(early)), JSON.stringify(reportData(late)));
  t.notRegex(JSON.stringify(reportData(late)), /2027|v20\.19/);
  const slower = plantRunReport([{ provider: 'openai', turns: [plantTurn({ ttfbMs: 401 })] }]);
  t.not(JSON.stringify(reportData(early)), JSON.stringify(reportData(slower)));
});

test('what JSON has no number for is null', (t) => {
  const planted = plantReportedCell({ provider: 'openai', turns });
  const { metrics } = planted.measurement;
  const measurement = {
    ...planted.measurement,
    metrics: { ...metrics, loudness_lufs: -Infinity, peak_dbfs: NaN, 'ttfb_ms.mean': Infinity },
  };
  const [odd] = buildRunReport({
    cells: [{ ...planted, measurement }],
    run: { id: 'odd', seed: 7, time: 'virtual', live: false, durationMs: NaN },
    environment: { load: Infinity },
  }).cells;
  t.is(at(odd!.metrics, 'loudness_lufs'), null);
  t.is(at(odd!.metrics, 'peak_dbfs'), null);
  t.is(at(odd!.metrics, 'ttfb_ms.mean'), null);
});

test('a report read back from its JSON is the same report', (t) => {
  t.deepEqual(JSON.parse(JSON.stringify(report)), report);
  t.is(report.schemaVersion, 1);
  t.is(cell.recording, 'cells/one-question--openai--diy--good-wifi');
});
