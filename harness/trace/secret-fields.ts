/**
 * Fields that carry credentials, found by their names: headers, members of JSON (also of JSON within JSON), parameters
 * of a query, keys of TOML, and the path of a URL in which a board shows the token of `serve` (`server/access-token.ts`).
 * What stands in them is secret, whatever it is.
 */
import { tokenCharactersMax, tokenCharactersMin } from '../server/access-token.ts';

/** Nobody has text, audio or settings in fields of these names. */
const fieldNames = [
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'xi-api-key',
  'xi_api_key',
  'api-key',
  'api_key',
  'apikey',
  'access_token',
  'refresh_token',
  'single_use_token',
  'client_secret',
  'set-cookie',
  'cookie',
  'password',
  'passwd',
];
/** These may mean something else in an answer, but not in a query or a configuration. */
const moreNames = [...fieldNames, 'token', 'secret', 'auth', 'key'];

export const redacted = '[redacted]';

const any = fieldNames.join('|');
const more = moreNames.join('|');
const lineStart = '(?:^|(?<=[\\r\\n]))';
const member = `(?<quote>\\\\*")(?:${any})\\k<quote>\\s{0,4}:\\s{0,4}\\k<quote>`;
const header = `(?<line>${lineStart}(?:${any}):[ \\t]*(?:(?:Bearer|Basic|Token)[ \\t]+)?)`;
const parameter = `[?&](?:${more})=`;
const key = `${lineStart}[ \\t]*(?:${more})[ \\t]*=[ \\t]*(?<mark>["'])`;
/** Not any folder of that name: what can be a token, up to the next part of the path or to where it was cut off. */
const tokenLength = `{${tokenCharactersMin},${tokenCharactersMax}}`;
const path = `(?<path>/token\\\\*/(?=[\\w.~-]${tokenLength}(?:\\\\*/|…|$)))`;
const opening = new RegExp(`${member}|${header}|${parameter}|${key}|${path}`, 'gi');

/** The beginning of a secret field, up to its value. */
export interface FieldOpening {
  readonly start: number;
  /** The value begins here. */
  readonly end: number;
  readonly closing: FieldClosing;
}

/** What ends a value: a quote behind so many backslashes as there were before the first, or one of a few characters. */
export type FieldClosing =
  | { readonly quote: string; readonly backslashes: number }
  | { readonly anyOf: RegExp };

/** Part of every name: most of what passes is audio, and holds none. */
const partOfName = /key|auth|cook|pass|tok|secr/i;

/** Whether it is worth while to look for an opening. */
export function mayHoldFields(text: string): boolean {
  return partOfName.test(text);
}

/** @param from index from which it is looked for */
export function findOpening(text: string, from: number): FieldOpening | undefined {
  opening.lastIndex = from;
  const match = opening.exec(text);
  if (match === null) return undefined;
  return { start: match.index, end: opening.lastIndex, closing: closingOf(match) };
}

function closingOf({ groups = {} }: RegExpExecArray): FieldClosing {
  const { quote, line, mark, path } = groups;
  if (quote !== undefined) return { quote: '"', backslashes: quote.length - 1 };
  if (mark !== undefined) return { quote: mark, backslashes: 0 };
  if (path !== undefined) return { anyOf: /[^\w.~-]/g };
  return { anyOf: line === undefined ? /[&\s"'#\\<>\0]/g : /[\r\n\0]/g };
}

/** @returns index of the first character behind the value; −1 when the text ends before */
export function findClosing(text: string, from: number, closing: FieldClosing): number {
  if ('anyOf' in closing) {
    closing.anyOf.lastIndex = from;
    return closing.anyOf.exec(text)?.index ?? -1;
  }
  const { quote, backslashes } = closing;
  const zero = text.indexOf('\0', from);
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 1)) {
    if (zero >= 0 && zero < at) return zero;
    let run = 0;
    while (at - 1 - run >= from && text[at - 1 - run] === '\\') run++;
    // Each level of JSON within JSON doubles the backslashes and adds one to a quote.
    const pairs = (run - backslashes) / (backslashes + 1);
    if (pairs >= 0 && pairs % 2 === 0) return at - backslashes;
  }
  return zero;
}

/** Longer than the longest opening, and what shows that it is one. */
const openingMax = 120;
const beginnings = [
  /\\+$/,
  /\\*"[\w-]{0,20}(?:\\+|\\*"\s{0,4}(?::\s{0,4}\\*)?)?$/,
  /[\r\n][\w-]{0,20}(?::[ \t]*)?$/,
  /[\r\n][ \t]*[\w-]{0,20}[ \t]*=?[ \t]*$/,
  /[?&][\w-]{0,20}$/,
  /\/\w{0,5}\\*$/,
  /\/token\\*\/[\w.~-]{0,80}\\*$/i,
];

/** Index from which on the end of a text may be the beginning of an opening; its length when it is none. */
export function openingAtEnd(text: string): number {
  const tail = text.slice(-openingMax);
  const found = beginnings.map((pattern) => tail.search(pattern)).filter((at) => at >= 0);
  return text.length - tail.length + Math.min(tail.length, ...found);
}
