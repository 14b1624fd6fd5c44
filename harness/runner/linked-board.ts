/**
 * A board whose firmware has the serial link, as a run uses it: our server reaches it through the cable, and over the
 * same cable its keys are pressed, its microphone is given the words of the user, and its speaker is heard.
 */
import {
  AdpcmEncoder,
  decodeSerialLinkAudio,
  encodeSerialLinkAudio,
  type SerialLinkBoardState,
  type SerialLinkMessage,
  type SerialLinkPeer,
} from '../../firmware-protocol/index.ts';
import type { Clock } from '../clock/clock.ts';
import { openRelaySocket } from '../device/relay-socket.ts';
import type { Dialer, Endpoint } from '../network/network.ts';
import { encodeFrame, opcodes } from '../network/web-socket-frame.ts';
import type { Random } from '../random/random.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { type BridgeEvent, SerialLinkBridge } from '../serial/serial-link-bridge.ts';
import { sessionNumber } from '../serial/serial-link-session.ts';
import { voicedUs } from './board-in-hand.ts';
import { type TappedConnection, WrittenConnection } from './tapped-connection.ts';
import type { VoicePath } from './voice-path.ts';

/** How a board is reached through the serial link. */
export interface LinkEquipment {
  /** Of the UART; null: native USB, which has none. */
  readonly baud: number | null;
  /** For the numbers of the link's sessions, which must be other ones in each run (SL-4.1). */
  drawBytes(count: number): Uint8Array;
  /** The words of the user go to the microphone through the link, and through no air. */
  readonly carriesWords: boolean;
}

export interface LinkedBoardOptions {
  readonly link: LinkEquipment;
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly random: Random;
  /** Console text. */
  onText(bytes: Uint8Array, atUs: number): void;
  onGone(problem: Error): void;
  /** What the speaker has played; `position`: samples since the boot. */
  onSpeaker(position: number, samples: Int16Array): void;
  /** In words, for the recording and the person who looks on. */
  onRemark(text: string): void;
  /** Something that somebody may wait for. */
  onChange(): void;
}

/** Native USB has no rate; the link paces itself by this (README of the serial link, "What fits"). */
const usbBytesPerSecond = 500_000;
/** From here on the line carries samples as they are ("What fits"). */
const pcmBaud = 460_800;
const pieceSamples = 320;
/** The samples are so much ahead of their time, or the board would wait for them. */
const aheadUs = 100_000;
const sampleUs = 62.5;
const tapMs = { short: 150, long: 1400 } as const;

export class LinkedBoard {
  /** Through the link into the microphone. */
  readonly voice: VoicePath = {
    speak: (samples, begun, how) => this.#speak(samples, begun, how.signal),
  };
  readonly #options: LinkedBoardOptions;
  #bridge: SerialLinkBridge | undefined;
  #endpoint: Endpoint | undefined;
  #refusal: string | undefined;
  #state: SerialLinkBoardState | undefined;
  /** By the number of a message: who waits for its arrival. */
  readonly #waiting = new Map<number, (arrived: boolean) => void>();
  /** Connections in the making, and those that stand, oldest first. */
  #relays: { readonly number: number; arrived: ArrivedConnection | undefined }[] = [];
  readonly #arrived = new WeakMap<TappedConnection, ArrivedConnection>();

  constructor(options: LinkedBoardOptions) {
    this.#options = options;
  }

  /** Undefined while the board is not connected. */
  get peer(): SerialLinkPeer | undefined {
    return this.#bridge?.session.endpoint.peer ?? undefined;
  }

  /** Why the two ends cannot talk, if they cannot. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** As the board has told it last; undefined while it is not connected, or when it tells none. */
  get state(): SerialLinkBoardState | undefined {
    return this.#state;
  }

  /** Where our server listens; a connection that the board wants before is refused. */
  serveAt(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
  }

  /** Calls the board over this port, which stays the caller's. */
  use(port: BoardPort): void {
    const { link, clock, random, onGone } = this.#options;
    const { baud } = link;
    this.#bridge = new SerialLinkBridge({
      port,
      clock,
      dial: (target, listener) => {
        const { host, port: number } = this.#endpoint ?? { host: '127.0.0.1', port: 9 };
        const url = `ws://${host.includes(':') ? `[${host}]` : host}:${number}${target}`;
        const { dialer } = this.#options;
        return openRelaySocket({ url, clock, dialer, random }, listener);
      },
      settings: {
        newSession: () => sessionNumber(link.drawBytes(4)),
        bytesPerSecond: baud === null ? usbBytesPerSecond : baud / 10,
        name: 'echokit-harness run',
      },
      onEvent: (event) => this.#hear(event),
      onGone: (problem) => {
        // Nobody is at its other end any more, so nothing that is said now would ever be acknowledged.
        this.#bridge = undefined;
        this.#lost();
        onGone(problem);
      },
    });
    this.#bridge.start();
  }

  /**
   * Presses K0. Resolves when the board has taken the message; false: it is not there.
   *
   * @throws {ProtocolError} FP_SERIAL_LINK_NOT_OFFERED for firmware that takes no keys
   */
  press(press: 'short' | 'long', signal: AbortSignal): Promise<boolean> {
    return this.#arrives(
      { type: 'key', key: 'k0', action: 'tap', durationMs: tapMs[press] },
      signal,
    );
  }

  turnVolume(key: 'volume-up' | 'volume-down'): void {
    this.#say({ type: 'key', key, action: 'tap', durationMs: tapMs.short });
  }

  /**
   * The connection as the board sees it: what our server has written counts from its arrival at the board, which on a
   * slow line is a good deal later.
   */
  asArrived(connection: TappedConnection): TappedConnection {
    const before = this.#arrived.get(connection);
    if (before !== undefined) return before;
    const arrived = new ArrivedConnection(connection);
    this.#arrived.set(connection, arrived);
    const relay = this.#relays.find((one) => one.arrived === undefined);
    if (relay !== undefined) relay.arrived = arrived;
    return arrived;
  }

  /** Ends the link. */
  async stop(): Promise<void> {
    this.#lost();
    await this.#bridge?.stop();
  }

  #hear(event: BridgeEvent): void {
    const { onText, onSpeaker, onRemark, onChange } = this.#options;
    switch (event.kind) {
      case 'link':
        break;
      case 'server-opening':
        this.#relays.push({ number: event.connection, arrived: undefined });
        return;
      case 'delivered':
        this.#relay(event.connection)?.arrived?.write(
          encodeFrame({ opcode: opcodes.binary, payload: event.event }),
        );
        return;
      case 'server-closed':
        this.#relay(event.connection)?.arrived?.close(event.code);
        this.#relays = this.#relays.filter(({ number }) => number !== event.connection);
        return;
      case 'not-relayed':
        onRemark(`${event.bytes} bytes could not be relayed to the ${event.to}: ${event.reason}`);
        return;
      default:
        return;
    }
    const { event: told, atUs } = event;
    switch (told.kind) {
      case 'text':
        onText(told.bytes, atUs);
        return;
      case 'connected':
        onRemark(`the serial link is connected to "${told.peer.name}"`);
        onChange();
        return;
      case 'disconnected':
        this.#lost();
        onRemark(`the serial link is over: ${told.reason}`);
        onChange();
        return;
      case 'refused':
        this.#refusal = told.explanation;
        onChange();
        return;
      case 'delivered':
        this.#settle(told.number, true);
        return;
      case 'message': {
        if (told.message.type === 'board-state') {
          this.#state = told.message.state;
          onChange();
        }
        if (told.message.type !== 'speaker') return;
        const samples = decodeSerialLinkAudio(told.message.audio);
        if (samples !== null) onSpeaker(told.message.position, samples);
        return;
      }
      default:
    }
  }

  /** The newest of this number. */
  #relay(number: number): { arrived: ArrivedConnection | undefined } | undefined {
    return this.#relays.findLast((relay) => relay.number === number);
  }

  async #speak(
    samples: Int16Array,
    begun: (startUs: number) => void,
    signal: AbortSignal,
  ): Promise<number> {
    const { clock, link } = this.#options;
    const isShort = link.baud !== null && link.baud < pcmBaud;
    const encoder =
      isShort && this.peer?.capabilities.includes('ima-adpcm') ? new AdpcmEncoder() : null;
    const sentUs = clock.nowUs();
    // Between its sending and its acknowledgement the first piece has arrived and was heard.
    let startUs: number | undefined;
    const start = (): void => {
      if (startUs !== undefined) return;
      startUs = Math.round((sentUs + clock.nowUs()) / 2);
      begun(startUs);
    };
    let sent = 0;
    try {
      while (sent < samples.length) {
        const position = sent;
        sent += pieceSamples;
        const message = {
          type: 'microphone',
          start: position === 0,
          end: sent >= samples.length,
          position,
          audio: encodeSerialLinkAudio(samples.subarray(position, sent), encoder),
        } as const;
        // A board that has restarted meanwhile misses what is said, as it would in the air.
        const number = this.#say(message);
        if (position === 0) {
          if (number === undefined) start();
          else this.#waiting.set(number, start);
        }
        const nextUs = sentUs + Math.round(sent * sampleUs) - aheadUs;
        if (nextUs > clock.nowUs()) await clock.sleep(nextUs - clock.nowUs(), signal);
      }
      start();
      const stopUs = startUs! + voicedUs(samples);
      if (stopUs > clock.nowUs()) await clock.sleep(stopUs - clock.nowUs(), signal);
      return stopUs;
    } catch (error) {
      // Who stops in the middle gives the microphone back.
      const audio = encodeSerialLinkAudio(new Int16Array(0), null);
      this.#say({ type: 'microphone', start: true, end: true, position: 0, audio });
      throw error;
    }
  }

  /** @returns the number of the message; undefined while the board is not connected */
  #say(message: SerialLinkMessage): number | undefined {
    if (this.peer === undefined) return undefined;
    return this.#bridge!.session.send(message);
  }

  #arrives(message: SerialLinkMessage, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const number = this.#say(message);
      if (number === undefined) {
        resolve(false);
        return;
      }
      const abort = (): void => {
        this.#waiting.delete(number);
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.set(number, (arrived) => {
        signal.removeEventListener('abort', abort);
        resolve(arrived);
      });
    });
  }

  #settle(number: number, arrived: boolean): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    waiting?.(arrived);
  }

  /** What was on its way has not arrived. */
  #lost(): void {
    this.#state = undefined;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, false);
  }
}

/** What the server has written, from the instants at which it was at the board. */
class ArrivedConnection extends WrittenConnection {
  constructor(connection: TappedConnection) {
    super(connection.number, connection);
  }

  /** @param code as the board is told; 1006 is none that can be written */
  close(code: number): void {
    if (code !== 1006) {
      const payload = Uint8Array.of(code >> 8, code & 0xff);
      this.write(encodeFrame({ opcode: opcodes.close, payload }));
    }
    this.write(undefined);
  }
}
