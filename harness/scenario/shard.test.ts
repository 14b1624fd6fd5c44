import test from 'ava';
import fc from 'fast-check';
import { divideCells, type WeighedCell } from './shard.ts';

const cellsOf = (lengths: readonly number[]): WeighedCell[] =>
  lengths.map((lengthMs, i) => ({ name: `cell-${i}`, lengthMs }));

test('every cell is in one part, parts are in the order of the plan, and none has much more to do than it must', (t) => {
  const lengths = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 60 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 70 }), (ms, count) => {
      const parts = divideCells(cellsOf(ms), count);
      t.is(parts.length, count);
      t.deepEqual(
        parts.flat().sort((a, b) => a - b),
        ms.map((_, i) => i),
      );
      for (const places of parts)
        t.deepEqual(
          places,
          places.toSorted((a, b) => a - b),
        );
      const loads = parts.map((places) => places.reduce((sum, place) => sum + ms[place]!, 0));
      // No division can do better than the mean, or than its longest cell.
      const atLeast = Math.max(0, ...ms, ms.reduce((sum, one) => sum + one, 0) / count);
      t.true(Math.max(...loads) <= 2 * atLeast);
    }),
    { numRuns: 100, seed: 11 },
  );
});

test('the parts of a plan are the same in whatever order its cells stand', (t) => {
  const ms = [5, 5, 5, 9, 1, 30, 2, 2, 7, 5];
  const cells = cellsOf(ms);
  const named = (list: readonly WeighedCell[]) =>
    divideCells(list, 3).map((places) => places.map((place) => list[place]!.name).sort());
  const parts = named(cells);
  fc.assert(
    fc.property(fc.shuffledSubarray(cells, { minLength: cells.length }), (shuffled) => {
      t.deepEqual(named(shuffled), parts);
    }),
    { numRuns: 30, seed: 12 },
  );
  // 30 alone, the other 41 in halves: 20 and 21.
  t.deepEqual(
    parts.map((names) => names.length).sort((a, b) => a - b),
    [1, 4, 5],
  );
});
