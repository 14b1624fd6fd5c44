import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { opus, voiceDetection } from '../device/device-bench.contract.ts';
import { diy } from '../device/device-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { hasSerialPackage } from '../serial/local-port.ts';
import type { PortEvent } from '../serial/port-event.ts';
import { SerialError } from '../serial/serial-error.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import { VirtualBoard } from '../virtual-board/virtual-board.ts';
import { boardAccess } from './board-access.ts';
import { ProgramStarter } from './started-program.contract.ts';

const overTerminal = spawnSync('socat', ['-V']).error === undefined && (await hasSerialPackage());
const programs = new ProgramStarter();
test.after.always(() => programs.remove());
const registry = join(programs.folder, 'boards.toml');
const boards = (...args: string[]) =>
  programs.start(['boards', ...args], { ECHOKIT_HARNESS_BOARDS: registry }).ended;

test('boards are entered by what they are, listed and forgotten', async (t) => {
  const away = join(programs.folder, 'ttyAway');
  const added = await boards('add', 'kitchen', '--mac', '02:EC:0E:00:00:02', '--port', away);
  t.is(added.exit, 0, added.stderr);
  t.regex(added.stderr, /kitchen: MAC 02ec0e000002, in .*boards\.toml/);
  t.regex(added.stderr, /note: .*ttyAway is not there now/);
  const remote = await boards('add', 'lab', '--port', 'rfc2217://127.0.0.1:4000');
  t.is(remote.exit, 0, remote.stderr);
  t.regex(
    readFileSync(registry, 'utf8'),
    /\[boards\.lab\]\naddress = "rfc2217:\/\/127\.0\.0\.1:4000"/,
  );

  const listed = await boards('--json');
  const document = JSON.parse(listed.stdout) as { boards: { name: string }[]; ports: unknown[] };
  t.deepEqual(
    document.boards.map(({ name }) => name),
    ['kitchen', 'lab'],
  );
  t.regex((await boards()).stdout, /lab: rfc2217:\/\/127\.0\.0\.1:4000/);

  t.is((await boards('forget', 'lab')).exit, 0);
  const unknown = await boards('forget', 'lab');
  t.is(unknown.exit, 2);
  t.regex(unknown.stderr, /There is no board lab .*\[BOARD_UNKNOWN\]\nhint: known: kitchen/);
});

test('a local port is no identity: it is not entered as an address', async (t) => {
  const refused = await boards('add', 'desk', '--address', '/dev/ttyUSB0');
  t.is(refused.exit, 2);
  t.regex(refused.stderr, /local ports change their names.*\[BOARD_ENTRY\]/);
});

test('boards --probe asks those at network addresses, too, and tells when another one answers', async (t) => {
  t.timeout(60_000);
  const clock = new SystemClock();
  const network = new SocketNetwork({ clock, random: createRandom(1, 'network'), outside: [] });
  const board = new VirtualBoard({
    profile: diy,
    mac: '02ec0e000007',
    serverUrl: 'ws://127.0.0.1:9/ws/',
    wiring: 'usb-jtag',
    clock,
    dialer: network,
    random: createRandom(1, 'board'),
    opus,
    voiceDetection,
  });
  const endpoint = { host: '127.0.0.1', port: 0 };
  const listener = await listenWithRfc2217({ network, endpoint, board });
  t.teardown(async () => {
    await board.close();
    await listener.close();
  });
  board.powerOn();
  const file = programs.file(
    'remote.toml',
    `[boards.lab]\naddress = "rfc2217://127.0.0.1:${listener.endpoint.port}"\nmac = "02ec0e000002"\nwiring = "usb-jtag"\n` +
      '[boards.gone]\naddress = "rfc2217://127.0.0.1:1"\n',
  );
  const { exit, stdout, stderr } = await programs.start([
    'boards',
    '--probe',
    '--json',
    '--registry',
    file,
  ]).ended;
  t.is(exit, 4, 'gone cannot be asked');
  const { boards: shown } = JSON.parse(stdout) as { boards: Record<string, unknown>[] };
  t.like(shown[0], { name: 'lab', foundMac: '02ec0e000007', wiring: 'usb-jtag' });
  t.regex(String(shown[0]!['firmware']), /^\d+\.\d+\.\d+$/);
  t.is(shown[1]!['foundMac'], undefined);
  t.regex(stderr, /another board answers: it has MAC 02ec0e000007, and 02ec0e000002 is expected/);
  t.regex(stderr, /rfc2217:\/\/127\.0\.0\.1:1: .*\w/);
});

test('a busy port is said once for each holder, not with every try', async (t) => {
  const said: string[] = [];
  const busy = (holder: string): PortEvent => {
    const problem = new SerialError(
      'SERIAL_BUSY',
      `/dev/ttyUSB0 is in use by ${holder}.`,
      'Close it.',
    );
    return { type: 'retry', atUs: 0, waitUs: 100_000, problem };
  };
  const access = boardAccess({
    clock: new SystemClock(),
    chosen: { address: '/dev/ttyUSB0', because: 'as asked', identified: false },
    baud: 115_200,
    say: (text) => said.push(text),
    signal: new AbortController().signal,
    openPort: async (_address, { observe }) => {
      for (const holder of ['one', 'one', 'one', 'two', 'two']) observe?.(busy(holder));
      throw busy('two');
    },
  });
  await access.open('/dev/ttyUSB0').catch(() => {});
  t.deepEqual(said, [
    '/dev/ttyUSB0 is in use by one. Trying again for 5 s.',
    '/dev/ttyUSB0 is in use by two. Trying again for 5 s.',
  ]);
});

(overTerminal ? test : test.skip)(
  'R03: a program that opens the port behind us is named when it is asked for',
  async (t) => {
    t.timeout(60_000);
    const clock = new SystemClock();
    const path = join(programs.folder, 'shared');
    const terminal = spawn('socat', ['-', `pty,raw,echo=0,link=${path},wait-slave`], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    t.teardown(() => terminal.kill('SIGKILL'));
    while (!existsSync(path)) await clock.sleep(10_000);
    const access = boardAccess({
      clock,
      chosen: { address: path, because: 'as asked', identified: false },
      baud: 115_200,
      say: () => {},
      signal: new AbortController().signal,
    });
    const port = await access.open(path);
    t.teardown(() => port.close());
    // The terminal itself has its other end.
    const before = access.others() ?? '';
    t.false(before.includes('cat ('), before);
    const thief = spawn('cat', [path], { stdio: ['ignore', 'ignore', 'inherit'] });
    t.teardown(() => thief.kill('SIGKILL'));
    while (access.others()?.includes(`cat (${thief.pid})`) !== true) await clock.sleep(20_000);
    t.regex(access.others()!, /has the port open, too, and may take bytes away\.$/);
  },
);
