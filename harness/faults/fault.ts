/** What a fault of the library is, as data. The mechanisms are in the layers that it happens in. */
import type { LinkDisturbance } from '../network/laboratory-network.ts';
import type { LineNoise } from '../serial/line-noise.ts';
import type { Intervention } from '../server/adapter-server.ts';
import type { FrameFault } from '../server/frame-fault.ts';
import type { StandInFault } from '../stand-ins/stand-in-changes.ts';
import type { WireFault } from '../stand-ins/wire-fault.ts';
import type { SuddenFaultName } from '../virtual-board/fault.ts';

export const faultLevels = ['provider', 'server', 'network', 'device', 'serial', 'host'] as const;
export type FaultLevel = (typeof faultLevels)[number];

/** A value of a parameter, read: numbers in the unit of the parameter, shares from 0 to 1. */
export type ParameterValue = number | string;

interface ParameterText {
  readonly name: string;
  readonly about: string;
}

export type FaultParameter = ParameterText &
  (
    | {
        readonly kind: 'number';
        readonly unit: string;
        readonly from: number;
        readonly to: number;
        readonly whole: boolean;
        readonly fallback: number;
      }
    /** `"40%"`, or 0 to 1. */
    | { readonly kind: 'share'; readonly fallback: number }
    | { readonly kind: 'choice'; readonly choices: readonly string[]; readonly fallback: string }
  );

/** A moment of a turn, as in a scenario. */
export interface FaultMoment {
  readonly event: string;
  readonly delayMs: number;
}

/** Where a fault is applied, and as what. */
export type Injection =
  /** Said by the provider's stand-in in the words of its protocol. */
  | {
      readonly layer: 'provider-words';
      readonly fault: Pick<StandInFault, 'kind' | 'moment' | 'afterFraction'>;
    }
  /** To the bytes of the provider's answers. */
  | { readonly layer: 'provider-wire'; readonly fault: WireFault }
  /** To the messages of the server to the board. */
  | { readonly layer: 'board-wire'; readonly fault: FrameFault }
  /** To the connections of the server to the provider, or of the board to the server. */
  | {
      readonly layer: 'provider-link' | 'board-link';
      readonly disturbance: LinkDisturbance;
    }
  /** The board's link is another network for a while. */
  | { readonly layer: 'board-network'; readonly network: string; readonly durationMs: number }
  | {
      readonly layer: 'server';
      readonly intervention: Intervention;
      /** Then nobody can connect for so long. */
      readonly awayMs?: number;
    }
  | { readonly layer: 'board'; readonly failure: SuddenFaultName }
  /** To the bytes on the serial line. */
  | { readonly layer: 'line'; readonly noise: LineNoise; readonly durationMs: number }
  | { readonly layer: 'host'; readonly trouble: HostTrouble };

export type HostTrouble =
  /** Time passes while the program stands still. */
  | { readonly kind: 'skip'; readonly ms: number }
  /** Nothing more can be written to the recording. */
  | { readonly kind: 'disk-full' }
  /** Every so many writes one takes so long. */
  | { readonly kind: 'slow-disk'; readonly every: number; readonly ms: number };

export type FaultLayer = Injection['layer'];

/** How a fault is told. */
export interface FaultSign {
  /** `failure.kind` of a turn that it spoils; `ok` where the turn is expected to go on. */
  readonly classes: readonly string[];
  /** Events of the trace that show it, beside `faultStruck`. */
  readonly events: readonly string[];
  /** The metric that finds it. */
  readonly metric: string;
}

export interface Fault {
  readonly name: string;
  readonly level: FaultLevel;
  /** One sentence without its full stop: what happens. */
  readonly about: string;
  readonly parameters: readonly FaultParameter[];
  /** Rows of the pitfalls catalogue that it imitates. */
  readonly imitates: readonly string[];
  readonly sign: FaultSign;
  /** When it happens unless a scenario says otherwise. Absent: at requests or messages, and not at a moment. */
  readonly moment?: FaultMoment;
  /** It happens to the provider's answers: a scenario can name the request. */
  readonly perRequest: boolean;
  /** @param values of all parameters */
  inject(values: Readonly<Record<string, ParameterValue>>): Injection;
}

/** A fault of a scenario with its values. */
export interface PlannedFault {
  readonly name: string;
  readonly values: Readonly<Record<string, ParameterValue>>;
  readonly injection: Injection;
  /** Ordinal of the request in its turn; absent: every one. */
  readonly request?: number;
  /** When; absent for those that happen to requests and messages. */
  readonly moment?: FaultMoment;
}
