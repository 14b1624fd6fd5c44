import test from 'ava';
import type { TraceEvent } from '../trace/trace-event.ts';
import { amountOf, checkBalance, samplesAt } from './ledger-balance.contract.ts';
import { measureCell } from './measure.ts';
import { type PlantedSentence, type PlantedTurn, plantCell } from './planted-cell.contract.ts';
import type { RecordedCell } from './recorded-cell.ts';

function sentenceAt(startUs: number, samples: readonly number[]): PlantedSentence {
  return {
    readyUs: startUs + 2_500_000,
    decidedUs: startUs + 2_501_000,
    connectedUs: startUs + 2_501_000,
    writtenUs: startUs + 2_502_000,
    chunks: samples.map((count, i) => ({ atUs: startUs + 2_900_000 + i * 50_000, samples: count })),
    leadSamples: 100,
    tailSamples: 0,
    holdUs: 1000,
    downlinkUs: 40_000,
  };
}

function turnAt(startUs: number, sentences: readonly PlantedSentence[]): PlantedTurn {
  return {
    speechStartUs: startUs + 1_000_000,
    userStopUs: startUs + 2_000_000,
    endOfTurnUs: startUs + 2_300_000,
    firstTextUs: startUs + 2_440_000,
    sentences,
    endUs: startUs + 7_000_000,
  };
}

const plan = {
  speakerStartUs: 0,
  restSamples: 231,
  speakerSamples: 16_000 * 20,
  turns: [
    turnAt(0, [sentenceAt(0, [4000, 16_000])]),
    turnAt(8_000_000, [sentenceAt(8_000_000, [5000])]),
  ],
};

function changed(
  cell: RecordedCell,
  change: (event: TraceEvent) => TraceEvent | null,
): RecordedCell {
  const events = cell.events.flatMap((event) => change(event) ?? []);
  return { ...cell, events };
}

test('the planted numbers stand in the ledger of their turn', (t) => {
  const { conservation } = measureCell(plantCell(plan).cell);
  checkBalance(t, conservation);
  const [first, second] = conservation.turns;
  // 20000 samples are 10 packets and 800, the rest of a packet is 1120; 5000 are 2 packets and 1160.
  t.is(samplesAt(first!.ledger, 'provider'), 20_000);
  t.is(amountOf(first!.ledger, 'padding'), 1120);
  t.is(samplesAt(first!.ledger, 'framed'), 11 * 1920);
  t.is(samplesAt(second!.ledger, 'decoded'), 3 * 1920);
  t.is(amountOf(second!.ledger, 'padding'), 760);
  // The planted hello leaves 231 samples. 231 + 21120 = 83 chunks and 103; 103 + 5760 = 22 and 231.
  t.is(samplesAt(first!.ledger, 'played'), 83 * 256);
  t.is(amountOf(first!.ledger, 'rest'), 231 - 103);
  t.is(samplesAt(second!.ledger, 'played'), 22 * 256);
  t.is(amountOf(second!.ledger, 'rest'), 103 - 231);
  t.true(first!.restKnown && second!.restKnown);
});

test('an answer that is cut off says in its own turn what was cleared and dropped', (t) => {
  const cut = { ...sentenceAt(0, [4000, 16_000, 16_000]), clearedUs: 3_700_000 };
  const { cell } = plantCell({
    ...plan,
    turns: [{ ...turnAt(0, [cut]), serverOutcome: 'interrupted' }, plan.turns[1]!],
  });
  const { conservation } = measureCell(cell);
  checkBalance(t, conservation);
  const [first, second] = conservation.turns;
  const [told] = cell.events.filter((event) => event.type === 'playerCleared');
  t.is(amountOf(first!.ledger, 'cleared'), told!.type === 'playerCleared' ? -told!.samples : 0);
  t.is(amountOf(second!.ledger, 'cleared'), 0);
  t.is(amountOf(conservation.outside, 'cleared'), 0);
});

test('an empty packet adds what the decoder of the board makes up for it', (t) => {
  const { cell } = plantCell(plan);
  const first = cell.events.find((event) => event.type === 'frameHandled')!;
  const message = { atUs: first.atUs, connection: 1, frame: 1000, event: 'AudioChunk' };
  const empty = { bytes: 24, ...message };
  const received = { type: 'frameReceived', concealedSamples: 1920, ...empty } as const;
  const handled = { type: 'frameHandled', samples: 1920, disposition: 'dropped' } as const;
  const more: TraceEvent[] = [
    { source: 'server', type: 'frame', seq: 1001, turn: 1, sentence: 1, ...empty },
    { source: 'device', seq: 1002, ...received },
    { source: 'device', seq: 1003, ...handled, ...message },
  ];
  const at = cell.events.indexOf(first) + 1;
  const events = [...cell.events.slice(0, at), ...more, ...cell.events.slice(at)];
  const { conservation } = measureCell({ ...cell, events });
  checkBalance(t, conservation);
  const [turn] = conservation.turns;
  t.is(amountOf(turn!.ledger, 'concealed'), 1920);
  t.is(amountOf(turn!.ledger, 'dropped'), -1920);
  t.is(samplesAt(turn!.ledger, 'decoded'), 11 * 1920 + 1920);
});

test('a packet that cannot be decoded has arrived, and is no hole in the connection', (t) => {
  const cut = { ...sentenceAt(0, [4000, 16_000, 16_000]), clearedUs: 2_970_000 };
  const { cell } = plantCell({ ...plan, turns: [turnAt(0, [cut])] });
  const dropped = cell.events.flatMap((event) =>
    event.type === 'frameHandled' && event.disposition === 'dropped' ? [event] : [],
  );
  t.true(dropped.length > 1);
  const { connection, frame } = dropped[0]!;
  const broken = changed(cell, (event) => {
    if (event.source !== 'device' || !('frame' in event) || event.frame !== frame) return event;
    if (event.type !== 'frameReceived') return null;
    const { seq, atUs } = event;
    const reason = 'corrupted stream';
    return {
      source: 'device',
      type: 'frameRejected',
      seq,
      atUs,
      connection,
      frame,
      bytes: 9,
      reason,
    };
  });
  const { conservation } = measureCell(broken);
  checkBalance(t, conservation);
  t.is(amountOf(conservation.ledger, 'rejected'), -1920);
  t.is(amountOf(conservation.ledger, 'dropped'), -1920 * (dropped.length - 1));
});

test('a difference without a cause stands at its stage, in its turn', (t) => {
  const { cell } = plantCell(plan);
  const [lost] = cell.events.filter(
    (event) => event.type === 'frameHandled' && event.samples !== undefined,
  );
  const short = changed(cell, (event) =>
    event.seq === lost!.seq && event.type === 'frameHandled' ? { ...event, samples: 1900 } : event,
  );
  const { conservation } = measureCell(short);
  const gap = (stages: typeof conservation.ledger) =>
    stages.flatMap(({ stage, unexplained }) =>
      unexplained === 0 || unexplained === null ? [] : [[stage, unexplained]],
    );
  t.deepEqual(gap(conservation.turns[0]!.ledger)[0], ['decoded', -20]);
  t.deepEqual(gap(conservation.turns[1]!.ledger), []);
});

test('what the recording does not hold is not known, and not 0', (t) => {
  const { cell } = plantCell(plan);
  const external = changed(cell, ({ source, ...event }) =>
    source === 'server' || source === 'provider' ? null : ({ source, ...event } as TraceEvent),
  );
  const { conservation } = measureCell({
    ...external,
    sent: new Int16Array(0),
    provider: new Map(),
  });
  t.deepEqual(
    conservation.ledger.map(({ samples }) => samples === null),
    [true, true, true, true, false, false, false],
  );
  t.is(samplesAt(conservation.ledger, 'decoded'), 14 * 1920);
  // The board's own part of the books is kept as well as ever.
  t.is(amountOf(conservation.ledger, 'hello'), 11_239);
  t.deepEqual(conservation.unexplained, []);
});

test('a clip at another rate is counted as it came, and its last sample is resampling', (t) => {
  const { cell } = plantCell({ ...plan, turns: [plan.turns[0]!] });
  // 30001 frames at 24 kHz are 20000 and two thirds of a sample.
  const at24 = changed(cell, (event) => {
    if (event.source !== 'provider') return event;
    if (event.type === 'chunk') return { ...event, sourceRateHz: 24_000 };
    return event.type === 'end' ? { ...event, sourceFrames: 30_001 } : event;
  });
  const { conservation } = measureCell(at24);
  checkBalance(t, conservation);
  t.deepEqual(conservation.sources, [{ rateHz: 24_000, frames: 30_001 }]);
  t.is(samplesAt(conservation.ledger, 'provider'), 20_001);
  t.is(amountOf(conservation.ledger, 'resampling'), -1);
});
