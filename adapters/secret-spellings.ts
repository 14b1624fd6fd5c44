/**
 * How a secret may be written by whoever echoes it. What takes secrets out of texts and bytes looks for all of these.
 */

/** Below this a piece of Base64 occurs in audio and in other texts by chance. */
const base64CharactersMin = 8;

/** Values shorter than this keep no secret, and would blot out innocent text. */
export const secretCharactersMin = 4;

/** The beginning of a secret that is no longer than this tells nothing. */
export const tellingCharacters = 4;

/**
 * So many letters of the beginning of a secret are looked for one by one where it was cut off; what follows them up to there,
 * blanks and quotes too, is the secret's as well. A pattern that nests as deep as a token is long ends the process (V8 runs out of memory).
 */
const nestedCharactersMax = 64;

/** So many letters of a secret are looked for; as many as it has left behind them are the secret's, and the end of the word. */
const soughtCharactersMax = 8192;

/**
 * So many of them may be written in more than one way, such as `<`. Each is a choice of the pattern, and V8 follows
 * choices one within another: some thousand end in an error that quotes the pattern, and with it the secret.
 */
const choicesMax = 1000;

/** What can be a secret among these. */
export function longEnough(secrets: readonly string[]): string[] {
  return secrets.filter((secret) => secret.length >= secretCharactersMin);
}

/** As bytes in traffic: also within JSON, up to three times. Longer ones first: one may contain another. */
export function secretSpellings(secrets: readonly string[]): string[] {
  const words = longEnough(secrets).flatMap(encodings);
  const spellings = words.flatMap((word) => [word, ...jsonSpellings(word, 3)]);
  return [...new Set(spellings)].sort((a, b) => b.length - a.length);
}

/** Finds secrets in texts, within JSON of any depth; and of one that was cut off (`…`) what is left. */
export function secretPattern(secrets: readonly string[]): RegExp | undefined {
  const words = [...new Set(longEnough(secrets).flatMap(encodings))];
  if (words.length === 0) return undefined;
  words.sort((a, b) => b.length - a.length);
  const letters = words.map((word) => [...word].map(inJsonOfAnyDepth));
  const whole = letters.map(wholeOf);
  const cut = letters.filter(({ length }) => length > tellingCharacters).map(beginningOf);
  return new RegExp([...whole, `(?:${cut.join('|') || '(?!)'})(?=…)`].join('|'), 'gu');
}

/** Plain, percent-encoded, in hexadecimal, in Base64 of both alphabets, also within a longer text encoded as a whole. */
function encodings(secret: string): string[] {
  const percent = encodeURIComponent(secret);
  const hex = Buffer.from(secret).toString('hex');
  return [
    secret,
    percent,
    // Also what `encodeURIComponent` leaves as it is; forms have a plus for a blank.
    percent.replaceAll(
      /[!'()*~]/g,
      (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
    ),
    percent.replaceAll('%20', '+'),
    percent.replaceAll(/%[\dA-F]{2}/g, (code) => code.toLowerCase()),
    ...(hex.length >= 2 * base64CharactersMin ? [hex, hex.toUpperCase()] : []),
    ...base64Spellings(secret),
  ];
}

/**
 * Every level of JSON puts backslashes before some characters; some libraries escape more than others. Only one letter of
 * those side by side takes any number of backslashes: several could share them out in too many ways.
 */
function inJsonOfAnyDepth(letter: string, at: number, word: readonly string[]): string {
  // First, because a key has thousands of these.
  if (wordCharacter.test(letter)) return letter;
  if (letter === '\\') return word[at + 1] === '\\' ? String.raw`\\` : String.raw`\\+`;
  const before = word[at - 1] === '\\' ? '' : String.raw`\\*`;
  if (letter === '"') return `${before}"`;
  if (letter === '/') return String.raw`${before}\/`;
  const plain = String.raw`\u{${letter.codePointAt(0)!.toString(16)}}`;
  const units = Array.from({ length: letter.length }, (_, i) => letter.charCodeAt(i));
  const escaped = units.map((unit) => {
    const digits = unit.toString(16).padStart(4, '0');
    return String.raw`\\+u${digits.replaceAll(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`;
  });
  const short = shortEscapes.get(letter);
  const choices = [plain, escaped.join(''), ...(short === undefined ? [] : [`\\\\+${short}`])];
  return `(?:${choices.join('|')})`;
}

const wordCharacter = /\w/;

/** What JSON writes as a backslash and a letter. */
const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['\b', 'b'],
  ['\t', 't'],
  ['\n', 'n'],
  ['\f', 'f'],
  ['\r', 'r'],
]);

const restOfWord = String.raw`[^\s"'…]*`;

/** Matches the word, or the beginning that is looked for and, whatever they are, as many letters as the word has left. */
function wholeOf(letters: readonly string[]): string {
  let choices = 0;
  const end = letters.findIndex((letter, at) => {
    if (letter.startsWith('(')) choices++;
    return at >= soughtCharactersMax || choices > choicesMax;
  });
  if (end < 0) return letters.join('');
  return `${letters.slice(0, end).join('')}[^…]{0,${letters.length - end}}${restOfWord}`;
}

/** Matches a word that was cut off behind the letters that must be there. */
function beginningOf(letters: readonly string[]): string {
  const must = letters.slice(0, tellingCharacters).join('');
  const may = letters.slice(tellingCharacters, -1).slice(0, nestedCharactersMax);
  const isLong = letters.length - 1 > tellingCharacters + nestedCharactersMax;
  const inner = isLong ? '[^…]*' : '';
  return must + may.map((letter) => `(?:${letter}`).join('') + inner + ')?'.repeat(may.length);
}

/** Some libraries escape slashes. */
function jsonSpellings(text: string, levels: number): string[] {
  if (levels === 0) return [];
  const plain = JSON.stringify(text).slice(1, -1);
  const both = [plain, plain.replaceAll('/', '\\/')];
  return both.flatMap((word) => [word, ...jsonSpellings(word, levels - 1)]);
}

/**
 * The whole, with and without the padding; and for each of the three places that it can have within the triples of
 * a longer text, the characters that depend on nothing else.
 */
function base64Spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const whole = bytes.toString('base64');
  const found = [whole, whole.replace(/=+$/, '')];
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const first = Math.ceil((before * 8) / 6);
    const end = Math.floor(((before + bytes.length) * 8) / 6);
    found.push(encoded.slice(first, end));
  }
  const long = found.filter((word) => word.length >= base64CharactersMin);
  return [...long, ...long.map((word) => word.replaceAll('+', '-').replaceAll('/', '_'))];
}
