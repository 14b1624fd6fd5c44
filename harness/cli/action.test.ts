/** `action.yml`: its parts fit together, and its scripts do what GitHub would have them do. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const file = join(checkout, 'action.yml');
const text = readFileSync(file, 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'action-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const limits = { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' } as const;

interface Step {
  readonly id?: string;
  readonly name: string;
  readonly uses?: string;
  readonly run?: string;
  readonly shell?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Action {
  readonly inputs: Readonly<
    Record<string, { readonly description: string; readonly default: string }>
  >;
  readonly outputs: Readonly<
    Record<string, { readonly description: string; readonly value: string }>
  >;
  readonly runs: { readonly using: string; readonly steps: readonly Step[] };
}

/** Read by another program; where there is none that reads YAML, the tests that need it are skipped. */
function yaml(source: string): unknown {
  const script = 'import json, sys, yaml; print(json.dumps(yaml.load(sys.stdin, yaml.BaseLoader)))';
  const { status, stdout } = spawnSync('python3', ['-c', script], { ...limits, input: source });
  return status === 0 ? JSON.parse(stdout) : undefined;
}
const action = yaml(text) as Action | undefined;
const withYaml = action === undefined ? test.skip : test;

function step(id: string): Step {
  return action!.runs.steps.find((one) => one.id === id)!;
}

/** Runs the script of a step as GitHub does; returns its exit code and outputs. */
function perform(id: string, env: Readonly<Record<string, string>>, cwd = folder) {
  const outputs = join(folder, `${id}-outputs`);
  rmSync(outputs, { force: true });
  const { status, stderr, stdout } = spawnSync(
    'bash',
    ['-e', '-o', 'pipefail', '-c', step(id).run!],
    {
      ...limits,
      cwd,
      env: { ...process.env, GITHUB_OUTPUT: outputs, NO_COLOR: '1', ...env },
    },
  );
  const lines = readFileSync(outputs, 'utf8').trimEnd().split('\n');
  const named = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  return { status, stderr, stdout, outputs: named as Record<string, string> };
}

test('every input and every output of a step that is named exists, and every input is used', (t) => {
  const inputs = [...text.split('\noutputs:')[0]!.matchAll(/^ {2}([a-z-]+):$/gm)].map(
    ([, name]) => name!,
  );
  const used = new Set([...text.matchAll(/inputs\.([a-z-]+)/g)].map(([, name]) => name!));
  t.deepEqual([...used].sort(), [...inputs].sort());
  for (const [, id, output] of text.matchAll(/steps\.([a-z]+)\.outputs\.([a-z-]+)/g)) {
    const [, script = ''] = text.split(`id: ${id}\n`);
    t.true(script.includes(`"${output}=`), `${id} sets ${output}`);
  }
  t.false(/\t/.test(text), 'YAML knows no tabs');
});

withYaml(
  'it is a composite action whose parts all say what they are (needs python3 with PyYAML)',
  (t) => {
    const { inputs, outputs, runs } = action!;
    t.is(runs.using, 'composite');
    for (const [name, { description }] of Object.entries({ ...inputs, ...outputs })) {
      t.regex(description, /\w.*\.$/s, name);
    }
    for (const { name, run, uses, shell } of runs.steps) {
      t.true((run === undefined) !== (uses === undefined), name);
      if (uses !== undefined)
        t.regex(uses, /^actions\/[a-z-]+@v\d+$/, 'nothing but actions of GitHub');
      if (run === undefined) continue;
      t.is(shell, 'bash', name);
      t.is(spawnSync('bash', ['-n', '-c', run], limits).status, 0, name);
      t.false(run.includes('${{'), `${name}: what comes from outside is never part of a script`);
    }
  },
);

withYaml(
  'from a checkout it runs, and its outputs lead to the run (needs python3 with PyYAML)',
  (t) => {
    const installed = perform('install', {
      VERSION: '',
      HERE: checkout.replace(/\/$/, ''),
      RUNNER_TEMP: folder,
    });
    t.is(installed.status, 0, installed.stderr);
    const { main = '', loader = '' } = installed.outputs;
    const work = join(folder, 'work');
    mkdirSync(work);
    const scenario = join(checkout, 'scenarios', 'one-question.toml');
    const env = { MAIN: main, LOADER: loader, OUT: 'recordings/runs', JUNIT: 'junit.xml' };
    const words = `'${scenario}' --provider elevenlabs --only "One question, one" --no-harness-config --quiet`;
    const passed = perform('run', { ...env, ARGUMENTS: words }, work);
    t.is(passed.status, 0, passed.stderr);
    t.is(passed.outputs['exit-code'], '0', passed.stderr);
    const run = passed.outputs['run-folder'] ?? '';
    t.regex(run, /^recordings\/runs\/\d{4}-/);
    const report = JSON.parse(readFileSync(join(work, run, 'report.json'), 'utf8')) as {
      cells: unknown[];
    };
    t.is(report.cells.length, 1);
    t.is(passed.outputs['junit'], 'junit.xml');
    t.regex(readFileSync(join(work, 'junit.xml'), 'utf8'), /<testcase /);

    const hostile = `'${scenario}' --only '$(touch harmed)' --no-harness-config`;
    const nothing = perform('run', { ...env, ARGUMENTS: hostile }, work);
    t.is(nothing.status, 0, 'the verdict is of the last step');
    t.is(nothing.outputs['exit-code'], '5');
    t.is(nothing.outputs['run-folder'], '');
    t.regex(nothing.stderr, /matches --only '\$\(touch harmed\)'/);
    t.throws(() => readFileSync(join(work, 'harmed')), { code: 'ENOENT' });
  },
);

withYaml('the workflows of the guide use inputs that it has (needs python3 with PyYAML)', (t) => {
  const guide = readFileSync(join(checkout, 'docs', 'guide-ci.md'), 'utf8');
  const blocks = [...guide.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block]) => yaml(block!));
  t.true(blocks.length >= 2);
  const jobs = blocks.flatMap((block) => {
    t.truthy(block, 'it is YAML');
    return Object.values((block as { jobs?: object }).jobs ?? {});
  }) as { steps: { uses?: string; with?: object }[] }[];
  const used = jobs
    .flatMap(({ steps }) => steps)
    .filter(({ uses }) => uses?.endsWith('echokit-harness'));
  t.is(used.length, 1);
  for (const name of Object.keys(used[0]!.with ?? {})) t.true(name in action!.inputs, name);
});
