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
import { type Acoustics, type AmbientSound, EchoPath, MicrophoneNoise } from './acoustics.ts';
import type { DeviceEvent, DeviceKey, DeviceState } from './device-event.ts';
import {
  DeviceMachine,
  type DeviceReport,
  type DownlinkEvent,
  handshakeLimitUs,
  helloSamples,
  type MachineEffect,
  type MachineInput,
  type MachineLedger,
  type TakenEvent,
} from './device-machine.ts';
import { builtInHello, type DeviceProfile } from './device-profile.ts';
import { Microphone } from './microphone.ts';
import { Player, type PlayerLedger, type PlayerTransition } from './player.ts';
import { type DeviceTraits, traitsWithout } from './quirk.ts';
import { type BoardSocket, SocketTask, type SocketTaskOptions } from './socket-task.ts';

export interface EmulatedDeviceOptions {
  readonly profile: DeviceProfile;
  /** 12 lower-case hex digits, as the board writes its MAC address. */
  readonly deviceId: string;
  /** Base as stored on the board: `ws://host:port/ws/`. */
  readonly serverUrl: string;
  /** It speaks TLS with a `wss:` URL, which no firmware can. Default: false. */
  readonly speaksTls?: boolean;
  readonly clock: Clock;
  readonly dialer: Dialer;
  /** Makes the connections to the server. Default: WebSockets over `dialer`. Called again for each try. */
  readonly openSocket?: (options: SocketTaskOptions) => BoardSocket;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** Receives everything the board reports, in order. May call the device. MUST NOT throw. */
  observe(event: DeviceEvent): void;
  /** Default: no noise, and the microphone does not hear the speaker. */
  readonly acoustics?: Acoustics;
  /**
   * Receives what the microphone heard, piece by piece, in order. `position` is an index as into
   * {@link EmulatedDevice.speaker}; between the pieces was silence. MUST NOT change the samples, call the device, or throw.
   */
  observeMicrophone?(position: number, samples: Int16Array): void;
  /**
   * The board forgets what its speaker played longer ago, for a board that runs for days: {@link EmulatedDevice.played} then
   * has zeros there, and {@link EmulatedDevice.speaker} nothing of earlier boots. Default: it keeps everything.
   */
  readonly keepPlayedMs?: number;
  /** Receives every event that the main loop takes, in one order with `observe`. MUST NOT throw. */
  watchMainLoop?(taken: { readonly atUs: number } & TakenEvent): void;
}

export interface EmulatedDevice {
  /**
   * Connects for the first time and starts player and microphone. Once per device.
   *
   * @throws {DeviceError} `DEVICE_UNREACHABLE` when there is no connection; as on the board, the
   *   next press of K0 restarts it in set-up mode. `DEVICE_CLOSED`, `DEVICE_BOOTED_TWICE`.
   */
  boot(): Promise<void>;
  /**
   * A short press acts at once (as if released now), a long one when it has lasted a second. Without
   * effect before `boot` has finished and while the board boots again.
   */
  press(key: DeviceKey, press: 'short' | 'long'): void;
  /**
   * K0 goes down now, and what the board makes of it is decided by how long: released within a second it
   * was a short press, and when that second is over a long one. {@link HeldKey.release} after it changes nothing.
   *
   * @param sinceUs instant at which the key really went down, when the caller waited for it to stop bouncing
   */
  holdK0(sinceUs?: number): HeldKey;
  /**
   * Starts in set-up mode, as a board does whose K0 is pressed while it shows its splash (section 8.1), instead of
   * {@link boot}. K0 restarts it, and it connects.
   *
   * @throws {DeviceError} `DEVICE_CLOSED`, `DEVICE_BOOTED_TWICE`
   */
  setUp(): void;
  /** A sound at the microphone from now on, mixed with what is there. Copied. Nobody hears it before `boot`. */
  hear(samples: Int16Array): void;
  /**
   * The chip resets for a reason that is none of its program: a broken supply, a crash. Without effect before `boot`
   * has finished and while the board boots again.
   */
  fail(cause: string): void;
  readonly state: DeviceState;
  /**
   * Everything the speaker has played until now, over all boots with zeros between them; a fresh
   * array. Empty before `boot`.
   */
  speaker(): { readonly samples: Int16Array; readonly startUs: number };
  /**
   * What the speaker has played since this boot, from sample `from` on, until now: zeros where nothing was. A fresh
   * array, empty while the board does not run. Cheaper than {@link speaker} for whoever follows it.
   */
  played(from: number): Int16Array;
  /** Samples that are going to be played, those that wait for their sentence to be complete included. */
  bufferedSamples(): number;
  /** Switches the board off and reports `finished`. Harmless when repeated. */
  close(): Promise<void>;
}

/**
 * A board that does not decide when the user speaks: it follows another one, whose messages it is given and
 * whose uplink it is told. Keys are pressed on it as on any other; its own microphone hears nothing.
 */
export interface FollowingDevice extends EmulatedDevice {
  /** What the other board was seen to do, now. Without effect unless this one runs. */
  follow(seen: SeenAct): void;
}

export type SeenAct =
  /** Its main loop has taken K0. */
  | { readonly type: 'key'; readonly press: 'short' | 'long' }
  /** It has sent `StartChat`. */
  | { readonly type: 'startChat' }
  /** It has sent a frame of microphone audio. */
  | { readonly type: 'audio'; readonly samples: Int16Array }
  /** It has left an answer for a new connection, because somebody spoke. */
  | { readonly type: 'interrupt' }
  /** It restarts. This one then waits until the other one connects. */
  | { readonly type: 'restart'; readonly cause: string };

/** A key that is down. */
export interface HeldKey {
  release(): void;
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

/** @param options the dialer hands out what the other board was sent; it may wait until that one connects */
export function createFollowingDevice(options: EmulatedDeviceOptions): FollowingDevice {
  return new Board(options);
}

/** The code of a connection that was lost without a close frame. */
const abnormalClosure = 1006;

type Phase =
  | 'off'
  | 'booting'
  /** No connection at boot; K0 leads to set-up mode. */
  | 'unreachable'
  | 'running'
  | 'restarting'
  | 'setup'
  | 'closed';

/** A connection that is open. */
interface Link {
  readonly connection: number;
  readonly task: BoardSocket;
  readonly decoder: OpusDecoder;
  frames: number;
  /** Decoded, but the queue of the main loop is full: the socket task stands still with it. */
  stuck: MachineInput | undefined;
  closeRequested: boolean;
  closed: boolean;
}

/** What runs once the board is connected. */
interface Running {
  readonly boot: number;
  readonly startUs: number;
  readonly machine: DeviceMachine;
  readonly player: Player;
  readonly microphone: Microphone;
}

/** What the speaker of an earlier boot played. */
interface Played {
  readonly startUs: number;
  readonly samples: Int16Array;
}

/** Every boot begins on a whole sample of the first one's speaker, whose instants are whole at each second one. */
const speakerGridUs = 125;

class Board implements FollowingDevice {
  readonly #options: EmulatedDeviceOptions;
  readonly #traits: DeviceTraits;
  #boots = 0;
  readonly #earlier: Played[] = [];
  /** When the speaker of the first boot started. */
  #originUs: number | undefined;
  /** The samples of earlier boots: all of them were played or thrown away. */
  readonly #past = { pushedSamples: 0, playedSamples: 0, clearedSamples: 0 };
  #running: Running | undefined;
  #link: Link | undefined;
  /** Connections in the making. */
  readonly #dialing = new Map<BoardSocket, Alarm | undefined>();
  #connections = 0;
  #phase: Phase = 'off';
  /** Ends a restart. */
  #restart: Alarm | undefined;
  /** Abandons a boot that is under way. */
  #abandonBoot: ((error: DeviceError) => void) | undefined;
  /** Inputs from outside that wait for their turn. */
  readonly #inputs: MachineInput[] = [];
  #working = false;
  #alarm: Alarm | undefined;
  #stepUs = 0;

  constructor(options: EmulatedDeviceOptions) {
    this.#options = options;
    this.#traits = traitsWithout(options.profile.quirksOff);
  }

  get state(): DeviceState {
    return this.#running?.machine.state ?? 'Idle';
  }

  async boot(): Promise<void> {
    this.#checkNew();
    this.#phase = 'booting';
    this.#stepUs = this.#options.clock.nowUs();
    return new Promise((resolve, reject) => {
      this.#abandonBoot = reject;
      this.#connectAtBoot(resolve, (message) => {
        reject(
          new DeviceError(
            'DEVICE_UNREACHABLE',
            `Board ${this.#options.deviceId} cannot reach ${this.#options.serverUrl} ` +
              `(${message.replace(/\.$/, '')}). Start the server first, or check the address.`,
          ),
        );
      });
    });
  }

  setUp(): void {
    this.#checkNew();
    this.#phase = 'setup';
    this.#stepUs = this.#options.clock.nowUs();
    this.#report({ type: 'setup' });
  }

  #checkNew(): void {
    if (this.#phase === 'closed') throw new DeviceError('DEVICE_CLOSED', 'This board was closed.');
    if (this.#phase === 'off') return;
    throw new DeviceError(
      'DEVICE_BOOTED_TWICE',
      'This board was booted before; create another one to boot again.',
    );
  }

  #connectAtBoot(connected: () => void, failed: (message: string) => void): void {
    this.#open(
      1,
      false,
      (link) => {
        this.#start(link);
        connected();
      },
      (message) => {
        this.#phase = 'unreachable';
        this.#log('I', 'echokit', `Failed to connect to server: Some(${message})`);
        failed(message);
      },
    );
  }

  fail(cause: string): void {
    if (this.#phase !== 'running') return;
    this.#reboot(cause, 'connect');
  }

  /** The chip restarts: what was queued is lost, and after a while the board connects, or is set up. */
  #reboot(cause: string, next: 'connect' | 'setup'): void {
    const running = this.#running;
    if (running !== undefined) {
      const player = running.player.ledger();
      const held = running.machine.ledger();
      const samples = player.queuedSamples + player.restSamples + held.heldSamples;
      if (samples > 0) this.#report({ type: 'playerCleared', samples, cause: 'reboot' });
      const { pushedSamples, playedSamples, clearedSamples } = withHeld(player, held);
      this.#past.pushedSamples += pushedSamples;
      this.#past.playedSamples += playedSamples;
      this.#past.clearedSamples += clearedSamples + samples;
      if (this.#options.keepPlayedMs === undefined) {
        this.#earlier.push({ startUs: running.startUs, samples: running.player.speaker() });
      }
    }
    this.#report({ type: 'reboot', cause, ...(next === 'setup' ? { into: next } : {}) });
    this.#switchOff();
    this.#running = undefined;
    this.#inputs.length = 0;
    this.#phase = 'restarting';
    const { bootUs } = this.#options.profile.constants;
    this.#restart = this.#options.clock.after(bootUs, () => {
      this.#restart = undefined;
      this.#stepUs = this.#options.clock.nowUs();
      if (next === 'setup') {
        this.#phase = 'setup';
        this.#report({ type: 'setup' });
        return;
      }
      this.#phase = 'booting';
      this.#connectAtBoot(
        () => {},
        () => {},
      );
    });
  }

  press(key: DeviceKey, press: 'short' | 'long'): void {
    if (!['running', 'unreachable', 'setup'].includes(this.#phase)) return;
    this.#advance();
    this.#report({ type: 'key', key, press });
    if (this.#phase !== 'running') {
      if (key === 'k0') this.#leaveByKey();
      return;
    }
    const { boardTag, longPressUs } = this.#options.profile.constants;
    if (key === 'k0') this.#log('I', 'echokit', 'Button k0 pressed Low');
    else this.#log('I', boardTag, `Volume ${key === 'volume-up' ? 'up' : 'down'} button pressed`);
    const { boot } = this.#running!;
    const act = () => {
      if (this.#running?.boot !== boot) return;
      this.#inputs.push({ type: 'key', key, press });
      this.#work();
    };
    if (key === 'k0' && press === 'long') this.#options.clock.after(longPressUs, act);
    else act();
  }

  holdK0(sinceUs = this.#options.clock.nowUs()): HeldKey {
    const { clock, profile } = this.#options;
    const held = this.#running;
    if (held === undefined || this.#phase !== 'running') {
      this.press('k0', 'short');
      return { release: () => {} };
    }
    this.#advance();
    this.#log('I', 'echokit', 'Button k0 pressed Low');
    let decided = false;
    const decide = (press: 'short' | 'long') => {
      if (decided) return;
      decided = true;
      long.cancel();
      this.#advance();
      if (this.#running !== held || this.#phase !== 'running') return;
      this.#report({ type: 'key', key: 'k0', press });
      this.#inputs.push({ type: 'key', key: 'k0', press });
      this.#work();
    };
    const untilLongUs = sinceUs + profile.constants.longPressUs - clock.nowUs();
    const long = clock.after(untilLongUs, () => decide('long'));
    return { release: () => decide('short') };
  }

  hear(samples: Int16Array): void {
    if (this.#running === undefined || this.#phase !== 'running') return;
    this.#advance();
    this.#running.microphone.play(samples, this.#options.clock.nowUs());
    this.#work();
  }

  follow(seen: SeenAct): void {
    if (this.#running === undefined || this.#phase !== 'running') return;
    this.#advance();
    if (seen.type === 'restart') {
      this.#stepUs = this.#options.clock.nowUs();
      this.#reboot(seen.cause, 'connect');
      return;
    }
    if (seen.type === 'key') {
      this.#report({ type: 'key', key: 'k0', press: seen.press });
      this.#inputs.push({ type: 'key', key: 'k0', press: seen.press });
      this.#work();
      return;
    }
    if (seen.type === 'interrupt' && this.state !== 'Speaking') return;
    this.#inputs.push({
      type: 'micChunk',
      samples: seen.type === 'audio' ? seen.samples : new Int16Array(0),
      speech: true,
      seen: seen.type === 'interrupt' ? 'interrupted' : 'sent',
    });
    this.#work();
  }

  speaker(): { readonly samples: Int16Array; readonly startUs: number } {
    this.#work();
    const boots: Played[] = [...this.#earlier];
    if (this.#running !== undefined) {
      const { startUs, player } = this.#running;
      boots.push({ startUs, samples: player.speaker() });
    }
    return joinBoots(boots);
  }

  played(from: number): Int16Array {
    this.#work();
    const player = this.#running?.player;
    const samples = new Int16Array(Math.max(0, (player?.position ?? 0) - from));
    if (samples.length > 0) player?.copyPlayed(from, samples);
    return samples;
  }

  bufferedSamples(): number {
    this.#work();
    if (this.#running === undefined) return 0;
    const { player, machine } = this.#running;
    return player.ledger().queuedSamples + machine.ledger().heldSamples;
  }

  /** K0 without a connection. Section 5.7: set-up mode, and back. */
  #leaveByKey(): void {
    if (this.#phase === 'unreachable') {
      this.#reboot('K0 while the server cannot be reached: setup mode', 'setup');
      return;
    }
    this.#log('I', 'echokit', 'Button k0 pressed to enter setup');
    this.#log('I', 'echokit', 'Received event to enter setup');
    this.#reboot('K0 in setup mode', 'connect');
  }

  async close(): Promise<void> {
    if (this.#phase === 'closed') return;
    this.#work();
    this.#stepUs = this.#options.clock.nowUs();
    this.#abandonBoot?.(new DeviceError('DEVICE_CLOSED', 'The board was closed while it booted.'));
    this.#switchOff();
    this.#phase = 'closed';
    const player = this.#running?.player.ledger() ?? emptyLedger;
    const held = this.#running?.machine.ledger() ?? { heldSamples: 0, droppedHeldSamples: 0 };
    const ledger = withHeld(player, held);
    this.#report({
      type: 'finished',
      ...ledger,
      pushedSamples: this.#past.pushedSamples + ledger.pushedSamples,
      playedSamples: this.#past.playedSamples + ledger.playedSamples,
      clearedSamples: this.#past.clearedSamples + ledger.clearedSamples,
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
        for (const input of this.#inputs.splice(0)) this.#running?.machine.input(input);
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
      player.nextDeadlineUs(machine.freeLocalEvents) ?? Number.POSITIVE_INFINITY,
      microphone.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
      machine.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
    );
  }

  /** Everything that happens at one instant. */
  #step(atUs: number): void {
    if (this.#running === undefined || this.#phase !== 'running') return;
    const { player, microphone, machine } = this.#running;
    this.#stepUs = atUs;
    for (const happened of player.advanceTo(atUs, machine.freeLocalEvents)) {
      this.#playerHappened(happened, machine);
    }
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
      case 'drained': {
        const { paddedSamples, ...drained } = happened;
        observe(paddedSamples > 0 ? happened : drained);
        machine.input({ type: 'sentencePlayed' });
        return;
      }
      case 'vowel':
        machine.input({ type: 'vowel', vowel: happened.vowel });
        return;
      case 'stallStart':
        observe({ type: 'playerStalled', atUs: happened.atUs, position: happened.position });
        return;
      case 'stallEnd': {
        const { atUs, position, cycles } = happened;
        observe({ type: 'playerResumed', atUs, position, cycles });
        return;
      }
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
        if (machine.input({ ...output, type: 'micChunk' })) return;
        this.#report({
          type: 'uploadDiscarded',
          samples: output.samples.length,
          cause: 'event queue full',
        });
        // The front end is not fetched from any more, and its ring of 40 frames runs over (section 6.1).
        this.#log(
          'W',
          'AFE',
          'Ringbuffer of AFE(FEED) is full, Please use fetch() to read data to avoid data loss or overwriting',
        );
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
      case 'openGate':
        microphone.openGate();
        return;
      case 'taken':
        this.#options.watchMainLoop?.({ atUs: this.#stepUs, ...effect.taken });
        return;
      case 'reboot':
        this.#reboot(effect.cause, 'connect');
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
    this.#restart?.cancel();
    this.#restart = undefined;
    for (const [task, limit] of this.#dialing) {
      limit?.cancel();
      task.drop();
    }
    this.#dialing.clear();
    this.#replacement?.task.drop();
    this.#replacement = undefined;
    this.#dropLink();
  }

  // ---- connections ----

  #start(link: Link): void {
    const {
      profile,
      deviceId,
      voiceDetection,
      clock,
      acoustics = {},
      watchMainLoop,
      keepPlayedMs,
    } = this.#options;
    const { constants, playerRhythm, prebufferMs, quirksOff } = profile;
    const originUs = this.#originUs ?? clock.nowUs();
    const startUs = onGrid(originUs, clock.nowUs());
    this.#originUs = originUs;
    this.#boots += 1;
    this.#link = link;
    this.#phase = 'running';
    this.#stepUs = clock.nowUs();
    const player = new Player({
      startUs,
      helloSamples: helloSamples([builtInHello(profile)], this.#traits.playsHelloHeader),
      traits: this.#traits,
      rhythm: playerRhythm,
      prebufferMs,
      ...(keepPlayedMs !== undefined && { keepPlayedMs }),
    });
    const offset = samplesBetween(originUs, startUs);
    this.#running = {
      boot: this.#boots,
      startUs,
      machine: new DeviceMachine(
        profile,
        link.connection,
        this.#stepUs,
        watchMainLoop !== undefined,
      ),
      player,
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
        ambience: this.#ambience(player),
        observe: (from, samples) => this.#options.observeMicrophone?.(offset + from, samples),
      }),
    };
    this.#report({
      type: 'boot',
      profile: profile.name,
      firmware: profile.firmware.version,
      deviceId,
      speakerStartUs: startUs,
      ...(quirksOff.length === 0 ? {} : { quirksOff }),
      ...(playerRhythm === 'even' ? {} : { playerRhythm }),
      ...(prebufferMs === 0 ? {} : { prebufferMs }),
      ...(acoustics.noiseDbfs !== undefined && { noiseDbfs: acoustics.noiseDbfs }),
      ...(acoustics.echo !== undefined && {
        echoDb: acoustics.echo.db,
        echoDelayMs: acoustics.echo.delayMs,
      }),
    });
    this.#log('I', constants.boardTag, 'Starting audio worker thread in core Core0');
    this.#work();
  }

  /** What this boot's microphone hears beside the user. */
  #ambience(player: Player): AmbientSound[] {
    const { acoustics: { noiseDbfs, echo } = {}, random } = this.#options;
    const noise = () => random.fork(`microphone noise, boot ${this.#boots}`);
    return [
      ...(noiseDbfs === undefined ? [] : [new MicrophoneNoise(noise(), noiseDbfs)]),
      ...(echo === undefined ? [] : [new EchoPath(player, echo)]),
    ];
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
    const limit = this.#traits.waitsForEver
      ? undefined
      : clock.after(handshakeLimitUs, () => {
          task.drop();
          fail(`timed out after ${handshakeLimitUs / 1_000_000} s`);
        });
    const settle = () => {
      limit?.cancel();
      this.#dialing.delete(task);
      this.#advance();
    };
    const fail = (message: string) => {
      settle();
      this.#stepUs = clock.nowUs();
      this.#report({ type: 'connectFailed', attempt, message });
      onFailure(message);
    };
    const { openSocket = (request) => new SocketTask(request) } = this.#options;
    const task: BoardSocket = openSocket({
      url,
      offersCompression: profile.firmware.offersCompression && this.#traits.offersCompression,
      refusesSecure: !this.#traits.secureGoesOutInClear,
      speaksTls: this.#options.speaksTls === true,
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
      onFailure: fail,
      onArrival: () => this.#work(),
    });
    this.#dialing.set(task, limit);
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
          this.#logControlFrame();
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
          if (arrival.code !== abnormalClosure && !link.closeRequested) this.#logControlFrame();
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
      ...(isConcealed(decoded.event, event) && { concealedSamples: event.samples.length }),
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

  #logControlFrame(): void {
    if (!this.#traits.reportsControlFrames) return;
    const level = this.#traits.marksHarmlessLinesAsErrors ? 'E' : 'I';
    this.#log(level, 'echokit::ws', 'Unexpected non-binary WebSocket message received');
  }

  // ---- reports ----

  #report(event: DeviceReport): void {
    this.#options.observe({ atUs: this.#stepUs, ...event } as DeviceEvent);
  }

  #log(level: 'E' | 'W' | 'I', tag: string, message: string): void {
    this.#report({ type: 'log', level, tag, message });
  }
}

/** For the decoder an empty packet is a lost one (section 4.1). */
function isConcealed(
  event: ServerEvent,
  decoded: DownlinkEvent | undefined,
): decoded is DownlinkEvent & { type: 'audio' } {
  const empty = 'data' in event && event.data.length === 0;
  return empty && decoded?.type === 'audio' && decoded.samples.length > 0;
}

const emptyLedger: PlayerLedger = {
  pushedSamples: 0,
  playedSamples: 0,
  clearedSamples: 0,
  queuedSamples: 0,
  restSamples: 0,
};

/** What the main loop holds back, or has thrown away itself, counts as handed to the player. */
function withHeld(player: PlayerLedger, { heldSamples, droppedHeldSamples }: MachineLedger) {
  return {
    ...player,
    pushedSamples: player.pushedSamples + heldSamples + droppedHeldSamples,
    clearedSamples: player.clearedSamples + droppedHeldSamples,
    heldSamples,
  };
}

/** The first instant from `atUs` on at which a sample of a speaker that started at `originUs` begins. */
function onGrid(originUs: number, atUs: number): number {
  return originUs + Math.ceil((atUs - originUs) / speakerGridUs) * speakerGridUs;
}

/** Exact between two boots, see {@link onGrid}. */
function samplesBetween(fromUs: number, toUs: number): number {
  return Math.round((toUs - fromUs) * 0.016);
}

/** One boot after the other at its instant, silence in between. */
function joinBoots(boots: readonly Played[]): Played {
  const [first, ...later] = boots;
  if (first === undefined) return { samples: new Int16Array(0), startUs: 0 };
  if (later.length === 0) return first;
  const offset = ({ startUs }: Played) => samplesBetween(first.startUs, startUs);
  const last = boots.at(-1)!;
  const samples = new Int16Array(offset(last) + last.samples.length);
  for (const boot of boots) samples.set(boot.samples, offset(boot));
  return { samples, startUs: first.startUs };
}

function littleEndianBytes(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(2 * samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    bytes[2 * i] = sample;
    bytes[2 * i + 1] = sample >> 8;
  }
  return bytes;
}
