/** Runs in bundles: put into one file, reported, held again on "another machine", made golden, exported. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test from 'ava';
import { zipSync } from 'fflate';
import { testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { BundleError, packBundle, unpackBundle } from '../bundle/bundle-file.ts';
import { buildRunReport, type RunReport } from '../report/run-report.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from '../runner/recorded-conversation.contract.ts';
import { inputDifferences } from '../runner/repeated-run.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import type { RecordingManifest } from '../trace/manifest.ts';
import { readManifest } from '../trace/recorded-files.ts';
import type { RecordingError } from '../trace/recording-error.ts';
import { readWav } from '../trace/wav-file.ts';
import { bundleCommand } from './bundle-command.ts';
import { exportCommand } from './export-command.ts';
import { inspectCommand } from './inspect-command.ts';
import { promoteCommand } from './promote-command.ts';
import { recordedReport } from './recorded-report.ts';
import { withRunFolder } from './recorded-run-folder.ts';
import { replayCommand } from './replay-command.ts';
import { reportCommand } from './report-command.ts';
import { reproCommand } from './repro-command.ts';
import { scenarioCatalog } from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

const runner = await ConversationRunner.open();
const folder = mkdtempSync(join(tmpdir(), 'echokit-bundles-'));
test.after.always(() => {
  runner.remove();
  rmSync(folder, { recursive: true, force: true });
});

// Each command listens for Ctrl-C until its process ends.
process.setMaxListeners(50);
const version = '0.0.0-test';

/** Keeps what is printed. */
class Screen implements Terminal {
  readonly color = false;
  readonly width = 100;
  printed = '';
  said = '';
  print(text: string): void {
    this.printed += `${text}\n`;
  }
  say(text: string): void {
    this.said += `${text}\n`;
  }
}

const scenario = scenarioOf(
  'bundled',
  `
[[turn]]
say = "Go on."
reply = "At ten."

[expect]
turns.ok = 1
`,
);
const failing = scenarioOf(
  'failing',
  '[[turn]]\nsay = "Go on."\nreply = "At ten."\n[expect]\nturns.ok = 7\n',
);

const runSeed = 77;
let recorded: RecordedConversation;
test.before(async () => {
  const held = await runner.run(scenario, { providers: ['elevenlabs'], seed: runSeed });
  recorded = held[0]!;
});

async function bundled(path: string, name: string): Promise<{ file: string; screen: Screen }> {
  const file = join(folder, name);
  const screen = new Screen();
  await bundleCommand(screen, path, { out: file, version });
  return { file, screen };
}

/** The bundle with one of its files changed, and a true list. */
function changed(
  file: string,
  name: string,
  change: (text: string, path: string) => string,
): string {
  const files = new Map(unpackBundle(readFileSync(file), file).files);
  for (const [path, content] of files) {
    if (!/\.(?:toml|jsonl)$/.test(path)) continue;
    // Without the list of its manifest, which an older recording has not: what was changed is to be held again.
    const text = Buffer.from(content)
      .toString()
      .replace(/\n\[\[files\]\][\s\S]*$/, '\n');
    files.set(path, Buffer.from(change(text, path)));
  }
  const path = join(folder, name);
  writeFileSync(path, packBundle(files));
  return path;
}

async function repro(file: string): Promise<{ exit: number; text: string }> {
  const screen = new Screen();
  const exit = await reproCommand(screen, file, { version });
  return { exit, text: screen.printed };
}

test.serial('a report of recordings is that of their run', (t) => {
  const run = { id: 'x', seed: runSeed, time: 'virtual' as const, live: false };
  const own = checkReportFormat(buildRunReport({ cells: [recorded], run, environment: {} }))
    .cells[0]!;
  const { report, notes } = recordedReport(recorded.path, scenarioCatalog(['elevenlabs']), 'x');
  const [cell] = report.cells;
  t.deepEqual(notes, []);
  t.is(cell!.recording, '.');
  const placed = own.expectations.map((expectation) => ({
    ...expectation,
    // The scenario has got a name of its own in the recording.
    at: { ...expectation.at, file: 'inputs/bundled.toml' },
  }));
  const { file } = placed[0]!.at;
  t.deepEqual({ ...cell, recording: own.recording }, { ...own, file, expectations: placed });
});

test.serial('a bundle has the same bytes each time, and holds everything', async (t) => {
  const { file: a } = await bundled(recorded.path, 'a.zip');
  const { file: b, screen } = await bundled(recorded.path, 'b.zip');
  t.deepEqual(readFileSync(a), readFileSync(b));
  t.regex(screen.said, /repro .*b\.zip/);
  const names = [...unpackBundle(readFileSync(a), a).files.keys()];
  for (const name of [
    'report.json',
    /^cells\/bundled--elevenlabs.*\/manifest\.toml$/,
    /\/trace\.jsonl$/,
    /\/inputs\/bundled\.toml$/,
    /\/inputs\/provider\.json$/,
    /\/provider\/wire\/1\.received$/,
  ]) {
    t.true(
      names.some((path) => (typeof name === 'string' ? path === name : name.test(path))),
      `${name}`,
    );
  }
  await t.throwsAsync(bundleCommand(new Screen(), recorded.path, { out: a, version }), {
    code: 'BUNDLE_EXISTS',
  } as never);
});

test.serial('a bundle is held again to the byte', async (t) => {
  const { file } = await bundled(recorded.path, 'same.zip');
  const screen = new Screen();
  t.is(await reproCommand(screen, file, { version, json: true }), 0);
  const { cells } = JSON.parse(screen.printed) as { cells: { outcome: string; files: number }[] };
  t.is(cells[0]!.outcome, 'same');
  t.true(cells[0]!.files >= 12);
});

test('every input that decides how a run goes is told from another one', (t) => {
  const manifest: RecordingManifest = {
    formatVersion: 1,
    verdict: 'pass',
    plan: {
      scenario: 's',
      title: 's',
      file: 's.toml',
      provider: 'p',
      device: 'diy',
      network: 'ideal',
      server: 'harness',
      seed: 1,
      time: 'virtual',
    },
    inputs: { scenario: 'a', provider: 'a', personality: 'a', board: 'a', network: 'a' },
    environment: { version: 'a', program: 'a', node: 'a', opus: 'a', voice: 'a', platform: 'a' },
  };
  t.deepEqual(inputDifferences(manifest, structuredClone(manifest)), []);
  const { inputs, environment, plan } = manifest;
  const changes: readonly (readonly [string, Partial<RecordingManifest>])[] = [
    ['scenario', { inputs: { ...inputs!, scenario: 'b' } }],
    ['provider', { inputs: { ...inputs!, provider: 'b' } }],
    ['personality', { inputs: { ...inputs!, personality: 'b' } }],
    ['profile', { inputs: { ...inputs!, board: 'b' } }],
    ['network', { inputs: { ...inputs!, network: 'b' } }],
    ['version', { environment: { ...environment, version: 'b' } }],
    ['program', { environment: { ...environment, program: 'b' } }],
    ['node', { environment: { ...environment, node: 'b' } }],
    ['opus', { environment: { ...environment, opus: 'b' } }],
    ['voice', { environment: { ...environment, voice: 'b' } }],
    ['seed', { plan: { ...plan, seed: 2 } }],
    ['server', { plan: { ...plan, server: 'echokit-server' } }],
  ];
  for (const [input, change] of changes) {
    const found = inputDifferences(manifest, { ...manifest, ...change });
    t.deepEqual(
      found.map((difference) => difference.input),
      [input],
    );
    t.not(found[0]!.expected, found[0]!.got);
  }
  const older: RecordingManifest = { ...manifest, environment: {} };
  t.deepEqual(
    inputDifferences(older, manifest),
    [],
    'what is not on record is not known to differ',
  );
});

test.serial('the input that is not as it was is named, with what was expected', async (t) => {
  const { file } = await bundled(recorded.path, 'was.zip');
  const other = await repro(
    changed(file, 'scenario.zip', (text) => text.replaceAll('At ten.', 'At two.')),
  );
  t.is(other.exit, 1);
  t.regex(other.text, /Inputs that are not as they were:\n {2}scenario +expected \w+, got \w+\n/);
  const node = await repro(
    changed(file, 'node.zip', (text, path) =>
      path.endsWith('manifest.toml')
        ? text.replace('[environment]', '[environment]\nnode = "v8.0.0"')
        : text,
    ),
  );
  t.is(node.exit, 0);
  t.regex(node.text, /same bytes[\s\S]*although[\s\S]*node +expected v8\.0\.0, got v\d/);
  const sound = await repro(
    changed(file, 'trace.zip', (text, path) =>
      path.endsWith('trace.jsonl') ? text.replace('"connected"', '"connekted"') : text,
    ),
  );
  t.is(sound.exit, 1);
  t.regex(sound.text, /trace\.jsonl: line \d+\n {2}expected .*connekted.*\n {2}got .*connected/);
  t.regex(sound.text, /Every input that is on record is as it was|program +expected/);
});

test.serial(
  'what was recorded in real time is held again from the recording, to the byte',
  async (t) => {
    const [real] = await runner.run(scenario, { providers: ['stream_gsv'], time: 'real' });
    const { file } = await bundled(real!.path, 'real.zip');
    t.true(unpackBundle(readFileSync(file), file).files.has('repetition.json'));
    const { exit, text } = await repro(file);
    t.is(exit, 0, text);
  },
);

test.serial(
  'what is damaged is neither reported, replayed nor bundled, and nothing stays behind',
  async (t) => {
    const run = join(folder, 'damaged');
    const cell = join(run, 'cells', 'one');
    cpSync(recorded.path, cell, { recursive: true });
    truncateSync(join(cell, 'provider', 'wire', '1.received'), 1_000);
    const shown = { out: join(folder, 'replays'), version };
    for (const attempt of [
      async () => reportCommand(new Screen(), [run], {}),
      () => bundled(run, 'damaged.zip'),
      () => replayCommand(new Screen(), run, shown),
      () => replayCommand(new Screen(), run, { ...shown, blame: true }),
    ]) {
      const error = await t.throwsAsync(attempt, { name: 'RecordingError' });
      t.is((error as RecordingError).code, 'RECORDING_DAMAGED');
      t.regex(error!.message, /damaged.*wire.1\.received: it has 1000 bytes instead of \d+/);
    }
    t.false(existsSync(join(folder, 'damaged.zip')));
    rmSync(join(cell, 'inputs'), { recursive: true });
    writeFileSync(
      join(cell, 'manifest.toml'),
      'formatVersion = 1\n[plan]\nseed = 1\n[environment]\n',
    );
    cpSync(join(recorded.path, 'provider'), join(cell, 'provider'), { recursive: true });
    await t.throwsAsync(replayCommand(new Screen(), run, shown), {
      code: 'RECORDING_WITHOUT_INPUTS',
    } as never);
  },
);

test.serial(
  'a bundle is replayed, asked and inspected as a folder is, under its own name',
  async (t) => {
    const { file } = await bundled(recorded.path, 'asked.zip');
    const replay = new Screen();
    const out = join(folder, 'replayed');
    t.is(await replayCommand(replay, file, { out, version, json: true }), 0);
    const report = JSON.parse(replay.printed) as RunReport;
    t.is(report.cells.length, 1);
    t.is(report.run.seed, runSeed);
    t.is(report.cells[0]!.seed, recorded.cell.seed);
    const asked = new Screen();
    t.is(await replayCommand(asked, file, { out, version, blame: true, json: true }), 0);
    const { recordings } = JSON.parse(asked.printed) as { recordings: { recording: string }[] };
    t.true(recordings[0]!.recording.startsWith(`${file}/cells/bundled--`));
    const inspected = new Screen();
    t.is(inspectCommand(inspected, [file], { json: true }), 0);
    t.true(inspected.printed.includes(`${file}/cells/bundled--`), inspected.printed);
    t.false(inspected.printed.includes('echokit-bundle-'));
    const [again] = readdirSync(join(out, readdirSync(out)[0]!, 'cells'));
    const manifest = readManifest(join(out, readdirSync(out)[0]!, 'cells', again!));
    t.is(manifest?.plan.recording?.name, basename(recorded.path));
  },
);

test.serial(
  'reports of several recordings say where each is, and whose seed is whose',
  async (t) => {
    const { file } = await bundled(recorded.path, 'one-of-two.zip');
    const screen = new Screen();
    t.is(await reportCommand(screen, [file, recorded.path], {}), 0);
    t.true(screen.printed.includes(`Recordings: ${file}, ${recorded.path}`), screen.printed);
    t.true(screen.printed.includes(`2 cells, seed ${runSeed}, virtual time`), screen.printed);
    const older = changed(file, 'older.zip', (text, path) =>
      path.endsWith('manifest.toml') ? text.replace(/^runSeed.*\n/m, '') : text,
    );
    const shown = new Screen();
    t.is(await reportCommand(shown, [older], {}), 0);
    t.true(
      shown.printed.includes(`seed of the conversation ${recorded.cell.seed},`),
      shown.printed,
    );
  },
);

test.serial('a hostile bundle leaves nothing anywhere', async (t) => {
  const evil = join(folder, 'evil.zip');
  writeFileSync(evil, zipSync({ '../../escaped.txt': Buffer.from('x') }));
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('echokit-bundle-'));
  for (const open of [
    () => withRunFolder(evil, () => t.fail()),
    () => exportCommand(new Screen(), evil, { format: 'wav', audio: [], out: folder }),
  ]) {
    const error = t.throws(open, { instanceOf: BundleError });
    t.is(error!.code, 'BUNDLE_PATH');
  }
  await t.throwsAsync(reportCommand(new Screen(), [evil], {}), {
    instanceOf: BundleError,
    code: 'BUNDLE_PATH',
  });
  await t.throwsAsync(reproCommand(new Screen(), evil, { version }), { instanceOf: BundleError });
  t.false(existsSync(join(tmpdir(), '..', 'escaped.txt')));
  t.false(existsSync(join(tmpdir(), 'escaped.txt')));
  t.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith('echokit-bundle-')),
    before,
  );
});

test.serial('a recording with a credential in it is not bundled', async (t) => {
  const copy = join(folder, 'leaky');
  mkdirSync(join(copy, 'inputs'), { recursive: true });
  writeFileSync(join(copy, 'trace.jsonl'), readFileSync(join(recorded.path, 'trace.jsonl')));
  writeFileSync(join(copy, 'inputs', 'provider.json'), '{"config":{"api_key":"sk-live-4711"}}');
  const error = await t.throwsAsync(bundled(copy, 'leaky.zip'), { instanceOf: BundleError });
  t.is((error as BundleError).code, 'BUNDLE_SECRET');
  t.regex(error!.message, /inputs\/provider\.json/);
  t.false(existsSync(join(folder, 'leaky.zip')));
});

test.serial('only what was reviewed, whole and right becomes golden', async (t) => {
  const out = join(folder, 'golden');
  const promote = (path: string, more: object = {}): Promise<number> =>
    promoteCommand(new Screen(), path, { reason: 'looked at', yes: true, out, version, ...more });
  await t.throwsAsync(promote(recorded.path, { reason: ' ' }), { message: /says why/ });
  const [failed] = await runner.run(failing, { providers: ['elevenlabs'] });
  await t.throwsAsync(promote(failed!.path), { message: /verdict fail/ });
  const partial = join(folder, 'partial');
  mkdirSync(partial);
  writeFileSync(join(partial, 'trace.jsonl'), readFileSync(join(recorded.path, 'trace.jsonl')));
  await t.throwsAsync(promote(partial), { message: /not finished/ });
  t.false(existsSync(out));
  t.is(await promote(recorded.path), 0);
  const [file] = readdirSync(out);
  const golden = unpackBundle(readFileSync(join(out, file!)), file!).files;
  t.regex(Buffer.from(golden.get('golden.json')!).toString(), /"reason": "looked at"/);
  const screen = new Screen();
  t.is(await reportCommand(screen, [join(out, file!), recorded.path], { json: true }), 0);
  const report = JSON.parse(screen.printed) as RunReport;
  t.is(report.cells.length, 2);
  t.deepEqual(report.cells[0]!.metrics, report.cells[1]!.metrics);
});

testWithFfmpeg('audio of a recording is exported, as long and as loud as it is', (t) => {
  const out = join(folder, 'exported');
  for (const format of ['wav', 'flac', 'ogg', 'mp3']) {
    const screen = new Screen();
    const audio = ['speaker', 'sent', 'provider'];
    t.is(exportCommand(screen, recorded.path, { format, audio, out }), 0);
    t.is(screen.printed.trimEnd().split('\n').length, 3, screen.printed);
  }
  const names = readdirSync(out);
  t.is(names.length, 12);
  const heads = { wav: 'RIFF', flac: 'fLaC', ogg: 'OggS' };
  for (const [format, head] of Object.entries(heads)) {
    const name = names.find((each) => each.endsWith(`speaker.${format}`))!;
    t.is(readFileSync(join(out, name)).toString('latin1', 0, 4), head);
  }
  const wav = names.find((each) => each.endsWith('speaker.wav'))!;
  t.deepEqual(readWav(join(out, wav)), recorded.recorded.speaker);
  t.throws(() => exportCommand(new Screen(), recorded.path, { format: 'aac', audio: [], out }), {
    message: /no format "aac"/,
  });
  t.throws(() => exportCommand(new Screen(), recorded.path, { format: 'wav', audio: [], out }), {
    message: /there already/,
  });
});
