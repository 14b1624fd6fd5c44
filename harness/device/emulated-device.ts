/**
 * The emulated board: machine, player and microphone put on a clock and a socket. Everything the
 * board decides is in the pure parts; this file moves inputs to them, effects out of them, and wakes
 * up when one of them says that something is going to happen.
 */
import { encodeClientCommand } from '../../firmware-protocol/client-command.ts';
import { buildConnectUrl } from '../../firmware-protocol/connect-url.ts';
import { decodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { Dialer } from '../network/network.ts';
import { type Opus, type OpusDecoder, OpusError } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import type { DeviceEvent, DeviceKey, DeviceState } from './device-event.ts';
import {
  DeviceMachine,
  type DeviceReport,
  type DownlinkEvent,
  helloSamples,
  type MachineEffect,
  type MachineInput,
} from './device-machine.ts';
import { builtInHello, type DeviceProfile } from './device-profile.ts';
import { Microphone } from './microphone.ts';
import { Player, type PlayerTransition } from './player.ts';
import { SocketTask } from './socket-task.ts';

export interface EmulatedDeviceOptions {
  readonly profile: DeviceProfile;
  /** 12 lower-case hex digits, as the board writes its MAC address. */
  readonly deviceId: string;
  /** Base as stored on the board: `ws://host:port/ws/`. */
  readonly serverUrl: string;
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** Receives everything the board reports, in order. May call the device. MUST NOT throw. */
  observe(event: DeviceEvent): void;
}

export interface EmulatedDevice {
  /**
   * Connects for the first time and starts player and microphone. Once per device.
   *
   * @throws {DeviceError} `DEVICE_UNREACHABLE` when there is no connection; as on the board, the
   *   next press of K0 restarts it. `DEVICE_CLOSED`, `DEVICE_BOOTED_TWICE`.
   */
  boot(): Promise<void>;
  /**
   * A short press acts at once (as if released now), a long one when it has lasted a second. Without
   * effect before `boot` has finished and after a reboot.
   */
  press(key: DeviceKey, press: 'short' | 'long'): void;
  /** A sound at the microphone from now on, mixed with what is there. Copied. Nobody hears it before `boot`. */
  hear(samples: Int16Array): void;
  readonly state: DeviceState;
  /** Everything the speaker has played until now; a fresh array. Empty before `boot`. */
  speaker(): { readonly samples: Int16Array; readonly startUs: number };
  /** Switches the board off and reports `finished`. Harmless when repeated. */
  close(): Promise<void>;
}

export type DeviceErrorCode = 'DEVICE_UNREACHABLE' | 'DEVICE_BOOTED_TWICE' | 'DEVICE_CLOSED';

export class DeviceError extends Error {
  override readonly name = 'DeviceError';
  readonly code: DeviceErrorCode;

  constructor(code: DeviceErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function createEmulatedDevice(options: EmulatedDeviceOptions): EmulatedDevice {
  return new Board(options);
}

/** A connection that is open. */
interface Link {
  readonly connection: number;
  readonly task: SocketTask;
  readonly decoder: OpusDecoder;
  frames: number;
  /** Decoded, but the queue of the main loop is full: the socket task stands still with it. */
  stuck: MachineInput | undefined;
  closeRequested: boolean;
  closed: boolean;
}

/** What runs once the board is connected. */
interface Running {
  readonly startUs: number;
  readonly machine: DeviceMachine;
  readonly player: Player;
  readonly microphone: Microphone;
}

class Board implements EmulatedDevice {
  readonly #options: EmulatedDeviceOptions;
  #running: Running | undefined;
  #link: Link | undefined;
  /** Connections in the making. */
  readonly #dialing = new Set<SocketTask>();
  #connections = 0;
  #phase: 'off' | 'booting' | 'unreachable' | 'running' | 'rebooted' | 'closed' = 'off';
  /** Abandons a boot that is under way. */
  #abandonBoot: ((error: DeviceError) => void) | undefined;
  /** Inputs from outside that wait for their turn. */
  readonly #inputs: MachineInput[] = [];
  #working = false;
  #alarm: Alarm | undefined;
  #stepUs = 0;

  constructor(options: EmulatedDeviceOptions) {
    this.#options = options;
  }

  get state(): DeviceState {
    return this.#running?.machine.state ?? 'Idle';
  }

  boot(): Promise<void> {
    if (this.#phase === 'closed') {
      return Promise.reject(new DeviceError('DEVICE_CLOSED', 'This board was closed.'));
    }
    if (this.#phase !== 'off') {
      return Promise.reject(
        new DeviceError(
          'DEVICE_BOOTED_TWICE',
          'This board was booted before; create another one to boot again.',
        ),
      );
    }
    this.#phase = 'booting';
    this.#stepUs = this.#options.clock.nowUs();
    return new Promise((resolve, reject) => {
      this.#abandonBoot = reject;
      this.#open(
        1,
        false,
        (link) => {
          this.#start(link);
          resolve();
        },
        (message) => {
          this.#phase = 'unreachable';
          this.#log('I', 'echokit', `Failed to connect to server: Some(${message})`);
          reject(
            new DeviceError(
              'DEVICE_UNREACHABLE',
              `Board ${this.#options.deviceId} cannot reach ${this.#options.serverUrl} ` +
                `(${message}). Start the server first, or check the address.`,
            ),
          );
        },
      );
    });
  }

  press(key: DeviceKey, press: 'short' | 'long'): void {
    if (this.#phase !== 'running' && this.#phase !== 'unreachable') return;
    this.#advance();
    this.#report({ type: 'key', key, press });
    if (this.#phase === 'unreachable' && key === 'k0') {
      // Section 5.7: the board stores that it wants to be set up, and restarts.
      this.#phase = 'rebooted';
      this.#report({ type: 'reboot', cause: 'K0 while the server cannot be reached: setup mode' });
      return;
    }
    const { boardTag, longPressUs } = this.#options.profile.constants;
    if (key === 'k0') this.#log('I', 'echokit', 'Button k0 pressed Low');
    else this.#log('I', boardTag, `Volume ${key === 'volume-up' ? 'up' : 'down'} button pressed`);
    const act = () => {
      this.#inputs.push({ type: 'key', key, press });
      this.#work();
    };
    if (key === 'k0' && press === 'long') this.#options.clock.after(longPressUs, act);
    else act();
  }

  hear(samples: Int16Array): void {
    if (this.#running === undefined || this.#phase !== 'running') return;
    this.#advance();
    this.#running.microphone.play(samples, this.#options.clock.nowUs());
    this.#work();
  }

  speaker(): { readonly samples: Int16Array; readonly startUs: number } {
    if (this.#running === undefined) return { samples: new Int16Array(0), startUs: 0 };
    this.#work();
    return { samples: this.#running.player.speaker(), startUs: this.#running.startUs };
  }

  async close(): Promise<void> {
    if (this.#phase === 'closed') return;
    this.#work();
    this.#stepUs = this.#options.clock.nowUs();
    this.#abandonBoot?.(new DeviceError('DEVICE_CLOSED', 'The board was closed while it booted.'));
    this.#switchOff();
    this.#phase = 'closed';
    const player = this.#running?.player.ledger();
    const held = this.#running?.machine.ledger() ?? { heldSamples: 0, droppedHeldSamples: 0 };
    this.#report({
      type: 'finished',
      pushedSamples: (player?.pushedSamples ?? 0) + held.heldSamples + held.droppedHeldSamples,
      playedSamples: player?.playedSamples ?? 0,
      clearedSamples: (player?.clearedSamples ?? 0) + held.droppedHeldSamples,
      queuedSamples: player?.queuedSamples ?? 0,
      heldSamples: held.heldSamples,
      restSamples: player?.restSamples ?? 0,
    });
  }

  // ---- time ----

  /**
   * Brings everything to the present: first what was due before, each thing at its own instant, then
   * what has come from outside. Called again from inside (an observer pressed a key), it leaves the
   * work to the call that is running.
   */
  #work(): void {
    if (this.#working || this.#running === undefined) return;
    this.#working = true;
    try {
      const nowUs = this.#options.clock.nowUs();
      do {
        for (let due = this.#dueUs(); due <= nowUs; due = this.#dueUs()) this.#step(due);
        for (const input of this.#inputs.splice(0)) this.#running.machine.input(input);
        this.#step(nowUs);
      } while (this.#phase === 'running' && this.#inputs.length > 0);
    } finally {
      this.#working = false;
    }
    this.#arm();
  }

  /** As {@link #work}, but leaves what comes from outside for later. */
  #advance(): void {
    if (this.#running === undefined) this.#stepUs = this.#options.clock.nowUs();
    else this.#work();
  }

  #arm(): void {
    const dueUs = this.#dueUs();
    if (this.#alarm?.dueUs === dueUs) return;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    if (dueUs === Number.POSITIVE_INFINITY) return;
    this.#alarm = this.#options.clock.after(dueUs - this.#options.clock.nowUs(), () => {
      this.#alarm = undefined;
      this.#work();
    });
  }

  /** When the next thing happens by itself. */
  #dueUs(): number {
    if (this.#phase !== 'running' || this.#running === undefined) return Number.POSITIVE_INFINITY;
    const { player, microphone, machine } = this.#running;
    return Math.min(
      player.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
      microphone.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
      machine.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
    );
  }

  /** Everything that happens at one instant. */
  #step(atUs: number): void {
    if (this.#running === undefined || this.#phase !== 'running') return;
    const { player, microphone, machine } = this.#running;
    this.#stepUs = atUs;
    for (const happened of player.advanceTo(atUs)) this.#playerHappened(happened, machine);
    machine.noteEvent(player.lastVowelUs);
    for (const output of microphone.advanceTo(atUs)) this.#microphoneHappened(output, machine);
    let progress = true;
    while (progress && this.#phase === 'running') {
      progress = this.#serveSocket(machine);
      const effects = machine.drain(atUs);
      for (const effect of effects) this.#apply(effect);
      progress = progress || effects.length > 0;
    }
  }

  // ---- player and microphone ----

  #playerHappened(happened: PlayerTransition, machine: DeviceMachine): void {
    const { observe } = this.#options;
    switch (happened.type) {
      case 'playStart':
      case 'underrunStart':
      case 'underrunEnd':
        observe(happened);
        return;
      case 'drained':
        observe(happened);
        machine.input({ type: 'sentencePlayed' });
        return;
      case 'cleared': {
        const { atUs, samples, cause } = happened;
        if (samples > 0) observe({ type: 'playerCleared', atUs, samples, cause });
        if (happened.firedSentences.length > 0) machine.input({ type: 'sentencePlayed' });
        if (happened.firedHello) machine.input({ type: 'helloPlayed' });
        return;
      }
      case 'helloStart':
        observe({
          type: 'log',
          atUs: happened.atUs,
          level: 'I',
          tag: 'echokit::audio',
          message: 'Received Hello event',
        });
        return;
      case 'helloDone':
        machine.input({ type: 'helloPlayed' });
        return;
    }
  }

  #microphoneHappened(
    output: ReturnType<Microphone['advanceTo']>[number],
    machine: DeviceMachine,
  ): void {
    switch (output.type) {
      case 'speechStarted':
        this.#report({ type: 'speech', active: true });
        this.#log('I', 'echokit::audio', 'Speech started');
        return;
      case 'speechEnded':
        this.#report({ type: 'speech', active: false });
        this.#log('I', 'echokit::audio', 'Speech ended');
        machine.input({ type: 'micEnd' });
        return;
      case 'chunk':
        if (machine.input({ type: 'micChunk', samples: output.samples })) return;
        this.#report({
          type: 'uploadDiscarded',
          samples: output.samples.length,
          cause: 'event queue full',
        });
        return;
    }
  }

  // ---- the machine's effects ----

  #apply(effect: MachineEffect): void {
    const { player, microphone } = this.#running!;
    switch (effect.type) {
      case 'report':
        this.#report(effect.event);
        return;
      case 'connect':
        this.#open(
          effect.attempt,
          true,
          (link) => {
            this.#inputs.push({ type: 'connected', connection: link.connection });
            this.#replacement = link;
            this.#work();
          },
          (message) => {
            this.#inputs.push({ type: 'connectFailed', message });
            this.#work();
          },
        );
        return;
      case 'dropConnection':
        this.#dropLink();
        this.#link = this.#replacement;
        this.#replacement = undefined;
        return;
      case 'closeConnection':
        if (this.#link === undefined) return;
        this.#link.closeRequested = true;
        this.#link.task.close();
        return;
      case 'transmit':
        this.#transmit(effect.message);
        return;
      case 'player':
        player.post(effect.message, this.#stepUs);
        return;
      case 'abandonSentence':
        player.abandon(effect.sentence, this.#stepUs);
        return;
      case 'closeGate':
        microphone.closeGate();
        return;
      case 'reboot':
        this.#report({ type: 'reboot', cause: effect.cause });
        this.#switchOff();
        this.#phase = 'rebooted';
        return;
    }
  }

  /** Open, but the old connection is not dropped yet. */
  #replacement: Link | undefined;

  #transmit(message: Extract<MachineEffect, { type: 'transmit' }>['message']): void {
    const link = this.#link;
    if (link === undefined) return;
    let data: string | Uint8Array;
    switch (message.kind) {
      case 'startChat':
        this.#report({ type: 'startChat' });
        data = encodeClientCommand({ event: 'StartChat' });
        break;
      case 'submit':
        this.#report({ type: 'submit' });
        data = encodeClientCommand({ event: 'Submit' });
        break;
      case 'audio': {
        const { samples, capturedSamples } = message;
        this.#report({ type: 'upload', samples: samples.length, capturedSamples });
        data = littleEndianBytes(samples);
        break;
      }
    }
    link.task.send(data, (taken) => {
      if (link !== this.#link || this.#phase !== 'running') return;
      this.#inputs.push(
        taken ? { type: 'transmitted' } : { type: 'linkDown', connection: link.connection },
      );
      this.#work();
    });
  }

  #switchOff(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    for (const task of this.#dialing) task.drop();
    this.#dialing.clear();
    this.#replacement?.task.drop();
    this.#replacement = undefined;
    this.#dropLink();
  }

  // ---- connections ----

  #start(link: Link): void {
    const { profile, deviceId, voiceDetection, clock, serverUrl } = this.#options;
    const startUs = clock.nowUs();
    const { constants } = profile;
    this.#link = link;
    this.#phase = 'running';
    this.#stepUs = startUs;
    this.#running = {
      startUs,
      machine: new DeviceMachine(profile, link.connection, startUs),
      player: new Player({ startUs, helloSamples: helloSamples([builtInHello(profile)]) }),
      microphone: new Microphone({
        startUs,
        chunkSamples: constants.frontEndChunkSamples,
        preRollChunks: constants.preRollChunks,
        streamsSilence: profile.firmware.endOfUtterance === 'server',
        speechMinimumMs: constants.speechMinimumMs,
        noiseMinimumMs: constants.noiseMinimumMs,
        detector: voiceDetection.create({
          aggressiveness: constants.voiceAggressiveness,
          energyGateDbfs: constants.voiceEnergyGateDbfs,
        }),
      }),
    };
    this.#report({
      type: 'boot',
      profile: profile.name,
      firmware: profile.firmware.version,
      deviceId,
      speakerStartUs: startUs,
    });
    this.#log('I', 'echokit', `Server URL: "${serverUrl}"`);
    this.#log('I', constants.boardTag, 'Starting audio worker thread in core Core0');
    this.#work();
  }

  #open(
    attempt: number,
    reconnect: boolean,
    onOpen: (link: Link) => void,
    onFailure: (message: string) => void,
  ): void {
    const { profile, deviceId, serverUrl, dialer, random, opus, clock } = this.#options;
    const url = buildConnectUrl({
      base: serverUrl,
      deviceId,
      reconnect,
      ...profile.firmware.query,
    });
    this.#report({ type: 'connecting', attempt, reconnect, url });
    const settle = () => {
      this.#dialing.delete(task);
      this.#advance();
    };
    const task: SocketTask = new SocketTask({
      url,
      offersCompression: profile.firmware.offersCompression,
      clock,
      dialer,
      random: random.fork(`connection ${this.#connections + 1}, attempt ${attempt}`),
      onOpen: () => {
        settle();
        this.#stepUs = clock.nowUs();
        const connection = ++this.#connections;
        this.#report({ type: 'connected', connection, reconnect });
        onOpen({
          connection,
          task,
          decoder: opus.createDecoder(),
          frames: 0,
          stuck: undefined,
          closeRequested: false,
          closed: false,
        });
      },
      onFailure: (message) => {
        settle();
        this.#stepUs = clock.nowUs();
        this.#report({ type: 'connectFailed', attempt, message });
        onFailure(message);
      },
      onArrival: () => this.#work(),
    });
    this.#dialing.add(task);
  }

  /** Forgets the current connection without a close frame. */
  #dropLink(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    link.task.drop();
    if (link.closed) return;
    link.closed = true;
    this.#log('I', 'echokit::ws', 'WebSocket send channel closed');
    this.#report({ type: 'disconnected', connection: link.connection, code: 1006 });
  }

  /**
   * The socket task: decodes what has arrived and hands it to the main loop as long as that has
   * room; then it stands still, and with it the reading from the network.
   */
  #serveSocket(machine: DeviceMachine): boolean {
    const link = this.#link;
    if (link === undefined) return false;
    let progress = false;
    for (;;) {
      if (link.stuck !== undefined) {
        if (!machine.acceptsDownlink) break;
        machine.input(link.stuck);
        link.stuck = undefined;
        progress = true;
      }
      const arrival = link.task.arrivals[0];
      // In real time, what was due before is made up for first; later arrivals are not part of it.
      if (arrival === undefined || arrival.atUs > this.#stepUs) break;
      link.task.arrivals.shift();
      progress = true;
      switch (arrival.kind) {
        case 'binary':
          link.stuck = this.#decode(link, arrival.data, machine);
          break;
        case 'other':
          this.#log('E', 'echokit::ws', 'Unexpected non-binary WebSocket message received');
          break;
        case 'error':
          this.#log('E', 'echokit::ws', `WebSocket receive error: ${arrival.message}`);
          this.#log(
            'E',
            'echokit::ws',
            `WebSocket manager error: WebSocket receive error: ${arrival.message}`,
          );
          break;
        case 'closed':
          link.closed = true;
          this.#log(
            'I',
            'echokit::ws',
            link.closeRequested ? 'WebSocket closed by client request' : 'WebSocket stream ended',
          );
          this.#report({
            type: 'disconnected',
            connection: link.connection,
            code: arrival.code,
          });
          machine.input({ type: 'linkDown', connection: link.connection });
          break;
      }
    }
    link.task.hold(link.stuck !== undefined);
    return progress;
  }

  /** One binary message, as the socket task decodes it; undefined when it was refused. */
  #decode(link: Link, data: Uint8Array, machine: DeviceMachine): MachineInput | undefined {
    const frame = ++link.frames;
    const origin = { connection: link.connection, frame };
    const { dialect, undecodable } = this.#options.profile.firmware;
    const decoded = decodeServerEvent(data, { dialect });
    if (!decoded.ok) {
      this.#log('W', 'echokit::ws', `Failed to deserialize binary data: ${decoded.reason}`);
      this.#report({
        type: 'frameRejected',
        ...origin,
        bytes: data.length,
        reason: decoded.reason,
      });
      if (undecodable === 'disconnect') this.#abandonLink(link, machine);
      return undefined;
    }
    if (decoded.event.type === 'StartAudio') {
      link.decoder.reset();
      this.#log('I', 'echokit::ws', `Received StartAudio event: ${decoded.event.text}`);
    }
    let event: DownlinkEvent | undefined;
    try {
      event = this.#downlinkEvent(link, decoded.event);
    } catch (error) {
      if (!(error instanceof OpusError)) throw error;
      this.#log('W', 'echokit::ws', `Failed to decode opus audio chunk: ${error.message}`);
      this.#report({ type: 'frameRejected', ...origin, bytes: data.length, reason: error.message });
      return undefined;
    }
    this.#report({
      type: 'frameReceived',
      ...origin,
      event: decoded.event.type,
      bytes: data.length,
    });
    return event === undefined ? undefined : { type: 'downlink', event, ...origin };
  }

  /** The socket task of old firmware ends with a message that it cannot decode. */
  #abandonLink(link: Link, machine: DeviceMachine): void {
    link.task.drop();
    link.closed = true;
    this.#report({ type: 'disconnected', connection: link.connection, code: 1006 });
    machine.input({ type: 'linkDown', connection: link.connection });
  }

  #downlinkEvent(link: Link, event: ServerEvent): DownlinkEvent | undefined {
    switch (event.type) {
      case 'AudioChunk':
      case 'AudioChunkWithVowel':
        return {
          type: 'audio',
          event: event.type,
          samples: this.#options.profile.firmware.query.opus
            ? link.decoder.decode(event.data)
            : helloSamples([event.data]),
          vowel: event.type === 'AudioChunkWithVowel' ? event.vowel : 0,
        };
      case 'AudioChunki16':
        return {
          type: 'audio',
          event: event.type,
          samples: Int16Array.from(event.data),
          vowel: event.vowel,
        };
      case 'Choices':
      case 'DisplayText':
        // Unknown to this firmware: the decoder has refused them.
        return undefined;
      default:
        return event;
    }
  }

  // ---- reports ----

  #report(event: DeviceReport): void {
    this.#options.observe({ atUs: this.#stepUs, ...event } as DeviceEvent);
  }

  #log(level: 'E' | 'W' | 'I', tag: string, message: string): void {
    this.#report({ type: 'log', level, tag, message });
  }
}

function littleEndianBytes(samples: Int16Array): Uint8Array {
  const bytes = Buffer.alloc(2 * samples.length);
  for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
  return bytes;
}
