/** Named faults in whole conversations: composed, in both kinds of time, told in the recording. */
import test from 'ava';
import type { TraceEvent } from '../trace/trace-event.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

let runner: ConversationRunner;
test.before(async () => {
  runner = await ConversationRunner.open();
});
test.after.always(() => runner.remove());

type Struck = Extract<TraceEvent, { type: 'faultStruck' }>;

function struck({ recorded }: RecordedConversation): Struck[] {
  return recorded.events.flatMap((event) => (event.type === 'faultStruck' ? [event] : []));
}

function twoTurns(faults: string, reply = 'This answer never ends. It goes on.'): string {
  return `
[[turn]]
say = "Go on."
reply = "${reply}"
${faults}

[[turn]]
say = "Go on."
recover = true
reply = "This one is heard."
`;
}

async function converse(
  toml: string,
  provider = 'openai-stream',
  time: 'virtual' | 'real' = 'virtual',
): Promise<RecordedConversation> {
  const [conversation] = await runner.run(scenarioOf('named', toml), {
    providers: [provider],
    time,
    retries: 1,
  });
  return conversation!;
}

function outcomes({ measurement }: RecordedConversation): string[] {
  return measurement.turns.map(({ outcome, failure }) => failure?.kind ?? outcome);
}

test.serial(
  'several faults of one turn all happen, each with its place and its request',
  async (t) => {
    const conversation = await converse(
      twoTurns(`
[[turn.fault]]
name = "delay-audio"
message = 2
ms = 300
request = 1
[[turn.fault]]
name = "quiet-audio"
by_db = 20
request = 1
[[turn.fault]]
name = "status-503"
request = 2
[[turn.fault]]
name = "wifi-stall"
ms = 400
[[turn.fault]]
name = "duplicate-frame"
message = 3`),
    );
    t.deepEqual(outcomes(conversation), ['server', 'ok']);
    t.deepEqual(
      struck(conversation)
        .map(({ turn, index, name, request }) => [turn, index, name, request])
        .sort(([, a], [, b]) => Number(a) - Number(b)),
      [
        [1, 1, 'delay-audio', 1],
        [1, 2, 'quiet-audio', 1],
        [1, 3, 'status-503', 2],
        [1, 4, 'wifi-stall', undefined],
        [1, 5, 'duplicate-frame', undefined],
      ],
    );
  },
);

test.serial('what an edit does to the sound is what the provider’s recording has', async (t) => {
  const plain = await converse(twoTurns('', 'This answer never ends.'));
  const whole = plain.recorded.provider.get(1)!;
  const faulty = async (fault: string) => {
    const conversation = await converse(
      twoTurns(`[[turn.fault]]\n${fault}`, 'This answer never ends.'),
    );
    t.is(struck(conversation).filter(({ obstacle }) => obstacle === undefined).length, 1, fault);
    return conversation.recorded.provider.get(1)!;
  };
  t.true((await faulty('name = "silent-audio"')).every((sample) => sample === 0));
  const quiet = await faulty('name = "quiet-audio"\nby_db = 20');
  const energy = (samples: Int16Array) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0));
  const quieterDb = 20 * Math.log10(energy(whole) / energy(quiet));
  t.true(Math.abs(quieterDb - 20) < 0.5, `${quieterDb} dB`);
  // 16-bit samples in pieces of 1001 bytes are the same sound.
  t.deepEqual(await faulty('name = "odd-pieces"'), whole);
  const doubled = await faulty('name = "duplicate-audio"');
  const dropped = await faulty('name = "drop-audio"');
  t.is(doubled.length - whole.length, whole.length - dropped.length);
  t.true(doubled.length > whole.length);
});

test.serial('a fault that cannot happen says why, and fails the cell', async (t) => {
  const conversation = await converse(twoTurns('[[turn.fault]]\nname = "close-code"'));
  t.deepEqual(outcomes(conversation), ['ok', 'ok']);
  t.deepEqual(
    conversation.verdict.failures.map(({ code, message }) => [code, message]),
    [
      [
        'missed-disturbance',
        'the planned fault "close-code" never happened in turn 1: the answer is a body of chunks and no WebSocket',
      ],
    ],
  );
});

test.serial('a board that waits for ever is woken with K0 before the next turn', async (t) => {
  const conversation = await converse(twoTurns('[[turn.fault]]\nname = "swallow-end-response"'));
  t.deepEqual(outcomes(conversation), ['turn-timeout', 'ok']);
  t.is(conversation.measurement.conservation.unexplainedSamples, 0);
});

test.serial('a full disk ends the recording, and the run says so', async (t) => {
  const conversation = await converse(twoTurns('[[turn.fault]]\nname = "disk-full"'));
  t.is(conversation.verdict.outcome, 'infra');
  t.is(conversation.verdict.failures[0]!.code, 'RECORDING_DISK_FULL');
  t.regex(conversation.verdict.failures[0]!.message, /ENOSPC.*make room/);
  t.is(conversation.recorded.events.at(-1)!.type === 'end', false);
  t.is(conversation.earlierTries, undefined, 'the fault would strike again');
  t.regex(conversation.notTriedAgain!, /disk-full/);
});

test.serial(
  'the same faults with the same seed give the same trace, and in real time the same outcome',
  async (t) => {
    const toml = twoTurns(
      '[[turn.fault]]\nname = "noise-audio"\n[[turn.fault]]\nname = "dns-failure"\nafter = { event = "StartAudio" }\nms = 3000',
    );
    const [first, second] = [await converse(toml), await converse(toml)];
    t.deepEqual(first.recorded.events, second.recorded.events);
    const real = await converse(
      twoTurns('[[turn.fault]]\nname = "cut-audio"', 'No.'),
      'elevenlabs',
      'real',
    );
    t.deepEqual(outcomes(real), ['truncated', 'ok']);
    t.deepEqual(
      struck(real).map(({ name }) => name),
      ['cut-audio'],
    );
  },
);
