import type { StandInChanges } from './stand-in-changes.ts';

/**
 * When a provider's audio arrives, as data: the `[timing]` of a personality, or one made for a test.
 */
export interface TimingProfile {
  /** That of the personality. */
  readonly name: string;
  /** Connection set-up (TCP, TLS, and for a WebSocket the upgrade). For the network, not used here. */
  readonly connectMs: number;
  /** Request until first byte of audio: log-normal with these percentiles. */
  readonly firstByteMs: { readonly p50: number; readonly p95: number };
  /** Added to the first byte for each second of audio, by engines that finish the clip first. */
  readonly firstByteMsPerSecond: number;
  /** Seconds of audio in the first chunk. `Infinity`: the whole clip at once. */
  readonly firstChunkSeconds: number;
  /**
   * What an engine begins with instead when it is given that much text at once, in rising order of
   * `charactersMin`. Less text: `firstByteMs` and `firstChunkSeconds`.
   */
  readonly firstPieces?: readonly FirstPiece[];
  /** Seconds of audio in the second, third, … chunk; the last entry repeats. Uniform in each range. */
  readonly nextChunkSeconds: readonly Range[];
  /** Least gap before the second, third, … chunk; the last entry repeats. Uniform in each range. */
  readonly cadenceMs: readonly Range[];
  /** Seconds of audio produced per second after the first chunk ("RTF×"). Caps the whole. */
  readonly speed: number;
  /** Digital silence in front of every clip. */
  readonly leadSilenceMs: number;
  /** Digital silence after every clip. */
  readonly tailSilenceMs: number;
  /** Chunks are cut at any byte, so half of the cuts split a sample. */
  readonly oddByteCuts: boolean;
  /** Lateness added to each chunk but the first: magnitude of a normal with this deviation. */
  readonly jitterMs: number;
  /** Chunks but the first that are held up on top of that, and with them all that follow. */
  readonly stalls?: {
    /** Of all chunks, 0 to 1. */
    readonly share: number;
    readonly ms: Range;
  };
}

export interface FirstPiece {
  readonly charactersMin: number;
  readonly seconds: number;
  /** Median until the first byte; the ratio of p95 to it is that of the profile. */
  readonly firstByteMs: number;
}

export interface Range {
  readonly minimum: number;
  readonly maximum: number;
}

/**
 * A profile with a scenario's changes. A new median keeps the ratio of p95 to p50. A higher speed
 * shortens the gaps between chunks in proportion, which would otherwise hold it back.
 */
export function changedProfile(profile: TimingProfile, changes: StandInChanges): TimingProfile {
  const { p50, p95 } = profile.firstByteMs;
  const firstByte = changes.firstByteMs;
  const speed = changes.speed ?? profile.speed;
  const haste = Math.min(1, profile.speed / speed);
  return {
    ...profile,
    ...(firstByte !== undefined && {
      firstByteMs: { p50: firstByte, p95: (firstByte * p95) / p50 },
      firstByteMsPerSecond: 0,
    }),
    ...(firstByte !== undefined &&
      profile.firstPieces !== undefined && {
        firstPieces: profile.firstPieces.map((piece) => ({
          ...piece,
          firstByteMs: (piece.firstByteMs * firstByte) / p50,
        })),
      }),
    speed,
    cadenceMs: profile.cadenceMs.map(({ minimum, maximum }) => ({
      minimum: minimum * haste,
      maximum: maximum * haste,
    })),
    leadSilenceMs: changes.leadSilenceMs ?? profile.leadSilenceMs,
  };
}
