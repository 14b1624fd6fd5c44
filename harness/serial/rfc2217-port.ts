/**
 * A port behind a telnet server that lets its line be controlled (RFC 2217), as esptool, pyserial, ser2net and QEMU
 * users know them. Carries the baud rate and both lines.
 */
import type { Duplex } from 'node:stream';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { BoardPort, ModemLines } from './board-port.ts';
import type { PortEvent } from './port-event.ts';
import { PortInbox } from './port-inbox.ts';
import {
  baudRefused,
  checkBaud,
  closedByUs,
  hungUp,
  lastWordsCharactersMax,
} from './port-problems.ts';
import { SerialError } from './serial-error.ts';
import { watchStream, writeStream } from './stream-port.ts';
import { escapeTelnet, negotiate, subnegotiate, type TelnetItem, TelnetReader } from './telnet.ts';

const option = { binary: 0, suppressGoAhead: 3, comPort: 44 } as const;

/** Commands of the client; a server answers with the number plus {@link answerOffset}. */
const command = {
  signature: 0,
  baudRate: 1,
  dataSize: 2,
  parity: 3,
  stopSize: 4,
  control: 5,
  lineState: 6,
  modemState: 7,
  suspend: 8,
  resume: 9,
  modemStateMask: 11,
  purge: 12,
} as const;

const answerOffset = 100;

/** Values of {@link command.control}. */
const control = { noFlowControl: 1, dtr: { on: 8, off: 9 }, rts: { on: 11, off: 12 } } as const;

const purgeBoth = 3;

/** How long a server may take to agree to port control. */
const agreementLimitUs = 5_000_000;
/** How long it may take to acknowledge a command; some never do. */
const acknowledgeLimitUs = 1_000_000;

/** A server that does not read any more must not keep us from closing. */
const closeLimitUs = 2_000_000;

export interface Rfc2217Options {
  readonly clock: Clock;
  readonly baud: number;
  observe?(event: PortEvent): void;
}

interface Waiting {
  readonly command: number;
  settle(payload: Uint8Array | undefined): void;
}

export class Rfc2217Port implements BoardPort {
  readonly address: string;
  readonly carriesLines = true;
  readonly inbox = new PortInbox();
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #observe: (event: PortEvent) => void;
  readonly #reader = new TelnetReader();
  /** Options that are agreed on or asked for, by what was said: `will 44`. Nothing is said twice. */
  readonly #said = new Set<string>();
  readonly #waiting: Waiting[] = [];
  /** What it says before it agrees to anything: mostly why it does not. */
  #words = '';
  #agreed: (() => void) | undefined;
  #refused: (() => void) | undefined;
  /** The server asked for a pause; writes wait for it. */
  #suspended: Promise<void> | undefined;
  #resume: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(address: string, stream: Duplex, options: Rfc2217Options) {
    this.address = address;
    this.#stream = stream;
    this.#clock = options.clock;
    this.#observe = (event) => options.observe?.(event);
    stream.on('data', (bytes: Buffer) => {
      for (const item of this.#reader.push(bytes)) this.#take(item);
    });
    watchStream(address, stream, this.inbox);
    stream.once('close', () => {
      for (const { settle } of this.#waiting.splice(0)) settle(undefined);
      this.#resume?.();
      this.#refused?.();
    });
  }

  /**
   * Agrees with the server on port control and sets the line: both modem lines off, 8N1, no flow control.
   * Owns the stream, also when it fails.
   *
   * @throws {SerialError} `SERIAL_RFC2217`, `SERIAL_HUNG_UP`, `SERIAL_BAUD_RATE`, `SERIAL_GONE`
   */
  static async open(
    address: string,
    stream: Duplex,
    options: Rfc2217Options,
  ): Promise<Rfc2217Port> {
    const port = new Rfc2217Port(address, stream, options);
    try {
      checkBaud(address, options.baud);
      await port.#agree();
      await port.#setLines({ dtr: false, rts: false });
      await port.setBaudRate(options.baud);
      await port.#ask('the data size', command.dataSize, [8]);
      await port.#ask('the parity', command.parity, [1]);
      await port.#ask('the stop bits', command.stopSize, [1]);
      await port.#ask('no flow control', command.control, [control.noFlowControl]);
      // pyserial's server never acknowledges it.
      await port.#send(subnegotiate(option.comPort, [command.modemStateMask, 0xff]));
      await port.#ask('the purge', command.purge, [purgeBoth]);
      return port;
    } catch (error) {
      await port.close();
      throw error;
    }
  }

  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void {
    this.inbox.onBytes(listener);
  }

  onGone(listener: (problem: Error) => void): void {
    this.inbox.onGone(listener);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.inbox.check();
    while (this.#suspended !== undefined) await this.#suspended;
    this.inbox.check();
    await writeStream(this.address, this.#stream, escapeTelnet(bytes));
  }

  async setLines(lines: ModemLines): Promise<void> {
    this.inbox.check();
    await this.#setLines(lines);
  }

  async setBaudRate(baud: number): Promise<void> {
    checkBaud(this.address, baud);
    const answer = await this.#ask('the baud rate', command.baudRate, fourBytes(baud));
    if (answer === undefined || answer.length < 4) return;
    const set = Buffer.from(answer).readUInt32BE(0);
    // 0 asks for the rate instead of telling one.
    if (set !== baud) throw baudRefused(this.address, baud, `the server has set ${set}`);
  }

  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }

  async #release(): Promise<void> {
    const alive = this.inbox.problem === undefined;
    this.inbox.close(closedByUs(this.address));
    if (alive && this.#said.has('agreed')) {
      const ended = new AbortController();
      const limit = this.#clock.sleep(closeLimitUs, ended.signal).catch(() => {});
      await Promise.race([this.#leave(), limit]);
      ended.abort();
    }
    this.#stream.destroy();
  }

  /** A connection that is cut instead of ended could take the last commands with it. */
  async #leave(): Promise<void> {
    const answers = [control.dtr.off, control.rts.off].map((value) =>
      this.#answer('a change of lines', command.control, value),
    );
    await this.#send(Buffer.concat(linesOff())).catch(() => {});
    await Promise.all(answers);
    const closed = new Promise<void>((resolve) => {
      this.#stream.once('close', () => resolve());
    });
    this.#stream.end();
    await closed;
  }

  // ---- commands ----

  /** Both lines in one piece, DTR first: the circuit of a bridge expects them in this order. */
  async #setLines({ dtr, rts }: ModemLines): Promise<void> {
    const values = [
      ...(dtr === undefined ? [] : [dtr ? control.dtr.on : control.dtr.off]),
      ...(rts === undefined ? [] : [rts ? control.rts.on : control.rts.off]),
    ];
    const answers = values.map((value) =>
      this.#answer('a change of lines', command.control, value),
    );
    await this.#send(Buffer.concat(values.map(controlBytes)));
    await Promise.all(answers);
    this.inbox.check();
  }

  /** Sends a command and waits for the answer, which some servers leave out. */
  async #ask(
    what: string,
    number: number,
    payload: readonly number[],
  ): Promise<Uint8Array | undefined> {
    this.inbox.check();
    const answer = this.#answer(what, number);
    await this.#send(subnegotiate(option.comPort, [number, ...payload]));
    const payloadOfAnswer = await answer;
    this.inbox.check();
    return payloadOfAnswer;
  }

  /** @param value the first byte of the answer, where several are on their way */
  #answer(what: string, number: number, value?: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        command: number,
        settle: (payload) => {
          if (value !== undefined && payload !== undefined && payload[0] !== value) return;
          alarm.cancel();
          const at = this.#waiting.indexOf(waiting);
          if (at !== -1) this.#waiting.splice(at, 1);
          resolve(payload);
        },
      };
      this.#waiting.push(waiting);
      const alarm: Alarm = this.#clock.after(acknowledgeLimitUs, () => {
        if (this.inbox.problem === undefined) {
          this.#observe({ type: 'unacknowledged', atUs: this.#clock.nowUs(), command: what });
        }
        waiting.settle(undefined);
      });
    });
  }

  #send(bytes: Uint8Array): Promise<void> {
    return writeStream(this.address, this.#stream, bytes);
  }

  // ---- negotiation ----

  async #agree(): Promise<void> {
    let limit: Alarm | undefined;
    const outcome = new Promise<'agreed' | 'refused' | 'silent'>((resolve) => {
      this.#agreed = () => resolve('agreed');
      this.#refused = () => resolve('refused');
      limit = this.#clock.after(agreementLimitUs, () => resolve('silent'));
    });
    const first = [
      this.#say('will', option.comPort),
      this.#say('will', option.binary),
      this.#say('do', option.binary),
      this.#say('will', option.suppressGoAhead),
      this.#say('do', option.suppressGoAhead),
    ];
    // A server that has hung up already is told below.
    await this.#send(Buffer.concat(first.filter((bytes) => bytes !== undefined))).catch(() => {});
    const happened = await outcome;
    limit?.cancel();
    this.#agreed = undefined;
    this.#refused = undefined;
    if (this.inbox.problem !== undefined) throw hungUp(this.address, this.#words);
    if (happened === 'agreed') {
      this.#said.add('agreed');
      return;
    }
    throw new SerialError(
      'SERIAL_RFC2217',
      happened === 'refused'
        ? `${this.address} speaks telnet, but refuses to let its port be controlled.`
        : `${this.address} did not agree to port control within ${agreementLimitUs / 1_000_000} s.`,
      happened === 'refused'
        ? 'Start a server with RFC 2217 (esp_rfc2217_server, ser2net with "telnet(rfc2217)"), or use socket://.'
        : 'Its one place may be taken by another client, or it speaks plain TCP: then use socket://.',
    );
  }

  /** The bytes, or undefined when it was said before. */
  #say(verb: 'will' | 'wont' | 'do' | 'dont', about: number): Uint8Array | undefined {
    const key = `${verb} ${about}`;
    if (this.#said.has(key)) return undefined;
    this.#said.add(key);
    return negotiate(verb, about);
  }

  #take(item: TelnetItem): void {
    if (item.kind === 'data') {
      if (this.#agreed !== undefined && this.#words.length < lastWordsCharactersMax) {
        this.#words += Buffer.from(item.bytes).toString('latin1');
      }
      this.inbox.deliver(item.bytes, this.#clock.nowUs());
      return;
    }
    if (item.kind === 'negotiation') {
      this.#negotiated(item.verb, item.option);
      return;
    }
    if (item.option !== option.comPort || item.payload.length === 0) return;
    const [number, ...payload] = item.payload;
    this.#answered(number! - answerOffset, Uint8Array.from(payload));
  }

  #negotiated(verb: 'will' | 'wont' | 'do' | 'dont', about: number): void {
    const known = (Object.values(option) as number[]).includes(about);
    if (about === option.comPort && verb === 'do') this.#agreed?.();
    if (about === option.comPort && verb === 'dont') this.#refused?.();
    const answer = {
      do: () => this.#say(known ? 'will' : 'wont', about),
      will: () => this.#say(known ? 'do' : 'dont', about),
      dont: () => undefined,
      wont: () => undefined,
    }[verb]();
    if (answer !== undefined) void this.#send(answer).catch(() => {});
  }

  #answered(number: number, payload: Uint8Array): void {
    const atUs = this.#clock.nowUs();
    const bit = (mask: number): boolean => ((payload[0] ?? 0) & mask) !== 0;
    switch (number) {
      case command.modemState:
        this.#observe({
          type: 'modemState',
          atUs,
          cts: bit(0x10),
          dsr: bit(0x20),
          ring: bit(0x40),
          carrier: bit(0x80),
        });
        return;
      case command.lineState:
        this.#observe({
          type: 'lineState',
          atUs,
          overrun: bit(0x02),
          parity: bit(0x04),
          framing: bit(0x08),
          breakDetected: bit(0x10),
        });
        return;
      case command.suspend:
        this.#suspended ??= new Promise((resolve) => {
          this.#resume = () => {
            this.#suspended = undefined;
            this.#resume = undefined;
            resolve();
          };
        });
        return;
      case command.resume:
        this.#resume?.();
        return;
      default:
        for (const waiting of [...this.#waiting]) {
          const before = this.#waiting.length;
          if (waiting.command === number) waiting.settle(payload);
          if (this.#waiting.length < before) return;
        }
    }
  }
}

function controlBytes(value: number): Uint8Array {
  return subnegotiate(option.comPort, [command.control, value]);
}

function linesOff(): Uint8Array[] {
  return [controlBytes(control.dtr.off), controlBytes(control.rts.off)];
}

function fourBytes(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return [...bytes];
}
