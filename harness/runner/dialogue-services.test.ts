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

test.serial('runs with services repeat to the byte', async (t) => {
  const services = 'asr_service = "whisper"\nllm_service = "chat"';
  const [first, second] = [await spoken(services), await spoken(services)];
  t.deepEqual(first.recorded.events, second.recorded.events);
  t.deepEqual(first.recorded.speaker, second.recorded.speaker);
});
