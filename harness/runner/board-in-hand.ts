import type { Clock } from '../clock/clock.ts';
import type { DeviceState } from '../device/device-event.ts';
import type { EmulatedDevice } from '../device/emulated-device.ts';
import { findAudible } from '../metrics/audibility.ts';
import type { LinkDisturbance } from '../network/laboratory-network.ts';
import type { Turn } from '../scenario/scenario.ts';
import { type SuddenFaultName, suddenFaults } from '../virtual-board/fault.ts';

/** The board as its user has it in hand: it can be looked at, pressed and spoken to. */
export interface BoardInHand {
  readonly state: DeviceState;
  /**
   * Presses K0. A promise resolves when it has been pressed, which takes time where a person has to.
   *
   * @throws {BoardRunError} when it cannot be pressed; the reason of `signal` when it aborts
   */
  press(press: 'short' | 'long', signal: AbortSignal): void | Promise<void>;
  /**
   * Says something to the board.
   *
   * @param samples 16 kHz mono
   * @param begun called with the instant of the first sample, once
   * @returns the instant at which the last voiced sample was at the board
   * @throws the reason of `signal` when it aborts
   */
  speak(samples: Int16Array, begun: (startUs: number) => void, how: Speaking): Promise<number>;
  /** Absent: its volume keys cannot be reached. */
  turnVolume?(key: 'volume-up' | 'volume-down'): void;
  /**
   * Breaks down now.
   *
   * @returns why it cannot, as a sentence without its full stop; undefined: it has
   */
  suffer?(failure: SuddenFaultName): string | undefined;
  /** A sound of 16 kHz mono beside what is said, from now on. Absent: there is none. */
  overhear?(samples: Int16Array): void;
}

export interface Speaking {
  /** For a person who has to say it: what to say. */
  readonly turn: Turn;
  readonly signal: AbortSignal;
}

/** The link of the conversation, as a scenario disturbs it. */
export interface ConversationNetwork {
  disturb(disturbance: LinkDisturbance): void;
  /** @param network name of the profile that the link has from now on */
  change(network: string): void;
}

/** How long it takes to say the clip to its last voiced sample. */
export function voicedUs(samples: Int16Array): number {
  const voicedSamples = (findAudible(samples)?.last ?? samples.length - 1) + 1;
  return Math.round(voicedSamples * 62.5);
}

/** The emulated board in the hand of the scripted user. */
export function emulatedBoard(device: EmulatedDevice, clock: Clock): BoardInHand {
  return {
    get state() {
      return device.state;
    },
    press: (press) => device.press('k0', press),
    turnVolume: (key) => device.press(key, 'short'),
    overhear: (samples) => device.hear(samples),
    suffer: (failure) => {
      const { aftermath } = suddenFaults[failure];
      const resets = aftermath.kind === 'reset' || aftermath.kind === 'power cycle';
      if (!resets) return 'an emulated board has neither a port nor a console';
      device.fail(failure);
      return undefined;
    },
    async speak(samples, begun, { signal }) {
      begun(clock.nowUs());
      device.hear(samples);
      await clock.sleep(voicedUs(samples), signal);
      return clock.nowUs();
    },
  };
}
