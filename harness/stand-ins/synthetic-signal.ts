/** Signals that need no speech engine. All are 16 kHz, deterministic and owned by the caller. */

const rateHz = 16_000;

export const signalNames = ['tone', 'sweep', 'chirp', 'silence'] as const;
export type SignalName = (typeof signalNames)[number];

/** Characters per second by which a signal gets the length a spoken text would have. */
const charactersPerSecond = 15;
/** Amplitude of a sine at −17 dBFS peak, that is −20 dBFS RMS, the level of the voices. */
const amplitude = 32768 * 10 ** (-20 / 20) * Math.SQRT2;

const fadeMs = 5;
/** Chirps follow each other at once, so a lost or repeated sample shifts all after it. */
export const chirpMs = 50;
/** In the band that survives every sample rate a provider delivers. */
const chirpHz = { from: 500, to: 3500 };
/** Makes up for what the many fades take away: their mean square is a third. */
const chirpGain = 1 / Math.sqrt(1 - (4 / 3) * (fadeMs / chirpMs));

/**
 * A signal as long as `text` would take to say (15 characters per second, at least 0.2 s).
 *
 * - `tone`: 1 kHz.
 * - `sweep`: 100 Hz to 7 kHz, logarithmic.
 * - `chirp`: chirp `k` begins at sample 800 `k` exactly and lasts 50 ms; even ones rise linearly from 500 to
 *   3500 Hz, odd ones fall back. The last one may be cut short.
 * - `silence`: zeros.
 *
 * Tone and sweep fade in and out over 5 ms, and so does each chirp.
 */
export function signalFor(name: SignalName, text: string): Int16Array {
  const seconds = Math.max(0.2, [...text].length / charactersPerSecond);
  const samples = new Int16Array(Math.round(seconds * rateHz));
  if (name === 'silence') return samples;
  if (name === 'chirp') {
    const chirp = rateHz * (chirpMs / 1000);
    for (let i = 0; i < samples.length; i++) {
      const cycles = chirpCycles((i % chirp) / rateHz, Math.floor(i / chirp) % 2 === 0);
      samples[i] = sine(cycles, chirpGain * fade(i % chirp, chirp));
    }
    return samples;
  }
  const octaves = Math.log(70);
  for (let i = 0; i < samples.length; i++) {
    const t = i / rateHz;
    const cycles =
      name === 'tone'
        ? 1000 * t
        : ((100 * seconds) / octaves) * (Math.exp((octaves * t) / seconds) - 1);
    samples[i] = sine(cycles, fade(i, samples.length));
  }
  return samples;
}

function sine(cycles: number, gain: number): number {
  return Math.round(amplitude * gain * Math.sin(2 * Math.PI * cycles));
}

/** Phase of a chirp `t` seconds after it began: the integral of its frequency. */
function chirpCycles(t: number, rising: boolean): number {
  const { from, to } = chirpHz;
  const slope = (to - from) / (chirpMs / 1000);
  return rising ? from * t + (slope / 2) * t ** 2 : to * t - (slope / 2) * t ** 2;
}

/**
 * A stand-in for speech in a script the engine cannot read: one voiced, syllable-like tone per
 * character, its pitch contour chosen by the character. Han, kana and Hangul take 250 ms (4 per
 * second), letters of other alphabets 70 ms. It has the rhythm and length of speech, not its words.
 */
export function syllablesFor(text: string): Int16Array {
  const parts: Int16Array[] = [];
  for (const character of text) {
    if (!/\p{L}/u.test(character)) continue;
    const ms = syllabic.test(character) ? 250 : 70;
    parts.push(syllable(character.codePointAt(0)!, Math.round((ms * rateHz) / 1000)));
  }
  return concatenate(parts);
}

const syllabic = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

function syllable(codePoint: number, length: number): Int16Array {
  const out = new Int16Array(length);
  const voiced = Math.round(length * 0.85);
  const startHz = 160 + (codePoint % 7) * 15;
  // Level, rising, dipping and falling, as the tones of Mandarin.
  const contours = [
    () => 1,
    (x: number) => 0.9 + 0.3 * x,
    (x: number) => 1 - 0.6 * x * (1 - x),
    (x: number) => 1.2 - 0.4 * x,
  ];
  const contour = contours[(codePoint >> 3) % contours.length]!;
  let phase = 0;
  for (let i = 0; i < voiced; i++) {
    phase += (startHz * contour(i / voiced)) / rateHz;
    let value = 0;
    for (let harmonic = 1; harmonic <= 8; harmonic++) {
      value += Math.sin(2 * Math.PI * harmonic * phase) / harmonic;
    }
    out[i] = Math.round(0.6 * amplitude * Math.sin((Math.PI * i) / voiced) * value);
  }
  return out;
}

export function concatenate(parts: readonly Int16Array[]): Int16Array {
  const out = new Int16Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function fade(i: number, length: number): number {
  const ramp = (fadeMs / 1000) * rateHz;
  return Math.min(1, i / ramp, (length - 1 - i) / ramp);
}
