/**
 * What a case against a board plays on: it is the server the board connects to, and the hand at its
 * keys. A board in this process reports what it does; of a real one only the wire is seen, and a person
 * is asked to press and to speak.
 */
import type { Duplex } from 'node:stream';
import { encodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import type { Clock } from '../clock/clock.ts';
import type { DeviceEvent, DeviceKey, DeviceState } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { createEmulatedDevice, type EmulatedDevice } from '../device/emulated-device.ts';
import type { Endpoint, Network } from '../network/network.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import {
  demand,
  type EvidenceLine,
  Nonconformity,
  Skipped,
  Unsupported,
} from './conformance-case.ts';
import { acceptOf, encodeHead, type HttpHead, headerOf, readHead } from './http-message.ts';
import { describeEvent, hexExcerpt, WirePeer } from './wire-peer.ts';

export interface DeviceSuiteOptions {
  readonly clock: Clock;
  /** Where the board finds the server of the suite. */
  readonly network: Network;
  readonly endpoint: Endpoint;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** 16 kHz mono, at least one second of speech without silence at its ends. */
  readonly speech: Int16Array;
  /** The board to emulate; a real one is expected when it is absent. */
  readonly profile?: DeviceProfile;
  /** Asks a person to do something to the real board. */
  readonly ask?: (request: string) => void;
  /** Plays cases that wait for minutes in real time, too. */
  readonly long: boolean;
}

/** What the wire shows of a board within a step. */
const stepMs = 5000;
/** How long nothing must come before it counts as nothing. */
const quietMs = 1500;
/** How long a person may take. */
const personMs = 60_000;

/** A board that asks to be let in. */
export interface Incoming {
  readonly head: HttpHead;
  readonly atUs: number;
  readonly connection: number;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** @param change what is different from a good answer */
  accept(change?: (head: HttpHead) => HttpHead): WirePeer;
  /** Answers with something else than 101. */
  refuse(first: string, headers?: readonly (readonly [string, string])[]): void;
  drop(): void;
}

export class DeviceStage {
  readonly evidence: EvidenceLine[] = [];
  readonly signal: AbortSignal;
  /** What the board reported of itself; stays empty for a real one. */
  readonly reports: DeviceEvent[] = [];
  readonly #options: DeviceSuiteOptions;
  readonly #endpoint: Endpoint;
  readonly #streams = new Set<Duplex>();
  readonly #came: Duplex[] = [];
  #wake = (): void => {};
  #device: EmulatedDevice | undefined;
  #connections = 0;

  constructor(options: DeviceSuiteOptions, endpoint: Endpoint, signal: AbortSignal) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.signal = signal;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get said(): Int16Array {
    return this.#options.speech;
  }

  get emulated(): boolean {
    return this.#options.profile !== undefined;
  }

  get basePath(): string {
    return '/ws/';
  }

  /** An opus packet with 120 ms of a quiet tone. */
  packet(): Uint8Array {
    const tone = Int16Array.from({ length: 1920 }, (_, i) => 3000 * Math.sin(i / 5));
    return this.#options.opus.createEncoder().encode(tone);
  }

  get limits(): { readonly stepMs: number; readonly quietMs: number } {
    return { stepMs, quietMs };
  }

  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms * 1000, this.signal);
  }

  /** @throws {Skipped} when the wait is too long for real time */
  async longSleep(seconds: number): Promise<void> {
    if (this.clock.kind === 'real' && !this.#options.long) {
      throw new Skipped(`it takes ${seconds} s in real time; --long plays it`);
    }
    await this.sleep(seconds * 1000);
  }

  /** @throws {Unsupported} when only the wire is seen */
  demandReports(): void {
    if (!this.emulated) {
      throw new Unsupported('the wire does not show it, and a real board reports nothing');
    }
  }

  state(): DeviceState {
    this.demandReports();
    return this.#device!.state;
  }

  /** Everything the speaker has played. */
  speaker(): Int16Array {
    this.demandReports();
    return this.#device!.speaker().samples;
  }

  reportsOf<Type extends DeviceEvent['type']>(type: Type): Extract<DeviceEvent, { type: Type }>[] {
    this.demandReports();
    return this.reports.filter(
      (event): event is Extract<DeviceEvent, { type: Type }> => event.type === type,
    );
  }

  /** Boots a board, or asks for it, and lets it in. */
  async boot(): Promise<WirePeer> {
    return (await this.bootToTheDoor()).accept();
  }

  /** Boots a board and returns its request. */
  async bootToTheDoor(): Promise<Incoming> {
    const { clock, network, random, opus, voiceDetection, profile } = this.#options;
    if (profile === undefined) return this.#asked('Restart the board (reset or power).');
    this.#device = createEmulatedDevice({
      profile,
      deviceId: '02ec0f0000b0',
      serverUrl: `ws://${this.#endpoint.host}:${this.#endpoint.port}${this.basePath}`,
      clock,
      dialer: network,
      random: random.fork('board'),
      opus,
      voiceDetection,
      observe: (event) => this.#hearOf(event),
    });
    // Whether it gets in is what the case is about.
    this.#device.boot().catch(() => {});
    return this.incoming();
  }

  /** A board in a state, on a connection. Of a real board any state but Idle begins with K0. */
  async inState(state: DeviceState): Promise<WirePeer> {
    const peer = this.emulated
      ? await this.boot()
      : (await this.#asked('Press K0, twice if need be, until the board connects.')).accept();
    if (state !== 'Idle') this.send(peer, { type: 'EndResponse' });
    if (state === 'Waiting') this.send(peer, { type: 'EndVad' });
    if (state === 'Speaking') this.send(peer, { type: 'StartAudio', text: 'Conformance.' });
    await this.sleep(300);
    if (this.emulated) {
      demand(
        this.state() === state,
        () => `the board is ${this.state()} and cannot be made ${state}`,
      );
    }
    return peer;
  }

  send(peer: WirePeer, ...events: readonly ServerEvent[]): void {
    for (const event of events) peer.binary(encodeServerEvent(event), describeEvent(event));
  }

  sendBytes(peer: WirePeer, bytes: Uint8Array): void {
    peer.binary(bytes, `${bytes.length} bytes  ${hexExcerpt(bytes)}`);
  }

  /** Presses a key, or asks for it. */
  press(key: DeviceKey, press: 'short' | 'long' = 'short'): void {
    this.#remark(`${key} is pressed ${press}`);
    if (this.#device !== undefined) this.#device.press(key, press);
    else if (key === 'k0') this.#ask(press === 'short' ? 'Press K0 shortly.' : 'Hold K0 for 2 s.');
    else throw new Unsupported('volume keys say nothing on the wire');
  }

  /** Speaks to the board for so long, or asks for it. */
  hear(samples: Int16Array = this.said): void {
    this.#remark(`${(samples.length / 16_000).toFixed(1)} s of speech`);
    if (this.#device !== undefined) this.#device.hear(samples);
    else this.#ask(`Speak to the board for ${Math.ceil(samples.length / 16_000)} s.`);
  }

  /** Speech of a length, made of what there is. */
  speechOf(seconds: number): Int16Array {
    const long = new Int16Array(Math.round(seconds * 16_000));
    for (let at = 0; at < long.length; at += this.said.length) {
      long.set(this.said.subarray(0, long.length - at), at);
    }
    return long;
  }

  /** How long something may take that a person has to begin. */
  get actionMs(): number {
    return this.emulated ? stepMs : personMs;
  }

  /** The next request of a board. @throws {Nonconformity} when none comes */
  async incoming(limitMs = this.actionMs): Promise<Incoming> {
    const incoming = await this.incomingOrNone(limitMs);
    if (incoming !== undefined) return incoming;
    throw new Nonconformity(`no connection came within ${limitMs / 1000} s`);
  }

  async incomingOrNone(limitMs: number): Promise<Incoming | undefined> {
    const untilUs = this.clock.nowUs() + limitMs * 1000;
    if (!(await this.#until(() => this.#came.length > 0, untilUs))) return undefined;
    const stream = this.#came.shift()!;
    this.#connections += 1;
    const connection = this.#connections;
    const atUs = this.clock.nowUs();
    let bytes: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      this.#wake();
    };
    stream.on('data', onData);
    let read: ReturnType<typeof readHead>;
    const complete = (): boolean => {
      read = readHead(bytes);
      return read !== undefined;
    };
    await this.#until(complete, this.clock.nowUs() + stepMs * 1000);
    stream.off('data', onData);
    stream.pause();
    if (read === undefined)
      throw new Nonconformity('the request of the board never became complete');
    const { head, rest } = read;
    const note = (direction: EvidenceLine['direction'], text: string): void => {
      this.evidence.push({ atUs: this.clock.nowUs(), connection, direction, text });
    };
    note('received', [head.first, ...head.headers.map(([n, v]) => `${n}: ${v}`)].join(', '));
    const [path = '', query = ''] = (head.first.split(' ')[1] ?? '').split('?');
    const answer = (answered: HttpHead): void => {
      note('sent', [answered.first, ...answered.headers.map(([n, v]) => `${n}: ${v}`)].join(', '));
      stream.write(encodeHead(answered));
    };
    return {
      head,
      atUs,
      connection,
      path,
      query,
      accept: (change = (good) => good) => {
        answer(
          change({
            first: 'HTTP/1.1 101 Switching Protocols',
            headers: [
              ['Upgrade', 'websocket'],
              ['Connection', 'Upgrade'],
              ['Sec-WebSocket-Accept', acceptOf(headerOf(head, 'sec-websocket-key') ?? '')],
            ],
          }),
        );
        return new WirePeer({
          clock: this.clock,
          stream,
          rest,
          role: 'server',
          random: this.#options.random,
          connection,
          evidence: this.evidence,
          signal: this.signal,
        });
      },
      refuse: (first, headers = []) => {
        answer({ first, headers: [...headers, ['Content-Length', '0'], ['Connection', 'close']] });
        stream.end();
      },
      drop: () => {
        note('remark', 'breaks the connection off');
        stream.destroy();
      },
    };
  }

  /** @internal a connection to the suite's server */
  arrive(stream: Duplex): void {
    stream.on('error', () => {});
    this.#streams.add(stream);
    this.#came.push(stream);
    this.#wake();
  }

  clear(): void {
    // Never rejects; it only reports once more.
    void this.#device?.close();
    for (const stream of this.#streams) stream.destroy();
  }

  async #asked(request: string): Promise<Incoming> {
    this.#ask(request);
    const incoming = await this.incomingOrNone(personMs);
    if (incoming !== undefined) return incoming;
    throw new Skipped(`nobody did within ${personMs / 1000} s: ${request}`);
  }

  #ask(request: string): void {
    this.#options.ask?.(request);
  }

  #hearOf(event: DeviceEvent): void {
    this.reports.push(event);
    const { atUs } = event;
    const say = (text: string): void => {
      this.evidence.push({ atUs, connection: 0, direction: 'remark', text });
    };
    if (event.type === 'state') say(`the board is ${event.to} (${event.cause})`);
    if (event.type === 'reboot') say(`the board restarts: ${event.cause}`);
    if (event.type === 'frameRejected') say(`the board refused a message: ${event.reason}`);
  }

  #remark(text: string): void {
    this.evidence.push({ atUs: this.clock.nowUs(), connection: 0, direction: 'remark', text });
  }

  async #until(condition: () => boolean, untilUs: number): Promise<boolean> {
    while (!condition()) {
      this.signal.throwIfAborted();
      const leftUs = untilUs - this.clock.nowUs();
      if (leftUs <= 0) return false;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          alarm.cancel();
          this.signal.removeEventListener('abort', go);
          resolve();
        };
        const alarm = this.clock.after(leftUs, go);
        this.#wake = go;
        this.signal.addEventListener('abort', go, { once: true });
      });
    }
    return true;
  }
}

/** Messages of a board in order: the texts, and `audio` for each binary one. */
export function saidBy(peer: WirePeer): string[] {
  return peer.arrivals.flatMap((arrival) =>
    arrival.kind === 'text' ? [arrival.text] : arrival.kind === 'binary' ? ['audio'] : [],
  );
}

/** @throws {Nonconformity} when a message of the board comes within the next moments */
export async function demandSilence(
  stage: DeviceStage,
  peer: WirePeer,
  ms = quietMs,
): Promise<void> {
  const before = saidBy(peer).length;
  await stage.sleep(ms);
  const came = saidBy(peer)[before];
  demand(came === undefined, () => `the board sent ${came}`);
}
