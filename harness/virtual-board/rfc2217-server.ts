/**
 * An RFC 2217 server in front of a board, written from the RFC and not from our client. Serves pyserial, esptool
 * and whoever else speaks it.
 */
import type { Endpoint, Listener, Network } from '../network/network.ts';
import { type Client, listenForBoard } from './network-link.ts';
import type { VirtualBoard } from './virtual-board.ts';

export interface Rfc2217ServerOptions {
  readonly network: Network;
  readonly endpoint: Endpoint;
  readonly board: VirtualBoard;
  /** Some servers acknowledge no change of lines. They are acknowledged by default. */
  readonly acknowledgesLines?: boolean;
}

/** TELNET commands, RFC 854. */
const [SE, SB, WILL, WONT, DO, DONT, IAC] = [0xf0, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] as const;

/** The options that are agreed to, from either side: transmit binary, suppress go ahead, com port control. */
const comPortOption = 44;
const agreeable: ReadonlySet<number> = new Set([0, 3, comPortOption]);

/** RFC 2217, section "COM Port Control Option Commands": the server's codes are 100 higher. */
const serverCode = 100;

/** A subcommand that never ends is given up. */
const subcommandMaximum = 1024;

export function listenWithRfc2217(options: Rfc2217ServerOptions): Promise<Listener> {
  return listenForBoard(
    options.network,
    options.endpoint,
    options.board,
    doubled,
    (client) => new Session(client, options.acknowledgesLines ?? true),
  );
}

class Session {
  readonly #client: Client;
  readonly #acknowledgesLines: boolean;
  /** Not understood yet: an incomplete command at its end. */
  #rest = Buffer.alloc(0);
  /** What this side does, and what the other does, by the verb it was agreed with. */
  readonly #agreed = new Set<string>();
  #baud = 115_200;
  #lines = { dtr: false, rts: false };

  constructor(client: Client, acknowledgesLines: boolean) {
    this.#client = client;
    this.#acknowledgesLines = acknowledgesLines;
    client.stream.on('data', (bytes: Buffer) => this.#read(bytes));
    for (const option of [0, 3]) {
      this.#agree(WILL, option);
      this.#agree(DO, option);
    }
  }

  #read(bytes: Buffer): void {
    let text = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (text.length > 0) {
      const at = text.indexOf(IAC);
      if (at !== 0) {
        const plain = at === -1 ? text : text.subarray(0, at);
        this.#client.attachment.write(Uint8Array.from(plain));
        text = text.subarray(plain.length);
        continue;
      }
      const used = this.#command(text);
      if (used === 0) break;
      text = text.subarray(used);
    }
    this.#rest = Buffer.from(text);
  }

  /** Understands one command at the beginning. Returns its length, 0 when it is not all there. */
  #command(text: Buffer): number {
    const [, verb, option] = text;
    if (verb === undefined) return 0;
    if (verb === IAC) {
      this.#client.attachment.write(Uint8Array.of(IAC));
      return 2;
    }
    if (verb === SB) {
      const end = text.indexOf(Buffer.of(IAC, SE));
      if (end === -1) return text.length > subcommandMaximum ? text.length : 0;
      const inside = Buffer.from(
        text.subarray(2, end).toString('latin1').replaceAll('\xff\xff', '\xff'),
        'latin1',
      );
      if (inside[0] === comPortOption && inside.length > 1) {
        this.#control(inside[1]!, inside.subarray(2));
      }
      return end + 2;
    }
    if (verb < WILL) return 2;
    if (option === undefined) return 0;
    this.#negotiate(verb, option);
    return 3;
  }

  #negotiate(verb: number, option: number): void {
    if (verb === DO) this.#agree(agreeable.has(option) ? WILL : WONT, option);
    else if (verb === WILL) this.#agree(agreeable.has(option) ? DO : DONT, option);
  }

  /** Says it, unless it has been said. */
  #agree(verb: number, option: number): void {
    const key = `${verb} ${option}`;
    if (this.#agreed.has(key)) return;
    this.#agreed.add(key);
    this.#client.stream.write(Buffer.of(IAC, verb, option));
  }

  #answer(code: number, payload: Uint8Array): void {
    const content = doubled(payload);
    this.#client.stream.write(
      Buffer.concat([
        Buffer.of(IAC, SB, comPortOption, code + serverCode),
        content,
        Buffer.of(IAC, SE),
      ]),
    );
  }

  #control(code: number, payload: Buffer): void {
    switch (code) {
      case 0: // SIGNATURE
        if (payload.length === 0) this.#answer(code, Buffer.from('echokit-harness virtual board'));
        return;
      case 1: {
        // SET-BAUDRATE; 0 asks.
        const asked = payload.length === 4 ? payload.readUInt32BE() : 0;
        if (asked !== 0) {
          this.#baud = asked;
          this.#client.attachment.setBaudRate(asked);
        }
        const answer = Buffer.alloc(4);
        answer.writeUInt32BE(this.#baud);
        this.#answer(code, answer);
        return;
      }
      case 2: // SET-DATASIZE
        this.#answer(code, Buffer.of(8));
        return;
      case 3: // SET-PARITY
      case 4: // SET-STOPSIZE
        this.#answer(code, Buffer.of(1));
        return;
      case 5:
        this.#setControl(payload[0] ?? 0);
        return;
      case 11: // SET-MODEMSTATE-MASK: acknowledged, and the state is told at once: CTS and DSR.
        this.#answer(code, payload);
        this.#answer(7, Buffer.of(0x30 & (payload[0] ?? 0)));
        return;
      case 10: // SET-LINESTATE-MASK
      case 12: // PURGE-DATA: nothing is kept here.
        this.#answer(code, payload);
        return;
    }
  }

  /** SET-CONTROL: flow control (0 to 3), break (4 to 6), DTR (7 to 9), RTS (10 to 12). */
  #setControl(value: number): void {
    const asked = { 0: 1, 4: 6, 7: this.#lines.dtr ? 8 : 9, 10: this.#lines.rts ? 11 : 12 }[value];
    if (asked !== undefined) {
      this.#answer(5, Buffer.of(asked));
      return;
    }
    const line = ({ 8: 'dtr', 9: 'dtr', 11: 'rts', 12: 'rts' } as const)[value];
    if (line !== undefined) {
      this.#lines[line] = value === 8 || value === 11;
      this.#client.attachment.setLines({ [line]: this.#lines[line] });
      if (!this.#acknowledgesLines) return;
    }
    this.#answer(5, Buffer.of(value));
  }
}

/** 255 is written twice. */
function doubled(bytes: Uint8Array): Buffer {
  return Buffer.from(
    Buffer.from(bytes).toString('latin1').replaceAll('\xff', '\xff\xff'),
    'latin1',
  );
}
