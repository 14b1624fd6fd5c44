/** The truth is planted: a clock with a known offset and drift, and delays that are known to the test alone. */
import test from 'ava';
import fc from 'fast-check';
import { createRandom } from '../random/random.ts';
import { boardInstantUs, fitBoardClock, type StampedArrival } from './board-clock.ts';

interface Truth {
  readonly offsetUs: number;
  readonly driftPpm: number;
}

/** @param delaysUs of the lines, one each; they are printed at random instants, in order */
function planted(
  { offsetUs, driftPpm }: Truth,
  delaysUs: readonly number[],
  spanMs: number,
  seed: number,
): { lines: StampedArrival[]; printedUs: number[] } {
  const random = createRandom(seed, 'board clock');
  const boardUs = delaysUs.map(() => random.next() * spanMs * 1000).sort((a, b) => a - b);
  const printedUs = boardUs.map((us) => offsetUs + us / (1 + driftPpm / 1_000_000));
  let lastUs = 0;
  const lines = boardUs.map((us, i) => {
    lastUs = Math.max(lastUs, printedUs[i]! + delaysUs[i]!);
    return { ms: Math.floor(us / 1000), atUs: Math.round(lastUs) };
  });
  return { lines, printedUs };
}

/** Mostly below 2 ms, one in ten up to 40 ms. */
function delays(n: number, seed: number): number[] {
  const random = createRandom(seed, 'delays');
  return Array.from({ length: n }, () => random.next() * (random.next() < 0.1 ? 40_000 : 2000));
}

test('offset, drift and the instant of every line are found within the stated error', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000_000 }),
      fc.integer({ min: -40, max: 40 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      (offsetUs, driftPpm, seed) => {
        const { lines, printedUs } = planted(
          { offsetUs, driftPpm },
          delays(300, seed),
          300_000,
          seed,
        );
        const clock = fitBoardClock(lines)!;
        t.true(clock.errorUs <= 3000, `${clock.errorUs} µs`);
        t.true(Math.abs(clock.driftPpm - driftPpm) <= 12, `${clock.driftPpm} for ${driftPpm} ppm`);
        for (const [i, { ms }] of lines.entries()) {
          const wrong = boardInstantUs(clock, ms) - printedUs[i]!;
          t.true(Math.abs(wrong) <= clock.errorUs, `${wrong} µs of ${clock.errorUs}`);
        }
      },
    ),
    { seed: 5, numRuns: 60 },
  );
});

test('a short conversation has no drift, and its error is still stated truly', (t) => {
  const { lines, printedUs } = planted({ offsetUs: 5000, driftPpm: 30 }, delays(60, 3), 20_000, 3);
  const clock = fitBoardClock(lines)!;
  t.is(clock.driftPpm, 0);
  for (const [i, { ms }] of lines.entries()) {
    t.true(Math.abs(boardInstantUs(clock, ms) - printedUs[i]!) <= clock.errorUs);
  }
});

test('a slope that no crystal has is not believed', (t) => {
  // The delay grows by 1 ms per second: a buffer that fills.
  const lines = Array.from({ length: 100 }, (_, i) => ({ ms: i * 1000, atUs: i * 1_001_000 }));
  t.true(Math.abs(fitBoardClock(lines)!.driftPpm) <= 100.1);
});

test('stamps that run backwards are counted', (t) => {
  const lines = [10, 20, 15, 30].map((ms) => ({ ms, atUs: ms * 1000 + 100 }));
  t.is(fitBoardClock(lines)!.disorder, 1);
});

test('one line is no clock', (t) => {
  t.is(fitBoardClock([{ ms: 5, atUs: 5000 }]), null);
});
