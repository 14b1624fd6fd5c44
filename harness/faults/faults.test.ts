import { readFileSync } from 'node:fs';
import test from 'ava';
import { metricFamilies } from '../metrics/metric-catalog.ts';
import { loadScenario } from '../scenario/load.ts';
import { ScenarioError } from '../scenario/scenario-error.ts';
import { traceEventTypes } from '../trace/trace-event.ts';
import { faultNames, faults, findFault, nearestFault } from './catalog.ts';
import { faultLevels } from './fault.ts';
import { describeFault, faultTables } from './fault-table.ts';
import { parametersOf, readPlannedFault, usualFault } from './planned-fault.ts';

const names = { metrics: [], providers: [], devices: [], networks: [], quirks: [] };
const turn = '[[turn]]\nsay = "Hi."\nreply = "Ho."\n';
const load = (toml: string) => loadScenario(`title = "T"\n${toml}`, 'x.toml', names);

test('there are more than forty faults, of every level, each with its own name', (t) => {
  t.true(faults.length >= 40);
  t.is(new Set(faultNames).size, faults.length);
  for (const level of faultLevels)
    t.true(
      faults.some((fault) => fault.level === level),
      level,
    );
  for (const { name } of faults) t.regex(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test('what a fault says of events, metrics and pitfalls exists', (t) => {
  const metrics = new Set(metricFamilies.map(({ name }) => name));
  for (const { name, sign, imitates, about } of faults) {
    t.true(metrics.has(sign.metric), `${name}: ${sign.metric}`);
    t.true(sign.classes.length > 0, name);
    t.false(about.endsWith('.'), name);
    for (const event of sign.events) {
      const [, source, type] = /^(\w+) `(\w+)`$/.exec(event) ?? [];
      t.true(traceEventTypes(source as 'device').includes(type!), `${name}: ${event}`);
    }
    for (const row of imitates)
      t.regex(
        row,
        /^(S(0\d|1[0-8])|P(0\d|1\d)|A(0\d|10)|D(0\d|1[0-7])|R(0\d|1[01])|M0\d|C0[1-6])$/,
      );
  }
});

test('the page has the tables of the catalog', (t) => {
  const page = readFileSync(new URL('README.md', import.meta.url), 'utf8');
  t.true(page.includes(faultTables()), 'npm run keep-faults');
});

test('every fault can be planted with nothing but its name, and with each of its parameters', (t) => {
  for (const fault of faults) {
    const usual = usualFault(fault);
    t.is(usual.name, fault.name);
    t.is(usual.request, undefined);
    t.deepEqual(usual.moment, fault.moment);
    for (const parameter of parametersOf(fault)) {
      const values: readonly unknown[] =
        parameter.kind === 'number'
          ? [parameter.from, parameter.to]
          : parameter.kind === 'share'
            ? ['0%', '33.5%', 0.25, 1]
            : parameter.choices;
      for (const value of values) {
        const read = readPlannedFault({ name: fault.name, [parameter.name]: value }, []);
        t.true('injection' in read, `${fault.name}: ${parameter.name} = ${String(value)}`);
      }
      for (const wrong of [-7e12, 7e12, '7', '101%', true]) {
        const read = readPlannedFault({ name: fault.name, [parameter.name]: wrong }, []);
        t.false('injection' in read, `${fault.name}: ${parameter.name} = ${String(wrong)}`);
      }
    }
    t.true(describeFault(fault).includes(`name = "${fault.name}"`));
  }
});

test('a share is a part of the clip, an ordinal a request of the turn, and a moment when it happens', (t) => {
  const { turns } = load(
    `${turn}fault = [{ name = "cut-audio", after = "40%", request = 2 }]\n${turn}[[turn.fault]]\nname = "wifi-stall"\nms = 800\nafter = { event = "StartAudio", delay_ms = 300 }\n`,
  );
  t.deepEqual(turns[0]!.faults[0]!.injection, {
    layer: 'provider-words',
    fault: { kind: 'cut', moment: 'mid-audio', afterFraction: 0.4 },
  });
  t.is(turns[0]!.faults[0]!.request, 2);
  t.deepEqual(turns[1]!.faults[0]!.injection, {
    layer: 'board-link',
    disturbance: { kind: 'stall', direction: 'down', durationUs: 800_000 },
  });
  t.deepEqual(turns[1]!.faults[0]!.moment, { event: 'StartAudio', delayMs: 300 });
});

test('a fault of the whole conversation is one of every turn, before those of the turn', (t) => {
  const { turns } = load(
    `[[fault]]\nname = "late-head"\n${turn}${turn}[[turn.fault]]\nname = "redirect"\n`,
  );
  t.deepEqual(
    turns.map(({ faults: own }) => own.map(({ name }) => name)),
    [['late-head'], ['late-head', 'redirect']],
  );
});

test('everything that is wrong with a planted fault is told at its place', (t) => {
  const error = t.throws(
    () =>
      load(
        `${turn}[[turn.fault]]\nname = "cut-adio"\n[[turn.fault]]\nname = "cut-audio"\nafter = "140%"\n[[turn.fault]]\nname = "status-429-wait"\nwait = 3\n[[turn.fault]]\nname = "wifi-stall"\nafter = { event = "Nothing" }\n`,
      ),
    { instanceOf: ScenarioError },
  );
  t.deepEqual(
    error.problems.map(({ code, line, message }) => `${code} ${line} ${message}`),
    [
      'SCENARIO_UNKNOWN_NAME 6 unknown fault "cut-adio": did you mean "cut-audio"?',
      'SCENARIO_BAD_VALUE 9 "after" cannot be "140%"',
      'SCENARIO_UNKNOWN_KEY 12 the fault "status-429-wait" has no "wait": did you mean "wait_s"?',
      `SCENARIO_BAD_VALUE 15 unknown event "Nothing"; there are ${error.problems[3]!.message.split('there are ')[1]}`,
    ],
  );
  t.is(nearestFault('swallow-ende'), 'swallow-end');
  t.is(findFault('nothing'), undefined);
});
