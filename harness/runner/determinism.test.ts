import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import type { CachedOpus } from '../opus/cached-opus.ts';
import { buildRunReport, reportData } from '../report/run-report.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import {
  ConversationRunner,
  providerNames,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const scenario = scenarioOf(
  'repeated',
  `
[[turn]]
say = "How far is it?"
reply = "It is not far. You can walk there."

[[turn]]
say = "Thank you."
reply = "You are welcome."
`,
);

/** Hash of every file of a recording except the manifest, which holds the facts of the wall clock. */
function digests({ path }: RecordedConversation): Record<string, string> {
  const names = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'manifest.toml')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(
    names.map((name) => [
      name.slice(path.length + 1),
      createHash('sha256').update(readFileSync(name)).digest('hex'),
    ]),
  );
}

/** As in a report, with wall-clock facts that differ from run to run. */
function data(cells: readonly RecordedConversation[], startedAt: string, seed = 1): string {
  const run = { id: startedAt, seed, time: 'virtual' as const, live: false, startedAt };
  return JSON.stringify(
    reportData(checkReportFormat(buildRunReport({ cells, run, environment: { startedAt } }))),
  );
}

test.serial('two runs with one seed leave the same bytes, with every provider', async (t) => {
  const clock = new SystemClock();
  const first = await runner.run(scenario, { seed: 7, providers: providerNames });
  const wallUs = clock.nowUs();
  const second = await runner.run(scenario, { seed: 7, providers: providerNames });
  t.deepEqual(
    first.map(({ cell }) => cell.provider),
    [...providerNames],
  );
  for (const [index, conversation] of first.entries()) {
    const files = digests(conversation);
    t.true(conversation.recorded.speaker.some((sample) => sample !== 0));
    for (const name of ['trace.jsonl', 'speaker.wav', 'sent.wav', 'user.wav', 'provider/1.wav']) {
      t.true(name in files, `${name} of ${conversation.cell.provider}`);
    }
    t.true('provider/1.received' in files);
    t.deepEqual(digests(second[index]!), files, conversation.cell.provider);
  }
  t.is(data(second, 'tomorrow', 7), data(first, 'today', 7));

  const simulatedUs = first.reduce((sum, { durationUs }) => sum + durationUs, 0);
  const seconds = (us: number) => (us / 1e6).toFixed(1);
  t.log(`${seconds(simulatedUs)} s of conversation in ${seconds(wallUs)} s`);
  // About a tenth on one slow core; the bound is only crossed when virtual time waits for real time.
  t.true(wallUs < simulatedUs, 'a simulated minute takes less than a minute');
});

test.serial('another seed gives another conversation with the same words', async (t) => {
  const providers = ['stream_gsv'];
  const [seven] = await runner.run(scenario, { seed: 7, providers });
  const [eight] = await runner.run(scenario, { seed: 8, providers });
  const [a, b] = [digests(seven!), digests(eight!)];
  t.not(a['trace.jsonl'], b['trace.jsonl']);
  t.not(a['speaker.wav'], b['speaker.wav']);
  t.is(a['user.wav'], b['user.wav']);
  const instants = ({ recorded }: RecordedConversation): number[] =>
    recorded.events.filter(({ source }) => source === 'provider').map(({ atUs }) => atUs);
  t.notDeepEqual(instants(seven!), instants(eight!));
});

test.serial('a cell is the same alone and among others', async (t) => {
  const [alone] = await runner.run(scenario, { providers: ['elevenlabs'] });
  const among = await runner.run(scenario);
  const same = among.find(({ cell }) => cell.provider === 'elevenlabs');
  t.deepEqual(digests(alone!), digests(same!));
});

test.serial(
  'what is remembered changes no byte: with empty caches, full ones and damaged ones',
  async (t) => {
    const cache = mkdtempSync(join(tmpdir(), 'echokit-cache-'));
    t.teardown(() => rmSync(cache, { recursive: true, force: true }));
    const options = { providers: ['openai-stream'], seed: 3 };
    const [plain] = await runner.run(scenario, options);
    const truth = digests(plain!);
    for (const state of ['empty', 'full', 'damaged']) {
      if (state === 'damaged') {
        for (const name of readdirSync(cache)) {
          const bytes = readFileSync(join(cache, name));
          bytes[bytes.length >> 1]! ^= 1;
          writeFileSync(join(cache, name), bytes);
        }
      }
      const other = await ConversationRunner.open(cache);
      t.teardown(() => other.remove());
      const [conversation] = await other.run(scenario, options);
      t.deepEqual(digests(conversation!), truth, state);
      const { counts } = other.laboratory.opus as CachedOpus;
      t.is(counts.packets.made > 0, state !== 'full', state);
      t.is(counts.packets.dropped > 0, state === 'damaged', state);
      t.true(readdirSync(cache).some((name) => name.endsWith('.packets')));
    }
  },
);
