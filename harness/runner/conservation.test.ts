import test, { type ExecutionContext } from 'ava';
import { amountOf, checkBalance, samplesAt } from '../metrics/ledger-balance.contract.ts';
import {
  ConversationRunner,
  providerNames,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const replies = [
  'Yes.',
  'Certainly, the shop on the corner opens at nine.',
  'First. Second! Third? And here is a somewhat longer sentence, with commas, at the very end.',
];

const turns = replies.map((reply) => `[[turn]]\nsay = "Go on."\nreply = "${reply}"\n`).join('\n');

function checkBooks(t: ExecutionContext, conversation: RecordedConversation): void {
  const { measurement, cell, recorded } = conversation;
  const name = `${cell.provider} ${cell.network}`;
  const { conservation } = measurement;
  checkBalance(t, conservation, name);
  t.is(conservation.unexplainedSamples, 0, name);
  t.is(measurement.metrics['underruns.unverified'], 0, name);
  for (const turn of measurement.turns) {
    t.is(turn.outcome, 'ok', `${name}, turn ${turn.turn}: ${turn.failure?.message}`);
    const spans = Object.values(turn.spans);
    t.true(
      spans.every((span) => span !== null && span >= 0),
      `${name}: ${JSON.stringify(turn.spans)}`,
    );
    const sum = spans.reduce<number>((total, span) => total + span!, 0);
    t.is(sum, turn.audibleAtSpeakerUs ?? Number.NaN, `${name}, turn ${turn.turn}`);
    t.is(turn.unattributedUs, 0);
  }
  // Counted again without the ledger: what arrived, what was framed, what was played.
  const providerSamples = [...recorded.provider.values()].reduce((sum, a) => sum + a.length, 0);
  let padded = 0;
  let lost = 0;
  for (const event of recorded.events) {
    if (event.source !== 'server' || event.type !== 'framed') continue;
    padded += event.paddedSamples;
    lost += event.lostSamples;
  }
  t.is(lost, 0, name);
  t.is(amountOf(conservation.ledger, 'padding'), padded, name);
  t.is(samplesAt(conservation.ledger, 'normalised'), providerSamples, name);
  // The beep of 11239 samples belongs to no turn; what the turns played is the rest of the speaker.
  t.is(samplesAt(conservation.outside, 'pushed'), 11_239, name);
  t.is(samplesAt(conservation.outside, 'played'), 11_239 - (11_239 % 256), name);
  t.deepEqual(
    conservation.ledger.filter(({ differences }) => differences.length > 0).map((s) => s.stage),
    padded > 0 ? ['framed', 'pushed', 'played'] : ['pushed', 'played'],
    name,
  );
  t.is(recorded.sent.length, providerSamples + padded, name);
  const ledgers = recorded.events.filter((event) => event.type === 'finished');
  t.is(ledgers.length, 1, name);
  for (const { pushedSamples, playedSamples, restSamples, queuedSamples, heldSamples } of ledgers) {
    t.is(pushedSamples, playedSamples + restSamples, name);
    t.is(queuedSamples + heldSamples, 0, name);
  }
}

for (const provider of providerNames) {
  test.serial(`${provider}: every sample is accounted for and the spans add up`, async (t) => {
    const scenario = scenarioOf('accounts', turns);
    const networks = ['good-wifi', 'ideal'];
    const conversations = await runner.run(scenario, { providers: [provider], networks });
    t.is(conversations.length, networks.length);
    for (const conversation of conversations) checkBooks(t, conversation);
  });
}

test.serial(
  'a sentence above the limit of a request is one sentence of several requests',
  async (t) => {
    const clause = 'the water rises and falls again as the earth turns below the moon, ';
    const reply = `Then ${clause.repeat(7)}and so on.`;
    const scenario = scenarioOf('long-sentence', `[[turn]]\nsay = "Go on."\nreply = "${reply}"\n`);
    const [conversation] = await runner.run(scenario, { providers: ['groq'] });
    checkBooks(t, conversation!);
    const { events } = conversation!.recorded;
    const requests = events.filter((e) => e.source === 'provider' && e.type === 'request');
    t.deepEqual(
      requests.map((e) => 'characters' in e && [e.sentence, e.reused, e.characters <= 200]),
      [
        [1, false, true],
        [1, true, true],
        [1, true, true],
      ],
    );
    t.is(events.filter((e) => e.source === 'provider' && e.type === 'end').length, 1);
    t.is(events.filter((e) => e.type === 'frameHandled' && e.event === 'StartAudio').length, 1);
  },
);

test.serial('a stalled network delays samples and loses none', async (t) => {
  const scenario = scenarioOf(
    'stalled',
    `
[[turn]]
say = "Go on."
reply = "${replies[2]}"
[[turn.disturb]]
kind = "stall"
duration_ms = 900
after = { event = "StartAudio", delay_ms = 300 }
`,
  );
  for (const conversation of await runner.run(scenario)) checkBooks(t, conversation);
});
