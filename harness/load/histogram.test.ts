import test from 'ava';
import fc from 'fast-check';
import { Histogram } from './histogram.ts';

const seed = 20_261_127;
const shares = [0, 0.01, 0.5, 0.9, 0.99, 0.999, 1];

/** Nearest rank over all values: what a histogram estimates. */
function exactPercentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
}

/** Values over all magnitudes, and heaps of equal ones. */
const anyValues = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 0, max: 5_000_000 }),
    fc.double({ min: 0, max: 39.99, noNaN: true }).map((log) => Math.floor(2 ** log)),
    fc.integer({ min: 0, max: 40 }).map((log) => 2 ** log),
  ),
  { minLength: 1, maxLength: 400 },
);

test('percentiles are those of the sorted values to the stated relative error', (t) => {
  fc.assert(
    fc.property(anyValues, fc.integer({ min: 2, max: 10 }), (values, precisionBits) => {
      const histogram = new Histogram(precisionBits);
      for (const value of values) histogram.record(value);
      for (const share of shares) {
        const exact = exactPercentile(values, share);
        const error = Math.abs(histogram.percentile(share) - exact);
        if (error > exact * histogram.relativeError) return false;
      }
      return (
        histogram.n === values.length &&
        histogram.max === Math.max(...values) &&
        histogram.min === Math.min(...values)
      );
    }),
    { seed, numRuns: 400 },
  );
  t.pass();
});

test('histograms of parts, sent through JSON and added in any order, are the histogram of the whole', (t) => {
  fc.assert(
    fc.property(fc.array(anyValues, { minLength: 1, maxLength: 5 }), (parts) => {
      const whole = new Histogram();
      for (const value of parts.flat()) whole.record(value);
      const merged = new Histogram();
      for (const part of parts.toReversed()) {
        const histogram = new Histogram();
        for (const value of part) histogram.record(value);
        merged.merge(Histogram.fromData(JSON.parse(JSON.stringify(histogram.toData()))));
      }
      t.deepEqual(merged.toData(), whole.toData());
    }),
    { seed, numRuns: 60 },
  );
});

test('planted values come back: exact below 256, in the middle of their bucket above', (t) => {
  const histogram = new Histogram(7);
  for (let value = 1; value <= 100; value++) histogram.record(value);
  t.is(histogram.percentile(0.5), 50);
  t.is(histogram.percentile(0.99), 99);
  t.is(histogram.mean, 50.5);
  const large = new Histogram(7);
  large.record(1_000_000, 3);
  large.record(9_000_000);
  // 2^19 = 524 288: buckets of 4096 there, and 1 000 000 is in the one from 999 424 on.
  t.is(large.percentile(0.5), 1_001_471.5);
  t.is(large.percentile(1), 9_000_000);
  t.is(large.relativeError, 1 / 256);
});

test('nothing has no percentiles, and what is out of range counts at its end', (t) => {
  const histogram = new Histogram();
  t.is(histogram.percentile(0.5), Number.NaN);
  t.deepEqual(histogram.toData().buckets, []);
  histogram.record(-5);
  histogram.record(2 ** 60);
  t.is(histogram.min, 0);
  t.is(histogram.max, 2 ** 40);
  t.throws(() => histogram.merge(new Histogram(4)), { instanceOf: RangeError });
});

test('a million values take no more room than one', (t) => {
  const one = new Histogram(4);
  one.record(123_456);
  const many = new Histogram(4);
  for (let i = 0; i < 1_000_000; i++) many.record(123_456);
  t.is(many.toData().buckets.length, one.toData().buckets.length);
  t.is(many.n, 1_000_000);
});
