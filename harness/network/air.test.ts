import test from 'ava';
import { createRandom } from '../random/random.ts';
import { Air } from './air.ts';
import { LinkDirection, type LinkProfile, normalShare } from './link.ts';
import { networkProfiles } from './network-profile.ts';

const still: LinkProfile = { latencyUs: 0, jitterUs: 0 };

function link(
  profile: LinkProfile,
  seed = 1,
): { air: Air; up: LinkDirection; down: LinkDirection } {
  const air = new Air(profile, createRandom(seed, 'air'));
  return {
    air,
    up: new LinkDirection(air, 'up', createRandom(seed, 'up')),
    down: new LinkDirection(air, 'down', createRandom(seed, 'down')),
  };
}

/** Delays of pieces sent far enough apart that none waits for another. */
function delays(direction: LinkDirection, count: number, gapUs: number, bytes = 100): number[] {
  return Array.from({ length: count }, (_, index) => {
    const nowUs = index * gapUs;
    return direction.arrivalUs(bytes, nowUs) - nowUs;
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Pearson's correlation of each value with its successor, from the textbook. */
function lagOne(values: readonly number[]): number {
  const middle = mean(values);
  let product = 0;
  let square = 0;
  values.forEach((value, index) => {
    square += (value - middle) ** 2;
    if (index > 0) product += (value - middle) * (values[index - 1]! - middle);
  });
  return product / square;
}

test('jitter is uniform between 0 and its limit, correlated or not', (t) => {
  for (const jitterCorrelation of [0, 0.5, 0.9]) {
    const found = delays(
      link({ ...still, jitterUs: 100_000, jitterCorrelation }).down,
      40_000,
      1e6,
    );
    for (const share of [0.1, 0.25, 0.5, 0.75, 0.9]) {
      const below = found.filter((delay) => delay < share * 100_000).length / found.length;
      t.true(Math.abs(below - share) < 0.02, `${jitterCorrelation}: ${below} below ${share}`);
    }
  }
});

test('jitter of neighbors is as alike as its correlation says', (t) => {
  // Uniform ranks of normals with correlation r have the correlation (6 / π) · asin(r / 2).
  for (const r of [0, 0.5, 0.7, 0.9]) {
    const profile = { ...still, jitterUs: 100_000, jitterCorrelation: r };
    const found = lagOne(delays(link(profile).down, 40_000, 1e6));
    const expected = (6 / Math.PI) * Math.asin(r / 2);
    t.true(Math.abs(found - expected) < 0.02, `${found} for ${expected}`);
  }
});

test('the normal distribution is right to six digits', (t) => {
  // Tables of the standard normal distribution.
  const table: readonly (readonly [number, number])[] = [
    [-3, 0.0013499],
    [-1.959964, 0.025],
    [-1, 0.1586553],
    [0, 0.5],
    [0.6744898, 0.75],
    [1.6448536, 0.95],
    [2.5758293, 0.995],
  ];
  for (const [x, share] of table) t.true(Math.abs(normalShare(x) - share) < 1e-6, `${x}`);
});

test('a sender waits for its slot', (t) => {
  const { up, down } = link({ latencyUs: 1_000, jitterUs: 0, up: { slotUs: 10_000 } });
  t.deepEqual(
    [0, 1, 9_999, 10_000, 10_001].map((nowUs) => up.arrivalUs(10, nowUs)),
    [1_000, 11_000, 11_000, 11_000, 21_000],
  );
  t.is(down.arrivalUs(10, 1), 1_001, 'the other direction has none');
});

test('directions may differ in latency and bandwidth', (t) => {
  const profile = { ...still, latencyUs: 5_000, up: { latencyUs: 7_000, bytesPerSecond: 1_000 } };
  const { up, down } = link(profile);
  t.is(up.arrivalUs(100, 0), 107_000);
  t.is(down.arrivalUs(100, 0), 5_000);
});

test('a lost segment comes after its retransmission and holds up what follows', (t) => {
  const loss = { chance: 0.02, meanRun: 1, retransmitUs: 200_000 };
  const { down } = link({ ...still, latencyUs: 1_000, loss });
  const arrivals = Array.from({ length: 2_000 }, (_, index) => ({
    sentUs: index * 10_000,
    atUs: down.arrivalUs(500, index * 10_000),
  }));
  const held = arrivals.filter(({ sentUs, atUs }) => atUs === sentUs + 201_000);
  t.true(held.length > 20 && held.length < 60, `${held.length} of 2000 were lost`);
  for (const { sentUs, atUs } of held) {
    const behind = arrivals.filter((piece) => piece.sentUs > sentUs && piece.sentUs < atUs - 1_000);
    t.true(behind.every((piece) => piece.atUs >= atUs));
  }
});

test('every segment of a piece may be lost, and runs of losses double the wait', (t) => {
  const loss = { chance: 0.01, meanRun: 2, retransmitUs: 100_000 };
  const found = delays(link({ ...still, loss }).down, 30_000, 1e9, 4 * 1440);
  const lost = found.filter((delay) => delay > 0);
  // 1 - 0.99^4 of the pieces; half of the losses end after one retransmission, a quarter after two.
  t.true(Math.abs(lost.length / found.length - 0.0394) < 0.004, `${lost.length / found.length}`);
  const once = lost.filter((delay) => delay === 100_000).length / lost.length;
  const twice = lost.filter((delay) => delay === 300_000).length / lost.length;
  t.true(Math.abs(once - 0.5) < 0.05, `${once}`);
  t.true(Math.abs(twice - 0.25) < 0.05, `${twice}`);
  t.true(lost.every((delay) => Number.isInteger(Math.log2(delay / 100_000 + 1))));
});

test('an empty piece, the end of a stream, is never lost', (t) => {
  const { down } = link({ ...still, loss: { chance: 1, meanRun: 1, retransmitUs: 1 } });
  t.is(down.arrivalUs(0, 0), 0);
  t.is(down.arrivalUs(1, 0), 1);
});

test('bursts come as often and last as long as planned, for all connections and directions alike', (t) => {
  const burst = { meanGapUs: 900_000, minimumUs: 50_000, maximumUs: 150_000 };
  const { air, up, down } = link({ ...still, bursts: [burst] });
  const other = new LinkDirection(air, 'down', createRandom(7));
  const ends = new Map<number, number>();
  const lastUs = 2_000_000_000;
  for (let nowUs = 0; nowUs < lastUs; nowUs += 1_000) {
    const atUs = down.arrivalUs(1, nowUs);
    if (up.arrivalUs(1, nowUs) !== atUs || other.arrivalUs(1, nowUs) !== atUs) {
      t.fail(`at ${nowUs}`);
    }
    if (atUs > nowUs && !ends.has(atUs)) ends.set(atUs, atUs - nowUs);
  }
  // A cycle is a gap and a burst: 0.9 s and 0.1 s on average.
  t.true(Math.abs(ends.size - 2_000) < 150, `${ends.size} bursts in 2000 s`);
  const lengths = [...ends.values()];
  t.true(lengths.every((length) => length > 0 && length <= 150_000));
  t.true(Math.abs(mean(lengths) - 100_000) < 3_000, `${mean(lengths)}`);
});

test('data for a sleeping board waits for the next beacon, data for a waking one does not', (t) => {
  const sleep = { beaconUs: 100_000, awakeUs: 50_000 };
  const { up, down } = link({ ...still, sleep });
  t.is(down.arrivalUs(1, 40_000), 40_000, 'it has just connected');
  const first = down.arrivalUs(1, 200_000);
  t.true(first >= 200_000 && first < 300_000);
  const beacon = (nowUs: number): number => {
    const steps = Math.ceil((nowUs - first) / 100_000);
    return first + steps * 100_000;
  };
  t.is(down.arrivalUs(1, first + 10_000), first + 10_000, 'still awake');
  t.is(down.arrivalUs(1, first + 60_000), first + 60_000, 'kept awake by what came');
  const asleep = first + 60_000 + 50_001;
  t.is(down.arrivalUs(1, asleep), beacon(asleep));
  const later = beacon(asleep) + 730_000;
  t.is(up.arrivalUs(1, later), later, 'sending wakes the radio at once');
  t.is(down.arrivalUs(1, later + 20_000), later + 20_000);
});

test('a profile that is changed is in force from then on, also for open connections', (t) => {
  const { air, down } = link({ ...still, latencyUs: 1_000 });
  t.is(down.arrivalUs(1, 0), 1_000);
  air.change({ ...still, latencyUs: 50_000 }, 10_000);
  t.is(down.arrivalUs(1, 10_000), 60_000);
  air.change({ ...still, latencyUs: 1_000 }, 20_000);
  t.is(down.arrivalUs(1, 20_000), 60_000, 'nothing overtakes what is under way');
  t.is(down.arrivalUs(1, 100_000), 101_000);
});

test('every named network says what it is and where its numbers come from', (t) => {
  t.deepEqual(Object.keys(networkProfiles), [
    'ideal',
    'good-wifi',
    'busy-wifi',
    'modem-sleep',
    'weak-wifi',
    'mobile-hotspot',
    'far-server',
  ]);
  for (const { name, about, sources, link: profile } of Object.values(networkProfiles)) {
    t.true(about.length > 10 && sources.length > 0, name);
    // EchoKit device protocol reference, section 6.7.
    if (name !== 'ideal') t.is(profile.windowBytes, 5760, name);
  }
});

test('every named network is the same for the same seed and another one for another', (t) => {
  for (const { name, link: profile } of Object.values(networkProfiles)) {
    const run = (seed: number): number[] => {
      const { up, down } = link(profile, seed);
      return [...delays(up, 300, 40_000, 1440), ...delays(down, 300, 40_000, 400)];
    };
    t.deepEqual(run(3), run(3), name);
    const random = profile.jitterUs > 0;
    t.is(JSON.stringify(run(3)) !== JSON.stringify(run(4)), random, name);
  }
});

test('what is over is let go of, and no instant that is asked for afterwards changes', (t) => {
  const profile = {
    ...still,
    bursts: [
      { meanGapUs: 300_000, minimumUs: 20_000, maximumUs: 400_000 },
      { meanGapUs: 2_000_000, minimumUs: 500_000, maximumUs: 900_000 },
    ],
  };
  const [keeps, forgets] = [1, 2].map(() => new Air(profile, createRandom(3, 'air')));
  const random = createRandom(4, 'questions');
  let nowUs = 0;
  for (let i = 0; i < 5_000; i++) {
    nowUs += random.integer(0, 90_000);
    if (i % 97 === 0) {
      // One that is over, one that goes on, one to come.
      for (const [fromUs, untilUs] of [
        [0, nowUs],
        [nowUs - 50, nowUs + 70_000],
        [nowUs + 200_000, nowUs + 260_000],
      ] as const) {
        for (const air of [keeps!, forgets!]) air.stall('down', { fromUs, untilUs });
      }
    }
    // Ahead of now, and not in order.
    const atUs = nowUs + random.integer(0, 800_000);
    forgets!.forget(nowUs);
    t.is(forgets!.passUs('down', atUs), keeps!.passUs('down', atUs));
  }
});
