import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readJunit, readWorkflowCommands } from '../report/output-readers.contract.ts';
import { plantExpectation, plantRunReport, plantTurn } from '../report/planted-report.contract.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import {
  type FinishedRun,
  maskedReport,
  showOnGithub,
  wantedOutputs,
  writeOutputs,
} from './run-outputs.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-outputs-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const report = plantRunReport([
  {
    provider: 'openai',
    title: 'The key is hunter22hunter22',
    turns: [plantTurn()],
    expect: [plantExpectation('ttfb_ms.p50', '<=', 1)],
  },
]);
const run: FinishedRun = { report, recordings: () => [] };

class Told implements Terminal {
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

/** What a process of a job would write. */
function onGithub(): { terminal: Terminal; written: { out: string; err: string } } {
  const written = { out: '', err: '' };
  const stream = (name: keyof typeof written) => ({
    write: (text: string): boolean => {
      written[name] += text;
      return true;
    },
  });
  const terminal = processTerminal((text) => text, {
    stdout: stream('out'),
    stderr: stream('err'),
    env: { GITHUB_ACTIONS: 'true', CI: 'true' },
  } as Parameters<typeof processTerminal>[1]);
  return { terminal, written };
}

test('an output that cannot be made is refused before anything is run', (t) => {
  const refused = (output: readonly string[], code: string, words: RegExp, json = false): void => {
    const error = t.throws<Error & { code: string }>(() => wantedOutputs({ output, json }));
    t.is(error.code, code);
    t.regex(error.message, words);
  };
  refused(['junt=a.xml'], 'USAGE', /did you mean "junit"\?/);
  refused(['a.xml'], 'USAGE', /there is no output "a\.xml"/);
  refused(['junit='], 'USAGE', /names no file/);
  refused(['junit=-'], 'USAGE', /junit and json would be mixed/, true);
  const twice = join(folder, 'twice');
  refused([`csv=${twice}`, `junit=${folder}/./twice`], 'USAGE', /have the same file/);
  refused([`csv=${folder}`], 'OUTPUT_IS_FOLDER', /is a folder/);
  refused([`csv=${folder}/no/a.csv`], 'OUTPUT_FOLDER_MISSING', /there is no folder .*\/no\./);
  t.deepEqual(readdirSync(folder), []);
});

test('outputs are written, and one that cannot be keeps none of the others away', (t) => {
  const place = join(folder, 'written');
  mkdirSync(place);
  const kinds = ['json', 'junit', 'ctrf', 'markdown', 'csv', 'trace', 'github'];
  const outputs = wantedOutputs({ output: kinds.map((kind) => `${kind}=${place}/${kind}`) });
  // Somebody makes a folder where the second one was to be.
  mkdirSync(join(place, 'junit'));
  const terminal = new Told();
  t.throws(() => writeOutputs(terminal, outputs, run), { code: 'OUTPUT_IS_FOLDER' });
  t.deepEqual(readdirSync(place), kinds.toSorted());
  for (const kind of kinds.filter((one) => one !== 'junit')) {
    t.true(readFileSync(join(place, kind), 'utf8').length > 20, kind);
  }
  t.deepEqual(
    JSON.parse(readFileSync(join(place, 'json'), 'utf8')),
    JSON.parse(JSON.stringify(report)),
  );
  t.is(terminal.printed, '');
});

test('one output may have standard output, whole and with nothing between', (t) => {
  const terminal = new Told();
  writeOutputs(terminal, wantedOutputs({ output: ['junit=-'] }), run);
  t.is(readJunit(terminal.printed)[0]!.testcase[0]!.name, 'openai · diy · good-wifi');
  const json = new Told();
  writeOutputs(json, wantedOutputs({ json: true }), run);
  t.is(json.printed, `${JSON.stringify(report, null, 2)}\n`);
});

test('what was masked in the report is in no output', (t) => {
  const masked = maskedReport(report, new SecretMask(['hunter22hunter22']));
  t.is(masked.cells[0]!.title, 'The key is [redacted]');
  t.is(report.cells[0]!.title, 'The key is hunter22hunter22');
});

test('on GitHub the step gets annotations and a summary; elsewhere nothing of it', (t) => {
  const summary = join(folder, 'summary.md');
  writeFileSync(summary, 'before\n');
  const { terminal, written } = onGithub();
  showOnGithub(terminal, report, {
    GITHUB_STEP_SUMMARY: summary,
    GITHUB_WORKSPACE: process.cwd(),
  });
  t.is(written.out, '');
  const [error, ...others] = readWorkflowCommands(written.err);
  t.like(error, { name: 'error', properties: { file: 'scenarios/planted.toml', line: '12' } });
  t.deepEqual(others, []);
  const text = readFileSync(summary, 'utf8');
  t.regex(text, /^before\n### EchoKit: ❌ 1 failed\n/);

  const elsewhere = new Told();
  showOnGithub(elsewhere, report, { GITHUB_STEP_SUMMARY: summary });
  t.is(elsewhere.said + elsewhere.printed, '');
  t.is(readFileSync(summary, 'utf8'), text);
});

test('a summary that is full, or cannot be written, is told and fails nothing', (t) => {
  const full = join(folder, 'full.md');
  writeFileSync(full, 'x'.repeat(1_048_576 - 1000));
  const { terminal, written } = onGithub();
  showOnGithub(terminal, report, { GITHUB_STEP_SUMMARY: full });
  t.regex(written.err, /The summary of this step is full/);
  t.is(readFileSync(full, 'utf8').length, 1_048_576 - 1000);
  showOnGithub(terminal, report, { GITHUB_STEP_SUMMARY: join(folder, 'no', 'summary.md') });
  t.regex(written.err, /The summary of this step cannot be written: /);
});

test('what is printed or said on GitHub is never a command, whatever it holds', (t) => {
  const { terminal, written } = onGithub();
  const hostile =
    '::set-output name=a::b\n   ::error::x\nand ##[set-env name=a]b\nI echokit::main: fine';
  terminal.print(hostile);
  terminal.say(hostile);
  t.deepEqual(readWorkflowCommands(written.out + written.err), []);
  t.true(written.out.includes('I echokit::main: fine'));
  terminal.command!('::notice::ours', 'stdout');
  t.is(readWorkflowCommands(written.out).length, 1);
});
