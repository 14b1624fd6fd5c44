import { createRandom, type Random } from '../../harness/random/random.ts';
import type { SerialLinkEvent, SerialLinkSettings, SerialLinkStatistics } from './endpoint.ts';
import { encodeSerialLinkFrame, SerialLinkDecoder } from './frame.ts';
import { encodeSerialLinkMessage, type SerialLinkMessage } from './message.ts';
import { everyFault, NoisyLine } from './noisy-line.contract.ts';

/** What a run needs of an end; the C one has it, too. */
export interface LinkEnd {
  start(nowUs: number): void;
  receive(bytes: Uint8Array, nowUs: number): void;
  due(nowUs: number): void;
  send(message: SerialLinkMessage, nowUs: number, options?: { readonly loose?: boolean }): number;
  textWritten(bytes: number, nowUs: number): void;
  nextDeadlineUs(): number;
  readonly statistics: Pick<SerialLinkStatistics, 'framesRepeated' | 'framesSent'>;
}

export interface NoiseRun {
  readonly baud: number;
  readonly seed: number;
  readonly meanBytesBetween: number;
  /** With acknowledgement, in each direction. */
  readonly messages: number;
  readonly makeHost: (settings: SerialLinkSettings) => LinkEnd;
  readonly makeBoard: (settings: SerialLinkSettings) => LinkEnd;
}

export interface NoiseFigures {
  readonly faults: number;
  /** With acknowledgement, in both directions. */
  readonly messages: number;
  /** Received and never sent, or other than sent, or out of order, or twice. */
  readonly wrong: number;
  /** Acknowledged and not received, or never acknowledged. */
  readonly lost: number;
  /** Sessions that ended. */
  readonly disconnections: number;
  /** Frames that no fault touched and that were not found all the same: the recovery took longer than it may. */
  readonly recoveredLate: number;
  readonly framesSent: number;
  readonly framesRepeated: number;
  readonly looseSent: number;
  readonly looseReceived: number;
  readonly seconds: number;
  /** The longest time in which one direction delivered nothing although it had something to deliver. */
  readonly longestStallMs: number;
  /** Acknowledged payload, share of what the line carries in that time; the worse direction. */
  readonly goodput: number;
}

/**
 * Two ends talk over two noisy lines in virtual time: commands, events and audio of 1 to 2000 bytes with
 * acknowledgement, pieces of the speaker without, keys that overtake, and console text between frames.
 * Whatever arrives is compared with what was sent.
 */
export function runThroughNoise(run: NoiseRun): NoiseFigures {
  const random = createRandom(run.seed, `serial-link/${run.baud}`);
  const noise = { meanBytesBetween: run.meanBytesBetween, weights: everyFault };
  const toBoard = new NoisyLine(run.baud, random.fork('to board'), noise);
  const toHost = new NoisyLine(run.baud, random.fork('to host'), noise);
  const witnesses = [new FrameWitness(), new FrameWitness()] as const;
  const consoleRandom = random.fork('console');
  let nowUs = 0;
  const settingsOf = (role: 'host' | 'board', numbers: Random): SessionSettings => ({
    role,
    bytesPerSecond: run.baud / 10,
    capabilities: ['keys', 'ima-adpcm'],
    newSession: () => numbers.integer(1, 0xffff_ffff),
  });
  const host = new Talker(run, random.fork('host'), (onEvent) =>
    run.makeHost({
      ...settingsOf('host', random.fork('host sessions')),
      output: (bytes) => witnesses[0].written(bytes, toBoard.write(bytes, nowUs)),
      onEvent: (event) => onEvent(event, nowUs),
    }),
  );
  const board = new Talker(run, random.fork('board'), (onEvent) =>
    run.makeBoard({
      ...settingsOf('board', random.fork('board sessions')),
      output: (bytes) => {
        if (consoleRandom.next() < 0.1) {
          const line = consoleLine(consoleRandom, nowUs);
          toHost.write(line, nowUs);
          board.end.textWritten(line.length, nowUs);
        }
        witnesses[1].written(bytes, toHost.write(bytes, nowUs));
      },
      onEvent: (event) => onEvent(event, nowUs),
    }),
  );
  host.peer = board;
  board.peer = host;
  host.end.start(0);
  board.end.start(0);
  for (let steps = 0; !(host.isDone && board.isDone); steps++) {
    const nextUs = Math.min(
      host.end.nextDeadlineUs(),
      board.end.nextDeadlineUs(),
      toBoard.nextUs,
      toHost.nextUs,
    );
    if (steps > 20_000_000 || nextUs === Number.POSITIVE_INFINITY) {
      throw new Error(`No end in sight at ${nowUs} µs.`);
    }
    nowUs = Math.max(nowUs, nextUs);
    while (toBoard.nextUs <= nowUs) {
      board.end.receive(witnesses[0].arrived(toBoard.take()), nowUs);
    }
    while (toHost.nextUs <= nowUs) host.end.receive(witnesses[1].arrived(toHost.take()), nowUs);
    if (host.end.nextDeadlineUs() <= nowUs) host.end.due(nowUs);
    if (board.end.nextDeadlineUs() <= nowUs) board.end.due(nowUs);
    host.talk(nowUs, 'host');
    board.talk(nowUs, 'board');
  }
  const both = (pick: (talker: Talker) => number): number => pick(host) + pick(board);
  const seconds = nowUs / 1e6;
  return {
    faults: toBoard.faults + toHost.faults,
    messages: both((talker) => talker.delivered),
    wrong: both((talker) => talker.wrong),
    lost: both((talker) => talker.lost + talker.missing),
    disconnections: both((talker) => talker.disconnections),
    recoveredLate: witnesses[0].missed + witnesses[1].missed,
    framesSent: both((talker) => talker.end.statistics.framesSent),
    framesRepeated: both((talker) => talker.end.statistics.framesRepeated),
    looseSent: board.looseSent.length,
    looseReceived: host.looseReceived,
    seconds,
    longestStallMs: Math.max(host.longestStallUs, board.longestStallUs) / 1000,
    goodput: Math.min(host.receivedBytes, board.receivedBytes) / seconds / (run.baud / 10),
  };
}

/** Looks at one direction of the line: every frame that arrives as it was written must be found in it. */
class FrameWitness {
  missed = 0;
  readonly #decoder = new SerialLinkDecoder();
  /** On their way, in order. */
  readonly #due: { readonly frame: string; readonly isIntact: boolean }[] = [];

  written(frame: Uint8Array, isIntact: boolean): void {
    this.#due.push({ frame: latin1(frame), isIntact });
  }

  arrived(bytes: Uint8Array): Uint8Array {
    for (const item of this.#decoder.push(bytes)) {
      if (item.kind === 'frame') this.#found(latin1(encodeSerialLinkFrame(item.body)));
    }
    return bytes;
  }

  /** Many acknowledgements are equal: one that was struck without harm must not stand for a later one. */
  #found(frame: string): void {
    const firstIntact = this.#due.findIndex(({ isIntact }) => isIntact);
    const at = this.#due.findIndex((due) => due.isIntact && due.frame === frame);
    const isStruckOne = this.#due
      .slice(0, Math.max(0, firstIntact))
      .some((due) => due.frame === frame);
    if (at === -1 || (at > firstIntact && isStruckOne)) return;
    this.missed += this.#due.slice(0, at).filter(({ isIntact }) => isIntact).length;
    this.#due.splice(0, at + 1);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

type SessionSettings = Pick<
  SerialLinkSettings,
  'role' | 'bytesPerSecond' | 'capabilities' | 'newSession'
>;

/** So many messages are given to an end ahead of their acknowledgement. */
const ahead = 12;

/** Sends what the run demands and compares what arrives with what the peer has sent. */
class Talker {
  peer: Talker | null = null;
  readonly end: LinkEnd;
  wrong = 0;
  lost = 0;
  delivered = 0;
  disconnections = 0;
  looseReceived = 0;
  receivedBytes = 0;
  longestStallUs = 0;
  readonly looseSent: Uint8Array[] = [];
  readonly #ordinary: Uint8Array[] = [];
  readonly #urgent: Uint8Array[] = [];
  /** By the number of a message: how many of its kind there are up to it. */
  readonly #places = new Map<number, { readonly urgent: boolean; readonly count: number }>();
  #ordinaryReceived = 0;
  #urgentReceived = 0;
  #looseSeen = 0;
  #sent = 0;
  #lastReceivedUs = 0;
  #isConnected = false;
  readonly #random: Random;
  readonly #messages: number;

  constructor(
    run: NoiseRun,
    random: Random,
    make: (onEvent: (event: SerialLinkEvent, nowUs: number) => void) => LinkEnd,
  ) {
    this.#random = random;
    this.#messages = run.messages;
    this.end = make((event, nowUs) => this.#hear(event, nowUs));
  }

  get isDone(): boolean {
    return this.delivered === this.#messages || this.disconnections > 0;
  }

  /** Sent and not received by the peer when all is over. */
  get missing(): number {
    const { peer } = this;
    return this.#sent - peer!.#ordinaryReceived - peer!.#urgentReceived;
  }

  talk(nowUs: number, role: 'host' | 'board'): void {
    while (
      this.#isConnected &&
      this.#sent < this.#messages &&
      this.#sent - this.delivered < ahead
    ) {
      this.#sent += 1;
      const urgent = this.#random.next() < 0.1;
      const message = this.#message(role, urgent);
      const list = urgent ? this.#urgent : this.#ordinary;
      list.push(encodeSerialLinkMessage(message));
      const number = this.end.send(message, nowUs);
      this.#places.set(number, { urgent, count: list.length });
      if (role === 'board' && this.#random.next() < 0.2) this.#tap(nowUs);
    }
  }

  #tap(nowUs: number): void {
    const bytes = this.#random.bytes(2 * this.#random.integer(1, 150));
    const position = this.looseSent.length;
    const message = { type: 'speaker', position, audio: { coding: 's16le', bytes } } as const;
    this.looseSent.push(encodeSerialLinkMessage(message));
    this.end.send(message, nowUs, { loose: true });
  }

  #message(role: 'host' | 'board', urgent: boolean): SerialLinkMessage {
    const random = this.#random;
    if (urgent) {
      const durationMs = 1 + (this.#urgent.length % 65_535);
      return { type: 'key', key: 'k0', action: 'tap', durationMs };
    }
    const most = [300, 300, 300, 1000, 2000][random.integer(0, 4)]!;
    const length = random.integer(1, most);
    if (role === 'host') return { type: 'server-event', bytes: random.bytes(length) };
    if (random.next() < 0.5) {
      return {
        type: 'upload-audio',
        audio: { coding: 's16le', bytes: random.bytes(2 * Math.ceil(length / 2)) },
      };
    }
    const text = Buffer.from(random.bytes(length)).toString('base64').slice(0, length);
    return { type: 'client-command', text };
  }

  #hear(event: SerialLinkEvent, nowUs: number): void {
    switch (event.kind) {
      case 'connected':
        this.#isConnected = true;
        this.#lastReceivedUs = nowUs;
        return;
      case 'disconnected':
      case 'refused':
        this.disconnections += 1;
        return;
      case 'invalid-message':
        this.wrong += 1;
        return;
      case 'delivered': {
        this.delivered += 1;
        const { urgent, count } = this.#places.get(event.number)!;
        this.#places.delete(event.number);
        const { peer } = this;
        if ((urgent ? peer!.#urgentReceived : peer!.#ordinaryReceived) < count) this.lost += 1;
        return;
      }
      case 'message':
        this.#compare(event.message, event.loose, nowUs);
        return;
      default:
    }
  }

  #compare(message: SerialLinkMessage, loose: boolean, nowUs: number): void {
    const bytes = encodeSerialLinkMessage(message);
    if (loose) {
      this.looseReceived += 1;
      const position = message.type === 'speaker' ? message.position : -1;
      const sent = this.peer!.looseSent[position];
      if (position < this.#looseSeen || sent === undefined || !equal(sent, bytes)) this.wrong += 1;
      this.#looseSeen = position + 1;
      return;
    }
    const urgent = message.type === 'key';
    const list = urgent ? this.peer!.#urgent : this.peer!.#ordinary;
    const sent = list[urgent ? this.#urgentReceived++ : this.#ordinaryReceived++];
    if (sent === undefined || !equal(sent, bytes)) this.wrong += 1;
    this.receivedBytes += bytes.length;
    this.longestStallUs = Math.max(this.longestStallUs, nowUs - this.#lastReceivedUs);
    this.#lastReceivedUs = nowUs;
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function consoleLine(random: Random, nowUs: number): Uint8Array {
  const words = ['Received WebSocket message', '你好', 'Listening state: true', 'heap 81234'];
  const word = words[random.integer(0, words.length - 1)];
  return new TextEncoder().encode(`I (${Math.floor(nowUs / 1000)}) echokit::app: ${word}\r\n`);
}
