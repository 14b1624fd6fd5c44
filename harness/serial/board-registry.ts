/**
 * `boards.toml`: names for boards by what they are, never by the name of a port, which follows the order of
 * plugging (pitfalls catalogue, R07).
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { nearestName } from '../../adapters/nearest-name.ts';
import { writeWhole } from '../files/written-file.ts';
import { parseToml, TomlSyntaxError } from '../toml/toml-document.ts';
import { BoardError } from './board-error.ts';

/** At least one of the first three tells which board it is. */
export interface RegisteredBoard {
  readonly name: string;
  /** MAC of the Wi-Fi station, 12 lower-case hex digits: the device id. */
  readonly mac?: string;
  /** Serial number of its USB device. */
  readonly usbSerial?: string;
  /** `rfc2217://host:port` or `socket://host:port`, for a board that hangs elsewhere. */
  readonly address?: string;
  /** How the cable there reaches the chip, which a network address does not tell; a local port does. */
  readonly wiring?: Wiring;
}

const wirings = ['bridge', 'usb-jtag'] as const;
export type Wiring = (typeof wirings)[number];

const keys = ['mac', 'usb_serial', 'address', 'wiring'] as const;
const namePattern = /^[a-z0-9][a-z0-9_-]{0,39}$/;
const addressPattern = /^(rfc2217|socket):\/\/[^\s/]+:\d{1,5}\/?(\?\S*)?$/;

/**
 * The boards of the file, in its order; none when there is no file.
 *
 * @throws {BoardError} `BOARD_REGISTRY`
 */
export function readRegistry(path: string): RegisteredBoard[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw registryError(`${path} cannot be read: ${(error as Error).message}`, error);
  }
  return parseRegistry(text, path);
}

/**
 * @param path for messages
 * @throws {BoardError} `BOARD_REGISTRY`
 */
export function parseRegistry(text: string, path: string): RegisteredBoard[] {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    throw registryError(`${path}:${error.at.line}:${error.at.column}: ${error.message}`, error);
  }
  const { boards = {}, ...rest } = table;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) throw registryError(`${path}: unknown key ${unknown}`);
  if (!isTable(boards)) throw registryError(`${path}: boards must be tables [boards.<name>]`);
  const read = Object.entries(boards).map(([name, value]): RegisteredBoard => {
    const where = `${path}: board ${name}`;
    if (!isTable(value)) throw registryError(`${where}: a table [boards.${name}] is expected`);
    const odd = Object.keys(value).find((key) => !(keys as readonly string[]).includes(key));
    if (odd !== undefined) {
      throw registryError(`${where}: unknown key ${odd}; a board has ${keys.join(', ')}`);
    }
    const wrong = keys.find((key) => value[key] !== undefined && typeof value[key] !== 'string');
    if (wrong !== undefined) throw registryError(`${where}: ${wrong} must be text`);
    const { mac, usb_serial, address, wiring } = value as Partial<
      Record<(typeof keys)[number], string>
    >;
    const board: RegisteredBoard = {
      name,
      ...(mac !== undefined && { mac: mac.replaceAll(/[:-]/g, '').toLowerCase() }),
      ...(usb_serial !== undefined && { usbSerial: usb_serial }),
      ...(address !== undefined && { address }),
      ...(wiring !== undefined && { wiring: wiring as Wiring }),
    };
    const problem = problemOf(board);
    if (problem !== undefined) throw registryError(`${where}: ${problem}`);
    return board;
  });
  const twin = read.find(
    ({ mac }, i) => mac !== undefined && read.findIndex((b) => b.mac === mac) < i,
  );
  if (twin !== undefined) {
    const first = read.find(({ mac }) => mac === twin.mac)!.name;
    throw registryError(`${path}: ${first} and ${twin.name} have the same MAC ${twin.mac}`);
  }
  return read;
}

/**
 * Enters a board, or replaces the one of that name, and writes the file.
 *
 * @throws {BoardError} `BOARD_ENTRY` when the entry tells no board, `BOARD_REGISTRY`
 */
export function addBoard(path: string, board: RegisteredBoard): void {
  const problem = problemOf(board);
  if (problem !== undefined) {
    const hint =
      'give --mac, --usb-serial, --address, or --port with a port that says what it is; --wiring with an address only';
    throw new BoardError('BOARD_ENTRY', `${board.name} cannot be entered: ${problem}.`, hint);
  }
  const others = readRegistry(path).filter(({ name }) => name !== board.name);
  const twin = others.find(({ mac }) => mac !== undefined && mac === board.mac);
  if (twin !== undefined) {
    throw new BoardError(
      'BOARD_ENTRY',
      `The board with MAC ${board.mac} is called ${twin.name} already.`,
      `boards forget ${twin.name}`,
    );
  }
  writeRegistry(path, [...others, board]);
}

/** @throws {BoardError} `BOARD_UNKNOWN`, `BOARD_REGISTRY` */
export function forgetBoard(path: string, name: string): void {
  const boards = readRegistry(path);
  const board = findBoard(boards, name, path);
  writeRegistry(
    path,
    boards.filter((other) => other !== board),
  );
}

/** @throws {BoardError} `BOARD_UNKNOWN` */
export function findBoard(
  boards: readonly RegisteredBoard[],
  name: string,
  path: string,
): RegisteredBoard {
  const board = boards.find((candidate) => candidate.name === name);
  if (board !== undefined) return board;
  const names = boards.map((candidate) => candidate.name);
  const enter = `enter it: echokit-harness boards add ${name} --port <port>`;
  if (names.length === 0) {
    throw new BoardError(
      'BOARD_UNKNOWN',
      existsSync(path)
        ? `There is no board ${name}: ${path} names none.`
        : `There is no board ${name}: no board has a name yet, ${path} does not exist.`,
      `name its port instead (echokit-harness boards shows them), or ${enter}`,
    );
  }
  const meant = nearestName(name, names);
  throw new BoardError(
    'BOARD_UNKNOWN',
    `There is no board ${name} in ${path}${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
    `known: ${names.join(', ')}; ${enter}`,
  );
}

function writeRegistry(path: string, boards: readonly RegisteredBoard[]): void {
  const quoted = (value: string): string => JSON.stringify(value);
  const tables = boards.map(({ name, mac, usbSerial, address, wiring }) =>
    [
      `[boards.${name}]`,
      ...(mac === undefined ? [] : [`mac = ${quoted(mac)}`]),
      ...(usbSerial === undefined ? [] : [`usb_serial = ${quoted(usbSerial)}`]),
      ...(address === undefined ? [] : [`address = ${quoted(address)}`]),
      ...(wiring === undefined ? [] : [`wiring = ${quoted(wiring)}`]),
    ].join('\n'),
  );
  const head =
    '# Boards of echokit-harness, by what they are. Written by `boards add` and `boards forget`.';
  mkdirSync(dirname(path), { recursive: true });
  writeWhole(path, `${[head, ...tables].join('\n\n')}\n`);
}

function problemOf({ name, mac, usbSerial, address, wiring }: RegisteredBoard): string | undefined {
  if (!namePattern.test(name)) {
    return `"${name}" is no name: lower-case letters, digits, - and _, at most 40`;
  }
  if (mac !== undefined && !/^[0-9a-f]{12}$/.test(mac)) {
    return `mac "${mac}" has not 12 hex digits`;
  }
  if (usbSerial === '') return 'usb_serial is empty';
  if (address !== undefined && !addressPattern.test(address)) {
    return `address "${address}" is not rfc2217://host:port or socket://host:port; local ports change their names, so a board on one has mac or usb_serial`;
  }
  if (mac === undefined && usbSerial === undefined && address === undefined) {
    return 'nothing tells which board it is';
  }
  if (wiring !== undefined && !wirings.includes(wiring)) {
    return `wiring "${wiring}" is not ${wirings.join(' or ')}`;
  }
  if (wiring !== undefined && address === undefined) {
    return 'wiring is for a board at an address; a local port tells its own';
  }
  return undefined;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function registryError(message: string, cause?: unknown): BoardError {
  const hint = 'correct the file, or remove the board with `boards forget`';
  return new BoardError('BOARD_REGISTRY', `${message}.`, hint, cause);
}
