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
