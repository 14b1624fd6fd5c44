/** When each character of a text is spoken. */
export interface CharacterAlignment {
  /** Code points, in order; joined they are the text exactly. */
  readonly characters: readonly string[];
  /** Integers, never falling. */
  readonly startMs: readonly number[];
  readonly durationMs: readonly number[];
}

/**
 * Spreads the characters of `text` over the audible span of its clip. Flite does not say when it
 * spoke what, so times are proportional: a digit counts as three letters (it is read as a word), a
 * space as half a letter, punctuation inside the text as the pause it makes, at the end as nothing.
 * Deterministic and monotone; right to a few hundred milliseconds in long sentences.
 */
export function alignCharacters(text: string, fromMs: number, toMs: number): CharacterAlignment {
  const characters = [...text];
  const spokenLength = [...text.replace(/[\s\p{P}]+$/u, '')].length;
  const weights = characters.map((character, i) => (i < spokenLength ? weightOf(character) : 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const startMs: number[] = [];
  let passed = 0;
  for (const weight of weights) {
    const share = total === 0 ? 0 : passed / total;
    startMs.push(Math.round(fromMs + share * (toMs - fromMs)));
    passed += weight;
  }
  const durationMs = startMs.map((start, i) => (startMs[i + 1] ?? Math.round(toMs)) - start);
  return { characters, startMs, durationMs };
}

function weightOf(character: string): number {
  if (/\s/.test(character)) return 0.5;
  if (/\p{N}/u.test(character)) return 3;
  if (/[.!?;:]/.test(character)) return 4;
  if (/[,–—]/.test(character)) return 2;
  if (/\p{P}/u.test(character)) return 0;
  return 1;
}
