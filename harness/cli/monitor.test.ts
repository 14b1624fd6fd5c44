import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import {
  applicationLines,
  bootLoaderLines,
  networkLines,
  onConsole,
  panicLines,
  romLines,
  settingLines,
} from '../serial/board-boot.contract.ts';
import { ProgramStarter, type Running } from './started-program.contract.ts';

const programs = new ProgramStarter();
const terminals: ChildProcess[] = [];
test.after.always(() => {
  for (const terminal of terminals) terminal.kill('SIGKILL');
  programs.remove();
});

const missing =
  spawnSync('socat', ['-V']).error === undefined ? undefined : 'socat is not installed';

/** A pseudo-terminal at this path whose other end is the standard input of the process. */
async function plug(path: string): Promise<ChildProcess> {
  const terminal = spawn('socat', ['-', `pty,raw,echo=0,link=${path},wait-slave`], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  terminals.push(terminal);
  const clock = new SystemClock();
  while (!existsSync(path)) await clock.sleep(10_000);
  return terminal;
}

async function end(program: Running): Promise<{ exit: number | null; stderr: string }> {
  program.child.kill('SIGINT');
  return program.ended;
}

function documents(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const boot = [
  ...romLines('0x1 (POWERON)'),
  ...bootLoaderLines,
  ...applicationLines(),
  ...settingLines('tulip-garden'),
  ...networkLines,
];

test('monitor reads a port until Ctrl-C: lines, crash, counters, and no password anywhere', async (t) => {
  if (missing !== undefined) {
    t.log(`skipped: ${missing}`);
    t.pass();
    return;
  }
  const path = join(programs.folder, 'board');
  const log = join(programs.folder, 'board.log');
  const board = await plug(path);
  const program = programs.start(['monitor', '--port', path, '--log', log, '--level', 'W']);
  await program.printed(/is open/);
  board.stdin!.write(onConsole([...boot, ...panicLines, ...romLines('0xc (RTC_SW_CPU)')]));
  await program.printed(/the firmware crashed/);
  const { exit, stderr } = await end(program);
  t.is(exit, 130);
  t.regex(stderr, /monitor: \d+ lines, \d+ bytes\n/);
  const { stdout } = await program.ended;
  // The level hides what is well, and never what a crash prints or means.
  t.false(stdout.includes('Calling app_main'));
  t.regex(stdout, /Guru Meditation Error/);
  t.regex(stdout, /-- CRASH \(CPU exception\): LoadProhibited on core 0; 3 frames; it restarts/);
  const logged = readFileSync(log, 'utf8');
  t.regex(logged, /Calling app_main/);
  t.regex(logged, /PASS: \[redacted\]/);
  t.false((logged + stdout + stderr).includes('tulip'));
});

test('R05: a port that vanishes and returns is read again within 500 ms, and the gap is marked', async (t) => {
  if (missing !== undefined) {
    t.log(`skipped: ${missing}`);
    t.pass();
    return;
  }
  const clock = new SystemClock();
  const path = join(programs.folder, 'vanishing');
  const first = await plug(path);
  const program = programs.start(['monitor', '--port', path, '--json']);
  await program.printed(/"opened"/);
  first.stdin!.write('I (9000) echokit::app: Received idle event\r\n');
  await program.printed(/"idle"/);
  const unplugged = once(first, 'exit');
  first.kill('SIGTERM');
  await unplugged;
  await program.printed(/"gone"/);
  const second = await plug(path);
  const plugged = clock.nowUs();
  await program.printed(/"returned"/);
  const tookMs = (clock.nowUs() - plugged) / 1000;
  t.log(`read again ${tookMs.toFixed(0)} ms after the port returned`);
  t.true(tookMs < 500, `${tookMs}`);
  second.stdin!.write('I (12000) echokit::app: No events\r\n');
  await program.printed(/"no-events"/);
  t.is((await end(program)).exit, 130);
  const { stdout } = await program.ended;
  t.deepEqual(
    documents(stdout)
      .map(({ type, event }) => (type === 'line' ? (event as { name: string }).name : type))
      .filter((name) => name !== 'quiet'),
    ['opened', 'idle', 'gone', 'returned', 'no-events'],
  );
});

test('a port that is not there is an error of the surroundings, a wrong filter one of usage', async (t) => {
  const absent = await programs.start(['monitor', '--port', join(programs.folder, 'absent')]).ended;
  t.is(absent.exit, 4, absent.stderr);
  t.regex(absent.stderr, /\[SERIAL_NOT_FOUND\]/);
  const filter = await programs.start(['monitor', '--port', '/dev/x', '--filter', 'tag']).ended;
  t.is(filter.exit, 2);
  t.regex(filter.stderr, /is no condition/);
});
