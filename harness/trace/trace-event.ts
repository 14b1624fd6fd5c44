/**
 * The recorded vocabulary: one JSON object per line of `trace.jsonl`, the header first.
 *
 * Everything a metric needs is in the trace and the WAV files beside it; nothing that computes a
 * metric may ask the code that produced them.
 */
import type { DeviceEvent } from '../device/device-event.ts';
import type { ProviderEvent, ServerEvent } from '../server/server-event.ts';

/** Raise it when a field changes its meaning, and add an upgrade step for readers. */
export const traceFormatVersion = 1;

/** How a recording is in the place of a provider. */
export type ReplayKind = 'strict' | 'what-if';

/** First line of `trace.jsonl`. Holds no wall-clock fact: those are in `manifest.toml`. */
export interface TraceHeader {
  readonly type: 'header';
  readonly formatVersion: number;
  readonly scenario: string;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly seed: number;
  readonly time: 'virtual' | 'real';
  /** From 1, of a conversation that was held several times. Absent: once. */
  readonly repetition?: number;
  /** Whose behavior the server had. Absent: its own. */
  readonly server?: string;
  /** Host and port of the real service that spoke. Absent: a stand-in did. */
  readonly live?: string;
  /**
   * A recording answered in the place of the provider: `strict`, of the same conversation or of another one that asks the
   * same; `what-if`, with another board, network or server setting than the recorded one. Absent: its stand-in or the real
   * service did.
   */
  readonly replay?: ReplayKind;
  /**
   * Name of the real board, as the user calls it. The events of source `device` are then those of its model,
   * `device`, which got the same messages: estimates. Absent: the board was emulated.
   */
  readonly board?: string;
}

export type TraceEvent = { readonly seq: number } & (
  | ({ readonly source: 'device' } & DeviceEvent)
  | ({ readonly source: 'server' } & ServerEvent)
  | ({ readonly source: 'provider' } & ProviderEvent)
  | ({ readonly source: 'user' } & UserEvent)
  | ({ readonly source: 'network' } & NetworkEvent)
  | ({ readonly source: 'serial' } & SerialEvent)
  | ({ readonly source: 'harness' } & HarnessEvent)
);

export type TraceSource = TraceEvent['source'];

type TypesOf<Source extends TraceSource> = Extract<TraceEvent, { source: Source }>['type'];
/** Every type of a source once: the compiler finds one that is missing, and one that is none. */
type TypeSet = { readonly [Source in TraceSource]: { readonly [Type in TypesOf<Source>]: true } };

const typeSet: TypeSet = {
  device: {
    boot: true,
    setup: true,
    connecting: true,
    connected: true,
    connectFailed: true,
    disconnected: true,
    state: true,
    display: true,
    key: true,
    volume: true,
    speech: true,
    startChat: true,
    submit: true,
    upload: true,
    uploadDiscarded: true,
    frameReceived: true,
    frameHandled: true,
    frameRejected: true,
    downloadRatio: true,
    playStart: true,
    underrunStart: true,
    underrunEnd: true,
    drained: true,
    playerStalled: true,
    playerResumed: true,
    playerCleared: true,
    reboot: true,
    finished: true,
    log: true,
  },
  server: {
    connected: true,
    disconnected: true,
    refused: true,
    cut: true,
    ping: true,
    pong: true,
    recordStart: true,
    recordEnd: true,
    turnStart: true,
    uplink: true,
    commandIgnored: true,
    endOfTurn: true,
    asr: true,
    replyText: true,
    sentence: true,
    textOptimization: true,
    frame: true,
    framed: true,
    turnEnd: true,
  },
  provider: {
    request: true,
    responseHead: true,
    chunk: true,
    end: true,
    failure: true,
    retry: true,
    cancelled: true,
  },
  user: { speechStart: true, speechStop: true, sound: true, press: true },
  network: { stall: true, drop: true, away: true, change: true },
  serial: {
    line: true,
    reset: true,
    boardState: true,
    identity: true,
    remark: true,
    press: true,
    gone: true,
    returned: true,
  },
  harness: {
    turnStart: true,
    intervention: true,
    fault: true,
    faultStruck: true,
    replayDeviation: true,
    turnEnd: true,
    boardFailure: true,
    foreignBoard: true,
    room: true,
    roomEnd: true,
    lag: true,
    replayLag: true,
    end: true,
  },
};

export const traceSources = Object.keys(typeSet) as TraceSource[];

/** Types of the events that a source can have, for whoever names one. */
export function traceEventTypes(source: TraceSource): readonly string[] {
  return Object.keys(typeSet[source]);
}

/** What the scripted user did. `turn` is the number of the turn in the scenario, from 1; 0 is before it. */
export type UserEvent = {
  readonly atUs: number;
  readonly turn: number;
} /** The clip starts at the microphone. `userOffset` is its first sample in `user.wav`. */ & (
  | {
      readonly type: 'speechStart';
      readonly text: string;
      readonly userOffset: number;
      readonly samples: number;
    }
  /** The last voiced sample of the clip was at the microphone: `userStop` of the metrics. */
  | { readonly type: 'speechStop' }
  /** Something else was said to the microphone; it belongs to no turn of its own. */
  | {
      readonly type: 'sound';
      readonly text: string;
      readonly userOffset: number;
      readonly samples: number;
    }
  | { readonly type: 'press'; readonly key: string; readonly press: 'short' | 'long' }
);

export type NetworkEvent = { readonly atUs: number } & (
  | {
      readonly type: 'stall';
      readonly turn: number;
      readonly direction: 'down' | 'up' | 'both';
      readonly durationUs: number;
    }
  | { readonly type: 'drop'; readonly turn: number }
  /** Connections break and none can be made; without a duration until the end. */
  | { readonly type: 'away'; readonly turn: number; readonly durationUs?: number }
  /** The link is another one from now on. Back at the first one: `back` is true. */
  | {
      readonly type: 'change';
      readonly turn: number;
      readonly network: string;
      readonly back: boolean;
    }
);

/** What a real board's serial port told, and what was done through it. */
export type SerialEvent = {
  readonly atUs: number;
} /** A line of the console, without secrets; `atUs` is when its first byte arrived. */ & (
  | {
      readonly type: 'line';
      readonly text: string;
      /** Absent on lines without a prefix. */
      readonly level?: string;
      readonly tag?: string;
      readonly message?: string;
      /** The board's own stamp, milliseconds since its boot. */
      readonly ms?: number;
    }
  /** The chip has reset: everything of the boot before is lost. */
  | { readonly type: 'reset'; readonly kind: string; readonly because: string }
  /** The board's state changed, as far as the console says. */
  | { readonly type: 'boardState'; readonly from: string; readonly to: string }
  /** What the board says of itself while it boots. */
  | { readonly type: 'identity'; readonly firmware?: string; readonly mac?: string }
  /** Something odd that is no failure, in words. */
  | { readonly type: 'remark'; readonly kind: string; readonly text: string }
  /** K0 was pressed through DTR or the serial link, or a person was asked to. */
  | {
      readonly type: 'press';
      readonly press: 'short' | 'long';
      readonly by: 'dtr' | 'link' | 'hand';
    }
  /** The port vanished; what the board printed until it returns is lost. */
  | { readonly type: 'gone'; readonly message: string }
  | { readonly type: 'returned'; readonly address: string; readonly awayUs: number }
);

export type HarnessEvent = { readonly atUs: number } & (
  | { readonly type: 'turnStart'; readonly turn: number }
  /** The server was made to do what it does not do by itself; `message` says which one it sent. */
  | {
      readonly type: 'intervention';
      readonly turn: number;
      readonly kind: 'ping' | 'message';
      readonly message?: string;
    }
  /**
   * The planted fault happened to a request of the provider's stand-in at a moment, or cannot happen
   * to it: `obstacle` says why.
   */
  | {
      readonly type: 'fault';
      readonly request: number;
      readonly kind: string;
      readonly moment?: string;
      readonly obstacle?: string;
    }
  /**
   * A named fault of the scenario has happened in a turn, or cannot: `obstacle` says why. `index`: its place among the
   * faults of the turn, from 1. `request`: of the provider, which it happened to.
   */
  | {
      readonly type: 'faultStruck';
      readonly turn: number;
      readonly index: number;
      readonly name: string;
      readonly request?: number;
      readonly obstacle?: string;
    }
  /** What was asked of the recording in the provider's place parts from it. `exchange`: of its requests, from 1. */
  | {
      readonly type: 'replayDeviation';
      readonly code: string;
      readonly message: string;
      readonly exchange?: number;
    }
  /** The turn is over for the scenario. `timeout`: it did not end within its limit. */
  | {
      readonly type: 'turnEnd';
      readonly turn: number;
      readonly outcome: 'finished' | 'timeout' | 'interrupted' | 'reboot';
      readonly detail?: string;
    }
  /** The board, and not what is tested, has failed. */
  | {
      readonly type: 'boardFailure';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  /** A board that is not ours to test called at the server and was sent away. */
  | { readonly type: 'foreignBoard'; readonly deviceId: string }
  /** So many samples of `room.wav` had come by now, from its first one on. */
  | { readonly type: 'room'; readonly samples: number }
  /** What recorded the room has ended by itself; nothing of the room follows. */
  | { readonly type: 'roomEnd'; readonly message: string }
  /**
   * How late alarms of this computer fired, in real time only: what it added to the instants of this
   * recording. `n` alarms, nearest rank.
   */
  | {
      readonly type: 'lag';
      readonly n: number;
      readonly p50Us: number;
      readonly p99Us: number;
      readonly maxUs: number;
    }
  /**
   * How late pieces of answers left a recording in the place of the provider, in real time only: from the instant at which
   * each was due. `n` pieces, nearest rank.
   */
  | {
      readonly type: 'replayLag';
      readonly n: number;
      readonly p50Us: number;
      readonly p99Us: number;
      readonly maxUs: number;
      /** p99 without the time in which the thread of the recording waited for a processor; where the system tells. */
      readonly ownP99Us?: number;
    }
  | {
      readonly type: 'end';
      readonly outcome: 'finished' | 'interrupted' | 'failed';
      readonly detail?: string;
    }
);
