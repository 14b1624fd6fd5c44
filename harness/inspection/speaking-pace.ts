/** How long a text takes to say, for all voices: what is far from it has lost words, or its rate. */

/** Letters of an alphabet, and what else is spoken, in letters. */
const letter = 1;
const digit = 3.3;
const hanCharacter = 2.9;
const lettersPerSecond = 11.9;
/** At a comma or between sentences. */
const pauseSeconds = 0.22;

/** Seconds; 0 when there is nothing to say. */
export function expectedSeconds(text: string): number {
  let letters = 0;
  let pauses = 0;
  for (const character of text.trimEnd().replace(/[\p{P}\s]+$/u, '')) {
    if (/\p{Script=Han}/u.test(character)) letters += hanCharacter;
    else if (/\p{N}/u.test(character)) letters += digit;
    else if (/\p{L}/u.test(character)) letters += letter;
    else if (/[,;:.!?，。；：！？、—]/u.test(character)) pauses++;
  }
  return letters === 0 ? 0 : letters / lettersPerSecond + pauses * pauseSeconds;
}

const windowMs = 10;
/** −50 dBFS. */
const audibleRms = 103.6;
/** Of a pause inside only so much counts. */
const pauseMaxMs = 400;

/** How long somebody speaks: without the silence around it, and without the long part of long pauses. */
export function spokenSeconds(samples: Int16Array, rateHz: number): number {
  const window = Math.round((rateHz * windowMs) / 1000);
  let spoken = 0;
  let pause = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < samples.length; at += window) {
    let sum = 0;
    const end = Math.min(samples.length, at + window);
    for (let i = at; i < end; i++) sum += samples[i]! ** 2;
    if (Math.sqrt(sum / (end - at)) < audibleRms) {
      pause += windowMs;
      continue;
    }
    spoken += windowMs + Math.max(0, Math.min(pause, pauseMaxMs));
    pause = 0;
  }
  return spoken / 1000;
}

/**
 * Shortest plausible share of the expected time. Voices differ by a fifth either way; a short text differs more, because
 * one syllable is much of it.
 */
export function shortestShare(expected: number): number {
  return Math.exp(-(0.36 + 0.18 / Math.max(0.4, expected)));
}
