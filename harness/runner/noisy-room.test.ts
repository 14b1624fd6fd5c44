/** Conversations in a room that is not silent: what is recorded of it, and what is measured. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'smol-toml';
import type { TraceEvent } from '../trace/trace-event.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const conversation = `
[matrix]
providers = ["openai"]

[[turn]]
say = "How far is it?"
reply = "It is not far from here to the sea."

[[turn]]
say = "And by bus?"
reply = "By bus it takes an hour."
`;

async function converse(device: string): Promise<RecordedConversation> {
  const scenario = scenarioOf('noisy-room', `[device]\n${device}\n${conversation}`);
  const [result] = await runner.run(scenario);
  return result!;
}

let silent: RecordedConversation;
test.before(async () => {
  silent = await converse('');
});

const manifest = ({ path }: RecordedConversation) =>
  parse(readFileSync(join(path, 'manifest.toml'), 'utf8')) as Record<string, object | string>;

const digest = ({ path }: RecordedConversation, file: string): string =>
  createHash('sha256')
    .update(readFileSync(join(path, file)))
    .digest('hex');

function eventsOf<Type extends TraceEvent['type']>(
  { recorded }: RecordedConversation,
  type: Type,
): Extract<TraceEvent, { type: Type }>[] {
  return recorded.events.filter(
    (event): event is Extract<TraceEvent, { type: Type }> => event.type === type,
  );
}

test.serial('with an echo, microphone.wav is the sum of user.wav and speaker.wav', async (t) => {
  const result = await converse('echo_db = -30\necho_delay_ms = 40');
  const { user, speaker, microphone } = result.recorded;
  t.like(manifest(result), {
    microphone: 'microphone.wav',
    plan: { echoDb: -30, echoDelayMs: 40 },
  });
  const [boot] = eventsOf(result, 'boot');
  t.like(boot, { echoDb: -30, echoDelayMs: 40 });
  t.is(result.verdict.outcome, 'pass');

  const lag = 16 * (64 + 40);
  const gain = 10 ** (-30 / 20);
  const sum = Float64Array.from(speaker, (_, i) => gain * (speaker[i - lag] ?? 0));
  for (const { atUs, userOffset, samples } of eventsOf(result, 'speechStart')) {
    const from = Math.ceil(((atUs - boot!.speakerStartUs) * 16) / 1000);
    for (let i = 0; i < samples; i++) sum[from + i]! += user[userOffset + i]!;
  }
  const heard = microphone!;
  t.true(heard.length > 16_000 * 5);
  const wrong = heard.findIndex(
    (sample, i) => sample !== Math.max(-32_768, Math.min(32_767, Math.round(sum[i]!))),
  );
  t.is(wrong, -1);
});

test.serial(
  'an answer that interrupts itself is found with its delay, in what was recorded',
  async (t) => {
    for (const [echoDb, delayMs] of [
      [-6, 200],
      [-18, 20],
    ]) {
      const result = await converse(
        `allow_interrupt = true\necho_db = ${echoDb}\necho_delay_ms = ${delayMs}`,
      );
      const { metrics, observations } = result.measurement;
      t.true(Number(metrics['interrupts.unprovoked']) > 0);
      const seen = observations['echo_correlation']!.filter(({ turn }) => turn !== null);
      t.true(seen.length > 0);
      for (const { value, note } of seen) {
        t.is(note, `${64 + delayMs!} ms behind the speaker`);
        t.true(value > 0.99 && value <= 1, `${value}`);
      }
    }
  },
);

test.serial(
  'the weakest echo that interrupts an answer is the one that the README of the board tells',
  async (t) => {
    const readme = readFileSync(new URL('../device/README.md', import.meta.url), 'utf8');
    const [, interrupts, doesNot] = /interrupts itself at −(\d+) dB and no more at −(\d+) dB/.exec(
      readme,
    )!;
    const count = async (db: string) => {
      const { metrics } = (await converse(`allow_interrupt = true\necho_db = -${db}`)).measurement;
      return Number(metrics['interrupts.unprovoked']);
    };
    t.true((await count(interrupts!)) > 0);
    t.is(await count(doesNot!), 0);
  },
);

test.serial('the user’s last word is that of the clip, whatever else is heard', async (t) => {
  const noisy = await converse('noise_dbfs = -40\necho_db = -20');
  for (const turn of [0, 1]) {
    const spoken = (result: RecordedConversation) =>
      eventsOf(result, 'speechStop')[turn]!.atUs - eventsOf(result, 'speechStart')[turn]!.atUs;
    t.is(spoken(noisy), spoken(silent));
  }
  t.is(digest(noisy, 'user.wav'), digest(silent, 'user.wav'));
  t.is(noisy.measurement.metrics['conservation.unexplained_samples'], 0);
});

test.serial('a noisy conversation is the same twice, to the byte', async (t) => {
  const device = 'noise_dbfs = -45\necho_db = -30\necho_delay_ms = 15';
  const [first, second] = [await converse(device), await converse(device)];
  for (const file of ['trace.jsonl', 'speaker.wav', 'user.wav', 'microphone.wav']) {
    t.is(digest(first, file), digest(second, file), file);
  }
  t.like(manifest(first), { plan: { noiseDbfs: -45, echoDb: -30, echoDelayMs: 15 } });
});

test('in a silent room no microphone is recorded', (t) => {
  t.false(existsSync(join(silent.path, 'microphone.wav')));
  t.is(silent.recorded.microphone, undefined);
  t.false('microphone' in manifest(silent));
});

test.serial(
  'whether the answer may be interrupted is what [device] says, else what the turns need',
  async (t) => {
    const presses = (result: RecordedConversation) =>
      eventsOf(result, 'press').map(({ press }) => press);
    const over = async (device: string): Promise<string[]> => {
      const after = 'after = { event = "StartAudio", delay_ms = 500 }\nsay = "And';
      const turns = conversation.replace('say = "And', () => after);
      const [result] = await runner.run(scenarioOf('keys', `[device]\n${device}\n${turns}`));
      return presses(result!);
    };
    t.deepEqual(presses(silent), ['short']);
    t.deepEqual(presses(await converse('allow_interrupt = true')), ['long', 'short']);
    t.deepEqual(await over(''), ['long', 'short']);
    t.deepEqual(await over('allow_interrupt = false'), ['short']);
  },
);
