/**
 * A bridge over hours: opens the port, relays, reads the console on the same line, and begins anew when the port has vanished
 * and returned or the board has restarted. Ends by itself only when nobody there speaks the serial link.
 */
import type { Alarm } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import { BridgeMeter, type BridgeTraffic } from './bridge-traffic.ts';
import {
  ConsoleSession,
  type ConsoleSessionOptions,
  type PortListeners,
} from './console-session.ts';
import { linkLimitUs, linkMostUs, noLink } from './link-absence.ts';
import { SerialError } from './serial-error.ts';
import { type BridgeEvent, SerialLinkBridge, type ServerDialer } from './serial-link-bridge.ts';
import { sessionNumber } from './serial-link-session.ts';

export interface BridgeSessionOptions extends Omit<ConsoleSessionOptions, 'share'> {
  readonly dial: ServerDialer;
  /** For the numbers of the link's sessions, which must be other ones each time that the program is started (SL-4.1). */
  readonly drawBytes: (count: number) => Uint8Array;
  /** As in {@link SerialLinkBridge}. */
  readonly compactEvents?: boolean;
  readonly onBridge: (event: BridgeEvent) => void;
  /** Every ten seconds in which something has passed, and when a connection to the server ends. */
  readonly onTraffic: (traffic: BridgeTraffic) => void;
}

/** Native USB has no rate; the link paces itself by this (README of the serial link, "What fits"). */
const usbBytesPerSecond = 500_000;
const trafficUs = 10_000_000;

export class BridgeSession {
  readonly console: ConsoleSession;
  readonly #options: BridgeSessionOptions;
  readonly #meter: BridgeMeter;
  readonly #end = new AbortController();
  #bridge: SerialLinkBridge | undefined;
  #problem: SerialError | undefined;
  #connected = false;
  #limit: Alarm | undefined;
  #report: Alarm | undefined;
  #openedUs = 0;

  constructor(options: BridgeSessionOptions) {
    this.#options = options;
    this.#meter = new BridgeMeter(options.clock.nowUs());
    this.console = new ConsoleSession({
      ...options,
      onStory: (event) => {
        options.onStory(event);
        // The application, and the link with it, begins again.
        if (event.type === 'reset') this.#awaitLink();
      },
      share: (port, on) => this.#share(port, on),
    });
  }

  /** Everything that has passed. */
  traffic(): BridgeTraffic {
    return this.#meter.total(this.#options.clock.nowUs());
  }

  /** @throws what `open` throws */
  async start(): Promise<void> {
    await this.console.start();
  }

  /**
   * Relays until the signal aborts.
   *
   * @throws {SerialError} `SERIAL_NO_LINK`, `SERIAL_LINK_REFUSED`; {@link BoardError} `BOARD_MISMATCH`
   */
  async run(signal: AbortSignal): Promise<void> {
    const both = AbortSignal.any([signal, this.#end.signal]);
    this.#arm();
    await this.console.run(both);
    if (this.#problem !== undefined && !signal.aborted) throw this.#problem;
  }

  /** Ends the link and releases the port. */
  async close(): Promise<void> {
    this.#limit?.cancel();
    this.#report?.cancel();
    await this.console.close();
  }

  #share(port: BoardPort, on: PortListeners): SerialLinkBridge {
    const { clock, dial, drawBytes, baud, compactEvents } = this.#options;
    const bridge = new SerialLinkBridge({
      port,
      clock,
      dial,
      settings: {
        newSession: () => sessionNumber(drawBytes(4)),
        bytesPerSecond: baud === null ? usbBytesPerSecond : baud / 10,
        name: 'echokit-harness bridge',
      },
      ...(compactEvents !== undefined && { compactEvents }),
      onEvent: (event) => this.#hear(event, on),
      onGone: on.gone,
    });
    this.#meter.follow(bridge.session.endpoint);
    this.#bridge = bridge;
    this.#openedUs = clock.nowUs();
    bridge.start();
    this.#awaitLink();
    return bridge;
  }

  #hear(event: BridgeEvent, on: PortListeners): void {
    if (event.kind === 'link' && event.event.kind === 'text') {
      on.text(event.event.bytes, event.atUs);
      return;
    }
    this.#meter.hear(event);
    this.#options.onBridge(event);
    if (event.kind === 'server-closed') this.#tellTraffic();
    if (event.kind !== 'link') return;
    if (event.event.kind === 'connected') {
      this.#connected = true;
      this.#limit?.cancel();
    }
    if (event.event.kind === 'refused') {
      this.#stopFor(
        new SerialError(
          'SERIAL_LINK_REFUSED',
          `The board at ${this.console.port?.address ?? 'this port'} and this program cannot talk over the serial link: ${this.console.reader.redact(event.event.explanation)}`,
          'Bring the firmware or this program up to date; two programs of the same side (two bridges on one cable) cannot talk either.',
        ),
      );
    }
  }

  /** A board that had the link once is waited for, however long it is silent. */
  #awaitLink(): void {
    const { clock, baud } = this.#options;
    if (this.#connected) return;
    this.#limit?.cancel();
    const leftUs = Math.min(linkLimitUs, this.#openedUs + linkMostUs - clock.nowUs());
    this.#limit = clock.after(Math.max(0, leftUs), () => {
      const address = this.console.port?.address;
      if (address === undefined || this.#bridge?.session.endpoint.state === 'connected') return;
      this.#stopFor(noLink(address, this.console.reader.counts, baud));
    });
  }

  #stopFor(problem: SerialError): void {
    this.#problem ??= problem;
    this.#end.abort();
  }

  #arm(): void {
    this.#report = this.#options.clock.after(trafficUs, () => {
      this.#tellTraffic();
      this.#arm();
    });
  }

  #tellTraffic(): void {
    const traffic = this.#meter.since(this.#options.clock.nowUs());
    if (traffic !== undefined) this.#options.onTraffic(traffic);
  }
}
