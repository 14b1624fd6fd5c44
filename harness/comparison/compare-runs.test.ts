import test from 'ava';
import { createRandom } from '../random/random.ts';
import { baselineText, readBaseline } from './baseline.ts';
import { type ComparableRun, conditionNames } from './comparable-run.ts';
import { compareRuns } from './compare-runs.ts';
import type { Comparison, GateReport, MetricComparison } from './comparison.ts';
import { ComparisonError } from './comparison-error.ts';
import { gateRule } from './gates.ts';
import { type PlantedConversation, plantRun } from './planted-run.contract.ts';

/** First bytes of a service: log-normal around 500 ms, a fifth of spread. */
function latencies(count: number, seed: number, factor = 1): number[] {
  const random = createRandom(seed, 'planted latencies');
  return Array.from({ length: count }, () => factor * 500 * Math.exp(0.2 * random.normal()));
}

function withTtfb(
  values: readonly number[],
  more: PlantedConversation = {},
): PlantedConversation[] {
  return values.map((ttfbMs) => ({ ...more, ttfbMs }));
}

function gate(comparison: Comparison, metric: string, requests?: 'cold' | 'warm'): GateReport {
  const found = comparison.gates.filter(
    (one) => one.metric === metric && (requests === undefined || one.requests === requests),
  );
  if (found.length !== 1) throw new Error(`${found.length} gates for ${metric}`);
  return found[0]!;
}

function metric({ groups }: Comparison, name: string): MetricComparison {
  return groups.flatMap(({ metrics }) => metrics).find((one) => one.metric === name)!;
}

const quick = { resamples: 399 } as const;

test('a tenth more in every one of 30 pairs is a regression, with its size and how sure it is', (t) => {
  const before = latencies(30, 1);
  const a = plantRun('A', withTtfb(before));
  const b = plantRun('B', withTtfb(before.map((ms) => ms * 1.1)));
  const comparison = compareRuns(a, b);
  t.is(comparison.verdict, 'regression');
  const found = gate(comparison, 'ttfb_ms.p50');
  t.is(found.verdict, 'regression');
  t.true(Math.abs(found.change!.relative! - 0.1) < 1e-9);
  // Both sides drew the same, so the change itself does not vary.
  t.true(Math.abs(found.interval!.low - 0.1) < 1e-9 && Math.abs(found.interval!.high - 0.1) < 1e-9);
  // 2 to the power of -30, the smallest of 5 gates.
  t.true(Math.abs(found.p! / (5 * 2 ** -30) - 1) < 1e-9);
  for (const other of comparison.gates) {
    if (other !== found) t.is(other.verdict, 'pass', other.metric);
  }
  const row = metric(comparison, 'ttfb_ms.p50');
  t.is(row.moved, 'higher');
  t.deepEqual(row.pairs, { higher: 30, lower: 0, same: 0 });
  t.is(row.n.a, 30);
});

test('a tenth less is no regression, and is told as better', (t) => {
  const before = latencies(30, 1);
  const b = plantRun('B', withTtfb(before.map((ms) => ms * 0.9)));
  const comparison = compareRuns(plantRun('A', withTtfb(before)), b, quick);
  t.is(comparison.verdict, 'pass');
  t.is(metric(comparison, 'ttfb_ms.p50').moved, 'lower');
});

test('runs of one service are told apart by nothing, and say how many conversations it takes', (t) => {
  const a = plantRun('A', withTtfb(latencies(30, 2)));
  let undecided = 0;
  for (let seed = 10; seed < 30; seed++) {
    const found = gate(
      compareRuns(a, plantRun('B', withTtfb(latencies(30, seed))), quick),
      'ttfb_ms.p50',
    );
    t.not(found.verdict, 'regression');
    if (found.verdict === 'pass') continue;
    undecided++;
    // By hand: (3.54 + 1.64)² · 2 · 0.2² / ln(1.1 / 1.05)² · π / 3 = 1,040; of 30 pairs the spread is known to a third.
    t.true(found.needs! > 500 && found.needs! < 2500, `${found.needs}`);
  }
  t.true(undecided >= 10, `${undecided} of 20`);
});

test('with too few conversations a gate says how many it needs, and passes nothing in silence', (t) => {
  const before = latencies(4, 1);
  const a = plantRun('A', withTtfb(before));
  const b = plantRun('B', withTtfb(before.map((ms) => ms * 1.5)));
  const found = gate(compareRuns(a, b, quick), 'ttfb_ms.p50');
  t.is(found.verdict, 'undecided');
  // Of 5 gates at one in a thousand: 2^-13 is below 0.0002.
  t.true(found.needs! >= 13, `${found.needs}`);
  t.is(found.interval, null);
  t.is(metric(compareRuns(a, b, quick), 'ttfb_ms.p50').tooFewBelow, 10);
});

test('repeatable conversations need no number: nothing but the program can have changed them', (t) => {
  const before = withTtfb(latencies(2, 1)).map((one, i) => ({ ...one, seed: i }));
  const later = before.map((one) => ({ ...one, ttfbMs: one.ttfbMs! * 1.1 }));
  const a = plantRun('A', before);
  t.is(compareRuns(a, plantRun('B', before), quick).verdict, 'pass');
  const comparison = compareRuns(a, plantRun('B', later), quick);
  t.true(comparison.groups[0]!.repeatable);
  t.is(gate(comparison, 'ttfb_ms.p50').verdict, 'regression');
  t.is(metric(comparison, 'ttfb_ms.p50').moved, 'higher');
  // In real time the same would be chance.
  const real = (some: readonly PlantedConversation[]): PlantedConversation[] =>
    some.map((one) => ({ ...one, conditions: { time: 'real' } }));
  const inRealTime = compareRuns(plantRun('A', real(before)), plantRun('B', real(later)), quick);
  t.is(gate(inRealTime, 'ttfb_ms.p50').verdict, 'undecided');
});

test('shorter, choppier and missing answers are regressions, and the other way round they are not', (t) => {
  const usual = Array.from({ length: 30 }, (_, i) => ({ ttfbMs: 500 + i }));
  const worse = {
    'audio_seconds.played': { playedSeconds: 3.9 },
    'underruns.total_ms': { underrunMs: 64 },
    'turns.failed': { turns: ['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'failed'] },
  } as const;
  for (const [name, change] of Object.entries(worse)) {
    const changed = usual.map((one) => ({ ...one, ...change }));
    const a = plantRun('A', usual);
    const b = plantRun('B', changed);
    const comparison = compareRuns(a, b, quick);
    t.is(gate(comparison, name).verdict, 'regression', name);
    t.is(comparison.gates.filter(({ verdict }) => verdict === 'regression').length, 1, name);
    t.is(compareRuns(b, a, quick).verdict, 'pass', name);
  }
});

test('cold and warm requests are compared apart', (t) => {
  const before = latencies(30, 5);
  const plan = (warm: number): PlantedConversation[] =>
    before.map((ttfbMs) => ({ ttfbMs, warmTtfbMs: (ttfbMs / 2) * warm }));
  const comparison = compareRuns(plantRun('A', plan(1)), plantRun('B', plan(1.2)), quick);
  t.is(gate(comparison, 'ttfb_ms.p50', 'cold').verdict, 'pass');
  t.is(gate(comparison, 'ttfb_ms.p50', 'warm').verdict, 'regression');
});

test('a run that answers too few turns is not praised for their speed', (t) => {
  const ok = Array.from({ length: 30 }, (_, i) => ({ ttfbMs: 500 + i, provider: 'slow' }));
  const eager = ok.map((one, i) => ({
    ...one,
    provider: 'eager',
    audibleMs: 1000,
    ttfbMs: 100,
    turns: [i % 5 === 0 ? ('failed' as const) : ('ok' as const)],
  }));
  const comparison = compareRuns(
    plantRun('A', [...ok, ...eager]),
    plantRun('B', [...ok, ...eager]),
    quick,
  );
  const [place] = comparison.a.ranking;
  t.deepEqual(
    place!.providers.map(({ provider }) => provider),
    ['slow'],
  );
  t.deepEqual(
    place!.refused.map(({ provider, answered }) => [provider, answered.ok, answered.turns]),
    [['eager', 24, 30]],
  );
  const refused = comparison.gates.filter(({ provider }) => provider === 'eager');
  for (const { metric: name, verdict, reason } of refused) {
    if (name === 'turns.failed') t.is(verdict, 'pass');
    else {
      t.is(verdict, 'undecided', name);
      t.regex(reason, /only 24 of 30 turns of A/);
    }
  }
});

test('providers are ranked, and those that chance could have put in this order are named', (t) => {
  const of = (provider: string, seed: number, factor: number): PlantedConversation[] =>
    latencies(30, seed, factor).map((ms) => ({ provider, audibleMs: 1000 + ms }));
  const run = plantRun('A', [...of('late', 1, 2), ...of('one', 4, 1), ...of('other', 5, 1.01)]);
  const [place] = compareRuns(run, { ...run, name: 'B' }, quick).a.ranking;
  t.deepEqual(place!.providers.map(({ provider }) => provider).slice(-1), ['late']);
  t.deepEqual(
    place!.providers.map(({ apart }) => apart),
    [undefined, false, true],
  );
});

test('what could not be judged takes no part, and is counted', (t) => {
  const good = Array.from({ length: 20 }, (_, i) => ({ ttfbMs: 500 + i }));
  const b = plantRun('B', [...good.slice(0, 19), { ttfbMs: 90_000, verdict: 'infra' }]);
  const comparison = compareRuns(plantRun('A', good), b, quick);
  t.is(comparison.b.infra, 1);
  t.is(metric(comparison, 'ttfb_ms.p95').n.b, 19);
  t.true(metric(comparison, 'ttfb_ms.p95').change.b < 1000);
});

test('whatever else differs is refused until it is allowed', (t) => {
  const plan = [{ ttfbMs: 500 }];
  const a = plantRun('A', plan);
  for (const name of conditionNames) {
    const other = { ...plan[0]!, conditions: { [name]: 'something else' } };
    const b = plantRun('B', [other]);
    const error = t.throws(() => compareRuns(a, b, quick), { instanceOf: ComparisonError });
    t.is(error.code, 'COMPARISON_DIFFERENT');
    t.true(error.hint.includes(`--allow-different ${name}`), error.hint);
    const allowed = compareRuns(a, b, { ...quick, allow: new Set([name]) });
    t.deepEqual(
      allowed.differences.map(({ what }) => what),
      [name],
    );
    // What is not known is not known to differ.
    const unknown = plantRun('B', [{ ...plan[0]!, conditions: { [name]: null } }]);
    t.deepEqual(compareRuns(a, unknown, quick).differences, []);
  }
  const older = { ...plantRun('B', plan), metricsVersion: 0 };
  t.throws(() => compareRuns(a, older, quick), { message: /version 0 of the metrics/ });
});

test('one side that is not of one kind is refused as well', (t) => {
  const mixed = plantRun('B', [{}, { conditions: { texts: 'other words' } }]);
  const error = t.throws(() => compareRuns(plantRun('A', [{}, {}]), mixed, quick));
  t.regex(error.message, /within B/);
});

test('only what both sides have is compared, and the rest is named', (t) => {
  const a = plantRun('A', [{}, { scenario: 'gone' }]);
  const b = plantRun('B', [{}, { provider: 'new' }]);
  const comparison = compareRuns(a, b, quick);
  t.deepEqual(comparison.onlyInA, ['gone · openai · diy · good-wifi · harness']);
  t.deepEqual(comparison.onlyInB, ['one-question · new · diy · good-wifi · harness']);
  t.is(comparison.groups.length, 1);
  const error = t.throws(() => compareRuns(a, plantRun('B', [{ provider: 'new' }]), quick), {
    instanceOf: ComparisonError,
  });
  t.is(error.code, 'COMPARISON_NOTHING_IN_COMMON');
});

test('sides of unlike size are compared as two samples', (t) => {
  const a = plantRun('A', withTtfb(latencies(60, 1)));
  const b = plantRun('B', withTtfb(latencies(30, 2, 1.6)));
  const comparison = compareRuns(a, b, quick);
  t.is(comparison.groups[0]!.kind, 'samples');
  t.is(gate(comparison, 'ttfb_ms.p50').verdict, 'regression');
  t.is(metric(comparison, 'ttfb_ms.p50').pairs, undefined);
  const same = compareRuns(a, plantRun('B', withTtfb(latencies(30, 2))), quick);
  t.not(gate(same, 'ttfb_ms.p50').verdict, 'regression');
});

test('from ten scenarios on the intervals hold for other texts, too', (t) => {
  const of = (count: number): PlantedConversation[] =>
    Array.from({ length: count }, (_, i) => ({ scenario: `s${i}`, ttfbMs: 400 + i }));
  const holdsFor = (count: number): string => {
    const run = plantRun('A', of(count));
    return compareRuns(run, { ...run, name: 'B' }, quick).groups[0]!.holdsFor;
  };
  t.is(holdsFor(9), 'these-texts');
  t.is(holdsFor(10), 'other-texts');
});

test('a scenario with gates of its own is held to them, the others to those of the run', (t) => {
  const before = latencies(30, 1);
  const own = { scenario: 'own', gates: [{ metric: 'ttfb_ms.p50', tolerance: '+50%' }] };
  const plan = (factor: number): PlantedConversation[] => [
    ...withTtfb(before.map((ms) => ms * factor)),
    ...withTtfb(
      before.map((ms) => ms * factor),
      own,
    ),
  ];
  const gates = [
    gateRule('underruns.total_ms', 'off'),
    gateRule('audible_at_speaker_ms.p50', '+100ms'),
  ];
  const comparison = compareRuns(plantRun('A', plan(1)), plantRun('B', plan(1.2)), {
    ...quick,
    gates,
  });
  const found = comparison.gates.filter(({ metric: name }) => name === 'ttfb_ms.p50');
  t.deepEqual(
    found.map(({ scenario, verdict, tolerance }) => [scenario, verdict, tolerance]),
    [
      [undefined, 'regression', '+5%'],
      ['own', 'pass', '+50%'],
    ],
  );
  t.false(comparison.gates.some(({ metric: name }) => name === 'underruns.total_ms'));
  t.deepEqual(
    new Set(
      comparison.gates
        .filter(({ metric: name }) => name.startsWith('audible'))
        .map((one) => one.tolerance),
    ),
    new Set(['+100ms']),
  );
});

test('p95 is judged by the slowest tenth, and says how many conversations that takes', (t) => {
  const gates = [gateRule('ttfb_ms.p95', '+5%')];
  const before = latencies(400, 1);
  const slowest = [...before].sort((x, y) => y - x)[40]!;
  const after = before.map((ms) => (ms > slowest ? ms * 1.2 : ms));
  const comparison = compareRuns(plantRun('A', withTtfb(before)), plantRun('B', withTtfb(after)), {
    ...quick,
    gates,
  });
  t.is(gate(comparison, 'ttfb_ms.p95').verdict, 'regression');
  t.is(gate(comparison, 'ttfb_ms.p50').verdict, 'pass');
  const few = compareRuns(
    plantRun('A', withTtfb(before.slice(0, 30))),
    plantRun('B', withTtfb(before.slice(0, 30).map((ms) => ms * 1.2))),
    { ...quick, gates },
  );
  t.is(gate(few, 'ttfb_ms.p95').verdict, 'undecided');
  t.true(gate(few, 'ttfb_ms.p95').needs! >= 130);
});

test('the same sides give the same comparison', (t) => {
  const a = plantRun('A', withTtfb(latencies(20, 1)));
  const b = plantRun('B', withTtfb(latencies(20, 2)));
  t.deepEqual(compareRuns(a, b, quick), compareRuns(a, b, quick));
  t.notDeepEqual(compareRuns(a, b, quick), compareRuns(a, b, { ...quick, seed: 2 }));
});

test('a baseline gives back what was saved, in the same bytes whatever the order', (t) => {
  const plan = latencies(12, 4).map((ttfbMs, i) => ({
    ttfbMs: Math.round(ttfbMs * 1000) / 1000,
    warmTtfbMs: 100 + i,
    gates: [{ metric: 'ttfb_ms.p50', tolerance: '+50ms' }],
  }));
  const run = plantRun('A', plan);
  const text = baselineText(run);
  const back = readBaseline(text, 'A');
  const byRepetition = (one: typeof run) =>
    [...one.conversations].sort((x, y) => x.repetition - y.repetition);
  t.deepEqual(byRepetition(back), byRepetition(run));
  t.deepEqual(back.facts, run.facts);
  t.is(baselineText({ ...run, conversations: [...run.conversations].reverse() }), text);
  t.is(compareRuns(run, { ...back, name: 'B' }, quick).verdict, 'pass');
  for (const [broken, why] of [
    ['{', /not JSON/],
    ['{}', /no baselineFormatVersion/],
    [text.replace('"baselineFormatVersion": 1', '"baselineFormatVersion": 9'), /version is 9/],
    [text.replace(/\[\[1,\d+(\.\d+)?/, '[[1,"x"'), /another shape|not JSON/],
  ] as const) {
    const error = t.throws(() => readBaseline(broken, 'x.json'), { instanceOf: ComparisonError });
    t.is(error.code, 'BASELINE_INVALID');
    t.regex(error.message, why);
  }
});

test('what is flaky on a side is named, and what the same program did not repeat is a defect', (t) => {
  const held = (seeds: readonly number[], verdicts: readonly ('pass' | 'fail' | 'infra')[]) =>
    seeds.map((seed, i) => ({ seed, verdict: verdicts[i]! }));
  const a = plantRun('A', held([1, 2, 3], ['pass', 'fail', 'infra']));
  const b = plantRun('B', held([1, 2, 3], ['pass', 'pass', 'pass']));
  const withProgram = (run: ComparableRun, program: string): ComparableRun => ({
    ...run,
    facts: { ...run.facts, program },
  });
  const same = compareRuns(withProgram(a, 'p1'), withProgram(b, 'p1'));
  const cell = 'one-question · openai · diy · good-wifi · harness';
  t.deepEqual(same.a.flaky, [
    { cell, time: 'virtual', kind: 'repetitions', passed: 1, failed: 1, infra: 1 },
  ]);
  t.deepEqual(same.b.flaky, []);
  t.deepEqual(same.notRepeatable, [cell]);
  // Another program may come out otherwise: that is what is compared. So may other draws, and real time.
  t.deepEqual(compareRuns(withProgram(a, 'p1'), withProgram(b, 'p2')).notRepeatable, []);
  t.deepEqual(compareRuns(a, b).notRepeatable, [], 'nobody knows the programs');
  const others = plantRun('B', held([4, 5, 6], ['pass', 'pass', 'pass']));
  t.deepEqual(compareRuns(withProgram(a, 'p1'), withProgram(others, 'p1')).notRepeatable, []);
  const real = (run: ComparableRun): ComparableRun => ({
    ...withProgram(run, 'p1'),
    conversations: run.conversations.map((one) => ({
      ...one,
      conditions: { ...one.conditions, time: 'real' },
    })),
  });
  t.deepEqual(compareRuns(real(a), real(b)).notRepeatable, []);
});
