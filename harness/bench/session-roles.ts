/**
 * What `bench` measures the server with, over real sockets: a provider's stand-in, the server, and boards that only ask and
 * receive. Each lives in a process of its own, so that what one does is not measured as the time of another; all read the same
 * monotonic clock. A role is asked one thing at a time; what it is asked and answers is plain data.
 */
import type { Duplex } from 'node:stream';
import { adapterFor, type SpeechSession } from '../../adapters/index.ts';
import { ProcessorWait } from '../clock/processor-wait.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { boardOfDeviceId } from '../load/loaded-board.ts';
import type { Endpoint, Listener } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { loadOpus } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { impersonateProvider } from '../runner/provider-stand-ins.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import type { ServerObservation } from '../server/conversation.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { ClipEncoder } from '../stand-ins/clip-encoder.ts';
import { loadOfflineVoice } from '../stand-ins/offline-voice.ts';
import { loadVoiceDetection } from '../voice-detection/voice-detection.ts';
import { type BoardArrival, ListeningBoard } from './listening-board.ts';

export type SessionRequest =
  | { readonly kind: 'provider'; readonly entry: ProviderEntry }
  | {
      readonly kind: 'server';
      readonly entry: ProviderEntry;
      readonly at: Endpoint;
      /** Where a provider listens that never answers. */
      readonly mute: Endpoint;
    }
  | { readonly kind: 'boards'; readonly server: Endpoint; readonly boards: number }
  /** Boards: the first of them talk for so long; answered when the last has got its answer. */
  | { readonly kind: 'talk'; readonly talk: Talk }
  /** What was seen since it was last asked. */
  | { readonly kind: 'take' }
  | { readonly kind: 'close' };

export interface Talk {
  readonly sessions: number;
  /** A board asks so long after it asked before, or when it has got the answer, whichever is later. */
  readonly everyMs: number;
  readonly forMs: number;
  /** Who is in the way meanwhile: a board that reads all, or nothing, of answers without a pause, or one whose provider never answers. */
  readonly beside?: 'reading-board' | 'deaf-board' | 'mute-provider';
}

export type SessionAnswer =
  | { readonly kind: 'provider'; readonly at: Endpoint; readonly mute: Endpoint }
  | { readonly kind: 'server'; readonly at: Endpoint }
  | { readonly kind: 'done' }
  | { readonly kind: 'talked'; readonly arrivals: readonly BoardArrival[] }
  | { readonly kind: 'writes'; readonly writes: readonly ProviderWrite[] }
  | { readonly kind: 'frames'; readonly frames: readonly FirstFrame[]; readonly waits: WaitLog }
  | { readonly kind: 'waits'; readonly waits: WaitLog };

/** Bytes that the provider handed to a socket. */
export interface ProviderWrite {
  /** Ordinal of the connection, from 1: the same at both ends. */
  readonly connection: number;
  /** Bytes of the connection up to the end of it. */
  readonly toBytes: number;
  readonly atUs: number;
}

/** The first frame of an answer, as the server made it. */
export interface FirstFrame {
  readonly board: number;
  readonly turn: number;
  readonly connection: number;
  /** The bytes that completed the frame came behind so many of the connection. */
  readonly behindBytes: number;
  readonly arrivedUs: number;
  /** Written to the socket of the board. */
  readonly framedUs: number;
}

/** How long a thread had waited for a processor by then, in µs, wherever it was looked at; pairs in order. */
export type WaitLog = readonly (readonly [atUs: number, waitedUs: number])[];

const loopback = { host: '127.0.0.1', port: 0 };
const frameSamples = 1920;
/** The provider answers soon, so that a board asks often; its pace is its own. */
const firstByteMs = 200;
/** What boards are told: of about two seconds, one sentence each. */
const replies = [
  'The moon is far away, but not too far to see.',
  'It will rain this afternoon, so take a coat along.',
  'There are eight planets, and ours is the third one.',
  'The train leaves at seven in the morning, from platform two.',
];
/** Beside the boards that are measured. */
export const endlessBoard = 0xffff;
export const muteBoard = 0xfffe;

/** Looks at most so often: reading the file is a call of the system. */
class WaitWatch {
  readonly #clock: SystemClock;
  readonly #wait = ProcessorWait.ofThisThread();
  #log: (readonly [number, number])[] = [];

  constructor(clock: SystemClock) {
    this.#clock = clock;
  }

  look(): void {
    if (this.#wait !== undefined) this.#log.push([this.#clock.nowUs(), this.#wait.waitedUs()]);
  }

  take(): WaitLog {
    const log = this.#log;
    this.#log = log.slice(-1);
    return log;
  }
}

/** Whatever its process is asked to be. */
export class SessionRole {
  readonly #clock: SystemClock;
  readonly #waits: WaitWatch;
  readonly #closing: (() => Promise<void> | void)[] = [];
  #writes: ProviderWrite[] = [];
  #frames: FirstFrame[] = [];
  #boards: ListeningBoard[] = [];
  #server: Endpoint = loopback;
  #take: () => SessionAnswer = () => ({ kind: 'waits', waits: this.#waits.take() });

  /** @param startNs instant 0 of all roles: `SystemClock.startNs` */
  constructor(startNs: bigint) {
    this.#clock = new SystemClock(startNs);
    this.#waits = new WaitWatch(this.#clock);
  }

  async answer(request: SessionRequest): Promise<SessionAnswer> {
    switch (request.kind) {
      case 'provider':
        return await this.#openProvider(request.entry);
      case 'server':
        return await this.#openServer(request);
      case 'boards':
        return await this.#openBoards(request);
      case 'talk':
        return { kind: 'talked', arrivals: await this.#talk(request.talk) };
      case 'take':
        return this.#take();
      case 'close':
        for (const close of this.#closing.splice(0)) await close();
        return { kind: 'done' };
    }
  }

  async #openProvider(entry: ProviderEntry): Promise<SessionAnswer> {
    const clock = this.#clock;
    const random = createRandom(1, 'bench');
    const network = new SocketNetwork({ clock, random: random.fork('network'), outside: [] });
    let at: Endpoint = loopback;
    let connections = 0;
    const standIns = await impersonateProvider(
      entry,
      {
        dial: (target, signal) => network.dial(target, signal),
        listen: (endpoint, accept) => network.listen(endpoint, accept),
        disturb: (endpoint, disturbance) => network.disturb(endpoint, disturbance),
        setLink: () => {},
        impersonate: async (endpoint, accept) => {
          const listener = await network.impersonate(endpoint, accept);
          at = listener.endpoint;
          return listener;
        },
      },
      {
        voice: await loadOfflineVoice({}),
        encoder: new ClipEncoder({}),
        clock,
        random: random.fork('stand-in'),
        changes: { firstByteMs },
        logEntries: 0,
        ...(entry.personality !== undefined && { personality: entry.personality }),
      },
      (stream) => this.#watchWrites(stream, ++connections),
    );
    const unanswered = new Set<Duplex>();
    const mute = await network.listen(loopback, (stream: Duplex) => {
      unanswered.add(stream);
      stream.on('error', () => {});
      stream.resume();
    });
    this.#closing.push(
      () => standIns.close(),
      () => {
        for (const stream of unanswered) stream.destroy();
      },
      () => mute.close(),
    );
    this.#take = () => {
      const writes = this.#writes;
      this.#writes = [];
      return { kind: 'writes', writes };
    };
    return { kind: 'provider', at, mute: mute.endpoint };
  }

  /** Notes what is written to a connection, and when. */
  #watchWrites(stream: Duplex, connection: number): Duplex {
    let toBytes = 0;
    const write = stream.write.bind(stream) as (...given: unknown[]) => boolean;
    stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
      const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8';
      toBytes += typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length;
      this.#writes.push({ connection, toBytes, atUs: this.#clock.nowUs() });
      return write(chunk, ...rest);
    }) as Duplex['write'];
    return stream;
  }

  async #openServer({
    entry,
    at,
    mute,
  }: Extract<SessionRequest, { kind: 'server' }>): Promise<SessionAnswer> {
    const clock = this.#clock;
    const network = new SocketNetwork({ clock, random: createRandom(1, 'bench'), outside: [] });
    network.lead(entry.endpoint, at);
    const watch = new FrameWatch(clock, this.#waits, (frame) => this.#frames.push(frame));
    const speech = sessionOf(entry, clock, network, watch);
    const nowhere = new SocketNetwork({ clock, random: createRandom(1, 'bench'), outside: [] });
    nowhere.lead(entry.endpoint, mute);
    const unanswered = sessionOf(entry, clock, nowhere);
    const server = createAdapterServer({
      clock,
      // Packets are not remembered: a server for people encodes each of them.
      opus: await loadOpus(),
      voiceDetection: await loadVoiceDetection(),
      speech: asMarked(speech, unanswered),
      platform: entry.tts.platform,
      recognizer: scriptedRecognizer(() => '', { clock, durationMs: 1 }),
      replies: scriptedReply(
        ({ deviceId }) => ({
          text: replyTo(boardOfDeviceId(deviceId)!),
          firstTokenMs: 1,
          tokensPerSecond: 10_000,
        }),
        { clock },
      ),
      observe: (event) => watch.hearOf(event),
      observeAudio: (audio) => {
        if (audio.kind === 'provider')
          watch.hearWhose(audio.request, boardOfDeviceId(audio.deviceId)!);
      },
    });
    const listener: Listener = await network.listen(loopback, (stream) => server.accept(stream));
    this.#closing.push(
      () => server.close(),
      () => speech.close(),
      () => unanswered.close(),
      () => listener.close(),
    );
    this.#take = () => {
      const frames = this.#frames;
      this.#frames = [];
      return { kind: 'frames', frames, waits: this.#waits.take() };
    };
    return { kind: 'server', at: listener.endpoint };
  }

  async #openBoards({
    server,
    boards,
  }: Extract<SessionRequest, { kind: 'boards' }>): Promise<SessionAnswer> {
    this.#server = server;
    this.#closing.push(() => {
      for (const board of this.#boards) board.leave();
    });
    for (let board = 0; board < boards; board++) {
      this.#boards.push(
        await ListeningBoard.connect(board, server, this.#clock, () => this.#waits.look()),
      );
    }
    return { kind: 'done' };
  }

  /** The boards begin one after the other within the first `everyMs`. */
  async #talk({ sessions, everyMs, forMs, beside }: Talk): Promise<BoardArrival[]> {
    const clock = this.#clock;
    const other = await this.#disturber(beside);
    const fromUs = clock.nowUs();
    const untilUs = fromUs + forMs * 1000;
    const arrivals: BoardArrival[] = [];
    await Promise.all(
      this.#boards.slice(0, sessions).map(async (board, index) => {
        let dueUs = fromUs + Math.round((index * everyMs * 1000) / sessions);
        while (dueUs < untilUs) {
          await clock.sleep(Math.max(0, dueUs - clock.nowUs()));
          arrivals.push(await board.ask());
          dueUs = Math.max(clock.nowUs(), dueUs + everyMs * 1000);
        }
      }),
    );
    other?.leave();
    return arrivals;
  }

  async #disturber(beside: Talk['beside']): Promise<ListeningBoard | undefined> {
    if (beside === undefined) return undefined;
    const mute = beside === 'mute-provider';
    const number = mute ? muteBoard : endlessBoard;
    const board = await ListeningBoard.connect(number, this.#server, this.#clock, () => {}, mute);
    if (beside === 'deaf-board') board.stopReading();
    // So many answers that there is one to be sent for as long as the others talk.
    for (let ask = 0; ask < 20; ask++) board.askOnly();
    return board;
  }
}

function replyTo(board: number): string {
  if (board === muteBoard) return muteText;
  if (board === endlessBoard) return replies.join(' ');
  return replies[board % replies.length]!;
}

/** Nobody answers for it. */
const muteText = 'Nobody will ever say this sentence.';

/** What the mark is in is asked of the other session. */
function asMarked(session: SpeechSession, marked: SpeechSession): SpeechSession {
  return {
    capabilities: session.capabilities,
    async *speak(text, signal) {
      const pieces = text[Symbol.asyncIterator]();
      const first = await pieces.next();
      async function* whole(): AsyncGenerator<string, void> {
        for (let next = first; next.done !== true; next = await pieces.next()) yield next.value;
      }
      const asked = first.done !== true && first.value.startsWith(muteText) ? marked : session;
      yield* asked.speak(whole(), signal);
    },
    close: () => session.close(),
  };
}

function sessionOf(
  { tts }: ProviderEntry,
  clock: SystemClock,
  network: SocketNetwork,
  watch?: FrameWatch,
): SpeechSession {
  const random = createRandom(1, 'masks');
  // One connection after the other, so that both ends count them in the same order.
  let dialing: Promise<unknown> = Promise.resolve();
  return adapterFor(tts).open(tts.config, {
    clock,
    dialer: {
      dial: (target, signal) => {
        const dialed = dialing.then(() => network.dial(target, signal));
        dialing = dialed.catch(() => {});
        return dialed.then((stream) => watch?.watchReads(stream) ?? stream);
      },
    },
    randomBytes: (count) => random.bytes(count),
    observe: (event) => {
      if (event.direction === 'received' && event.stream !== undefined) {
        watch?.hearBytes(event.request, event.stream, event.atUs);
      }
    },
  });
}

interface Read {
  readonly connection: number;
  /** Bytes of the connection before it. */
  readonly behindBytes: number;
  readonly arrivedUs: number;
}

interface Answer {
  board?: number;
  readonly reads: { readonly atUs: number; readonly read: Read }[];
  samples: number;
  completing?: Read;
}

/** Which bytes of which connection completed the first frame of an answer, and when the frame was written. */
class FrameWatch {
  readonly #clock: SystemClock;
  readonly #waits: WaitWatch;
  readonly #found: (frame: FirstFrame) => void;
  readonly #streams = new Map<Duplex, { latest: Read | undefined }>();
  readonly #answers = new Map<number, Answer>();
  readonly #boards = new Map<number, number>();
  /** Answers whose first frame is to come, by board. */
  readonly #awaited = new Map<number, Answer>();
  #connections = 0;

  constructor(clock: SystemClock, waits: WaitWatch, found: (frame: FirstFrame) => void) {
    this.#clock = clock;
    this.#waits = waits;
    this.#found = found;
  }

  watchReads(stream: Duplex): Duplex {
    const connection = ++this.#connections;
    const seen: { latest: Read | undefined } = { latest: undefined };
    let bytes = 0;
    const push = stream.push.bind(stream);
    stream.push = (chunk: Uint8Array | null, encoding?: BufferEncoding) => {
      if (chunk !== null) {
        this.#waits.look();
        seen.latest = { connection, behindBytes: bytes, arrivedUs: this.#clock.nowUs() };
        bytes += chunk.length;
      }
      return push(chunk, encoding);
    };
    this.#streams.set(stream, seen);
    stream.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  /** Bytes of an answer have come, within the last read of its connection. */
  hearBytes(request: number, stream: Duplex, atUs: number): void {
    const read = this.#streams.get(stream)?.latest;
    const answer = this.#answer(request);
    if (read !== undefined && answer.completing === undefined) answer.reads.push({ atUs, read });
  }

  hearWhose(request: number, board: number): void {
    const answer = this.#answers.get(request);
    if (answer === undefined || answer.board !== undefined) return;
    answer.board = board;
    this.#awaited.set(board, answer);
  }

  hearOf(event: ServerObservation): void {
    switch (event.type) {
      case 'connected':
        this.#boards.set(event.connection, boardOfDeviceId(event.deviceId)!);
        break;
      case 'chunk': {
        const answer = this.#answer(event.request);
        answer.samples += event.samples;
        if (answer.completing !== undefined || answer.samples < frameSamples) break;
        const read = answer.reads.findLast(({ atUs }) => atUs <= event.atUs)?.read;
        if (read !== undefined) answer.completing = read;
        break;
      }
      case 'frame':
        if (event.event.startsWith('AudioChunk')) this.#hearOfFrame(event);
        break;
      case 'end':
      case 'failure':
      case 'cancelled':
        this.#answers.delete(event.request);
        break;
      default:
        break;
    }
  }

  #hearOfFrame({
    connection,
    turn,
    atUs,
  }: {
    connection: number;
    turn: number;
    atUs: number;
  }): void {
    const board = this.#boards.get(connection)!;
    const answer = this.#awaited.get(board);
    if (answer === undefined) return;
    this.#awaited.delete(board);
    this.#waits.look();
    // An answer shorter than a frame is completed by its end, which is no latency.
    if (answer.completing !== undefined)
      this.#found({ board, turn, ...answer.completing, framedUs: atUs });
  }

  #answer(request: number): Answer {
    let answer = this.#answers.get(request);
    if (answer === undefined) {
      answer = { reads: [], samples: 0 };
      this.#answers.set(request, answer);
    }
    return answer;
  }
}
