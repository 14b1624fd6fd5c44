import test from 'ava';
import { distribution } from './distribution.ts';

test('percentiles are nearest-rank values that were measured', (t) => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  t.deepEqual(distribution(values), { p50: 50, p95: 95, max: 100, min: 1, mean: 50.5, n: 100 });
  t.deepEqual(distribution([7]), { p50: 7, p95: 7, max: 7, min: 7, mean: 7, n: 1 });
  t.is(distribution([10, 20])?.p50, 10);
  t.is(distribution([10, 20])?.p95, 20);
});

test('nothing measured gives no distribution', (t) => {
  t.is(distribution([]), null);
});
