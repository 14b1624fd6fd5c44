import type { StandInChanges } from './stand-in-changes.ts';

/**
 * When a provider's audio arrives, as data. Values: TTS provider protocol reference, section 11.2
 * (of 2026; engineering choices derived from published figures, not measurements of ours).
 */
export interface TimingProfile {
  readonly name: string;
  /** Connection set-up (TCP, TLS, and for a WebSocket the upgrade). For the network, not used here. */
  readonly connectMs: number;
  /** Request until first byte of audio: log-normal with these percentiles. */
  readonly firstByteMs: { readonly p50: number; readonly p95: number };
  /** Added to the first byte for each second of audio, by engines that finish the clip first. */
  readonly firstByteMsPerSecond: number;
  /** Seconds of audio in the first chunk. `Infinity`: the whole clip at once. */
  readonly firstChunkSeconds: number;
  /** Seconds of audio in the second, third, … chunk; the last entry repeats. Uniform in each range. */
  readonly nextChunkSeconds: readonly Range[];
  /** Least gap between chunks: uniform. */
  readonly cadenceMs: Range;
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
}

export interface Range {
  readonly minimum: number;
  readonly maximum: number;
}

const range = (minimum: number, maximum = minimum): Range => ({ minimum, maximum });

export const timingProfiles = {
  'openai-mini': {
    name: 'openai-mini',
    connectMs: 120,
    firstByteMs: { p50: 600, p95: 1500 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 0.25,
    nextChunkSeconds: [range(0.1, 0.4)],
    cadenceMs: range(30, 80),
    speed: 5,
    leadSilenceMs: 80,
    tailSilenceMs: 0,
    oddByteCuts: true,
    jitterMs: 15,
  },
  'groq-orpheus': {
    name: 'groq-orpheus',
    connectMs: 90,
    firstByteMs: { p50: 200, p95: 700 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 0.4,
    nextChunkSeconds: [range(0.4)],
    cadenceMs: range(40),
    speed: 8,
    leadSilenceMs: 60,
    tailSilenceMs: 0,
    oddByteCuts: false,
    jitterMs: 15,
  },
  'gsv-stream-gpu': {
    name: 'gsv-stream-gpu',
    connectMs: 5,
    firstByteMs: { p50: 450, p95: 900 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 1,
    nextChunkSeconds: [range(1.3), range(2.3), range(3.3)],
    cadenceMs: range(0),
    speed: 3,
    leadSilenceMs: 20,
    // The engine closes every sentence with 0.3 s of zeros (reference, section 8.1).
    tailSilenceMs: 300,
    oddByteCuts: false,
    // A server on the local network: the 15 ms of hosted services would be too much.
    jitterMs: 2,
  },
  'gsv-full': {
    name: 'gsv-full',
    connectMs: 5,
    firstByteMs: { p50: 300, p95: 300 },
    firstByteMsPerSecond: 350,
    firstChunkSeconds: Number.POSITIVE_INFINITY,
    nextChunkSeconds: [],
    cadenceMs: range(0),
    speed: 3,
    leadSilenceMs: 20,
    tailSilenceMs: 300,
    oddByteCuts: false,
    jitterMs: 2,
  },
  'elevenlabs-flash-ws': {
    name: 'elevenlabs-flash-ws',
    connectMs: 200,
    firstByteMs: { p50: 180, p95: 320 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 0.35,
    nextChunkSeconds: [range(0.3, 0.8)],
    cadenceMs: range(60, 150),
    speed: 8,
    leadSilenceMs: 60,
    tailSilenceMs: 0,
    oddByteCuts: false,
    jitterMs: 15,
  },
  'cosyvoice-v2': {
    name: 'cosyvoice-v2',
    connectMs: 250,
    firstByteMs: { p50: 790, p95: 1500 },
    firstByteMsPerSecond: 0,
    firstChunkSeconds: 0.5,
    nextChunkSeconds: [range(0.2, 0.5)],
    cadenceMs: range(60),
    speed: 4,
    leadSilenceMs: 80,
    tailSilenceMs: 0,
    oddByteCuts: false,
    jitterMs: 15,
  },
} as const satisfies Record<string, TimingProfile>;

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
    speed,
    cadenceMs: range(profile.cadenceMs.minimum * haste, profile.cadenceMs.maximum * haste),
    leadSilenceMs: changes.leadSilenceMs ?? profile.leadSilenceMs,
  };
}
