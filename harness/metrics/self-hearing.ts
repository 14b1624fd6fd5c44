/**
 * Whether the board heard itself: speech that it found and interruptions that it made without a user, and how much
 * what its microphone heard then is what its speaker had played.
 */
import { type AudibilitySettings, findAudible } from './audibility.ts';
import { type Conversation, type Mark, turnAt } from './conversation.ts';
import { usToPosition } from './playback.ts';
import { type RecordedCell, samplesToUs } from './recorded-cell.ts';

/** Onset of speech at the board while its speaker played and no user spoke. */
export interface SelfHeardOnset extends Mark {
  readonly turn: number | null;
  /** Peak of the normalized cross-correlation of microphone and speaker, 0 to 1. */
  readonly correlation: number;
  /** Where the peak is: samples from the speaker to the microphone. */
  readonly lagSamples: number;
}

export interface UnprovokedInterrupt extends Mark {
  readonly turn: number | null;
}

/** The sound behind an onset; the detector needs 200 ms of voice. */
const windowSamples = 4000;
/** How much later than the speaker the microphone may hear it. */
const longestLagSamples = 8000;
/** A chunk of the front end: an onset is reported at its end. */
const chunkUs = 32_000;

/** Empty when the microphone was not recorded. */
export function findSelfHeardOnsets(
  conversation: Conversation,
  { speaker, microphone }: RecordedCell,
  audibility: AudibilitySettings,
): SelfHeardOnset[] {
  if (microphone === undefined) return [];
  return conversation.speechOnsets.flatMap((onset): SelfHeardOnset[] => {
    if (userSpoke(conversation, onset.atUs)) return [];
    const end = usToPosition(conversation, onset.atUs);
    const from = end - windowSamples;
    if (from < longestLagSamples || end > microphone.length) return [];
    if (findAudible(speaker, from - longestLagSamples, end, audibility) === null) return [];
    const played = speaker.subarray(from - longestLagSamples, end);
    const { correlation, lagSamples } = correlationPeak(microphone.subarray(from, end), played);
    const { atUs, seq } = onset;
    return [{ atUs, seq, turn: turnAt(conversation, atUs), correlation, lagSamples }];
  });
}

/** Barge-ins whose speech began while no user spoke. */
export function findUnprovokedInterrupts(conversation: Conversation): UnprovokedInterrupt[] {
  return conversation.stateChanges.flatMap(({ cause, atUs, seq }): UnprovokedInterrupt[] => {
    if (cause !== 'barge-in') return [];
    const onset = conversation.speechOnsets.findLast((mark) => mark.atUs <= atUs);
    if (onset === undefined || userSpoke(conversation, onset.atUs)) return [];
    return [{ atUs, seq, turn: turnAt(conversation, atUs) }];
  });
}

/** An onset at this instant can be the user's doing. */
function userSpoke({ userClips }: Conversation, atUs: number): boolean {
  return userClips.some(
    ({ startUs, samples }) => startUs <= atUs && atUs <= startUs + samplesToUs(samples) + chunkUs,
  );
}

/**
 * The lag at which `heard` is most like `played`, which ends at the same instant and begins earlier: by as much as
 * the longest lag.
 */
function correlationPeak(
  heard: Int16Array,
  played: Int16Array,
): { correlation: number; lagSamples: number } {
  const longest = played.length - heard.length;
  const energyOf = (samples: Int16Array) => samples.reduce((sum, value) => sum + value * value, 0);
  const heardEnergy = energyOf(heard);
  let playedEnergy = energyOf(played.subarray(longest));
  let peak = { correlation: 0, lagSamples: 0 };
  for (let lag = 0; lag <= longest; lag++) {
    const from = longest - lag;
    if (lag > 0) playedEnergy += played[from]! ** 2 - played[from + heard.length]! ** 2;
    let product = 0;
    for (let i = 0; i < heard.length; i++) product += heard[i]! * played[from + i]!;
    const correlation = product / Math.sqrt(heardEnergy * playedEnergy);
    if (correlation > peak.correlation) peak = { correlation, lagSamples: lag };
  }
  return peak;
}
