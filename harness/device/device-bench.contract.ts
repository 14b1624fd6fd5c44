/** For tests of the board: a board and a scripted server, in virtual time. */
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { encodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import type { LinkProfile } from '../network/link.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import type { Listener } from '../network/network.ts';
import { loadOpus } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import { loadVoiceDetection } from '../voice-detection/voice-detection.ts';
import type { Acoustics } from './acoustics.ts';
import type { DeviceEvent } from './device-event.ts';
import { type DeviceProfile, diy } from './device-profile.ts';
import {
  createEmulatedDevice,
  type EmulatedDevice,
  type EmulatedDeviceOptions,
} from './emulated-device.ts';

export const opus = await loadOpus();
export const voiceDetection = await loadVoiceDetection();

export interface Connection {
  readonly request: IncomingMessage;
  readonly socket: WebSocket;
  /** Texts as they are, audio as `audio <samples>`. */
  readonly received: { readonly atUs: number; readonly what: string }[];
  closeCode: number | undefined;
  send(...events: ServerEvent[]): void;
}

export type Seen<Type> = Extract<DeviceEvent, { type: Type }>;

export interface BenchOptions {
  /** Of the network and of the board. */
  readonly seed?: number;
  readonly watchMainLoop?: NonNullable<EmulatedDeviceOptions['watchMainLoop']>;
}

/** A board and a scripted server, in virtual time. */
export class Bench {
  readonly clock = new SimulatedClock();
  readonly network: MemoryNetwork;
  /** Every stream that the board has dialed, in order. */
  readonly dialed: Duplex[] = [];
  readonly connections: Connection[] = [];
  readonly events: DeviceEvent[] = [];
  readonly device: EmulatedDevice;
  readonly #heard: { readonly position: number; readonly samples: Int16Array }[] = [];
  onConnection: (connection: Connection) => void = () => {};
  onMessage: (connection: Connection, what: string) => void = () => {};
  onEvent: (event: DeviceEvent) => void = () => {};
  /** Decides what becomes of a handshake: `serve` answers it. */
  onHandshake: (serve: () => void, stream: Duplex) => void = (serve) => serve();

  constructor(
    link?: LinkProfile,
    profile: DeviceProfile = diy,
    serverUrl = 'ws://echokit.test:8080/ws/',
    acoustics: Acoustics = {},
    { seed = 1, watchMainLoop }: BenchOptions = {},
  ) {
    this.network = new MemoryNetwork(this.clock, createRandom(seed, 'network'));
    const endpoint = { host: 'echokit.test', port: 8080 };
    if (link !== undefined) this.network.setLink(endpoint, link);
    this.device = createEmulatedDevice({
      profile,
      deviceId: 'a1b2c3d4e5f6',
      serverUrl,
      clock: this.clock,
      dialer: {
        dial: async (target, signal) => {
          const stream = await this.network.dial(target, signal);
          this.dialed.push(stream);
          return stream;
        },
      },
      random: createRandom(seed, 'device'),
      opus,
      voiceDetection,
      acoustics,
      observeMicrophone: (position, samples) => this.#heard.push({ position, samples }),
      observe: (event) => {
        this.events.push(event);
        this.onEvent(event);
      },
      ...(watchMainLoop === undefined ? {} : { watchMainLoop }),
    });
  }

  listen(perMessageDeflate = false, port = 8080): Promise<Listener> {
    const http = createServer();
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate });
    http.on('upgrade', (request, stream, head) => {
      const serve = () =>
        sockets.handleUpgrade(request, stream, head, (socket) => this.#serve(request, socket));
      // A reset before anybody listens is none of the server's business.
      stream.on('error', () => {});
      this.onHandshake(serve, stream);
    });
    return this.network.listen({ host: 'echokit.test', port }, (stream) => {
      http.emit('connection', stream);
    });
  }

  #serve(request: IncomingMessage, socket: WebSocket): void {
    const connection: Connection = {
      request,
      socket,
      received: [],
      closeCode: undefined,
      send: (...events) => {
        for (const event of events) socket.send(encodeServerEvent(event));
      },
    };
    this.connections.push(connection);
    socket.on('message', (data: Buffer, isBinary) => {
      const what = isBinary ? `audio ${data.length / 2}` : data.toString();
      connection.received.push({ atUs: this.clock.nowUs(), what });
      this.onMessage(connection, what);
    });
    socket.on('error', () => {});
    socket.on('close', (code) => {
      connection.closeCode = code;
    });
    this.onConnection(connection);
  }

  run<T>(script: () => Promise<T>): Promise<T> {
    return this.clock.run(script());
  }

  pass(durationUs: number): Promise<void> {
    return this.clock.sleep(durationUs);
  }

  all<Type extends DeviceEvent['type']>(type: Type): Seen<Type>[] {
    return this.events.filter((event): event is Seen<Type> => event.type === type);
  }

  lines(): string[] {
    return this.all('log').map((line) => line.message);
  }

  /** What the microphone heard, as long as what the speaker played. */
  microphone(): Int16Array {
    const heard = new Int16Array(this.device.speaker().samples.length);
    for (const { position, samples } of this.#heard) {
      heard.set(samples.subarray(0, Math.max(0, heard.length - position)), position);
    }
    return heard;
  }

  /** Boots, listens after K0 and lets the beep end. */
  async ready(): Promise<Connection> {
    await this.listen();
    await this.device.boot();
    this.device.press('k0', 'short');
    await this.pass(1_000_000);
    return this.connections[1]!;
  }
}

/** A buzz with syllables, which the WebRTC detector takes for a voice. */
export function babble(ms: number): Int16Array {
  const out = new Int16Array(ms * 16);
  for (let i = 0; i < out.length; i++) {
    let value = 0;
    for (let h = 1; h < 20; h++) value += Math.sin((2 * Math.PI * 130 * h * i) / 16_000) / h ** 0.5;
    out[i] = value * 2500 * (0.55 + 0.45 * Math.sin((2 * Math.PI * 4 * i) / 16_000));
  }
  return out;
}

export interface Sentence {
  readonly events: readonly ServerEvent[];
  /** What a decoder makes of it. */
  readonly decoded: Int16Array;
}

/** One spoken sentence of whole packets, and the audio the board must have afterwards. */
export function sentence(text: string, packets: number): Sentence {
  const encoder = opus.createEncoder();
  const decoder = opus.createDecoder();
  const voice = babble(packets * 120);
  const decoded = new Int16Array(voice.length);
  const chunks: ServerEvent[] = [];
  for (let i = 0; i < packets; i++) {
    const data = encoder.encode(voice.subarray(i * 1920, (i + 1) * 1920));
    chunks.push({ type: 'AudioChunkWithVowel', data, vowel: i % 6 });
    decoded.set(decoder.decode(data), i * 1920);
  }
  return { events: [{ type: 'StartAudio', text }, ...chunks, { type: 'EndAudio' }], decoded };
}

export function bytes(samples: Int16Array): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

export function conserved(finished: Seen<'finished'>): boolean {
  return (
    finished.pushedSamples ===
    finished.playedSamples +
      finished.clearedSamples +
      finished.queuedSamples +
      finished.heldSamples +
      finished.restSamples
  );
}
