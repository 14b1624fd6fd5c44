import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { openLaboratory } from '../runner/laboratory.ts';
import { type PassingRun, passingCatalog, passRun } from '../runner/passing-run.ts';
import { loadScenario } from '../scenario/load.ts';
import { suddenFaults } from '../virtual-board/fault.ts';
import { Explorer, exploredProviders, scenarioName, sizeOf, smallestSchedule } from './explorer.ts';
import { isKnownRestart } from './invariant.ts';
import { drawSchedule, type Schedule, scenarioText } from './schedule.ts';

const providers = [...exploredProviders.keys()];

test('every schedule is a scenario, the same for the same seed, and ends with turns in which nothing goes wrong', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff_ffff }), (seed) => {
      const schedule = drawSchedule(seed, providers);
      t.deepEqual(drawSchedule(seed, providers), schedule);
      const scenario = loadScenario(scenarioText(schedule), 'x.toml', passingCatalog);
      t.is(scenario.turns.length, schedule.turns.length + 2);
      for (const [i, { faults, acts }] of schedule.turns.entries()) {
        t.deepEqual(
          scenario.turns[i]!.faults.map(({ name, request }) => [name, request]),
          faults.map(({ name, request }) => [name, request]),
        );
        t.is(scenario.turns[i]!.acts.length, acts.length);
      }
      const last = scenario.turns.at(-1)!;
      t.true(last.recover && last.faults.length === 0 && last.acts.length === 0);
    }),
    { seed: 8, numRuns: 300 },
  );
});

test('a schedule is cut to what makes it fail, and what is left is as usual', async (t) => {
  const moment = { event: 'StartAudio', delayMs: 7 };
  const plain = { say: 'Stop.', reply: 'One. Two. Three.', acts: [], faults: [] };
  const schedule: Schedule = {
    seed: 1,
    provider: 'fish',
    device: 'box',
    network: 'weak-wifi',
    cable: 'console',
    turns: [
      { ...plain, faults: [{ name: 'late-head', parameters: {} }] },
      {
        ...plain,
        after: moment,
        acts: [
          { key: 'k0', after: moment },
          { key: 'volume-up', after: moment },
        ],
        faults: [
          { name: 'wifi-stall', parameters: { ms: 77, direction: 'up' }, after: moment },
          { name: 'redirect', parameters: {}, request: 2 },
        ],
      },
      plain,
    ],
  };
  let plays = 0;
  const smallest = await smallestSchedule(schedule, async ({ turns, network }) => {
    plays += 1;
    // It takes the key, and the stall of this length on this network.
    return (
      network === 'weak-wifi' &&
      turns.some(
        ({ acts, faults }) =>
          acts.some(({ key }) => key === 'k0') &&
          faults.some(({ name, parameters }) => name === 'wifi-stall' && parameters['ms'] === 77),
      )
    );
  });
  t.deepEqual(smallest, {
    seed: 1,
    provider: 'openai-stream',
    device: 'diy',
    network: 'weak-wifi',
    turns: [
      {
        say: 'Go on.',
        reply: 'No.',
        acts: [{ key: 'k0', after: moment }],
        faults: [{ name: 'wifi-stall', parameters: { ms: 77 } }],
      },
    ],
  });
  t.is(sizeOf(schedule), 8);
  t.is(sizeOf(smallest), 3);
  t.true(plays < 40, `${plays}`);
});

test('what must always hold does so for some seeds, and a network that is away for too long is found', async (t) => {
  const explorer = new Explorer(await openLaboratory());
  for (const seed of [1, 2, 3, 4]) {
    const { violations } = await explorer.explore(seed);
    t.deepEqual(violations, [], `seed ${seed}`);
  }
  const fault = {
    name: 'wifi-stall',
    // Drawn schedules do not go that far: nobody presses K0 for ten minutes.
    parameters: { ms: 600_000, direction: 'both' },
    after: { event: 'Speech', delayMs: 0 },
  };
  const { violations } = await explorer.play({
    seed: 1,
    provider: 'elevenlabs',
    device: 'diy',
    network: 'ideal',
    turns: [{ say: 'Go on.', reply: 'No.', acts: [], faults: [fault] }],
  });
  t.deepEqual(
    violations.map(({ rule }) => rule),
    ['next-turn-works'],
  );
});

test('a board that finds out with the last turn that nobody listens gets one more, and that one must be answered', async (t) => {
  const explorer = new Explorer(await openLaboratory());
  const halfOpen = {
    name: 'board-half-open',
    parameters: {},
    after: { event: 'EndAudio', delayMs: 0 },
  };
  const explored = await explorer.play({
    seed: 3115,
    provider: 'openai',
    device: 'diy',
    network: 'mobile-hotspot',
    turns: [{ say: 'Stop.', reply: 'No.', acts: [], faults: [halfOpen] }],
  });
  t.deepEqual(explored.violations, []);
  t.is(explored.clear, 3);
  t.deepEqual(explored.struck, ['board-half-open']);
});

test('a turn that lost segments alone have held up for longer than its user waits gets one more', async (t) => {
  const explorer = new Explorer(await openLaboratory());
  const explored = await explorer.play({
    seed: 30_678,
    provider: 'openai-stream',
    device: 'diy',
    network: 'weak-wifi',
    turns: [{ say: 'Go on.', reply: 'No.', acts: [], faults: [] }],
  });
  t.deepEqual(explored.violations, []);
  t.is(explored.clear, 3);
});

test('noise on the serial link takes words of the user, and not the conversation', async (t) => {
  const fault = {
    name: 'framing-errors',
    parameters: { per_million: 5000 },
    after: { event: 'Speech', delayMs: 0 },
  };
  const toml = scenarioText({
    ...{
      seed: 114,
      provider: 'openai-stream',
      device: 'diy',
      network: 'good-wifi',
      cable: 921_600,
    },
    turns: [{ say: 'Go on.', reply: 'No.', acts: [], faults: [fault] }],
  });
  const run: PassingRun = {
    ...{ toml, name: scenarioName(114), seed: 114, sound: false, cable: 921_600 },
    ...{ provider: 'openai-stream', device: 'diy', network: 'good-wifi' },
  };
  const { verdict, turns } = await passRun(await openLaboratory(), run, ({ result }) => ({
    verdict: result.verdict,
    turns: result.measurement.turns.map(({ failure, outcome }) => failure?.kind ?? outcome),
  }));
  t.deepEqual(turns, ['turn-timeout', 'ok', 'ok']);
  t.deepEqual(
    verdict.failures.map(({ code }) => code),
    ['turn-timeout'],
  );
});

test('a restart is known by its reason, in the words of the board and in those of its console', (t) => {
  for (const reason of ['Failed to send message', 'Timeout sending message', 'K0 in setup']) {
    t.true(isKnownRestart(reason));
    t.true(isKnownRestart(`its main loop failed: ${reason}`));
  }
  t.false(isKnownRestart('its main loop failed: something else'));
  t.false(isKnownRestart('the firmware restarted the chip and gave no cause'));
});

test('what was found once holds now: every scenario of scenarios/found with the seed of its name', async (t) => {
  const laboratory = await openLaboratory();
  const folder = new URL('../../scenarios/found/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.toml'));
  t.true(files.length > 0);
  for (const file of files) {
    const [, seed] = /^explore-(\d+)\.toml$/.exec(file) ?? [];
    const toml = readFileSync(new URL(file, folder), 'utf8');
    const name = scenarioName(Number(seed));
    const { matrix } = loadScenario(toml, `${name}.toml`, passingCatalog);
    const [provider = '', device = '', network = ''] = [
      matrix.providers[0],
      matrix.devices[0],
      matrix.networks[0],
    ];
    const [, cable] = /^# Cable: (console|\d+)$/m.exec(toml) ?? [];
    const run: PassingRun = {
      ...{ toml, name, provider, device, network, seed: Number(seed), sound: false },
      ...(cable !== undefined && { cable: cable === 'console' ? 'console' : Number(cable) }),
    };
    const { verdict, restarts } = await passRun(laboratory, run, ({ result, recording }) => ({
      verdict: result.verdict,
      restarts: recording.events.flatMap((event) =>
        event.source === 'device' && event.type === 'reboot' ? [event.cause] : [],
      ),
    }));
    const { outcome, failures } = verdict;
    const shown = `${file}: ${outcome} ${JSON.stringify(failures)}`;
    t.deepEqual(
      restarts.filter((cause) => !isKnownRestart(cause) && !Object.hasOwn(suddenFaults, cause)),
      [],
      file,
    );
    // A board that is gone ends the conversation, and says so.
    if (toml.includes('name = "unplug"')) t.regex(failures[0]?.code ?? '', /^BOARD_/, shown);
    else t.is(outcome, 'pass', shown);
  }
});
