import { existsSync } from 'node:fs';
import { SystemClock } from '../clock/system-clock.ts';
import { NetworkError } from '../network/network-error.ts';
import { type ListedBoardPort, renderBoardList, type ShownBoard } from '../report/board-list.ts';
import { chooseBoard, isCandidate } from '../serial/board-choice.ts';
import { probeBoard } from '../serial/board-probe.ts';
import {
  addBoard,
  findBoard,
  forgetBoard,
  type RegisteredBoard,
  readRegistry,
  type Wiring,
} from '../serial/board-registry.ts';
import { listPorts, macOfPort, type SerialPortInfo } from '../serial/port-list.ts';
import { SerialError } from '../serial/serial-error.ts';
import type { BoardIdentity } from '../serial/story-event.ts';
import { explainStory } from '../serial/story-text.ts';
import { boardAccess } from './board-access.ts';
import { type RegistryOption, registryPath } from './board-registry-path.ts';
import { exitCode } from './exit-code.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface BoardsOptions extends RegistryOption {
  readonly json?: boolean;
  /** Reset each board that nobody uses, and read who it is. */
  readonly probe?: boolean;
}

export interface BoardsAddOptions extends RegistryOption {
  readonly port?: string;
  readonly mac?: string;
  readonly usbSerial?: string;
  readonly address?: string;
  /** With an address: how the cable there reaches the chip. */
  readonly wiring?: Wiring;
}

/** `boards`: the ports of this machine and the boards that have a name. Opens nothing without `--probe`. */
export async function boardsCommand(terminal: Terminal, options: BoardsOptions): Promise<number> {
  const path = registryPath(options);
  const boards = readRegistry(path);
  const ports = await listPorts();
  const remote = boards.filter((board) => board.address !== undefined);
  const { probes, failed } =
    options.probe === true
      ? await probeAll(terminal, ports, remote)
      : { probes: new Map<string, BoardIdentity>(), failed: 0 };
  const rows = ports.map((port): ListedBoardPort => {
    const probe: BoardIdentity | undefined = probes.get(port.path);
    const mac = probe?.mac ?? macOfPort(port);
    const board = boards.find((candidate) => isAt(candidate, port, mac));
    return {
      ...port,
      ...(mac !== undefined && { mac }),
      ...(probe?.version !== undefined && { firmware: probe.version }),
      ...(board !== undefined && { board: board.name }),
    };
  });
  const shown = boards.map((board): ShownBoard => {
    const probe = board.address === undefined ? undefined : probes.get(board.address);
    return {
      ...board,
      ...(probe?.mac !== undefined && { foundMac: probe.mac }),
      ...(probe?.version !== undefined && { firmware: probe.version }),
    };
  });
  const away = shown.filter(({ name }) => rows.every(({ board }) => board !== name));
  if (options.json === true) {
    terminal.print(
      JSON.stringify({ schemaVersion: 1, registry: path, ports: rows, boards: shown }),
    );
  } else {
    const { color, width } = terminal;
    terminal.print(renderBoardList({ ports: rows, away, registry: path }, { color, width }));
  }
  return failed === 0 ? exitCode.passed : exitCode.environment;
}

/** `boards add`: gives a board a name by what it is. */
export async function boardsAddCommand(
  terminal: Terminal,
  name: string,
  options: BoardsAddOptions,
): Promise<number> {
  const path = registryPath(options);
  const board: RegisteredBoard = {
    name,
    ...(await identityOf(options, path)),
    ...(options.mac !== undefined && { mac: options.mac.replaceAll(/[:-]/g, '').toLowerCase() }),
    ...(options.usbSerial !== undefined && { usbSerial: options.usbSerial }),
    ...(options.address !== undefined && { address: options.address }),
    ...(options.wiring !== undefined && { wiring: options.wiring }),
  };
  addBoard(path, board);
  const { mac, usbSerial, address, wiring } = board;
  const known = [
    ...(mac === undefined ? [] : [`MAC ${mac}`]),
    ...(usbSerial === undefined ? [] : [`USB serial number ${usbSerial}`]),
    ...(address === undefined ? [] : [`address ${address}`]),
    ...(wiring === undefined ? [] : [`wiring ${wiring}`]),
  ];
  terminal.say(`${name}: ${known.join(', ')}, in ${path}`);
  const { port } = options;
  if (port !== undefined && address === undefined && !existsSync(port)) {
    terminal.say(
      `note: ${port} is not there now. Where the board is plugged in does not matter: it is found by what is above`,
    );
  }
  if (mac === undefined && usbSerial !== undefined && /^0*\d{0,4}$/.test(usbSerial)) {
    terminal.say(
      `note: cheap bridges share serial numbers such as ${usbSerial}; --mac tells them apart`,
    );
  }
  return exitCode.passed;
}

/** `boards forget` */
export function boardsForgetCommand(
  terminal: Terminal,
  name: string,
  options: RegistryOption,
): number {
  const path = registryPath(options);
  findBoard(readRegistry(path), name, path);
  forgetBoard(path, name);
  terminal.say(`${name} is no longer in ${path}`);
  return exitCode.passed;
}

/**
 * Opens the ports that look like a board, and the addresses of the registry, one after the other. What cannot be had is said
 * and left out.
 *
 * @returns who is there, by path or address; and how many could not be asked
 */
async function probeAll(
  terminal: Terminal,
  ports: readonly SerialPortInfo[],
  remote: readonly RegisteredBoard[],
): Promise<{ probes: Map<string, BoardIdentity>; failed: number }> {
  const clock = new SystemClock();
  const signal = interruptSignal(terminal, 'stopping before the next port.');
  const found = new Map<string, BoardIdentity>();
  let failed = 0;
  const asked = [
    ...ports
      .filter(isCandidate)
      .map(({ path, holders }) => ({ question: { port: path }, path, holders })),
    ...remote.map(({ name, address }) => ({ question: { name }, path: address!, holders: [] })),
  ];
  for (const { question, path, holders } of asked) {
    if (signal.aborted) break;
    if (holders.length > 0) {
      terminal.say(
        `${path}: not asked, ${holders.map(({ command }) => command).join(', ')} has it`,
      );
      continue;
    }
    terminal.say(`${path}: resetting the board and reading its boot log`);
    const chosen = chooseBoard(question, { ports, boards: remote, registryPath: '' });
    const say = (text: string): void => terminal.say(`${path}: ${text}`);
    const access = boardAccess({ clock, chosen, baud: 115_200, say, signal });
    try {
      const port = await access.open(path);
      try {
        const reset = async (): Promise<void> => void (await access.reset(port));
        const baud = chosen.wiring === 'usb-jtag' ? null : 115_200;
        const { identity, story, complete } = await probeBoard({
          port,
          clock,
          baud,
          reset,
          signal,
        });
        found.set(path, identity);
        const { expectedMac } = chosen;
        if (
          expectedMac !== undefined &&
          identity.mac !== undefined &&
          identity.mac !== expectedMac
        ) {
          say(`another board answers: it has MAC ${identity.mac}, and ${expectedMac} is expected`);
        }
        for (const event of story) {
          const told = explainStory(event);
          if (told?.weight === 'trouble') say(told.text);
        }
        if (!complete) say('the boot log did not name both MAC and firmware');
      } finally {
        await port.close();
      }
    } catch (error) {
      if (!(error instanceof SerialError || error instanceof NetworkError)) throw error;
      failed += 1;
      say(`${error.message} ${error.hint}`);
    }
  }
  return { probes: found, failed };
}

/** What the port says of itself; the only one that looks like a board when none is named. */
async function identityOf(
  { port, mac, usbSerial, address }: BoardsAddOptions,
  registry: string,
): Promise<Partial<RegisteredBoard>> {
  if (port === undefined && (mac ?? usbSerial ?? address) !== undefined) return {};
  if (port?.includes('://') === true) return { address: port };
  const around = { ports: await listPorts(), boards: [], registryPath: registry };
  const chosen = chooseBoard(port === undefined ? {} : { port }, around);
  const portMac = chosen.port === undefined ? undefined : macOfPort(chosen.port);
  const serial = chosen.port?.usb?.serialNumber;
  return {
    ...(portMac !== undefined && { mac: portMac }),
    ...(serial !== undefined && { usbSerial: serial }),
  };
}

function isAt(board: RegisteredBoard, { usb }: SerialPortInfo, mac: string | undefined): boolean {
  if (board.mac !== undefined && mac !== undefined) return board.mac === mac;
  return board.usbSerial !== undefined && board.usbSerial === usb?.serialNumber;
}
