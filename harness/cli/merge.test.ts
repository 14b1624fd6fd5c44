import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { readJunit } from '../report/output-readers.contract.ts';
import { plantExpectation, plantRunReport, plantTurn } from '../report/planted-report.contract.ts';
import { type RunReport, reportData } from '../report/run-report.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { exitCode } from './exit-code.ts';
import { mergeCommand } from './merge-command.ts';
import { runCommand } from './run-command.ts';
import { readShard } from './run-shard.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-merge-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
// Every run in this process listens to its signals.
process.setMaxListeners(0);

/** `npm run test:shards` has 200, and measures the memory. */
const shards = Number(
  process.argv.find((argument) => argument.startsWith('--shards='))?.slice(9) ?? 8,
);
const isLong = shards > 8;

class Told {
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

function scenario(name: string, title: string, more = ''): string {
  const path = join(folder, 'scenarios', `${name}.toml`);
  mkdirSync(join(folder, 'scenarios'), { recursive: true });
  const text = `title = "${title}"\n[[turn]]\nsay = "Hi."\nreply = "${title}."\npause_ms = 100\n${more}`;
  writeFileSync(path, text);
  return path;
}

/** Two short ones, one of which expects too much of some; in the long version so many that each part has two. */
const scenarios = isLong
  ? Array.from({ length: (2 * shards) / 8 }, (_, i) =>
      scenario(`s${`${i}`.padStart(3, '0')}`, `Hello number ${i}`),
    )
  : [
      scenario('short', 'Hello'),
      scenario('long', 'Hello, and a few words more', '[expect]\nttfb_ms.p50 = "<= 300"\n'),
    ];
const providers = isLong
  ? ['openai', 'openai-stream', 'groq', 'gsv', 'stream_gsv', 'elevenlabs', 'fish', 'cosyvoice']
  : ['openai', 'elevenlabs', 'fish'];
const options = {
  provider: providers,
  seed: 5,
  quiet: true,
  html: false,
  github: false,
  version: '0.0.0',
};

async function run(
  out: string,
  more: { shard?: string; durations?: string; seed?: number; baseline?: string } = {},
) {
  const terminal = new Told();
  const place = join(folder, out);
  const exit = await runCommand(terminal, scenarios, { ...options, out: place, ...more });
  const [name] = readdirSync(place);
  return { exit, path: join(place, name!), terminal };
}

function reportOf(path: string): RunReport {
  return checkReportFormat(
    JSON.parse(readFileSync(join(path, 'report.json'), 'utf8')) as RunReport,
  );
}

/** Digests of all files that hold no fact of the wall clock. */
function filesOf(path: string): Record<string, string> {
  const names = readdirSync(join(path, 'cells'), { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(path, 'cells', name)).isFile())
      .filter((name) => !name.endsWith('manifest.toml'))
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(path, 'cells', name)))
          .digest('hex'),
      ]),
  );
}

let whole: Awaited<ReturnType<typeof run>>;
const parts: string[] = [];
test.before(async () => {
  whole = await run('whole');
  for (let i = 1; i <= shards; i++) {
    const { path } = await run(`part-${i}`, { shard: `${i}/${shards}` });
    parts.push(path);
  }
});

/** From the first table to the places of the recordings. */
function tablesOf(printed: string): string {
  const from = printed.indexOf('\n\n', printed.indexOf('\nRun ') + 1);
  const tables = printed.slice(from, printed.indexOf('\nWhat failed'));
  if (tables.split('\n').length < 10) throw new Error(`There are no tables in:\n${printed}`);
  return tables;
}

async function merge(t: ExecutionContext, paths: readonly string[], out: string, more = {}) {
  const terminal = new Told();
  const exit = await mergeCommand(terminal, paths, {
    out: join(folder, out),
    html: false,
    github: false,
    ...more,
  });
  t.log(terminal.said.trim().split('\n')[0]!);
  return { exit, path: join(folder, out), terminal };
}

/** What a test changes of a report. */
interface Changeable {
  readonly cells: readonly unknown[];
  readonly environment: Record<string, unknown>;
  readonly run: {
    shard: {
      of: number;
      places: readonly number[];
      plan: { cells: number; readonly scenarios: Record<string, string> };
    };
  };
}

async function refusal(
  paths: readonly string[],
  code: string,
  t: ExecutionContext,
): Promise<string> {
  const out = join(folder, 'refused');
  const error = await t.throwsAsync(mergeCommand(new Told(), paths, { out, html: false }), {
    code,
  });
  t.false(existsSync(out) || existsSync(`${out}.partial`), 'nothing is left');
  return error?.message ?? '';
}

test.serial(
  `${shards} parts, merged in any order, are the undivided run to the byte`,
  async (t) => {
    const junit = join(folder, 'merged.xml');
    const { exit, path, terminal } = await merge(t, parts.toReversed(), 'merged', {
      output: [`junit=${junit}`],
    });
    t.is(exit, whole.exit);
    const [one, joined] = [reportOf(whole.path), reportOf(path)];
    t.true(JSON.stringify(reportData(joined)) === JSON.stringify(reportData(one)));
    t.deepEqual(joined.environment, one.environment);
    t.deepEqual(joined.notRun, one.notRun);
    t.is(joined.run.shard, undefined);
    t.is(joined.run.id, 'merged');
    t.deepEqual(filesOf(path), filesOf(whole.path));
    const suites = readJunit(readFileSync(junit, 'utf8'));
    t.is(
      suites.reduce((sum, { testcase }) => sum + testcase.length, 0),
      one.cells.length,
    );
    t.regex(terminal.printed, new RegExp(`^${shards} parts, ${one.cells.length} cells: `));
    if (!isLong) {
      t.is(tablesOf(terminal.printed), tablesOf(whole.terminal.printed), 'the tables of the run');
    }
    t.deepEqual(readdirSync(path).sort(), ['cells', 'report.json']);
    // On one disk nothing is copied.
    const file = join('cells', Object.keys(filesOf(path))[0]!);
    t.is(statSync(join(path, file)).nlink, 2);
  },
);

test.serial('each conversation is in one part, and parts without any are whole, too', (t) => {
  const reports = parts.map(reportOf);
  const names = reports.flatMap(({ cells }) => cells.map(({ recording }) => recording));
  t.deepEqual(
    names.toSorted(),
    reportOf(whole.path)
      .cells.map(({ recording }) => recording)
      .toSorted(),
  );
  if (isLong) return;
  t.is(
    whole.exit,
    exitCode.expectationFailed,
    'some expect too much, so that a verdict is carried over',
  );
  t.is(reports.filter(({ cells }) => cells.length === 0).length, 2, '6 conversations in 8 parts');
});

test.serial('what is flaky is told of all repetitions, whichever part held them', async (t) => {
  const held = [400, 900].map((ttfbMs, i) => ({
    provider: 'gsv',
    turns: [plantTurn({ ttfbMs })],
    expect: [plantExpectation('ttfb_ms.p95', '<=', 500)],
    repetition: i + 1,
    seed: i + 1,
    ...(i === 0 && { earlier: ['network'] }),
  }));
  const plan = { cells: 2, digest: 'd', scenarios: { 'one-question': 's' } };
  const paths = held.map((one, i) => {
    const report = plantRunReport([one], { shard: { index: i + 1, of: 2, places: [i], plan } });
    t.is(report.cells[0]!.flaky?.kind, i === 0 ? 'retried' : undefined, 'of a part alone');
    const path = join(folder, `flaky-${i}.json`);
    writeFileSync(path, JSON.stringify(report));
    return path;
  });
  const { exit, path } = await merge(t, paths, 'flaky');
  t.is(exit, exitCode.expectationFailed);
  const whole = plantRunReport(held);
  t.deepEqual(
    whole.cells.map(({ flaky }) => flaky),
    [1, 2].map(() => ({ kind: 'repetitions', passed: 1, failed: 1, infra: 1 })),
  );
  t.is(JSON.stringify(reportData(reportOf(path))), JSON.stringify(reportData(whole)));
});

test.serial('merge holds the whole to a baseline, with the exit codes of run', async (t) => {
  const digests = { scenario: 'a', provider: 'b', board: 'c', network: 'd' };
  const plant = (ttfbMs: number, shard?: RunReport['run']['shard']): RunReport => {
    const turns = [plantTurn({ ttfbMs })];
    const repetition = shard?.index ?? 1;
    const report = plantRunReport([{ provider: 'gsv', turns, repetition, seed: repetition }], {
      ...(shard !== undefined && { shard }),
    });
    return { ...report, cells: report.cells.map((cell) => ({ ...cell, inputs: digests })) };
  };
  const plan = { cells: 2, digest: 'd', scenarios: { 'one-question': 's' } };
  const file = (name: string, report: RunReport): string => {
    const path = join(folder, `${name}.json`);
    writeFileSync(path, JSON.stringify(report));
    return path;
  };
  const paths = [0, 1].map((i) =>
    file(`gated-${i}`, plant(900, { index: i + 1, of: 2, places: [i], plan })),
  );
  const { environment, ...before } = plant(400);
  const baseline = file('gate', { ...before, environment });
  const { exit, path, terminal } = await merge(t, paths, 'gated', { baseline });
  t.is(exit, exitCode.regression);
  const { comparison } = reportOf(path);
  t.is(comparison?.verdict, 'regression');
  t.deepEqual(
    comparison?.gates.flatMap(({ metric, verdict }) => (verdict === 'regression' ? [metric] : [])),
    ['audible_at_speaker_ms.p50', 'ttfb_ms.p50'],
  );
  t.regex(terminal.printed, /ttfb_ms\.p50 .* REGRESSION/);
  const gate = ['audible_at_speaker_ms.p50=+60%', 'ttfb_ms.p50=off'];
  t.is((await merge(t, paths, 'gated-off', { baseline, gate })).exit, exitCode.passed);
  // What cannot be compared is kept, and is no pass.
  const other = { ...before, environment, run: { ...before.run, time: 'real' as const } };
  await t.throwsAsync(merge(t, paths, 'gated-other', { baseline: file('other', other) }), {
    code: 'COMPARISON_DIFFERENT',
  });
  t.is(reportOf(join(folder, 'gated-other')).cells.length, 2);
  await t.throwsAsync(merge(t, paths, 'gated-lonely', { gate }), { code: 'USAGE' });
  // The baseline of the project is that of its divided runs, too.
  const harnessConfig = join(folder, 'echokit-harness.toml');
  writeFileSync(harnessConfig, '[run]\nbaseline = "gate.json"\n[gate]\nttfb_ms = "off"\n');
  const configured = await merge(t, paths, 'gated-project', { harnessConfig });
  t.is(configured.exit, exitCode.regression);
  t.false(configured.terminal.printed.includes('ttfb_ms.p50 +'));
});

test.serial('parts of different runs are not merged, and what differs is named', async (t) => {
  const [first, second, ...others] = parts as [string, string, ...string[]];
  const other = await run('other-seed', { shard: `2/${shards}`, seed: 6 });
  t.regex(await refusal([first, other.path, ...others], 'MERGE_OTHER_PLAN', t), /seed 5 and 6/);
  const changed = join(folder, 'changed');
  cpSync(second, changed, { recursive: true });
  const change = (edit: (report: Changeable) => object): void => {
    const report = reportOf(second) as unknown as Changeable;
    edit(report);
    writeFileSync(join(changed, 'report.json'), JSON.stringify(report));
  };
  const plan = (report: Changeable) => report.run.shard.plan;
  const edits: readonly (readonly [(report: Changeable) => object, RegExp])[] = [
    [({ environment }) => Object.assign(environment, { version: '9' }), /version 0\.0\.0 and 9/],
    [(report) => Object.assign(report.run, { time: 'real' }), /time virtual and real/],
    [(report) => Object.assign(report.run, { live: true }), /live false and true/],
    [(report) => Object.assign(report.run.shard, { of: 3 }), new RegExp(`${shards} parts and 3`)],
    [
      (report) =>
        Object.assign(plan(report).scenarios, { [Object.keys(plan(report).scenarios)[0]!]: 'x' }),
      /scenario .* was another text/,
    ],
    [
      (report) => Object.assign(plan(report), { digest: 'x' }),
      /other providers, boards, networks, servers/,
    ],
  ];
  for (const [edit, words] of edits) {
    change(edit);
    t.regex(await refusal([first, changed, ...others], 'MERGE_OTHER_PLAN', t), words);
  }
});

test.serial('parts that are missing or there twice are named', async (t) => {
  const [first, , , ...others] = parts as [string, ...string[]];
  t.regex(await refusal([first, ...others], 'MERGE_SHARD_MISSING', t), /2 are missing: 2-3\.$/);
  t.regex(
    await refusal([...parts, parts[1]!], 'MERGE_SHARD_TWICE', t),
    new RegExp(`Part 2 of ${shards} is there twice: ${parts[1]} and ${parts[1]}`),
  );
  await refusal([whole.path], 'MERGE_NOT_A_SHARD', t);
  await refusal([join(folder, 'nowhere')], 'MERGE_UNREADABLE', t);
  const torn = join(folder, 'torn.json');
  writeFileSync(torn, readFileSync(join(first, 'report.json')).subarray(0, 500));
  await refusal([torn], 'MERGE_UNREADABLE', t);
  // JSON that is no report: nothing of it is believed, and no room made for what it announces.
  const alien = join(folder, 'alien.json');
  const shard = { index: 1, of: 2, places: [], plan: { cells: 4_000_000_000, scenarios: {} } };
  for (const other of [null, 7, [], { run: null }, { run: { shard: {} }, cells: [], notRun: [] }]) {
    writeFileSync(alien, JSON.stringify(other));
    await refusal([alien], 'MERGE_NOT_A_SHARD', t);
  }
  writeFileSync(alien, JSON.stringify({ run: { shard }, cells: [], notRun: [] }));
  await refusal([alien], 'MERGE_NOT_A_SHARD', t);
  await t.throwsAsync(mergeCommand(new Told(), parts, { out: whole.path }), {
    code: 'MERGE_OUT_EXISTS',
  });
});

test.serial('recorded lengths make parts of one length, the same on every machine', async (t) => {
  const { cells } = reportOf(whole.path);
  const lengths = new Map(cells.map(({ recording, durationMs }) => [recording, durationMs]));
  const divided = await Promise.all(
    [1, 2].map(async (index) => {
      const { path, exit, terminal } = await run(`timed-${index}`, {
        shard: `${index}/2`,
        durations: whole.path,
        // Another seed has other figures: gated, it would at least be told.
        baseline: whole.path,
      });
      t.not(exit, exitCode.regression);
      t.regex(terminal.said, /A part is not compared with a baseline: "merge --baseline .*whole/);
      t.is(reportOf(path).comparison, undefined);
      return reportOf(path).cells.reduce((sum, { recording }) => sum + lengths.get(recording)!, 0);
    }),
  );
  const longest = Math.max(...lengths.values());
  t.true(Math.abs(divided[0]! - divided[1]!) <= longest);
  // One part by its script, the other by recorded lengths: they need not fit, and are not forced to.
  const halves = [`timed-1`, `timed-2`].map((name) =>
    join(folder, name, readdirSync(join(folder, name))[0]!),
  );
  const { exit, path } = await merge(t, halves, 'halves');
  t.is(exit, whole.exit);
  t.true(
    JSON.stringify(reportData(reportOf(path))) === JSON.stringify(reportData(reportOf(whole.path))),
  );
});

test('a part is a number of how many', (t) => {
  t.deepEqual(readShard('3/8'), { index: 3, of: 8 });
  for (const text of ['0/8', '9/8', '1/0', '1', '/8', '1/8/2', '-1/8', '1/99999', 'a/b']) {
    t.throws(() => readShard(text), { code: 'USAGE' }, text);
  }
});

(isLong ? test.serial : test.skip)(
  'merging takes no more memory for 200 parts than for 10',
  (t) => {
    const program = fileURLToPath(new URL('merge-memory.contract.ts', import.meta.url));
    /** The same parts, as parts of a plan of so many. */
    const peak = (count: number): number => {
      const place = join(folder, `peak-${count}`);
      const some = parts.slice(0, count).map((path, i) => {
        const target = join(place, `${i}`);
        mkdirSync(target, { recursive: true });
        const report = reportOf(path) as unknown as Changeable;
        const cells = report.cells.length;
        report.run.shard = {
          ...report.run.shard,
          of: count,
          places: Array.from({ length: cells }, (_, k) => 2 * i + k),
          plan: { ...report.run.shard.plan, cells: 2 * count },
        };
        writeFileSync(join(target, 'report.json'), JSON.stringify(report));
        return target;
      });
      const { stdout, stderr } = spawnSync(
        process.execPath,
        ['--import=tsx', program, join(place, 'out'), ...some],
        { encoding: 'utf8', timeout: 300_000 },
      );
      const [, exit, kib] = /^(\d+) (\d+)$/m.exec(stdout) ?? [];
      t.is(exit, '0', stderr);
      return Number(kib) / 1024;
    };
    const [few, many] = [peak(10), peak(shards)];
    t.log(`at most ${few.toFixed(0)} MiB for 10 parts, ${many.toFixed(0)} MiB for ${shards}`);
    t.true(many < few * 1.25);
  },
);
