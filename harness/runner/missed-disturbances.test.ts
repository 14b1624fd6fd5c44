import test from 'ava';
import { ConversationRunner, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const scenario = (after: string) =>
  scenarioOf(
    'disturbed',
    `
[[turn]]
say = "How far is it?"
reply = "It is not far."

[[turn.disturb]]
kind = "stall"
direction = "down"
duration_ms = 100
after = ${after}
`,
  );

test('a stall that happened leaves the verdict alone', async (t) => {
  const [cell] = await runner.run(scenario('{ event = "StartAudio", delay_ms = 100 }'), {
    providers: ['elevenlabs'],
  });
  t.is(cell!.verdict.outcome, 'pass');
  t.deepEqual(cell!.verdict.failures, []);
});

test('a change of the network is recorded with its way back, and slows what comes in between', async (t) => {
  const changed = scenarioOf(
    'changed',
    `
[matrix]
networks = ["ideal"]

[[turn]]
say = "How far is it?"
reply = "It is not far."

[[turn.disturb]]
kind = "change"
to = "far-server"
duration_ms = 1000
after = { event = "EndVad" }

[[turn]]
say = "And how long does it take?"
reply = "Not long."
`,
  );
  const [cell] = await runner.run(changed, { providers: ['elevenlabs'] });
  t.is(cell!.verdict.outcome, 'pass');
  const { events } = cell!.recorded;
  const changes = events.filter((e) => e.source === 'network');
  t.deepEqual(
    changes.map((e) => (e.type === 'change' ? [e.network, e.back] : [])),
    [
      ['far-server', false],
      ['ideal', true],
    ],
  );
  t.is(changes[1]!.atUs - changes[0]!.atUs, 1_000_000);
  // One way takes 90 ms between the two instants, and nothing before and after them.
  const onTheWay = (name: string, fromUs = 0): number => {
    const later = events.filter((e) => e.atUs >= fromUs);
    const sent = later.find((e) => e.type === 'frame' && e.event === name);
    const received = later.find((e) => e.type === 'frameReceived' && e.event === name);
    return received!.atUs - sent!.atUs;
  };
  t.is(onTheWay('EndVad'), 0);
  t.true(onTheWay('StartAudio') >= 90_000 && onTheWay('StartAudio') <= 98_001);
  t.is(onTheWay('StartAudio', changes[1]!.atUs), 0, 'in the second turn');
});

for (const [why, after] of [
  ['whose event the board never gets', '{ event = "AudioChunk", delay_ms = 100 }'],
  ['that is due after the end of its turn', '{ event = "StartAudio", delay_ms = 50000 }'],
] as const) {
  test(`a planned stall ${why} fails the cell and is named`, async (t) => {
    const [cell] = await runner.run(scenario(after), { providers: ['elevenlabs'] });
    t.is(cell!.verdict.outcome, 'fail');
    t.deepEqual(
      cell!.verdict.failures.map(({ code, turn }) => [code, turn]),
      [['missed-disturbance', 1]],
    );
    t.regex(cell!.verdict.failures[0]!.message, /1 of 1 planned stalls never happened in turn 1/);
  });
}

test('a planted fault whose request never comes fails the cell and is named', async (t) => {
  const planted = scenarioOf(
    'planted',
    `
[stand_in]
fault = { kind = "cut", request = 2 }

[[turn]]
say = "How far is it?"
reply = "It is not far."
`,
  );
  const [cell] = await runner.run(planted, { providers: ['elevenlabs'] });
  t.is(cell!.verdict.outcome, 'fail');
  t.deepEqual(
    cell!.verdict.failures.map(({ code, turn, message }) => [code, turn, message]),
    [
      [
        'missed-disturbance',
        null,
        'the planned fault cut of request 2 for speech never happened: there was no such request, or it ended first',
      ],
    ],
  );
});

test('a planted fault is on the recording with its request and its moment', async (t) => {
  const planted = scenarioOf(
    'planted',
    `
[stand_in]
fault = { kind = "server", moment = "end" }

[[turn]]
say = "How far is it?"
reply = "It is not far."
`,
  );
  const [cell] = await runner.run(planted, { providers: ['elevenlabs'] });
  const faults = cell!.recorded.events.filter((e) => e.source === 'harness' && e.type === 'fault');
  t.is(faults.length, 1);
  t.like(faults[0], { request: 1, kind: 'server', moment: 'end' });
});
