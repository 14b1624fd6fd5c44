import test from 'ava';
import fc from 'fast-check';
import { searchLimit } from './limit-search.ts';

const never = new AbortController().signal;

/** A machine that bears so many. */
function search(limit: number, from: number, most: number, precision: number) {
  return searchLimit({
    from,
    most,
    precision,
    attempt: async (devices) => devices,
    isHeld: (devices) => devices <= limit,
    signal: never,
  });
}

test('the planted limit is found, to the precision, in few tries', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: 1, max: 300 }),
      async (limit, from) => {
        const { held, broken, tries } = await search(limit, from, 4000, 0.05);
        if (limit >= 4000) return held === 4000 && broken === null;
        if (broken === null || broken <= limit) return false;
        if (held !== null && held > limit) return false;
        const low = held ?? 0;
        return broken - low <= Math.max(1, low * 0.05) && tries.length < 30;
      },
    ),
    { seed: 20_261_127, numRuns: 300 },
  );
  t.pass();
});

test('the numbers that are tried are doubled, then halved', async (t) => {
  t.deepEqual(await search(70, 20, 1000, 0.1), {
    held: 70,
    broken: 75,
    tries: [20, 40, 80, 60, 70, 75],
  });
  t.deepEqual(await search(0, 3, 1000, 0.1), { held: null, broken: 1, tries: [3, 1] });
});

test('a search that is stopped says what it knows', async (t) => {
  const stop = new AbortController();
  const found = await searchLimit({
    from: 10,
    most: 1000,
    precision: 0.1,
    attempt: async (devices) => {
      if (devices === 40) stop.abort();
      return devices;
    },
    isHeld: () => true,
    signal: stop.signal,
  });
  t.deepEqual(found, { held: 20, broken: null, tries: [10, 20] });
});
