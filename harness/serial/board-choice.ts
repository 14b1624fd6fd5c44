/** Which port is meant. It never guesses between two (pitfalls catalogue, R07 and R08). */
import { existsSync } from 'node:fs';
import { BoardError } from './board-error.ts';
import { findBoard, type RegisteredBoard, type Wiring } from './board-registry.ts';
import { macOfPort, type SerialPortInfo } from './port-list.ts';

export interface BoardQuestion {
  /** A name of the registry. */
  readonly name?: string;
  /** A path or an address, as the user wrote it. */
  readonly port?: string;
}

/** What a user writes in the place of a board: a port, an address, or a name of the registry. */
export function boardQuestion(asked: string): BoardQuestion {
  const isPort = /[/\\]|^COM\d+$/i.test(asked) || existsSync(asked);
  return isPort ? { port: asked } : { name: asked };
}

export interface ChosenBoard {
  /** What to open. */
  readonly address: string;
  /** Why this one, for the user: one clause. */
  readonly because: string;
  /** Of the port, where it is local and listed. */
  readonly port?: SerialPortInfo;
  /** How the port reaches the chip; undefined when nothing tells. */
  readonly wiring?: Wiring;
  /** The MAC that the board must show; its boot log has to be compared unless {@link identified}. */
  readonly expectedMac?: string;
  /** The port itself says that it is the board. */
  readonly identified: boolean;
}

export interface Surroundings {
  readonly ports: readonly SerialPortInfo[];
  readonly boards: readonly RegisteredBoard[];
  /** Of the registry, for messages. */
  readonly registryPath: string;
}

/** @throws {BoardError} `BOARD_NOT_FOUND`, `BOARD_AMBIGUOUS`, `BOARD_UNKNOWN`, `BOARD_MISMATCH` */
export function chooseBoard(question: BoardQuestion, around: Surroundings): ChosenBoard {
  const { ports, boards, registryPath } = around;
  const board =
    question.name === undefined ? undefined : findBoard(boards, question.name, registryPath);
  if (question.port !== undefined) return chosenPort(question.port, board, ports);
  if (board?.address !== undefined) {
    return {
      address: board.address,
      because: `the address of ${board.name}`,
      ...(board.wiring !== undefined && { wiring: board.wiring }),
      ...(board.mac !== undefined && { expectedMac: board.mac }),
      identified: false,
    };
  }
  if (board !== undefined) return registeredBoard(board, ports);
  const candidates = ports.filter(isCandidate);
  const [only, another] = candidates;
  if (only === undefined) throw notFound('No port looks like a board', ports);
  if (another !== undefined) {
    throw new BoardError(
      'BOARD_AMBIGUOUS',
      `${candidates.length} ports could be the board:\n${list(candidates)}`,
      'name one with --port, or give it a name: echokit-harness boards add <name> --port <port>',
    );
  }
  return local(only, `the only port that looks like a board (${only.chip.name})`);
}

/** A port that a board of this kind can hang on. */
export function isCandidate({ chip }: SerialPortInfo): boolean {
  return chip.wiring !== 'other';
}

/** One line for a port: what it is, and why it is no candidate. */
export function describePort(port: SerialPortInfo): string {
  const { path, usb, chip, holders } = port;
  const ids = usb === undefined ? '' : ` ${usb.vendorId}:${usb.productId}`;
  const serial = usb?.serialNumber === undefined ? '' : `, serial number ${usb.serialNumber}`;
  const held = holders.map(({ pid, command }) => `, held by ${command} (${pid})`).join('');
  const why = isCandidate(port) ? '' : ' (no known bridge and no ESP32-S3)';
  return `${path}: ${chip.name}${ids}${serial}${held}${why}`;
}

/**
 * Where a port is now that had been there `before`: the same USB device, under whatever name. A device without
 * a serial number is known by the socket it is in.
 *
 * @returns null while it is away, and when several could be it
 */
export function findAgain(before: SerialPortInfo, ports: readonly SerialPortInfo[]): string | null {
  const same = ports.filter(({ path, usb }) => {
    if (before.usb === undefined || usb === undefined) {
      return before.usb === undefined && path === before.path;
    }
    const kind = usb.vendorId === before.usb.vendorId && usb.productId === before.usb.productId;
    const { serialNumber, socket } = before.usb;
    return (
      kind &&
      (serialNumber === undefined ? usb.socket === socket : usb.serialNumber === serialNumber)
    );
  });
  if (same.length <= 1) return same[0]?.path ?? null;
  // Shared serial numbers: the socket tells.
  const there = same.filter(({ usb }) => usb?.socket === before.usb?.socket);
  return there.length === 1 ? there[0]!.path : null;
}

function chosenPort(
  wanted: string,
  board: RegisteredBoard | undefined,
  ports: readonly SerialPortInfo[],
): ChosenBoard {
  const port = ports.find(({ path, byId }) => path === wanted || byId === wanted);
  const mac = port === undefined ? undefined : macOfPort(port);
  const serial = port?.usb?.serialNumber;
  const otherMac = board?.mac !== undefined && mac !== undefined && mac !== board.mac;
  const otherSerial =
    board?.usbSerial !== undefined && serial !== undefined && serial !== board.usbSerial;
  if (board !== undefined && (otherMac || otherSerial)) {
    const here = mac === undefined ? `USB serial number ${serial}` : `MAC ${mac}`;
    const there = otherMac ? `MAC ${board.mac}` : `USB serial number ${board.usbSerial}`;
    throw new BoardError(
      'BOARD_MISMATCH',
      `${wanted} is not ${board.name}: it has ${here}, ${board.name} has ${there}.`,
      'leave out --port, and the board is looked for; or correct boards.toml',
    );
  }
  return {
    address: wanted,
    because: 'as asked',
    ...(port !== undefined && { port }),
    ...(board?.wiring === undefined ? wiringOf(port) : { wiring: board.wiring }),
    ...(board?.mac !== undefined && { expectedMac: board.mac }),
    identified: board?.mac !== undefined && mac === board.mac,
  };
}

function registeredBoard(board: RegisteredBoard, ports: readonly SerialPortInfo[]): ChosenBoard {
  const { name, mac, usbSerial } = board;
  const byMac = mac === undefined ? [] : ports.filter((port) => macOfPort(port) === mac);
  const bySerial =
    usbSerial === undefined ? [] : ports.filter(({ usb }) => usb?.serialNumber === usbSerial);
  const found = byMac.length > 0 ? byMac : bySerial;
  const [port, another] = found;
  if (another !== undefined) {
    throw new BoardError(
      'BOARD_AMBIGUOUS',
      `${found.length} ports have the identity of ${name}; cheap bridges share serial numbers:\n${list(found)}`,
      'unplug the other one, or name the port with --port; its boot log is compared with the MAC',
    );
  }
  if (port !== undefined) {
    const how = byMac.length > 0 ? `MAC ${mac}` : `USB serial number ${usbSerial}`;
    return {
      ...local(port, `${name} by its ${how}`),
      ...(mac !== undefined && { expectedMac: mac }),
      identified: byMac.length > 0,
    };
  }
  if (usbSerial !== undefined)
    throw notFound(`${name} (USB serial number ${usbSerial}) is not here`, ports);
  // Only its MAC is known, and a bridge does not say it: the boot log will.
  const bridges = ports.filter(({ chip }) => chip.wiring === 'bridge');
  const [only, second] = bridges;
  if (only === undefined) throw notFound(`${name} (MAC ${mac}) is not here`, ports);
  if (second !== undefined) {
    throw new BoardError(
      'BOARD_AMBIGUOUS',
      `${name} (MAC ${mac}) could be at ${bridges.length} ports, and a bridge does not say which chip is behind it:\n${list(bridges)}`,
      'echokit-harness boards --probe tells which is which; then name it with --port',
    );
  }
  return {
    ...local(only, `the only bridge; its boot log must show MAC ${mac}`),
    ...(mac !== undefined && { expectedMac: mac }),
  };
}

function local(port: SerialPortInfo, because: string): ChosenBoard {
  return { address: port.path, because, port, ...wiringOf(port), identified: false };
}

function wiringOf(port: SerialPortInfo | undefined): Pick<ChosenBoard, 'wiring'> {
  return port === undefined || port.chip.wiring === 'other' ? {} : { wiring: port.chip.wiring };
}

function notFound(what: string, ports: readonly SerialPortInfo[]): BoardError {
  const seen = ports.length === 0 ? 'This machine has no serial ports.' : `Ports:\n${list(ports)}`;
  return new BoardError(
    'BOARD_NOT_FOUND',
    `${what}. ${seen}`,
    'plug it in with a data cable; in a container pass the device through; --port takes any address',
  );
}

function list(ports: readonly SerialPortInfo[]): string {
  return ports.map((port) => `  ${describePort(port)}`).join('\n');
}
