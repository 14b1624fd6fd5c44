/**
 * The shadow of a board that hangs on a cable: the emulated board, given the very bytes that the server sends
 * to the real one, and told what that one was seen to do. What happens inside of the real board, when a
 * sample leaves its player above all, cannot be seen from outside; the shadow says when it would happen
 * by the model.
 *
 * The shadow decides nothing by itself that the real board was or would be seen to do: it connects when that one has
 * connected, and follows its keys, its uplink and its restarts.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock/clock.ts';
import type { DeviceEvent, DeviceState } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { createFollowingDevice, type FollowingDevice } from '../device/emulated-device.ts';
import type { DialTarget } from '../network/network.ts';
import { SocketLikeStream } from '../network/socket-like-stream.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import type { TappedConnection } from './tapped-connection.ts';

export interface ShadowBoardOptions {
  /** The model of the board. How long it takes to boot is seen, not taken from here. */
  readonly profile: DeviceProfile;
  readonly deviceId: string;
  /** As stored on the board. */
  readonly serverUrl: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** Receives what the model says of the board. `connection` is the server's number. MUST NOT throw. */
  observe(event: DeviceEvent): void;
}

/** How the press of K0 became known that made the board connect. */
type Witness = 'console' | 'traffic';

/** A press is seen twice, on the console and by what the board does, and this is how far the two are apart at most. */
const samePressUs = 1_500_000;
/** The number of the connection that a board had before our server was there. */
const unknownConnection = 0;

export class ShadowBoard {
  readonly #options: ShadowBoardOptions;
  readonly #device: FollowingDevice;
  /** Accepted by the server and not dialed by the shadow yet. */
  readonly #accepted: TappedConnection[] = [];
  /** The shadow dials and waits for the real board. */
  #dialing: ((connection: TappedConnection) => void) | undefined;
  /** The server's number of the shadow's connections, in their order. */
  readonly #numbers: number[] = [];
  #booted = false;
  #running = false;
  #current: TappedConnection | undefined;
  #allowInterrupt = false;
  #lastPress: { readonly witness: Witness; readonly atUs: number } | undefined;

  constructor(options: ShadowBoardOptions) {
    this.#options = options;
    const { profile, serverUrl, deviceId, clock, random, opus, voiceDetection } = options;
    this.#device = createFollowingDevice({
      profile: { ...profile, constants: { ...profile.constants, bootUs: 0 } },
      deviceId,
      serverUrl,
      clock,
      random,
      opus,
      voiceDetection,
      dialer: { dial: (_target: DialTarget, signal?: AbortSignal) => this.#dial(signal) },
      observe: (event) => this.#report(event),
    });
  }

  get state(): DeviceState {
    return this.#device.state;
  }

  /** The real board has been seen to run: it has connected. */
  get running(): boolean {
    return this.#running;
  }

  /** What the speaker has played by the model; see {@link FollowingDevice.speaker}. */
  speaker(): Int16Array {
    return this.#device.speaker().samples;
  }

  close(): Promise<void> {
    return this.#device.close();
  }

  // ---- what was seen at the server ----

  connected(connection: TappedConnection): void {
    this.#current = connection;
    const waiting = this.#dialing;
    const restarted = this.#running && !connection.reconnect;
    if (waiting !== undefined && !restarted) {
      this.#dialing = undefined;
      this.#lastPress = undefined;
      waiting(connection);
      return;
    }
    this.#accepted.push(connection);
    // The console has told it, and the shadow is about to dial.
    if (connection.reconnect && this.#sawPress('console')) return;
    if (!this.#booted) {
      // A board that ran before our server did has lost a connection that nobody here knows of.
      if (connection.reconnect) this.#accepted.unshift(silentConnection);
      void this.boot().then(() => {
        if (connection.reconnect) this.#press('traffic');
      });
    } else if (restarted) {
      this.#device.follow({
        type: 'restart',
        cause: 'the board connected as it does after a boot',
      });
    } else if (this.state === 'Speaking' && this.#allowInterrupt) {
      this.#device.follow({ type: 'interrupt' });
    } else {
      // K0 in Listening would end the session; a board that connects was not Listening any more.
      if (this.state === 'Listening') this.#press('traffic');
      this.#press('traffic');
    }
  }

  startChat(connection: TappedConnection): void {
    if (connection === this.#current) this.#device.follow({ type: 'startChat' });
  }

  audio(connection: TappedConnection, samples: Int16Array): void {
    if (connection === this.#current) this.#device.follow({ type: 'audio', samples });
  }

  /** A board that closes has gone to Idle, by K0 or by its idle timer. */
  closing(connection: TappedConnection): void {
    if (connection !== this.#current || this.#sawPress('console')) return;
    if (this.state === 'Listening') this.#press('traffic');
  }

  // ---- what was seen on the console, or done by us ----

  /** The main loop has taken a short press of K0. */
  keyTaken(): void {
    if (!this.#running || this.#sawPress('traffic')) return;
    this.#press('console');
  }

  /** Interruption by voice was switched. */
  interruptSet(allowed: boolean): void {
    if (allowed === this.#allowInterrupt) return;
    this.#allowInterrupt = allowed;
    this.#device.follow({ type: 'key', press: 'long' });
  }

  /** The chip has restarted. */
  restarted(cause: string): void {
    this.#allowInterrupt = false;
    this.#device.follow({ type: 'restart', cause });
  }

  /** Resolves when the real board has connected for the first time. Harmless when repeated. */
  async boot(): Promise<void> {
    if (this.#booted) return;
    this.#booted = true;
    await this.#device.boot();
  }

  #press(witness: Witness): void {
    this.#lastPress = { witness, atUs: this.#options.clock.nowUs() };
    this.#device.follow({ type: 'key', press: 'short' });
  }

  /** Whether the press that is now seen has been told by the other witness just before. */
  #sawPress(witness: Witness): boolean {
    const last = this.#lastPress;
    if (last?.witness !== witness) return false;
    this.#lastPress = undefined;
    return this.#options.clock.nowUs() - last.atUs <= samePressUs;
  }

  // ---- the model's side ----

  #dial(signal?: AbortSignal): Promise<ForkedStream> {
    const connection = this.#accepted.shift();
    if (connection !== undefined) return Promise.resolve(this.#fork(connection));
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => {
        this.#dialing = undefined;
        reject(signal.reason);
      });
      this.#dialing = (taken) => resolve(this.#fork(taken));
    });
  }

  #fork(connection: TappedConnection): ForkedStream {
    this.#numbers.push(connection.number);
    return new ForkedStream(connection);
  }

  #report(event: DeviceEvent): void {
    if (event.type === 'boot') this.#running = true;
    if (event.type === 'reboot') {
      this.#running = false;
      this.#allowInterrupt = false;
    }
    if (!('connection' in event)) {
      this.#options.observe(event);
      return;
    }
    const connection = this.#numbers[event.connection - 1] ?? unknownConnection;
    if (connection !== unknownConnection) this.#options.observe({ ...event, connection });
  }
}

const silentConnection: TappedConnection = {
  number: unknownConnection,
  deviceId: '',
  reconnect: false,
  listen: () => {},
};

/**
 * The board's end of a copy of a connection: answers the handshake itself, because each client has a key of its own,
 * and then hands out what the server has sent to the real board. What the shadow sends goes nowhere.
 */
class ForkedStream extends SocketLikeStream {
  readonly #connection: TappedConnection;
  #request: string | undefined = '';

  constructor(connection: TappedConnection) {
    super({ allowHalfOpen: false });
    this.#connection = connection;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#request !== undefined) this.#handshake(chunk);
    done();
  }

  override _read(): void {}

  override _final(done: () => void): void {
    done();
  }

  #handshake(chunk: Buffer): void {
    this.#request += chunk.toString('latin1');
    const key = /^sec-websocket-key: (\S+)/im.exec(this.#request ?? '')?.[1];
    if (key === undefined || this.#request?.endsWith('\r\n\r\n') !== true) return;
    this.#request = undefined;
    // RFC 6455, section 4.2.2.
    const accept = createHash('sha1')
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    this.push(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    this.#connection.listen((bytes) => {
      // Not inside of the server's own write: it has not told of the message yet.
      queueMicrotask(() => {
        if (this.destroyed || this.readableEnded) return;
        this.push(bytes ?? null);
      });
    });
  }
}
