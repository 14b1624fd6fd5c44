/**
 * For tests: a writer that may be killed. Started with the path of the compiled `written-file.js`, a file, and a limit:
 * it writes version 1, 2, 3 … over and over and prints the number of each that is done. With a number of a step, from
 * 0, it kills itself there, in the middle of it; with `count` it writes one version and prints how many steps that took.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [module = '', path = '', killAt = ''] = process.argv.slice(2);
let steps = 0;

function step(half: () => void): void {
  if (`${steps++}` !== killAt) return;
  half();
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

const { writeSync, openSync, fsyncSync, closeSync, renameSync } = fs;
Object.assign(fs, {
  openSync: (name: string, flags: string) => {
    step(() => {});
    return openSync(name, flags);
  },
  writeSync: (file: number, data: Uint8Array, at: number) => {
    step(() => void writeSync(file, data, at, (data.length - at) >> 1));
    return writeSync(file, data, at);
  },
  fsyncSync: (file: number) => {
    step(() => {});
    fsyncSync(file);
  },
  closeSync: (file: number) => {
    step(() => {});
    closeSync(file);
  },
  renameSync: (from: string, to: string) => {
    step(() => {});
    renameSync(from, to);
  },
});
syncBuiltinESMExports();

const { writeWhole } = (await import(module)) as typeof import('./written-file.ts');

function* pieces(version: number): Iterable<string> {
  for (let i = 0; i < 16; i++) yield `version ${version}, piece ${i}\n`.repeat(256);
}

for (let version = 1; ; version++) {
  writeWhole(path, pieces(version));
  if (killAt === 'count') {
    writeSync(1, `${steps}\n`);
    break;
  }
  writeSync(1, `${version}\n`);
}
