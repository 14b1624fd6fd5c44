import test from 'ava';
import { createRandom } from '../random/random.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import { spanNames } from './latency-spans.ts';
import { checkBalance, samplesAt } from './ledger-balance.contract.ts';
import { measureCell } from './measure.ts';
import { metricCatalog } from './metric-catalog.ts';
import {
  type PlantedPlan,
  type PlantedSentence,
  type PlantedTruth,
  type PlantedTurn,
  plantCell,
} from './planted-cell.contract.ts';
import type { RecordedCell } from './recorded-cell.ts';

const sentence: PlantedSentence = {
  readyUs: 2_500_000,
  decidedUs: 2_501_000,
  connectedUs: 2_531_000,
  writtenUs: 2_532_500,
  chunks: [
    { atUs: 2_900_000, samples: 1600 },
    { atUs: 2_950_000, samples: 30_000 },
  ],
  leadSamples: 3000,
  tailSamples: 800,
  holdUs: 1500,
  downlinkUs: 40_000,
};

const turn: PlantedTurn = {
  speechStartUs: 1_000_000,
  userStopUs: 2_000_000,
  endOfTurnUs: 2_310_000,
  firstTextUs: 2_450_000,
  sentences: [sentence],
  endUs: 6_000_000,
};

const plan: PlantedPlan = {
  speakerStartUs: 7000,
  restSamples: 231,
  turns: [turn],
  speakerSamples: 16_000 * 7,
};

function withSentence(
  change: Partial<PlantedSentence>,
  more: Partial<PlantedTurn> = {},
): PlantedPlan {
  return { ...plan, turns: [{ ...turn, ...more, sentences: [{ ...sentence, ...change }] }] };
}

function changed(
  cell: RecordedCell,
  change: (event: TraceEvent) => TraceEvent | null,
): RecordedCell {
  return {
    ...cell,
    events: cell.events.flatMap((event) => {
      const result = change(event);
      return result === null ? [] : [result];
    }),
  };
}

/** Empty cycles between the first chunk and the last. */
function inside({ emptyCycles, drainedPosition }: PlantedTruth['sentences'][number]): number {
  return emptyCycles.filter((cycle) => cycle * 256 < drainedPosition!).length;
}

/** Turns and arrivals at random, one sentence after the other. */
function randomPlan(seed: number): PlantedPlan {
  const random = createRandom(seed, 'planted');
  const turns: PlantedTurn[] = [];
  let atUs = random.integer(500_000, 900_000);
  const later = (maximumUs: number) => {
    atUs += random.integer(0, maximumUs);
    return atUs;
  };
  for (let t = random.integer(1, 2); t > 0; t--) {
    const [speechStartUs, userStopUs] = [atUs, atUs + 900_000];
    atUs = userStopUs;
    const [endOfTurnUs, firstTextUs] = [later(400_000), later(400_000)];
    const sentences: PlantedSentence[] = [];
    for (let s = random.integer(1, 3); s > 0; s--) {
      const readyUs = later(100_000);
      const optimization =
        random.next() < 0.7 ? undefined : { startedUs: later(500), endUs: later(90_000) };
      const decidedUs = later(3000);
      const reused = random.next() < 0.5;
      const connectedUs = reused ? decidedUs : later(90_000);
      const writtenUs = later(2000);
      const chunks = Array.from({ length: random.integer(1, 8) }, () => ({
        atUs: later(180_000),
        samples: random.integer(1, 4000),
      }));
      const total = chunks.reduce((sum, { samples }) => sum + samples, 0);
      const leadSamples = random.integer(0, Math.min(4000, total));
      sentences.push({
        readyUs,
        ...(optimization && { optimization }),
        decidedUs,
        connectedUs,
        writtenUs,
        chunks,
        leadSamples,
        tailSamples: random.integer(0, Math.max(0, total - leadSamples - 1)),
        holdUs: random.integer(0, 3000),
        downlinkUs: random.integer(100, 60_000),
      });
    }
    // Long enough for the playout of everything, so that the next turn meets a quiet board.
    atUs += 5_000_000;
    turns.push({ speechStartUs, userStopUs, endOfTurnUs, firstTextUs, sentences, endUs: atUs });
    atUs += 100_000;
  }
  return {
    speakerStartUs: random.integer(0, 50_000),
    restSamples: random.integer(0, 255),
    turns,
    speakerSamples: Math.ceil((atUs / 62.5 + 16_000) / 256) * 256,
  };
}

test('the spans of a planted turn are the ones planted', (t) => {
  const { cell, truth } = plantCell(plan);
  const measured = measureCell(cell);
  const [first] = measured.turns;
  // 1600 samples fill no frame of 1920; the first frame is written when the second chunk is there.
  const written = 2_950_000 + 1500;
  const position = truth.sentences[0]!.firstPosition! + 231;
  const audible = truth.sentences[0]!.firstAudiblePosition!;
  const leavesUs = (sample: number) => 7000 + Math.floor(sample * 62.5);
  t.deepEqual(first!.spans, {
    endOfTurn: 310_000,
    firstText: 140_000,
    sentenceReady: 50_000,
    handover: 1000 + 1500,
    textOptimization: 0,
    connect: 30_000,
    ttfb: 367_500,
    serverHold: written - 2_900_000,
    downlink: 40_000,
    playStart: leavesUs(position) - (written + 40_000),
    leadSilence: leavesUs(audible) - leavesUs(position),
  });
  t.is(audible - position, 3000);
  t.is(first!.audibleAtSpeakerUs, leavesUs(audible) - 2_000_000);
  t.is(first!.unattributedUs, 0);
  t.is(first!.outcome, 'ok');
  t.is(measured.metrics['ttfb_ms.p50'], 367.5);
  t.is(measured.metrics['ttfa_ms.p50'], 417.5);
  t.is(measured.metrics['handshake_ms.p50'], 30);
  t.is(measured.metrics['provider_lead_silence_ms.p50'], 187.5);
  t.is(measured.metrics['provider_tail_silence_ms.p50'], 50);
  t.is(measured.metrics['audio_seconds.provider'], 31_600 / 16_000);
  t.is(measured.metrics['audio_seconds.sent'], 32_640 / 16_000);
  t.is(measured.metrics['rtf.p50'], 417_500 / (31_600 * 62.5));
  t.is(measured.metrics['conservation.padded_samples'], 1040);
});

test('rewriting the sentence by a chat model is a span of its own, and nothing of it is counted twice', (t) => {
  // The sentence is ready at 2.5 s; the request decided, connected and written behind the reply.
  const optimization = { startedUs: 2_500_400, endUs: 2_700_400 };
  const speech = { decidedUs: 2_700_900, connectedUs: 2_730_900, writtenUs: 2_731_000 };
  const plain = measureCell(plantCell(withSentence(speech)).cell).turns[0]!;
  const optimized = measureCell(plantCell(withSentence({ ...speech, optimization })).cell);
  const turn = optimized.turns[0]!;
  t.is(turn.spans.textOptimization, 200_000);
  t.is(turn.spans.connect, 30_000);
  t.is(turn.spans.handover, 400 + 500 + 100);
  t.is(turn.unattributedUs, 0);
  t.is(plain.spans.handover, 200_000 + 1000);
  t.is(turn.audibleAtSpeakerUs, plain.audibleAtSpeakerUs);
  t.is(optimized.metrics['text_optimization_ms.max'], 200);
  const [observation] = optimized.observations['text_optimization_ms']!;
  const { cell } = plantCell(withSentence({ ...speech, optimization }));
  const [seq] = observation!.seqs;
  t.is(cell.events.find((event) => event.seq === seq)!.type, 'textOptimization');
});

test('100 random conversations: spans add up, underruns are verified, no sample is unexplained', (t) => {
  let underruns = 0;
  let seams = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = randomPlan(seed);
    const { cell, truth } = plantCell(random);
    const measured = measureCell(cell);
    const name = `seed ${seed}`;

    t.is(
      measured.conservation.unexplainedSamples,
      0,
      `${name} ${JSON.stringify(measured.conservation.unexplained)}`,
    );
    checkBalance(t, measured.conservation, name);
    for (const { turn, ledger } of measured.conservation.turns) {
      // Counted by the planted player: from its first chunk to its last, less the empty cycles.
      const own = truth.sentences.filter((s) => s.turn === turn && s.firstPosition !== null);
      const played = own.reduce(
        (sum, s) => sum + s.drainedPosition! - s.firstPosition! - inside(s) * 256,
        0,
      );
      t.is(samplesAt(ledger, 'played'), played, `${name} turn ${turn}`);
    }

    const expected = truth.sentences.flatMap(({ emptyCycles }) => emptyCycles);
    const reported = measured.underruns.flatMap((s) => s.underruns);
    t.is(
      reported.reduce((sum, run) => sum + run.cycles, 0),
      expected.length,
      name,
    );
    t.is(measured.metrics['underruns.total_ms'], expected.length * 16, name);
    underruns += expected.length;
    for (const { verified, disagreements } of measured.underruns) {
      t.is(verified, true, `${name} ${disagreements.join('; ')}`);
    }

    const sentences = measured.turns.flatMap((m) => m.sentences);
    truth.sentences.forEach((planted, i) => {
      // A player that never waits falls behind by exactly what a prebuffer would have had to be.
      const needed = sentences[i]!.prebufferNeededUs;
      t.is(needed ?? 0, planted.emptyCycles.length * 16_000, `${name} sentence ${i + 1}`);
      t.is(
        sentences[i]!.endPosition,
        planted.firstPosition === null ? null : planted.drainedPosition,
      );
    });
    for (const m of measured.turns) {
      const played = truth.sentences.filter((s) => s.turn === m.turn && s.firstPosition !== null);
      const audible = played.find((s) => s.firstAudiblePosition !== null)?.firstAudiblePosition;
      // A few samples at the end of a clip are too short to be heard; the oracle counts them.
      if (m.marks.firstAudible !== null && m.outcome === 'ok') {
        const atUs = random.speakerStartUs + Math.floor(audible! * 62.5);
        if (
          played[0]!.firstAudiblePosition !== null &&
          m.marks.firstAudible.atUs <= atUs + 10_000
        ) {
          t.is(m.marks.firstAudible.atUs as number, atUs, name);
        }
        const sum = spanNames.reduce((total, span) => total + m.spans[span]!, 0);
        t.is(sum, m.audibleAtSpeakerUs!, name);
        t.is(m.unattributedUs, 0);
      }
    }
    for (const seam of measured.seams) {
      const after = truth.sentences[seam.sentence - 1]!;
      const before = truth.sentences
        .slice(0, seam.sentence - 1)
        .findLast((s) => s.firstPosition !== null)!;
      t.is(seam.gapSamples, after.firstPosition! - before.drainedPosition!, name);
      seams++;
    }
  }
  t.true(underruns > 200 && seams > 50, `${underruns} underrun cycles, ${seams} seams`);
});

test('the summary has exactly the paths of the catalog', (t) => {
  const measured = measureCell(plantCell(plan).cell);
  t.deepEqual(
    Object.keys(measured.metrics),
    metricCatalog.map(({ path }) => path),
  );
  const inTurn = metricCatalog.filter(({ family }) => family.inTurn).map(({ path }) => path);
  t.deepEqual(Object.keys(measured.turns[0]!.metrics), inTurn);
  t.is(new Set(metricCatalog.map(({ path }) => path)).size, metricCatalog.length);
});

test('a failed turn has no latency, however fast it failed', (t) => {
  const measured = measureCell(plantCell(withSentence({ failure: 'auth', chunks: [] })).cell);
  t.is(measured.turns[0]!.outcome, 'failed');
  t.is(measured.turns[0]!.failure!.kind, 'auth');
  t.is(measured.metrics['failure.kind'], 'auth');
  t.is(measured.metrics['turns.failed'], 1);
  t.is(measured.metrics['requests.failed'], 1);
  t.is(measured.metrics['ttfb_ms.p50'], null);
  t.is(measured.metrics['audible_at_speaker_ms.p50'], null);
  t.is(measured.metrics['audible_at_speaker_ms.n'], 0);
  t.is(measured.metrics['underruns.count'], null);
});

test('a truncated clip counts as failed even though it was heard', (t) => {
  const measured = measureCell(plantCell(withSentence({ failure: 'truncated' })).cell);
  t.not(measured.turns[0]!.audibleAtSpeakerUs, null);
  t.is(measured.metrics['audible_at_speaker_ms.n'], 0);
  t.is(measured.metrics['rtf.n'], 0);
});

test('an answer that nobody can hear is a failure of its own', (t) => {
  const measured = measureCell(plantCell(withSentence({ leadSamples: 31_600 })).cell);
  t.is(measured.turns[0]!.failure!.kind, 'silent');
});

test('old audio left in the player is not taken for the answer', (t) => {
  const { cell, truth } = plantCell(plan);
  const first = truth.sentences[0]!.firstPosition!;
  t.is(cell.speaker[first], 3000);
  t.true(measureCell(cell).turns[0]!.spans.leadSilence! > 150_000);
});

test('without server events the headline stands and the rest is unattributed', (t) => {
  const { cell } = plantCell(plan);
  const complete = measureCell(cell);
  const external = measureCell({
    ...changed(cell, (event) =>
      event.source === 'server' || event.source === 'provider' ? null : event,
    ),
    sent: new Int16Array(0),
    provider: new Map(),
  });
  const [turnMeasured] = external.turns;
  t.is(turnMeasured!.audibleAtSpeakerUs, complete.turns[0]!.audibleAtSpeakerUs);
  t.is(turnMeasured!.outcome, 'ok');
  t.is(turnMeasured!.spans.ttfb, null);
  const covered = turnMeasured!.spans.playStart! + turnMeasured!.spans.leadSilence!;
  t.is(turnMeasured!.unattributedUs! + covered, turnMeasured!.audibleAtSpeakerUs!);
  t.is(external.metrics['underruns.unverified'], 0);
  t.is(
    external.conservation.unexplainedSamples,
    0,
    JSON.stringify(external.conservation.unexplained),
  );
});

test('a connection opened before the sentence was ready costs nothing on the way', (t) => {
  const ahead = { decidedUs: 2_400_000, connectedUs: 2_440_000 };
  const measured = measureCell(plantCell(withSentence(ahead)).cell);
  t.is(measured.turns[0]!.spans.connect, 0);
  t.is(measured.turns[0]!.spans.handover, 32_500);
  t.is(measured.turns[0]!.unattributedUs, 0);
  t.is(measured.metrics['handshake_ms.p50'], 40);
});

test('an interruption is measured to the last audible sample of the interrupted answer', (t) => {
  const clearedUs = 3_700_000;
  const interrupted: PlantedPlan = {
    ...plan,
    turns: [
      { ...turn, serverOutcome: 'interrupted', sentences: [{ ...sentence, clearedUs }] },
      {
        ...turn,
        speechStartUs: 3_400_000,
        userStopUs: 4_400_000,
        endOfTurnUs: 4_600_000,
        firstTextUs: 4_700_000,
        sentences: [
          {
            ...sentence,
            readyUs: 4_750_000,
            decidedUs: 4_751_000,
            connectedUs: 4_751_000,
            writtenUs: 4_752_000,
            chunks: [{ atUs: 4_900_000, samples: 9600 }],
          },
        ],
      },
    ],
  };
  const { cell } = plantCell(interrupted);
  const measured = measureCell(cell);
  t.is(measured.turns[0]!.outcome, 'interrupted');
  t.is(measured.turns[0]!.failure, null);
  // The queue is thrown away in the first cycle that begins at or after the order.
  const stopCycle = Math.ceil((clearedUs - 7000) / 16_000);
  t.is(measured.turns[0]!.stopLatencyUs, 7000 + stopCycle * 16_000 - 3_400_000);
  t.is(measured.turns[0]!.tailMarginUs, null);
  t.is(measured.turns[1]!.outcome, 'ok');
  t.is(measured.turns[1]!.stopLatencyUs, null);
  t.is(measured.metrics['turns.interrupted'], 1);
  t.true((measured.metrics['conservation.cleared_samples'] as number) > 0);
  t.is(
    measured.conservation.unexplainedSamples,
    0,
    JSON.stringify(measured.conservation.unexplained),
  );
  t.true(measured.underruns.every(({ verified }) => verified === true));
});

test('the tail margin is negative when the board leaves Speaking over the voice', (t) => {
  const { cell } = plantCell(plan);
  const good = measureCell(cell);
  t.true(good.turns[0]!.tailMarginUs! >= 0);
  const leaves = cell.events.find(
    (e) => e.source === 'device' && e.type === 'state' && e.from === 'Speaking',
  )!;
  const early = changed(cell, (event) =>
    event === leaves ? ({ ...event, atUs: event.atUs - 500_000 } as TraceEvent) : event,
  );
  const bad = measureCell(early);
  t.is(bad.turns[0]!.tailMarginUs, good.turns[0]!.tailMarginUs! - 500_000);
});

const late = withSentence({
  chunks: [
    { atUs: 2_900_000, samples: 4000 },
    { atUs: 3_400_000, samples: 8000 },
    { atUs: 3_401_000, samples: 8000 },
  ],
});

const lies: [string, (event: TraceEvent) => TraceEvent | null][] = [
  [
    'one cycle too few',
    (e) => (e.source === 'device' && e.type === 'underrunEnd' ? { ...e, cycles: e.cycles - 1 } : e),
  ],
  ['an underrun concealed', (e) => (e.source === 'device' && /^underrun/.test(e.type) ? null : e)],
  [
    'an underrun elsewhere',
    (e) =>
      e.source === 'device' && e.type === 'underrunStart'
        ? { ...e, position: e.position + 256 }
        : e,
  ],
  [
    'a wrong rest',
    (e) =>
      e.source === 'device' && e.type === 'drained' ? { ...e, restSamples: e.restSamples + 1 } : e,
  ],
  [
    'a later first chunk',
    (e) =>
      e.source === 'device' && e.type === 'playStart' ? { ...e, position: e.position + 256 } : e,
  ],
];
for (const [what, lie] of lies) {
  test(`the recomputation contradicts a board that reports ${what}`, (t) => {
    const { cell } = plantCell(late);
    const honest = measureCell(cell);
    t.is(honest.underruns[0]!.verified, true, honest.underruns[0]!.disagreements.join('; '));
    t.true((honest.metrics['underruns.total_ms'] as number) > 100);
    const measured = measureCell(changed(cell, lie));
    // A wrong rest of a first sentence shows in the samples, as the rest before is inferred from it.
    const { verified } = measured.underruns[0]!;
    t.true(verified === false || measured.conservation.unexplainedSamples > 0);
  });
}

test('sound inside a reported underrun contradicts it', (t) => {
  const { cell } = plantCell(late);
  const position = measureCell(cell).underruns[0]!.underruns[0]!.position;
  const speaker = cell.speaker.slice();
  speaker[position + 100] = 1;
  t.is(measureCell({ ...cell, speaker }).underruns[0]!.verified, false);
});

const losses: [string, (cell: RecordedCell) => RecordedCell][] = [
  [
    'a chunk the server did not take',
    (cell) =>
      changed(cell, (e) =>
        e.source === 'server' && e.type === 'framed'
          ? { ...e, samplesIn: e.samplesIn - 100, samplesOut: e.samplesOut - 100 }
          : e,
      ),
  ],
  [
    'a frame that never arrived in the middle',
    (cell) =>
      changed(cell, (e) =>
        e.source === 'device' &&
        (e.type === 'frameReceived' || e.type === 'frameHandled') &&
        e.frame === 4
          ? null
          : e,
      ),
  ],
  [
    'a frame decoded to another length',
    (cell) =>
      changed(cell, (e) =>
        e.source === 'device' && e.type === 'frameHandled' && e.frame === 4
          ? { ...e, samples: 1800 }
          : e,
      ),
  ],
  [
    'source frames lost in conversion',
    (cell) =>
      changed(cell, (e) =>
        e.source === 'provider' && e.type === 'end'
          ? { ...e, sourceFrames: e.sourceFrames + 10 }
          : e,
      ),
  ],
  ['sent.wav shorter than the frames', (cell) => ({ ...cell, sent: cell.sent.subarray(1) })],
  [
    'a ledger that does not balance',
    (cell) =>
      changed(cell, (e) =>
        e.source === 'device' && e.type === 'finished'
          ? { ...e, playedSamples: e.playedSamples - 256 }
          : e,
      ),
  ],
];
for (const [what, lose] of losses) {
  test(`conservation finds ${what}`, (t) => {
    const measured = measureCell(lose(plantCell(plan).cell));
    t.true(measured.conservation.unexplainedSamples > 0);
    t.true(measured.conservation.unexplained[0]!.seqs.length > 0);
  });
}

test('frames still on the way when the connection ends are explained', (t) => {
  const { cell } = plantCell(plan);
  const lastFrames = [15, 16, 17, 18, 19, 20, 21];
  const cut = changed(cell, (e) => {
    if (e.source !== 'device') return e;
    if (e.type === 'frameReceived' || e.type === 'frameHandled')
      return lastFrames.includes(e.frame) ? null : e;
    return e.type === 'finished' || e.type === 'drained' ? null : e;
  });
  const measured = measureCell(cut);
  t.true((measured.metrics['conservation.in_flight_samples'] as number) > 0);
  t.deepEqual(measured.conservation.unexplained, []);
});

test('clips made in one piece are labeled as not streaming, clips that drip are not', (t) => {
  const chunks = (gapUs: number) =>
    Array.from({ length: 40 }, (_, i) => ({ atUs: 4_500_000 + i * gapUs, samples: 1600 }));
  const speaker = { speakerSamples: 16_000 * 20 };
  const whole = measureCell(
    plantCell({ ...withSentence({ chunks: chunks(500) }), ...speaker }).cell,
  );
  t.is(whole.metrics['requests.not_streaming'], 1);
  t.is(whole.metrics['burst_share.p50'], 4 / 40);
  const drip = measureCell(
    plantCell({ ...withSentence({ chunks: chunks(50_000) }), ...speaker }).cell,
  );
  t.is(drip.metrics['requests.not_streaming'], 0);
  t.is(drip.metrics['chunk_gap_ms.p95'], 50);
  t.is(drip.metrics['chunks.p50'], 40);
  const short = measureCell(plantCell(plan).cell);
  t.is(short.requests[0]!.streaming, null);
});

const second: PlantedSentence = {
  ...sentence,
  readyUs: 2_600_000,
  decidedUs: 2_601_000,
  connectedUs: 2_601_000,
  writtenUs: 2_602_000,
  chunks: [{ atUs: 2_960_000, samples: 9000 }],
};

test('a sentence number used again by the next turn is another sentence', (t) => {
  const later = (us: number) => us + 5_000_000;
  const moved: PlantedSentence = {
    ...sentence,
    readyUs: later(sentence.readyUs),
    decidedUs: later(sentence.decidedUs),
    connectedUs: later(sentence.connectedUs),
    writtenUs: later(sentence.writtenUs),
    chunks: sentence.chunks.map(({ atUs, samples }) => ({ atUs: later(atUs), samples })),
  };
  const { cell } = plantCell({
    ...plan,
    speakerSamples: 16_000 * 12,
    turns: [
      turn,
      {
        speechStartUs: later(turn.speechStartUs),
        userStopUs: later(turn.userStopUs),
        endOfTurnUs: later(turn.endOfTurnUs),
        firstTextUs: later(turn.firstTextUs),
        sentences: [moved],
        endUs: later(turn.endUs),
      },
    ],
  });
  const again = changed(cell, (event) =>
    (event.source === 'server' || event.source === 'provider') &&
    'sentence' in event &&
    event.sentence === 2
      ? ({ ...event, sentence: 1 } as TraceEvent)
      : event,
  );
  const [expected, actual] = [measureCell(cell), measureCell(again)];
  t.deepEqual(
    actual.turns.map(({ spans }) => spans),
    expected.turns.map(({ spans }) => spans),
  );
  t.is(actual.conservation.unexplainedSamples, 0);
  t.is(actual.turns[1]!.spans.endOfTurn, 310_000);
});

test('one request may speak the whole answer, its chunks reaching over sentences', (t) => {
  const { cell } = plantCell({ ...plan, turns: [{ ...turn, sentences: [sentence, second] }] });
  const [one, two] = [cell.provider.get(1)!, cell.provider.get(2)!];
  const joined = Int16Array.from([...one, ...two]);
  const merged = changed(cell, (event) => {
    if (event.source !== 'provider') return event;
    if (event.type === 'end') {
      if (event.request === 1) return null;
      return { ...event, request: 1, sourceFrames: joined.length, samples: joined.length };
    }
    if (event.type === 'request') return event.request === 2 ? null : event;
    // The big chunk of the first sentence ends in the second.
    const reaches = event.type === 'chunk' && event.samples === 30_000;
    return { ...event, request: 1, ...(reaches ? { sentence: 2 } : {}) } as TraceEvent;
  });
  const measured = measureCell({ ...merged, provider: new Map([[1, joined]]) });
  t.deepEqual(measured.conservation.unexplained, []);
  t.is(measured.turns[0]!.unattributedUs, 0);
  t.is(measured.turns[0]!.spans.ttfb, 367_500);
  t.is(measured.metrics['requests.count'], 1);
  t.is(measured.metrics['ttfb_ms.n'], 1);
});

test('the same recording gives the same measurement', (t) => {
  const { cell } = plantCell(randomPlan(7));
  t.deepEqual(measureCell(cell), measureCell(cell));
});

test('an answer is the user’s who spoke into it, also when noise had opened the request before', (t) => {
  const { cell } = plantCell(plan);
  const early = changed(cell, (event) =>
    event.source === 'server' && event.type === 'turnStart'
      ? { ...event, atUs: turn.speechStartUs - 400_000 }
      : event,
  );
  const inOrder = { ...early, events: early.events.toSorted((a, b) => a.atUs - b.atUs) };
  t.deepEqual(
    measureCell(inOrder).turns.map(({ outcome, sentences }) => [outcome, sentences.length]),
    [['ok', 1]],
  );
});

test('of two turns whose words the server answers as one, the answer is the one’s whose user still waits for it', (t) => {
  const { cell } = plantCell(plan);
  const second = cell.events.map((event): TraceEvent => {
    const ofUser = event.source === 'user' || event.source === 'harness';
    if (ofUser && 'turn' in event) return { ...event, turn: event.turn + 1 } as TraceEvent;
    if (event.source !== 'server' || event.type !== 'turnStart') return event;
    return { ...event, atUs: turn.speechStartUs - 900_000 };
  });
  const first = (outcome: 'timeout' | 'interrupted'): TraceEvent[] =>
    [
      { source: 'harness', type: 'turnStart', atUs: turn.speechStartUs - 950_000, turn: 1 },
      {
        source: 'user',
        type: 'speechStart',
        atUs: turn.speechStartUs - 950_000,
        turn: 1,
        text: 'Hi.',
        userOffset: 0,
        samples: 1600,
      },
      { source: 'user', type: 'speechStop', atUs: turn.speechStartUs - 850_000, turn: 1 },
      { source: 'harness', type: 'turnEnd', atUs: turn.speechStartUs - 100_000, turn: 1, outcome },
    ].map((event) => ({ ...event, seq: 0 }) as TraceEvent);
  const sentencesOf = (outcome: 'timeout' | 'interrupted') =>
    measureCell({
      ...cell,
      events: [...second, ...first(outcome)]
        .toSorted((a, b) => a.atUs - b.atUs)
        .map((event, i) => ({ ...event, seq: i + 1 })),
    }).turns.map(({ sentences }) => sentences.length);
  t.deepEqual(sentencesOf('timeout'), [0, 1]);
  t.deepEqual(sentencesOf('interrupted'), [1, 0]);
});
