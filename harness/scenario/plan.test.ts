import test from 'ava';
import { loadScenario } from './load.ts';
import { cellName, type PlanOptions, planRun } from './plan.ts';
import type { Scenario } from './scenario.ts';
import { ScenarioError } from './scenario-error.ts';

const catalog = {
  metrics: [],
  providers: ['openai', 'openai-stream', 'stream_gsv', 'elevenlabs'],
  devices: ['diy', 'box'],
  networks: ['ideal', 'good-wifi'],
  quirks: [],
};
/** The shipped defaults may grow; their rules do not. */
const defaults = {
  providers: catalog.providers,
  devices: ['diy'],
  networks: ['good-wifi'],
  servers: ['harness' as const],
};
const options: PlanOptions = { seed: 1, time: 'virtual', defaults, catalog };

function scenario(name: string, matrix = ''): Scenario {
  const text = `title = "T"\n[matrix]\n${matrix}\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n`;
  return loadScenario(text, `scenarios/${name}.toml`, catalog);
}

const names = (scenarios: readonly Scenario[], more: Partial<PlanOptions> = {}) =>
  planRun(scenarios, { ...options, ...more }).cells.map(cellName);

test('without a matrix the defaults apply, in their order', (t) => {
  t.deepEqual(names([scenario('b'), scenario('a')]), [
    'b--openai--diy--good-wifi',
    'b--openai-stream--diy--good-wifi',
    'b--stream_gsv--diy--good-wifi',
    'b--elevenlabs--diy--good-wifi',
    'a--openai--diy--good-wifi',
    'a--openai-stream--diy--good-wifi',
    'a--stream_gsv--diy--good-wifi',
    'a--elevenlabs--diy--good-wifi',
  ]);
});

test('the command line goes before the scenario, and the scenario before the defaults', (t) => {
  const own = scenario('a', 'providers = ["elevenlabs"]\nnetworks = ["ideal", "good-wifi"]');
  t.deepEqual(names([own]), ['a--elevenlabs--diy--ideal', 'a--elevenlabs--diy--good-wifi']);
  t.deepEqual(names([own], { providers: ['openai'], devices: ['box', 'diy'], networks: [] }), [
    'a--openai--box--ideal',
    'a--openai--box--good-wifi',
    'a--openai--diy--ideal',
    'a--openai--diy--good-wifi',
  ]);
  const others = {
    providers: ['stream_gsv'],
    devices: ['box'],
    networks: ['ideal'],
    servers: ['harness' as const],
  };
  t.deepEqual(names([own], { defaults: others }), [
    'a--elevenlabs--box--ideal',
    'a--elevenlabs--box--good-wifi',
  ]);
});

test('a server model is a dimension of its own, and the usual one is not named', (t) => {
  const providers = ['openai'];
  const both = scenario('a', 'servers = ["harness", "echokit-server"]');
  const pair = ['a--openai--diy--good-wifi', 'a--openai--diy--good-wifi--echokit-server'];
  t.deepEqual(names([both], { providers }), pair);
  const text =
    'title = "T"\n[server]\ncompat = "echokit-server"\n[[turn]]\nsay = "Hi."\nreply = "Yes."\n';
  const compat = loadScenario(text, 'scenarios/a.toml', catalog);
  t.deepEqual(names([compat], { providers }), pair.slice(1));
  t.deepEqual(names([compat], { providers, servers: ['harness'] }), pair.slice(0, 1));
  t.deepEqual(names([scenario('a')], { providers, servers: ['echokit-server'] }), pair.slice(1));
  const cells = planRun([both], { ...options, providers }).cells;
  t.deepEqual(
    cells.map(({ server }) => server),
    ['harness', 'echokit-server'],
  );
  // The same seed: only the server differs.
  t.is(cells[0]!.seed, cells[1]!.seed);
  const error = t.throws(() => names([both], { servers: ['echokit'] }), {
    instanceOf: ScenarioError,
  });
  t.like(error?.problems[0], {
    code: 'SCENARIO_UNKNOWN_NAME',
    hint: 'servers: harness, echokit-server',
  });
});

test('a name given twice makes one cell', (t) => {
  t.deepEqual(names([scenario('a')], { providers: ['openai', 'openai'] }), [
    'a--openai--diy--good-wifi',
  ]);
});

test('seeds depend on the plan and the scenario name, and on nothing else', (t) => {
  const seeds = (scenarios: readonly Scenario[], seed: number, more: Partial<PlanOptions> = {}) =>
    planRun(scenarios, { ...options, ...more, seed }).cells.map((cell) => cell.seed);
  const [a, b] = [scenario('a'), scenario('b')];
  const [seed] = seeds([a], 1);
  t.true(Number.isSafeInteger(seed) && seed !== undefined && seed >= 0);
  t.deepEqual(new Set(seeds([a], 1)), new Set([seed]));
  t.deepEqual(new Set(seeds([b, a], 1).slice(4)), new Set([seed]));
  t.deepEqual(seeds([scenario('a', 'devices = ["box"]')], 1, { providers: ['openai'] }), [seed]);
  t.not(seeds([a], 2)[0], seed);
  t.not(seeds([b], 1)[0], seed);
});

test('a live plan skips what only a stand-in can do, and says why', (t) => {
  const text = 'title = "T"\n[stand_in]\nspeed = 0.5\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n';
  const slow = loadScenario(text, 'scenarios/slow.toml', catalog);
  const live = {
    ...options,
    time: 'real',
    live: true,
    providers: ['openai', 'elevenlabs'],
  } as const;
  const plan = planRun([scenario('a'), slow], live);
  t.true(plan.live);
  t.deepEqual(plan.cells.map(cellName), [
    'a--openai--diy--good-wifi',
    'a--elevenlabs--diy--good-wifi',
  ]);
  t.deepEqual(
    plan.skipped.map(({ cell }) => cellName(cell)),
    ['slow--openai--diy--good-wifi', 'slow--elevenlabs--diy--good-wifi'],
  );
  t.regex(plan.skipped[0]!.reason, /^scenarios\/slow\.toml .*\[stand_in\]/);

  const other =
    'title = "T"\n[stand_in.personality]\nopenai = "openai-tts-1-hd"\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n';
  const disguised = loadScenario(other, 'scenarios/disguised.toml', catalog);
  t.deepEqual(planRun([disguised], live).cells, []);

  const local = planRun([slow], options);
  t.false(local.live);
  t.is(local.cells.length, 4);
  t.deepEqual(local.skipped, []);
});

test('a plan is never live in virtual time or with providers that nobody named', (t) => {
  t.throws(() => planRun([], { ...options, live: true, providers: ['openai'] }), {
    instanceOf: RangeError,
  });
  t.throws(() => planRun([], { ...options, live: true, time: 'real' }), { instanceOf: RangeError });
});

test('seed and kind of time are kept', (t) => {
  const { seed, time } = planRun([], { ...options, seed: 7, time: 'real' });
  t.deepEqual({ seed, time }, { seed: 7, time: 'real' });
});

test('unknown names of the command line are named with the valid ones', (t) => {
  const error = t.throws(
    () => planRun([scenario('a')], { ...options, providers: ['opnai', 'openai'], devices: ['x'] }),
    { instanceOf: ScenarioError },
  );
  t.is(error?.code, 'SCENARIO_UNKNOWN_NAME');
  t.is(
    error?.message,
    `command line: unknown provider "opnai": did you mean "openai"?
  providers: openai, openai-stream, stream_gsv, elevenlabs

command line: unknown device "x"
  devices: diy, box`,
  );
});

test('two scenarios of one name would share a folder', (t) => {
  const other = { ...scenario('A'), file: 'elsewhere/A.toml' };
  const error = t.throws(() => planRun([scenario('a'), other], options), {
    instanceOf: ScenarioError,
  });
  t.is(error?.code, 'SCENARIO_DUPLICATE');
  t.is(
    error?.message,
    `elsewhere/A.toml: scenarios/a.toml has the same name, and their recordings would have the same folder
  rename one of them, or run them apart`,
  );
});

test('what a real board cannot be told is skipped with the reason, and the rest is run', (t) => {
  const turn = '[[turn]]\nsay = "Hi."\nreply = "Hello."\n';
  const change =
    '[[turn.disturb]]\nkind = "change"\nto = "ideal"\nafter = { event = "StartAudio" }\n';
  const plain = loadScenario(`title = "T"\n${turn}`, 'scenarios/plain.toml', catalog);
  const changed = loadScenario(`title = "T"\n${turn}${change}`, 'scenarios/changed.toml', catalog);
  const plan = planRun([plain, changed], { ...options, providers: ['openai'], board: true });
  t.deepEqual(
    plan.cells.map(({ scenario: { name } }) => name),
    ['plain'],
  );
  t.deepEqual(
    plan.skipped.map(({ reason }) => reason),
    ['scenarios/changed.toml changes the network, which a real board cannot be told'],
  );
});

test('repetitions have draws of their own, the first those of a run without any', (t) => {
  const scenarios = [scenario('one'), scenario('two')];
  const options = {
    seed: 5,
    time: 'virtual',
    catalog,
    providers: ['openai', 'elevenlabs'],
  } as const;
  const once = planRun(scenarios, options);
  const { cells } = planRun(scenarios, { ...options, repeat: 3 });
  t.is(cells.length, 3 * once.cells.length);
  t.deepEqual(
    cells.slice(0, 4).map((cell) => [cellName(cell), cell.repetition]),
    [
      ['one--openai--diy--good-wifi--r001', 1],
      ['one--openai--diy--good-wifi--r002', 2],
      ['one--openai--diy--good-wifi--r003', 3],
      ['one--elevenlabs--diy--good-wifi--r001', 1],
    ],
  );
  t.deepEqual(
    cells.filter(({ repetition }) => repetition === 1).map(({ seed }) => seed),
    once.cells.map(({ seed }) => seed),
  );
  t.is(new Set(cells.map(({ seed }) => seed)).size, 6, 'one for each repetition of a scenario');
  t.is(once.cells[0]?.repetition, undefined);
});

test('in real time repetitions are interleaved: every round holds each cell once, in an order of its own', (t) => {
  const scenarios = ['a', 'b', 'c', 'd'].map((name) => scenario(name));
  const providers = ['openai', 'elevenlabs'];
  const options = { seed: 5, time: 'real', catalog, providers, repeat: 4 } as const;
  const { cells } = planRun(scenarios, options);
  const rounds = [0, 1, 2, 3].map((round) => cells.slice(8 * round, 8 * round + 8));
  const orders = rounds.map((round, i) => {
    t.true(round.every(({ repetition }) => repetition === i + 1));
    return round.map(({ scenario: { name }, provider }) => `${name}/${provider}`);
  });
  t.deepEqual(
    orders.map((order) => new Set(order).size),
    [8, 8, 8, 8],
  );
  t.is(new Set(orders.map((order) => order.join())).size, 4, 'four different orders');
  t.deepEqual(planRun(scenarios, options).cells, cells, 'the same seed, the same order');
  t.notDeepEqual(
    planRun(scenarios, { ...options, seed: 6 }).cells.map(cellName),
    cells.map(cellName),
  );
});
