/** Signals that need no speech engine. All are 16 kHz, deterministic and owned by the caller. */

const rateHz = 16_000;

export const signalNames = ['tone', 'sweep', 'silence'] as const;
export type SignalName = (typeof signalNames)[number];

/** Characters per second by which a signal gets the length a spoken text would have. */
const charactersPerSecond = 15;
/** Amplitude of a sine at −17 dBFS peak, that is −20 dBFS RMS, the level of the voices. */
const amplitude = 32768 * 10 ** (-20 / 20) * Math.SQRT2;

/**
 * A signal as long as `text` would take to say (15 characters per second, at least 0.2 s).
 * `tone`: 1 kHz. `sweep`: 100 Hz to 7 kHz, logarithmic. Both fade in and out over 5 ms.
 */
export function signalFor(name: SignalName, text: string): Int16Array {
  const seconds = Math.max(0.2, [...text].length / charactersPerSecond);
  const samples = new Int16Array(Math.round(seconds * rateHz));
  if (name === 'silence') return samples;
  const octaves = Math.log(70);
  for (let i = 0; i < samples.length; i++) {
    const t = i / rateHz;
    const cycles =
      name === 'tone'
        ? 1000 * t
        : ((100 * seconds) / octaves) * (Math.exp((octaves * t) / seconds) - 1);
    samples[i] = Math.round(amplitude * fade(i, samples.length) * Math.sin(2 * Math.PI * cycles));
  }
  return samples;
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
  const ramp = 0.005 * rateHz;
  return Math.min(1, i / ramp, (length - 1 - i) / ramp);
}
