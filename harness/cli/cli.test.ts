/** The program as its users start it: a process of its own, its output and its exit code. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { inflateSync, strFromU8 } from 'fflate';
import { parse } from 'smol-toml';
import { WebSocket } from 'ws';
import { readChromeTrace, readJunit } from '../report/output-readers.contract.ts';
import type { RunReport } from '../report/run-report.ts';
import { openRecordedAnswers } from '../runner/recorded-run.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { exitCode } from './exit-code.ts';
import { helpBundle } from './help-bundle.ts';
import { chooseProviders } from './provider-choice.ts';
import { checkEchoKitConfig } from './stand-in-config.contract.ts';
import { ProgramStarter } from './started-program.contract.ts';

const program = new ProgramStarter();
const { folder } = program;
const start = (...args: string[]) => program.start(args);
const file = (name: string, text: string) => program.file(name, text);
test.after.always(() => program.remove());

/** Acts once, as soon as a trace below `out` holds the beginning of a conversation. */
function whenUnderWay(out: string, act: () => void): FSWatcher {
  let underWay = false;
  const watching = watch(out, { recursive: true }, (_, name) => {
    if (underWay || name?.endsWith('trace.jsonl') !== true) return;
    const size = statSync(join(out, name), { throwIfNoEntry: false })?.size ?? 0;
    if (size <= 2000) return;
    underWay = true;
    act();
  });
  // Node reads each new folder; one that has its final name by then is not found under the old one.
  return watching.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

const hello = `title = "Hello"
[[turn]]
say = "Hello."
reply = "Hello to you."
reply_pace = { first_token_ms = 50, tokens_per_second = 100 }
`;

test.serial('--help names every command and what it is for', async (t) => {
  const { exit, stdout, stderr } = await start('--help').ended;
  t.is(exit, exitCode.passed);
  t.is(stderr, '');
  for (const command of ['run', 'validate', 'serve', 'device', 'conform', 'stand-ins', 'bench']) {
    t.regex(stdout, new RegExp(`^  ${command}\\b.*  \\w+`, 'm'));
  }
});

test('the help that the build puts into one file is the help', async (t) => {
  const beside = join(folder, 'bundle', 'harness', 'cli');
  mkdirSync(join(beside, '..', 'toml'), { recursive: true });
  mkdirSync(beside, { recursive: true });
  const from = (path: string) => join(import.meta.dirname, '..', '..', path);
  for (const shared of ['package.json', 'harness/cli/exit-code.ts', 'harness/toml/problem.ts']) {
    symlinkSync(from(shared), join(folder, 'bundle', shared));
  }
  const bundle = await helpBundle(from('harness/cli/main.ts'));
  const loaded = [...bundle.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, name]) => name!);
  t.deepEqual(
    [...new Set(loaded)].filter((name) => !name.startsWith('node:')).toSorted(),
    ['../toml/problem.ts', './exit-code.ts'],
    'everything else is in it, or is loaded by the command that wants it',
  );
  t.false(loaded.includes('node:crypto'));
  writeFileSync(join(beside, 'help.js'), bundle);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import=tsx', join(beside, 'help.js'), '--help'],
    { cwd: from('.'), env: { ...process.env, NO_COLOR: '1' } },
  );
  const itself = await start('--help').ended;
  const named = (text: string) =>
    text.replaceAll(/npx echokit-harness|(?:node|npx tsx) \S+\.[jt]s/g, 'echokit-harness');
  t.is(named(stdout), named(itself.stdout));
});

test.serial('mistakes in scenarios are told with file, line and column: exit code 2', async (t) => {
  const unknown = file('mistakes/unknown.toml', `${hello}pauze_ms = 3\n`);
  const type = file('mistakes/wrong-type.toml', hello.replace('"Hello."', '5'));
  const wav = file('mistakes/missing-wav.toml', hello.replace('say = "Hello."', 'wav = "no.wav"'));
  const { exit, stdout, stderr } = await start('run', join(folder, 'mistakes')).ended;
  t.is(exit, exitCode.usage);
  t.is(stdout, '');
  t.true(stderr.includes(`${unknown}:6:1: `), stderr);
  t.regex(stderr, /pauze_ms.*pause_ms/s);
  t.true(stderr.includes(`${type}:3:7: `), stderr);
  t.true(stderr.includes(`${wav}:3:7: `), stderr);
  t.true(stderr.includes('no.wav'), stderr);
});

test.serial(
  'a provider that does not exist is answered with those that do: exit code 2',
  async (t) => {
    const path = file('hello.toml', hello);
    const { exit, stdout, stderr } = await start('run', path, '--provider', 'elevenlab').ended;
    t.is(exit, exitCode.usage);
    t.is(stdout, '');
    t.true(stderr.includes('did you mean "elevenlabs"?'), stderr);
    t.true(stderr.includes('openai, openai-stream, openai-sse, stream_gsv, elevenlabs'), stderr);
  },
);

test.serial('an unknown option and an unknown network are usage errors too', async (t) => {
  const path = file('hello.toml', hello);
  const [option, network] = await Promise.all([
    start('run', path, '--sed', '4').ended,
    start('run', path, '--network', 'good-wify').ended,
  ]);
  t.is(option.exit, exitCode.usage);
  t.true(option.stderr.includes('--seed'), option.stderr);
  t.is(network.exit, exitCode.usage);
  t.true(network.stderr.includes('did you mean "good-wifi"?'), network.stderr);
});

test.serial('a provider that refuses the key: exit code 1, the class is named', async (t) => {
  const path = file('refused.toml', `${hello}[stand_in]\nfault = { kind = "auth" }\n`);
  const out = join(folder, 'refused');
  const { exit, stdout } = await start('run', path, '--provider', 'elevenlabs', '--out', out).ended;
  t.is(exit, exitCode.expectationFailed);
  t.regex(stdout, /elevenlabs .*fail.*auth/);
  const [run] = readdirSync(out);
  const cell = join(out, run!, 'cells', 'refused--elevenlabs--diy--good-wifi');
  t.false(readRecording(cell).partial);
});

test.serial('words that no voice here can read are said once, unless --quiet', async (t) => {
  const japanese = hello.replace('say = "Hello."', 'say = "こんにちは"');
  const path = file(
    'unread.toml',
    `${japanese}[[turn]]\nsay = "さようなら"\nreply = "Good bye."\n`,
  );
  const args = ['run', path, '--provider', 'stream_gsv', '--out', join(folder, 'unread')];
  const [told, quiet] = await Promise.all([start(...args).ended, start(...args, '--quiet').ended]);
  t.is(told.exit, exitCode.passed, told.stderr);
  t.is(told.stderr.match(/No voice here can read "こんにちは"/g)?.length, 1, told.stderr);
  t.false(told.stderr.includes('さようなら'), told.stderr);
  t.false(quiet.stderr.includes('No voice here'), quiet.stderr);
});

test.serial('run --json prints one document with the percentiles where scripts look', async (t) => {
  const path = file('hello.toml', hello);
  const out = join(folder, 'json');
  const files = join(folder, 'json-outputs');
  mkdirSync(files);
  const others = ['junit', 'trace'].flatMap((kind) => ['--output', `${kind}=${files}/${kind}`]);
  const { exit, stdout, stderr } = await start('run', path, '--json', ...others, '--out', out)
    .ended;
  t.is(exit, exitCode.passed, stderr);
  const report = checkReportFormat(
    JSON.parse(stdout) as {
      schemaVersion: number;
      cells: { provider: string; verdict: string; metrics: { ttfa_ms: { p50: number } } }[];
    },
  );
  const [run] = readdirSync(out);
  t.is(readFileSync(join(out, run!, 'report.json'), 'utf8'), stdout);
  const [suite] = readJunit(readFileSync(join(files, 'junit'), 'utf8'));
  t.is(suite!.testcase.length, report.cells.length);
  const events = readChromeTrace(readFileSync(join(files, 'trace'), 'utf8'));
  t.is(events.filter(({ name }) => name === 'process_name').length, 5 * report.cells.length);
  t.is(report.schemaVersion, 1);
  t.deepEqual(
    report.cells.map(({ provider, verdict }) => `${provider} ${verdict}`),
    [
      'openai pass',
      'openai-stream pass',
      'groq pass',
      'gsv pass',
      'stream_gsv pass',
      'elevenlabs pass',
      'fish pass',
      'cosyvoice pass',
    ],
  );
  for (const { metrics } of report.cells) {
    t.true(Number.isFinite(metrics.ttfa_ms.p50) && metrics.ttfa_ms.p50 > 0);
  }
  const page = readFileSync(join(out, run!, 'report.html'), 'utf8');
  t.regex(page, /First to speak:/);
  t.true(page.endsWith('</body></html>\n'));
  const conversation = /id="conversation-data-0">([^<]*)</.exec(page)?.[1] ?? '';
  const text = strFromU8(inflateSync(Buffer.from(conversation, 'base64')));
  t.true(text.includes('"partial":false'), 'what this run has held is whole');
  t.regex(stderr, new RegExp(`^Report: .*${run}/report\\.html\\n$`, 'm'));
});

test.serial('the advice to repeat a cell is that cell, and a cause is told once', async (t) => {
  const failing = `title = "Cut"
[matrix]
devices = ["diy", "box"]
[stand_in]
fault = { kind = "cut", after_fraction = 0.4 }
[[turn]]
say = "Hello?"
reply = "An answer that is cut in the middle."
[expect]
turns.failed = 0
failure.kind = "none"
`;
  const path = file('cut.toml', failing);
  const out = join(folder, 'repeat');
  const args = ['run', path, '--provider', 'openai-stream', '--network', 'ideal', '--seed', '7'];
  const { exit, stdout } = await start(...args, '--out', out, '--quiet').ended;
  t.is(exit, exitCode.expectationFailed);
  const advice = /repeat one cell: +(?:npm run -s harness --|node \S+) (.*)/.exec(stdout)?.[1];
  const same = `--provider openai-stream --device diy --network ideal --seed 7 --out ${out}`;
  t.is(advice, `run ${path} ${same}`);
  t.regex(stdout, /\nReport: .*report\.html\n$/, 'the last line');
  t.is(stdout.match(/was cut off/g)?.length, 1, 'once for both boards');
  t.true(stdout.includes('cut · openai-stream · diy, box · ideal: 2 cells'), stdout);
  t.is(stdout.match(/not met because of it: turns\.failed, failure\.kind/g)?.length, 1);
});

test.serial(
  'the advice names the server only where the scenario would take another, and quotes',
  async (t) => {
    const body = '[[turn]]\nsay = "Hello?"\nreply = "Hello."\n';
    const path = file(
      'two words/own.toml',
      `title = "Own"\n[server]\ncompat = "echokit-server"\n${body}`,
    );
    const args = ['run', path, '--provider', 'openai', '--quiet', '--out', join(folder, 'advice')];
    const advice = async (...more: string[]): Promise<string | undefined> => {
      const { stdout } = await start(...args, ...more).ended;
      return /repeat one cell: +(?:npm run -s harness --|node \S+) run (.*)/.exec(stdout)?.[1];
    };
    const same = `'${path}' --provider openai`;
    t.is(await advice(), `${same} --out ${join(folder, 'advice')}`);
    const usual = `${same} --server-model harness --out ${join(folder, 'advice')}`;
    t.is(await advice('--server-model', 'harness'), usual);
  },
);

test.serial(
  'validate tells a fault that no protocol of a named provider can express',
  async (t) => {
    const scenario = (provider: string, fault: string): string =>
      `title = "F"\n[matrix]\nproviders = ["${provider}"]\n[stand_in]\nfault = { ${fault} }\n[[turn]]\nsay = "Hello?"\nreply = "Hello."\n`;
    const bad = file('bad-moment.toml', scenario('fish', 'kind = "auth", moment = "mid-audio"'));
    const refused = await start('validate', bad).ended;
    t.is(refused.exit, exitCode.usage);
    t.regex(refused.stderr, /bad-moment\.toml:5:\d+.*fish cannot express auth at "mid-audio"/);
    const good = file('good-moment.toml', scenario('fish', 'kind = "quota", moment = "mid-audio"'));
    t.is((await start('validate', good).ended).exit, exitCode.passed);
  },
);

test.serial('what cannot be meant is refused at once: exit code 2', async (t) => {
  const url = 'ws://127.0.0.1:9/ws/';
  for (const [args, message] of [
    [['run', '--provider', ''], /--provider names nothing/],
    [['rnu'], /There is no command "rnu"; did you mean "run"\?/],
    [['serve', '--provider', 'openai,groq'], /one provider only/],
    [['serve', '--provider', ''], /names no provider/],
    [['device', url, '--say', ''], /--say has no text/],
    [
      ['device', url, '--say', 'Hi.', '--save', join(folder, 'none', 'a.wav')],
      /there is no folder/,
    ],
    [['device', url, '--say', 'Hi.', '--save', folder], /is a folder/],
  ] as const) {
    const { exit, stderr } = await start(...args).ended;
    t.is(exit, exitCode.usage, stderr);
    t.regex(stderr, message);
  }
  const unreachable = await start('device', url, '--say', 'Hi.').ended;
  t.is(unreachable.exit, exitCode.environment);
  t.is(unreachable.stderr.match(/ECONNREFUSED/g)?.length, 1, unreachable.stderr);
  t.false(unreachable.stderr.includes('.).'), unreachable.stderr);
  const empty = file('empty-config.toml', 'addr = "127.0.0.1:8080"\n');
  for (const command of ['run', 'validate']) {
    const { exit, stderr } = await start(command, '--config', empty).ended;
    t.is(exit, exitCode.usage);
    t.regex(stderr, /has no \[tts\] section.*CONFIG_NO_TTS/);
  }
});

test.serial('a folder that cannot be made is the surroundings: exit code 4', async (t) => {
  const path = file('hello.toml', hello);
  const { exit, stderr } = await start('run', path, '--out', path).ended;
  t.is(exit, exitCode.environment, stderr);
  t.regex(stderr, /EEXIST/);
  t.notRegex(stderr, /defect/);
});

test.serial('serve says which port is taken: exit code 4', async (t) => {
  const occupant = createServer().listen(0, '127.0.0.1');
  await once(occupant, 'listening');
  const { port } = occupant.address() as AddressInfo;
  const { exit, stdout, stderr } = await start('serve', '--port', `${port}`).ended;
  occupant.close();
  t.is(exit, exitCode.environment, stderr);
  t.is(stdout, '');
  t.true(stderr.includes(`${port}`), stderr);
  t.regex(stderr, /in use|taken/);
  t.notRegex(stderr, /\n\s+at /, 'no stack');
});

test('Ctrl-C during a run in real time finishes the recording: exit code 130', async (t) => {
  const path = file('interrupted.toml', hello);
  const out = join(folder, 'interrupted');
  mkdirSync(out);
  const { child, ended } = start(
    ...['run', path, '--time', 'real', '--provider', 'openai,stream_gsv', '--out', out],
  );
  const watching = whenUnderWay(out, () => child.kill('SIGINT'));
  const { exit, stdout, stderr } = await ended;
  watching.close();
  t.is(exit, exitCode.interrupted, stderr);
  const [run] = readdirSync(out);
  const cells = readdirSync(join(out, run!, 'cells'));
  t.deepEqual(cells, ['interrupted--openai--diy--good-wifi'], stdout);
  const recording = readRecording(join(out, run!, 'cells', cells[0]!));
  t.false(recording.partial);
  const ends = recording.events.filter(
    (event) => event.source === 'harness' && event.type === 'end',
  );
  t.like(ends, [{ outcome: 'interrupted' }]);
  t.true(recording.speaker.length > 0);
});

test('a killed run leaves a recording that can be read', async (t) => {
  const path = file('killed.toml', hello);
  const out = join(folder, 'killed');
  mkdirSync(out);
  const { child, ended } = start(
    ...['run', path, '--time', 'real', '--provider', 'stream_gsv', '--out', out],
  );
  const watching = whenUnderWay(out, () => child.kill('SIGKILL'));
  const { exit } = await ended;
  watching.close();
  t.is(exit, null, 'killed by a signal');
  const [run] = readdirSync(out);
  const recording = readRecording(join(out, run!, 'cells', 'killed--stream_gsv--diy--good-wifi'));
  t.true(recording.partial);
  t.is(recording.header.scenario, 'killed');
  t.true(recording.events.length > 0);
});

test('serve and device hold a conversation over real sockets', async (t) => {
  const scenario = file('served.toml', hello);
  const server = start(
    ...['serve', '--port', '0', '--provider', 'elevenlabs', '--scenario', scenario],
  );
  const [url] = await server.printed(/^ws:\/\/127\.0\.0\.1:\d+\/ws\/$/m);
  const wav = join(folder, 'speaker.wav');
  const device = await start('device', url, '--say', 'Hello.', '--save', wav).ended;
  t.is(device.exit, exitCode.passed, device.stderr);
  const latency = /^turn 1: first sample of the answer (\d+) ms after/m.exec(device.stdout);
  t.truthy(latency, device.stdout);
  t.true(Number(latency![1]) > 0);
  t.regex(device.stderr, /Listening → Waiting/);
  t.regex(device.stderr, /Speaking → Listening/);
  t.true(readFileSync(wav).length > 32_000);

  const flags = ['--quirks-off', 'Q2,Q43', '--noise-dbfs', '-60', '--echo-db', '-40', '--console'];
  const board = ['--board', 'box', '--id', '02ec0e000003'];
  const console = await start('device', url, '--say', 'Hello.', ...flags, ...board).ended;
  t.is(console.exit, exitCode.passed, console.stderr);
  t.regex(console.stderr, /^turn 1: first sample of the answer \d+ ms after/m);
  // Everything on stdout is a line of ROM or firmware.
  const lines = console.stdout.trimEnd().split('\n');
  t.is(lines[0], 'ESP-ROM:esp32s3-20210327');
  const entry = lines.findIndex((line) => line.startsWith('entry '));
  const odd = lines.slice(entry + 1).filter((line) => !/^[EWI] \(\d+\) [\w:]+: /.test(line));
  t.deepEqual(odd, []);
  t.true(lines.some((line) => line.endsWith('echokit::app: Received ASR: "Hello."')));
  t.true(lines.some((line) => line.endsWith('echokit::audio: Speech started')));
  // Quirk Q43 off: the harmless line of the codec is not marked as an error.
  t.true(lines.some((line) => /^I .*Es8311SetVoiceMute/.test(line)));

  server.child.kill('SIGINT');
  const { exit, stderr } = await server.ended;
  t.is(exit, exitCode.interrupted);
  t.regex(stderr, /turn 1 +understood: Hello\./);
  t.regex(stderr, /request 1 to the stand-in of elevenlabs, which answers for wss:/);
  t.regex(stderr, /turn 1 +sentence 1: Hello to you\./);
  t.regex(stderr, /turn 1 +spoken/);
});

test('what a board of the command cannot be is refused before it connects', async (t) => {
  const url = 'ws://127.0.0.1:9/ws/';
  for (const [flags, message] of [
    [['--quirks-off', 'Q2,Q99'], /There is no quirk "Q99"[\s\S]*quirks: Q2, Q3/],
    [['--noise-dbfs', '3'], /--noise-dbfs is "3"; it must be a number from -80 to -12/],
    [['--echo-db', 'loud'], /--echo-db is "loud"; it must be a number from -80 to 20/],
    [['--echo-delay-ms', '20'], /--echo-delay-ms means nothing without --echo-db/],
  ] as const) {
    const { exit, stderr } = await start('device', url, '--say', 'Hello.', ...flags).ended;
    t.is(exit, exitCode.usage, stderr);
    t.regex(stderr, message);
  }
});

test('with Paraformer in [asr] run and serve recognise while the user speaks', async (t) => {
  const asr = '[asr]\nplatform = "paraformer_v2"\nparaformer_token = "sk_p"\n';
  const config = file('live-asr.toml', `${asr}\n${sections.stream_gsv}`);
  const scenario = file('spoken-live.toml', hello);
  const server = start('serve', '--port', '0', '--config', config, '--scenario', scenario);
  const [url] = await server.printed(/^ws:\/\/127\.0\.0\.1:\d+\/ws\/$/m);
  const device = await start('device', url, '--say', 'Hello.').ended;
  t.is(device.exit, exitCode.passed, device.stderr);
  server.child.kill('SIGINT');
  const { stderr } = await server.ended;
  t.regex(stderr, /turn 1 +understood: Hello\./);
  t.regex(stderr, /through the stand-in of paraformer/);
  t.false(stderr.includes('[asr] is not used'));

  const out = join(folder, 'live-asr');
  const args = ['run', scenario, '--config', config, '--json', '--quiet', '--out', out];
  const run = await start(...args).ended;
  t.is(run.exit, exitCode.passed, run.stderr);
  const { run: facts, cells } = JSON.parse(run.stdout) as {
    run: { id: string };
    cells: { recording: string }[];
  };
  const { events } = readRecording(join(out, facts.id, cells[0]!.recording));
  const texts = events.flatMap((event) => (event.type === 'asr' ? [event.text] : []));
  t.is(texts.at(-1), 'Hello.');
});

test('stand-ins print a configuration that works as it is, and tell what clients ask', async (t) => {
  const scenario = file('spoken.toml', hello);
  const cloud = start(
    ...['stand-ins', '--port', '0', '--only', 'chat,transcription,gsv', '--scenario', scenario],
    '--verbose',
  );
  const [text] = await cloud.printed(/^# A complete config[\s\S]*speaker = "texan"\n/m);
  const { problems, providers } = checkEchoKitConfig(text);
  t.deepEqual(problems, []);
  t.is(providers[0]!.tts!.platform, 'gsv');
  const config = parse(text) as { llm: { url: string; api_key: string }; tts: { url: string } };
  const messages = [{ role: 'user', content: 'Hello.' }];
  const chat = await fetch(config.llm.url, {
    method: 'POST',
    headers: { authorization: `Bearer ${config.llm.api_key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages, api_key: 'sk_in_the_body' }),
  });
  t.regex(await chat.text(), /"content":"Hello to you\."/);
  const speech = await fetch(config.tts.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ speaker: 'texan', input: 'Hello.', sample_rate: 16_000 }),
  });
  t.true((await speech.arrayBuffer()).byteLength > 10_000);
  cloud.child.kill('SIGINT');
  const { exit, stderr } = await cloud.ended;
  t.is(exit, exitCode.interrupted);
  t.regex(stderr, /chat +POST \/v1\/chat\/completions → 200 after \d+ ms, “Hello to you\.”/);
  t.regex(stderr, /gsv +POST \/v1\/audio\/speech → 200 after \d+ ms, \d\.\d\d s of audio/);
  t.regex(stderr, /authorization: \*\*\*/);
  t.false(/sk_in_the_body|Bearer sk/.test(stderr));
});

test('record --config stands between a server and its provider: all of it is recorded, with a report', async (t) => {
  t.timeout(120_000);
  const scenario = file('recorded.toml', hello);
  const services = 'chat,transcription,gsv';
  const cloud = start('stand-ins', '--port', '0', '--only', services, '--scenario', scenario);
  const [text] = await cloud.printed(/^# A complete config[\s\S]*speaker = "texan"\n/m);
  const out = join(folder, 'tapped');
  const config = file('recorded-config.toml', text);
  const tap = start('record', '--config', config, '--port', '0', '--out', out);
  const [, url] = await tap.printed(
    /^\[tts\].*instead of http.*\nurl = "(http:\/\/127\.0\.0\.1:\d+\/.*)"$/m,
  );
  const speech = await fetch(url!, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ speaker: 'texan', input: 'Hello.', sample_rate: 16_000 }),
    signal: AbortSignal.timeout(60_000),
  });
  const sound = Buffer.from(await speech.arrayBuffer());
  tap.child.kill('SIGINT');
  cloud.child.kill('SIGINT');
  const { exit, stderr } = await tap.ended;
  t.is(exit, exitCode.interrupted);
  t.regex(stderr, /cells.tap: 1 connection\.\n/);
  await cloud.ended;
  const run = join(out, readdirSync(out)[0]!);
  const { traffic, provider } = openRecordedAnswers(join(run, 'cells', 'tap'));
  t.is(provider.tts.platform, 'gsv');
  t.is(traffic.exchanges.length, 1);
  const answer = Buffer.concat(
    traffic.exchanges[0]!.answers.flatMap(({ act }) => (act.kind === 'bytes' ? [act.data] : [])),
  );
  t.true(answer.includes(sound.subarray(0, 1_000)));
  const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as RunReport;
  t.like(report.run, { seed: null, time: 'real' });
  t.is(report.cells[0]!.recording, 'cells/tap');
});

test('stand-ins --json print one document per line; unknown names are usage errors', async (t) => {
  const cloud = start('stand-ins', '--port', '0', '--only', 'chat', '--json');
  const [, line] = await cloud.printed(/^(\{"type":"ready".*\})\n/);
  const ready = JSON.parse(line!) as { addresses: { chat: string }; config: string };
  t.deepEqual(Object.keys(parse(ready.config)), ['addr', 'llm']);
  await fetch(`http://${ready.addresses.chat}/v1/models`, {
    headers: { authorization: 'Bearer k' },
  });
  await cloud.printed(/^\{"type":"request","service":"chat",.*"path":"\/v1\/models"/m);
  cloud.child.kill('SIGINT');
  await cloud.ended;

  const [only, tts, left, personality] = await Promise.all([
    start('stand-ins', '--only', 'chat,opnai').ended,
    start('stand-ins', '--tts', 'chat').ended,
    start('stand-ins', '--only', 'chat,gsv', '--tts', 'groq').ended,
    start('stand-ins', '--personality', 'openai=kokoro').ended,
  ]);
  t.is(only.exit, exitCode.usage);
  t.regex(only.stderr, /"opnai"\. Did you mean "openai"\?/);
  t.is(tts.exit, exitCode.usage);
  t.regex(left.stderr, /--only chat,gsv,groq/);
  t.is(personality.exit, exitCode.usage);
  t.regex(
    personality.stderr,
    /no personality "kokoro".*Known: .*kokoro-gpu.*STAND_IN_NO_PERSONALITY/,
  );
});

test('a stand-in has the chosen personality, and the configuration that reaches it', async (t) => {
  const choice = ['--only', 'openai', '--personality', 'openai=kokoro-gpu'];
  const cloud = start('stand-ins', '--port', '0', '--json', ...choice);
  const [, line] = await cloud.printed(/^(\{"type":"ready".*\})\n/);
  const { config } = JSON.parse(line!) as { config: string };
  const { tts } = parse(config) as { tts: { url: string; model: string; voice: string } };
  t.is(tts.model, 'kokoro');
  const speech = await fetch(tts.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input: 'Hello.', voice: tts.voice, response_format: 'wav' }),
  });
  t.is(speech.headers.get('content-disposition'), 'attachment; filename=speech.wav');
  t.true((await speech.arrayBuffer()).byteLength > 10_000);
  cloud.child.kill('SIGINT');
  await cloud.ended;
});

/** As printed on the EchoKit documentation page on text to speech. */
const sections = {
  elevenlabs: `[tts]
platform = "elevenlabs"
url = "wss://api.elevenlabs.io/v1/text-to-speech/"
token = "sk_1234"
voice = "YOUR-VOICE-ID"
`,
  stream_gsv: `[tts]
platform = "stream_gsv"
url = "http://localhost:9094/v1/audio/stream_speech"
speaker = "texan"
`,
  openai: `[tts]
platform = "openai"
url = "https://api.openai.com/v1/audio/speech"
model = "gpt-4o-mini-tts"
api_key = "sk_ABCD"
voice = "ash"
`,
};

for (const [platform, section] of Object.entries(sections)) {
  test(`EchoKit's [tts] section for ${platform} is a provider without a warning`, (t) => {
    const said: string[] = [];
    const terminal = {
      print: (text: string) => void said.push(text),
      say: (text: string) => void said.push(text),
      color: false,
      width: 80,
    };
    const choice = chooseProviders(terminal, file(`config-${platform}.toml`, section));
    t.deepEqual(choice.configured, [platform]);
    t.deepEqual(said, []);
    const url = new URL(/url = "(.*)"/.exec(section)![1]!);
    const { endpoint } = choice.entries.get(platform)!;
    t.is(endpoint.host, url.hostname);
    t.is(endpoint.port, url.port === '' ? 443 : Number(url.port));
  });
}

test.serial("run --config speaks with the provider of EchoKit's own section", async (t) => {
  const config = file('config.toml', sections.stream_gsv);
  const path = file('configured.toml', hello);
  const out = join(folder, 'configured');
  const args = ['run', path, '--config', config, '--json', '--quiet', '--out', out];
  const { exit, stdout, stderr } = await start(...args).ended;
  t.is(exit, exitCode.passed, stderr);
  t.is(stderr, '');
  const { cells } = JSON.parse(stdout) as { cells: { provider: string }[] };
  t.deepEqual(
    cells.map(({ provider }) => provider),
    ['stream_gsv'],
  );
});

/** A file for a real EchoKit server, with a second provider that only this program sees. */
const wholeConfig = `addr = "127.0.0.1:0"
hello_wav = "hello.wav"

[asr]
platform = "whisper"
url = "http://localhost:9094/v1/audio/transcriptions"

[asr.vad]
hangover_ms = 600

${sections.stream_gsv}
[llm]
platform = "openai_chat"
url = "http://localhost:9094/v1/chat/completions"
history = 5

[providers.quick]
platform = "elevenlabs"
token = "sk_only_in_this_file"
voice = "v"
`;

test.serial('run --config runs all providers of the file, and --provider picks', async (t) => {
  const config = file('several/config.toml', wholeConfig.replace('hello_wav = "hello.wav"\n', ''));
  const path = file('several.toml', hello);
  const run = async (...more: string[]): Promise<string[]> => {
    const out = join(folder, 'several-runs');
    const args = ['run', path, '--config', config, '--json', '--out', out, ...more];
    const { exit, stdout, stderr } = await start(...args).ended;
    t.is(exit, exitCode.passed, stderr);
    t.true(
      stderr.includes(
        `${config}: [llm] is not used: replies are scripted; only serve --live asks.\n`,
      ),
      stderr,
    );
    const { cells } = JSON.parse(stdout) as { cells: { provider: string }[] };
    return cells.map(({ provider }) => provider);
  };
  t.deepEqual(await run(), ['stream_gsv', 'quick']);
  t.deepEqual(await run('--provider', 'quick,openai'), ['quick', 'openai']);
});

test.serial('validate says what a configuration holds, without showing its keys', async (t) => {
  const config = file('whole/config.toml', wholeConfig.replace('hello_wav = "hello.wav"\n', ''));
  const scenario = file(
    'whole.toml',
    hello.replace('[[turn]]', '[matrix]\nproviders = ["quick"]\n[[turn]]'),
  );
  const { exit, stdout, stderr } = await start('validate', config, scenario).ended;
  t.is(exit, exitCode.passed, stderr);
  t.is(stderr, '');
  t.regex(stdout, /^ {2}\[asr\.vad\] +used: /m);
  t.regex(stdout, /^ {2}\[llm\] +not used: replies are scripted; only serve --live asks$/m);
  t.regex(stdout, /^ {2}backend +EchoKit takes \[llm\], \[tts\] and \[asr\]$/m);
  t.regex(stdout, /^provider quick: \[providers\.quick\], platform elevenlabs$/m);
  t.regex(stdout, /^ {2}token +set$/m);
  t.regex(stdout, /^ {2}url +wss:\/\/api\.elevenlabs\.io\/v1\/text-to-speech \(default\)$/m);
  t.regex(stdout, /^ {2}model_id +eleven_flash_v2_5 \(default\)$/m);
  t.false(stdout.includes('sk_only_in_this_file'));
  t.true(stdout.includes(`${scenario}: ok`), 'a scenario may name a provider of the configuration');
});

test.serial(
  'validate tells errors and warnings of a configuration together: exit code 2',
  async (t) => {
    const text = wholeConfig.replace('history = 5\n', '').replace('voice = "v"', 'voise = "v"');
    const config = file('faulty/config.toml', text);
    const { exit, stdout, stderr } = await start('validate', '--config', config).ended;
    t.is(exit, exitCode.usage);
    t.true(stdout.startsWith(`${config}: an EchoKit configuration\n`), stdout);
    t.false(stdout.includes('scenarios'), 'the configuration alone is checked');
    t.true(stderr.includes(`${config}:2:13: warning: hello_wav: there is no such file`), stderr);
    t.regex(stderr, /: error: llm\.history is missing.*\[CONFIG_MISSING_KEY\]/);
    t.regex(stderr, /: error: providers\.quick\.voice is missing.*\n.*\n.*\n.*\n.*"voise"/);
    t.false(stderr.includes('sk_only_in_this_file'), stderr);

    const run = await start('run', '--config', config).ended;
    t.is(run.exit, exitCode.usage);
    t.true(run.stderr.includes('providers.quick.voice is missing'), run.stderr);
    t.true(run.stderr.endsWith('[CONFIG_MISSING_KEY]\n'), run.stderr);
  },
);

test.serial('serve --config listens at addr and greets with hello_wav', async (t) => {
  const config = file('greeting/config.toml', wholeConfig);
  const head = Buffer.from(
    'RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data',
    'latin1',
  );
  const samples = Buffer.alloc(800, 'greeting');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(samples.length);
  writeFileSync(join(folder, 'greeting/hello.wav'), Buffer.concat([head, size, samples]));
  const server = start('serve', '--config', config);
  const [url] = await server.printed(/^ws:\/\/127\.0\.0\.1:(?!8080)\d+\/ws\/$/m);
  const socket = new WebSocket(`${url}02ec0e000009`);
  const received: Buffer[] = [];
  await new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      received.push(data);
      if (Buffer.concat(received).includes('HelloEnd')) resolve();
    });
  });
  t.true(Buffer.concat(received).includes(samples));
  socket.close();
  server.child.kill('SIGINT');
  const { exit, stderr } = await server.ended;
  t.is(exit, exitCode.interrupted);
  t.true(stderr.includes('[asr] is not used'), stderr);
});

test.serial(
  'conform server judges a server, names a case that does not exist, and finds nobody',
  async (t) => {
    const server = start('serve', '--port', '0');
    const [url] = await server.printed(/ws:\/\/\S+/);
    const judged = await start('conform', 'server', url, '--only', 'http,hello', '--json').ended;
    t.is(judged.exit, exitCode.passed, judged.stderr);
    const report = JSON.parse(judged.stdout) as {
      counts: object;
      target: string;
      complete: boolean;
    };
    t.deepEqual(report.counts, { pass: 5, fail: 0, unsupported: 5, skipped: 0 });
    t.true(report.complete);
    t.is(report.target, url);
    const unknown = await start('conform', 'server', url, '--only', 'nonsense').ended;
    t.is(unknown.exit, exitCode.usage);
    t.regex(
      unknown.stderr,
      /families: handshake, .*CONFORMANCE_CASE_UNKNOWN|CONFORMANCE_CASE_UNKNOWN.*families: handshake/s,
    );
    server.child.kill('SIGTERM');
    await server.ended;
    const nobody = await start('conform', 'server', url, '--only', 'http').ended;
    t.is(nobody.exit, exitCode.environment);
    t.regex(nobody.stderr, /NETWORK_REFUSED/);
  },
);

test.serial(
  'conform device passes the emulated board and refuses one of older firmware',
  async (t) => {
    const { exit, stdout } = await start('conform', 'device', '--only', 'request,rest').ended;
    t.is(exit, exitCode.passed);
    t.regex(stdout, /^request +18 passed$/m);
    t.regex(stdout, /23 cases against the emulated diy: 23 passed/);
    const older = await start('conform', 'device', '--board', 'diy@0.2.0').ended;
    t.is(older.exit, exitCode.usage);
    t.regex(older.stderr, /boards: diy, box, cube2/);
  },
);

test.serial('run --server measures another server, and says how it gets the words', async (t) => {
  const path = file('elsewhere.toml', hello);
  const server = start('serve', '--port', '0', '--scenario', path);
  const [url] = await server.printed(/ws:\/\/\S+/);
  const out = join(folder, 'elsewhere');
  const { exit, stdout, stderr } = await start('run', '--server', url, path, '--out', out).ended;
  t.is(exit, exitCode.passed, stderr);
  t.regex(stderr, /stand-ins --scenario \S*elsewhere\.toml/);
  t.regex(stdout, /^external +1\/0 +\d+ .*pass$/m);
  server.child.kill('SIGTERM');
  await server.ended;
  const both = await start('run', '--server', url, '--provider', 'openai', path).ended;
  t.is(both.exit, exitCode.usage);
  t.regex(both.stderr, /--server and --provider exclude each other/);
});
