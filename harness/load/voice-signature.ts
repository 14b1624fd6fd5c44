/**
 * A voice of its own for every board: two tones, one of 48 low and one of 48 high ones, so that 2304 boards differ. What
 * a board is answered is said in its voice by the stand-in of the provider, and what its speaker plays must hold no other
 * one (`voice-check.ts`).
 *
 * The voice goes the way every answer goes: as words in the reply of the language model, through sentences and the adapter
 * to the provider. A word is `v17e` for board 17, so that every piece of the text says whose it is.
 */
import type { OfflineVoice, Speech } from '../stand-ins/offline-voice.ts';

/** All tones have whole periods in 512 samples at 16 kHz; neighbors are 31.25 Hz apart. */
export const toneStepHz = 31.25;
export const tonesPerBand = 48;
/** 375 to 1844 Hz and 2250 to 3719 Hz: what every provider's format carries. */
const lowFirst = 12;
const highFirst = 72;

/** Boards behind this one have voices that others have, too. */
export const distinctVoices = tonesPerBand * tonesPerBand;

/** Peak of each tone; together −20 dBFS RMS, the level of the other voices. */
const amplitude = 32_768 * 0.1;
const fadeSeconds = 0.005;
const charactersPerSecond = 15;

/** @param board from 0 */
export function voiceTones(board: number): { readonly lowHz: number; readonly highHz: number } {
  const voice = board % distinctVoices;
  // Boards that follow each other are far apart in both bands: 19 and 29 have no factor in common with 48.
  const low = (voice * 19) % tonesPerBand;
  const high = (Math.floor(voice / tonesPerBand) + voice * 29) % tonesPerBand;
  return { lowHz: (lowFirst + low) * toneStepHz, highHz: (highFirst + high) * toneStepHz };
}

/** The board whose voice this is; undefined: these two tones are nobody's. */
export function boardOfTones(lowHz: number, highHz: number): number | undefined {
  for (let board = 0; board < distinctVoices; board++) {
    const tones = voiceTones(board);
    if (tones.lowHz === lowHz && tones.highHz === highHz) return board;
  }
  return undefined;
}

/** The same sentences, every word of them that of the board. */
export function inVoiceOf(board: number, text: string): string {
  return text.replaceAll(/[^\s.,;:!?…。，！？；：]+/gu, `v${board}e`);
}

/** A voice that says words of boards in their voices, and everything else as `voice` does. */
export function signatureVoice(voice: OfflineVoice): OfflineVoice {
  const speakAt: OfflineVoice['speakAt'] = (text, name, rateHz) => {
    const board = /v(\d+)e/.exec(text)?.[1];
    if (board === undefined) return voice.speakAt(text, name, rateHz);
    return spoken(Number(board), [...text].length / charactersPerSecond, rateHz);
  };
  return {
    counts: voice.counts,
    speakAt,
    speak: (text, name) => speakAt(text, name, 16_000),
  };
}

function spoken(board: number, seconds: number, sampleRateHz: number): Speech {
  const { lowHz, highHz } = voiceTones(board);
  const samples = new Int16Array(Math.round(Math.max(0.2, seconds) * sampleRateHz));
  const fade = Math.round(fadeSeconds * sampleRateHz);
  // What repeats is computed once: at 16 and 24 kHz that is 512 and 768 samples.
  const period = sampleRateHz / toneStepHz;
  const computed = Number.isInteger(period) ? Math.min(period, samples.length) : samples.length;
  for (let i = 0; i < computed; i++) {
    const t = (2 * Math.PI * i) / sampleRateHz;
    samples[i] = Math.round(amplitude * (Math.sin(lowHz * t) + Math.sin(highHz * t)));
  }
  for (let at = computed; at < samples.length; at += computed) {
    samples.copyWithin(at, 0, Math.min(computed, samples.length - at));
  }
  for (let i = 0; i < fade; i++) {
    const end = samples.length - 1 - i;
    samples[i] = Math.round((samples[i]! * i) / fade);
    samples[end] = Math.round((samples[end]! * i) / fade);
  }
  return { samples, sampleRateHz, spokenBy: ['test signal'] };
}
