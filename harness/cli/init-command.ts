import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandError, exitCode } from './exit-code.ts';
import { ignoredRuns, starterFiles } from './starter-files.ts';
import type { Terminal } from './terminal.ts';

export interface InitOptions {
  /** Replace files that are there. */
  readonly force?: boolean;
  readonly version: string;
}

/** `init`: writes a project that runs. What is there already is left alone and told. Returns the exit code. */
export function initCommand(
  terminal: Terminal,
  folder: string,
  { force = false, version }: InitOptions,
): number {
  if (existsSync(folder) && !statSync(folder).isDirectory()) {
    throw new CommandError('USAGE', exitCode.usage, `${folder} is a file.`, 'name a folder');
  }
  mkdirSync(folder, { recursive: true });
  const root = repositoryRoot(resolve(folder)) ?? resolve(folder);
  const slashed = (path: string): string => path.replaceAll('\\', '/');
  const files = starterFiles({
    version,
    toRoot: slashed(relative(resolve(folder), root)),
    fromRoot: slashed(relative(root, resolve(folder))),
    schemas: { scenario: schema('scenario'), config: schema('echokit-harness') },
  });
  let kept = 0;
  const tell = (verb: string, path: string, what: string): void =>
    terminal.print(`${verb.padEnd(8)} ${relative('.', path)}  (${what})`);
  for (const { path, text, what } of files) {
    const file = join(folder, path);
    if (existsSync(file) && !force) {
      const same = readFileSync(file, 'utf8') === text;
      if (!same) kept++;
      tell('left', file, same ? 'it is there and the same' : 'it is there and has another content');
      continue;
    }
    mkdirSync(dirname(file), { recursive: true });
    const replaced = existsSync(file);
    writeFileSync(file, text);
    tell(replaced ? 'replaced' : 'wrote', file, what);
  }
  const ignore = join(folder, '.gitignore');
  const lines = existsSync(ignore) ? readFileSync(ignore, 'utf8') : '';
  if (lines.split(/\r?\n/).includes(ignoredRuns)) tell('left', ignore, `it has ${ignoredRuns}`);
  else {
    appendFileSync(ignore, `${lines === '' || lines.endsWith('\n') ? '' : '\n'}${ignoredRuns}\n`);
    tell(lines === '' ? 'wrote' : 'added to', ignore, `${ignoredRuns}: recordings stay out of git`);
  }
  if (kept > 0)
    terminal.say(
      `\n${kept === 1 ? 'One file was' : `${kept} files were`} left alone; --force replaces what is there.`,
    );
  const there = relative('.', folder);
  terminal.say(
    `\nNext:\n${there === '' ? '' : `  cd ${/^[\w./-]+$/.test(there) ? there : `'${there.replaceAll("'", "'\\''")}'`}\n`}  echokit-harness run`,
  );
  return exitCode.passed;
}

/** The nearest folder with `.git`, from this one up. */
function repositoryRoot(folder: string): string | undefined {
  if (existsSync(join(folder, '.git'))) return folder;
  return dirname(folder) === folder ? undefined : repositoryRoot(dirname(folder));
}

/** As shipped: beside the sources, or beside `dist`. */
function schema(name: string): string {
  const candidates = ['../../schemas/', '../../../schemas/'].map((up) =>
    fileURLToPath(new URL(`${up}${name}.schema.json`, import.meta.url)),
  );
  return readFileSync(candidates.find((path) => existsSync(path)) ?? candidates[0]!, 'utf8');
}
