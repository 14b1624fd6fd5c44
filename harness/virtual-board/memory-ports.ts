/** Ports of virtual boards inside this process, lines included, on any clock. */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort, ModemLines } from '../serial/board-port.ts';
import { SerialError } from '../serial/serial-error.ts';
import type { Attachment, VirtualBoard } from './virtual-board.ts';

export interface MemoryPortsOptions {
  readonly clock: Clock;
  /** How long a change of lines takes, in µs: a busy machine (pitfalls catalogue, R11). Nothing by default. */
  lineDelayUs?(): number;
}

/** The ports of a machine that does not exist, by name. */
export class MemoryPorts {
  readonly #options: MemoryPortsOptions;
  readonly #ports = new Map<string, VirtualBoard>();

  constructor(options: MemoryPortsOptions) {
    this.#options = options;
  }

  /**
   * Plugs a board in. When its port goes away, so does the name. A port that returns under another name (R05) is
   * `name.1`, then `name.2`.
   */
  plug(name: string, board: VirtualBoard): void {
    const appear = (): void => void this.#ports.set(portName(name, board), board);
    if (board.portPresent) appear();
    board.onPort((present) => {
      if (present) appear();
      else this.#remove(board);
    });
  }

  #remove(board: VirtualBoard): void {
    for (const [name, there] of this.#ports) if (there === board) this.#ports.delete(name);
  }

  /** Two boards swap their places (R07). Only while neither port is open. */
  swap(one: string, other: string): void {
    const [first, second] = [this.#ports.get(one), this.#ports.get(other)];
    if (first === undefined || second === undefined) throw notFound(one, this.names());
    this.#ports.set(one, second);
    this.#ports.set(other, first);
  }

  names(): string[] {
    return [...this.#ports.keys()];
  }

  /** @throws {SerialError} `SERIAL_NOT_FOUND`, `SERIAL_BUSY` */
  async open(name: string, baud = 115_200): Promise<BoardPort> {
    const board = this.#ports.get(name);
    if (board === undefined) throw notFound(name, this.names());
    return new MemoryPort(name, baud, board, this.#options);
  }
}

/** @param first the name of the port before it returned under another one */
export function portName(first: string, { renames }: Pick<VirtualBoard, 'renames'>): string {
  return renames === 0 ? first : `${first}.${renames}`;
}

function notFound(name: string, names: readonly string[]): SerialError {
  return new SerialError(
    'SERIAL_NOT_FOUND',
    `There is no port ${name}.`,
    `Ports in this simulation: ${names.join(', ') || 'none'}.`,
  );
}

class MemoryPort implements BoardPort {
  readonly address: string;
  readonly carriesLines = true;
  readonly #options: MemoryPortsOptions;
  readonly #attachment: Attachment;
  readonly #waiting: { readonly bytes: Uint8Array; readonly atUs: number }[] = [];
  #onBytes: ((bytes: Uint8Array, atUs: number) => void) | undefined;
  #onGone: ((problem: Error) => void) | undefined;
  #problem: SerialError | undefined;

  constructor(address: string, baud: number, board: VirtualBoard, options: MemoryPortsOptions) {
    this.address = address;
    this.#options = options;
    const attachment = board.attach({
      onBytes: (bytes) => {
        const atUs = options.clock.nowUs();
        if (this.#onBytes === undefined) this.#waiting.push({ bytes, atUs });
        else this.#onBytes(bytes, atUs);
      },
      onGone: () => {
        this.#problem = new SerialError(
          'SERIAL_GONE',
          `${address} has vanished.`,
          'Plug the board in again; a native USB port returns by itself after a reset.',
        );
        this.#onGone?.(this.#problem);
      },
    });
    if (attachment === undefined) {
      throw new SerialError(
        'SERIAL_BUSY',
        `${address} is open already.`,
        'Close it first; a port has one user.',
      );
    }
    this.#attachment = attachment;
    attachment.setBaudRate(baud);
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.#onBytes = listener;
    for (const { bytes, atUs } of this.#waiting.splice(0)) listener(bytes, atUs);
  }

  onGone(listener: (problem: Error) => void): void {
    this.#onGone = listener;
    if (this.#problem !== undefined) listener(this.#problem);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#attachment.write(Uint8Array.from(bytes));
  }

  async setLines(lines: ModemLines): Promise<void> {
    this.#check();
    const delayUs = this.#options.lineDelayUs?.() ?? 0;
    if (delayUs > 0) await this.#options.clock.sleep(delayUs);
    this.#check();
    this.#attachment.setLines(lines);
  }

  async setBaudRate(baud: number): Promise<void> {
    this.#check();
    this.#attachment.setBaudRate(baud);
  }

  async close(): Promise<void> {
    this.#problem ??= new SerialError(
      'SERIAL_GONE',
      `${this.address} was closed by this program.`,
      'Open it again.',
    );
    this.#attachment.detach();
  }

  #check(): void {
    if (this.#problem !== undefined) throw this.#problem;
  }
}
