import test from 'ava';
import { type CellMeasurement, measureCell } from '../metrics/measure.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { type PlantedSentence, plantCell } from '../metrics/planted-cell.contract.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { loadScenario } from '../scenario/load.ts';
import type { Expectation } from '../scenario/scenario.ts';
import { judge } from './judge.ts';
import { whyNoOtherTry } from './second-try.ts';

const sentence: PlantedSentence = {
  readyUs: 2_500_000,
  decidedUs: 2_501_000,
  connectedUs: 2_501_000,
  writtenUs: 2_502_000,
  chunks: [
    { atUs: 2_900_000, samples: 4000 },
    { atUs: 3_400_000, samples: 8000 },
  ],
  leadSamples: 320,
  tailSamples: 0,
  holdUs: 1000,
  downlinkUs: 20_000,
};

function plant(change: Partial<PlantedSentence> = {}): RecordedCell {
  return plantCell({
    speakerStartUs: 0,
    restSamples: 0,
    speakerSamples: 16_000 * 6,
    turns: [
      {
        speechStartUs: 1_000_000,
        userStopUs: 2_000_000,
        endOfTurnUs: 2_300_000,
        firstTextUs: 2_400_000,
        sentences: [{ ...sentence, ...change }],
        endUs: 5_000_000,
      },
    ],
  }).cell;
}

const measurement = measureCell(plant());
const failed = measureCell(plant({ failure: 'auth', chunks: [] }));

function expect(
  metric: string,
  operator: Expectation['operator'],
  value: Expectation['value'],
  turn?: number,
): Expectation {
  const at = { file: 'planted.toml', line: 1, column: 1 };
  return { metric, operator, value, at, ...(turn === undefined ? {} : { turn }) };
}

function only(measured: CellMeasurement, expectation: Expectation) {
  const verdict = judge(measured, [expectation]);
  return { verdict, judged: verdict.expectations[0]! };
}

test('a cell without expectations passes when every turn was answered', (t) => {
  t.deepEqual(judge(measurement, []), { outcome: 'pass', expectations: [], failures: [] });
});

test('a missed count shows every place with its length and its lines in the trace', (t) => {
  const { verdict, judged } = only(measurement, expect('underruns.count', '==', 0));
  t.is(verdict.outcome, 'fail');
  t.is(judged.actual, 1);
  const [run] = measurement.underruns[0]!.underruns;
  const seconds = (run!.position / 16_000).toFixed(3);
  t.is(
    judged.evidence,
    `underruns.count = 1, expected == 0: turn 1 sentence 1 at ${seconds} s of speaker.wav ` +
      `(${run!.durationUs / 1000} ms, seq ${run!.seqs.join(', ')})`,
  );
  t.deepEqual(judged.seqs, [...run!.seqs]);
});

test('a percentile comes with n and with the values that decide it', (t) => {
  const { judged } = only(measurement, expect('ttfb_ms.p95', '<=', 100));
  t.is(judged.outcome, 'fail');
  t.regex(
    judged.evidence,
    /^ttfb_ms\.p95 = 398 \(n = 1\), expected <= 100: turn 1 sentence 1 request 1 \(398 ms, seq \d+, \d+, \d+\)$/,
  );
});

const operators: [Expectation['operator'], number, 'pass' | 'fail'][] = [
  ['==', 398, 'pass'],
  ['==', 399, 'fail'],
  ['!=', 399, 'pass'],
  ['!=', 398, 'fail'],
  ['<=', 398, 'pass'],
  ['<', 398, 'fail'],
  ['>=', 398, 'pass'],
  ['>', 398, 'fail'],
  ['>', 397, 'pass'],
];
for (const [operator, value, outcome] of operators) {
  test(`398 ${operator} ${value} is a ${outcome}`, (t) => {
    const { verdict, judged } = only(measurement, expect('ttfb_ms.p50', operator, value));
    t.is(judged.outcome, outcome);
    t.is(verdict.outcome, outcome);
  });
}

test('an order between a number and a text never holds', (t) => {
  t.is(only(measurement, expect('ttfb_ms.p50', '<', '999')).judged.outcome, 'fail');
  t.is(only(measurement, expect('failure.kind', '<', 'z')).judged.outcome, 'fail');
});

test('what could not be measured fails, with the reason, whatever was expected', (t) => {
  for (const operator of ['==', '!=', '<=', '<', '>=', '>'] as const) {
    const { judged } = only(failed, expect('audible_at_speaker_ms.p95', operator, 1500));
    t.is(judged.outcome, 'fail');
    t.is(judged.actual, null);
    t.is(
      judged.evidence,
      `audible_at_speaker_ms.p95 could not be measured, expected ${operator} 1500: 1 of 1 turns failed (auth)`,
    );
  }
  t.regex(only(measurement, expect('seam_ms.p50', '<', 9)).judged.evidence, /lacks the events/);
  t.regex(only(measurement, expect('no.such', '==', 0)).judged.evidence, /no metric of this name/);
  t.regex(
    only(measurement, expect('ttfb_ms.p50', '<', 9, 4)).judged.evidence,
    /turn 4 never began/,
  );
  t.regex(
    only(measurement, expect('conservation.unexplained_samples', '==', 0, 1)).judged.evidence,
    /whole cell only/,
  );
});

test('a provider failure fails the cell with its class', (t) => {
  const verdict = judge(failed, []);
  t.is(verdict.outcome, 'fail');
  t.like(verdict.failures[0], { class: 'turn', code: 'auth', turn: 1, expected: false });
  t.is(verdict.failures[0]!.seqs.length, 1);
});

test('an expected failure passes, another class or another turn does not', (t) => {
  const verdict = judge(failed, [expect('failure.kind', '==', 'auth')]);
  t.is(verdict.outcome, 'pass');
  t.true(verdict.failures[0]!.expected);
  t.is(judge(failed, [expect('failure.kind', '==', 'auth', 1)]).outcome, 'pass');
  t.is(judge(failed, [expect('failure.kind', '==', 'quota')]).outcome, 'fail');
  t.is(judge(failed, [expect('failure.kind', '==', 'auth', 2)]).outcome, 'fail');
  t.is(judge(measurement, [expect('failure.kind', '==', 'auth')]).outcome, 'fail');
  t.is(judge(measurement, [expect('failure.kind', '==', 'none')]).outcome, 'pass');
});

test('unexplained samples are a defect that no expectation excuses', (t) => {
  const cell = plant();
  const measured = measureCell({ ...cell, sent: cell.sent.subarray(7) });
  const expectation = expect('conservation.unexplained_samples', '==', 7);
  const verdict = judge(measured, [expectation]);
  t.is(verdict.outcome, 'fail');
  t.is(verdict.expectations[0]!.outcome, 'pass');
  t.like(verdict.failures[0], { class: 'defect', code: 'unexplained-samples' });
  t.regex(verdict.failures[0]!.message, /^7 samples are unexplained on the way to "framed"/);
});

test('an underrun count that the recomputation contradicts is a defect', (t) => {
  const cell = plant();
  const events = cell.events.filter((e) => !(e.source === 'device' && /^underrun/.test(e.type)));
  const verdict = judge(measureCell({ ...cell, events }), [expect('underruns.count', '==', 0)]);
  t.is(verdict.outcome, 'fail');
  t.is(verdict.expectations[0]!.outcome, 'pass');
  t.true(verdict.failures.some((f) => f.class === 'defect' && f.code === 'unverified-underruns'));
});

test('a run that was interrupted or killed is infra, not a failure', (t) => {
  const cell = plant();
  const killed = cell.events.filter(
    (event) => event.source !== 'harness' || event.type === 'turnStart',
  );
  const verdict = judge(measureCell({ ...cell, events: killed }), []);
  t.is(verdict.outcome, 'infra');
  t.deepEqual(
    verdict.failures.map(({ code }) => code),
    ['unfinished', 'cut-short'],
  );
  const stopped = cell.events.map((event) =>
    event.source === 'harness' && event.type === 'end'
      ? { ...event, outcome: 'interrupted' as const, detail: 'Ctrl-C' }
      : event,
  );
  t.is(judge(measureCell({ ...cell, events: stopped }), []).outcome, 'infra');
});

test('a live provider that cannot be used makes the run infra, a stand-in that says so fails it', (t) => {
  for (const kind of ['network', 'quota', 'rate-limit', 'auth']) {
    const measured = measureCell(plant({ failure: kind, chunks: [] }));
    t.is(judge(measured, [], { live: true }).outcome, 'infra', kind);
    t.is(judge(measured, []).outcome, 'fail', kind);
  }
  for (const kind of ['server', 'timeout', 'truncated', 'bad-voice']) {
    const measured = measureCell(plant({ failure: kind, chunks: [] }));
    t.is(judge(measured, [], { live: true }).outcome, 'fail', kind);
  }
});

test('a request that our own budget refused says nothing about any provider', (t) => {
  const measured = measureCell(plant({ failure: 'budget', chunks: [] }));
  t.is(judge(measured, [], { live: true }).outcome, 'infra');
  t.is(judge(measured, []).outcome, 'infra');
});

test("a disturbance that a live provider left no time for is nobody's defect", (t) => {
  const missed = [{ turn: 1, message: 'the stall never happened' }];
  t.is(judge(measurement, [], { missedDisturbances: missed }).outcome, 'fail');
  const verdict = judge(measurement, [], { missedDisturbances: missed, live: true });
  t.is(verdict.outcome, 'infra');
  t.like(verdict.failures, [{ class: 'infra', code: 'missed-disturbance', turn: 1 }]);
});

test('another try may help where something from outside took part, and nowhere else', (t) => {
  const why = (
    codes: readonly string[],
    how: { time?: 'virtual' | 'real'; onBoard?: boolean; fault?: string; outcome?: 'fail' } = {},
  ): string | undefined => {
    const { time = 'virtual', onBoard = false, fault, outcome = 'infra' } = how;
    const failures = codes.map((code) => ({
      ...{ class: 'infra' as const, code, message: '', turn: null, seqs: [] },
      expected: false,
    }));
    const planted = fault === undefined ? '' : `[[turn.fault]]\nname = "${fault}"\n`;
    const scenario = loadScenario(
      `title = "T"\n[[turn]]\nsay = "Hi."\nreply = "Hi."\n${planted}`,
      't.toml',
      { metrics: metricCatalog, providers: [], devices: [], networks: [], quirks: [] },
    );
    return whyNoOtherTry({ verdict: { outcome, failures }, time, onBoard, scenario });
  };
  t.regex(why(['unfinished'])!, /virtual time/);
  t.is(why(['unfinished'], { time: 'real' }), undefined);
  t.is(why(['BOARD_CRASHED'], { onBoard: true }), undefined);
  t.is(why(['unfinished', 'run-interrupted']), undefined);
  t.is(why(['RECORDING_NOT_WRITTEN', 'unfinished']), undefined);
  t.is(why(['unfinished', 'cut-short']), undefined, 'killed');
  for (const time of ['virtual', 'real'] as const) {
    t.regex(why(['RECORDING_DISK_FULL'], { time, fault: 'disk-full' })!, /the scenario plants/);
    // A recording that is read later knows only that it ends in the middle.
    t.regex(why(['unfinished', 'cut-short'], { time, fault: 'disk-full' })!, /disk-full/);
  }
  t.is(why(['auth'], { outcome: 'fail' }), undefined, 'what failed is not asked');
});
