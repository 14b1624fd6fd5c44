/** A project that `init` has written: everything in it is valid, and its conversation passes. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import test from 'ava';
import { parse } from 'smol-toml';
import { exitCode } from './exit-code.ts';
import { harnessVersion } from './harness-version.ts';
import { initCommand } from './init-command.ts';
import { ProgramStarter } from './started-program.contract.ts';
import type { Terminal } from './terminal.ts';

const program = new ProgramStarter();
const { folder } = program;
test.after.always(() => program.remove());

const text = (...path: string[]): string => readFileSync(join(folder, ...path), 'utf8');

function init(where: string, force = false) {
  const said: string[] = [];
  const terminal: Terminal = {
    print: (line) => said.push(line),
    say: (line) => said.push(line),
    color: false,
    width: 80,
  };
  const exit = initCommand(terminal, join(folder, where), { force, version: harnessVersion() });
  return { exit, said };
}

/** The YAML of a file as another program reads it; undefined where there is none that reads YAML. */
function yaml(path: string): unknown {
  const script =
    'import json, sys, yaml; print(json.dumps(yaml.load(open(sys.argv[1]), yaml.BaseLoader)))';
  const { status, stdout } = spawnSync('python3', ['-c', script, path], {
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  return status === 0 ? JSON.parse(stdout) : undefined;
}

interface Workflow {
  readonly on: object;
  readonly jobs: Readonly<
    Record<
      string,
      { readonly defaults?: object; readonly steps: readonly Record<string, string>[] }
    >
  >;
}

test('a written project runs and passes, and everything in it is valid', async (t) => {
  mkdirSync(join(folder, 'fresh', '.git'), { recursive: true });
  const { exit, said } = init('fresh');
  t.is(exit, exitCode.passed);
  t.is(said.filter((line) => line.startsWith('wrote')).length, 7, said.join('\n'));
  t.regex(said.at(-1)!, /echokit-harness run$/);

  const ajv = new Ajv({ allowUnionTypes: true });
  for (const [file, schema] of [
    ['echokit-harness.toml', 'echokit-harness'],
    ['scenarios/first-question.toml', 'scenario'],
  ] as const) {
    const written = text('fresh', file);
    const [, path] = /^#:schema (.*)$/m.exec(written)!;
    const named = join(folder, 'fresh', file, '..', path!);
    t.is(readFileSync(named, 'utf8'), text('fresh', '.echokit-harness', `${schema}.schema.json`));
    const isValid = ajv.compile(JSON.parse(readFileSync(named, 'utf8')));
    t.true(isValid(parse(written)), ajv.errorsText(isValid.errors));
  }
  t.is(text('fresh', '.gitignore'), 'recordings/runs/\n');

  const config = join(folder, 'fresh', 'echokit-harness.toml');
  const [validated, ran, help] = await Promise.all([
    program.start(['validate', config, join(folder, 'fresh', 'scenarios')]).ended,
    program.start(['run', '--harness-config', config, '--out', join(folder, 'runs'), '--json'])
      .ended,
    program.start(['run', '--help']).ended,
  ]);
  t.is(validated.exit, exitCode.passed, validated.stderr);
  t.is(ran.exit, exitCode.passed, `${ran.stdout}${ran.stderr}`);
  const report = JSON.parse(ran.stdout) as { cells: { provider: string; verdict: string }[] };
  t.deepEqual(
    report.cells.map(({ provider, verdict }) => `${provider} ${verdict}`),
    ['openai-stream pass', 'elevenlabs pass'],
  );
  const { networks } = (
    parse(text('fresh', 'echokit-harness.toml')) as { run: { networks: string[] } }
  ).run;
  t.deepEqual(networks, ['good-wifi']);

  const workflow = text('fresh', '.github', 'workflows', 'echokit-harness.yml');
  const [, command = ''] = /npx --yes echokit-harness@(\S+ run.*)$/m.exec(workflow)!;
  t.true(`${command} `.startsWith(`${harnessVersion()} run `));
  for (const [option] of command.matchAll(/--[a-z-]+/g)) {
    t.true(help.stdout.includes(`  ${option}`), `${option} is an option of run`);
  }
});

test('the workflow is YAML that installs this version, runs and keeps what was recorded', (t) => {
  mkdirSync(join(folder, 'root', '.git'), { recursive: true });
  init('root/tools/voice');
  t.false(existsSync(join(folder, 'root', 'tools', 'voice', '.github')));
  const path = join(folder, 'root', '.github', 'workflows', 'echokit-harness.yml');
  const written = readFileSync(path, 'utf8');
  t.regex(written, /working-directory: "tools\/voice"/);
  t.regex(written, /^ {12}tools\/voice\/recordings\/runs$/m);
  t.false(/\t/.test(written), 'YAML knows no tabs');
  const read = yaml(path) as Workflow | undefined;
  if (read === undefined) {
    t.log('python3 with PyYAML is not here: the workflow was only looked at as text.');
    return;
  }
  const [job] = Object.values(read.jobs);
  t.deepEqual(Object.keys(read.on), ['push', 'pull_request']);
  t.deepEqual(
    job!.steps.map(({ uses, run }) => (uses ?? run ?? '').split(/[@ ]/)[0]),
    ['actions/checkout', 'actions/setup-node', 'npx', 'actions/upload-artifact'],
  );
});

test('nothing that is there is changed without --force, but for the line of .gitignore', (t) => {
  mkdirSync(join(folder, 'used', '.git'), { recursive: true });
  program.file('used/echokit-harness.toml', '# mine\n');
  program.file('used/.gitignore', 'node_modules');
  const { said } = init('used');
  t.is(text('used', 'echokit-harness.toml'), '# mine\n');
  t.is(text('used', '.gitignore'), 'node_modules\nrecordings/runs/\n');
  t.true(
    said.some((line) => /^left .*echokit-harness\.toml .*another content/.test(line)),
    said.join('\n'),
  );
  t.true(said.some((line) => line.includes('One file was left alone; --force')));
  const again = init('used').said;
  t.is(again.filter((line) => line.startsWith('left')).length, 7, again.join('\n'));
  t.is(text('used', '.gitignore'), 'node_modules\nrecordings/runs/\n');
  const forced = init('used', true).said;
  t.is(forced.filter((line) => line.startsWith('replaced')).length, 6);
  t.regex(text('used', 'echokit-harness.toml'), /^\[run\]$/m);
  const own = program.file('a-file', '');
  t.throws(() => init('a-file'), { code: 'USAGE' }, own);
  t.true(readdirSync(join(folder, 'used')).includes('scenarios'));
});
