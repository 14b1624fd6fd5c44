import { readFileSync } from 'node:fs';
import test from 'ava';
import { deviceProfiles } from '../device/device-profile.ts';
import { networkNames } from '../network/network-profile.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const profiles = Object.keys(deviceProfiles);
const readme = readFileSync(new URL('../device/README.md', import.meta.url), 'utf8');

/** `scenarios/one-question.toml` without its expectations. */
const question = scenarioOf(
  'one-question',
  `
[[turn]]
say = "How far away is the moon?"
reply = "The moon is about two hundred and forty thousand miles away. Light needs a little more than a second for the trip."
`,
);

let conversations: RecordedConversation[] = [];
test.before(async () => {
  conversations = await runner.run(question, {
    providers: ['elevenlabs'],
    devices: profiles,
    networks: networkNames,
  });
});

test('every board with every firmware has its conversation over every network', (t) => {
  t.is(conversations.length, profiles.length * networkNames.length);
  for (const { cell, verdict, measurement, recorded } of conversations) {
    const name = `${cell.device} over ${cell.network}`;
    t.is(verdict.outcome, 'pass', name);
    t.is(measurement.turns[0]?.outcome, 'ok', name);
    t.is(measurement.conservation.unexplainedSamples, 0, name);
    t.is(measurement.metrics['conservation.dropped_samples'], 0, name);
    t.is(measurement.metrics['underruns.unverified'], 0, name);
    const { events } = recorded;
    t.is(events.filter((e) => e.type === 'reboot').length, 0, name);
    // Firmware before 0.3.1 ends the utterance itself.
    const submits = events.filter((e) => e.type === 'submit').length;
    t.is(submits, /@0\.(?:2|3\.0)/.test(cell.device) ? 1 : 0, name);
  }
});

test('the table of first sounds in the README of the board is what the conversations give', (t) => {
  const columns = ['diy', 'box', 'cube2', 'diy@0.3.0', 'diy@0.2.0'];
  const rows = networkNames.map((network) => {
    const cells = columns.map((device) => {
      const found = conversations.find(
        ({ cell }) => cell.device === device && cell.network === network,
      );
      const { metrics } = found!.measurement;
      const heard = Math.round(Number(metrics['audible_at_speaker_ms.p50']));
      const silent = Number(metrics['underruns.total_ms']);
      return silent === 0 ? `${heard}` : `${heard}, silent ${silent}`;
    });
    return [`\`${network}\``, ...cells];
  });
  const written = networkNames.map((network) => {
    const line = readme.split('\n').find((l) => l.startsWith(`| \`${network}\``)) ?? '';
    return line
      .split('|')
      .slice(1, columns.length + 2)
      .map((cell) => cell.trim());
  });
  t.deepEqual(written, rows);
});
