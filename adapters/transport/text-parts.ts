/**
 * Where a text that is too long for one request may be cut: behind a sentence, else behind a
 * clause, else between two words. Latin, Chinese and Arabic marks; what needs a space behind it
 * (the point in "3.5" is no end) is only a mark with one.
 */
const cuts: readonly RegExp[] = [
  /(?:[.!?…؟][)\]"'”’]*(?=\s)|[。！？][」』”’]*|\n)/gu,
  /(?:[,;:،؛][)\]"'”’]*(?=\s)|[，、；：]|\s(?=[–—]\s))/gu,
  /(?=\s)/gu,
];

/**
 * Cuts a text above `charactersMax` Unicode code points into parts within it, each as long as its
 * best kind of cut allows and without space at its ends. Nothing is cut inside a word or inside square
 * brackets, which hold directions for the voice; a stretch without a place to cut stays too long.
 */
export function textParts(text: string, charactersMax: number): string[] {
  if (length(text) <= charactersMax) return [text];
  const parts: string[] = [];
  let rest = text.trim();
  while (length(rest) > charactersMax) {
    const at = cutOf(rest, charactersMax);
    if (at === undefined) break;
    parts.push(rest.slice(0, at).trim());
    rest = rest.slice(at).trim();
  }
  return [...parts, rest];
}

/** Index of the last cut of the best kind whose part is short enough and has something to say. */
function cutOf(text: string, charactersMax: number): number | undefined {
  for (const pattern of cuts) {
    const places = [...text.matchAll(pattern)].map((match) => match.index + match[0].length);
    const at = places.findLast((place) => {
      const part = text.slice(0, place).trim();
      return (
        length(part) <= charactersMax &&
        /[\p{L}\p{N}]/u.test(part) &&
        /[\p{L}\p{N}]/u.test(text.slice(place)) &&
        part.lastIndexOf('[') <= part.lastIndexOf(']')
      );
    });
    if (at !== undefined) return at;
  }
  return undefined;
}

/** In Unicode code points. */
function length(text: string): number {
  return [...text].length;
}
