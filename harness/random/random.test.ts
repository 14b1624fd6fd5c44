import test from 'ava';
import { createRandom } from './random.ts';

test('the same seed and label give the same numbers, another label gives others', (t) => {
  const take = (seed: number, label: string): number[] => {
    const random = createRandom(seed, label);
    return Array.from({ length: 5 }, () => random.next());
  };
  t.deepEqual(take(7, 'a'), take(7, 'a'));
  t.notDeepEqual(take(7, 'a'), take(7, 'b'));
  t.notDeepEqual(take(7, 'a'), take(8, 'a'));
});

test('the sequence of seed 1 is pinned, because recordings depend on it', (t) => {
  const random = createRandom(1);
  t.deepEqual(
    Array.from({ length: 3 }, () => random.integer(0, 0xffff_ffff)),
    [3033365413, 941957364, 1891567893],
  );
});

test('a fork does not depend on how much its parent has drawn', (t) => {
  const fresh = createRandom(3, 'x').fork('y');
  const parent = createRandom(3, 'x');
  for (let i = 0; i < 10; i++) parent.next();
  t.is(parent.fork('y').next(), fresh.next());
});

test('draws have the mean and spread their names promise', (t) => {
  const random = createRandom(42);
  const n = 20_000;
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const uniform = Array.from({ length: n }, () => random.next());
  t.true(Math.abs(mean(uniform) - 0.5) < 0.01);
  t.true(uniform.every((x) => x >= 0 && x < 1));
  const normal = Array.from({ length: n }, () => random.normal());
  t.true(Math.abs(mean(normal)) < 0.03);
  t.true(Math.abs(mean(normal.map((x) => x * x)) - 1) < 0.05);
  const dice = Array.from({ length: n }, () => random.integer(1, 6));
  for (let face = 1; face <= 6; face++) {
    const share = dice.filter((d) => d === face).length / n;
    t.true(Math.abs(share - 1 / 6) < 0.015, `face ${face}: ${share}`);
  }
});

test('identifiers look like version 4 UUIDs', (t) => {
  t.regex(
    createRandom(9).uuid(),
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});
