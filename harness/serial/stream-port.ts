/** Plain TCP: bytes and nothing else. For emulators and serial servers without telnet. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { BoardPort, ModemLines } from './board-port.ts';
import { PortInbox } from './port-inbox.ts';
import {
  baudRefused,
  closedByUs,
  connectionLost,
  hungUp,
  lastWordsCharactersMax,
} from './port-problems.ts';
import { noLines } from './reset-run.ts';

/** Nobody has a board for so short a time: the place was taken. */
const atOnceUs = 500_000;

/** Owns the stream. */
export class StreamPort implements BoardPort {
  readonly address: string;
  readonly carriesLines = false;
  readonly inbox = new PortInbox();
  readonly #stream: Duplex;
  readonly #baud: number;

  constructor(address: string, stream: Duplex, clock: Clock, baud: number) {
    this.address = address;
    this.#stream = stream;
    this.#baud = baud;
    let said = '';
    stream.on('data', (bytes: Buffer) => {
      if (said.length < lastWordsCharactersMax) said += bytes.toString('latin1');
      this.inbox.deliver(Uint8Array.from(bytes), clock.nowUs());
    });
    const openedUs = clock.nowUs();
    stream.once('end', () => {
      if (clock.nowUs() - openedUs > atOnceUs) return;
      this.inbox.gone(hungUp(address, said));
    });
    watchStream(address, stream, this.inbox);
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.inbox.onBytes(listener);
  }

  onGone(listener: (problem: Error) => void): void {
    this.inbox.onGone(listener);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.inbox.check();
    await writeStream(this.address, this.#stream, bytes);
  }

  async setLines(_lines: ModemLines): Promise<void> {
    throw noLines(this, 'The lines cannot be set');
  }

  /** The other end has its own rate, which nobody here can change. */
  async setBaudRate(baud: number): Promise<void> {
    this.inbox.check();
    if (baud === this.#baud) return;
    throw baudRefused(this.address, baud, 'plain TCP carries no baud rate');
  }

  async close(): Promise<void> {
    this.inbox.close(closedByUs(this.address));
    this.#stream.destroy();
  }
}

/** A stream that ends, fails or is closed takes its port with it. */
export function watchStream(address: string, stream: Duplex, inbox: PortInbox): void {
  stream.on('error', (error) => inbox.gone(connectionLost(address, error.message, error)));
  stream.on('end', () => {
    inbox.gone(connectionLost(address, 'the other side has closed the connection'));
    stream.destroy();
  });
  stream.on('close', () => inbox.gone(connectionLost(address, 'the connection was closed')));
}

export function writeStream(address: string, stream: Duplex, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(Buffer.from(bytes), (error) => {
      if (error == null) resolve();
      else reject(connectionLost(address, error.message, error));
    });
  });
}
