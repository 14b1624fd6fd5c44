/**
 * Relays between a board on a serial link and an EchoKit server: what the board says goes out as messages of a
 * WebSocket, and what the server says comes back as messages of the link (SL-5.8). The board decides when to connect.
 */
import {
  bytesFromInt16,
  decodeSerialLinkAudio,
  decodeServerEvent,
  encodeServerEvent,
  ProtocolError,
  type SerialLinkEvent,
  type SerialLinkMessage,
  type SerialLinkSettings,
} from '../../firmware-protocol/index.ts';
import type { Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import { SerialLinkSession } from './serial-link-session.ts';

/** A WebSocket to the server, which may still be in the making. */
export interface ServerConnection {
  /** Text as a string, binary messages as bytes, which are not kept. */
  send(data: string | Uint8Array): void;
  /** Stops reading from the network, or goes on. */
  hold(held: boolean): void;
  /** Begins the closing handshake with code 1000. */
  close(): void;
  /** Breaks off without a close frame. Nothing is reported after. */
  drop(): void;
}

export interface ServerListener {
  onOpen(): void;
  onBinary(bytes: Uint8Array): void;
  /** It has ended, or did not come about (1006). Called once. */
  onClosed(code: number, reason: string): void;
}

/**
 * Opens a connection to the server that the user has named. The listener is called later, never within this call;
 * what goes wrong is told by `onClosed`.
 *
 * @param target path and query as the board wants them, `/ws/a1b2c3d4e5f6?opus=true`
 */
export type ServerDialer = (target: string, listener: ServerListener) => ServerConnection;

export type BridgeEvent = { readonly atUs: number } & (
  | { readonly kind: 'link'; readonly event: SerialLinkEvent }
  | { readonly kind: 'server-opening'; readonly connection: number; readonly target: string }
  | { readonly kind: 'server-opened'; readonly connection: number }
  | {
      readonly kind: 'server-closed';
      readonly connection: number;
      readonly by: 'board' | 'server' | 'bridge';
      readonly code: number;
      readonly reason: string;
    }
  | { readonly kind: 'relayed'; readonly to: 'board' | 'server'; readonly bytes: number }
  /** An event of the server has arrived at the board, as far as its acknowledgement tells: not later than now. */
  | { readonly kind: 'delivered'; readonly connection: number; readonly event: Uint8Array }
  /** Something that could not be relayed, and why. */
  | {
      readonly kind: 'not-relayed';
      readonly to: 'board' | 'server';
      readonly bytes: number;
      readonly reason: string;
    }
);

export interface SerialLinkBridgeOptions {
  /** Open, and without a listener. It stays the caller's, who closes it. */
  readonly port: BoardPort;
  readonly clock: Clock;
  readonly dial: ServerDialer;
  /** Of the end towards the board. */
  readonly settings: Omit<SerialLinkSettings, 'output' | 'onEvent' | 'role'>;
  /**
   * Audio of events as MessagePack `bin` (FP-2.5): a third fewer bytes on the line, and not the bytes that the server has
   * sent. Off by default.
   */
  readonly compactEvents?: boolean;
  /** Everything that happens, console text and messages for others (state, tap, keys) included. */
  readonly onEvent: (event: BridgeEvent) => void;
  /** The port is gone, told once; connections were dropped. */
  readonly onGone: (problem: Error) => void;
}

/** So much for the board may wait before the server is no longer read, and when it is read again. */
const waitingMaximumBytes = 65_536;
const waitingAgainBytes = 16_384;

/** Connections of one board that are being made or stand. A real one gives up the older before it asks for another. */
const connectionsMax = 8;

interface Relay {
  readonly number: number;
  isOpen: boolean;
  isHeld: boolean;
  /** Missing while the dialer has not returned. */
  socket: ServerConnection | undefined;
}

export class SerialLinkBridge {
  readonly session: SerialLinkSession;
  readonly #options: SerialLinkBridgeOptions;
  /** The newest last. */
  #relays: Relay[] = [];
  /** Events on their way to the board, by the number of their message. */
  readonly #onTheirWay = new Map<
    number,
    { readonly connection: number; readonly event: Uint8Array }
  >();

  /** @throws {ProtocolError} FP_SERIAL_LINK_SETTING */
  constructor(options: SerialLinkBridgeOptions) {
    this.#options = options;
    this.session = new SerialLinkSession({
      port: options.port,
      clock: options.clock,
      settings: {
        ...options.settings,
        capabilities: options.settings.capabilities ?? ['ima-adpcm'],
        role: 'host',
      },
      onEvent: (event, atUs) => this.#hear(event, atUs),
      onGone: (problem) => {
        this.#dropAll('the port is gone');
        options.onGone(problem);
      },
    });
  }

  /** Asks for the board, and answers it from here on. */
  start(): void {
    this.session.start();
  }

  /** Ends link and connections. The port stays open. */
  async stop(): Promise<void> {
    this.#dropAll('the bridge stops');
    await this.session.stop();
  }

  #hear(event: SerialLinkEvent, atUs: number): void {
    this.#options.onEvent({ kind: 'link', event, atUs });
    switch (event.kind) {
      case 'disconnected':
        this.#onTheirWay.clear();
        this.#dropAll(`the serial link is ${event.reason}`);
        return;
      case 'delivered': {
        const arrived = this.#onTheirWay.get(event.number);
        this.#onTheirWay.delete(event.number);
        if (arrived !== undefined) this.#tell({ kind: 'delivered', ...arrived });
        this.#mayReadAgain();
        return;
      }
      case 'message':
        this.#take(event.message);
        return;
      default:
    }
  }

  // ---- from the board ----

  #take(message: SerialLinkMessage): void {
    switch (message.type) {
      case 'server-open':
        this.#open(message.connection, message.target);
        return;
      case 'server-close':
        this.#closeByBoard(message.connection, message.code, message.reason);
        return;
      case 'client-command':
        this.#toServer(message.text, Buffer.byteLength(message.text));
        return;
      case 'upload-audio': {
        const samples = decodeSerialLinkAudio(message.audio);
        if (samples === null) {
          const { length } = message.audio.bytes;
          this.#notRelayed('server', length, 'a server takes PCM, and the board has sent opus');
        } else {
          const bytes = bytesFromInt16(samples);
          this.#toServer(bytes, bytes.length);
        }
        return;
      }
      default:
    }
  }

  #toServer(data: string | Uint8Array, bytes: number): void {
    const relay = this.#relays.findLast(({ isOpen }) => isOpen);
    if (relay === undefined) {
      this.#notRelayed('server', bytes, 'the board has no connection to the server');
      return;
    }
    relay.socket!.send(data);
    this.#tell({ kind: 'relayed', to: 'server', bytes });
  }

  #open(number: number, target: string): void {
    // A number that is used again means a connection that the board has forgotten.
    this.#drop((relay) => relay.number === number, 'the board has opened it anew');
    const relay: Relay = { number, isOpen: false, isHeld: false, socket: undefined };
    this.#relays.push(relay);
    this.#makeRoom();
    this.#tell({ kind: 'server-opening', connection: number, target });
    const socket = this.#options.dial(target, {
      onOpen: () => this.#opened(relay),
      onBinary: (bytes) => this.#toBoard(relay, bytes),
      onClosed: (code, reason) => this.#closedByServer(relay, code, reason),
    });
    relay.socket = socket;
    if (!this.#relays.includes(relay)) socket.drop();
  }

  #makeRoom(): void {
    if (this.#relays.length <= connectionsMax) return;
    const oldest = this.#relays.find(({ isOpen }) => !isOpen)!;
    const reason = `the board has asked for more than ${connectionsMax} connections`;
    this.#drop((relay) => relay === oldest, reason);
    this.#say({ type: 'server-close', connection: oldest.number, code: 1006, reason });
  }

  #closeByBoard(number: number, code: number, reason: string): void {
    const relay = this.#relays.find((each) => each.number === number);
    if (relay === undefined) return;
    this.#relays = this.#relays.filter((each) => each !== relay);
    if (code === 1000 && relay.isOpen) relay.socket!.close();
    else relay.socket?.drop();
    this.#tell({ kind: 'server-closed', connection: number, by: 'board', code, reason });
  }

  // ---- from the server ----

  #opened(relay: Relay): void {
    if (!this.#relays.includes(relay)) return;
    relay.isOpen = true;
    const at = this.#relays.indexOf(relay);
    const older = new Set(this.#relays.slice(0, at));
    this.#drop((each) => older.has(each), 'a newer one stands');
    this.#say({ type: 'server-opened', connection: relay.number });
    this.#tell({ kind: 'server-opened', connection: relay.number });
  }

  #closedByServer(relay: Relay, code: number, reason: string): void {
    if (!this.#relays.includes(relay)) return;
    this.#relays = this.#relays.filter((each) => each !== relay);
    this.#say({ type: 'server-close', connection: relay.number, code, reason });
    this.#tell({ kind: 'server-closed', connection: relay.number, by: 'server', code, reason });
  }

  #toBoard(relay: Relay, bytes: Uint8Array): void {
    if (!this.#relays.includes(relay)) return;
    if (relay !== this.#relays.findLast(({ isOpen }) => isOpen)) return;
    const message = { type: 'server-event', bytes: this.#written(bytes) } as const;
    const number = this.#say(message);
    if (number === undefined) return;
    this.#onTheirWay.set(number, { connection: relay.number, event: message.bytes });
    this.#tell({ kind: 'relayed', to: 'board', bytes: message.bytes.length });
    if (this.session.endpoint.waitingBytes > waitingMaximumBytes && !relay.isHeld) {
      relay.isHeld = true;
      relay.socket!.hold(true);
    }
  }

  #mayReadAgain(): void {
    for (const relay of this.#relays) {
      if (!relay.isHeld || this.session.endpoint.waitingBytes > waitingAgainBytes) continue;
      relay.isHeld = false;
      relay.socket!.hold(false);
    }
  }

  #written(bytes: Uint8Array): Uint8Array {
    if (this.#options.compactEvents !== true) return bytes;
    const decoded = decodeServerEvent(bytes);
    return decoded.ok ? encodeServerEvent(decoded.event, { form: 'bin' }) : bytes;
  }

  // ---- both ----

  /** @returns the number of the message; undefined when the board cannot take it, which is told */
  #say(message: SerialLinkMessage): number | undefined {
    try {
      return this.session.send(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const bytes = message.type === 'server-event' ? message.bytes.length : 0;
      this.#notRelayed('board', bytes, error.message);
      return undefined;
    }
  }

  #dropAll(reason: string): void {
    this.#drop(() => true, reason);
  }

  #drop(which: (relay: Relay) => boolean, reason: string): void {
    const dropped = this.#relays.filter(which);
    this.#relays = this.#relays.filter((relay) => !dropped.includes(relay));
    for (const { number: connection, socket } of dropped) {
      socket?.drop();
      this.#tell({ kind: 'server-closed', connection, by: 'bridge', code: 1006, reason });
    }
  }

  #notRelayed(to: 'board' | 'server', bytes: number, reason: string): void {
    this.#tell({ kind: 'not-relayed', to, bytes, reason });
  }

  #tell(event: WithoutInstant<BridgeEvent>): void {
    this.#options.onEvent({ ...event, atUs: this.#options.clock.nowUs() });
  }
}

type WithoutInstant<Event> = Event extends { readonly atUs: number } ? Omit<Event, 'atUs'> : never;
