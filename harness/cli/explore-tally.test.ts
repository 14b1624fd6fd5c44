import test from 'ava';
import { ExploreTally } from './explore-tally.ts';

const explored = {
  seed: 1,
  violations: [],
  virtualMs: 3_600_000,
  struck: ['wifi-lost', 'cut-audio'],
};
const megabyte = 1024 * 1024;

test('seeds, faults, time and the memory of the process that needs most are added up', (t) => {
  const tally = new ExploreTally();
  const [one, other] = [tally.addProcess(), tally.addProcess()];
  for (let seeds = 1; seeds <= 1000; seeds++) {
    const measured = seeds % 100 === 0;
    // Filling its caches until it is warm, and 2 MB in a thousand seeds from then on.
    const bytes = seeds <= 500 ? seeds * megabyte : (500 + (2 * (seeds - 500)) / 1000) * megabyte;
    const usage = { cpuMs: 100 * seeds, residentBytes: 7, ...(measured && { memoryBytes: bytes }) };
    t.deepEqual(tally.add(one, explored, usage), []);
    t.deepEqual(tally.add(other, { ...explored, struck: [] }, { cpuMs: 5, residentBytes: 9 }), []);
  }
  t.is(tally.seeds, 2000);
  t.is(tally.virtualMs, 2000 * 3_600_000);
  t.is(tally.cpuMs, 100_005);
  t.is(tally.residentBytes, 9);
  t.is(tally.memoryBytes, 501 * megabyte);
  t.is(Math.round(tally.bytesPerThousandSeeds!), 2 * megabyte);
  t.deepEqual(
    [...tally.struck],
    [
      ['wifi-lost', 1000],
      ['cut-audio', 1000],
    ],
  );
  t.false(tally.missing.includes('cut-audio'));
  t.true(tally.missing.includes('end-early'));
});

test('a process that needs 200 MB more than when it was warm breaks a rule', (t) => {
  const tally = new ExploreTally();
  const own = tally.addProcess();
  const at = (memoryBytes?: number) =>
    tally.add(own, explored, { cpuMs: 1, residentBytes: 1, ...(memoryBytes && { memoryBytes }) });
  for (let seeds = 1; seeds < 500; seeds++) at();
  t.deepEqual(at(100 * megabyte), []);
  t.deepEqual(at(299 * megabyte), []);
  t.deepEqual(at(300 * megabyte), [
    { rule: 'bounded-memory', what: '200 MB more memory than 2 seeds before' },
  ]);
  t.is(tally.bytesPerThousandSeeds !== null, true);
});
