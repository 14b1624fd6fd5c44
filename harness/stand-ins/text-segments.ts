/** Ends of sentences, then of clauses, then of words. */
const boundaries = [/[.!?…]["'”’)]*\s+|[。！？]|\n+/gu, /[,;:]\s+|[，；：]/gu, /\s+/gu];

/**
 * The longest beginning of a text with at most `charactersMax` characters that ends behind a
 * sentence, else behind a clause, else behind a word, else anywhere. Joined with the rest it is the
 * text.
 */
export function firstSegment(text: string, charactersMax: number): string {
  const characters = [...text];
  if (characters.length <= charactersMax) return text;
  const window = characters.slice(0, charactersMax).join('');
  for (const boundary of boundaries) {
    const ends = [...window.matchAll(boundary)].map((match) => match.index + match[0].length);
    const last = ends.at(-1);
    if (last !== undefined) return window.slice(0, last);
  }
  return window;
}

/** A text in segments of at most `charactersMax` characters; joined they are the text. */
export function textSegments(text: string, charactersMax: number): string[] {
  const segments: string[] = [];
  for (let rest = text; rest !== ''; ) {
    const segment = firstSegment(rest, charactersMax);
    segments.push(segment);
    rest = rest.slice(segment.length);
  }
  return segments;
}
