/**
 * One board of a load run and the person at it: conversation after conversation, counted and not recorded. The person is the
 * scripted user of every run, and the board the emulated one.
 */
import type { Clock } from '../clock/clock.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import {
  createEmulatedDevice,
  DeviceError,
  type EmulatedDevice,
} from '../device/emulated-device.ts';
import { chunkSamples } from '../device/player.ts';
import { findAudible } from '../metrics/audibility.ts';
import type { Dialer } from '../network/network.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import { type ConversationNetwork, emulatedBoard } from '../runner/board-in-hand.ts';
import { type FaultScript, ScriptedUser } from '../runner/scripted-user.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import { BoardFigures } from './board-figures.ts';
import { checkVoice } from './voice-check.ts';

/** What a board of a load run is and does. */
export interface LoadedBoardOptions {
  /** From 0. */
  readonly board: number;
  readonly scenario: Scenario;
  readonly profile: DeviceProfile;
  readonly serverUrl: string;
  readonly networkName: string;
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly network: ConversationNetwork;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** 16 kHz mono; the same array for the same words. */
  readonly clip: (said: { readonly say?: string; readonly wav?: string }) => Int16Array;
  /** Quiet between two conversations: between half of it and one and a half, drawn. */
  readonly pauseMs: number;
  /** It stops after so many turns. Absent: when it is told to. */
  readonly turns?: number;
  /** Whether what it plays is held against its own voice. */
  readonly checksVoice: boolean;
  /** Told of a turn that ended, for a line of progress. */
  readonly onTurn?: () => void;
}

/** What was played longer ago is forgotten: nothing may grow with the length of a run. */
const keptMs = 90_000;
/** What can be looked at for the first audible sample of an answer. */
const onsetSamples = 16_000;
const precisionBits = 4;
const settleUs = 3_000_000;

const noFaults: FaultScript = { beginTurn: () => {}, strike: () => {}, endTurn: () => {} };

/** Twelve hex digits, locally administered. */
export function loadDeviceId(board: number): string {
  return `02ec10${board.toString(16).padStart(6, '0')}`;
}

/** The board of such an id; undefined: it is none of a load run. */
export function boardOfDeviceId(deviceId: string): number | undefined {
  const digits = /^02ec10([0-9a-f]{6})$/.exec(deviceId)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

export class LoadedBoard {
  readonly figures = new BoardFigures(precisionBits);
  readonly #options: LoadedBoardOptions;
  readonly #device: EmulatedDevice;
  #user: ScriptedUser | undefined;
  /** Who waits for the board to be in some state. */
  #changed = (): void => {};
  /** When the user of the turn in progress had finished. */
  #userStopUs: number | undefined;
  #turnRuns = false;
  /** The first sentence of the answer, until its onset was looked for. */
  #onset: { readonly atUs: number; readonly position: number } | undefined;
  /** The sentence that is being played. */
  #sentence: { readonly atUs: number; readonly position: number } | undefined;
  #played = false;

  constructor(options: LoadedBoardOptions) {
    const { board, scenario, profile, serverUrl, clock, dialer, random, opus, voiceDetection } =
      options;
    this.#options = options;
    this.figures.boards = 1;
    this.#device = createEmulatedDevice({
      profile,
      deviceId: loadDeviceId(board),
      serverUrl,
      clock,
      dialer,
      random: random.fork('device'),
      opus,
      voiceDetection,
      acoustics: scenario.device,
      keepPlayedMs: keptMs,
      observe: (event) => this.#hearOf(event),
    });
  }

  /** Holds conversations until `signal` aborts, or all turns are over; then the board is switched off. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      if (!(await this.#boot(signal))) return;
      while (!this.#enough) {
        await this.#converse(signal);
        await this.#hangUp(signal);
        if (this.#enough) break;
        const pauseUs = this.#options.pauseMs * 1000;
        const { clock, random } = this.#options;
        await clock.sleep(random.between(0.5 * pauseUs, 1.5 * pauseUs), signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      if (this.#turnRuns) this.figures.unfinished += 1;
    } finally {
      await this.#device.close();
    }
  }

  get #enough(): boolean {
    return this.figures.turns >= (this.#options.turns ?? Number.POSITIVE_INFINITY);
  }

  /** False: it found no server, and stays as it is. */
  async #boot(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#device.boot();
      this.figures.connected = 1;
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      if (!(error instanceof DeviceError)) throw error;
      this.figures.refuse(error.message);
      return false;
    }
  }

  async #converse(signal: AbortSignal): Promise<void> {
    const { scenario, clock, network, networkName, clip } = this.#options;
    const user = new ScriptedUser({
      scenario,
      clock,
      board: emulatedBoard(this.#device, clock),
      network,
      networkName,
      faults: noFaults,
      clip,
      recordClip: () => 0,
      record: (event) => this.#note(event),
    });
    this.#user = user;
    await user.converse(signal);
    this.figures.conversations += 1;
  }

  /** K0 until the board is Idle. */
  async #hangUp(signal: AbortSignal): Promise<void> {
    for (let presses = 0; this.#device.state !== 'Idle' && presses < 5; presses++) {
      this.#device.press('k0', 'short');
      await this.#until(() => this.#device.state === 'Idle', settleUs, signal);
    }
  }

  #until(condition: () => boolean, limitUs: number, signal: AbortSignal): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        alarm.cancel();
        signal.removeEventListener('abort', abort);
        this.#changed = () => {};
        action();
      };
      const abort = (): void => settle(() => reject(signal.reason));
      const alarm = this.#options.clock.after(limitUs, () => settle(resolve));
      signal.addEventListener('abort', abort, { once: true });
      this.#changed = () => {
        if (condition()) settle(resolve);
      };
    });
  }

  // ---- what the user tells ----

  #note(event: UnnumberedEvent): void {
    if (event.source === 'user' && event.type === 'speechStop') {
      this.#userStopUs = event.atUs;
      this.#onset = undefined;
    }
    if (event.source !== 'harness') return;
    if (event.type === 'turnStart') {
      this.#turnRuns = true;
      this.#played = false;
      this.#userStopUs = undefined;
    }
    if (event.type === 'turnEnd') this.#endTurn(event.outcome);
  }

  #endTurn(outcome: 'finished' | 'timeout' | 'interrupted' | 'reboot'): void {
    const { figures } = this;
    this.#turnRuns = false;
    figures.turns += 1;
    if (outcome === 'timeout' || outcome === 'reboot') figures.failures[outcome] += 1;
    else if (outcome === 'finished' && !this.#played) figures.failures.silent += 1;
    this.#findOnset();
    this.#userStopUs = undefined;
    this.#options.onTurn?.();
  }

  // ---- what the board tells ----

  #hearOf(event: DeviceEvent): void {
    const { figures } = this;
    switch (event.type) {
      case 'connected':
        figures.connections += 1;
        break;
      case 'reboot':
        figures.restarts += 1;
        this.#sentence = undefined;
        this.#onset = undefined;
        break;
      case 'frameReceived':
        figures.messagesReceived += 1;
        figures.bytesReceived += event.bytes;
        break;
      case 'upload':
      case 'startChat':
      case 'submit':
        figures.messagesSent += 1;
        break;
      case 'playStart':
        this.#played = true;
        this.#sentence = { atUs: event.atUs, position: event.position };
        if (this.#userStopUs !== undefined && this.#onset === undefined) {
          this.#onset = this.#sentence;
        }
        break;
      case 'underrunEnd':
        figures.underruns.record(event.cycles * 16_000);
        break;
      case 'drained':
        this.#judgeSentence(event.position);
        this.#findOnset();
        break;
      default:
        break;
    }
    this.#user?.hearOf(event);
    this.#changed();
  }

  /** @param end position behind its last sample */
  #judgeSentence(end: number): void {
    const sentence = this.#sentence;
    this.#sentence = undefined;
    if (sentence === undefined || end <= sentence.position) return;
    const { board, checksVoice } = this.#options;
    this.figures.playedSeconds += (end - sentence.position) / 16_000;
    if (!checksVoice) return;
    const played = this.#device.played(sentence.position);
    // Its first chunk may begin with the rest of what was played before (quirk Q2).
    const samples = played.subarray(chunkSamples, end - sentence.position);
    this.figures.hear(board, sentence.atUs, checkVoice(board, samples));
  }

  /** The first sample of the answer that can be heard, once its sentence, or the turn, is over. */
  #findOnset(): void {
    const onset = this.#onset;
    const userStopUs = this.#userStopUs;
    if (onset === undefined || userStopUs === undefined) return;
    const played = this.#device.played(onset.position).subarray(0, onsetSamples);
    const audible = findAudible(played);
    if (audible === null) {
      // Nothing of that sentence is heard: the next one may be.
      this.#onset = undefined;
      return;
    }
    const heardUs = onset.atUs + Math.round(audible.first * 62.5);
    this.figures.audible.record(heardUs - userStopUs);
    this.#userStopUs = undefined;
  }
}
