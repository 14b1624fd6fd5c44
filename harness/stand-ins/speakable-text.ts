/**
 * Text as the engine gets it: typographic punctuation in ASCII, accents removed, everything that
 * is neither text nor punctuation dropped, white space collapsed. Digits are read out by Flite.
 */
export function speakableText(text: string): string {
  return (
    text
      // Before the normal form, which would leave no space behind them.
      .replaceAll(/[。！？；]/g, (mark) => ({ '。': '. ', '！': '! ', '？': '? ' })[mark] ?? '; ')
      .replaceAll(/[，、：]/g, ', ')
      .normalize('NFKC')
      .replaceAll(/\p{Script=Latin}/gu, (letter) => letter.normalize('NFD'))
      .replaceAll(/\p{M}/gu, '')
      .replaceAll(/[‘’‚‛′]/g, "'")
      .replaceAll(/[“”„‟″«»]/g, '"')
      .replaceAll(/[‐‑‒]/g, '-')
      .replaceAll(/\s*[–—―]+\s*/g, ', ')
      .replaceAll('ß', 'ss')
      .replaceAll(/[æÆœŒ]/g, (letter) => ('æÆ'.includes(letter) ? 'ae' : 'oe'))
      .replaceAll(/[øØ]/g, 'o')
      .replaceAll(/[^\p{L}\p{N}\p{P}$%+=<>\s]/gu, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim()
  );
}

export interface TextPart {
  /** `mandarin`: Han letters with digits and punctuation. `other`: letters of other scripts alone. */
  readonly kind: 'latin' | 'mandarin' | 'other';
  readonly text: string;
}

/** Runs of Latin text (with digits and punctuation), and runs of letters of other scripts. */
const latinAndOther = /(?<other>(?:(?!\p{Script=Latin})\p{L})+)|(?:\p{Script=Latin}|\P{L})+/gu;
/** As before, but Han letters keep the digits and punctuation around them. */
const withMandarin = new RegExp(
  `(?<mandarin>\\P{L}*\\p{Script=Han}[\\p{Script=Han}\\P{L}]*)|${latinAndOther.source}`,
  'gu',
);
const kana = /[\p{Script=Hiragana}\p{Script=Katakana}]/u;

/**
 * Cuts a text into parts that are spoken in different ways.
 *
 * @param text from {@link speakableText}
 * @param mandarin whether something can read Han script; it is then read as Mandarin, unless kana
 *   show that the text is Japanese. Otherwise Han letters are `other`.
 */
export function speechParts(text: string, mandarin: boolean): TextPart[] {
  const pattern = mandarin && !kana.test(text) ? withMandarin : latinAndOther;
  return Array.from(text.matchAll(pattern), ({ 0: part, groups }) => {
    if (groups?.['mandarin'] !== undefined) return { kind: 'mandarin', text: part };
    return { kind: groups?.['other'] === undefined ? 'latin' : 'other', text: part };
  });
}
