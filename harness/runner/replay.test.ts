import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { faultMoments, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import { encodeWav } from '../trace/wav-file.ts';
import { readWire } from '../trace/wire-traffic.ts';
import { providerEntry } from './provider-catalog.ts';
import {
  ConversationRunner,
  providerNames,
  type RecordedConversation,
  scenarioAt,
  scenarioOf,
} from './recorded-conversation.contract.ts';
import { userVoice } from './run-cell.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

/** With `-- --all`: every fault at every moment with every provider. */
const isComplete = process.argv.includes('--all');

/** A fault for each provider, so that each kind and each moment occurs. */
const planted: Readonly<Record<string, readonly [kind: string, moment: string]>> = {
  openai: ['cut', 'mid-audio'],
  'openai-stream': ['stall', 'mid-audio'],
  'openai-sse': ['server', 'end'],
  stream_gsv: ['bad-voice', 'first-audio'],
  elevenlabs: ['quota', 'first-audio'],
  groq: ['rate-limit', 'answer'],
  gsv: ['timeout', 'answer'],
  cosyvoice: ['too-long', 'mid-audio'],
  fish: ['auth', 'answer'],
  'fish-live': ['early-end', 'end'],
  'elevenlabs-v4': ['protocol', 'end'],
  openrouter: ['empty', 'first-audio'],
  kokoro: ['cut', 'end'],
  vllm: ['early-end', 'mid-audio'],
};

/** What crossed the wire and when, in words that can be compared. */
function wireOf({ path }: RecordedConversation): string[] {
  return readWire(path).flatMap(({ number, steps }) =>
    steps.map(
      ({ data, ...event }) => `${number} ${JSON.stringify(event)} ${data?.toString('hex') ?? ''}`,
    ),
  );
}

/** The trace without its header, its numbering and what only the stand-in knows. */
function storyOf({ path }: RecordedConversation): string[] {
  return readFileSync(join(path, 'trace.jsonl'), 'utf8')
    .split('\n')
    .slice(1)
    .filter((line) => !line.includes('"type":"fault"'))
    .map((line) => line.replace(/^\{"seq":\d+,/, '{'));
}

function deviations({ verdict }: RecordedConversation): string[] {
  return verdict.failures.flatMap(({ code, message }) =>
    code.startsWith('REPLAY_') ? [`${code}: ${message}`] : [],
  );
}

/** Recorded and replayed: the same bytes at the same instants, and the same conversation. */
async function checkIdentity(
  t: ExecutionContext,
  provider: string,
  [kind, moment]: readonly [string, string],
): Promise<boolean> {
  const name = `${provider}, ${kind} at ${moment}`;
  const scenario = scenarioOf(
    'replayed',
    `
[stand_in]
fault = { kind = "${kind}", request = 1, moment = "${moment}" }

[[turn]]
say = "Go on."
reply = "This answer never ends. Or does it?"

[[turn]]
say = "Go on."
reply = "This one is heard."
`,
  );
  const [recorded] = await runner.run(scenario, { providers: [provider] });
  if (recorded!.verdict.failures.some(({ code }) => code === 'missed-disturbance')) return false;
  t.true(wireOf(recorded!).length > 10, name);
  const replayed = await runner.replay(recorded!.path);
  t.deepEqual(deviations(replayed), [], name);
  t.deepEqual(wireOf(replayed), wireOf(recorded!), name);
  t.deepEqual(storyOf(replayed), storyOf(recorded!), name);
  t.deepEqual(replayed.measurement.metrics, recorded!.measurement.metrics, name);
  if (!isComplete) return true;
  const again = await runner.replay(replayed.path);
  t.deepEqual(wireOf(again), wireOf(recorded!), `${name}, the replay replayed`);
  return true;
}

test.serial('each fault kind and each moment occurs below', (t) => {
  t.deepEqual(Object.keys(planted).sort(), [...providerNames].sort());
  const pairs = Object.values(planted);
  t.deepEqual([...new Set(pairs.map(([kind]) => kind))].sort(), [...standInFaultKinds].sort());
  t.deepEqual([...new Set(pairs.map(([, moment]) => moment))].sort(), [...faultMoments].sort());
});

for (const provider of providerNames) {
  test.serial(
    `${provider}: a replay has the bytes and instants of its recording, failures included`,
    async (t) => {
      const one = planted[provider]!;
      const pairs = isComplete
        ? standInFaultKinds.flatMap((kind) => faultMoments.map((moment) => [kind, moment] as const))
        : [one];
      let expressible = 0;
      for (const pair of pairs) if (await checkIdentity(t, provider, pair)) expressible += 1;
      t.true(expressible > 0);
      t.log(`${expressible} of ${pairs.length} faults can happen to ${provider}`);
    },
  );
}

test.serial('a folder is all that a replay needs, and it holds no credential', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-own-scenario-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const secret = 'sk_live_never_shown';
  const { samples } = runner.laboratory.voice.speak('Is this one?', userVoice);
  writeFileSync(join(folder, 'question 1.wav'), encodeWav(samples));
  const scenario = scenarioAt(
    join(folder, 'own'),
    `
[[turn]]
wav = "question 1.wav"
reply = "That was no question."
`,
  );
  const mine = providerEntry('mine', {
    platform: 'elevenlabs',
    token: secret,
    voice: 'VOICE',
    model_id: 'eleven_turbo_v2_5',
  });
  const [recorded] = await runner.run(scenario, { providers: ['mine'], entries: [mine] });
  rmSync(join(folder, 'question 1.wav'));
  const files = readdirSync(recorded!.path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files) {
    const bytes = readFileSync(file);
    t.false(bytes.includes(secret), file);
    t.false(bytes.includes(Buffer.from(secret).toString('base64')), file);
  }
  const replayed = await runner.replay(recorded!.path);
  t.is(replayed.verdict.outcome, 'pass');
  t.deepEqual(storyOf(replayed), storyOf(recorded!));
});

test.serial(
  'a changed voice fails the replay and is named, and what was not asked for as well',
  async (t) => {
    const scenario = scenarioOf('changed', '[[turn]]\nsay = "Go on."\nreply = "Well."\n');
    const [recorded] = await runner.run(scenario, { providers: ['openai'] });
    const replayed = await runner.replay(recorded!.path, {
      change: (entry) => ({
        ...entry,
        tts: { ...entry.tts, config: { ...(entry.tts.config as object), voice: 'coral' } },
      }),
    });
    t.is(replayed.verdict.outcome, 'fail');
    t.is(replayed.measurement.turns[0]?.failure?.kind, 'network');
    const [differs, missing] = deviations(replayed);
    t.regex(
      differs!,
      /^REPLAY_REQUEST_DIFFERS: .*request 1.*body, voice: recorded "ash", now "coral"/,
    );
    t.regex(missing!, /^REPLAY_REQUEST_MISSING: Recorded request 1 was not made: POST .*"Well\./);
  },
);
