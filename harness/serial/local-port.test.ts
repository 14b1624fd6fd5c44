import { EventEmitter } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import {
  type LocalPortOptions,
  openLocalPort,
  packageMissing,
  type SystemPort,
  type SystemPortClass,
  type SystemPortOptions,
} from './local-port.ts';
import { portPermission, similarPorts } from './local-system.ts';
import type { PortEvent } from './port-event.ts';
import type { SerialError } from './serial-error.ts';

type Done = (error: Error | null) => void;

/** What the package would do, call by call. */
interface Script {
  /** Errors of the first tries; then it opens. */
  openErrors: (string | undefined)[];
  setError?: string;
  updateError?: string;
  neverWrites?: boolean;
  device?: { fd: number; poller: EventEmitter };
}

class PlannedPort implements SystemPort {
  isOpen = false;
  readonly calls: string[] = [];
  readonly listeners = new Map<string, ((value: never) => void)[]>();
  readonly script: Script;
  readonly options: SystemPortOptions;
  readonly port: Script['device'];

  constructor(options: SystemPortOptions, script: Script) {
    this.options = options;
    this.script = script;
    this.port = script.device;
  }

  #done(done: Done, error: string | undefined): void {
    queueMicrotask(() => done(error === undefined ? null : new Error(error)));
  }
  open(done: Done): void {
    const error = this.script.openErrors.shift();
    this.isOpen = error === undefined;
    this.#done(done, error);
  }
  close(done: Done): void {
    this.calls.push('close');
    this.isOpen = false;
    this.#done(done, undefined);
  }
  set(lines: { dtr: boolean; rts: boolean }, done: Done): void {
    this.calls.push(`set ${Number(lines.dtr)}${Number(lines.rts)}`);
    this.#done(done, this.script.setError);
  }
  update({ baudRate }: { baudRate: number }, done: Done): void {
    this.calls.push(`baud ${baudRate}`);
    this.#done(done, this.script.updateError);
  }
  write(_bytes: Uint8Array, done: (error: Error | null | undefined) => void): boolean {
    if (this.script.neverWrites !== true) queueMicrotask(() => done(null));
    return true;
  }
  on(event: string, listener: (value: never) => void): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }
  emit(event: string, value: unknown): void {
    for (const listener of this.listeners.get(event) ?? []) listener(value as never);
  }
}

class Planned {
  readonly clock = new SimulatedClock();
  readonly ports: PlannedPort[] = [];
  readonly events: PortEvent[] = [];
  readonly script: Script;

  constructor(script: Partial<Script> = {}) {
    this.script = { openErrors: [], ...script };
  }

  open(path = '/dev/ttyUSB0', options: Partial<LocalPortOptions> = {}) {
    const { ports, script } = this;
    class Port extends PlannedPort {
      constructor(given: SystemPortOptions) {
        super(given, script);
        ports.push(this);
      }
    }
    return openLocalPort(path, {
      clock: this.clock,
      baud: 115_200,
      load: async () => Port as SystemPortClass,
      observe: (event) => this.events.push(event),
      ...options,
    });
  }

  async problem(path?: string, options?: Partial<LocalPortOptions>): Promise<SerialError> {
    return this.clock.run(
      this.open(path, options).then(
        () => Promise.reject(new Error('it was opened')),
        (error: SerialError) => error,
      ),
    );
  }
}

const busyWords = 'Error Resource temporarily unavailable Cannot lock port';

test('a port is opened with both lines off, and closed so', async (t) => {
  const planned = new Planned();
  const port = await planned.clock.run(planned.open());
  t.true(port.carriesLines);
  await port.setLines({ dtr: true });
  await port.setLines({ rts: true });
  await port.close();
  await port.close();
  t.deepEqual(planned.ports[0]!.calls, ['set 00', 'set 10', 'set 11', 'set 00', 'close']);
  await t.throwsAsync(port.write(Uint8Array.of(1)), { code: 'SERIAL_GONE' });
});

test('lines that a pseudo-terminal refuses are a port without lines', async (t) => {
  const planned = new Planned({ setError: 'Error: Inappropriate ioctl for device, cannot set' });
  const port = await planned.clock.run(planned.open());
  t.false(port.carriesLines);
  await t.throwsAsync(port.setLines({ rts: true }), { code: 'SERIAL_NO_LINES' });
  await port.close();
  t.deepEqual(planned.ports[0]!.calls, ['set 00', 'close']);
});

test('R03: a busy port is tried again with growing pauses, and had when it is free', async (t) => {
  const planned = new Planned({ openErrors: [busyWords, busyWords, busyWords] });
  await planned.clock.run(planned.open());
  t.deepEqual(
    planned.events.map((event) => event.type === 'retry' && [event.atUs, event.waitUs]),
    [
      [0, 100_000],
      [100_000, 200_000],
      [300_000, 400_000],
    ],
  );
});

test('R03: after 5 s it is busy', async (t) => {
  const planned = new Planned({ openErrors: new Array(20).fill(busyWords) });
  const error = await planned.problem();
  t.is(error.code, 'SERIAL_BUSY');
  t.is(planned.clock.nowUs(), 5_000_000);
});

test('R03: who holds the port is named with its pid and command', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'echokit-proc-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const process = (pid: number, command: string, ...open: string[]) => {
    mkdirSync(join(root, 'proc', `${pid}`, 'fd'), { recursive: true });
    writeFileSync(join(root, 'proc', `${pid}`, 'cmdline'), command);
    for (const [fd, target] of open.entries()) {
      symlinkSync(target, join(root, 'proc', `${pid}`, 'fd', `${fd}`));
    }
  };
  process(4321, 'python3\0-m\0serial.tools.miniterm\0/dev/pts/77\0', '/dev/null', '/dev/pts/77');
  process(4322, 'bash\0', '/dev/pts/7');
  const planned = new Planned({ openErrors: new Array(20).fill(busyWords) });
  const user = { name: 'lee', uid: 1000, groups: [] };
  const error = await planned.problem('/dev/pts/77', {
    system: { platform: 'linux', root, user },
  });
  t.is(
    error.message,
    '/dev/pts/77 is in use by process 4321, python3 -m serial.tools.miniterm /dev/pts/77 ' +
      '(Resource temporarily unavailable Cannot lock port).',
  );
  const free = new Planned();
  await free.clock.run(free.open('/dev/pts/77', { system: { platform: 'linux', root, user } }));
  t.like(free.events[0], { type: 'shared', holders: [{ pid: 4321 }] });
});

test('R04: who may not open a port learns whose it is, and the command of this machine', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'echokit-etc-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'etc'));
  const path = join(root, 'ttyUSB0');
  writeFileSync(path, '');
  chmodSync(path, 0o660);
  // Only root can give it to a group of its own, and not where that group is unknown (a user namespace).
  try {
    chownSync(path, 0, 20);
  } catch {
    // It stays with the group of whoever runs this.
  }
  const { uid, gid } = statSync(path);
  writeFileSync(join(root, 'etc/passwd'), `owner:x:${uid}:${gid}::/:/bin/sh\n`);
  // The group of the file is what the running user has; only its name is made up.
  const port = gid === 0 ? 'root' : 'dialout';
  writeFileSync(join(root, 'etc/group'), `${port}:x:${gid}:\nusers:x:2000:\n`);
  const system = {
    platform: 'linux',
    root,
    user: { name: 'lee', uid: 1000, groups: [2000] },
  } as const;
  const planned = new Planned({ openErrors: [`Error: Permission denied, cannot open ${path}`] });
  const error = await planned.problem(path, { system });
  t.is(error.code, 'SERIAL_PERMISSION');
  t.is(
    error.message,
    `lee may not open ${path}: it belongs to owner:${port} with mode rw-rw----, and lee is in users.`,
  );
  writeFileSync(join(root, '.dockerenv'), '');
  t.is(
    portPermission(path, system)!.remedy,
    `This is a container: start it with --device ${path} --group-add ${gid}.`,
  );
  rmSync(join(root, '.dockerenv'));
  if (gid !== 0) {
    t.is(
      portPermission(path, system)!.remedy,
      'sudo usermod -aG dialout lee, then log out and in again (or for this terminal: newgrp dialout).',
    );
  } else {
    t.regex(portPermission(path, system)!.remedy, /sudo chmod a\+rw/);
  }
});

test('on Windows "Access denied" is a port in use', async (t) => {
  const words = 'Opening COM3: Access denied';
  const planned = new Planned({ openErrors: new Array(20).fill(words) });
  const user = { name: 'lee', uid: -1, groups: [] };
  const system = { platform: 'win32', root: '', user } as const;
  t.is((await planned.problem('COM3', { system })).code, 'SERIAL_BUSY');
});

test('a port that is not there: ports like it are named', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'echokit-dev-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'dev/serial/by-id'), { recursive: true });
  for (const name of ['ttyUSB1', 'ttyACM0', 'tty7', 'null']) {
    writeFileSync(join(root, 'dev', name), '');
  }
  writeFileSync(join(root, 'dev/serial/by-id/usb-Silicon_Labs_CP2102N-if00'), '');
  const user = { name: 'lee', uid: 1000, groups: [] };
  const system = { platform: 'linux', root, user } as const;
  t.deepEqual(similarPorts('/dev/ttyUSB0', system), [
    '/dev/ttyACM0',
    '/dev/ttyUSB1',
    '/dev/serial/by-id/usb-Silicon_Labs_CP2102N-if00',
  ]);
  const words = 'Error: No such file or directory, cannot open /dev/ttyUSB0';
  const error = await new Planned({ openErrors: [words] }).problem('/dev/ttyUSB0', { system });
  t.is(error.code, 'SERIAL_NOT_FOUND');
  t.regex(error.hint, /^Ports that are there: \/dev\/ttyACM0, /);
});

for (const [words, code] of [
  [
    'Error: Inappropriate ioctl for device setting custom baud rate of 115200',
    'SERIAL_OPEN_FAILED',
  ],
  ['Error: Invalid argument setting custom baud rate of 12345678', 'SERIAL_BAUD_RATE'],
  ['Error: Is a directory, cannot open /dev', 'SERIAL_OPEN_FAILED'],
  ['Error: Device or resource busy, cannot open /dev/ttyUSB0', 'SERIAL_BUSY'],
  ['Error: No such device or address, cannot open /dev/ttyS9', 'SERIAL_NOT_FOUND'],
] as const) {
  test(`"${words}" is ${code}`, async (t) => {
    const planned = new Planned({ openErrors: new Array(20).fill(words) });
    const error = await planned.problem();
    t.is(error.code, code);
    t.true(error.message.includes('/dev/ttyUSB0'));
    t.not(error.hint, '');
  });
}

test('a baud rate that is none, or that the port refuses, is told with the number', async (t) => {
  const refused = new Planned({ updateError: 'Error: Invalid argument' });
  const port = await refused.clock.run(refused.open());
  await t.throwsAsync(port.setBaudRate(9), { code: 'SERIAL_BAUD_RATE', message: /9 baud/ });
  await t.throwsAsync(port.setBaudRate(1.5), { code: 'SERIAL_BAUD_RATE' });
  t.is((await new Planned().problem('/dev/ttyUSB0', { baud: 0 })).code, 'SERIAL_BAUD_RATE');
});

test('a port that vanishes is told once, ends what waits for it, and is closed without a word', async (t) => {
  const planned = new Planned({ neverWrites: true });
  const port = await planned.clock.run(planned.open());
  const told: Error[] = [];
  port.onGone((problem) => told.push(problem));
  const writing = t.throwsAsync(port.write(Uint8Array.of(1)), { code: 'SERIAL_GONE' });
  await Promise.resolve();
  const system = planned.ports[0]!;
  system.isOpen = false;
  system.emit('close', Object.assign(new Error('bad file descriptor'), { disconnected: true }));
  system.emit('error', new Error('bad file descriptor'));
  await writing;
  t.is(told.length, 1);
  t.is(told[0]!.message, '/dev/ttyUSB0 is gone: bad file descriptor.');
  await port.close();
  t.deepEqual(system.calls, ['set 00']);
});

test('what the poller announces is read there and then; nothing more to come is the end of the port', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-fd-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'terminal');
  writeFileSync(file, 'I (1) x: y\r\n');
  const fd = openSync(file, 'r');
  t.teardown(() => closeSync(fd));
  const poller = new EventEmitter();
  const planned = new Planned({ device: { fd, poller } });
  const port = await planned.clock.run(planned.open());
  const got: [string, number][] = [];
  const told: Error[] = [];
  port.onBytes((bytes, atUs) => got.push([Buffer.from(bytes).toString(), atUs]));
  port.onGone((problem) => told.push(problem));
  await planned.clock.run(planned.clock.sleep(7_000));
  // An error is the business of the package.
  poller.emit('readable', new Error('Canceled'));
  t.deepEqual(got, []);
  poller.emit('readable', null);
  t.deepEqual(got, [['I (1) x: y\r\n', 7_000]]);
  t.deepEqual(told, []);
  poller.emit('readable', null);
  t.regex(told[0]!.message, /is gone: the other end has hung up/);
});

test('what arrives before somebody listens is kept, with its instants', async (t) => {
  const planned = new Planned();
  const port = await planned.clock.run(planned.open());
  planned.ports[0]!.emit('data', Buffer.from([1, 2]));
  await planned.clock.run(planned.clock.sleep(1_000));
  planned.ports[0]!.emit('data', Buffer.from([3]));
  const got: [number[], number][] = [];
  port.onBytes((bytes, atUs) => got.push([[...bytes], atUs]));
  planned.ports[0]!.emit('data', Buffer.from([4]));
  t.deepEqual(got, [
    [[1, 2], 0],
    [[3], 1_000],
    [[4], 1_000],
  ]);
});

test('without the package the words name the command that installs it', async (t) => {
  const planned = new Planned();
  const error = await planned.problem('/dev/ttyUSB0', {
    load: () => Promise.reject(packageMissing(new Error('Cannot find package'))),
  });
  t.is(error.code, 'SERIAL_PACKAGE_MISSING');
  t.regex(error.hint, /^npm install serialport/);
});
