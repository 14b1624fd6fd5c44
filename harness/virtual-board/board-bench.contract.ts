/** For tests of everything above a port: virtual boards on ports in memory, and a scripted server, in virtual time. */
import { type ConsoleLine, ConsoleLineReader } from '../../firmware-protocol/console-line.ts';
import { Bench, opus, voiceDetection } from '../device/device-bench.contract.ts';
import { diy } from '../device/device-profile.ts';
import { createRandom } from '../random/random.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { MemoryPorts, type MemoryPortsOptions } from './memory-ports.ts';
import { VirtualBoard, type VirtualBoardEvent, type VirtualBoardOptions } from './virtual-board.ts';

/** An open port and what came through it. */
export interface Listening {
  readonly port: BoardPort;
  readonly bytes: number[];
  readonly lines: ConsoleLine[];
  /** Names of the known lines, in order. */
  names(): string[];
  gone: Error | undefined;
}

export class BoardBench {
  readonly #bench = new Bench();
  readonly clock = this.#bench.clock;
  readonly network = this.#bench.network;
  readonly connections = this.#bench.connections;
  readonly events: VirtualBoardEvent[] = [];
  readonly ports: MemoryPorts;

  constructor(options: Omit<MemoryPortsOptions, 'clock'> = {}) {
    this.ports = new MemoryPorts({ clock: this.clock, ...options });
  }

  listen() {
    return this.#bench.listen();
  }

  /** A board that is plugged in as `name`, without power. */
  board(options: Partial<VirtualBoardOptions> = {}, name = 'tty0'): VirtualBoard {
    const board = new VirtualBoard({
      profile: diy,
      mac: 'a1b2c3d4e5f6',
      serverUrl: 'ws://echokit.test:8080/ws/',
      wiring: 'bridge',
      clock: this.clock,
      dialer: this.network,
      random: createRandom(1, name),
      opus,
      voiceDetection,
      observe: (event) => this.events.push(event),
      ...options,
    });
    this.ports.plug(name, board);
    return board;
  }

  async open(name = 'tty0'): Promise<Listening> {
    return listen(await this.ports.open(name));
  }

  run<T>(script: () => Promise<T>): Promise<T> {
    return this.clock.run(script());
  }

  pass(durationUs: number): Promise<void> {
    return this.clock.sleep(durationUs);
  }

  all<Type extends VirtualBoardEvent['type']>(type: Type) {
    return this.events.filter(
      (event): event is Extract<VirtualBoardEvent, { type: Type }> => event.type === type,
    );
  }

  /** Keys as the device took them. */
  keys(): string[] {
    return this.all('device').flatMap(({ event }) =>
      event.type === 'key' ? [`${event.key} ${event.press}`] : [],
    );
  }
}

export function listen(port: BoardPort): Listening {
  const reader = new ConsoleLineReader();
  const listening: Listening = {
    port,
    bytes: [],
    lines: [],
    names: () => listening.lines.flatMap(({ event }) => event?.name ?? []),
    gone: undefined,
  };
  port.onBytes((bytes) => {
    listening.bytes.push(...bytes);
    listening.lines.push(...reader.push(bytes));
  });
  port.onGone((problem) => {
    listening.gone = problem;
  });
  return listening;
}
