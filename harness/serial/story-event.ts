/**
 * What a board's console tells, above single lines (EchoKit device protocol reference, sections 8.3 to
 * 8.6; pitfalls catalogue, group R).
 */
import type { Crash, StackFrame } from './crash.ts';

/**
 * Where the board is, as far as the console says. Idle, Listening, Waiting and Speaking are the states of
 * its main loop (section 5.1), Unknown that of a board whose boot was not seen.
 */
export type BoardState =
  | 'Unknown'
  | 'Download'
  | 'Booting'
  | 'Starting'
  | 'Setup'
  | 'JoiningWifi'
  | 'NoWifi'
  | 'ConnectingServer'
  | 'NoServer'
  | 'Connecting'
  | 'WaitingForHello'
  | 'Idle'
  | 'Listening'
  | 'Waiting'
  | 'Speaking'
  | 'Restarting'
  | 'Crashed';

export type ResetKind =
  /** This program asked for it. */
  | 'requested'
  /** It came with the opening of the port: the lines were moved by the system. */
  | 'on-open'
  /** Power, the EN pin, the reset button, or RTS moved by somebody else. */
  | 'power-or-pin'
  /** Another program reset it over the USB port. */
  | 'host'
  | 'debugger'
  /** The restart after a panic. */
  | 'crash'
  /** `esp_restart`: the firmware wanted it, and said so. */
  | 'restart'
  /** `esp_restart` or a panic: the lines before were not seen. */
  | 'software'
  | 'brown-out'
  | 'watchdog'
  | 'supply'
  | 'other'
  /** The banner was lost; the board's clock began anew. */
  | 'unseen';

export interface ResetStory {
  readonly type: 'reset';
  readonly kind: ResetKind;
  /** The number behind `rst:`; null when that line did not come. */
  readonly number: number | null;
  /** Its name in the ROM of the chip, `RTC_SW_CPU` for example. */
  readonly name: string | null;
  /** What led to it, in words. */
  readonly because: string;
  readonly mode: 'run' | 'download' | 'unknown';
  /** How long the console was silent before; null when no line was seen before. */
  readonly silentUs: number | null;
}

/** What the firmware says of itself while it starts. */
export interface BoardIdentity {
  readonly chip?: string;
  readonly project?: string;
  readonly version?: string;
  /** First digits of the program's checksum. */
  readonly elfSha256?: string;
  readonly idf?: string;
  readonly psramMegabytes?: number;
  /** Of the Wi-Fi station, 12 lower-case hex digits: the device id of EchoKit. */
  readonly mac?: string;
  readonly ip?: string;
}

export type StoryFact =
  | ResetStory
  | { readonly type: 'boot'; readonly identity: BoardIdentity; readonly bootMs: number | null }
  /** The MAC or the address has become known; all that is known. */
  | {
      readonly type: 'identity';
      readonly news: 'mac' | 'ip';
      readonly identity: BoardIdentity;
    }
  | {
      readonly type: 'state';
      readonly from: BoardState;
      readonly to: BoardState;
      /** Name of the line's form, or of the event above it. */
      readonly cause: string;
    }
  | { readonly type: 'heap'; readonly spiramKiB: number; readonly internalKiB: number }
  | { readonly type: 'panic'; readonly crash: Crash }
  /** The task watchdog complains. The board goes on. */
  | {
      readonly type: 'watchdog';
      readonly starved: readonly string[];
      readonly running: readonly string[];
      readonly backtrace: readonly StackFrame[];
    }
  | { readonly type: 'brown-out' }
  | { readonly type: 'download-mode' }
  | { readonly type: 'no-application' }
  /** `Error: …` of the main loop with its causes. */
  | { readonly type: 'failure'; readonly reason: string; readonly causes: readonly string[] }
  | { readonly type: 'boot-loop'; readonly resets: number; readonly withinUs: number }
  /** Nothing has come since the port was opened. */
  | { readonly type: 'quiet'; readonly silentUs: number }
  /** A boot without one INFO line of the application. */
  | { readonly type: 'level-too-low'; readonly waitedUs: number; readonly lines: number }
  /** The console stopped after the entropy-source line. */
  | {
      readonly type: 'console-dead';
      readonly silentUs: number;
      /** The board was heard of elsewhere since. */
      readonly applicationLives: boolean;
    }
  /** No line can tell that Wi-Fi failed; the time says it. */
  | {
      readonly type: 'network-stalled';
      readonly stage: 'association' | 'address';
      readonly waitedUs: number;
    }
  | {
      readonly type: 'wrong-baud';
      readonly share: number;
      readonly bytes: number;
      /** What the port is set to; null on native USB, where it does not matter. */
      readonly baud: number | null;
    }
  /** Lines without their beginning, again and again: somebody else reads the port, or it overflows. */
  | { readonly type: 'bytes-missing'; readonly torn: number; readonly withinUs: number };

export type StoryEvent = StoryFact & {
  /** When it happened, or began. A crash is told when its last line is there. */
  readonly atUs: number;
};
