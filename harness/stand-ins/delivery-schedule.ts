import type { Random } from '../random/random.ts';
import type { FirstPiece, TimingProfile } from './timing-profile.ts';

/** When the bytes of one clip leave the provider. Instants count from the request. */
export interface DeliverySchedule {
  /** First byte of audio; for a clip without audio, when that is known. */
  readonly firstByteUs: number;
  readonly chunks: readonly ScheduledChunk[];
  /** Everything has been sent. */
  readonly endUs: number;
}

export interface ScheduledChunk {
  readonly atUs: number;
  readonly bytes: number;
}

/** What a schedule depends on beside the length of its clip. */
export interface Passing {
  /**
   * Chunks that went before as one stretch of speech: the clip goes on at their pace instead of
   * beginning with a first chunk. Default: 0.
   */
  readonly chunksBefore?: number;
  /** Text that the clip says, for engines whose first chunk depends on it (`firstPieces`). */
  readonly characters?: number;
  /** Sizes of the first chunks, instead of drawn ones; each above 0. */
  readonly chunkBytes?: readonly number[] | undefined;
}

/** 95th percentile of the standard normal distribution. */
const normal95 = 1.644853626951;
const sampleBytes = 2;

/**
 * Draws a schedule for a clip of `clipBytes` s16le mono bytes. Pure but for the draws.
 *
 * A chunk leaves when the gap after its predecessor has passed and the engine has produced it:
 * what follows the first chunk is produced at `speed` seconds of audio per second, so n chunks end
 * no earlier than `firstByte + (audio seconds after the first chunk) / speed`. Jitter and stalls
 * only delay; what was held up by a stall is followed at the usual gaps.
 */
export function scheduleDelivery(
  clipBytes: number,
  rateHz: number,
  profile: TimingProfile,
  random: Random,
  { chunksBefore = 0, characters = 0, chunkBytes }: Passing = {},
): DeliverySchedule {
  const bytesPerSecond = rateHz * sampleBytes;
  const first = chunksBefore === 0 ? firstPiece(profile, characters) : undefined;
  const p50 = first?.firstByteMs ?? profile.firstByteMs.p50;
  const firstByteUs = drawFirstByteUs(profile, p50, clipBytes / bytesPerSecond, random);
  const chunks: ScheduledChunk[] = [];
  let pacedUs = firstByteUs;
  let sent = 0;
  let firstBytes = 0;
  while (sent < clipBytes) {
    const index = chunksBefore + chunks.length;
    const firstSeconds = first?.seconds ?? profile.firstChunkSeconds;
    const size =
      chunkBytes?.[chunks.length] ??
      drawChunkBytes(index, firstSeconds, profile, bytesPerSecond, random);
    const bytes = Math.min(size, clipBytes - sent);
    sent += bytes;
    if (chunks.length === 0) {
      firstBytes = bytes;
      chunks.push({ atUs: firstByteUs, bytes });
      continue;
    }
    const gapMs = drawGapMs(profile, index - 1, random);
    const lateMs = profile.jitterMs * Math.abs(random.normal());
    const producedUs = ((sent - firstBytes) / bytesPerSecond / profile.speed) * 1e6;
    pacedUs = Math.max(pacedUs + gapMs * 1000, firstByteUs + producedUs);
    pacedUs += drawStallMs(profile, random) * 1000;
    const atUs = Math.max(chunks.at(-1)!.atUs, Math.ceil(pacedUs + lateMs * 1000));
    chunks.push({ atUs, bytes });
  }
  return { firstByteUs, chunks, endUs: chunks.at(-1)?.atUs ?? firstByteUs };
}

/** The piece that an engine begins with when it was given so much text at once. */
function firstPiece(profile: TimingProfile, characters: number): FirstPiece | undefined {
  return profile.firstPieces?.findLast((piece) => characters >= piece.charactersMin);
}

function drawFirstByteUs(
  profile: TimingProfile,
  median: number,
  audioSeconds: number,
  random: Random,
): number {
  const { p50, p95 } = profile.firstByteMs;
  const deviation = p50 > 0 ? Math.log(p95 / p50) / normal95 : 0;
  const ms = median * Math.exp(deviation * random.normal());
  return Math.round((ms + profile.firstByteMsPerSecond * audioSeconds) * 1000);
}

/** The gap before the second (0), third (1), … chunk; `steady`: the one that repeats at the end. */
export function drawGapMs(
  profile: TimingProfile,
  index: number | 'steady',
  random: Random,
): number {
  const last = profile.cadenceMs.length - 1;
  const { minimum, maximum } = profile.cadenceMs[
    index === 'steady' ? last : Math.min(index, last)
  ] ?? { minimum: 0, maximum: 0 };
  return random.between(minimum, maximum);
}

function drawStallMs({ stalls }: TimingProfile, random: Random): number {
  // A profile without stalls draws nothing, so that its schedules are what they were.
  if (stalls === undefined || random.next() >= stalls.share) return 0;
  return random.between(stalls.ms.minimum, stalls.ms.maximum);
}

function drawChunkBytes(
  index: number,
  firstSeconds: number,
  profile: TimingProfile,
  bytesPerSecond: number,
  random: Random,
): number {
  const next = profile.nextChunkSeconds[Math.min(index, profile.nextChunkSeconds.length) - 1];
  const seconds =
    index === 0 || next === undefined ? firstSeconds : random.between(next.minimum, next.maximum);
  if (seconds === Number.POSITIVE_INFINITY) return seconds;
  const whole = Math.max(1, Math.round((seconds * bytesPerSecond) / sampleBytes)) * sampleBytes;
  return whole + (profile.oddByteCuts ? random.integer(0, 1) : 0);
}

/**
 * The schedule of a clip in another encoding of `encodedBytes`: every piece has the share of the
 * bytes that it has of the audio, so that encoded audio arrives when its sound would.
 */
export function encodedSchedule(
  schedule: DeliverySchedule,
  clipBytes: number,
  encodedBytes: number,
): DeliverySchedule {
  let clipOffset = 0;
  let encodedOffset = 0;
  const chunks = schedule.chunks.map(({ atUs, bytes }) => {
    clipOffset += bytes;
    const end = Math.round((clipOffset / clipBytes) * encodedBytes);
    const share = end - encodedOffset;
    encodedOffset = end;
    return { atUs, bytes: share };
  });
  return { ...schedule, chunks: chunks.filter(({ bytes }) => bytes > 0) };
}

/** The same chunks, all of them when the last one is there. */
export function heldBack({ chunks, endUs }: DeliverySchedule): DeliverySchedule {
  const late = chunks.map(({ bytes }) => ({ atUs: endUs, bytes }));
  return { firstByteUs: endUs, chunks: late, endUs };
}

/**
 * The schedule with its chunks cut where segments of the clip end, so that no chunk belongs to two.
 *
 * @param ends bytes of the clip at which a segment ends, rising; the last is the whole clip
 * @param whole a segment leaves in one go when its last byte is there
 */
export function segmentedSchedule(
  schedule: DeliverySchedule,
  ends: readonly number[],
  whole: boolean,
): DeliverySchedule {
  const parts: { atUs: number; bytes: number; segment: number }[] = [];
  let offset = 0;
  let segment = 0;
  for (const { atUs, bytes } of schedule.chunks) {
    const chunkEnd = offset + bytes;
    while (offset < chunkEnd) {
      while (ends[segment]! <= offset) segment++;
      const end = Math.min(chunkEnd, ends[segment]!);
      parts.push({ atUs, bytes: end - offset, segment });
      offset = end;
    }
  }
  if (!whole) return { ...schedule, chunks: parts.map(({ atUs, bytes }) => ({ atUs, bytes })) };
  const readyUs = new Map(parts.map((part) => [part.segment, part.atUs]));
  const chunks = parts.map((part) => ({ atUs: readyUs.get(part.segment)!, bytes: part.bytes }));
  return { ...schedule, firstByteUs: chunks[0]?.atUs ?? schedule.firstByteUs, chunks };
}

/** The schedule as far as `limitBytes`; it ends when the last of them has left. */
export function truncateSchedule(schedule: DeliverySchedule, limitBytes: number): DeliverySchedule {
  const chunks: ScheduledChunk[] = [];
  let left = limitBytes;
  for (const { atUs, bytes } of schedule.chunks) {
    if (left <= 0) break;
    chunks.push({ atUs, bytes: Math.min(bytes, left) });
    left -= bytes;
  }
  return { ...schedule, chunks, endUs: chunks.at(-1)?.atUs ?? schedule.firstByteUs };
}
