import test from 'ava';
import { createRandom } from '../random/random.ts';
import { growthOf, type Sample, slopeOf } from './slope.ts';

/** A planted slope with noise in which neighbors are alike. */
function planted(seed: number, n: number, perHour: number, alike: number): Sample[] {
  const random = createRandom(seed, 'slope');
  let noise = random.normal();
  return Array.from({ length: n }, (_, i) => {
    noise = alike * noise + Math.sqrt(1 - alike * alike) * random.normal();
    return { atHours: i / 2, value: 1000 + (perHour * i) / 2 + 5 * noise };
  });
}

test('a line without noise is found exactly', (t) => {
  const samples = [0, 1, 2, 3, 5].map((atHours) => ({ atHours, value: 100 + 3 * atHours }));
  const { perHour, low, high, level, hours } = slopeOf(samples);
  t.true([perHour, low, high].every((value) => Math.abs(value - 3) < 1e-9));
  t.is(level, 106);
  t.is(hours, 5);
});

test('one sample in five that is far off does not tilt the line', (t) => {
  const samples = Array.from({ length: 50 }, (_, i) => ({
    atHours: i,
    value: 100 + 0.5 * i + (i % 10 > 7 ? 40 * i : 0) + (i % 3),
  }));
  const { perHour, low, high } = slopeOf(samples);
  t.true(Math.abs(perHour - 0.5) < 0.1, `${perHour}`);
  t.true(low < 0.5 && 0.5 < high);
});

test('the interval holds that of least squares of textbook figures', (t) => {
  // Heights and masses of the article "Simple linear regression" of Wikipedia: slope 61.272, 95 % interval 57.4 to 65.1.
  const heights = [
    1.47, 1.5, 1.52, 1.55, 1.57, 1.6, 1.63, 1.65, 1.68, 1.7, 1.73, 1.75, 1.78, 1.8, 1.83,
  ];
  const masses = [
    52.21, 53.12, 54.48, 55.84, 57.2, 58.57, 59.93, 61.29, 63.11, 64.47, 66.28, 68.1, 69.92, 72.19,
    74.46,
  ];
  // Out of order, neighbors are not alike: nothing widens the interval.
  const order = [0, 8, 2, 12, 5, 14, 1, 9, 3, 11, 7, 13, 4, 10, 6];
  const slope = slopeOf(order.map((i) => ({ atHours: heights[i]!, value: masses[i]! })));
  t.true(Math.abs(slope.perHour - 61.272) < 2, `${slope.perHour}`);
  t.true(
    slope.low <= 58 && slope.high >= 64.5 && slope.high - slope.low < 14,
    `${slope.low} ${slope.high}`,
  );
});

test('nine in ten intervals or more hold the planted slope, also when neighbors are alike', (t) => {
  for (const alike of [0, 0.5]) {
    let held = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const { low, high } = slopeOf(planted(seed, 60, 0.4, alike));
      if (low <= 0.4 && 0.4 <= high) held += 1;
    }
    t.true(held >= 180, `${held} of 200 with correlation ${alike}`);
  }
});

test('flat, growing, and what cannot be said', (t) => {
  // Over 48 hours 5 % of the level are 50: about 1 an hour.
  t.is(growthOf(slopeOf(planted(1, 97, 0, 0.5))), 'flat');
  t.is(growthOf(slopeOf(planted(2, 97, -3, 0.5))), 'flat');
  t.is(growthOf(slopeOf(planted(3, 97, 4, 0.5))), 'grows');
  const wild = planted(4, 6, 0, 0).map(({ atHours, value }, i) => ({
    atHours,
    value: value + (i % 2) * 400,
  }));
  t.is(growthOf(slopeOf(wild)), 'undecided');
});
