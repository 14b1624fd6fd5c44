import test from 'ava';
import fc from 'fast-check';
import { compareCells, meanSpans, numberAt } from './cell-comparison.ts';
import { plantRunReport, plantTurn } from './planted-report.contract.ts';
import { type CellReport, spanMetricNames } from './run-report.ts';

function plantedCells(...waits: number[][]): readonly CellReport[] {
  return plantRunReport(
    waits.map((ttfbs) => ({
      provider: 'openai',
      turns: ttfbs.map((ttfbMs, i) => plantTurn({ startMs: i * 10_000, ttfbMs })),
    })),
  ).cells;
}

test('percentiles over several cells are percentiles of their values, not of percentiles', (t) => {
  const cells = plantedCells([100], [200, 300, 400]);
  // Nearest rank: the second of four. The median of the two medians would be 100 or 300.
  t.is(compareCells(cells).ttfbP50Ms, 200);
  t.is(compareCells(cells).turnsAnswered, 4);
});

test('counts and durations are added up, the prebuffer is the largest', (t) => {
  const { cells } = plantRunReport([
    { provider: 'a', turns: [plantTurn({ lateMs: 300 })] },
    { provider: 'a', turns: [plantTurn({ lateMs: 500 })] },
  ]);
  const singles = cells.map((cell) => compareCells([cell]));
  const both = compareCells(cells);
  t.true(singles[0]!.underrunTotalMs! > 0);
  t.is(both.underrunCount, 2);
  t.is(both.underrunTotalMs, singles[0]!.underrunTotalMs! + singles[1]!.underrunTotalMs!);
  t.is(both.playedSeconds, singles[0]!.playedSeconds! + singles[1]!.playedSeconds!);
  t.is(both.prebufferNeededMs, singles[1]!.prebufferNeededMs);
  t.true(singles[1]!.prebufferNeededMs! > singles[0]!.prebufferNeededMs!);
});

test('a cell that only failed has no latency and no underruns', (t) => {
  const { cells } = plantRunReport([{ provider: 'a', turns: [plantTurn({ failure: 'auth' })] }]);
  t.like(compareCells(cells), {
    turnsAnswered: 0,
    turnsFailed: 1,
    audibleP50Ms: null,
    audibleP95Ms: null,
    ttfbP50Ms: null,
    ttfaP50Ms: null,
    underrunCount: null,
    seamP50Ms: null,
    prebufferNeededMs: null,
    loudnessLufs: null,
  });
  t.is(meanSpans(cells), null);
});

test('failed turns do not enter the mean spans', (t) => {
  const { cells } = plantRunReport([
    {
      provider: 'a',
      turns: [plantTurn(), plantTurn({ startMs: 10_000, failure: 'auth' })],
    },
  ]);
  const mean = meanSpans(cells)!;
  t.is(mean.n, 1);
  t.is(mean.spansMs[spanMetricNames.indexOf('ttfb_ms')], 400);
  t.is(mean.audibleMs, Math.round(cells[0]!.turns[0]!.audible_at_speaker_ms!));
});

test('mean spans add up to the mean, whatever has to be rounded', (t) => {
  const [planted] = plantedCells([400]);
  const spansUs = fc.array(fc.integer({ min: -400_000, max: 3_000_000 }), {
    minLength: spanMetricNames.length,
    maxLength: spanMetricNames.length,
  });
  fc.assert(
    fc.property(fc.array(spansUs, { minLength: 1, maxLength: 7 }), (turnsUs) => {
      const turns = turnsUs.map((us) => ({
        ...planted!.turns[0]!,
        audible_at_speaker_ms: us.reduce((a, b) => a + b, 0) / 1000,
        spans: Object.fromEntries(us.map((value, i) => [spanMetricNames[i]!, value / 1000])),
      }));
      const mean = meanSpans([{ ...planted!, turns }])!;
      t.is(
        mean.spansMs.reduce((a: number, b) => a + b!, 0),
        mean.audibleMs,
      );
      const exactUs = spanMetricNames.map(
        (_, i) => turnsUs.reduce((sum, us) => sum + us[i]!, 0) / turnsUs.length,
      );
      t.true(mean.spansMs.every((ms, i) => Math.abs(ms! - exactUs[i]! / 1000) < 1.001));
    }),
    { numRuns: 200, seed: 5 },
  );
});

test('a path into the metrics gives a number or nothing', (t) => {
  const metrics = { ttfb_ms: { p50: 4, p95: null }, failure: { kind: 'none' } };
  t.is(numberAt(metrics, 'ttfb_ms.p50'), 4);
  for (const path of ['ttfb_ms', 'ttfb_ms.p95', 'ttfb_ms.p50.x', 'failure.kind', 'no.such']) {
    t.is(numberAt(metrics, path), null, path);
  }
});
