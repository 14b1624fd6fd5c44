import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { absentQuirks, type QuirkId, quirkIds } from '../device/quirk.ts';
import { checkBalance } from '../metrics/ledger-balance.contract.ts';
import { ConversationRunner, scenarioAt, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const folder = fileURLToPath(new URL('../../scenarios/quirks/', import.meta.url));
const providers = ['openai-stream'];

function withoutQuirks(ids: readonly string[]): string {
  return `[device]\nquirks_off = ${JSON.stringify(ids)}\n`;
}

for (const file of readdirSync(folder)) {
  const id = file.split('-')[0]!;
  const name = file.replace('.toml', '');
  const switchable = quirkIds.some((known) => known === id);
  const title = switchable ? `holds with ${id}, and is missed without` : `holds`;
  test.serial(`${file}: it ${title}`, async (t) => {
    const text = readFileSync(folder + file, 'utf8').replace(/^title = .*\n/, '');
    const [on] = await runner.run(scenarioAt(folder + name, text), { providers });
    t.is(on!.verdict.outcome, 'pass', JSON.stringify(on!.verdict, null, 1));
    if (!switchable) return;
    const [off] = await runner.run(scenarioAt(folder + name, without(id, text)), { providers });
    t.true(off!.verdict.expectations.some(({ outcome }) => outcome === 'fail'));
    t.deepEqual(off!.cell.scenario.device.quirksOff, [id]);
    const boot = off!.recorded.events.find((event) => event.type === 'boot');
    // Without its quirk the board of Q11 does not get as far as that.
    if (boot === undefined) return;
    t.like(boot, { quirksOff: [id] });
    for (const { measurement } of [on!, off!]) checkBalance(t, measurement.conservation);
    t.true((off!.measurement.metrics['underruns.unverified'] ?? 0) === 0);
  });
}

/** The same scenario on a board that does not have the quirk. */
function without(id: string, text: string): string {
  const setting = `quirks_off = ["${id}"]\n`;
  if (text.includes('[device]\n')) return text.replace('[device]\n', `[device]\n${setting}`);
  return text.replace('[matrix]', `[device]\n${setting}\n[matrix]`);
}

test('every quirk has one scenario, but those of which the model has no part', (t) => {
  const shown = readdirSync(folder).map((file) => file.split('-')[0]!);
  const invisible = ['Q24', 'Q27'];
  const all = [...quirkIds, ...absentQuirks.map(({ id }) => id)];
  t.deepEqual(shown.sort(), all.filter((id) => !invisible.includes(id)).sort());
});

/** Quirks that change how much of what the board plays, and when. */
const audible: readonly QuirkId[] = ['Q2', 'Q3', 'Q4', 'Q16', 'Q17', 'Q18', 'Q19', 'Q21'];

const conversation = `
[stand_in]
speed = 0.9
[[turn]]
pause_ms = 17000
say = "Tell me about the moon."
reply = "The moon is about two hundred and forty thousand miles away. It has neither air nor water. Nobody lives there."
[[turn]]
after = { event = "EndAudio", delay_ms = 300 }
say = "And the sun?"
reply = "The sun is a star. It is much farther away."
[[turn]]
say = "Thank you."
reply = "Not at all. Good night."
`;

for (const ids of [...audible.map((id) => [id]), audible]) {
  test.serial(
    `an interrupted conversation without ${ids.join(', ')} has every sample explained and every underrun verified`,
    async (t) => {
      const scenario = scenarioOf('without', withoutQuirks(ids) + conversation);
      const networks = ['busy-wifi'];
      for (const { measurement, verdict } of await runner.run(scenario, { providers, networks })) {
        t.is(verdict.outcome, 'pass', JSON.stringify(verdict.failures));
        checkBalance(t, measurement.conservation);
        t.is(measurement.metrics['underruns.unverified'], 0);
        t.is(measurement.metrics['turns.interrupted'], 1);
      }
    },
  );
}

test.serial(
  'with cycles in pairs every sample is explained, every underrun verified, and all begins on a pair',
  async (t) => {
    const scenario = scenarioOf('pairs', `[device]\nplayer_rhythm = "pairs"\n${conversation}`);
    const networks = ['busy-wifi'];
    for (const { measurement, recorded } of await runner.run(scenario, { providers, networks })) {
      t.deepEqual(measurement.conservation.unexplained, []);
      t.is(measurement.metrics['underruns.unverified'], 0);
      t.true((measurement.metrics['underruns.count'] as number) > 0);
      let startUs = 0;
      let cycles = 0;
      for (const event of recorded.events) {
        if (event.type === 'boot') startUs = event.speakerStartUs;
        if (event.type !== 'playStart' && event.type !== 'underrunStart') continue;
        cycles += 1;
        t.is((event.atUs - startUs) % 32_000, 0);
      }
      t.true(cycles > 3);
    }
  },
);
