import test from 'ava';
import { createRandom } from '../random/random.ts';
import { ratioOfPercentiles } from './resampled-ratio.ts';

/** Exponential times `scale`, and in every other round a machine that is three times as slow. */
function rounds(seed: number, scale: number, count = 8) {
  const random = createRandom(seed, 'rounds');
  const values = (times: number): number[] =>
    Array.from({ length: 30 }, () => -Math.log(1 - random.next()) * times);
  return Array.from({ length: count }, (_, round) => {
    const slow = round % 2 === 0 ? 1 : 3;
    return { of: values(slow * scale), to: values(slow) };
  });
}

test('the ratio of a thing to itself lies within its spread, as often as the spread says, and of a fourfold one it does not', (t) => {
  let [held, told] = [0, 0];
  const runs = 12;
  for (let seed = 1; seed <= runs; seed++) {
    const same = ratioOfPercentiles(rounds(seed, 1), 0.5, createRandom(seed, 'draws'));
    if (same.low <= 1 && 1 <= same.high) held += 1;
    const other = ratioOfPercentiles(rounds(seed, 4), 0.5, createRandom(seed, 'draws'));
    if (other.low > 1) told += 1;
  }
  t.true(held >= 9, `${held} of ${runs}`);
  t.is(told, runs);
});

test('the value is the ratio of both percentiles over all rounds, and what was never measured has none', (t) => {
  const random = createRandom(1);
  const { median, n } = ratioOfPercentiles(
    [
      { of: [2, 4], to: [1, 1] },
      { of: [6, 8, 10], to: [2, 3, 4] },
    ],
    0.5,
    random,
  );
  t.is(median, 3);
  t.is(n, 5);
  t.throws(() => ratioOfPercentiles([{ of: [1], to: [] }], 0.5, random), {
    instanceOf: RangeError,
  });
});
