/**
 * Whose voice a speaker played. It knows the tones of `voice-signature.ts` and samples, and nothing of how these got
 * there: no text, frame or codec.
 *
 * Windows of 64 ms. The energy of a board's own two tones (Goertzel's recurrence, exact for tones with whole periods in
 * the window) is compared with all there is in the window. From 90 % on the window is its own. Otherwise all 96 tones are
 * measured, and another one with 10 % of the energy may be a stranger's. One gap or jump within its own tone puts at most 6 % there, but
 * several in a window, as of a player that starves, up to 19 %, and spread much besides: so the own tones and the strange ones have to be 75 %
 * of the window. In 12,000 random patterns of gaps they were 73 % at most; where a packet of 120 ms is another board's they are 78 % in
 * one window at least, wherever it begins. What is neither is damaged, and counted as such.
 */
import { boardOfTones, toneStepHz, tonesPerBand, voiceTones } from './voice-signature.ts';

const windowSamples = 1024;
const ownShareMin = 0.9;
const strangerShareMin = 0.1;
const explainedShareMin = 0.75;
/** Quieter windows have nobody's voice: −45 dBFS. */
const quietPower = 32_768 ** 2 * 10 ** -4.5;
const lowFirstHz = voiceTonesRange('lowHz');
const highFirstHz = voiceTonesRange('highHz');

/** Windows of what a board has played. */
export interface VoiceFindings {
  readonly own: number;
  readonly quiet: number;
  readonly damaged: number;
  readonly foreign: number;
  /** The first window with a voice that is not the board's. */
  readonly stranger?: Stranger;
}

export interface Stranger {
  /** Sample of the window within what was checked. */
  readonly at: number;
  readonly lowHz: number;
  readonly highHz: number;
  /** Whose voice it is, when it is anybody's. */
  readonly board?: number;
}

/** @param samples 16 kHz mono: one sentence, or any part of it */
export function checkVoice(board: number, samples: Int16Array): VoiceFindings {
  const { lowHz, highHz } = voiceTones(board);
  const found = { own: 0, quiet: 0, damaged: 0, foreign: 0 };
  let stranger: Stranger | undefined;
  for (let at = 0; at + windowSamples <= samples.length; at += windowSamples) {
    let energy = 0;
    for (let i = at; i < at + windowSamples; i++) energy += samples[i]! * samples[i]!;
    if (energy < quietPower * windowSamples) {
      found.quiet += 1;
      continue;
    }
    const share = (hz: number): number => toneEnergy(samples, at, hz) / energy;
    const own = share(lowHz) + share(highHz);
    if (own >= ownShareMin) {
      found.own += 1;
      continue;
    }
    const low = loudest(share, lowFirstHz, lowHz);
    const high = loudest(share, highFirstHz, highHz);
    const strange = [low.share, high.share].filter((one) => one >= strangerShareMin);
    const explained = strange.reduce((sum, one) => sum + one, own);
    if (strange.length === 0 || explained < explainedShareMin) {
      found.damaged += 1;
      continue;
    }
    found.foreign += 1;
    // A stranger may have one of the two tones in common with the board.
    const lowOf = low.share >= strangerShareMin ? low.hz : lowHz;
    const highOf = high.share >= strangerShareMin ? high.hz : highHz;
    const whose = boardOfTones(lowOf, highOf);
    stranger ??= {
      at,
      lowHz: lowOf,
      highHz: highOf,
      ...(whose !== undefined && { board: whose }),
    };
  }
  return { ...found, ...(stranger !== undefined && { stranger }) };
}

/** The loudest tone of a band but one. */
function loudest(
  share: (hz: number) => number,
  firstHz: number,
  butHz: number,
): { hz: number; share: number } {
  let best = { hz: firstHz, share: 0 };
  for (let tone = 0; tone < tonesPerBand; tone++) {
    const hz = firstHz + tone * toneStepHz;
    const found = hz === butHz ? 0 : share(hz);
    if (found > best.share) best = { hz, share: found };
  }
  return best;
}

/** Energy of one tone in the window: that of a sine of this frequency with the amplitude it has there. */
function toneEnergy(samples: Int16Array, at: number, hz: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / 16_000);
  let before = 0;
  let last = 0;
  for (let i = at; i < at + windowSamples; i++) {
    const next = samples[i]! + coefficient * last - before;
    before = last;
    last = next;
  }
  const squared = last * last + before * before - coefficient * last * before;
  return (2 * squared) / windowSamples;
}

/** The lowest tone of a band over all boards. */
function voiceTonesRange(band: 'lowHz' | 'highHz'): number {
  return Math.min(...Array.from({ length: tonesPerBand }, (_, board) => voiceTones(board)[band]));
}
