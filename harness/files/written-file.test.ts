import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import ts from 'typescript';
import { checkWritable, type OutputError, writeWhole } from './written-file.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'echokit-written-')));
const running = new Set<ChildProcess>();
test.after.always(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

const killsText = process.argv.find((argument) => argument.startsWith('--kills='))?.slice(8);
/** How often a writer is killed from outside; `npm run test:kill` does it more often. */
const kills = Number(killsText ?? 20);

function newFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

/** Children are plain JavaScript: starting a compiler in each would take longer than all of the test. */
function compiled(name: string): string {
  const source = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const target = join(root, `${name}.mjs`);
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(target, outputText);
  return target;
}

const moduleFile = compiled('written-file');
const writer = compiled('written-file.contract');

/** As the writer makes it, said once more. */
function versionText(version: number): string {
  return Array.from({ length: 16 }, (_, i) => `version ${version}, piece ${i}\n`.repeat(256)).join(
    '',
  );
}

function versionOf(t: ExecutionContext, file: string): number {
  const text = readFileSync(file, 'utf8');
  const version = Number(/^version (\d+)/.exec(text)?.[1]);
  t.true(text === versionText(version), `${text.length} characters, beginning of ${version}`);
  return version;
}

function refused(t: ExecutionContext, code: OutputError['code'], run: () => void): OutputError {
  const error = t.throws<OutputError>(run, { name: 'OutputError', code });
  t.true(error.hint.length > 0);
  return error;
}

test('a killed writer leaves exactly the old or the new version, at whatever step it is killed', (t) => {
  const folder = newFolder('steps');
  const file = join(folder, 'report.json');
  const run = (at: string) =>
    spawnSync(process.execPath, [writer, moduleFile, file, at], { timeout: 20_000 });
  const steps = Number(run('count').stdout);
  t.true(steps > 20, 'open, 16 writes, flush, close, rename, and the folder');
  let before = versionOf(t, file);
  for (let at = 0; at < steps; at += at < 3 || at > 15 ? 1 : 4) {
    const { signal } = run(`${at}`);
    t.is(signal, 'SIGKILL');
    // Every writer begins at 1, so the old version is one that no writer begins with.
    const after = versionOf(t, file);
    t.true(after === before || after === 1, `step ${at}: ${before} became ${after}`);
    writeWhole(file, versionText(1000 + at));
    before = 1000 + at;
  }
});

test(`a writer that is killed ${kills} times at any instant never leaves half a version`, async (t) => {
  const file = join(newFolder('instants'), 'report.json');
  for (let kill = 0; kill < kills; kill++) {
    const child = spawn(process.execPath, [writer, moduleFile, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.add(child);
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      // Some are killed in the first version, some after many.
      if (printed.split('\n').length > kill % 7) child.kill('SIGKILL');
    });
    await once(child, 'close');
    running.delete(child);
    const last = Number(printed.trimEnd().split('\n').at(-1));
    const found = versionOf(t, file);
    t.true(found === last || found === last + 1, `${last} was done, ${found} is there`);
  }
});

test('what was written is there whole, also in pieces and in place of an older file', (t) => {
  const file = join(newFolder('whole'), 'a.txt');
  writeWhole(file, 'first, and longer');
  chmodSync(file, 0o640);
  writeWhole(file, new Uint8Array([0x32, 0x0a]));
  t.is(readFileSync(file, 'utf8'), '2\n');
  t.is(statSync(file).mode & 0o777, 0o640);
  writeWhole(file, ['Ä', Buffer.from('€'), '\ud83d\ude00']);
  t.is(readFileSync(file, 'utf8'), 'Ä€😀');
  t.deepEqual(readdirSync(join(root, 'whole')), ['a.txt']);
});

test('a link stays a link, and what it leads to is written', (t) => {
  const folder = newFolder('links');
  const file = join(folder, 'real.txt');
  writeFileSync(file, 'old');
  symlinkSync('real.txt', join(folder, 'link.txt'));
  writeWhole(join(folder, 'link.txt'), 'new');
  t.is(readFileSync(file, 'utf8'), 'new');
  t.true(lstatSync(join(folder, 'link.txt')).isSymbolicLink());
});

test('a folder in its place, a missing folder and a file in the path are told before anything is written', (t) => {
  const folder = newFolder('refused');
  writeFileSync(join(folder, 'file'), '');
  for (const attempt of [checkWritable, (path: string) => writeWhole(path, 'x')]) {
    refused(t, 'OUTPUT_IS_FOLDER', () => attempt(folder));
    const missing = refused(t, 'OUTPUT_FOLDER_MISSING', () => attempt(join(folder, 'no/a.txt')));
    t.true(missing.message.includes(join(folder, 'no')));
    refused(t, 'OUTPUT_FOLDER_MISSING', () => attempt(join(folder, 'file/a.txt')));
  }
  t.notThrows(() => checkWritable(join(folder, 'new.txt')));
  t.deepEqual(readdirSync(folder), ['file'], 'asking leaves nothing');
});

test('what killed writers have left is taken away, and nothing else', (t) => {
  const folder = newFolder('forgotten');
  const { pid: gone } = spawnSync(process.execPath, ['-e', '']);
  // Some day of the year 2020.
  const longAgoS = 1_600_000_000;
  const old = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, 'x');
    utimesSync(path, longAgoS, longAgoS);
    return name;
  };
  old(`.echokit-${gone}-1.tmp`);
  // Of another container, in which the number was that of this process.
  old(`.echokit-${process.pid}-999999999.tmp`);
  const kept = [
    old(`.echokit-${process.ppid}-1.tmp`),
    old(`.echokit-${gone}-1.tmp.txt`),
    old(`echokit-${gone}-1.tmp`),
    'a.txt',
  ];
  const young = `.echokit-${gone}-2.tmp`;
  writeFileSync(join(folder, young), 'another machine may be writing it');
  const linked = `.echokit-${gone}-3.tmp`;
  symlinkSync(kept[1]!, join(folder, linked));
  mkdirSync(join(folder, `.echokit-${gone}-4.tmp`));
  writeWhole(join(folder, 'a.txt'), 'new');
  t.deepEqual(
    readdirSync(folder).sort(),
    [...kept, young, linked, `.echokit-${gone}-4.tmp`].sort(),
  );
});

test('nothing to write is an error and no empty file', (t) => {
  const file = join(newFolder('empty'), 'a.txt');
  refused(t, 'OUTPUT_EMPTY', () => writeWhole(file, ''));
  refused(t, 'OUTPUT_EMPTY', () => writeWhole(file, ['', '']));
  t.deepEqual(readdirSync(join(root, 'empty')), []);
});

test('what fails while the content is made leaves the old file and nothing else', (t) => {
  const folder = newFolder('thrown');
  const file = join(folder, 'a.txt');
  writeWhole(file, 'old');
  const broken = function* (): Iterable<string> {
    yield 'new, and then ';
    throw new RangeError('no more');
  };
  t.throws(() => writeWhole(file, broken()), { instanceOf: RangeError });
  t.is(readFileSync(file, 'utf8'), 'old');
  t.deepEqual(readdirSync(folder), ['a.txt']);
});

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a full disk is told as one', (t) => {
  refused(t, 'OUTPUT_DISK_FULL', () => writeWhole('/dev/full', 'x'));
});

onLinux(
  'where the disk ends in the middle of a file, the old one stays and no temporary one',
  (t) => {
    const folder = newFolder('full');
    const file = join(folder, 'a.txt');
    writeWhole(file, 'old');
    // Files of this process may have 16 KiB (512 bytes × 32); the writer's versions have 80.
    const { stderr, status } = spawnSync(
      'sh',
      [
        '-c',
        `trap '' XFSZ; ulimit -f 32; exec "$0" "$@"`,
        process.execPath,
        writer,
        moduleFile,
        file,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );
    t.not(status, 0);
    t.true(stderr.includes('OUTPUT_DISK_FULL'), stderr);
    t.is(readFileSync(file, 'utf8'), 'old');
    t.deepEqual(readdirSync(folder), ['a.txt']);
  },
);

// Root may do everything, so the writer is nobody; in a namespace that knows only root it cannot be.
const unprivileged = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const canLeaveRoot = spawnSync(process.execPath, ['--version'], unprivileged).status === 0;

(canLeaveRoot ? onLinux : test.skip)(
  'a place where nobody may write is told as one (skipped where root is the only user)',
  (t) => {
    const folder = newFolder('forbidden');
    const file = join(folder, 'a.txt');
    writeFileSync(file, 'old');
    chmodSync(folder, 0o555);
    chmodSync(root, 0o755);
    const { stderr, status } = spawnSync(process.execPath, [writer, moduleFile, file], {
      encoding: 'utf8',
      timeout: 20_000,
      ...unprivileged,
    });
    chmodSync(folder, 0o755);
    t.not(status, 0);
    t.true(stderr.includes('OUTPUT_NOT_PERMITTED'), stderr);
    t.is(readFileSync(file, 'utf8'), 'old');
  },
);

onLinux('a pipe is written straight and stays a pipe', async (t) => {
  const pipe = join(newFolder('pipes'), 'pipe');
  t.is(spawnSync('mkfifo', [pipe]).status, 0);
  const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(reader);
  let read = '';
  reader.stdout.setEncoding('utf8').on('data', (text: string) => {
    read += text;
  });
  writeWhole(pipe, ['one ', 'two']);
  await once(reader, 'close');
  running.delete(reader);
  t.is(read, 'one two');
  t.true(existsSync(pipe) && lstatSync(pipe).isFIFO());
});
