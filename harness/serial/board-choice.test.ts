import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { boardQuestion, chooseBoard, describePort, findAgain } from './board-choice.ts';
import type { BoardError } from './board-error.ts';
import { addBoard, forgetBoard, parseRegistry, readRegistry } from './board-registry.ts';
import { listLinuxPorts, macOfPort, portsOfPackage, type SerialPortInfo } from './port-list.ts';

const root = mkdtempSync(join(tmpdir(), 'echokit-ports-'));
test.after.always(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), `${text}\n`);
}

function symlink(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

/** A USB serial device below the tree, as the kernel lays it out. */
function plug(
  tty: string,
  socket: string,
  files: Readonly<Record<string, string>>,
  options: { readonly driver: string; readonly acm?: boolean },
): void {
  const device = `sys/devices/pci0000:00/usb1/${socket}`;
  for (const [name, value] of Object.entries(files)) write(`${device}/${name}`, value);
  const deep = options.acm === true ? `${socket}:1.0` : `${socket}:1.0/${tty}`;
  mkdirSync(join(root, device, deep, 'tty', tty), { recursive: true });
  symlink(`${device}/${deep}/driver`, `../../../../../bus/usb/drivers/${options.driver}`);
  symlink(`${device}/${deep}/tty/${tty}/device`, options.acm === true ? '../..' : '../..');
  symlink(`sys/class/tty/${tty}`, `../../devices/pci0000:00/usb1/${socket}/${deep}/tty/${tty}`);
}

plug(
  'ttyUSB10',
  '1-2',
  { idVendor: '10c4', idProduct: 'EA60', serial: '0001', product: 'CP2102N' },
  { driver: 'cp210x' },
);
plug('ttyUSB2', '1-3.1', { idVendor: '1a86', idProduct: '7523' }, { driver: 'ch341-uart' });
plug(
  'ttyACM0',
  '1-4',
  { idVendor: '303a', idProduct: '1001', serial: '02:EC:0E:00:00:02', manufacturer: 'Espressif' },
  { driver: 'cdc_acm', acm: true },
);
plug(
  'ttyACM1',
  '1-5',
  { idVendor: '2c7c', idProduct: '0125', product: 'LTE modem' },
  { driver: 'option', acm: true },
);
// What a machine has besides: a UART on the board, one that is not there, terminals.
mkdirSync(join(root, 'sys/devices/pnp0/tty/ttyS0'), { recursive: true });
write('sys/devices/pnp0/tty/ttyS0/type', '4');
symlink('sys/devices/pnp0/tty/ttyS0/device', '../..');
symlink('sys/class/tty/ttyS0', '../../devices/pnp0/tty/ttyS0');
mkdirSync(join(root, 'sys/devices/platform/tty/ttyS1'), { recursive: true });
write('sys/devices/platform/tty/ttyS1/type', '0');
symlink('sys/devices/platform/tty/ttyS1/device', '../..');
symlink('sys/class/tty/ttyS1', '../../devices/platform/tty/ttyS1');
mkdirSync(join(root, 'sys/class/tty/tty1'), { recursive: true });
symlink('dev/serial/by-id/usb-Silicon_Labs_CP2102N_0001-if00-port0', '../../ttyUSB10');
write('proc/4321/comm', 'minicom');
symlink('proc/4321/fd/3', '/dev/ttyUSB2');
symlink('proc/4321/fd/0', '/dev/pts/1');

const ports = listLinuxPorts(root);
const only = (...paths: readonly string[]): SerialPortInfo[] =>
  ports.filter(({ path }) => paths.includes(path));
const around = (...paths: readonly string[]) => ({
  ports: only(...paths),
  boards: parseRegistry(
    `[boards.kitchen]
     mac = "02:EC:0E:00:00:02"
     [boards.desk]
     usb_serial = "0001"
     [boards.shelf]
     mac = "02ec0e000099"
     [boards.lab]
     address = "rfc2217://lab.example:4000"
     mac = "02ec0e0000aa"`,
    'boards.toml',
  ),
  registryPath: 'boards.toml',
});

test('ports are listed from the system alone: chip, ids, serial number, socket, driver, holder', (t) => {
  t.deepEqual(
    ports.map(({ path }) => path),
    ['/dev/ttyACM0', '/dev/ttyACM1', '/dev/ttyS0', '/dev/ttyUSB2', '/dev/ttyUSB10'],
  );
  t.deepEqual(only('/dev/ttyUSB10'), [
    {
      path: '/dev/ttyUSB10',
      byId: '/dev/serial/by-id/usb-Silicon_Labs_CP2102N_0001-if00-port0',
      usb: {
        vendorId: '10c4',
        productId: 'ea60',
        serialNumber: '0001',
        product: 'CP2102N',
        socket: '1-2',
      },
      driver: 'cp210x',
      chip: { name: 'CP210x', wiring: 'bridge' },
      holders: [],
    },
  ]);
  t.deepEqual(only('/dev/ttyUSB2')[0]?.holders, [{ pid: 4321, command: 'minicom' }]);
  t.is(only('/dev/ttyUSB2')[0]?.usb?.socket, '1-3.1');
  t.is(only('/dev/ttyACM0')[0]?.chip.wiring, 'usb-jtag');
  t.is(macOfPort(only('/dev/ttyACM0')[0]!), '02ec0e000002');
  t.is(macOfPort(only('/dev/ttyUSB10')[0]!), undefined);
  t.is(only('/dev/ttyS0')[0]?.usb, undefined);
});

test('a system without any of it has no ports, and nothing throws', (t) => {
  t.deepEqual(listLinuxPorts(join(root, 'nowhere')), []);
});

test('the list of the package has the same form', (t) => {
  const [port, plain] = portsOfPackage([
    { path: 'COM5', vendorId: '303A', productId: '1001', serialNumber: '02:EC:0E:00:00:02' },
    { path: 'COM1' },
  ]);
  t.is(port?.chip.wiring, 'usb-jtag');
  t.is(macOfPort(port!), '02ec0e000002');
  t.is(plain?.chip.wiring, 'other');
});

test('R08: one port that looks like a board is taken, and it says why', (t) => {
  const chosen = chooseBoard({}, around('/dev/ttyUSB10', '/dev/ttyS0', '/dev/ttyACM1'));
  t.is(chosen.address, '/dev/ttyUSB10');
  t.is(chosen.wiring, 'bridge');
  t.regex(chosen.because, /only port that looks like a board \(CP210x\)/);
});

test('R08: between two it refuses to guess and lists both, a modem is not among them', (t) => {
  const error = t.throws<BoardError>(() =>
    chooseBoard({}, around('/dev/ttyUSB2', '/dev/ttyUSB10', '/dev/ttyACM1')),
  )!;
  t.is(error.code, 'BOARD_AMBIGUOUS');
  t.true(error.message.includes('/dev/ttyUSB10: CP210x 10c4:ea60, serial number 0001'));
  t.true(error.message.includes('/dev/ttyUSB2: CH340 1a86:7523, held by minicom (4321)'));
  t.false(error.message.includes('ttyACM1'));
  t.regex(error.hint, /--port/);
});

test('none is an error that lists what is there and why it is none', (t) => {
  const error = t.throws<BoardError>(() => chooseBoard({}, around('/dev/ttyACM1', '/dev/ttyS0')))!;
  t.is(error.code, 'BOARD_NOT_FOUND');
  t.true(error.message.includes('/dev/ttyACM1: LTE modem 2c7c:0125 (no known bridge'));
  t.regex(t.throws<BoardError>(() => chooseBoard({}, around()))!.message, /no serial ports/);
});

test('R07: a name finds its board under whatever port it has now', (t) => {
  const kitchen = chooseBoard({ name: 'kitchen' }, around(...ports.map(({ path }) => path)));
  t.like(kitchen, { address: '/dev/ttyACM0', wiring: 'usb-jtag', identified: true });
  const desk = chooseBoard({ name: 'desk' }, around(...ports.map(({ path }) => path)));
  t.like(desk, { address: '/dev/ttyUSB10', wiring: 'bridge', identified: false });
  const lab = chooseBoard({ name: 'lab' }, around());
  t.like(lab, { address: 'rfc2217://lab.example:4000', expectedMac: '02ec0e0000aa' });
});

test('R07: a board known by its MAC behind one bridge must show it, behind two it is not guessed', (t) => {
  const one = chooseBoard({ name: 'shelf' }, around('/dev/ttyUSB2'));
  t.like(one, { address: '/dev/ttyUSB2', expectedMac: '02ec0e000099', identified: false });
  const two = t.throws<BoardError>(() =>
    chooseBoard({ name: 'shelf' }, around('/dev/ttyUSB2', '/dev/ttyUSB10')),
  )!;
  t.is(two.code, 'BOARD_AMBIGUOUS');
  t.regex(two.hint, /--probe/);
  // The native port of another chip is not taken for it.
  const other = t.throws<BoardError>(() => chooseBoard({ name: 'shelf' }, around('/dev/ttyACM0')))!;
  t.is(other.code, 'BOARD_NOT_FOUND');
});

test('R07: a named board at a port that says it is another one is refused', (t) => {
  const error = t.throws<BoardError>(() =>
    chooseBoard({ name: 'shelf', port: '/dev/ttyACM0' }, around('/dev/ttyACM0')),
  )!;
  t.is(error.code, 'BOARD_MISMATCH');
  t.regex(error.message, /MAC 02ec0e000002, shelf has MAC 02ec0e000099/);
  const desk = t.throws<BoardError>(() =>
    chooseBoard({ name: 'desk', port: '/dev/ttyACM0' }, around('/dev/ttyACM0')),
  )!;
  t.is(desk.code, 'BOARD_MISMATCH');
});

test('R05: a port is found again by its USB device, under whatever name', (t) => {
  const [jtag] = only('/dev/ttyACM0');
  const renamed = { ...jtag!, path: '/dev/ttyACM7' };
  t.is(findAgain(jtag!, [renamed, ...only('/dev/ttyUSB10')]), '/dev/ttyACM7');
  t.is(findAgain(jtag!, only('/dev/ttyUSB10', '/dev/ttyACM1')), null);
  // Without a serial number the socket tells.
  const [ch340] = only('/dev/ttyUSB2');
  const elsewhere = { ...ch340!, path: '/dev/ttyUSB3', usb: { ...ch340!.usb!, socket: '1-7' } };
  t.is(findAgain(ch340!, [elsewhere]), null);
  t.is(findAgain(ch340!, [elsewhere, { ...ch340!, path: '/dev/ttyUSB9' }]), '/dev/ttyUSB9');
  // With a shared one, too.
  const [clone] = only('/dev/ttyUSB10');
  const twin = { ...clone!, path: '/dev/ttyUSB11', usb: { ...clone!.usb!, socket: '1-8' } };
  t.is(findAgain(clone!, [twin, { ...clone!, path: '/dev/ttyUSB12' }]), '/dev/ttyUSB12');
  t.is(findAgain(only('/dev/ttyS0')[0]!, ports), '/dev/ttyS0');
});

test('R07: bridges that share a serial number are ambiguous', (t) => {
  const [port] = only('/dev/ttyUSB10');
  const twins = { ...around(), ports: [port!, { ...port!, path: '/dev/ttyUSB11' }] };
  const error = t.throws<BoardError>(() => chooseBoard({ name: 'desk' }, twins))!;
  t.is(error.code, 'BOARD_AMBIGUOUS');
  t.regex(error.message, /share serial numbers/);
});

test('a port that was named is taken as it is, also by its name below by-id and when it is not listed', (t) => {
  const byId = only('/dev/ttyUSB10')[0]!.byId!;
  t.like(chooseBoard({ port: byId }, around('/dev/ttyUSB10')), { address: byId, wiring: 'bridge' });
  const free = chooseBoard({ port: 'socket://127.0.0.1:5000' }, around());
  t.like(free, { address: 'socket://127.0.0.1:5000', because: 'as asked' });
  t.is(free.wiring, undefined);
  t.regex(describePort(only('/dev/ttyS0')[0]!), /no USB device \(no known bridge/);
});

test('boards are entered, replaced, forgotten, and read again as they were', (t) => {
  const path = join(root, 'config/boards.toml');
  t.deepEqual(readRegistry(path), []);
  addBoard(path, { name: 'kitchen', mac: '02ec0e000002', usbSerial: '02:EC:0E:00:00:02' });
  addBoard(path, { name: 'lab', address: 'socket://127.0.0.1:5000' });
  addBoard(path, { name: 'kitchen', mac: '02ec0e000003' });
  t.deepEqual(readRegistry(path), [
    { name: 'lab', address: 'socket://127.0.0.1:5000' },
    { name: 'kitchen', mac: '02ec0e000003' },
  ]);
  t.is(
    t.throws<BoardError>(() => addBoard(path, { name: 'twin', mac: '02ec0e000003' }))?.code,
    'BOARD_ENTRY',
  );
  forgetBoard(path, 'lab');
  t.deepEqual(
    readRegistry(path).map(({ name }) => name),
    ['kitchen'],
  );
  const unknown = t.throws<BoardError>(() => forgetBoard(path, 'lab'))!;
  t.is(unknown.code, 'BOARD_UNKNOWN');
  t.regex(unknown.hint, /known: kitchen/);
  const mistyped = t.throws<BoardError>(() =>
    chooseBoard(
      { name: 'kitchn' },
      { ...around(), boards: readRegistry(path), registryPath: path },
    ),
  )!;
  t.regex(mistyped.message, /There is no board kitchn in .*; did you mean kitchen\?$/);
  const nowhere = join(root, 'config/none.toml');
  const none = t.throws<BoardError>(() =>
    chooseBoard({ name: 'kitchn' }, { ...around(), boards: [], registryPath: nowhere }),
  )!;
  t.is(
    none.message,
    `There is no board kitchn: no board has a name yet, ${nowhere} does not exist.`,
  );
  t.regex(none.hint, /echokit-harness boards shows them.*boards add kitchn --port/);
});

test('the registry keeps how the cable reaches a chip behind an address, and nothing else has to', (t) => {
  const path = join(root, 'config/wiring.toml');
  const lab = { name: 'lab', address: 'rfc2217://lab:4000', wiring: 'usb-jtag' } as const;
  addBoard(path, lab);
  t.deepEqual(readRegistry(path), [lab]);
  const at = { ...around(), boards: readRegistry(path), registryPath: path };
  t.is(chooseBoard({ name: 'lab' }, at).wiring, 'usb-jtag');
  t.is(chooseBoard({ name: 'lab', port: 'rfc2217://127.0.0.1:4001' }, at).wiring, 'usb-jtag');
  const local = () => addBoard(path, { name: 'desk', mac: '02ec0e000002', wiring: 'bridge' });
  t.regex(t.throws<BoardError>(local)!.message, /wiring is for a board at an address/);
  const odd = () =>
    parseRegistry(`[boards.a]\naddress = "socket://a:1"\nwiring = "usb"`, 'boards.toml');
  t.regex(t.throws<BoardError>(odd)!.message, /wiring "usb" is not bridge or usb-jtag/);
});

test('in the place of a name stands a port when it looks like one, or is a file', (t) => {
  for (const port of ['/dev/ttyACM0', 'COM3', 'com12', 'rfc2217://lab:4000', 'package.json']) {
    t.deepEqual(boardQuestion(port), { port });
  }
  t.deepEqual(boardQuestion('kitchen'), { name: 'kitchen' });
});

test('a registry that names no identity, or a port, is refused with its place', (t) => {
  const codes = (text: string) => {
    const error = t.throws<BoardError>(() => parseRegistry(text, 'boards.toml'))!;
    t.is(error.code, 'BOARD_REGISTRY', text);
    return error.message;
  };
  t.regex(codes('[boards.a]'), /board a: nothing tells which board/);
  t.regex(codes('[boards.a]\naddress = "/dev/ttyUSB0"'), /local ports change their names/);
  t.regex(codes('[boards.a]\nport = "/dev/ttyUSB0"'), /unknown key port/);
  t.regex(codes('[boards.a]\nmac = "12"'), /12 hex digits/);
  t.regex(codes('[boards.a]\nmac = 12'), /mac must be text/);
  t.regex(codes('[boards."A B"]\nusb_serial = "1"'), /is no name/);
  t.regex(codes('[board.a]'), /unknown key board/);
  t.regex(codes('boards = 1'), /tables/);
  t.regex(
    codes('[boards.a]\nmac = "02ec0e000002"\n[boards.b]\nmac = "02-ec-0e-00-00-02"'),
    /same MAC/,
  );
  t.regex(codes('[boards.a\n'), /boards\.toml:1:\d+/);
});
