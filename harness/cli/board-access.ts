/** Opens and resets boards for the commands: addresses to ports, over the sockets that the user has named. */
import { existsSync } from 'node:fs';
import type { Clock } from '../clock/clock.ts';
import type { Endpoint } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { parseBoardAddress } from '../serial/board-address.ts';
import type { ChosenBoard } from '../serial/board-choice.ts';
import { findAgain } from '../serial/board-choice.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { busyLimitUs } from '../serial/local-port.ts';
import { portHolders, thisSystem } from '../serial/local-system.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import type { PortEvent } from '../serial/port-event.ts';
import { listPorts, type PortHolder } from '../serial/port-list.ts';
import { describeReset, resetBoard } from '../serial/reset-run.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';

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
