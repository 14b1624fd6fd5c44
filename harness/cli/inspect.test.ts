/** The command as a user starts it, on recordings of whole conversations. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readProviderSounds } from '../inspection/provider-sound.ts';
import type { InspectionReport } from '../report/inspection-report.ts';
import { displayWidth } from '../report/terminal-text.ts';
import { ConversationRunner, scenarioOf } from '../runner/recorded-conversation.contract.ts';
import { encodeWav } from '../trace/wav-file.ts';
import { CommandError } from './exit-code.ts';
import { exportCommand } from './export-command.ts';
import { inspectCommand } from './inspect-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-inspect-'));
const runner = await ConversationRunner.open();
test.after.always(() => {
  runner.remove();
  rmSync(folder, { recursive: true, force: true });
});

function terminal(width = 80, color = false) {
  const printed: string[] = [];
  const said: string[] = [];
  return {
    printed,
    said,
    print: (text: string) => void printed.push(text),
    say: (text: string) => void said.push(text),
    color,
    width,
  };
}

const exported = { format: 'wav', audio: [], out: join(folder, 'exported') };

const talk = '[[turn]]\nsay = "How far is it?"\nreply = "It is not far from here to the sea."\n';

test('conversations with every way to carry PCM are read down to the provider, and nothing is wrong', async (t) => {
  // WAV, PCM, server-sent events, Base64 in messages, and bytes in messages.
  const providers = ['openai', 'openai-stream', 'openai-sse', 'elevenlabs', 'cosyvoice'];
  const cells = await runner.run(scenarioOf('talk', talk), { providers });
  t.is(cells.length, providers.length);
  for (const { path, recorded } of cells) {
    const sounds = readProviderSounds(path, recorded);
    t.deepEqual([...sounds.keys()].sort(), [...recorded.provider.keys()].sort(), path);
    for (const [request, { samples, rateHz }] of sounds) {
      const seconds = recorded.provider.get(request)!.length / 16_000;
      t.true(Math.abs(samples.length / rateHz - seconds) < 0.001, `${path}, request ${request}`);
    }
  }
  const shown = terminal();
  t.is(
    inspectCommand(
      shown,
      cells.map(({ path }) => path),
      {},
    ),
    0,
    shown.printed.join('\n'),
  );
  t.deepEqual(shown.printed, ['5 sentences inspected: nothing is wrong']);

  const [{ path }] = cells as [(typeof cells)[number]];
  const silent = join(folder, 'without-speaker');
  cpSync(path, silent, { recursive: true });
  // As a run that was killed leaves it.
  rmSync(join(silent, 'speaker.wav'));
  rmSync(join(silent, 'manifest.toml'));
  const again = terminal(200);
  t.is(inspectCommand(again, [silent], {}), 4, 'a stage that was not inspected is not a clean one');
  t.regex(again.printed[0]!, /speaker\.wav.*not inspected[\s\S]*nothing is wrong in what could be/);
  t.is(
    t.throws(() => exportCommand(again, silent, exported))?.message,
    `${silent} has no audio of speaker.`,
  );
});

test('a server that drops the rest of each block is told with stage and place, drawn and as JSON', async (t) => {
  const [cell] = await runner.run(
    scenarioOf('bites', `[server]\ncompat = "echokit-server"\n${talk}`),
    {
      providers: ['openai'],
    },
  );
  const json = terminal();
  t.is(inspectCommand(json, [cell!.path], { json: true }), 1);
  const report = JSON.parse(json.printed.join('\n')) as InspectionReport;
  const { defects } = report.sounds[0]!;
  // The reference server goes on in blocks of 8000 samples and drops 320 of each.
  const dropped = defects.filter(({ kind, stage }) => kind === 'dropped' && stage === 'sent');
  const whole = dropped.slice(0, -1);
  t.true(whole.length >= 2);
  t.deepEqual(
    whole.map(({ lengthMs }) => lengthMs),
    whole.map(() => 20),
  );
  t.deepEqual(
    whole.map(({ place }) => place.sample),
    whole.map((_, i) => 7680 * (i + 1)),
  );
  t.regex(dropped[0]!.because ?? '', /the server noted \d+ samples/);

  for (const width of [50, 80, 120]) {
    const shown = terminal(width);
    const pictures = join(folder, `${width}`);
    t.is(inspectCommand(shown, [cell!.path], { all: true, out: pictures }), 1);
    const lines = shown.printed.join('\n').split('\n');
    // The name of the recording is a path that can be copied.
    for (const line of lines.slice(1)) t.true(displayWidth(line) <= width, `${width}: ${line}`);
    t.true(lines.every((line) => !line.includes('\u001b')));
    t.true(lines.some((line) => /^played {3}[\u2800-\u28ff]+$/.test(line)));
    t.true(lines.some((line) => line.startsWith('buffer') && line.includes('█')));
    t.true(lines.some((line) => line.includes('▲1')));
    const [picture] = readdirSync(pictures);
    const svg = readFileSync(join(pictures, picture!), 'utf8');
    t.regex(svg, /^<svg [^>]*>.*<image [^>]*href="data:image\/png;base64,.*<\/svg>\n$/s);
    t.is(svg.match(/class="mark"/g)?.length, defects.length);
  }
});

test('WAV files alone and against another one, and what makes no sense', (t) => {
  const sound = Int16Array.from({ length: 16_000 }, (_, i) =>
    Math.round(6000 * Math.sin(i / 9) * (1 + 0.3 * Math.sin(i / 731)) + 900 * Math.sin(i / 3.7)),
  );
  const spiked = sound.slice();
  spiked[4000] = -32_000;
  const [right, wrong] = [join(folder, 'right.wav'), join(folder, 'wrong.wav')];
  writeFileSync(right, encodeWav(sound));
  writeFileSync(wrong, encodeWav(spiked));
  t.is(inspectCommand(terminal(), [right], {}), 0);
  for (const options of [{}, { against: right }]) {
    const shown = terminal();
    t.is(inspectCommand(shown, [wrong], { ...options, json: true }), 1);
    const { sounds } = JSON.parse(shown.printed[0]!) as InspectionReport;
    t.deepEqual(
      sounds[0]!.defects.map(({ kind, stage, place }) => [kind, stage, place.sample, place.atMs]),
      [['click', null, 4000, 250]],
    );
  }
  // A speaker that had nothing to play for a second.
  const waiting = join(folder, 'waiting.wav');
  const silence = new Int16Array(16_000);
  writeFileSync(waiting, encodeWav(Int16Array.of(...sound, ...silence, ...sound.subarray(1))));
  const told = terminal();
  t.is(inspectCommand(told, [waiting], { json: true }), 0);
  const { pauses } = (JSON.parse(told.printed[0]!) as InspectionReport).sounds[0]!;
  t.deepEqual(pauses, [{ atMs: 1000, lengthMs: 1000, abrupt: true }]);
  const shown = terminal(200);
  t.is(inspectCommand(shown, [waiting], {}), 0);
  t.regex(shown.printed[0]!, /1 pause, 1\.00 s of digital silence: 1\.00 s at 1\.00 s in the/);
  t.regex(shown.printed[0]!, /1 sentence inspected: nothing is wrong$/);
  const usage = (paths: string[], options: object) =>
    t.throws(() => inspectCommand(terminal(), paths, options), { instanceOf: CommandError }).code;
  t.is(usage([folder], { against: right }), 'USAGE');
  t.is(usage([join(folder, 'none.wav')], {}), 'USAGE');
  t.throws(() => inspectCommand(terminal(), [folder], {}), {
    code: 'RECORDING_NOT_FOUND',
  } as never);
});
