import test, { type ExecutionContext } from 'ava';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const spanToleranceMs = 100;
/** What the user hears is later by the lateness of all spans together. */
const headlineToleranceMs = 200;
/** A busy machine spoils a latency now and then; a difference between the modes spoils it always. */
const attempts = 4;

const scenario = scenarioOf(
  'both-times',
  `
[[turn]]
say = "How far is it?"
reply = "It is not far. You can walk there."
reply_pace = { first_token_ms = 100, tokens_per_second = 60 }
`,
);

/**
 * The order of the conversation: what the server said to the board, what the board made of it and
 * where it went, the samples of each sentence. Without instants, and without what belongs to no turn:
 * whether a replaced connection still gets its farewell depends on who closes it first.
 */
function order({ recorded }: RecordedConversation): {
  frames: string[];
  handled: string[];
  states: string[];
  sentences: string[];
  samples: number[];
} {
  const frames: string[] = [];
  const handled: string[] = [];
  const states: string[] = [];
  const sentences: string[] = [];
  const samples: number[] = [];
  for (const event of recorded.events) {
    if (event.source === 'server' && event.type === 'frame' && event.turn > 0) {
      frames.push(event.event);
    }
    if (event.type === 'frameHandled') handled.push(event.event);
    if (event.type === 'state') states.push(`${event.from} → ${event.to} (${event.cause})`);
    if (event.type === 'sentence') sentences.push(event.text);
    if (event.type === 'framed') samples.push(event.samplesIn);
  }
  return { frames, handled, states, sentences, samples };
}

for (const provider of ['stream_gsv', 'elevenlabs']) {
  test.serial(
    `${provider}: loopback sockets in real time and memory in virtual time agree on the order of events, and on every span within ${spanToleranceMs} ms, on what is heard within ${headlineToleranceMs} ms`,
    async (t) => {
      const options = { providers: [provider], networks: ['ideal'] };
      const [virtual] = await runner.run(scenario, options);
      t.true(order(virtual!).frames.filter((event) => event.startsWith('AudioChunk')).length > 5);
      checkBooks(t, virtual!);
      const smallest = new Map<string, number>();
      const tooLarge = () =>
        [...smallest].filter(
          ([name, ms]) =>
            !(
              Math.abs(ms) <= (name === 'audibleAtSpeaker' ? headlineToleranceMs : spanToleranceMs)
            ),
        );
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const [real] = await runner.run(scenario, { ...options, time: 'real' });
        t.deepEqual(order(real!), order(virtual!));
        checkBooks(t, real!);
        const found = Object.entries(latencyDifferencesMs(virtual!, real!));
        for (const [name, ms] of found) {
          const before = smallest.get(name) ?? Number.POSITIVE_INFINITY;
          smallest.set(name, Math.abs(ms) < Math.abs(before) ? ms : before);
        }
        const list = found.map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
        t.log(`ms in real time more than in virtual time: ${list.join(', ')}`);
        if (tooLarge().length === 0) break;
      }
      t.deepEqual(tooLarge(), []);
    },
  );
}

function checkBooks(t: ExecutionContext, { measurement, recorded }: RecordedConversation): void {
  const { time } = recorded.header;
  t.is(measurement.turns[0]?.outcome, 'ok', time);
  t.is(measurement.conservation.unexplainedSamples, 0, time);
  t.is(measurement.underruns.length, 2, time);
  t.true(
    measurement.underruns.every(({ verified }) => verified === true),
    time,
  );
}

/** Of every span and of the headline; NaN when one of the two has none. */
function latencyDifferencesMs(
  virtual: RecordedConversation,
  real: RecordedConversation,
): Record<string, number> {
  const latencies = ({ measurement }: RecordedConversation): Record<string, number | null> => ({
    ...measurement.turns[0]!.spans,
    audibleAtSpeaker: measurement.turns[0]!.audibleAtSpeakerUs,
  });
  const [inVirtual, inReal] = [latencies(virtual), latencies(real)];
  return Object.fromEntries(
    Object.keys(inVirtual).map((name) => [
      name,
      ((inReal[name] ?? Number.NaN) - (inVirtual[name] ?? Number.NaN)) / 1000,
    ]),
  );
}
