/**
 * What a case against a server plays on: it opens connections as a board does, byte by byte, and talks
 * over them. Everything has a limit.
 */
import type { Duplex } from 'node:stream';
import { encodeClientCommand } from '../../firmware-protocol/client-command.ts';
import type { Clock } from '../clock/clock.ts';
import type { Dialer, Endpoint } from '../network/network.ts';
import type { OpusDecoder } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import { type EvidenceLine, Nonconformity, Skipped, Unsupported } from './conformance-case.ts';
import { completeBody, encodeHead, type HttpHead, readHead, statusOf } from './http-message.ts';
import { WirePeer } from './wire-peer.ts';

/** A server URL as it is stored on a board, taken apart. */
export interface ServerAddress extends Endpoint {
  /** Path before the id, ending in `/`. */
  readonly basePath: string;
  /** `Host` header. */
  readonly authority: string;
}

export interface ServerLimits {
  /** One step of the protocol: a handshake, a pong, a refusal. */
  readonly stepMs: number;
  /** From the end of what the user says to `EndResponse`. */
  readonly answerMs: number;
  /** How long nothing must come before it counts as nothing. */
  readonly quietMs: number;
  /** How long a board may be silent. */
  readonly idleMs: number;
}

export const serverLimitDefaults: ServerLimits = {
  stepMs: 5000,
  answerMs: 30_000,
  quietMs: 300,
  idleMs: 15_000,
};

export interface ServerSuiteOptions {
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly random: Random;
  readonly address: ServerAddress;
  readonly limits: ServerLimits;
  /** What the user says: 16 kHz mono, silence around it included. */
  readonly speech: Int16Array;
  /** What is sent with `Text`. */
  readonly text: string;
  readonly createDecoder: () => OpusDecoder;
}

/** Headers of a board's handshake in its order (FP-1.10). */
export const boardHeaders = (authority: string, key: string): [string, string][] => [
  ['Host', authority],
  ['Upgrade', 'websocket'],
  ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Key', key],
  ['Sec-WebSocket-Version', '13'],
  ['sec-websocket-extensions', 'permessage-deflate; client_max_window_bits'],
];

export interface Request {
  readonly method?: string;
  readonly version?: string;
  /** Path and query. */
  readonly target: string;
  /** Default: those of a board. */
  readonly headers?: readonly (readonly [string, string])[];
  /** Sends the head in pieces of so many bytes. */
  readonly pieceBytes?: number;
}

export interface Response {
  readonly head: HttpHead;
  readonly status: number;
  readonly body: Buffer;
  /** The key that was sent, from which `Sec-WebSocket-Accept` follows. */
  readonly key: string;
  /** The connection, after 101. */
  readonly peer: WirePeer | undefined;
}

export type Mode = 'stream' | 'submit';

/** Queries as firmware sends them: 0.3.2 with `stream_asr`, 0.3.0 without. */
export const modeQuery: Readonly<Record<Mode, string>> = {
  stream: 'opus=true&vowel=true&stream_asr=true',
  submit: 'opus=true&vowel=true',
};

/** Audio a board sends at once (FP-5.2). */
const uploadFrameSamples = 8192;

export class ServerStage {
  readonly evidence: EvidenceLine[] = [];
  readonly limits: ServerLimits;
  readonly signal: AbortSignal;
  readonly peers: WirePeer[] = [];
  readonly #options: ServerSuiteOptions;
  readonly #scenes: SceneStore;
  readonly #streams = new Set<Duplex>();

  constructor(options: ServerSuiteOptions, scenes: SceneStore, signal: AbortSignal) {
    this.#options = options;
    this.#scenes = scenes;
    this.limits = options.limits;
    this.signal = signal;
  }

  get address(): ServerAddress {
    return this.#options.address;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get said(): Int16Array {
    return this.#options.speech;
  }

  get text(): string {
    return this.#options.text;
  }

  decoder(): OpusDecoder {
    return this.#options.createDecoder();
  }

  /** An id no other case has. */
  newId(): string {
    return this.#scenes.newId();
  }

  sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms * 1000, this.signal);
  }

  /** Path of `/ws/{id}` behind whatever the server URL has in front of it. */
  target(id: string, query = ''): string {
    return `${this.address.basePath}${id}${query === '' ? '' : `?${query}`}`;
  }

  /** Path beside `/ws/`. @throws {Skipped} when the server URL does not end with `/ws/` */
  beside(path: string): string {
    const { basePath } = this.address;
    if (!basePath.endsWith('/ws/')) {
      throw new Skipped(`the path of the server URL is ${basePath} and not …/ws/`);
    }
    return `${basePath.slice(0, -'/ws/'.length)}${path}`;
  }

  /**
   * Sends one request on a connection of its own and waits for the answer.
   *
   * @throws {Nonconformity} when there is no answer within a step; {@link NetworkError}
   */
  async request(request: Request): Promise<Response> {
    const { clock, dialer, random, address, limits } = this.#options;
    const { method = 'GET', version = 'HTTP/1.1', target } = request;
    const key = random.bytes(16);
    const keyText = Buffer.from(key).toString('base64');
    const headers = request.headers ?? boardHeaders(address.authority, keyText);
    const connection = this.peers.length + this.#streams.size + 1;
    const note = (direction: EvidenceLine['direction'], text: string): void => {
      this.evidence.push({ atUs: clock.nowUs(), connection, direction, text });
    };
    const stream = await dialer.dial({ ...address, secure: false }, this.signal);
    this.#streams.add(stream);
    // It may break before anybody listens; `close` follows.
    stream.on('error', () => {});
    const first = `${method} ${target} ${version}`;
    note('sent', `${first}, ${headers.map(([n, v]) => `${n}: ${v}`).join(', ')}`);
    const bytes = encodeHead({
      first,
      headers: headers.map(([name, value]) => [name, value === keyMark ? keyText : value]),
    });
    const size = request.pieceBytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += size) {
      stream.write(bytes.subarray(at, at + size));
      if (size < bytes.length) await this.sleep(1);
    }
    const untilUs = clock.nowUs() + limits.stepMs * 1000;
    const answer = await this.#answerOf(stream, untilUs, method);
    if (typeof answer === 'string') {
      note('remark', answer);
      throw new Nonconformity(`${first}: ${answer}`);
    }
    const { head, rest, body } = answer;
    note('received', [head.first, ...head.headers.map(([n, v]) => `${n}: ${v}`)].join(', '));
    const status = statusOf(head);
    if (status !== 101) {
      stream.destroy();
      return { head, status, body, key: keyText, peer: undefined };
    }
    const peer = new WirePeer({
      clock,
      stream,
      rest,
      role: 'client',
      random: random.fork(`mask ${this.evidence.length}`),
      connection,
      evidence: this.evidence,
      signal: this.signal,
    });
    this.peers.push(peer);
    this.#streams.delete(stream);
    this.#streamOf.set(peer, stream);
    return { head, status, body: Buffer.alloc(0), key: keyText, peer };
  }

  /** Connects as a board does. @throws {Nonconformity} when it is not let in */
  async connect(query: string, id = this.newId()): Promise<WirePeer> {
    return this.connectTo(this.target(id, query));
  }

  async connectTo(target: string): Promise<WirePeer> {
    const { peer, head } = await this.request({ target });
    if (peer === undefined) throw new Nonconformity(`${target} was answered with ${head.first}`);
    return peer;
  }

  startChat(peer: WirePeer): void {
    peer.text(encodeClientCommand({ event: 'StartChat' }));
  }

  submit(peer: WirePeer): void {
    peer.text(encodeClientCommand({ event: 'Submit' }));
  }

  say(peer: WirePeer, text = this.text): void {
    peer.text(encodeClientCommand({ event: 'Text', input: text }));
  }

  /**
   * Sends audio in frames of so many bytes, each when it would have been captured. Stops early when the
   * server has found the end of speech.
   */
  async upload(
    peer: WirePeer,
    samples: Int16Array,
    frameBytes = 2 * uploadFrameSamples,
  ): Promise<void> {
    const bytes = Buffer.alloc(2 * samples.length);
    for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
    const vads = peer.count('EndVad');
    const startUs = this.clock.nowUs();
    for (let at = 0; at < bytes.length; at += frameBytes) {
      const piece = bytes.subarray(at, at + frameBytes);
      const capturedUs = Math.ceil((at + piece.length) * 31.25);
      const waitMs = (startUs + capturedUs - this.clock.nowUs()) / 1000;
      const over = (): boolean => peer.count('EndVad') > vads;
      if ((waitMs > 0 && (await peer.until(over, waitMs))) || !peer.open || over()) return;
      peer.binary(piece, `audio, ${piece.length / 2} samples`);
    }
  }

  /** A whole turn by speech: until `EndResponse`. @returns whether that came */
  async speak(
    peer: WirePeer,
    mode: Mode,
    samples: Int16Array = this.said,
    frameBytes?: number,
  ): Promise<boolean> {
    this.startChat(peer);
    const ends = peer.count('EndResponse');
    await this.upload(peer, samples, frameBytes);
    return this.finishSpeaking(peer, mode, ends);
  }

  /**
   * Ends an utterance: by silence in stream mode, by `Submit` otherwise. @returns whether
   * `EndResponse` came
   */
  async finishSpeaking(
    peer: WirePeer,
    mode: Mode,
    ends = peer.count('EndResponse'),
  ): Promise<boolean> {
    if (mode === 'stream') await this.#silence(peer);
    else this.submit(peer);
    return peer.until(() => peer.count('EndResponse') > ends, this.limits.answerMs);
  }

  /** A turn in the cheapest way the server has. @returns whether it was answered to its end */
  async ask(peer: WirePeer, mode: Mode = 'stream'): Promise<boolean> {
    if (!(await this.#scenes.knowsText(this))) return this.speak(peer, mode);
    const ends = peer.count('EndResponse');
    this.say(peer);
    return peer.until(() => peer.count('EndResponse') > ends, this.limits.answerMs);
  }

  /** @throws {Nonconformity} when the server does not react to a new turn on this connection any more */
  async demandAlive(peer: WirePeer, mode: Mode = 'stream'): Promise<void> {
    const before = peer.arrivals.length;
    const reacted = (): boolean =>
      peer.arrivals.slice(before).some(({ kind }) => kind === 'binary');
    if (await this.#scenes.knowsText(this)) {
      this.say(peer);
      if (await peer.until(reacted, this.limits.answerMs)) return;
    } else {
      this.startChat(peer);
      await this.upload(peer, this.said);
      if (mode === 'submit') this.submit(peer);
      else await this.#silence(peer);
      if (await peer.until(reacted, this.limits.answerMs)) return;
    }
    throw new Nonconformity(
      peer.open
        ? `nothing came within ${this.limits.answerMs / 1000} s after it: the connection is dead`
        : `the connection ended: ${endOf(peer)}`,
    );
  }

  /** @throws {Nonconformity} when a message of the server comes in the next moments */
  async demandQuiet(peer: WirePeer, after: string, ms = this.limits.quietMs): Promise<void> {
    const before = peer.arrivals.length;
    await this.sleep(ms);
    const came = peer.arrivals.slice(before).find(({ kind }) => kind !== 'ping');
    if (came === undefined) return;
    throw new Nonconformity(`${describeArrival(came)} came after ${after}, where nothing belongs`);
  }

  /** As {@link demandQuiet}, but the connection may end. */
  async demandQuietEvents(peer: WirePeer, after: string): Promise<void> {
    const before = peer.events.length;
    await this.sleep(this.limits.quietMs);
    const came = peer.events[before];
    if (came !== undefined) throw new Nonconformity(`${came.type} came after ${after}`);
  }

  /** A conversation that several cases judge; it is played once. */
  async scene<T>(scene: Scene<T>): Promise<T> {
    const { result, stage } = await this.#scenes.play(scene);
    for (const line of stage.evidence) this.evidence.push(line);
    return result();
  }

  /** As {@link scene}, leaving its evidence out; undefined when it failed. */
  async quietScene<T>(scene: Scene<T>): Promise<T | undefined> {
    const { result } = await this.#scenes.play(scene);
    try {
      return result();
    } catch (error) {
      if (error instanceof Nonconformity) return undefined;
      throw error;
    }
  }

  /** @throws {Unsupported} when the server takes no `Text` */
  async demandText(): Promise<void> {
    if (await this.#scenes.knowsText(this)) return;
    throw new Unsupported('the server does not answer the command Text');
  }

  clear(): void {
    for (const stream of [...this.#streams, ...this.#streamOf.values()]) stream.destroy();
  }

  /** Silence until the server has found the end of speech, at most five seconds of it. */
  async #silence(peer: WirePeer): Promise<void> {
    const ends = peer.count('EndVad') + peer.count('EndResponse');
    const over = (): boolean => peer.count('EndVad') + peer.count('EndResponse') > ends;
    if (peer.events.at(-1)?.type === 'EndVad' || over()) return;
    await this.upload(peer, new Int16Array(5 * 16_000));
  }

  readonly #streamOf = new Map<WirePeer, Duplex>();

  async #answerOf(
    stream: Duplex,
    untilUs: number,
    method: string,
  ): Promise<{ head: HttpHead; rest: Buffer; body: Buffer } | string> {
    let bytes: Buffer = Buffer.alloc(0);
    let ended: string | undefined;
    let wake = (): void => {};
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      wake();
    };
    const end = (how: string) => (): void => {
      ended ??= how;
      wake();
    };
    const onEnd = end('the server closed the stream without an answer');
    const onError = (error: NodeJS.ErrnoException): void =>
      end(`the stream broke: ${error.code ?? error.message}`)();
    if (stream.destroyed) ended = 'the server closed the stream without an answer';
    stream.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
    try {
      for (;;) {
        let read: ReturnType<typeof readHead>;
        try {
          read = readHead(bytes);
        } catch (error) {
          return (error as Error).message;
        }
        if (read !== undefined) {
          const { head, rest } = read;
          const bodiless = statusOf(head) === 101 || method === 'HEAD';
          const body = bodiless ? Buffer.alloc(0) : completeBody(head, rest, ended !== undefined);
          if (body !== undefined) {
            // What follows waits for the one who reads on.
            stream.pause();
            return { head, rest, body };
          }
        }
        if (ended !== undefined) return ended;
        const leftUs = untilUs - this.clock.nowUs();
        this.signal.throwIfAborted();
        if (leftUs <= 0) return `no complete answer within ${this.limits.stepMs / 1000} s`;
        await new Promise<void>((resolve) => {
          const alarm = this.clock.after(leftUs, resolve);
          const abort = (): void => wake();
          wake = () => {
            alarm.cancel();
            this.signal.removeEventListener('abort', abort);
            resolve();
          };
          this.signal.addEventListener('abort', abort, { once: true });
        });
      }
    } finally {
      stream.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
    }
  }
}

/** Stands for the key in the headers of a request. */
export const keyMark = '{key}';

export function endOf(peer: WirePeer): string {
  const end = peer.arrivals.find(({ kind }) => kind === 'end');
  return end?.kind === 'end' ? end.how : 'it is open';
}

export function describeArrival(arrival: WirePeer['arrivals'][number]): string {
  if (arrival.kind !== 'binary') return arrival.kind === 'end' ? arrival.how : arrival.kind;
  return arrival.event?.type ?? 'a message that is no event';
}

/** A conversation that is played once and judged by several cases. */
export interface Scene<T> {
  readonly name: string;
  play(stage: ServerStage): Promise<T>;
}

/** Scenes that have been played, and what is known of the server. */
export class SceneStore {
  readonly #options: ServerSuiteOptions;
  readonly #signal: AbortSignal;
  readonly #played = new Map<string, Promise<{ result: () => unknown; stage: ServerStage }>>();
  #ids = 0;
  #text: Promise<boolean> | undefined;

  /** @param signal ends the suite */
  constructor(options: ServerSuiteOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  newId(): string {
    this.#ids += 1;
    // A locally administered MAC address.
    return `02ec0f${this.#ids.toString(16).padStart(6, '0')}`;
  }

  /** Failures are kept, too, and thrown again by `result`. The stage is cleared when the scene is over. */
  play<T>({ name, play }: Scene<T>): Promise<{ result: () => T; stage: ServerStage }> {
    let played = this.#played.get(name);
    if (played === undefined) {
      played = (async () => {
        const stage = new ServerStage(this.#options, this, this.#signal);
        try {
          const value = await play(stage);
          return { result: () => value, stage };
        } catch (error) {
          return {
            result: () => {
              throw error;
            },
            stage,
          };
        } finally {
          stage.clear();
        }
      })();
      this.#played.set(name, played);
    }
    return played as Promise<{ result: () => T; stage: ServerStage }>;
  }

  /** Whether the server answers `Text`; found out once. */
  knowsText(_asking: ServerStage): Promise<boolean> {
    this.#text ??= (async () => {
      const stage = new ServerStage(this.#options, this, this.#signal);
      try {
        const peer = await stage.connect(modeQuery.stream);
        const { stepMs, quietMs } = stage.limits;
        await stage.sleep(quietMs);
        const before = peer.events.length;
        stage.say(peer);
        return await peer.until(() => peer.events.length > before, stepMs);
      } catch (error) {
        if (error instanceof Nonconformity) return false;
        throw error;
      } finally {
        stage.clear();
      }
    })();
    return this.#text;
  }
}
