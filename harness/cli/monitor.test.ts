import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
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

test('monitor: a named secret that arrives in two pieces is in no output, as text and as JSON, and neither is a token', async (t) => {
  const key = 'sk-live-Zq71-0815';
  const token = 'a1b2c3d4e5f6a7b8';
  const line = `I (9) echokit: asks ws://lab/token/${token}/ws/ with ${key}`;
  for (const json of [[], ['--json']]) {
    // The second piece comes when the first has been read: its whole lines are shown.
    const second: (() => void)[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(`I (8) echokit: first\r\n${line.slice(0, -9)}`);
      second.push(() =>
        socket.end(`${line.slice(-9)}\r\nI (10) echokit: last\r\n${line.slice(0, -5)}`),
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const log = join(programs.folder, `named${json.length}.log`);
    const program = programs.start(
      ['monitor', `socket://127.0.0.1:${port}`, '--log', log, ...json, '--secret', `\${BOARD_KEY}`],
      { BOARD_KEY: key },
    );
    await program.printed(/first/);
    second[0]!();
    await program.printed(/GAP|"gone"/);
    server.close();
    const { exit, stdout, stderr } = await end(program).then(() => program.ended);
    t.is(exit, 130);
    const logged = readFileSync(log, 'utf8');
    for (const text of [stdout, logged]) {
      t.is(
        text.match(/ws:\/\/lab\/token\/\[redacted\]\/ws\/ with \[redacted\]/g)!.length >= 2,
        true,
        text,
      );
    }
    for (const word of [key, token, 'sk-live', '0815']) {
      t.false((stdout + stderr + logged).includes(word), `${word}: ${stdout}${stderr}`);
    }
  }
});

test('a secret of a variable that is not set, or of three letters, is a usage error before any port is opened', async (t) => {
  for (const [secret, message] of [
    [`\${ECHOKIT_TEST_UNSET}`, /ECHOKIT_TEST_UNSET, and it is not set or empty/],
    ['abc', /--secret has 3 characters/],
  ] as const) {
    for (const command of ['monitor', 'bridge']) {
      const { exit, stderr } = await programs.start([command, '/dev/nowhere', '--secret', secret])
        .ended;
      t.is(exit, 2, stderr);
      t.regex(stderr, message);
      t.regex(stderr, /\[USAGE\]/);
    }
  }
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
