import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { opus, voiceDetection } from '../device/device-bench.contract.ts';
import { diy } from '../device/device-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import type { PortEvent } from '../serial/port-event.ts';
import { listen } from './board-bench.contract.ts';
import { PtyLink } from './pty-link.ts';
import { listenWithRfc2217 } from './rfc2217-server.ts';
import { VirtualBoard, type VirtualBoardOptions } from './virtual-board.ts';

const socat = spawnSync('socat', ['-V']).status === 0;
const serialport = await import('serialport').then(
  () => true,
  () => false,
);
/** Over a real pseudo-terminal, with the real package, in real time. */
const overPty = socat && serialport ? test : test.skip;
if (overPty === test.skip) {
  test('(skipped: ports over a pseudo-terminal)', (t) => {
    t.log(`${socat ? 'serialport' : 'socat'} is not installed: npm install, apt-get install socat`);
    t.pass();
  });
}

const clock = new SystemClock();
const network = new SocketNetwork({ clock, random: createRandom(1, 'network'), outside: [] });

function boardFor(t: ExecutionContext, options: Partial<VirtualBoardOptions> = {}): VirtualBoard {
  const board = new VirtualBoard({
    profile: diy,
    mac: 'a1b2c3d4e5f6',
    // Nobody answers there: the console says so.
    serverUrl: 'ws://127.0.0.1:9/ws/',
    wiring: 'bridge',
    clock,
    dialer: network,
    random: createRandom(1, 'board'),
    opus,
    voiceDetection,
    ...options,
  });
  t.teardown(() => board.close());
  return board;
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-pty-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function open(address: string, observe: (event: PortEvent) => void = () => {}) {
  return openBoardPort(address, { clock, dialer: network, observe });
}

/** Opened, and known to be so at the board: what it prints from now on arrives. */
async function openTo(board: VirtualBoard, address: string) {
  const port = await open(address);
  await until(() => board.attached);
  return listen(port);
}

/** Waits for a condition that events of the machine make true; the test's own limit ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await clock.sleep(2_000);
}

overPty('a board behind a pseudo-terminal: text one way, bytes the other, no lines', async (t) => {
  const input: number[] = [];
  const board = boardFor(t, { onInput: (bytes) => input.push(...bytes) });
  board.powerOn();
  const path = join(folderFor(t), 'board');
  const link = await PtyLink.start({ board, path });
  t.teardown(() => link.close());
  const console = await openTo(board, path);
  t.false(console.port.carriesLines);
  await t.throwsAsync(console.port.setLines({ rts: true }), { code: 'SERIAL_NO_LINES' });
  await console.port.setBaudRate(921_600);
  board.fail('guru-meditation');
  await until(
    () => console.names().includes('rebooting') && console.names().includes('bootloader'),
  );
  t.true(console.names().includes('guru-meditation'));
  const every = Uint8Array.from({ length: 256 }, (_, i) => i);
  await console.port.write(every);
  await until(() => input.length >= 256);
  t.deepEqual(input, [...every]);
  await console.port.close();
});

overPty(
  'R03: a second opening waits, names the holder, and succeeds when the first is killed',
  async (t) => {
    const board = boardFor(t);
    board.powerOn();
    const path = join(folderFor(t), 'board');
    let ready = 0;
    const link = await PtyLink.start({ board, path, onReady: () => (ready += 1) });
    t.teardown(() => link.close());
    const holder: ChildProcess = spawn(
      process.execPath,
      [
        '-e',
        `const { SerialPort } = require('serialport');
     new SerialPort({ path: ${JSON.stringify(path)}, baudRate: 115200 }, (e) => console.log(e ? e.message : 'open')).resume();`,
      ],
      { cwd: new URL('../..', import.meta.url), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    t.teardown(() => holder.kill('SIGKILL'));
    const [said] = (await once(holder.stdout!, 'data')) as [Buffer];
    t.is(said.toString().trim(), 'open');
    const events: PortEvent[] = [];
    const opening = open(path, (event) => {
      events.push(event);
      if (event.type === 'retry') holder.kill('SIGKILL');
    }).catch(async (error: { code?: string }) => {
      // The terminal went with its holder; the next one has the same name.
      t.is(error.code, 'SERIAL_NOT_FOUND');
      await until(() => ready > 1);
      return open(path);
    });
    const port = await opening;
    const retry = events.find((event) => event.type === 'retry');
    t.true(retry !== undefined && retry.type === 'retry');
    if (retry?.type === 'retry') {
      t.is(retry.problem.code, 'SERIAL_BUSY');
      t.true(retry.problem.message.includes(`process ${holder.pid}, `), retry.problem.message);
    }
    await port.close();
  },
);

overPty(
  'R04: who may not open the port learns whose it is and what to do on this machine',
  async (t) => {
    t.timeout(60_000);
    const board = boardFor(t);
    board.powerOn();
    const path = join(folderFor(t), 'board');
    const link = await PtyLink.start({ board, path });
    t.teardown(() => link.close());
    const device = realpathSync(path);
    // Root may open everything, so somebody else tries; anybody else takes away what is his own.
    const isRoot = process.getuid?.() === 0;
    const stranger = isRoot ? { uid: 65_534, gid: 65_534 } : {};
    chmodSync(device, isRoot ? 0o660 : 0);
    const script = `
    import { SystemClock } from './harness/clock/system-clock.ts';
    import { openLocalPort } from './harness/serial/local-port.ts';
    const options = { clock: new SystemClock(), baud: 115200 };
    const problem = await openLocalPort(${JSON.stringify(device)}, options).catch((error) => error);
    console.log(JSON.stringify({ code: problem.code, message: problem.message, hint: problem.hint }));
    process.exit();`;
    const tried = spawnSync(
      process.execPath,
      ['--import=tsx', '--input-type=module', '-e', script],
      {
        cwd: new URL('../..', import.meta.url),
        timeout: 40_000,
        killSignal: 'SIGKILL',
        ...stranger,
      },
    );
    if (isRoot && (tried.error !== undefined || !tried.stdout.toString().startsWith('{'))) {
      // A user namespace without other users, or a checkout that only root may read.
      t.log(`not tried as another user: ${tried.error?.message ?? tried.stderr.toString()}`);
      t.pass();
      return;
    }
    const problem = JSON.parse(tried.stdout.toString()) as Record<string, string>;
    t.is(problem['code'], 'SERIAL_PERMISSION');
    const mode = isRoot ? 'rw-rw----' : '---------';
    t.regex(
      problem['message']!,
      new RegExp(
        `\\S+ may not open ${device}: it belongs to \\S+:\\S+ with mode ${mode}, and \\S+ is in \\S+`,
      ),
    );
    t.regex(
      problem['hint']!,
      /usermod -aG \S+ \S+, then log out|chmod a\+rw|--device \S+ --group-add \d+/,
    );
  },
);

overPty(
  'R05: a port that vanishes is told as gone, and the board comes back under another name',
  async (t) => {
    const board = boardFor(t);
    board.powerOn();
    const path = join(folderFor(t), 'board');
    const ready: string[] = [];
    const link = await PtyLink.start({ board, path, onReady: (at) => ready.push(at) });
    t.teardown(() => link.close());
    const console = await openTo(board, path);
    const goneUs = clock.nowUs();
    board.fail('vanish');
    await until(() => console.gone !== undefined);
    t.is((console.gone as unknown as { code: string }).code, 'SERIAL_GONE');
    await until(() => !existsSync(path));
    await t.throwsAsync(open(path), { code: 'SERIAL_NOT_FOUND' });
    await until(() => ready.includes(`${path}.1`));
    t.true(clock.nowUs() - goneUs >= 1_500_000);
    const back = await openTo(board, `${path}.1`);
    board.fail('task-watchdog');
    await until(() => back.names().includes('task-watchdog'));
    await back.port.close();
  },
);

overPty('a board that is switched off and on has its port under the same path', async (t) => {
  t.timeout(60_000);
  const board = boardFor(t);
  board.powerOn();
  const path = join(folderFor(t), 'board');
  const ready: string[] = [];
  const link = await PtyLink.start({ board, path, onReady: (at) => ready.push(at) });
  t.teardown(() => link.close());
  const console = await openTo(board, path);
  board.powerOff();
  await until(() => console.gone !== undefined && !existsSync(path));
  board.powerOn();
  await until(() => ready.length === 2);
  // At once, too: the old terminal must not take the name of the new one with it.
  board.powerOff();
  board.powerOn();
  await until(() => ready.length === 3);
  t.deepEqual(ready, [path, path, path]);
  const back = await openTo(board, path);
  board.fail('task-watchdog');
  await until(() => back.names().includes('task-watchdog'));
  t.true(existsSync(path));
  await back.port.close();
});

overPty(
  'what is printed while the port is closed is lost, and the port can be opened again',
  async (t) => {
    let resets = 0;
    const board = boardFor(t, {
      observe: ({ type }) => {
        if (type === 'reset') resets += 1;
      },
    });
    board.powerOn();
    const path = join(folderFor(t), 'board');
    let ready = 0;
    const link = await PtyLink.start({ board, path, onReady: () => (ready += 1) });
    t.teardown(() => link.close());
    const first = await openTo(board, path);
    board.fail('task-watchdog');
    await until(() => first.names().includes('task-watchdog'));
    await first.port.close();
    await until(() => ready > 1);
    board.fail('brown-out');
    // It resets when its last word has left.
    await until(() => resets > 1);
    const second = await openTo(board, path);
    board.fail('assert-failed');
    await until(() => second.names().includes('assert-failed'));
    t.false(second.names().includes('brown-out'));
    await second.port.close();
  },
);

overPty('a folder that is not there is told with what socat says', async (t) => {
  const board = boardFor(t);
  board.powerOn();
  const path = join(folderFor(t), 'nowhere', 'board');
  await t.throwsAsync(PtyLink.start({ board, path }), { code: 'PTY_FAILED', message: /nowhere/ });
});

test('a board at a real TCP port: RFC 2217 with its lines in real time', async (t) => {
  const board = boardFor(t);
  const endpoint = { host: '127.0.0.1', port: 0 };
  const listener = await listenWithRfc2217({ network, endpoint, board });
  t.teardown(() => listener.close());
  board.powerOn();
  const console = listen(await open(`rfc2217://127.0.0.1:${listener.endpoint.port}`));
  await console.port.setLines({ rts: true });
  t.is(board.mode, 'held');
  await console.port.close();
  await until(() => board.mode === 'booting');
  t.pass();
});

/** The reference implementation of RFC 2217 for serial ports, if this machine has it. */
const python = process.env['ECHOKIT_PYTHON'] ?? 'python3';
const pyserial = spawnSync(python, ['-c', 'import serial.rfc2217']).status === 0;
const withPyserial = pyserial ? test : test.skip;
if (!pyserial) {
  test('(skipped: pyserial against our server and client)', (t) => {
    t.log(
      'python3 with pyserial is not installed: pip install pyserial, or name one in ECHOKIT_PYTHON',
    );
    t.pass();
  });
}

withPyserial(
  "pyserial's client opens our server, resets the board and reads its banner",
  async (t) => {
    const board = boardFor(t);
    const endpoint = { host: '127.0.0.1', port: 0 };
    const listener = await listenWithRfc2217({ network, endpoint, board });
    t.teardown(() => listener.close());
    board.powerOn();
    const script = `
import serial, sys, time
port = serial.serial_for_url('rfc2217://127.0.0.1:${listener.endpoint.port}', baudrate=115200, timeout=3, do_not_open=True)
port.dtr = False; port.rts = False
port.open()
port.rts = True; time.sleep(0.1); port.reset_input_buffer(); port.rts = False
print(port.read_until(b'Build:Mar 27 2021\\r\\n').decode('latin1')[-60:])
port.close()`;
    const child = spawn(python, ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => output.push(bytes));
    await once(child, 'close');
    t.regex(Buffer.concat(output).toString(), /ESP-ROM:esp32s3-20210327\s+Build:Mar 27 2021/);
  },
);

withPyserial("our client speaks with pyserial's server: baud rate, lines and bytes", async (t) => {
  // A port of the package's own that records what is set, behind its RFC 2217 server.
  const script = `
import serial, serial.rfc2217, socket, sys, threading
class Port(serial.serial_for_url('loop://').__class__):
    def _reconfigure_port(self):
        super()._reconfigure_port()
        print('baud', self.baudrate, flush=True)
    def _update_dtr_state(self): print('dtr', int(self._dtr_state), flush=True)
    def _update_rts_state(self): print('rts', int(self._rts_state), flush=True)
port = Port(); port.port = 'loop://'; port.timeout = 0.05; port.open()
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(1)
print('port', listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
class Wire:
    def write(self, data): peer.sendall(data)
manager = serial.rfc2217.PortManager(port, Wire())
def out():
    while True:
        data = port.read(port.in_waiting or 1)
        if data: peer.sendall(b''.join(manager.escape(data)))
threading.Thread(target=out, daemon=True).start()
while True:
    data = peer.recv(1024)
    if not data: break
    port.write(b''.join(manager.filter(data)))
print('over', flush=True)`;
  const child = spawn(python, ['-u', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill());
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  await until(() => /port \d+\n/.test(said));
  const events: PortEvent[] = [];
  const port = await open(`rfc2217://127.0.0.1:${/port (\d+)/.exec(said)![1]}`, (event) =>
    events.push(event),
  );
  t.regex(said, /dtr 0\nrts 0\n[\s\S]*baud 115200\n/);
  said = '';
  await port.setLines({ dtr: true, rts: true });
  await port.setBaudRate(921_600);
  const echoed: number[] = [];
  port.onBytes((bytes) => echoed.push(...bytes));
  const every = Uint8Array.from({ length: 256 }, (_, i) => i);
  await port.write(every);
  await until(() => echoed.length >= 256);
  t.deepEqual(echoed, [...every]);
  await port.close();
  await until(() => said.includes('over'));
  t.regex(said, /^dtr 1\nrts 1\n[\s\S]*baud 921600\n[\s\S]*dtr 0\nrts 0\n[\s\S]*over\n$/);
  t.deepEqual(
    events.filter(({ type }) => type === 'unacknowledged'),
    [],
  );
});
