import test from 'ava';
import { diy } from '../device/device-profile.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from '../runner/recorded-conversation.contract.ts';
import { blameUnderruns, stages } from './blame.ts';
import { readConversation } from './conversation.ts';
import { doubleCauses, plantCauses, singleCauses } from './planted-cause.contract.ts';

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
  'what the stages were late by adds up to the underruns of the sentence so far, less than three cycles apart',
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
      const silentUs = new Map<number, number>();
      for (const { stages: shares, durationUs, sentence, cause, together } of blameOf(
        conversation,
      )) {
        t.not(cause, 'unknown');
        causes.add(cause);
        const late = shares.reduce((sum, { delayUs }) => sum + delayUs, 0);
        // A cycle until a message is taken, one that another message took, one because chunks are none of frames.
        const soFarUs = (silentUs.get(sentence) ?? 0) + durationUs;
        silentUs.set(sentence, soFarUs);
        t.true(Math.abs(late - soFarUs) < 48_000, `${late} of ${soFarUs}`);
        t.deepEqual(
          together,
          stages.filter((stage) => together.includes(stage)),
        );
        t.is(together.length > 1, cause === 'several');
      }
    }
    t.true(causes.has('provider'), [...causes].join());
  },
);

/** With `-- --seeds=25` a hundred of the single causes; see CONTRIBUTING.md. */
const seeds = Number(process.argv.find((option) => option.startsWith('--seeds='))?.slice(8) ?? 1);

test.serial(
  `planted causes are found, and two are told as several (${seeds} of each kind)`,
  async (t) => {
    let singles = 0;
    let right = 0;
    for (const causes of [...singleCauses, ...doubleCauses]) {
      let found = 0;
      let held = 0;
      for (let seed = 0; held < seeds && seed < 4 * seeds + 4; seed++) {
        const planted = await plantCauses(runner, seed, causes);
        if (planted === null) continue;
        held += 1;
        const blame = blameOf(planted.conversation);
        t.deepEqual(
          planted.conversation.recorded.events.filter(({ type }) => type === 'replayDeviation'),
          [],
        );
        // Two were planted so that they meet in one underrun, the longest.
        const longest = [...blame].sort((a, b) => b.durationUs - a.durationUs)[0]!;
        const agrees =
          causes.length === 1
            ? blame.every(({ cause }) => cause === causes[0])
            : longest.cause === 'several' && causes.every((one) => longest.together.includes(one));
        if (agrees) found += 1;
        else t.log(`${planted.how}: ${blame.map(({ cause }) => cause).join()}`);
      }
      t.is(held, seeds, `draws of ${causes.join()}`);
      t.log(`${causes.join(' and ')}: ${found} of ${held}`);
      if (causes.length === 1) {
        singles += held;
        right += found;
      } else t.is(found, held, causes.join());
    }
    t.true(right >= 0.99 * singles, `${right} of ${singles}`);
  },
);
