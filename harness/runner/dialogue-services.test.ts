import test from 'ava';
import { ConversationRunner, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const script = `
[[turn]]
say = "How far is the moon?"
reply = "It is far away. Quite far, in fact, and it takes three days to get there."
[[turn]]
say = "Thank you."
reply = "You are welcome."
`;

async function spoken(server: string) {
  const toml = `[server]\nrecognition_ms = 900\n${server}\n${script}`;
  const [conversation] = await runner.run(scenarioOf('dialogue', toml), {
    providers: ['openai-stream'],
  });
  const { recorded, measurement, verdict } = conversation!;
  const texts = (type: string) =>
    recorded.events.flatMap((event) =>
      event.type === type && 'text' in event ? [event.text] : [],
    );
  return { recorded, measurement, verdict, heard: texts('asr'), sentences: texts('sentence') };
}

for (const services of [
  'asr_service = "whisper"\nllm_service = "chat"',
  'asr_service = "whisper"\nllm_service = "responses"',
]) {
  test.serial(`the same conversation with ${services.replaceAll('\n', ', ')}`, async (t) => {
    const usual = await spoken('');
    const { measurement, verdict, heard, sentences } = await spoken(services);
    t.is(verdict.outcome, 'pass');
    t.deepEqual(heard.at(-1), 'Thank you.');
    t.deepEqual(new Set(heard), new Set(usual.heard));
    t.deepEqual(sentences.join(' '), usual.sentences.join(' '));
    for (const [i, turn] of measurement.turns.entries()) {
      const before = usual.measurement.turns[i]!;
      t.is(turn.unattributedUs, 0);
      // The first request has to connect, which takes 120 ms; the stand-in keeps to the script's pace.
      const later = turn.spans.firstText! - before.spans.firstText!;
      t.true(later >= 0 && later < 400_000, `${later}`);
    }
    t.true(measurement.turns[0]!.spans.firstText! > usual.measurement.turns[0]!.spans.firstText!);
  });
}

test.serial(
  'recognition while the user speaks shows growing texts, then EndVad, then the whole',
  async (t) => {
    const { recorded, measurement, verdict } = await spoken('asr_service = "paraformer"');
    t.is(verdict.outcome, 'pass', JSON.stringify(verdict.failures));
    for (const turn of measurement.turns) t.is(turn.unattributedUs, 0);
    const words = ['How far is the moon?', 'Thank you.'];
    for (const [i, whole] of words.entries()) {
      const heard = recorded.events.flatMap((e) =>
        e.type === 'asr' && e.turn === i + 1 ? [e] : [],
      );
      const [final, ...interim] = heard.reverse();
      t.like(final, { text: whole, final: true });
      t.true(interim.length > 0, whole);
      t.is(new Set(interim.map(({ text }) => text)).size, interim.length);
      for (const { text, final: isFinal } of interim) {
        t.false(isFinal);
        t.true(whole.startsWith(text), text);
      }
      // Section 2.5: ASR*, EndVad, ASR.
      const order = recorded.events.flatMap((e) =>
        e.type === 'frame' && e.turn === i + 1 && /^(?:ASR|EndVad)$/.test(e.event) ? [e.event] : [],
      );
      t.deepEqual(order.slice(-2), ['EndVad', 'ASR']);
      t.deepEqual(new Set(order.slice(0, -2)), new Set(['ASR']));
    }
  },
);

test.serial('in submit mode there is one text, when the board has said Submit', async (t) => {
  const toml = `[server]\nasr = "submit"\nasr_service = "paraformer"\n${script}`;
  const [conversation] = await runner.run(scenarioOf('submit', toml), {
    providers: ['openai-stream'],
    devices: ['diy@0.3.0'],
  });
  t.is(conversation!.verdict.outcome, 'pass', JSON.stringify(conversation!.verdict.failures));
  const heard = conversation!.recorded.events.filter((event) => event.type === 'asr');
  t.deepEqual(
    heard.map((event) => event.type === 'asr' && event.text),
    ['How far is the moon?', 'Thank you.'],
  );
});

for (const services of ['whisper', 'paraformer'])
  test.serial(`runs with services repeat to the byte: ${services}`, async (t) => {
    const own = `asr_service = "${services}"\nllm_service = "chat"`;
    const [first, second] = [await spoken(own), await spoken(own)];
    t.deepEqual(first.recorded.events, second.recorded.events);
    t.deepEqual(first.recorded.speaker, second.recorded.speaker);
  });
