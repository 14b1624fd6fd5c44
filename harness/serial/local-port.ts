/**
 * A port of this machine, through the optional package `serialport`.
 *
 * `hupcl` stays on: the lines are off all the time but during a reset or a key press, so closing changes nothing
 * then; and should this process be killed in the middle of one, the system itself takes both lines back, which
 * is the run state. Without it a board would be held in reset.
 */
import { existsSync, readSync } from 'node:fs';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { BoardPort, ModemLines } from './board-port.ts';
import {
  type LocalSystem,
  portHolders,
  portPermission,
  similarPorts,
  thisSystem,
} from './local-system.ts';
import type { PortEvent } from './port-event.ts';
import { PortInbox } from './port-inbox.ts';
import type { PortHolder } from './port-list.ts';
import { baudRefused, checkBaud, closedByUs, gone } from './port-problems.ts';
import { noLines } from './reset-run.ts';
import { SerialError } from './serial-error.ts';

/** What is used of a `SerialPort` of the package. */
export interface SystemPort {
  readonly isOpen: boolean;
  open(callback: (error: Error | null) => void): void;
  close(callback: (error: Error | null) => void): void;
  set(lines: { dtr: boolean; rts: boolean }, callback: (error: Error | null) => void): void;
  update(options: { baudRate: number }, callback: (error: Error | null) => void): void;
  write(bytes: Uint8Array, callback: (error: Error | null | undefined) => void): boolean;
  on(event: 'data', listener: (bytes: Buffer) => void): unknown;
  on(event: 'close' | 'error', listener: (error: Error | null) => void): unknown;
  /** What the package works on; on Linux and macOS a {@link PolledDevice}. */
  readonly port?: unknown;
}

interface PolledDevice {
  readonly fd: number;
  readonly poller: {
    on(event: 'readable', listener: (error: Error | null) => void): unknown;
  };
}

export interface SystemPortOptions {
  readonly path: string;
  readonly baudRate: number;
  readonly autoOpen: false;
  readonly hupcl: boolean;
  readonly lock: true;
}

export type SystemPortClass = new (options: SystemPortOptions) => SystemPort;

export interface LocalPortOptions {
  readonly clock: Clock;
  readonly baud: number;
  observe?(event: PortEvent): void;
  readonly signal?: AbortSignal;
  /** For tests. */
  readonly load?: () => Promise<SystemPortClass>;
  readonly system?: LocalSystem;
}

/** R03: how long a busy port is tried again. */
export const busyLimitUs = 5_000_000;
const firstRetryUs = 100_000;

const lookAfterNodeUs = 250_000;

/**
 * Opens the port with both lines off, again and again for 5 s while it is busy.
 *
 * @throws {SerialError} `SERIAL_PACKAGE_MISSING`, `SERIAL_NOT_FOUND`, `SERIAL_BUSY`, `SERIAL_PERMISSION`,
 *   `SERIAL_BAUD_RATE`, `SERIAL_OPEN_FAILED`
 */
export async function openLocalPort(path: string, options: LocalPortOptions): Promise<LocalPort> {
  const { clock, baud, signal } = options;
  checkBaud(path, baud);
  const Port = await (options.load ?? loadSerialPort)();
  const system = options.system ?? thisSystem();
  const limitUs = clock.nowUs() + busyLimitUs;
  for (let waitUs = firstRetryUs; ; waitUs *= 2) {
    signal?.throwIfAborted();
    try {
      return await LocalPort.open(Port, path, system, options);
    } catch (error) {
      if (!(error instanceof SerialError) || error.code !== 'SERIAL_BUSY') throw error;
      const leftUs = limitUs - clock.nowUs();
      if (leftUs <= 0) throw error;
      const nextUs = Math.min(waitUs, leftUs);
      options.observe?.({ type: 'retry', atUs: clock.nowUs(), waitUs: nextUs, problem: error });
      await clock.sleep(nextUs, signal);
    }
  }
}

async function loadSerialPort(): Promise<SystemPortClass> {
  try {
    const { SerialPort } = await import('serialport');
    return SerialPort as unknown as SystemPortClass;
  } catch (error) {
    throw packageMissing(error);
  }
}

/** Local ports can be had. */
export function hasSerialPackage(): Promise<boolean> {
  return loadSerialPort().then(
    () => true,
    () => false,
  );
}

/** @param cause of the failed import */
export function packageMissing(cause: unknown): SerialError {
  return new SerialError(
    'SERIAL_PACKAGE_MISSING',
    'Local ports need the optional package serialport, which cannot be loaded here.',
    'npm install serialport. Boards at rfc2217:// and socket:// addresses need no package.',
    cause,
  );
}

export class LocalPort implements BoardPort {
  readonly address: string;
  readonly carriesLines: boolean;
  readonly inbox: PortInbox;
  readonly #port: SystemPort;
  #lines = { dtr: false, rts: false };
  #closing: Promise<void> | undefined;
  #watch: Alarm | undefined;
  /** Calls that the package has not answered yet. */
  readonly #waiting = new Set<() => void>();

  private constructor(address: string, port: SystemPort, inbox: PortInbox, carriesLines: boolean) {
    this.address = address;
    this.#port = port;
    this.inbox = inbox;
    this.carriesLines = carriesLines;
    port.on('close', () => {
      for (const lost of this.#waiting) lost();
      this.#waiting.clear();
    });
  }

  /** One try. */
  static async open(
    Port: SystemPortClass,
    path: string,
    system: LocalSystem,
    { clock, baud, observe }: LocalPortOptions,
  ): Promise<LocalPort> {
    const inbox = new PortInbox();
    const port = new Port({ path, baudRate: baud, autoOpen: false, hupcl: true, lock: true });
    // Attached before anything can happen: an error that nobody listens to ends the process.
    port.on('error', (error) => inbox.gone(gone(path, wordsOf(error), error)));
    port.on('close', (error) => inbox.gone(gone(path, wordsOf(error), error)));
    port.on('data', (bytes) => inbox.deliver(Uint8Array.from(bytes), clock.nowUs()));
    const error = await outcome((done) => port.open(done));
    if (error !== null) throw openProblem(path, baud, error, system);
    const lines = await outcome((done) => port.set({ dtr: false, rts: false }, done));
    if (lines !== null && !isNoTerminalCall(lines)) {
      await outcome((done) => port.close(done));
      throw openFailed(path, lines);
    }
    readOnArrival(port, {
      take: (bytes) => inbox.deliver(bytes, clock.nowUs()),
      ended: () => inbox.gone(gone(path, 'the other end has hung up')),
    });
    const holders = portHolders(path, system);
    if (holders.length > 0) observe?.({ type: 'shared', atUs: clock.nowUs(), holders });
    const opened = new LocalPort(path, port, inbox, lines === null);
    opened.#watchNode(clock);
    return opened;
  }

  /**
   * A terminal whose other end hangs up between two reads is read without end by the package and never reported
   * (it takes an end of file for an empty read), so its device is looked for, too.
   */
  #watchNode(clock: Clock): void {
    if (!existsSync(this.address)) return;
    const look = (): void => {
      if (this.#closing !== undefined || this.inbox.problem !== undefined) return;
      if (existsSync(this.address)) this.#watch = clock.after(lookAfterNodeUs, look);
      else this.inbox.gone(gone(this.address, 'its device is no longer there'));
    };
    this.#watch = clock.after(lookAfterNodeUs, look);
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.inbox.onBytes(listener);
  }

  onGone(listener: (problem: Error) => void): void {
    this.inbox.onGone(listener);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#checkOpen();
    await this.#call((done) => {
      this.#port.write(bytes, (error) => done(error ?? null));
    });
  }

  async setLines(lines: ModemLines): Promise<void> {
    if (!this.carriesLines) throw noLines(this, 'The lines cannot be set');
    this.#checkOpen();
    // The package sets a line that is not named to its own default.
    const next = { ...this.#lines, ...lines };
    await this.#call((done) => this.#port.set(next, done));
    this.#lines = next;
  }

  async setBaudRate(baud: number): Promise<void> {
    checkBaud(this.address, baud);
    this.#checkOpen();
    const error = await outcome((done) => this.#port.update({ baudRate: baud }, done));
    this.inbox.check();
    if (error !== null) throw baudRefused(this.address, baud, wordsOf(error));
  }

  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }

  async #release(): Promise<void> {
    this.#watch?.cancel();
    this.inbox.close(closedByUs(this.address));
    if (!this.#port.isOpen) return;
    if (this.carriesLines) {
      await outcome((done) => this.#port.set({ dtr: false, rts: false }, done));
    }
    // Refused only when it is gone already.
    if (this.#port.isOpen) await outcome((done) => this.#port.close(done));
  }

  #checkOpen(): void {
    this.inbox.check();
    // Without this a write would wait for ever for a port that is being closed.
    if (!this.#port.isOpen) throw gone(this.address, 'it is not open');
  }

  /** Ends with the port when that goes away first: the package then forgets to call back. */
  #call(start: (done: (error: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const lost = () => reject(this.inbox.problem ?? gone(this.address, 'it was closed'));
      this.#waiting.add(lost);
      start((error) => {
        this.#waiting.delete(lost);
        if (error === null) resolve();
        else reject(this.inbox.problem ?? gone(this.address, wordsOf(error), error));
      });
    });
  }
}

/** More than a terminal of the system holds back. */
const readBytes = 64 * 1024;

/**
 * The package reads in a pool of threads, where a read waits behind the other work of the machine; that there is
 * something to read its poller has told before, on the event loop. So it is read there and then, and the instant is
 * the one of the arrival. The package finds nothing afterwards (EAGAIN) and polls again; what comes in between it
 * reads itself, in its order.
 */
function readOnArrival(
  { port }: SystemPort,
  on: { take(bytes: Uint8Array): void; ended(): void },
): void {
  if (!isPolled(port)) return;
  const { fd } = port;
  const buffer = Buffer.allocUnsafe(readBytes);
  port.poller.on('readable', (error) => {
    // The package sees it, too, and tells.
    if (error !== null || port.fd !== fd) return;
    let count: number;
    try {
      count = readSync(fd, buffer);
    } catch {
      // Nothing there after all, or something wrong that the package meets with its own read.
      return;
    }
    if (count > 0) on.take(Uint8Array.from(buffer.subarray(0, count)));
    else on.ended();
  });
}

function isPolled(device: unknown): device is PolledDevice {
  const { fd, poller } = (device ?? {}) as Partial<PolledDevice>;
  return typeof fd === 'number' && typeof poller?.on === 'function';
}

/** Resolves with the error that the package calls back with, or null. */
function outcome(start: (done: (error: Error | null) => void) => void): Promise<Error | null> {
  return new Promise((resolve) => {
    start((error) => resolve(error));
  });
}

function openProblem(path: string, baud: number, error: Error, system: LocalSystem): SerialError {
  const words = error.message;
  // On Windows a port that is in use is "Access denied".
  const denied = /permission denied|access denied|access is denied|EACCES|not permitted/i;
  if (/lock port|busy|EBUSY|EAGAIN|temporarily unavailable/i.test(words))
    return busy(path, error, system);
  if (denied.test(words)) {
    return system.platform === 'win32' ? busy(path, error, system) : forbidden(path, error, system);
  }
  if (/no such file|file not found|cannot find|ENOENT|no such device|ENXIO|ENODEV/i.test(words)) {
    return notFound(path, error, system);
  }
  if (isNoTerminalCall(error)) {
    return new SerialError(
      'SERIAL_OPEN_FAILED',
      `${path} is no serial port (${wordsOf(error)}).`,
      'Name the device of the board, such as /dev/ttyUSB0 or /dev/ttyACM0.',
      error,
    );
  }
  if (/baud/i.test(words)) return baudRefused(path, baud, wordsOf(error));
  return openFailed(path, error);
}

function busy(path: string, error: Error, system: LocalSystem): SerialError {
  const holders = portHolders(path, system);
  const who = holders.length === 0 ? 'another program, or this one' : holderText(holders);
  return new SerialError(
    'SERIAL_BUSY',
    `${path} is in use by ${who} (${wordsOf(error)}).`,
    'Close the other program (a serial monitor, an IDE, ModemManager, an earlier run), then try again.',
    error,
  );
}

export function holderText(holders: readonly PortHolder[]): string {
  return holders
    .map(({ pid, command, commandLine }) => `process ${pid}, ${commandLine ?? command}`)
    .join('; ');
}

function forbidden(path: string, error: Error, system: LocalSystem): SerialError {
  const found = portPermission(path, system);
  const { name } = system.user;
  return new SerialError(
    'SERIAL_PERMISSION',
    found === undefined
      ? `${name} may not open ${path} (${wordsOf(error)}).`
      : `${name} may not open ${path}: it belongs to ${found.owner}:${found.group} with mode ${found.mode}, and ` +
          `${name} is in ${found.userGroups.join(', ') || 'no group'}.`,
    found?.remedy ?? 'Run with a user that may use serial ports.',
    error,
  );
}

function notFound(path: string, error: Error, system: LocalSystem): SerialError {
  const similar = similarPorts(path, system);
  return new SerialError(
    'SERIAL_NOT_FOUND',
    `There is no port ${path}.`,
    similar.length > 0
      ? `Ports that are there: ${similar.join(', ')}.`
      : 'Nothing like it is there: check that the cable carries data, and that the system knows the adapter (dmesg, driver).',
    error,
  );
}

function openFailed(path: string, error: Error): SerialError {
  return new SerialError(
    'SERIAL_OPEN_FAILED',
    `${path} cannot be opened: ${wordsOf(error)}.`,
    'Unplug the board and plug it in again; the log of the system (dmesg) may say more.',
    error,
  );
}

/** ENOTTY: a pseudo-terminal has no modem lines, and a file is no terminal at all. */
function isNoTerminalCall(error: Error): boolean {
  return /inappropriate ioctl|ENOTTY/i.test(error.message);
}

function wordsOf(error: Error | null): string {
  return (error?.message ?? 'it was closed').replace(/^Error:? /, '').replace(/\.$/, '');
}
