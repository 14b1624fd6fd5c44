import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type StandInFaultKind, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import { ConversationRunner, providerNames, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

/**
 * The class of the failed turn, with every provider or but for some:
 * - `bad-voice`: gsv_tts answers an unknown speaker with 200 and nothing, so all that can be known
 *   is that no audio came, and on its WAV route with the words it has for every defect (TTS provider
 *   protocol reference, section 8).
 * - `quota`: Groq limits the tokens of a day and says when to come back (section 5.1).
 * - `cut`: EchoKit's buffered mode has delivered nothing when the connection breaks.
 * - `early-end`: the answer ends as it properly does, and a placeholder in the WAV header (or raw
 *   audio) does not say how long it was meant to be. Nothing on the wire tells: the turn is ok.
 */
const expected: Readonly<
  Record<
    StandInFaultKind,
    { readonly usual: string; readonly but?: Readonly<Record<string, string>> }
  >
> = {
  auth: { usual: 'auth' },
  quota: { usual: 'quota', but: { groq: 'rate-limit' } },
  'rate-limit': { usual: 'rate-limit' },
  'bad-voice': { usual: 'bad-voice', but: { stream_gsv: 'empty', gsv: 'server' } },
  'too-long': { usual: 'too-long', but: { cosyvoice: 'bad-request', 'fish-live': 'ok' } },
  server: { usual: 'server' },
  timeout: { usual: 'timeout' },
  protocol: { usual: 'protocol' },
  cut: {
    usual: 'truncated',
    but: { openai: 'network', groq: 'network', gsv: 'network', fish: 'network' },
  },
  'early-end': { usual: 'ok' },
  empty: { usual: 'empty' },
  stall: { usual: 'timeout' },
};
/** Providers whose adapter hands on nothing before the answer is complete. */
const buffered: readonly string[] = ['openai', 'groq', 'gsv', 'fish'];
/** Faults in mid audio: a provider that streams has delivered half of the sentence. */
const inMidAudio: readonly string[] = ['cut', 'early-end', 'stall'];

test('the table covers every fault, and its exceptions are providers', (t) => {
  t.deepEqual(Object.keys(expected), [...standInFaultKinds]);
  const named = Object.values(expected).flatMap(({ but }) => Object.keys(but ?? {}));
  t.deepEqual(
    [...named, ...buffered].filter((name) => !providerNames.includes(name)),
    [],
  );
});

for (const kind of standInFaultKinds) {
  test.serial(
    `${kind}: the turn ends, its class is named, the next turn is answered`,
    async (t) => {
      const fraction = inMidAudio.includes(kind) ? ', after_fraction = 0.5' : '';
      const scenario = scenarioOf(
        `fault-${kind}`,
        `
[stand_in]
fault = { kind = "${kind}", request = 1${fraction} }

[[turn]]
say = "Go on."
reply = "This is the answer that never gets to its end."

[[turn]]
say = "Go on."
reply = "This one is heard."
`,
      );
      const conversations = await runner.run(scenario, { providers: providerNames });
      for (const conversation of conversations) {
        const { cell, measurement, recorded, path, verdict } = conversation;
        const name = `${kind} × ${cell.provider}`;
        const [first, second] = measurement.turns;
        const { usual, but } = expected[kind];
        const wanted = but?.[cell.provider] ?? usual;
        t.is(first?.failure?.kind ?? first?.outcome, wanted, `${name}: ${first?.failure?.message}`);
        t.is(verdict.outcome, wanted === 'ok' ? 'pass' : 'fail', name);
        t.is(second?.outcome, 'ok', `${name}, the turn after it: ${second?.failure?.message}`);

        // A failed turn yields no latency.
        if (wanted !== 'ok') t.is(measurement.metrics['audible_at_speaker_ms.n'], 1, name);

        // The board is told that the answer is over, goes back to Listening, and nothing ran out.
        const { events } = recorded;
        const turnEnds = events.filter((e) => e.source === 'harness' && e.type === 'turnEnd');
        t.deepEqual(
          turnEnds.map((e) => ('outcome' in e ? e.outcome : '')),
          ['finished', 'finished'],
          name,
        );
        const over = events.findIndex(
          (e) => e.type === 'frameHandled' && e.event === 'EndResponse',
        );
        const nextSpeech = events.findIndex((e) => e.type === 'speechStart' && e.turn === 2);
        t.true(over >= 0 && over < nextSpeech, `${name}: EndResponse before the next turn`);
        const states = events.slice(0, nextSpeech).filter((e) => e.type === 'state');
        t.is(states.at(-1)?.to, 'Listening', name);
        const firstSpeech = events.findIndex((e) => e.type === 'speechStart');
        const lastTurnEnd = events.findLastIndex((e) => e.type === 'turnEnd');
        const lost = events
          .slice(firstSpeech, lastTurnEnd)
          .filter((e) => e.type === 'reboot' || e.type === 'disconnected');
        t.deepEqual(lost, [], name);

        // What was delivered before the failure is on the recording and was played.
        const failures = events.filter((e) => e.source === 'provider' && e.type === 'failure');
        t.is(failures.length, wanted === 'ok' ? 0 : 1, name);
        const delivered = recorded.provider.get(1)?.length ?? 0;
        for (const failure of failures) {
          if ('deliveredSamples' in failure) t.is(failure.deliveredSamples, delivered, name);
        }
        const streams = !buffered.includes(cell.provider) || kind === 'early-end';
        const halfOfTheSentence = inMidAudio.includes(kind) && streams;
        t.is(delivered > 16_000, halfOfTheSentence, `${name}: ${delivered} samples delivered`);
        const framed = events.filter((e) => e.type === 'framed' && e.turn === 1);
        const taken = framed.reduce((sum, e) => sum + ('samplesIn' in e ? e.samplesIn : 0), 0);
        t.is(taken, delivered, `${name}: delivered audio is sent to the board`);
        t.is(measurement.conservation.unexplainedSamples, 0, name);
        t.is(measurement.metrics['conservation.dropped_samples'], 0, name);
        t.is(measurement.metrics['underruns.unverified'], 0, name);

        t.false(recorded.partial, name);
        t.true(existsSync(join(path, 'manifest.toml')), name);
        t.is(measurement.end?.outcome, 'finished', name);
        t.log(`${name}: ${first?.failure?.kind ?? first?.outcome}, ${delivered} samples delivered`);
      }
    },
  );
}
