/** Text from outside on its way into a page. Whatever it holds, it is shown as text. */
import { neutralize } from '../terminal-text.ts';

/** Longer texts are cut: the whole is in the recording. */
export const longestText = 2000;

/** At most {@link longestText} characters, and how many there were. */
export function cutText(text: string): string {
  if (text.length <= longestText) return text;
  const most = /[\ud800-\udbff]$/.test(text.slice(0, longestText)) ? longestText - 1 : longestText;
  return `${text.slice(0, most)}… (${text.length} characters; the rest is in the recording)`;
}

/** For HTML, as the content of an element or an attribute in double quotes, and within `<bdi>`. */
export function htmlText(text: string): string {
  return neutralize(cutText(text))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Also what would reorder the page's source for whoever reads that. */
const escaped = /[<\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/**
 * JSON for the content of a `script` element: nothing in it can end the element, and lone surrogates are escaped. Texts
 * are cut.
 */
export function scriptJson(value: unknown): string {
  const json = JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'string' ? cutText(member) : member,
  );
  return json.replaceAll(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
