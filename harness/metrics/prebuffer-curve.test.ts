/** The curve against boards that really have the prebuffer: one fresh conversation for each of them. */
import test from 'ava';
import { diy } from '../device/device-profile.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from '../runner/recorded-conversation.contract.ts';
import { readConversation } from './conversation.ts';
import { type PrebufferPoint, prebufferCurve } from './prebuffer-curve.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const slow = scenarioOf(
  'slow',
  `
[stand_in]
speed = 0.85

[[turn]]
say = "What do bees do in winter?"
reply = "Bees do not sleep through the winter. They gather in a tight ball around their queen and shiver."
timeout_ms = 120000
`,
);

function curveOf({ recorded }: RecordedConversation) {
  return prebufferCurve([{ conversation: readConversation(recorded), cell: recorded }]);
}

/** What a conversation was like on the board that it was held on. */
function measured({ measurement }: RecordedConversation) {
  const { metrics } = measurement;
  return {
    underruns: metrics['underruns.count'],
    underrunMs: metrics['underruns.total_ms'],
    firstSoundMs: metrics['audible_at_speaker_ms.p50'],
  };
}

const cases = [
  { provider: 'openai-stream', network: 'ideal' },
  { provider: 'elevenlabs', network: 'good-wifi' },
  { provider: 'cosyvoice', network: 'weak-wifi' },
  { provider: 'stream_gsv', network: 'modem-sleep' },
];

for (const { provider, network } of cases) {
  test.serial(
    `a board with the prebuffer plays as the curve says: ${provider} on ${network}`,
    async (t) => {
      const play = async (prebufferMs: number): Promise<RecordedConversation> => {
        const board = { ...diy, name: 'buffering', prebufferMs };
        const [played] = await runner.run(slow, {
          providers: [provider],
          networks: [network],
          devices: [board.name],
          profiles: [board],
        });
        return played!;
      };
      const without = await play(0);
      const { points, enoughMs, turns } = curveOf(without);
      t.is(turns, 1);
      t.true(points[0]!.underruns > 0, 'or the case shows nothing');
      t.true(enoughMs !== null && enoughMs > 0);
      // Where the curve takes a step, and between.
      const steps = points.filter((point, k) => point.underrunMs !== points[k - 1]?.underrunMs);
      const chosen = [3, steps.length >> 1, steps.length - 1].map(
        (k) => steps[k] ?? points.at(-1)!,
      );
      for (const point of new Set([points[0]!, ...chosen])) {
        const played = point.prebufferMs === 0 ? without : await play(point.prebufferMs);
        t.deepEqual(
          measured(played),
          {
            underruns: point.underruns,
            underrunMs: point.underrunMs,
            firstSoundMs: point.firstSoundMs,
          },
          `${point.prebufferMs} ms`,
        );
        t.is(played.measurement.metrics['underruns.unverified'], 0);
        t.is(played.measurement.metrics['conservation.unexplained_samples'], 0);
      }
    },
  );
}

test.serial('the knee is the point farthest below the line between the ends', async (t) => {
  const [conversation] = await runner.run(slow, { providers: ['cosyvoice'], networks: ['ideal'] });
  const { points, knee } = curveOf(conversation!);
  const [first, last] = [points[0]!, points.at(-1)!];
  // Distance from the line, by the cross product.
  const below = ({ startDelayMs, underrunMs }: PrebufferPoint): number =>
    (first.underrunMs - underrunMs) * (last.startDelayMs - first.startDelayMs) -
    (startDelayMs - first.startDelayMs) * (first.underrunMs - last.underrunMs);
  const best = Math.max(...points.map(below));
  t.true(Math.abs(below(knee!) - best) < 1e-6 * best);
  t.true(knee!.prebufferMs > 0 && knee!.prebufferMs <= last.prebufferMs);
});

test.serial(
  'an answer that never broke needs no prebuffer, and one that was cut off counts for nothing',
  async (t) => {
    const [fast] = await runner.run(
      scenarioOf('fast', '[[turn]]\nsay = "How far is it?"\nreply = "It is not far."'),
      { providers: ['openai'], networks: ['ideal'] },
    );
    const curve = curveOf(fast!);
    t.is(curve.points.length, 1);
    t.is(curve.enoughMs, 0);
    t.deepEqual(curve.knee, curve.points[0]);
    t.is(
      curve.points[0]!.firstSoundMs,
      fast!.measurement.metrics['audible_at_speaker_ms.p50'] as number,
    );

    const [cut] = await runner.run(
      scenarioOf(
        'cut',
        '[device]\nallow_interrupt = true\n[[turn]]\nsay = "Count."\nreply = "One, two, three, four, five, six, seven, eight, nine, ten."\n' +
          '[[turn.act]]\nkey = "k0"\nafter = { event = "StartAudio", delay_ms = 500 }',
      ),
      { providers: ['openai'], networks: ['ideal'] },
    );
    t.deepEqual(curveOf(cut!), { turns: 0, points: [], knee: null, enoughMs: null });
  },
);
