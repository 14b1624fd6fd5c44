/** Opens and resets boards for the commands: addresses to ports, over the sockets that the user has named. */
import { existsSync } from 'node:fs';
import type { Clock } from '../clock/clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { Endpoint } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { parseBoardAddress } from '../serial/board-address.ts';
import { boardQuestion, type ChosenBoard, chooseBoard, findAgain } from '../serial/board-choice.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { readRegistry, type Wiring } from '../serial/board-registry.ts';
import type { ConsoleSession } from '../serial/console-session.ts';
import { busyLimitUs } from '../serial/local-port.ts';
import { portHolders, thisSystem } from '../serial/local-system.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import type { PortEvent } from '../serial/port-event.ts';
import { listPorts, type PortHolder } from '../serial/port-list.ts';
import { describeReset, resetBoard } from '../serial/reset-run.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import { SerialError } from '../serial/serial-error.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { type RegistryOption, registryPath } from './board-registry-path.ts';
import { LineFilter } from './line-filter.ts';
import { MonitorOutput, type TimestampKind } from './monitor-output.ts';
import { namedSecrets } from './named-secrets.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface BoardAccess {
  open(address: string): Promise<BoardPort>;
  /** Restarts the board in run mode; says how it went. */
  reset(port: BoardPort): Promise<string>;
  /** Where the board is now, by what it is; null while it is away. */
  locate(): Promise<string | null>;
  /** Programs that have the board's port open beside this one, in words; undefined when none is seen. */
  others(): string | undefined;
}

export interface BoardAccessOptions {
  readonly clock: Clock;
  readonly chosen: ChosenBoard;
  readonly baud: number;
  /** Worth a remark: a busy port that is tried again, a program that has it open, too. */
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
  /** For tests. */
  readonly openPort?: typeof openBoardPort;
}

/** What the commands have in common that show the console of a board until Ctrl-C. */
export interface BoardConsoleOptions extends RegistryOption {
  readonly port?: string;
  readonly baud: number;
  readonly json?: boolean;
  readonly filter?: string;
  readonly level?: string;
  readonly timestamps: TimestampKind;
  /** No remarks on stderr but errors. */
  readonly quiet?: boolean;
  /** Values that no output may have, or `${NAME}` for variables of the environment. */
  readonly secret: readonly string[];
}

export interface BoardConsole {
  readonly clock: SystemClock;
  readonly chosen: ChosenBoard;
  /** Ctrl-C, or nobody reads the output any more. */
  readonly stop: AbortSignal;
  readonly access: BoardAccess;
  readonly output: MonitorOutput;
  /** What was named as secret; whoever reads the console needs it. */
  readonly secrets: readonly string[];
  readonly mask: SecretMask;
  /** A remark of the command. */
  say(text: string): void;
}

/**
 * Finds the board that is meant; opens nothing yet.
 *
 * @param name of the registry, or a port or address in its place
 */
export async function openBoardConsole(
  terminal: Terminal,
  name: string | undefined,
  options: BoardConsoleOptions & {
    readonly command: string;
    /** What is going on after Ctrl-C, in words. */
    readonly closing: string;
    /** Goes before what the port and the registry tell. */
    readonly wiring?: Wiring;
    /** Gets what is printed, for a file. */
    readonly keep?: (text: string) => void;
  },
): Promise<BoardConsole> {
  const { json = false, quiet = false, timestamps, baud, command, closing, keep } = options;
  const secrets = namedSecrets(options.secret, process.env);
  const mask = new SecretMask(secrets);
  const filter = new LineFilter(options);
  const found = await chosenBoard(name, options);
  const wiring = options.wiring ?? found.wiring;
  const chosen: ChosenBoard = { ...found, ...(wiring !== undefined && { wiring }) };
  const clock = new SystemClock();
  const told = quiet ? { say: () => {} } : terminal;
  // A pipe whose reader has left ends it, too.
  const unread = new AbortController();
  process.stdout.on('error', () => unread.abort());
  const stop = AbortSignal.any([interruptSignal(told, closing), unread.signal]);
  const say = (text: string): void => told.say(mask.text(`${command}: ${text}`));
  const output = new MonitorOutput({
    clock,
    json,
    timestamps,
    filter,
    color: terminal.color,
    clean: (text) => mask.text(text),
    print: (text) => terminal.print(text),
    ...(keep !== undefined && { log: keep }),
  });
  const access = boardAccess({ clock, chosen, baud, say, signal: stop });
  return { clock, chosen, stop, access, output, secrets, mask, say };
}

/** The board that a command with these options is about. */
async function chosenBoard(
  name: string | undefined,
  options: Pick<BoardConsoleOptions, 'port' | 'registry'>,
): Promise<ChosenBoard> {
  const path = registryPath(options);
  const asked = name === undefined ? {} : boardQuestion(name);
  const port = options.port ?? asked.port;
  // A network address needs no list of the ports of this machine.
  const ports = port?.includes('://') === true ? [] : await listPorts();
  return chooseBoard(
    { ...asked, ...(port !== undefined && { port }) },
    { ports, boards: readRegistry(path), registryPath: path },
  );
}

/** Restarts the board, and says how it went. */
export async function resetForUser(
  session: ConsoleSession,
  access: BoardAccess,
  say: (text: string) => void,
  clock: Clock,
): Promise<void> {
  const { port, reader } = session;
  if (port === undefined) return;
  reader.resetRequested();
  const atUs = clock.nowUs();
  try {
    say(`reset, ${await access.reset(port)}`);
  } catch (error) {
    // A native USB port vanishes in the middle: the reset has happened, and the port returns.
    if (!(error instanceof SerialError) || error.code !== 'SERIAL_GONE') throw error;
    say(`the port vanished ${((clock.nowUs() - atUs) / 1000).toFixed(0)} ms after the reset`);
  }
}

/** @throws {SerialError} `SERIAL_ADDRESS` */
export function boardAccess(options: BoardAccessOptions): BoardAccess {
  const { clock, chosen, baud, say, signal, openPort = openBoardPort } = options;
  const parsed = parseBoardAddress(chosen.address);
  const outside: Endpoint[] = parsed.kind === 'local' ? [] : [parsed.endpoint];
  const dialer = new SocketNetwork({ clock, random: createRandom(1, 'board-access'), outside });
  let at = chosen.address;
  return {
    open: (address) => {
      at = address;
      let told: string | undefined;
      return openPort(address, {
        clock,
        dialer,
        baud,
        signal,
        observe: (event) => {
          const text = describeEvent(event);
          // Every try meets the same holder; it is said again when that changes.
          if (text !== undefined && text !== told) say(text);
          told = text ?? told;
        },
      });
    },
    reset: async (port) => {
      const name = chosen.wiring === 'usb-jtag' ? 'run-usb-jtag' : 'run-bridge';
      const strategy = resetStrategies[name];
      const done = describeReset(await resetBoard({ port, clock, strategy, signal }));
      const isGuess = parsed.kind !== 'local' && chosen.wiring === undefined;
      return isGuess ? `${done}; taken for a bridge, --wiring usb-jtag for native USB` : done;
    },
    locate: async () => {
      if (parsed.kind !== 'local') return chosen.address;
      if (chosen.port !== undefined)
        return findAgain(chosen.port, await listPorts({ holders: false }));
      return existsSync(parsed.path) ? chosen.address : null;
    },
    others: () => {
      const holders = parsed.kind === 'local' ? portHolders(at, thisSystem()) : [];
      return holders.length === 0 ? undefined : sharedText(holders);
    },
  };
}

/** Resets that come with the opening are told by the console's story. */
function describeEvent(event: PortEvent): string | undefined {
  if (event.type === 'retry') {
    return `${event.problem.message} Trying again for ${busyLimitUs / 1_000_000} s.`;
  }
  if (event.type === 'shared') {
    return sharedText(event.holders);
  }
  return undefined;
}

function sharedText(holders: readonly PortHolder[]): string {
  const names = holders.map(({ pid, command }) => `${command} (${pid})`).join(', ');
  return `${names} has the port open, too, and may take bytes away.`;
}
