import test from 'ava';
import { createRandom } from '../random/random.ts';
import { findAudible } from './audibility.ts';
import { firmwareRules, type PlayerMessage, schedulePlayer } from './player-schedule.ts';
import { prebufferNeededUs } from './prebuffer.ts';

/** Packets of one sentence, the start message first and the end marker last. */
function sentence(packets: { atUs: number; samples: number }[], endUs: number): PlayerMessage[] {
  return [
    { atUs: 0, sentence: 1, kind: 'other' },
    ...packets.map((packet) => ({ ...packet, sentence: 1, kind: 'samples' as const })),
    { atUs: endUs, sentence: 1, kind: 'end' },
  ];
}

function sixSeconds(packetSamples: number, atUs: (index: number) => number): PlayerMessage[] {
  const packets = Array.from({ length: 96_000 / packetSamples }, (_, i) => ({
    atUs: atUs(i),
    samples: packetSamples,
  }));
  return sentence(packets, packets[packets.length - 1]!.atUs);
}

const workedValues: [string, PlayerMessage[], number, number, number][] = [
  ['120 ms packets, all at t = 0', sixSeconds(1920, () => 0), 16_000, 6_016_000, 0],
  ['one every 120 ms, no jitter', sixSeconds(1920, (i) => i * 120_000), 16_000, 6_016_000, 0],
  [
    'one packet 20 ms late',
    sixSeconds(1920, (i) => i * 120_000 + (i === 20 ? 20_000 : 0)),
    16_000,
    6_032_000,
    1,
  ],
  ['20 ms packets, all at t = 0', sixSeconds(320, () => 0), 16_000, 6_016_000, 0],
  ['10 ms packets, all at t = 0', sixSeconds(160, () => 0), 32_000, 9_616_000, 224],
];

for (const [title, messages, firstUs, endUs, empty] of workedValues) {
  // EchoKit device protocol reference, section 6.6.
  test(`the worked player value "${title}" is reproduced`, (t) => {
    const [schedule] = schedulePlayer(messages, 0);
    t.is(schedule!.firstCycle! * 16_000, firstUs);
    t.is(schedule!.drainedCycle! * 16_000, endUs);
    t.is(
      schedule!.emptyRuns.reduce((sum, run) => sum + run.cycles, 0),
      empty,
    );
  });
}

/** The player of section 6.3 as the reference describes it, one sample after the other. */
function playSampleBySample(
  messages: readonly (PlayerMessage & { readonly audio?: Int16Array })[],
  startUs: number,
  rest: number[],
  totalSamples: number,
  prebufferChunks: number,
) {
  const inbox = [...messages];
  const queue: (number[] | { end: number })[] = [];
  const played = new Int16Array(totalSamples);
  const empty: number[] = [];
  let current: number[] | null = null;
  let speaking: number | null = null;
  let firstCycle: number | null = null;
  let drainedCycle: number | null = null;
  let full = prebufferChunks === 0;
  for (let position = 0; position < totalSamples; position++) {
    if (position % 256 === 0) {
      const nowUs = startUs + (position / 256) * 16_000;
      const message = inbox[0];
      if (message !== undefined && message.atUs <= nowUs) {
        inbox.shift();
        if (message.kind === 'samples') {
          for (const sample of message.audio!) {
            rest.push(sample);
            if (rest.length === 256) queue.push(rest.splice(0));
          }
        }
        if (message.kind === 'end') queue.push({ end: message.sentence });
        if (message.kind === 'end' || queue.length >= prebufferChunks) full ||= queue.length > 0;
        if (message.kind === 'clear') {
          full = true;
          queue.length = 0;
          speaking = null;
        }
      }
      let item = full ? queue.shift() : undefined;
      if (item !== undefined && 'end' in item) {
        speaking = null;
        drainedCycle = position / 256;
        item = queue.shift();
      }
      current = (item as number[] | undefined) ?? null;
      if (current !== null) {
        speaking ??= 1;
        firstCycle ??= position / 256;
      } else if (speaking !== null) empty.push(position / 256);
    }
    played[position] = current === null ? 0 : current[position % 256]!;
  }
  return { played, empty, firstCycle, drainedCycle };
}

function cyclesOf(runs: readonly { cycle: number; cycles: number }[]): number[] {
  return runs.flatMap((run) => Array.from({ length: run.cycles }, (_, i) => run.cycle + i));
}

test('300 generated arrival patterns agree with a player that runs sample by sample', (t) => {
  let underruns = 0;
  for (let seed = 0; seed < 300; seed++) {
    const random = createRandom(seed, 'arrivals');
    const startUs = random.integer(0, 40_000);
    const restSamples = random.integer(0, 255);
    const lead = random.integer(0, 3000);
    const packetSamples = [160, 320, 960, 1920][random.integer(0, 3)]!;
    const burst = random.next() < 0.3;
    const messages: (PlayerMessage & { audio?: Int16Array })[] = [];
    let atUs = startUs + random.integer(0, 100_000);
    messages.push({ atUs, sentence: 1, kind: 'other' });
    let produced = 0;
    const packets = random.integer(1, 14);
    for (let i = 0; i < packets; i++) {
      // Half of the instants fall exactly on the start of a cycle, where the rule matters.
      if (!burst) atUs += Math.round(packetSamples * 62.5 * random.between(0, 2));
      if (random.next() < 0.5) atUs = startUs + Math.ceil((atUs - startUs) / 16_000) * 16_000;
      const samples = i === packets - 1 ? random.integer(1, packetSamples) : packetSamples;
      const audio = Int16Array.from({ length: samples }, (_, k) =>
        produced + k < lead ? 0 : (produced + k) % 2 === 0 ? 9000 : -9000,
      );
      produced += samples;
      messages.push({ atUs, sentence: 1, kind: 'samples', samples, audio });
    }
    atUs += random.integer(0, 60_000);
    messages.push({ atUs, sentence: 1, kind: random.next() < 0.9 ? 'end' : 'clear' });

    const total = 256 * 700;
    const rest = Array.from({ length: restSamples }, () => 5);
    const prebufferChunks = random.next() < 0.5 ? 0 : random.integer(1, 40);
    const oracle = playSampleBySample(messages, startUs, rest, total, prebufferChunks);
    const rules = { ...firmwareRules, prebufferChunks };
    const [schedule] = schedulePlayer(messages, startUs, restSamples, undefined, rules);

    t.is(schedule!.firstCycle, oracle.firstCycle, `seed ${seed}`);
    t.deepEqual(cyclesOf(schedule!.emptyRuns), oracle.empty, `seed ${seed}`);
    t.is(schedule!.drainedCycle, oracle.drainedCycle, `seed ${seed}`);
    t.is(schedule!.restAfter, rest.length);
    underruns += oracle.empty.length;
    if (schedule!.clearedSamples > 0 || produced < lead + 400 || schedule!.firstCycle === null) {
      continue;
    }
    // The first audible sample from the schedule alone: `lead` silent samples after the rest,
    // pushed back by every empty cycle before it.
    let position = schedule!.firstCycle * 256 + restSamples + lead;
    for (const run of schedule!.emptyRuns) {
      if (run.cycle * 256 <= position) position += run.cycles * 256;
    }
    const audible = findAudible(oracle.played);
    if (audible !== null && position < schedule!.endCycle! * 256 - 160) {
      t.is(audible.first, position, `seed ${seed}`);
    }
  }
  t.true(underruns > 500, `the patterns must hold underruns: ${underruns}`);
});

test('the prebuffer needed is the smallest start delay that removes every underrun', (t) => {
  let positive = 0;
  for (let seed = 0; seed < 200; seed++) {
    const random = createRandom(seed, 'prebuffer');
    const restSamples = random.integer(0, 255);
    const arrivals: { atUs: number; samples: number }[] = [];
    let atUs = random.integer(0, 30_000);
    for (let i = random.integer(1, 12); i > 0; i--) {
      arrivals.push({ atUs, samples: [160, 700, 1920][random.integer(0, 2)]! });
      atUs += random.integer(0, 200_000);
    }
    const endUs = atUs;

    // Brute force: let the queue fill, start `delay` cycles after the first complete chunk, look.
    const plays = (delay: number): boolean | null => {
      const inbox: { atUs: number; samples: number }[] = [
        ...arrivals,
        { atUs: endUs, samples: -1 },
      ];
      let buffered = restSamples;
      let ended = false;
      let start: number | null = null;
      for (let cycle = 0; cycle < 2000; cycle++) {
        if (inbox[0] !== undefined && inbox[0].atUs <= cycle * 16_000) {
          const message = inbox.shift()!;
          if (message.samples < 0) ended = true;
          else buffered += message.samples;
        }
        if (start === null && buffered >= 256) start = cycle + delay;
        if (start === null || cycle < start) continue;
        if (buffered >= 256) buffered -= 256;
        else return ended;
      }
      return null;
    };
    let expected: number | null = null;
    if (plays(0) !== null) {
      expected = 0;
      while (plays(expected) !== true) expected++;
    }
    const needed = prebufferNeededUs(arrivals, endUs, 0, restSamples);
    t.is(needed, expected === null ? null : expected * 16_000, `seed ${seed}`);
    if ((needed ?? 0) > 0) positive++;
  }
  t.true(positive > 100, String(positive));
});

test('a clear throws away what was not yet played and keeps the rest', (t) => {
  const [first, second] = schedulePlayer(
    [
      { atUs: 0, sentence: 1, kind: 'samples', samples: 2600 },
      { atUs: 60_000, sentence: 1, kind: 'clear' },
      { atUs: 200_000, sentence: 2, kind: 'samples', samples: 300 },
      { atUs: 200_000, sentence: 2, kind: 'end' },
    ],
    0,
  );
  t.is(first!.chunks, 4);
  t.is(first!.clearedSamples, 6 * 256);
  t.is(first!.drainedCycle, null);
  t.deepEqual(first!.emptyRuns, []);
  t.is(second!.restBefore, 40);
  t.is(second!.chunks, 1);
});

test('a recording that ends in mid sentence ends the schedule there', (t) => {
  const messages: PlayerMessage[] = [
    { atUs: 0, sentence: 1, kind: 'samples', samples: 512 },
    { atUs: 160_000, sentence: 1, kind: 'samples', samples: 5120 },
    { atUs: 160_000, sentence: 1, kind: 'end' },
  ];
  t.deepEqual(schedulePlayer(messages, 0, 0, 6)[0]!.emptyRuns, [{ cycle: 2, cycles: 4 }]);
  const [cut] = schedulePlayer(messages, 0, 0, 15);
  t.is(cut!.chunks, 7);
  t.is(cut!.drainedCycle, null);
  t.deepEqual(cut!.emptyRuns, [{ cycle: 2, cycles: 8 }]);
});
