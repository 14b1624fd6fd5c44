/**
 * One end of a serial link: the start-up handshake, acknowledged delivery in order, flow control and
 * pacing (SL-4 of the README beside this file). No I/O and no clock of its own: the caller hands in
 * bytes and instants, is handed bytes and events, and asks when to call again.
 */
import { ProtocolError } from '../protocol-error.ts';
import {
  encodeSerialLinkFrame,
  leastFrameBytes,
  mostFrameBytes,
  recommendedFrameBytes,
  type SerialLinkDamage,
  SerialLinkDecoder,
  type SerialLinkDecoderCounts,
  serialLinkWireBytes,
} from './frame.ts';
import {
  dataHeadBytes,
  decodeLinkFrame,
  encodeLinkFrame,
  looseHeadBytes,
  type SerialLinkCapability,
  type SerialLinkClosing,
  type SerialLinkFrame,
  type SerialLinkLimits,
  type SerialLinkRefusal,
  type SerialLinkRole,
  serialLinkVersion,
} from './link-frame.ts';
import {
  decodeSerialLinkMessage,
  encodeSerialLinkMessage,
  type SerialLinkMessage,
  serialLinkMessageRules,
} from './message.ts';

/** Durations of the protocol (SL-4). */
export const serialLinkTiming = {
  /** Between hellos without an answer, the last one again and again. */
  helloUs: [250_000, 500_000, 1_000_000, 2_000_000],
  /** At most so often is traffic without a session answered with a hello. */
  helloAnswerUs: 200_000,
  /** An acknowledgement waits so long for a frame that can carry it. */
  ackDelayUs: 5_000,
  /** Wait for an acknowledgement: before anything was measured, at least, at most; two frames are added. */
  retransmitStartUs: 300_000,
  retransmitLeastUs: 50_000,
  retransmitMostUs: 2_000_000,
  /** The wait is doubled so often; a line, unlike a network, is not congested. */
  retransmitDoublings: 2,
  /** So many waits without progress end the session. */
  retransmitTimes: 16,
  /** A sender without credit asks again. */
  pollUs: 250_000,
  /** Something is sent at least so often. */
  keepAliveUs: 1_000_000,
  /** Nothing was heard for so long: the session is over. */
  silenceUs: 5_000_000,
  /** A frame that has begun and gets no byte for so long is given up. */
  frameGapUs: 500_000,
  /** So much of what was handed out may be waiting for the line. */
  leadUs: 20_000,
} as const;

const noGap = 255;
/** Loose messages that wait for the line; the oldest is dropped for a new one. */
const looseMaximum = 4;
const windowMaximum = 64;
/** Messages that this end takes, when nobody says otherwise. */
const usualMessageBytes = 131_072;

export interface SerialLinkSettings {
  readonly role: SerialLinkRole;
  /**
   * Called for each session that this end begins: a number from 1 to 2^32 − 1 that it has not used before.
   * Draw it at random; after a restart it must differ.
   */
  readonly newSession: () => number;
  /** Bytes for the line, one frame in each call. They belong to the receiver, which must not call back. */
  readonly output: (bytes: Uint8Array) => void;
  /** What has happened. May call the endpoint. */
  readonly onEvent: (event: SerialLinkEvent) => void;
  /** What stands here, for people: at most 64 bytes of UTF-8. */
  readonly name?: string;
  readonly capabilities?: readonly SerialLinkCapability[];
  /** Waits until the other end has spoken, so that nothing is written to a line nobody asked for. */
  readonly passive?: boolean;
  /** What the line carries, for pacing: a tenth of the baud rate. Default 11,520. */
  readonly bytesPerSecond?: number;
  /** The largest body of a frame that is taken and sent, 96 to 4096. Default 360. */
  readonly frameMaximumBytes?: number;
  /** Data frames on their way, 1 to 64. Default 8. */
  readonly window?: number;
  /** The largest message that is taken. Default 131,072. */
  readonly messageMaximumBytes?: number;
  /** Messages that are taken until {@link SerialLinkEndpoint.grant} says more; default: no limit. */
  readonly room?: number;
}

/** What the other end has said of itself. */
export interface SerialLinkPeer extends SerialLinkLimits {
  readonly session: number;
  readonly role: SerialLinkRole;
  readonly version: number;
  readonly name: string;
  readonly capabilities: readonly SerialLinkCapability[];
}

/** Why a session has ended. */
export type SerialLinkEnding =
  /** The other end has begun a new one. */
  | 'restarted'
  /** Nothing was heard for 5 s. */
  | 'silent'
  /** Frames arrive, but no acknowledgement of what is sent again and again. */
  | 'unacknowledged'
  /** The other end has closed it, or this one. */
  | 'closed'
  /** One of the ends has broken the protocol. */
  | 'violation';

export type SerialLinkEvent =
  | { readonly kind: 'connected'; readonly peer: SerialLinkPeer }
  | {
      readonly kind: 'disconnected';
      readonly reason: SerialLinkEnding;
      /** Messages that were given to `send` and are not known to have arrived. */
      readonly undelivered: readonly number[];
    }
  /** The two cannot talk; a new session of the other end is awaited. */
  | {
      readonly kind: 'refused';
      readonly by: 'us' | 'peer';
      readonly reason: SerialLinkRefusal | null;
      /** In words, with the numbers of both. */
      readonly explanation: string;
    }
  | { readonly kind: 'message'; readonly message: SerialLinkMessage; readonly loose: boolean }
  /** The other end has this message, and all acknowledged ones of its kind (urgent or not) before it. */
  | { readonly kind: 'delivered'; readonly number: number }
  /** A message that has arrived whole and means nothing here. It counts as delivered. */
  | { readonly kind: 'invalid-message'; readonly type: number; readonly reason: string }
  | {
      readonly kind: 'pong';
      readonly roundTripUs: number;
      /** The clock of the other end, read between ping and pong; its zero is its own. */
      readonly peerClockUs: number;
    }
  /** Console text, byte for byte; pieces are cut anywhere. */
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  | { readonly kind: 'damaged'; readonly reason: SerialLinkDamage; readonly bytes: Uint8Array };

export type SerialLinkState = 'new' | 'waiting' | 'connected' | 'refused' | 'closed';

export interface SerialLinkStatistics {
  framesSent: number;
  bytesSent: number;
  /** Data frames that were sent once more. */
  framesRepeated: number;
  /** Waits for an acknowledgement that ended without one. */
  timeouts: number;
  /** Gaps in what arrived that were reported to the other end. */
  gapsReported: number;
  /** Data frames that had arrived before, and were dropped. */
  duplicates: number;
  /** Data frames behind a gap, or without room, that were dropped. */
  framesOutOfOrder: number;
  framesWithoutRoom: number;
  messagesSent: number;
  messagesReceived: number;
  bytesReceived: number;
  /** Loose messages that the line was too slow for. */
  looseDropped: number;
  /** Frames whose check is right and whose content is none of this protocol. */
  framesUnknown: number;
}

/** A frame that means something within a session only. */
type SessionFrame = Exclude<SerialLinkFrame, { kind: 'hello' | 'refuse' | 'close' }>;

interface Outgoing {
  readonly number: number;
  readonly type: number;
  readonly payload: Uint8Array;
  offset: number;
}

interface Slot {
  readonly first: boolean;
  readonly last: boolean;
  readonly urgent: boolean;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly message: number;
  transmissions: number;
  /** When its last byte has left, as far as the baud rate tells. */
  leftUs: number;
}

/** @see SerialLinkSettings for what it needs. Instants are microseconds of any one clock and never go back. */
export class SerialLinkEndpoint {
  readonly statistics: SerialLinkStatistics = {
    framesSent: 0,
    bytesSent: 0,
    framesRepeated: 0,
    timeouts: 0,
    gapsReported: 0,
    duplicates: 0,
    framesOutOfOrder: 0,
    framesWithoutRoom: 0,
    messagesSent: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    looseDropped: 0,
    framesUnknown: 0,
  };

  readonly #settings: SerialLinkSettings;
  readonly #limits: SerialLinkLimits;
  readonly #bytesPerSecond: number;
  readonly #decoder: SerialLinkDecoder;

  #state: SerialLinkState = 'new';
  #session = 0;
  #peerSession = 0;
  #peer: SerialLinkPeer | null = null;
  #refusedSession = 0;
  /** The session that the listener knows of; 0: none. */
  #announced = 0;

  #helloAtUs = Number.POSITIVE_INFINITY;
  #hellos = 0;
  #lastHelloUs = Number.NEGATIVE_INFINITY;
  #lastHeardUs = 0;
  #lastByteUs = 0;
  #lastSentUs = 0;
  #lineFreeUs = 0;

  // Sending.
  #nextNumber = 1;
  readonly #urgent: Outgoing[] = [];
  readonly #ordinary: Outgoing[] = [];
  readonly #loose: Uint8Array[] = [];
  /** Data frames without acknowledgement, the oldest first; its sequence number is `#oldest`. */
  readonly #slots: Slot[] = [];
  #oldest = 0;
  /** The slot to be sent next. Those before it are on their way. */
  #cursor = 0;
  #peerCredit = 0;
  #timeouts = 0;
  #smoothedUs: number | null = null;
  #variationUs = 0;
  #pollAtUs = Number.POSITIVE_INFINITY;
  #ping: { readonly token: number; readonly sentUs: number } | null = null;
  #pings = 0;

  // Receiving.
  #expected = 0;
  #room: number;
  /** How far behind a gap the latest frame was; 255: there is no gap. */
  #aheadBefore = noGap;
  #resendDue = false;
  #unacknowledged = 0;
  #ackAtUs = Number.POSITIVE_INFINITY;
  #part: { readonly type: number; readonly pieces: Uint8Array[]; length: number } | null = null;

  /** @throws {ProtocolError} FP_SERIAL_LINK_SETTING when a limit is out of its range. */
  constructor(settings: SerialLinkSettings) {
    this.#settings = settings;
    this.#limits = {
      frameMaximumBytes: inRange(
        'frameMaximumBytes',
        settings.frameMaximumBytes ?? recommendedFrameBytes,
        leastFrameBytes,
        mostFrameBytes,
      ),
      window: inRange('window', settings.window ?? 8, 1, windowMaximum),
      messageMaximumBytes: inRange(
        'messageMaximumBytes',
        settings.messageMaximumBytes ?? usualMessageBytes,
        leastFrameBytes,
        0xffff_ffff,
      ),
    };
    this.#bytesPerSecond = inRange('bytesPerSecond', settings.bytesPerSecond ?? 11_520, 1, 1e12);
    this.#room = settings.room ?? Number.POSITIVE_INFINITY;
    this.#decoder = new SerialLinkDecoder(this.#limits);
  }

  get state(): SerialLinkState {
    return this.#state;
  }

  /** Null while not connected. */
  get peer(): SerialLinkPeer | null {
    return this.#state === 'connected' ? this.#peer : null;
  }

  /** Bytes of payload that were given to `send` and are not acknowledged. For back pressure. */
  get waitingBytes(): number {
    const left = (sum: number, out: Outgoing): number => sum + out.payload.length - out.offset;
    return (
      this.#slots.reduce((sum, slot) => sum + slot.payload.length, 0) +
      this.#urgent.reduce(left, 0) +
      this.#ordinary.reduce(left, 0)
    );
  }

  /** Of the decoder below. */
  get counts(): SerialLinkDecoderCounts {
    return this.#decoder.counts;
  }

  /** Begins a session, also after a refusal or `close`. One that stands is given up without a word. */
  start(nowUs: number): void {
    this.#end('closed');
    this.#state = 'waiting';
    this.#session = this.#settings.newSession();
    this.#refusedSession = 0;
    this.#lineFreeUs = nowUs;
    if (this.#settings.passive === true) this.#helloAtUs = Number.POSITIVE_INFINITY;
    else this.#sendHello(nowUs);
  }

  /** Tells the other end that this one has finished, and is silent until `start`. */
  close(nowUs: number): void {
    if (this.#state === 'connected') {
      this.#write({ kind: 'close', session: this.#session, reason: 'finished' }, nowUs);
    }
    this.#end('closed');
    this.#state = 'closed';
  }

  /**
   * Takes a message, and sends it as soon as the line, the window and the other end allow.
   *
   * @param options.loose send it once, without acknowledgement; `speaker` only, and within one frame
   * @returns the number of the message, for `delivered`
   * @throws {ProtocolError} FP_SERIAL_LINK_NOT_CONNECTED, FP_SERIAL_LINK_DIRECTION when the other end is the one to
   * send this, FP_SERIAL_LINK_NOT_OFFERED when the other end has not announced that it can take it,
   * FP_SERIAL_LINK_TOO_LONG, FP_SERIAL_LINK_FIELD.
   */
  send(
    message: SerialLinkMessage,
    nowUs: number,
    options: { readonly loose?: boolean } = {},
  ): number {
    const loose = options.loose ?? false;
    const payload = encodeSerialLinkMessage(message);
    this.#check(message, payload.length, loose);
    const rule = serialLinkMessageRules[message.type];
    const number = this.#nextNumber++;
    this.statistics.messagesSent += 1;
    if (loose) {
      this.#loose.push(encodeLinkFrame({ kind: 'loose', type: rule.code, payload }));
      if (this.#loose.length > looseMaximum) {
        this.#loose.shift();
        this.statistics.looseDropped += 1;
      }
    } else {
      const queue = rule.urgent ? this.#urgent : this.#ordinary;
      queue.push({ number, type: rule.code, payload, offset: 0 });
    }
    this.#pump(nowUs);
    return number;
  }

  /** Asks the other end for its clock; the answer is the event `pong`. A lost one is not repeated. */
  ping(nowUs: number): void {
    if (this.#state !== 'connected') throw notConnected(this.#state);
    this.#pings += 1;
    this.#ping = { token: this.#pings >>> 0, sentUs: nowUs };
    this.#write({ kind: 'ping', token: this.#ping.token }, nowUs);
  }

  /** So many more messages are taken. Without effect when `room` was not limited. */
  grant(messages: number, nowUs: number): void {
    const before = this.#credit();
    this.#room += messages;
    if (before === 0 && this.#credit() > 0) this.#ackAtUs = nowUs;
    this.#pump(nowUs);
  }

  /** So many bytes of console text were put on the same line, so frames wait for them. */
  textWritten(bytes: number, nowUs: number): void {
    this.#lineFreeUs = Math.max(this.#lineFreeUs, nowUs) + this.#durationUs(bytes);
  }

  /** @param bytes as they arrived, cut anywhere; kept no longer than the call */
  receive(bytes: Uint8Array, nowUs: number): void {
    if (this.#decoder.isWaiting && nowUs - this.#lastByteUs >= serialLinkTiming.frameGapUs) {
      this.#takeItems(this.#decoder.giveUp(), nowUs);
    }
    this.#lastByteUs = nowUs;
    this.#takeItems(this.#decoder.push(bytes), nowUs);
    this.#pump(nowUs);
  }

  /** When {@link due} is to be called; infinite when nothing is to be done without bytes or messages. */
  nextDeadlineUs(): number {
    let next = this.#helloAtUs;
    if (this.#decoder.isWaiting) {
      next = Math.min(next, this.#lastByteUs + serialLinkTiming.frameGapUs);
    }
    if (this.#state !== 'connected') return next;
    next = Math.min(
      next,
      this.#ackAtUs,
      this.#pollAtUs,
      this.#lastSentUs + serialLinkTiming.keepAliveUs,
      this.#lastHeardUs + serialLinkTiming.silenceUs,
      this.#retransmitAtUs(),
    );
    if (this.#canSendData() || this.#loose.length > 0) {
      next = Math.min(next, this.#lineFreeUs - serialLinkTiming.leadUs);
    }
    return next;
  }

  /** Does what the passing of time demands. Harmless when called early or late. */
  due(nowUs: number): void {
    if (this.#decoder.isWaiting && nowUs - this.#lastByteUs >= serialLinkTiming.frameGapUs) {
      this.#takeItems(this.#decoder.giveUp(), nowUs);
    }
    if (this.#helloAtUs <= nowUs) this.#sendHello(nowUs);
    if (this.#state === 'connected') {
      if (nowUs - this.#lastHeardUs >= serialLinkTiming.silenceUs) {
        this.#lose('silent', nowUs);
      } else if (this.#retransmitAtUs() <= nowUs) {
        this.statistics.timeouts += 1;
        this.#timeouts += 1;
        this.#cursor = 0;
        if (this.#timeouts > serialLinkTiming.retransmitTimes) this.#lose('unacknowledged', nowUs);
      }
    }
    this.#pump(nowUs);
  }

  // ---- sending ----

  #check(message: SerialLinkMessage, length: number, loose: boolean): void {
    const peer = this.peer;
    if (peer === null) throw notConnected(this.#state);
    const rule = serialLinkMessageRules[message.type];
    if (rule.from !== 'both' && rule.from !== this.#settings.role) {
      throw new ProtocolError(
        'FP_SERIAL_LINK_DIRECTION',
        `${message.type} is sent by the ${rule.from}, and this end is the ${this.#settings.role}.`,
      );
    }
    const coding = 'audio' in message ? message.audio.coding : 's16le';
    const needed = [rule.from === 'both' && peer.role === 'host' ? undefined : rule.needs];
    if (coding !== 's16le') needed.push(coding);
    const missing = needed.find((name) => name !== undefined && !peer.capabilities.includes(name));
    if (missing !== undefined) {
      throw new ProtocolError(
        'FP_SERIAL_LINK_NOT_OFFERED',
        `The ${peer.role}${peer.name && ` "${peer.name}"`} has not announced \`${missing}\`, which ${message.type} needs: ` +
          'use a build with it.',
      );
    }
    if (loose && rule.mayBeLost !== true) {
      throw new ProtocolError(
        'FP_SERIAL_LINK_DIRECTION',
        `${message.type} is not sent without acknowledgement: leave out \`loose\`.`,
      );
    }
    const frame = this.#frameBytes(peer);
    const most = loose
      ? frame - looseHeadBytes
      : rule.urgent
        ? frame - dataHeadBytes
        : peer.messageMaximumBytes;
    if (length > most) {
      throw new ProtocolError(
        'FP_SERIAL_LINK_TOO_LONG',
        `${message.type} has ${length} bytes, and at most ${most} are taken: send it in pieces.`,
      );
    }
  }

  #frameBytes(peer: SerialLinkLimits): number {
    return Math.min(peer.frameMaximumBytes, this.#limits.frameMaximumBytes);
  }

  /** Sends what may be sent now. */
  #pump(nowUs: number): void {
    const isStuck = this.#state === 'connected' && this.#hasData() && this.#peerCredit === 0;
    if (!isStuck) this.#pollAtUs = Number.POSITIVE_INFINITY;
    else if (this.#pollAtUs === Number.POSITIVE_INFINITY) {
      this.#pollAtUs = nowUs + serialLinkTiming.pollUs;
    }
    while (this.#state === 'connected') {
      const isPaced = this.#lineFreeUs > nowUs + serialLinkTiming.leadUs;
      if (this.#resendDue) this.#sendAck(nowUs, { resend: true });
      else if (!isPaced && this.#canSendData()) this.#sendData(nowUs);
      else if (this.#ackAtUs <= nowUs) this.#sendAck(nowUs, {});
      else if (this.#lastSentUs + serialLinkTiming.keepAliveUs <= nowUs) this.#sendAck(nowUs, {});
      else if (this.#pollAtUs <= nowUs) this.#sendAck(nowUs, { poll: true });
      else if (!isPaced && this.#loose.length > 0) this.#writeBody(this.#loose.shift()!, nowUs);
      else break;
    }
  }

  #hasData(): boolean {
    return this.#slots.length > 0 || this.#urgent.length > 0 || this.#ordinary.length > 0;
  }

  #canSendData(): boolean {
    if (this.#peer === null) return false;
    const most = Math.min(this.#limits.window, this.#peer.window, this.#peerCredit);
    if (this.#cursor >= most) return false;
    return this.#cursor < this.#slots.length || this.#urgent.length + this.#ordinary.length > 0;
  }

  #sendData(nowUs: number): void {
    if (this.#cursor === this.#slots.length) this.#slots.push(this.#nextSlot());
    const slot = this.#slots[this.#cursor]!;
    const sequence = (this.#oldest + this.#cursor) & 0xff;
    this.#cursor += 1;
    if (slot.transmissions > 0) this.statistics.framesRepeated += 1;
    slot.transmissions += 1;
    const { first, last, urgent, type, payload } = slot;
    const [ack, credit] = this.#acknowledged();
    this.#write({ kind: 'data', sequence, ack, credit, first, last, urgent, type, payload }, nowUs);
    slot.leftUs = this.#lineFreeUs;
  }

  /** The next part of what waits, urgent messages first. */
  #nextSlot(): Slot {
    const urgent = this.#urgent.length > 0;
    const queue = urgent ? this.#urgent : this.#ordinary;
    const out = queue[0]!;
    const first = out.offset === 0;
    const room = this.#frameBytes(this.#peer!) - (first ? dataHeadBytes : dataHeadBytes - 1);
    const payload = out.payload.subarray(out.offset, out.offset + room);
    out.offset += payload.length;
    const last = out.offset === out.payload.length;
    if (last) queue.shift();
    const { type, number: message } = out;
    return { first, last, urgent, type, payload, message, transmissions: 0, leftUs: 0 };
  }

  #sendAck(nowUs: number, why: { readonly resend?: boolean; readonly poll?: boolean }): void {
    const [ack, credit] = this.#acknowledged();
    const { resend = false, poll = false } = why;
    if (resend) this.#resendDue = false;
    if (poll) this.#pollAtUs = nowUs + serialLinkTiming.pollUs;
    this.#write({ kind: 'ack', ack, credit, resend, poll }, nowUs);
  }

  #acknowledged(): [ack: number, credit: number] {
    this.#ackAtUs = Number.POSITIVE_INFINITY;
    this.#unacknowledged = 0;
    return [this.#expected, this.#credit()];
  }

  /** Each data frame may end a message, so no more frames than messages are taken. */
  #credit(): number {
    return Math.max(0, Math.min(this.#limits.window, this.#room));
  }

  #write(frame: SerialLinkFrame, nowUs: number): void {
    this.#writeBody(encodeLinkFrame(frame), nowUs);
  }

  #writeBody(body: Uint8Array, nowUs: number): void {
    const bytes = encodeSerialLinkFrame(body);
    this.#lineFreeUs = Math.max(this.#lineFreeUs, nowUs) + this.#durationUs(bytes.length);
    this.#lastSentUs = nowUs;
    this.statistics.framesSent += 1;
    this.statistics.bytesSent += bytes.length;
    this.#settings.output(bytes);
  }

  #durationUs(bytes: number): number {
    return Math.ceil((bytes * 1_000_000) / this.#bytesPerSecond);
  }

  #retransmitAtUs(): number {
    if (this.#cursor === 0) return Number.POSITIVE_INFINITY;
    const { retransmitStartUs, retransmitLeastUs, retransmitMostUs, retransmitDoublings } =
      serialLinkTiming;
    const measured =
      this.#smoothedUs === null ? retransmitStartUs : this.#smoothedUs + 4 * this.#variationUs;
    const doubled = 2 ** Math.min(this.#timeouts, retransmitDoublings);
    const wait = Math.max(measured, retransmitLeastUs) * doubled;
    // The other end may be in the middle of a frame, and one may wait before its answer.
    const framesUs = 2 * this.#durationUs(serialLinkWireBytes(this.#limits.frameMaximumBytes));
    return this.#slots[0]!.leftUs + Math.min(wait, retransmitMostUs) + framesUs;
  }

  // ---- receiving ----

  #takeItems(items: ReturnType<SerialLinkDecoder['push']>, nowUs: number): void {
    for (const item of items) {
      if (item.kind !== 'frame') {
        this.#settings.onEvent(item);
        continue;
      }
      const frame = decodeLinkFrame(item.body);
      if (frame === null) this.statistics.framesUnknown += 1;
      else if (this.#state !== 'new' && this.#state !== 'closed') this.#takeFrame(frame, nowUs);
    }
  }

  #takeFrame(frame: SerialLinkFrame, nowUs: number): void {
    switch (frame.kind) {
      case 'hello':
        this.#takeHello(frame, nowUs);
        return;
      case 'refuse':
        this.#takeRefusal(frame);
        return;
      case 'close':
        if (this.#state === 'connected' && frame.session === this.#peerSession) {
          this.#end(endingOf(frame.reason));
        }
        return;
      default:
        this.#takeSessionFrame(frame, nowUs);
    }
  }

  #takeSessionFrame(frame: SessionFrame, nowUs: number): void {
    if (this.#state !== 'connected') {
      // The other end believes in a session that this one does not know.
      const isSoon = nowUs - this.#lastHelloUs < serialLinkTiming.helloAnswerUs;
      if (this.#state === 'waiting' && !isSoon) this.#sendHello(nowUs);
      return;
    }
    this.#lastHeardUs = nowUs;
    switch (frame.kind) {
      case 'ack':
        this.#takeAck(frame.ack, frame.credit, nowUs);
        if (frame.resend && this.#cursor > 0) this.#cursor = 0;
        if (frame.poll) this.#ackAtUs = nowUs;
        return;
      case 'data':
        this.#takeAck(frame.ack, frame.credit, nowUs);
        if (this.#state === 'connected') this.#takeData(frame, nowUs);
        return;
      case 'loose':
        this.#deliver(frame.type, frame.payload, true);
        return;
      case 'ping':
        this.#write({ kind: 'pong', token: frame.token, clockUs: nowUs }, nowUs);
        return;
      case 'pong':
        if (this.#ping?.token !== frame.token) return;
        this.#settings.onEvent({
          kind: 'pong',
          roundTripUs: nowUs - this.#ping.sentUs,
          peerClockUs: frame.clockUs,
        });
        this.#ping = null;
    }
  }

  #takeAck(ack: number, credit: number, nowUs: number): void {
    const count = (ack - this.#oldest) & 0xff;
    // Frames that were taken back by a report of a gap may have arrived all the same.
    const sent = this.#slots.filter((slot) => slot.transmissions > 0).length;
    if (count > sent) {
      this.statistics.framesUnknown += 1;
      return;
    }
    this.#peerCredit = credit;
    if (count === 0) return;
    const slots = this.#slots.splice(0, count);
    const newest = slots.at(-1)!;
    if (newest.transmissions === 1) this.#measure(Math.max(0, nowUs - newest.leftUs));
    this.#oldest = ack;
    this.#cursor = Math.max(0, this.#cursor - count);
    this.#timeouts = 0;
    for (const slot of slots) {
      if (slot.last) this.#settings.onEvent({ kind: 'delivered', number: slot.message });
    }
  }

  #measure(roundTripUs: number): void {
    if (this.#smoothedUs === null) {
      this.#smoothedUs = roundTripUs;
      this.#variationUs = Math.floor(roundTripUs / 2);
      return;
    }
    const error = Math.abs(roundTripUs - this.#smoothedUs);
    this.#variationUs += Math.trunc((error - this.#variationUs) / 4);
    this.#smoothedUs += Math.trunc((roundTripUs - this.#smoothedUs) / 8);
  }

  #takeData(frame: SerialLinkFrame & { kind: 'data' }, nowUs: number): void {
    const ahead = (frame.sequence - this.#expected) & 0xff;
    if (ahead >= 128) {
      this.statistics.duplicates += 1;
      this.#ackAtUs = nowUs;
      return;
    }
    if (ahead > 0) {
      this.statistics.framesOutOfOrder += 1;
      // Not further on than the one before: the other end has gone back, and what is missing was lost again.
      if (ahead <= this.#aheadBefore) {
        this.#resendDue = true;
        this.statistics.gapsReported += 1;
      }
      this.#aheadBefore = ahead;
      return;
    }
    if (frame.last && this.#room <= 0) {
      this.statistics.framesWithoutRoom += 1;
      this.#ackAtUs = nowUs;
      return;
    }
    if (!this.#fits(frame)) {
      this.#write({ kind: 'close', session: this.#session, reason: 'violation' }, nowUs);
      this.#lose('violation', nowUs);
      return;
    }
    this.#expected = (this.#expected + 1) & 0xff;
    this.#aheadBefore = noGap;
    this.#resendDue = false;
    this.#unacknowledged += 1;
    const isHalf = this.#unacknowledged * 2 >= this.#limits.window;
    this.#ackAtUs = Math.min(this.#ackAtUs, nowUs + (isHalf ? 0 : serialLinkTiming.ackDelayUs));
    this.#takePart(frame);
  }

  /** Whether the part continues what has come, within the limits. */
  #fits(frame: SerialLinkFrame & { kind: 'data' }): boolean {
    if (frame.urgent) return frame.first && frame.last;
    if (frame.first !== (this.#part === null)) return false;
    return (this.#part?.length ?? 0) + frame.payload.length <= this.#limits.messageMaximumBytes;
  }

  #takePart(frame: SerialLinkFrame & { kind: 'data' }): void {
    if (frame.last) this.#room -= 1;
    if (frame.first && frame.last) {
      this.#deliver(frame.type, frame.payload, false);
      return;
    }
    this.#part ??= { type: frame.type, pieces: [], length: 0 };
    const part = this.#part;
    part.pieces.push(frame.payload);
    part.length += frame.payload.length;
    if (!frame.last) return;
    this.#part = null;
    const whole = new Uint8Array(part.length);
    let at = 0;
    for (const piece of part.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.#deliver(part.type, whole, false);
  }

  #deliver(type: number, payload: Uint8Array, loose: boolean): void {
    const from = this.#settings.role === 'host' ? 'board' : 'host';
    const result = decodeSerialLinkMessage(type, payload, from);
    if (result.ok) {
      this.statistics.messagesReceived += 1;
      this.statistics.bytesReceived += payload.length;
      this.#settings.onEvent({ kind: 'message', message: result.message, loose });
    } else {
      this.#settings.onEvent({ kind: 'invalid-message', type, reason: result.reason });
    }
  }

  // ---- sessions ----

  #sendHello(nowUs: number): void {
    const { helloUs } = serialLinkTiming;
    const isConnected = this.#state === 'connected';
    this.#lastHelloUs = nowUs;
    if (!isConnected) {
      this.#helloAtUs = nowUs + helloUs[Math.min(this.#hellos, helloUs.length - 1)]!;
      this.#hellos += 1;
    }
    const { name = '', capabilities = [], role } = this.#settings;
    this.#write(
      {
        kind: 'hello',
        version: serialLinkVersion,
        lowestVersion: serialLinkVersion,
        role,
        replyWanted: !isConnected,
        session: this.#session,
        peerSession: this.#peerSession,
        rest: { ...this.#limits, credit: this.#credit(), capabilities, name },
      },
      nowUs,
    );
  }

  #takeHello(hello: SerialLinkFrame & { kind: 'hello' }, nowUs: number): void {
    if (this.#state === 'refused' && hello.session === this.#refusedSession) {
      if (hello.session !== this.#session && hello.replyWanted) this.#answerRefused(hello, nowUs);
      return;
    }
    const refusal = this.#refusalOf(hello);
    if (refusal !== null) {
      if (!this.#end('restarted')) return;
      this.#refuse(hello.session, 'us', refusal, this.#explain(refusal, hello));
      if (hello.session !== this.#session) this.#answerRefused(hello, nowUs);
      return;
    }
    if (hello.session !== this.#peerSession) {
      if (!this.#end('restarted')) return;
      this.#state = 'waiting';
      this.#peerSession = hello.session;
      this.#helloAtUs = nowUs + serialLinkTiming.helloUs[0];
    }
    if (this.#state !== 'connected' && hello.peerSession === this.#session) {
      this.#connect(hello, nowUs);
    }
    if (this.#state === 'connected') this.#lastHeardUs = nowUs;
    if (hello.replyWanted) this.#sendHello(nowUs);
    if (this.#state === 'connected' && this.#announced !== hello.session) this.#announce(hello);
  }

  #connect(hello: SerialLinkFrame & { kind: 'hello' }, nowUs: number): void {
    this.#state = 'connected';
    this.#helloAtUs = Number.POSITIVE_INFINITY;
    this.#hellos = 0;
    this.#lastHeardUs = nowUs;
    const { session, role, version, rest } = hello;
    const { credit, ...limits } = rest!;
    this.#peerCredit = credit;
    this.#peer = { ...limits, session, role, version: Math.min(version, serialLinkVersion) };
  }

  /** Told when the answer is on its way, so that what the listener sends comes behind it. */
  #announce(hello: SerialLinkFrame & { kind: 'hello' }): void {
    this.#announced = hello.session;
    this.#settings.onEvent({ kind: 'connected', peer: this.#peer! });
  }

  #refusalOf(hello: SerialLinkFrame & { kind: 'hello' }): SerialLinkRefusal | null {
    if (hello.lowestVersion > serialLinkVersion || hello.version < serialLinkVersion) {
      return 'version';
    }
    if (hello.role === this.#settings.role) return 'role';
    const { rest } = hello;
    const isPossible =
      rest !== null &&
      rest.frameMaximumBytes >= leastFrameBytes &&
      rest.frameMaximumBytes <= mostFrameBytes &&
      rest.window >= 1 &&
      rest.window <= windowMaximum &&
      rest.credit <= rest.window &&
      rest.messageMaximumBytes >= leastFrameBytes;
    return isPossible ? null : 'limits';
  }

  #explain(refusal: SerialLinkRefusal, hello: SerialLinkFrame & { kind: 'hello' }): string {
    const { rest } = hello;
    switch (refusal) {
      case 'version':
        return `The other end speaks version ${hello.lowestVersion} to ${hello.version} of the serial link, this one version ${serialLinkVersion}: update the older one.`;
      case 'role':
        return hello.session === this.#session
          ? 'The line returns what is sent on it: is it connected to itself?'
          : `Both ends say that they are the ${hello.role}: connect a host with a board.`;
      case 'limits':
        return rest === null
          ? 'The hello of the other end is cut off.'
          : `The other end takes frames of ${rest.frameMaximumBytes} bytes, ${rest.window} at once, ${rest.credit} now, and messages of ${rest.messageMaximumBytes}: ` +
              `${leastFrameBytes} to ${mostFrameBytes}, 1 to ${windowMaximum} and from ${leastFrameBytes} are possible.`;
    }
  }

  #answerRefused(hello: SerialLinkFrame & { kind: 'hello' }, nowUs: number): void {
    this.#write(
      {
        kind: 'refuse',
        session: hello.session,
        reason: this.#refusalOf(hello),
        version: serialLinkVersion,
        lowestVersion: serialLinkVersion,
      },
      nowUs,
    );
  }

  #takeRefusal(refusal: SerialLinkFrame & { kind: 'refuse' }): void {
    if (refusal.session !== this.#session || this.#state === 'refused') return;
    const { reason, version, lowestVersion } = refusal;
    const refused = this.#peerSession;
    if (!this.#end('closed')) return;
    const explanation = {
      version: `The other end speaks version ${lowestVersion} to ${version} of the serial link, this one version ${serialLinkVersion}: update the older one.`,
      role: `The other end says that it is the ${this.#settings.role}, too: connect a host with a board.`,
      limits: `The other end cannot work with frames of ${this.#limits.frameMaximumBytes} bytes and a window of ${this.#limits.window}.`,
      unknown: 'The other end refuses to talk for a reason that this version does not know.',
    }[reason ?? 'unknown'];
    this.#refuse(refused, 'peer', reason, explanation);
  }

  #refuse(
    session: number,
    by: 'us' | 'peer',
    reason: SerialLinkRefusal | null,
    explanation: string,
  ): void {
    this.#state = 'refused';
    this.#refusedSession = session;
    this.#helloAtUs = Number.POSITIVE_INFINITY;
    this.#settings.onEvent({ kind: 'refused', by, reason, explanation });
  }

  /**
   * The session is over for a reason that the other end may not know: begins a new one, under a number
   * by which the other end will see that.
   */
  #lose(reason: SerialLinkEnding, nowUs: number): void {
    this.#session = this.#settings.newSession();
    if (this.#end(reason) && this.#settings.passive !== true) this.#sendHello(nowUs);
  }

  /**
   * Forgets a session that stood, waits for the other end to begin one, and says what was not delivered.
   * @returns false when the listener has done something else instead
   */
  #end(reason: SerialLinkEnding): boolean {
    const wasAnnounced = this.#announced !== 0;
    const numbers = [...this.#slots.map((s) => s.message), ...this.#urgent.map((m) => m.number)];
    const undelivered = new Set([...numbers, ...this.#ordinary.map((m) => m.number)]);
    if (this.#state === 'connected') this.#state = 'waiting';
    this.#announced = 0;
    this.#peer = null;
    this.#peerSession = 0;
    this.#hellos = 0;
    this.#helloAtUs = Number.POSITIVE_INFINITY;
    this.#urgent.length = 0;
    this.#ordinary.length = 0;
    this.#loose.length = 0;
    this.#slots.length = 0;
    this.#oldest = 0;
    this.#cursor = 0;
    this.#peerCredit = 0;
    this.#timeouts = 0;
    this.#smoothedUs = null;
    this.#variationUs = 0;
    this.#pollAtUs = Number.POSITIVE_INFINITY;
    this.#ping = null;
    this.#expected = 0;
    this.#aheadBefore = noGap;
    this.#resendDue = false;
    this.#unacknowledged = 0;
    this.#ackAtUs = Number.POSITIVE_INFINITY;
    this.#part = null;
    if (!wasAnnounced) return true;
    const before = this.#state;
    this.#settings.onEvent({
      kind: 'disconnected',
      reason,
      undelivered: [...undelivered].sort((a, b) => a - b),
    });
    return this.#state === before;
  }
}

function endingOf(reason: SerialLinkClosing | null): SerialLinkEnding {
  return reason === 'violation' ? 'violation' : 'closed';
}

function notConnected(state: SerialLinkState): ProtocolError {
  return new ProtocolError(
    'FP_SERIAL_LINK_NOT_CONNECTED',
    `The serial link is ${state}, not connected: wait for the event \`connected\`.`,
  );
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ProtocolError(
    'FP_SERIAL_LINK_SETTING',
    `${name} is ${value}: give a whole number from ${least} to ${most}.`,
  );
}
