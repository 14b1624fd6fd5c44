import test from 'ava';
import { diy } from '../device/device-profile.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from '../runner/recorded-conversation.contract.ts';
import { blameUnderruns, stages } from './blame.ts';
import { readConversation } from './conversation.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const tea =
  'Boil fresh water and pour it over the leaves at once. Let them steep for three or four minutes. Then drink it.';

function blameOf({ recorded }: RecordedConversation) {
  return blameUnderruns(readConversation(recorded), recorded);
}

test.serial('a network that stands still is blamed, with the stall as evidence', async (t) => {
  const [conversation] = await runner.run(
    scenarioOf(
      'stall',
      `[[turn]]\nsay = "How do I make tea?"\nreply = "${tea}"\n[[turn.disturb]]\nkind = "stall"\n` +
        'direction = "down"\nduration_ms = 1500\nafter = { event = "AudioChunkWithVowel", delay_ms = 100 }',
    ),
    { providers: ['openai-stream'] },
  );
  const [underrun, ...others] = blameOf(conversation!);
  t.deepEqual(others, []);
  t.is(underrun!.cause, 'network');
  t.is(underrun!.stages.find(({ stage }) => stage === 'network')!.savedUs, underrun!.durationUs);
  const [evidence] = underrun!.evidence;
  t.regex(evidence!.text, /was under way for \d+ ms \(stall\)/);
  const types = conversation!.recorded.events
    .filter(({ seq }) => evidence!.seqs.includes(seq))
    .map(({ source, type }) => `${source} ${type}`);
  t.deepEqual(types, ['network stall', 'server frame', 'device frameReceived']);
});

test.serial('a screen that is drawn for every mouth shape is the fault of the board', async (t) => {
  const board = { ...diy, name: 'painter', avatar: true };
  const redrawUs = 210_000;
  const [conversation] = await runner.run(
    scenarioOf('painter', `[[turn]]\nsay = "How do I make tea?"\nreply = "${tea}"`),
    {
      providers: ['openai'],
      devices: [board.name],
      profiles: [{ ...board, constants: { ...board.constants, redrawUs } }],
    },
  );
  const blame = blameOf(conversation!);
  t.true(blame.length > 0);
  for (const { cause, evidence } of blame) {
    t.is(cause, 'device');
    t.regex(evidence[0]!.text, /waited \d+ ms for the main loop|the player stood still/);
  }
});

test.serial(
  'what the stages were late by adds up to the underrun, less than three cycles apart',
  async (t) => {
    const causes = new Set<string>();
    const conversations = await runner.run(
      scenarioOf(
        'slow',
        `[stand_in]\nspeed = 0.8\n[[turn]]\nsay = "How do I make tea?"\nreply = "${tea}"\ntimeout_ms = 120000`,
      ),
      {
        providers: ['openai-stream', 'stream_gsv', 'cosyvoice'],
        networks: ['weak-wifi'],
        servers: ['harness', 'echokit-server'],
      },
    );
    for (const conversation of conversations) {
      for (const { stages: shares, durationUs, cause, together } of blameOf(conversation)) {
        t.not(cause, 'unknown');
        causes.add(cause);
        const late = shares.reduce((sum, { delayUs }) => sum + delayUs, 0);
        // A cycle until a message is taken, one that another message took, one because chunks are none of frames.
        t.true(Math.abs(late - durationUs) < 48_000, `${late} of ${durationUs}`);
        t.deepEqual(
          together,
          stages.filter((stage) => together.includes(stage)),
        );
        t.is(together.length > 1, cause === 'several');
      }
    }
    t.true(causes.has('provider') && causes.size > 1, [...causes].join());
  },
);
