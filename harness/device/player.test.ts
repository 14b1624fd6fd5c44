import test from 'ava';
import {
  chunkSamples,
  cycleUs,
  Player,
  type PlayerMessage,
  type PlayerTransition,
} from './player.ts';

const foreverUs = 60_000_000;

function ramp(samples: number, from = 1): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => ((from + i) % 30_000) + 1);
}

/** What happened but the mouth shapes. */
function run(player: Player, atUs: number): PlayerTransition[] {
  return player.advanceTo(atUs).filter(({ type }) => type !== 'vowel');
}

function createPlayer(helloSamples: Int16Array = new Int16Array(0)): Player {
  return new Player({ startUs: 0, helloSamples });
}

/** One sentence of `totalSamples` in packets, the end marker right after the last. */
function sentence(
  packetSamples: number,
  arrivalUs: (index: number) => number,
  totalSamples = 96_000,
): { message: PlayerMessage; atUs: number }[] {
  const packets = totalSamples / packetSamples;
  return [
    { message: { kind: 'start', sentence: 1 }, atUs: 0 },
    ...Array.from({ length: packets }, (_, i) => ({
      message: {
        kind: 'audio' as const,
        sentence: 1,
        samples: ramp(packetSamples, i * packetSamples),
        vowel: 0,
      },
      atUs: arrivalUs(i),
    })),
    { message: { kind: 'end', sentence: 1 }, atUs: arrivalUs(packets - 1) },
  ];
}

function play(messages: { message: PlayerMessage; atUs: number }[]) {
  const player = createPlayer();
  for (const { message, atUs } of messages) player.post(message, atUs);
  return { player, happened: run(player, foreverUs) };
}

// EchoKit device protocol reference, section 6.6: six seconds of audio, everything from t = 0.
const workedValues = [
  { title: '120 ms packets, all at t = 0', first: 16_000, end: 6_016_000, empty: 0 },
  { title: '120 ms packets, one every 120 ms', first: 16_000, end: 6_016_000, empty: 0 },
  { title: '120 ms packets, one of them 20 ms late', first: 16_000, end: 6_032_000, empty: 1 },
  { title: '20 ms packets, all at t = 0', first: 16_000, end: 6_016_000, empty: 0 },
  { title: '10 ms packets, all at t = 0', first: 32_000, end: 9_616_000, empty: 224 },
];
const workedPatterns = [
  sentence(1920, () => 0),
  sentence(1920, (i) => i * 120_000),
  sentence(1920, (i) => i * 120_000 + (i === 20 ? 20_000 : 0)),
  sentence(320, () => 0),
  sentence(160, () => 0),
];

for (const [index, { title, first, end, empty }] of workedValues.entries()) {
  test(`worked value: ${title}`, (t) => {
    const { player, happened } = play(workedPatterns[index]!);
    t.is(happened.find((h) => h.type === 'playStart')?.atUs, first);
    t.is(happened.find((h) => h.type === 'drained')?.atUs, end);
    const runs = happened.filter((h) => h.type === 'underrunEnd');
    t.is(
      runs.reduce((sum, h) => sum + h.cycles, 0),
      empty,
    );
    t.is(happened.filter((h) => h.type === 'underrunStart').length, runs.length);
    // Every sample is there once and in order, apart from the zeros of empty cycles.
    const heard = player.speaker().filter((s) => s !== 0);
    t.true(Buffer.from(heard.buffer).equals(Buffer.from(ramp(96_000, 0).buffer)));
  });
}

test('10 ms packets all at once leave 226 of 601 cycles silent', (t) => {
  const { player } = play(workedPatterns[4]!);
  const speaker = player.speaker().subarray(0, 9_616 * 16);
  let silent = 0;
  for (let at = 0; at < speaker.length; at += chunkSamples) if (speaker[at] === 0) silent++;
  // 601 cycles until the end signal, 375 of them with sound; "225 empty" leaves out cycle 0.
  t.is(silent, 226);
});

test('what does not fill a chunk is kept and starts the next sentence', (t) => {
  const player = createPlayer();
  player.post({ kind: 'audio', sentence: 1, samples: ramp(1920, 0) }, 0);
  player.post({ kind: 'end', sentence: 1 }, 0);
  const [, drained] = run(player, 200_000);
  t.like(drained, { type: 'drained', restSamples: 128, position: 7 * 256, atUs: 7 * cycleUs });
  player.post({ kind: 'audio', sentence: 2, samples: ramp(128, 1920) }, 200_000);
  player.post({ kind: 'end', sentence: 2 }, 200_000);
  t.like(run(player, 400_000), [
    { type: 'playStart', sentence: 2, position: 13 * 256 },
    { type: 'drained', sentence: 2, restSamples: 0 },
  ]);
  t.deepEqual(player.speaker().subarray(13 * 256, 14 * 256), ramp(256, 1792));
});

test('the hello throws away the queue but not the rest, and ends with its own signal', (t) => {
  const hello = ramp(600, 20_000);
  const player = new Player({ startUs: 5_000, helloSamples: hello });
  player.post({ kind: 'audio', sentence: 1, samples: ramp(2000, 0) }, 5_000);
  player.post({ kind: 'end', sentence: 1 }, 5_000);
  player.post({ kind: 'hello', cause: 'k0' }, 40_000);
  const happened = run(player, 1_000_000);
  // Cycles 0 to 2 play a chunk each; cycle 3 takes the hello, 4 of 7 chunks are left.
  t.deepEqual(
    happened.map((h) => [h.type, h.atUs]),
    [
      ['playStart', 5_000],
      ['helloStart', 53_000],
      ['cleared', 53_000],
      // 600 hello samples behind 208 stale ones: three chunks and 40 over.
      ['helloDone', 53_000 + 3 * cycleUs],
    ],
  );
  t.like(happened[2], { samples: 4 * 256, firedSentences: [1], firedHello: false, cause: 'k0' });
  t.deepEqual(player.speaker().subarray(3 * 256, 3 * 256 + 208), ramp(208, 1792));
  t.deepEqual(player.speaker().subarray(3 * 256 + 208, 6 * 256), hello.subarray(0, 560));
  t.deepEqual(player.ledger(), {
    pushedSamples: 2600,
    playedSamples: 6 * 256,
    clearedSamples: 4 * 256,
    queuedSamples: 0,
    restSamples: 40,
  });
});

test('a new hello sound replaces the old one from the next hello on', (t) => {
  const player = createPlayer(ramp(256));
  player.post({ kind: 'setHello', samples: ramp(512, 900) }, 0);
  player.post({ kind: 'hello', cause: 'k0' }, 0);
  t.is(run(player, 1_000_000).at(-1)!.atUs, 3 * cycleUs);
  t.deepEqual(player.speaker().subarray(256, 768), ramp(512, 900));
});

test('gain is that of the instant at which a chunk is completed and truncates toward zero', (t) => {
  const player = createPlayer();
  const odd = new Int16Array(300).fill(-7);
  player.post({ kind: 'audio', sentence: 1, samples: odd }, 0);
  player.post({ kind: 'volume', gainShift: 1 }, 0);
  player.post({ kind: 'audio', sentence: 1, samples: odd }, 0);
  run(player, 200_000);
  const heard = player.speaker();
  t.true(heard.subarray(0, 256).every((s) => s === -7));
  // -7 divided by two is -3, also for the 44 samples that came before the volume.
  t.true(heard.subarray(512, 768).every((s) => s === -3));
});

test('an empty queue after the last chunk counts until the end marker comes', (t) => {
  const player = createPlayer();
  player.post({ kind: 'audio', sentence: 1, samples: ramp(512) }, 0);
  player.post({ kind: 'end', sentence: 1 }, 60_000);
  t.like(run(player, 200_000), [
    { type: 'playStart' },
    { type: 'underrunStart', position: 512, atUs: 32_000 },
    { type: 'underrunEnd', position: 1024, cycles: 2, atUs: 64_000 },
    { type: 'drained', position: 512, atUs: 64_000 },
  ]);
});

test('no underrun is counted before the first chunk of a sentence or after its end', (t) => {
  const player = createPlayer();
  player.post({ kind: 'start', sentence: 1 }, 0);
  player.post({ kind: 'audio', sentence: 1, samples: ramp(256) }, 500_000);
  player.post({ kind: 'end', sentence: 1 }, 500_000);
  // The marker comes one cycle after the only chunk has begun, just in time.
  t.deepEqual(
    run(player, 2_000_000).map((h) => h.type),
    ['playStart', 'drained'],
  );
});

test('an answer that ends without an end marker leaves no endless underrun', (t) => {
  const player = createPlayer();
  player.post({ kind: 'audio', sentence: 1, samples: ramp(512) }, 0);
  player.abandon(1, 10_000);
  t.deepEqual(
    run(player, 1_000_000).map((h) => h.type),
    ['playStart'],
  );
  t.is(player.nextDeadlineUs(), undefined);

  const starved = createPlayer();
  starved.post({ kind: 'audio', sentence: 1, samples: ramp(512) }, 0);
  starved.abandon(1, 100_000);
  t.like(starved.advanceTo(1_000_000), [
    { type: 'playStart' },
    { type: 'underrunStart', atUs: 32_000 },
    { type: 'underrunEnd', atUs: 112_000, cycles: 5 },
  ]);
});

test('a sentence without a chunk drains where it is taken', (t) => {
  const player = createPlayer();
  player.post({ kind: 'start', sentence: 1 }, 0);
  player.post({ kind: 'end', sentence: 1 }, 0);
  t.like(run(player, 100_000), [{ type: 'drained', atUs: 16_000, position: 256 }]);
});

test('a message handed over when a cycle begins is taken by it, one microsecond later is not', (t) => {
  for (const [atUs, expected] of [
    [32_000, 32_000],
    [32_001, 48_000],
  ] as const) {
    const player = createPlayer();
    // Looking at the very instant leaves it open for what is handed over in it.
    run(player, 32_000);
    player.post({ kind: 'audio', sentence: 1, samples: ramp(256) }, atUs);
    t.is(run(player, 100_000)[0]!.atUs, expected);
  }
});

test('a mouth shape leaves the queue in front of its packet', (t) => {
  const player = createPlayer();
  player.post({ kind: 'audio', sentence: 1, samples: ramp(1920), vowel: 2 }, 0);
  player.post({ kind: 'audio', sentence: 1, samples: ramp(1920), vowel: 3 }, 0);
  const vowels = player.advanceTo(1_000_000).filter((happened) => happened.type === 'vowel');
  t.deepEqual(vowels, [
    { type: 'vowel', atUs: 0, vowel: 2 },
    { type: 'vowel', atUs: 7 * cycleUs, vowel: 3 },
  ]);
});

test('without room for a mouth shape the player plays zeros and takes no message', (t) => {
  const player = createPlayer();
  for (const vowel of [1, 2, 3]) {
    player.post({ kind: 'audio', sentence: 1, samples: ramp(512), vowel }, 0);
  }
  // Room for one: the second, two chunks later, has to wait.
  const first = player.advanceTo(10 * cycleUs, 1);
  t.deepEqual(
    first.map(({ type, atUs }) => [type, atUs / cycleUs]),
    [
      ['vowel', 0],
      ['playStart', 0],
      ['stallStart', 2],
      ['underrunStart', 2],
    ],
  );
  t.true(player.stalled);
  t.is(player.nextDeadlineUs(0), undefined);
  player.post({ kind: 'clear', cause: 'k0' }, 10 * cycleUs);
  t.deepEqual(player.advanceTo(20 * cycleUs, 0), []);
  t.is(player.nextDeadlineUs(1), 20 * cycleUs + 1);
  // The cycle that goes on has had its message; the next one clears the queue.
  const then = player.advanceTo(25 * cycleUs, 5);
  t.deepEqual(
    then.map(({ type, atUs }) => [type, atUs / cycleUs]),
    [
      ['stallEnd', 20],
      ['vowel', 20],
      ['underrunEnd', 20],
      ['cleared', 21],
    ],
  );
});

test('an hour of silence costs one step', (t) => {
  const player = createPlayer();
  t.is(player.nextDeadlineUs(), undefined);
  t.deepEqual(player.advanceTo(3_600_000_000), []);
  t.is(player.position, 3_600 * 16_000);
});

test('a player that keeps ten seconds plays on as one that keeps all, and has zeros before them', (t) => {
  const make = (keepPlayedMs?: number): Player =>
    new Player({
      startUs: 0,
      helloSamples: new Int16Array(0),
      ...(keepPlayedMs !== undefined && { keepPlayedMs }),
    });
  const [all, some] = [make(), make(10_000)];
  const samples = 100 * chunkSamples;
  for (let sentence = 1; sentence <= 30; sentence++) {
    const atUs = (sentence - 1) * 1_600_000;
    for (const player of [all, some]) {
      const audio = new Int16Array(samples).fill(sentence);
      player.post({ kind: 'audio', sentence, samples: audio }, atUs);
      player.post({ kind: 'end', sentence }, atUs);
      player.advanceTo(atUs + 1_599_999);
    }
  }
  t.is(some.position, all.position);
  t.deepEqual(some.ledger(), all.ledger());
  const [whole, kept] = [all.speaker(), some.speaker()];
  const from = kept.findIndex((sample) => sample !== 0);
  t.true(from > 0 && kept.length - from >= 160_000, `kept from ${from} of ${kept.length}`);
  t.deepEqual(kept.subarray(from), whole.subarray(from));
});
