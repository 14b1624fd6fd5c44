/** The completion scripts in the shells that they are for. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { completionValues } from './completion-command.ts';
import {
  type CompletionShell,
  type completionLists,
  completionShells,
} from './completion-script.ts';
import { defaultScenarioFolder, findScenarioFiles } from './scenario-files.ts';
import { ProgramStarter } from './started-program.contract.ts';

const program = new ProgramStarter();
const { folder } = program;
test.after.always(() => program.remove());

const limits = { timeout: 20_000, killSignal: 'SIGKILL', encoding: 'utf8' } as const;
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0'], limits).status === 0;

/** A folder to complete files in, and a program that knows three providers. */
const here = join(folder, 'here');
const bin = join(folder, 'bin');
const scripts = new Map<CompletionShell, string>();
test.before(async () => {
  for (const name of ['two words.toml', 'other.toml', 'notes.md']) {
    program.file(`here/${name}`, '');
  }
  mkdirSync(join(here, 'talks'));
  const stub = program.file(
    'bin/echokit-harness',
    '#!/bin/sh\n[ "$*" = "completion --values providers" ] && printf \'openai\\nopenai-stream\\nelevenlabs\\n\'\n',
  );
  chmodSync(stub, 0o755);
  const made = completionShells.map(async (shell) => {
    const { stdout, exit } = await program.start(['completion', shell]).ended;
    if (exit === 0) scripts.set(shell, program.file(`script.${shell}`, stdout));
  });
  await Promise.all(made);
});

const environment = () => ({ ...process.env, PATH: `${bin}:${process.env['PATH']}`, TERM: 'dumb' });

/** What a user types, and what is offered for the last word. */
const cases: readonly (readonly [string, readonly string[]])[] = [
  ['ru', ['run']],
  ['run --ti', ['--time']],
  ['run --time ', ['real', 'virtual']],
  ['run --provider el', ['elevenlabs']],
  ['run --provider openai,elevenlabs,openai-', ['openai,elevenlabs,openai-stream']],
  ['boards ', ['add', 'forget']],
  ['boards add kitchen --wi', ['--wiring']],
  ['boards add kitchen --wiring ', ['bridge', 'usb-jtag']],
  ['conform server --idl', ['--idle']],
  ['--server-mod', ['--server-model']],
  ['completion z', ['zsh']],
  ['monitor --timestamps b', ['boot']],
];

test('bash completes commands, options, choices, names behind a comma, and files', (t) => {
  const typed = [
    ...cases.map(([line]) => line),
    'run --config t',
    'run ',
    'run --provider = openai-',
  ];
  const lines = typed.map((line) => `try ${line.replace(/ $/, " ''")}`);
  const text = `source '${scripts.get('bash')}'
try() { COMP_WORDS=(echokit-harness "$@"); COMP_CWORD=$#; _echokit_harness; printf '%s\\n' "\${COMPREPLY[@]}" | sort | tr '\\n' '|'; echo; }
${lines.join('\n')}
`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', text], {
    ...limits,
    cwd: here,
    env: environment(),
  });
  t.is(stderr, '');
  const offered = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('|').filter((word) => word !== ''));
  t.deepEqual(
    offered.map((words, i) => [typed[i]!, words] as const),
    [
      ...cases,
      ['run --config t', ['talks', 'two words.toml']],
      ['run ', ['other.toml', 'talks', 'two words.toml']],
      ['run --provider = openai-', ['openai-stream']],
    ],
  );
});

(has('fish') ? test : test.skip)(
  'fish completes the same (skipped where there is no fish)',
  (t) => {
    const typed = [...cases.map(([line]) => line), 'run --provider=openai-'];
    const lines = typed.map(
      (line) => `complete -C 'echokit-harness ${line}' | string join '|'; echo =`,
    );
    const { stdout, stderr } = spawnSync(
      'fish',
      ['--no-config', '-c', `source '${scripts.get('fish')}'; ${lines.join('; ')}`],
      { ...limits, cwd: here, env: { ...environment(), HOME: folder } },
    );
    t.is(stderr, '');
    const offered = stdout
      .split('=\n')
      .slice(0, -1)
      .map((part) =>
        part
          .trim()
          .split('|')
          .map((word) => word.split('\t')[0])
          .filter((word) => word !== '')
          .sort(),
      );
    const expected = [...cases.map(([, words]) => words), ['--provider=openai-stream']];
    t.deepEqual(offered, expected as (string | undefined)[][]);
  },
);

/** util-linux's, which gives zsh a terminal. */
const hasScript = spawnSync('script', ['--version'], limits).status === 0;

(has('zsh') && hasScript ? test : test.skip)(
  'zsh completes the same at a terminal (skipped where there is no zsh or script)',
  (t) => {
    const out = join(folder, 'typed');
    program.file(
      'zsh/.zshrc',
      `PROMPT='> '
autoload -U compinit; compinit -u -D
source '${scripts.get('zsh')}'
keep() { print -r -- "$BUFFER" >> '${out}'; BUFFER='' }
zle -N keep; bindkey '^T' keep
`,
    );
    // What several words could be is listed, and the line stays as it was.
    const typed: readonly (readonly [string, string])[] = [
      ['ru', 'run '],
      ['run --ti', 'run --time '],
      ['run --time v', 'run --time virtual '],
      ['run --provider el', 'run --provider elevenlabs'],
      ['run --provider openai,elev', 'run --provider openai,elevenlabs'],
      ['boards f', 'boards forget '],
      ['boards add kitchen --wi', 'boards add kitchen --wiring '],
      ['boards add kitchen --wiring u', 'boards add kitchen --wiring usb-jtag '],
      ['conform server --idl', 'conform server --idle '],
      ['run --config ot', 'run --config other.toml '],
      ['completion z', 'completion zsh '],
      ['boards ', 'boards '],
    ];
    const keys = typed.map(([line]) => `echokit-harness ${line}\t\u0014`).join('');
    const { error } = spawnSync('script', ['-qec', 'zsh -i', '/dev/null'], {
      ...limits,
      cwd: here,
      env: { ...environment(), ZDOTDIR: join(folder, 'zsh') },
      input: `${keys}exit\n`,
    });
    t.is(error, undefined);
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
    t.deepEqual(
      lines.map((line) => line.replace(/^echokit-harness /, '').trimEnd()),
      typed.map(([, line]) => line.trimEnd()),
    );
  },
);

test('every command and option of the help is in every script', async (t) => {
  const { stdout } = await program.start(['run', '--help']).ended;
  const options = [...stdout.matchAll(/^ {2}(?:-\w, )?--([a-z0-9-]+)/gm)].map(([, name]) => name!);
  t.true(options.length > 25);
  for (const shell of completionShells) {
    const text = readFileSync(scripts.get(shell)!, 'utf8');
    for (const option of options.filter((name) => name !== 'help')) {
      const written = shell === 'fish' ? `-l ${option}` : `--${option}`;
      t.true(text.includes(written), `${shell} ${option}`);
    }
    t.true(text.includes('usb-jtag'), shell);
    t.false(text.includes('--values <'), 'what only scripts ask for is not offered');
  }
});

test('the names are those of the project', (t) => {
  const project = join(folder, 'project');
  program.file('project/.git/HEAD', '');
  program.file(
    'project/echokit-harness.toml',
    '[run]\nconfig = "config.toml"\nscenarios = ["talks"]\n',
  );
  program.file(
    'project/config.toml',
    '[providers.mine]\nplatform = "openai"\nmodel = "m"\napi_key = "k"\n',
  );
  const talk = 'title = "T"\ntags = ["slow", "moon"]\n[[turn]]\nsay = "Hi."\nreply = "R."\n';
  program.file('project/talks/a.toml', talk);
  program.file('project/talks/broken.toml', 'title =');
  const of = (list: (typeof completionLists)[number], where: string) =>
    completionValues(list, where);
  t.is(of('providers', project)[0], 'mine');
  t.true(of('providers', project).includes('elevenlabs'));
  t.deepEqual(of('tags', project), ['moon', 'slow']);
  t.true(of('networks', project).includes('weak-wifi'));
  t.true(of('devices', project).includes('cube2'));
  writeFileSync(join(project, 'echokit-harness.toml'), '[run\n');
  t.false(of('providers', project).includes('mine'), 'a broken file takes no names away');
  t.true(of('tags', project).length >= findScenarioFiles([defaultScenarioFolder()]).length - 1);
});
