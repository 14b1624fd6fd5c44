import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'smol-toml';
import { personalityOf } from './personality-choice.ts';
import { builtInProviders } from './provider-catalog.ts';
import { ConversationRunner, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const talk = `[[turn]]
say = "How far away is the moon?"
reply = "A quarter of a million miles. That is ten times around the earth."
`;
const choosing = (table: string) =>
  scenarioOf('personality', `[stand_in]\npersonality = { ${table} }\n${talk}`);

const entry = (name: string) => builtInProviders.find((one) => one.name === name)!;

test('a scenario chooses by provider before the provider, and by platform after it', (t) => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ['openai = "openai-tts-1-hd"', 'openai', 'openai-tts-1-hd'],
    ['openai = "openai-tts-1-hd"', 'openai-stream', 'openai-tts-1-hd'],
    ['openai = "openai-tts-1-hd"', 'kokoro', 'kokoro-gpu'],
    ['kokoro = "kokoro-old-cpu"', 'kokoro', 'kokoro-old-cpu'],
    ['kokoro = "kokoro-old-cpu"', 'openai', undefined],
  ];
  for (const [table, provider, personality] of cases) {
    const scenario = choosing(table);
    t.is(personalityOf(entry(provider), { scenario }), personality, `${table} for ${provider}`);
  }
});

test('the manifest says which personality answered, and on whose word', async (t) => {
  const scenario = choosing('openai = "openai-tts-1-hd"');
  const cells = await runner.run(scenario, { providers: ['openai-stream', 'elevenlabs'] });
  const manifests = cells.map(
    ({ path }) => parse(readFileSync(join(path, 'manifest.toml'), 'utf8'))['personality'],
  ) as { name: string; sources: string[]; date: string; evidence: string }[];
  t.deepEqual(
    manifests.map(({ name }) => name),
    ['openai-tts-1-hd', 'elevenlabs-flash-ws'],
  );
  t.is(manifests[0]!.evidence, 'engineering choice');
  t.regex(manifests[0]!.sources[0]!, /section 11\.2/);
  // Its first byte is log-normal around 2.3 s: three standard deviations below are 0.84 s.
  const [slow] = cells;
  t.true((slow!.measurement.metrics['ttfb_ms.p50'] as number) > 800);
});

test('a personality of another platform is told before anything runs', async (t) => {
  const foreign = { ...entry('groq'), name: 'mine', personality: 'kokoro-gpu' };
  await t.throwsAsync(
    runner.run(scenarioOf('foreign', talk), { providers: ['mine'], entries: [foreign] }),
    { code: 'STAND_IN_NO_PERSONALITY', message: /platform groq has no personality "kokoro-gpu"/ },
  );
});

for (const provider of ['openrouter', 'kokoro', 'vllm']) {
  test(`the built-in provider ${provider} is heard, every word of it`, async (t) => {
    const [cell] = await runner.run(scenarioOf(provider, talk), { providers: [provider] });
    t.is(cell!.verdict.outcome, 'pass', JSON.stringify(cell!.verdict));
    t.is(cell!.measurement.metrics['turns.failed'], 0);
    t.is(cell!.measurement.metrics['conservation.unexplained_samples'], 0);
  });
}
