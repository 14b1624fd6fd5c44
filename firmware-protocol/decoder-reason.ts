/**
 * The words in which the firmware's decoder refuses a message.
 *
 * The firmware logs `Failed to deserialize binary data: ` and one of these texts (EchoKit device
 * protocol reference, section 8.4). They are kept to the letter, checked against rmp-serde 1.3.1
 * with serde 1.0.228, so that an emulated board prints what a real board prints. One difference is
 * known: of two shortest forms of a float that are equally near, Rust prints the upper last digit
 * and JavaScript the even one.
 */

/** What was found where something else was expected, in serde's words. */
export type Unexpected =
  | { readonly kind: 'unit' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number | bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly bytes: Uint8Array }
  | { readonly kind: 'binary' }
  | { readonly kind: 'sequence' }
  | { readonly kind: 'map' }
  | { readonly kind: 'extension' };

export const endOfMarker = 'IO error while reading marker: failed to fill whole buffer';
export const endOfNumber = 'IO error while reading data: failed to fill whole buffer';
export const endOfBytes = 'IO error while reading data: unexpected end of file';
export const depthExceeded = 'depth limit exceeded';

export function invalidType(found: Unexpected, expected: string): string {
  return `invalid type: ${describe(found)}, expected ${expected}`;
}

export function invalidValue(found: Unexpected, expected: string): string {
  return `invalid value: ${describe(found)}, expected ${expected}`;
}

export function wrongMarker(marker: number): string {
  return `wrong msgpack marker ${markerName(marker)}`;
}

export function wrongLength(expected: number): string {
  return `array had incorrect length, expected ${expected}`;
}

/** An array with `found` elements where a struct of `wanted` fields is expected. */
export function invalidLength(found: number, expected: string, wanted: number): string {
  return `invalid length ${found}, expected ${expected} with ${wanted} element${wanted === 1 ? '' : 's'}`;
}

export function unknownVariant(name: string, known: readonly string[]): string {
  return `unknown variant \`${name}\`, expected one of ${known.map((k) => `\`${k}\``).join(', ')}`;
}

export function invalidUtf8(bytes: Uint8Array): string {
  const fault = utf8Fault(bytes);
  const what =
    fault.length === 0
      ? `incomplete utf-8 byte sequence from index ${fault.index}`
      : `invalid utf-8 sequence of ${fault.length} bytes from index ${fault.index}`;
  return `string found to be invalid utf8: ${what}`;
}

function describe(found: Unexpected): string {
  switch (found.kind) {
    case 'unit':
      return 'unit value';
    case 'boolean':
      return `boolean \`${found.value}\``;
    case 'integer':
      return `integer \`${found.value}\``;
    case 'float':
      return `floating point \`${floatText(found.value)}\``;
    case 'string':
      return `string ${debugText(lossyText(found.bytes))}`;
    case 'binary':
      return 'byte array';
    case 'sequence':
      return 'sequence';
    case 'map':
      return 'map';
    case 'extension':
      return 'newtype struct';
  }
}

const lossyDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Text with U+FFFD for what is not UTF-8, as Rust and the Encoding standard both do it. */
export function lossyText(bytes: Uint8Array): string {
  return lossyDecoder.decode(bytes);
}

const strictDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** Text, or undefined when the bytes are not UTF-8. */
export function strictText(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Shortest decimal digits that give the number back, never with an exponent, always with a point. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa = '', exponent = '0'] = Math.abs(value).toString().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const shift = Number(exponent);
  const digits = `${'0'.repeat(Math.max(0, -shift))}${whole}${fraction}${'0'.repeat(Math.max(0, shift))}`;
  const point = whole.length + Math.max(0, -shift) + shift;
  const before = digits.slice(0, point).replace(/^0+(?=\d)/, '');
  const after = digits.slice(point).replace(/0+$/, '');
  return `${sign}${before === '' ? '0' : before}.${after === '' ? '0' : after}`;
}

const namedEscapes: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
};

/** Rust's debug form of a string. Which characters count as printable depends on the Unicode version. */
function debugText(text: string): string {
  let out = '';
  for (const character of text) {
    const named = namedEscapes[character];
    if (named !== undefined) out += named;
    else if (character !== ' ' && /[\p{C}\p{Z}\p{Grapheme_Extend}]/u.test(character)) {
      out += `\\u{${character.codePointAt(0)?.toString(16)}}`;
    } else out += character;
  }
  return `"${out}"`;
}

/** Names of the markers 0xc0 to 0xdf in the MessagePack library of the firmware. */
const markerNames = [
  ...['Null', 'Reserved', 'False', 'True', 'Bin8', 'Bin16', 'Bin32', 'Ext8', 'Ext16', 'Ext32'],
  ...['F32', 'F64', 'U8', 'U16', 'U32', 'U64', 'I8', 'I16', 'I32', 'I64'],
  ...['FixExt1', 'FixExt2', 'FixExt4', 'FixExt8', 'FixExt16'],
  ...['Str8', 'Str16', 'Str32', 'Array16', 'Array32', 'Map16', 'Map32'],
];

function markerName(marker: number): string {
  if (marker < 0x80) return `FixPos(${marker})`;
  if (marker < 0x90) return `FixMap(${marker & 0x0f})`;
  if (marker < 0xa0) return `FixArray(${marker & 0x0f})`;
  if (marker < 0xc0) return `FixStr(${marker & 0x1f})`;
  if (marker >= 0xe0) return `FixNeg(${marker - 0x100})`;
  return markerNames[marker - 0xc0] ?? 'Reserved';
}

/**
 * Where the first byte sequence lies that is not UTF-8, and how many bytes it has; length 0 when
 * the text ends inside a character. Table 3-7 of the Unicode standard.
 */
function utf8Fault(bytes: Uint8Array): { readonly index: number; readonly length: number } {
  let index = 0;
  while (index < bytes.length) {
    const lead = bytes[index]!;
    let following = 0;
    let low = 0x80;
    let high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) following = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      following = 2;
      if (lead === 0xe0) low = 0xa0;
      if (lead === 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      following = 3;
      if (lead === 0xf0) low = 0x90;
      if (lead === 0xf4) high = 0x8f;
    } else if (lead >= 0x80) return { index, length: 1 };
    for (let k = 1; k <= following; k++) {
      const next = bytes[index + k];
      if (next === undefined) return { index, length: 0 };
      if (next < low || next > high) return { index, length: k };
      low = 0x80;
      high = 0xbf;
    }
    index += following + 1;
  }
  return { index, length: 0 };
}
