/**
 * Consistent overhead byte stuffing (Cheshire and Baker, 1999): bytes without a zero among them, at
 * most one longer for every 254, so that a zero can mark where a frame begins and ends.
 */

/** The most bytes that so many become. */
export function cobsMaximumBytes(bytes: number): number {
  return bytes + Math.floor(bytes / 254) + 1;
}

/** In a buffer of its own. A last group of 254 bytes without a zero has no empty group behind it. */
export function cobsEncode(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(cobsMaximumBytes(bytes.length));
  let codeAt = 0;
  let at = 1;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte !== 0) out[at++] = byte;
    const groupIsFull = at - codeAt === 255;
    if (byte === 0 || (groupIsFull && i + 1 < bytes.length)) {
      out[codeAt] = at - codeAt;
      codeAt = at++;
    }
  }
  out[codeAt] = at - codeAt;
  return out.slice(0, at);
}

/** In a buffer of its own; null when a group is announced longer than it is or a zero is met. */
export function cobsDecode(bytes: Uint8Array): Uint8Array | null {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  let at = 0;
  while (at < bytes.length) {
    const code = bytes[at]!;
    const end = at + code;
    if (code === 0 || end > bytes.length) return null;
    for (at += 1; at < end; at++) {
      if (bytes[at] === 0) return null;
      out[length++] = bytes[at]!;
    }
    if (code !== 255 && at < bytes.length) out[length++] = 0;
  }
  return out.slice(0, length);
}
