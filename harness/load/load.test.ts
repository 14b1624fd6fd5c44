import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { ownCacheFolder } from '../runner/test-cache.contract.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import { formatProblem } from '../trace/format-check.contract.ts';
import type { LoadFigures } from './load-figures.ts';
import type { LoadPlan } from './load-plan.ts';
import { loadMetrics, loadReport } from './load-report.ts';
import { LoadRole } from './load-role.ts';
import { loadText } from './load-text.ts';
import { runRealLoad } from './real-load.ts';
import { defaultThresholds, judge, readThreshold, type Threshold } from './threshold.ts';
import { runVirtualLoad, type VirtualLoadOptions } from './virtual-load.ts';

const catalog = {
  metrics: metricCatalog,
  providers: builtInProviders.map(({ name }) => name),
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

const twoTurns = `
title = "Two short turns"
[[turn]]
say = "How far is the moon?"
reply = "Far away, and cold. Nobody lives there."
[[turn]]
say = "And the sun?"
reply = "Even further."
`;

const laboratory = await openLaboratory(await ownCacheFolder());

interface Asked extends Partial<LoadPlan>, Pick<VirtualLoadOptions, 'mixesUp'> {
  readonly scenario?: string;
  readonly provider?: string;
  readonly networks?: readonly string[];
}

function planned({
  scenario = twoTurns,
  provider = 'openai-stream',
  networks = [],
  ...rest
}: Asked) {
  const loaded = loadScenario(scenario, 'load.toml', catalog);
  const { cells } = planRun([loaded], {
    providers: [provider],
    networks,
    seed: 1,
    time: 'virtual',
    catalog,
  });
  const { mixesUp, ...given } = rest;
  const plan: LoadPlan = {
    devices: 4,
    rampMs: 1_000,
    pauseMs: 500,
    checksVoices: true,
    seed: 1,
    cells,
    profiles: new Map(),
    ...given,
  };
  return { plan, provider: builtInProviders.find(({ name }) => name === provider)!, mixesUp };
}

function held(asked: Asked): Promise<LoadFigures> {
  const { plan, provider, mixesUp } = planned(asked);
  return runVirtualLoad({
    plan,
    provider,
    laboratory,
    wallClock: new SystemClock(),
    signal: new AbortController().signal,
    ...(mixesUp !== undefined && { mixesUp }),
  });
}

/** What does not depend on the machine. */
function facts({ boards, eachBoard, server, ranMs, messagesPerSecond }: LoadFigures) {
  return { boards, eachBoard, server, ranMs, messagesPerSecond };
}

function thresholds(...rules: string[]): Threshold[] {
  return rules.map((rule) => {
    const read = readThreshold(rule);
    if ('problem' in read) throw new Error(read.problem);
    return read;
  });
}

test('twelve boards hold all their turns, each hears its own voice only, and twice the same to the last count', async (t) => {
  const asked = { devices: 12, turns: 4, networks: ['good-wifi', 'ideal'] };
  const figures = await held(asked);
  const { boards, eachBoard, server } = figures;
  t.is(boards.turns, 48);
  t.is(boards.failed, 0);
  t.is(boards.connected, 12);
  t.true(eachBoard.every(({ turns, conversations }) => turns === 4 && conversations === 2));
  t.deepEqual(
    eachBoard.slice(0, 3).map(({ network }) => network),
    ['good-wifi', 'ideal', 'good-wifi'],
  );
  // One request for the first answer's sentences together or for each, at least one for each turn.
  t.true(server!.requests >= 48 && server!.failedRequests === 0);
  t.is(boards.audible.n, 48);
  t.is(boards.voices.foreign, 0);
  const { own, damaged } = boards.voices;
  t.true(own > 5 * damaged, `${own} own, ${damaged} damaged`);
  t.deepEqual(facts(await held(asked)), facts(figures));
});

test('an answer in the voice of another board is found at the speaker, and whose it was', async (t) => {
  const figures = await held({
    devices: 6,
    turns: 2,
    mixesUp: (board, turn) => (board === 3 && turn === 2 ? 5 : board),
  });
  const { strangers, foreign } = figures.boards.voices;
  t.true(foreign > 3);
  t.deepEqual(
    [...new Set(strangers.map(({ board, heard }) => `${board} ${heard.board}`))],
    ['3 5'],
  );
  t.deepEqual(
    figures.eachBoard.map(({ foreignWindows }) => foreignWindows > 0),
    [false, false, false, true, false, false],
  );
  const { plan } = planned({ devices: 6, turns: 2 });
  const report = loadReport({
    plan,
    figures,
    thresholds: thresholds(...defaultThresholds('virtual', true)),
    id: 'x',
    startedAt: 'now',
    environment: {},
  });
  t.is(report.verdict, 'fail');
  t.is(formatProblem('load', JSON.parse(JSON.stringify(report))), undefined);
  t.deepEqual(
    report.thresholds.filter(({ passed }) => !passed).map(({ rule }) => rule),
    ['foreign_voices<=0'],
  );
  t.regex(loadText(report), /board 3 at \d+\.\d+ s heard the answer of board 5/);
});

for (const provider of ['openai', 'groq', 'gsv', 'stream_gsv', 'elevenlabs', 'fish', 'cosyvoice']) {
  test(`the voice of a board comes whole through the adapter of ${provider}`, async (t) => {
    const figures = await held({ devices: 2, turns: 1, rampMs: 200, provider });
    const { own, damaged, foreign } = figures.boards.voices;
    t.is(foreign, 0);
    t.true(own > 5 * damaged && own > 20, `${own} own, ${damaged} damaged`);
    t.is(figures.boards.failed, 0);
  });
}

test('boards that are told to stop are switched off in mid turn, which counts as neither', async (t) => {
  const { boards, ranMs, heldMs } = await held({ devices: 3, rampMs: 300, holdMs: 5_000 });
  t.is(ranMs, 5_300);
  t.is(heldMs, 5_000);
  t.true(boards.unfinished > 0);
  t.is(boards.failed, 0);
});

test('a turn that comes to no end, and one of which nothing is played, has failed', async (t) => {
  const short = twoTurns.replace('reply = "Even', 'timeout_ms = 1200\nreply = "Even');
  const late = await held({ devices: 2, turns: 2, scenario: short });
  t.deepEqual(late.boards.failures, { timeout: 2, reboot: 0, silent: 0 });
  const mute = twoTurns.replace('"Even further."', '"…"');
  const silent = await held({ devices: 2, turns: 2, scenario: mute });
  t.deepEqual(silent.boards.failures, { timeout: 0, reboot: 0, silent: 2 });
  const metrics = loadMetrics(silent);
  t.is(metrics.turns.failed_share, 0.5);
  const verdicts = judge(thresholds('failed<50%', 'failed<=50%', 'refused<=0'), metrics);
  t.deepEqual(
    verdicts.map(({ passed }) => passed),
    [false, true, true],
  );
  // Virtual time has no late cycles, and what was not measured holds nothing.
  t.deepEqual(judge(thresholds('late_cycles<1%'), metrics), [
    { rule: 'late_cycles<1%', value: null, passed: false },
  ]);
});

test('thresholds are read to the letter', (t) => {
  t.like(readThreshold('late_cycles<1%'), { metric: 'late_cycles', operator: '<', limit: 0.01 });
  t.like(readThreshold(' ttfb_ms.p99 >= 12.5 '), { metric: 'ttfb_ms.p99', limit: 12.5 });
  t.like(readThreshold('failed<=0.5'), { limit: 0.5 });
  for (const wrong of ['late_cycle<1%', 'late_cycles', 'refused<1%', 'failed<5', 'failed=1']) {
    t.true('problem' in readThreshold(wrong), wrong);
  }
  t.regex((readThreshold('late_cycle<1%') as { problem: string }).problem, /late_cycles\?/);
});

test('over real sockets every board hears its own voice, and a planted mix-up is found', async (t) => {
  t.timeout(120_000);
  const { plan, provider } = planned({ devices: 3, turns: 2, rampMs: 300 });
  const clock = new SystemClock();
  const mixesUp = (board: number, turn: number): number => (board === 1 && turn === 2 ? 2 : board);
  const figures = await runRealLoad({
    plan,
    party: provider,
    boardProcesses: 2,
    clock,
    signal: new AbortController().signal,
    openPart: () => {
      const role = new LoadRole({ laboratory, startNs: clock.startNs, mixesUp });
      return { ask: (request) => role.answer(request), stop: () => {} };
    },
  });
  const { boards, eachBoard, cycles, processes } = figures;
  t.is(boards.turns, 6);
  t.is(boards.connected, 3);
  t.deepEqual(
    eachBoard.map(({ board, turns, foreignWindows }) => [board, turns, foreignWindows > 0]),
    [
      [0, 2, false],
      [1, 2, true],
      [2, 2, false],
    ],
  );
  t.true(boards.voices.strangers.every(({ board, heard }) => board === 1 && heard.board === 2));
  t.true(cycles !== null && cycles.server !== null && cycles.boards.cycles > 0);
  t.deepEqual(
    processes.map(({ role, boards: count }) => `${role} ${count}`),
    ['server 3', 'provider 0', 'boards 2', 'boards 1'],
  );
});

test('boards whose server is not there count as refused, with what they were told', async (t) => {
  t.timeout(60_000);
  const { plan } = planned({ devices: 2, turns: 1, rampMs: 10, checksVoices: false });
  const clock = new SystemClock();
  const figures = await runRealLoad({
    plan,
    // Nobody can listen at port 1.
    party: { serverUrl: 'ws://127.0.0.1:1/ws/' },
    boardProcesses: 1,
    clock,
    signal: new AbortController().signal,
    openPart: () => {
      const role = new LoadRole({ laboratory, startNs: clock.startNs });
      return { ask: (request) => role.answer(request), stop: () => {} };
    },
  });
  const metrics = loadMetrics(figures);
  t.is(metrics.boards.refused, 2);
  t.regex(
    metrics.boards.refusals[0]!,
    /Board 02ec10000000 cannot reach ws:\/\/127\.0\.0\.1:1\/ws\//,
  );
  t.false(judge(thresholds('refused<=0'), metrics)[0]!.passed);
});
