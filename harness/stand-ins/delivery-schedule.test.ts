import test from 'ava';
import fc from 'fast-check';
import { createRandom } from '../random/random.ts';
import {
  heldBack,
  scheduleDelivery,
  segmentedSchedule,
  truncateSchedule,
} from './delivery-schedule.ts';
import { personalities } from './personality-catalog.ts';
import { changedProfile, type TimingProfile } from './timing-profile.ts';

const profiles = [...personalities().values()].map(({ timing }) => timing);
const timingOf = (name: string): TimingProfile => personalities().get(name)!.timing;

test('first bytes of many draws have the percentiles of the profile', (t) => {
  for (const profile of profiles) {
    const random = createRandom(7, profile.name);
    const draws = Array.from(
      { length: 4000 },
      (_, i) => scheduleDelivery(2, 16_000, profile, random.fork(String(i))).firstByteUs / 1000,
    ).sort((a, b) => a - b);
    const { p50, p95 } = profile.firstByteMs;
    t.true(Math.abs(draws[2000]! / p50 - 1) < 0.06, `${profile.name} p50 ${draws[2000]}`);
    t.true(Math.abs(draws[3800]! / p95 - 1) < 0.08, `${profile.name} p95 ${draws[3800]}`);
  }
});

test('every byte is delivered once, in order, never before it is produced', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...profiles),
      fc.integer({ min: 0, max: 20 }),
      fc.integer(),
      fc.constantFrom(16_000, 24_000, 44_100),
      fc.option(fc.double({ min: 0.3, max: 30, noNaN: true }), { nil: undefined }),
      (base, seconds, seed, rateHz, speed) => {
        const profile = changedProfile(base, speed === undefined ? {} : { speed });
        const bytes = seconds * rateHz * 2;
        const { firstByteUs, chunks, endUs } = scheduleDelivery(
          bytes,
          rateHz,
          profile,
          createRandom(seed),
        );
        let sent = 0;
        let lastUs = firstByteUs;
        const first = chunks[0]?.bytes ?? 0;
        for (const chunk of chunks) {
          sent += chunk.bytes;
          if (!Number.isInteger(chunk.atUs) || chunk.atUs < lastUs || chunk.bytes < 1) return false;
          lastUs = chunk.atUs;
          const producedUs = (((sent - first) / (2 * rateHz)) * 1e6) / profile.speed;
          if (chunk.atUs < firstByteUs + producedUs - 1) return false;
        }
        return (
          sent === bytes && endUs === lastUs && (chunks[0]?.atUs ?? firstByteUs) === firstByteUs
        );
      },
    ),
    { numRuns: 300, seed: 1 },
  );
  t.pass();
});

test('the speed of a scenario is what a long clip arrives with', (t) => {
  for (const profile of [timingOf('openai-mini'), timingOf('elevenlabs-flash-ws')]) {
    for (const speed of [0.5, 1, 2, 20]) {
      const changed = { ...changedProfile(profile, { speed }), jitterMs: 0 };
      const { firstByteUs, chunks, endUs } = scheduleDelivery(
        60 * 32_000,
        16_000,
        changed,
        createRandom(3),
      );
      const rest = 60 - chunks[0]!.bytes / 32_000;
      const reached = rest / ((endUs - firstByteUs) / 1e6);
      t.true(reached <= speed * 1.001, `${profile.name} at ${speed}: ${reached}`);
      // Gaps between chunks may hold a fast provider back, but not below half of its speed.
      t.true(
        reached > speed * (speed <= 2 ? 0.999 : 0.5),
        `${profile.name} at ${speed}: ${reached}`,
      );
    }
  }
});

test('gsv chunks climb the ladder 1.0, 1.3, 2.3, 3.3, 3.3 s at a third of real time', (t) => {
  const profile = { ...timingOf('gsv-stream-gpu'), jitterMs: 0 };
  const { firstByteUs, chunks } = scheduleDelivery(12 * 64_000, 32_000, profile, createRandom(1));
  t.deepEqual(
    chunks.map(({ bytes }) => bytes / 64_000),
    [1, 1.3, 2.3, 3.3, 3.3, 0.8].map((seconds) => Math.round(seconds * 64_000) / 64_000),
  );
  const afterFirst = [0, 1.3, 3.6, 6.9, 10.2, 11].map((seconds) => (seconds / 3) * 1e6);
  for (const [i, { atUs }] of chunks.entries()) {
    t.true(Math.abs(atUs - firstByteUs - afterFirst[i]!) < 5, `chunk ${i}`);
  }
});

test('half of the cuts of a byte stream split a sample', (t) => {
  const { chunks } = scheduleDelivery(
    400 * 48_000,
    24_000,
    timingOf('openai-mini'),
    createRandom(5),
  );
  let offset = 0;
  const odd = chunks.filter(({ bytes }) => {
    offset += bytes;
    return offset % 2 === 1;
  });
  t.true(chunks.length > 1000);
  t.true(Math.abs(odd.length / chunks.length - 0.5) < 0.05);
  for (const { bytes } of chunks.slice(1, -1)) {
    t.true(bytes >= 0.1 * 48_000 && bytes <= 0.4 * 48_000 + 1);
  }
});

test('an engine that finishes the clip first takes longer for a longer one', (t) => {
  const profile = timingOf('gsv-full');
  const { firstByteUs, chunks } = scheduleDelivery(10 * 64_000, 32_000, profile, createRandom(1));
  t.is(firstByteUs, 300_000 + 10 * 350_000);
  t.deepEqual(chunks, [{ atUs: firstByteUs, bytes: 10 * 64_000 }]);
});

test('the same seed gives the same schedule and another seed another', (t) => {
  const draw = (seed: number) =>
    scheduleDelivery(200_000, 24_000, timingOf('openai-mini'), createRandom(seed));
  t.deepEqual(draw(1), draw(1));
  t.notDeepEqual(draw(1), draw(2));
});

test('changes replace the median, the speed and the silence, and nothing else', (t) => {
  const profile = timingOf('openai-mini');
  t.deepEqual(changedProfile(profile, {}), profile);
  const changed = changedProfile(profile, { firstByteMs: 60, speed: 10, leadSilenceMs: 0 });
  t.deepEqual(changed, {
    ...profile,
    firstByteMs: { p50: 60, p95: 150 },
    speed: 10,
    cadenceMs: [{ minimum: 15, maximum: 40 }],
    leadSilenceMs: 0,
  });
  const still = changedProfile(profile, { firstByteMs: 0 });
  t.is(scheduleDelivery(100, 24_000, still, createRandom(1)).firstByteUs, 0);
});

test('a truncated schedule ends with its last byte', (t) => {
  const schedule = {
    firstByteUs: 10,
    chunks: [
      { atUs: 10, bytes: 100 },
      { atUs: 20, bytes: 100 },
    ],
    endUs: 20,
  };
  t.deepEqual(truncateSchedule(schedule, 0), { firstByteUs: 10, chunks: [], endUs: 10 });
  t.deepEqual(truncateSchedule(schedule, 100).endUs, 10);
  t.deepEqual(truncateSchedule(schedule, 150), {
    firstByteUs: 10,
    chunks: [
      { atUs: 10, bytes: 100 },
      { atUs: 20, bytes: 50 },
    ],
    endUs: 20,
  });
  t.deepEqual(truncateSchedule(schedule, 999), schedule);
});

const chunks = (...all: [number, number][]) => all.map(([atUs, bytes]) => ({ atUs, bytes }));

test('chunks are cut where segments end; a whole segment waits for its last byte', (t) => {
  const schedule = { firstByteUs: 10, chunks: chunks([10, 100], [20, 100], [30, 50]), endUs: 30 };
  t.deepEqual(segmentedSchedule(schedule, [120, 250], false), {
    ...schedule,
    chunks: chunks([10, 100], [20, 20], [20, 80], [30, 50]),
  });
  t.deepEqual(segmentedSchedule(schedule, [120, 250], true), {
    firstByteUs: 20,
    chunks: chunks([20, 100], [20, 20], [30, 80], [30, 50]),
    endUs: 30,
  });
  // A segment without audio changes nothing.
  t.deepEqual(
    segmentedSchedule(schedule, [0, 120, 120, 250], true),
    segmentedSchedule(schedule, [120, 250], true),
  );
  t.deepEqual(segmentedSchedule(schedule, [250], true), heldBack(schedule));
  const silent = { firstByteUs: 10, chunks: [], endUs: 10 };
  t.deepEqual(segmentedSchedule(silent, [0], true), silent);
});

test('segments keep every byte in order, and none leaves before it was made', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      fc.integer(),
      (sizes, whole, seed) => {
        const ends: number[] = [];
        for (const size of sizes) ends.push((ends.at(-1) ?? 0) + 2 * size);
        const total = ends.at(-1)!;
        const plain = scheduleDelivery(
          total,
          16_000,
          timingOf('fish-balanced-ws'),
          createRandom(seed),
        );
        const cut = segmentedSchedule(plain, ends, whole);
        const madeUs = (byte: number): number => {
          let sent = 0;
          for (const chunk of plain.chunks) {
            sent += chunk.bytes;
            if (sent >= byte) return chunk.atUs;
          }
          return plain.endUs;
        };
        let offset = 0;
        let lastUs = 0;
        for (const { atUs, bytes } of cut.chunks) {
          const from = offset;
          offset += bytes;
          const segmentEnd = ends.find((end) => end >= offset)!;
          const segmentStart = ends.findLast((end) => end < offset) ?? 0;
          if (bytes < 1 || from < segmentStart || atUs < lastUs) return false;
          if (atUs !== madeUs(whole ? segmentEnd : offset)) return false;
          lastUs = atUs;
        }
        return offset === total && cut.endUs === plain.endUs;
      },
    ),
    { numRuns: 300, seed: 1 },
  );
  t.pass();
});
