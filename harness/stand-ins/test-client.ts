/** Clients and a simulated network for the tests of the stand-ins. */
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom, type Random } from '../random/random.ts';
import { loadOfflineVoice, type OfflineVoice } from './offline-voice.ts';
import {
  createDialogueStandIn,
  createStandIn,
  type DialogueOptions,
  type DialogueService,
  type ServiceStandIn,
  type StandIn,
  type StandInOptions,
} from './stand-in.ts';
import type { TimingProfile } from './timing-profile.ts';

const endpoint = { host: 'provider.test', port: 80 };

let loaded: Promise<OfflineVoice> | undefined;

/** One voice for all tests of a file. */
export function sharedVoice(): Promise<OfflineVoice> {
  loaded ??= loadOfflineVoice();
  return loaded;
}

export interface Laboratory<Service extends ServiceStandIn = StandIn> {
  readonly clock: SimulatedClock;
  readonly standIn: Service;
  post(path: string, body: unknown, options?: RequestOptions): Promise<Answer>;
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** Opens a WebSocket; messages are recorded with their instants. */
  socket(path: string, headers?: Record<string, string>): Promise<SocketRecord>;
}

export interface RequestOptions {
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  /** Destroy the connection this long after the request. */
  readonly abortAfterUs?: number;
  /** Give up waiting for the end of the answer and return what came. */
  readonly waitUs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly chunks: readonly { readonly atUs: number; readonly data: Buffer }[];
  readonly body: Buffer;
  readonly headUs: number;
  readonly endUs: number;
  /** `broken`: the connection ended before the body did. `open`: still waiting after `waitUs`. */
  readonly end: 'complete' | 'broken' | 'open';
}

/** What ElevenLabs sends; other fields are in the text of the message. */
export interface ServerMessage {
  readonly audio?: string | null;
  readonly isFinal?: boolean | null;
  readonly alignment?: AlignmentMessage | null;
  readonly normalizedAlignment?: AlignmentMessage | null;
  readonly message?: string;
  readonly error?: string;
  readonly code?: number;
  /** `multi-stream-input`. */
  readonly contextId?: string;
  /** Dialogue. */
  readonly is_final?: boolean;
  readonly is_final_audio_for_turn?: boolean;
  readonly param?: string;
}

export interface AlignmentMessage {
  readonly chars: string[];
  readonly charStartTimesMs: number[];
  readonly charDurationsMs: number[];
}

export interface SocketRecord {
  readonly socket: WebSocket;
  /** A binary message has `bytes`, an empty `json` and an empty `text`. */
  readonly messages: { atUs: number; json: ServerMessage; text: string; bytes?: Buffer }[];
  /** Set when the socket has closed. */
  closed?: { atUs: number; code: number; reason: string };
  readonly refused?: { status: number; body: unknown };
  /** Text and bytes as they are, everything else as JSON. */
  send(message: unknown): void;
  whenClosed(): Promise<void>;
}

export async function laboratory(
  platform: string,
  options: Partial<StandInOptions> & { seed?: number } = {},
): Promise<Laboratory> {
  const voice = await sharedVoice();
  return stage(options.seed, (clock, random) =>
    createStandIn({ platform, voice, clock, random, ...options }),
  );
}

/** The same for a service beside speech. */
export function dialogueLaboratory(
  service: DialogueService,
  options: Partial<DialogueOptions> & { seed?: number } = {},
): Promise<Laboratory<ServiceStandIn>> {
  return stage(options.seed, (clock, random) =>
    createDialogueStandIn(service, { clock, random, ...options }),
  );
}

async function stage<Service extends ServiceStandIn>(
  seed = 1,
  create: (clock: SimulatedClock, random: Random) => Service,
): Promise<Laboratory<Service>> {
  const clock = new SimulatedClock();
  const random = createRandom(seed);
  const network = new MemoryNetwork(clock, random.fork('network'));
  const standIn = create(clock, random.fork('stand-in'));
  await network.listen(endpoint, (stream) => standIn.accept(stream));
  const dial = (): Promise<Duplex> => network.dial({ ...endpoint, secure: false });
  const request: Laboratory<Service>['request'] = async (method, path, settings = {}) =>
    exchange(clock, await dial(), method, path, settings);
  return {
    clock,
    standIn,
    request,
    post: (path, body, settings = {}) =>
      request('POST', path, {
        body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
        ...settings,
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer sk-test',
          ...settings.headers,
        },
      }),
    socket: async (path, headers = { 'xi-api-key': 'key' }) =>
      openSocket(clock, await dial(), path, headers),
  };
}

function exchange(
  clock: SimulatedClock,
  stream: Duplex,
  method: string,
  path: string,
  settings: RequestOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body = '', headers = {} } = settings;
    const request = http.request({
      method,
      path,
      headers: { host: 'provider.test', 'content-length': Buffer.byteLength(body), ...headers },
      createConnection: () => stream as never,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const headUs = clock.nowUs();
      const chunks: { atUs: number; data: Buffer }[] = [];
      const finish = (end: Answer['end']): void =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          chunks,
          body: Buffer.concat(chunks.map(({ data }) => data)),
          headUs,
          endUs: clock.nowUs(),
          end,
        });
      response.on('data', (data: Buffer) => chunks.push({ atUs: clock.nowUs(), data }));
      response.on('end', () => finish('complete'));
      response.on('error', () => finish('broken'));
      if (settings.waitUs !== undefined) {
        clock.after(settings.waitUs, () => {
          finish('open');
          stream.destroy();
        });
      }
    });
    if (settings.abortAfterUs !== undefined) {
      clock.after(settings.abortAfterUs, () => request.destroy());
    }
    request.end(body);
  });
}

function openSocket(
  clock: SimulatedClock,
  stream: Duplex,
  path: string,
  headers: Record<string, string>,
): Promise<SocketRecord> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://provider.test${path}`, {
      headers,
      createConnection: (() => stream) as never,
      generateMask: (mask) => mask.fill(0x5a),
    });
    let announce: () => void = () => {};
    const closing = new Promise<void>((done) => {
      announce = done;
    });
    const record: SocketRecord = {
      socket,
      messages: [],
      send: (message) => {
        const raw = typeof message === 'string' || message instanceof Uint8Array;
        socket.send(raw ? message : JSON.stringify(message));
      },
      whenClosed: () => closing,
    };
    socket.on('open', () => resolve(record));
    socket.on('message', (data, isBinary) => {
      if (isBinary) {
        const bytes = Buffer.from(data as Buffer);
        record.messages.push({ atUs: clock.nowUs(), json: {}, text: '', bytes });
        return;
      }
      const text = data.toString();
      record.messages.push({ atUs: clock.nowUs(), json: JSON.parse(text), text });
    });
    socket.on('close', (code, reason) => {
      record.closed = { atUs: clock.nowUs(), code, reason: reason.toString() };
      announce();
    });
    socket.on('error', () => {});
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (data) => {
        body += data;
      });
      response.on('end', () => {
        const refused = { status: response.statusCode ?? 0, body: JSON.parse(body) };
        resolve({ ...record, refused });
      });
    });
  });
}

/**
 * Runs a scripted client of one WebSocket: [instant in ms after the 101, message]. Returns when the
 * socket has closed or was refused.
 */
export async function converse(
  lab: Laboratory,
  path: string,
  script: readonly (readonly [number, unknown])[],
  headers?: Record<string, string>,
): Promise<SocketRecord> {
  return lab.clock.run(
    (async () => {
      const record = await lab.socket(path, headers);
      const start = lab.clock.nowUs();
      for (const [ms, message] of script) {
        lab.clock.after(start + ms * 1000 - lab.clock.nowUs(), () => {
          if (record.socket.readyState === 1) record.send(message);
        });
      }
      if (record.refused === undefined) await record.whenClosed();
      return record;
    })(),
  );
}

/** The audio of all messages that carry it as base64. */
export function base64AudioOf(record: SocketRecord): Buffer {
  return Buffer.concat(record.messages.map(({ json }) => Buffer.from(json.audio ?? '', 'base64')));
}

/** A profile without chance: every draw has one value. */
export function exactProfile(changes: Partial<TimingProfile> = {}): TimingProfile {
  return {
    name: 'exact',
    connectMs: 0,
    firstByteMs: { p50: 180, p95: 180 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 0.5,
    nextChunkSeconds: [{ minimum: 0.5, maximum: 0.5 }],
    cadenceMs: [{ minimum: 80, maximum: 80 }],
    speed: 1000,
    leadSilenceMs: 0,
    tailSilenceMs: 0,
    oddByteCuts: false,
    jitterMs: 0,
    ...changes,
  };
}

/** For comparing audio: a difference of thousands of bytes is no help in a test report. */
export function digestOf(bytes: Buffer): string {
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`;
}

export { samplesOf } from './clip-cache.ts';
