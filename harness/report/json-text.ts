/** JSON as this program writes it: the same value gives the same bytes, and no text in it acts on who looks at it. */

/**
 * Valid in any encoding of Unicode: lone surrogates are written as escapes, and so are the control characters, marks that
 * reorder text and line separators that JSON would let pass, and what GitHub's runner would take for a command (`##[`). A
 * reader gets the text as it was.
 *
 * @param indent spaces for each level; 0: one line
 */
export function jsonText(value: unknown, indent = 2): string {
  return escapeActive(JSON.stringify(value, null, indent));
}

/** Outside of strings JSON has none of these. */
const active =
  /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\p{Noncharacter_Code_Point}]/gu;

function escapeActive(json: string): string {
  return json
    .replaceAll(active, (character) => character.split('').map(escaped).join(''))
    .replaceAll('##[', '##\\u005b');
}

/** One of the units of UTF-16; a character beyond them has two. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * A document in pieces, with the members of one list read one after the other.
 *
 * @param before what stands in front of the list, and `after` behind it, as members of the document
 * @returns what `jsonText` makes of `{ ...before, [name]: [...list], ...after }`, with a line feed behind it
 */
export function* jsonWithList(
  before: object,
  name: string,
  list: Iterable<unknown>,
  after: object,
): Iterable<string> {
  yield '{\n';
  for (const member of membersOf(before)) yield `${member},\n`;
  let count = 0;
  yield `  ${JSON.stringify(name)}: [`;
  for (const item of list) {
    yield `${count++ === 0 ? '' : ','}\n${indented(jsonText(item), '    ')}`;
  }
  yield count === 0 ? ']' : '\n  ]';
  for (const member of membersOf(after)) yield `,\n${member}`;
  yield '\n}\n';
}

function membersOf(object: object): string[] {
  return Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `  ${JSON.stringify(name)}: ${indented(jsonText(value), '  ').trimStart()}`,
    );
}

/** Line feeds within strings are escaped, so every line feed is one between lines. */
function indented(json: string, by: string): string {
  return json.replaceAll(/^/gm, by);
}
