/**
 * Firmware that has the serial link on its console's UART: the audio client reaches its server through it instead of
 * Wi-Fi, and a host presses keys, gives the microphone its samples and gets what the speaker plays. One boot of it.
 */
import {
  AdpcmEncoder,
  decodeSerialLinkAudio,
  encodeSerialLinkAudio,
  int16FromBytes,
  type SerialLinkAudio,
  type SerialLinkBoardState,
  SerialLinkEndpoint,
  type SerialLinkEvent,
  type SerialLinkKey,
  type SerialLinkMessage,
} from '../../firmware-protocol/index.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { Arrival, BoardSocket, SocketTaskOptions } from '../device/socket-task.ts';
import type { Random } from '../random/random.ts';
import { InjectedMicrophone } from './injected-microphone.ts';

export interface BoardLinkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Of the UART, both ways. */
  readonly baud: number;
  /** Bytes for the UART, a frame in each call. */
  readonly output: (bytes: Uint8Array) => void;
  /** What the board says of itself. */
  readonly facts: Readonly<Record<string, string>>;
  readonly resetUs: number;
  /** The board as its firmware reaches it. */
  readonly board: LinkedFirmware;
}

export interface LinkedFirmware {
  readonly state: SerialLinkBoardState;
  readonly volume: number;
  press(key: SerialLinkKey): void;
  release(key: SerialLinkKey): void;
  /** Plays samples at the microphone from now on. */
  hear(samples: Int16Array): void;
  /** As `EmulatedDevice.played`. */
  played(from: number): Int16Array;
}

/** From here on the line carries audio as it is; below, as IMA ADPCM ("What fits" of the link's specification). */
const pcmBaud = 460_800;
/** What the speaker has played leaves in pieces of this many samples, and with it the line stays ahead. */
const tapSamples = 1024;
const tapUs = 64_000;
/** So much of the line may wait, in seconds of it, before a piece of the tap is left out. */
const tapBacklogSeconds = 0.4;
/** Messages of the server that are taken while the main loop stands still. */
const roomMessages = 16;
/** What a socket takes without waiting for the line: the send buffer of lwIP as ESP-IDF sets it. */
const sendBufferBytes = 5760;

export class BoardLink {
  readonly #options: BoardLinkOptions;
  readonly #endpoint: SerialLinkEndpoint;
  readonly #microphone: InjectedMicrophone;
  readonly #encoder = { upload: new AdpcmEncoder(), tap: new AdpcmEncoder() };
  readonly #sockets = new Set<LinkSocket>();
  readonly #releases = new Set<Alarm>();
  /** By the number of the message that must have arrived first. */
  readonly #onDelivered = new Map<number, () => void>();
  #current: LinkSocket | undefined;
  #connections = 0;
  #heldMessages = 0;
  #alarm: Alarm | undefined;
  #tap: Alarm | undefined;
  /** Samples of the speaker that are dealt with; undefined: nobody has listened yet. */
  #tapped: number | undefined;
  #told = '';
  #isOver = false;

  constructor(options: BoardLinkOptions) {
    const { clock, random, baud, board } = options;
    this.#options = options;
    this.#microphone = new InjectedMicrophone(clock, (samples) => board.hear(samples));
    this.#endpoint = new SerialLinkEndpoint({
      role: 'board',
      // Nothing is written to a terminal where nobody understands it (SL-4.2).
      passive: true,
      name: options.facts['board'] ?? 'virtual board',
      capabilities: ['inject-microphone', 'tap-speaker', 'keys', 'ima-adpcm'],
      newSession: () => random.integer(1, 0xffff_ffff),
      bytesPerSecond: baud / 10,
      room: roomMessages,
      output: (bytes) => options.output(bytes),
      onEvent: (event) => this.#hear(event),
    });
    this.#do((nowUs) => this.#endpoint.start(nowUs));
  }

  get connected(): boolean {
    return this.#endpoint.state === 'connected';
  }

  /** Samples for the microphone come over the link. */
  get injecting(): boolean {
    return this.#microphone.active;
  }

  /** Samples that the link brought too late for their place. */
  get lateSamples(): number {
    return this.#microphone.lateSamples;
  }

  receive(bytes: Uint8Array): void {
    if (!this.#isOver) this.#do((nowUs) => this.#endpoint.receive(bytes, nowUs));
  }

  /** Console text has gone onto the same line. */
  textWritten(bytes: number): void {
    this.#endpoint.textWritten(bytes, this.#options.clock.nowUs());
  }

  /** A person has pressed a key, and let it go after `heldUs`. */
  keyReleased(key: SerialLinkKey, heldUs: number): void {
    const durationMs = Math.max(1, Math.min(65_535, Math.round(heldUs / 1000)));
    this.#say({ type: 'key', key, action: 'release', durationMs });
  }

  /** State or volume may have changed. */
  stateChanged(): void {
    const { board, clock, resetUs } = this.#options;
    const now = `${board.state} ${board.volume}`;
    if (now === this.#told || !this.connected) return;
    this.#told = now;
    const atMs = Math.floor((clock.nowUs() - resetUs) / 1000);
    const { state, volume } = board;
    this.#say({ type: 'board-state', state, volume, atMs, freeHeapBytes: 0 });
  }

  /** For the audio client, in place of a WebSocket over Wi-Fi. */
  openSocket(options: SocketTaskOptions): BoardSocket {
    // A byte on the line, and 0 is nobody's.
    this.#connections = (this.#connections % 255) + 1;
    const socket = new LinkSocket(options, {
      number: this.#connections,
      say: (message) => this.#say(message),
      deliver: (message, done) => this.#deliver(message, done),
      upload: (bytes) => this.#audio(int16FromBytes(bytes), this.#encoder.upload),
      waitingBytes: () => this.#endpoint.waitingBytes,
      held: (isHeld) => {
        if (!isHeld) this.#grantHeld();
      },
      over: (one) => this.#forget(one),
    });
    this.#sockets.add(socket);
    if (this.connected) socket.ask();
    return socket;
  }

  /** The chip resets: nothing is said any more. */
  stop(): void {
    this.#isOver = true;
    this.#alarm?.cancel();
    this.#tap?.cancel();
    this.#microphone.stop();
    for (const alarm of this.#releases) alarm.cancel();
    this.#sockets.clear();
    this.#current = undefined;
  }

  // ---- the link ----

  #do<Result>(what: (nowUs: number) => Result): Result {
    try {
      return what(this.#options.clock.nowUs());
    } finally {
      this.#arm();
    }
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const nextUs = this.#endpoint.nextDeadlineUs();
    if (this.#isOver || nextUs === Number.POSITIVE_INFINITY) return;
    this.#alarm = clock.after(Math.max(0, Math.ceil(nextUs - clock.nowUs())), () => {
      this.#do((nowUs) => this.#endpoint.due(nowUs));
    });
  }

  /** @returns the number of the message; undefined while nobody is there */
  #say(message: SerialLinkMessage): number | undefined {
    if (this.#isOver || !this.connected) return undefined;
    return this.#do((nowUs) => this.#endpoint.send(message, nowUs));
  }

  #deliver(message: SerialLinkMessage, done: () => void): boolean {
    const number = this.#say(message);
    if (number !== undefined) this.#onDelivered.set(number, done);
    return number !== undefined;
  }

  #hear(event: SerialLinkEvent): void {
    switch (event.kind) {
      case 'connected':
        this.#say({ type: 'board-info', facts: this.#options.facts });
        this.#told = '';
        this.stateChanged();
        for (const socket of [...this.#sockets]) socket.ask();
        this.#tapped = undefined;
        this.#followSpeaker();
        return;
      case 'disconnected':
        this.#tap?.cancel();
        this.#microphone.stop();
        this.#onDelivered.clear();
        this.#heldMessages = 0;
        this.#current = undefined;
        for (const socket of [...this.#sockets]) socket.lost();
        return;
      case 'delivered': {
        const done = this.#onDelivered.get(event.number);
        this.#onDelivered.delete(event.number);
        done?.();
        for (const socket of [...this.#sockets]) socket.lineMoved();
        return;
      }
      case 'message':
        this.#take(event.message);
        return;
      case 'invalid-message':
        this.#endpoint.grant(1, this.#options.clock.nowUs());
        return;
      default:
    }
  }

  #take(message: SerialLinkMessage): void {
    if (message.type === 'server-event' && this.#current?.isHeld === true) this.#heldMessages += 1;
    else this.#endpoint.grant(1, this.#options.clock.nowUs());
    switch (message.type) {
      case 'server-event':
        this.#current?.arrive({ kind: 'binary', data: message.bytes });
        return;
      case 'server-opened': {
        const socket = this.#socket(message.connection);
        if (socket === undefined) return;
        // The newest one counts (SL-5.8).
        this.#current = socket;
        socket.opened();
        return;
      }
      case 'server-close':
        this.#socket(message.connection)?.closed(message.code, message.reason);
        return;
      case 'key':
        this.#key(message);
        return;
      case 'microphone': {
        if (message.start) this.#microphone.start();
        const samples = decodeSerialLinkAudio(message.audio);
        if (samples !== null) this.#microphone.take(message.position, samples, message.end);
        return;
      }
      default:
    }
  }

  #key({ key, action, durationMs }: Extract<SerialLinkMessage, { type: 'key' }>): void {
    const { board, clock } = this.#options;
    if (action === 'release') {
      board.release(key);
      return;
    }
    board.press(key);
    if (action === 'press') return;
    const alarm = clock.after(durationMs * 1000, () => {
      this.#releases.delete(alarm);
      board.release(key);
    });
    this.#releases.add(alarm);
  }

  #socket(number: number): LinkSocket | undefined {
    return [...this.#sockets].find((socket) => socket.number === number);
  }

  #forget(socket: LinkSocket): void {
    this.#sockets.delete(socket);
    if (socket !== this.#current) return;
    this.#current = undefined;
    this.#grantHeld();
  }

  #grantHeld(): void {
    const messages = this.#heldMessages;
    this.#heldMessages = 0;
    if (messages > 0 && !this.#isOver) this.#do((nowUs) => this.#endpoint.grant(messages, nowUs));
  }

  // ---- audio ----

  #audio(samples: Int16Array, encoder: AdpcmEncoder): SerialLinkAudio {
    const takesAdpcm = this.#endpoint.peer?.capabilities.includes('ima-adpcm') === true;
    const isShort = this.#options.baud < pcmBaud;
    return encodeSerialLinkAudio(samples, isShort && takesAdpcm ? encoder : null);
  }

  #followSpeaker(): void {
    const { clock, board, baud } = this.#options;
    this.#tap?.cancel();
    this.#tap = clock.after(tapUs, () => this.#followSpeaker());
    const position = this.#tapped;
    const samples = board.played(position ?? 0);
    this.#tapped = (position ?? 0) + samples.length;
    // What was played before anybody listened is not told.
    if (position === undefined) return;
    for (let at = 0; at < samples.length; at += tapSamples) {
      const piece = samples.subarray(at, at + tapSamples);
      const isBehind = this.#endpoint.waitingBytes > (tapBacklogSeconds * baud) / 10;
      if (isBehind || piece.every((sample) => sample === 0)) continue;
      const audio = this.#audio(piece, this.#encoder.tap);
      this.#say({ type: 'speaker', position: (position + at) % 2 ** 32, audio });
    }
  }
}

interface LinkSocketMeans {
  readonly number: number;
  say(message: SerialLinkMessage): unknown;
  /** @returns false while nobody is there */
  deliver(message: SerialLinkMessage, done: () => void): boolean;
  upload(bytes: Uint8Array): SerialLinkAudio;
  waitingBytes(): number;
  held(isHeld: boolean): void;
  over(socket: LinkSocket): void;
}

/** One connection to the server that the host makes for the board (SL-5.8). */
class LinkSocket implements BoardSocket {
  readonly arrivals: Arrival[] = [];
  readonly number: number;
  readonly #options: SocketTaskOptions;
  readonly #means: LinkSocketMeans;
  #state: 'asking' | 'open' | 'over' = 'asking';
  /** Senders whose message is beyond what is taken without waiting. */
  readonly #senders: ((taken: boolean) => void)[] = [];
  #isHeld = false;

  constructor(options: SocketTaskOptions, means: LinkSocketMeans) {
    this.#options = options;
    this.#means = means;
    this.number = means.number;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  hold(held: boolean): void {
    if (held === this.#isHeld) return;
    this.#isHeld = held;
    this.#means.held(held);
  }

  send(data: string | Uint8Array, done: (taken: boolean) => void): void {
    const message: SerialLinkMessage =
      typeof data === 'string'
        ? { type: 'client-command', text: data }
        : { type: 'upload-audio', audio: this.#means.upload(data) };
    if (this.#state !== 'open' || this.#means.say(message) === undefined) done(false);
    else if (this.#means.waitingBytes() <= sendBufferBytes) done(true);
    else this.#senders.push(done);
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#means.deliver(this.#closing(1000), () => this.closed(1000, ''));
  }

  drop(): void {
    if (this.#state === 'over') return;
    this.#end();
    this.arrivals.length = 0;
    this.#means.say(this.#closing(1006));
  }

  // ---- what comes from the link ----

  /** The host is there. */
  ask(): void {
    if (this.#state !== 'asking') return;
    const { pathname, search } = new URL(this.#options.url);
    this.#means.say({
      type: 'server-open',
      connection: this.number,
      target: `${pathname}${search}`,
    });
  }

  opened(): void {
    if (this.#state !== 'asking') return;
    this.#state = 'open';
    this.#options.onOpen();
  }

  closed(code: number, reason: string): void {
    const before = this.#state;
    if (before === 'over') return;
    this.#end();
    if (before === 'asking') this.#options.onFailure(reason === '' ? `closed (${code})` : reason);
    else this.arrive({ kind: 'closed', code });
  }

  /** The link is gone. Who has asked asks again when it is back. */
  lost(): void {
    if (this.#state === 'open') this.closed(1006, '');
  }

  lineMoved(): void {
    while (this.#senders.length > 0 && this.#means.waitingBytes() <= sendBufferBytes) {
      this.#senders.shift()!(true);
    }
  }

  arrive(thing: { kind: 'binary'; data: Uint8Array } | { kind: 'closed'; code: number }): void {
    this.arrivals.push({ atUs: this.#options.clock.nowUs(), ...thing });
    this.#options.onArrival();
  }

  #end(): void {
    this.#state = 'over';
    for (const done of this.#senders.splice(0)) done(false);
    this.#means.over(this);
  }

  #closing(code: number): SerialLinkMessage {
    return { type: 'server-close', connection: this.number, code, reason: '' };
  }
}
