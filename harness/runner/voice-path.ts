/** How the words of the scripted user get to the microphone of a real board. */
import type { Clock } from '../clock/clock.ts';
import { type Speaking, voicedUs } from './board-in-hand.ts';

export interface VoicePath {
  /** As {@link BoardInHand.speak}. */
  speak(samples: Int16Array, begun: (startUs: number) => void, how: Speaking): Promise<number>;
}

/**
 * Straight into the microphone, without air: a board that is virtual.
 *
 * @param hear plays the samples at the microphone from now on
 */
export function directVoice(clock: Clock, hear: (samples: Int16Array) => void): VoicePath {
  return {
    async speak(samples, begun, { signal }) {
      begun(clock.nowUs());
      hear(samples);
      await clock.sleep(voicedUs(samples), signal);
      return clock.nowUs();
    },
  };
}

/** A program that plays a sound, from its start to its end. */
export interface SoundPlayer {
  /** Resolves when it has ended. Rejects when it could not play; the program is stopped when `signal` aborts. */
  play(samples: Int16Array, signal: AbortSignal): Promise<void>;
}

/**
 * The loudspeaker of this machine. Programs do not tell when the first sample sounds, but when they have ended,
 * the last one has: the beginning is computed back from there, and is late by what the program takes to end.
 */
export function loudspeakerVoice(clock: Clock, player: SoundPlayer): VoicePath {
  return {
    async speak(samples, begun, { signal }) {
      const fromUs = clock.nowUs();
      await player.play(samples, signal);
      const durationUs = Math.round(samples.length * 62.5);
      const startUs = Math.max(fromUs, clock.nowUs() - durationUs);
      begun(startUs);
      return startUs + voicedUs(samples);
    },
  };
}

export interface PersonOptions {
  /**
   * Asks somebody at the board for something, until its microphone has heard a voice.
   *
   * @returns the instant at which that voice began, by what the board has sent; undefined: the board restarted first
   * @throws {BoardRunError} `BOARD_HEARD_NOTHING` when nobody speaks; the reason of `signal` when it aborts
   */
  readonly askToSpeak: (text: string, signal: AbortSignal) => Promise<number | undefined>;
  /** When the board's microphone heard voice last, by what it sent. */
  readonly lastVoiceUs: () => number;
  /** The server has decided that the user has finished, or the time for it is over. */
  readonly utteranceOver: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
}

/** A person says the words when asked. Their instants are those of the sound that the board has sent. */
export function personsVoice(options: PersonOptions): VoicePath {
  return {
    async speak(_samples, begun, { turn, signal }) {
      const { clock, askToSpeak, lastVoiceUs, utteranceOver } = options;
      const startUs = await askToSpeak(`Say now: "${turn.say ?? turn.heard}"`, signal);
      if (startUs === undefined) {
        begun(clock.nowUs());
        return clock.nowUs();
      }
      begun(startUs);
      await utteranceOver(signal);
      return lastVoiceUs();
    },
  };
}
