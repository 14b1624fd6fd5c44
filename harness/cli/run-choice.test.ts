/** What a run takes from its configuration file and command line, which conversations it chooses, and what it says meanwhile. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import test from 'ava';
import {
  checkHarnessConfig,
  findHarnessConfig,
  loadHarnessConfig,
  readHarnessConfigFile,
} from '../harness-config/harness-config.ts';
import { HarnessConfigError } from '../harness-config/harness-config-error.ts';
import { type RunKey, runKeys } from '../harness-config/schema.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import type { CellResult } from '../runner/run-plan.ts';
import { estimatedLengthMs } from '../scenario/conversation-length.ts';
import { loadScenario } from '../scenario/load.ts';
import { cellName, planRun } from '../scenario/plan.ts';
import { type Selection, selectCells } from '../scenario/selection.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import {
  checkConfiguredOutputs,
  configuredLine,
  configuredRun,
  runOptionOf,
} from './configured-run.ts';
import { exitCode } from './exit-code.ts';
import { outputKinds } from './output-kinds.ts';
import { recordedLengths } from './recorded-lengths.ts';
import { eventLine, RunProgress } from './run-progress.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { ProgramStarter } from './started-program.contract.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'run-choice-'));
const program = new ProgramStarter();
test.after.always(() => {
  program.remove();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text = ''): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function problemsOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (!(error instanceof HarnessConfigError)) throw error;
    return error.problems.map(
      ({ code, line, column, message }) => `${line}:${column} ${code} ${message}`,
    );
  }
  return [];
}

test('the configuration file of the nearest folder counts, up to the root of the repository', (t) => {
  const outside = file('found/echokit-harness.toml');
  const root = join(folder, 'found', 'repository');
  mkdirSync(join(root, 'a', 'b', 'c'), { recursive: true });
  t.is(findHarnessConfig(join(root, 'a', 'b', 'c')), outside);
  mkdirSync(join(root, '.git'));
  t.is(findHarnessConfig(join(root, 'a', 'b', 'c')), undefined);
  const own = file('found/repository/echokit-harness.toml');
  t.is(findHarnessConfig(join(root, 'a', 'b', 'c')), own);
  t.is(findHarnessConfig(root), own);
  const nearer = file('found/repository/a/b/echokit-harness.toml');
  t.is(findHarnessConfig(join(root, 'a', 'b', 'c')), nearer);
  t.is(findHarnessConfig(join(root, 'a')), own);
});

test('every mistake in a configuration file is told at its line and column', (t) => {
  const text = `[run]
provider = ["openai"]
seed = "3"
time = "vitual"
scenarios = "x"
blame = 1
networks = []
[runs]
`;
  t.deepEqual(
    problemsOf(() => loadHarnessConfig(text, 'echokit-harness.toml')),
    [
      '2:1 HARNESS_CONFIG_UNKNOWN_KEY unknown key "provider" in [run]: did you mean "providers"?',
      '3:8 HARNESS_CONFIG_WRONG_TYPE "seed" must be a number, not text',
      '4:8 HARNESS_CONFIG_BAD_VALUE "time" cannot be "vitual": did you mean "virtual"?',
      '5:13 HARNESS_CONFIG_WRONG_TYPE "scenarios" must be a list, not text',
      '6:9 HARNESS_CONFIG_WRONG_TYPE "blame" must be true or false, not the number 1',
      '7:12 HARNESS_CONFIG_BAD_VALUE "networks" is an empty list',
      '8:2 HARNESS_CONFIG_UNKNOWN_KEY unknown key "runs" at the top level: did you mean "run"?',
    ],
  );
  t.deepEqual(
    problemsOf(() => loadHarnessConfig('[run]\nseed = = 3\n', 'x.toml')).map((one) =>
      one.slice(0, 25),
    ),
    ['2:8 HARNESS_CONFIG_SYNTAX'],
  );
  t.deepEqual(
    problemsOf(() => readHarnessConfigFile(join(folder, 'none.toml'))),
    ['undefined:undefined HARNESS_CONFIG_NOT_FOUND it cannot be read (ENOENT)'],
  );
});

test('names and paths that are not there are told where the file has them, and only when they count', (t) => {
  const path = file(
    'names/echokit-harness.toml',
    '[run]\nproviders = ["groq", "openal"]\ndevices = ["diy", "my-board.toml"]\nscenarios = ["talk.toml"]\nconfig = "config.toml"\n',
  );
  const config = readHarnessConfigFile(path);
  const known = { providers: ['openai', 'groq'], devices: ['diy'], networks: ['ideal'] };
  const found = problemsOf(() => checkHarnessConfig(config, new Set(runKeys), known));
  t.deepEqual(found, [
    '2:22 HARNESS_CONFIG_BAD_VALUE unknown provider "openal": did you mean "openai"?',
    `3:19 HARNESS_CONFIG_BAD_VALUE there is no ${join(folder, 'names', 'my-board.toml')}`,
    `4:14 HARNESS_CONFIG_BAD_VALUE there is no ${join(folder, 'names', 'talk.toml')}`,
    `5:10 HARNESS_CONFIG_BAD_VALUE there is no ${join(folder, 'names', 'config.toml')}`,
  ]);
  file('names/talk.toml');
  const keys = new Set<RunKey>(['scenarios']);
  t.deepEqual(
    problemsOf(() => checkHarnessConfig(config, keys, known)),
    [],
  );
});

test('a wrong output of the file is told where the file has it', (t) => {
  const path = file(
    'outputs/echokit-harness.toml',
    '[run]\noutputs = [\n  "junt=a.xml",\n  "csv=",\n  "csv=a.csv", "json=a.csv",\n  "ctrf=no/a.json",\n]\n',
  );
  const config = readHarnessConfigFile(path);
  const taken = new Set<RunKey>(['outputs']);
  t.deepEqual(
    problemsOf(() => checkHarnessConfig(config, taken, { outputs: outputKinds })),
    [
      '3:3 HARNESS_CONFIG_BAD_VALUE "junt=a.xml": there is no output "junt": did you mean "junit"?',
      '4:3 HARNESS_CONFIG_BAD_VALUE "csv=": it names no file',
      '5:16 HARNESS_CONFIG_BAD_VALUE two outputs have the same file, a.csv',
    ],
  );
  const error = t.throws(() => checkConfiguredOutputs({ config, taken, leftOut: [] }), {
    code: 'OUTPUT_FOLDER_MISSING',
  });
  t.true(error.message.startsWith(`${path}:6:3: `), error.message);
  t.notThrows(() => checkConfiguredOutputs({ config, taken: new Set(), leftOut: [] }));
});

test('the command line goes before the file, and what has no meaning beside it is left out', (t) => {
  file(
    'taken/echokit-harness.toml',
    '[run]\nscenarios = ["talks"]\nproviders = ["openai"]\ntime = "virtual"\nseed = 4\nout = "runs"\noutputs = ["junit=results/junit.xml", "markdown=-"]\nmax_requests = 3\n',
  );
  const below = join(folder, 'taken', 'sub');
  mkdirSync(below);
  const run = (paths: string[], given: object) =>
    configuredRun(paths, { seed: 1, ...given }, (name) => name in given, below);
  const there = (name: string): string => relative('.', join(folder, 'taken', name));
  const plain = run([], {});
  t.deepEqual(plain.paths, [there('talks')]);
  t.deepEqual(plain.options, {
    seed: 4,
    provider: ['openai'],
    time: 'virtual',
    out: there('runs'),
    output: [`junit=${there('results/junit.xml')}`, 'markdown=-'],
  });
  t.is(
    configuredLine(plain.defaults!),
    `Defaults of ${there('echokit-harness.toml')}: scenarios, providers, time, seed, out, outputs`,
  );
  const written = run(['mine.toml'], { seed: 9, provider: ['groq'], out: 'here' });
  t.deepEqual(written.paths, ['mine.toml']);
  t.deepEqual(written.options, {
    seed: 9,
    provider: ['groq'],
    out: 'here',
    time: 'virtual',
    output: plain.options['output'],
  });
  const live = run([], { live: true });
  t.is(live.options['time'], undefined);
  t.is(live.options['maxRequests'], 3);
  const server = run([], { server: 'ws://x/' });
  t.is(server.options['provider'], undefined);
  t.regex(configuredLine(server.defaults!), /; providers, time do not count beside --server$/);
  const replay = run([], { replay: 'x' });
  t.deepEqual([...replay.defaults!.taken], ['out', 'outputs']);
  t.is(run([], { harnessConfig: false }).defaults, undefined);
});

test('every key of [run] is an option of run, and what is no key is told on the command line only', async (t) => {
  const { stdout } = await program.start(['run', '--help']).ended;
  const options = [...stdout.matchAll(/^ {2}(?:-\w, )?--([a-z0-9-]+)/gm)].map(([, name]) => name!);
  t.true(options.length > 25, stdout);
  const attribute = (option: string) =>
    option.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const attributes = new Set(options.map(attribute));
  for (const [key, name] of Object.entries(runOptionOf)) {
    t.true(
      attributes.has(name) || attributes.has(`no${name[0]!.toUpperCase()}${name.slice(1)}`),
      key,
    );
  }
  const configured = new Set<string>(Object.values(runOptionOf));
  t.deepEqual(
    options.filter((option) => !configured.has(attribute(option.replace(/^no-/, '')))).sort(),
    [
      // Who is asked, and on what: seen by the person who starts the run.
      ...['live', 'server', 'replay', 'refresh', 'board', 'registry', 'server-address', 'speak'],
      // Beside what; [gate] is a table of its own.
      ...['gate', 'allow-different'],
      ...['wiring', 'room-capture', 'room-program', 'link', 'baud', 'reset', 'twin'],
      // Names a variable of whoever starts it, or a value that no file should have.
      'secret',
      // Which part of the run this machine holds.
      ...['shard', 'durations'],
      // Many boards at once.
      ...['devices', 'ramp', 'for', 'turns', 'pause', 'threshold', 'find-limit', 'no-check-voices'],
      // How it is shown this time.
      ...['json', 'quiet', 'verbose', 'list'],
      ...['harness-config', 'no-harness-config', 'help'],
    ].sort(),
    'add a key to harness/harness-config/schema.ts and to runOptionOf, or name the option here',
  );
});

const catalog = { ...scenarioCatalog(['openai', 'elevenlabs']), metrics: metricCatalog };

function scenario(name: string, title: string, tags: readonly string[] = []) {
  const text = `title = "${title}"\ntags = ${JSON.stringify(tags)}\n[matrix]\nproviders = ["openai", "elevenlabs"]\n[[turn]]\nsay = "How far is it?"\nreply = "It is not far from here to the sea."\n`;
  return loadScenario(text, `talks/${name}.toml`, catalog);
}

const plan = planRun(
  [
    scenario('moon', 'A question (about the moon)', ['quick']),
    scenario('sea', 'The way to the sea', ['quick', 'slow']),
    scenario('tea', 'How tea is made'),
  ],
  { seed: 1, time: 'virtual', catalog },
);

test('conversations are chosen by file, title, name and tag', (t) => {
  const chosen = (selection: Selection) =>
    selectCells(plan, selection).cells.map(
      ({ scenario: { name }, provider }) => `${name} ${provider}`,
    );
  const all = ['moon', 'sea', 'tea'].flatMap((name) => [`${name} openai`, `${name} elevenlabs`]);
  t.deepEqual(chosen({}), all);
  t.deepEqual(chosen({ only: ['talks/sea'] }), ['sea openai', 'sea elevenlabs']);
  t.deepEqual(chosen({ only: ['(ABOUT'] }), ['moon openai', 'moon elevenlabs']);
  t.deepEqual(chosen({ only: ['sea--eleven', 'tea*open'] }), ['sea elevenlabs', 'tea openai']);
  t.deepEqual(chosen({ only: ['t.a'] }), [], 'a dot is a dot');
  t.deepEqual(chosen({ tags: ['slow', 'quick'] }), all.slice(0, 4));
  t.deepEqual(chosen({ excludeTags: ['slow'] }), [...all.slice(0, 2), ...all.slice(4)]);
  t.deepEqual(chosen({ tags: ['quick'], excludeTags: ['slow'], only: ['eleven'] }), [
    'moon elevenlabs',
  ]);
  const { cells } = selectCells(plan, { only: ['tea'] });
  t.is(cells[0]!.seed, plan.cells[4]!.seed, 'what is left out changes nothing for the others');
});

test('the length of a conversation is that of its newest whole recording', (t) => {
  const trace = (run: string, cell: string, last: string): string =>
    file(`runs/${run}/cells/${cell}/trace.jsonl`, `{"type":"header"}\n{"seq":1,"atUs":5}\n${last}`);
  trace('2026-01-01T00-00-00Z', 'a', '{"seq":2,"atUs":1500499}\n');
  trace('2026-01-02T00-00-00Z', 'a', '{"seq":2,"atUs":2000000}\n');
  trace('2026-01-03T00-00-00Z', 'a', '{"seq":2,"atUs":30');
  trace('2026-01-01T00-00-00Z', 'b', '{"seq":2,"atUs":1500499}\n');
  const found = recordedLengths(join(folder, 'runs'), ['a', 'b', 'c']);
  t.deepEqual(
    [...found],
    [
      ['a', 2000],
      ['b', 1500],
    ],
  );
  t.is(recordedLengths(join(folder, 'no-runs'), ['a']).size, 0);
});

/** What a terminal was told, and what a person would see of it. */
function screen(env: Record<string, string>, isTTY: boolean) {
  const written: string[] = [];
  const stream = { isTTY, columns: 60, write: (text: string) => written.push(text) > 0 };
  const terminal = processTerminal(undefined, { stdout: stream, stderr: stream, env });
  return { terminal, written };
}

test('only a terminal that is no CI job has a line that is rewritten', (t) => {
  t.truthy(screen({}, true).terminal.status);
  t.truthy(screen({ CI: 'false' }, true).terminal.status);
  t.is(screen({ CI: 'true' }, true).terminal.status, undefined);
  t.is(screen({ TERM: 'dumb' }, true).terminal.status, undefined);
  t.is(screen({}, false).terminal.status, undefined);
});

test('NO_COLOR goes before FORCE_COLOR, and both before what the terminal is', (t) => {
  const color = (env: Record<string, string>, isTTY: boolean) => screen(env, isTTY).terminal.color;
  t.true(color({}, true));
  t.false(color({}, false));
  t.false(color({ TERM: 'dumb' }, true));
  t.true(color({ FORCE_COLOR: '1' }, false));
  t.false(color({ FORCE_COLOR: '0' }, true));
  t.false(color({ FORCE_COLOR: '1', NO_COLOR: '1' }, true));
  t.true(color({ NO_COLOR: '' }, true));
});

test('the status line gives way to what is said, comes back below it and is gone at the end', (t) => {
  const { terminal, written } = screen({}, true);
  terminal.status?.('[##--] 1/2');
  terminal.say('a remark');
  terminal.status?.('x'.repeat(100));
  terminal.status?.('');
  terminal.print('the report');
  const clear = '\r\u001b[2K';
  t.deepEqual(written, [
    `${clear}[##--] 1/2`,
    clear,
    'a remark\n',
    '[##--] 1/2',
    `${clear}${'x'.repeat(58)}…`,
    clear,
    'the report\n',
  ]);
});

function progress(rewritable: boolean, options: { quiet?: boolean; verbose?: boolean } = {}) {
  const said: string[] = [];
  const bars: string[] = [];
  const terminal: Terminal = {
    print: () => {},
    say: (text) => said.push(text),
    ...(rewritable && { status: (line: string) => bars.push(line) }),
    color: false,
    width: 80,
  };
  let nowUs = 0;
  const shown = new RunProgress(terminal, plan, { ...options, nowUs: () => nowUs });
  for (const [index, cell] of plan.cells.entries()) {
    shown.began(cell, index);
    shown.event({ seq: 1, source: 'user', type: 'speechStop', turn: 1, atUs: 1_500_000 });
    shown.event({ seq: 2, source: 'harness', type: 'lag', atUs: 2 } as unknown as TraceEvent);
    nowUs += 10_000_000;
    const outcome = index === 1 ? 'fail' : 'pass';
    const result = { cell, verdict: { outcome }, durationUs: 8_040_000 };
    shown.ended(result as unknown as CellResult, index);
  }
  shown.over();
  return { said, bars };
}

test('without a terminal every conversation has a line, with one those that did not pass', (t) => {
  const plain = progress(false).said;
  t.is(plain.length, 6);
  t.is(plain[1], '[2/6] moon × elevenlabs: fail (8.0 s of conversation)');
  const { said, bars } = progress(true);
  t.deepEqual(said, [plain[1]]);
  t.is(bars[0], '[------------------------] 0/6  moon × openai');
  t.is(bars[3], '[############------------] 3/6, 1 not passed, about 30 s left  sea × elevenlabs');
  t.is(bars.at(-1), '');
});

test('--verbose tells events when they happen, --quiet tells nothing', (t) => {
  const { said } = progress(true, { verbose: true });
  t.deepEqual(said.slice(0, 3), [
    '[1/6] moon × openai',
    '   1.500 s  user     speechStop turn=1',
    '[1/6] moon × openai: pass (8.0 s of conversation)',
  ]);
  t.deepEqual(progress(false, { quiet: true }).said, []);
  const hostile = {
    seq: 1,
    source: 'user',
    type: 'sound',
    atUs: 0,
    turn: 1,
    text: 'a\u001b[2J "b"',
  };
  const line = eventLine(hostile as unknown as TraceEvent);
  t.is(line, '   0.000 s  user     sound turn=1 text="a\\u001b[2J \\"b\\""');
});

test('a run takes its defaults from the file, lists its conversations and says what would match', async (t) => {
  const path = program.file(
    'project/echokit-harness.toml',
    `[run]\nscenarios = ["${relative(join(program.folder, 'project'), 'scenarios/one-question.toml').replaceAll('\\', '/')}"]\nproviders = ["elevenlabs", "stream_gsv"]\nout = "runs"\n`,
  );
  const run = (...args: string[]) =>
    program.start(['run', '--harness-config', path, ...args]).ended;
  const list = ['--list', '--json', '--only', 'elevenlabs'];
  const [nothing, before, validated] = await Promise.all([
    run('--only', 'one-qestion'),
    run(...list, '--quiet'),
    program.start(['validate', path]).ended,
  ]);
  t.is(validated.stdout, `${path}: ok, defaults of run: scenarios, providers, out\n`);
  t.is(nothing.exit, exitCode.nothingMatched, nothing.stderr);
  t.regex(
    nothing.stderr,
    /None of 2 conversations matches --only one-qestion: did you mean "one-question"\?/,
  );
  t.regex(nothing.stderr, /scenarios: one-question; tags: quick/);
  t.is(before.exit, exitCode.passed, before.stderr);
  t.is(before.stderr, '');
  const guessed = JSON.parse(before.stdout) as Listed;
  t.deepEqual(
    guessed.cells.map(({ cell }) => cell),
    ['one-question--elevenlabs--diy--good-wifi'],
  );

  const { exit, stdout, stderr } = await run('--only', 'elevenlabs', '--verbose');
  t.is(exit, exitCode.passed, stderr);
  t.regex(stderr, /^Defaults of .*echokit-harness\.toml: scenarios, providers, out$/m);
  t.regex(stderr, /^ +\d+\.\d{3} s {2}device {3}state from=Idle to=Listening cause=k0$/m);
  t.false(`${stdout}${stderr}`.includes('\u001b'), 'no colors and no cursor moves into a pipe');

  const after = JSON.parse((await run(...list)).stdout) as Listed;
  t.is(after.cells[0]?.lengthFrom, 'recording');
  const measured = after.cells[0]?.lengthMs ?? 0;
  const guess = guessed.cells[0]?.lengthMs ?? 0;
  t.true(guess > measured / 2 && guess < measured * 2, `${guess} ms guessed, ${measured} ms taken`);
});

interface Listed {
  readonly cells: readonly { cell: string; lengthMs: number; lengthFrom: string }[];
}

test('a longer script is guessed to take longer', (t) => {
  const [cell] = plan.cells;
  const { scenario: short } = cell!;
  const long = {
    ...short,
    turns: [...short.turns, { ...short.turns[0]!, reply: 'x'.repeat(400) }],
  };
  t.true(estimatedLengthMs(long) > estimatedLengthMs(short) + 400 * 50);
  t.is(cellName(cell!), 'moon--openai--diy--good-wifi');
});
