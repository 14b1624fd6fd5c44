/**
 * The serial ports of this machine with what the system knows of them. On Linux it is read from `/sys`,
 * `/dev` and `/proc`, which needs no udev; elsewhere from the package `serialport`.
 */
import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { BoardError } from './board-error.ts';

export interface UsbIdentity {
  /** Four lower-case hex digits each. */
  readonly vendorId: string;
  readonly productId: string;
  /** As the device says it; cheap bridges have none, or all the same. */
  readonly serialNumber?: string;
  readonly manufacturer?: string;
  readonly product?: string;
  /** Bus and sockets, `1-2.3`: stays when a device is plugged into the same socket again. */
  readonly socket?: string;
}

/** What is at the other end of a port, by its USB ids. */
export interface PortChip {
  readonly name: string;
  /**
   * `bridge`: a USB-UART chip in front of UART0. `usb-jtag`: the native USB port of the chip. `other`:
   * no board that this program knows.
   */
  readonly wiring: 'bridge' | 'usb-jtag' | 'other';
}

/** A program that has a port open. */
export interface PortHolder {
  readonly pid: number;
  readonly command: string;
  /** With its arguments, where the system tells them. */
  readonly commandLine?: string;
}

export interface SerialPortInfo {
  /** `/dev/ttyUSB0`, `COM5`. Follows the order of plugging: no identity. */
  readonly path: string;
  /** Below `/dev/serial/by-id`, as far as there is one. */
  readonly byId?: string;
  readonly usb?: UsbIdentity;
  readonly driver?: string;
  readonly chip: PortChip;
  /** Programs that have it open, as far as this user may see. */
  readonly holders: readonly PortHolder[];
}

/** The native USB port of an ESP32-S3; its serial number is the MAC of the chip (section 8.1). */
const nativeUsb = '303a:1001';

const chipNames: Readonly<Record<string, string>> = {
  [nativeUsb]: 'ESP32-S3 USB-Serial-JTAG',
  '10c4:ea60': 'CP210x',
  '10c4:ea70': 'CP2105',
  '10c4:ea71': 'CP2108',
  '1a86:7522': 'CH340',
  '1a86:7523': 'CH340',
  '1a86:5523': 'CH341',
  '1a86:55d2': 'CH9102',
  '1a86:55d3': 'CH343',
  '1a86:55d4': 'CH9102',
  '0403:6001': 'FTDI FT232R',
  '0403:6010': 'FTDI FT2232',
  '0403:6011': 'FTDI FT4232',
  '0403:6014': 'FTDI FT232H',
  '0403:6015': 'FTDI FT-X',
  '067b:2303': 'PL2303',
};

export function chipOf(usb: UsbIdentity | undefined): PortChip {
  if (usb === undefined) return { name: 'no USB device', wiring: 'other' };
  const ids = `${usb.vendorId}:${usb.productId}`;
  const name = chipNames[ids];
  if (ids === nativeUsb) return { name: name!, wiring: 'usb-jtag' };
  if (name !== undefined) return { name, wiring: 'bridge' };
  if (usb.vendorId === '303a')
    return { name: 'Espressif, USB of the application', wiring: 'other' };
  return { name: usb.product ?? 'unknown USB device', wiring: 'other' };
}

/** The MAC of the chip where the port itself says it: 12 lower-case hex digits. */
export function macOfPort({ chip, usb }: SerialPortInfo): string | undefined {
  if (chip.wiring !== 'usb-jtag') return undefined;
  const digits = (usb?.serialNumber ?? '').replaceAll(':', '').toLowerCase();
  return /^[0-9a-f]{12}$/.test(digits) ? digits : undefined;
}

export interface ListOptions {
  /** False: who has them open is not asked, which takes a walk over all processes. */
  readonly holders?: boolean;
}

/** Reads a Linux system; `root` is `/`, or a tree that looks like it. Sorted by path. */
export function listLinuxPorts(
  root = '/',
  { holders: ask = true }: ListOptions = {},
): SerialPortInfo[] {
  const ids = byIds(root);
  const ports = names(join(root, 'sys/class/tty')).flatMap((name): SerialPortInfo[] => {
    const device = real(join(root, 'sys/class/tty', name, 'device'));
    // Without a device it is a terminal of the kernel: console, ptmx, tty1.
    if (device === undefined) return [];
    const path = join('/dev', name);
    const driver = link(join(device, 'driver'));
    const usb = usbOf(device, root);
    // The kernel lists UARTs that the machine may have and does not.
    if (usb === undefined && text(join(root, 'sys/class/tty', name, 'type')) === '0') return [];
    const byId = ids.get(path);
    return [
      {
        path,
        ...(byId !== undefined && { byId }),
        ...(usb !== undefined && { usb }),
        ...(driver !== undefined && { driver: basename(driver) }),
        chip: chipOf(usb),
        holders: [],
      },
    ];
  });
  const holders: ReturnType<typeof holdersOf> = ask
    ? holdersOf(new Set(ports.map(({ path }) => path)), root)
    : new Map();
  return ports
    .map((port) => ({ ...port, holders: holders.get(port.path) ?? [] }))
    .toSorted((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }));
}

/**
 * The ports of this machine.
 *
 * @throws {BoardError} `BOARD_NOT_FOUND` where the package `serialport` is needed and missing
 */
export async function listPorts(options: ListOptions = {}): Promise<SerialPortInfo[]> {
  if (process.platform === 'linux') return listLinuxPorts('/', options);
  try {
    const { SerialPort } = await import('serialport');
    return portsOfPackage(await SerialPort.list());
  } catch (error) {
    throw noList(error as Error);
  }
}

function noList(cause: Error): BoardError {
  const message = `The ports of this machine cannot be listed: ${cause.message}.`;
  const hint = 'npm install serialport; a port can be named without a list: --port';
  return new BoardError('BOARD_NOT_FOUND', message, hint, cause);
}

/** What the package `serialport` says of a port. */
export interface ListedPort {
  readonly path: string;
  readonly manufacturer?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly vendorId?: string | undefined;
  readonly productId?: string | undefined;
}

/** The same from the list of the package `serialport`, for systems that are not Linux. */
export function portsOfPackage(listed: readonly ListedPort[]): SerialPortInfo[] {
  return listed.map(({ path, manufacturer, serialNumber, vendorId, productId }) => {
    const usb: UsbIdentity | undefined =
      vendorId === undefined || productId === undefined
        ? undefined
        : {
            vendorId: vendorId.toLowerCase(),
            productId: productId.toLowerCase(),
            ...(serialNumber !== undefined && { serialNumber }),
            ...(manufacturer !== undefined && { manufacturer }),
          };
    return { path, ...(usb !== undefined && { usb }), chip: chipOf(usb), holders: [] };
  });
}

/** Programs that have these devices open, by path. Those of other users are not seen without being root. */
export function holdersOf(
  paths: ReadonlySet<string>,
  root = '/',
): ReadonlyMap<string, readonly PortHolder[]> {
  const found = new Map<string, PortHolder[]>();
  for (const pid of names(join(root, 'proc')).filter((name) => /^\d+$/.test(name))) {
    const open = new Set(
      names(join(root, 'proc', pid, 'fd')).map((fd) => link(join(root, 'proc', pid, 'fd', fd))),
    );
    for (const path of open) {
      if (path === undefined || !paths.has(path)) continue;
      const command = text(join(root, 'proc', pid, 'comm')) ?? 'unknown';
      const line =
        text(join(root, 'proc', pid, 'cmdline'))
          ?.replaceAll('\0', ' ')
          .trim() ?? '';
      const holder = { pid: Number(pid), command, ...(line !== '' && { commandLine: line }) };
      found.set(path, [...(found.get(path) ?? []), holder]);
    }
  }
  return found;
}

/** Walks up to the USB device that the terminal belongs to. */
function usbOf(device: string, root: string): UsbIdentity | undefined {
  const top = real(join(root, 'sys')) ?? '/';
  for (let folder = device; folder.startsWith(top) && folder !== top; folder = dirname(folder)) {
    const vendorId = text(join(folder, 'idVendor'));
    const productId = text(join(folder, 'idProduct'));
    if (vendorId === undefined || productId === undefined) continue;
    const serialNumber = text(join(folder, 'serial'));
    const manufacturer = text(join(folder, 'manufacturer'));
    const product = text(join(folder, 'product'));
    return {
      vendorId: vendorId.toLowerCase(),
      productId: productId.toLowerCase(),
      ...(serialNumber !== undefined && { serialNumber }),
      ...(manufacturer !== undefined && { manufacturer }),
      ...(product !== undefined && { product }),
      socket: basename(folder),
    };
  }
  return undefined;
}

/** From `/dev/ttyUSB0` to its name below `/dev/serial/by-id`. */
function byIds(root: string): ReadonlyMap<string, string> {
  const folder = join(root, 'dev/serial/by-id');
  return new Map(
    names(folder).flatMap((name): [string, string][] => {
      const target = link(join(folder, name));
      return target === undefined
        ? []
        : [[resolve('/dev/serial/by-id', target), join('/dev/serial/by-id', name)]];
    }),
  );
}

// What vanishes while it is read was unplugged, or is not for this user.
function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function text(path: string): string | undefined {
  try {
    return statSync(path).isFile() ? readFileSync(path, 'utf8').trim() : undefined;
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
