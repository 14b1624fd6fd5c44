import test from 'ava';
import { heapTrend } from './heap-trend.ts';

const pair = (seconds: number, spiramKiB: number, internalKiB: number) => ({
  atUs: seconds * 1_000_000,
  spiramKiB,
  internalKiB,
});

test('a steady loss is its slope, without error', (t) => {
  const trend = heapTrend([0, 1, 2, 3, 4].map((i) => pair(i * 60, 6800 - 3 * i, 140)))!;
  t.is(trend.n, 5);
  t.is(trend.spanUs, 240_000_000);
  t.is(trend.spiram.kibPerPair, -3);
  t.true(Math.abs(trend.spiram.kibPerHour! - -180) < 1e-9);
  t.is(trend.spiram.standardError, 0);
  t.is(trend.spiram.lowestKiB, 6788);
  t.is(trend.internal.kibPerPair, 0);
});

// y = 140, 138, 139, 135 over 0 to 3: slope -1.4, residuals 0.1, -0.5, 1.9, -0.7 … by hand:
// mean 138, line 140.1 - 1.4 x; squared residuals 0.01 + 0.49 + 2.89 + 0.81 = 4.2 (Σ), /2 /5.
test('scatter is in the standard error', (t) => {
  const trend = heapTrend([140, 138, 139, 135].map((kib, i) => pair(i, 0, kib)))!;
  t.true(Math.abs(trend.internal.kibPerPair + 1.4) < 1e-9);
  t.true(Math.abs(trend.internal.standardError! - Math.sqrt(0.42)) < 1e-9);
});

test('one pair is no trend, two have no error, one instant has no rate per hour', (t) => {
  t.is(heapTrend([pair(0, 1, 1)]), null);
  t.is(heapTrend([pair(0, 1, 1), pair(9, 2, 2)])?.spiram.standardError, null);
  t.is(heapTrend([pair(0, 1, 1), pair(0, 2, 2)])?.spiram.kibPerHour, null);
});
