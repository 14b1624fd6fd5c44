import test from 'ava';
import fc from 'fast-check';
import { distribution } from '../metrics/distribution.ts';
import { createRandom, type Random } from '../random/random.ts';
import { bootstrapIntervals, unitsForInterval } from './bootstrap.ts';
import { cliffsDelta, effectWord } from './effect-size.ts';
import {
  doubledRanks,
  exactLimit,
  holmAdjusted,
  labelTest,
  signedRankTest,
  signFlipTest,
} from './exact-tests.ts';
import { normalCdf, normalQuantile } from './normal-distribution.ts';
import { pairsForLevel, perSideForLevel, unitsForShift } from './sample-size.ts';
import { type Statistic, sortedValues, statisticOf, weightedStatistic } from './statistic.ts';

const median: Statistic = { kind: 'percentile', percent: 50 };
const p95: Statistic = { kind: 'percentile', percent: 95 };
const mean: Statistic = { kind: 'mean' };

test('the normal distribution has the values of its tables', (t) => {
  // Abramowitz and Stegun, tables 26.1 and 26.5.
  for (const [x, p] of [
    [0, 0.5],
    [1, 0.841344746068543],
    [1.96, 0.97500210485178],
    [3, 0.99865010196837],
    [-4, 3.167124183311986e-5],
    [-6, 9.865876450376946e-10],
  ] as const) {
    t.true(Math.abs(normalCdf(x) / p - 1) < 1e-10, `${x}: ${normalCdf(x)}`);
  }
  for (const [p, z] of [
    [0.95, 1.644853626951473],
    [0.975, 1.959963984540054],
    [0.001, -3.090232306167813],
  ] as const) {
    t.true(Math.abs(normalQuantile(p) - z) < 1e-9);
  }
  t.throws(() => normalQuantile(0), { instanceOf: RangeError });
});

test('a weighted statistic is that of the sample in which each value stands as often', (t) => {
  const units = fc.array(fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 4 }), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(units, fc.infiniteStream(fc.nat(3)), (values, stream) => {
      const weights = Int32Array.from(values, () => stream.next().value as number);
      const written = values.flatMap((some, i) =>
        Array.from({ length: weights[i]! }, () => some).flat(),
      );
      const truth = distribution(written);
      const sorted = sortedValues(values);
      const got = [median, p95, mean].map((one) => weightedStatistic(sorted, weights, one));
      if (truth === null) return got.every(Number.isNaN);
      return got[0] === truth.p50 && got[1] === truth.p95 && Math.abs(got[2]! - truth.mean) < 1e-9;
    }),
    { seed: 11 },
  );
  t.is(statisticOf(sortedValues([[3, 1], [2]]), median), 2);
});

/** Every way to choose signs, or labels, one by one. */
function shareOfSubsets(count: number, hit: (chosen: (i: number) => boolean) => boolean): number {
  let hits = 0;
  for (let subset = 0; subset < 2 ** count; subset++) {
    if (hit((i) => ((subset >> i) & 1) === 1)) hits++;
  }
  return hits / 2 ** count;
}

test('the test by signs gives what counting out every choice of signs gives', (t) => {
  const scores = fc.array(fc.integer({ min: -12, max: 12 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(scores, (list) => {
      const moved = list.filter((score) => score !== 0);
      const { p, smallestP, units } = signFlipTest(list);
      const observed = list.reduce((sum, score) => sum + score, 0);
      const truth = shareOfSubsets(moved.length, (positive) => {
        const sum = moved.reduce((s, score, i) => s + (positive(i) ? 1 : -1) * Math.abs(score), 0);
        return sum >= observed;
      });
      return (
        Math.abs(p - truth) < 1e-12 && smallestP === 2 ** -moved.length && units === moved.length
      );
    }),
    { seed: 12 },
  );
  t.pass();
});

test('the signed-rank test has the critical values of its tables', (t) => {
  // Wilcoxon's table for n = 10: a sum of negative ranks of 10 has P = 0.0420, one of 11 has 0.0527.
  const withNegative = (...ranks: number[]): number =>
    signedRankTest(
      Array.from({ length: 10 }, (_, i) => ({
        unit: i,
        value: ranks.includes(i + 1) ? -(i + 1) : i + 1,
      })),
    ).p;
  t.is(withNegative(10).toFixed(4), '0.0420');
  t.is(withNegative(10, 1).toFixed(4), '0.0527');
  t.is(withNegative(), 2 ** -10);
});

test('values of one unit change their side together', (t) => {
  const alone = [1, 2, 3, 4, 5, 6].map((value, unit) => ({ unit, value }));
  const together = [1, 2, 3, 4, 5, 6].map((value, i) => ({ unit: Math.floor(i / 2), value }));
  t.is(signedRankTest(alone).p, 1 / 64);
  t.is(signedRankTest(together).p, 1 / 8);
  t.is(signedRankTest(together).units, 3);
});

test('the test by labels gives what counting out every deal gives, within strata', (t) => {
  const units = fc.array(
    fc.record({
      stratum: fc.constantFrom('a', 'b'),
      second: fc.boolean(),
      score: fc.nat(15),
    }),
    { minLength: 2, maxLength: 10 },
  );
  fc.assert(
    fc.property(units, (all) => {
      const observed = all.reduce((sum, { second, score }) => sum + (second ? score : 0), 0);
      const size = (stratum: string, chosen: (i: number) => boolean): number =>
        all.filter((one, i) => one.stratum === stratum && chosen(i)).length;
      const second = (i: number): boolean => all[i]!.second;
      let ways = 0;
      const hits = shareOfSubsets(all.length, (chosen) => {
        if (!['a', 'b'].every((name) => size(name, chosen) === size(name, second))) return false;
        ways++;
        return all.reduce((sum, { score }, i) => sum + (chosen(i) ? score : 0), 0) >= observed;
      });
      const { p, smallestP } = labelTest(all);
      return (
        Math.abs(p - (hits * 2 ** all.length) / ways) < 1e-9 &&
        Math.abs(smallestP - 1 / ways) < 1e-12
      );
    }),
    { seed: 13 },
  );
  t.pass();
});

test('ranks are shared by equal values, and those below the top count nothing', (t) => {
  t.deepEqual(doubledRanks([30, 10, 20, 20]), [8, 2, 5, 5]);
  t.deepEqual(doubledRanks([30, 10, 20, 40], 2), [2, 0, 0, 4]);
});

test('where sums are not counted out the normal approximation agrees with the exact result', (t) => {
  const random = createRandom(3, 'large');
  const exact = Array.from({ length: 300 }, (_, i) => (random.next() < 0.56 ? 1 : -1) * (i + 1));
  // The same scores in finer steps are too many to be counted out.
  const fine = exact.map((score) => score * 100);
  const total = fine.reduce((sum, score) => sum + Math.abs(score), 0);
  t.true(fine.length * total > exactLimit);
  const [counted, approximated] = [signFlipTest(exact).p, signFlipTest(fine).p];
  t.true(counted > 1e-4 && counted < 0.2, `${counted}`);
  t.true(Math.abs(approximated / counted - 1) < 0.02, `${approximated} for ${counted}`);

  const deal = (scale: number) =>
    labelTest(
      exact.slice(0, 80).map((score, i) => ({
        stratum: '',
        second: i % 2 === 0 || i > 70,
        score: scale * Math.abs(score),
      })),
    ).p;
  t.true(Math.abs(deal(100) / deal(1) - 1) < 0.05, `${deal(100)} for ${deal(1)}`);
});

test('adjusted probabilities are those of Holm', (t) => {
  // His own example (1979): with 0.01, 0.04, 0.03 and 0.005, in steps of 4, 3, 2 and 1.
  const adjusted = holmAdjusted([0.01, 0.04, 0.03, 0.005]);
  t.deepEqual(
    adjusted.map((p) => p.toFixed(4)),
    ['0.0300', '0.0600', '0.0600', '0.0200'],
  );
  t.deepEqual(holmAdjusted([]), []);
  t.deepEqual(holmAdjusted([0.9, 0.8]), [1, 1]);
});

test('numbers of conversations follow from the tests they are for', (t) => {
  t.is(pairsForLevel(1 / 1024), 10);
  t.is(pairsForLevel(0.001), 10);
  t.is(pairsForLevel(0.0009), 11);
  // 12 over 6 is 924, 14 over 7 is 3432.
  t.is(perSideForLevel(0.001), 7);
  // (1.6449 + 1.6449)² · 2² / 1² = 43.3, a little more for ranks.
  t.is(unitsForShift(1, 2, 0.05), 46);
});

test('Cliff’s delta counts pairs, and has the usual words', (t) => {
  const list = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(list, list, (a, b) => {
      let balance = 0;
      for (const x of a) for (const y of b) balance += Math.sign(y - x);
      return Math.abs(cliffsDelta(a, b)! - balance / (a.length * b.length)) < 1e-12;
    }),
    { seed: 14 },
  );
  t.is(cliffsDelta([], [1]), null);
  t.deepEqual([0.1, -0.2, 0.4, -0.9].map(effectWord), ['negligible', 'small', 'medium', 'large']);
});

/** How often the interval holds the truth, in samples whose truth is known. */
function coverage(
  statistic: Statistic,
  truth: number,
  drawUnit: (random: Random) => number[],
  units: number,
  samples: number,
): number {
  const random = createRandom(21, `coverage ${units} ${JSON.stringify(statistic)}`);
  let held = 0;
  for (let k = 0; k < samples; k++) {
    const sorted = sortedValues(Array.from({ length: units }, () => drawUnit(random)));
    const [interval] = bootstrapIntervals(
      {
        samples: [new Array<number>(units).fill(0)],
        statistics: ([weights]) => [weightedStatistic(sorted, weights!, statistic)],
      },
      random.fork(`${k}`),
      399,
    );
    if (interval !== null && interval!.low <= truth && truth <= interval!.high) held++;
  }
  return held / samples;
}

test('95 % intervals hold the truth in at least 90 of 100 samples, from the fewest units shown on', (t) => {
  // Log-normal, as first bytes of services are: median 1, 95th percentile exp(0.4 · 1.645).
  const latency = (random: Random): number[] => [Math.exp(0.4 * random.normal())];
  const samples = 400;
  const found = {
    median: coverage(median, 1, latency, unitsForInterval(median), samples),
    p95: coverage(p95, Math.exp(0.4 * 1.644853627), latency, unitsForInterval(p95), samples),
    mean: coverage(mean, Math.exp(0.08), latency, unitsForInterval(mean), samples),
    // Six turns of a conversation that share most of what makes them late: taken for independent
    // values, their interval would be two and a half times too short.
    turns: coverage(
      mean,
      0,
      (random) => {
        const shared = random.normal();
        return Array.from({ length: 6 }, () => shared + 0.2 * random.normal());
      },
      30,
      samples,
    ),
  };
  t.log(found);
  // Of 400 samples a true 90 % stays above 86 % in 99 of 100 cases.
  for (const [what, share] of Object.entries(found)) t.true(share > 0.86 && share < 0.99, what);
});

test('the interval of a mean of normal values is the one of the textbook', (t) => {
  const random = createRandom(8, 'normal');
  const values = Array.from({ length: 200 }, () => 50 + 10 * random.normal());
  const average = values.reduce((sum, value) => sum + value, 0) / 200;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / 199);
  const half = (1.959964 * deviation) / Math.sqrt(200);
  const sorted = sortedValues(values.map((value) => [value]));
  const [interval] = bootstrapIntervals(
    {
      samples: [values.map(() => 0)],
      statistics: ([weights]) => [weightedStatistic(sorted, weights!, mean)],
    },
    createRandom(1),
  );
  t.true(Math.abs(interval!.low - (average - half)) < 0.1 * half);
  t.true(Math.abs(interval!.high - (average + half)) < 0.1 * half);
});

test('units of a stratum are drawn within it', (t) => {
  // One stratum has 0 and the other 100: in whatever is drawn the mean stays 50.
  const sorted = sortedValues([[0], [0], [100], [100]]);
  const statistics = ([weights]: readonly Int32Array[]): number[] => [
    weightedStatistic(sorted, weights!, mean),
  ];
  const [within] = bootstrapIntervals({ samples: [[0, 0, 1, 1]], statistics }, createRandom(1));
  const [across] = bootstrapIntervals({ samples: [[0, 0, 0, 0]], statistics }, createRandom(1));
  t.deepEqual(within, { low: 50, high: 50 });
  t.true(across!.low < 25 && across!.high > 75);
});
