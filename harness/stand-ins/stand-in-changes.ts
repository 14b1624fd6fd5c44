/** How a scenario changes the personality of a stand-in. */
export interface StandInChanges {
  /** Median time to the first byte of audio, instead of the profile's. */
  readonly firstByteMs?: number;
  /** Audio seconds produced per second, instead of the profile's; below 1 the provider is too slow. */
  readonly speed?: number;
  /** Silence in front of every clip, instead of the profile's. */
  readonly leadSilenceMs?: number;
  readonly fault?: StandInFault;
}

/** A failure the stand-in shows, in the provider's own wire form. */
export interface StandInFault {
  readonly kind: StandInFaultKind;
  /** Only this request (from 1); absent: every request. */
  readonly request?: number;
  /** Absent: the usual one of this kind at this provider. */
  readonly moment?: FaultMoment;
  /** For faults in mid audio: the share of the clip sent before, 0 to 1. */
  readonly afterFraction: number;
}

export const standInFaultKinds = [
  'auth', // credentials refused
  'quota', // no credit left
  'rate-limit', // 429, or its WebSocket form
  'bad-voice', // unknown voice or speaker
  'too-long', // more text than is taken
  'server', // 5xx, or its WebSocket form
  'timeout', // the provider says that it took too long
  'protocol', // something that is none of the protocol
  'cut', // the connection breaks
  'early-end', // a clean end, too early
  'empty', // success without audio
  'stall', // nothing more is sent, the connection stays open
] as const;
export type StandInFaultKind = (typeof standInFaultKinds)[number];

/** How far an answer has come when a fault strikes it, in order. */
export const faultMoments = [
  'answer', // in the place of its head: the status, the opened WebSocket, the started task
  'first-audio', // behind its head, before any audio
  'mid-audio', // behind a share of its audio
  'end', // behind its last audio, in the place of the sign that it is complete
] as const;
export type FaultMoment = (typeof faultMoments)[number];
