import test from 'ava';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { readGate } from './gate.ts';
import { loadScenario } from './load.ts';
import { ScenarioError } from './scenario-error.ts';

const read = (metric: string, written: string) => readGate(metric, written, metricCatalog);

test('a tolerance is a share or a change in the unit of its metric', (t) => {
  const cases = [
    ['ttfb_ms.p50', '+10%', { direction: 'higher', by: 0.1, relative: true }],
    ['ttfb_ms.p95', '+50ms', { direction: 'higher', by: 50, relative: false }],
    ['ttfb_ms.mean', ' + 0.5 s ', { direction: 'higher', by: 500, relative: false }],
    ['underruns.count', '+0', { direction: 'higher', by: 0, relative: false }],
    ['audio_seconds.played', '-1%', { direction: 'lower', by: 0.01, relative: true }],
    ['audio_seconds.played', '−20ms', { direction: 'lower', by: 0.02, relative: false }],
    ['tail_margin_ms.p50', '-5ms', { direction: 'lower', by: 5, relative: false }],
  ] as const;
  for (const [metric, written, limit] of cases) {
    const rule = read(metric, written);
    t.true('limits' in rule, `${metric} ${written}`);
    if ('limits' in rule) t.deepEqual(rule.limits, [limit], `${metric} ${written}`);
  }
});

test('a family without a statistic means its median', (t) => {
  const rule = read('ttfb_ms', '+50ms');
  t.true('limits' in rule && rule.metric === 'ttfb_ms.p50');
});

test('what is worse in neither direction is watched in both', (t) => {
  const rule = read('loudness_lufs', '±1.5LU');
  t.deepEqual('limits' in rule && rule.limits, [
    { direction: 'higher', by: 1.5, relative: false },
    { direction: 'lower', by: 1.5, relative: false },
  ]);
});

test('what is no gate is refused with what would be one', (t) => {
  const cases = [
    ['ttfb_ms.p5', '+10%', 'metric', /did you mean "ttfb_ms/, /ttfb_ms\.p50/],
    ['ttfb_ms.max', '+10%', 'metric', /depends on how many values/, /ttfb_ms\.p50/],
    ['ttfb_ms.n', '+10%', 'metric', /number of values/, /ttfb_ms\.p50/],
    ['failure.kind', '+0', 'metric', /it is text/, /\[expect\]/],
    ['ttfb_ms.p50', '10%', 'tolerance', /no tolerance/, /"\+10%"/],
    ['ttfb_ms.p50', '-10%', 'tolerance', /an improvement/, /"\+10%"/],
    ['ttfb_ms.p50', '+10LU', 'tolerance', /in "LU"/, /"\+50ms"/],
    ['audio_seconds.played', '+1%', 'tolerance', /gets worse when it gets lower/, /"-10%"/],
    ['audio_seconds.played', '-100%', 'tolerance', /never be passed/, /"-10%"/],
    ['loudness_lufs', '±10%', 'tolerance', /no shares/, /"±1LU"/],
  ] as const;
  for (const [metric, written, about, message, hint] of cases) {
    const problem = read(metric, written);
    if ('limits' in problem) {
      t.fail(`${metric} ${written}`);
      continue;
    }
    t.is(problem.about, about, metric);
    t.regex(problem.message, message);
    t.regex(problem.hint, hint);
  }
});

const catalog = { metrics: metricCatalog, providers: [], devices: [], networks: [], quirks: [] };
const turn = '[[turn]]\nsay = "A?"\nreply = "B."\n';

test('a scenario has its gates with their places', (t) => {
  const text = `title = "T"\n${turn}[gate]\nttfb_ms.p95 = "+10%"\nunderruns = { count = "off" }\n`;
  const { gates } = loadScenario(text, 'gated.toml', catalog);
  t.deepEqual(
    gates?.map(({ metric, tolerance, limits, at }) => [metric, tolerance, limits.length, at?.line]),
    [
      ['ttfb_ms.p95', '+10%', 1, 6],
      ['underruns.count', 'off', 0, 7],
    ],
  );
  t.is(loadScenario(`title = "T"\n${turn}`, 'plain.toml', catalog).gates, undefined);
});

test('a wrong gate of a scenario is told with its line', (t) => {
  const text = `title = "T"\n${turn}[gate]\nttfb_ms.p95 = 10\nttfa_ms.p5 = "+1%"\nrtf = "+-1"\n`;
  const error = t.throws(() => loadScenario(text, 'gated.toml', catalog), {
    instanceOf: ScenarioError,
  });
  t.deepEqual(
    error.problems.map(({ code, line }) => [code, line]),
    [
      ['SCENARIO_WRONG_TYPE', 6],
      ['SCENARIO_UNKNOWN_NAME', 7],
      ['SCENARIO_BAD_VALUE', 8],
    ],
  );
});
