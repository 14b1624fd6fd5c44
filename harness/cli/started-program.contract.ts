/** For tests: the program as its users start it, a process of its own with its output and exit code. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { testCacheFolder } from '../runner/test-cache.contract.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** The sources, or the compiled program where that is asked for: it starts in half the time, and it is what people install. */
const compiled = process.env['ECHOKIT_HARNESS_TESTED_PROGRAM'];
const main = compiled === undefined ? ['--import=tsx', 'harness/cli/main.ts'] : [compiled];

export interface Running {
  readonly child: ChildProcess;
  /** Resolves with stdout so far when it matches; rejects when the process ends before. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<Ended>;
}

export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts programs that share a folder for files, and what the programs of this test file have spoken and encoded. */
export class ProgramStarter {
  readonly folder = mkdtempSync(join(tmpdir(), 'echokit-cli-'));
  readonly #cache = testCacheFolder(test.meta.file);
  readonly #started = new Set<ChildProcess>();

  /** @param environment beside that of the test */
  start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
    const child = spawn(process.execPath, [...main, ...args], {
      cwd: checkout,
      env: {
        ...process.env,
        NO_COLOR: '1',
        // What a test starts is no step of the job that it runs in.
        GITHUB_ACTIONS: '',
        ECHOKIT_HARNESS_CACHE: this.#cache,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#started.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = once(child, 'close').then(([exit]): Ended => {
      this.#started.delete(child);
      return { exit: exit as number | null, stdout, stderr };
    });
    const printed = (pattern: RegExp): Promise<RegExpExecArray> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(stdout);
          if (match !== null) resolve(match);
        };
        child.stdout.on('data', look);
        void ended.then(() => reject(new Error(`ended without ${pattern}:\n${stdout}\n${stderr}`)));
        look();
      });
    return { child, printed, ended };
  }

  /** Writes a file below the folder; returns its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Ends what still runs and removes the folder. */
  remove(): void {
    for (const child of this.#started) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
