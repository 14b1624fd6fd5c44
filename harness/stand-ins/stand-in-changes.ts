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
  /** For `cut`, `early-end` and `stall`: the share of the clip sent before it happens, 0 to 1. */
  readonly afterFraction: number;
}

export const standInFaultKinds = [
  'auth', // credentials refused
  'quota', // no credit left
  'rate-limit', // 429, or its WebSocket form
  'bad-voice', // unknown voice or speaker
  'server', // 5xx, or its WebSocket form
  'cut', // the connection breaks in mid audio
  'early-end', // a clean end, too early
  'empty', // success without audio
  'stall', // nothing more is sent, the connection stays open
] as const;
export type StandInFaultKind = (typeof standInFaultKinds)[number];
